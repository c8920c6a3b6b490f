"""What is broken in the story of the stack, and what the page about it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .webhook import Page
from .prometheus import JOB
from .alerting import POOL, Stack, host


@dataclass(frozen=True)
class Trouble:
    """A thing that is wrong, and the page that says so."""

    title: str
    alert: str
    severity: str
    receiver: str
    labels: Mapping[str, str]
    """Some of the page's; the alert's name and the severity are given above."""
    words: Sequence[str]
    """What the description holds."""
    absent: Sequence[str] = ()
    """What it must not hold."""

    @property
    def every_label(self) -> dict[str, str]:
        return {"alertname": self.alert, "severity": self.severity, "job": JOB, **self.labels}

    @property
    def subject(self) -> str:
        return self.labels.get("target") or self.labels.get("server_name") or "the exporter"

    def is_told_by(self, page: Page) -> bool:
        return page.receiver == self.receiver and page.is_about("firing", self.every_label)


def at_once(stack: Stack) -> list[Trouble]:
    """What is paged within half a minute of breaking."""
    backend, port = stack.backend, stack.stage.port

    def target(name: str, /, **labels: str) -> dict[str, str]:
        return {"target": name, "server_name": host(name), "team": "mail", **labels}

    def server(name: str, which: int, /, **labels: str) -> dict[str, str]:
        return {"backend": backend(name, which), "server_name": host(name), "port": port, "team": "mail", **labels}

    def of(name: str, which: int) -> str:
        return f"{backend(name, which)} of {host(name)} (target {name})"

    return [
        Trouble(
            "partly mismatched: the page names the backend, what it presents, and both ways out",
            "SmtpTlsTargetPartlyMismatched",
            "critical",
            "mail-pager",
            target("relay"),
            [
                f"Clients of {host('relay')} (target relay) fail whenever they land on {backend('relay', 2)},"
                f" which presents {POOL} (not_listed); the other servers carry the name.",
                f"Have those reissued with {host('relay')}, or let clients use {POOL}, which every server carries"
                " and which leads to all of them.",
            ],
            [backend("relay", 0), backend("relay", 1)],
        ),
        Trouble(
            "wholly mismatched: the page names both backends, and says that the name they carry leads nowhere",
            "SmtpTlsTargetWhollyMismatched",
            "critical",
            "mail-pager",
            target("submit"),
            [
                f"No server of {host('submit')} (target submit) carries the name:"
                f" {backend('submit', 0)} presents mail.example.com (not_listed);"
                f" {backend('submit', 1)} presents mail.example.com (not_listed);"
                f" have them reissued with {host('submit')}",
                "mail.example.com is on all certificates too, but leads nowhere.",
            ],
        ),
        Trouble(
            "another team's mismatch is told to that team",
            "SmtpTlsTargetPartlyMismatched",
            "critical",
            "web-chat",
            target("web", team="web"),
            [f"land on {backend('web', 1)}, which presents other.example.com (not_listed);"],
        ),
        Trouble(
            "one server stopped: a warning with the reason",
            "SmtpTlsBackendDown",
            "warning",
            "mail-chat",
            server("trio", 2),
            [f"{of('trio', 2)} has failed every probe", "connect: refused;", "take the address out of DNS."],
        ),
        Trouble(
            "all servers stopped: the target is down",
            "SmtpTlsTargetDown",
            "critical",
            "mail-pager",
            target("dark", port=port),
            [
                f"All servers of {host('dark')} port {port} (target dark) have failed",
                f"{backend('dark', 0)} connect: refused; {backend('dark', 1)} connect: refused;",
            ],
        ),
        Trouble(
            "STARTTLS is gone",
            "SmtpTlsStarttlsGone",
            "critical",
            "mail-pager",
            server("plain", 1),
            [f"{of('plain', 1)} speaks SMTP but does not begin TLS: starttls: starttls_not_offered;"],
        ),
        Trouble(
            "an issuer that nobody trusts: the reason and the issuer",
            "SmtpTlsChainInvalid",
            "critical",
            "mail-pager",
            server("strange", 0),
            [
                f"{of('strange', 0)} presents a chain that does not verify: unknown_issuer; issuer CN=Stranger Root.",
                "have it issued by a CA that clients trust",
            ],
        ),
        Trouble(
            "a certificate whose time has not come: the chain is invalid, too",
            "SmtpTlsChainInvalid",
            "critical",
            "mail-pager",
            server("future", 0),
            [f"{of('future', 0)} presents a chain that does not verify: not_yet_valid;"],
        ),
        Trouble(
            "a certificate that its CA has revoked, as the staple says",
            "SmtpTlsCertificateRevoked",
            "critical",
            "mail-pager",
            server("revoked", 0),
            [f"The OCSP response that {of('revoked', 0)} staples says that its certificate is revoked"],
        ),
        Trouble(
            "TLS does not come up",
            "SmtpTlsHandshakeFailing",
            "critical",
            "mail-pager",
            server("shake", 1),
            [f"{of('shake', 1)} answers, but TLS does not come up: handshake: tls_version;"],
        ),
        Trouble(
            "a certificate lacks a name that the config expects",
            "SmtpTlsExpectedNameMissing",
            "warning",
            "mail-chat",
            server("names", 0, name="alias.example.com"),
            [f"The certificate of {of('names', 0)} does not carry alias.example.com, which expect_names demands"],
        ),
        Trouble(
            "the new config is refused: whoever runs the exporter is told",
            "SmtpTlsReloadFailed",
            "warning",
            "monitoring",
            {"instance": stack.exporter.address, "team": "monitoring"},
            [f"Instance {stack.exporter.address} could not load its config"],
        ),
        Trouble(
            "a name is gone: lookups fail",
            "SmtpTlsDnsFailing",
            "warning",
            "mail-chat",
            {"target": "vanish", "team": "mail"},
            ["Lookups of target vanish fail:", f"{host('vanish')} A: nxdomain;"],
        ),
        Trouble(
            "a tenth of its lifetime is left to a certificate: critical",
            "SmtpTlsCertificateExpiring",
            "critical",
            "mail-pager",
            server("soon", 0),
            [f"The certificate of {of('soon', 0)},", "expires in 12h 2", "Renew it, install it"],
        ),
        Trouble(
            "an expired certificate: the page says so",
            "SmtpTlsCertificateExpiring",
            "critical",
            "mail-pager",
            server("gone", 0),
            [f"The certificate of {of('gone', 0)},", "HAS EXPIRED; its own end is"],
            ["expires in"],
        ),
    ]


def later(stack: Stack) -> list[Trouble]:
    """What takes longer."""
    backend = stack.backend("late", 0)
    return [
        Trouble(
            "the addresses of the name are forgotten after their retention: it has none",
            "SmtpTlsTargetUnresolved",
            "critical",
            "mail-pager",
            {"target": "vanish", "team": "mail"},
            ["Target vanish resolves to no address at all:", f"{host('vanish')} A: nxdomain;"],
        ),
        Trouble(
            "a fifth of its lifetime is left to a certificate: a warning",
            "SmtpTlsCertificateExpiring",
            "warning",
            "mail-chat",
            {"backend": backend, "server_name": host("late"), "team": "mail"},
            [f"The certificate of {backend} of {host('late')} (target late),", "expires in 2d 0h 2"],
        ),
    ]


def exporter_down() -> Trouble:
    return Trouble(
        "the exporter is killed: whoever runs it is woken",
        "SmtpTlsExporterDown",
        "critical",
        "monitoring-pager",
        {"team": "monitoring"},
        [f"No instance of job {JOB} could be scraped", "Check the process, its log"],
    )
