"""Postfix, with one line of master.cf an address."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from .process import Daemon, run

MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {home}/spool
data_directory = {home}/data
maillog_file_prefixes = {logs}
maillog_file = {maillog}
myhostname = mail.example.com
mydestination =
alias_maps =
local_recipient_maps =
smtpd_peername_lookup = no
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_security_level = may
smtpd_tls_loglevel = 1
# Every greeting is waited for, also from a client that has passed before; an early talker is refused.
postscreen_access_list =
postscreen_cache_map =
postscreen_greet_action = enforce
postscreen_greet_wait = 2s
"""

SERVICES = """\
postlog unix-dgram n - n - 1 postlogd
rewrite unix - - n - - trivial-rewrite
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
tlsproxy unix - - n - 0 tlsproxy
dnsblog unix - - n - 0 dnsblog
"""


@dataclass(frozen=True)
class Listener:
    """A port of one address. `certificate` is a file with key and chain."""

    address: str
    port: int
    certificate: Path
    implicit_tls: bool = False
    postscreen: bool = False

    def log_name(self) -> str:
        return log_name(self.address, self.port)

    def master_cf(self) -> str:
        smtpd = f"smtpd -o syslog_name={self.log_name()} -o smtpd_tls_chain_files={self.certificate}"
        if self.implicit_tls:
            smtpd += " -o smtpd_tls_wrappermode=yes"
        if self.postscreen:
            # postscreen hands the connection on to the service named smtpd.
            return (
                f"{self.address}:{self.port} inet n - n - 1 postscreen -o syslog_name={self.log_name()}\n"
                f"smtpd pass - - n - - {smtpd}\n"
            )
        return f"{self.address}:{self.port} inet n - n - - {smtpd}\n"


def log_name(address: str, port: int) -> str:
    """What the log lines of one listener begin with: they name the client, but not the address it came to."""
    return f"street/{address}/{port}"


class Postfix:
    """An instance with a configuration, queue and log of its own."""

    def __init__(self, name: str, home: Path, logs: Path, listeners: list[Listener]) -> None:
        self._config = home / "config"
        self._config.mkdir(parents=True)
        for folder in ("spool", "data"):
            (home / folder).mkdir()
        shutil.chown(home / "data", "postfix")
        self.maillog = logs / f"{name}.maillog"
        (self._config / "main.cf").write_text(MAIN_CF.format(home=home, logs=logs, maillog=self.maillog))
        (self._config / "master.cf").write_text(SERVICES + "".join(each.master_cf() for each in listeners))
        # The master itself, not `postfix start`: it stays our child, so that it can be ended by its pid.
        master = Path(run(["postconf", "-c", self._config, "-h", "daemon_directory"]).strip()) / "master"
        self._daemon = Daemon([master, "-c", self._config, "-s"], logs / f"{name}.log")

    def start(self) -> None:
        # Makes the folders of the queue.
        run(["postfix", "-c", self._config, "check"])
        self._daemon.start()

    def stop(self) -> None:
        self._daemon.stop()

    def reload(self) -> None:
        run(["postfix", "-c", self._config, "reload"])

    def log_size(self) -> int:
        return self.maillog.stat().st_size

    def log_since(self, size: int) -> list[str]:
        """Log lines written since the log had that size."""
        with self.maillog.open("rb") as log:
            log.seek(size)
            return log.read().decode(errors="replace").splitlines()


def sessions(lines: list[str], address: str, port: int) -> list[str]:
    """How each session at a listener ended: what smtpd counts, as `ehlo=2 starttls=1 quit=1 commands=4`."""
    ended = re.compile(rf" {re.escape(log_name(address, port))}/smtpd\[\d+\]: disconnect from \S+ (.*)")
    return [match[1] for line in lines if (match := ended.search(line))]
