"""Checks of the built packages without installing them: checks.py EXPORTER FIRST SECOND VERSION, where FIRST and SECOND are
directories with a .deb and a .rpm each, SECOND with the given version of Cargo."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
NAME = "smtp-tls-exporter"
SHARE = f"/usr/share/{NAME}"
DOC = f"/usr/share/doc/{NAME}"
CONFIG_FILES = {f"/etc/default/{NAME}", f"/etc/{NAME}/config.yaml", f"/etc/{NAME}/targets.d/README"}

# Files of both packages.
FILES = {
    *CONFIG_FILES,
    f"/usr/bin/{NAME}",
    f"/usr/lib/systemd/system/{NAME}.service",
    f"/usr/share/man/man1/{NAME}.1.gz",
    f"/usr/share/man/man1/{NAME}-check.1.gz",
    f"/usr/share/bash-completion/completions/{NAME}",
    f"/usr/share/fish/vendor_completions.d/{NAME}.fish",
    f"{SHARE}/prometheus/smtp-tls.rules.yaml",
    f"{SHARE}/alertmanager/alertmanager.example.yaml",
    f"{SHARE}/dashboards/smtp-tls-overview.json",
    f"{SHARE}/icinga/smtp-tls.conf",
    f"{SHARE}/systemd/{NAME}.socket",
    f"{DOC}/README.md",
    f"{DOC}/changelog.gz",
    f"{DOC}/docs/metrics.md",
    f"{DOC}/docs/runbooks/SmtpTlsHostnameMismatch.md",
    f"{DOC}/examples/config.yaml",
    f"{DOC}/examples/web-config.yaml",
}
DEB_FILES = FILES | {
    f"{DOC}/copyright",
    f"{DOC}/changelog.Debian.gz",
    f"{DOC}/third-party-licenses.txt.gz",
    f"/usr/share/zsh/vendor-completions/_{NAME}",
    f"/usr/share/lintian/overrides/{NAME}",
}
RPM_FILES = FILES | {
    f"/usr/share/licenses/{NAME}/LICENSE",
    f"/usr/share/licenses/{NAME}/third-party-licenses.txt.gz",
    f"/usr/share/zsh/site-functions/_{NAME}",
}
# The packages have no other files than these and those below these directories.
DIRECTORIES = (f"{SHARE}/", f"{DOC}/", f"/usr/share/licenses/{NAME}/", f"/usr/share/man/man1/{NAME}")
# Of the package in RPM; other directories belong to other packages.
RPM_DIRECTORIES = (f"/etc/{NAME}", SHARE, DOC, f"/usr/share/licenses/{NAME}")


class Failed(Exception):
    """A check failed; the message has what was seen instead."""


class Entry(NamedTuple):
    path: str
    mode: int
    owner: str
    is_dir: bool


Check = Callable[[], None]
CHECKS: list[tuple[str, Check]] = []


def check(name: str) -> Callable[[Check], Check]:
    def register(function: Check) -> Check:
        CHECKS.append((name, function))
        return function

    return register


def expect(condition: bool, seen: object) -> None:
    if not condition:
        raise Failed(str(seen))


def run(*command: str | Path, **options: object) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


exporter, first, second = (Path(argument) for argument in sys.argv[1:4])
version = sys.argv[4]


def package(folder: Path, kind: str) -> Path:
    [found] = folder.glob(f"*.{kind}")
    return found


def deb_entries() -> Iterator[Entry]:
    content = subprocess.run(["dpkg-deb", "--fsys-tarfile", package(first, "deb")], check=True, stdout=subprocess.PIPE).stdout
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            path = "/" + member.name.removeprefix("./").strip("/")
            yield Entry(path, member.mode, f"{member.uid}:{member.gid}", member.isdir())


def rpm_entries() -> Iterator[Entry]:
    fields = "[%{FILENAMES}\t%{FILEMODES}\t%{FILEUSERNAME}:%{FILEGROUPNAME}\n]"
    for line in run("rpm", "-qp", f"--queryformat={fields}", package(first, "rpm")).splitlines():
        path, mode, owner = line.split("\t")
        yield Entry(path, int(mode) & 0o7777, owner, int(mode) & 0o170000 == 0o040000)


def expect_entries(entries: list[Entry], owner: str, required: set[str]) -> None:
    files = {entry.path for entry in entries if not entry.is_dir}
    expect(required <= files, f"missing: {sorted(required - files)}")
    others = {path for path in files - required if not path.startswith(DIRECTORIES)}
    expect(not others, f"not expected: {sorted(others)}")
    for entry in entries:
        mode = 0o755 if entry.is_dir or entry.path == f"/usr/bin/{NAME}" else 0o644
        expect(entry.mode == mode and entry.owner == owner, f"{entry.path}: {entry.mode:o} {entry.owner}")


def control(folder: Path, field: str) -> str:
    return run("dpkg-deb", "--field", package(folder, "deb"), field).strip()


def tag(folder: Path, name: str) -> str:
    return run("rpm", "-qp", f"--queryformat=%{{{name}}}", package(folder, "rpm"))


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@check("deb: files, modes and owners")
def deb_files() -> None:
    expect_entries(list(deb_entries()), "0:0", DEB_FILES)


@check("deb: configuration files")
def deb_config_files() -> None:
    found = set(run("dpkg-deb", "--info", package(first, "deb"), "conffiles").split())
    expect(found == CONFIG_FILES, found)


@check("deb: fields")
def deb_fields() -> None:
    depends = control(first, "Depends")
    expect(re.search(r"\blibc6 \(>= 2\.\d+\)", depends) is not None, depends)
    expect(control(first, "Recommends") == "ca-certificates", control(first, "Recommends"))
    expect(control(first, "Architecture") == run("dpkg", "--print-architecture").strip(), control(first, "Architecture"))


@check("rpm: files, modes and owners")
def rpm_files() -> None:
    entries = list(rpm_entries())
    expect_entries(entries, "root:root", RPM_FILES)
    found = {entry.path for entry in entries if entry.is_dir}
    missing = {path for path in RPM_DIRECTORIES if path not in found}
    expect(not missing, f"directories without an owner: {missing}")


@check("rpm: configuration files")
def rpm_config_files() -> None:
    flags = run("rpm", "-qp", "--queryformat=[%{FILENAMES}\t%{FILEFLAGS:fflags}\n]", package(first, "rpm"))
    # c: config, n: noreplace.
    found = {line.split("\t")[0]: line.split("\t")[1] for line in flags.splitlines()}
    expect({path for path, flags in found.items() if "c" in flags} == CONFIG_FILES, flags)
    expect(all("n" in found[path] for path in CONFIG_FILES), flags)
    documents = {path for path, flags in found.items() if "d" in flags}
    expect(f"{DOC}/README.md" in documents, documents)


@check("rpm: fields")
def rpm_fields() -> None:
    requires = run("rpm", "-qp", "--requires", package(first, "rpm"))
    expect(re.search(r"^libc\.so\.6\(GLIBC_2\.\d+\)\(64bit\)$", requires, re.MULTILINE) is not None, requires)
    expect(tag(first, "LICENSE") == "Apache-2.0", tag(first, "LICENSE"))
    expect(tag(first, "BUILDHOST") == "localhost", tag(first, "BUILDHOST"))


@check("the version is that of Cargo.toml, and a pre-release sorts before the release")
def versions() -> None:
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
    expected = manifest["workspace"]["package"]["version"].replace("-", "~", 1)
    expect(control(first, "Version") == f"{expected}-1", control(first, "Version"))
    expect(tag(first, "VERSION") == expected, tag(first, "VERSION"))
    release, pre = version.split("-", 1)
    expect(control(second, "Version") == f"{release}~{pre}-1", control(second, "Version"))
    expect(tag(second, "VERSION") == f"{release}~{pre}", tag(second, "VERSION"))
    run("dpkg", "--compare-versions", control(second, "Version"), "lt", f"{release}-1")


@check("both packages have the release binary, unchanged")
def same_binary() -> None:
    expected = digest(exporter.read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        run("dpkg-deb", "--extract", package(first, "deb"), folder)
        expect(digest((Path(folder) / f"usr/bin/{NAME}").read_bytes()) == expected, "deb: another binary")
    found = run("rpm", "-qp", "--queryformat=[%{FILENAMES} %{FILEDIGESTS}\n]", package(first, "rpm"))
    expect(f"/usr/bin/{NAME} {expected}\n" in found, "rpm: another binary")


@check("the default configuration is valid, without targets")
def default_config() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run("dpkg-deb", "--extract", package(first, "deb"), folder)
        run(exporter, f"--config.file={folder}/etc/{NAME}/config.yaml", "--config.check", stderr=subprocess.DEVNULL)


@check("links of the installed pages lead to installed files")
def links() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run("dpkg-deb", "--extract", package(first, "deb"), folder)
        pages = sorted((Path(folder) / DOC[1:]).rglob("*.md"))
        expect(len(pages) > 20, f"{pages}")
        for page in pages:
            for link in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
                target = Path(folder) / link[1:] if link.startswith("/") else page.parent / link
                expect("://" in link or target.exists(), f"{page.relative_to(folder)}: {link}")


@check("the packages name no path of this host")
def no_paths() -> None:
    home = str(Path.home()).encode()
    with tempfile.TemporaryDirectory() as folder:
        run("dpkg-deb", "--raw-extract", package(first, "deb"), f"{folder}/deb")
        Path(folder, "rpm").mkdir()
        extract = 'rpm2cpio "$1" | cpio --extract --make-directories --quiet'
        run("sh", "-c", extract, "sh", package(first, "rpm"), cwd=f"{folder}/rpm")
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        expect(sum(path.name == NAME and path.parent.name == "bin" for path in files) == 2, "not extracted")
        for path in files:
            text = path.read_bytes()
            found = [name for name in (str(ROOT).encode(), home + b"/") if name in text]
            expect(not found, f"{path.relative_to(folder)}: {found}")


@check("licenses of the crates that are linked")
def licenses() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run("dpkg-deb", "--extract", package(first, "deb"), folder)
        text = zlib.decompress(Path(f"{folder}{DOC}/third-party-licenses.txt.gz").read_bytes(), wbits=31).decode()
        copyright = Path(f"{folder}{DOC}/copyright").read_text()
    expect("third-party-licenses.txt.gz" in copyright, copyright)
    for words in ("aws-lc-sys ", "rustls 0.", "webpki-roots ", "Apache License", "Permission is hereby", "CDLA-Permissive"):
        expect(words in text, f"not there: {words}")


def locked() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for entry in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]:
        found.setdefault(entry["name"], set()).add(entry["version"])
    return found


@check("SBOM: the crates of Cargo.lock that are linked, and no paths of this host")
def sbom() -> None:
    text = run(ROOT / "deploy/sbom")
    document = json.loads(text)
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
    program = document["metadata"]["component"]
    expect(program["version"] == manifest["workspace"]["package"]["version"], program)
    components = {component["name"]: component for component in document["components"]}
    for name in ("rustls", "aws-lc-rs", "aws-lc-sys", "rustls-webpki", "hickory-resolver", "tokio"):
        expect(components[name]["version"] in locked()[name], components[name])
        expect(len(components[name]["hashes"][0]["content"]) == 64, components[name])
    # Only in tests, only at build time, and not enabled.
    found = {"rcgen", "smtp-fleet", "proptest", "cc", "syn", "ring"} & components.keys()
    expect(not found, f"not linked: {found}")
    references = {component["bom-ref"] for component in document["components"]} | {program["bom-ref"]}
    edges = {edge["ref"]: edge["dependsOn"] for edge in document["dependencies"]}
    expect(edges.keys() == references, references ^ edges.keys())
    used = {target for targets in edges.values() for target in targets}
    expect(used == references - {program["bom-ref"]}, references - used)
    for path in (str(ROOT), str(Path.home()) + "/"):
        expect(path not in text, path)
    expect(text == run(ROOT / "deploy/sbom"), "not reproducible")


@check("the binary contains the list of its dependencies")
def auditable() -> None:
    # Written by cargo-auditable: JSON, compressed with zlib.
    with tempfile.NamedTemporaryFile() as section:
        run("objcopy", f"--dump-section=.dep-v0={section.name}", exporter, "/dev/null")
        packages = json.loads(zlib.decompress(Path(section.name).read_bytes()))["packages"]
    runtime = {entry["name"]: entry["version"] for entry in packages if entry.get("kind", "runtime") == "runtime"}
    for name in ("rustls", "aws-lc-rs", "tokio"):
        expect(runtime.get(name) in locked()[name], f"{name}: {runtime.get(name)}")
    expect(not {"rcgen", "smtp-fleet", "proptest"} & runtime.keys(), sorted(runtime))


def main() -> int:
    failed = False
    for name, function in CHECKS:
        try:
            function()
        except Exception as error:
            print(f"FAILED {name}: {type(error).__name__}: {error}"[:3000])
            failed = True
        else:
            print(f"ok {name}")
    return int(failed)


sys.exit(main())
