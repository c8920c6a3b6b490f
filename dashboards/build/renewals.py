"""When certificates expire, how late they are renewed, and who issued them."""

from __future__ import annotations

import grafana as g
import smtp
from grafana import BLUE, GREEN, ORANGE, RED, Json
from smtp import (
    ABOUT_TO_EXPIRE_DAYS,
    ABOUT_TO_EXPIRE_SHARE,
    ALL_TARGETS,
    BACKEND,
    EXPIRING_SOON_DAYS,
    EXPIRING_SOON_SHARE,
    count,
    max_by,
)

# A certificate that several backends present is renewed once, so it counts once.
CERTIFICATE = "fingerprint_sha256"
WEEK_SECONDS = 7 * 86_400
WEEKS = 13

INFO = ALL_TARGETS.backend("cert_info")
NOT_AFTER = ALL_TARGETS.backend("cert_not_after_timestamp_seconds")
LIFETIME = smtp.lifetime(ALL_TARGETS)
LIFETIME_USED = smtp.lifetime_used(ALL_TARGETS)
# What one exporter, or one scrape of /probe, saw at a backend. Replicas can see different certificates.
SEEN = f"{smtp.TARGET}, instance, server_name, backend, tls"


def dashboard() -> Json:
    return smtp.dashboard(
        smtp.RENEWALS,
        smtp.label_variables(),
        [
            g.row(4, *((4, panel) for panel in _stats())),
            g.row(9, (14, _expiry_by_week()), (10, _by_lifetime_used())),
            g.row(11, (24, _certificates())),
            g.row(8, (12, _replacements()), (12, _lifetime_used())),
            g.row(8, (10, _issuers()), (7, _tls_versions()), (7, _key_types())),
        ],
    )


def per_certificate(by: str, value: str) -> str:
    """A value of each certificate."""
    seen = f"max by ({SEEN}, {by}) ({INFO})"
    return f"max by ({by}) ({seen} * on ({SEEN}) group_left () max by ({SEEN}) ({value}))"


EXPIRES = per_certificate(CERTIFICATE, NOT_AFTER)


def _stats() -> list[Json]:
    certificates = f"count(count by ({CERTIFICATE}) ({INFO}))"
    file_match = smtp.min_by(BACKEND, ALL_TARGETS.backend("cert_file_match"))
    return [
        g.stat(
            "Certificates",
            "Number of distinct certificates on all backends, counting the last certificate seen on each.",
            certificates,
            neutral=True,
        ),
        g.stat(
            "Expired certificates",
            "Certificates that have expired and are still in use. Clients refuse them.",
            count(f"({EXPIRES} - time()) / 86400 < 0", INFO),
            thresholds=smtp.RED_FROM_1,
        ),
        _expiring_stat("About to expire", ABOUT_TO_EXPIRE_DAYS, ABOUT_TO_EXPIRE_SHARE, smtp.RED_FROM_1),
        _expiring_stat("Expiring soon", EXPIRING_SOON_DAYS, EXPIRING_SOON_SHARE, smtp.ORANGE_FROM_1),
        g.stat(
            "Shortest lifetime",
            "Validity period, in days, of the certificate with the shortest one.",
            f"min({LIFETIME}) / 86400",
            unit="suffix: d",
            decimals=0,
            neutral=True,
        ),
        g.stat(
            "Not reloaded",
            "Backends that do not present the certificate in the target's `certificate_file`: it was renewed, but the "
            "server has not loaded it. Only for targets with a `certificate_file`.",
            count(f"{file_match} == 0", file_match),
            thresholds=smtp.RED_FROM_1,
            empty="not configured",
        ),
    ]


def _expiring_stat(title: str, days: int, share: float, thresholds: Json) -> Json:
    left = f"({EXPIRES} - time())"
    share_left = per_certificate(CERTIFICATE, f"({smtp.lifetime_left(ALL_TARGETS)})")
    return g.stat(
        title,
        f"Certificates with less than {days} days and less than {share:.0%} of their lifetime left. Expired "
        "certificates are not counted.",
        count(f"({left} >= 0) < {days} * 86400 and {share_left} < {share}", INFO),
        thresholds=thresholds,
    )


def _histogram(title: str, description: str, value: str, last: int, names: dict[str, str]) -> Json:
    """One bar per integer from 0 to `last`, including empty ones. `names`: patterns of two digits and their texts."""
    counted = f'count_values("bucket", clamp(floor({value}), 0, {last}))'
    empty = "\nor ".join(f'label_replace(vector(0), "bucket", "{i}", "", "")' for i in range(last + 1))
    # Two digits, because buckets are sorted as text.
    expr = f'label_replace({counted}\nor on (bucket) ({empty}), "bucket", "0$1", "bucket", "(.)")'
    for pattern, text in names.items():
        expr = f'label_replace({expr}, "name", "{text}", "bucket", "{pattern}")'
    return g.bar_chart(title, description, expr, sort_by="bucket")


