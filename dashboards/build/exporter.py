"""Whether the exporter itself is well, and keeps up with its rounds."""

from __future__ import annotations

from grafana import Json, choice, column, heading, lines, over_time, row, rows_now, stat, steps, table, to, words
from grafana import dashboard as build
from smtp import (
    ALL,
    EXPORTER,
    GOOD_AT_0,
    GREEN,
    ORANGE,
    RED,
    WARN_AT_1,
    Scope,
    T,
    best,
    count,
    job_variable,
    links,
    numbers_rows,
    target_url,
)

MINE = Scope('job=~"$job", instance=~"$instance"')
EACH = "{{instance}}"


def dashboard() -> Json:
    instances = 'label_values(smtp_tls_exporter_build_info{job=~"$job"}, instance)'
    return build(
        uid=EXPORTER,
        title="SMTP TLS / Exporter",
        description="The exporter's own rates, delays and resources.",
        since="now-6h",
        links=links(EXPORTER),
        variables=[job_variable(), choice("instance", "Instance", instances, "Exporters, as Prometheus scrapes them")],
        rows=[
            *numbers_rows(_numbers()),
            heading("Probes"),
            row(8, (12, _rates()), (12, _failed_share())),
            row(9, (12, _reasons()), (12, _local_errors())),
            heading("Rounds and lookups"),
            row(8, (12, _lag()), (12, _in_flight())),
            row(8, (12, _round_age()), (12, _oldest_rounds())),
            row(8, (8, _lookup_duration()), (8, _lookup_failures()), (8, _not_probed())),
            heading("Process"),
            row(8, (12, _cpu()), (12, _memory())),
            row(8, (12, _files()), (12, _scrapes())),
            row(6, (14, _versions()), (10, _anchors())),
        ],
    )


def _numbers() -> list[Json]:
    last, interval = MINE.t("target_last_round_timestamp_seconds"), MINE.t("target_interval_seconds")
    return [
        stat(
            "Exporters down",
            "Exporters that Prometheus could not scrape.",
            count(f"{MINE.t('up')} == 0", MINE.t("up")),
            thresholds=GOOD_AT_0,
        ),
        stat(
            "Config",
            "Whether the last attempt to load the config succeeded; while it has not, the one before runs on.",
            f"min({MINE.t('exporter_config_last_reload_successful')})",
            mappings=words({1: ("ok", GREEN), 0: ("failed", RED)}),
            thresholds=steps(RED, (1, GREEN)),
        ),
        stat(
            "Never probed",
            "Targets whose first round has not been finished.",
            count(f"{last} == 0", last),
            thresholds=WARN_AT_1,
        ),
        stat(
            "Oldest round",
            "Age of the oldest last round of a target, in intervals of that target: up to about 1 is usual.",
            f"max((time() - ({last} > 0)) / {interval})",
            unit="suffix: ×",
            decimals=1,
            thresholds=steps(GREEN, (3, ORANGE), (10, RED)),
        ),
        stat(
            "Schedule lag",
            "How long the probe that is overdue the longest has been waiting for its turn.",
            f"max({MINE.t('exporter_schedule_lag_seconds')})",
            unit="s",
            thresholds=steps(GREEN, (60, ORANGE), (300, RED)),
        ),
        stat(
            "Local errors",
            "Probes within the time range that failed on this machine's side, and say nothing about a server.",
            f"sum(increase({MINE.t('exporter_local_errors_total')}[$__range]))",
            decimals=0,
            thresholds=WARN_AT_1,
        ),
        stat(
            "Targets",
            "Targets of the config; of several exporters, the most.",
            f"max({MINE.t('exporter_targets')})",
            thresholds=steps("text"),
            quiet=True,
        ),
        stat(
            "Running for",
            "Time since the exporter was started; of several, the youngest.",
            f"min(time() - {MINE.t('process_start_time_seconds')})",
            unit="s",
            decimals=1,
            thresholds=steps("text"),
            quiet=True,
        ),
    ]


def _rate(metric: str) -> str:
    return f"rate({MINE.t(metric)}[$__rate_interval])"


