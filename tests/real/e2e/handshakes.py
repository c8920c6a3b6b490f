"""TLS that no Rust server speaks: `openssl s_server` on an address of its own for every way of it, and an exporter that
is scraped directly, since here nothing changes over time."""

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
from .tcp_server import Listener
from .pki import Authority, Certificate
from .process import SceneError, free_port
from .s_server import OpensslServer

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

# Of all that s_client says.
TELLING = re.compile("Protocol|Cipher|Temp Key|signature|digest|Cert Status|OCSP response|alert|error")


@dataclass(frozen=True)
class Row:
    name: str
    """The target's."""
    title: str
    """What must be true."""
    expected: dict[str, Any]
    """By key of what `seen` returns; what is not named does not matter."""
    server: OpensslServer | Listener
    shown: Sequence[str] = ()
    """What s_client must say of the server, so that it is known to be what it is meant to be."""
    client_options: Sequence[str | Path] = ()
    """What s_client needs for it."""
    agreed: openssl.Agreed | None = None
    """What s_client must agree on with it."""
    client_certificate: Path | None = None
    """What the exporter is given."""


class Lab:
    def __init__(self, home: Path, logs: Path, exporter_binary: Path) -> None:
        self.home = home
        self.logs = logs
        home.mkdir()
        self.authority = Authority(home / "pki")
        self._exporter_binary = exporter_binary
        self.rows: list[Row] = []
        self.deadline = 0.0

    def issue(self, **options: Any) -> Certificate:
        return self.authority.issue((NAME,), 90, **options)

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
        **row: Any,
    ) -> None:
        """A row with an s_server."""
        file = self.save(certificate, name)
        # What stands twice counts as it stands last.
        identity: list[str | Path] = ["-cert", file, "-key", file, "-cert_chain", self.authority.intermediate]
        log = self.home / f"{name}.log"
        server = OpensslServer(self._next_address(), self.home / f"{name}-sockets", log, [*identity, *options])
        self.rows.append(Row(name, title, expected, server, **row))

    def behave(
        self, name: str, title: str, expected: dict[str, Any], behaviour: Callable[..., None], **row: Any
    ) -> None:
        """A row with a server that has no TLS."""
        self.rows.append(Row(name, title, expected, Listener(self._next_address(), behaviour), **row))

    def open(self, stack: ExitStack) -> None:
        for row in self.rows:
            stack.callback(row.server.stop)
            row.server.start()
        for row in self.rows:
            self._get_second_opinion(row)
        self.exporter = Exporter(
            self._exporter_binary,
            self.home / "lab-exporter",
            self.logs,
            free_port(),
            root=self.authority.root,
            targets="targets:\n" + "".join(map(self._target, self.rows)),
        )
        stack.callback(self.exporter.stop)
        self.exporter.start()
        # For all together: what is not there by then does not come.
        self.deadline = time.monotonic() + 4 * INTERVAL

    def _next_address(self) -> str:
        # Ports are the kernel's choice, so another run may have the same addresses.
        return f"127.0.100.{len(self.rows) + 1}"

    def _target(self, row: Row) -> str:
        entry = TARGET.format(name=row.name, host=NAME, address=row.server.address, port=row.server.port)
        if row.client_certificate:
            entry += CLIENT_CERTIFICATE.format(file=row.client_certificate)
        return entry

    def _get_second_opinion(self, row: Row) -> None:
        if isinstance(row.server, Listener):
            return
        output = openssl.shake_hands(row.server.address, row.server.port, NAME, row.client_options)
        if row.agreed and openssl.agreed(output) != row.agreed:
            raise SceneError(f"{row.name}: intended is {row.agreed}, s_client says {openssl.agreed(output)}")
        for part in row.shown:
            if part not in output:
                told = [line for line in output.splitlines() if TELLING.search(line)]
                raise SceneError(f"{row.name}: s_client does not say {part!r}, but {told}")


def seen(samples: Sequence[Sample], target: str) -> dict[str, Any]:
    """What the exporter says of a target with one backend."""
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


def connection(agreed: openssl.Agreed) -> tuple[str, str, str]:
    """As `connection_info` has it."""
    return agreed.version, agreed.cipher, agreed.group
