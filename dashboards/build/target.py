"""One target and its backends: what is wrong, since when, and what they present."""

from __future__ import annotations

from grafana import (
    WRAPPED,
    Json,
    choice,
    column,
    heading,
    lines,
    no_value,
    over_time,
    row,
    rows_now,
    stat,
    states,
    steps,
    table,
    words,
)
from grafana import (
    dashboard as build,
)
from smtp import (
    GOOD_AT_0,
    GREEN,
    ONE,
    ORANGE,
    RED,
    SOON_DAYS,
    STATUS,
    STATUS_MEANING,
    TARGET,
    URGENT_DAYS,
    B,
    E,
    T,
    backends_table,
    best,
    count,
    job_variable,
    links,
    numbers_rows,
    status,
    ways_out_table,
    worst,
)

EACH = "{{server_name}} {{backend}}"
UNSEEN = "No certificate has been seen"
STAGES = ("resolve", "connect", "greeting", "ehlo", "starttls", "handshake", "session")


def dashboard() -> Json:
    named = 'label_values(smtp_tls_backend_resolved{job=~"$job", target="$target"%s}, %s)'
    return build(
        uid=TARGET,
        title="SMTP TLS / Target",
        description="One target of the config: each backend's verdicts, certificate and probes over time.",
        since="now-7d",
        links=links(TARGET),
        variables=[
            job_variable(),
            choice(
                "target",
                "Target",
                'label_values(smtp_tls_target_info{job=~"$job"}, target)',
                "A target of the config",
                one=True,
            ),
            choice(
                "server_name",
                "Server name",
                named % ("", "server_name"),
                "The name that clients ask for; several with MX and SRV",
            ),
            choice(
                "backend",
                "Backend",
                named % (', server_name=~"$server_name"', "backend"),
                "One address and port of a server name",
            ),
        ],
        rows=[
            *numbers_rows(_numbers()),
            row(7, (24, backends_table(ONE, "Backends of $target", "Each backend now, the worst first."))),
            row(6, (12, ways_out_table(ONE, with_links=False)), (12, _reasons())),
            heading("Over time"),
            row(
                7,
                (
                    24,
                    states(
                        "Status",
                        f"How each backend was judged. {STATUS_MEANING}",
                        [over_time(status(ONE), EACH)],
                        STATUS,
                    ),
                ),
            ),
            row(6, (24, _name())),
            row(6, (24, _chain())),
            row(6, (24, _stage())),
            row(6, (24, _resolved())),
            row(7, (24, _fingerprints())),
            heading("Expiry"),
            row(9, (12, _days_left()), (12, _lifetime_used())),
            heading("Probes"),
            row(10, (12, _durations()), (12, _phases())),
            row(8, (12, _failures()), (12, _lookups())),
            heading("What is presented"),
            row(9, (24, _certificates())),
            row(9, (24, _chains())),
            row(7, (24, _connections())),
        ],
    )


