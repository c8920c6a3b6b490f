"""Alertmanager and its API."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .process import HttpDaemon

BINARY = "prometheus-alertmanager"


class Alertmanager(HttpDaemon):
    def __init__(self, home: Path, logs: Path, port: int, config: str, binary: str | Path = BINARY) -> None:
        super().__init__(binary, home, logs, port, config, "storage.path", "--cluster.listen-address=")

    def is_inhibited(self, labels: Mapping[str, str]) -> bool | None:
        """Whether another alert inhibits the one with these labels; None if there is no such alert."""
        with urllib.request.urlopen(f"http://{self.address}/api/v2/alerts", timeout=5) as response:
            alerts: list[dict[str, Any]] = json.load(response)
        for alert in alerts:
            if labels.items() <= alert["labels"].items():
                return bool(alert["status"]["inhibitedBy"])
        return None
