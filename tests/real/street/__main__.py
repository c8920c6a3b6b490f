"""Opens the street, runs the checks in order, and clears it away."""

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

from .checks import CHECKS, Failed
from .exporter import TEXT
from .scene import Street

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TAIL_LINES = 12


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/real/run")
    parser.add_argument("--exporter", type=Path, required=True)
    parser.add_argument("--exim", type=Path, required=True)
    arguments = parser.parse_args()
    for number in SIGNALS:
        signal.signal(number, _leave)

    began = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="smtp-tls-real-"))
    # The servers drop root, and must still get at what is theirs.
    home.chmod(0o755)
    tally = Tally()
    try:
        _run(tally, home, arguments.exporter, arguments.exim)
    finally:
        # Also where a signal cut the run short: nobody waits for those logs.
        if not tally.failed:
            shutil.rmtree(home)
    if tally.failed:
        _print_tails(home / "logs")
        print(f"# everything is kept in {home}")
    print(f"# {time.monotonic() - began:.0f} s")
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


class Tally:
    """Runs steps, prints a line for each, and counts."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

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


def _run(tally: Tally, home: Path, exporter: Path, exim: Path) -> None:
    street: Street | None = None

    def open_street() -> None:
        nonlocal street
        street = Street(home, exporter, exim)
        street.open(stack)

    with ExitStack() as stack:
        if not tally.attempt("the scene stands, and OpenSSL sees it as intended", open_street) or street is None:
            return
        for number, check in enumerate(CHECKS, start=1):
            if not tally.attempt(check.name, lambda: check.run(street)):
                _save_metrics(street, home / "logs" / f"failed-check-{number}.metrics")


def _leave(number: int, _: FrameType | None) -> None:
    # Once: a second signal must not interrupt the ending of the children.
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def _save_metrics(street: Street, file: Path) -> None:
    try:
        file.write_text(street.exporter.scrape(TEXT).body)
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