def _numbers() -> list[Json]:
    def total(metric: str) -> str:
        return f"sum({best(E, ONE.e(metric))})"

    resolved, days = ONE.b("backend_resolved"), ONE.b("cert_expiry_days")
    return [
        stat(
            "Backends in DNS",
            "Addresses of the chosen server names that DNS names now, probed or not.",
            total("target_backends_resolved"),
            thresholds=steps(RED, (1, "text")),
            quiet=True,
        ),
        stat(
            "Not reached",
            "Backends that DNS names and whose last probe did not come to an SMTP reply inside TLS.",
            f"{total('target_backends_resolved')} - {total('target_backends_reachable')}",
            thresholds=GOOD_AT_0,
        ),
        stat(
            "Name missing",
            "Backends that DNS names and whose certificate lacks the server name.",
            count(
                f"{worst(B, ONE.b('cert_hostname_match'))} == 0 and {best(B, resolved)} == 1",
                ONE.b("cert_hostname_match"),
            ),
            thresholds=GOOD_AT_0,
        ),
        stat(
            "Chain not valid",
            "Backends that DNS names and whose chain is not trusted, or not in time.",
            count(
                f"{worst(B, ONE.b('chain_valid'))} == 0 and {best(B, resolved)} == 1",
                ONE.b("chain_valid"),
            ),
            thresholds=GOOD_AT_0,
        ),
        stat(
            "First expiry",
            "Days until the first certificate of the chosen backends expires; negative once it has.",
            f"min({days} and on ({B}) ({best(B, resolved)} == 1))",
            unit="suffix: d",
            decimals=1,
            thresholds=steps(RED, (URGENT_DAYS, ORANGE), (SOON_DAYS, GREEN)),
        ),
        stat(
            "Certificates",
            "Different certificates on the backends of one server name; the most, where there are several. More than "
            "one is usual while a renewal is rolled out.",
            f"max({ONE.e('target_distinct_certificates')})",
            thresholds=steps("text"),
            quiet=True,
        ),
        stat(
            "DNS",
            "Whether the last lookup gave addresses for every host of the target.",
            best(T, ONE.t("target_lookup_success")),
            mappings=words({1: ("ok", GREEN), 0: ("failing", RED)}),
            thresholds=steps(RED, (1, GREEN)),
        ),
        stat(
            "Last round",
            "Time since the last round of lookup and probes was finished, in intervals of the target: 1 is usual, "
            "and a target that waits for its turn has more.",
            f"min((time() - ({ONE.t('target_last_round_timestamp_seconds')} > 0)) / "
            f"{ONE.t('target_interval_seconds')})",
            unit="suffix: ×",
            decimals=1,
            thresholds=steps(GREEN, (3, ORANGE), (10, RED)),
        ),
    ]


def _reasons() -> Json:
    by = f"{B}, what, reason"

    def kind(expr: str, what: str, by: str = by) -> str:
        return f'max by ({by}) (label_replace({expr}, "what", "{what}", "", ""))'

    return table(
        "Everything that is wrong",
        "Every reason that holds, a row each: where probes stop, why the name does not match, what is wrong with "
        "chain and OCSP staple, DNS questions without an answer. The exporter's docs/metrics.md says what each word "
        "means.",
        [
            rows_now(
                "\nor ".join(
                    [
                        f'max by ({by}) (label_join({ONE.b("probe_failure_info")}, "what", " ", "stage"))',
                        kind(ONE.b("cert_hostname_mismatch_info"), "name"),
                        kind(ONE.b("chain_error"), "chain"),
                        kind(ONE.b("ocsp_error"), "OCSP"),
                        kind(ONE.t("target_lookup_failure_info"), "DNS", "what, reason"),
                    ]
                )
            )
        ],
        {"server_name": "Server name", "backend": "Backend", "what": "Where", "reason": "Reason"},
        sort="Backend",
        empty="Nothing is wrong",
        overrides=[
            column("Where", custom__width=100),
            column("Reason", color={"mode": "fixed", "fixedColor": RED}, custom__cellOptions={"type": "color-text"}),
        ],
    )


def _name() -> Json:
    return states(
        "Server name in the certificate",
        "Whether the certificate carries the server name, as of the last time one was seen. A gap: not known.",
        [over_time(worst(B, ONE.b("cert_hostname_match")), EACH)],
        {1: ("ok", GREEN), 0: ("missing", RED)},
        empty=UNSEEN,
    )


def _chain() -> Json:
    return states(
        "Chain trusted",
        "Whether the chain leads to a root of the trust store, time set aside. A gap: not known, or undecidable.",
        [over_time(worst(B, ONE.b("chain_trusted")), EACH)],
        {1: ("trusted", GREEN), 0: ("not trusted", RED)},
        empty=UNSEEN,
    )


def _stage() -> Json:
    by_stage = [
        f"{best(B, ONE.b('probe_failure_info', stage=stage))} * {at}" for at, stage in enumerate(STAGES, start=1)
    ]
    up = f"({best(B, ONE.b('probe_success'))} == 1) - 1"
    colors = ("purple", "dark-red", "light-red", "orange", "light-orange", "yellow", "dark-yellow")
    return states(
        "Where probes stop",
        "The stage at which the last probe of each backend stopped; green where it came through: TLS, and an SMTP "
        "reply inside.",
        [over_time("\nor ".join([up, *by_stage]), EACH)],
        {0: ("came through", GREEN)}
        | {at: (stage, color) for at, (stage, color) in enumerate(zip(STAGES, colors), start=1)},
    )


