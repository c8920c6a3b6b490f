"""What must be true, in the order of a story: seen as built, one server stops, one certificate is replaced,
one address is retired, the exporter leaves."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from .exporter import INTERVAL, OPENMETRICS, TEXT, Exporter
from .postfix import sessions
from .prometheus import JOB, Prometheus
from .servers import EXIM, IMPLICIT, MAIL, SMTP, STARTTLS, ZONE, Host, Street


class Failed(Exception):
    """What was seen instead."""


# What is checked, and the checking.
Step = tuple[str, Callable[[], None]]


class Scene(Protocol):
    """Where Prometheus scrapes an exporter."""

    exporter: Exporter
    prometheus: Prometheus


@dataclass(frozen=True)
class Check:
    name: str
    run: Callable[[Street], None]


CHECKS: list[Check] = []


def check(name: str) -> Callable[[Callable[[Street], None]], Callable[[Street], None]]:
    def register(function: Callable[[Street], None]) -> Callable[[Street], None]:
        CHECKS.append(Check(name, function))
        return function

    return register


def expect(condition: bool, seen: str) -> None:
    if not condition:
        raise Failed(seen)


def await_vector(
    scene: Scene,
    expression: str,
    expected: Mapping[str, float],
    *,
    by: str = "backend",
    tolerance: float = 0.0,
    # A round to notice, a slow greeting, a scrape, and a machine that has other things to do.
    seconds: float = 4 * INTERVAL,
) -> None:
    """Asks Prometheus until the answer has just these values, told apart by one label."""
    deadline = time.monotonic() + seconds
    while True:
        samples = scene.prometheus.query(expression)
        seen = {sample.labels.get(by, ""): sample.value for sample in samples}
        if (
            seen.keys() == expected.keys()
            and len(samples) == len(expected)
            and all(abs(seen[key] - value) <= tolerance for key, value in expected.items())
        ):
            return
        if scene.exporter.exit_code is not None:
            raise Failed(f"the exporter has ended with {scene.exporter.exit_code}")
        if time.monotonic() > deadline:
            raise Failed(f"{expression}: wanted {_show(expected)}, saw {_show(seen)} in {len(samples)} series")
        time.sleep(0.25)


def _show(values: Mapping[str, float]) -> str:
    return "{" + ", ".join(f"{key}: {value:.12g}" for key, value in sorted(values.items())) + "}"


@dataclass(frozen=True)
class Target:
    """An entry of the exporter's config, as it shows in labels."""

    server_name: str
    port: int

    @property
    def name(self) -> str:
        return f"{self.server_name}:{self.port}"

    def metric(self, name: str, *matchers: str) -> str:
        labels = [f'job="{JOB}"', f'target="{self.name}"', *matchers]
        return f"smtp_tls_{name}{{{','.join(labels)}}}"

    def backend(self, host: Host) -> str:
        return f"{host.address}:{self.port}"

    def per_backend(self, values: Mapping[Host, float]) -> dict[str, float]:
        return {self.backend(host): value for host, value in values.items()}


RELAY = Target(SMTP, STARTTLS)
SUBMISSION = Target(SMTP, IMPLICIT)
EXIM_RELAY = Target(EXIM, STARTTLS)


def await_backends(
    street: Street,
    target: Target,
    metric: str,
    values: Mapping[Host, float],
    *matchers: str,
    tolerance: float = 0.0,
    seconds: float = 4 * INTERVAL,
) -> None:
    expression = target.metric(metric, f'server_name="{target.server_name}"', *matchers)
    await_vector(street, expression, target.per_backend(values), tolerance=tolerance, seconds=seconds)


def await_counts(street: Street, target: Target, seconds: float = 4 * INTERVAL, **counts: int) -> None:
    for what, count in counts.items():
        await_vector(
            street,
            target.metric(f"target_backends_{what}"),
            {target.server_name: count},
            by="server_name",
            seconds=seconds,
        )


def names_verdicts(target: Target, hosts: list[Host]) -> dict[Host, float]:
    return {host: float(target.server_name in host.certificate.names) for host in hosts}


