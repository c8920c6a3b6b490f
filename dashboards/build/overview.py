"""All targets at once: current problems, worst first."""

from __future__ import annotations

import grafana as g
import smtp
from grafana import BLUE, GREEN, ORANGE, RED, Json
from smtp import ALL_TARGETS, BACKEND, ENDPOINT, EXPIRING_SOON_DAYS, EXPIRING_SOON_SHARE, count, max_by, min_by


def dashboard() -> Json:
    backends = smtp.backends_table(
        ALL_TARGETS,
        "Backends by status",
        "One row per backend. Click a server name or a backend to open its target.",
        label="$label",
    )
    return smtp.dashboard(
        smtp.OVERVIEW,
        smtp.label_variables(),
        [
            *smtp.stat_rows(_stats()),
            g.row(13, (24, backends)),
            g.row(8, (12, _alerts()), (12, smtp.alternate_names_table(ALL_TARGETS, with_links=True))),
            g.row(8, (13, _next_to_expire()), (11, _failed_lookups())),
            g.row(8, (24, _history())),
        ],
    )


def _stats() -> list[Json]:
    in_dns = smtp.in_dns(ALL_TARGETS)
    matched, mismatched = (ALL_TARGETS.endpoint(f"target_backends_hostname_{how}") for how in ("matched", "mismatched"))
    partial = f"{max_by(ENDPOINT, matched)} > 0 and {max_by(ENDPOINT, mismatched)} > 0"
    days_left = ALL_TARGETS.backend("cert_expiry_days")
    expired = f"{min_by(BACKEND, days_left)} < 0"
    expiring = f"({smtp.expires_within(ALL_TARGETS, BACKEND, EXPIRING_SOON_DAYS, EXPIRING_SOON_SHARE)}) >= 0"
    lookups = ALL_TARGETS.target("target_lookup_success")
    problems = [
        (
            "Partial hostname mismatches",
            "Server names that the certificates of some backends list and those of others do not. Clients fail "
            "intermittently, depending on the backend they connect to.",
            count(f"count by ({smtp.SCOPE}, server_name) ({partial})", matched),
        ),
        (
            "Hostname mismatches",
            "Backends currently in DNS whose certificate does not list the server name. Clients that verify the "
            "hostname refuse them.",
            smtp.failing_backends(ALL_TARGETS, "cert_hostname_match"),
        ),
        (
            "Backends down",
            "Backends currently in DNS whose last probe failed for every exporter: no TLS connection with an SMTP "
            "reply inside it.",
            smtp.failing_backends(ALL_TARGETS, "probe_success", max_by),
        ),
        (
            "Untrusted chains",
            "Backends currently in DNS whose chain has no path to a trusted root, regardless of validity periods.",
            smtp.failing_backends(ALL_TARGETS, "chain_trusted"),
        ),
        (
            "Expired certificates",
            "Backends currently in DNS whose last certificate has expired. Clients refuse them.",
            count(f"{expired} and {in_dns}", days_left),
        ),
        (
            "Certificates expiring soon",
            "Backends currently in DNS whose certificate, or another one in its chain, expires within "
            f"{EXPIRING_SOON_DAYS} days and has less than {EXPIRING_SOON_SHARE:.0%} of its lifetime left. Expired "
            "certificates are not counted.",
            count(f"{expiring} and {in_dns}", days_left),
        ),
        (
            "Targets with failed lookups",
            "Targets whose last DNS lookup did not return addresses for every host.",
            count(f"{max_by(smtp.TARGET, lookups)} == 0", lookups),
        ),
    ]
    return [
        *(
            g.stat(title, *rest, thresholds=smtp.ORANGE_FROM_1 if title.endswith("soon") else smtp.RED_FROM_1)
            for title, *rest in problems
        ),
        g.stat(
            "Backends",
            "Number of probed backends currently in DNS. A backend that several targets share counts once.",
            count(in_dns, ALL_TARGETS.backend("backend_resolved")),
            thresholds=g.steps(RED, (1, "text")),
            neutral=True,
        ),
    ]


