"""Knot, authoritative for example.com."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .process import Daemon, SceneError, run, wait_until

ZONE = "example.com"

CONFIG = """\
server:
    rundir: "{home}"
    listen: 127.0.0.1@{port}
    answer-rotation: on
control:
    listen: "{home}/control.sock"
database:
    storage: "{home}"
log:
  - target: stderr
    any: info
zone:
  - domain: {zone}
    file: "{home}/zone"
    journal-content: none
"""


class Knot:
    def __init__(self, home: Path, logs: Path, port: int) -> None:
        home.mkdir()
        self.address = f"127.0.0.1:{port}"
        self._port = port
        self._config = home / "knot.conf"
        self._config.write_text(CONFIG.format(home=home, port=port, zone=ZONE))
        self._zone = home / "zone"
        self._serial = 0
        self._daemon = Daemon(["knotd", "-c", self._config], logs / "knot.log")

    def start(self, hosts: Mapping[str, Sequence[str]]) -> None:
        self._write(hosts)
        self._daemon.start()
        self._await_answers(hosts)

    def stop(self) -> None:
        self._daemon.stop()

    def replace(self, hosts: Mapping[str, Sequence[str]]) -> None:
        """Publishes these A records instead of those before."""
        self._write(hosts)
        run(["knotc", "-c", self._config, "zone-reload", ZONE])
        self._await_answers(hosts)

    def _write(self, hosts: Mapping[str, Sequence[str]]) -> None:
        self._serial += 1
        lines = [
            f"$ORIGIN {ZONE}.",
            "$TTL 1",
            f"@ SOA ns hostmaster {self._serial} 3600 600 86400 1",
            "@ NS ns",
            "ns A 127.0.0.1",
        ]
        lines += [f"{host}. A {address}" for host, addresses in hosts.items() for address in addresses]
        self._zone.write_text("\n".join(lines) + "\n")

    def _await_answers(self, hosts: Mapping[str, Sequence[str]]) -> None:
        for host, addresses in hosts.items():
            wait_until(f"knot: A of {host}", lambda: self._resolve(host) == sorted(addresses))

    def _resolve(self, host: str) -> list[str]:
        try:
            return sorted(run(["kdig", "@127.0.0.1", "-p", str(self._port), "+short", "+time=1", host, "A"]).split())
        except SceneError:
            # Not up yet.
            return []
