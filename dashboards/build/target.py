"""One target and its backends: current problems, history, and what the servers present."""

from __future__ import annotations

import grafana as g
import smtp
from grafana import BLUE, GRAY, GREEN, ORANGE, RED, Json
from smtp import BACKEND, ENDPOINT, NO_CERTIFICATE, ONE_TARGET, TARGET, max_by, min_by

PER_BACKEND = f"{{{{server_name}}}} {{{{backend}}}} {smtp.SCOPE_LEGEND}"
STAGES = {
    "resolve": "purple",
    "connect": "dark-red",
    "greeting": "light-red",
    "ehlo": "orange",
    "starttls": "light-orange",
    "handshake": "yellow",
    "session": "dark-yellow",
}


def dashboard() -> Json:
    backends = smtp.backends_table(ONE_TARGET, "Backends of $target", "Current status of each backend.")
    return smtp.dashboard(
        smtp.TARGET_PAGE,
        _variables(),
        [
            *smtp.stat_rows(_stats()),
            g.row(7, (24, backends)),
            g.row(6, (12, smtp.alternate_names_table(ONE_TARGET, with_links=False)), (12, _problems())),
            g.row_header("History"),
            g.row(7, (24, _status())),
            g.row(6, (24, _hostname_match())),
            g.row(6, (24, _chain_trust())),
            g.row(6, (24, _probe_result())),
            g.row(6, (24, _dns_resolution())),
            g.row(7, (24, _certificate_history())),
            g.row_header("Certificate expiry"),
            g.row(9, (12, _days_left()), (12, _lifetime_used())),
            g.row_header("Probes"),
            g.row(10, (12, _probe_duration()), (12, _phase_duration())),
            g.row(8, (12, _failures_by_reason()), (12, _lookup_duration())),
            g.row_header("Certificates and connections"),
            g.row(9, (24, _certificates())),
            g.row(9, (24, _chains())),
            g.row(7, (24, _connections())),
        ],
    )


def _variables() -> list[Json]:
    def of_backends(label: str, matchers: str = "") -> str:
        selector = f'{smtp.SCOPE_MATCHERS}, target="$target"{matchers}'
        return f"label_values(smtp_tls_backend_resolved{{{selector}}}, {label})"

    targets = f"label_values(smtp_tls_target_info{{{smtp.SCOPE_MATCHERS}}}, target)"
    server_names = of_backends("server_name")
    backends = of_backends("backend", ', server_name=~"$server_name"')
    return [
        g.query_variable("target", "Target", targets, "Configured target, or target of `/probe`", multi=False),
        g.query_variable(
            "server_name", "Server name", server_names, "Name that clients connect to; several with MX or SRV records"
        ),
        g.query_variable("backend", "Backend", backends, "IP address and port that the server name resolves to"),
    ]


def _stats() -> list[Json]:
    def total(metric: str) -> str:
        return f"sum({max_by(ENDPOINT, ONE_TARGET.endpoint(f'target_backends_{metric}'))})"

    days_left = f"{ONE_TARGET.backend('cert_expiry_days')} and on ({BACKEND}) ({smtp.in_dns(ONE_TARGET)})"
    problems = [
        (
            "Unreachable backends",
            "Backends currently in DNS without a successful last probe: a TLS connection with an SMTP reply inside it.",
            f"{total('resolved')} - {total('reachable')}",
        ),
        (
            "Hostname mismatches",
            "Backends currently in DNS whose certificate does not list the server name. Clients that verify the "
            "hostname refuse them.",
            smtp.failing_backends(ONE_TARGET, "cert_hostname_match"),
        ),
        (
            "Invalid chains",
            "Backends currently in DNS whose chain is untrusted or outside its validity period.",
            smtp.failing_backends(ONE_TARGET, "chain_valid"),
        ),
    ]
    return [
        g.stat(
            "Backends in DNS",
            "Backends that the selected server names currently resolve to. Addresses that are not probed do not count.",
            total("resolved"),
            thresholds=g.steps(RED, (1, "text")),
            neutral=True,
        ),
        *(g.stat(*problem, thresholds=smtp.RED_FROM_1) for problem in problems),
        g.stat(
            "Days until certificate expiry",
            "Days until the first certificate of the selected backends expires; negative if it has expired.",
            f"min({days_left})",
            unit="suffix: d",
            decimals=1,
            thresholds=g.steps(RED, (smtp.ABOUT_TO_EXPIRE_DAYS, ORANGE), (smtp.EXPIRING_SOON_DAYS, GREEN)),
        ),
        g.stat(
            "Distinct certificates",
            "Number of distinct certificates on the backends of a server name; with several server names, the largest. "
            "More than one is normal during a renewal.",
            f"max({ONE_TARGET.endpoint('target_distinct_certificates')})",
            neutral=True,
        ),
        g.stat(
            "DNS lookup",
            "Whether the last DNS lookup returned addresses for every host of the target.",
            f"min({max_by(TARGET, ONE_TARGET.target('target_lookup_success'))})",
            mappings=g.value_mappings(smtp.verdict("ok", "failing")),
            thresholds=g.steps(RED, (1, GREEN)),
        ),
        smtp.round_age_stat(
            "Age of last round",
            "Time since the last completed round of lookup and probes, in probe intervals of the target. Up to about "
            "1 is normal; a larger value means that results are stale.",
            f"max({min_by(TARGET, smtp.round_age(ONE_TARGET))})",
        ),
    ]


