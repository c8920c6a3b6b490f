"""Exim, with a certificate an address."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from .pki import Certificate
from .process import Daemon

CONFIG = """\
primary_hostname = exim.example.com
spool_directory = {home}/spool
log_file_path = {logs}/exim-%slog
pid_file_path = {home}/exim.pid
local_interfaces = {interfaces}
daemon_smtp_ports = {port}
host_lookup =
keep_environment =
tls_advertise_hosts = *
# Read anew for each connection.
tls_certificate = {home}/$received_ip_address.pem
log_selector = +smtp_connection +smtp_protocol_error +smtp_syntax_error
"""


class Exim:
    def __init__(
        self, binary: Path, home: Path, logs: Path, port: int, certificates: Mapping[str, Certificate]
    ) -> None:
        (home / "spool").mkdir(parents=True)
        for address, certificate in certificates.items():
            # It reads them as its own user; the keys live as long as the run.
            (home / f"{address}.pem").write_text(certificate.key_and_chain)
        self.mainlog = logs / "exim-mainlog"
        self.mainlog.touch()
        for path in (home / "spool", self.mainlog):
            shutil.chown(path, "Debian-exim", "Debian-exim")
        config = home / "exim.conf"
        interfaces = " : ".join(certificates)
        config.write_text(CONFIG.format(home=home, logs=logs, interfaces=interfaces, port=port))
        # When it ends it looks for itself in /usr/sbin, to remove its pid file, and complains in vain: harmless.
        self._daemon = Daemon([binary, "-C", config, "-bdf"], logs / "exim.log")

    def start(self) -> None:
        self._daemon.start()

    def stop(self) -> None:
        self._daemon.stop()

    def log_size(self) -> int:
        return self.mainlog.stat().st_size

    def log_since(self, size: int) -> list[str]:
        with self.mainlog.open("rb") as log:
            log.seek(size)
            return log.read().decode(errors="replace").splitlines()
