"""Unbound, as a validating resolver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .process import Daemon, FixtureError, run, wait_until

# Caching is disabled, so that an edit of a zone shows in the next answer. `local-zone: "." refuse` keeps all queries on
# this host.
CONFIG = """\
server:
    do-daemonize: no
    use-syslog: no
    logfile: ""
    username: ""
    chroot: ""
    pidfile: ""
    directory: "{home}"
    interface: 127.0.0.1@{port}
    do-ip6: no
    num-threads: 1
    max-udp-size: 1232
    module-config: "validator iterator"
    do-not-query-localhost: no
    qname-minimisation: no
    target-fetch-policy: "0 0 0 0 0"
    cache-max-ttl: 0
    cache-max-negative-ttl: 0
    infra-host-ttl: 1
    val-log-level: 1
    ede: yes
    local-zone: "." refuse
{anchors}
{zones}
remote-control:
    control-enable: no
{stubs}
"""

STUB = """\
stub-zone:
    name: "{zone}"
    stub-addr: {server}
"""


class Unbound:
    """Queries the name server of each zone; `anchors` are the DS records of the zones that must be signed."""

    def __init__(self, home: Path, logs: Path, port: int) -> None:
        home.mkdir()
        self.address = f"127.0.0.1:{port}"
        self._port = port
        self._home = home
        self._config = home / "unbound.conf"
        self._daemon = Daemon(["unbound", "-d", "-c", self._config], logs / "unbound.log")

    def start(self, zones: Mapping[str, str], anchors: Sequence[str]) -> None:
        """`zones` maps a zone to the `address:port` of its name server."""
        self._config.write_text(
            CONFIG.format(
                home=self._home,
                port=self._port,
                anchors="\n".join(f'    trust-anchor: "{anchor}"' for anchor in anchors),
                zones="\n".join(f'    local-zone: "{zone}." transparent' for zone in zones),
                stubs="".join(
                    STUB.format(zone=zone, server=server.replace(":", "@")) for zone, server in zones.items()
                ),
            )
        )
        self._daemon.start()
        for zone in zones:
            wait_until(f"unbound: SOA of {zone}", lambda: self.query(zone, "SOA") is not None)

    def stop(self) -> None:
        self._daemon.stop()

    def query(self, name: str, kind: str, *options: str) -> str | None:
        """The output of kdig; None if there was no answer, or not NOERROR."""
        try:
            output = run(["kdig", "@127.0.0.1", "-p", str(self._port), "+time=1", "+retry=0", *options, name, kind])
        except FixtureError:
            return None
        return output if "status: NOERROR" in output else None
