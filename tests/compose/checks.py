"""What runs in the containers is held against what deploy/compose promises: `checks.py IMAGE`, where all has started.
Without an image only the files are checked."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "deploy" / "compose"
PATIENCE = float(os.environ.get("PATIENCE", "60"))
BEGAN = time.monotonic()

BINARY = "/usr/bin/smtp-tls-exporter"

PROMETHEUS = "http://127.0.0.1:9090/api/v1"
ALERTMANAGER = "http://127.0.0.1:9093/api/v2"


def docker(*words: str, expect: int = 0) -> str:
    done = subprocess.run(["/usr/bin/docker", *words], capture_output=True, timeout=60)
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == expect, f"docker {' '.join(words)}: exit {done.returncode}: {said}"
    return said


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as response:
        body = response.read().decode()
        return json.loads(body) if "json" in response.headers["Content-Type"] else body


def wait_until(what: Callable[[], Any], seconds: float = 60) -> Any:
    """Polls until `what` gives something true; what it says or raises last is told otherwise."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found, last = what(), "nothing"
        except (OSError, AssertionError, LookupError) as error:
            found, last = None, f"{type(error).__name__}: {error}"
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {last}"
        time.sleep(0.2)


# --- the image


def image_adds_one_file(image: str) -> None:
    """No shell, no tool, no source: what the base does not hold is the program."""
    assert _files(image) - _files(os.environ["BASE_IMAGE"]) == {BINARY.lstrip("/")}


def _files(image: str) -> set[str]:
    container = docker("create", image, "x").strip()
    try:
        exported = subprocess.run(
            ["/usr/bin/docker", "export", container], capture_output=True, check=True, timeout=60
        ).stdout
    finally:
        docker("rm", container)
    with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
        # Docker itself lays these into every container.
        own = {".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/mtab"}
        return {each.name for each in archive if not each.isdir()} - own


def image_says_what_it_is(image: str) -> None:
    config = json.loads(docker("inspect", image))[0]["Config"]
    assert config["User"] == "65532:65532", config["User"]
    assert config["Healthcheck"]["Test"] == ["CMD", BINARY, "health"], config["Healthcheck"]
    assert config["ExposedPorts"] == {"10465/tcp": {}}, config["ExposedPorts"]


def image_without_config_says_which(image: str) -> None:
    said = docker("run", "--rm", image, expect=2)
    assert "/etc/smtp-tls-exporter/config.yaml" in said, said


def image_trusts_the_roots_of_its_base(image: str) -> None:
    docker("run", "--rm", "--volume", f"{ROOT}/tests/compose/roots.yaml:/config.yaml:ro", image,
           "--config.file=/config.yaml", "--config.check")  # fmt: skip


# --- the exporter in its container


def exporter_becomes_healthy(_: str) -> None:
    wait_until(lambda: _state()["Health"]["Status"] == "healthy", 90)


def exporter_that_does_not_answer_is_not_healthy(_: str) -> None:
    said = docker("exec", _exporter(), BINARY, "health", "http://127.0.0.1:1", expect=1)
    assert "no connection" in said, said


