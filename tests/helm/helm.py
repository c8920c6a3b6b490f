"""Runs Helm and kubectl, and reads what they render."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "smtp-tls-exporter"
HELM, HELM3, KUBECTL, EXPORTER, PROMTOOL = (
    os.environ[name] for name in ("HELM", "HELM3", "KUBECTL", "EXPORTER_BIN", "PROMTOOL")
)
NAMESPACE = "mail-monitoring"


class Loader(yaml.CSafeLoader):
    """Refuses duplicate keys, of which Helm would silently use the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        names = [key.value for key, _ in node.value]
        if len(set(names)) != len(names):
            raise yaml.YAMLError(f"duplicate key in {names}")
        return super().construct_mapping(node, deep)


def run(*command: str | Path, stdin: str | None = None) -> tuple[int, str, str]:
    done = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True, input=stdin, cwd=ROOT)
    return done.returncode, done.stdout, done.stderr


def template(*args: str, values: str | None = None, helm: str = HELM, release: str = "mail") -> tuple[int, str, str]:
    """Renders the chart, with values in YAML and further arguments."""
    more = ["--values=-"] if values is not None else []
    return run(helm, "template", release, CHART, f"--namespace={NAMESPACE}", *args, *more, stdin=values)


def parse(text: str) -> list[Json]:
    return [each for each in yaml.load_all(text, Loader) if each]


def rendered(*args: str, values: str | None = None, release: str = "mail", helm: str = HELM) -> list[Json]:
    status, out, err = template(*args, values=values, release=release, helm=helm)
    if status:
        raise RuntimeError(f"helm template {' '.join(args)}: {err.strip()}")
    return parse(out)


def in_parallel(function: Any, arguments: list[Any]) -> Iterator[Any]:
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        yield from pool.map(function, arguments)
