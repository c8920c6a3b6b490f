"""What the dashboards share about the exporter: uids, selectors, and how bad a backend is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana import WRAPPED, Json, choice, column, link, no_value, row, rows_now, steps, table, to, word, words

OVERVIEW, TARGET, RENEWALS, EXPORTER = "smtp-tls-overview", "smtp-tls-target", "smtp-tls-renewals", "smtp-tls-exporter"

# Few days are left, and little of the lifetime too, since six-day certificates are normal. As in the alert rules.
SOON_DAYS, SOON_SHARE = 21, 0.25
URGENT_DAYS, URGENT_SHARE = 7, 0.10

# The value that Grafana gives to All, as part of a URL.
ALL = "%24__all"
NOT_OURS = ("process_", "scrape_", "up")

# What a series stands for. One probe may serve several targets, so that a backend is one whatever its target.
T = "target"
E = "target, server_name"
B = "server_name, backend"

GREEN, ORANGE, RED, BLUE, GREY = "green", "orange", "red", "blue", "#808080"
GOOD_AT_0 = steps(GREEN, (1, RED))
WARN_AT_1 = steps(GREEN, (1, ORANGE))


@dataclass(frozen=True)
class Scope:
    """Which series a dashboard shows."""

    everywhere: str
    """Matchers that stand on every series."""
    endpoint: str = ""
    """Further ones on series with a server name."""
    backend: str = ""
    """Further ones on series with a backend."""

    def t(self, metric: str, **labels: str) -> str:
        """Series of targets, or of the exporter."""
        return _selector(metric, labels, self.everywhere)

    def e(self, metric: str, **labels: str) -> str:
        """Series of endpoints."""
        return _selector(metric, labels, self.everywhere, self.endpoint)

    def b(self, metric: str, **labels: str) -> str:
        """Series of backends."""
        return _selector(metric, labels, self.everywhere, self.endpoint, self.backend)


def _selector(metric: str, labels: dict[str, str], *matchers: str) -> str:
    name = metric if metric.startswith(NOT_OURS) else f"smtp_tls_{metric}"
    every = [*filter(None, matchers), *(f'{label}="{value}"' for label, value in labels.items())]
    return f"{name}{{{', '.join(every)}}}"


FLEET = Scope('job=~"$job", $label=~"$value"')
ONE = Scope('job=~"$job", target="$target"', 'server_name=~"$server_name"', 'backend=~"$backend"')


def best(by: str, expr: str) -> str:
    """Of several exporters the one that sees it well: a server is down when all say so."""
    return f"max by ({by}) ({expr})"


def worst(by: str, expr: str) -> str:
    """Of several exporters the one that sees something wrong."""
    return f"min by ({by}) ({expr})"


def count(expr: str, where_known: str) -> str:
    """How many there are; 0 where none is and the exporter is heard of, nothing where it is not."""
    return f"count({expr}) or 0 * count({where_known})"


def numbers_rows(numbers: Sequence[Json]) -> list[Json]:
    """Numbers, four in a row."""
    return [row(3, *((6, number) for number in numbers[at : at + 4])) for at in range(0, len(numbers), 4)]


# --- how bad a backend is

STATUS = {
    10: ("down", "dark-red"),
    9: ("name missing", "red"),
    8: ("expired", "red"),
    7: ("revoked", "red"),
    6: ("not trusted", "red"),
    5: ("not valid yet", "red"),
    4: ("about to expire", "red"),
    3: ("not reloaded", "orange"),
    2: ("expires soon", "orange"),
    1: ("not judged", "yellow"),
    0: ("ok", "green"),
    -1: ("not in DNS", GREY),
}
STATUS_MEANING = (
    "Worst first: **down** (no TLS, whoever probes), **name missing** (the certificate lacks the server name, or a "
    "further one that the config expects), **expired**, **revoked** (by its OCSP staple), **not trusted** (no path "
    f"to a root), **not valid yet**, **about to expire** (under {URGENT_DAYS} days and {URGENT_SHARE:.0%} of its "
    f"lifetime), **not reloaded** (another certificate than certificate_file), **expires soon** (under {SOON_DAYS} "
    f"days and {SOON_SHARE:.0%}), **not judged** (reached, but a verdict is not known), **ok**, **not in DNS** (kept "
    "for a while after DNS stopped naming it). While a backend is down, what is known of its certificate is held."
)


def status(scope: Scope) -> str:
    """For each backend a key of STATUS; the first clause that holds."""
    up = f"({best(B, scope.b('probe_success'))} == 1)"
    name, valid = worst(B, scope.b("cert_hostname_match")), worst(B, scope.b("chain_valid"))
    return "\nor ".join(
        [
            f"({best(B, scope.b('backend_resolved'))} == 0) - 1",
            f"({best(B, scope.b('probe_success'))} == 0) + 10",
            f"({name} == 0) + 9",
            f"({worst(B, scope.b('cert_name_match'))} == 0) + 9",
            f"{best(B, scope.b('chain_error', reason='expired'))} * 0 + 8",
            f"{best(B, scope.b('ocsp_error', reason='revoked'))} * 0 + 7",
            f"({worst(B, scope.b('chain_trusted'))} == 0) + 6",
            f"({valid} == 0) + 5",
            f"({ends_within(scope, B, URGENT_DAYS, URGENT_SHARE)}) * 0 + 4",
            f"({worst(B, scope.b('cert_file_match'))} == 0) + 3",
            f"({ends_within(scope, B, SOON_DAYS, SOON_SHARE)}) * 0 + 2",
            f"({up} unless ({name} and {valid}))",
            f"{up} - 1",
        ]
    )


def ends_within(scope: Scope, by: str, days: int, share: float) -> str:
    """Seconds left, where they are less than `days` and less than the share of the lifetime."""
    # An intermediate may end before the certificate does.
    ends = f"({scope.b('verified_chain_not_after_timestamp_seconds')} or {scope.b('cert_not_after_timestamp_seconds')})"
    life = f"({scope.b('cert_not_after_timestamp_seconds')} - {scope.b('cert_not_before_timestamp_seconds')})"
    left = f"{ends} - time()"
    return f"{worst(by, left)} < {days} * 86400 and {worst(by, f'({left}) / {life}')} < {share}"


def why(scope: Scope) -> str:
    """For each backend one series, whose label `why` is the evidence for what `status` says."""

    def one(expr: str) -> str:
        return f"topk by ({B}) (1, max by ({B}, why) ({expr}))"

    stopped = f'label_join({scope.b("probe_failure_info")}, "why", ": ", "stage", "reason")'
    presents = f'label_replace({scope.b("cert_hostname_mismatch_info")}, "why", "presents $1", "presented", "(.*)")'
    lacks = f'label_replace({scope.b("cert_name_match")} == 0, "why", "lacks $1", "name", "(.*)")'
    reason = '"why", "$1", "reason", "(.*)"'
    return f"\nor on ({B}) ".join(
        [
            one(stopped),
            one(presents),
            one(lacks),
            one(f"label_replace({scope.b('chain_error', reason='expired')}, {reason})"),
            one(f"label_replace({scope.b('ocsp_error', reason='revoked')}, {reason})"),
            one(f"label_replace({scope.b('chain_error')}, {reason})"),
        ]
    )


# Settings of a column of days. What is not known must not look as if it had expired.
DAYS_LEFT = {
    "unit": "none",
    "decimals": 1,
    "mappings": no_value(),
    "thresholds": steps(RED, (0, "text")),
    "custom__cellOptions": {"type": "color-text"},
    "custom__width": 92,
}


def backends_table(scope: Scope, title: str, description: str, *, label: str = "") -> Json:
    """One row a backend, the worst first, in the fleet with the user's `label`, and links to one of its targets."""
    queries = [
        rows_now(status(scope)),
        rows_now(why(scope)),
        rows_now(worst(B, scope.b("cert_hostname_match"))),
        rows_now(worst(B, scope.b("chain_trusted"))),
        rows_now(worst(B, scope.b("cert_expiry_days"))),
        # Brings the target and the label in; the queries are joined by the labels that they share.
        rows_now(
            one_target(scope, label) if label else f"time() - {best(B, scope.b('cert_last_seen_timestamp_seconds'))}"
        ),
    ]
    columns = {
        "Value #A": "Status",
        "server_name": "Server name",
        "backend": "Backend",
        "why": "Why",
        "Value #C": "Name",
        "Value #D": "Chain",
        "Value #E": "Days left",
    }
    if not label:
        columns["Value #F"] = "Cert seen"
    verdict = {"custom__cellOptions": {"type": "color-text"}, "custom__width": 84}
    overrides = [
        column(
            "Status",
            mappings=words(STATUS),
            custom__cellOptions={"type": "color-background", "mode": "basic"},
            custom__width=125,
        ),
        column("Server name", custom__minWidth=210, **WRAPPED),
        column("Why", custom__minWidth=150, **WRAPPED),
        column("Name", **verdict, mappings=words({1: ("ok", GREEN), 0: ("missing", RED)}) + no_value()),
        column("Chain", **verdict, mappings=words({1: ("trusted", GREEN), 0: ("not trusted", RED)}) + no_value()),
        column("Days left", **DAYS_LEFT),
    ]
    if label:
        overrides += linked(columns, "Server name", "Backend")
    else:
        overrides.append(column("Cert seen", custom__width=92, unit="s", decimals=0))
    return table(
        title,
        f"{description} {STATUS_MEANING}",
        queries,
        columns,
        sort="Status",
        descending=True,
        first_by="Days left",
        overrides=overrides,
        empty="No backend has been probed",
        keep_rest=bool(label),
    )