def _rates() -> Json:
    return lines(
        "Probes",
        "Finished probes a second, and those of them that failed.",
        [
            over_time(f"sum({_rate('probes_total')})", "finished"),
            over_time(f"sum({_rate('probe_failures_total')})", "failed"),
        ],
        unit="cps",
        overrides=[
            column("finished", color={"mode": "fixed", "fixedColor": "blue"}),
            column("failed", color={"mode": "fixed", "fixedColor": RED}),
        ],
    )


def _failed_share() -> Json:
    return lines(
        "Failed share of probes",
        "What share of the finished probes failed. A jump on all targets at once is a sign of this machine's own "
        "network.",
        [
            over_time(
                f"sum by (instance) ({_rate('probe_failures_total')}) / sum by (instance) ({_rate('probes_total')})",
                EACH,
            )
        ],
        unit="percentunit",
        maximum=1,
    )


def _reasons() -> Json:
    return lines(
        "Failed probes by stage and reason",
        "Failed probes a second by where and why they stopped.",
        [over_time(f"sum by (stage, reason) ({_rate('probe_failure_reasons_total')}) > 0", "{{stage}}: {{reason}}")],
        unit="cps",
        stacked=True,
    )


def _local_errors() -> Json:
    return lines(
        "Local errors by reason",
        "Probes a second that failed on this machine's side: no file descriptors, no route, an overloaded loop. They "
        "change nothing about a backend. Above zero, verdicts grow old.",
        [over_time(f"sum by (reason) ({_rate('exporter_local_errors_total')})", "{{reason}}")],
        unit="cps",
        stacked=True,
        reach=(0, 0.1),
    )


def _lag() -> Json:
    return lines(
        "Schedule lag",
        "How long the probe that is overdue the longest has been waiting. A line that keeps climbing means more "
        "probes than the limits or the machine allow.",
        [over_time(best("instance", MINE.t("exporter_schedule_lag_seconds")), EACH)],
        unit="s",
        reach=(0, 1),
    )


def _in_flight() -> Json:
    return lines(
        "Probes in flight",
        "Probes that hold a connection. A flat top is the limit concurrent_probes.",
        [over_time(best("instance", MINE.t("exporter_probes_in_flight")), EACH)],
        unit="none",
        stepped=True,
        reach=(0, 1),
    )


def _age() -> str:
    return f"(time() - ({MINE.t('target_last_round_timestamp_seconds')} > 0)) / {MINE.t('target_interval_seconds')}"


def _round_age() -> Json:
    return lines(
        "Age of last rounds",
        "How long ago the last round of a target was finished, in intervals of that target: the oldest of all, and "
        "the median. Up to about 1 is usual.",
        [over_time(f"max({_age()})", "oldest"), over_time(f"quantile(0.5, {_age()})", "median")],
        unit="suffix: ×",
        thresholds=steps("transparent", (3, ORANGE), (10, RED)),
    )


def _oldest_rounds() -> Json:
    by = f"{T}, instance"
    oldest = f"topk(10, {best(by, _age())})"
    age = f"time() - ({MINE.t('target_last_round_timestamp_seconds')} > 0)"
    return table(
        "Oldest rounds",
        "The ten targets whose last round is the oldest, in intervals of the target and in time.",
        [
            rows_now(oldest),
            rows_now(f"{best(by, age)} and {oldest}"),
        ],
        {"target": "Target", "Value #A": "Intervals", "Value #B": "Age", "instance": "Instance"},
        sort="Intervals",
        descending=True,
        empty="No round has been finished",
        overrides=[
            column(
                "Intervals",
                unit="suffix: ×",
                decimals=1,
                custom__width=90,
                thresholds=steps("text", (3, ORANGE), (10, RED)),
                custom__cellOptions={"type": "color-text"},
            ),
            column("Age", unit="s", decimals=0, custom__width=80),
            column("Target", custom__minWidth=190, links=to("Open the target", target_url(ALL))),
        ],
    )