def check_facts(street: Street, target: Target, hosts: list[Host]) -> None:
    """Every backend is probed, and told as it was built."""
    await_backends(street, target, "probe_success", {host: 1 for host in hosts})
    await_backends(street, target, "backend_resolved", {host: 1 for host in hosts})
    await_backends(street, target, "probe_failure_info", {})
    await_backends(street, target, "cert_hostname_match", names_verdicts(target, hosts))
    await_backends(
        street,
        target,
        "cert_not_after_timestamp_seconds",
        {host: host.certificate.not_after for host in hosts},
    )
    await_backends(
        street,
        target,
        "cert_expiry_days",
        {host: (host.certificate.not_after - time.time()) / 86_400 for host in hosts},
        tolerance=0.05,
    )
    for host in hosts:
        await_fingerprint(street, target, host)


def await_fingerprint(street: Street, target: Target, host: Host) -> None:
    backend = f'backend="{target.backend(host)}"'
    # As openssl prints it or as sha256sum does.
    plain = host.certificate.fingerprint
    colons = ":".join(plain[i : i + 2] for i in range(0, len(plain), 2))
    fingerprint = f'fingerprint_sha256=~"(?i)({plain}|{colons})"'
    await_backends(street, target, "cert_info", {host: 1}, backend, fingerprint)
    await_vector(street, f"count({target.metric('cert_info', backend)})", {"": 1})


@check("STARTTLS: every backend of smtp.example.com is seen as it was built")
def starttls_facts(street: Street) -> None:
    check_facts(street, RELAY, street.smtp)


@check("an expired certificate keeps its facts: trusted, not valid, and for that reason only")
def expired_keeps_facts(street: Street) -> None:
    trusted = {host: 1.0 for host in street.smtp}
    await_backends(street, RELAY, "chain_trusted", trusted)
    await_backends(street, RELAY, "chain_valid", trusted | {street.expired: 0})
    await_vector(street, RELAY.metric("chain_error"), {"expired": 1}, by="reason")
    await_backends(street, RELAY, "chain_error", {street.expired: 1})
    await_vector(street, f"count({RELAY.metric('cert_expiry_days')} < 0)", {"": 1})


@check("the counts add up, and the intermittent failure is one expression")
def counts(street: Street) -> None:
    for target in (RELAY, SUBMISSION):
        await_counts(street, target, resolved=5, reachable=5, hostname_matched=3, hostname_mismatched=2, chain_valid=4)
    await_intermittent(street, {RELAY.name: 3, SUBMISSION.name: 3, EXIM_RELAY.name: 1})
    await_vector(street, RELAY.metric("target_distinct_certificates"), {SMTP: 5}, by="server_name")


def await_intermittent(street: Street, expected: Mapping[str, float], seconds: float = 4 * INTERVAL) -> None:
    await_vector(
        street,
        "smtp_tls_target_backends_hostname_matched > 0 and smtp_tls_target_backends_hostname_mismatched > 0",
        expected,
        by="target",
        seconds=seconds,
    )


@check("the wrong ones say why, and what they present instead")
def mismatches(street: Street) -> None:
    wrong: dict[Host, float] = {street.renewed: 1, street.retired: 1}
    mismatch = ('reason="not_listed"', f'presented=~".*{MAIL}.*"')
    await_backends(street, RELAY, "cert_hostname_mismatch_info", wrong, *mismatch)


@check("implicit TLS: the same")
def implicit_facts(street: Street) -> None:
    check_facts(street, SUBMISSION, street.smtp)


@check("Exim: the same")
def exim_facts(street: Street) -> None:
    check_facts(street, EXIM_RELAY, street.exim_hosts)
    await_counts(street, EXIM_RELAY, resolved=2, reachable=2, hostname_matched=1, hostname_mismatched=1, chain_valid=2)


@check("no AAAA is no failure, and a target's own labels stand on its series")
def lookups(street: Street) -> None:
    await_vector(
        street,
        f'smtp_tls_target_lookup_success{{job="{JOB}"}}',
        {RELAY.name: 1, SUBMISSION.name: 1, EXIM_RELAY.name: 1},
        by="target",
    )
    await_backends(street, RELAY, "probe_success", {host: 1 for host in street.smtp}, 'team="mail"')
    await_vector(street, 'count by (target) (smtp_tls_probe_success{team="mail"})', {RELAY.name: 5}, by="target")


