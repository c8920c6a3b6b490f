"""HAProxy, which balances the connections to one address over several servers, round robin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .process import Daemon

CONFIG = """\
global
    maxconn 200
defaults
    mode tcp
    timeout connect 2s
    timeout client 20s
    timeout server 20s
"""

LISTEN = """\
listen {name}
    bind {name}
    balance roundrobin
"""


class Haproxy:
    def __init__(self, home: Path, logs: Path, frontends: Mapping[str, Sequence[str]]) -> None:
        """`frontends` maps an `address:port` to the `address:port` of each server behind it."""
        home.mkdir()
        config = home / "haproxy.cfg"
        text = CONFIG
        for frontend, servers in frontends.items():
            text += LISTEN.format(name=frontend)
            text += "".join(f"    server server{number} {server}\n" for number, server in enumerate(servers))
        config.write_text(text)
        self._daemon = Daemon(["haproxy", "-db", "-f", config], logs / "haproxy.log")

    def start(self) -> None:
        self._daemon.start()

    def stop(self) -> None:
        self._daemon.stop()
