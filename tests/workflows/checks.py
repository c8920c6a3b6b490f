"""The checks of tests/workflows/run, which sets TOOLS and EXPORTER_BIN."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import release
import yaml
from support import ROOT, Errors, Report, failure, refusal, run, shipped_files

HERE = ROOT / "tests/workflows"
TOOLS = Path(os.environ["TOOLS"]) / "bin"


def main() -> int:
    report = Report()
    with tempfile.TemporaryDirectory(prefix="workflows-") as work:
        check_linters(report, Path(work))
        check_workflows(report)
        check_dependabot(report)
        release.check_versions(report, Path(work))
        release.check_notes(report, Path(work))
        release.check_checksums(report, Path(work))
        release.check_chart(report, Path(work))
        check_parts_not_run(report, Path(work))
        release.check_build(report, Path(work))
        release.check_archive(report, Path(work))
    return report.end()


# --- linters


def check_linters(report: Report, work: Path) -> None:
    workflows = sorted((ROOT / ".github/workflows").glob("*.yml"))
    report.check("there are workflows", [] if workflows else ["none"])
    report.check("actionlint", failure(actionlint(*workflows)))
    report.check("zizmor", failure(zizmor(ROOT / ".github")))
    for schema, files in {
        "github-workflows": workflows,
        "dependabot": [ROOT / ".github/dependabot.yml"],
        "github-issue-config": [ROOT / ".github/ISSUE_TEMPLATE/config.yml"],
        "github-issue-forms": [f for f in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if f.name != "config.yml"],
    }.items():
        report.check(f"schema {schema}", failure(run(TOOLS / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)))
    report.check(
        "yamllint", failure(run(TOOLS / "yamllint", "--strict", "--config-file", HERE / "yamllint.yaml", ROOT / ".github"))
    )
    scripts = [name for name in shipped_files() if is_shell_script(ROOT / name)]
    known = {".ci/run", "tests/packages.sh", "deploy/build-release", "deploy/release/archive"}
    report.check(f"{len(scripts)} shell scripts found", sorted(known - set(scripts)))
    report.check("shellcheck", failure(run(TOOLS / "shellcheck", "--external-sources", *scripts)))

    # Linters that find nothing must not be ones that cannot find anything.
    for name, (old, new, lint) in BROKEN_WORKFLOWS.items():
        text = (ROOT / ".github/workflows/ci.yml").read_text()
        folder = work / "broken" / ".github/workflows"
        folder.mkdir(parents=True, exist_ok=True)
        broken = folder / "ci.yml"
        edited, count = re.subn(old, new, text, count=1)
        broken.write_text(edited)
        errors = [] if count and lint(broken).returncode else ["not reported"]
        report.check(f"reports {name}", errors)
    script = work / "unquoted"
    script.write_text("#!/bin/bash\nrm -r $1\n")
    report.check("reports an unquoted variable", [] if run(TOOLS / "shellcheck", script).returncode else ["not reported"])


def actionlint(*files: Path) -> subprocess.CompletedProcess[str]:
    return run(TOOLS / "actionlint", "-no-color", "-shellcheck", TOOLS / "shellcheck", *files)


def zizmor(path: Path) -> subprocess.CompletedProcess[str]:
    return run(TOOLS / "zizmor", "--offline", "--no-progress", "--color=never", "--persona=pedantic", path)


# A pattern, its replacement, and the linter that must find it.
BROKEN_WORKFLOWS: dict[str, tuple[str, str, Callable[[Path], subprocess.CompletedProcess[str]]]] = {
    "an action without a commit": (r"Swatinem/rust-cache@[0-9a-f]{40}", "Swatinem/rust-cache@v2", zizmor),
    "an image without a digest": (r"@sha256:[0-9a-f]{64}", "", zizmor),
    "a title in a script": (r"run: \.ci/msrv", 'run: echo "${{ github.event.pull_request.title }}"', zizmor),
    "more permissions than needed": (r"permissions: \{\}", "permissions: write-all", zizmor),
    "an unknown context": (r"github\.ref ==", "github.reff ==", actionlint),
    "an unknown key": (r"timeout-minutes: 15", "timeout: 15", actionlint),
}


def is_shell_script(file: Path) -> bool:
    with file.open("rb") as content:
        line = content.readline(100)
    return re.match(rb"#!(/usr)?/bin/(env )?(ba)?sh\b|# shellcheck shell=", line) is not None


# --- the workflows and the repository


def check_workflows(report: Report) -> None:
    texts = {file.name: file.read_text() for file in sorted((ROOT / ".github/workflows").glob("*.yml"))}
    report.check("actions are pinned to commits, with their version", pin_errors(texts))
    report.check("images are those of the Dockerfile", image_errors(texts))
    report.check("scripts that workflows call exist", script_errors(texts))
    report.check("CI runs all of .ci/run", ci_errors(yaml.safe_load(texts["ci.yml"])))
    report.check(".ci/run runs all tests", test_errors((ROOT / ".ci/run").read_text()))
    edit = {"ci.yml": re.sub(r" # v\d.*", "", texts["ci.yml"].replace(".ci/msrv", ".ci/missing"), count=1)}
    report.check("reports a missing script", [] if script_errors(edit) else ["not reported"])
    untested = (ROOT / ".ci/run").read_text().replace("\ntests/rules/run\n", "\n")
    report.check("reports a test that .ci/run leaves out", [] if test_errors(untested) else ["not reported"])
    report.check("reports an action without a version", [] if pin_errors(edit) else ["not reported"])


def pin_errors(texts: dict[str, str]) -> Errors:
    errors, commits = [], {}
    for name, text in texts.items():
        for line in re.findall(r"(?m)^ *(?:- )?uses: (.+)$", text):
            if line.startswith("./"):
                continue
            found = re.fullmatch(r"([\w./-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)", line)
            if not found:
                errors.append(f"{name}: {line}: expected OWNER/NAME@COMMIT # vX.Y.Z")
            elif commits.setdefault(found[1], found[0]) != found[0]:
                errors.append(f"{name}: {line}: elsewhere {commits[found[1]]}")
    return errors


def image_errors(texts: dict[str, str]) -> Errors:
    dockerfile = (ROOT / "deploy/docker/Dockerfile").read_text()
    pinned = re.findall(r"(?m)^ARG \w+=(\S+@sha256:[0-9a-f]{64})$", dockerfile)
    images = [(name, image) for name, text in texts.items() for image in re.findall(r"(?m)^ *image: ([^\s$]+)$", text)]
    return [f"{name}: {image}" for name, image in images if image not in pinned] + ([] if images else ["no image found"])


# Paths of the repository in commands, with what comes before.
SCRIPT = re.compile(r"(?m)(?:^|[\s\"'(;=])((?:\.ci|deploy|tests|dashboards)/[\w./-]+)")
# Arguments that are files.
ARGUMENTS = ("deploy/docker/Dockerfile",)


def commands(texts: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, text in texts.items():
        for job in yaml.safe_load(text)["jobs"].values():
            for step in job.get("steps", []):
                yield name, step.get("run", "")


def script_errors(texts: dict[str, str]) -> Errors:
    called = {(name, script) for name, command in commands(texts) for script in SCRIPT.findall(command)}
    if not called:
        return ["no script found"]
    return [
        f"{name}: {script}: not an executable file"
        for name, script in sorted(called)
        if script not in ARGUMENTS and not os.access(ROOT / script, os.X_OK)
    ]


def ci_errors(ci: dict[str, Any]) -> Errors:
    """The workflow runs the same script as other places, and each part that it cannot run becomes visible."""
    for job in ci["jobs"].values():
        lines = [step.get("run", "") for step in job.get("steps", [])]
        if any(line.startswith(".ci/run ") for line in lines):
            return [] if any(line.startswith(".ci/not-run ") for line in lines) else ["no step calls .ci/not-run"]
    return ["no job calls .ci/run"]


# Tests that are not part of .ci/run, with the reason.
NOT_IN_CI = {"tests/limbo/run": "needs a clone of x509-limbo"}


def test_errors(script: str) -> Errors:
    called = set(SCRIPT.findall(script))
    errors = [f"{name}: not an executable file" for name in sorted(called) if not os.access(ROOT / name, os.X_OK)]
    tests = {name for name in shipped_files() if re.fullmatch(r"tests/[^/]+/run", name)}
    errors += [f"{name}: not called by .ci/run" for name in sorted(tests - called - NOT_IN_CI.keys())]
    return errors + [f"{name}: in NOT_IN_CI, and called" for name in sorted(NOT_IN_CI.keys() & called)]


MANIFESTS = {
    "cargo": "Cargo.toml",
    "docker": "Dockerfile",
    "docker-compose": "compose.yaml",
    "github-actions": ".github/workflows/ci.yml",
    "npm": "package-lock.json",
    "pip": "requirements.txt",
}


def check_dependabot(report: Report) -> None:
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    listed = {
        (update["package-ecosystem"], directory.strip("/"))
        for update in updates
        for directory in update.get("directories", [update.get("directory")])
    }
    errors = [
        f"{ecosystem}: no {MANIFESTS[ecosystem]} in /{directory}"
        for ecosystem, directory in sorted(listed)
        if not (ROOT / directory / MANIFESTS[ecosystem]).exists()
    ]
    for name in shipped_files():
        path = Path(name)
        directory = "" if path.parent == Path(".") else str(path.parent)
        ecosystem = next((e for e, manifest in MANIFESTS.items() if path.name == manifest), None)
        # Members of the workspace are found by their root.
        if ecosystem and name != "tests/fleet/Cargo.toml" and (ecosystem, directory) not in listed:
            errors.append(f"{name}: no update of {ecosystem} in /{directory}")
    report.check("dependabot updates all manifests", errors)


# --- parts that were not run


def check_parts_not_run(report: Report, work: Path) -> None:
    log, script = work / "log", ".ci/not-run"
    for name, lines, count, expected in (
        ("nothing left out", "ok a\n3 checks passed", 0, ""),
        ("a part that may be left out", "ok\ntests/systemd/run: not run: the unit in a container: no cgroup\n", 1, ""),
        ("twice the same", "tests/compose/run: not run: the containers: x\n" * 2, 1, ""),
        ("another part", "tests/systemd/run: not run: everything: no time\n", 1, "error: "),
        ("another script", "tests/deny/run: not run: advisories: no network\n", 1, "error: "),
        ("a word in a message", "ok what is not run: nothing\n", 0, ""),
    ):
        log.write_text(lines)
        done = run(script, log, GITHUB_ACTIONS="", GITHUB_STEP_SUMMARY="")
        errors = refusal(done, expected) if expected else failure(done)
        report.check(f"not-run: {name}", errors or ([] if f"{count} parts" in done.stdout else [done.stdout]))
    log.write_text("tests/systemd/run: not run: the unit in a container: x\n")
    summary = work / "summary"
    done = run(script, log, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    seen = "::warning::tests/systemd/run" in done.stdout and "tests/systemd/run" in summary.read_text()
    report.check("not-run: in a workflow", [] if seen else [done.stdout])
    log.write_text("")
    report.check("not-run: an empty log", refusal(run(script, log), "no output"))
    # Each row must be the message of its script.
    errors = []
    for row in (ROOT / ".ci/may-not-run").read_text().splitlines():
        if not row.startswith("#"):
            name, part = row.split(": ", 1)
            if f"not run: {part}: " not in (ROOT / name).read_text():
                errors.append(row)
    report.check("parts that may be left out exist", errors)


if __name__ == "__main__":
    sys.exit(main())
