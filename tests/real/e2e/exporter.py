"""The exporter under test: the real binary with a YAML config."""

from __future__ import annotations

import gzip
import json
import re
import signal
import urllib.request
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

from .process import Daemon, FixtureError, free_port, is_ready, wait_until

# The part of the config that all fixtures share.
DEFAULTS = """\
defaults:
  interval: {interval}s
  timeout: {timeout}s
  connect_timeout: {connect_timeout}s
  ehlo_name: probe.example.com
  # AAAA is queried as well; the zones have no such records.
  ip_family: any
  trust: test
  resolver: {resolver}
trust_stores:
  test: {{roots: none, files: [{root}]}}
"""

INTERVAL = 5

TEXT = "text/plain;version=0.0.4"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"


@dataclass(frozen=True)
class Exposition:
    headers: Message
    body: str


@dataclass(frozen=True)
class Sample:
    name: str
    labels: dict[str, str]
    value: float


def defaults(root: Path, interval: int = INTERVAL, timeout: int | None = None, resolver: str = "system") -> str:
    """The config above the targets. By default, the timeout is as long as the interval."""
    timeout = timeout or interval
    return DEFAULTS.format(
        interval=interval, timeout=timeout, connect_timeout=min(timeout, 2), resolver=resolver, root=root
    )


class Exporter:
    """The log is named after `home`. `targets` is the config below the defaults."""

    def __init__(
        self,
        binary: Path,
        home: Path,
        logs: Path,
        *,
        root: Path,
        targets: str,
        interval: int = INTERVAL,
        timeout: int | None = None,
        resolver: str = "system",
    ) -> None:
        home.mkdir()
        self.config = config = home / "config.yaml"
        config.write_text(defaults(root, interval, timeout, resolver) + targets)
        self.address = f"127.0.0.1:{free_port()}"
        self._daemon = Daemon(
            [binary, f"--config.file={config}", f"--web.listen-address={self.address}", "--log.format=logfmt"],
            logs / f"{home.name}.log",
        )

    def start(self) -> None:
        self._daemon.start()
        wait_until("exporter: ready", self._is_ready)

    def stop(self, timeout: float = 10.0) -> int | None:
        return self._daemon.stop(timeout)

    def reload(self) -> None:
        self._daemon.send(signal.SIGHUP)

    def kill(self) -> None:
        self._daemon.send(signal.SIGKILL)
        self._daemon.stop()

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

    def target(self, name: str) -> dict[str, Any]:
        """The JSON document of a target."""
        with urllib.request.urlopen(f"http://{self.address}/api/v1/targets/{name}", timeout=5) as response:
            target: dict[str, Any] = json.load(response)
            return target

    def samples(self) -> list[Sample]:
        lines = self.scrape(TEXT).body.splitlines()
        return [_sample(line) for line in lines if line and not line.startswith("#")]

    def _is_ready(self) -> bool:
        if self.exit_code is not None:
            raise FixtureError(f"exporter: exited with {self.exit_code}: {' / '.join(self.log()[-3:])}")
        return is_ready(self.address)


def _sample(line: str) -> Sample:
    """Parses one line of the text format, with its escapes in label values: backslash, quote and line feed."""
    series = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
    if series is None:
        raise ValueError(f"not a sample: {line}")
    pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', series[2] or "")
    labels = {key: re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], value) for key, value in pairs}
    return Sample(series[1], labels, float(series[3]))
