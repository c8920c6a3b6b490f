"""The exporter itself: probe rates, scheduling delays and resource usage."""

from __future__ import annotations

from typing import Any

import grafana as g
import smtp
from grafana import BLUE, GREEN, ORANGE, RED, Json
from smtp import INSTANCE, TARGET, count, max_by, min_by

INSTANCES = smtp.Selector(f'{smtp.SCOPE_MATCHERS}, instance=~"$instance"')

UP = INSTANCES.target("up")
LAST_ROUND = INSTANCES.target("target_last_round_timestamp_seconds")
ROUND_AGE = smtp.round_age(INSTANCES)


def dashboard() -> Json:
    instances = f"label_values(smtp_tls_exporter_build_info{{{smtp.SCOPE_MATCHERS}}}, instance)"
    return smtp.dashboard(
        smtp.EXPORTER,
        [g.query_variable("instance", "Instance", instances, "Exporter instances, as scraped by Prometheus")],
        [
            *smtp.stat_rows(_stats()),
            g.row_header("Probes"),
            g.row(8, (12, _probe_rate()), (12, _failure_ratio())),
            g.row(9, (12, _failures_by_reason()), (12, _local_errors())),
            g.row_header("Scheduling and DNS lookups"),
            g.row(8, (12, _schedule_lag()), (12, _probes_in_flight())),
            g.row(8, (12, _round_age()), (12, _oldest_rounds())),
            g.row(8, (8, _lookup_duration()), (8, _failed_lookups()), (8, _skipped_addresses())),
            g.row_header("Process"),
            g.row(8, (12, _cpu()), (12, _memory())),
            g.row(8, (12, _file_descriptors()), (12, _scrape_duration())),
            g.row(6, (14, _versions()), (10, _trust_stores())),
        ],
    )


def _stats() -> list[Json]:
    reload = INSTANCES.target("exporter_config_last_reload_successful")
    return [
        _count_zero(
            "Exporters down",
            "Exporter instances that Prometheus cannot scrape. While an exporter is down, its targets are not "
            "monitored.",
            max_by(INSTANCE, UP),
            smtp.RED_FROM_1,
        ),
        g.stat(
            "Config reload",
            "Result of the last attempt to load the configuration. If it failed, the previous one stays in use.",
            f"min({reload})",
            mappings=g.value_mappings(smtp.verdict("ok", "failed")),
            thresholds=g.steps(RED, (1, GREEN)),
        ),
        _count_zero(
            "Targets never probed",
            "Targets that have not completed their first round yet; with several exporters, on any of them. After "
            "startup, this should return to 0.",
            min_by(TARGET, LAST_ROUND),
            smtp.ORANGE_FROM_1,
        ),
        smtp.round_age_stat(
            "Oldest round",
            "Largest age of a target's last completed round, in probe intervals of that target. Up to about 1 is "
            "normal; a larger value means that results are stale.",
            f"max({ROUND_AGE})",
        ),
        g.stat(
            "Schedule lag",
            "How long the most overdue probe has been waiting. A large value means that the exporter cannot keep up.",
            f"max({INSTANCES.target('exporter_schedule_lag_seconds')})",
            unit="s",
            thresholds=g.steps(GREEN, (60, ORANGE), (300, RED)),
        ),
        g.stat(
            "Local errors",
            "Probes and lookups in the time range that failed because of a problem on the exporter host. They do not "
            "change the verdict on any server.",
            f"sum(increase({INSTANCES.target('exporter_local_errors_total')}[$__range]))",
            decimals=0,
            thresholds=smtp.ORANGE_FROM_1,
        ),
        g.stat(
            "Targets",
            "Number of configured targets; with several exporters, the largest.",
            f"max({INSTANCES.target('exporter_targets')})",
            neutral=True,
        ),
        g.stat(
            "Uptime",
            "Time since the exporter started; with several exporters, the shortest.",
            f"min(time() - {INSTANCES.target('process_start_time_seconds')})",
            unit="s",
            decimals=1,
            neutral=True,
        ),
    ]


def _count_zero(title: str, description: str, metric: str, thresholds: Json) -> Json:
    return g.stat(title, description, count(f"{metric} == 0", metric), thresholds=thresholds)


