"""Child processes that are stopped by PID, their log files, and bounded waiting."""

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


class FixtureError(Exception):
    """A server of a fixture did not start, or a helper command failed. Not a failure of the exporter."""


class Daemon:
    """A process that stays in the foreground and writes its output to one log file."""

    def __init__(self, argv: Sequence[str | Path], log: Path) -> None:
        self.log = log
        self._argv = [str(part) for part in argv]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            # A new session: Ctrl-C on the terminal must reach the test runner only, which then stops its children in
            # order.
            self._process = subprocess.Popen(
                self._argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    @property
    def pid(self) -> int:
        """Of the running process."""
        if self._process is None:
            raise FixtureError(f"{self.log.stem}: not started")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    def stop(self, timeout: float = 10.0) -> int | None:
        """Sends SIGTERM, then SIGKILL after the timeout. Returns the exit code."""
        if self._process is None:
            return None
        self._process.terminate()
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class HttpDaemon:
    """A daemon of the Prometheus family: one YAML file, one data folder, and readiness at `/-/ready`."""

    def __init__(
        self, binary: str | Path, home: Path, logs: Path, port: int, config: str, storage: str, *flags: str
    ) -> None:
        """`storage` is the name of the flag for the data folder."""
        home.mkdir()
        file = home / "config.yml"
        file.write_text(config)
        self.address = f"127.0.0.1:{port}"
        argv = [binary, f"--config.file={file}", f"--{storage}={home / 'data'}"]
        self._daemon = Daemon([*argv, f"--web.listen-address={self.address}", *flags], logs / f"{home.name}.log")

    def start(self) -> None:
        self._daemon.start()
        wait_until(f"{self._daemon.log.stem}: ready", lambda: is_ready(self.address))

    def stop(self) -> None:
        self._daemon.stop()


class LogFile:
    """A log file that a server writes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def size(self) -> int:
        return self.path.stat().st_size

    def lines_since(self, size: int) -> list[str]:
        """The lines written since the file had this size."""
        with self.path.open("rb") as log:
            log.seek(size)
            return log.read().decode(errors="replace").splitlines()


def run(argv: Sequence[str | Path], env: dict[str, str] | None = None, timeout: float = 60, text: str = "") -> str:
    """Runs a command with `text` as its input to its end and returns its output."""
    command = [str(part) for part in argv]
    done = subprocess.run(command, env=env, input=text, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise FixtureError(f"{' '.join(command)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def wait_until(what: str, probe: Callable[[], T | None], seconds: float = 20.0) -> T:
    """Polls until `probe` returns something true."""
    deadline = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise FixtureError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)


def is_ready(address: str) -> bool:
    """Whether `/-/ready` answers 200, as the exporter, Prometheus and Alertmanager do."""
    try:
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def is_bindable(address: str, port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: connections of an earlier run in TIME_WAIT do not matter.
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