def _problems() -> Json:
    def reasons(expr: str, check: str, by: str = f"{BACKEND}, check, reason") -> str:
        return f'max by ({by}) (label_replace({expr}, "check", "{check}", "", ""))'

    probe_failures = ONE_TARGET.backend("probe_failure_info")
    exprs = [
        f'max by ({BACKEND}, check, reason) (label_join({probe_failures}, "check", " ", "stage"))',
        reasons(ONE_TARGET.backend("cert_hostname_mismatch_info"), "hostname"),
        reasons(ONE_TARGET.backend("chain_error"), "chain"),
        reasons(ONE_TARGET.backend("chain_warning"), "chain warning"),
        reasons(ONE_TARGET.backend("ocsp_error"), "OCSP"),
        reasons(ONE_TARGET.target("target_lookup_failure_info"), "DNS", f"{smtp.SCOPE}, check, reason"),
    ]
    return g.table(
        "Current problems",
        "One row per problem: failed probes with their stage, hostname mismatches, chain errors and warnings, OCSP "
        "errors, and failed DNS lookups. The reasons are described in the exporter's docs/metrics.md.",
        ["\nor ".join(exprs)],
        [
            g.column("server_name", "Server name"),
            g.column("backend", "Backend"),
            g.column("check", "Check", width=100),
            g.column("reason", "Reason", color=g.fixed_color(RED), cell=g.COLORED_TEXT),
            *smtp.SCOPE_COLUMNS,
        ],
        sort="Backend",
        empty="No problems",
    )


def _backend_states(
    title: str, description: str, expr: str, texts: dict[int, tuple[str, str]], empty: str = g.NO_DATA
) -> Json:
    return g.state_timeline(title, description, [g.range_query(expr, PER_BACKEND)], texts, empty=empty)


def _status() -> Json:
    return _backend_states(
        "Status", f"Status of each backend. {smtp.STATUS_LEGEND}", smtp.status(ONE_TARGET), smtp.STATUS
    )


def _hostname_match() -> Json:
    return _backend_states(
        "Hostname match",
        "Whether the last certificate seen lists the server name. A gap means that it is unknown.",
        min_by(BACKEND, ONE_TARGET.backend("cert_hostname_match")),
        smtp.verdict("match", "mismatch"),
        empty=NO_CERTIFICATE,
    )


def _chain_trust() -> Json:
    trusted = min_by(BACKEND, ONE_TARGET.backend("chain_trusted"))
    description = (
        "Whether the chain verifies up to a trusted root, regardless of validity periods. A gap means that it is "
        "unknown or undecidable."
    )
    return _backend_states("Chain trust", description, trusted, smtp.verdict("trusted", "untrusted"), NO_CERTIFICATE)


def _probe_result() -> Json:
    success = f"({max_by(BACKEND, ONE_TARGET.backend('probe_success'))} == 1) - 1"
    failures = [
        f"{max_by(BACKEND, ONE_TARGET.backend('probe_failure_info', stage=stage))} * {number}"
        for number, stage in enumerate(STAGES, start=1)
    ]
    return _backend_states(
        "Probe result",
        "The stage at which the last probe of each backend failed, or success: a TLS connection with an SMTP reply "
        "inside it.",
        "\nor ".join([success, *failures]),
        dict(enumerate([("success", GREEN), *STAGES.items()])),
    )


