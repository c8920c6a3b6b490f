"""Gives alerts to a running Alertmanager and asks which it mutes: `inhibition.py ALERTMANAGER CONFIG FOLDER`."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

PATIENCE = 60

SERVER = {"job": "smtp_tls", "server_name": "smtp.example.com", "team": "mail"}
RELAY = {**SERVER, "port": "587"}
BACKEND = {**RELAY, "backend": "192.0.2.10:587"}
OTHER_PORT = {**SERVER, "port": "465", "backend": "192.0.2.10:465"}
OTHER_NAME = {**RELAY, "server_name": "mx.example.com", "backend": "192.0.2.20:587"}


def alert(name: str, severity: str, **labels: str) -> dict[str, str]:
    return {"alertname": f"SmtpTls{name}", "severity": severity, **labels}


# What fires together, each with whether it is muted.
CASES: dict[str, list[tuple[bool, dict[str, str]]]] = {
    "a target that is down mutes its backends, not another port's nor another name's, nor what is said of the name": [
        (False, alert("TargetDown", "critical", **RELAY, target="relay")),
        (True, alert("BackendDown", "warning", **BACKEND)),
        (True, alert("HandshakeFailing", "critical", **{**BACKEND, "backend": "192.0.2.11:587"})),
        (True, alert("CertificateExpiring", "critical", **BACKEND)),
        (False, alert("BackendDown", "warning", **OTHER_PORT)),
        (False, alert("BackendDown", "warning", **OTHER_NAME)),
        (False, alert("TargetPartlyMismatched", "critical", **SERVER, target="relay")),
        (False, alert("BackendDown", "warning", **{**BACKEND, "job": "smtp_tls_2"})),
        (False, {"alertname": "Other", "severity": "warning", **BACKEND}),
    ],
    "critical mutes warning of the same alert and backend": [
        (False, alert("CertificateExpiring", "critical", **BACKEND)),
        (True, alert("CertificateExpiring", "warning", **BACKEND)),
        (False, alert("NotReloaded", "warning", **BACKEND)),
        (False, alert("CertificateExpiring", "warning", **{**BACKEND, "backend": "192.0.2.11:587"})),
    ],
    "an exporter that is down mutes the rest of its job": [
        (False, alert("ExporterDown", "critical", job="smtp_tls")),
        (True, alert("ExporterDown", "warning", job="smtp_tls", instance="a")),
        (True, alert("TargetDown", "critical", **RELAY, target="relay")),
        (True, alert("TargetPartlyMismatched", "critical", **SERVER, target="relay")),
        (True, alert("DnsFailing", "warning", job="smtp_tls", target="relay")),
        (False, alert("TargetDown", "critical", **{**RELAY, "job": "smtp_tls_2"}, target="relay")),
        (False, {"alertname": "Other", "severity": "warning", **BACKEND}),
    ],
    "one instance of several that is down mutes nothing": [
        (False, alert("ExporterDown", "warning", job="smtp_tls", instance="a")),
        (False, alert("BackendDown", "warning", **BACKEND)),
    ],
}


def main(alertmanager: str, config: str, folder: str) -> int:
    failures = 0
    for number, (name, alerts) in enumerate(CASES.items()):
        home = Path(folder, f"alertmanager-{number}")
        home.mkdir()
        for complaint in judge(Alertmanager(alertmanager, Path(config), home), alerts):
            print(f"{name}: {complaint}")
            failures += 1
    return 1 if failures else 0


class Alertmanager:
    def __init__(self, binary: str, config: Path, home: Path) -> None:
        # Nobody is told: what it would send goes to a port on which nobody listens.
        own = home / "alertmanager.yaml"
        own.write_text(re.sub(r"url: https://.*", "url: http://127.0.0.1:9/", config.read_text(encoding="utf-8")))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}/api/v2"
        self._log = home / "log"
        self._command = [
            binary,
            f"--config.file={own}",
            f"--storage.path={home / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]

    def __enter__(self) -> Alertmanager:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        self._await(lambda: self._call("status"), "ready")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)

    def fire(self, alerts: list[dict[str, str]]) -> list[dict[str, Any]]:
        """What it makes of them. Inhibition looks at alerts in the order in which they come: once it mutes the last
        one, it has seen all."""
        last = alert("Last", "warning", job="last")
        for batch in (alerts, [alert("Last", "critical", job="last"), last]):
            self._call("alerts", [{"labels": labels} for labels in batch])

        def seen() -> list[dict[str, Any]] | None:
            found = self._call("alerts")
            is_last_muted = any(each["labels"] == last and each["status"]["inhibitedBy"] for each in found)
            return found if is_last_muted else None

        return self._await(seen, "done with the alerts")

    def _await(self, what: Any, state: str) -> Any:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                if found := what():
                    return found
            except OSError:
                pass
            time.sleep(0.1)
        raise TimeoutError(f"Alertmanager is not {state}:\n{self._log.read_text(errors='replace')}")

    def _call(self, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(f"{self._url}/{path}", headers={"Content-Type": "application/json"})
        if body is not None:
            request.data = json.dumps(body).encode()
        with urllib.request.urlopen(request, timeout=5) as response:
            return json.loads(response.read() or "null")


def judge(alertmanager: Alertmanager, alerts: list[tuple[bool, dict[str, str]]]) -> list[str]:
    with alertmanager:
        found = alertmanager.fire([labels for _, labels in alerts])
    is_muted = {json.dumps(each["labels"], sort_keys=True): bool(each["status"]["inhibitedBy"]) for each in found}
    complaints = []
    for expected, labels in alerts:
        if is_muted.get(json.dumps(labels, sort_keys=True)) != expected:
            complaints.append(f"{labels} is {'not ' if expected else ''}muted")
    return complaints


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
