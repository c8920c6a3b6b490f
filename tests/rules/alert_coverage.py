"""Holds alerts, their tests and their runbooks together: `complete.py RULES RUNBOOKS TEST…`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

SEVERITIES = {"critical", "warning", "info"}
SECTIONS = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"]
INDEX = "README.md"


def main(rules_path: str, runbooks_path: str, *test_paths: str) -> int:
    alerts = [rule for rule in rules_of(rules_path) if "alert" in rule]
    complaints = [complaint for alert in alerts for complaint in wordless(alert)]
    complaints += untested(alerts, [test for path in test_paths for test in load(path)["tests"]])
    complaints += undocumented({alert["alert"] for alert in alerts}, Path(runbooks_path))
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


def rules_of(path: str) -> list[dict[str, Any]]:
    return [rule for group in load(path)["groups"] for rule in group["rules"]]


def load(path: str) -> Any:
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def wordless(alert: dict[str, Any]) -> list[str]:
    """What an alert lacks that is read at night."""
    name, annotations = alert["alert"], alert.get("annotations", {})
    complaints = []
    if not name.startswith("SmtpTls"):
        complaints.append(f"{name}: does not begin with SmtpTls")
    if alert.get("labels", {}).get("severity") not in SEVERITIES:
        complaints.append(f"{name}: severity is none of {sorted(SEVERITIES)}")
    if "{{" in annotations.get("summary", "{{"):
        complaints.append(f"{name}: a summary is a fixed sentence")
    if not annotations.get("description"):
        complaints.append(f"{name}: no description")
    if not annotations.get("runbook_url", "").endswith(f"/{name}.md"):
        complaints.append(f"{name}: runbook_url does not lead to {name}.md")
    return complaints


def untested(alerts: list[dict[str, Any]], tests: list[dict[str, Any]]) -> list[str]:
    """Of each alert and severity there must be a moment at which it fires and a later one at which it is quiet."""
    fires: set[tuple[str, str]] = set()
    resolves: set[tuple[str, str]] = set()
    for test in tests:
        fired: set[tuple[str, str]] = set()
        for check in sorted(test.get("alert_rule_test", []), key=lambda check: minutes(check["eval_time"])):
            name = check["alertname"]
            now = {(name, alert["exp_labels"]["severity"]) for alert in check["exp_alerts"]}
            resolves |= {before for before in fired if before[0] == name and before not in now}
            fired |= now
        fires |= fired
    wanted = {(alert["alert"], alert["labels"]["severity"]) for alert in alerts}
    complaints = [f"{name}, {severity}: fires in no test" for name, severity in sorted(wanted - fires)]
    return complaints + [f"{name}, {severity}: resolves in no test" for name, severity in sorted(wanted - resolves)]


def minutes(duration: str) -> int:
    found = re.fullmatch(r"(\d+)m", duration)
    if not found:
        raise ValueError(f"{duration}: tests give their moments in minutes")
    return int(found[1])


def undocumented(names: set[str], runbooks: Path) -> list[str]:
    pages = {path.stem: path for path in runbooks.glob("*.md") if path.name != INDEX}
    complaints = [f"{name}: no runbook" for name in sorted(names - pages.keys())]
    complaints += [f"{path}: no such alert" for name, path in sorted(pages.items()) if name not in names]
    index = (runbooks / INDEX).read_text(encoding="utf-8") if (runbooks / INDEX).exists() else ""
    complaints += [f"{INDEX}: does not link {name}" for name in sorted(names) if f"]({name}.md)" not in index]
    for name, path in sorted(pages.items()):
        lines = path.read_text(encoding="utf-8").splitlines()
        if lines[:1] != [f"# {name}"]:
            complaints.append(f"{path.name}: does not begin with its name")
        if [line for line in lines if line.startswith("## ")] != SECTIONS:
            complaints.append(f"{path.name}: its sections are not {', '.join(SECTIONS)}")
    return complaints


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