def _dns_resolution() -> Json:
    return _backend_states(
        "DNS resolution",
        "Whether the server name resolved to the backend. A backend that is no longer in DNS is still probed for the "
        "retention time, by default one hour.",
        max_by(BACKEND, ONE_TARGET.backend("backend_resolved")),
        {1: ("in DNS", BLUE), 0: ("not in DNS", GRAY)},
    )


def _short_fingerprint(digits: int) -> str:
    info = ONE_TARGET.backend("cert_info")
    return f'label_replace({info}, "short", "$1", "fingerprint_sha256", "(.{{{digits}}}).*")'


def _certificate_history() -> Json:
    seen = f"max by ({BACKEND}, short) ({_short_fingerprint(8)})"
    return g.state_timeline(
        "Certificate history",
        "One band per certificate that a backend presented, with the first digits of its SHA-256 fingerprint. A new "
        "band is a renewal; alternating bands of a backend mean several servers behind one address.",
        [g.range_query(seen, f"{PER_BACKEND} {{{{short}}}}")],
        {1: ("presented", BLUE)},
        show_value="never",
        empty=NO_CERTIFICATE,
    )


def _days_left() -> Json:
    days = g.range_query(min_by(BACKEND, ONE_TARGET.backend("cert_expiry_days")), PER_BACKEND)
    return g.timeseries(
        "Days until certificate expiry",
        "Days until the last certificate seen on each backend expires; negative if it has expired. The line rises "
        "when the certificate is renewed.",
        [days],
        unit="suffix: d",
        minimum=None,
        soft_range=(0, 1),
        decimals=0,
        thresholds=g.steps("transparent", (0, RED)),
        empty=NO_CERTIFICATE,
    )


def _lifetime_used() -> Json:
    return g.timeseries(
        "Certificate lifetime used",
        "Share of the certificate's validity period that has passed. At 100% it expires, whatever its lifetime.",
        [g.range_query(max_by(BACKEND, smtp.lifetime_used(ONE_TARGET)), PER_BACKEND)],
        unit="percentunit",
        thresholds=g.steps("transparent", (0.75, ORANGE), (1, RED)),
        soft_range=(0, 1.2),
        empty=NO_CERTIFICATE,
    )


def _duration(title: str, description: str, query: Json) -> Json:
    return g.timeseries(title, description, [query], unit="s", legend_calcs=["mean", "max"])


def _probe_duration() -> Json:
    return _duration(
        "Probe duration",
        "Duration of the last probe of each backend, including failed ones. Some servers delay their greeting on "
        "purpose.",
        g.range_query(max_by(BACKEND, ONE_TARGET.backend("probe_duration_seconds")), PER_BACKEND),
    )


def _phase_duration() -> Json:
    return _duration(
        "Probe phase duration",
        "Longest duration of each completed phase of the last probe among the selected backends. The phases can be of "
        "different backends, so they do not add up to the probe duration.",
        g.range_query(max_by("phase", ONE_TARGET.backend("probe_phase_duration_seconds")), "{{phase}}"),
    )


def _failures_by_reason() -> Json:
    # Not the rate of a counter: at /probe, counters of targets that are not configured start at 0 in each response.
    failed = max_by(f"{BACKEND}, stage, reason", ONE_TARGET.backend("probe_failure_info"))
    return g.timeseries(
        "Failed probes by stage and reason",
        "Backends of the target whose last probe failed, by the stage at which it failed and the reason. With several "
        "exporters, a backend counts if the probe of any of them failed.",
        [g.range_query(f"count by (stage, reason) ({failed})", "{{stage}}: {{reason}}")],
        unit="none",
        decimals=0,
        stepped=True,
        stacked=True,
        empty="No probe has failed",
    )


def _lookup_duration() -> Json:
    duration = max_by(TARGET, ONE_TARGET.target("target_lookup_duration_seconds"))
    return g.timeseries(
        "DNS lookup duration",
        "Time from the first query of the last lookup to the last response.",
        [g.range_query(duration, f"{{{{target}}}} {smtp.SCOPE_LEGEND}")],
        unit="s",
    )


def _milliseconds(metric: str) -> str:
    """The Unix time of a metric, as Grafana's date units expect it."""
    return f"{min_by(BACKEND, ONE_TARGET.backend(metric))} * 1000"


