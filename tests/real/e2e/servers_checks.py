"""Checks of the exporter against real mail servers. Their order matters: all servers run, one stops and starts again,
one certificate is replaced, one address leaves DNS, the exporter stops."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from .checks import TIMEOUT, Step, await_vector, expect
from .exporter import INTERVAL, OPENMETRICS, TEXT
from .postfix import sessions
from .prometheus import JOB
from .servers import EXIM, IMPLICIT, MAIL, SMTP, STARTTLS, ZONE, Host, MailServers

Check = Callable[[MailServers], None]
CHECKS: list[tuple[str, Check]] = []


def steps(servers: MailServers) -> Iterator[Step]:
    for name, run in CHECKS:
        yield f"servers: {name}", partial(run, servers)


def check(name: str) -> Callable[[Check], Check]:
    def register(function: Check) -> Check:
        CHECKS.append((name, function))
        return function

    return register


@dataclass(frozen=True)
class Target:
    """A target of the exporter's config, as its labels show it."""

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


STARTTLS_TARGET = Target(SMTP, STARTTLS)
IMPLICIT_TARGET = Target(SMTP, IMPLICIT)
EXIM_TARGET = Target(EXIM, STARTTLS)


def await_backends(
    servers: MailServers,
    target: Target,
    metric: str,
    values: Mapping[Host, float],
    *matchers: str,
    tolerance: float = 0.0,
    seconds: float = TIMEOUT,
) -> None:
    expression = target.metric(metric, f'server_name="{target.server_name}"', *matchers)
    await_vector(servers, expression, target.per_backend(values), tolerance=tolerance, seconds=seconds)


def await_counts(servers: MailServers, target: Target, seconds: float = TIMEOUT, **counts: int) -> None:
    for what, count in counts.items():
        await_vector(
            servers,
            target.metric(f"target_backends_{what}"),
            {target.server_name: count},
            by="server_name",
            seconds=seconds,
        )


def expected_matches(target: Target, hosts: list[Host]) -> dict[Host, float]:
    return {host: float(target.server_name in host.certificate.names) for host in hosts}


def check_facts(servers: MailServers, target: Target, hosts: list[Host]) -> None:
    """Every backend is probed, and its series show the certificate that it presents."""
    await_backends(servers, target, "probe_success", {host: 1 for host in hosts})
    await_backends(servers, target, "backend_resolved", {host: 1 for host in hosts})
    await_backends(servers, target, "probe_failure_info", {})
    await_backends(servers, target, "cert_hostname_match", expected_matches(target, hosts))
    await_backends(
        servers,
        target,
        "cert_not_after_timestamp_seconds",
        {host: host.certificate.not_after for host in hosts},
    )
    await_backends(
        servers,
        target,
        "cert_expiry_days",
        {host: (host.certificate.not_after - time.time()) / 86_400 for host in hosts},
        tolerance=0.05,
    )
    for host in hosts:
        await_fingerprint(servers, target, host)


def await_fingerprint(servers: MailServers, target: Target, host: Host) -> None:
    backend = f'backend="{target.backend(host)}"'
    # With or without colons.
    plain = host.certificate.fingerprint
    colons = ":".join(plain[i : i + 2] for i in range(0, len(plain), 2))
    fingerprint = f'fingerprint_sha256=~"(?i)({plain}|{colons})"'
    await_backends(servers, target, "cert_info", {host: 1}, backend, fingerprint)
    await_vector(servers, f"count({target.metric('cert_info', backend)})", {"": 1})


@check("STARTTLS: every backend of smtp.example.com is reported with its certificate")
def starttls_facts(servers: MailServers) -> None:
    check_facts(servers, STARTTLS_TARGET, servers.smtp)


