"""Evaluates the queries of the dashboards in a Prometheus that has the exporter's series with the labels of different
set-ups: `/metrics` or `/probe`, plain Prometheus, Kubernetes, replicas, several clusters.

The series are those of `tests/golden/metrics-text.txt`. A response of `/probe` has the same series of its target, and
none of the exporter. Except for the labels that identify a scrape job, every set-up must give the same results.
"""

from __future__ import annotations

import dataclasses
import json
import re
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Labels = dict[str, str]
Row = tuple[frozenset[tuple[str, str]], float]

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "metrics-text.txt"
EXPORTER = "smtp-tls-exporter"
# Labels that identify a scrape job, and what links are made of.
SCOPE = {"cluster", "namespace", "job", "var_cluster", "var_namespace"}

# What the golden file lacks, or has with other values: a web configuration, two of three shards, a target that shares a
# backend, a renewed certificate that is not loaded, warnings, OCSP. Shard 0 is missing: the exporter of the golden file
# is not divided, which is shard 0 of 1.
BACKEND = 'server_name="smtp.example.com",backend="192.0.2.10:587",tls="starttls"'
ADDED_SERIES = f"""
smtp_tls_exporter_web_config_last_reload_successful 1
smtp_tls_exporter_shard_ordinal{{instance="shard-1"}} 1
smtp_tls_exporter_total_shards{{instance="shard-1"}} 3
smtp_tls_exporter_targets{{instance="shard-1"}} 2
smtp_tls_exporter_shard_ordinal{{instance="shard-2"}} 2
smtp_tls_exporter_total_shards{{instance="shard-2"}} 3
smtp_tls_exporter_targets{{instance="shard-2"}} 1
smtp_tls_target_info{{target="shared",kind="host",team="web"}} 1
smtp_tls_target_interval_seconds{{target="shared",team="web"}} 60
smtp_tls_target_last_round_timestamp_seconds{{target="shared",team="web"}} 1780271971
smtp_tls_target_lookup_success{{target="shared",team="web"}} 1
smtp_tls_target_lookup_duration_seconds{{target="shared",team="web"}} 0.004
smtp_tls_target_backends_resolved{{target="shared",server_name="smtp.example.com",team="web"}} 1
smtp_tls_target_backends_reachable{{target="shared",server_name="smtp.example.com",team="web"}} 1
smtp_tls_target_backends_hostname_matched{{target="shared",server_name="smtp.example.com",team="web"}} 1
smtp_tls_target_backends_hostname_mismatched{{target="shared",server_name="smtp.example.com",team="web"}} 0
smtp_tls_backend_resolved{{target="shared",{BACKEND},team="web"}} 1
smtp_tls_probe_success{{target="shared",{BACKEND},team="web"}} 1
smtp_tls_cert_hostname_match{{target="shared",{BACKEND},team="web"}} 1
smtp_tls_chain_valid{{target="shared",{BACKEND},team="web"}} 1
smtp_tls_cert_file_match{{target="relay",{BACKEND},team="mail"}} 0
smtp_tls_chain_warning{{target="relay",{BACKEND},reason="x",team="mail"}} 1
smtp_tls_ocsp_error{{target="relay",{BACKEND},reason="stale",team="mail"}} 1
smtp_tls_ocsp_status{{target="relay",{BACKEND},status="good",team="mail"}} 1
ALERTS{{target="relay",server_name="smtp.example.com",alertname="SmtpTlsHostnameMismatchPartial",\
alertstate="firing",severity="critical",team="mail"}} 1
"""

