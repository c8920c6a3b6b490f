"""Writes the dashboards: `python3 dashboards/build`, or `python3 dashboards/build --check` to compare only.

The JSON is what users take; this keeps queries, colours and words the same in all of them. Needs Python 3.9 and nothing
else.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import exporter
import overview
import renewals

import target

FOLDER = Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="dashboards/build", description="Writes the dashboards.")
    parser.add_argument("--check", action="store_true", help="write nothing, exit with 1 where a file is not as built")
    check = parser.parse_args().check
    stale = [name for name, text in texts().items() if not _is_written(FOLDER / name, text, check)]
    for name in stale:
        print(f"dashboards/{name} is not what dashboards/build makes of it", file=sys.stderr)
    return 1 if stale else 0


def texts() -> dict[str, str]:
    """The files by name."""
    dashboards = [overview.dashboard(), target.dashboard(), renewals.dashboard(), exporter.dashboard()]
    return {f"{each['uid']}.json": json.dumps(each, indent=2, ensure_ascii=False) + "\n" for each in dashboards}


def _is_written(file: Path, text: str, check: bool) -> bool:
    if check:
        return file.is_file() and file.read_text() == text
    file.write_text(text)
    return True


if __name__ == "__main__":
    sys.exit(main())
