"""What the dashboards share: links between them, variables, backend status, and common panels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from grafana_foundation_sdk.builders import dashboard, stat, table
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.table import Options as TableOptions

import panels as p
from panels import GRAY, GREEN, ORANGE, RED
from parameters import Parameters
from promql import LabelSets, Selector, max_by, min_by

Row = dashboard.Row | list[p.PanelBuilder]
"""The header of a section, or panels side by side."""

# Grafana 10.3 has schema version 39.
SCHEMA_VERSION = 39

RED_FROM_1 = p.steps(GREEN, (1, RED))
ORANGE_FROM_1 = p.steps(GREEN, (1, ORANGE))

# Grafana's value of All, as part of a URL.
ALL = "%24__all"

NO_CERTIFICATE = "No certificate has been seen"

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

# Values of the label `resolves`, in the order of the table, with their texts and colors.
RESOLVES_TO = {
    "all": ("the same backends", GREEN),
    "some": ("some of the backends", ORANGE),
    "elsewhere": ("other addresses", RED),
    "nowhere": ("no address", RED),
    "unknown": ("unknown", "text"),
}


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
TARGET = Page(
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
PAGES = (OVERVIEW, TARGET, RENEWALS, EXPORTER)


def status_legend(parameters: Parameters) -> str:
    about_to_expire, expiring = parameters.about_to_expire, parameters.expiring
    return (
        "Worst status first: **down** (the last probe failed), **hostname mismatch** (the certificate does not list "
        "the server name or another expected name), **expired**, **revoked** (according to the OCSP staple), "
        "**untrusted** (no path to a trusted root), **not yet valid**, **about to expire** (less than "
        f"{about_to_expire} of the lifetime left), **not reloaded** (the server does not present the certificate in "
        f"`certificate_file`), **expiring soon** (less than {expiring} left), **unverified** (the probe succeeded, but "
        "a verdict is unknown), **ok**, **not in DNS** (no longer resolved, still probed for a while). For a backend "
        "that is down, certificate verdicts are from the last certificate seen."
    )


def verdict(text: str, bad_text: str) -> p.Texts:
    return {1: (text, GREEN), 0: (bad_text, RED)}


def stat_rows(stats: Sequence[p.PanelBuilder], columns: int = 4) -> list[Row]:
    """Rows of stat panels, as wide as the grid."""
    return [p.row(3, *_fill(stats[start : start + columns])) for start in range(0, len(stats), columns)]


def _fill(stats: Sequence[p.PanelBuilder]) -> list[tuple[int, p.PanelBuilder]]:
    """Widths of panels that fill a row."""
    ends = [24 * number // len(stats) for number in range(len(stats) + 1)]
    return [(end - start, each) for start, end, each in zip(ends, ends[1:], stats)]


def round_age_stat(title: str, description: str, expr: str) -> stat.Panel:
    thresholds = p.steps(GREEN, (3, ORANGE), (10, RED))
    return p.number(title, description, expr).unit("suffix: ×").decimals(1).thresholds(thresholds)


def target_link(backend: str = ALL) -> list[dict[str, object]]:
    """A link from a table row to the dashboard of its target; the last query of the table must be `linkable`."""
    fields = {"cluster": "var_cluster", "namespace": "var_namespace", "job": "job", "target": "target"}
    variables = "&".join(f"var-{name}=${{__data.fields.{field}:percentencode}}" for name, field in fields.items())
    return p.data_link(
        "Open the target",
        f"/d/{TARGET.uid}?${{datasource:queryparam}}&{variables}&var-backend={backend}&${{__url_time_range}}",
    )


BACKEND_LINK = target_link("${__data.fields.backend:percentencode}")

_LINK_FIELDS = {
    "target": "Target",
    "job": "Job",
    "var_cluster": "Cluster variable",
    "var_namespace": "Namespace variable",
}


def link_columns(*shown: str) -> list[p.Column]:
    """Hidden columns for the fields that links need, except those that the table shows."""
    return [p.column(field, title, hidden=True) for field, title in _LINK_FIELDS.items() if field not in shown]


def scope_columns(by: LabelSets) -> list[p.Column]:
    """Grafana shows them only if a series has the label."""
    return [p.column(by.cluster, "Cluster", width=90), p.column(by.namespace, "Namespace", width=105)]


def verdict_column(field: str, title: str, text: str, bad_text: str) -> p.Column:
    mappings = [p.value_mapping(verdict(text, bad_text)), p.null_mapping()]
    return p.column(field, title, cell=p.COLORED_TEXT, width=90, mappings=mappings)


def days_left_column(field: str) -> p.Column:
    return p.column(
        field,
        "Days left",
        decimals=1,
        # An unknown value must not look like an expired certificate.
        mappings=[p.null_mapping()],
        thresholds=p.steps(RED, (0, "text")),
        cell=p.COLORED_TEXT,
        width=92,
    )


def lifetime_column(field: str, title: str, width: int, thresholds: p.Steps) -> p.Column:
    return p.column(
        field,
        title,
        unit="percentunit",
        decimals=0,
        min=0,
        max=1,
        width=width,
        thresholds=thresholds,
        cell=p.GAUGE,
    )


def backends_table(selector: Selector, title: str, description: str, *, label: str = "") -> table.Panel:
    """One row per backend. With `label`, the table has a column for that label and links to the target."""
    by = selector.by
    # The last query adds the target and the label, because the queries are joined by the labels that they share.
    last_seen = max_by(by.backend, selector.backend("cert_last_seen_timestamp_seconds"))
    queries = [
        selector.status(),
        selector.status_detail(),
        *(
            min_by(by.backend, selector.backend(metric))
            for metric in ("cert_hostname_match", "chain_trusted", "cert_expiry_days")
        ),
        selector.target_of_backend(label) if label else f"time() - {last_seen}",
    ]
    name_link: dict[str, Any] = {"links": target_link()} if label else {}
    backend_link: dict[str, Any] = {"links": BACKEND_LINK} if label else {}
    columns = [
        p.column("Value #A", "Status", mappings=[p.value_mapping(STATUS)], cell=p.COLORED_BACKGROUND, width=155),
        p.column("server_name", "Server name", min_width=210, wrap=True, **name_link),
        p.column("backend", "Backend", **backend_link),
        p.column("tls", "TLS", width=75),
        p.column("detail", "Detail", min_width=150, wrap=True),
        verdict_column("Value #C", "Hostname", "match", "mismatch"),
        verdict_column("Value #D", "Chain", "trusted", "untrusted"),
        days_left_column("Value #E"),
        *([] if label else [p.column("Value #F", "Last seen", width=92, unit="s", decimals=0)]),
        *scope_columns(by),
        # Several jobs can probe the same backend.
        *([p.column("job", "Job", width=130), *link_columns("job")] if label else []),
    ]
    return p.rows_table(
        title,
        f"{description} {status_legend(selector.parameters)}",
        queries,
        columns,
        sort="Status",
        descending=True,
        tie_break="Days left",
        keep_other_fields=bool(label),
    ).no_value("No backend has been probed")


def alternate_names_table(selector: Selector, *, with_links: bool) -> table.Panel:
    """The names that clients could use instead of a server name that a backend does not list."""
    by = selector.by
    names = (
        max_by(f"{by.endpoint}, name", selector.endpoint("target_shared_name_info", resolves=word))
        for word in RESOLVES_TO
    )
    expr = "\nor ".join(f"{each} * {rank}" for rank, each in enumerate(names, start=1))
    name_link: dict[str, Any] = {"links": target_link()} if with_links else {}
    mappings = [p.value_mapping(dict(enumerate(RESOLVES_TO.values(), start=1)))]
    columns = [
        p.column("server_name", "Server name", **name_link),
        p.column("name", "Alternate name"),
        p.column("Value", "Resolves to", mappings=mappings, cell=p.COLORED_TEXT, width=175),
        *scope_columns(by),
    ]
    return p.rows_table(
        "Alternate names",
        "Names that the certificates of all backends list, for server names with a hostname mismatch. Clients can use "
        "a name that resolves to the same backends now; the others need a DNS change first.",
        [by.linkable(expr) if with_links else expr],
        [*columns, *link_columns()] if with_links else columns,
        sort="Resolves to",
    ).no_value("No hostname mismatch, or no alternate name")


class Dashboard(ABC):
    """A dashboard with links to the others; its first variables select scrape jobs."""

    page: ClassVar[Page]

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.jobs = Selector(parameters)
        self.by = self.jobs.by

    @abstractmethod
    def variables(self) -> list[p.Variable]:
        """The variables besides those of all dashboards."""

    @abstractmethod
    def rows(self) -> list[Row]:
        """The panels from top to bottom."""

    def build(self) -> model.Dashboard:
        page = self.page
        builder = (
            dashboard.Dashboard(f"SMTP TLS / {page.name}")
            .uid(page.uid)
            .description(page.description)
            .tags(["smtp-tls"])
            .version(1)
            .readonly()
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .timezone("browser")
            .time(page.time_from, "now")
            .refresh("1m")
            .annotations([])
            .links([self._link(other) for other in PAGES if other != page])
            .variables([_data_source_variable(), *self._scope_variables(), *self.variables()])
        )
        for row in self.rows():
            if isinstance(row, dashboard.Row):
                builder.with_row(row)
            else:
                for panel in row:
                    builder.with_panel(panel)
        built = builder.build()
        built.schema_version = SCHEMA_VERSION
        for number, each in enumerate(built.panels or [], start=1):
            each.id_val = number
        _drop_unknown_fields(built)
        return built

    def _link(self, other: Page) -> dashboard.DashboardLink:
        # The Exporter dashboard does not have jobs that scrape /probe, nor their namespace.
        names = ["datasource", "cluster"] + ([] if EXPORTER in (self.page, other) else ["namespace", "job"])
        variables = "&".join(f"${{{name}:queryparam}}" for name in names)
        return p.dashboard_link(other.name, f"/d/{other.uid}?{variables}", other.tooltip)

    def _scope_variables(self) -> list[p.Variable]:
        # Both ways of scraping have targets; only /metrics has the exporter itself.
        is_exporter = self.page == EXPORTER
        metric = "smtp_tls_exporter_build_info" if is_exporter else "smtp_tls_target_info"
        cluster, namespace = self.by.cluster, self.by.namespace
        return [
            p.multi_variable(
                "cluster",
                "Cluster",
                f"label_values({metric}, {cluster})",
                f"Clusters, if series have the label `{cluster}`",
            ),
            p.multi_variable(
                "namespace",
                "Namespace",
                f'label_values({metric}{{{cluster}=~"$cluster"}}, {namespace})',
                f"Kubernetes namespaces of scrape targets, if series have the label `{namespace}`",
            ),
            p.multi_variable(
                "job",
                "Job",
                f"label_values({metric}{{{self.by.cluster_matchers}}}, job)",
                "Prometheus scrape jobs of the exporter's `/metrics`"
                if is_exporter
                else "Prometheus scrape jobs of the exporter, for `/metrics` or `/probe`",
                all_value=".+",
            ),
        ]

    def label_variables(self) -> list[p.Variable]:
        values = f"label_values({self.jobs.target('target_info')}, $label)"
        default = next(iter(self.parameters.kept), "team")
        return [
            p.textbox_variable(
                "label", "Label", default, f"Label from `labels` in the exporter's configuration, such as `{default}`"
            ),
            p.multi_variable("value", "Label value", values, "Values of this label"),
        ]


def _drop_unknown_fields(built: model.Dashboard) -> None:
    """Removes defaults of the builders that Grafana's schema does not have at these places."""
    for variable in built.templating.list_val or []:
        variable.auto = variable.auto_min = variable.auto_count = None
    for panel in built.panels or []:
        if isinstance(panel, model.Panel) and isinstance(panel.options, TableOptions):
            panel.options.footer = None


def _data_source_variable() -> p.Variable:
    variable = dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    return variable.description("Prometheus data source that has the exporter's metrics")
