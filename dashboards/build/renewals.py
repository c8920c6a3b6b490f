"""When certificates end, how late they are renewed, and who issued them."""

from __future__ import annotations

from grafana import WRAPPED, Json, bars, column, fixed, lines, over_time, row, rows_now, shares, stat, steps, table
from grafana import dashboard as build
from smtp import (
    DAYS_LEFT,
    FLEET,
    GOOD_AT_0,
    GREEN,
    ORANGE,
    RED,
    RENEWALS,
    SOON_DAYS,
    SOON_SHARE,
    URGENT_DAYS,
    URGENT_SHARE,
    WARN_AT_1,
    best,
    job_variable,
    label_variables,
    links,
)

# A certificate that several backends present is one certificate to renew.
CERTIFICATE = "fingerprint_sha256"
WEEK = 7 * 86_400
WEEKS = 13

INFO = FLEET.b("cert_info")
ENDS = FLEET.b("cert_not_after_timestamp_seconds")
BEGINS = FLEET.b("cert_not_before_timestamp_seconds")
JOIN = "* on (job, instance, target, server_name, backend) group_left ()"


def dashboard() -> Json:
    return build(
        uid=RENEWALS,
        title="SMTP TLS / Renewals",
        description="Certificates by when they end: those of all backends, each counted once however many present it.",
        since="now-30d",
        links=links(RENEWALS),
        variables=[job_variable(), *label_variables()],
        rows=[
            row(4, *((4, panel) for panel in _numbers())),
            row(9, (14, _weeks()), (10, _tenths())),
            row(11, (24, _certificates())),
            row(8, (12, _replaced()), (12, _life())),
            row(8, (10, _issuers()), (7, _versions()), (7, _keys())),
        ],
    )


def each(by: str, value: str) -> str:
    """A value of each certificate."""
    return f"max by ({by}) ({INFO} {JOIN} {value})"


def _numbers() -> list[Json]:
    ends = each(CERTIFICATE, ENDS)
    left = f"({ends} - time()) / 86400"

    def how_many(condition: str) -> str:
        return f"count({condition}) or 0 * count({INFO})"

    return [
        stat(
            "Certificates",
            "Different certificates on all backends, as of the last time each was seen.",
            f"count(count by ({CERTIFICATE}) ({INFO}))",
            thresholds=steps("text"),
            quiet=True,
        ),
        stat(
            "Expired",
            "Certificates that have expired and are still presented.",
            how_many(f"{left} < 0"),
            thresholds=GOOD_AT_0,
        ),
        stat(
            "About to expire",
            f"Certificates that have under {URGENT_DAYS} days and under {URGENT_SHARE:.0%} of their lifetime left, "
            "and have not expired.",
            how_many(_within(URGENT_DAYS, URGENT_SHARE)),
            thresholds=GOOD_AT_0,
        ),
        stat(
            "Expires soon",
            f"Certificates that have under {SOON_DAYS} days and under {SOON_SHARE:.0%} of their lifetime left, and "
            "have not expired.",
            how_many(_within(SOON_DAYS, SOON_SHARE)),
            thresholds=WARN_AT_1,
        ),
        stat(
            "Shortest life",
            "Days from the beginning to the end of the certificate with the shortest validity.",
            f"min({ENDS} - {BEGINS}) / 86400",
            unit="suffix: d",
            decimals=0,
            thresholds=steps("text"),
            quiet=True,
        ),
        stat(
            "Not reloaded",
            "Backends that serve another certificate than the one in the target's certificate_file: renewed, but not "
            "in use. Not in use where no target has such a file.",
            f"count({FLEET.b('cert_file_match')} == 0) or 0 * count({FLEET.b('cert_file_match')})",
            thresholds=GOOD_AT_0,
            empty="not in use",
        ),
    ]


def _within(days: int, share: float) -> str:
    left = f"({each(CERTIFICATE, ENDS)} - time())"
    share_left = each(CERTIFICATE, f"(({ENDS} - time()) / ({ENDS} - {BEGINS}))")
    return f"({left} >= 0) < {days} * 86400 and {share_left} < {share}"


