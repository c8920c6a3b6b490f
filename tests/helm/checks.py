"""The checks of tests/helm/run."""

from __future__ import annotations

import base64
import copy
import json
import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import facts
import schemas
import yaml
from helm import CHART, HELM, HELM3, KUBECTL, ROOT, in_parallel, parse, rendered, run, template

Json = dict[str, Any]
EXPORTER = os.environ["EXPORTER_BIN"]
PROMTOOL = os.environ["PROMTOOL"]
FOLDER = "/etc/smtp-tls-exporter"
# The longest name of a release that Helm accepts.
LONG = "a-release-whose-name-is-as-long-as-helm-permits-it-00"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
CASES = {"default": []} | {
    file.name.removesuffix("-values.yaml"): [f"--values={file}"] for file in sorted((CHART / "ci").glob("*-values.yaml"))
}


def main() -> int:
    report = Report()
    for name, find_errors in CHECKS.items():
        report.check(name, find_errors)
    renderings = dict(zip(CASES, in_parallel(lambda args: rendered(*args), list(CASES.values()))))
    long = in_parallel(lambda args: rendered(*args, release=LONG), list(CASES.values()))
    older = in_parallel(lambda args: rendered(*args, helm=HELM3), list(CASES.values()))
    for (case, objects), of_long, of_older in zip(renderings.items(), long, older):
        report.check(f"{case}: Helm 3 renders the same", lambda: [] if objects == of_older else ["they differ"])
        report.check(f"{case}: schemas", lambda: (error for each in objects for error in schemas.errors(each)))
        for fact in facts.ALL:
            title = fact.__name__.replace("_", " ")
            report.check(f"{case}: {title}", lambda: fact(objects))
            report.check(f"{case}, long name: {title}", lambda: fact(of_long))
        report.check(f"{case}: flags", lambda: flag_errors(objects))
        report.check(f"{case}: the exporter accepts the configuration", lambda: config_errors(objects))
        report.check(f"{case}: promtool accepts the rules", lambda: rule_errors(objects))
    for case, expected in EXPECTED.items():
        for path, value in expected.items():
            report.check(f"{case}: {path}", lambda: expectation_errors(renderings[case], path, value))
    for (title, (values, words)), result in zip(REFUSED.items(), in_parallel(lambda each: template(values=each[0]), list(REFUSED.values()))):
        report.check(f"refused: {title}", lambda: refusal_errors(result, words))
    for title, (before, after, restarts) in RESTARTS.items():
        report.check(f"restarts: {title}", lambda: restart_errors(before, after, restarts))
    # Each fact must find an error that it is for.
    for title, (case, insert_error, fact) in BROKEN.items():
        broken = copy.deepcopy(renderings[case])
        insert_error(broken)
        report.check(f"{title} fails", lambda: [] if any(True for _ in fact(broken)) else ["no error found"])
    return report.exit_code()


class Report:
    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def check(self, name: str, find_errors: Callable[[], Any]) -> None:
        try:
            errors = list(find_errors())
        except Exception as error:  # A check that cannot run has failed.
            errors = [f"{type(error).__name__}: {error}"]
        if errors:
            self.failed += 1
            print(f"FAILED {name}", *errors[:20], sep="\n  ")
        else:
            self.passed += 1

    def exit_code(self) -> int:
        print(f"{self.passed} checks passed" + (f", {self.failed} failed" if self.failed else ""))
        return 1 if self.failed or not self.passed else 0


# --- the chart as a whole


def generated_errors() -> Iterator[str]:
    status, _, err = run(sys.executable, ROOT / "deploy" / "helm" / "generate", "--check")
    if status:
        yield err


def version_errors() -> Iterator[str]:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    yield from (f"{key}: {chart[key]}, Cargo.toml: {version}" for key in ("version", "appVersion") if chart[key] != version)


def lint_errors() -> Iterator[str]:
    def lint(arguments: tuple[str, list[str]]) -> tuple[int, str, str]:
        helm, args = arguments
        return run(helm, "lint", "--strict", CHART, *args)

    for status, out, err in in_parallel(lint, [(helm, args) for helm in (HELM, HELM3) for args in CASES.values()]):
        if status or "WARNING" in out:
            yield out + err


def package_errors() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        status, out, err = run(HELM, "package", CHART, f"--destination={folder}")
        packages = list(Path(folder).glob("smtp-tls-exporter-*.tgz"))
        if status or len(packages) != 1:
            yield out + err
            return
        # The limit of a Secret, in which Helm stores a release, is 1 MiB.
        if (size := packages[0].stat().st_size) > 300_000:
            yield f"{size} bytes"
        if template(helm=HELM)[1] != run(HELM, "template", "mail", packages[0], "--namespace=mail-monitoring")[1]:
            yield "the package renders something else than the folder"


