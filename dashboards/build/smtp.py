"""What the dashboards share about the exporter: uids, selectors of its metrics, backend status, and common panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import grafana as g
from grafana import GRAY, GREEN, ORANGE, RED, Json

# Label sets to aggregate by. All other labels of a scrape (instance, pod, node, endpoint, a replica of Prometheus) are
# dropped: at /metrics, `instance` is a replica of the exporter, at /probe it is the target. Targets can share a
# backend, so a backend is identified without its target. One port can be probed in both TLS modes.
SCOPE = "cluster, namespace, job"
INSTANCE = f"{SCOPE}, instance"
TARGET = f"{SCOPE}, target"
ENDPOINT = f"{TARGET}, server_name"
BACKEND = f"{SCOPE}, server_name, backend, tls"

# A certificate is expiring if both the days and the share of its lifetime that are left are below these values, because
# six-day certificates are normal. The alert rules use the same values.
EXPIRING_SOON_DAYS, EXPIRING_SOON_SHARE = 21, 0.25
ABOUT_TO_EXPIRE_DAYS, ABOUT_TO_EXPIRE_SHARE = 7, 0.10

RED_FROM_1 = g.steps(GREEN, (1, RED))
ORANGE_FROM_1 = g.steps(GREEN, (1, ORANGE))

# Grafana's value of All, as part of a URL.
ALL = "%24__all"

NO_CERTIFICATE = "No certificate has been seen"


# --- dashboards


@dataclass(frozen=True)
class Page:
    """What identifies a dashboard."""

    uid: str
    name: str
    description: str
    tooltip: str
    time_from: str


OVERVIEW = Page(
    "smtp-tls-overview",
    "Overview",
    "TLS certificates of SMTP servers: one row per backend that a server name resolves to.",
    "All backends, worst status first",
    "now-24h",
)
TARGET_PAGE = Page(
    "smtp-tls-target",
    "Target",
    "One configured target: verdicts, certificates and probe results of each backend over time.",
    "One target and its backends over time",
    "now-7d",
)
RENEWALS = Page(
    "smtp-tls-renewals",
    "Renewals",
    "Expiry and renewal of the certificates of all backends. A certificate counts once, even if several backends "
    "present it.",
    "Certificate expiry, renewals and issuers",
    "now-30d",
)
EXPORTER = Page(
    "smtp-tls-exporter",
    "Exporter",
    "Health of the exporter processes: probe rates, scheduling delays and resource usage. Needs a scrape job for "
    "`/metrics`: responses of `/probe` have no metrics of the exporter.",
    "Health of the exporter itself, if `/metrics` is scraped",
    "now-6h",
)
PAGES = (OVERVIEW, TARGET_PAGE, RENEWALS, EXPORTER)


def dashboard(page: Page, variables: Sequence[Json], rows: Sequence[Json]) -> Json:
    """A dashboard with links to the others; its first variables select scrape jobs."""
    return g.dashboard(
        uid=page.uid,
        title=f"SMTP TLS / {page.name}",
        description=page.description,
        time_from=page.time_from,
        links=[
            g.dashboard_link(other.name, f"/d/{other.uid}?{_shared_variables(page, other)}", other.tooltip)
            for other in PAGES
            if other != page
        ],
        variables=[*_scope_variables(page), *variables],
        rows=rows,
    )


def _scope_variables(page: Page) -> list[Json]:
    # Both ways of scraping have targets; only /metrics has the exporter itself.
    metric = "smtp_tls_exporter_build_info" if page == EXPORTER else "smtp_tls_target_info"
    of_cluster = 'cluster=~"$cluster"'
    return [
        g.query_variable(
            "cluster", "Cluster", f"label_values({metric}, cluster)", "Clusters, if series have the label `cluster`"
        ),
        g.query_variable(
            "namespace",
            "Namespace",
            f"label_values({metric}{{{of_cluster}}}, namespace)",
            "Kubernetes namespaces of scrape targets, if series have the label `namespace`",
        ),
        g.query_variable(
            "job",
            "Job",
            f'label_values({metric}{{{of_cluster}, namespace=~"$namespace"}}, job)',
            "Prometheus scrape jobs of the exporter's `/metrics`"
            if page == EXPORTER
            else "Prometheus scrape jobs of the exporter, for `/metrics` or `/probe`",
            all_value=".+",
        ),
    ]


def _shared_variables(page: Page, other: Page) -> str:
    """Variables that a link keeps. The Exporter dashboard does not have jobs that scrape /probe, nor their namespace."""
    names = ["datasource", "cluster"] if EXPORTER in (page, other) else ["datasource", "cluster", "namespace", "job"]
    return "&".join(f"${{{name}:queryparam}}" for name in names)


def label_variables() -> list[Json]:
    values = f"label_values(smtp_tls_target_info{{{SCOPE_MATCHERS}}}, $label)"
    return [
        g.textbox_variable(
            "label", "Label", "team", "Label from `labels` in the exporter's configuration, such as `team`"
        ),
        g.query_variable("value", "Label value", values, "Values of this label"),
    ]


def stat_rows(stats: Sequence[Json]) -> list[Json]:
    """Rows of four stat panels."""
    return [g.row(3, *((6, stat) for stat in stats[start : start + 4])) for start in range(0, len(stats), 4)]


def target_link(backend: str = ALL) -> list[Json]:
    """A link from a table row to the dashboard of its target; the last query of the table must be `linkable`."""
    fields = {"cluster": "var_cluster", "namespace": "var_namespace", "job": "job", "target": "target"}
    variables = "&".join(f"var-{name}=${{__data.fields.{field}:percentencode}}" for name, field in fields.items())
    return g.data_link(
        "Open the target",
        f"/d/{TARGET_PAGE.uid}?${{datasource:queryparam}}&{variables}&var-backend={backend}&${{__url_time_range}}",
    )


def linkable(expr: str) -> str:
    """Adds labels with the values of the variables in links: the row's cluster and namespace, or All without them. A
    link cannot use a label that is absent."""
    for name in ("cluster", "namespace"):
        every = f'label_replace({expr}, "var_{name}", "All", "{name}", "")'
        expr = f'label_replace({every}, "var_{name}", "$1", "{name}", "(.+)")'
    return expr


BACKEND_LINK = target_link("${__data.fields.backend:percentencode}")

_LINK_FIELDS = {
    "target": "Target",
    "job": "Job",
    "var_cluster": "Cluster variable",
    "var_namespace": "Namespace variable",
}


def link_columns(*shown: str) -> list[Json]:
    """Hidden columns for the fields that links need, except those that the table shows."""
    return [g.column(field, title, hidden=True) for field, title in _LINK_FIELDS.items() if field not in shown]


# Grafana shows them only if a series has the label.
SCOPE_COLUMNS = [g.column("cluster", "Cluster", width=90), g.column("namespace", "Namespace", width=105)]
# For legends; labels that series do not have are empty.
SCOPE_LEGEND = "{{cluster}} {{namespace}}"


# --- queries


@dataclass(frozen=True)
class Selector:
    """Selects the series that a dashboard shows."""

    matchers: str
    """Label matchers for all series."""
    endpoint_matchers: str = ""
    """Additional matchers for series with a server name."""
    backend_matchers: str = ""
    """Additional matchers for series with a backend."""

    def target(self, metric: str, **labels: str) -> str:
        """A metric of targets, of the exporter or of its process."""
        return _select(metric, labels, self.matchers)

    def endpoint(self, metric: str, **labels: str) -> str:
        return _select(metric, labels, self.matchers, self.endpoint_matchers)

    def backend(self, metric: str, **labels: str) -> str:
        return _select(metric, labels, self.matchers, self.endpoint_matchers, self.backend_matchers)


def _select(metric: str, labels: dict[str, str], *matchers: str) -> str:
    name = metric if metric.startswith(("process_", "scrape_", "up")) else f"smtp_tls_{metric}"
    parts = [*filter(None, matchers), *(f'{label}="{value}"' for label, value in labels.items())]
    return f"{name}{{{', '.join(parts)}}}"


# All of `cluster` and `namespace` is `.*`, which also matches series without the label.
SCOPE_MATCHERS = 'cluster=~"$cluster", namespace=~"$namespace", job=~"$job"'
ALL_TARGETS = Selector(f'{SCOPE_MATCHERS}, $label=~"$value"')
ONE_TARGET = Selector(f'{SCOPE_MATCHERS}, target="$target"', 'server_name=~"$server_name"', 'backend=~"$backend"')


def max_by(by: str, expr: str) -> str:
    """With several exporters, a probe or lookup succeeded if it did for any of them."""
    return f"max by ({by}) ({expr})"


def min_by(by: str, expr: str) -> str:
    """With several exporters, a verdict is bad if it is for any of them."""
    return f"min by ({by}) ({expr})"


def count(expr: str, known: str) -> str:
    """The number of series: 0 if there are none but `known` has some, and no value without any data."""
    return f"count({expr}) or 0 * count({known})"


def in_dns(selector: Selector) -> str:
    """The backends currently in DNS."""
    return f"{max_by(BACKEND, selector.backend('backend_resolved'))} == 1"


def failing_backends(selector: Selector, metric: str, reduce: Callable[[str, str], str] = min_by) -> str:
    """The number of backends currently in DNS whose verdict is 0."""
    known = selector.backend(metric)
    return count(f"{reduce(BACKEND, known)} == 0 and {in_dns(selector)}", known)


def _validity(selector: Selector) -> tuple[str, str]:
    return (
        selector.backend("cert_not_before_timestamp_seconds"),
        selector.backend("cert_not_after_timestamp_seconds"),
    )


def lifetime(selector: Selector) -> str:
    begin, end = _validity(selector)
    return f"{end} - {begin}"


def lifetime_used(selector: Selector) -> str:
    begin, end = _validity(selector)
    return f"(time() - {begin}) / ({end} - {begin})"


def lifetime_left(selector: Selector) -> str:
    begin, end = _validity(selector)
    return f"({end} - time()) / ({end} - {begin})"


def expires_within(selector: Selector, by: str, days: int, share: float) -> str:
    """Seconds left, where they are less than `days` and less than this share of the lifetime."""
    # An intermediate certificate can expire before the server certificate.
    chain_end = selector.backend("verified_chain_not_after_timestamp_seconds")
    end = f"({chain_end} or {selector.backend('cert_not_after_timestamp_seconds')})"
    left = f"{end} - time()"
    share_left = f"({left}) / ({lifetime(selector)})"
    return f"{min_by(by, left)} < {days} * 86400 and {min_by(by, share_left)} < {share}"


def round_age(selector: Selector) -> str:
    """The age of the last round of each target, in intervals of the target."""
    last = selector.target("target_last_round_timestamp_seconds")
    return f"(time() - ({last} > 0)) / {selector.target('target_interval_seconds')}"


def lookup_failures(selector: Selector) -> str:
    return max_by(f"{TARGET}, name, type, reason", selector.target("target_lookup_failure_info"))


def target_of_backend(selector: Selector, label: str = "") -> str:
    """One series per backend that has one of its targets, for links, and the label."""
    by = f"{BACKEND}, target, {label}" if label else f"{BACKEND}, target"
    return linkable(f"topk by ({BACKEND}) (1, {max_by(by, selector.backend('backend_resolved'))})")


# --- backend status

STATUS = {
    10: ("down", "dark-red"),
    9: ("hostname mismatch", RED),
    8: ("expired", RED),
    7: ("revoked", RED),
    6: ("untrusted", RED),
    5: ("not yet valid", RED),
    4: ("about to expire", RED),
    3: ("not reloaded", ORANGE),
    2: ("expiring soon", ORANGE),
    1: ("unverified", "yellow"),
    0: ("ok", GREEN),
    -1: ("not in DNS", GRAY),
}
STATUS_LEGEND = (
    "Worst status first: **down** (the last probe failed), **hostname mismatch** (the certificate does not list the "
    "server name or another expected name), **expired**, **revoked** (according to the OCSP staple), **untrusted** (no "
    f"path to a trusted root), **not yet valid**, **about to expire** (less than {ABOUT_TO_EXPIRE_DAYS} days and "
    f"{ABOUT_TO_EXPIRE_SHARE:.0%} of the lifetime left), **not reloaded** (the server does not present the certificate "
    f"in `certificate_file`), **expiring soon** (less than {EXPIRING_SOON_DAYS} days and {EXPIRING_SOON_SHARE:.0%} "
    "left), **unverified** (the probe succeeded, but a verdict is unknown), **ok**, **not in DNS** (no longer "
    "resolved, still probed for a while). For a backend that is down, certificate verdicts are from the last "
    "certificate seen."
)


def status(selector: Selector) -> str:
    """A key of `STATUS` for each backend, from the first clause that matches."""
    up = f"({max_by(BACKEND, selector.backend('probe_success'))} == 1)"
    name, valid = (min_by(BACKEND, selector.backend(metric)) for metric in ("cert_hostname_match", "chain_valid"))
    about_to_expire = expires_within(selector, BACKEND, ABOUT_TO_EXPIRE_DAYS, ABOUT_TO_EXPIRE_SHARE)
    expiring_soon = expires_within(selector, BACKEND, EXPIRING_SOON_DAYS, EXPIRING_SOON_SHARE)
    return "\nor ".join(
        [
            f"({max_by(BACKEND, selector.backend('backend_resolved'))} == 0) - 1",
            f"({max_by(BACKEND, selector.backend('probe_success'))} == 0) + 10",
            f"({name} == 0) + 9",
            f"({min_by(BACKEND, selector.backend('cert_name_match'))} == 0) + 9",
            f"{max_by(BACKEND, selector.backend('chain_error', reason='expired'))} * 0 + 8",
            f"{max_by(BACKEND, selector.backend('ocsp_error', reason='revoked'))} * 0 + 7",
            f"({min_by(BACKEND, selector.backend('chain_trusted'))} == 0) + 6",
            f"({valid} == 0) + 5",
            f"({about_to_expire}) * 0 + 4",
            f"({min_by(BACKEND, selector.backend('cert_file_match'))} == 0) + 3",
            f"({expiring_soon}) * 0 + 2",
            f"({up} unless ({name} and {valid}))",
            f"{up} - 1",
        ]
    )


def status_detail(selector: Selector) -> str:
    """One series per backend whose label `detail` has the evidence for its status."""

    def detail(expr: str, source: str, text: str = "$1") -> str:
        return f'label_replace({expr}, "detail", "{text}", "{source}", "(.*)")'

    candidates = [
        f'label_join({selector.backend("probe_failure_info")}, "detail", ": ", "stage", "reason")',
        detail(selector.backend("cert_hostname_mismatch_info"), "presented", "presents $1"),
        detail(f"{selector.backend('cert_name_match')} == 0", "name", "does not list $1"),
        detail(selector.backend("chain_error", reason="expired"), "reason"),
        detail(selector.backend("ocsp_error", reason="revoked"), "reason"),
        detail(selector.backend("chain_error"), "reason"),
    ]
    first = (f"topk by ({BACKEND}) (1, max by ({BACKEND}, detail) ({expr}))" for expr in candidates)
    return f"\nor on ({BACKEND}) ".join(first)


# --- common panels


def round_age_stat(title: str, description: str, expr: str) -> Json:
    thresholds = g.steps(GREEN, (3, ORANGE), (10, RED))
    return g.stat(title, description, expr, unit="suffix: ×", decimals=1, thresholds=thresholds)


def verdict(text: str, bad_text: str) -> dict[int, tuple[str, str]]:
    return {1: (text, GREEN), 0: (bad_text, RED)}


def verdict_column(field: str, title: str, text: str, bad_text: str) -> Json:
    mappings = g.value_mappings(verdict(text, bad_text)) + g.null_mapping()
    return g.column(field, title, cell=g.COLORED_TEXT, width=90, mappings=mappings)


def days_left_column(field: str) -> Json:
    # An unknown value must not look like an expired certificate.
    return g.column(
        field,
        "Days left",
        decimals=1,
        mappings=g.null_mapping(),
        thresholds=g.steps(RED, (0, "text")),
        cell=g.COLORED_TEXT,
        width=92,
    )


def lifetime_column(field: str, title: str, width: int, thresholds: Json) -> Json:
    return g.column(
        field,
        title,
        unit="percentunit",
        decimals=0,
        min=0,
        max=1,
        width=width,
        thresholds=thresholds,
        cell=g.GAUGE,
    )


def backends_table(selector: Selector, title: str, description: str, *, label: str = "") -> Json:
    """One row per backend. With `label`, the table has a column for that label and links to the target."""
    # The last query adds the target and the label, because the queries are joined by the labels that they share.
    last_seen = max_by(BACKEND, selector.backend("cert_last_seen_timestamp_seconds"))
    queries = [
        status(selector),
        status_detail(selector),
        *(
            min_by(BACKEND, selector.backend(metric))
            for metric in ("cert_hostname_match", "chain_trusted", "cert_expiry_days")
        ),
        target_of_backend(selector, label) if label else f"time() - {last_seen}",
    ]
    name_link: Json = {"links": target_link()} if label else {}
    backend_link: Json = {"links": BACKEND_LINK} if label else {}
    columns = [
        g.column("Value #A", "Status", mappings=g.value_mappings(STATUS), cell=g.COLORED_BACKGROUND, width=155),
        g.column("server_name", "Server name", min_width=210, wrap=True, **name_link),
        g.column("backend", "Backend", **backend_link),
        g.column("tls", "TLS", width=75),
        g.column("detail", "Detail", min_width=150, wrap=True),
        verdict_column("Value #C", "Hostname", "match", "mismatch"),
        verdict_column("Value #D", "Chain", "trusted", "untrusted"),
        days_left_column("Value #E"),
        *([] if label else [g.column("Value #F", "Last seen", width=92, unit="s", decimals=0)]),
        *SCOPE_COLUMNS,
        # Several jobs can probe the same backend.
        *([g.column("job", "Job", width=130), *link_columns("job")] if label else []),
    ]
    return g.table(
        title,
        f"{description} {STATUS_LEGEND}",
        queries,
        columns,
        sort="Status",
        descending=True,
        tie_break="Days left",
        empty="No backend has been probed",
        keep_other_fields=bool(label),
    )


# Values of the label `resolves`, in the order of the table, with their texts and colors.
RESOLVES_TO = {
    "all": ("the same backends", GREEN),
    "some": ("some of the backends", ORANGE),
    "elsewhere": ("other addresses", RED),
    "nowhere": ("no address", RED),
    "unknown": ("unknown", "text"),
}


def alternate_names_table(selector: Selector, *, with_links: bool) -> Json:
    """The names that clients could use instead of a server name that a backend does not list."""
    names = (
        max_by(f"{ENDPOINT}, name", selector.endpoint("target_shared_name_info", resolves=word)) for word in RESOLVES_TO
    )
    expr = "\nor ".join(f"{each} * {rank}" for rank, each in enumerate(names, start=1))
    name_link: Json = {"links": target_link()} if with_links else {}
    mappings = g.value_mappings(dict(enumerate(RESOLVES_TO.values(), start=1)))
    columns = [
        g.column("server_name", "Server name", **name_link),
        g.column("name", "Alternate name"),
        g.column("Value", "Resolves to", mappings=mappings, cell=g.COLORED_TEXT, width=175),
        *SCOPE_COLUMNS,
    ]
    return g.table(
        "Alternate names",
        "Names that the certificates of all backends list, for server names with a hostname mismatch. Clients can use "
        "a name that resolves to the same backends now; the others need a DNS change first.",
        [linkable(expr) if with_links else expr],
        [*columns, *link_columns()] if with_links else columns,
        sort="Resolves to",
        empty="No hostname mismatch, or no alternate name",
    )
