"""Checks that every alert has annotations, unit tests and a runbook: `alert_coverage.py RULES RUNBOOKS TEST…`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

SEVERITIES = {"critical", "warning", "info"}
SECTIONS = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation", "## When it resolves"]
# Longer summaries are cut off by chat clients and pagers.
SUMMARY_LENGTH = 80
INDEX = "README.md"


def main(rules_path: str, runbooks_path: str, *test_paths: str) -> int:
    alerts = [rule for rule in rules_of(rules_path) if "alert" in rule]
    problems = [problem for alert in alerts for problem in check_alert(alert)]
    problems += check_tests(alerts, [test for path in test_paths for test in load(path)["tests"]])
    problems += check_runbooks({alert["alert"] for alert in alerts}, Path(runbooks_path))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def rules_of(path: str) -> list[dict[str, Any]]:
    return [rule for group in load(path)["groups"] for rule in group["rules"]]


def load(path: str) -> Any:
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def check_alert(alert: dict[str, Any]) -> list[str]:
    """Checks the name, the severity and the annotations of an alert."""
    name, annotations = alert["alert"], alert.get("annotations", {})
    problems = []
    if not name.startswith("SmtpTls"):
        problems.append(f"{name}: expected a name that starts with SmtpTls")
    if alert.get("labels", {}).get("severity") not in SEVERITIES:
        problems.append(f"{name}: invalid severity: expected one of {sorted(SEVERITIES)}")
    summary = annotations.get("summary", "")
    if not summary or "{{" in summary or summary.endswith(".") or len(summary) > SUMMARY_LENGTH:
        problems.append(f"{name}: expected a summary of up to {SUMMARY_LENGTH} characters, without template or period")
    if not annotations.get("description"):
        problems.append(f"{name}: no description")
    if not annotations.get("runbook_url", "").endswith(f"/{name}.md"):
        problems.append(f"{name}: expected a runbook_url that ends with /{name}.md")
    return problems


def check_tests(alerts: list[dict[str, Any]], tests: list[dict[str, Any]]) -> list[str]:
    """Checks that every alert and severity fires at some time in a test and has resolved at a later time in it."""
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
    expected = {(alert["alert"], alert["labels"]["severity"]) for alert in alerts}
    problems = [f"{name}, {severity}: no test in which it fires" for name, severity in sorted(expected - fires)]
    problems += [f"{name}, {severity}: no test in which it resolves" for name, severity in sorted(expected - resolves)]
    return problems


def minutes(duration: str) -> int:
    found = re.fullmatch(r"(\d+)m", duration)
    if not found:
        raise ValueError(f"invalid eval_time {duration}: expected minutes, such as 45m")
    return int(found[1])


def check_runbooks(names: set[str], runbooks: Path) -> list[str]:
    """Checks that every alert has a runbook with the expected sections, and every runbook an alert."""
    pages = {path.stem: path for path in runbooks.glob("*.md") if path.name != INDEX}
    problems = [f"{name}: no runbook" for name in sorted(names - pages.keys())]
    problems += [f"{path}: runbook without an alert" for name, path in sorted(pages.items()) if name not in names]
    index = (runbooks / INDEX).read_text(encoding="utf-8") if (runbooks / INDEX).exists() else ""
    problems += [f"{INDEX}: no link to {name}.md" for name in sorted(names) if f"]({name}.md)" not in index]
    for name, path in sorted(pages.items()):
        lines = path.read_text(encoding="utf-8").splitlines()
        if lines[:1] != [f"# {name}"]:
            problems.append(f"{path.name}: expected the heading `# {name}`")
        if [line for line in lines if line.startswith("## ")] != SECTIONS:
            problems.append(f"{path.name}: expected the sections {', '.join(SECTIONS)}")
    return problems


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