def note_errors() -> Iterator[str]:
    """The notes warn if there are no targets, and have the URL of the status page."""
    for case, (is_empty, url) in {"default": (True, "http://localhost:10465/"), "tls": (False, "https://localhost:10465/smtp/")}.items():
        status, out, err = run(HELM, "install", "mail", CHART, "--dry-run=client", *CASES[case])
        notes = out.partition("NOTES:")[2]
        if status or ("WARNING: no targets" in notes) != is_empty or f"  {url}" not in notes.splitlines():
            yield f"{case}: {notes} {err}"


def leaves(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from leaves(part, f"{path}.{key}")
    else:
        yield path.removeprefix(".")


def unused_values() -> Iterator[str]:
    """Templates name values by their full path, or a part of the values as a whole."""
    text = "".join(file.read_text() for file in sorted((CHART / "templates").iterdir()))
    used: set[str] = set(re.findall(r"\.Values\.([A-Za-z_.]*[A-Za-z_])", text))
    # Passed to a helper as `monitor` or `parameters`, which uses these parts.
    used |= {f"{monitor}.{part}" for monitor in ("serviceMonitor", "podMonitor", "probe") for part in ("tlsConfig", "basicAuth")
             if f".monitor.{part}" in text}
    used |= {f"prometheusRule.parameters.{part}" for part in re.findall(r"\$parameters\.([a-z_.]*[a-z_])", text)}
    for leaf in leaves(VALUES):
        parents = [leaf.rsplit(".", count)[0] for count in range(leaf.count(".") + 1)]
        wholes = used - {"prometheusRule.parameters", "serviceMonitor", "podMonitor", "probe"}
        if not wholes & set(parents):
            yield leaf
    for name in wholes_without_values(used):
        yield f"{name} is in a template, but not in values.yaml"


def wholes_without_values(used: set[str]) -> Iterator[str]:
    free = ("webConfig.", "config.")
    for name in sorted(used):
        value: Any = VALUES
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is None and not name.startswith(free):
            yield name


def values_without_schema() -> Iterator[str]:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def compare(value: Any, part: Json, path: str) -> Iterator[str]:
        if "$ref" in part:
            part = schema["definitions"][part["$ref"].rpartition("/")[2]]
        properties = part.get("properties", {})
        if isinstance(value, dict) and properties:
            for key in value.keys() ^ properties.keys():
                # Handlers and times of probes have no default.
                if not path.endswith("Probe") and not path in (".podDisruptionBudget", ".webConfig"):
                    yield f"{path}.{key}: only in {'values.yaml' if key in value else 'the schema'}"
            for key in value.keys() & properties.keys():
                yield from compare(value[key], properties[key], f"{path}.{key}")
            if part.get("additionalProperties") is not False and path != ".global":
                yield f"{path} permits unknown keys"

    yield from compare(VALUES, schema, "")


def parameter_errors() -> Iterator[str]:
    shipped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "parameters.yaml").read_text())
    if VALUES["prometheusRule"]["parameters"] != shipped:
        yield "prometheusRule.parameters differs from deploy/prometheus/parameters.yaml"


def shipped_rule_errors() -> Iterator[str]:
    shipped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "smtp-tls.rules.yaml").read_text())
    (rule,) = facts.of_kind(rendered("--set=prometheusRule.enabled=true"), "PrometheusRule")
    if rule["spec"] != shipped:
        yield "spec differs from deploy/prometheus/smtp-tls.rules.yaml"


def every_parameter_is_used() -> Iterator[str]:
    """The rules for changed parameters are those that the exporter prints for them."""
    parameters = {
        "selectors": {"exporter": 'job=~"smtp_tls/.*"', "probe": 'job="probes"'},
        "labels": {"cluster": "k8s_cluster", "namespace": "k8s_namespace", "kept": ["tier", "owner"]},
        "runbook_url": "https://wiki.example.net/runbooks",
        "thresholds": {
            "certificate_expiring_days": 31,
            "certificate_expiring_lifetime_ratio": 0.35,
            "certificate_about_to_expire_days": 9,
            "certificate_about_to_expire_lifetime_ratio": 0.15,
            "client_certificate_expiring_days": 17,
            "not_reloaded_hours": 5,
            "certificates_differ_hours": 6,
            "backend_flapping_changes": 11,
        },
    }
    yield from (f"not changed: {each}" for each in set(leaves(VALUES["prometheusRule"]["parameters"])) ^ set(leaves(parameters)))
    values = yaml.safe_dump({"prometheusRule": {"enabled": True, "parameters": parameters}})
    (rule,) = facts.of_kind(rendered(values=values), "PrometheusRule")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(parameters, file)
        file.flush()
        status, out, err = run(EXPORTER, "rules", f"--parameters={file.name}")
    if status or yaml.safe_load(out) != rule["spec"]:
        yield err or "the rules differ from those that the exporter prints"


