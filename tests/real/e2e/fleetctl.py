"""SMTP servers and a name server of the test fleet, controlled through the `fleetctl` binary: one JSON command per line
of its input, one JSON answer per line of its output."""

from __future__ import annotations

import json
import os
import select
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .process import FixtureError

TIMEOUT = 60
# The first line, if cargo has to build the binary first.
BUILD_TIMEOUT = 900


class Fleet:
    """Servers are numbered from 1; all listen on the same port, each on its own address."""

    def __init__(self, servers: int, home: Path, log: Path) -> None:
        home.mkdir()
        self._log = log
        self._argv = [*_command(), str(servers), str(home)]
        self._process: subprocess.Popen[str] | None = None
        self.addresses: list[str] = []
        self.nameserver = ""
        self.root = Path()

    def start(self) -> None:
        with self._log.open("ab") as log:
            # A new session, as for all daemons: Ctrl-C is for the test runner only.
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        described = self._read_line(BUILD_TIMEOUT)
        self.addresses = described["servers"]
        self.nameserver = described["nameserver"]
        self.root = Path(described["root"])

    def stop(self) -> None:
        """fleetctl exits at the end of its input."""
        if self._process is None or self._process.stdin is None:
            return
        try:
            self._process.stdin.close()
        except OSError:
            pass
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def address(self, number: int) -> str:
        """`address:port`, as in the label `backend`."""
        return self.addresses[number - 1]

    @property
    def port(self) -> str:
        return self.address(1).rpartition(":")[2]

    def resolve(self, name: str, to: Sequence[int]) -> None:
        """Sets the addresses of a name."""
        self._send(resolve={"name": name, "to": to})

    def forget(self, name: str) -> None:
        """Removes a name: NXDOMAIN from then on."""
        self._send(forget=name)

    def present(self, servers: Sequence[int], *names: str, **options: Any) -> None:
        """Gives servers one certificate. Options: `from_` and `until` (seconds from now), `issuer`, `staple`."""
        options = {key.rstrip("_"): value for key, value in options.items()}
        self._send(present={"servers": servers, "names": names, **options})

    def play(self, servers: Sequence[int], kind: str) -> None:
        """Makes servers behave as one of the fleet's profiles."""
        self._send(play={"servers": servers, "kind": kind})

    def stop_servers(self, servers: Sequence[int]) -> None:
        self._send(stop=servers)

    def start_servers(self, servers: Sequence[int]) -> None:
        self._send(start=servers)

    def _send(self, **command: object) -> None:
        if self._process is None or self._process.stdin is None:
            raise FixtureError("fleetctl: not started")
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise FixtureError(f"fleetctl: {error}; {self._log_tail()}") from error
        answer = self._read_line(TIMEOUT)
        if answer != {"ok": True}:
            raise FixtureError(f"fleetctl: {command}: {answer}")

    def _read_line(self, timeout: float) -> Any:
        output = self._process.stdout if self._process else None
        if output is None:
            raise FixtureError("fleetctl: not started")
        # One line answers one command, so no second line can be waiting in the buffer.
        if not select.select([output], [], [], timeout)[0]:
            raise FixtureError(f"fleetctl: no answer within {timeout} s")
        line = output.readline()
        if not line:
            raise FixtureError(f"fleetctl: exited; {self._log_tail()}")
        return json.loads(line)

    def _log_tail(self) -> str:
        return " / ".join(self._log.read_text(errors="replace").splitlines()[-3:])


def _command() -> list[str]:
    if binary := os.environ.get("FLEETCTL_BIN"):
        return [str(Path(binary).resolve())]
    manifest = Path(__file__).resolve().parents[3] / "Cargo.toml"
    command = ["cargo", "run", "-q", "--locked", "--manifest-path", str(manifest)]
    return [*command, "-p", "smtp-fleet", "--bin", "fleetctl", "--"]