def _expiry_by_week() -> Json:
    names = {f"{week:02}": f"{week + 1}" for week in range(WEEKS)} | {str(WEEKS): f"{WEEKS + 1}+"}
    return _histogram(
        "Certificates expiring by week",
        f"Number of certificates that expire in each of the next {WEEKS} weeks; week 1 is the next seven days. A tall "
        "bar means many renewals at once. Expired certificates are not counted.",
        f"(({EXPIRES} - time()) >= 0) / {WEEK_SECONDS}",
        WEEKS,
        names,
    )


def _by_lifetime_used() -> Json:
    return _histogram(
        "Certificates by lifetime used (%)",
        "Number of certificates by the share of their validity period that has passed, in steps of 10%. Tall bars on "
        "the right mean late renewals; certificates at 100 have expired.",
        f"10 * {per_certificate(CERTIFICATE, f'({LIFETIME_USED})')}",
        10,
        {"0(.)": "${1}0", "00": "0", "10": "100"},
    )


def _certificates() -> Json:
    by = f"{CERTIFICATE}, subject, issuer, key"
    first = f"bottomk(100, {per_certificate(by, NOT_AFTER)})"
    queries = [
        f"{first} * 1000",
        f"({first} - time()) / 86400",
        f"{per_certificate(by, f'({LIFETIME_USED})')} and {first}",
        f"{per_certificate(by, f'(({LIFETIME}) / 86400)')} and {first}",
        f"count by ({by}) (max by ({BACKEND}, {by}) ({INFO})) and {first}",
    ]
    return g.table(
        "Certificates by expiry",
        "The 100 certificates that expire first, and the number of backends that present each. Negative days mean "
        "that the certificate has expired.",
        queries,
        [
            smtp.days_left_column("Value #B"),
            g.column("Value #A", "Expires", unit="time:YYYY-MM-DD", width=95),
            smtp.lifetime_column("Value #C", "Lifetime used", 130, g.steps(GREEN, (0.75, ORANGE), (0.9, RED))),
            g.column("Value #D", "Lifetime", unit="suffix: d", decimals=0, width=75),
            g.column("Value #E", "Backends", width=85),
            g.column("subject", "Subject", min_width=150, wrap=True),
            g.column("issuer", "Issuer", min_width=150, wrap=True),
            g.column("key", "Key", width=110),
            # Keeps certificates with the same subject in separate rows.
            g.column(CERTIFICATE, "Fingerprint", hidden=True),
        ],
        sort="Days left",
        empty=smtp.NO_CERTIFICATE,
    )


def _replacements() -> Json:
    not_before = ALL_TARGETS.backend("cert_not_before_timestamp_seconds")
    changes = max_by(BACKEND, f"changes({not_before}[1d])")
    return g.count_timeseries(
        "Certificate replacements in 24 hours",
        "How often backends switched to another certificate in the 24 hours before each point in time. A backend that "
        "alternates between certificates counts at every switch.",
        [g.range_query(f"sum({changes})", "replacements")],
    )


def _lifetime_used() -> Json:
    return g.timeseries(
        "Certificate lifetime used",
        "Share of the validity period that has passed: maximum and median of all certificates. A maximum above 90% "
        "means late renewals; above 100%, an expired certificate is in use.",
        g.max_and_median(per_certificate(CERTIFICATE, f"({LIFETIME_USED})")),
        unit="percentunit",
        thresholds=g.steps("transparent", (0.9, ORANGE), (1, RED)),
        soft_range=(0, 1.2),
    )


def _count_by(label: str) -> str:
    return f"count by ({label}) (count by ({label}, {CERTIFICATE}) ({INFO}))"


def _issuers() -> Json:
    blue = g.fixed_color(BLUE)
    return g.table(
        "Certificates by issuer",
        "The ten issuers with the most certificates, as named in the certificates, whether or not they are trusted.",
        [f"topk(10, {_count_by('issuer')})"],
        [
            g.column("issuer", "Issuer", min_width=200, wrap=True),
            g.column("Value", "Certificates", min=0, decimals=0, color=blue, width=150, cell=g.GAUGE),
        ],
        sort="Certificates",
        descending=True,
        empty=smtp.NO_CERTIFICATE,
    )


def _tls_versions() -> Json:
    versions = max_by(f"{BACKEND}, version", ALL_TARGETS.backend("connection_info"))
    return g.pie_chart(
        "Backends by TLS version",
        "TLS version negotiated by the last probe of each backend. Backends that are down are not counted.",
        f"count by (version) ({versions})",
        "{{version}}",
    )


def _key_types() -> Json:
    description = "Number of certificates by the type and size of their key."
    return g.pie_chart("Certificates by key type", description, _count_by("key"), "{{key}}")
