"""Prometheus, and asking it."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .process import Daemon, is_ready, wait_until

JOB = "smtp_tls"

CONFIG = """\
global:
  scrape_interval: {interval}s
  scrape_timeout: {interval}s
scrape_configs:
  - job_name: {job}
    static_configs:
      - targets: ["{exporter}"]
"""


def scraping(exporter: str, interval: int = 2) -> str:
    """A config that does nothing else."""
    return CONFIG.format(job=JOB, exporter=exporter, interval=interval)


@dataclass(frozen=True)
class Sample:
    labels: dict[str, str]
    value: float


class Prometheus:
    def __init__(self, home: Path, logs: Path, port: int, config_text: str, binary: str | Path = "prometheus") -> None:
        home.mkdir()
        config = home / "prometheus.yml"
        config.write_text(config_text)
        self._address = f"127.0.0.1:{port}"
        self._daemon = Daemon(
            [
                binary,
                f"--config.file={config}",
                f"--storage.tsdb.path={home / 'data'}",
                f"--web.listen-address={self._address}",
            ],
            logs / f"{home.name}.log",
        )

    def start(self) -> None:
        self._daemon.start()
        wait_until("prometheus: ready", lambda: is_ready(self._address))

    def stop(self) -> None:
        self._daemon.stop()

    def query(self, expression: str) -> list[Sample]:
        """An instant vector."""
        answer = self.api("query", query=expression)
        return [Sample(each["metric"], float(each["value"][1])) for each in answer["result"]]

    def api(self, endpoint: str, **parameters: str) -> Any:
        url = f"http://{self._address}/api/v1/{endpoint}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=5) as response:
            return json.load(response)["data"]

    def complaints(self) -> list[str]:
        """What its log says against the scrapes."""
        lines = self._daemon.log.read_text(errors="replace").splitlines()
        return [line for line in lines if 'component="scrape manager"' in line and "level=info" not in line]