@check("a stopped server: refused, with its certificate still known")
def stopped(street: Street) -> None:
    street.retired_postfix.stop()
    for target in (RELAY, SUBMISSION):
        refused = ('stage="connect"', 'reason="refused"')
        await_backends(street, target, "probe_failure_info", {street.retired: 1}, *refused)
        await_backends(street, target, "probe_failure_info", {street.retired: 1})
        await_backends(
            street, target, "probe_success", {host: float(host is not street.retired) for host in street.smtp}
        )
        await_backends(
            street,
            target,
            "cert_not_after_timestamp_seconds",
            {host: host.certificate.not_after for host in street.smtp},
        )
        await_backends(street, target, "cert_hostname_match", names_verdicts(target, street.smtp))
        await_backends(street, target, "connection_info", {h: 1 for h in street.smtp if h is not street.retired})
        await_counts(street, target, resolved=5, reachable=4, hostname_matched=3, hostname_mismatched=2)


@check("started again: it recovers")
def started(street: Street) -> None:
    street.retired_postfix.start()
    for target in (RELAY, SUBMISSION):
        await_backends(street, target, "probe_success", {host: 1 for host in street.smtp})
        await_backends(street, target, "probe_failure_info", {})
        await_counts(street, target, reachable=5)


@check("a replaced certificate shows")
def replaced(street: Street) -> None:
    host = street.renewed
    host.install(street.authority.issue((SMTP, MAIL), 89))
    street.postfix.reload()
    for target in (RELAY, SUBMISSION):
        await_fingerprint(street, target, host)
        await_backends(street, target, "cert_hostname_match", names_verdicts(target, street.smtp))
        await_counts(street, target, hostname_matched=4, hostname_mismatched=1)
        expect(names_verdicts(target, [host])[host] == 1, "the new certificate lacks the name")


@check("an address that leaves DNS leaves the counts, and with it the intermittent failure")
def left_dns(street: Street) -> None:
    street.knot.publish(ZONE, street.zone(without=street.retired))
    # It still answers, so it goes with the third round that does not find it.
    patience = 8.0 * INTERVAL
    for target in (RELAY, SUBMISSION):
        await_counts(
            street, target, resolved=4, reachable=4, hostname_matched=4, hostname_mismatched=0, seconds=patience
        )
        backend = target.metric("backend_resolved", f'backend="{target.backend(street.retired)}"')
        await_vector(street, f"{backend} != 0", {})
    await_intermittent(street, {EXIM_RELAY.name: 1})


@check("Postfix's log: every session is complete and ends with QUIT")
def postfix_log(street: Street) -> None:
    lines = street.postfix.log_since(street.postfix_log_start)
    bad = re.compile(
        r"lost connection|SSL_accept error|timeout after|PREGREET|HANGUP|COMMAND|NON-SMTP|warning:|error:|fatal:"
    )
    complaints = [line for line in lines if bad.search(line)]
    expect(not complaints, f"{len(complaints)} complaints: {complaints[:3]}")
    dialogue = {STARTTLS: "ehlo=2 starttls=1 quit=1 commands=4", IMPLICIT: "ehlo=1 quit=1 commands=2"}
    for host in street.smtp:
        if host is street.retired:
            continue
        for port, wanted in dialogue.items():
            ended = sessions(lines, host.address, port)
            other = [session for session in ended if session != wanted]
            expect(not other, f"{host.address}:{port}: {len(other)} of {len(ended)} sessions, as {other[:3]}")
            expect(len(ended) >= 3, f"{host.address}:{port}: only {len(ended)} sessions")


@check("postscreen's log: nobody talked before the greeting")
def postscreen_log(street: Street) -> None:
    lines = [line for line in street.postfix.log_since(street.postfix_log_start) if "/postscreen[" in line]
    passed = [line for line in lines if ": PASS " in line]
    early = [line for line in lines if "PREGREET" in line]
    expect(not early, f"{early[:3]}")
    expect(len(passed) >= 3, f"only {len(passed)} of {len(lines)} lines are a PASS: {lines[:3]}")


