"""All targets at once: current problems, worst first."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import table, timeseries

import panels as p
import smtp
from panels import BLUE, GREEN, ORANGE, RED
from parameters import Parameters
from promql import Selector, count, max_by, min_by


class Overview(smtp.Dashboard):
    page = smtp.OVERVIEW

    def __init__(self, parameters: Parameters) -> None:
        super().__init__(parameters)
        self.targets = Selector(parameters, '$label=~"$value"')

    def variables(self) -> list[p.Variable]:
        return self.label_variables()

    def rows(self) -> list[smtp.Row]:
        backends = smtp.backends_table(
            self.targets,
            "Backends by status",
            "One row per backend. Click a server name or a backend to open its target.",
            label="$label",
        )
        return [
            *smtp.stat_rows([*self._problem_stats(), self._backends_stat()]),
            p.row(13, (24, backends)),
            p.row(8, (12, self._alerts()), (12, smtp.alternate_names_table(self.targets, with_links=True))),
            p.row(8, (13, self._next_to_expire()), (11, self._failed_lookups())),
            p.row(8, (24, self._history())),
        ]

    def _problem_stats(self) -> list[p.PanelBuilder]:
        targets, by = self.targets, self.by
        in_dns, days_left = targets.in_dns(), targets.backend("cert_expiry_days")
        matched, mismatched = (targets.endpoint(f"target_backends_hostname_{how}") for how in ("matched", "mismatched"))
        partial = f"{max_by(by.endpoint, matched)} > 0 and {max_by(by.endpoint, mismatched)} > 0"
        expiring = f"({targets.expires_within(self.parameters.expiring)}) >= 0"
        expiring_days, expiring_percent = self.parameters.expiring.days, self.parameters.expiring.percent
        lookups = targets.target("target_lookup_success")
        problems = [
            (
                "Partial hostname mismatches",
                "Server names that the certificates of some backends list and those of others do not. Clients fail "
                "intermittently, depending on the backend they connect to.",
                count(f"count by ({by.job}, server_name) ({partial})", matched),
            ),
            (
                "Hostname mismatches",
                "Backends currently in DNS whose certificate does not list the server name. Clients that verify the "
                "hostname refuse them.",
                targets.failing_backends("cert_hostname_match"),
            ),
            (
                "Backends down",
                "Backends currently in DNS whose last probe failed for every exporter: no TLS connection with an SMTP "
                "reply inside it.",
                targets.failing_backends("probe_success", max_by),
            ),
            (
                "Untrusted chains",
                "Backends currently in DNS whose chain has no path to a trusted root, regardless of validity periods.",
                targets.failing_backends("chain_trusted"),
            ),
            (
                "Expired certificates",
                "Backends currently in DNS whose last certificate has expired. Clients refuse them.",
                count(f"{min_by(by.backend, days_left)} < 0 and {in_dns}", days_left),
            ),
            (
                "Certificates expiring soon",
                "Backends currently in DNS whose certificate, or another one in its chain, expires within "
                f"{expiring_days} days and has less than {expiring_percent} of its lifetime left. Expired "
                "certificates are not counted.",
                count(f"{expiring} and {in_dns}", days_left),
            ),
            (
                "Targets with failed lookups",
                "Targets whose last DNS lookup did not return addresses for every host.",
                count(f"{max_by(by.target, lookups)} == 0", lookups),
            ),
        ]
        return [
            p.number(title, *rest).thresholds(smtp.ORANGE_FROM_1 if title.endswith("soon") else smtp.RED_FROM_1)
            for title, *rest in problems
        ]

    def _backends_stat(self) -> p.PanelBuilder:
        return p.number(
            "Backends",
            "Number of probed backends currently in DNS. A backend that several targets share counts once.",
            count(self.targets.in_dns(), self.targets.backend("backend_resolved")),
            neutral=True,
        ).thresholds(p.steps(RED, (1, "text")))

    def _firing(self, matcher: str) -> str:
        scope = f'{self.by.cluster_matchers}, $label=~"$value"'
        expr = f'ALERTS{{alertname=~"SmtpTls.*", alertstate="firing", {scope}{matcher}}}'
        # The subject is the server name, or else the target, and the backend if there is one.
        for label, source, pattern in (
            ("subject", "target", "(.+)"),
            ("subject", "server_name", "(.+)"),
            ("alert", "alertname", "SmtpTls(.+)"),
        ):
            expr = f'label_replace({expr}, "{label}", "$1", "{source}", "{pattern}")'
        by = f"{self.by.cluster}, {self.by.namespace}, alert, subject"
        return max_by(by, f'label_join({expr}, "subject", " ", "subject", "backend")')

    def _alerts(self) -> table.Panel:
        url = self.parameters.runbook_url
        runbook = p.data_link("Open the runbook", f"{url}/SmtpTls${{__data.fields.alert}}.md", target_blank=True)
        links: dict[str, Any] = {"links": runbook} if url else {}
        ranks = {3: ', severity="critical"', 2: ', severity="warning"', 1: ', severity!~"critical|warning"'}
        severities = p.value_mapping({3: ("critical", RED), 2: ("warning", ORANGE), 1: ("info", BLUE)})
        return p.rows_table(
            "Firing alerts",
            "Firing alerts of the exporter's alert rules, critical ones first; names are shown without the prefix "
            "`SmtpTls`. Empty if no alert is firing, or if the rules are not loaded in this Prometheus.",
            ["\nor ".join(f"{self._firing(matcher)} * {rank}" for rank, matcher in ranks.items())],
            [
                p.column("Value", "Severity", mappings=[severities], cell=p.COLORED_BACKGROUND, width=90),
                p.column("alert", "Alert", min_width=170, **links),
                p.column("subject", "Subject", min_width=200, wrap=True),
                *smtp.scope_columns(self.by),
            ],
            sort="Severity",
            descending=True,
            tie_break="Alert",
        ).no_value("No alert is firing")

    def _next_to_expire(self) -> table.Panel:
        by = self.by.backend
        first = f"bottomk(10, {min_by(by, self.targets.backend('cert_expiry_days'))})"
        left = min_by(by, self.targets.lifetime_left())
        about_to_expire, expiring = self.parameters.about_to_expire, self.parameters.expiring
        thresholds = p.steps(RED, (about_to_expire.share, ORANGE), (expiring.share, GREEN))
        return p.rows_table(
            "Next certificates to expire",
            "The ten backends whose certificates expire next. A negative number of days means that the certificate has "
            "expired.",
            [first, f"({left}) and {first}", f"{self.targets.target_of_backend()} and on ({by}) {first}"],
            [
                smtp.days_left_column("Value #A"),
                smtp.lifetime_column("Value #B", "Lifetime left", 120, thresholds),
                p.column("server_name", "Server name", min_width=195, wrap=True, links=smtp.target_link()),
                p.column("backend", "Backend", min_width=145, links=smtp.BACKEND_LINK),
                *smtp.scope_columns(self.by),
                *smtp.link_columns(),
            ],
            sort="Days left",
        )

    def _failed_lookups(self) -> table.Panel:
        return p.rows_table(
            "Failed DNS lookups",
            "DNS queries of each target's last lookup that returned no addresses, with the reason.",
            [self.by.linkable(self.targets.lookup_failures())],
            [
                p.column("target", "Target", wrap=True, links=smtp.target_link()),
                p.column("name", "Name", wrap=True),
                p.column("type", "Type", width=60),
                p.column("reason", "Reason", width=105),
                *smtp.scope_columns(self.by),
                *smtp.link_columns("target"),
            ],
            sort="Target",
        ).no_value("All lookups succeeded")

    def _history(self) -> timeseries.Panel:
        def total(metric: str) -> str:
            return f"sum({max_by(self.by.endpoint, self.targets.endpoint(f'target_backends_{metric}'))})"

        valid = min_by(self.by.backend, self.targets.backend("chain_valid"))
        # The last series is drawn on top of the others.
        return p.lines(
            "Backends with problems",
            "Backends currently in DNS that are unreachable, whose certificate does not list the server name, or whose "
            "chain is untrusted or outside its validity period. A backend that several targets share counts for each.",
            [
                p.range_query(f"sum(1 - {valid} and {self.targets.in_dns()})", "invalid chain"),
                p.range_query(total("hostname_mismatched"), "hostname mismatch"),
                p.range_query(f"{total('resolved')} - {total('reachable')}", "unreachable"),
            ],
            stepped=True,
            colors={"unreachable": "dark-red", "hostname mismatch": ORANGE, "invalid chain": "purple"},
        ).decimals(0)
