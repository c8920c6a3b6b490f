"""Exim, with one certificate per address."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from .pki import Certificate
from .process import Daemon, LogFile

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
# Re-read for each connection.
tls_certificate = {home}/$received_ip_address.pem
log_selector = +smtp_connection +smtp_protocol_error +smtp_syntax_error
{more}"""


class Exim:
    def __init__(
        self, binary: Path, home: Path, logs: Path, port: int, certificates: Mapping[str, Certificate], more: str = ""
    ) -> None:
        """`more` is added to the configuration."""
        (home / "spool").mkdir(parents=True)
        for address, certificate in certificates.items():
            # Exim reads them as its own user. The keys exist only during the test run.
            (home / f"{address}.pem").write_text(certificate.key_and_chain)
        self.log = LogFile(logs / "exim-mainlog")
        self.log.path.touch()
        for path in (home / "spool", self.log.path):
            shutil.chown(path, "Debian-exim", "Debian-exim")
        config = home / "exim.conf"
        interfaces = " : ".join(certificates)
        config.write_text(CONFIG.format(home=home, logs=logs, interfaces=interfaces, port=port, more=more))
        # At exit Exim looks for its own binary in /usr/sbin to remove the PID file; the error it logs is harmless.
        self._daemon = Daemon([binary, "-C", config, "-bdf"], logs / "exim.log")

    def start(self) -> None:
        self._daemon.start()

    def stop(self) -> None:
        self._daemon.stop()
