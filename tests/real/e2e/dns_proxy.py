"""A DNS proxy that delays every answer."""

from __future__ import annotations

import socket
import threading
import time

# Seconds to wait for the upstream server.
TIMEOUT = 2.0


class DnsProxy:
    """UDP only, which is enough for short answers."""

    def __init__(self, server: str) -> None:
        host, port = server.rsplit(":", 1)
        self._server = (host, int(port))
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.delay = 0.0

    def start(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()

    def stop(self) -> None:
        # The thread is a daemon and ends with the process.
        self._socket.close()

    def _listen(self) -> None:
        while True:
            try:
                query, client = self._socket.recvfrom(65535)
            except OSError:
                return
            threading.Thread(target=self._forward, args=(query, client, self.delay), daemon=True).start()

    def _forward(self, query: bytes, client: tuple[str, int], delay: float) -> None:
        time.sleep(delay)
        try:
            with socket.socket(type=socket.SOCK_DGRAM) as upstream:
                upstream.settimeout(TIMEOUT)
                upstream.connect(self._server)
                upstream.send(query)
                self._socket.sendto(upstream.recv(65535), client)
        except OSError:
            # Upstream is down: the client sees a timeout.
            pass