# Results with the plain set-up, as the number of rows, or as the value of a single number. No other may be empty.
EXPECTED: dict[str, dict[str, int | float]] = {
    "smtp-tls-overview": {
        "Partial hostname mismatches": 1.0,
        "Hostname mismatches": 2.0,
        "Backends down": 1.0,
        "Untrusted chains": 0.0,
        "Expired certificates": 1.0,
        "Certificates expiring soon": 0.0,
        "Targets with failed lookups": 1.0,
        "Backends": 3.0,
        "Backends by status": 4,
        "Firing alerts": 1,
        "Alternate names": 2,
        "Next certificates to expire": 4,
        "Failed DNS lookups": 2,
    },
    "smtp-tls-target": {
        "Backends in DNS": 4.0,
        "Unreachable backends": 2.0,
        "Hostname mismatches": 2.0,
        "Invalid chains": 1.0,
        "Distinct certificates": 3.0,
        "DNS lookup": 1.0,
        "Backends of $target": 4,
        "Status": 4,
        "Probe result": 4,
        "Certificate history": 4,
        "Certificates": 4,
        "TLS connections": 3,
    },
    "smtp-tls-renewals": {
        "Certificates": 4.0,
        "Expired certificates": 2.0,
        "About to expire": 0.0,
        "Not reloaded": 1.0,
        "Certificates by expiry": 4,
        "Certificates expiring by week": 14,
    },
    "smtp-tls-exporter": {
        "Exporters down": 0.0,
        "Web config reload": 1.0,
        "Missing shards": 1.0,
        "Targets": 3.0,
        "Shards": 2,
        "Targets by shard": 2,
        "Versions": 1,
        "Trust stores": 1,
    },
}
# Results that differ with the parameters in `build.CHANGED`.
CHANGED: dict[str, dict[str, int | float]] = {
    "smtp-tls-overview": {"Certificates expiring soon": 2.0},
    "smtp-tls-target": {},
    "smtp-tls-renewals": {"About to expire": 1.0, "Expiring soon": 2.0},
    "smtp-tls-exporter": {},
}
# Queries whose numbers are sums over clusters, namespaces and jobs. The others have rows for each of them, or are about
# certificates, which count once.
ADDED_UP = {
    "smtp-tls-overview": {
        "Partial hostname mismatches A",
        "Hostname mismatches A",
        "Backends down A",
        "Expired certificates A",
        "Certificates expiring soon A",
        "Targets with failed lookups A",
        "Backends A",
        "Backends with problems A",
        "Backends with problems B",
        "Backends with problems C",
    },
    "smtp-tls-target": {
        "Backends in DNS A",
        "Unreachable backends A",
        "Hostname mismatches A",
        "Invalid chains A",
        "Failed probes by stage and reason A",
    },
    "smtp-tls-renewals": {"Not reloaded A", "Certificates by expiry E", "Backends by TLS version A"},
}


@dataclasses.dataclass(frozen=True)
class Part:
    """The series of one scope: a cluster, a namespace and a job."""

    way: str
    """The path that is scraped."""
    job: str
    scrapes: tuple[Labels, ...] = ({},)
    """The labels of each scrape: of replicas of the exporter, or of Prometheus."""
    cluster: str = ""
    namespace: str = ""

    def series(self, exposition: list[tuple[str, Labels, str]]) -> Iterator[tuple[str, Labels, str]]:
        scope = {"job": self.job, "cluster": self.cluster, "namespace": self.namespace}
        scope = {name: value for name, value in scope.items() if value}
        for labels in self.scrapes:
            scraped = {"instance": "exporter-1.example.net:10465", **labels, **scope}
            instances = set()
            for name, own, value in exposition:
                if name == "ALERTS":
                    continue
                if self.way == "/metrics":
                    yield name, {**scraped, **own}, value
                    instances.add(scraped["instance"])
                elif "target" in own:
                    instance = f"{own['target']}:587"
                    instances.add(instance)
                    yield name, {**scraped, "instance": instance, **own}, value
            for instance in instances:
                for name, value in {"up": "1", "scrape_duration_seconds": "0.01", "probe_success": "0"}.items():
                    if name != "probe_success" or self.way == "/probe":
                        yield name, {**scraped, "instance": instance}, value
        for name, own, value in exposition:
            if name == "ALERTS":
                yield name, {**scope, **own}, value


REPLICAS = tuple(
    {"instance": f"10.0.0.{i}:10465", "pod": f"smtp-tls-exporter-{i}", "node": f"node-{i}"} for i in (1, 2)
)
OPERATOR = tuple(
    {**{name: value for name, value in each.items() if name != "node"}, "endpoint": "http", "container": "exporter"}
    | {"service": "mail-probes"}
    for each in REPLICAS
)
COMMUNITY = tuple({**each, "service": "mail-probes", "app_kubernetes_io_name": "mail-probes"} for each in REPLICAS)
HA = tuple({"prometheus": "monitoring/k8s", "prometheus_replica": f"prometheus-k8s-{i}"} for i in (0, 1))

