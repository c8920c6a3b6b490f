"""Opens the street, then stands at its keyboard, then the names that change, then the lab, then the stack that pages;
runs the checks of each in order, and clears it away. Last comes the table."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from . import alerting_checks as stack_checks
from . import check_command as keyboard
from . import differential, dns_checks
from . import handshake_cases as handshakes
from .servers_checks import CHECKS, Failed
from .dns import Dns
from .exporter import TEXT, Exporter
from .handshakes import Lab
from .servers import Street
from .alerting import Stack

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TAIL_LINES = 12


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/real/run")
    parser.add_argument("--exporter", type=Path, required=True)
    parser.add_argument("--exim", type=Path, required=True)
    parser.add_argument("--newer", type=Path, help="a folder with a newer Prometheus and Alertmanager")
    parser.add_argument("--only", action="append", choices=PARTS, help="one part of it; may be repeated")
    arguments = parser.parse_args()
    for number in SIGNALS:
        signal.signal(number, _leave)

    began = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="smtp-tls-real-"))
    # The servers drop root, and must still get at what is theirs.
    home.chmod(0o755)
    tally = Tally()
    try:
        (home / "logs").mkdir()
        for part in arguments.only or PARTS:
            PARTS[part](tally, arguments, home)
    finally:
        # Also where a signal cut the run short: nobody waits for those logs.
        if not tally.failed:
            shutil.rmtree(home)
    if tally.failed:
        _print_tails(home / "logs")
        print(f"# everything is kept in {home}")
    print(f"# {time.monotonic() - began:.0f} s")
    print(f"{tally.passed} passed, {tally.failed} failed" + (f", {tally.skipped} skipped" if tally.skipped else ""))
    return 1 if tally.failed else 0


class Tally:
    """Runs steps, prints a line for each, and counts."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0
        self.skipped = 0

    def skip(self, name: str, why: str) -> None:
        self.skipped += 1
        print(f"SKIPPED {name}: {why}", flush=True)

    def attempt(self, name: str, step: Callable[[], None]) -> bool:
        try:
            step()
        except Failed as failure:
            seen = str(failure)
        except Exception as error:
            # Also an answer that cannot be read is an answer; the story goes on.
            seen = f"{type(error).__name__}: {error}"
        else:
            self.passed += 1
            print(f"ok {name}", flush=True)
            return True
        self.failed += 1
        print(f"FAILED {name}: {seen}", flush=True)
        return False


def _run_street(tally: Tally, arguments: argparse.Namespace, home: Path) -> None:
    street: Street | None = None

    def open_street() -> None:
        nonlocal street
        street = Street(home, arguments.exporter, arguments.exim)
        street.open(stack)

    with ExitStack() as stack:
        if not tally.attempt("the scene stands, and OpenSSL sees it as intended", open_street) or street is None:
            return
        for number, check in enumerate(CHECKS, start=1):
            if not tally.attempt(check.name, lambda: check.run(street)):
                _save_metrics(street.exporter, home / "logs" / f"failed-check-{number}.metrics")


def _run_keyboard(tally: Tally, arguments: argparse.Namespace, home: Path) -> None:
    street: Street | None = None

    def open_street() -> None:
        nonlocal street
        (home / "keyboard" / "logs").mkdir(parents=True)
        street = Street(home / "keyboard", arguments.exporter, arguments.exim)
        street.open_servers(stack)

    with ExitStack() as stack:
        if not tally.attempt("check: the street stands again, as built", open_street) or street is None:
            return
        for name, step in keyboard.steps(street, arguments.exporter):
            tally.attempt(name, step)


def _run_dns(tally: Tally, arguments: argparse.Namespace, home: Path) -> None:
    logs = home / "logs"
    dns: Dns | None = None

    def open_dns() -> None:
        nonlocal dns
        dns = Dns(home / "dns", logs, arguments.exporter, arguments.exim)
        dns.open(stack)

    with ExitStack() as stack:
        if not tally.attempt("dns: the scene stands, and is seen as intended", open_dns) or dns is None:
            return
        for number, (name, step) in enumerate(dns_checks.steps(dns), start=1):
            if not tally.attempt(name, step):
                _save_metrics(dns.exporter, logs / f"failed-dns-{number}.metrics")


def _run_lab(tally: Tally, arguments: argparse.Namespace, home: Path) -> None:
    lab = Lab(home / "lab", home / "logs", arguments.exporter)

    def open_lab() -> None:
        handshakes.build(lab)
        lab.open(stack)

    with ExitStack() as stack:
        if not tally.attempt("s_server: each is what it is meant to be, as s_client sees it", open_lab):
            return
        passed = [tally.attempt(name, step) for name, step in handshakes.steps(lab)]
        if not all(passed):
            _save_metrics(lab.exporter, home / "logs" / "failed-lab.metrics")


def _run_stack(tally: Tally, arguments: argparse.Namespace, home: Path) -> None:
    stack = Stack(home / "stack", home / "logs", arguments.exporter, arguments.newer)
    if arguments.newer is None:
        tally.skip("stack: newer Prometheus and Alertmanager", "they could not be had; Debian's alone are tried")
    with ExitStack() as exits:
        if not tally.attempt("stack: the scene stands, and all is well", lambda: stack.open(exits)):
            return
        for number, (name, step) in enumerate(stack_checks.steps(stack), start=1):
            if not tally.attempt(f"stack: {name}", step):
                _save_metrics(stack.exporter, home / "logs" / f"failed-stack-{number}.metrics")


def _run_differential(tally: Tally, arguments: argparse.Namespace, home: Path) -> None:
    table = differential.Table(arguments.exporter, home / "cases")
    if not tally.attempt("differential: the table of certificates is written", table.write):
        return
    for name, step in table.steps():
        tally.attempt(name, step)


PARTS = {
    "street": _run_street,
    "check": _run_keyboard,
    "dns": _run_dns,
    "lab": _run_lab,
    "stack": _run_stack,
    "differential": _run_differential,
}


def _leave(number: int, _: FrameType | None) -> None:
    # Once: a second signal must not interrupt the ending of the children.
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def _save_metrics(exporter: Exporter, file: Path) -> None:
    try:
        file.write_text(exporter.scrape(TEXT).body)
    except OSError as error:
        file.write_text(f"# {error}\n")


def _print_tails(logs: Path) -> None:
    for log in sorted(logs.iterdir()):
        if log.suffix == ".metrics":
            continue
        lines = log.read_text(errors="replace").splitlines()
        if lines:
            print(f"# {log.name}, the end of {len(lines)} lines")
        for line in lines[-TAIL_LINES:]:
            print(f"#   {line}")


if __name__ == "__main__":
    sys.exit(main())
