"""The checks of tests/helm/run."""

from __future__ import annotations

import base64
import copy
import json
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import facts
import live
import schemas
import yaml
from expectations import ACCEPTED, EXPECTED, LABELS, REFUSED, RESTARTS, at, expectation_errors, refusal_errors, restart_errors
from helm import CHART, EXPORTER, HELM, HELM3, KUBECTL, PROMTOOL, ROOT, in_parallel, parse, rendered, run, template

Json = dict[str, Any]
FOLDER = "/etc/smtp-tls-exporter"
# The longest name of a release that Helm accepts.
LONG = "a-release-whose-name-is-as-long-as-helm-permits-it-00"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
CASES: dict[str, list[str]] = {"default": []} | {
    file.name.removesuffix("-values.yaml"): [f"--values={file}"] for file in sorted((CHART / "ci").glob("*-values.yaml"))
}
Check = Callable[[list[Json]], Iterator[str]]


def main() -> int:
    report = Report()
    for name, find_errors in CHECKS.items():
        report.check(name, find_errors)

    arguments = list(CASES.values())
    renderings = dict(zip(CASES, in_parallel(lambda args: rendered(*args), arguments)))
    long = in_parallel(lambda args: rendered(*args, release=LONG), arguments)
    older = in_parallel(lambda args: rendered(*args, helm=HELM3), arguments)
    for (case, objects), of_long, of_older in zip(renderings.items(), long, older):
        report.check(f"{case}: Helm 3 renders the same", difference, objects, of_older)
        for name, fact in FACTS.items():
            report.check(f"{case}: {name}", fact, objects)
        for fact in facts.ALL:
            report.check(f"{case}, long name: {title(fact)}", fact, of_long)
    for case, expected in EXPECTED.items():
        for path, value in expected.items():
            report.check(f"{case}: {path}", expectation_errors, renderings[case], path, value)
    accepted = in_parallel(lambda each: rendered(values=each[0]), list(ACCEPTED.values()))
    for (name, (_, *expected)), objects in zip(ACCEPTED.items(), accepted):
        report.check(f"accepted: {name}", expectation_errors, objects, *expected)
        report.check(f"accepted: {name}: flags", flag_errors, objects)
    refused = in_parallel(lambda each: template(values=each[0]), list(REFUSED.values()))
    for (name, (_, words)), result in zip(REFUSED.items(), refused):
        report.check(f"refused: {name}", refusal_errors, result, words)
    for name, change in RESTARTS.items():
        report.check(f"restarts: {name}", restart_errors, *change)
    # Each fact must find an error that it is for.
    for name, (case, insert_error, fact) in BROKEN.items():
        broken = copy.deepcopy(renderings[case])
        insert_error(broken)
        report.check(f"{name} fails", lambda *args: [] if any(True for _ in fact(*args)) else ["no error found"], broken)
    return report.exit_code()


class Report:
    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def check(self, name: str, find_errors: Callable[..., Iterable[str]], *args: Any) -> None:
        try:
            errors = list(find_errors(*args))
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
    expected = {"default": (True, "http://localhost:10465/"), "tls": (False, "https://localhost:10465/smtp/")}
    for case, (is_empty, url) in expected.items():
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
                # Handlers and times of probes have no default; `enabled` is for a chart that depends on this one.
                is_known = path.endswith("Probe") or path in (".podDisruptionBudget", ".webConfig") or (path, key) == ("", "enabled")
                if not is_known:
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