def _date_column(field: str, title: str, width: int) -> Json:
    return g.column(field, title, unit="time:YYYY-MM-DD", mappings=g.null_mapping(), width=width)


def _certificates() -> Json:
    queries = [
        f"max by ({BACKEND}, subject, issuer, short) ({_short_fingerprint(16)})",
        _milliseconds("cert_not_before_timestamp_seconds"),
        _milliseconds("cert_not_after_timestamp_seconds"),
    ]
    return g.table(
        "Certificates",
        "The last certificate seen on each backend, with the first 16 digits of its SHA-256 fingerprint.",
        queries,
        [
            g.column("server_name", "Server name", min_width=130, wrap=True),
            g.column("backend", "Backend"),
            g.column("subject", "Subject", min_width=170, wrap=True),
            g.column("issuer", "Issuer", min_width=190, wrap=True),
            _date_column("Value #B", "Not before", 95),
            _date_column("Value #C", "Not after", 95),
            g.column("short", "Fingerprint", width=160),
            *smtp.SCOPE_COLUMNS,
        ],
        sort="Backend",
        empty=NO_CERTIFICATE,
    )


def _chains() -> Json:
    queries = [
        f"max by ({BACKEND}, key, signature, serial) ({ONE_TARGET.backend('cert_info')})",
        _milliseconds("chain_not_after_timestamp_seconds"),
        _milliseconds("verified_chain_not_after_timestamp_seconds"),
        min_by(BACKEND, ONE_TARGET.backend("cert_scts")),
        min_by(BACKEND, ONE_TARGET.backend("ocsp_stapled")),
        max_by(f"{BACKEND}, status", ONE_TARGET.backend("ocsp_status")),
    ]
    stapled = g.value_mappings({0: ("none", "text"), 1: ("stapled", GREEN)})
    return g.table(
        "Keys, chains and OCSP staples",
        "Chain expires: first expiry among the presented certificates. Path expires: first expiry on the verified "
        "path to a trusted root, empty if there is none. SCTs: embedded certificate transparency timestamps, not "
        "verified. OCSP: status in a correctly signed staple.",
        queries,
        [
            g.column("server_name", "Server name", min_width=140, wrap=True),
            g.column("backend", "Backend"),
            g.column("key", "Key", width=105),
            g.column("signature", "Signature", min_width=140, wrap=True),
            g.column("serial", "Serial", min_width=150, wrap=True),
            _date_column("Value #B", "Chain expires", 125),
            _date_column("Value #C", "Path expires", 125),
            g.column("Value #D", "SCTs", width=60),
            g.column("Value #E", "Staple", mappings=stapled, width=80),
            g.column("status", "OCSP", width=80),
            *smtp.SCOPE_COLUMNS,
        ],
        sort="Chain expires",
        empty=NO_CERTIFICATE,
    )


def _connections() -> Json:
    queries = [
        max_by(f"{BACKEND}, version, cipher, group", ONE_TARGET.backend("connection_info")),
        *(
            max_by(BACKEND, ONE_TARGET.backend(metric))
            for metric in ("backend_rate_limited", "probe_consecutive_failures", "backend_distinct_certificates")
        ),
    ]
    limited = g.value_mappings({0: ("no", "text"), 1: ("yes", ORANGE)})
    failures, certificates = g.steps("text", (1, ORANGE), (3, RED)), g.steps("text", (2, ORANGE))
    return g.table(
        "TLS connections",
        "TLS parameters negotiated by the last probe; empty while the backend is down. Rate limited: the server "
        "reported a limit on connections or rate. Failures: consecutive failed probes. Certs: distinct certificates "
        "recently seen at the address; more than one is a renewal or a load balancer.",
        queries,
        [
            g.column("server_name", "Server name"),
            g.column("backend", "Backend"),
            g.column("version", "TLS", width=80),
            g.column("cipher", "Cipher", min_width=200),
            g.column("group", "Group"),
            g.column("Value #B", "Rate limited", mappings=limited, width=105, cell=g.COLORED_TEXT),
            g.column("Value #C", "Failures", width=85, thresholds=failures, cell=g.COLORED_TEXT),
            g.column("Value #D", "Certs", width=65, thresholds=certificates, cell=g.COLORED_TEXT),
            *smtp.SCOPE_COLUMNS,
        ],
        sort="Backend",
        empty="No backend has been probed",
    )
