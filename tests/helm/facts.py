"""What must be true for every rendering of the chart: each function yields the errors that it finds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
WORKLOADS = ("Deployment", "StatefulSet")
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
RESTRICTED = {"allowPrivilegeEscalation": False, "runAsNonRoot": True, "readOnlyRootFilesystem": True}


def are_texts(value: Any) -> bool:
    """Whether all parts of a value are texts."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and are_texts(part) for key, part in value.items())
    return isinstance(value, str)


def of_kind(objects: list[Json], *kinds: str) -> list[Json]:
    return [each for each in objects if each["kind"] in kinds]


def workloads(objects: list[Json]) -> list[Json]:
    return of_kind(objects, *WORKLOADS)


def pods(objects: list[Json]) -> Iterator[Json]:
    return (each["spec"]["template"] for each in workloads(objects))


def containers(pod: Json) -> list[Json]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def exporter(pod: Json) -> Json:
    return next(each for each in pod["spec"]["containers"] if each["name"] == "smtp-tls-exporter")


def name(manifest: Json) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def keys(value: Any) -> Iterator[str]:
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from keys(each)
    if isinstance(value, dict):
        yield from value


def matches(selector: Json, labels: Json) -> bool:
    return bool(selector) and selector.items() <= labels.items()


# --- facts


