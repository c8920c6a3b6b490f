"""The crates that the exporter is linked with, for the scripts in this directory."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NAME = "smtp-tls-exporter"


def run(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


def host() -> str:
    """The target triple that programs are built for by default."""
    return re.findall(r"^host: (.+)$", run("rustc", "-vV"), re.MULTILINE)[0]


def linked(target: str) -> set[tuple[str, str]]:
    """Name and version of each crate in the program: no test dependencies, build scripts or procedural macros.

    The dependency graph of `cargo metadata` has more: crates of features that nothing enables (cargo issue 10801).
    """
    lines = run(
        *("cargo", "tree", "--locked", f"--package={NAME}", f"--target={target}", "--edges=normal,no-proc-macro"),
        *("--prefix=none", "--format={p}"),
    ).splitlines()
    return {(name, version.removeprefix("v")) for name, version, *_ in map(str.split, lines)}


def metadata(target: str) -> dict[str, Any]:
    """The output of `cargo metadata`."""
    return json.loads(run("cargo", "metadata", "--locked", "--format-version=1", f"--filter-platform={target}"))