def dashboard_errors() -> Iterator[str]:
    maps = [each for each in rendered("--set=dashboards.enabled=true") if "-dashboard-" in each["metadata"]["name"]]
    found = {file: json.loads(text) for each in maps for file, text in each["data"].items()}
    shipped = {file.name: json.loads(file.read_text()) for file in (ROOT / "dashboards").glob("*.json")}
    if found != shipped:
        yield f"{sorted(found)} differ from dashboards/"
    for each in maps:
        if each["metadata"]["labels"].get("grafana_dashboard") != "1" or "grafana_folder" not in each["metadata"]["annotations"]:
            yield f"labels and annotations of {each['metadata']['name']}"


def kustomize_errors() -> Iterator[str]:
    for folder in ("base", "overlays/example"):
        status, out, err = run(KUBECTL, "kustomize", ROOT / "deploy" / "kustomize" / folder)
        if status or err:
            yield f"{folder}: {err}"
            continue
        objects = parse(out)
        yield from (f"{folder}: {error}" for each in objects for error in schemas.errors(each))
        if folder == "base":
            objects = [{**each, "metadata": {**each["metadata"], "namespace": "base"}} for each in objects]
        for fact in facts.ALL:
            # The configuration of the base is in the overlay.
            if folder != "base" or fact is not facts.volumes_exist:
                yield from (f"{folder}: {error}" for error in fact(objects))
        yield from (f"{folder}: {error}" for error in flag_errors(objects))
        if folder != "base":
            yield from (f"{folder}: {error}" for error in config_errors(objects))
            if "@sha256:" not in facts.exporter(next(facts.pods(objects)))["image"]:
                yield f"{folder}: the image has no digest"


CHECKS: dict[str, Callable[[], Iterator[str]]] = {
    "generated files are up to date": generated_errors,
    "versions are that of Cargo.toml": version_errors,
    "lint": lint_errors,
    "package": package_errors,
    "notes": note_errors,
    "values are used in templates": unused_values,
    "values are in the schema": values_without_schema,
    "default parameters of the rules": parameter_errors,
    "the default PrometheusRule has the shipped rules": shipped_rule_errors,
    "parameters of the rules": every_parameter_is_used,
    "dashboards are the shipped ones": dashboard_errors,
    "Kustomize": kustomize_errors,
}


# --- each rendering


def flag_errors(objects: list[Json]) -> Iterator[str]:
    known = set(re.findall(r"(?m)^ +(?:-\w, )?--([a-z.-]+)", run(EXPORTER, "--help")[1]))
    for pod in facts.pods(objects):
        for arg in facts.exporter(pod)["args"]:
            if arg.removeprefix("--").partition("=")[0] not in known:
                yield f"{EXPORTER} has no flag {arg}"


def config_errors(objects: list[Json]) -> Iterator[str]:
    """Runs --config.check with the arguments of each pod, and the files that it would have mounted."""
    for workload in facts.workloads(objects):
        with tempfile.TemporaryDirectory() as folder:
            pod = workload["spec"]["template"]
            write_volumes(Path(folder), objects, pod)
            hostname = f"{workload['metadata']['name']}-{workload['spec']['replicas'] - 1}"
            args = [each.replace(FOLDER, folder + FOLDER).replace("from-hostname", hostname.rpartition("-")[2])
                    for each in facts.exporter(pod)["args"]]
            status, _, err = run(EXPORTER, "--config.check", *args)
            if status:
                yield f"{facts.name(workload)}: {err.strip()}"


