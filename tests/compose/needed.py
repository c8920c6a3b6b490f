"""Prints the files that the image build needs: manifests, sources, and what the sources include."""

from __future__ import annotations

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("src", "tests/fleet/src", "examples", "benches")
INCLUDE = re.compile(r'\binclude(?:_str|_bytes)?!\(\s*"([^"]+)"')


def main() -> None:
    needed = {"Cargo.lock", "Cargo.toml", "deploy/build-release", "deploy/install-tools", "tests/fleet/Cargo.toml"}
    for source in (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.rs")):
        needed.add(str(source.relative_to(ROOT)))
        for name in INCLUDE.findall(source.read_text()):
            needed.add(os.path.relpath(os.path.normpath(source.parent / name), ROOT))
    print(*sorted(needed), sep="\n")


if __name__ == "__main__":
    main()
