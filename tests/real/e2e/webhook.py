"""Where Alertmanager's messages arrive: a small server that keeps all of them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LONGEST_MESSAGE = 1 << 20


@dataclass(frozen=True)
class Page:
    """What a message says of one alert."""

    at: float
    """By the monotonic clock."""
    path: str
    receiver: str
    status: str
    """`firing` or `resolved`."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def identity(self) -> tuple[str, ...]:
        """Of the alert."""
        return tuple(f"{label}={value}" for label, value in sorted(self.labels.items()))

    def is_about(self, status: str, labels: Mapping[str, str]) -> bool:
        return self.status == status and labels.items() <= self.labels.items()


class Pager:
    def __init__(self) -> None:
        self._news = threading.Condition()
        self._pages: list[Page] = []
        self._complaints: list[str] = []
        pager = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                body = self.rfile.read(min(length, LONGEST_MESSAGE))
                pager._take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Nobody reads it."""

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

    def pages(self, status: str = "firing") -> list[Page]:
        with self._news:
            return [page for page in self._pages if page.status == status]

    def complaints(self) -> list[str]:
        """Messages that could not be read."""
        with self._news:
            return list(self._complaints)

    def wait(self, status: str, labels: Mapping[str, str], since: float, until: float) -> Page | None:
        """The first page that came since a moment and has these labels among its own; None once it is too late."""
        with self._news:
            while True:
                for page in self._pages:
                    if page.at >= since and page.is_about(status, labels):
                        return page
                rest = until - time.monotonic()
                if rest <= 0:
                    return None
                self._news.wait(rest)

    def _take(self, path: str, body: bytes) -> None:
        now = time.monotonic()
        with self._news:
            try:
                message = json.loads(body)
                for alert in message["alerts"]:
                    page = Page(now, path, message["receiver"], alert["status"], alert["labels"], alert["annotations"])
                    self._pages.append(page)
            except (ValueError, KeyError, TypeError) as error:
                self._complaints.append(f"{path}: {error!r}: {body[:200]!r}")
            self._news.notify_all()