def write_volumes(root: Path, objects: list[Json], pod: Json) -> None:
    own = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    paths = {each["name"]: root / each["mountPath"].lstrip("/") for each in facts.exporter(pod)["volumeMounts"]}
    for volume in pod["spec"]["volumes"]:
        secret, config = volume.get("secret"), volume.get("configMap")
        key = ("Secret", secret["secretName"]) if secret else ("ConfigMap", (config or {"name": ""})["name"])
        manifest = own.get(key, {})
        files = manifest.get("stringData") or manifest.get("data") or EXISTING.get(key[1]) or {}
        if manifest.get("kind") == "Secret" and "data" in manifest:
            files = {file: base64.b64decode(text).decode() for file, text in files.items()}
        folder = paths[volume["name"]]
        folder.mkdir(parents=True)
        if not files and (secret or config):
            make_certificate(folder)
        for file, text in files.items():
            (folder / file).write_text(text.replace(FOLDER, str(root / FOLDER.lstrip("/"))))


# What objects that exist already contain. Others have a certificate.
EXISTING: dict[str, Json] = {
    "mail-config": {"config.yaml": f"target_files: [{FOLDER}/target-files/*/*]\n"},
    "mail-web": {
        "webconfig.yaml": f"tls_server_config: {{cert_file: {FOLDER}/web/tls.crt, key_file: {FOLDER}/web/tls.key,"
        f" client_ca_file: {FOLDER}/web/tls.crt, client_auth_type: RequireAndVerifyClientCert}}\n"
    },
    "team-a": {"targets.yaml": "- host: smtp.example.com\n"},
    "team-b": {"targets.yaml": "- mx: example.com\n"},
    "other-team": {"targets.yaml": "- mx: example.net\n"},
}


def make_certificate(folder: Path) -> None:
    status, _, err = run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
        "-subj", "/CN=smtp-tls-exporter.test", "-addext", "subjectAltName=DNS:smtp-tls-exporter.test",
        "-keyout", folder / "tls.key", "-out", folder / "tls.crt",
    )
    assert status == 0, err
    (folder / "ca.crt").write_bytes((folder / "tls.crt").read_bytes())


def rule_errors(objects: list[Json]) -> Iterator[str]:
    for rule in facts.of_kind(objects, "PrometheusRule"):
        text = yaml.safe_dump(rule["spec"], width=1 << 20)
        yield from (f"mark {mark} is not filled" for mark in set(re.findall("@@.*?@@", text)))
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            status, out, err = run(PROMTOOL, "check", "rules", "--lint=all", "--lint-fatal", file.name)
        if status:
            yield out + err


# --- what the values of a case must cause


def at(value: Any, path: str) -> Any:
    """Parts of a path are keys, indexes, and `key=value` for the item of a list that has it."""
    for part in path.split(" "):
        if isinstance(value, list) and "=" in part:
            key, _, wanted = part.partition("=")
            value = next((each for each in value if str(each.get(key)) == wanted), None)
        elif isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


def expectation_errors(objects: list[Json], path: str, expected: Any) -> Iterator[str]:
    found = at(objects, path)
    if isinstance(expected, re.Pattern):
        is_equal = bool(expected.search(found if isinstance(found, str) else json.dumps(found)))
    else:
        is_equal = found == expected
    if not is_equal:
        yield f"expected {expected}, got {found}"


