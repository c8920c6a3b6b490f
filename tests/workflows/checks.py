"""The checks of tests/workflows/run, which sets TOOLS and EXPORTER_BIN."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests/workflows"
TOOLS = Path(os.environ["TOOLS"]) / "bin"
EXPORTER = os.environ["EXPORTER_BIN"]
RELEASE = "deploy/release"
TARGET = f"{os.uname().machine}-unknown-linux-gnu"
MUSL = TARGET.replace("gnu", "musl")
# Of another processor.
OTHER = "aarch64-unknown-linux-gnu" if TARGET.startswith("x86_64") else "x86_64-unknown-linux-gnu"

Errors = list[str]


def main() -> int:
    report = Report()
    with tempfile.TemporaryDirectory(prefix="workflows-") as work:
        check_linters(report, Path(work))
        check_workflows(report)
        check_dependabot(report)
        check_versions(report, Path(work))
        check_notes(report, Path(work))
        check_checksums(report, Path(work))
        check_chart(report, Path(work))
        check_parts_not_run(report, Path(work))
        check_build(report, Path(work))
        check_archive(report, Path(work))
    return report.end()


class Report:
    def __init__(self) -> None:
        self._passed = 0
        self._failed = 0

    def check(self, name: str, errors: Errors) -> None:
        if errors:
            self._failed += 1
            print(f"FAIL  {name}", *(f"      {error}" for error in errors), sep="\n")
        else:
            self._passed += 1
            print(f"ok    {name}")

    def end(self) -> int:
        if self._failed:
            print(f"{self._failed} checks failed, {self._passed} passed")
            return 1
        print(f"{self._passed} checks passed")
        return 0


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=cwd, timeout=300, env={**os.environ, **environment}
    )


def failure(done: subprocess.CompletedProcess[str]) -> Errors:
    """The output of a command that should have succeeded."""
    return [] if done.returncode == 0 else [f"exit {done.returncode}", *(done.stdout + done.stderr).splitlines()[:40]]


def refusal(done: subprocess.CompletedProcess[str], expected: str) -> Errors:
    """What is wrong with a command that should have failed with `expected` in its message."""
    if done.returncode == 0:
        return ["it succeeded"]
    return [] if expected in done.stderr + done.stdout else [f"expected {expected!r}", *done.stderr.splitlines()]


def shipped_files(root: Path = ROOT) -> list[str]:
    """Files of the repository, also those that are not committed yet."""
    done = run("git", "-c", f"safe.directory={root}", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=root)
    return [name for name in sorted(set(done.stdout.split("\0"))) if name and (root / name).is_file()]


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
        broken.write_text(text.replace(old, new, 1))
        errors = [] if old in text and lint(broken).returncode else ["not reported"]
        report.check(f"reports {name}", errors)
    script = work / "unquoted"
    script.write_text("#!/bin/bash\nrm -r $1\n")
    report.check("reports an unquoted variable", [] if run(TOOLS / "shellcheck", script).returncode else ["not reported"])


def actionlint(*files: Path) -> subprocess.CompletedProcess[str]:
    return run(TOOLS / "actionlint", "-no-color", "-shellcheck", TOOLS / "shellcheck", *files)


def zizmor(path: Path) -> subprocess.CompletedProcess[str]:
    return run(TOOLS / "zizmor", "--offline", "--no-progress", "--color=never", "--persona=pedantic", path)


BROKEN_WORKFLOWS: dict[str, tuple[str, str, Callable[[Path], subprocess.CompletedProcess[str]]]] = {
    "an action without a commit": ("Swatinem/rust-cache@6323deb102c322ba6fcbdcafc7e3dddab59af2b6", "Swatinem/rust-cache@v2", zizmor),
    "an image without a digest": ("@sha256:6258907abe69656e41cd992e0b705cdcfabcbbe3db374f92ed2d47121282d4a1", "", zizmor),
    "a title in a script": ("run: .ci/msrv", 'run: echo "${{ github.event.pull_request.title }}"', zizmor),
    "more permissions than needed": ("permissions: {}", "permissions: write-all", zizmor),
    "an unknown context": ("github.ref ==", "github.reff ==", actionlint),
    "an unknown key": ("timeout-minutes: 15", "timeout: 15", actionlint),
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
    edit = {"ci.yml": texts["ci.yml"].replace(".ci/msrv", ".ci/missing").replace(" # v2.9.2", "", 1)}
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


# --- versions and notes

# Files whose version is checked by check-version, and data of tests.
VERSIONED = ("Cargo.toml", "Cargo.lock", "fuzz/Cargo.lock", "CHANGELOG.md", "deploy/helm/smtp-tls-exporter/Chart.yaml")
# Where a file of this name has the versions of others.
OTHERS = re.compile(r"^tests/|package-lock\.json$|\.(png|svg)$")


def check_versions(report: Report, work: Path) -> None:
    version = run(f"{RELEASE}/version").stdout.strip()
    report.check("version in Cargo.toml", [] if re.fullmatch(r"\d+\.\d+\.\d+\S*", version) else [version])
    report.check("versions agree", failure(run(f"{RELEASE}/check-version")))
    pattern = re.compile(rf"(?<![\w.]){re.escape(version)}(?![\w.]*\d)")
    errors = [
        f"{name}: names {version}: use a placeholder, or read it from Cargo.toml"
        for name in shipped_files()
        if name not in VERSIONED and not OTHERS.search(name) and pattern.search((ROOT / name).read_text(errors="replace"))
    ]
    report.check("no other file names the version", errors)

    for name, edit, tag, expected in VERSION_CASES:
        copy = repository(work / "versions" / re.sub(r"\W+", "-", name), "2.3.4")
        for file, (old, new) in edit.items():
            text = (copy / file).read_text()
            assert old in text, f"{name}: {file} does not contain {old}"
            (copy / file).write_text(text.replace(old, new, 1))
        done = run(copy / RELEASE / "check-version", *([tag] if tag else []), cwd=copy)
        report.check(f"check-version: {name}", refusal(done, expected) if expected else failure(done))


def repository(folder: Path, version: str) -> Path:
    """A minimal repository of a version that is about to be released."""
    chart = folder / "deploy/helm/smtp-tls-exporter"
    chart.mkdir(parents=True)
    shutil.copytree(ROOT / RELEASE, folder / RELEASE)
    (folder / "Cargo.toml").write_text(
        f'[workspace]\n\n[workspace.package]\nversion = "{version}"\n\n[workspace.dependencies]\nversion = "0.0.9"\n'
    )
    (folder / "Cargo.lock").write_text(
        "".join(f'[[package]]\nname = "{name}"\nversion = "{version}"\n\n' for name in ("smtp-fleet", "smtp-tls-exporter"))
    )
    (chart / "Chart.yaml").write_text(f'version: {version}\nappVersion: "{version}"\n')
    (chart / "values.yaml").write_text(VALUES)
    (folder / "CHANGELOG.md").write_text(CHANGELOG.replace("VERSION", version))
    return folder


VALUES = """\
image:
  # The registry.
  registry: ""
  repository: smtp-tls-exporter
