"""TCP servers that do the same thing with every connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

# Seconds after which an idle connection is closed; longer than any probe.
TIMEOUT = 15.0


class TcpServer:
    """Listens on an ephemeral port and handles each connection in a thread."""

    def __init__(self, address: str, handle: Callable[[socket.socket], None]) -> None:
        self.address = address
        self._handle = handle
        self._socket = socket.create_server((address, 0))
        self.port: int = self._socket.getsockname()[1]

    def start(self) -> None:
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        # Closing alone does not wake `accept`.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.settimeout(TIMEOUT)
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        with connection:
            try:
                self._handle(connection)
            except OSError:
                # The client has disconnected.
                pass


def speak_plaintext(connection: socket.socket) -> None:
    """Speaks SMTP where the client expects TLS."""
    connection.sendall(b"220 plain.example.com ESMTP\r\n")
    _await_eof(connection)


def close_after_hello(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.shutdown(socket.SHUT_RDWR)


def reset_after_hello(connection: socket.socket) -> None:
    connection.recv(65536)
    # SO_LINGER with a timeout of 0: the kernel sends RST instead of FIN.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def _await_eof(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65536):
        pass
