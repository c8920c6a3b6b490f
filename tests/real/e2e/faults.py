"""The faults that the alerting checks cause, and the notification that each of them must lead to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .alerting import LABELS, POOL, Alerting, host
from .fleetctl import Fleet
from .webhook import Notification

HOUR = 3_600
DAY = 24 * HOUR


def _take_down(fleet: Fleet, servers: Sequence[int], _: str) -> None:
    """The last one accepts connections, so that probes of the target take as long as they may."""
    fleet.stop_servers(servers[:-1])
    fleet.play(servers[-1:], "silent")


# How each target is broken: a function of the fleet, the target's servers, and its host. The slowest alerts come first.
# Half an hour more, so that a slow start does not change the printed durations.
CAUSES: Mapping[str, Callable[[Fleet, Sequence[int], str], None]] = {
    "fifth-left": lambda fleet, servers, name: fleet.present(servers, name, from_=-10 * DAY, until=2 * DAY + HOUR // 2),
    "tenth-left": lambda fleet, servers, name: fleet.present(
        servers, name, from_=-10 * DAY, until=12 * HOUR + HOUR // 2
    ),
    "lapsed": lambda fleet, servers, name: fleet.present(servers, name, from_=-10 * DAY, until=-HOUR),
    "unresolved": lambda fleet, servers, name: fleet.forget(name),
    "relay": lambda fleet, servers, name: fleet.present(servers[2:], POOL),
    "submit": lambda fleet, servers, name: fleet.present(servers, "mail.example.com"),
    "retired": lambda fleet, servers, name: fleet.stop_servers(servers[2:]),
    "down": _take_down,
    "no-starttls": lambda fleet, servers, name: fleet.play(servers[1:], "no_starttls"),
    "unknown-issuer": lambda fleet, servers, name: fleet.present(servers, name, issuer="stranger"),
    "not-yet-valid": lambda fleet, servers, name: fleet.present(servers, name, from_=DAY),
    "revoked": lambda fleet, servers, name: fleet.present(servers, name, staple="revoked"),
    "old-tls": lambda fleet, servers, name: fleet.play(servers[1:], "old_tls"),
    "web": lambda fleet, servers, name: fleet.present(servers[1:], "other.example.com"),
    "names": lambda fleet, servers, name: fleet.present(servers, name),
}


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
    target: str = ""
    """The target that is broken; empty for faults of the exporter."""

    @property
    def every_label(self) -> dict[str, str]:
        return {"alertname": self.alert, "severity": self.severity, **self.labels}

    @property
    def subject(self) -> str:
        return self.labels.get("target") or self.labels.get("server_name") or self.labels.get("instance") or "exporter"

    def is_reported_by(self, notification: Notification) -> bool:
        return notification.receiver == self.receiver and notification.matches("firing", self.every_label)


@dataclass(frozen=True)
class Row:
    """An alert about a target that is broken as in `CAUSES`. Labels and facts may contain `{target}`, its label in the
    series, `{host}`, `{port}` and `{backends[N]}`."""

    target: str
    severity: str
    title: str
    alert: str
    facts: Sequence[str]
    absent: Sequence[str] = ()
    server: int | None = None
    """The server that the alert is about, counted from 0; None if the alert is about the target."""
    more_labels: Mapping[str, str] = field(default_factory=dict)
    is_late: bool = False

    def fault(self, alerting: Alerting) -> Fault:
        team = alerting.team(self.target)
        labels = {"job": alerting.setup.job, **LABELS, "team": team, "target": "{target}", **self.more_labels}
        facts = self.facts
        if self.server is not None:
            backend = f"{{backends[{self.server}]}}"
            del labels["target"]
            labels |= {"backend": backend, "server_name": "{host}", "port": "{port}"}
            facts = [backend, "{host}", "target {target})", *facts]
        values = {
            "target": alerting.target_label(self.target),
            "host": host(self.target),
            "port": alerting.fleet.port,
            "backends": [alerting.fleet.address(number) for number in alerting.servers[self.target]],
        }
        return Fault(
            self.title,
            self.alert,
            self.severity,
            RECEIVERS[team][self.severity],
            {name: text.format(**values) for name, text in labels.items()},
            [fact.format(**values) for fact in facts],
            [fact.format(**values) for fact in self.absent],
            self.target,
        )


RECEIVERS = {
    "mail": {"critical": "mail-pager", "warning": "mail-chat"},
    "web": {"critical": "web-chat", "warning": "web-chat"},
}
NAMED = {"server_name": "{host}"}

ROWS = [
    Row(
        "relay",
        "critical",
        "some certificates mismatch: backend, presented name, name to add, alternate name",
        "SmtpTlsHostnameMismatchPartial",
        # Presented by that backend, and offered as an alternate name; the host name is also the one to add.
        ["{backends[2]}", "{host}", "target {target})", "not_listed", POOL, POOL, "{host}"],
        ["{backends[0]}", "{backends[1]}"],
        more_labels=NAMED,
    ),
    Row(
        "submit",
        "critical",
        "all certificates mismatch: both backends, and an alternate name that does not resolve",
        "SmtpTlsHostnameMismatch",
        [
            *["{backends[0]}", "{host}", "target {target})", "{host}", "{backends[1]}"],
            *["mail.example.com", "not_listed"] * 2,
            *["mail.example.com", "does not resolve"],
        ],
        more_labels=NAMED,
    ),
    Row(
        "web",
        "critical",
        "a mismatch of another team's target: that team is notified",
        "SmtpTlsHostnameMismatchPartial",
        ["{backends[1]}", "{host}", "target {target})", "other.example.com", "not_listed"],
        more_labels=NAMED,
    ),
    Row(
        "retired",
        "warning",
        "one server is stopped: a warning with the reason",
        "SmtpTlsBackendDown",
        ["connect", "refused"],
        server=2,
    ),
    Row(
        "down",
        "critical",
        "all servers are stopped or do not answer: the target is down",
        "SmtpTlsTargetDown",
        ["{backends[0]}", "{host}", "target {target})", "port {port}", "refused", "{backends[1]}", "timeout"],
        more_labels={**NAMED, "port": "{port}"},
    ),
    Row(
        "no-starttls",
        "critical",
        "STARTTLS is no longer offered",
        "SmtpTlsStarttlsMissing",
        ["starttls_not_offered"],
        server=1,
    ),
    Row(
        "unknown-issuer",
        "critical",
        "an untrusted issuer: reason and issuer",
        "SmtpTlsChainInvalid",
        ["unknown_issuer", "issuer CN="],
        server=0,
    ),
    Row(
        "not-yet-valid",
        "critical",
        "a certificate that is not yet valid: the chain is invalid",
        "SmtpTlsChainInvalid",
        ["not_yet_valid"],
        server=0,
    ),
    Row(
        "revoked",
        "critical",
        "a certificate that is revoked according to its staple",
        "SmtpTlsCertificateRevoked",
        ["OCSP"],
        server=0,
    ),
    Row(
        "old-tls",
        "critical",
        "TLS handshakes fail",
        "SmtpTlsHandshakeFailing",
        ["handshake", "tls_version"],
        server=1,
    ),
    Row(
        "names",
        "warning",
        "a certificate does not list an expected name",
        "SmtpTlsExpectedNameMissing",
        ["alias.example.com", "expect_names"],
        server=0,
        more_labels={"name": "alias.example.com"},
    ),
    Row(
        "unresolved",
        "warning",
        "a name is removed: lookups fail",
        "SmtpTlsDnsFailing",
        ["target {target}", "{host} A", "nxdomain"],
    ),
    Row(
        "tenth-left",
        "critical",
        "a certificate has a tenth of its lifetime left: critical",
        "SmtpTlsCertificateExpiring",
        ["expires in 12h 2"],
        server=0,
    ),
    Row(
        "lapsed",
        "critical",
        "an expired certificate: critical, and reported as expired",
        "SmtpTlsCertificateExpiring",
        ["expired"],
        ["expires in"],
        server=0,
    ),
    Row(
        "unresolved",
        "critical",
        "the addresses of a removed name are dropped after the retention: the target has none",
        "SmtpTlsTargetUnresolved",
        ["{target}", "{host} A", "nxdomain"],
        is_late=True,
    ),
    Row(
        "fifth-left",
        "warning",
        "a certificate has a fifth of its lifetime left: a warning",
        "SmtpTlsCertificateExpiring",
        ["expires in 2d 0h 2"],
        server=0,
        is_late=True,
    ),
]


def of_targets(alerting: Alerting, is_late: bool) -> list[Fault]:
    """Faults of the targets of this setup; late ones take more than half a minute until they are notified."""
    rows = [row for row in ROWS if row.target in alerting.servers and row.is_late == is_late]
    return [row.fault(alerting) for row in rows]


def cause(alerting: Alerting) -> None:
    """Breaks all targets of this setup for which there is a cause."""
    for target, break_it in CAUSES.items():
        if servers := alerting.servers.get(target):
            break_it(alerting.fleet, servers, host(target))


def _of_exporter(alerting: Alerting, title: str, alert: str, severity: str, *facts: str, **labels: str) -> Fault:
    receiver = {"critical": "monitoring-pager", "warning": "monitoring"}[severity]
    return Fault(title, alert, severity, receiver, {"job": alerting.setup.job, **LABELS, **labels}, facts)


def reload_failed(alerting: Alerting, instance: str) -> Fault:
    title = "a config that cannot be loaded: the operators of the exporter are notified"
    return _of_exporter(alerting, title, "SmtpTlsReloadFailed", "warning", instance, instance=instance)


def web_config_reload_failed(alerting: Alerting, instance: str) -> Fault:
    title = "a web configuration that cannot be loaded: the operators of the exporter are notified"
    facts = (instance, "--web.config.file")
    return _of_exporter(alerting, title, "SmtpTlsWebConfigReloadFailed", "warning", *facts, instance=instance)


def shards_missing(alerting: Alerting, *facts: str) -> Fault:
    title = "a shard is missing: the operators of the exporter are paged"
    return _of_exporter(alerting, title, "SmtpTlsShardsMissing", "critical", *facts)


def scrape_failing(alerting: Alerting, target: str) -> Fault:
    instance = alerting.target_label(target)
    labels = {"job": alerting.setup.job, **LABELS, "team": alerting.team(target), "instance": instance}
    title = "the exporter refuses a target: a warning about its scrapes"
    receiver = RECEIVERS[alerting.team(target)]["warning"]
    return Fault(title, "SmtpTlsProbeScrapeFailing", "warning", receiver, labels, [instance])


def instance_down(alerting: Alerting, instance: str) -> Fault:
    title = "one replica is killed: a warning about this instance"
    return _of_exporter(alerting, title, "SmtpTlsExporterDown", "warning", instance, instance=instance)


def exporter_down(alerting: Alerting) -> Fault:
    title = "the exporter is killed, with all replicas: its operators are paged"
    return _of_exporter(alerting, title, "SmtpTlsExporterDown", "critical", alerting.setup.job)