def _rate(metric: str) -> str:
    return f"rate({INSTANCES.target(metric)}[$__rate_interval])"


def _per_instance(title: str, description: str, expr: str, unit: str, **options: Any) -> Json:
    query = g.range_query(expr, f"{{{{instance}}}} {smtp.SCOPE_LEGEND}")
    return g.timeseries(title, description, [query], unit=unit, **options)


def _probe_rate() -> Json:
    queries = {"completed": _rate("probes_total"), "failed": _rate("probe_failures_total")}
    return g.timeseries(
        "Probe rate",
        "Completed probes per second, and how many of them failed.",
        [g.range_query(f"sum({rate})", legend) for legend, rate in queries.items()],
        unit="cps",
        colors={"completed": BLUE, "failed": RED},
    )


def _failure_ratio() -> Json:
    failures, probes = (f"sum by ({INSTANCE}) ({_rate(metric)})" for metric in ("probe_failures_total", "probes_total"))
    return _per_instance(
        "Probe failure ratio",
        "Share of completed probes that failed. A sudden rise across all targets suggests a network problem on the "
        "exporter host.",
        f"{failures} / {probes}",
        "percentunit",
        maximum=1,
    )


def _failures_by_reason() -> Json:
    failures = f"sum by (stage, reason) ({_rate('probe_failure_reasons_total')}) > 0"
    return g.timeseries(
        "Failed probes by stage and reason",
        "Failed probes per second, by the stage at which they failed and the reason.",
        [g.range_query(failures, "{{stage}}: {{reason}}")],
        unit="cps",
        stacked=True,
    )


def _local_errors() -> Json:
    errors = g.range_query(f"sum by (reason) ({_rate('exporter_local_errors_total')})", "{{reason}}")
    return g.timeseries(
        "Local errors by reason",
        "Probes and lookups per second that failed because of a problem on the exporter host, such as no free file "
        "descriptors or no route. While the rate is above 0, verdicts become stale.",
        [errors],
        unit="cps",
        stacked=True,
        soft_range=(0, 0.1),
    )


def _schedule_lag() -> Json:
    return _per_instance(
        "Schedule lag",
        "How long the most overdue probe has been waiting. A steady rise means more probes than the limits or the "
        "exporter host can handle.",
        max_by(INSTANCE, INSTANCES.target("exporter_schedule_lag_seconds")),
        "s",
        soft_range=(0, 1),
    )


def _probes_in_flight() -> Json:
    return _per_instance(
        "Probes in flight",
        "Probes with an open connection. A flat line at the top means that the limit `concurrent_probes` is reached.",
        max_by(INSTANCE, INSTANCES.target("exporter_probes_in_flight")),
        "none",
        stepped=True,
        soft_range=(0, 1),
    )


def _round_age() -> Json:
    return g.timeseries(
        "Age of last round",
        "Age of the last completed round of all targets, in probe intervals of the target. Up to about 1 is normal; a "
        "larger value means that results are stale.",
        g.max_and_median(ROUND_AGE),
        unit="suffix: ×",
        thresholds=g.steps("transparent", (3, ORANGE), (10, RED)),
    )


def _oldest_rounds() -> Json:
    by = f"{TARGET}, instance"
    oldest = f"topk(10, {max_by(by, ROUND_AGE)})"
    age = max_by(by, f"time() - ({LAST_ROUND} > 0)")
    thresholds = g.steps("text", (3, ORANGE), (10, RED))
    return g.table(
        "Targets with the oldest rounds",
        "The ten targets whose last completed round is the oldest, in probe intervals of the target and in time.",
        [oldest, smtp.linkable(f"({age} and {oldest})")],
        [
            g.column("target", "Target", min_width=190, links=smtp.target_link()),
            g.column(
                "Value #A",
                "Intervals",
                unit="suffix: ×",
                decimals=1,
                width=90,
                thresholds=thresholds,
                cell=g.COLORED_TEXT,
            ),
            g.column("Value #B", "Age", unit="s", decimals=0, width=80),
            g.column("instance", "Instance"),
            *smtp.SCOPE_COLUMNS,
            *smtp.link_columns("target"),
        ],
        sort="Intervals",
        descending=True,
        empty="No round has been completed",
    )


