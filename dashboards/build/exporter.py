"""The exporter itself: probe rates, scheduling delays and resource usage."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import Row

import panels as p
import smtp
from panels import BLUE, GREEN, ORANGE, RED
from parameters import Parameters
from promql import Selector, count, max_by, min_by

# Missing shards above this number have no row.
MAX_SHARDS = 32


class Exporter(smtp.Dashboard):
    page = smtp.EXPORTER

    def __init__(self, parameters: Parameters) -> None:
        super().__init__(parameters)
        self.instances = Selector(parameters, 'instance=~"$instance"')
        self.round_age = self.instances.round_age()
        # Not of the selected instances: a shard of another instance is not missing. Exporters without shards are shard
        # 0 of 1, which must not stand in for shard 0 of others in the same job.
        totals = f"{self.jobs.target('exporter_total_shards')} > 1"
        ordinals = f"{self.jobs.target('exporter_shard_ordinal')} and {totals}"
        self.total_shards = max_by(self.by.job, totals)
        self.shards = f'count_values by ({self.by.instance}) ("ordinal", {max_by(self.by.instance, ordinals)})'

    def variables(self) -> list[p.Variable]:
        instances = f"label_values({self.jobs.target('exporter_build_info')}, instance)"
        return [p.multi_variable("instance", "Instance", instances, "Exporter instances, as scraped by Prometheus")]

    def rows(self) -> list[smtp.Row]:
        return [
            *smtp.stat_rows(self._stats(), columns=5),
            Row("Probes"),
            p.row(8, (12, self._probe_rate()), (12, self._failure_ratio())),
            p.row(9, (12, self._failures_by_reason()), (12, self._local_errors())),
            Row("Scheduling and DNS lookups"),
            p.row(8, (12, self._schedule_lag()), (12, self._probes_in_flight())),
            p.row(8, (12, self._round_age()), (12, self._oldest_rounds())),
            p.row(8, (8, self._lookup_duration()), (8, self._failed_lookups()), (8, self._skipped_addresses())),
            Row("Shards"),
            p.row(8, (12, self._shards()), (12, self._targets_by_shard())),
            Row("Process"),
            p.row(8, (12, self._cpu()), (12, self._memory())),
            p.row(8, (12, self._file_descriptors()), (12, self._scrape_duration())),
            p.row(6, (14, self._versions()), (10, self._trust_stores())),
        ]

    def _metric(self, name: str) -> str:
        return self.instances.target(name)

    def _rate(self, metric: str) -> str:
        return f"rate({self._metric(metric)}[$__rate_interval])"

    def _reload_stat(self, title: str, description: str, metric: str, empty: str) -> stat.Panel:
        return (
            p.number(title, description, f"min({self._metric(metric)})")
            .no_value(empty)
            .mappings([p.value_mapping(smtp.verdict("ok", "failed")), p.null_mapping(empty)])
            .thresholds(p.steps(RED, (1, GREEN)))
        )

    def _stats(self) -> list[p.PanelBuilder]:
        up, last_round = self._metric("up"), self._metric("target_last_round_timestamp_seconds")
        down, not_probed = max_by(self.by.instance, up), min_by(self.by.target, last_round)
        return [
            p.number(
                "Exporters down",
                "Exporter instances that Prometheus cannot scrape. While an exporter is down, its targets are not "
                "monitored.",
                count(f"{down} == 0", down),
            ).thresholds(smtp.RED_FROM_1),
            self._reload_stat(
                "Config reload",
                "Result of the last attempt to load the configuration. If it failed, the previous one stays in use.",
                "exporter_config_last_reload_successful",
                p.NO_DATA,
            ),
            self._reload_stat(
                "Web config reload",
                "Result of the last attempt to load the file of `--web.config.file`. If it failed, the previous one "
                "stays in use. Only for exporters with this flag.",
                "exporter_web_config_last_reload_successful",
                "not configured",
            ),
            p.number(
                "Targets never probed",
                "Targets that have not completed their first round yet; with several exporters, on any of them. After "
                "startup, this should return to 0.",
                count(f"{not_probed} == 0", not_probed),
            ).thresholds(smtp.ORANGE_FROM_1),
            smtp.round_age_stat(
                "Oldest round",
                "Largest age of a target's last completed round, in probe intervals of that target. Up to about 1 is "
                "normal; a larger value means that results are stale.",
                f"max({self.round_age})",
            ),
            p.number(
                "Schedule lag",
                "How long the most overdue probe has been waiting. A large value means that the exporter cannot keep "
                "up.",
                f"max({self._metric('exporter_schedule_lag_seconds')})",
            )
            .unit("s")
            .thresholds(p.steps(GREEN, (60, ORANGE), (300, RED))),
            p.number(
                "Local errors",
                "Probes and lookups in the time range that failed because of a problem on the exporter host. They do "
                "not change the verdict on any server.",
                f"sum(increase({self._metric('exporter_local_errors_total')}[$__range]))",
            )
            .decimals(0)
            .thresholds(smtp.ORANGE_FROM_1),
            p.number(
                "Missing shards",
                "Shards without an exporter that Prometheus can scrape. Their targets are not monitored.",
                f"sum({self.total_shards}) - count(count by ({self.by.job}, ordinal) ({self.shards}))",
                empty="no shards",
            ).thresholds(smtp.RED_FROM_1),
            p.number(
                "Targets",
                "Number of configured targets; with several exporters, the largest.",
                f"max({self._metric('exporter_targets')})",
                neutral=True,
            ),
            p.number(
                "Uptime",
                "Time since the exporter started; with several exporters, the shortest.",
                f"min(time() - {self._metric('process_start_time_seconds')})",
                neutral=True,
            )
            .unit("s")
            .decimals(1),
        ]

    def _per_instance(self, title: str, description: str, expr: str, **options: Any) -> timeseries.Panel:
        query = p.range_query(expr, f"{{{{instance}}}} {self.by.legend}")
        return p.lines(title, description, [query], **options)

    def _probe_rate(self) -> timeseries.Panel:
        queries = {"completed": self._rate("probes_total"), "failed": self._rate("probe_failures_total")}
        return p.lines(
            "Probe rate",
            "Completed probes per second, and how many of them failed.",
            [p.range_query(f"sum({rate})", legend) for legend, rate in queries.items()],
            colors={"completed": BLUE, "failed": RED},
        ).unit("cps")

    def _failure_ratio(self) -> timeseries.Panel:
        failures, probes = (
            f"sum by ({self.by.instance}) ({self._rate(metric)})" for metric in ("probe_failures_total", "probes_total")
        )
        return (
            self._per_instance(
                "Probe failure ratio",
                "Share of completed probes that failed. A sudden rise across all targets suggests a network problem on "
                "the exporter host.",
                f"{failures} / {probes}",
            )
            .unit("percentunit")
            .max(1)
        )

    def _failures_by_reason(self) -> timeseries.Panel:
        failures = f"sum by (stage, reason) ({self._rate('probe_failure_reasons_total')}) > 0"
        return p.lines(
            "Failed probes by stage and reason",
            "Failed probes per second, by the stage at which they failed and the reason.",
            [p.range_query(failures, "{{stage}}: {{reason}}")],
            stacked=True,
        ).unit("cps")

    def _local_errors(self) -> timeseries.Panel:
        errors = p.range_query(f"sum by (reason) ({self._rate('exporter_local_errors_total')})", "{{reason}}")
        return (
            p.lines(
                "Local errors by reason",
                "Probes and lookups per second that failed because of a problem on the exporter host, such as no free "
                "file descriptors or no route. While the rate is above 0, verdicts become stale.",
                [errors],
                stacked=True,
            )
            .unit("cps")
            .axis_soft_min(0)
            .axis_soft_max(0.1)
        )

    def _schedule_lag(self) -> timeseries.Panel:
        return (
            self._per_instance(
                "Schedule lag",
                "How long the most overdue probe has been waiting. A steady rise means more probes than the limits or "
                "the exporter host can handle.",
                max_by(self.by.instance, self._metric("exporter_schedule_lag_seconds")),
            )
            .unit("s")
            .axis_soft_min(0)
            .axis_soft_max(1)
        )

    def _probes_in_flight(self) -> timeseries.Panel:
        return (
            self._per_instance(
                "Probes in flight",
                "Probes with an open connection. A flat line at the top means that the limit `concurrent_probes` is "
                "reached.",
                max_by(self.by.instance, self._metric("exporter_probes_in_flight")),
                stepped=True,
            )
            .axis_soft_min(0)
            .axis_soft_max(1)
        )

    def _round_age(self) -> timeseries.Panel:
        return p.lines(
            "Age of last round",
            "Age of the last completed round of all targets, in probe intervals of the target. Up to about 1 is "
            "normal; a larger value means that results are stale.",
            p.max_and_median(self.round_age),
            thresholds=p.steps("transparent", (3, ORANGE), (10, RED)),
        ).unit("suffix: ×")

    def _oldest_rounds(self) -> table.Panel:
        by = f"{self.by.target}, instance"
        oldest = f"topk(10, {max_by(by, self.round_age)})"
        age = max_by(by, f"time() - ({self._metric('target_last_round_timestamp_seconds')} > 0)")
        thresholds = p.steps("text", (3, ORANGE), (10, RED))
        return p.rows_table(
            "Targets with the oldest rounds",
            "The ten targets whose last completed round is the oldest, in probe intervals of the target and in time.",
            [oldest, self.by.linkable(f"({age} and {oldest})")],
            [
                p.column("target", "Target", min_width=190, links=smtp.target_link()),
                p.column(
                    "Value #A",
                    "Intervals",
                    unit="suffix: ×",
                    decimals=1,
                    width=90,
                    thresholds=thresholds,
                    cell=p.COLORED_TEXT,
                ),
                p.column("Value #B", "Age", unit="s", decimals=0, width=80),
                p.column("instance", "Instance"),
                *smtp.scope_columns(self.by),
                *smtp.link_columns("target"),
            ],
            sort="Intervals",
            descending=True,
        ).no_value("No round has been completed")

    def _lookup_duration(self) -> timeseries.Panel:
        return p.lines(
            "DNS lookup duration",
            "Time from the first query of a target's last lookup to the last response. High values mean slow name "
            "servers.",
            p.max_and_median(self._metric("target_lookup_duration_seconds")),
        ).unit("s")

    def _failed_lookups(self) -> timeseries.Panel:
        success = self._metric("target_lookup_success")
        failed = count(f"{max_by(self.by.target, success)} == 0", success)
        return p.count_lines(
            "Failed DNS lookups",
            "Targets whose last lookup failed, and DNS queries without addresses in the response, by reason.",
            [
                p.range_query(failed, "targets"),
                p.range_query(f"count by (reason) ({self.instances.lookup_failures()})", "{{reason}}"),
            ],
        )

    def _skipped_addresses(self) -> timeseries.Panel:
        skipped = max_by(f"{self.by.target}, reason", self._metric("target_addresses_skipped"))
        total = f"sum({skipped}) or 0 * count({self._metric('target_info')})"
        return p.count_lines(
            "Skipped addresses",
            "Resolved addresses that are not probed, by reason: `cap` means that `backends_per_target` is reached, "
            "`no_route` that the exporter host has no route for the address family, `address_not_allowed` and "
            "`port_not_allowed` that MX or SRV records have addresses or ports that the configuration does not allow.",
            [p.range_query(total, "total"), p.range_query(f"sum by (reason) ({skipped})", "{{reason}}")],
        )

    def _shards(self) -> table.Panel:
        by = f"{self.by.job}, ordinal"
        expected = "\nor ".join(
            f'label_replace({self.total_shards} > {ordinal}, "ordinal", "{ordinal}", "", "")'
            for ordinal in range(MAX_SHARDS)
        )
        missing = p.null_mapping("missing", RED)
        return p.rows_table(
            "Shards",
            "Shards of each job, and the exporters of each shard; several are replicas. A shard without an exporter "
            f"that Prometheus can scrape is missing. Jobs with more than {MAX_SHARDS} shards have rows for the first "
            f"{MAX_SHARDS}, and for others that are present.",
            [f"sum by ({by}) ({self.shards})", self._targets_of_shards(), expected],
            [
                p.column("ordinal", "Shard", width=80),
                p.column("Value #A", "Exporters", mappings=[missing], width=100, cell=p.COLORED_TEXT),
                p.column("Value #B", "Targets", width=100),
                p.column("Value #C", "Shards in total", width=130),
                p.column("job", "Job"),
                *smtp.scope_columns(self.by),
            ],
            sort="Shard",
        ).no_value("The exporters do not divide their targets")

    def _targets_of_shards(self) -> str:
        targets = max_by(self.by.instance, self.jobs.target("exporter_targets"))
        return max_by(f"{self.by.job}, ordinal", f"{self.shards} * on ({self.by.instance}) group_left () {targets}")

    def _targets_by_shard(self) -> timeseries.Panel:
        return p.count_lines(
            "Targets by shard",
            "Number of targets of each shard; with several exporters of a shard, the largest. A gap means that the "
            "shard was missing.",
            [p.range_query(self._targets_of_shards(), f"shard {{{{ordinal}}}} {self.by.legend}")],
        ).no_value("The exporters do not divide their targets")

    def _cpu(self) -> timeseries.Panel:
        usage = f"sum by ({self.by.instance}) ({self._rate('process_cpu_seconds_total')})"
        description = "CPU time used by the exporter; 100% is one core."
        return self._per_instance("CPU usage", description, usage).unit("percentunit")

    def _memory(self) -> timeseries.Panel:
        memory = max_by(self.by.instance, self._metric("process_resident_memory_bytes"))
        return self._per_instance("Memory usage", "Resident memory of the exporter process.", memory).unit("bytes")

    def _file_descriptors(self) -> timeseries.Panel:
        open_fds, max_fds = self._metric("process_open_fds"), self._metric("process_max_fds")
        return self._per_instance(
            "File descriptor usage",
            "Open file descriptors as a share of the process limit. At 100%, probes fail with local errors.",
            max_by(self.by.instance, f"{open_fds} / {max_fds}"),
            thresholds=p.steps("transparent", (0.8, RED)),
        ).unit("percentunit")

    def _scrape_duration(self) -> timeseries.Panel:
        duration = max_by(self.by.instance, self._metric("scrape_duration_seconds"))
        description = "Duration of Prometheus scrapes. A scrape reads existing results and never waits for probes."
        return self._per_instance("Scrape duration", description, duration).unit("s")

    def _versions(self) -> table.Panel:
        loaded = max_by(self.by.instance, self._metric("exporter_config_last_reload_success_timestamp_seconds"))
        queries = [
            max_by(f"{self.by.instance}, version, revision", self._metric("exporter_build_info")),
            f"{loaded} * 1000",
            max_by(self.by.instance, self._metric("process_threads")),
        ]
        return p.rows_table(
            "Versions",
            "Version, number of threads and last successful configuration load of each exporter.",
            queries,
            [
                p.column("instance", "Instance", min_width=150),
                p.column("version", "Version", width=80),
                p.column("revision", "Revision"),
                p.column("Value #B", "Config loaded", unit="time:YYYY-MM-DD HH:mm", width=145),
                p.column("Value #C", "Threads", width=75),
                *smtp.scope_columns(self.by),
            ],
            sort="Instance",
        )

    def _trust_stores(self) -> table.Panel:
        roots = max_by(f"{self.by.instance}, store", self._metric("exporter_trust_anchors"))
        return p.rows_table(
            "Trust stores",
            "Number of trusted roots in each trust store in use. With 0, all chains of its targets are untrusted.",
            [roots],
            [
                p.column("store", "Store"),
                p.column("Value", "Roots", thresholds=p.steps(RED, (1, "text")), cell=p.COLORED_TEXT, width=90),
                p.column("instance", "Instance"),
                *smtp.scope_columns(self.by),
            ],
            sort="Store",
        )