def _lookup_duration() -> Json:
    durations = MINE.t("target_lookup_duration_seconds")
    return lines(
        "Duration of lookups",
        "Time from the first question of a target's last lookup to the last answer: the slowest target, and the "
        "median.",
        [over_time(f"max({durations})", "slowest"), over_time(f"quantile(0.5, {durations})", "median")],
        unit="s",
    )


def _lookup_failures() -> Json:
    failures = best("target, name, type, reason", MINE.t("target_lookup_failure_info"))
    successes = MINE.t("target_lookup_success")
    return lines(
        "Lookups that fail",
        "Targets whose last lookup failed, and the questions that were not answered with addresses, by reason.",
        [
            over_time(f"count({best(T, successes)} == 0) or 0 * count({successes})", "targets"),
            over_time(f"count by (reason) ({failures})", "{{reason}}"),
        ],
        unit="none",
        decimals=0,
        stepped=True,
        reach=(0, 1),
    )


def _not_probed() -> Json:
    skipped = best("target, server_name, reason", MINE.t("target_backends_skipped"))
    return lines(
        "Addresses not probed",
        "Addresses that DNS names and that no probe goes to, by reason: cap is backends_per_target of the config, "
        "no_route a family that the exporter's machine has no way to.",
        [
            over_time(f"sum({skipped}) or 0 * count({MINE.t('target_info')})", "addresses"),
            over_time(f"sum by (reason) ({skipped})", "{{reason}}"),
        ],
        unit="none",
        decimals=0,
        stepped=True,
        reach=(0, 1),
    )


def _cpu() -> Json:
    return lines(
        "CPU",
        "Share of one core that the exporter uses.",
        [over_time(f"sum by (instance) ({_rate('process_cpu_seconds_total')})", EACH)],
        unit="percentunit",
    )


def _memory() -> Json:
    return lines(
        "Memory",
        "Memory of the exporter that is in use.",
        [over_time(best("instance", MINE.t("process_resident_memory_bytes")), EACH)],
        unit="bytes",
    )


def _files() -> Json:
    return lines(
        "File descriptors",
        "File descriptors that the exporter holds, as a share of those that it may hold.",
        [over_time(best("instance", f"{MINE.t('process_open_fds')} / {MINE.t('process_max_fds')}"), EACH)],
        unit="percentunit",
        thresholds=steps("transparent", (0.8, RED)),
    )


def _scrapes() -> Json:
    return lines(
        "Duration of scrapes",
        "How long Prometheus waits for the metrics. Probes have nothing to do with it: a scrape reads what is known.",
        [over_time(best("instance", MINE.t("scrape_duration_seconds")), EACH)],
        unit="s",
    )


def _versions() -> Json:
    loaded = MINE.t("exporter_config_last_reload_success_timestamp_seconds")
    return table(
        "Versions",
        "What runs where, with how many threads, and when it last loaded a config.",
        [
            rows_now(best("instance, version, revision", MINE.t("exporter_build_info"))),
            rows_now(f"{best('instance', loaded)} * 1000"),
            rows_now(best("instance", MINE.t("process_threads"))),
        ],
        {
            "instance": "Instance",
            "version": "Version",
            "revision": "Revision",
            "Value #B": "Config loaded",
            "Value #C": "Threads",
        },
        sort="Instance",
        overrides=[
            column("Instance", custom__minWidth=150),
            column("Version", custom__width=80),
            column("Config loaded", unit="time:YYYY-MM-DD HH:mm", custom__width=145),
            column("Threads", custom__width=75),
        ],
    )


def _anchors() -> Json:
    return table(
        "Trust stores",
        "Roots in each trust store that is in use. None, and every chain of its targets is untrusted.",
        [rows_now(best("instance, store", MINE.t("exporter_trust_anchors")))],
        {"store": "Store", "Value": "Roots", "instance": "Instance"},
        sort="Store",
        overrides=[
            column(
                "Roots",
                thresholds=steps(RED, (1, "text")),
                custom__cellOptions={"type": "color-text"},
                custom__width=90,
            )
        ],
    )