@check("Exim's log: every session ends with QUIT")
def exim_log(street: Street) -> None:
    lines = street.exim.log_since(street.exim_log_start)
    normal = re.compile(r"SMTP connection from .*( \(TCP/IP connection count = \d+\)| closed by QUIT)$")
    other = [line for line in lines if not normal.search(line)]
    expect(not other, f"{len(other)} of {len(lines)} lines, as {other[:3]}")
    left = [line for line in lines if line.endswith("closed by QUIT")]
    expect(len(left) >= 6, f"only {len(left)} sessions")


@check("promtool finds nothing in the text format but the days that were asked for")
def promtool(street: Street) -> None:
    text = street.exporter.scrape(TEXT).body
    lint = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
    findings = (lint.stdout + lint.stderr).splitlines()
    other = [line for line in findings if line and not line.startswith("smtp_tls_cert_expiry_days ")]
    expect(not other, f"exit {lint.returncode}: {other[:5]}")
    # 3 is for lint; parsing errors are 1.
    expect(lint.returncode in (0, 3), f"exit {lint.returncode}")


@check("the format is what was asked for, compressed if asked for")
def formats(street: Street) -> None:
    text, open_metrics = street.exporter.scrape(TEXT), street.exporter.scrape(OPENMETRICS)
    expect_type(text.headers["Content-Type"], "text/plain", "0.0.4")
    expect_type(open_metrics.headers["Content-Type"], "application/openmetrics-text", "1.0.0")
    expect(open_metrics.body.endswith("# EOF\n"), f"OpenMetrics ends with {open_metrics.body[-80:]!r}")
    expect("# EOF" not in text.body, "an EOF mark in the text format")
    for accept in (TEXT, OPENMETRICS):
        plain, packed = street.exporter.scrape(accept), street.exporter.scrape(accept, "gzip")
        expect(plain.headers["Content-Encoding"] is None, f"unasked: {plain.headers['Content-Encoding']}")
        expect(packed.headers["Content-Encoding"] == "gzip", f"asked for gzip: {packed.headers['Content-Encoding']}")
        expect(packed.headers["Content-Type"] == plain.headers["Content-Type"], "gzip changes the type")
        comments = [[line for line in each.body.splitlines() if line[:1] == "#"] for each in (plain, packed)]
        expect(comments[0] == comments[1], "gzip changes the metrics")


def expect_type(content_type: str, media_type: str, version: str) -> None:
    first, *parameters = (part.strip() for part in content_type.split(";"))
    expect(first == media_type and f"version={version}" in parameters, content_type)


@check("Prometheus scrapes OpenMetrics, and not one scrape failed")
def scrapes(street: Street) -> None:
    await_vector(street, f'min_over_time(up{{job="{JOB}"}}[10m])', {JOB: 1}, by="job")
    complaints = street.prometheus.complaints()
    expect(not complaints, f"{complaints[:3]}")
    metadata = street.prometheus.api("metadata")
    # The text format knows no such type.
    infos = [name for name, entries in metadata.items() if any(entry["type"] == "info" for entry in entries)]
    expect(any(name.startswith("smtp_tls_") for name in infos), f"metrics of type info: {infos}")


@check("the log is logfmt, and has a line a change, not a line a probe")
def log_lines(street: Street) -> None:
    pair = r'[^\s="]+=("([^"\\]|\\.)*"|[^\s"]*)'
    lines = street.exporter.log()
    strange = [line for line in lines if not re.fullmatch(rf"{pair}( {pair})*", line.strip())]
    expect(bool(lines), "an empty log")
    expect(not strange, f"not logfmt: {strange[:3]}")

    def about(host: Host) -> list[str]:
        mentions = re.compile(rf"(?<![\d.]){re.escape(RELAY.backend(host))}(?!\d)")
        return [line for line in lines if mentions.search(line)]

    steady, retired = about(street.steady), about(street.retired)
    expect(1 <= len(steady) <= 2, f"{len(steady)} about a steady backend: {steady[:4]}")
    # Up, down, up.
    expect(len(retired) >= 3, f"{len(retired)} about one that went and came: {retired}")


@check("SIGTERM: it leaves in time, with 0")
def terminated(street: Street) -> None:
    began = time.monotonic()
    code = street.exporter.stop(patience=5.0)
    expect(code == 0, f"exit {code} after {time.monotonic() - began:.1f} s")