def _alerts() -> Json:
    ranks = {3: ', severity="critical"', 2: ', severity="warning"', 1: ', severity!~"critical|warning"'}
    severities = {3: ("critical", RED), 2: ("warning", ORANGE), 1: ("info", BLUE)}

    def firing(matcher: str) -> str:
        scope = 'cluster=~"$cluster", namespace=~"$namespace", $label=~"$value"'
        expr = f'ALERTS{{alertname=~"SmtpTls.*", alertstate="firing", {scope}{matcher}}}'
        # The subject is the server name, or else the target, and the backend if there is one.
        for label, source, pattern in (
            ("subject", "target", "(.+)"),
            ("subject", "server_name", "(.+)"),
            ("alert", "alertname", "SmtpTls(.+)"),
        ):
            expr = f'label_replace({expr}, "{label}", "$1", "{source}", "{pattern}")'
        by = "cluster, namespace, alert, subject"
        return f'max by ({by}) (label_join({expr}, "subject", " ", "subject", "backend"))'

    return g.table(
        "Firing alerts",
        "Firing alerts of the exporter's alert rules, critical ones first; names are shown without the prefix "
        "`SmtpTls`. Empty if no alert is firing, or if the rules are not loaded in this Prometheus.",
        ["\nor ".join(f"{firing(matcher)} * {rank}" for rank, matcher in ranks.items())],
        [
            g.column("Value", "Severity", mappings=g.value_mappings(severities), cell=g.COLORED_BACKGROUND, width=90),
            g.column("alert", "Alert", min_width=170),
            g.column("subject", "Subject", min_width=200, wrap=True),
            *smtp.SCOPE_COLUMNS,
        ],
        sort="Severity",
        descending=True,
        tie_break="Alert",
        empty="No alert is firing",
    )


def _next_to_expire() -> Json:
    first = f"bottomk(10, {min_by(BACKEND, ALL_TARGETS.backend('cert_expiry_days'))})"
    left = min_by(BACKEND, smtp.lifetime_left(ALL_TARGETS))
    thresholds = g.steps(RED, (smtp.ABOUT_TO_EXPIRE_SHARE, ORANGE), (EXPIRING_SOON_SHARE, GREEN))
    return g.table(
        "Next certificates to expire",
        "The ten backends whose certificates expire next. A negative number of days means that the certificate has "
        "expired.",
        [
            first,
            f"({left}) and {first}",
            f"{smtp.target_of_backend(ALL_TARGETS)} and on ({BACKEND}) {first}",
        ],
        [
            smtp.days_left_column("Value #A"),
            smtp.lifetime_column("Value #B", "Lifetime left", 120, thresholds),
            g.column("server_name", "Server name", min_width=195, wrap=True, links=smtp.target_link()),
            g.column("backend", "Backend", min_width=145, links=smtp.BACKEND_LINK),
            *smtp.SCOPE_COLUMNS,
            *smtp.link_columns(),
        ],
        sort="Days left",
    )


def _failed_lookups() -> Json:
    return g.table(
        "Failed DNS lookups",
        "DNS queries of each target's last lookup that returned no addresses, with the reason.",
        [smtp.linkable(smtp.lookup_failures(ALL_TARGETS))],
        [
            g.column("target", "Target", wrap=True, links=smtp.target_link()),
            g.column("name", "Name", wrap=True),
            g.column("type", "Type", width=60),
            g.column("reason", "Reason", width=105),
            *smtp.SCOPE_COLUMNS,
            *smtp.link_columns("target"),
        ],
        sort="Target",
        empty="All lookups succeeded",
    )


def _history() -> Json:
    def total(metric: str) -> str:
        return f"sum({max_by(ENDPOINT, ALL_TARGETS.endpoint(f'target_backends_{metric}'))})"

    invalid = f"sum(1 - {min_by(BACKEND, ALL_TARGETS.backend('chain_valid'))} and {smtp.in_dns(ALL_TARGETS)})"
    # The last series is drawn on top of the others.
    return g.timeseries(
        "Backends with problems",
        "Backends currently in DNS that are unreachable, whose certificate does not list the server name, or whose "
        "chain is untrusted or outside its validity period. A backend that several targets share counts for each.",
        [
            g.range_query(invalid, "invalid chain"),
            g.range_query(total("hostname_mismatched"), "hostname mismatch"),
            g.range_query(f"{total('resolved')} - {total('reachable')}", "unreachable"),
        ],
        unit="none",
        stepped=True,
        decimals=0,
        colors={"unreachable": "dark-red", "hostname mismatch": ORANGE, "invalid chain": "purple"},
    )
