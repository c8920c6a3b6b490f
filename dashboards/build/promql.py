"""Queries: selectors of the exporter's metrics, label sets to aggregate by, and the status of backends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from parameters import Expiry, Parameters


@dataclass(frozen=True)
class LabelSets:
    """Label sets to aggregate by.

    All other labels of a scrape (instance, pod, node, endpoint, a replica of Prometheus) are dropped: at /metrics,
    `instance` is a replica of the exporter, at /probe it is the target. Targets can share a backend, so a backend is
    identified without its target. One port can be probed in both TLS modes.
    """

    cluster: str
    namespace: str

    @property
    def job(self) -> str:
        """The scope of a scrape job, part of all other sets."""
        return f"{self.cluster}, {self.namespace}, job"

    @property
    def instance(self) -> str:
        return f"{self.job}, instance"

    @property
    def target(self) -> str:
        return f"{self.job}, target"

    @property
    def endpoint(self) -> str:
        return f"{self.target}, server_name"

    @property
    def backend(self) -> str:
        return f"{self.job}, server_name, backend, tls"

    @property
    def cluster_matchers(self) -> str:
        """All of `cluster` and `namespace` is `.*`, which also matches series without the label."""
        return f'{self.cluster}=~"$cluster", {self.namespace}=~"$namespace"'

    @property
    def matchers(self) -> str:
        return f'{self.cluster_matchers}, job=~"$job"'

    @property
    def legend(self) -> str:
        """Labels that series do not have are empty."""
        return f"{{{{{self.cluster}}}}} {{{{{self.namespace}}}}}"

    def linkable(self, expr: str) -> str:
        """Adds labels with the values of the variables in links: the row's cluster and namespace, or All without them.
        A link cannot use a label that is absent."""
        for name, label in (("cluster", self.cluster), ("namespace", self.namespace)):
            every = f'label_replace({expr}, "var_{name}", "All", "{label}", "")'
            expr = f'label_replace({every}, "var_{name}", "$1", "{label}", "(.+)")'
        return expr


def max_by(by: str, expr: str) -> str:
    """With several exporters, a probe or lookup succeeded if it did for any of them."""
    return f"max by ({by}) ({expr})"


def min_by(by: str, expr: str) -> str:
    """With several exporters, a verdict is bad if it is for any of them."""
    return f"min by ({by}) ({expr})"


def count(expr: str, known: str) -> str:
    """The number of series: 0 if there are none but `known` has some, and no value without any data."""
    return f"count({expr}) or 0 * count({known})"


@dataclass(frozen=True)
class Selector:
    """Selects the series that a dashboard shows."""

    parameters: Parameters
    matchers: str = ""
    """Label matchers for all series, besides those of scrape jobs."""
    endpoint_matchers: str = ""
    """Additional matchers for series with a server name."""
    backend_matchers: str = ""
    """Additional matchers for series with a backend."""

    @property
    def by(self) -> LabelSets:
        return LabelSets(self.parameters.cluster, self.parameters.namespace)

    def target(self, metric: str, **labels: str) -> str:
        """A metric of targets, of the exporter or of its process."""
        return self._select(metric, labels)

    def endpoint(self, metric: str, **labels: str) -> str:
        return self._select(metric, labels, self.endpoint_matchers)

    def backend(self, metric: str, **labels: str) -> str:
        return self._select(metric, labels, self.endpoint_matchers, self.backend_matchers)

    def _select(self, metric: str, labels: dict[str, str], *matchers: str) -> str:
        name = metric if metric.startswith(("process_", "scrape_", "up")) else f"smtp_tls_{metric}"
        matchers = (self.by.matchers, self.matchers, *matchers)
        parts = [*filter(None, matchers), *(f'{label}="{value}"' for label, value in labels.items())]
        return f"{name}{{{', '.join(parts)}}}"

    def in_dns(self) -> str:
        """The backends currently in DNS."""
        return f"{max_by(self.by.backend, self.backend('backend_resolved'))} == 1"

    def failing_backends(self, metric: str, reduce: Callable[[str, str], str] = min_by) -> str:
        """The number of backends currently in DNS whose verdict is 0."""
        known = self.backend(metric)
        return count(f"{reduce(self.by.backend, known)} == 0 and {self.in_dns()}", known)

    def _validity(self) -> tuple[str, str]:
        return self.backend("cert_not_before_timestamp_seconds"), self.backend("cert_not_after_timestamp_seconds")

    def lifetime(self) -> str:
        begin, end = self._validity()
        return f"{end} - {begin}"

    def lifetime_used(self) -> str:
        begin, end = self._validity()
        return f"(time() - {begin}) / ({end} - {begin})"

    def lifetime_left(self) -> str:
        begin, end = self._validity()
        return f"({end} - time()) / ({end} - {begin})"

    def expires_within(self, expiry: Expiry) -> str:
        """Seconds left of each backend that counts."""
        # An intermediate certificate can expire before the server certificate.
        chain_end = self.backend("verified_chain_not_after_timestamp_seconds")
        end = f"({chain_end} or {self.backend('cert_not_after_timestamp_seconds')})"
        left = f"{end} - time()"
        share_left = min_by(self.by.backend, f"({left}) / ({self.lifetime()})")
        return f"{min_by(self.by.backend, left)} < {expiry.days} * 86400 and {share_left} < {expiry.share}"

    def round_age(self) -> str:
        """The age of the last round of each target, in intervals of the target."""
        last = self.target("target_last_round_timestamp_seconds")
        return f"(time() - ({last} > 0)) / {self.target('target_interval_seconds')}"

    def lookup_failures(self) -> str:
        return max_by(f"{self.by.target}, name, type, reason", self.target("target_lookup_failure_info"))

    def target_of_backend(self, label: str = "") -> str:
        """One series per backend that has one of its targets, for links, and the label."""
        by = f"{self.by.backend}, target, {label}" if label else f"{self.by.backend}, target"
        resolved = max_by(by, self.backend("backend_resolved"))
        return self.by.linkable(f"topk by ({self.by.backend}) (1, {resolved})")

    def status(self) -> str:
        """A key of `smtp.STATUS` for each backend, from the first clause that matches."""
        by = self.by.backend
        up = f"({max_by(by, self.backend('probe_success'))} == 1)"
        name, valid = (min_by(by, self.backend(metric)) for metric in ("cert_hostname_match", "chain_valid"))
        return "\nor ".join(
            [
                f"({max_by(by, self.backend('backend_resolved'))} == 0) - 1",
                f"({max_by(by, self.backend('probe_success'))} == 0) + 10",
                f"({name} == 0) + 9",
                f"({min_by(by, self.backend('cert_name_match'))} == 0) + 9",
                f"{max_by(by, self.backend('chain_error', reason='expired'))} * 0 + 8",
                f"{max_by(by, self.backend('ocsp_error', reason='revoked'))} * 0 + 7",
                f"({min_by(by, self.backend('chain_trusted'))} == 0) + 6",
                f"({valid} == 0) + 5",
                f"({self.expires_within(self.parameters.about_to_expire)}) * 0 + 4",
                f"({min_by(by, self.backend('cert_file_match'))} == 0) + 3",
                f"({self.expires_within(self.parameters.expiring)}) * 0 + 2",
                f"({up} unless ({name} and {valid}))",
                f"{up} - 1",
            ]
        )

    def status_detail(self) -> str:
        """One series per backend whose label `detail` has the evidence for its status."""

        def detail(expr: str, source: str, text: str = "$1") -> str:
            return f'label_replace({expr}, "detail", "{text}", "{source}", "(.*)")'

        candidates = [
            f'label_join({self.backend("probe_failure_info")}, "detail", ": ", "stage", "reason")',
            detail(self.backend("cert_hostname_mismatch_info"), "presented", "presents $1"),
            detail(f"{self.backend('cert_name_match')} == 0", "name", "does not list $1"),
            detail(self.backend("chain_error", reason="expired"), "reason"),
            detail(self.backend("ocsp_error", reason="revoked"), "reason"),
            detail(self.backend("chain_error"), "reason"),
        ]
        by = self.by.backend
        first = (f"topk by ({by}) (1, max by ({by}, detail) ({expr}))" for expr in candidates)
        return f"\nor on ({by}) ".join(first)
