"""One target and its backends: current problems, history, and what the servers present."""

from __future__ import annotations

from grafana_foundation_sdk.builders import statetimeline, table, timeseries
from grafana_foundation_sdk.builders.dashboard import Row
from grafana_foundation_sdk.models.common import VisibilityMode

import panels as p
import smtp
from panels import BLUE, GRAY, GREEN, ORANGE, RED
from parameters import Parameters
from promql import Selector, max_by, min_by
from smtp import NO_CERTIFICATE

# Stages of a probe, in order, with their colors.
STAGES = {
    "resolve": "purple",
    "connect": "dark-red",
    "greeting": "light-red",
    "ehlo": "orange",
    "starttls": "light-orange",
    "handshake": "yellow",
    "session": "dark-yellow",
}


class Target(smtp.Dashboard):
    page = smtp.TARGET

    def __init__(self, parameters: Parameters) -> None:
        super().__init__(parameters)
        self.target = Selector(parameters, 'target="$target"', 'server_name=~"$server_name"', 'backend=~"$backend"')
        self.per_backend = f"{{{{server_name}}}} {{{{backend}}}} {self.by.legend}"

    def variables(self) -> list[p.Variable]:
        targets = f"label_values({self.jobs.target('target_info')}, target)"
        of_target = Selector(self.parameters, 'target="$target"')
        of_server_name = Selector(self.parameters, 'target="$target"', 'server_name=~"$server_name"')
        server_names = f"label_values({of_target.backend('backend_resolved')}, server_name)"
        backends = f"label_values({of_server_name.backend('backend_resolved')}, backend)"
        return [
            p.query_variable("target", "Target", targets, "Configured target, or target of `/probe`"),
            p.multi_variable(
                "server_name",
                "Server name",
                server_names,
                "Name that clients connect to; several with MX or SRV records",
            ),
            p.multi_variable("backend", "Backend", backends, "IP address and port that the server name resolves to"),
        ]

    def rows(self) -> list[smtp.Row]:
        backends = smtp.backends_table(self.target, "Backends of $target", "Current status of each backend.")
        names = smtp.alternate_names_table(self.target, with_links=False)
        return [
            *smtp.stat_rows(self._stats()),
            p.row(7, (24, backends)),
            p.row(6, (12, names), (12, self._problems())),
            Row("History"),
            p.row(7, (24, self._status())),
            p.row(6, (24, self._hostname_match())),
            p.row(6, (24, self._chain_trust())),
            p.row(6, (24, self._probe_result())),
            p.row(6, (24, self._dns_resolution())),
            p.row(7, (24, self._certificate_history())),
            Row("Certificate expiry"),
            p.row(9, (12, self._days_left()), (12, self._lifetime_used())),
            Row("Probes"),
            p.row(10, (12, self._probe_duration()), (12, self._phase_duration())),
            p.row(8, (12, self._failures_by_reason()), (12, self._lookup_duration())),
            Row("Certificates and connections"),
            p.row(9, (24, self._certificates())),
            p.row(9, (24, self._chains())),
            p.row(7, (24, self._connections())),
        ]

    def _min(self, metric: str) -> str:
        return min_by(self.by.backend, self.target.backend(metric))

    def _max(self, metric: str) -> str:
        return max_by(self.by.backend, self.target.backend(metric))

    def _total(self, metric: str) -> str:
        return f"sum({max_by(self.by.endpoint, self.target.endpoint(f'target_backends_{metric}'))})"

    def _stats(self) -> list[p.PanelBuilder]:
        days_left = f"{self.target.backend('cert_expiry_days')} and on ({self.by.backend}) ({self.target.in_dns()})"
        about_to_expire, expiring = self.parameters.about_to_expire.days, self.parameters.expiring.days
        return [
            p.number(
                "Backends in DNS",
                "Backends that the selected server names currently resolve to. Addresses that are not probed do not "
                "count.",
                self._total("resolved"),
                neutral=True,
            ).thresholds(p.steps(RED, (1, "text"))),
            p.number(
                "Unreachable backends",
                "Backends currently in DNS without a successful last probe: a TLS connection with an SMTP reply inside "
                "it.",
                f"{self._total('resolved')} - {self._total('reachable')}",
            ).thresholds(smtp.RED_FROM_1),
            p.number(
                "Hostname mismatches",
                "Backends currently in DNS whose certificate does not list the server name. Clients that verify the "
                "hostname refuse them.",
                self.target.failing_backends("cert_hostname_match"),
            ).thresholds(smtp.RED_FROM_1),
            p.number(
                "Invalid chains",
                "Backends currently in DNS whose chain is untrusted or outside its validity period.",
                self.target.failing_backends("chain_valid"),
            ).thresholds(smtp.RED_FROM_1),
            p.number(
                "Days until certificate expiry",
                "Days until the first certificate of the selected backends expires; negative if it has expired.",
                f"min({days_left})",
            )
            .unit("suffix: d")
            .decimals(1)
            .thresholds(p.steps(RED, (about_to_expire, ORANGE), (expiring, GREEN))),
            p.number(
                "Distinct certificates",
                "Number of distinct certificates on the backends of a server name; with several server names, the "
                "largest. More than one is normal during a renewal.",
                f"max({self.target.endpoint('target_distinct_certificates')})",
                neutral=True,
            ),
            p.number(
                "DNS lookup",
                "Whether the last DNS lookup returned addresses for every host of the target.",
                f"min({max_by(self.by.target, self.target.target('target_lookup_success'))})",
            )
            .mappings([p.value_mapping(smtp.verdict("ok", "failing")), p.null_mapping(p.NO_DATA)])
            .thresholds(p.steps(RED, (1, GREEN))),
            smtp.round_age_stat(
                "Age of last round",
                "Time since the last completed round of lookup and probes, in probe intervals of the target. Up to "
                "about 1 is normal; a larger value means that results are stale.",
                f"max({min_by(self.by.target, self.target.round_age())})",
            ),
        ]

    def _problems(self) -> table.Panel:
        def reasons(expr: str, check: str, subject: str = self.by.backend) -> str:
            return max_by(f"{subject}, check, reason", f'label_replace({expr}, "check", "{check}", "", "")')

        probe_failures = f'label_join({self.target.backend("probe_failure_info")}, "check", " ", "stage")'
        exprs = [
            max_by(f"{self.by.backend}, check, reason", probe_failures),
            reasons(self.target.backend("cert_hostname_mismatch_info"), "hostname"),
            reasons(self.target.backend("chain_error"), "chain"),
            reasons(self.target.backend("chain_warning"), "chain warning"),
            reasons(self.target.backend("ocsp_error"), "OCSP"),
            reasons(self.target.target("target_lookup_failure_info"), "DNS", self.by.job),
        ]
        return p.rows_table(
            "Current problems",
            "One row per problem: failed probes with their stage, hostname mismatches, chain errors and warnings, OCSP "
            "errors, and failed DNS lookups. The reasons are described in the exporter's docs/metrics.md.",
            ["\nor ".join(exprs)],
            [
                p.column("server_name", "Server name"),
                p.column("backend", "Backend"),
                p.column("check", "Check", width=100),
                p.column("reason", "Reason", color=p.fixed_color(RED), cell=p.COLORED_TEXT),
                *smtp.scope_columns(self.by),
            ],
            sort="Backend",
        ).no_value("No problems")

    def _bands(self, title: str, description: str, expr: str, texts: p.Texts) -> statetimeline.Panel:
        return p.state_bands(title, description, [p.range_query(expr, self.per_backend)], texts)

    def _status(self) -> statetimeline.Panel:
        description = f"Status of each backend. {smtp.status_legend(self.parameters)}"
        return self._bands("Status", description, self.target.status(), smtp.STATUS)

    def _hostname_match(self) -> statetimeline.Panel:
        return self._bands(
            "Hostname match",
            "Whether the last certificate seen lists the server name. A gap means that it is unknown.",
            self._min("cert_hostname_match"),
            smtp.verdict("match", "mismatch"),
        ).no_value(NO_CERTIFICATE)

    def _chain_trust(self) -> statetimeline.Panel:
        return self._bands(
            "Chain trust",
            "Whether the chain verifies up to a trusted root, regardless of validity periods. A gap means that it is "
            "unknown or undecidable.",
            self._min("chain_trusted"),
            smtp.verdict("trusted", "untrusted"),
        ).no_value(NO_CERTIFICATE)

    def _probe_result(self) -> statetimeline.Panel:
        failures = [
            f"{max_by(self.by.backend, self.target.backend('probe_failure_info', stage=stage))} * {number}"
            for number, stage in enumerate(STAGES, start=1)
        ]
        return self._bands(
            "Probe result",
            "The stage at which the last probe of each backend failed, or success: a TLS connection with an SMTP reply "
            "inside it.",
            "\nor ".join([f"({self._max('probe_success')} == 1) - 1", *failures]),
            dict(enumerate([("success", GREEN), *STAGES.items()])),
        )

    def _dns_resolution(self) -> statetimeline.Panel:
        return self._bands(
            "DNS resolution",
            "Whether the server name resolved to the backend. A backend that is no longer in DNS is still probed for "
            "the retention time, by default one hour.",
            self._max("backend_resolved"),
            {1: ("in DNS", BLUE), 0: ("not in DNS", GRAY)},
        )

    def _short_fingerprint(self, digits: int) -> str:
        info = self.target.backend("cert_info")
        return f'label_replace({info}, "short", "$1", "fingerprint_sha256", "(.{{{digits}}}).*")'

    def _certificate_history(self) -> statetimeline.Panel:
        seen = max_by(f"{self.by.backend}, short", self._short_fingerprint(8))
        return (
            p.state_bands(
                "Certificate history",
                "One band per certificate that a backend presented, with the first digits of its SHA-256 fingerprint. "
                "A new band is a renewal; alternating bands of a backend mean several servers behind one address.",
                [p.range_query(seen, f"{self.per_backend} {{{{short}}}}")],
                {1: ("presented", BLUE)},
            )
            .show_value(VisibilityMode.NEVER)
            .no_value(NO_CERTIFICATE)
        )

    def _days_left(self) -> timeseries.Panel:
        return (
            p.lines(
                "Days until certificate expiry",
                "Days until the last certificate seen on each backend expires; negative if it has expired. The line "
                "rises when the certificate is renewed.",
                [p.range_query(self._min("cert_expiry_days"), self.per_backend)],
                negative=True,
                thresholds=p.steps("transparent", (0, RED)),
            )
            .unit("suffix: d")
            .decimals(0)
            .axis_soft_min(0)
            .axis_soft_max(1)
            .no_value(NO_CERTIFICATE)
        )

    def _lifetime_used(self) -> timeseries.Panel:
        used = max_by(self.by.backend, self.target.lifetime_used())
        return (
            p.lines(
                "Certificate lifetime used",
                "Share of the certificate's validity period that has passed. At 100% it expires, whatever its "
                "lifetime.",
                [p.range_query(used, self.per_backend)],
                thresholds=p.steps("transparent", (0.75, ORANGE), (1, RED)),
            )
            .unit("percentunit")
            .axis_soft_min(0)
            .axis_soft_max(1.2)
            .no_value(NO_CERTIFICATE)
        )

    def _probe_duration(self) -> timeseries.Panel:
        return p.lines(
            "Probe duration",
            "Duration of the last probe of each backend, including failed ones. Some servers delay their greeting on "
            "purpose.",
            [p.range_query(self._max("probe_duration_seconds"), self.per_backend)],
            legend_calcs=["mean", "max"],
        ).unit("s")

    def _phase_duration(self) -> timeseries.Panel:
        duration = max_by("phase", self.target.backend("probe_phase_duration_seconds"))
        return p.lines(
            "Probe phase duration",
            "Longest duration of each completed phase of the last probe among the selected backends. The phases can be "
            "of different backends, so they do not add up to the probe duration.",
            [p.range_query(duration, "{{phase}}")],
            legend_calcs=["mean", "max"],
        ).unit("s")

    def _failures_by_reason(self) -> timeseries.Panel:
        # Not the rate of a counter: at /probe, counters of targets that are not configured start at 0 in each response.
        failed = max_by(f"{self.by.backend}, stage, reason", self.target.backend("probe_failure_info"))
        return (
            p.lines(
                "Failed probes by stage and reason",
                "Backends of the target whose last probe failed, by the stage at which it failed and the reason. With "
                "several exporters, a backend counts if the probe of any of them failed.",
                [p.range_query(f"count by (stage, reason) ({failed})", "{{stage}}: {{reason}}")],
                stepped=True,
                stacked=True,
            )
            .decimals(0)
            .no_value("No probe has failed")
        )

    def _lookup_duration(self) -> timeseries.Panel:
        duration = max_by(self.by.target, self.target.target("target_lookup_duration_seconds"))
        return p.lines(
            "DNS lookup duration",
            "Time from the first query of the last lookup to the last response.",
            [p.range_query(duration, f"{{{{target}}}} {self.by.legend}")],
        ).unit("s")

    def _milliseconds(self, metric: str) -> str:
        """The Unix time of a metric, as Grafana's date units expect it."""
        return f"{self._min(metric)} * 1000"

    def _certificates(self) -> table.Panel:
        queries = [
            max_by(f"{self.by.backend}, subject, issuer, short", self._short_fingerprint(16)),
            self._milliseconds("cert_not_before_timestamp_seconds"),
            self._milliseconds("cert_not_after_timestamp_seconds"),
        ]
        return p.rows_table(
            "Certificates",
            "The last certificate seen on each backend, with the first 16 digits of its SHA-256 fingerprint.",
            queries,
            [
                p.column("server_name", "Server name", min_width=130, wrap=True),
                p.column("backend", "Backend"),
                p.column("subject", "Subject", min_width=170, wrap=True),
                p.column("issuer", "Issuer", min_width=190, wrap=True),
                _date_column("Value #B", "Not before", 95),
                _date_column("Value #C", "Not after", 95),
                p.column("short", "Fingerprint", width=160),
                *smtp.scope_columns(self.by),
            ],
            sort="Backend",
        ).no_value(NO_CERTIFICATE)

    def _chains(self) -> table.Panel:
        queries = [
            max_by(f"{self.by.backend}, key, signature, serial", self.target.backend("cert_info")),
            self._milliseconds("chain_not_after_timestamp_seconds"),
            self._milliseconds("verified_chain_not_after_timestamp_seconds"),
            self._min("cert_scts"),
            self._min("ocsp_stapled"),
            max_by(f"{self.by.backend}, status", self.target.backend("ocsp_status")),
        ]
        stapled = [p.value_mapping({0: ("none", "text"), 1: ("stapled", GREEN)})]
        return p.rows_table(
            "Keys, chains and OCSP staples",
            "Chain expires: first expiry among the presented certificates. Path expires: first expiry on the verified "
            "path to a trusted root, empty if there is none. SCTs: embedded certificate transparency timestamps, not "
            "verified. OCSP: status in a correctly signed staple.",
            queries,
            [
                p.column("server_name", "Server name", min_width=140, wrap=True),
                p.column("backend", "Backend"),
                p.column("key", "Key", width=105),
                p.column("signature", "Signature", min_width=140, wrap=True),
                p.column("serial", "Serial", min_width=150, wrap=True),
                _date_column("Value #B", "Chain expires", 125),
                _date_column("Value #C", "Path expires", 125),
                p.column("Value #D", "SCTs", width=60),
                p.column("Value #E", "Staple", mappings=stapled, width=80),
                p.column("status", "OCSP", width=80),
                *smtp.scope_columns(self.by),
            ],
            sort="Chain expires",
        ).no_value(NO_CERTIFICATE)

    def _connections(self) -> table.Panel:
        queries = [
            max_by(f"{self.by.backend}, version, cipher, group", self.target.backend("connection_info")),
            *map(self._max, ("backend_rate_limited", "probe_consecutive_failures", "backend_distinct_certificates")),
        ]
        limited = [p.value_mapping({0: ("no", "text"), 1: ("yes", ORANGE)})]
        failures, certificates = p.steps("text", (1, ORANGE), (3, RED)), p.steps("text", (2, ORANGE))
        return p.rows_table(
            "TLS connections",
            "TLS parameters negotiated by the last probe; empty while the backend is down. Rate limited: the server "
            "reported a limit on connections or rate. Failures: consecutive failed probes. Certs: distinct "
            "certificates recently seen at the address; more than one is a renewal or a load balancer.",
            queries,
            [
                p.column("server_name", "Server name"),
                p.column("backend", "Backend"),
                p.column("version", "TLS", width=80),
                p.column("cipher", "Cipher", min_width=200),
                p.column("group", "Group"),
                p.column("Value #B", "Rate limited", mappings=limited, width=105, cell=p.COLORED_TEXT),
                p.column("Value #C", "Failures", width=85, thresholds=failures, cell=p.COLORED_TEXT),
                p.column("Value #D", "Certs", width=65, thresholds=certificates, cell=p.COLORED_TEXT),
                *smtp.scope_columns(self.by),
            ],
            sort="Backend",
        ).no_value("No backend has been probed")


def _date_column(field: str, title: str, width: int) -> p.Column:
    return p.column(field, title, unit="time:YYYY-MM-DD", mappings=[p.null_mapping()], width=width)