@check("an expired certificate: trusted, not valid, `expired` is the only reason")
def expired_keeps_facts(servers: MailServers) -> None:
    trusted = {host: 1.0 for host in servers.smtp}
    await_backends(servers, STARTTLS_TARGET, "chain_trusted", trusted)
    await_backends(servers, STARTTLS_TARGET, "chain_valid", trusted | {servers.expired: 0})
    await_vector(servers, STARTTLS_TARGET.metric("chain_error"), {"expired": 1}, by="reason")
    await_backends(servers, STARTTLS_TARGET, "chain_error", {servers.expired: 1})
    await_vector(servers, f"count({STARTTLS_TARGET.metric('cert_expiry_days')} < 0)", {"": 1})


@check("the counts of a target, and one expression that finds intermittent failures")
def counts(servers: MailServers) -> None:
    for target in (STARTTLS_TARGET, IMPLICIT_TARGET):
        await_counts(servers, target, resolved=5, reachable=5, hostname_matched=3, hostname_mismatched=2, chain_valid=4)
    await_intermittent(servers, {STARTTLS_TARGET.name: 3, IMPLICIT_TARGET.name: 3, EXIM_TARGET.name: 1})
    await_vector(servers, STARTTLS_TARGET.metric("target_distinct_certificates"), {SMTP: 5}, by="server_name")


def await_intermittent(servers: MailServers, expected: Mapping[str, float], seconds: float = TIMEOUT) -> None:
    await_vector(
        servers,
        "smtp_tls_target_backends_hostname_matched > 0 and smtp_tls_target_backends_hostname_mismatched > 0",
        expected,
        by="target",
        seconds=seconds,
    )


@check("a mismatch shows its reason and the presented names")
def mismatches(servers: MailServers) -> None:
    mismatched: dict[Host, float] = {servers.renewed: 1, servers.retired: 1}
    mismatch = ('reason="not_listed"', f'presented=~".*{MAIL}.*"')
    await_backends(servers, STARTTLS_TARGET, "cert_hostname_mismatch_info", mismatched, *mismatch)


@check("implicit TLS: every backend of smtp.example.com is reported with its certificate")
def implicit_facts(servers: MailServers) -> None:
    check_facts(servers, IMPLICIT_TARGET, servers.smtp)


@check("Exim: every backend is reported with its certificate")
def exim_facts(servers: MailServers) -> None:
    check_facts(servers, EXIM_TARGET, servers.exim_hosts)
    counts = {"resolved": 2, "reachable": 2, "hostname_matched": 1, "hostname_mismatched": 1, "chain_valid": 2}
    await_counts(servers, EXIM_TARGET, **counts)


@check("lookups succeed without AAAA records, and user labels are on the series of their target")
def lookups(servers: MailServers) -> None:
    await_vector(
        servers,
        f'smtp_tls_target_lookup_success{{job="{JOB}"}}',
        {STARTTLS_TARGET.name: 1, IMPLICIT_TARGET.name: 1, EXIM_TARGET.name: 1},
        by="target",
    )
    await_backends(servers, STARTTLS_TARGET, "probe_success", {host: 1 for host in servers.smtp}, 'team="mail"')
    labeled = 'count by (target) (smtp_tls_probe_success{team="mail"})'
    await_vector(servers, labeled, {STARTTLS_TARGET.name: 5}, by="target")


@check("a stopped server: connection refused, its last certificate is still reported")
def stopped(servers: MailServers) -> None:
    servers.retired_postfix.stop()
    for target in (STARTTLS_TARGET, IMPLICIT_TARGET):
        refused = ('stage="connect"', 'reason="refused"')
        await_backends(servers, target, "probe_failure_info", {servers.retired: 1}, *refused)
        await_backends(servers, target, "probe_failure_info", {servers.retired: 1})
        await_backends(
            servers, target, "probe_success", {host: float(host is not servers.retired) for host in servers.smtp}
        )
        await_backends(
            servers,
            target,
            "cert_not_after_timestamp_seconds",
            {host: host.certificate.not_after for host in servers.smtp},
        )
        await_backends(servers, target, "cert_hostname_match", expected_matches(target, servers.smtp))
        await_backends(servers, target, "connection_info", {h: 1 for h in servers.smtp if h is not servers.retired})
        await_counts(servers, target, resolved=5, reachable=4, hostname_matched=3, hostname_mismatched=2)