def _resolved() -> Json:
    return states(
        "Named by DNS",
        "Whether DNS named the backend. One that it names no more is probed on for the retention, an hour unless "
        "configured.",
        [over_time(best(B, ONE.b("backend_resolved")), EACH)],
        {1: ("in DNS", "blue"), 0: ("not in DNS", "#808080")},
    )


def _fingerprints() -> Json:
    short = f'label_replace({ONE.b("cert_info")}, "short", "$1", "fingerprint_sha256", "(.{{8}}).*")'
    return states(
        "Certificates over time",
        "A band for each certificate that a backend presented, by the first digits of its SHA-256 fingerprint. A "
        "step down is a renewal; bands of one backend that take turns are several servers behind one address.",
        [over_time(f"max by ({B}, short) ({short})", "{{server_name}} {{backend}} {{short}}")],
        {1: ("presented", "blue")},
        show="never",
        empty=UNSEEN,
    )


def _days_left() -> Json:
    return lines(
        "Days until expiry",
        "Days until the certificate of each backend expires, as of the last time one was seen; negative once it has. "
        "It climbs at a renewal.",
        [over_time(worst(B, ONE.b("cert_expiry_days")), EACH)],
        unit="suffix: d",
        minimum=None,
        reach=(0, 1),
        decimals=0,
        thresholds=steps("transparent", (0, RED)),
        empty=UNSEEN,
    )


def _lifetime_used() -> Json:
    ends, begins = (ONE.b(f"cert_not_{when}_timestamp_seconds") for when in ("after", "before"))
    return lines(
        "Lifetime used",
        "How much of the certificate's validity has passed: 100 % is its end, whatever its length.",
        [over_time(best(B, f"(time() - {begins}) / ({ends} - {begins})"), EACH)],
        unit="percentunit",
        thresholds=steps("transparent", (0.75, ORANGE), (1, RED)),
        reach=(0, 1.2),
        empty=UNSEEN,
    )


def _durations() -> Json:
    return lines(
        "Duration of probes",
        "How long the last probe of each backend took, from the first packet to its end, failed ones included. Some "
        "servers wait on purpose before they greet.",
        [over_time(best(B, ONE.b("probe_duration_seconds")), EACH)],
        unit="s",
        calcs=["mean", "max"],
    )


def _phases() -> Json:
    phases = best("phase", ONE.b("probe_phase_duration_seconds"))
    return lines(
        "Duration of phases",
        "The slowest of the chosen backends in each phase that its last probe finished. Each is of its own backend, "
        "so they need not add up.",
        [over_time(phases, "{{phase}}")],
        unit="s",
        calcs=["mean", "max"],
    )


def _failures() -> Json:
    failures = f"{ONE.t('probe_failure_reasons_total')}[$__rate_interval]"
    return lines(
        "Failed probes by stage and reason",
        "Failed probes an hour, of all backends of the target, by where and why they stopped.",
        [over_time(f"3600 * sum by (stage, reason) (rate({failures}))", "{{stage}}: {{reason}}")],
        unit="suffix: /h",
        stacked=True,
        empty="No probe has failed",
    )


def _lookups() -> Json:
    return lines(
        "Duration of lookups",
        "Time from the first question of the last lookup to the last answer.",
        [over_time(best(T, ONE.t("target_lookup_duration_seconds")), "{{target}}")],
        unit="s",
    )


def _certificates() -> Json:
    labels = f"{B}, subject, issuer, short"
    short = f'label_replace({ONE.b("cert_info")}, "short", "$1", "fingerprint_sha256", "(.{{16}}).*")'
    return table(
        "Certificates",
        "What each backend's certificate says of itself, as of the last time one was seen; the first 16 digits of "
        "its SHA-256 fingerprint.",
        [
            rows_now(f"max by ({labels}) ({short})"),
            rows_now(f"{worst(B, ONE.b('cert_not_before_timestamp_seconds'))} * 1000"),
            rows_now(f"{worst(B, ONE.b('cert_not_after_timestamp_seconds'))} * 1000"),
        ],
        {
            "server_name": "Server name",
            "backend": "Backend",
            "subject": "Subject",
            "issuer": "Issuer",
            "Value #B": "From",
            "Value #C": "Until",
            "short": "Fingerprint",
        },
        sort="Backend",
        empty=UNSEEN,
        overrides=[
            column("Server name", custom__minWidth=130, **WRAPPED),
            column("Subject", custom__minWidth=170, **WRAPPED),
            column("Issuer", custom__minWidth=190, **WRAPPED),
            column("From", unit="time:YYYY-MM-DD", custom__width=95),
            column("Until", unit="time:YYYY-MM-DD", custom__width=95),
            column("Fingerprint", custom__width=160),
        ],
    )


