"""Checks of the image and of the running containers of deploy/compose: `checks.py IMAGE`, after everything has started.
Without an image only the files are checked."""

from __future__ import annotations

import io
import json
import os
import re
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
TIMEOUT = float(os.environ.get("TIMEOUT", "60"))
STARTED = time.monotonic()

BINARY = "/usr/bin/smtp-tls-exporter"

PROMETHEUS = "http://127.0.0.1:9090/api/v1"
ALERTMANAGER = "http://127.0.0.1:9093/api/v2"


def docker(*words: str, expect: int = 0) -> str:
    done = subprocess.run(["/usr/bin/docker", *words], capture_output=True, timeout=60)
    output = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == expect, f"docker {' '.join(words)}: exit {done.returncode}: {output}"
    return output


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as response:
        body = response.read().decode()
        return json.loads(body) if "json" in response.headers["Content-Type"] else body


def wait_until(what: Callable[[], Any], seconds: float = 60) -> Any:
    """Polls until `what` returns something true. A timeout reports the last error."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found, last = what(), "no result"
        except (OSError, AssertionError, LookupError) as error:
            found, last = None, f"{type(error).__name__}: {error}"
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {last}"
        time.sleep(0.2)


# --- the image


def image_adds_one_file(image: str) -> None:
    """The image adds only the binary to its base: no shell, no tools, no sources."""
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
        # Docker adds these to every container.
        added = {".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/mtab"}
        return {each.name for each in archive if not each.isdir()} - added


def build_context_has_no_configuration_and_no_key(_: str) -> None:
    expected = {f"context/{name}" for name in os.environ["CONTEXT_FILES"].split()}
    assert _files("context") == expected, _files("context") ^ expected


def image_has_user_healthcheck_and_port(image: str) -> None:
    config = json.loads(docker("inspect", image))[0]["Config"]
    assert config["User"] == "65532:65532", config["User"]
    assert config["Healthcheck"]["Test"] == ["CMD", BINARY, "health"], config["Healthcheck"]
    assert config["ExposedPorts"] == {"10465/tcp": {}}, config["ExposedPorts"]


def image_names_the_missing_config_file(image: str) -> None:
    output = docker("run", "--rm", image, expect=2)
    assert "/etc/smtp-tls-exporter/config.yaml" in output, output


def image_trusts_the_roots_of_its_base(image: str) -> None:
    docker("run", "--rm", "--volume", f"{ROOT}/tests/compose/roots.yaml:/config.yaml:ro", image,
           "--config.file=/config.yaml", "--config.check")  # fmt: skip


# --- the exporter in its container


def exporter_becomes_healthy(_: str) -> None:
    wait_until(lambda: _state()["Health"]["Status"] == "healthy", 90)


def health_fails_without_an_exporter(_: str) -> None:
    output = docker("exec", _exporter(), BINARY, "health", "http://127.0.0.1:1", expect=1)
    assert "refused" in output.lower(), output


def exporter_is_confined(_: str) -> None:
    status = Path(f"/proc/{_state()['Pid']}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["65532"] * 4, fields["Uid"]
    assert int(fields["CapBnd"], 16) == 0, fields["CapBnd"]
    assert fields["NoNewPrivs"] == "1", fields["NoNewPrivs"]
    host = json.loads(docker("inspect", _exporter()))[0]["HostConfig"]
    assert host["ReadonlyRootfs"], host


def exporter_probes_the_demo(_: str) -> None:
    def matched() -> bool:
        lines = get("http://127.0.0.1:10465/metrics").splitlines()
        counts = [line for line in lines if line.startswith("smtp_tls_target_backends_hostname_m")]
        return sum('server_name="smtp.example.com"' in line and line.endswith((" 1", " 2")) for line in counts) == 2

    wait_until(matched)


def _exporter() -> str:
    """The id of the container, running or not. Its name depends on the version of compose."""
    return docker("ps", "--all", "--quiet", "--filter", "label=com.docker.compose.service=exporter").strip()


def _state() -> Any:
    return json.loads(docker("inspect", _exporter()))[0]["State"]


# --- Prometheus and Alertmanager


def prometheus_scrapes_it(_: str) -> None:
    wait_until(lambda: _query('up{job="smtp_tls",instance="exporter:10465"} == 1'))
    wait_until(lambda: _query('smtp_tls_target_info{team="mail",target="smtp.example.com"} == 1'))


def prometheus_evaluates_all_rules(_: str) -> None:
    def evaluated() -> bool:
        groups = get(f"{PROMETHEUS}/rules")["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert len(rules) > 25, len(rules)
        failing = [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] not in ("ok", "unknown")]
        assert not failing, failing
        return all(rule["health"] == "ok" for rule in rules)

    wait_until(evaluated)


def alertmanager_receives_the_mismatch_alert(_: str) -> None:
    """Within five minutes, if the durations of the rules are not divided."""

    def alert() -> Any:
        alerts = get(f"{ALERTMANAGER}/alerts")
        labels = {"alertname": "SmtpTlsHostnameMismatchPartial", "server_name": "smtp.example.com", "team": "mail"}
        return next((each for each in alerts if labels.items() <= each["labels"].items()), None)

    found = wait_until(alert, TIMEOUT)
    print(f"# {found['labels']['alertname']} after {time.monotonic() - STARTED:.0f} s")
    description = found["annotations"]["description"]
    # Presented by two backends and offered as an alternate name; the target's own name is also the one to add.
    for fact, count in (("mail.example.com", 3), ("not_listed", 2), ("smtp.example.com", 3)):
        assert description.count(fact) >= count, description


def _query(expression: str) -> list[Any]:
    found: list[Any] = get(f"{PROMETHEUS}/query?query={urllib.request.quote(expression)}")["data"]["result"]
    return found


# --- the files of Grafana


def grafana_files_exist(_: str) -> None:
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


def images_have_versions_and_digests(_: str) -> None:
    services = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
    images = [service["image"] for service in services.values() if "build" not in service]
    for image in images:
        assert re.search(r":v?[0-9.]+@", image), f"{image}: no version"
    dockerfile = (ROOT / "deploy" / "docker" / "Dockerfile").read_text()
    arguments = dict(re.findall(r"^ARG (\w+)=(.*)$", dockerfile, re.MULTILINE))
    stages = re.findall(r"^FROM \S+ AS (\S+)$", dockerfile, re.MULTILINE)
    for image in re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE):
        if image not in stages:
            images.append(arguments[image.strip("${}")])
    assert len(set(images)) == 5, images
    for image in images:
        assert re.fullmatch(r"[a-z.]+/[a-z/0-9-]+:[\w.-]+@sha256:[0-9a-f]{64}", image), f"{image}: no digest"


def ports_are_local(_: str) -> None:
    services = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
    for name, service in services.items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} listens on all interfaces: {port}"


# --- shutdown, the last check


def exporter_stops_on_sigterm(_: str) -> None:
    started = time.monotonic()
    docker("stop", "--time=20", _exporter())
    took = time.monotonic() - started
    assert _state()["ExitCode"] == 0 and took < 10, (_state(), took)


FILES: list[Callable[[str], None]] = [images_have_versions_and_digests, ports_are_local, grafana_files_exist]
CHECKS: list[Callable[[str], None]] = [
    *FILES,
    build_context_has_no_configuration_and_no_key,
    image_adds_one_file,
    image_has_user_healthcheck_and_port,
    image_names_the_missing_config_file,
    image_trusts_the_roots_of_its_base,
    exporter_probes_the_demo,
    exporter_becomes_healthy,
    health_fails_without_an_exporter,
    exporter_is_confined,
    prometheus_scrapes_it,
    prometheus_evaluates_all_rules,
    alertmanager_receives_the_mismatch_alert,
    exporter_stops_on_sigterm,
]


def main(image: str = "") -> int:
    checks = CHECKS if image else FILES
    failed = 0
    for check in checks:
        name = check.__name__.replace("_", " ")
        try:
            check(image)
            print(f"ok {name}", flush=True)
        except Exception as error:  # noqa: BLE001 - the other checks still run
            failed += 1
            print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)
    print(f"{len(checks) - failed} checks passed" + (f", {failed} failed" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