def exporter_is_confined(_: str) -> None:
    status = Path(f"/proc/{_state()['Pid']}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["65532"] * 4, fields["Uid"]
    assert int(fields["CapBnd"], 16) == 0, fields["CapBnd"]
    assert fields["NoNewPrivs"] == "1", fields["NoNewPrivs"]
    host = json.loads(docker("inspect", _exporter()))[0]["HostConfig"]
    assert host["ReadonlyRootfs"], host


def exporter_sees_the_demo(_: str) -> None:
    def matched() -> bool:
        lines = get("http://127.0.0.1:10465/metrics").splitlines()
        good = [line for line in lines if line.startswith("smtp_tls_target_backends_hostname_m")]
        return sum('server_name="smtp.example.com"' in line and line.endswith((" 1", " 2")) for line in good) == 2

    wait_until(matched)


def _exporter() -> str:
    """The container, running or not: versions of compose name it differently."""
    return docker("ps", "--all", "--quiet", "--filter", "label=com.docker.compose.service=exporter").strip()


def _state() -> Any:
    return json.loads(docker("inspect", _exporter()))[0]["State"]


# --- what stands beside it


def prometheus_scrapes_it(_: str) -> None:
    wait_until(lambda: _query('up{job="smtp_tls",instance="exporter:10465"} == 1'))
    wait_until(lambda: _query('smtp_tls_target_info{team="mail",target="smtp.example.com"} == 1'))


def prometheus_takes_all_rules(_: str) -> None:
    def evaluated() -> bool:
        groups = get(f"{PROMETHEUS}/rules")["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert len(rules) > 25, len(rules)
        bad = [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] not in ("ok", "unknown")]
        assert not bad, bad
        return all(rule["health"] == "ok" for rule in rules)

    wait_until(evaluated)


def alertmanager_pages(_: str) -> None:
    """The reason that all this is for, in its words, within five minutes (of the shipped rules)."""

    def page() -> Any:
        alerts = get(f"{ALERTMANAGER}/alerts")
        wanted = {"alertname": "SmtpTlsTargetPartlyMismatched", "server_name": "smtp.example.com", "team": "mail"}
        return next((each for each in alerts if wanted.items() <= each["labels"].items()), None)

    found = wait_until(page, PATIENCE)
    print(f"# {found['labels']['alertname']} after {time.monotonic() - BEGAN:.0f} s")
    description = found["annotations"]["description"]
    for word in ("presents mail.example.com", "reissued with smtp.example.com", "let clients use mail.example.com"):
        assert word in description, description


def _query(expression: str) -> list[Any]:
    found: list[Any] = get(f"{PROMETHEUS}/query?query={urllib.request.quote(expression)}")["data"]["result"]
    return found


# --- Grafana's part, which no package has


def grafana_finds_its_files(_: str) -> None:
    service = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]["grafana"]
    mounts = dict(reversed(each.split(":")[:2]) for each in service["volumes"])
    for there, here in mounts.items():
        assert (COMPOSE / here).exists(), here
        assert there.startswith(("/etc/grafana/provisioning/", "/var/lib/grafana/dashboards/")), there
    provider = yaml.safe_load((ROOT / "dashboards" / "provisioning.yaml").read_text())["providers"][0]
    folder = provider["options"]["path"]
    assert (COMPOSE / mounts[folder]).resolve() == ROOT / "dashboards", mounts
    home = service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.startswith(f"{folder}/") and (ROOT / "dashboards" / home.removeprefix(f"{folder}/")).exists(), home
    source = yaml.safe_load((COMPOSE / "grafana-datasource.yaml").read_text())["datasources"][0]
    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", "http://prometheus:9090", True)


def images_have_versions(_: str) -> None:
    services = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
    for name, service in services.items():
        assert "build" in service or service["image"].rpartition(":")[2].strip("v")[:1].isdigit(), name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} listens to all the world: {port}"


# --- last


def exporter_ends_when_asked(_: str) -> None:
    began = time.monotonic()
    docker("stop", "--time=20", _exporter())
    took = time.monotonic() - began
    assert _state()["ExitCode"] == 0 and took < 10, (_state(), took)


FILES: list[Callable[[str], None]] = [images_have_versions, grafana_finds_its_files]
CHECKS: list[Callable[[str], None]] = [
    *FILES,
    image_adds_one_file,
    image_says_what_it_is,
    image_without_config_says_which,
    image_trusts_the_roots_of_its_base,
    exporter_sees_the_demo,
    exporter_becomes_healthy,
    exporter_that_does_not_answer_is_not_healthy,
    exporter_is_confined,
    prometheus_scrapes_it,
    prometheus_takes_all_rules,
    alertmanager_pages,
    exporter_ends_when_asked,
]


def main(image: str = "") -> int:
    checks = CHECKS if image else FILES
    failed = 0
    for check in checks:
        name = check.__name__.replace("_", " ")
        try:
            check(image)
            print(f"ok {name}", flush=True)
        except Exception as error:  # noqa: BLE001 - the others are still to be seen
            failed += 1
            print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)
    print(f"{len(checks) - failed} checks passed" + (f", {failed} failed" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
