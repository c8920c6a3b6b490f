"""Posts alerts to a running Alertmanager and checks which ones it inhibits: `inhibition.py ALERTMANAGER CONFIG DIR`."""

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

TIMEOUT = 60

SERVER = {"job": "smtp_tls", "server_name": "smtp.example.com", "team": "mail"}
RELAY = {**SERVER, "port": "587", "tls": "starttls"}
BACKEND = {**RELAY, "backend": "192.0.2.10:587"}
OTHER_PORT = {**SERVER, "port": "465", "tls": "implicit", "backend": "192.0.2.10:465"}
OTHER_MODE = {**BACKEND, "tls": "implicit"}
OTHER_NAME = {**RELAY, "server_name": "mx.example.com", "backend": "192.0.2.20:587"}


def alert(name: str, severity: str, **labels: str) -> dict[str, str]:
    return {"alertname": f"SmtpTls{name}", "severity": severity, **labels}


# Alerts that fire at the same time, each with whether it is expected to be inhibited.
CASES: dict[str, list[tuple[bool, dict[str, str]]]] = {
    "SmtpTlsTargetDown inhibits alerts on probes of backends of the same port, TLS mode and name only": [
        (False, alert("TargetDown", "critical", **RELAY, target="relay")),
        (True, alert("BackendDown", "warning", **BACKEND)),
        (True, alert("BackendFlapping", "warning", **BACKEND)),
        (True, alert("StarttlsMissing", "critical", **BACKEND)),
        (True, alert("HandshakeFailing", "critical", **{**BACKEND, "backend": "192.0.2.11:587"})),
        # Certificates are still seen if the servers refuse the exporter inside TLS.
        (False, alert("CertificateExpiring", "critical", **BACKEND)),
        (False, alert("CertificateRevoked", "critical", **BACKEND)),
        (False, alert("ChainInvalid", "critical", **BACKEND)),
        (False, alert("NotReloaded", "warning", **BACKEND)),
        (False, alert("BackendDown", "warning", **OTHER_PORT)),
        (False, alert("BackendDown", "warning", **OTHER_MODE)),
        (False, alert("BackendDown", "warning", **OTHER_NAME)),
        (False, alert("HostnameMismatchPartial", "critical", **SERVER, target="relay")),
        (False, alert("BackendDown", "warning", **{**BACKEND, "job": "smtp_tls_2"})),
        (False, {"alertname": "Other", "severity": "warning", **BACKEND}),
    ],
    "critical inhibits warning of the same alert and backend": [
        (False, alert("CertificateExpiring", "critical", **BACKEND)),
        (True, alert("CertificateExpiring", "warning", **BACKEND)),
        (False, alert("NotReloaded", "warning", **BACKEND)),
        (False, alert("CertificateExpiring", "warning", **{**BACKEND, "backend": "192.0.2.11:587"})),
        (False, alert("CertificateExpiring", "warning", **OTHER_MODE)),
    ],
    # One of two Prometheus servers cannot reach the exporters; the alerts of the other one are still sent.
    "critical SmtpTlsExporterDown inhibits only the warnings about instances of the job": [
        (False, alert("ExporterDown", "critical", job="smtp_tls")),
        (True, alert("ExporterDown", "warning", job="smtp_tls", instance="a")),
        (False, alert("TargetDown", "critical", **RELAY, target="relay")),
        (False, alert("HostnameMismatchPartial", "critical", **SERVER, target="relay")),
        (False, alert("CertificateExpiring", "warning", **BACKEND)),
        (False, alert("DnsFailing", "warning", job="smtp_tls", target="relay")),
        (False, alert("ExporterDown", "warning", job="smtp_tls_2", instance="a")),
        (False, {"alertname": "Other", "severity": "warning", **BACKEND}),
    ],
    **{
        f"nothing inhibits alerts of another {label} with the same job and target": [
            (False, alert("TargetDown", "critical", **RELAY, **{label: "a"}, target="relay")),
            (True, alert("BackendDown", "warning", **BACKEND, **{label: "a"})),
            (False, alert("BackendDown", "warning", **BACKEND, **{label: "b"})),
            (False, alert("BackendDown", "warning", **BACKEND)),
            (False, alert("CertificateExpiring", "critical", **BACKEND, **{label: "a"})),
            (True, alert("CertificateExpiring", "warning", **BACKEND, **{label: "a"})),
            (False, alert("CertificateExpiring", "warning", **BACKEND, **{label: "b"})),
            (False, alert("CertificateExpiring", "warning", **BACKEND)),
            (False, alert("ExporterDown", "critical", job="smtp_tls", **{label: "a"})),
            (True, alert("ExporterDown", "warning", job="smtp_tls", instance="1", **{label: "a"})),
            (False, alert("ExporterDown", "warning", job="smtp_tls", instance="1", **{label: "b"})),
            (False, alert("TargetDown", "critical", **OTHER_NAME, **{label: "b"}, target="relay")),
        ]
        for label in ("cluster", "namespace")
    },
    "nothing inhibits alerts of another team, or without a team": [
        (False, alert("TargetDown", "critical", **RELAY, target="relay")),
        (True, alert("BackendDown", "warning", **BACKEND)),
        *((False, alert(name, "critical", **{**BACKEND, "team": "web"})) for name in ("StarttlsMissing", "HandshakeFailing")),
        (False, alert("BackendDown", "warning", **{**BACKEND, "team": "web"})),
        (False, alert("BackendDown", "warning", **{label: text for label, text in BACKEND.items() if label != "team"})),
        (False, alert("CertificateExpiring", "critical", **BACKEND)),
        (True, alert("CertificateExpiring", "warning", **BACKEND)),
        (False, alert("CertificateExpiring", "warning", **{**BACKEND, "team": "web"})),
    ],
    "SmtpTlsExporterDown inhibits warnings about instances with a team": [
        (False, alert("ExporterDown", "critical", job="smtp_tls")),
        (True, alert("ExporterDown", "warning", job="smtp_tls", instance="a", team="mail")),
    ],
    "critical SmtpTlsAddressesSkipped inhibits the warning about the same target only": [
        (False, alert("AddressesSkipped", "critical", job="smtp_tls", team="mail", target="mx:a.example")),
        (True, alert("AddressesSkipped", "warning", job="smtp_tls", team="mail", target="mx:a.example")),
        (False, alert("AddressesSkipped", "warning", job="smtp_tls", team="mail", target="mx:b.example")),
        (False, alert("AddressesSkipped", "warning", job="smtp_tls", team="web", target="mx:a.example")),
        (False, alert("TargetUnresolved", "critical", job="smtp_tls", team="mail", target="mx:a.example")),
    ],
    "SmtpTlsExporterDown of a single instance inhibits nothing": [
        (False, alert("ExporterDown", "warning", job="smtp_tls", instance="a")),
        (False, alert("BackendDown", "warning", **BACKEND)),
    ],
}