@check("a restarted server recovers")
def started(servers: MailServers) -> None:
    servers.retired_postfix.start()
    for target in (STARTTLS_TARGET, IMPLICIT_TARGET):
        await_backends(servers, target, "probe_success", {host: 1 for host in servers.smtp})
        await_backends(servers, target, "probe_failure_info", {})
        await_counts(servers, target, reachable=5)


@check("a replaced certificate is reported")
def replaced(servers: MailServers) -> None:
    host = servers.renewed
    host.install(servers.ca.issue((SMTP, MAIL), 89))
    servers.postfix.reload()
    for target in (STARTTLS_TARGET, IMPLICIT_TARGET):
        await_fingerprint(servers, target, host)
        await_backends(servers, target, "cert_hostname_match", expected_matches(target, servers.smtp))
        await_counts(servers, target, hostname_matched=4, hostname_mismatched=1)
        expect(expected_matches(target, [host])[host] == 1, "the new certificate does not list the name")


@check("an address that leaves DNS is no longer counted, and the intermittent failure ends")
def removed_from_dns(servers: MailServers) -> None:
    servers.knot.publish(ZONE, servers.zone(without=servers.retired))
    # The server still answers, so its backend is dropped in the third round without the address.
    seconds = 8.0 * INTERVAL
    for target in (STARTTLS_TARGET, IMPLICIT_TARGET):
        await_counts(
            servers, target, resolved=4, reachable=4, hostname_matched=4, hostname_mismatched=0, seconds=seconds
        )
        backend = target.metric("backend_resolved", f'backend="{target.backend(servers.retired)}"')
        await_vector(servers, f"{backend} != 0", {})
    await_intermittent(servers, {EXIM_TARGET.name: 1})


@check("Postfix's log: every session is complete and ends with QUIT")
def postfix_log(servers: MailServers) -> None:
    lines = servers.postfix.log.lines_since(servers.postfix_log_start)
    bad = re.compile(
        r"lost connection|SSL_accept error|timeout after|PREGREET|HANGUP|COMMAND|NON-SMTP|warning:|error:|fatal:"
    )
    problems = [line for line in lines if bad.search(line)]
    expect(not problems, f"{len(problems)} problems: {problems[:3]}")
    commands = {STARTTLS: "ehlo=2 starttls=1 quit=1 commands=4", IMPLICIT: "ehlo=1 quit=1 commands=2"}
    for host in servers.smtp:
        if host is servers.retired:
            continue
        for port, expected in commands.items():
            ended = sessions(lines, host.address, port)
            other = [session for session in ended if session != expected]
            expect(not other, f"{host.address}:{port}: {len(other)} of {len(ended)} sessions, as {other[:3]}")
            expect(len(ended) >= 3, f"{host.address}:{port}: only {len(ended)} sessions")


@check("postscreen's log: no client talked before the greeting")
def postscreen_log(servers: MailServers) -> None:
    lines = [line for line in servers.postfix.log.lines_since(servers.postfix_log_start) if "/postscreen[" in line]
    passed = [line for line in lines if ": PASS " in line]
    early = [line for line in lines if "PREGREET" in line]
    expect(not early, f"{early[:3]}")
    expect(len(passed) >= 3, f"only {len(passed)} of {len(lines)} lines are a PASS: {lines[:3]}")


@check("Exim's log: every session ends with QUIT")
def exim_log(servers: MailServers) -> None:
    lines = servers.exim.log.lines_since(servers.exim_log_start)
    normal = re.compile(r"SMTP connection from .*( \(TCP/IP connection count = \d+\)| closed by QUIT)$")
    other = [line for line in lines if not normal.search(line)]
    expect(not other, f"{len(other)} of {len(lines)} lines, as {other[:3]}")
    quits = [line for line in lines if line.endswith("closed by QUIT")]
    expect(len(quits) >= 6, f"only {len(quits)} sessions")


