"""All targets at once: what is wrong now, the worst first."""

from __future__ import annotations

from collections.abc import Callable

from grafana import WRAPPED, Json, column, lines, over_time, row, rows_now, stat, steps, table, to, words
from grafana import dashboard as build
from smtp import (
    ALL,
    DAYS_LEFT,
    FLEET,
    GOOD_AT_0,
    GREEN,
    ORANGE,
    OVERVIEW,
    RED,
    SOON_DAYS,
    SOON_SHARE,
    URGENT_SHARE,
    WARN_AT_1,
    B,
    E,
    T,
    backends_table,
    best,
    count,
    ends_within,
    job_variable,
    label_variables,
    linked,
    links,
    numbers_rows,
    one_target,
    target_url,
    ways_out_table,
    worst,
)


def dashboard() -> Json:
    return build(
        uid=OVERVIEW,
        title="SMTP TLS / Overview",
        description="Certificates of SMTP servers, one row for every backend that a name leads to.",
        since="now-24h",
        links=links(OVERVIEW),
        variables=[job_variable(), *label_variables()],
        rows=[
            *numbers_rows(_problems()),
            row(
                13,
                (
                    24,
                    backends_table(
                        FLEET,
                        "Backends, the worst first",
                        "Click a server name or a backend for its history.",
                        label="$label",
                    ),
                ),
            ),
            row(8, (12, _alerts()), (12, ways_out_table(FLEET, with_links=True))),
            row(8, (13, _expiry()), (11, _lookups())),
            row(8, (24, _history())),
        ],
    )


def _problems() -> list[Json]:
    live = f"{best(B, FLEET.b('backend_resolved'))} == 1"
    matched, mismatched = (best(E, FLEET.e(f"target_backends_hostname_{how}")) for how in ("matched", "mismatched"))

    def bad(metric: str, reduce: Callable[[str, str], str] = worst) -> str:
        known = FLEET.b(metric)
        return count(f"{reduce(B, known)} == 0 and {live}", known)

    left = worst(B, FLEET.b("cert_expiry_days"))
    days = FLEET.b("cert_expiry_days")
    return [
        stat(
            "Intermittent",
            "Server names that some of their backends carry and others lack: clients fail now and then, depending on "
            "where they land.",
            count(
                f"count by (server_name) ({matched} > 0 and {mismatched} > 0)",
                FLEET.e("target_backends_hostname_matched"),
            ),
            thresholds=GOOD_AT_0,
        ),
        stat(
            "Name missing",
            "Backends in DNS whose certificate lacks the server name that clients ask for.",
            bad("cert_hostname_match"),
            thresholds=GOOD_AT_0,
        ),
        stat(
            "Down",
            "Backends in DNS with which no exporter could speak SMTP inside TLS in its last probe.",
            bad("probe_success", best),
            thresholds=GOOD_AT_0,
        ),
        stat(
            "Not trusted",
            "Backends in DNS whose chain leads to no root of the trust store, time set aside.",
            bad("chain_trusted"),
            thresholds=GOOD_AT_0,
        ),
        stat(
            "Expired",
            "Backends in DNS whose certificate has expired, as of the last time one was seen.",
            count(f"{left} < 0 and {live}", days),
            thresholds=GOOD_AT_0,
        ),
        stat(
            "Expires soon",
            f"Backends in DNS whose certificate, or one above it, ends within {SOON_DAYS} days and has less than "
            f"{SOON_SHARE:.0%} of its lifetime left. Those that have expired are not among them.",
            count(f"({ends_within(FLEET, B, SOON_DAYS, SOON_SHARE)}) >= 0 and {live}", days),
            thresholds=WARN_AT_1,
        ),
        stat(
            "DNS failing",
            "Targets whose last lookup did not give addresses for every host.",
            count(f"{best(T, FLEET.t('target_lookup_success'))} == 0", FLEET.t("target_lookup_success")),
            thresholds=GOOD_AT_0,
        ),
        stat(
            "Backends",
            "Backends that DNS names now and that have been probed, each counted once.",
            count(live, FLEET.b("backend_resolved")),
            thresholds=steps(RED, (1, "text")),
            quiet=True,
        ),
    ]


