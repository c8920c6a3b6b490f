"""What all checks need: running a command, judging its result, and counting."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

Errors = list[str]


class Report:
    def __init__(self) -> None:
        self._passed = 0
        self._failed = 0

    def check(self, name: str, errors: Errors) -> None:
        if errors:
            self._failed += 1
            print(f"FAIL  {name}", *(f"      {error}" for error in errors), sep="\n")
        else:
            self._passed += 1
            print(f"ok    {name}")

    def end(self) -> int:
        if self._failed:
            print(f"{self._failed} checks failed, {self._passed} passed")
            return 1
        print(f"{self._passed} checks passed")
        return 0


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=cwd, timeout=300, env={**os.environ, **environment}
    )


def failure(done: subprocess.CompletedProcess[str]) -> Errors:
    """The output of a command that should have succeeded."""
    return [] if done.returncode == 0 else [f"exit {done.returncode}", *(done.stdout + done.stderr).splitlines()[:40]]


def refusal(done: subprocess.CompletedProcess[str], expected: str) -> Errors:
    """What is wrong with a command that should have failed with `expected` in its message."""
    if done.returncode == 0:
        return ["it succeeded"]
    return [] if expected in done.stderr + done.stdout else [f"expected {expected!r}", *done.stderr.splitlines()]


def shipped_files(root: Path = ROOT) -> list[str]:
    """Files of the repository, also those that are not committed yet."""
    done = run("git", "-c", f"safe.directory={root}", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=root)
    return [name for name in sorted(set(done.stdout.split("\0"))) if name and (root / name).is_file()]