SETUPS: dict[str, list[Part]] = {
    "plain": [Part("/metrics", "smtp_tls")],
    "two replicas": [Part("/metrics", "smtp_tls", tuple({"instance": each["instance"]} for each in REPLICAS))],
    "community chart": [Part("/metrics", "kubernetes-service-endpoints", COMMUNITY, namespace="mail")],
    "kube-prometheus": [Part("/metrics", "smtp-tls-exporter", OPERATOR, namespace="mail")],
    "two clusters": [Part("/metrics", "smtp-tls", OPERATOR, cluster, "mail") for cluster in ("a", "b")],
    "two namespaces": [Part("/metrics", "smtp-tls", OPERATOR, "", namespace) for namespace in ("mail", "test")],
    "with and without cluster": [Part("/metrics", "smtp-tls"), Part("/metrics", "smtp-tls", cluster="a")],
    "probe": [Part("/probe", "smtp_tls_probe")],
    "probe, HA pair in Thanos": [Part("/probe", "smtp-tls-probe", HA, namespace="monitoring")],
    "probe, two clusters": [Part("/probe", "smtp-tls-probe", ({},), cluster, "mail") for cluster in ("a", "b")],
    "probe and metrics": [Part("/probe", "smtp_tls_probe"), Part("/metrics", "smtp_tls")],
}


def exposition() -> list[tuple[str, Labels, str]]:
    """The samples of the golden file and the added ones, with times relative to those of the golden file."""
    lines = [line for line in (GOLDEN.read_text() + ADDED_SERIES).splitlines() if line and not line.startswith("#")]
    samples = {}
    for line in lines:
        # The golden file has a placeholder for what depends on the build.
        line = line.replace("{<of the build>}", '{version="1.0.0",revision="0"}')
        match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        assert match, line
        labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
        samples[match[1], frozenset(labels.items())] = (match[1], labels, match[3])
    return list(samples.values())


def _now(samples: list[tuple[str, Labels, str]]) -> float:
    """The time of the golden file."""

    def first(metric: str) -> float:
        return next(float(value) for name, _, value in samples if name == metric)

    return first("smtp_tls_cert_not_after_timestamp_seconds") - 86400 * first("smtp_tls_cert_expiry_days")


class Database:
    """A running Prometheus. Each set-up has its own point in time, two days apart, so that they do not mix. Labels that
    the series have under other names keep their names in results."""

    def __init__(self, url: str, times: dict[str, int], renamed: Labels) -> None:
        self.url = url
        self.times = times
        self._names = {new: name for name, new in renamed.items()}
        self._answers: dict[str, Any] = {}

    def query(self, setup: str, expr: str) -> list[tuple[Labels, float]]:
        answer = self._get("query", {"query": expr, "time": str(self.times[setup])})
        if answer["resultType"] == "scalar":
            return [({}, float(answer["result"][1]))]
        return [
            ({self.name_of(label): value for label, value in each["metric"].items()}, float(each["value"][1]))
            for each in answer["result"]
        ]

    def name_of(self, label: str) -> str:
        """The name of a label in results."""
        return self._names.get(label, label)

    def label_values(self, setup: str, selector: str, label: str) -> list[str]:
        end = self.times[setup]
        values: list[str] = self._get(
            f"label/{label}/values", {"match[]": selector, "start": str(end - 600), "end": str(end)}
        )
        return values

    def _get(self, path: str, parameters: Labels) -> Any:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        if url not in self._answers:
            try:
                with urllib.request.urlopen(url, timeout=30) as response:
                    self._answers[url] = json.load(response)["data"]
            except urllib.error.HTTPError as error:
                raise QueryError(json.load(error).get("error", str(error))) from None
        return self._answers[url]


class QueryError(Exception):
    """Prometheus refused a query."""


