"""A webhook receiver that records the notifications of Alertmanager."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MAX_MESSAGE = 1 << 20


@dataclass(frozen=True)
class Notification:
    """One alert of a webhook message. `status` is `firing` or `resolved`; `at` is a monotonic time."""

    at: float
    path: str
    receiver: str
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    def matches(self, status: str, labels: Mapping[str, str]) -> bool:
        return self.status == status and labels.items() <= self.labels.items()


class Webhook:
    def __init__(self) -> None:
        self._received = threading.Condition()
        self._notifications: list[Notification] = []
        self._errors: list[str] = []
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                body = self.rfile.read(min(length, MAX_MESSAGE))
                webhook._record(self.path, body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """No access log."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def notifications(self, status: str | None = "firing") -> list[Notification]:
        """All notifications of this status, or of any, in the order in which they arrived."""
        with self._received:
            return [each for each in self._notifications if status in (None, each.status)]

    def errors(self) -> list[str]:
        """Messages that could not be parsed."""
        with self._received:
            return list(self._errors)

    def wait(self, status: str, labels: Mapping[str, str], since: float, until: float) -> Notification | None:
        """The first notification since a time that has these labels; None at the deadline."""
        with self._received:
            while True:
                for each in self._notifications:
                    if each.at >= since and each.matches(status, labels):
                        return each
                remaining = until - time.monotonic()
                if remaining <= 0:
                    return None
                self._received.wait(remaining)

    def _record(self, path: str, body: bytes) -> None:
        now = time.monotonic()
        with self._received:
            try:
                message = json.loads(body)
                receiver = message["receiver"]
                self._notifications += [
                    Notification(now, path, receiver, alert["status"], alert["labels"], alert["annotations"])
                    for alert in message["alerts"]
                ]
            except (ValueError, KeyError, TypeError) as error:
                self._errors.append(f"{path}: {error!r}: {body[:200]!r}")
            self._received.notify_all()
