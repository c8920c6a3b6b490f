"""Runs the parts of the end-to-end tests, one after another, and prints a line per check."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Protocol, TypeVar

from . import (
    alerting_checks,
    check_command,
    differential,
    dns_checks,
    handshake_cases,
    probe_mode,
    prometheus_restart,
    replies,
    servers_checks,
    shards,
    web_config_checks,
)
from .alerting import Alerting, Setup
from .checks import Failed, Step
from .dns import Dns
from .dns_system import SystemDns
from .exporter import TEXT, Exporter
from .handshakes import Handshakes
from .servers import MailServers, MonitoredMailServers
from .web_config import WebConfig
from .web_config_differences import DIFFERENCES

# They check notifications, each in another setup.
ALERTING_PARTS = (alerting_checks, probe_mode, prometheus_restart, shards)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TAIL_LINES = 12


class Openable(Protocol):
    def open(self, exits: ExitStack) -> None: ...


F = TypeVar("F", bound=Openable)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/real/run")
    parser.add_argument("--exporter", type=Path, required=True)
    parser.add_argument("--exim", type=Path, required=True)
    parser.add_argument("--newer", type=Path, help="folder with the binaries of the next Debian release")
    parser.add_argument("--only", action="append", choices=PARTS, help="run only this part; repeatable")
    arguments = parser.parse_args()
    for number in SIGNALS:
        signal.signal(number, _exit)

    started = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="smtp-tls-real-"))
    # Servers that drop root must still be able to read their files.
    home.chmod(0o755)
    results = Results()
    try:
        (home / "logs").mkdir()
        for part in arguments.only or PARTS:
            PARTS[part](results, arguments, home)
    finally:
        # Also after a signal: the logs are only kept for failed checks.
        if not results.failed:
            shutil.rmtree(home)
    if results.failed:
        _print_tails(home / "logs")
        print(f"# files are kept in {home}")
    print(f"# {time.monotonic() - started:.0f} s")
    skipped = f", {results.skipped} skipped" if results.skipped else ""
    print(f"{results.passed} passed, {results.failed} failed{skipped}")
    return 1 if results.failed else 0


class Results:
    """Runs checks, prints a line for each, and counts."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0
        self.skipped = 0

    def skip(self, name: str, reason: str) -> None:
        self.skipped += 1
        print(f"SKIPPED {name}: {reason}", flush=True)

    def run(self, name: str, step: Callable[[], None]) -> bool:
        try:
            step()
        except Failed as failure:
            seen = str(failure)
        except Exception as error:
            # For example an answer that cannot be parsed. The remaining checks still run.
            seen = f"{type(error).__name__}: {error}"
        else:
            self.passed += 1
            print(f"ok {name}", flush=True)
            return True
        self.failed += 1
        print(f"FAILED {name}: {seen}", flush=True)
        return False

    def start(self, name: str, exits: ExitStack, create: Callable[[], F]) -> F | None:
        """Creates and opens a fixture as a check of this name."""
        opened: list[F] = []

        def step() -> None:
            fixture = create()
            fixture.open(exits)
            opened.append(fixture)

        return opened[0] if self.run(name, step) else None

    def run_all(self, steps: Iterable[Step], part: str, exporter: Exporter, logs: Path) -> None:
        """Runs all steps. After a failure the metrics of the exporter are saved."""
        for number, (name, step) in enumerate(steps, start=1):
            if not self.run(name, step):
                _save_metrics(exporter, logs / f"failed-{part}-{number}.metrics")


def _run_servers(results: Results, arguments: argparse.Namespace, home: Path) -> None:
    with ExitStack() as exits:
        name = "servers: they start, and s_client sees their certificates"
        servers = results.start(name, exits, lambda: MonitoredMailServers(home, arguments.exporter, arguments.exim))
        if servers:
            results.run_all(servers_checks.steps(servers), "servers", servers.exporter, home / "logs")


def _run_check(results: Results, arguments: argparse.Namespace, home: Path) -> None:
    def create() -> MailServers:
        (home / "check" / "logs").mkdir(parents=True)
        return MailServers(home / "check", arguments.exporter, arguments.exim)

    with ExitStack() as exits:
        if servers := results.start("check: the mail servers start", exits, create):
            for name, step in check_command.steps(servers, arguments.exporter):
                results.run(name, step)