def _chains() -> Json:
    labels = f"{B}, key, signature, serial"
    return table(
        "Keys, chains and staples",
        "When the first certificate of what was presented, and the first on the path to a root end; the path is "
        "empty where none was found. SCTs: embedded timestamps of certificate transparency logs, not verified. OCSP: "
        "what a rightly signed staple says.",
        [
            rows_now(f"max by ({labels}) ({ONE.b('cert_info')})"),
            rows_now(f"{worst(B, ONE.b('chain_not_after_timestamp_seconds'))} * 1000"),
            rows_now(f"{worst(B, ONE.b('verified_chain_not_after_timestamp_seconds'))} * 1000"),
            rows_now(worst(B, ONE.b("cert_scts"))),
            rows_now(worst(B, ONE.b("ocsp_stapled"))),
            rows_now(best(f"{B}, status", ONE.b("ocsp_status"))),
        ],
        {
            "server_name": "Server name",
            "backend": "Backend",
            "key": "Key",
            "signature": "Signature",
            "serial": "Serial",
            "Value #B": "Presented ends",
            "Value #C": "Path ends",
            "Value #D": "SCTs",
            "Value #E": "Staple",
            "status": "OCSP",
        },
        sort="Presented ends",
        empty=UNSEEN,
        overrides=[
            column("Server name", custom__minWidth=140, **WRAPPED),
            column("Key", custom__width=105),
            column("Serial", custom__minWidth=150, **WRAPPED),
            column("Signature", custom__minWidth=140, **WRAPPED),
            *(
                column(name, unit="time:YYYY-MM-DD", mappings=no_value(), custom__width=115)
                for name in ("Presented ends", "Path ends")
            ),
            column("SCTs", custom__width=60),
            column("Staple", mappings=words({0: ("none", "text"), 1: ("stapled", GREEN)}), custom__width=80),
            column("OCSP", custom__width=80),
        ],
    )


def _connections() -> Json:
    return table(
        "Connections",
        "What the last probe agreed on with each backend; none while it fails. Limited: the server said that it "
        "limits connections or rate. "
        "Failures: in a row. Certs: certificates seen at this address lately; more than one is a renewal, or a load balancer "
        "with servers of its own behind it.",
        [
            rows_now(best(f"{B}, version, cipher, group", ONE.b("connection_info"))),
            rows_now(best(B, ONE.b("backend_rate_limited"))),
            rows_now(best(B, ONE.b("probe_consecutive_failures"))),
            rows_now(best(B, ONE.b("backend_distinct_certificates"))),
        ],
        {
            "server_name": "Server name",
            "backend": "Backend",
            "version": "TLS",
            "cipher": "Cipher",
            "group": "Group",
            "Value #B": "Limited",
            "Value #C": "Failures",
            "Value #D": "Certs",
        },
        sort="Backend",
        empty="No backend has been probed",
        overrides=[
            column(
                "Limited",
                mappings=words({0: ("no", "text"), 1: ("yes", ORANGE)}),
                custom__width=80,
                custom__cellOptions={"type": "color-text"},
            ),
            column("TLS", custom__width=80),
            column("Cipher", custom__minWidth=200),
            column(
                "Failures",
                custom__width=85,
                thresholds=steps("text", (1, ORANGE), (3, RED)),
                custom__cellOptions={"type": "color-text"},
            ),
            column(
                "Certs",
                custom__width=65,
                thresholds=steps("text", (2, ORANGE)),
                custom__cellOptions={"type": "color-text"},
            ),
        ],
    )