def names_are_valid(objects: list[Json]) -> Iterator[str]:
    for manifest in objects:
        if not NAME.fullmatch(manifest["metadata"]["name"]) or len(manifest["metadata"]["name"]) > 63:
            yield f"name of {name(manifest)}"
        if manifest["kind"] == "StatefulSet" and len(manifest["metadata"]["name"]) > 52:
            yield f"name of {name(manifest)}: with its hash, longer than the value of a label"
        if "namespace" not in manifest["metadata"] and not manifest["metadata"]["name"].endswith(("-extra", "-text")):
            yield f"{name(manifest)} has no namespace"
        for label, value in manifest["metadata"].get("labels", {}).items():
            if not LABEL.fullmatch(value) or len(value) > 63:
                yield f"{name(manifest)}: label {label}: {value}"
    identities = Counter((each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects)
    yield from (f"{count} objects {each}" for each, count in identities.items() if count > 1)


def no_file_is_mounted_with_a_sub_path(objects: list[Json]) -> Iterator[str]:
    yield from (f"{name(each)}: {key}" for each in objects for key in keys(each) if key.startswith("subPath"))


def pods_are_restricted(objects: list[Json]) -> Iterator[str]:
    for pod in pods(objects):
        context = pod["spec"].get("securityContext", {})
        if context.get("seccompProfile") != {"type": "RuntimeDefault"} or context.get("runAsNonRoot") is not True:
            yield f"security context of the pod: {context}"
        if pod["spec"]["automountServiceAccountToken"] is not False:
            yield "a token of the Kubernetes API is mounted"
        for container in containers(pod):
            context = container.get("securityContext", {})
            if not RESTRICTED.items() <= context.items() or context.get("capabilities") != {"drop": ["ALL"]}:
                yield f"security context of container {container['name']}: {context}"


def selectors_match_the_pods(objects: list[Json]) -> Iterator[str]:
    labels = [pod["metadata"]["labels"] for pod in pods(objects)]
    for workload in workloads(objects):
        selected = [each for each in labels if matches(workload["spec"]["selector"]["matchLabels"], each)]
        if selected != [workload["spec"]["template"]["metadata"]["labels"]]:
            yield f"{name(workload)} selects {len(selected)} kinds of pods"
    selectors: list[tuple[Json, Json]] = [(each, each["spec"]["selector"]) for each in of_kind(objects, "Service")]
    others = of_kind(objects, "PodDisruptionBudget", "PodMonitor")
    selectors += [(each, each["spec"]["selector"]["matchLabels"]) for each in others]
    selectors += [(each, each["spec"]["podSelector"]["matchLabels"]) for each in of_kind(objects, "NetworkPolicy")]
    for manifest, selector in selectors:
        if not all(matches(selector, each) for each in labels):
            yield f"{name(manifest)} does not select all pods"
    for pod in pods(objects):
        for constraint in pod["spec"].get("topologySpreadConstraints", []):
            if not matches(constraint["labelSelector"]["matchLabels"], pod["metadata"]["labels"]):
                yield f"topology spread constraint {constraint['topologyKey']} does not count the pods"


def monitors_scrape_each_pod_once(objects: list[Json]) -> Iterator[str]:
    monitors = of_kind(objects, "ServiceMonitor", "PodMonitor")
    if len(monitors) > 1:
        yield "several monitors"
    for monitor in monitors:
        endpoint = (monitor["spec"].get("endpoints") or monitor["spec"]["podMetricsEndpoints"])[0]
        if monitor["kind"] == "ServiceMonitor":
            wanted = monitor["spec"]["selector"]["matchLabels"]
            services = [each for each in of_kind(objects, "Service") if matches(wanted, each["metadata"].get("labels", {}))]
            if len(services) != 1:
                yield f"the ServiceMonitor selects {len(services)} Services"
            ports = [port["name"] for each in services for port in each["spec"]["ports"]]
            namespaces = {each["metadata"]["namespace"] for each in services}
        else:
            ports = [port["name"] for pod in pods(objects) for port in exporter(pod)["ports"]]
            namespaces = {each["metadata"]["namespace"] for each in workloads(objects)}
        if endpoint["port"] not in ports:
            yield f"no port {endpoint['port']}"
        # Without a selector, the operator looks in the namespace of the monitor.
        selected = monitor["spec"].get("namespaceSelector", {}).get("matchNames", [monitor["metadata"]["namespace"]])
        if set(selected) != namespaces:
            yield f"namespaces of the monitor: {selected}"
        job = endpoint["relabelings"][0]
        if job["targetLabel"] != "job" or not re.search("smtp[-_]tls", job["replacement"]) or "probe" in job["replacement"]:
            yield f"the alert rules do not select the job {job}"
        if endpoint["honorLabels"] is not True:
            yield "no honorLabels"
        if not _seconds(endpoint["scrapeTimeout"]) <= _seconds(endpoint["interval"]) < 300:
            yield f"interval {endpoint['interval']}, timeout {endpoint['scrapeTimeout']}"
    for probe in of_kind(objects, "Probe"):
        if not re.search("smtp[-_]tls", probe["spec"]["jobName"]) or "probe" not in probe["spec"]["jobName"]:
            yield f"the alert rules do not select the job {probe['spec']['jobName']}"
        host, _, port = probe["spec"]["prober"]["url"].partition(":")
        hosts = {f"{each['metadata']['name']}.{each['metadata']['namespace']}.svc": each for each in of_kind(objects, "Service")}
        if host not in hosts or int(port) not in [each["port"] for each in hosts[host]["spec"]["ports"]]:
            yield f"no Service {probe['spec']['prober']['url']}"


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * {"s": 1, "m": 60}[duration[-1]]


def volumes_exist(objects: list[Json]) -> Iterator[str]:
    """Volumes and mounts correspond, mounted folders are not nested, and objects of the release have the files."""
    own = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    for workload in workloads(objects):
        pod = workload["spec"]["template"]
        volumes = {each["name"]: each for each in pod["spec"]["volumes"]}
        mounts = exporter(pod)["volumeMounts"]
        if Counter(each["name"] for each in mounts) != Counter(list(volumes)):
            yield f"{name(workload)}: volumes {sorted(volumes)}, mounts {sorted(each['name'] for each in mounts)}"
        paths = [each["mountPath"] + "/" for each in mounts]
        if any(a != b and a.startswith(b) for a in paths for b in paths):
            yield f"{name(workload)}: nested mounts {paths}"
        for volume in volumes.values():
            secret, config = volume.get("secret"), volume.get("configMap")
            kind, target = ("Secret", secret["secretName"]) if secret else ("ConfigMap", (config or {"name": ""})["name"])
            if target.startswith(f"{fullname(objects)}-") and (kind, target) not in own:
                yield f"{name(workload)}: no {kind} {target}"
        for flag, file in (("--config.file=", "config.yaml"), ("--web.config.file=", "webconfig.yaml")):
            for path in (each[len(flag):] for each in exporter(pod)["args"] if each.startswith(flag)):
                folder, _, base = path.rpartition("/")
                if base != file or folder + "/" not in paths:
                    yield f"{name(workload)}: {path} is not mounted"


def fullname(objects: list[Json]) -> str:
    """The name of the main Service, which is that of the release."""
    return str(next(each for each in of_kind(objects, "Service") if each["spec"].get("clusterIP") != "None")["metadata"]["name"])


def shards_have_ordinals(objects: list[Json]) -> Iterator[str]:
    for workload in workloads(objects):
        args = exporter(workload["spec"]["template"])["args"]
        totals = [each.split("=")[1] for each in args if each.startswith("--total-shards=")]
        if workload["kind"] == "Deployment" and totals:
            yield "shards in a Deployment: its pods have no ordinals"
        if workload["kind"] == "StatefulSet":
            spec = workload["spec"]
            if totals != [str(spec["replicas"])] or "--shard=from-hostname" not in args:
                yield f"{spec['replicas']} pods with the arguments {args}"
            if spec["podManagementPolicy"] != "Parallel" or spec.get("ordinals", {}).get("start", 0):
                yield "pods wait for each other, or do not begin with 0"
            headless = [each for each in of_kind(objects, "Service") if each["metadata"]["name"] == spec["serviceName"]]
            if [each["spec"].get("clusterIP") for each in headless] != ["None"]:
                yield f"no headless Service {spec['serviceName']}"


def health_checks_reach_the_exporter(objects: list[Json]) -> Iterator[str]:
    for pod in pods(objects):
        container = exporter(pod)
        port = container["ports"][0]
        if f"--web.listen-address=:{port['containerPort']}" not in container["args"]:
            yield f"the exporter does not listen on {port}"
        for probe in (container[each] for each in ("livenessProbe", "readinessProbe", "startupProbe") if each in container):
            handler = probe.get("httpGet") or probe.get("tcpSocket")
            if handler and handler["port"] != port["name"]:
                yield f"port of {probe}"
            if len({"httpGet", "tcpSocket", "exec", "grpc"} & set(probe)) != 1:
                yield f"handlers of {probe}"


ALL = [
    names_are_valid,
    no_file_is_mounted_with_a_sub_path,
    pods_are_restricted,
    selectors_match_the_pods,
    monitors_scrape_each_pod_once,
    volumes_exist,
    shards_have_ordinals,
    health_checks_reach_the_exporter,
]
