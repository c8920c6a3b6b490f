"""The exporter under test: the real binary, with a config as a user would write it."""

from __future__ import annotations

import gzip
import urllib.request
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from .process import Daemon, SceneError, wait_until

CONFIG = """\
defaults:
  interval: {interval}s
  timeout: {interval}s
  connect_timeout: 2s
  ehlo_name: probe.example.com
  # AAAA is asked for as well, and answered with nothing.
  ip_family: any
  resolver: lab
  trust: lab
resolvers:
  lab: {{nameservers: ["{nameserver}"]}}
trust_stores:
  lab: {{roots: none, files: [{root}]}}
targets:
  - host: smtp.example.com
    port: {starttls_port}
    labels: {{team: mail}}
  - host: smtp.example.com
    port: {implicit_port}
    tls: implicit
  - host: exim.example.com
    port: {starttls_port}
"""

INTERVAL = 5

TEXT = "text/plain;version=0.0.4"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"


@dataclass(frozen=True)
class Exposition:
    headers: Message
    body: str


class Exporter:
    def __init__(
        self,
        binary: Path,
        home: Path,
        logs: Path,
        port: int,
        *,
        nameserver: str,
        root: Path,
        starttls_port: int,
        implicit_port: int,
    ) -> None:
        home.mkdir()
        config = home / "config.yaml"
        config.write_text(
            CONFIG.format(
                interval=INTERVAL,
                nameserver=nameserver,
                root=root,
                starttls_port=starttls_port,
                implicit_port=implicit_port,
            )
        )
        self.address = f"127.0.0.1:{port}"
        self._daemon = Daemon(
            [binary, f"--config.file={config}", f"--web.listen-address={self.address}", "--log.format=logfmt"],
            logs / "exporter.log",
        )

    def start(self) -> None:
        self._daemon.start()
        wait_until("exporter: ready", self._is_ready)

    def stop(self, patience: float = 10.0) -> int | None:
        return self._daemon.stop(patience)

    @property
    def exit_code(self) -> int | None:
        return self._daemon.exit_code

    def log(self) -> list[str]:
        return self._daemon.log.read_text(errors="replace").splitlines()

    def scrape(self, accept: str, accept_encoding: str = "identity") -> Exposition:
        request = urllib.request.Request(
            f"http://{self.address}/metrics", headers={"Accept": accept, "Accept-Encoding": accept_encoding}
        )
        with urllib.request.urlopen(request, timeout=5) as response:
            body: bytes = response.read()
            if response.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            return Exposition(response.headers, body.decode())

    def _is_ready(self) -> bool:
        if self.exit_code is not None:
            raise SceneError(f"exporter: ended with {self.exit_code}: {' / '.join(self.log()[-3:])}")
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False