def _run_dns(results: Results, arguments: argparse.Namespace, home: Path) -> None:
    with ExitStack() as exits:
        name = "dns: the servers start, and unbound answers as expected"
        dns = results.start(name, exits, lambda: Dns(home / "dns", home / "logs", arguments.exporter, arguments.exim))
        if dns:
            results.run_all(dns_checks.steps(dns), "dns", dns.exporter, home / "logs")
    with ExitStack() as exits:
        name = "dns: a host with a network of its own starts"
        system = results.start(name, exits, lambda: SystemDns(home / "dns-system", home / "logs", arguments.exporter))
        if system:
            for name, step in system.steps():
                results.run(name, step)


def _run_handshakes(results: Results, arguments: argparse.Namespace, home: Path) -> None:
    def create() -> Handshakes:
        handshakes = Handshakes(home / "handshakes", home / "logs", arguments.exporter)
        handshake_cases.add_all(handshakes)
        return handshakes

    with ExitStack() as exits:
        if handshakes := results.start("handshakes: s_client sees every server as configured", exits, create):
            passed = [results.run(name, step) for name, step in handshake_cases.steps(handshakes)]
            if not all(passed):
                _save_metrics(handshakes.exporter, home / "logs" / "failed-handshakes.metrics")


def _run_replies(results: Results, arguments: argparse.Namespace, home: Path) -> None:
    def create() -> replies.Replies:
        return replies.Replies(home / "replies", home / "logs", arguments.exporter, arguments.exim)

    with ExitStack() as exits:
        if servers := results.start("replies: the servers start, and `check` probes them", exits, create):
            for name, step in replies.steps(servers):
                results.run(name, step)


def _run_alerting(
    setup: Setup,
    steps: Callable[[Alerting], Iterable[Step]],
    results: Results,
    arguments: argparse.Namespace,
    home: Path,
) -> None:
    part = setup.part
    newer: Path | None = arguments.newer
    if newer is None:
        results.skip(f"{part}: newer Prometheus and Alertmanager", "not available; Debian's versions only")
    with ExitStack() as exits:
        name = f"{part}: everything starts and is ok"
        alerting = results.start(
            name, exits, lambda: Alerting(setup, home / part, home / "logs", arguments.exporter, newer)
        )
        if alerting:
            named = ((f"{part}: {name}", step) for name, step in steps(alerting))
            results.run_all(named, part, alerting.exporter, home / "logs")


def _run_web_config(results: Results, arguments: argparse.Namespace, home: Path) -> None:
    newer: Path | None = arguments.newer
    if newer is None:
        results.skip("web_config", "blackbox_exporter of the next Debian release is not available")
        return

    def create() -> WebConfig:
        blackbox = newer / "prometheus-blackbox-exporter"
        return WebConfig(home / "web_config", arguments.exporter, blackbox, DIFFERENCES)

    with ExitStack() as exits:
        if web_config := results.start("web_config: certificates are created", exits, create):
            for name, step in web_config_checks.steps(web_config):
                results.run(name, step)


def _run_differential(results: Results, arguments: argparse.Namespace, home: Path) -> None:
    table = differential.Table(arguments.exporter, home / "cases")
    try:
        if results.run("differential: the table of certificates is written and served", table.write):
            for name, step in table.steps():
                results.run(name, step)
    finally:
        table.close()


PARTS: dict[str, Callable[[Results, argparse.Namespace, Path], None]] = {
    "servers": _run_servers,
    "check": _run_check,
    "dns": _run_dns,
    "handshakes": _run_handshakes,
    "replies": _run_replies,
    **{module.SETUP.part: partial(_run_alerting, module.SETUP, module.steps) for module in ALERTING_PARTS},
    "web_config": _run_web_config,
    "differential": _run_differential,
}


def _exit(number: int, _: FrameType | None) -> None:
    # Only once: a second signal must not interrupt the stopping of the children.
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
            print(f"# {log.name}, the last of {len(lines)} lines")
        for line in lines[-TAIL_LINES:]:
            print(f"#   {line}")


if __name__ == "__main__":
    sys.exit(main())
