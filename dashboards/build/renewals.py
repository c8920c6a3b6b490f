"""When certificates expire, how late they are renewed, and who issued them."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, piechart, stat, table, timeseries

import panels as p
import smtp
from panels import BLUE, GREEN, ORANGE, RED
from parameters import Expiry, Parameters
from promql import Selector, count, max_by, min_by

# A certificate that several backends present is renewed once, so it counts once.
CERTIFICATE = "fingerprint_sha256"
WEEK_SECONDS = 7 * 86_400
WEEKS = 13


class Renewals(smtp.Dashboard):
    page = smtp.RENEWALS

    def __init__(self, parameters: Parameters) -> None:
        super().__init__(parameters)
        self.targets = Selector(parameters, '$label=~"$value"')
        self.info = self.targets.backend("cert_info")
        self.not_after = self.targets.backend("cert_not_after_timestamp_seconds")
        self.expires = self._per_certificate(CERTIFICATE, self.not_after)

    def variables(self) -> list[p.Variable]:
        return self.label_variables()

    def rows(self) -> list[smtp.Row]:
        return [
            p.row(4, *((4, panel) for panel in self._stats())),
            p.row(9, (14, self._expiry_by_week()), (10, self._by_lifetime_used())),
            p.row(11, (24, self._certificates())),
            p.row(8, (12, self._replacements()), (12, self._lifetime_used())),
            p.row(8, (10, self._issuers()), (7, self._tls_versions()), (7, self._key_types())),
        ]

    def _per_certificate(self, by: str, value: str) -> str:
        """A value of each certificate."""
        # What one exporter, or one scrape of /probe, saw at a backend. Replicas can see different certificates.
        seen_at = f"{self.by.target}, instance, server_name, backend, tls"
        seen = f"max by ({seen_at}, {by}) ({self.info})"
        return f"max by ({by}) ({seen} * on ({seen_at}) group_left () max by ({seen_at}) ({value}))"

    def _lifetime_used_of(self, by: str) -> str:
        return self._per_certificate(by, f"({self.targets.lifetime_used()})")

    def _stats(self) -> list[p.PanelBuilder]:
        file_match = min_by(self.by.backend, self.targets.backend("cert_file_match"))
        about_to_expire, expiring = self.parameters.about_to_expire, self.parameters.expiring
        return [
            p.number(
                "Certificates",
                "Number of distinct certificates on all backends, counting the last certificate seen on each.",
                f"count(count by ({CERTIFICATE}) ({self.info}))",
                neutral=True,
            ),
            p.number(
                "Expired certificates",
                "Certificates that have expired and are still in use. Clients refuse them.",
                count(f"({self.expires} - time()) / 86400 < 0", self.info),
            ).thresholds(smtp.RED_FROM_1),
            self._expiring_stat("About to expire", about_to_expire).thresholds(smtp.RED_FROM_1),
            self._expiring_stat("Expiring soon", expiring).thresholds(smtp.ORANGE_FROM_1),
            p.number(
                "Shortest lifetime",
                "Validity period, in days, of the certificate with the shortest one.",
                f"min({self.targets.lifetime()}) / 86400",
                neutral=True,
            )
            .unit("suffix: d")
            .decimals(0),
            p.number(
                "Not reloaded",
                "Backends that do not present the certificate in the target's `certificate_file`: it was renewed, but "
                "the server has not loaded it. Only for targets with a `certificate_file`.",
                count(f"{file_match} == 0", file_match),
                empty="not configured",
            ).thresholds(smtp.RED_FROM_1),
        ]

    def _expiring_stat(self, title: str, expiry: Expiry) -> stat.Panel:
        left = f"({self.expires} - time())"
        share_left = self._per_certificate(CERTIFICATE, f"({self.targets.lifetime_left()})")
        return p.number(
            title,
            f"Certificates with less than {expiry.days} days and less than {expiry.percent} of their lifetime left. "
            "Expired certificates are not counted.",
            count(f"({left} >= 0) < {expiry.days} * 86400 and {share_left} < {expiry.share}", self.info),
        )

    def _expiry_by_week(self) -> bargauge.Panel:
        names = {f"{week:02}": f"{week + 1}" for week in range(WEEKS)} | {str(WEEKS): f"{WEEKS + 1}+"}
        return _histogram(
            "Certificates expiring by week",
            f"Number of certificates that expire in each of the next {WEEKS} weeks; week 1 is the next seven days. A "
            "tall bar means many renewals at once. Expired certificates are not counted.",
            f"(({self.expires} - time()) >= 0) / {WEEK_SECONDS}",
            WEEKS,
            names,
        )

    def _by_lifetime_used(self) -> bargauge.Panel:
        return _histogram(
            "Certificates by lifetime used (%)",
            "Number of certificates by the share of their validity period that has passed, in steps of 10%. Tall bars "
            "on the right mean late renewals; certificates at 100 have expired.",
            f"10 * {self._lifetime_used_of(CERTIFICATE)}",
            10,
            {"0(.)": "${1}0", "00": "0", "10": "100"},
        )

    def _certificates(self) -> table.Panel:
        by = f"{CERTIFICATE}, subject, issuer, key"
        first = f"bottomk(100, {self._per_certificate(by, self.not_after)})"
        days = self._per_certificate(by, f"(({self.targets.lifetime()}) / 86400)")
        queries = [
            f"{first} * 1000",
            f"({first} - time()) / 86400",
            f"{self._lifetime_used_of(by)} and {first}",
            f"{days} and {first}",
            f"count by ({by}) (max by ({self.by.backend}, {by}) ({self.info})) and {first}",
        ]
        thresholds = p.steps(GREEN, (0.75, ORANGE), (0.9, RED))
        return p.rows_table(
            "Certificates by expiry",
            "The 100 certificates that expire first, and the number of backends that present each. Negative days mean "
            "that the certificate has expired.",
            queries,
            [
                smtp.days_left_column("Value #B"),
                p.column("Value #A", "Expires", unit="time:YYYY-MM-DD", width=95),
                smtp.lifetime_column("Value #C", "Lifetime used", 130, thresholds),
                p.column("Value #D", "Lifetime", unit="suffix: d", decimals=0, width=75),
                p.column("Value #E", "Backends", width=85),
                p.column("subject", "Subject", min_width=150, wrap=True),
                p.column("issuer", "Issuer", min_width=150, wrap=True),
                p.column("key", "Key", width=110),
                # Keeps certificates with the same subject in separate rows.
                p.column(CERTIFICATE, "Fingerprint", hidden=True),
            ],
            sort="Days left",
        ).no_value(smtp.NO_CERTIFICATE)

    def _replacements(self) -> timeseries.Panel:
        not_before = self.targets.backend("cert_not_before_timestamp_seconds")
        changes = max_by(self.by.backend, f"changes({not_before}[1d])")
        return p.count_lines(
            "Certificate replacements in 24 hours",
            "How often backends switched to another certificate in the 24 hours before each point in time. A backend "
            "that alternates between certificates counts at every switch.",
            [p.range_query(f"sum({changes})", "replacements")],
        )

    def _lifetime_used(self) -> timeseries.Panel:
        return (
            p.lines(
                "Certificate lifetime used",
                "Share of the validity period that has passed: maximum and median of all certificates. A maximum above "
                "90% means late renewals; above 100%, an expired certificate is in use.",
                p.max_and_median(self._lifetime_used_of(CERTIFICATE)),
                thresholds=p.steps("transparent", (0.9, ORANGE), (1, RED)),
            )
            .unit("percentunit")
            .axis_soft_min(0)
            .axis_soft_max(1.2)
        )

    def _count_by(self, label: str) -> str:
        return f"count by ({label}) (count by ({label}, {CERTIFICATE}) ({self.info}))"

    def _issuers(self) -> table.Panel:
        blue = p.fixed_color(BLUE)
        return p.rows_table(
            "Certificates by issuer",
            "The ten issuers with the most certificates, as named in the certificates, whether or not they are "
            "trusted.",
            [f"topk(10, {self._count_by('issuer')})"],
            [
                p.column("issuer", "Issuer", min_width=200, wrap=True),
                p.column("Value", "Certificates", min=0, decimals=0, color=blue, width=150, cell=p.GAUGE),
            ],
            sort="Certificates",
            descending=True,
        ).no_value(smtp.NO_CERTIFICATE)

    def _tls_versions(self) -> piechart.Panel:
        versions = max_by(f"{self.by.backend}, version", self.targets.backend("connection_info"))
        return p.pie_chart(
            "Backends by TLS version",
            "TLS version negotiated by the last probe of each backend. Backends that are down are not counted.",
            f"count by (version) ({versions})",
            "{{version}}",
        )

    def _key_types(self) -> piechart.Panel:
        description = "Number of certificates by the type and size of their key."
        return p.pie_chart("Certificates by key type", description, self._count_by("key"), "{{key}}")


def _histogram(title: str, description: str, value: str, last: int, names: dict[str, str]) -> bargauge.Panel:
    """One bar per integer from 0 to `last`, including empty ones. `names`: patterns of two digits and their texts."""
    counted = f'count_values("bucket", clamp(floor({value}), 0, {last}))'
    empty = "\nor ".join(f'label_replace(vector(0), "bucket", "{i}", "", "")' for i in range(last + 1))
    # Two digits, because buckets are sorted as text.
    expr = f'label_replace({counted}\nor on (bucket) ({empty}), "bucket", "0$1", "bucket", "(.)")'
    for pattern, text in names.items():
        expr = f'label_replace({expr}, "name", "{text}", "bucket", "{pattern}")'
    return p.bar_chart(title, description, expr, sort_by="bucket")
