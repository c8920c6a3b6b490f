"""Runs `dashboards/build`, in an environment with its packages, with parameters that differ from the defaults and with
broken ones."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "dashboards" / "build"
CASES = ROOT / "tests" / "rules" / "parameters" / "cases.yaml"
ENVIRONMENT = ROOT / "target" / "dashboards" / "venv"

# Parameters that differ from all defaults.
CHANGED: Json = {
    "selectors": {"exporter": 'job="tls"', "probe": 'job="tls-probe"'},
    "labels": {"cluster": "k8s_cluster", "namespace": "kube_namespace", "kept": ["squad", "service"]},
    "runbook_url": "https://wiki.example.net/tls/",
    "thresholds": {
        "certificate_expiring_days": 300,
        "certificate_expiring_lifetime_ratio": 0.6,
        "certificate_about_to_expire_days": 100,
        "certificate_about_to_expire_lifetime_ratio": 0.4,
    },
}
RUNBOOK = "https://wiki.example.net/tls/SmtpTls${__data.fields.alert}.md"
# Labels of the series by their names with the default parameters.
RENAMED_LABELS = {"cluster": "k8s_cluster", "namespace": "kube_namespace", "team": "squad"}
# Set-ups that differ in the renamed labels.
SETUPS = ["kube-prometheus", "two clusters", "two namespaces", "with and without cluster", "probe, two clusters"]
# What must not be left of the defaults in dashboards with the changed parameters.
LEFT_OVER = (
    r'(?<![$\w])(?:cluster|namespace)(?:=~|, |}|`|\\")',
    r"\bteam\b",
    r"\b(?:21|7) \* 86400",
    r"< 0\.(?:25|1)\b",
    r"\b(?:21|7) days",
    r"\b(?:25|10)% (?:left|of)",
)

BROKEN: dict[str, tuple[str, str]] = {
    "an unknown key": ('{"labels": {"clusters": "x"}}', "`labels.clusters`"),
    "a list instead of a map": ("[]", "expected a map"),
    "a text instead of a number": ('{"thresholds": {"certificate_expiring_days": "21"}}', "certificate_expiring_days"),
    "a truth value instead of a number": (
        '{"thresholds": {"certificate_expiring_days": true}}',
        "certificate_expiring_days",
    ),
    "a label that is not a name": ('{"labels": {"cluster": "a b"}}', "'a b'"),
    "a label that is not a text": ('{"labels": {"kept": [1]}}', "`labels`"),
    "two labels with one name": ('{"labels": {"cluster": "namespace"}}', "`namespace`"),
    "a label of the exporter": ('{"labels": {"namespace": "job"}}', "`job`"),
    "a URL that ends a link": ('{"runbook_url": "https://x/\\"y"}', "runbook_url"),
    "days out of range": ('{"thresholds": {"certificate_expiring_days": 4000}}', "certificate_expiring_days"),
    "a ratio out of range": (
        '{"thresholds": {"certificate_about_to_expire_lifetime_ratio": 0}}',
        "certificate_about_to_expire_lifetime_ratio",
    ),
    "a warning after the critical alert": (
        '{"thresholds": {"certificate_about_to_expire_days": 21}}',
        "certificate_about_to_expire",
    ),
    "broken YAML": ("{", "invalid YAML"),
    "nested lists": ("[" * 5000, "invalid YAML"),
    "a large file": ("#" * (1 << 21), "more than"),
}


class PackageError(Exception):
    """The packages for the build cannot be installed."""


def python() -> Path:
    """A Python with the packages that the build needs, below `target/`. Raises `PackageError`."""
    requirements = (BUILD / "requirements.txt").read_text()
    installed, interpreter = ENVIRONMENT / "installed", ENVIRONMENT / "bin" / "python"
    state = f"{sys.version}\n{requirements}"
    if not installed.is_file() or installed.read_text() != state:
        if importlib.util.find_spec("ensurepip") is None:
            _run("bash", "-c", 'source "$1" && need_packages python3-venv', "bash", ROOT / "tests" / "packages.sh")
        _run(sys.executable, "-m", "venv", "--clear", ENVIRONMENT)
        pip: list[str | Path] = [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        pip += ["--no-deps", "--require-hashes", "--only-binary=:all:"]
        _run(*pip, f"--requirement={BUILD / 'requirements.txt'}")
        installed.write_text(state)
    return interpreter


def _run(*command: str | Path) -> None:
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    if result.returncode:
        lines = [line for line in (result.stdout + result.stderr).splitlines() if "error" in line.lower()]
        raise PackageError(lines[0] if lines else f"{command[0]} exited with {result.returncode}")


def run(interpreter: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([interpreter, "-B", BUILD, *arguments], check=False, capture_output=True, text=True)


def errors(interpreter: Path, *arguments: str | Path) -> list[str]:
    """What the build reports."""
    result = run(interpreter, *arguments)
    return result.stderr.splitlines() or ([f"exit code {result.returncode}"] if result.returncode else [])


def changed(interpreter: Path, directory: Path) -> dict[str, Json]:
    """Dashboards with the changed parameters, by file name."""
    file = directory / "changed.yaml"
    file.write_text(json.dumps(CHANGED))
    output = directory / "changed"
    found = errors(interpreter, "--parameters", file, "--output", output)
    assert not found, found
    return {each.name: json.loads(each.read_text()) for each in sorted(output.glob("*.json"))}


def left_over(dashboard: Json) -> Iterator[str]:
    """The patterns of the defaults that match."""
    text = json.dumps(dashboard)
    yield from (pattern for pattern in LEFT_OVER if re.search(pattern, text))


# Reads parameter files in one process, which is faster than a build for each.
_READ = """
import json, pathlib, sys
sys.path.insert(0, sys.argv[1])
import parameters
def error(file):
    try:
        return repr(parameters.read(pathlib.Path(file)))
    except parameters.ParameterError as error:
        return f"error: {error}"
