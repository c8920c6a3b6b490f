"""Alertmanager, and asking it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .process import Daemon, is_ready, wait_until


class Alertmanager:
    def __init__(
        self, home: Path, logs: Path, port: int, config_text: str, binary: str | Path = "prometheus-alertmanager"
    ) -> None:
        home.mkdir()
        config = home / "alertmanager.yml"
        config.write_text(config_text)
        self.address = f"127.0.0.1:{port}"
        self._daemon = Daemon(
            [
                binary,
                f"--config.file={config}",
                f"--storage.path={home / 'data'}",
                f"--web.listen-address={self.address}",
                "--cluster.listen-address=",
            ],
            logs / f"{home.name}.log",
        )

    def start(self) -> None:
        self._daemon.start()
        wait_until("alertmanager: ready", lambda: is_ready(self.address))

    def stop(self) -> None:
        self._daemon.stop()

    def muted(self, labels: Mapping[str, str]) -> bool | None:
        """Whether another alert mutes the one that has these labels; None while there is none."""
        with urllib.request.urlopen(f"http://{self.address}/api/v2/alerts", timeout=5) as response:
            alerts: list[dict[str, Any]] = json.load(response)
        for alert in alerts:
            if labels.items() <= alert["labels"].items():
                return bool(alert["status"]["inhibitedBy"])
        return None
