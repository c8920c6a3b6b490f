"""Who stands in the street, and with which certificate."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from pathlib import Path

from . import openssl
from .exim import Exim
from .exporter import Exporter
from .knot import Knot, addresses
from .pki import Authority, Certificate
from .postfix import Listener, Postfix
from .process import SceneError, free_port, is_bindable, wait_until
from .prometheus import Prometheus, scraping

STARTTLS = 2525
IMPLICIT = 4465

ZONE = "example.com"
SMTP = "smtp.example.com"
MAIL = "mail.example.com"
EXIM = "exim.example.com"
BOTH = (SMTP, MAIL)

TARGETS = """\
resolvers:
  lab: {{nameservers: ["{nameserver}"]}}
targets:
  - host: smtp.example.com
    port: {starttls_port}
    resolver: lab
    labels: {{team: mail}}
  - host: smtp.example.com
    port: {implicit_port}
    tls: implicit
    resolver: lab
  - host: exim.example.com
    port: {starttls_port}
    resolver: lab
"""


class Host:
    """One address, with the certificate that all its ports present."""

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


class Street:
    """All servers of the scene. `open` starts them; leaving the stack ends them, whatever happened."""

    def __init__(self, home: Path, exporter_binary: Path, exim_binary: Path) -> None:
        self.home = home
        self.logs = home / "logs"
        certificates = home / "certificates"
        certificates.mkdir()
        # postlogd and Exim write there as users of their own.
        self.logs.chmod(0o1777)

        network, self._network_lock = claim_network()
        self.authority = authority = Authority(home / "pki")

        def host(number: int, names: tuple[str, ...], days: float) -> Host:
            return Host(f"{network}.{number}", authority.issue(names, days), certificates)

        # smtp.example.com: what it takes to fail now and then, and never on the test button.
        self.steady = host(3, BOTH, 90)
        self.renewed = host(4, (MAIL,), 60)
        self.retired = host(5, (MAIL,), 45)
        self.expired = host(6, BOTH, -3)
        self.guarded = host(20, BOTH, 30)
        self.smtp = [self.steady, self.renewed, self.retired, self.expired, self.guarded]
        # exim.example.com.
        self.exim_named = host(40, (EXIM,), 80)
        self.exim_unnamed = host(41, (MAIL,), 70)
        self.exim_hosts = [self.exim_named, self.exim_unnamed]

        self.postfix = Postfix(
            "postfix",
            home / "postfix",
            self.logs,
            [
                *self.steady.listeners(),
                *self.renewed.listeners(),
                *self.expired.listeners(),
                *self.guarded.listeners(postscreen=True),
            ],
        )
        # An instance of its own, so that it can be stopped while the others serve.
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
            free_port(),
            root=authority.root,
            targets=TARGETS.format(nameserver=self.knot.address, starttls_port=STARTTLS, implicit_port=IMPLICIT),
        )
        self.prometheus = Prometheus(home / "prometheus", self.logs, free_port(), scraping(self.exporter.address))
        self.postfix_log_start = 0
        self.exim_log_start = 0

    def open(self, stack: ExitStack) -> None:
        self.open_servers(stack)
        stack.callback(self.exporter.stop)
        self.exporter.start()
        stack.callback(self.prometheus.stop)
        self.prometheus.start()

    def open_servers(self, stack: ExitStack) -> None:
        for server in (self.postfix, self.retired_postfix, self.exim):
            stack.callback(server.stop)
            server.start()
        stack.callback(self.knot.stop)
        self.knot.start({ZONE: self.zone()})
        for host, port, server_name in self.listeners():
            self._get_second_opinion(host, port, server_name)
        self._await_quiet_logs()
        # From here on the only client is the exporter.
        self.postfix_log_start = self.postfix.log_size()
        self.exim_log_start = self.exim.log_size()

    def zone(self, without: Host | None = None) -> dict[str, list[str]]:
        smtp = [host.address for host in self.smtp if host is not without]
        return addresses({SMTP: smtp, MAIL: smtp, EXIM: [host.address for host in self.exim_hosts]})

    def listeners(self) -> list[tuple[Host, int, str]]:
        """Each address and port, with the name that the exporter asks for there."""
        smtp = [(host, port, SMTP) for host in self.smtp for port in (STARTTLS, IMPLICIT)]
        return smtp + [(host, STARTTLS, EXIM) for host in self.exim_hosts]

    def _get_second_opinion(self, host: Host, port: int, server_name: str) -> None:
        """Waits until the server is up. A scene that is not as intended must not count against the exporter."""
        opinion = wait_until(
            f"{host.address}:{port}: up, with a certificate",
            lambda: openssl.ask(host.address, port, port == IMPLICIT, server_name, self.authority.root),
        )
        if host is self.expired:
            verdict = openssl.CERT_HAS_EXPIRED
        elif server_name in host.certificate.names:
            verdict = openssl.OK
        else:
            verdict = openssl.HOSTNAME_MISMATCH
        intended = openssl.Opinion(host.certificate.fingerprint, verdict)
        if opinion != intended:
            raise SceneError(f"{host.address}:{port}: intended is {intended}, OpenSSL sees {opinion}")

    def _await_quiet_logs(self) -> None:
        """Servers write the last line of a session after its client has gone."""

        def is_quiet() -> bool:
            before = self.postfix.log_size(), self.exim.log_size()
            time.sleep(0.5)
            return before == (self.postfix.log_size(), self.exim.log_size())

        wait_until("quiet logs", is_quiet)


def claim_network() -> tuple[str, socket.socket]:
    """The first 127.0.x where nobody holds our ports: something else may run on this machine. The socket keeps
    another run, which has not opened its ports yet, from the same choice."""
    for number in range(10):
        network = f"127.0.{number}"
        lock = socket.socket(socket.AF_UNIX)
        try:
            # An abstract name, which goes with the process.
            lock.bind(f"\0smtp-tls-real-{network}")
        except OSError:
            lock.close()
            continue
        if all(is_bindable(f"{network}.{host}", port) for host in range(3, 42) for port in (STARTTLS, IMPLICIT)):
            return network, lock
        lock.close()
    raise SceneError(f"ports {STARTTLS} and {IMPLICIT} are taken on 127.0.0.0 to 127.0.9.255")
