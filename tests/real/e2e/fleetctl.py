"""The fleet's servers and name server, directed line by line (tests/fleet/src/bin/stage.rs)."""

from __future__ import annotations

import json
import os
import select
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .process import SceneError

PATIENCE = 60
# Where it has to be built first.
BUILD_PATIENCE = 900


class Stage:
    """Servers are numbered from 1 on; all listen on one port."""

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
            # A session of its own, as all daemons of the scenes: a Ctrl-C is for the harness only.
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        described = self._read_line(BUILD_PATIENCE)
        self.addresses = described["servers"]
        self.nameserver = described["nameserver"]
        self.root = Path(described["root"])

    def stop(self) -> None:
        """It ends with its input."""
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
        """With its port, as `backend` has it."""
        return self.addresses[number - 1]

    @property
    def port(self) -> str:
        return self.address(1).rpartition(":")[2]

    def resolve(self, name: str, to: Sequence[int]) -> None:
        self._tell(resolve={"name": name, "to": to})

    def forget(self, name: str) -> None:
        self._tell(forget=name)

    def present(self, servers: Sequence[int], *names: str, **options: Any) -> None:
        """One certificate for all of them; `options` are `from_`, `until` (seconds from now) and `issuer`."""
        options = {key.rstrip("_"): value for key, value in options.items()}
        self._tell(present={"servers": servers, "names": names, **options})

    def play(self, servers: Sequence[int], kind: str) -> None:
        self._tell(play={"servers": servers, "kind": kind})

    def halt(self, servers: Sequence[int]) -> None:
        self._tell(stop=servers)

    def go_on(self, servers: Sequence[int]) -> None:
        self._tell(start=servers)

    def _tell(self, **command: object) -> None:
        if self._process is None or self._process.stdin is None:
            raise SceneError("stage: not started")
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise SceneError(f"stage: {error}; {self._end_of_log()}") from error
        answer = self._read_line(PATIENCE)
        if answer != {"ok": True}:
            raise SceneError(f"stage: {command}: {answer}")

    def _read_line(self, patience: float) -> Any:
        output = self._process.stdout if self._process else None
        if output is None:
            raise SceneError("stage: not started")
        # Nothing waits in a buffer of ours: one line answers one command.
        if not select.select([output], [], [], patience)[0]:
            raise SceneError(f"stage: no answer within {patience} s")
        line = output.readline()
        if not line:
            raise SceneError(f"stage: it has ended; {self._end_of_log()}")
        return json.loads(line)

    def _end_of_log(self) -> str:
        return " / ".join(self._log.read_text(errors="replace").splitlines()[-3:])


def _command() -> list[str]:
    if binary := os.environ.get("STAGE_BIN"):
        return [str(Path(binary).resolve())]
    manifest = Path(__file__).resolve().parents[3] / "Cargo.toml"
    command = ["cargo", "run", "-q", "--locked", "--manifest-path", str(manifest)]
    return [*command, "-p", "smtp-fleet", "--bin", "stage", "--"]