LEADS_TO = {
    1: ("all", "these backends", GREEN),
    2: ("some", "some of them", ORANGE),
    3: ("elsewhere", "elsewhere", RED),
    4: ("nowhere", "nowhere", RED),
    5: ("unknown", "not known", "text"),
}


def one_target(scope: Scope, label: str = "") -> str:
    """For each backend one series that carries a target of it, for links, and the label."""
    by = f"{B}, target, {label}" if label else f"{B}, target"
    return f"topk by ({B}) (1, {best(by, scope.b('backend_resolved'))})"


def linked(columns: dict[str, str], *titles: str) -> list[Json]:
    """Settings that make columns links to the target of their row, which is itself not shown."""
    columns["target"] = "Target"
    urls = {"Backend": target_url("${__data.fields.backend:percentencode}")}
    links = [column(title, links=to("Open the target", urls.get(title, target_url(ALL)))) for title in titles]
    return [*links, column("Target", custom__hidden=True)]


def ways_out_table(scope: Scope, *, with_links: bool) -> Json:
    """The names that could be used instead of one that a backend lacks."""

    def leading(word: str) -> str:
        return best(f"{E}, name", scope.e("target_shared_name_info", resolves=word))

    columns = {"server_name": "Server name", "name": "Would work", "Value": "Leads to"}
    overrides = [
        column(
            "Leads to",
            mappings=words({rank: (text, color) for rank, (_, text, color) in LEADS_TO.items()}),
            custom__cellOptions={"type": "color-text"},
            custom__width=130,
        )
    ]
    if with_links:
        overrides += linked(columns, "Server name")
    return table(
        "Names that would work",
        "Where a backend lacks the server name: names that the certificates of all its backends carry, and where "
        "they lead. Green leads to these same backends, so clients may use it today; the others need a change in DNS "
        "first.",
        [rows_now("\nor ".join(f"{leading(word)} * {rank}" for rank, (word, _, _) in LEADS_TO.items()))],
        columns,
        sort="Leads to",
        empty="No server name is mismatched, or no name would do",
        overrides=overrides,
    )