@contextmanager
def database(prometheus: str, promtool: str, renamed: Labels | None = None) -> Iterator[Database]:
    """A Prometheus with the series of all set-ups. `renamed`: other names of labels."""
    renamed = renamed or {}
    samples = exposition()
    golden_now = _now(samples)
    first = int(time.time()) // 86400 * 86400 - 60 * 86400
    times = {name: first + 2 * 86400 * number for number, name in enumerate(SETUPS)}
    with tempfile.TemporaryDirectory(prefix="dashboards-") as directory:
        work = Path(directory)
        with (work / "series.txt").open("w") as file:
            for setup, parts in SETUPS.items():
                _write(file, parts, samples, times[setup], golden_now, renamed)
            file.write("# EOF\n")
        data = work / "data"
        subprocess.run(
            [promtool, "tsdb", "create-blocks-from", "openmetrics", work / "series.txt", data],
            check=True,
            capture_output=True,
        )
        (work / "prometheus.yml").write_text("")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [
            prometheus,
            f"--config.file={work / 'prometheus.yml'}",
            f"--storage.tsdb.path={data}",
            "--storage.tsdb.retention.time=1y",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with (work / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url, process, work / "log")
            yield Database(url, times, renamed)
        finally:
            process.terminate()
            process.wait(30)


def _write(
    file: Any,
    parts: list[Part],
    samples: list[tuple[str, Labels, str]],
    end: int,
    golden_now: float,
    renamed: Labels,
) -> None:
    for part in parts:
        for name, labels, value in part.series(samples):
            if name.endswith(("_timestamp_seconds", "process_start_time_seconds")) and float(value):
                value = str(float(value) - golden_now + end)
            text = ",".join(f'{renamed.get(label, label)}="{text}"' for label, text in labels.items())
            # Every two minutes, the interval for scrapes of /probe. Counters increase.
            step = 1 if name.endswith("_total") else 0
            file.writelines(
                f"{name}{{{text}}} {float(value) + step * number} {end - 600 + 120 * number}\n" for number in range(6)
            )


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/-/ready", timeout=5).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"Prometheus did not start: {log.read_text()[-2000:]}")


# --- checks: each yields the errors it finds


def errors(
    dashboard: Json,
    prometheus: Database,
    setups: list[str] | None = None,
    numbers: dict[str, dict[str, int | float]] = EXPECTED,
) -> Iterator[str]:
    """Compares the results with the plain set-up with the expected `numbers`, and those in each set-up with them."""
    try:
        expected = dict(_results(dashboard, prometheus, "plain", {}))
    except QueryError as error:
        yield f"plain: {error}"
        return
    yield from _unexpected(numbers[dashboard["uid"]], expected)
    for setup, parts in SETUPS.items():
        if setups is None or setup in setups:
            try:
                found = _setup_errors(dashboard, prometheus, setup, parts, expected)
                yield from (f"{setup}: {error}" for error in found)
            except QueryError as error:
                yield f"{setup}: {error}"


def _unexpected(numbers: dict[str, int | float], results: dict[str, Counter[Row]]) -> Iterator[str]:
    numbers = dict(numbers)
    for name, rows in results.items():
        title = name.rpartition(" (")[0]
        number = numbers.pop(title, None)
        if not rows:
            yield f"{name}: no result"
        elif isinstance(number, int) and len(rows) != number:
            yield f"{name}: expected {number} rows, got {len(rows)}"
        elif isinstance(number, float) and [value for _, value in rows] != [number]:
            yield f"{name}: expected {number}, got {list(rows)}"
    yield from (f"no panel {title}" for title in numbers)


def _setup_errors(
    dashboard: Json, prometheus: Database, setup: str, parts: list[Part], expected: dict[str, Counter[Row]]
) -> Iterator[str]:
    is_exporter = dashboard["uid"] == EXPORTER
    parts = [part for part in parts if not is_exporter or part.way == "/metrics"]
    if not parts:
        return
    yield from _variable_errors(dashboard, prometheus, setup, parts)
    for name, rows in _results(dashboard, prometheus, setup, {}, keep_scope=True):
        scoped = any(label in SCOPE for labels, _ in rows for label, _ in labels)
        if is_exporter:
            if not rows:
                yield f"{name}: no result"
        elif scoped and Counter({_without_scope(row): 0 for row in rows}).keys() == expected[name].keys():
            # All: each scope has all rows.
            if len(rows) != len(parts) * len(expected[name]):
                yield f"{name}: expected {len(parts)} × {len(expected[name])} rows, got {len(rows)}"
        elif len(parts) == 1 or scoped:
            yield from _difference(name, rows, expected[name])
        else:
            is_sum = re.sub(r" \(\d+\)", "", name) in ADDED_UP[dashboard["uid"]]
            factor = len(parts) if is_sum else 1
            yield from _difference(name, rows, Counter([(labels, factor * value) for labels, value in expected[name]]))
        for labels in map(dict, (labels for labels, _ in rows)):
            for label in ("cluster", "namespace"):
                if labels.get(f"var_{label}", "") not in ("", labels.get(label, "All")):
                    yield f"{name}: links of {labels} select another {label}"
    yield from _legend_errors(dashboard, prometheus, setup)
    if len(parts) > 1 and not is_exporter:
        for part in parts:
            selected = {"cluster": part.cluster, "namespace": part.namespace, "job": part.job}
            for name, rows in _results(dashboard, prometheus, setup, selected):
                yield from (f"{selected}: {error}" for error in _difference(name, rows, expected[name]))


def _difference(name: str, rows: Counter[Row], expected: Counter[Row]) -> Iterator[str]:
    rows = Counter([_without_scope(row) for row in rows.elements()])
    if rows != expected:
        extra, missing = rows - expected, expected - rows
        yield f"{name}: {len(rows)} rows; unexpected {_short(extra)}; missing {_short(missing)}"


def _short(rows: Counter[Row]) -> str:
    return "; ".join(f"{dict(labels)} = {value}" for labels, value in rows.elements())[:300] or "none"


def _without_scope(row: Row) -> Row:
    return frozenset((name, value) for name, value in row[0] if name not in SCOPE), row[1]


def _variable_errors(dashboard: Json, prometheus: Database, setup: str, parts: list[Part]) -> Iterator[str]:
    scope = {name: {getattr(part, name) for part in parts} - {""} for name in ("cluster", "namespace", "job")}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] != "query":
            continue
        query = re.fullmatch(r"label_values\((.*), (\S+)\)", variable["query"]["query"])
        if not query:
            yield f"variable {variable['name']}: expected label_values(SERIES, LABEL)"
            continue
        selector, label = (interpolate(dashboard, text, {}) for text in query.groups())
        values = set(prometheus.label_values(setup, selector, label))
        if variable["name"] in scope and values != scope[variable["name"]]:
            yield f"variable {variable['name']}: expected {scope[variable['name']]}, got {values}"
        elif variable["name"] not in scope and not values:
            yield f"variable {variable['name']}: no values"


