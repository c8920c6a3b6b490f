"""Generates the dashboards: `python -B dashboards/build`, with the packages in `requirements.txt`. Needs Python 3.11.

Users import the JSON. The scripts keep queries, colors and terms the same in all dashboards.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

try:
    from grafana_foundation_sdk.cog.encoder import JSONEncoder

    from exporter import Exporter
    from overview import Overview
    from parameters import ParameterError, Parameters, read
    from renewals import Renewals
    from target import Target
except ModuleNotFoundError as missing:
    sys.exit(f"dashboards/build: {missing}: install the packages as described in dashboards/README.md")

OUTPUT = Path(__file__).resolve().parent.parent
DASHBOARDS = (Overview, Target, Renewals, Exporter)


def main() -> int:
    parser = argparse.ArgumentParser(prog="dashboards/build", description="Generate the Grafana dashboards.")
    parser.add_argument("--parameters", type=Path, metavar="FILE", help="change deploy/prometheus/parameters.yaml")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="DIR", help="where the JSON files are written")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file is out of date")
    arguments = parser.parse_args()
    try:
        built = {arguments.output / name: text for name, text in files(read(arguments.parameters)).items()}
        if not arguments.check:
            _write(built)
        outdated = [file for file, text in built.items() if not _is_current(file, text)]
    except ParameterError as error:
        print(f"dashboards/build: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"dashboards/build: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    for file in outdated:
        print(f"{file} is out of date: generate it as described in dashboards/README.md", file=sys.stderr)
    return 1 if outdated else 0


def files(parameters: Parameters) -> dict[str, str]:
    """File contents by file name."""
    encoder = JSONEncoder(indent=2, ensure_ascii=False)
    return {f"{each.page.uid}.json": encoder.encode(each(parameters).build()) + "\n" for each in DASHBOARDS}


def _write(texts: dict[Path, str]) -> None:
    for file, text in texts.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def _is_current(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