def main(alertmanager: str, config: str, directory: str) -> int:
    failures = 0
    for number, (name, alerts) in enumerate(CASES.items()):
        home = Path(directory, f"alertmanager-{number}")
        home.mkdir()
        for problem in check(Alertmanager(alertmanager, Path(config), home), alerts):
            print(f"{name}: {problem}")
            failures += 1
    return 1 if failures else 0


class Alertmanager:
    def __init__(self, binary: str, config: Path, home: Path) -> None:
        # Notifications go to a closed port.
        own_config = home / "alertmanager.yaml"
        text = config.read_text(encoding="utf-8")
        own_config.write_text(re.sub(r"url: https://.*", "url: http://127.0.0.1:9/", text))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}/api/v2"
        self._log = home / "log"
        self._command = [
            binary,
            f"--config.file={own_config}",
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
        self._process.wait(TIMEOUT)

    def fire(self, alerts: list[dict[str, str]]) -> list[dict[str, Any]]:
        """Posts the alerts and returns them with their status. Alertmanager handles alerts in the order of arrival, so
        all of them have been handled once the last one is inhibited."""
        last = alert("Last", "warning", job="last")
        for batch in (alerts, [alert("Last", "critical", job="last"), last]):
            self._call("alerts", [{"labels": labels} for labels in batch])

        def handled() -> list[dict[str, Any]] | None:
            found = self._call("alerts")
            is_last_inhibited = any(each["labels"] == last and each["status"]["inhibitedBy"] for each in found)
            return found if is_last_inhibited else None

        return self._await(handled, "done with the alerts")

    def _await(self, condition: Any, state: str) -> Any:
        until = time.monotonic() + TIMEOUT
        while time.monotonic() < until:
            try:
                if found := condition():
                    return found
            except OSError:
                pass
            time.sleep(0.1)
        log = self._log.read_text(errors="replace")
        raise TimeoutError(f"Alertmanager is not {state} after {TIMEOUT} seconds:\n{log}")

    def _call(self, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(f"{self._url}/{path}", headers={"Content-Type": "application/json"})
        if body is not None:
            request.data = json.dumps(body).encode()
        with urllib.request.urlopen(request, timeout=5) as response:
            return json.loads(response.read() or "null")


def check(alertmanager: Alertmanager, alerts: list[tuple[bool, dict[str, str]]]) -> list[str]:
    with alertmanager:
        found = alertmanager.fire([labels for _, labels in alerts])
    is_inhibited = {json.dumps(each["labels"], sort_keys=True): bool(each["status"]["inhibitedBy"]) for each in found}
    problems = []
    for expected, labels in alerts:
        if is_inhibited.get(json.dumps(labels, sort_keys=True)) != expected:
            problems.append(f"{labels}: expected to be {'inhibited' if expected else 'active'}")
    return problems


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
