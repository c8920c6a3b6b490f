"""Checks of the packages on the Debian system that runs them: install, upgrade, remove and purge the Debian package; install,
upgrade and erase the RPM package, whose dependencies a Debian system cannot satisfy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

HERE = Path("/run/unit-test")
NAME = "smtp-tls-exporter"
ETC = Path(f"/etc/{NAME}")
CONFIG = ETC / "config.yaml"
FLAGS = Path(f"/etc/default/{NAME}")
TARGETS = ETC / "targets.d/local.yaml"
LINK = Path(f"/etc/systemd/system/multi-user.target.wants/{NAME}.service")

FIRST = HERE / "first"
SECOND = HERE / "second"
PORT = 10465
OTHER_PORT = 10466

# Nothing listens there; a refused connection is enough.
TARGET = "- {host: 127.0.0.1, port: 25, name: local}\n"
COMMENT = "# Changed by the administrator.\n"
INVALID = "targets: [{hosts: smtp.example.com}]\n"

TIMEOUT = 20.0


class Failed(Exception):
    """A check failed; the message has what was seen instead."""


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


def run(*command: str | Path, status: int = 0) -> str:
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=40)
    expect(result.returncode == status, f"{' '.join(map(str, command))}: {result.returncode}: {result.stdout}")
    return result.stdout


def dpkg(*arguments: str | Path) -> str:
    return run("dpkg", "--force-unsafe-io", *arguments)


def rpm(*arguments: str | Path) -> str:
    return run("rpm", "--force-debian", "--nodeps", *arguments)


def package(folder: Path, kind: str) -> Path:
    [found] = folder.glob(f"*.{kind}")
    return found


def show(key: str) -> str:
    return run("systemctl", "show", f"--property={key}", "--value", NAME).strip()


def expect_state(active: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while show("ActiveState") != active:
        expect(time.monotonic() < deadline, f"{show('ActiveState')} instead of {active}")
        time.sleep(0.1)


def metrics(port: int) -> str | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
            return response.read().decode()
    except (OSError, urllib.error.URLError):
        return None


def await_sample(port: int, name: str, value: float) -> None:
    deadline = time.monotonic() + TIMEOUT
    while True:
        text = metrics(port) or ""
        found = [float(sample) for sample in re.findall(rf"^{name}(?:\{{.*\}})? (\S+)", text, re.MULTILINE)]
        if found == [value]:
            return
        expect(time.monotonic() < deadline, f"{name}: {found} instead of {value}")
        time.sleep(0.2)


def main_pid() -> str:
    """The process of the service, which must run the installed program."""
    pid = show("MainPID")
    expect(pid != "0", "it does not run")
    program = os.readlink(f"/proc/{pid}/exe")
    expect(program == f"/usr/bin/{NAME}", program)
    return pid


def all_files() -> set[str]:
    """Files and directories where packages may write, without the databases of the package managers."""
    left_out = {"/var/lib/dpkg", "/var/lib/rpm"}
    found = set()
    for root in ("/etc", "/usr", "/var/lib", "/opt", "/srv"):
        for folder, folders, files in os.walk(root):
            folders[:] = [name for name in folders if os.path.join(folder, name) not in left_out]
            found.update(os.path.join(folder, name) for name in folders + files)
    return found


def is_enabled(expected: bool) -> None:
    expect(LINK.is_symlink() == expected, f"{LINK}: {LINK.is_symlink()}")


def enabled_units() -> set[str]:
    listed = run("systemctl", "list-unit-files", "--plain", "--no-legend")
    return {unit for unit, state, *_ in map(str.split, listed.splitlines()) if state.startswith("enabled")}


def start_as_at_boot() -> None:
    """Stops the units of the package, and starts those that a boot starts, in its order."""
    units = run("systemctl", "list-units", "--all", "--plain", "--no-legend", f"{NAME}*").splitlines()
    run("systemctl", "stop", *(line.split()[0] for line in units))
    expect_state("inactive")
    for target in ("sockets.target", "multi-user.target"):
        for unit in run("systemctl", "show", "--property=Wants", "--value", target).split():
            if unit.startswith(NAME):
                run("systemctl", "start", unit)


before: set[str] = set()
enabled_before: set[str] = set()


@check("deb: an installation enables and starts the service, which has no targets, and no other unit")
def installs() -> None:
    global before, enabled_before
    before = all_files()
    enabled_before = enabled_units()
    dpkg("--install", package(FIRST, "deb"))
    expect_state("active")
    is_enabled(True)
    added = enabled_units() - enabled_before
    expect(added == {f"{NAME}.service"}, added)
    await_sample(PORT, "smtp_tls_exporter_targets", 0)
    main_pid()


@check("deb: a target file is loaded without a reload")
def target_file() -> None:
    TARGETS.write_text(TARGET)
    await_sample(PORT, "smtp_tls_exporter_targets", 1)


@check("deb: an upgrade keeps changed configuration files and restarts the service")
def upgrades() -> None:
    old = main_pid()
    CONFIG.write_text(COMMENT + CONFIG.read_text())
    FLAGS.write_text(f'ARGS="--web.listen-address=127.0.0.1:{OTHER_PORT}"\n')
    dpkg("--install", package(SECOND, "deb"))
    version = run("dpkg-query", "--show", "--showformat=${Version} ${db:Status-Status}", NAME)
    expect(version == f"{(HERE / 'second-version').read_text().strip()}-1 installed", version)
    expect_state("active")
    await_sample(OTHER_PORT, "smtp_tls_exporter_targets", 1)
    expect(main_pid() != old, "not restarted")
    expect(CONFIG.read_text().startswith(COMMENT), CONFIG.read_text())


@check("deb: after an upgrade, a boot starts the service on its changed listen address")
def boots() -> None:
    start_as_at_boot()
    expect_state("active")
    await_sample(OTHER_PORT, "smtp_tls_exporter_targets", 1)
    expect(show("NRestarts") == "0", show("NRestarts"))
    expect(metrics(PORT) is None, f"port {PORT} is open")
    added = enabled_units() - enabled_before
    expect(added == {f"{NAME}.service"}, added)


@check("deb: a service that was stopped and disabled stays so after an upgrade")
def stays_disabled() -> None:
    run("systemctl", "disable", "--now", "--quiet", NAME)
    dpkg("--install", package(FIRST, "deb"))
    expect_state("inactive")
    is_enabled(False)
    run("systemctl", "enable", "--now", "--quiet", NAME)
    expect_state("active")


@check("deb: an upgrade with an invalid configuration succeeds and reports why the service failed")
def invalid() -> None:
    valid = CONFIG.read_text()
    CONFIG.write_text(INVALID)
    output = dpkg("--install", package(SECOND, "deb"))
    # The invalid key.
    expect("systemctl status" in output and "hosts" in output, output)
    expect_state("failed")
    expect(run("dpkg-query", "--show", "--showformat=${db:Status-Status}", NAME) == "installed", "not installed")
    CONFIG.write_text(valid)
    run("systemctl", "start", NAME)
    expect_state("active")


@check("deb: a removal stops the service and keeps the configuration")
def removes() -> None:
    dpkg("--remove", NAME)
    expect_state("inactive")
    expect(metrics(OTHER_PORT) is None, "it still answers")
    expect(not Path(f"/usr/bin/{NAME}").exists(), "the program is still there")
    expect(CONFIG.read_text().startswith(COMMENT) and FLAGS.exists() and TARGETS.exists(), sorted(ETC.rglob("*")))


@check("deb: an installation after a removal starts the service with the kept configuration")
def installs_again() -> None:
    dpkg("--install", package(SECOND, "deb"))
    expect_state("active")
    await_sample(OTHER_PORT, "smtp_tls_exporter_targets", 1)


@check("deb: a purge leaves nothing but files of the administrator")
def purges() -> None:
    dpkg("--purge", NAME)
    expect_state("inactive")
    expect(show("LoadState") == "not-found", show("LoadState"))
    left = all_files() - before
    expect(left == {str(ETC), str(TARGETS.parent), str(TARGETS)}, sorted(left))
    TARGETS.unlink()
    TARGETS.parent.rmdir()
    ETC.rmdir()


@check("rpm: an installation does not start the service")
def rpm_installs() -> None:
    rpm("--install", package(FIRST, "rpm"))
    expect_state("inactive")
    run("systemctl", "enable", "--now", "--quiet", NAME)
    expect_state("active")
    await_sample(PORT, "smtp_tls_exporter_targets", 0)
    added = enabled_units() - enabled_before
    expect(added == {f"{NAME}.service"}, added)


@check("rpm: an upgrade keeps changed configuration files and restarts the service")
def rpm_upgrades() -> None:
    old = main_pid()
    CONFIG.write_text(COMMENT + CONFIG.read_text())
    FLAGS.write_text(f'ARGS="--web.listen-address=127.0.0.1:{OTHER_PORT}"\n')
    rpm("--upgrade", package(SECOND, "rpm"))
    expect_state("active")
    await_sample(OTHER_PORT, "smtp_tls_exporter_targets", 0)
    expect(main_pid() != old, "not restarted")
    is_enabled(True)
    expect(CONFIG.read_text().startswith(COMMENT), CONFIG.read_text())


@check("rpm: an erasure stops the service and leaves only changed configuration files, under another name")
def rpm_erases() -> None:
    rpm("--erase", NAME)
    expect_state("inactive")
    expect(show("LoadState") == "not-found", show("LoadState"))
    saved = {f"{CONFIG}.rpmsave", f"{FLAGS}.rpmsave"}
    # On systems that use RPM, it belongs to the package `filesystem`.
    left = all_files() - before - {"/usr/share/licenses"}
    expect(left == {str(ETC), *saved}, sorted(left))


def main() -> int:
    (HERE / "started").touch()
    # The host may have one, which keeps packages from starting services.
    Path("/usr/sbin/policy-rc.d").unlink(missing_ok=True)
    # Without it, man-db does not index all manual pages after each installation.
    Path("/var/lib/man-db/auto-update").unlink(missing_ok=True)
    for name, function in CHECKS:
        try:
            function()
        except Exception as error:
            print(f"FAILED {name}: {type(error).__name__}: {error}")
            print(run("journalctl", "--no-pager", "--lines=40", "--output=short-precise"))
            return 1
        print(f"ok {name}")
    return 0


sys.exit(main())
