"""Postfix, with one line of master.cf per address."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .process import Daemon, LogFile, run, wait_until

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
# The greeting wait applies to every connection, also of clients that passed before; early talkers are refused.
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
    """One port of one address. `certificate` is a file with key and chain."""

    address: str
    port: int
    certificate: Path
    implicit_tls: bool = False
    postscreen: bool = False
    settings: tuple[str, ...] = ()
    """Further settings of the service, as `name = value`."""

    def log_name(self) -> str:
        return log_name(self.address, self.port)

    def master_cf(self) -> str:
        smtpd = f"smtpd -o syslog_name={self.log_name()} -o smtpd_tls_chain_files={self.certificate}"
        if self.implicit_tls:
            smtpd += " -o smtpd_tls_wrappermode=yes"
        smtpd += "".join(f" -o {{{setting}}}" for setting in self.settings)
        if self.postscreen:
            # postscreen passes the connection to the service named smtpd.
            return (
                f"{self.address}:{self.port} inet n - n - 1 postscreen -o syslog_name={self.log_name()}\n"
                f"smtpd pass - - n - - {smtpd}\n"
            )
        return f"{self.address}:{self.port} inet n - n - - {smtpd}\n"


def log_name(address: str, port: int) -> str:
    """The syslog name of one listener: Postfix logs the client's address, but not the local address."""
    return f"e2e/{address}/{port}"


class Postfix:
    """An instance with its own configuration, queue and log."""

    def __init__(self, name: str, home: Path, logs: Path, listeners: list[Listener]) -> None:
        self._config = home / "config"
        self._config.mkdir(parents=True)
        for folder in ("spool", "data"):
            (home / folder).mkdir()
        shutil.chown(home / "data", "postfix")
        self.log = LogFile(logs / f"{name}.maillog")
        (self._config / "main.cf").write_text(MAIN_CF.format(home=home, logs=logs, maillog=self.log.path))
        (self._config / "master.cf").write_text(SERVICES + "".join(each.master_cf() for each in listeners))
        # The master itself, not `postfix start`: it stays a child of this process and can be stopped by its PID.
        master = Path(run(["postconf", "-c", self._config, "-h", "daemon_directory"]).strip()) / "master"
        self._daemon = Daemon([master, "-c", self._config, "-s"], logs / f"{name}.log")

    def start(self) -> None:
        # Creates the queue directories.
        run(["postfix", "-c", self._config, "check"])
        self._daemon.start()

    def stop(self) -> None:
        self._daemon.stop()

    def reload(self) -> None:
        run(["postfix", "-c", self._config, "reload"])


CLIENT_MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {home}/spool
data_directory = {home}/data
maillog_file_prefixes = {logs}
maillog_file = {maillog}
myhostname = client.example.com
mydestination =
alias_maps =
inet_interfaces = loopback-only
smtp_tls_security_level = secure
smtp_tls_loglevel = 1
transport_maps = inline:{{ {transports} }}
"""

CLIENT_SERVICES = """\
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 1 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
tlsmgr unix - - n 1000? 1 tlsmgr
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
scache unix - - n - 1 scache
smtp unix - - n - - smtp
"""


class PostfixClient:
    """An instance that delivers mail by SMTP and requires TLS. `routes` are the addresses and ports of domains."""

    def __init__(self, home: Path, logs: Path, routes: Mapping[str, tuple[str, int]]) -> None:
        self._config = home / "config"
        self._config.mkdir(parents=True)
        for folder in ("spool", "data"):
            (home / folder).mkdir()
        shutil.chown(home / "data", "postfix")
        self._log = LogFile(logs / f"{home.name}.maillog")
        transports = ", ".join(f"{{ {name} = smtp:[{address}]:{port} }}" for name, (address, port) in routes.items())
        main = CLIENT_MAIN_CF.format(home=home, logs=logs, maillog=self._log.path, transports=transports)
        (self._config / "main.cf").write_text(main)
        (self._config / "master.cf").write_text(CLIENT_SERVICES)
        master = Path(run(["postconf", "-c", self._config, "-h", "daemon_directory"]).strip()) / "master"
        self._daemon = Daemon([master, "-c", self._config, "-s"], logs / f"{home.name}.log")

    def start(self) -> None:
        run(["postfix", "-c", self._config, "check"])
        self._daemon.start()

    def stop(self) -> None:
        self._daemon.stop()

    def deliver(self, domain: str) -> str:
        """Submits a message to `domain` and returns what is logged about its delivery."""
        recipient = f"postmaster@{domain}"
        run(["sendmail", "-C", self._config, "-f", "sender@client.example.com", recipient], text="Subject: test\n\ntest\n")

        def delivery() -> str | None:
            lines = self._log.lines_since(0) if self._log.path.exists() else []
            ended = [line for line in lines if f"to=<{recipient}>" in line and "status=" in line]
            return "\n".join(ended)

        return wait_until(f"Postfix: a delivery to {domain}", delivery)


def sessions(lines: list[str], address: str, port: int) -> list[str]:
    """The command counts that smtpd logs at the end of each session, such as `ehlo=2 starttls=1 quit=1 commands=4`."""
    ended = re.compile(rf" {re.escape(log_name(address, port))}/smtpd\[\d+\]: disconnect from \S+ (.*)")
    return [match[1] for line in lines if (match := ended.search(line))]
