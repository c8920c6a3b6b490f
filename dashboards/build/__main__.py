"""Generates the dashboards: `python3 dashboards/build`; with `--check`, only compares the files.

Users import the JSON. The scripts keep queries, colors and terms the same in all dashboards. They need Python 3.9 and
no packages.
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

OUTPUT_DIRECTORY = Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="dashboards/build", description="Generate the Grafana dashboards.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file is out of date")
    check = parser.parse_args().check
    outdated = [name for name, text in files().items() if not _is_current(OUTPUT_DIRECTORY / name, text, check)]
    for name in outdated:
        print(f"dashboards/{name} is out of date: run `python3 -B dashboards/build`", file=sys.stderr)
    return 1 if outdated else 0


def files() -> dict[str, str]:
    """File contents by file name."""
    dashboards = [module.dashboard() for module in (overview, target, renewals, exporter)]
    return {f"{each['uid']}.json": json.dumps(each, indent=2, ensure_ascii=False) + "\n" for each in dashboards}


def _is_current(file: Path, text: str, check: bool) -> bool:
    if check:
        return file.is_file() and file.read_text() == text
    file.write_text(text)
    return True


if __name__ == "__main__":
    sys.exit(main())
