"""DNS that changes while the exporter runs: signed zones on Knot behind a validating unbound, name servers that
disagree, stop or are slow, and mail servers behind a load balancer. Each event has its own name, so that all of them
can happen at the same time."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from pathlib import Path

from . import openssl
from .dns_proxy import DnsProxy
from .exim import Exim
from .exporter import Exporter
from .haproxy import Haproxy
from .knot import Knot, Records, addresses, sign_zone
from .pki import TestCa
from .postfix import Listener, Postfix
from .process import FixtureError, free_port, wait_until
from .prometheus import Prometheus, scrape_config
from .servers import IMPLICIT, STARTTLS, Host, claim_network
from .unbound import Unbound

# Signed, edited once.
MAIN = "example.com"
# Signed, edited every second.
ROTATING = "rotating.example"
# Signed, removed from the server during the test.
LEAVING = "leaving.example"
# Signed, then changed, so that a signature is invalid.
BROKEN = "broken.example"
# Unsigned, on separate name servers.
PLAIN = "example.net"

# Seconds. The retention is long enough to see that an address is kept, and short enough to see it dropped.
INTERVAL = 2
RETENTION = 14

TWELVE = [f"domain{number}.{MAIN}" for number in range(12)]
# Addresses in rotation; each answer has three of them.
ROTATION = 5
# A records of 16 bytes each: together more than an answer of 1,232 bytes.
MANY = 80

TARGETS = """\
resolvers:
  front: {{nameservers: ["{front}"]}}
  both: {{nameservers: ["{left}", "{right}"], compare: true}}
  lone: {{nameservers: ["{lone}"]}}
  slow: {{nameservers: ["{slow}"]}}
limits: {{backends_per_target: 128}}
targets:
"""

MX = """\
  - {{mx: [{domains}], port: {port}, resolver: front, allow_addresses: [127.0.0.0/8]}}
"""

SUBMISSION = """\
  - {{submission: {domain}, resolver: front, allow_addresses: [127.0.0.0/8], allow_ports: [{ports}]}}
