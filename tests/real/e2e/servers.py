"""The mail servers: which ones run, and with which certificates."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from pathlib import Path

from . import openssl
from .exim import Exim
from .exporter import Exporter
from .knot import Knot, addresses
from .pki import Certificate, TestCa
from .postfix import Listener, Postfix
from .process import FixtureError, free_port, is_bindable, wait_until
from .prometheus import Prometheus, scrape_config

STARTTLS = 2525
IMPLICIT = 4465

ZONE = "example.com"
SMTP = "smtp.example.com"
MAIL = "mail.example.com"
EXIM = "exim.example.com"
BOTH = (SMTP, MAIL)

TARGETS = """\
resolvers:
  test: {{nameservers: ["{nameserver}"]}}
targets:
  - host: smtp.example.com
    port: {starttls_port}
    resolver: test
    labels: {{team: mail}}
  - host: smtp.example.com
    port: {implicit_port}
    tls: implicit
    resolver: test
  - host: exim.example.com
    port: {starttls_port}
    resolver: test
"""


class Host:
    """One address and the certificate that all its ports present."""

    def __init__(self, address: str, certificate: Certificate, folder: Path) -> None:
        self.address = address
        self.certificate_file = folder / f"{address}.pem"
        self.install(certificate)

    def install(self, certificate: Certificate) -> None:
        self.certificate = certificate
        self.certificate_file.write_text(certificate.key_and_chain)

    def listeners(self, *, postscreen: bool = False) -> list[Listener]:
        return [
            Listener(self.address, STARTTLS, self.certificate_file, postscreen=postscreen),
            Listener(self.address, IMPLICIT, self.certificate_file, implicit_tls=True),
        ]


class MailServers:
    """The mail servers and their name server. `open` starts them; closing `exits` stops them."""

    def __init__(self, home: Path, exporter_binary: Path, exim_binary: Path) -> None:
        self.home = home
        self.logs = home / "logs"
        certificates = home / "certificates"
        certificates.mkdir()
        # postlogd and Exim write there as other users.
        self.logs.chmod(0o1777)

        network, self._network_lock = claim_network()
        self.ca = ca = TestCa(home / "pki")

        def host(number: int, names: tuple[str, ...], days: float) -> Host:
            return Host(f"{network}.{number}", ca.issue(names, days), certificates)

        # smtp.example.com: clients fail or succeed depending on the address that they connect to.
        self.valid = host(3, BOTH, 90)
        self.renewed = host(4, (MAIL,), 60)
        self.retired = host(5, (MAIL,), 45)
        self.expired = host(6, BOTH, -3)
        self.postscreened = host(20, BOTH, 30)
        self.smtp = [self.valid, self.renewed, self.retired, self.expired, self.postscreened]
        # exim.example.com.
        self.exim_matched = host(40, (EXIM,), 80)
        self.exim_mismatched = host(41, (MAIL,), 70)
        self.exim_hosts = [self.exim_matched, self.exim_mismatched]

        self.postfix = Postfix(
            "postfix",
            home / "postfix",
            self.logs,
            [
                *self.valid.listeners(),
                *self.renewed.listeners(),
                *self.expired.listeners(),
                *self.postscreened.listeners(postscreen=True),
            ],
        )
        # A separate instance, so that it can be stopped while the others run.
        self.retired_postfix = Postfix("postfix-retired", home / "postfix-retired", self.logs, self.retired.listeners())
        self.exim = Exim(
            exim_binary,
            home / "exim",
            self.logs,
            STARTTLS,
            {each.address: each.certificate for each in self.exim_hosts},
        )
        self.knot = Knot(home / "knot", self.logs, free_port(), plain=[ZONE])
        self.exporter = Exporter(
            exporter_binary,
            home / "exporter",
            self.logs,
            root=ca.root,
            targets=TARGETS.format(nameserver=self.knot.address, starttls_port=STARTTLS, implicit_port=IMPLICIT),
        )
        self.prometheus = Prometheus(home / "prometheus", self.logs, free_port(), scrape_config(self.exporter.address))
        self.postfix_log_start = 0
        self.exim_log_start = 0

    def open(self, exits: ExitStack) -> None:
        for server in (self.postfix, self.retired_postfix, self.exim):
            exits.callback(server.stop)
            server.start()
        exits.callback(self.knot.stop)
        self.knot.start({ZONE: self.zone()})
        for host, port, server_name in self.listeners():
            self._verify_with_openssl(host, port, server_name)
        self._await_idle_logs()
        # From now on the exporter is the only client.
        self.postfix_log_start = self.postfix.log.size()
        self.exim_log_start = self.exim.log.size()

    def zone(self, without: Host | None = None) -> dict[str, list[str]]:
        smtp = [host.address for host in self.smtp if host is not without]
        return addresses({SMTP: smtp, MAIL: smtp, EXIM: [host.address for host in self.exim_hosts]})

    def listeners(self) -> list[tuple[Host, int, str]]:
        """Each address and port with the reference name of the exporter's probes."""
        smtp = [(host, port, SMTP) for host in self.smtp for port in (STARTTLS, IMPLICIT)]
        return smtp + [(host, STARTTLS, EXIM) for host in self.exim_hosts]

    def _verify_with_openssl(self, host: Host, port: int, server_name: str) -> None:
        """Waits until the server is up and checks it, so that faults of the fixture do not count as the exporter's."""
        seen = wait_until(
            f"{host.address}:{port}: up, with a certificate",
            lambda: openssl.verify(host.address, port, port == IMPLICIT, server_name, self.ca.root),
        )
        if host is self.expired:
            code = openssl.CERT_HAS_EXPIRED
        elif server_name in host.certificate.names:
            code = openssl.OK
        else:
            code = openssl.HOSTNAME_MISMATCH
        expected = openssl.Verification(host.certificate.fingerprint, code)
        if seen != expected:
            raise FixtureError(f"{host.address}:{port}: expected {expected}, s_client reports {seen}")

    def _await_idle_logs(self) -> None:
        """Servers log the end of a session after its client has disconnected."""

        def is_idle() -> bool:
            before = self.postfix.log.size(), self.exim.log.size()
            time.sleep(0.5)
            return before == (self.postfix.log.size(), self.exim.log.size())

        wait_until("idle logs", is_idle)


class MonitoredMailServers(MailServers):
    """Also runs the exporter and a Prometheus that scrapes it."""

    def open(self, exits: ExitStack) -> None:
        super().open(exits)
        exits.callback(self.exporter.stop)
        self.exporter.start()
        exits.callback(self.prometheus.stop)
        self.prometheus.start()


def claim_network() -> tuple[str, socket.socket]:
    """The first 127.0.x on which the ports are free. The socket is a lock against a concurrent run that has not opened
    its ports yet."""
    for number in range(10):
        network = f"127.0.{number}"
        lock = socket.socket(socket.AF_UNIX)
        try:
            # An abstract name, released with the process.
            lock.bind(f"\0smtp-tls-real-{network}")
        except OSError:
            lock.close()
            continue
        if all(is_bindable(f"{network}.{host}", port) for host in range(3, 42) for port in (STARTTLS, IMPLICIT)):
            return network, lock
        lock.close()
    raise FixtureError(f"ports {STARTTLS} and {IMPLICIT} are in use on 127.0.0.0 to 127.0.9.255")
