"""Child processes that are ended by pid, and waiting with a bound."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class SceneError(Exception):
    """A server of the scene did not come up, or a helper command failed."""


class Daemon:
    """A process that stays in the foreground, with what it prints in one log file."""

    def __init__(self, argv: Sequence[str | Path], log: Path) -> None:
        self.log = log
        self._argv = [str(part) for part in argv]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            # A session of its own: a Ctrl-C on the terminal must reach the harness only, which then ends its
            # children in order.
            self._process = subprocess.Popen(
                self._argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    def stop(self, patience: float = 10.0) -> int | None:
        """Ends it with SIGTERM; only one that does not listen is killed. Returns its exit code."""
        if self._process is None:
            return None
        self._process.terminate()
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def run(argv: Sequence[str | Path], env: dict[str, str] | None = None, timeout: float = 60) -> str:
    """Runs a command to its end and returns its output."""
    command = [str(part) for part in argv]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise SceneError(f"{' '.join(command)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def wait_until(what: str, probe: Callable[[], T | None], seconds: float = 20.0) -> T:
    """Polls until `probe` returns something true."""
    deadline = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise SceneError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)


def is_ready(address: str) -> bool:
    """Whether what serves HTTP there says so, as Prometheus and its kin do."""
    try:
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def is_bindable(address: str, port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: connections of an earlier run that linger in TIME_WAIT are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def free_port(address: str = "127.0.0.1") -> int:
    """A port that is free for both TCP and UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind((address, 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind((address, port))
            except OSError:
                continue
            return port