def _alerts() -> Json:
    ranks = {3: ', severity="critical"', 2: ', severity="warning"', 1: ', severity!~"critical|warning"'}

    def firing(matcher: str) -> str:
        expr = f'ALERTS{{alertname=~"SmtpTls.*", alertstate="firing", $label=~"$value"{matcher}}}'
        # The server name where there is one, else the target; and names without the prefix that all have.
        for label, source, pattern in (
            ("about", "target", "(.+)"),
            ("about", "server_name", "(.+)"),
            ("alert", "alertname", "SmtpTls(.+)"),
        ):
            expr = f'label_replace({expr}, "{label}", "$1", "{source}", "{pattern}")'
        return f'max by (alert, about) (label_join({expr}, "about", " ", "about", "backend"))'

    return table(
        "Firing alerts",
        "Alerts of this exporter's rules that fire now, critical ones first. Empty where nothing fires, or where the "
        "rules are not loaded into this Prometheus.",
        [rows_now("\nor ".join(f"{firing(matcher)} * {rank}" for rank, matcher in ranks.items()))],
        {"Value": "Severity", "alert": "Alert SmtpTls…", "about": "About"},
        sort="Severity",
        descending=True,
        first_by="Alert SmtpTls…",
        empty="No alert fires",
        overrides=[
            column(
                "Severity",
                mappings=words({3: ("critical", RED), 2: ("warning", ORANGE), 1: ("info", "blue")}),
                custom__cellOptions={"type": "color-background", "mode": "basic"},
                custom__width=90,
            ),
            column("Alert SmtpTls…", custom__minWidth=170),
            column("About", custom__minWidth=200, **WRAPPED),
        ],
    )


def _expiry() -> Json:
    first = f"bottomk(10, {worst(B, FLEET.b('cert_expiry_days'))})"
    columns = {"Value #A": "Days left", "Value #B": "Lifetime left", "server_name": "Server name", "backend": "Backend"}
    overrides = [
        column("Days left", **DAYS_LEFT),
        column(
            "Lifetime left",
            unit="percentunit",
            decimals=0,
            min=0,
            max=1,
            custom__width=120,
            thresholds=steps(RED, (URGENT_SHARE, ORANGE), (SOON_SHARE, GREEN)),
            custom__cellOptions={"type": "gauge", "mode": "basic", "valueDisplayMode": "text"},
        ),
        column("Server name", custom__minWidth=195, **WRAPPED),
        column("Backend", custom__minWidth=145),
    ]
    return table(
        "First to expire",
        "The ten backends whose certificates expire first, or have expired the longest.",
        [
            rows_now(first),
            rows_now(f"({_share_left()}) and {first}"),
            rows_now(f"{one_target(FLEET)} and on ({B}) {first}"),
        ],
        columns,
        sort="Days left",
        overrides=[*overrides, *linked(columns, "Server name", "Backend")],
    )


def _share_left() -> str:
    ends, begins = (FLEET.b(f"cert_not_{when}_timestamp_seconds") for when in ("after", "before"))
    return worst(B, f"({ends} - time()) / ({ends} - {begins})")


def _lookups() -> Json:
    return table(
        "Lookups that fail",
        "Questions to DNS that were not answered with addresses in the last lookup of a target.",
        [rows_now(best("target, name, type, reason", FLEET.t("target_lookup_failure_info")))],
        {"target": "Target", "name": "Name", "type": "Type", "reason": "Reason"},
        sort="Target",
        empty="Every lookup was answered",
        overrides=[
            column("Target", **WRAPPED, links=to("Open the target", target_url(ALL))),
            column("Name", **WRAPPED),
            column("Type", custom__width=60),
            column("Reason", custom__width=105),
        ],
    )


def _history() -> Json:
    def total(metric: str) -> str:
        return f"sum({best(E, FLEET.e(f'target_backends_{metric}'))})"

    return lines(
        "Backends with a problem",
        "Backends that DNS names, over time: how many could not be reached, lacked the server name, or had a chain "
        "that is untrusted or out of its time. One that serves several targets counts for each.",
        [
            over_time(
                f"sum(1 - {worst(B, FLEET.b('chain_valid'))} and {best(B, FLEET.b('backend_resolved'))} == 1)",
                "chain not valid",
            ),
            over_time(total("hostname_mismatched"), "name missing"),
            # Last, and so drawn above the others.
            over_time(f"{total('resolved')} - {total('reachable')}", "not reached"),
        ],
        unit="none",
        stepped=True,
        decimals=0,
        overrides=[
            column("not reached", color={"mode": "fixed", "fixedColor": "dark-red"}),
            column("name missing", color={"mode": "fixed", "fixedColor": "orange"}),
            column("chain not valid", color={"mode": "fixed", "fixedColor": "purple"}),
        ],
    )
