"""`openssl s_server` with enough SMTP for a probe to succeed once TLS does.

s_server copies its standard input into the connection. Input written before a handshake that fails is lost, so each
connection gets its own process, behind a TCP server that forwards the bytes.
"""

from __future__ import annotations

import itertools
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from .openssl import PERMISSIVE
from .tcp_server import TIMEOUT, TcpServer

GREETING = b"220 openssl.example.com ESMTP\r\n"
REPLIES = {b"EHLO": b"250 openssl.example.com\r\n", b"QUIT": b"221 openssl.example.com\r\n"}


class OpensslServer:
    def __init__(
        self,
        address: str,
        home: Path,
        log: Path,
        options: Sequence[str | Path],
        greeting: bytes = GREETING,
        replies: Mapping[bytes, bytes] = REPLIES,
    ) -> None:
        home.mkdir()
        self._greeting = greeting
        self._replies = replies
        self._home = home
        self._log = log
        self._options = [str(option) for option in options]
        self._numbers = itertools.count()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._server = TcpServer(address, self._serve)
        self.address, self.port = address, self._server.port

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()
        with self._lock:
            for process in self._running:
                process.kill()

    def _serve(self, client: socket.socket) -> None:
        path = self._home / str(next(self._numbers))
        # s_server limits the socket path to 31 characters, so it runs in the folder and gets the name only.
        command = ["openssl", "s_server", "-unix", path.name, "-naccept", "1", "-quiet", *self._options]
        with (
            self._log.open("ab") as log,
            subprocess.Popen(
                command,
                cwd=self._home,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=PERMISSIVE,
                start_new_session=True,
            ) as process,
        ):
            with self._lock:
                self._running.add(process)
            try:
                with _connect(path, process) as server:
                    threading.Thread(target=self._speak_smtp, args=(process.stdout, process.stdin), daemon=True).start()
                    backward = threading.Thread(target=_forward, args=(server, client), daemon=True)
                    backward.start()
                    _forward(client, server)
                    # Deliver what is still in flight to the client before the process is killed.
                    backward.join(TIMEOUT)
            finally:
                process.kill()
                with self._lock:
                    self._running.discard(process)
                path.unlink(missing_ok=True)

    def _speak_smtp(self, received: IO[bytes], send: IO[bytes]) -> None:
        try:
            send.write(self._greeting)
            send.flush()
            for line in received:
                if reply := self._replies.get(line[:4].upper()):
                    send.write(reply)
                    send.flush()
        except (OSError, ValueError):
            # The process has exited, as after a failed handshake, and its pipes may be closed.
            pass


def _connect(path: Path, process: subprocess.Popen[bytes]) -> socket.socket:
    deadline = time.monotonic() + TIMEOUT
    while True:
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(str(path))
        except OSError:
            server.close()
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            server.settimeout(TIMEOUT)
            return server


def _forward(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    try:
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