def _lookup_duration() -> Json:
    return g.timeseries(
        "DNS lookup duration",
        "Time from the first query of a target's last lookup to the last response. High values mean slow name servers.",
        g.max_and_median(INSTANCES.target("target_lookup_duration_seconds")),
        unit="s",
    )


def _failed_lookups() -> Json:
    success = INSTANCES.target("target_lookup_success")
    return g.count_timeseries(
        "Failed DNS lookups",
        "Targets whose last lookup failed, and DNS queries without addresses in the response, by reason.",
        [
            g.range_query(count(f"{max_by(TARGET, success)} == 0", success), "targets"),
            g.range_query(f"count by (reason) ({smtp.lookup_failures(INSTANCES)})", "{{reason}}"),
        ],
    )


def _skipped_addresses() -> Json:
    skipped = max_by(f"{smtp.TARGET}, reason", INSTANCES.target("target_addresses_skipped"))
    total = f"sum({skipped}) or 0 * count({INSTANCES.target('target_info')})"
    return g.count_timeseries(
        "Skipped addresses",
        "Resolved addresses that are not probed, by reason: `cap` means that `backends_per_target` is reached, "
        "`no_route` that the exporter host has no route for the address family, `address_not_allowed` and "
        "`port_not_allowed` that MX or SRV records have addresses or ports that the configuration does not allow.",
        [g.range_query(total, "total"), g.range_query(f"sum by (reason) ({skipped})", "{{reason}}")],
    )


def _cpu() -> Json:
    usage = f"sum by ({INSTANCE}) ({_rate('process_cpu_seconds_total')})"
    return _per_instance("CPU usage", "CPU time used by the exporter; 100% is one core.", usage, "percentunit")


def _memory() -> Json:
    memory = max_by(INSTANCE, INSTANCES.target("process_resident_memory_bytes"))
    return _per_instance("Memory usage", "Resident memory of the exporter process.", memory, "bytes")


def _file_descriptors() -> Json:
    open_fds, max_fds = INSTANCES.target("process_open_fds"), INSTANCES.target("process_max_fds")
    return _per_instance(
        "File descriptor usage",
        "Open file descriptors as a share of the process limit. At 100%, probes fail with local errors.",
        max_by(INSTANCE, f"{open_fds} / {max_fds}"),
        "percentunit",
        thresholds=g.steps("transparent", (0.8, RED)),
    )


def _scrape_duration() -> Json:
    duration = max_by(INSTANCE, INSTANCES.target("scrape_duration_seconds"))
    description = "Duration of Prometheus scrapes. A scrape reads existing results and never waits for probes."
    return _per_instance("Scrape duration", description, duration, "s")


def _versions() -> Json:
    loaded = max_by(INSTANCE, INSTANCES.target("exporter_config_last_reload_success_timestamp_seconds"))
    queries = [
        max_by(f"{INSTANCE}, version, revision", INSTANCES.target("exporter_build_info")),
        f"{loaded} * 1000",
        max_by(INSTANCE, INSTANCES.target("process_threads")),
    ]
    return g.table(
        "Versions",
        "Version, number of threads and last successful configuration load of each exporter.",
        queries,
        [
            g.column("instance", "Instance", min_width=150),
            g.column("version", "Version", width=80),
            g.column("revision", "Revision"),
            g.column("Value #B", "Config loaded", unit="time:YYYY-MM-DD HH:mm", width=145),
            g.column("Value #C", "Threads", width=75),
            *smtp.SCOPE_COLUMNS,
        ],
        sort="Instance",
    )


def _trust_stores() -> Json:
    roots = max_by(f"{INSTANCE}, store", INSTANCES.target("exporter_trust_anchors"))
    return g.table(
        "Trust stores",
        "Number of trusted roots in each trust store in use. With 0, all chains of its targets are untrusted.",
        [roots],
        [
            g.column("store", "Store"),
            g.column("Value", "Roots", thresholds=g.steps(RED, (1, "text")), cell=g.COLORED_TEXT, width=90),
            g.column("instance", "Instance"),
            *smtp.SCOPE_COLUMNS,
        ],
        sort="Store",
    )
