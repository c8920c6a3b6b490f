"""TLS handshakes with `openssl s_server`: one server per case, each on its own address, and an exporter that is scraped
directly, since nothing changes over time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import openssl
from .exporter import INTERVAL, Exporter, Sample
from .pki import Certificate, TestCa
from .process import FixtureError
from .s_server import OpensslServer
from .tcp_server import TcpServer

NAME = "smtp.example.com"

TARGET = """\
  - name: {name}
    host: {host}
    addresses: [{address}]
    port: {port}
    tls: implicit
"""
CLIENT_CERTIFICATE = """\
    client_certificate: {{cert: {file}, key: {file}}}
"""

# The lines of s_client that an error message quotes.
QUOTED = re.compile("Protocol|Cipher|Temp Key|signature|digest|Cert Status|OCSP response|alert|error")


@dataclass(frozen=True)
class Case:
    name: str
    """Also the name of the target."""
    title: str
    """The name of the check."""
    expected: dict[str, Any]
    """Some of the facts that `facts` returns."""
    server: OpensslServer | TcpServer
    s_client_prints: Sequence[str] = ()
    """Parts of the output of s_client that show that the server does what the case is about."""
    s_client_options: Sequence[str | Path] = ()
    negotiated: openssl.Negotiated | None = None
    """What s_client must negotiate with the server."""
    client_certificate: Path | None = None
    """The client certificate of the exporter's target."""


class Handshakes:
    def __init__(self, home: Path, logs: Path, exporter_binary: Path) -> None:
        self.home = home
        self.logs = logs
        home.mkdir()
        self.ca = TestCa(home / "pki")
        self._exporter_binary = exporter_binary
        self.cases: list[Case] = []
        self.deadline = 0.0

    def issue(self, **options: Any) -> Certificate:
        return self.ca.issue((NAME,), 90, **options)

    def path(self, name: str) -> Path:
        return self.home / name

    def save(self, certificate: Certificate, name: str) -> Path:
        return certificate.save(self.home / f"{name}.pem")

    def serve(
        self,
        name: str,
        title: str,
        expected: dict[str, Any],
        certificate: Certificate,
        *options: str | Path,
        **case: Any,
    ) -> None:
        """Adds a case with an s_server."""
        file = self.save(certificate, name)
        # If an option is repeated, s_server uses the last one.
        identity: list[str | Path] = ["-cert", file, "-key", file, "-cert_chain", self.ca.intermediate]
        log = self.home / f"{name}.log"
        server = OpensslServer(self._next_address(), self.home / f"{name}-sockets", log, [*identity, *options])
        self.cases.append(Case(name, title, expected, server, **case))

    def serve_without_tls(self, name: str, title: str, expected: dict[str, Any], handle: Callable[..., None]) -> None:
        """Adds a case with a server that does not speak TLS."""
        self.cases.append(Case(name, title, expected, TcpServer(self._next_address(), handle)))

    def open(self, exits: ExitStack) -> None:
        for case in self.cases:
            exits.callback(case.server.stop)
            case.server.start()
        for case in self.cases:
            self._verify_with_s_client(case)
        self.exporter = Exporter(
            self._exporter_binary,
            self.home / "handshakes-exporter",
            self.logs,
            root=self.ca.root,
            targets="targets:\n" + "".join(map(self._target, self.cases)),
        )
        exits.callback(self.exporter.stop)
        self.exporter.start()
        # One deadline for all cases: the targets are probed in the same rounds.
        self.deadline = time.monotonic() + 4 * INTERVAL

    def _next_address(self) -> str:
        # Ports are ephemeral, so a concurrent run can use the same addresses.
        return f"127.0.100.{len(self.cases) + 1}"

    def _target(self, case: Case) -> str:
        entry = TARGET.format(name=case.name, host=NAME, address=case.server.address, port=case.server.port)
        if case.client_certificate:
            entry += CLIENT_CERTIFICATE.format(file=case.client_certificate)
        return entry

    def _verify_with_s_client(self, case: Case) -> None:
        if isinstance(case.server, TcpServer):
            return
        output = openssl.s_client(case.server.address, case.server.port, NAME, case.s_client_options)
        negotiated = openssl.negotiated(output)
        if case.negotiated and negotiated != case.negotiated:
            raise FixtureError(f"{case.name}: expected {case.negotiated}, s_client negotiates {negotiated}")
        for part in case.s_client_prints:
            if part not in output:
                printed = [line for line in output.splitlines() if QUOTED.search(line)]
                raise FixtureError(f"{case.name}: s_client does not print {part!r}, but {printed}")


def facts(samples: Sequence[Sample], target: str) -> dict[str, Any]:
    """What the exporter reports of a target with one backend."""
    of_target = [sample for sample in samples if sample.labels.get("target") == target]

    def value(name: str) -> float | None:
        found = [sample.value for sample in of_target if sample.name == f"smtp_tls_{name}"]
        return found[0] if found else None

    def labels(name: str, *keys: str) -> set[tuple[str, ...]]:
        return {
            tuple(sample.labels.get(key, "") for key in keys)
            for sample in of_target
            if sample.name == f"smtp_tls_{name}" and sample.value == 1
        }

    errors = value("handshake_errors")
    return {
        "success": value("probe_success"),
        "failure": labels("probe_failure_info", "stage", "reason"),
        "handshake errors": None if errors is None else errors > 0,
        "fingerprint": labels("cert_info", "fingerprint_sha256"),
        "key": labels("cert_info", "key"),
        "signature": labels("cert_info", "signature"),
        "not after": value("cert_not_after_timestamp_seconds"),
        "name": value("cert_hostname_match"),
        "trusted": value("chain_trusted"),
        "valid": value("chain_valid"),
        "chain errors": labels("chain_error", "reason"),
        "connection": labels("connection_info", "version", "cipher", "group"),
        "stapled": value("ocsp_stapled"),
        "staple status": labels("ocsp_status", "status"),
        "staple next update": value("ocsp_next_update_timestamp_seconds"),
        "staple errors": labels("ocsp_error", "reason"),
    }


def connection(negotiated: openssl.Negotiated) -> tuple[str, str, str]:
    """The labels of `connection_info`."""
    return negotiated.version, negotiated.cipher, negotiated.group