_POD = "kind=Deployment spec template spec"
_CONTAINER = f"{_POD} containers 0"
_SET = "kind=StatefulSet spec"
_LABELS = {"app.kubernetes.io/name": "smtp-tls-exporter", "app.kubernetes.io/instance": "mail"}
EXPECTED: dict[str, dict[str, Any]] = {
    "default": {
        # Selectors are immutable: a change would break upgrades.
        "kind=Deployment spec selector": {"matchLabels": _LABELS},
        "kind=Deployment spec replicas": 1,
        f"{_CONTAINER} livenessProbe httpGet": {"path": "/-/healthy", "port": "http", "scheme": "HTTP"},
        f"{_CONTAINER} readinessProbe httpGet": {"path": "/-/ready", "port": "http", "scheme": "HTTP"},
        f"{_CONTAINER} startupProbe": None,
        f"{_CONTAINER} image": re.compile(r"^smtp-tls-exporter:\d+\.\d+\.\d+$"),
        f"{_CONTAINER} args": re.compile(r"--config.auto-reload-interval=30s"),
        f"{_POD} dnsPolicy": None,
        "kind=Deployment spec template metadata annotations": None,
        "kind=NetworkPolicy": None, "kind=Ingress": None, "kind=PodDisruptionBudget": None, "kind=PrometheusRule": None,
        "kind=ServiceMonitor": None, "kind=PodMonitor": None, "kind=Probe": None, "kind=StatefulSet": None, "kind=Secret": None,
    },
    "basic-auth": {
        f"{_CONTAINER} livenessProbe httpGet scheme": "HTTP",
        f"{_CONTAINER} args": re.compile(r"--web.config.file=/etc/smtp-tls-exporter/web/webconfig.yaml"),
        "kind=Secret stringData webconfig.yaml": re.compile(r"basic_auth_users:\n  prometheus: \$2b"),
        "kind=ServiceMonitor spec endpoints 0 scheme": "http",
        "kind=ServiceMonitor spec endpoints 0 basicAuth username name": "smtp-tls-exporter-user",
    },
    "tls": {
        f"{_CONTAINER} livenessProbe httpGet": {"path": "/smtp/-/healthy", "port": "http", "scheme": "HTTPS"},
        f"{_CONTAINER} readinessProbe httpGet": {"path": "/smtp/-/ready", "port": "http", "scheme": "HTTPS"},
        f"{_CONTAINER} args": re.compile(
            r"--web.allowed-hosts=exporter.example.net,mail-smtp-tls-exporter,mail-smtp-tls-exporter.mail-monitoring,"
            r"mail-smtp-tls-exporter.mail-monitoring.svc\""
        ),
        "kind=PodMonitor spec podMetricsEndpoints 0 scheme": "https",
        "kind=PodMonitor spec podMetricsEndpoints 0 path": "/smtp/metrics",
        "kind=Service spec ports 0 appProtocol": "https",
    },
    "mtls": {
        f"{_CONTAINER} livenessProbe tcpSocket": {"port": "http"},
        f"{_CONTAINER} readinessProbe tcpSocket": {"port": "http"},
        f"{_CONTAINER} startupProbe tcpSocket": {"port": "http"},
        f"{_CONTAINER} livenessProbe httpGet": None,
        "kind=ServiceMonitor spec endpoints 0 tlsConfig keySecret name": "prometheus-client",
    },
    "shards": {
        f"{_SET} replicas": 3,
        f"{_SET} selector matchLabels": {**_LABELS, "app.kubernetes.io/component": "replica-0"},
        f"{_SET} template spec containers 0 args": re.compile(r'"--shard=from-hostname", "--total-shards=3"'),
        "kind=StatefulSet metadata name": "mail-smtp-tls-exporter",
        "kind=Deployment": None,
    },
    "shards-replicas": {
        "kind=StatefulSet metadata name": "mail-smtp-tls-exporter",
        f"{_SET} template spec topologySpreadConstraints 0 labelSelector matchLabels": {
            **_LABELS, "app.kubernetes.io/component": "replica-0",
        },
        f"{_SET} template metadata annotations": re.compile("checksum/config"),
    },
    "existing": {
        "kind=ConfigMap": None, "kind=Secret": None, "kind=ServiceAccount": None,
        f"{_POD} serviceAccountName": "mail",
        f"{_POD} volumes name=config secret secretName": "mail-config",
        f"{_POD} volumes name=web-config secret secretName": "mail-web",
        f"{_POD} volumes name=target-files-1 configMap name": "team-b",
        f"{_CONTAINER} livenessProbe tcpSocket": {"port": "http"},
    },
    "secret": {
        "kind=Secret metadata name": "mail-smtp-tls-exporter-config",
        "kind=Secret stringData config.yaml": re.compile(
            r"target_files:\n- /etc/smtp-tls-exporter/targets/\*\n- /etc/smtp-tls-exporter/target-files/other-team/\*"
        ),
        "kind=ConfigMap data discovered.json": re.compile("smtp.example.net:465"),
        f"{_POD} volumes name=client secret secretName": "probe-client-certificate",
        f"{_POD} volumes name=ca configMap items 0": {"key": "root.pem", "path": "ca.crt"},
        f"{_CONTAINER} volumeMounts name=client mountPath": "/etc/smtp-tls-exporter/client",
    },
    "monitors": {
        "kind=ServiceMonitor metadata namespace": "monitoring",
        "kind=ServiceMonitor metadata labels release": "kube-prometheus-stack",
        "kind=ServiceMonitor spec endpoints 0 relabelings 0": {"targetLabel": "job", "replacement": "mail/smtp_tls"},
        "kind=ServiceMonitor spec endpoints 0 relabelings 1 targetLabel": "k8s_cluster",
        "kind=ServiceMonitor spec sampleLimit": 100000,
        "kind=Probe spec jobName": "mail/smtp_tls-probe",
        "kind=Probe spec prober": {
            "url": "mail-smtp-tls-exporter.mail-monitoring.svc:10465", "path": "/probe", "scheme": "http",
        },
        "kind=PrometheusRule metadata namespace": "monitoring",
        "kind=PrometheusRule spec groups": re.compile(
            r'^(?!.*"alert": "SmtpTls(CertificatesDiffer|BackendFlapping)")(?=.*30 \* 86400)(?=.*"alert": "MailQueueGrows").*'
            r'"environment": "production"'
        ),
        "kind=ConfigMap data config.yaml": re.compile("^probe:"),
    },
    "everything": {
        f"{_CONTAINER} image": re.compile(r"^registry.example.net/mail/smtp-tls-exporter:v0.1.0@sha256:e3b0"),
        f"{_CONTAINER} args": re.compile(
            r"--web.telemetry-path=/smtp-metrics.*--web.enable-lifecycle.*--web.route-prefix=/smtp.*status.example.net.*--log.level"
            r"=debug.*--log.format=json.*:8081"
        ),
        f"{_CONTAINER} readinessProbe exec command 1": "health",
        f"{_CONTAINER} livenessProbe httpGet path": "/smtp/-/healthy",
        f"{_POD} dnsPolicy": "ClusterFirstWithHostNet",
        f"{_POD} containers 1 securityContext capabilities drop": ["ALL"],
        f"{_POD} initContainers 0 securityContext readOnlyRootFilesystem": True,
        f"{_POD} serviceAccountName": "mail-exporter",
        "kind=ServiceAccount metadata name": "mail-exporter",
        "kind=Deployment spec strategy": {"type": "Recreate"},
        "kind=Service spec ports 0": {
            "name": "http", "port": 80, "targetPort": "http", "protocol": "TCP", "appProtocol": "http", "nodePort": 30465,
        },
        "kind=Service spec ipFamilies": ["IPv6", "IPv4"],
        "kind=ServiceMonitor spec endpoints 0 path": "/smtp/smtp-metrics",
        "kind=Ingress spec rules 0 http paths 0 path": "/smtp",
        "kind=Ingress spec rules 1 http paths 0 path": "/smtp/",
        "kind=NetworkPolicy spec ingress 0": {
            "ports": [{"port": "http", "protocol": "TCP"}],
            "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        },
        "kind=NetworkPolicy spec egress 1 ports": [{"port": 25, "protocol": "TCP"}, {"port": 587, "protocol": "TCP"}],
        "kind=PodDisruptionBudget spec minAvailable": 1,
        "kind=Deployment metadata labels example.com/cost-center": "42",
        "kind=Deployment spec template metadata labels example.com/cost-center": "42",
        "kind=ConfigMap metadata name": re.compile("^mail-smtp-tls-"),
    },
}


# --- values that are refused


def refusal_errors(result: tuple[int, str, str], words: str) -> Iterator[str]:
    status, _, err = result
    if status == 0:
        yield "rendered"
    elif words not in err.replace("/", "."):
        yield f"expected {words}: {err}"


# Title: values, and a part of the error.
REFUSED: dict[str, tuple[str, str]] = {
    "an unknown key": ("replicaCount: 2", "replicaCount"),
    "an unknown key in a map": ("serviceMonitor: {enable: true}", "serviceMonitor"),
    "an unknown key of a monitor": ("serviceMonitor: {enabled: true, labels: {a: b}}", "serviceMonitor"),
    "an unknown section of the web configuration": ("webConfig: {basic_auth: {a: b}}", "webConfig"),
    "an unknown threshold": ("prometheusRule: {parameters: {thresholds: {days: 1}}}", "thresholds"),
    "text for a number": ("replicas: two", "replicas"),
    "a number for text": ("image: {tag: 1}", "image.tag"),
    "text for a list": ("extraArgs: --log.level=debug", "extraArgs"),
    "text for the configuration": ("config: 'targets: []'", "config"),
    "no shards": ("shards: 0", "shards"),
    "half a shard": ("shards: 1.5", "shards"),
    "too many shards": ("shards: 1025", "shards"),
    "a port that does not exist": ("containerPort: 65536", "containerPort"),
    "a digest without an algorithm": ("image: {digest: e3b0c442}", "image.digest"),
    "a sub-path": ("extraSecretMounts: [{name: a, secretName: a, subPath: tls.crt}]", "subPath"),
    "a mount with the name of another": ("extraSecretMounts: [{name: config, secretName: a}]", "extraSecretMounts"),
    "a mount without a Secret": ("extraSecretMounts: [{name: ca, configMap: a}]", "extraSecretMounts"),
    "an argument without dashes": ("extraArgs: [debug]", "extraArgs"),
    "an interval that is no duration": ("autoReloadInterval: 30", "autoReloadInterval"),
    "a target file that is not YAML or JSON": ("targetFiles: {a.txt: []}", "a.txt"),
    "an external URL without a scheme": ("web: {externalUrl: mail.example.net}", "externalUrl"),
    "a prefix without a slash": ("web: {routePrefix: smtp}", "routePrefix"),
    "a selector with braces": ("prometheusRule: {parameters: {selectors: {exporter: '{job=\"a\"}'}}}", "selectors"),
    "a ratio above 1": ("prometheusRule: {parameters: {thresholds: {certificate_expiring_lifetime_ratio: 25}}}", "thresholds"),
    "both limits of a disruption budget": ("podDisruptionBudget: {minAvailable: 1, maxUnavailable: 1}", "podDisruptionBudget"),
    "two configurations": ("{config: {targets: []}, configExistingSecret: a}", "set only one of config"),
    "two existing configurations": ("{configExistingConfigMap: b, configExistingSecret: a}", "set only one of config"),
    "a ConfigMap as a Secret": ("{configExistingConfigMap: b, secretConfig: true}", "secretConfig"),
    "target files that nothing names": ("{configExistingConfigMap: b, targetFiles: {a.yaml: []}}", "targetFilesInExistingConfig"),
    "two web configurations": ("{webConfig: {rate_limit: {}}, webConfigExistingSecret: a}", "set only one of webConfig"),
    "TLS of a web configuration that does not exist": ("webConfigExistingSecretTLS: true", "webConfigExistingSecret"),
    "client certificates without TLS": (
        "{webConfigExistingSecret: a, webConfigExistingSecretClientCertificates: true}", "webConfigExistingSecretTLS",
    ),
    "two monitors": ("{serviceMonitor: {enabled: true}, podMonitor: {enabled: true}}", "twice"),
    "a monitor without a CA": (
        "{serviceMonitor: {enabled: true}, webConfig: {tls_server_config: {cert_file: a}}}", "set serviceMonitor.tlsConfig",
    ),
    "a monitor without a password": (
        "{podMonitor: {enabled: true}, webConfig: {basic_auth_users: {a: b}}}", "set podMonitor.basicAuth",
    ),
    "probes without a CA": (
        "{probe: {enabled: true, targets: [a]}, webConfigExistingSecret: a, webConfigExistingSecretTLS: true}",
        "set probe.tlsConfig",
    ),
    "probes without targets": ("probe: {enabled: true}", "set probe.targets"),
    "a job that the rules take for another kind": ("{fullnameOverride: smtp-tls-prober, podMonitor: {enabled: true}}", "jobName"),
    "shards in the network of the node": ("{shards: 2, hostNetwork: true}", "hostNetwork"),
    "an Ingress for all hosts": ("ingress: {enabled: true}", "ingress.hosts"),
    "an alert that does not exist": ("prometheusRule: {enabled: true, disabledAlerts: [SmtpTlsUnknown]}", "SmtpTlsUnknown"),
    "a critical threshold above the warning": (
        "prometheusRule: {enabled: true, parameters: {thresholds: {certificate_about_to_expire_days: 30}}}",
        "certificate_about_to_expire_days must be less",
    ),
}


# --- which changes replace pods


def restart_errors(before: str, after: str, restarts: bool) -> Iterator[str]:
    templates = [list(facts.pods(rendered(values=each))) for each in (before, after)]
    if (templates[0] != templates[1]) != restarts:
        yield "the pods are replaced" if not restarts else "the pods are not replaced"


_TLS = "tls_server_config: {cert_file: a, key_file: b}"
RESTARTS: dict[str, tuple[str, str, bool]] = {
    "not for another configuration": ("config: {targets: [{host: a}]}", "config: {targets: [{host: b}]}", False),
    "for another configuration without reloads": (
        "{autoReloadInterval: 0s, config: {targets: [{host: a}]}}", "{autoReloadInterval: 0s, config: {targets: [{host: b}]}}", True,
    ),
    "not for other target files": ("targetFiles: {a.yaml: []}", "targetFiles: {a.yaml: [{host: b}]}", False),
    "not for other users": ("webConfig: {basic_auth_users: {a: b}}", "webConfig: {basic_auth_users: {a: c}}", False),
    "not for another certificate": (f"webConfig: {{{_TLS}}}", f"webConfig: {{{_TLS.replace('a,', 'c,')}}}", False),
    "for TLS": ("webConfig: {basic_auth_users: {a: b}}", f"webConfig: {{basic_auth_users: {{a: b}}, {_TLS}}}", True),
    "for another version of HTTP": (
        f"webConfig: {{{_TLS}}}", f"webConfig: {{{_TLS}, http_server_config: {{http2: false}}}}", True,
    ),
    "not for a label of the Service": ("service: {labels: {a: b}}", "service: {labels: {a: c}}", False),
}


# --- errors that facts must find


def _edit(kind: str, path: str, value: Any) -> Callable[[list[Json]], None]:
    def edit(objects: list[Json]) -> None:
        parts = f"kind={kind} {path}".split(" ")
        at(objects, " ".join(parts[:-1]))[parts[-1]] = value

    return edit


_POD_OF = "spec template spec"
BROKEN: dict[str, tuple[str, Callable[[list[Json]], None], Callable[[list[Json]], Iterator[str]]]] = {
    "a sub-path": ("default", _edit("Deployment", f"{_POD_OF} containers 0 subPath", "a"), facts.no_file_is_mounted_with_a_sub_path),
    "a writable root": (
        "default", _edit("Deployment", f"{_POD_OF} containers 0 securityContext readOnlyRootFilesystem", False),
        facts.pods_are_restricted,
    ),
    "an init container as root": (
        "everything", _edit("Deployment", f"{_POD_OF} initContainers 0 securityContext", {}), facts.pods_are_restricted,
    ),
    "a token": ("default", _edit("Deployment", f"{_POD_OF} automountServiceAccountToken", True), facts.pods_are_restricted),
    "a Service for other pods": ("default", _edit("Service", "spec selector app", "a"), facts.selectors_match_the_pods),
    "a disruption budget for other pods": (
        "everything", _edit("PodDisruptionBudget", "spec selector matchLabels app", "a"), facts.selectors_match_the_pods,
    ),
    "a network policy for other pods": (
        "everything", _edit("NetworkPolicy", "spec podSelector matchLabels app", "a"), facts.selectors_match_the_pods,
    ),
    "StatefulSets that select pods of each other": (
        "shards-replicas", _edit("StatefulSet", "spec selector matchLabels", _LABELS), facts.selectors_match_the_pods,
    ),
    "a monitor of both Services": (
        "shards", _edit("ServiceMonitor", "spec selector matchLabels", _LABELS), facts.monitors_scrape_each_pod_once,
    ),
    "a job that no rule selects": (
        "shards", _edit("ServiceMonitor", "spec endpoints 0 relabelings", [{"targetLabel": "job", "replacement": "mail"}]),
        facts.monitors_scrape_each_pod_once,
    ),
    "a volume without a mount": ("default", _edit("Deployment", f"{_POD_OF} containers 0 volumeMounts", []), facts.volumes_exist),
    "a Secret that does not exist": (
        "default", _edit("Deployment", f"{_POD_OF} volumes name=config configMap name", "mail-smtp-tls-exporter-conf"),
        facts.volumes_exist,
    ),
    "fewer pods than shards": ("shards", _edit("StatefulSet", "spec replicas", 2), facts.shards_have_ordinals),
    "ordinals from 1": ("shards", _edit("StatefulSet", "spec ordinals", {"start": 1}), facts.shards_have_ordinals),
    "a health check of another port": (
        "default", _edit("Deployment", f"{_POD_OF} containers 0 livenessProbe httpGet port", "https"),
        facts.health_checks_reach_the_exporter,
    ),
    "a long name": ("default", _edit("Service", "metadata name", "a" * 64), facts.names_are_valid),
    "an unknown flag": ("default", _edit("Deployment", f"{_POD_OF} containers 0 args", ["--unknown"]), flag_errors),
    "an invalid configuration": ("default", _edit("ConfigMap", "data config.yaml", "unknown: 1"), config_errors),
    "an unknown field of Kubernetes": (
        "default", _edit("Deployment", f"{_POD_OF} unknown", "a"), lambda objects: (e for each in objects for e in schemas.errors(each)),
    ),
    "an unknown field of the operator": (
        "shards", _edit("ServiceMonitor", "spec endpoints 0 unknown", "a"),
        lambda objects: (e for each in objects for e in schemas.errors(each)),
    ),
    "a mark of a rule": (
        "monitors", _edit("PrometheusRule", "spec groups 0 rules 0 expr", "@@A@@"), rule_errors,
    ),
}


if __name__ == "__main__":
    sys.exit(main())