def parameter_limit_errors() -> Iterator[str]:
    """The schema has the limits of the exporter."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    parameters = schema["properties"]["prometheusRule"]["properties"]["parameters"]["properties"]
    labels = schema["definitions"]["labelOfAlerts"]["not"]["anyOf"][0]["enum"]
    wrong: list[Json] = [{"labels": {"kept": [label]}} for label in labels]
    right: list[Json] = []
    for name, limits in parameters["thresholds"]["properties"].items():
        if limits["type"] == "integer":
            wrong += [{"thresholds": {name: limits["minimum"] - 1}}, {"thresholds": {name: limits["maximum"] + 1}}]
        # The others depend on each other.
        if limits["type"] == "integer" and not name.startswith("certificate_"):
            right += [{"thresholds": {name: limits["minimum"]}}, {"thresholds": {name: limits["maximum"]}}]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "parameters.yaml"
        for each in wrong + right:
            file.write_text(yaml.safe_dump(each))
            if (run(EXPORTER, "rules", f"--parameters={file}")[0] == 0) != (each in right):
                yield f"the exporter {'refuses' if each in right else 'accepts'} {each}"


def parameter_case_errors() -> Iterator[str]:
    """The chart accepts and refuses the same parameters as the exporter."""
    cases = yaml.safe_load((ROOT / "tests" / "rules" / "parameters" / "cases.yaml").read_text())

    def refuses(parameters: Json) -> bool:
        values = {"prometheusRule": {"enabled": True, "parameters": parameters}}
        return template("--show-only=templates/prometheusrule.yaml", values=yaml.safe_dump(values))[0] != 0

    for group, expected in (("accepted", False), ("refused", True), ("refused_by_regular_expression", True)):
        for case, is_refused in zip(cases[group], in_parallel(refuses, cases[group])):
            if is_refused != expected:
                yield f"{'refuses' if is_refused else 'accepts'} {case}"


def nested(path: str, value: Any) -> Json:
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def paths(values: Json, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        yield prefix + key, value
        if isinstance(value, dict):
            yield from paths(value, f"{prefix}{key}.")


def null_errors() -> Iterator[str]:
    """A value without a value is an empty one if its default is empty; else it is refused by name."""
    # Maps that are passed to Kubernetes as they are, and may be empty.
    free = ("strategy", "updateStrategy", "resources", "podSecurityContext", "securityContext", "dashboards.labels",
            "dashboards.annotations")
    # Without its own, a probe of the kubelet has the defaults of Kubernetes.
    times = re.compile(r"Probe\.(?!enabled$)")
    required = [path for path, value in paths(VALUES) if value not in ({}, [], "") and not path.startswith((*free, "global"))
                and not times.search(path)]
    enabled = "{probe: {enabled: true, targets: [a]}, prometheusRule: {enabled: true}, dashboards: {enabled: true}, networkPolicy: "
    enabled += "{enabled: true}, serviceMonitor: {enabled: true}, ingress: {enabled: true, hosts: [{host: a}]}}"
    empty = ["global", *(path for path, value in paths(VALUES) if value in ({}, [], "") or path in free)]
    empty = [path for path in empty if path not in ("probe.targets", "ingress.hosts", "global.imageRegistry")]
    nulls, empties = yaml.safe_load(enabled), yaml.safe_load(enabled)
    for path in empty:
        for values, value in ((nulls, None), (empties, at(VALUES, path.replace(".", " ")))):
            *sections, last = path.split(".")
            for section in sections:
                values = values.setdefault(section, {})
            values[last] = None if value is None or path in free else value
    for helm in (HELM, HELM3):
        if rendered(values=yaml.safe_dump(nulls), helm=helm) != rendered(values=yaml.safe_dump(empties), helm=helm):
            yield f"{helm}: values without a value render something else than empty ones"
    for path, (status, _, err) in zip(required, in_parallel(lambda path: template(values=yaml.safe_dump(nested(path, None))), required)):
        if status == 0 or path.rpartition(".")[2] not in err or "template:" in err:
            yield f"{path}: {err or 'rendered'}"


def dependency_errors() -> Iterator[str]:
    """The chart as a dependency of another one, with a condition."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(CHART, Path(folder) / "charts" / CHART.name)
        version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
        chart: Json = {"apiVersion": "v2", "name": "mail", "version": "0.1.0"}
        chart["dependencies"] = [{"name": CHART.name, "version": version, "condition": f"{CHART.name}.enabled"}]
        (Path(folder) / "Chart.yaml").write_text(yaml.safe_dump(chart))
        for enabled in (True, False):
            values = yaml.safe_dump({CHART.name: {"enabled": enabled, "config": None, "extraArgs": None}})
            for helm in (HELM, HELM3):
                status, out, err = run(helm, "template", "mail", folder, "--values=-", stdin=values)
                if status or bool(facts.of_kind(parse(out), "Deployment")) != enabled:
                    yield f"{helm}, {enabled}: {err}"