@check("promtool finds nothing in the text format except the unit of smtp_tls_cert_expiry_days")
def promtool(servers: MailServers) -> None:
    text = servers.exporter.scrape(TEXT).body
    lint = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
    findings = (lint.stdout + lint.stderr).splitlines()
    other = [line for line in findings if line and not line.startswith("smtp_tls_cert_expiry_days ")]
    expect(not other, f"exit {lint.returncode}: {other[:5]}")
    # promtool exits with 3 for findings, with 1 for parse errors.
    expect(lint.returncode in (0, 3), f"exit {lint.returncode}")


@check("/metrics negotiates format and compression")
def formats(servers: MailServers) -> None:
    text, open_metrics = servers.exporter.scrape(TEXT), servers.exporter.scrape(OPENMETRICS)
    expect_type(text.headers["Content-Type"], "text/plain", "0.0.4")
    expect_type(open_metrics.headers["Content-Type"], "application/openmetrics-text", "1.0.0")
    expect(open_metrics.body.endswith("# EOF\n"), f"OpenMetrics ends with {open_metrics.body[-80:]!r}")
    expect("# EOF" not in text.body, "an EOF marker in the text format")
    for accept in (TEXT, OPENMETRICS):
        plain, packed = servers.exporter.scrape(accept), servers.exporter.scrape(accept, "gzip")
        expect(plain.headers["Content-Encoding"] is None, f"gzip not requested: {plain.headers['Content-Encoding']}")
        expect(packed.headers["Content-Encoding"] == "gzip", f"gzip requested: {packed.headers['Content-Encoding']}")
        expect(packed.headers["Content-Type"] == plain.headers["Content-Type"], "gzip changes the type")
        comments = [[line for line in each.body.splitlines() if line[:1] == "#"] for each in (plain, packed)]
        expect(comments[0] == comments[1], "gzip changes the metrics")


def expect_type(content_type: str, media_type: str, version: str) -> None:
    first, *parameters = (part.strip() for part in content_type.split(";"))
    expect(first == media_type and f"version={version}" in parameters, content_type)


@check("Prometheus scrapes OpenMetrics, and no scrape failed")
def scrapes(servers: MailServers) -> None:
    await_vector(servers, f'min_over_time(up{{job="{JOB}"}}[10m])', {JOB: 1}, by="job")
    problems = servers.prometheus.scrape_warnings()
    expect(not problems, f"{problems[:3]}")
    metadata = servers.prometheus.api("metadata")
    # The text format has no type `info`.
    infos = [name for name, entries in metadata.items() if any(entry["type"] == "info" for entry in entries)]
    expect(any(name.startswith("smtp_tls_") for name in infos), f"metrics of type info: {infos}")


@check("the log is logfmt, with a line per state change, not per probe")
def log_lines(servers: MailServers) -> None:
    pair = r'[^\s="]+=("([^"\\]|\\.)*"|[^\s"]*)'
    lines = servers.exporter.log()
    invalid = [line for line in lines if not re.fullmatch(rf"{pair}( {pair})*", line.strip())]
    expect(bool(lines), "an empty log")
    expect(not invalid, f"not logfmt: {invalid[:3]}")

    def about(host: Host) -> list[str]:
        mentions = re.compile(rf"(?<![\d.]){re.escape(STARTTLS_TARGET.backend(host))}(?!\d)")
        return [line for line in lines if mentions.search(line)]

    unchanged, retired = about(servers.valid), about(servers.retired)
    expect(1 <= len(unchanged) <= 2, f"{len(unchanged)} about a backend that does not change: {unchanged[:4]}")
    # One line each: up, down, up.
    expect(len(retired) >= 3, f"{len(retired)} about the backend that stopped and started: {retired}")


@check("SIGTERM: exits with 0 in time")
def terminated(servers: MailServers) -> None:
    started = time.monotonic()
    code = servers.exporter.stop(timeout=5.0)
    expect(code == 0, f"exit {code} after {time.monotonic() - started:.1f} s")