def _legend_errors(dashboard: Json, prometheus: Database, setup: str) -> Iterator[str]:
    """Series of a panel that cannot be distinguished."""
    for panel in dashboard["panels"]:
        names: Counter[str] = Counter()
        for target in panel.get("targets", []):
            if "{{" in target.get("legendFormat", ""):
                for labels, _ in prometheus.query(setup, interpolate(dashboard, target["expr"], {})):
                    # What distinguishes several jobs in one namespace is the variable `job`.
                    legend = target["legendFormat"] + (labels.get("job", "") if setup == "probe and metrics" else "")
                    for label in re.findall(r"\{\{(\w+)\}\}", legend):
                        legend = legend.replace(f"{{{{{label}}}}}", labels.get(prometheus.name_of(label), ""))
                    names[legend] += 1
        yield from (f"{panel['title']}: {number} series named {name}" for name, number in names.items() if number > 1)


def _results(
    dashboard: Json, prometheus: Database, setup: str, selected: Labels, *, keep_scope: bool = False
) -> Iterator[tuple[str, Counter[Row]]]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            found = prometheus.query(setup, interpolate(dashboard, target["expr"], selected))
            end = prometheus.times[setup]
            rows = [(frozenset(labels.items()), _relative(value, end)) for labels, value in found]
            name = f"{panel['title']} ({panel['id']}) {target['refId']}"
            yield name, Counter(rows if keep_scope else map(_without_scope, rows))


def _relative(value: float, end: int) -> float:
    """A value, times relative to the end: set-ups have different times. Grafana needs times in milliseconds."""
    if value > 1e9:
        value = (value / 1000 if value > 1e12 else value) - end
    return float(f"{value:.6g}")


def interpolate(dashboard: Json, text: str, selected: Labels) -> str:
    """Replaces variables as Grafana does: All, unless the variable is selected or a single value."""
    values = {"__rate_interval": "8m", "__range": "6h", "target": "relay"}
    for variable in dashboard["templating"]["list"]:
        if variable.get("includeAll"):
            values.setdefault(variable["name"], variable["allValue"])
        elif variable["type"] == "textbox":
            values[variable["name"]] = variable["query"]
    values |= selected
    return re.sub(r"\$([A-Za-z_]\w*)", lambda match: values.get(match[1], match[0]), text)
