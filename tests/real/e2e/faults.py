"""The faults that the alerting checks cause, and the notification that each of them must lead to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

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


MAIL_RECEIVERS = {"critical": "mail-pager", "warning": "mail-chat"}


def backend_facts(alerting: Alerting, name: str, which: int, *more: str) -> list[str]:
    return [alerting.backend(name, which), host(name), f"target {name})", *more]


def server_fault(
    alerting: Alerting,
    severity: str,
    title: str,
    alert: str,
    target: str,
    which: int,
    *facts: str,
    absent: Sequence[str] = (),
    **more_labels: str,
) -> Fault:
    """A fault of one server of a target of the mail team."""
    labels = {"backend": alerting.backend(target, which), "server_name": host(target), "port": alerting.fleet.port}
    return Fault(
        title,
        alert,
        severity,
        MAIL_RECEIVERS[severity],
        {**labels, "team": "mail", **more_labels},
        backend_facts(alerting, target, which, *facts),
        absent,
    )


def unresolved_fault(severity: str, title: str, alert: str, target: str) -> Fault:
    """A fault of the target whose name is removed; the description contains `target`."""
    facts = [target, f"{host('unresolved')} A", "nxdomain"]
    return Fault(title, alert, severity, MAIL_RECEIVERS[severity], {"target": "unresolved", "team": "mail"}, facts)


def early(alerting: Alerting) -> list[Fault]:
    """Faults that are notified within half a minute."""
    backend, port = alerting.backend, alerting.fleet.port

    def target(name: str, /, **labels: str) -> dict[str, str]:
        return {"target": name, "server_name": host(name), "team": "mail", **labels}

    facts = partial(backend_facts, alerting)
    critical = partial(server_fault, alerting, "critical")
    warning = partial(server_fault, alerting, "warning")

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
                *[*facts("submit", 0, host("submit")), backend("submit", 1)],
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
        warning(
            "one server is stopped: a warning with the reason", "SmtpTlsBackendDown", "retired", 2, "connect", "refused"
        ),
        Fault(
            "all servers are stopped: the target is down",
            "SmtpTlsTargetDown",
            "critical",
            "mail-pager",
            target("down", port=port),
            [*facts("down", 0, f"port {port}", "refused"), backend("down", 1), "refused"],
        ),
        critical("STARTTLS is no longer offered", "SmtpTlsStarttlsMissing", "no-starttls", 1, "starttls_not_offered"),
        critical(
            "an untrusted issuer: reason and issuer",
            "SmtpTlsChainInvalid",
            "unknown-issuer",
            0,
            "unknown_issuer",
            "issuer CN=",
        ),
        critical(
            "a certificate that is not yet valid: the chain is invalid",
            "SmtpTlsChainInvalid",
            "not-yet-valid",
            0,
            "not_yet_valid",
        ),
        critical(
            "a certificate that is revoked according to its staple", "SmtpTlsCertificateRevoked", "revoked", 0, "OCSP"
        ),
        critical("TLS handshakes fail", "SmtpTlsHandshakeFailing", "old-tls", 1, "handshake", "tls_version"),
        warning(
            "a certificate does not list an expected name",
            "SmtpTlsExpectedNameMissing",
            "names",
            0,
            "alias.example.com",
            "expect_names",
            name="alias.example.com",
        ),
        Fault(
            "a config that cannot be loaded: the operators of the exporter are notified",
            "SmtpTlsReloadFailed",
            "warning",
            "monitoring",
            {"instance": alerting.exporter.address, "team": "monitoring"},
            [alerting.exporter.address],
        ),
        unresolved_fault("warning", "a name is removed: lookups fail", "SmtpTlsDnsFailing", "target unresolved"),
        critical(
            "a certificate has a tenth of its lifetime left: critical",
            "SmtpTlsCertificateExpiring",
            "tenth-left",
            0,
            "expires in 12h 2",
        ),
        critical(
            "an expired certificate: critical, and reported as expired",
            "SmtpTlsCertificateExpiring",
            "lapsed",
            0,
            "expired",
            absent=["expires in"],
        ),
    ]


def late(alerting: Alerting) -> list[Fault]:
    """Faults that take longer."""
    return [
        unresolved_fault(
            "critical",
            "the addresses of a removed name are dropped after the retention: the target has none",
            "SmtpTlsTargetUnresolved",
            "unresolved",
        ),
        server_fault(
            alerting,
            "warning",
            "a certificate has a fifth of its lifetime left: a warning",
            "SmtpTlsCertificateExpiring",
            "fifth-left",
            0,
            "expires in 2d 0h 2",
        ),
    ]


def exporter_down() -> Fault:
    return Fault(
        "the exporter is killed: its operators are paged",
        "SmtpTlsExporterDown",
        "critical",
        "monitoring-pager",
        {},
        [JOB],
    )