def _histogram(title: str, description: str, value: str, last: int, names: dict[str, str]) -> Json:
    """A bar for each whole number from 0 to `last`, empty ones too. `names`: patterns of two digits, and texts."""
    counted = f'count_values("bucket", clamp(floor({value}), 0, {last}))'
    empty = "\nor ".join(f'label_replace(vector(0), "bucket", "{i}", "", "")' for i in range(last + 1))
    # Two digits, so that the order of texts is that of numbers.
    expr = f'label_replace({counted}\nor on (bucket) ({empty}), "bucket", "0$1", "bucket", "(.)")'
    for pattern, text in names.items():
        expr = f'label_replace({expr}, "name", "{text}", "bucket", "{pattern}")'
    transformations = [
        {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": "bucket", "desc": False}]}},
        {
            "id": "organize",
            "options": {"excludeByName": {"Time": True, "bucket": True}, "indexByName": {}, "renameByName": {}},
        },
    ]
    return bars(title, description, [rows_now(expr)], horizontal=False, transformations=transformations)


def _weeks() -> Json:
    return _histogram(
        "Certificates that end, by weeks from now",
        f"How many certificates end in each of the next {WEEKS} weeks; the first is the seven days from now. A tall "
        "bar is a busy week. Those that have ended are not among them.",
        f"(({each(CERTIFICATE, ENDS)} - time()) >= 0) / {WEEK}",
        WEEKS,
        {f"{week:02}": f"{week + 1}" for week in range(WEEKS)} | {str(WEEKS): f"{WEEKS + 1}+"},
    )


def _tenths() -> Json:
    used = f"(time() - {BEGINS}) / ({ENDS} - {BEGINS})"
    return _histogram(
        "Certificates by lifetime used, in %",
        "How far through their validity certificates are, in steps of ten percent. Tall bars on the right mean that "
        "renewals come late; the last has ended.",
        f"10 * {each(CERTIFICATE, f'({used})')}",
        10,
        {"0(.)": "${1}0", "00": "0", "10": "100"},
    )


def _certificates() -> Json:
    by = f"{CERTIFICATE}, subject, issuer, key"
    first = f"bottomk(100, {each(by, ENDS)})"
    return table(
        "Certificates, the first to end first",
        "The hundred certificates that end first, each with how many backends present it.",
        [
            rows_now(f"{first} * 1000"),
            rows_now(f"({first} - time()) / 86400"),
            rows_now(f"{each(by, f'((time() - {BEGINS}) / ({ENDS} - {BEGINS}))')} and {first}"),
            rows_now(f"{each(by, f'(({ENDS} - {BEGINS}) / 86400)')} and {first}"),
            rows_now(f"count by ({by}) (max by (server_name, backend, {by}) ({INFO})) and {first}"),
        ],
        {
            "Value #B": "Days left",
            "Value #A": "Ends",
            "Value #C": "Lifetime used",
            "Value #D": "Lifetime",
            "Value #E": "Backends",
            "subject": "Subject",
            "issuer": "Issuer",
            "key": "Key",
            CERTIFICATE: "Fingerprint",
        },
        sort="Days left",
        empty="No certificate has been seen",
        overrides=[
            column("Days left", **DAYS_LEFT),
            column("Ends", unit="time:YYYY-MM-DD", custom__width=95),
            # Only to tell certificates apart.
            column("Fingerprint", custom__hidden=True),
            column(
                "Lifetime used",
                unit="percentunit",
                decimals=0,
                min=0,
                max=1,
                custom__width=130,
                thresholds=steps(GREEN, (0.75, ORANGE), (0.9, RED)),
                custom__cellOptions={"type": "gauge", "mode": "basic", "valueDisplayMode": "text"},
            ),
            column("Lifetime", unit="suffix: d", decimals=0, custom__width=75),
            column("Backends", custom__width=85),
            column("Key", custom__width=110),
            column("Subject", custom__minWidth=150, **WRAPPED),
            column("Issuer", custom__minWidth=150, **WRAPPED),
        ],
    )


def _replaced() -> Json:
    changes = best("server_name, backend", f"changes({BEGINS}[1d])")
    return lines(
        "Certificates replaced in the day before",
        "How often backends began to present another certificate in the 24 hours before each point. A backend whose "
        "certificates take turns counts at every turn.",
        [over_time(f"sum({changes})", "replaced")],
        unit="none",
        decimals=0,
        stepped=True,
        reach=(0, 1),
    )


def _life() -> Json:
    used = each(CERTIFICATE, f"((time() - {BEGINS}) / ({ENDS} - {BEGINS}))")
    return lines(
        "Lifetime used",
        "How much of their validity had passed: the furthest certificate, and the one in the middle of all. A "
        "furthest that goes over 90 % means renewals at the last moment; over 100 %, an expired certificate in use.",
        [over_time(f"max({used})", "furthest"), over_time(f"quantile(0.5, {used})", "median")],
        unit="percentunit",
        thresholds=steps("transparent", (0.9, ORANGE), (1, RED)),
        reach=(0, 1.2),
    )


def _issuers() -> Json:
    return table(
        "Certificates by issuer",
        "The ten issuers of most certificates, as the certificates name them, trusted or not.",
        [rows_now(f"topk(10, count by (issuer) (count by (issuer, {CERTIFICATE}) ({INFO})))")],
        {"issuer": "Issuer", "Value": "Certificates"},
        sort="Certificates",
        descending=True,
        empty="No certificate has been seen",
        overrides=[
            column("Issuer", custom__minWidth=200, **WRAPPED),
            column(
                "Certificates",
                min=0,
                decimals=0,
                color=fixed("blue"),
                custom__width=150,
                custom__cellOptions={"type": "gauge", "mode": "basic", "valueDisplayMode": "text"},
            ),
        ],
    )


def _versions() -> Json:
    versions = best("server_name, backend, version", FLEET.b("connection_info"))
    return shares(
        "Backends by TLS version",
        "The TLS version that the last probe of each backend agreed on; backends that fail are not among them.",
        [{**rows_now(f"count by (version) ({versions})"), "format": "time_series", "legendFormat": "{{version}}"}],
    )


def _keys() -> Json:
    return shares(
        "Certificates by key",
        "The kind and size of the certificates' keys.",
        [
            {
                **rows_now(f"count by (key) (count by (key, {CERTIFICATE}) ({INFO}))"),
                "format": "time_series",
                "legendFormat": "{{key}}",
            }
        ],
    )
