"""Prometheus and its query API."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .process import HttpDaemon

JOB = "smtp_tls"
PROBE_JOB = "smtp_tls_probe"

CONFIG = """\
global:
  scrape_interval: {interval}s
  scrape_timeout: {interval}s
scrape_configs:
  - job_name: {job}
    static_configs:
      - targets: ["{exporter}"]
"""


def scrape_config(exporter: str, interval: int = 2) -> str:
    """A config with one scrape job and no rules."""
    return CONFIG.format(job=JOB, exporter=exporter, interval=interval)


@dataclass(frozen=True)
class Sample:
    labels: dict[str, str]
    value: float


class Prometheus(HttpDaemon):
    def __init__(
        self, home: Path, logs: Path, port: int, config: str, binary: str | Path = "prometheus", *flags: str
    ) -> None:
        super().__init__(binary, home, logs, port, config, "storage.tsdb.path", *flags)

    def query(self, expression: str) -> list[Sample]:
        """An instant vector."""
        answer = self.api("query", query=expression)
        return [Sample(each["metric"], float(each["value"][1])) for each in answer["result"]]

    def api(self, endpoint: str, **parameters: str) -> Any:
        url = f"http://{self.address}/api/v1/{endpoint}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=5) as response:
            return json.load(response)["data"]

    def scrape_warnings(self) -> list[str]:
        """Log lines of the scrape manager above level info."""
        lines = self._daemon.log.read_text(errors="replace").splitlines()
        return [line for line in lines if 'component="scrape manager"' in line and "level=info" not in line]
