"""Servers on an address of their own that do one thing with every connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

# A connection that nobody ends is ended; every probe is over by then.
PATIENCE = 15.0


class Listener:
    """Accepts on a port from the kernel, and hands each connection to a thread."""

    def __init__(self, address: str, serve: Callable[[socket.socket], None]) -> None:
        self.address = address
        self._serve = serve
        self._socket = socket.create_server((address, 0))
        self.port: int = self._socket.getsockname()[1]

    def start(self) -> None:
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        # Closing alone would leave `accept` waiting.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE)
            threading.Thread(target=self._attend, args=(connection,), daemon=True).start()

    def _attend(self, connection: socket.socket) -> None:
        with connection:
            try:
                self._serve(connection)
            except OSError:
                # The client has gone, which is its right.
                pass


def talk_in_the_clear(connection: socket.socket) -> None:
    """Speaks SMTP where the client expects TLS."""
    connection.sendall(b"220 plain.example.com ESMTP\r\n")
    _await_end(connection)


def close_at_hello(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.shutdown(socket.SHUT_RDWR)


def reset_at_hello(connection: socket.socket) -> None:
    connection.recv(65536)
    # On, and for no time: the kernel sends a reset in place of an end.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def _await_end(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65536):
        pass
