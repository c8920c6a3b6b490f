"""The exporter under test: the real binary with a YAML config."""

from __future__ import annotations

import gzip
import json
import re
import signal
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

from .process import Daemon, FixtureError, free_port, wait_until
from .web_access import WebAccess

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
    """The log is named after `home`. `targets` is the config below the defaults. `access` is needed if the flags have a
    web configuration."""

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
        flags: Sequence[str] = (),
        access: WebAccess | None = None,
    ) -> None:
        home.mkdir()
        self.config = config = home / "config.yaml"
        config.write_text(defaults(root, interval, timeout, resolver) + targets)
        self.address = f"127.0.0.1:{free_port()}"
        self._access = access
        argv: list[str | Path] = [
            binary,
            f"--config.file={config}",
            f"--web.listen-address={self.address}",
            "--log.format=logfmt",
        ]
        self._daemon = Daemon([*argv, *flags], logs / f"{home.name}.log")

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
        headers = {"Accept": accept, "Accept-Encoding": accept_encoding}
        with self._open("/metrics", headers) as response:
            body: bytes = response.read()
            if response.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            return Exposition(response.headers, body.decode())

    def target(self, name: str) -> dict[str, Any]:
        """The JSON document of a target."""
        with self._open(f"/api/v1/targets/{name}") as response:
            target: dict[str, Any] = json.load(response)
            return target

    def samples(self) -> list[Sample]:
        lines = self.scrape(TEXT).body.splitlines()
        return [_sample(line) for line in lines if line and not line.startswith("#")]

    def _is_ready(self) -> bool:
        if self.exit_code is not None:
            raise FixtureError(f"exporter: exited with {self.exit_code}: {' / '.join(self.log()[-3:])}")
        try:
            with self._open("/-/ready") as response:
                return response.status == 200
        except OSError:
            return False

    def _open(self, path: str, headers: Mapping[str, str] | None = None) -> HTTPResponse:
        scheme = "https" if self._access else "http"
        request = urllib.request.Request(f"{scheme}://{self.address}{path}", headers=dict(headers or {}))
        if self._access:
            return self._access.open(request)
        response: HTTPResponse = urllib.request.urlopen(request, timeout=5)
        return response


def _sample(line: str) -> Sample:
    """Parses one line of the text format, with its escapes in label values: backslash, quote and line feed."""
    series = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
    if series is None:
        raise ValueError(f"not a sample: {line}")
    pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', series[2] or "")
    labels = {key: re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], value) for key, value in pairs}
    return Sample(series[1], labels, float(series[3]))
