"""A name server that takes its time: passes questions on to another one, as late as it is told to."""

from __future__ import annotations

import socket
import threading
import time

# An answer that does not come by then never comes.
PATIENCE = 2.0


class Relay:
    """UDP only, as the answers that come through it are short."""

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
        # The thread goes with the process.
        self._socket.close()

    def _listen(self) -> None:
        while True:
            try:
                question, client = self._socket.recvfrom(65535)
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(question, client, self.delay), daemon=True).start()

    def _pass_on(self, question: bytes, client: tuple[str, int], delay: float) -> None:
        time.sleep(delay)
        try:
            with socket.socket(type=socket.SOCK_DGRAM) as upstream:
                upstream.settimeout(PATIENCE)
                upstream.connect(self._server)
                upstream.send(question)
                self._socket.sendto(upstream.recv(65535), client)
        except OSError:
            # Silence is an answer too.
            pass
