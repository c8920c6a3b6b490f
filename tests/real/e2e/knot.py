"""Knot, an authoritative name server that can sign zones itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .process import Daemon, FixtureError, run, wait_until

# By name without the trailing dot: type and data as in a zone file, such as `A 192.0.2.1`.
Records = Mapping[str, Sequence[str]]

CONFIG = """\
server:
    rundir: "{home}"
    listen: 127.0.0.1@{port}
    answer-rotation: on
    udp-max-payload: 1232
control:
    listen: "{home}/control.sock"
database:
    storage: "{home}"
log:
  - target: stderr
    any: info
policy:
  - id: e2e
    single-type-signing: on
zone:
"""

PLAIN = """\
  - domain: {zone}
    file: "{file}"
    journal-content: none
"""

# Knot does not write the zone file; signatures and serial numbers are kept in the journal.
SIGNED = """\
  - domain: {zone}
    file: "{file}"
    dnssec-signing: on
    dnssec-policy: e2e
    zonefile-sync: -1
    zonefile-load: difference-no-serial
    journal-content: all
"""


class Knot:
    def __init__(
        self, home: Path, logs: Path, port: int, *, plain: Sequence[str] = (), signed: Sequence[str] = ()
    ) -> None:
        home.mkdir()
        self.home = home
        self.address = f"127.0.0.1:{port}"
        self._port = port
        self._config = home / "knot.conf"
        self._templates = dict.fromkeys(plain, PLAIN) | dict.fromkeys(signed, SIGNED)
        self._serial = 0
        self._daemon = Daemon(["knotd", "-c", self._config], logs / f"{home.name}.log")

    def start(self, zones: Mapping[str, Records]) -> None:
        """Serves these zones. The files of its other zones must exist already."""
        for zone, records in zones.items():
            self._write(zone, records)
        self._configure()
        self.restart()

    def restart(self) -> None:
        self._daemon.start()
        for zone in self._templates:
            wait_until(f"{self.home.name}: SOA of {zone}", lambda: self._serves(zone))

    def stop(self) -> None:
        self._daemon.stop()

    def publish(self, zone: str, records: Records) -> None:
        """Replaces the records of a zone; on return the new ones are served."""
        self._write(zone, records)
        self._control("zone-reload", zone)

    def withdraw(self, zone: str) -> None:
        """Removes the zone; queries for it are then refused."""
        del self._templates[zone]
        self._configure()
        self._control("reload")
        wait_until(f"{self.home.name}: {zone} removed", lambda: not self._serves(zone))

    def trust_anchor(self, zone: str) -> str:
        """The DS record of the zone's key."""
        return trust_anchor(self._config, zone)

    def file(self, zone: str) -> Path:
        return self.home / f"{zone}.zone"

    def _configure(self) -> None:
        zones = [template.format(zone=zone, file=self.file(zone)) for zone, template in self._templates.items()]
        self._config.write_text(CONFIG.format(home=self.home, port=self._port) + "".join(zones))

    def _control(self, *command: str) -> None:
        run(["knotc", "--blocking", "-c", self._config, *command])

    def _write(self, zone: str, records: Records) -> None:
        self._serial += 1
        write_zone(self.file(zone), zone, records, self._serial)

    def _serves(self, zone: str) -> bool:
        try:
            return bool(run(["kdig", "@127.0.0.1", "-p", str(self._port), "+short", "+time=1", zone, "SOA"]).strip())
        except FixtureError:
            # Not started yet.
            return False


def addresses(hosts: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """A records of these hosts."""
    return {host: [f"A {address}" for address in each] for host, each in hosts.items()}


def write_zone(file: Path, zone: str, records: Records, serial: int = 1) -> None:
    lines = [
        f"$ORIGIN {zone}.",
        "$TTL 1",
        f"@ SOA ns hostmaster {serial} 3600 600 86400 1",
        "@ NS ns",
        "ns A 127.0.0.1",
    ]
    lines += [f"{name}. {record}" for name, each in records.items() for record in each]
    file.write_text("\n".join(lines) + "\n")


def sign_zone(home: Path, zone: str, records: Records, out: Path) -> str:
    """Writes a signed zone for a server that does not sign itself, and returns the DS record of the key."""
    home.mkdir()
    config, file = home / "knot.conf", home / f"{zone}.zone"
    write_zone(file, zone, records)
    # No server runs with this config, so the port does not matter.
    config.write_text(CONFIG.format(home=home, port=53) + SIGNED.format(zone=zone, file=file))
    signed = home / "signed"
    signed.mkdir()
    run(["kzonesign", "-c", config, "-o", signed, zone])
    (written,) = signed.iterdir()
    written.rename(out)
    return trust_anchor(config, zone)


def trust_anchor(config: Path, zone: str) -> str:
    """The DS record by SHA-256; keymgr prints others too."""
    records = [line.split() for line in run(["keymgr", "-c", config, zone, "ds"]).splitlines()]
    (found,) = (fields for fields in records if fields[4:5] == ["2"])
    return " ".join(found)