json.dump([error(file) for file in sys.argv[2:]], sys.stdout)
"""


# Prints which of the parameters that the exporter accepts are refused, and the other way around.
_CASES = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
import parameters, yaml
file = pathlib.Path(__file__).with_suffix(".yaml")
cases = yaml.safe_load(pathlib.Path(sys.argv[2]).read_text())
for group in ("accepted", "refused"):
    for case in cases[group]:
        file.write_text(yaml.safe_dump(case))
        try:
            parameters.read(file)
            found = "accepted"
        except parameters.ParameterError as error:
            found = "refused"
        if found != group:
            print(f"{found}: {case}")
"""


def broken_errors(interpreter: Path, directory: Path) -> Iterator[str]:
    """Broken parameter files that are not reported as an error."""
    files = [directory / f"broken{number}.yaml" for number in range(len(BROKEN))]
    for file, (text, _) in zip(files, BROKEN.values()):
        file.write_text(text)
    result = subprocess.run([interpreter, "-B", "-c", _READ, BUILD, *files], check=True, capture_output=True, text=True)
    for file, (name, (_, expected)), answer in zip(files, BROKEN.items(), json.loads(result.stdout)):
        if not answer.startswith(f"error: {file}: ") or expected not in answer:
            yield f"{name}: {answer[:300]}"
    cases = directory / "cases.py"
    cases.write_text(_CASES)
    result = subprocess.run([interpreter, "-B", cases, BUILD, CASES], check=True, capture_output=True, text=True)
    yield from result.stdout.splitlines()
    build = run(interpreter, "--parameters", directory / "missing.yaml", "--output", directory / "broken")
    if build.returncode != 2 or "missing.yaml: " not in build.stderr or (directory / "broken").exists():
        yield f"a missing file: exit code {build.returncode}: {build.stderr[-300:]}"