"""


class Dns:
    """All servers of the fixture. `open` starts them; closing `exits` stops them."""

    def __init__(self, home: Path, logs: Path, exporter_binary: Path, exim_binary: Path) -> None:
        home.mkdir()
        # postlogd and Exim write there as other users.
        logs.chmod(0o1777)
        certificates = home / "certificates"
        certificates.mkdir()
        self.home = home
        self.network, self._network_lock = claim_network()
        self.ca = TestCa(home / "pki")
        every_name = self.ca.issue([f"*.{zone}" for zone in (MAIN, ROTATING, LEAVING, BROKEN, PLAIN)], 90)
        other_name = self.ca.issue(["mail.example.org"], 60)

        def host(number: int) -> Host:
            return Host(self.at(number), every_name, certificates)

        # The servers of most names.
        self.first, self.second = host(3), host(4)
        self.mx = host(6)
        self.hub = host(7)
        self.rotating = [host(11 + number) for number in range(ROTATION)]
        self.exim_address = self.at(40)
        # Behind the load balancer: one certificate matches the name, one does not.
        self.matched = host(50)
        self.mismatched = Host(self.at(51), other_name, certificates)
        self.balanced, self.sampled = self.at(60), self.at(61)
        # No server listens there.
        self.dead = self.at(99)
        self.many = [self.at(100 + number) for number in range(MANY)]

        hosts = [self.first, self.second, self.mx, self.hub, *self.rotating, self.matched, self.mismatched]
        self.hosts = hosts
        listeners = [Listener(each.address, STARTTLS, each.certificate_file) for each in hosts]
        listeners.append(Listener(self.mx.address, IMPLICIT, self.mx.certificate_file, implicit_tls=True))
        self.postfix = Postfix("dns-postfix", home / "postfix", logs, listeners)
        self.exim = Exim(exim_binary, home / "exim", logs, STARTTLS, {self.exim_address: every_name})
        behind = [f"{each.address}:{STARTTLS}" for each in (self.matched, self.mismatched)]
        frontends = {f"{address}:{STARTTLS}": behind for address in (self.balanced, self.sampled)}
        self.haproxy = Haproxy(home / "haproxy", logs, frontends)

        self.knot = Knot(home / "dns-knot", logs, free_port(), signed=[MAIN, ROTATING, LEAVING], plain=[BROKEN])
        self.left, self.right, self.lone = (
            Knot(home / f"dns-{name}", logs, free_port(), plain=[PLAIN]) for name in ("left", "right", "lone")
        )
        self.slow = DnsProxy(self.left.address)
        self.unbound = Unbound(home / "unbound", logs, free_port())
        self.exporter = Exporter(
            exporter_binary,
            home / "dns-exporter",
            logs,
            root=self.ca.root,
            targets=self._targets(),
            interval=INTERVAL,
        )
        self.prometheus = Prometheus(
            home / "dns-prometheus", logs, free_port(), scrape_config(self.exporter.address, interval=1)
        )
        self.rotation = Rotation(self)

    def open(self, exits: ExitStack) -> None:
        for server in (self.postfix, self.exim, self.haproxy):
            exits.callback(server.stop)
            server.start()
        anchors = [self._break_zone()]
        for knot in (self.knot, self.left, self.right, self.lone):
            exits.callback(knot.stop)
        self.knot.start({MAIN: self.main(), ROTATING: self.rotating_zone(0), LEAVING: self._leaving()})
        self.left.start({PLAIN: self._plain(self.first)})
        self.right.start({PLAIN: self._plain(self.second)})
        self.lone.start({PLAIN: self._plain(self.first)})
        exits.callback(self.slow.stop)
        self.slow.start()
        exits.callback(self.unbound.stop)
        anchors += [self.knot.trust_anchor(zone) for zone in (MAIN, ROTATING, LEAVING)]
        zones = (MAIN, ROTATING, LEAVING, BROKEN)
        self.unbound.start(dict.fromkeys(zones, self.knot.address), anchors)
        self._verify_fixture()
        exits.callback(self.exporter.stop)
        self.exporter.start()
        exits.callback(self.prometheus.stop)
        self.prometheus.start()
        exits.callback(self.rotation.stop)
        self.rotation.start()

    def at(self, number: int) -> str:
        return f"{self.network}.{number}"

    def main(self, *, edited: bool = False) -> Records:
        """The zone that is edited once: addresses are added and removed, one name loses all its addresses, and another
        name is removed."""
        first, second = self.first.address, self.second.address
        hosts: dict[str, list[str]] = {
            "added": [first, second] if edited else [first],
            "removed": [first] if edited else [first, second],
            "retired": [first] if edited else [first, self.dead],
            "moved": [second] if edited else [first],
            "many": self.many,
            "balanced": [self.balanced],
            "sampled": [self.sampled],
            "mx1": [self.mx.address],
            "mx2": [self.exim_address],
            "implicit": [self.mx.address],
            "hub": [self.hub.address],
        }
        if not edited:
            hosts |= {"emptied": [first, second], "vanished": [first, second]}
        zone = addresses({f"{name}.{MAIN}": each for name, each in hosts.items()})
        if edited:
            # The name exists, without addresses: NODATA.
            zone[f"emptied.{MAIN}"] = ["TXT none"]
        zone[f"alias.{MAIN}"] = [f"CNAME mx1.{MAIN}."]
        zone[f"rotating.{MAIN}"] = [f"CNAME pool.{ROTATING}."]
        zone[f"two.{MAIN}"] = [f"MX 10 mx1.{MAIN}.", f"MX 20 mx2.{MAIN}."]
        zone[f"null.{MAIN}"] = ["MX 0 ."]
        zone[f"half.{MAIN}"] = [f"MX 10 mx1.{MAIN}.", f"MX 20 nowhere.{MAIN}."]
        zone[f"aliased.{MAIN}"] = [f"MX 10 alias.{MAIN}."]
        zone[f"_submissions._tcp.both.{MAIN}"] = [f"SRV 0 1 {IMPLICIT} mx1.{MAIN}."]
        zone[f"_submission._tcp.both.{MAIN}"] = [f"SRV 10 1 {STARTTLS} mx1.{MAIN}."]
        zone |= {domain: [f"MX 10 hub.{MAIN}."] for domain in TWELVE}
        return zone

    def rotating_zone(self, step: int) -> Records:
        """Three of the five addresses, shifted by one with each step."""
        answer = [self.rotating[(step + number) % ROTATION].address for number in range(3)]
        return addresses({f"pool.{ROTATING}": answer})

    def _leaving(self) -> Records:
        return addresses({f"smtp.{LEAVING}": [self.first.address, self.second.address]})

    def _plain(self, disputed: Host) -> Records:
        both = [self.first.address, self.second.address]
        names = {"agreed": both, "disputed": [disputed.address], "stopped": both, "slow": both}
        return addresses({f"{name}.{PLAIN}": each for name, each in names.items()})

    def _break_zone(self) -> str:
        """Writes a zone with an address that was changed after signing, and returns the zone's trust anchor."""
        file = self.knot.file(BROKEN)
        names = {f"bad.{BROKEN}": [self.dead], f"good.{BROKEN}": [self.first.address]}
        anchor = sign_zone(self.home / "signer", BROKEN, addresses(names), file)
        signed = file.read_text()
        file.write_text(signed.replace(self.dead, self.second.address))
        return anchor

    def _targets(self) -> str:
        text = TARGETS.format(
            front=self.unbound.address,
            left=self.left.address,
            right=self.right.address,
            lone=self.lone.address,
            slow=self.slow.address,
        )

        def host(name: str, resolver: str = "front", more: str = "") -> str:
            return f"  - {{host: {name}, name: {name.split('.')[0]}, port: {STARTTLS}, resolver: {resolver}{more}}}\n"

        retention = f", backend_retention: {RETENTION}s"
        for name in ("added", "moved", "retired", "vanished", "many", "balanced"):
            text += host(f"{name}.{MAIN}")
        for name in ("removed", "emptied"):
            text += host(f"{name}.{MAIN}", more=retention)
        text += host(f"sampled.{MAIN}", more=", samples: 4")
        # As many rounds as there are answers.
        text += host(f"rotating.{MAIN}", more=", interval: 1s, timeout: 1s, connect_timeout: 1s")
        text += host(f"bad.{BROKEN}") + host(f"good.{BROKEN}")
        text += host(f"smtp.{LEAVING}")
        text += host(f"agreed.{PLAIN}", "both") + host(f"disputed.{PLAIN}", "both")
        text += host(f"stopped.{PLAIN}", "lone") + host(f"slow.{PLAIN}", "slow")
        domains = [f"{name}.{MAIN}" for name in ("two", "null", "implicit", "half", "aliased")]
        text += MX.format(domains=", ".join([*domains, *TWELVE]), port=STARTTLS)
        text += SUBMISSION.format(domain=f"both.{MAIN}", ports=f"{STARTTLS}, {IMPLICIT}")
        return text

    def _verify_fixture(self) -> None:
        """Checks the servers, so that faults of the fixture do not count as the exporter's."""
        for host in self.hosts:
            wait_until(
                f"{host.address}: up, with a certificate",
                lambda: openssl.verify(host.address, STARTTLS, False, f"mx1.{MAIN}", self.ca.root),
            )
        for address, port in [(self.mx.address, IMPLICIT), (self.exim_address, STARTTLS)]:
            wait_until(
                f"{address}:{port}: up, with a certificate",
                lambda: openssl.verify(address, port, port == IMPLICIT, f"mx1.{MAIN}", self.ca.root),
            )
        bad = f"bad.{BROKEN}"
        if self.unbound.query(bad, "A") is not None:
            raise FixtureError(f"{bad}: the signature should be invalid, but unbound accepts it")
        for name, kind, options, expected in (
            # Signed and validated.
            (f"two.{MAIN}", "MX", ["+dnssec"], " ad;"),
            (f"pool.{ROTATING}", "A", ["+dnssec"], " ad;"),
            (f"smtp.{LEAVING}", "A", ["+dnssec"], " ad;"),
            (f"good.{BROKEN}", "A", ["+dnssec"], " ad;"),
            # Present without validation.
            (bad, "A", ["+cdflag"], self.second.address),
            # Truncated.
            (f"many.{MAIN}", "A", ["+ignore", "+bufsize=1232"], " tc "),
        ):
            answer = self.unbound.query(name, kind, *options)
            if answer is None or expected not in answer:
                raise FixtureError(f"{name}: expected {expected!r}, unbound answers {answer}")


class Rotation:
    """Publishes a different answer every second."""

    def __init__(self, dns: Dns) -> None:
        self._dns = dns
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._rotate)
        self.steps = 0
        self.failure: Exception | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _rotate(self) -> None:
        due = time.monotonic()
        while True:
            due += 1.0
            if self._stopped.wait(max(0.0, due - time.monotonic())):
                return
            try:
                self._dns.knot.publish(ROTATING, self._dns.rotating_zone(self.steps + 1))
            except Exception as error:
                self.failure = error
                return
            self.steps += 1
