"""The faults that the alerting checks cause, and the notification that each of them must lead to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .alerting import POOL, Alerting, host
from .prometheus import JOB
from .webhook import Notification


@dataclass(frozen=True)
class Fault:
    title: str
    alert: str
    severity: str
    receiver: str
    labels: Mapping[str, str]
    """Some of the alert's labels, besides its name and severity."""
    facts: Sequence[str]
    """What the description must contain; an item that is listed twice must occur twice."""
    absent: Sequence[str] = ()
    """What the description must not contain."""

    @property
    def every_label(self) -> dict[str, str]:
        return {"alertname": self.alert, "severity": self.severity, "job": JOB, **self.labels}

    @property
    def subject(self) -> str:
        return self.labels.get("target") or self.labels.get("server_name") or "the exporter"

    def is_reported_by(self, notification: Notification) -> bool:
        return notification.receiver == self.receiver and notification.matches("firing", self.every_label)


def early(alerting: Alerting) -> list[Fault]:
    """Faults that are notified within half a minute."""
    backend, port = alerting.backend, alerting.fleet.port

    def target(name: str, /, **labels: str) -> dict[str, str]:
        return {"target": name, "server_name": host(name), "team": "mail", **labels}

    def server(name: str, which: int, /, **labels: str) -> dict[str, str]:
        return {"backend": backend(name, which), "server_name": host(name), "port": port, "team": "mail", **labels}

    def target_facts(name: str) -> list[str]:
        return [host(name), f"(target {name})"]

    def facts(name: str, which: int, *more: str) -> list[str]:
        return [backend(name, which), *target_facts(name), *more]

    return [
        Fault(
            "some certificates mismatch: backend, presented name, name to add, alternate name",
            "SmtpTlsHostnameMismatchPartial",
            "critical",
            "mail-pager",
            target("relay"),
            # Presented by that backend, and offered as an alternate name; the host name is also the one to add.
            [*facts("relay", 2, "not_listed"), POOL, POOL, host("relay")],
            [backend("relay", 0), backend("relay", 1)],
        ),
        Fault(
            "all certificates mismatch: both backends, and an alternate name that does not resolve",
            "SmtpTlsHostnameMismatch",
            "critical",
            "mail-pager",
            target("submit"),
            [
                *[backend("submit", 0), backend("submit", 1), *target_facts("submit"), host("submit")],
                *["mail.example.com", "not_listed"] * 2,
                *["mail.example.com", "does not resolve"],
            ],
        ),
        Fault(
            "a mismatch of another team's target: that team is notified",
            "SmtpTlsHostnameMismatchPartial",
            "critical",
            "web-chat",
            target("web", team="web"),
            facts("web", 1, "other.example.com", "not_listed"),
        ),
        Fault(
            "one server is stopped: a warning with the reason",
            "SmtpTlsBackendDown",
            "warning",
            "mail-chat",
            server("retired", 2),
            facts("retired", 2, "connect", "refused"),
        ),
        Fault(
            "all servers are stopped: the target is down",
            "SmtpTlsTargetDown",
            "critical",
            "mail-pager",
            target("down", port=port),
            [*facts("down", 0, f"port {port}", "refused"), backend("down", 1), "refused"],
        ),
        Fault(
            "STARTTLS is no longer offered",
            "SmtpTlsStarttlsMissing",
            "critical",
            "mail-pager",
            server("no-starttls", 1),
            facts("no-starttls", 1, "starttls_not_offered"),
        ),
        Fault(
            "an untrusted issuer: reason and issuer",
            "SmtpTlsChainInvalid",
            "critical",
            "mail-pager",
            server("unknown-issuer", 0),
            facts("unknown-issuer", 0, "unknown_issuer", "issuer CN="),
        ),
        Fault(
            "a certificate that is not yet valid: the chain is invalid",
            "SmtpTlsChainInvalid",
            "critical",
            "mail-pager",
            server("not-yet-valid", 0),
            facts("not-yet-valid", 0, "not_yet_valid"),
        ),
        Fault(
            "a certificate that is revoked according to its staple",
            "SmtpTlsCertificateRevoked",
            "critical",
            "mail-pager",
            server("revoked", 0),
            facts("revoked", 0, "OCSP"),
        ),
        Fault(
            "TLS handshakes fail",
            "SmtpTlsHandshakeFailing",
            "critical",
            "mail-pager",
            server("old-tls", 1),
            facts("old-tls", 1, "handshake", "tls_version"),
        ),
        Fault(
            "a certificate does not list an expected name",
            "SmtpTlsExpectedNameMissing",
            "warning",
            "mail-chat",
            server("names", 0, name="alias.example.com"),
            facts("names", 0, "alias.example.com", "expect_names"),
        ),
        Fault(
            "a config that cannot be loaded: the operators of the exporter are notified",
            "SmtpTlsReloadFailed",
            "warning",
            "monitoring",
            {"instance": alerting.exporter.address, "team": "monitoring"},
            [alerting.exporter.address],
        ),
        Fault(
            "a name is removed: lookups fail",
            "SmtpTlsDnsFailing",
            "warning",
            "mail-chat",
            {"target": "unresolved", "team": "mail"},
            ["target unresolved", f"{host('unresolved')} A", "nxdomain"],
        ),
        Fault(
            "a certificate has a tenth of its lifetime left: critical",
            "SmtpTlsCertificateExpiring",
            "critical",
            "mail-pager",
            server("tenth-left", 0),
            facts("tenth-left", 0, "expires in 12h 2"),
        ),
        Fault(
            "an expired certificate: critical, and reported as expired",
            "SmtpTlsCertificateExpiring",
            "critical",
            "mail-pager",
            server("lapsed", 0),
            facts("lapsed", 0, "expired"),
            ["expires in"],
        ),
    ]


def late(alerting: Alerting) -> list[Fault]:
    """Faults that take longer."""
    backend = alerting.backend("fifth-left", 0)
    name = host("fifth-left")
    return [
        Fault(
            "the addresses of a removed name are dropped after the retention: the target has none",
            "SmtpTlsTargetUnresolved",
            "critical",
            "mail-pager",
            {"target": "unresolved", "team": "mail"},
            ["unresolved", f"{host('unresolved')} A", "nxdomain"],
        ),
        Fault(
            "a certificate has a fifth of its lifetime left: a warning",
            "SmtpTlsCertificateExpiring",
            "warning",
            "mail-chat",
            {"backend": backend, "server_name": name, "team": "mail"},
            [backend, name, "(target fifth-left)", "expires in 2d 0h 2"],
        ),
    ]


def exporter_down() -> Fault:
    return Fault(
        "the exporter is killed: its operators are paged",
        "SmtpTlsExporterDown",
        "critical",
        "monitoring-pager",
        {"team": "monitoring"},
        [JOB],
    )