def number_errors() -> Iterator[str]:
    """Names that YAML would read as numbers."""
    values = yaml.safe_load((CHART / "ci" / "monitors-values.yaml").read_text())
    values |= {"priorityClassName": "1e3", "serviceAccount": {"name": "0x1"}, "imagePullSecrets": [{"name": "7"}]}
    values |= {"configExistingConfigMap": "12", "config": {}, "extraSecretMounts": [{"name": "1", "secretName": "2"}]}
    for more in ({}, {"fullnameOverride": "123"}, {"nameOverride": "1e3", "shards": 2}):
        objects = rendered("--namespace=456", values=json.dumps(values | more), release="789")
        yield from schema_errors(objects)
        yield from (f"{each['kind']}: {each['metadata']}" for each in objects if not facts.are_texts(each["metadata"]))


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
        yield from (f"{folder}: {error}" for error in schema_errors(objects))
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
    "limits of parameters": parameter_limit_errors,
    "cases of parameters": parameter_case_errors,
    "values without a value": null_errors,
    "a dependency with a condition": dependency_errors,
    "names that look like numbers": number_errors,
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
    """Runs --config.check with the arguments of the last pod, and the files that it would have mounted."""
    with mounted(objects) as (_, args):
        status, _, err = run(EXPORTER, "--config.check", *args)
        if status:
            yield err.strip()


def live_errors(objects: list[Json]) -> Iterator[str]:
    with mounted(objects) as (folder, args):
        yield from live.errors(objects, folder, args)


@contextmanager
def mounted(objects: list[Json]) -> Iterator[tuple[Path, list[str]]]:
    """The volumes of the last workload in a folder, and the arguments of its last pod with paths there."""
    workload = facts.workloads(objects)[-1]
    pod = workload["spec"]["template"]
    ordinal = str(workload["spec"]["replicas"] - 1)
    with tempfile.TemporaryDirectory() as folder:
        write_volumes(Path(folder), objects, pod)
        args = (each.replace(FOLDER, folder + FOLDER) for each in facts.exporter(pod)["args"])
        yield Path(folder), [each.replace("--shard=from-hostname", f"--shard={ordinal}") for each in args]


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
        if key not in own and (secret or config) and (not files or "tls.crt" in str(files)):
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


def difference(a: list[Json], b: list[Json]) -> list[str]:
    return [] if a == b else ["they differ"]


def schema_errors(objects: list[Json]) -> Iterator[str]:
    return (error for each in objects for error in schemas.errors(each))


def title(fact: Check) -> str:
    return fact.__name__.replace("_", " ")


FACTS: dict[str, Check] = {
    "schemas": schema_errors,
    "flags": flag_errors,
    "the exporter accepts the configuration": config_errors,
    "the exporter answers the kubelet and Prometheus": live_errors,
    "promtool accepts the rules": rule_errors,
    **{title(fact): fact for fact in facts.ALL},
}


# --- errors that facts must find


def _edit(kind: str, path: str, value: Any) -> Callable[[list[Json]], None]:
    def edit(objects: list[Json]) -> None:
        parts = f"kind={kind} {path}".split(" ")
        at(objects, " ".join(parts[:-1]))[parts[-1]] = value

    return edit


_POD_OF = "spec template spec"
BROKEN: dict[str, tuple[str, Callable[[list[Json]], None], Check]] = {
    "a sub-path": (
        "default", _edit("Deployment", f"{_POD_OF} containers 0 subPath", "a"), facts.no_file_is_mounted_with_a_sub_path,
    ),
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
        "shards-replicas", _edit("StatefulSet", "spec selector matchLabels", LABELS), facts.selectors_match_the_pods,
    ),
    "a monitor of both Services": (
        "shards", _edit("ServiceMonitor", "spec selector matchLabels", LABELS), facts.monitors_scrape_each_pod_once,
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
    "a health check of another path": (
        "default", _edit("Deployment", f"{_POD_OF} containers 0 livenessProbe httpGet path", "/healthz"), live_errors,
    ),
    "a monitor of another path": ("shards", _edit("ServiceMonitor", "spec endpoints 0 path", "/smtp/metrics"), live_errors),
    "an unknown field of Kubernetes": (
        "default", _edit("Deployment", f"{_POD_OF} unknown", "a"), schema_errors,
    ),
    "an unknown field of the operator": (
        "shards", _edit("ServiceMonitor", "spec endpoints 0 unknown", "a"), schema_errors,
    ),
    "a mark of a rule": (
        "monitors", _edit("PrometheusRule", "spec groups 0 rules 0 expr", "@@A@@"), rule_errors,
    ),
}


if __name__ == "__main__":
    sys.exit(main())
