"""Checks of the versions and of the scripts in deploy/release."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import yaml
from support import ROOT, Errors, Report, failure, refusal, run, shipped_files

EXPORTER = os.environ["EXPORTER_BIN"]
RELEASE = "deploy/release"
TARGET = f"{os.uname().machine}-unknown-linux-gnu"
MUSL = TARGET.replace("gnu", "musl")
# Of another processor.
OTHER = "aarch64-unknown-linux-gnu" if TARGET.startswith("x86_64") else "x86_64-unknown-linux-gnu"

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
        "### Added\nProbing\n- First entry, which is wrapped in two lines, with a [page](https://git.example.com/docs/http.md)"
        " and a [site](https://example.com/).\n- Second entry.\n\n### Fixed\n- Third entry.\n"
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
    image, path = "registry.example.com/team/exporter", f"{helm.parent}:{os.environ['PATH']}"

    def packaged() -> tuple[Errors, str]:
        done = run(copy / RELEASE / "chart", image, work, cwd=copy, PATH=path)
        return failure(done), (work / "values.yaml").read_text() if done.returncode == 0 else ""

    expected = VALUES.replace('registry: ""', "registry: registry.example.com", 1)
    expected = expected.replace("repository: smtp-tls-exporter", "repository: team/exporter", 1)
    errors, values = packaged()
    report.check("chart with the image of the release", errors or [values] * (values != expected))
    done = run(copy / RELEASE / "chart", "exporter", work, PATH=path)
    report.check("chart with an invalid image", refusal(done, "invalid image"))

    shipped = ROOT / "deploy/helm/smtp-tls-exporter/values.yaml"
    if not shipped.exists():
        report.check("values.yaml of the chart", ["file not found"])
        return
    shutil.copy(shipped, copy / "deploy/helm/smtp-tls-exporter")
    errors, values = packaged()
    found = {} if errors else yaml.safe_load(values)["image"]
    names = f"{found.get('registry')}/{found.get('repository')}"
    report.check("values.yaml of the chart", errors or [names] * (names != image))


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
    "web-config.example.yaml",
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