# --- variables and links


def job_variable() -> Json:
    return choice(
        "job", "Job", "label_values(smtp_tls_exporter_build_info, job)", "Scrape jobs of the exporter", everything=".+"
    )


def label_variables() -> list[Json]:
    return [
        word("label", "Label", "team", "A label that your config puts on targets: shown in tables, chosen by below"),
        choice(
            "value", "Value of it", 'label_values(smtp_tls_target_info{job=~"$job"}, $label)', "Values of that label"
        ),
    ]


def target_url(backend: str) -> str:
    """A link from a row to the dashboard of its target."""
    variables = "${datasource:queryparam}&${job:queryparam}&var-target=${__data.fields.target:percentencode}"
    return f"/d/{TARGET}?{variables}&var-backend={backend}&${{__url_time_range}}"


def links(uid: str) -> list[Json]:
    """Links to the other dashboards."""
    everywhere = "${datasource:queryparam}&${job:queryparam}"
    titles = {
        OVERVIEW: ("Overview", "All backends, the worst first"),
        TARGET: ("Target", "One target and its backends over time"),
        RENEWALS: ("Renewals", "When certificates end, and who issued them"),
        EXPORTER: ("Exporter", "Whether the exporter itself is well"),
    }
    return [link(title, f"/d/{each}?{everywhere}", tip) for each, (title, tip) in titles.items() if each != uid]