sidecar:
  image:
    repository: other
  registry: other
"""

CHANGELOG = """\
# Changelog

## Unreleased

## VERSION - 2026-12-01

### Added
Probing
- First entry, which is wrapped
  in two lines, with a [page](docs/http.md) and a [site](https://example.com/).
- Second entry.

### Fixed
- Third entry.

## 2.3.3 - 2026-11-01
- Old entry.
"""

# Name, edits, tag, and a part of the message, which is empty if the check passes.
VERSION_CASES: list[tuple[str, dict[str, tuple[str, str]], str, str]] = [
    ("without a tag", {}, "", ""),
    ("with the tag", {}, "v2.3.4", ""),
    ("another tag", {}, "v2.3.5", "tag v2.3.5"),
    ("a tag without v", {}, "2.3.4", "tag 2.3.4"),
    ("Cargo.lock", {"Cargo.lock": ("2.3.4", "2.3.3")}, "", "Cargo.lock"),
    ("appVersion", {"deploy/helm/smtp-tls-exporter/Chart.yaml": ('"2.3.4"', '"2.3.3"')}, "", "appVersion"),
    ("version of the chart", {"deploy/helm/smtp-tls-exporter/Chart.yaml": ("2.3.4\n", "2.3.3\n")}, "", "version is 2.3.3"),
    ("unreleased", {"CHANGELOG.md": ("## 2.3.4 - 2026-12-01\n", "")}, "", ""),
    ("unreleased, with the tag", {"CHANGELOG.md": ("## 2.3.4 - 2026-12-01\n", "")}, "v2.3.4", "no section"),
    ("a section without a date", {"CHANGELOG.md": ("2.3.4 - 2026-12-01", "2.3.4")}, "", "invalid section"),
    ("an invalid version", {"Cargo.toml": ("2.3.4", "2.3")}, "", "invalid version"),
]


def check_notes(report: Report, work: Path) -> None:
    notes = repository(work / "notes", "2.3.4") / RELEASE / "notes"
    expected = (
        "### Added\nProbing\n- First entry, which is wrapped in two lines, with a [page](https://git.example.com/docs/http.md) and a"
        " [site](https://example.com/).\n- Second entry.\n\n### Fixed\n- Third entry.\n"
    )
    found = run(notes, "2.3.4", "https://git.example.com/").stdout
    report.check("notes of a version", [] if found == expected else [found])
    report.check("notes of an unknown version", refusal(run(notes, "2.3"), "no section"))
    report.check("notes of an empty section", refusal(run(notes, "Unreleased"), "empty"))


# --- files of a release


def check_checksums(report: Report, work: Path) -> None:
    folder = work / "checksums"
    folder.mkdir()
    script = f"{RELEASE}/checksums"
    report.check("checksums of no files", refusal(run(script, folder), "no files"))
    for name in ("b.deb", "a.tar.gz"):
        (folder / name).write_text(name)
    errors = failure(run(script, folder)) + failure(run(script, folder))
    errors += failure(run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=folder))
    names = [line.split()[1] for line in (folder / "SHA256SUMS").read_text().splitlines()]
    report.check("checksums", errors + ([] if names == ["a.tar.gz", "b.deb"] else names))
    (folder / "a.tar.gz").write_text("changed")
    report.check("checksums of a changed file", refusal(run("sha256sum", "--check", "SHA256SUMS", cwd=folder), "a.tar.gz: FAILED"))


def check_chart(report: Report, work: Path) -> None:
    """With a program in place of Helm, which tests/helm/run has."""
    copy = repository(work / "chart", "2.3.4")
    helm = work / "bin" / "helm"
    helm.parent.mkdir()
    helm.write_text('#!/bin/sh\ncase $1 in package) cp "$4/values.yaml" "$3/" ;; esac\n')
    helm.chmod(0o755)
    path = f"{helm.parent}:{os.environ['PATH']}"
    done = run(copy / RELEASE / "chart", "registry.example.com/team/exporter", work, cwd=copy, PATH=path)
    expected = VALUES.replace('registry: ""', "registry: registry.example.com", 1)
    expected = expected.replace("repository: smtp-tls-exporter", "repository: team/exporter", 1)
    errors = failure(done) or ([] if (work / "values.yaml").read_text() == expected else [(work / "values.yaml").read_text()])
    report.check("chart with the image of the release", errors)
    values = ROOT / "deploy/helm/smtp-tls-exporter/values.yaml"
    if values.exists():
        shutil.copy(values, copy / "deploy/helm/smtp-tls-exporter/values.yaml")
        done = run(copy / RELEASE / "chart", "registry.example.com/team/exporter", work, cwd=copy, PATH=path)
        image = yaml.safe_load((work / "values.yaml").read_text())["image"] if done.returncode == 0 else {}
        found = (image.get("registry"), image.get("repository"))
        report.check("chart: values.yaml", failure(done) or ([] if found == ("registry.example.com", "team/exporter") else [str(found)]))
    report.check("chart with an invalid image", refusal(run(copy / RELEASE / "chart", "exporter", work, PATH=path), "invalid image"))


def check_build(report: Report, work: Path) -> None:
    """With programs in place of cargo, rustup and the compiler: what they are asked for."""
    programs = work / "programs"
    programs.mkdir()
    calls = work / "calls"
    for name in ("cargo", "cargo-auditable", "rustup", "musl-gcc"):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $* CC=$CC_{MUSL.replace("-", "_")}" >>{calls}\n')
        (programs / name).chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    # Without the tools of the repository, which would come first.
    copy = repository(work / "build", "2.3.4")
    shutil.copy(ROOT / "deploy/build-release", copy / "deploy/")
    for target, folder, expected in (
        (TARGET, "target/release", ["--bin smtp-tls-exporter CC="]),
        (MUSL, f"target/{MUSL}/release", [f"target add {MUSL}", f"--bin smtp-tls-exporter --target {MUSL} CC=musl-gcc"]),
    ):
        calls.unlink(missing_ok=True)
        done = run(copy / RELEASE / "build", target, cwd=copy, PATH=path)
        errors = failure(done) or [f"printed {done.stdout}"] * (done.stdout != f"{folder}/smtp-tls-exporter\n")
        made = calls.read_text() if calls.exists() else ""
        report.check(f"build for {target}", errors + [f"no call with {call}: {made}" for call in expected if call not in made])
    other = OTHER.replace("gnu", "musl")
    report.check("build: refuses another processor", refusal(run(f"{RELEASE}/build", other), "cannot be built"))
    report.check("build: refuses an unknown target", refusal(run(f"{RELEASE}/build", "x86_64-pc-windows-msvc"), "unknown target"))


def check_archive(report: Report, work: Path) -> None:
    script = f"{RELEASE}/archive"
    dynamic, static, script_file = work / "dynamic", work / "static", work / "script"
    for program, options in ((dynamic, []), (static, ["-static"])):
        subprocess.run(["cc", *options, "-x", "c", "-", "-o", program], input=b"int main(void) { return 0; }", check=True)
    script_file.write_text("#!/bin/sh\n")
    script_file.chmod(0o755)
    for name, target, binary, expected in (
        ("an unknown target", "riscv64gc-unknown-linux-gnu", dynamic, "unknown target"),
        ("a missing binary", TARGET, work / "missing", "no binary"),
        ("another processor", OTHER, dynamic, "not for"),
        ("a dynamic binary for musl", MUSL, dynamic, "not static"),
        ("a static binary without the version", MUSL, static, "not version"),
        ("a static binary for glibc", TARGET, static, "not dynamically linked"),
        ("a script", TARGET, script_file, "not for"),
        ("a binary without the version", TARGET, dynamic, "not version"),
    ):
        report.check(f"archive: refuses {name}", refusal(run(script, target, binary, work), expected))
    if not EXPORTER:
        return

    archives = []
    for number, zone in enumerate(("UTC", "Asia/Tokyo")):
        done = run(script, TARGET, EXPORTER, work / f"out{number}", TZ=zone)
        if done.returncode:
            report.check("archive", failure(done))
            return
        archives.append(Path(done.stdout.splitlines()[-1]))
    same = archives[0].read_bytes() == archives[1].read_bytes()
    report.check("archive is reproducible", [] if same else ["two runs differ"])
    with tarfile.open(archives[0]) as archive:
        members = {member.name: member for member in archive.getmembers()}
    folder = archives[0].name.removesuffix(".tar.gz")
    report.check("archive has one directory of its name", [name for name in members if name.split("/")[0] != folder])
    errors = [f"missing: {name}" for name in CONTENT if f"{folder}/{name}" not in members]
    for name, member in members.items():
        mode = 0o755 if member.isdir() or name == f"{folder}/smtp-tls-exporter" else 0o644
        if (member.mode, member.uid, member.gid) != (mode, 0, 0):
            errors.append(f"{name}: mode {member.mode:o}, owner {member.uid}:{member.gid}")
        if not (member.isfile() or member.isdir()) or (member.isfile() and member.size == 0):
            errors.append(f"{name}: empty, or not a file")
    report.check("content of the archive", errors)


CONTENT = (
    "smtp-tls-exporter",
    "LICENSE",
    "third-party-licenses.txt",
    "README.md",
    "CHANGELOG.md",
    "config.example.yaml",
    "systemd/smtp-tls-exporter.service",
    "prometheus/smtp-tls.rules.yaml",
    "prometheus/scrape.example.yaml",
    "alertmanager/alertmanager.example.yaml",
    "dashboards/smtp-tls-overview.json",
    "man/man1/smtp-tls-exporter.1",
    "man/man1/smtp-tls-exporter-check.1",
    "completions/smtp-tls-exporter.bash",
    "completions/_smtp-tls-exporter",
    "completions/smtp-tls-exporter.fish",
)


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
