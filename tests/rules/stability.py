"""Generates promtool tests for alert stability: `stability.py RULES DIR`.

In each case, series change, appear or disappear although nothing changes on a server: a single failed probe, rotating
DNS answers, a renewal rolled out over an hour, an exporter restart, replicas. No alert may fire for a healthy fleet,
and the alerts of a broken fleet must fire without interruption.

Values are one per minute, like scrapes. None means that there is no sample.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from textwrap import indent

Values = Callable[[int], "int | None"]

NAME = "smtp.example.com"
WRONG = "wrong.example.com"
DEAD = "dead.example.com"
GONE = "gone.example.com"

# All alerts except those about the exporter and about rounds, whose state is reset by a restart, and BackendFlapping.
EVERY_ALERT = [
    ("BackendDown", "warning"),
    ("CertificateExpiring", "critical"),
    ("CertificateExpiring", "warning"),
    ("CertificateRevoked", "critical"),
    ("CertificatesDiffer", "info"),
    ("ChainInvalid", "critical"),
    ("DnsFailing", "warning"),
    ("ExpectedNameMissing", "warning"),
    ("HandshakeFailing", "critical"),
    ("HostnameMismatch", "critical"),
    ("HostnameMismatchPartial", "critical"),
    ("LocalErrors", "warning"),
    ("NameServersDisagree", "warning"),
    ("NotReloaded", "warning"),
    ("StarttlsMissing", "critical"),
    ("TargetDown", "critical"),
    ("TargetUnresolved", "critical"),
]

DAY = 86_400
# Minutes: two hours for the longest `for`, and at least one hour that is evaluated.
LENGTH = 300


def main(rules: str, directory: str) -> None:
    for number, case in enumerate(cases()):
        text = f"rule_files: [{json.dumps(rules)}]\nevaluation_interval: 1m\ntests:\n{case}"
        Path(directory, f"stability-{number}.test.yaml").write_text(text, encoding="utf-8")


def cases() -> Iterable[str]:
    single = Exporter()
    single.target("relay", NAME, resolved=3, lookup=between(120, 125, 0, 1), disagree=between(120, 125, 1, 0))
    single.backend("relay", NAME, 10)
    single.backend("relay", NAME, 11, success=between(60, 62, 0, 1), failure=("connect", "timeout"))
    single.backend("relay", NAME, 12, success=between(60, 62, 0, 1), failure=("handshake", "reset"), handshake_errors=1)
    yield never_fires("one probe fails and is repeated after a minute; one lookup fails until the next round", single)

    # Each lookup returns one of three addresses. An address that is missing in three rounds is no longer resolved.
    single = Exporter()
    resolved: Values = lambda t: [1, 2, 3, 2][min(t // 5, 3)] if t < 20 else 3  # noqa: E731
    single.target("relay", NAME, resolved=resolved, disagree=alternating(5))
    single.backend("relay", NAME, 10, resolved=between(15, 20, 0, 1))
    single.backend("relay", NAME, 11, resolved=between(0, 5, None, 1))
    single.backend("relay", NAME, 12, resolved=lambda t: None if t < 10 else int(not 100 <= t < 110))
    yield never_fires("lookups return one of three addresses in turn", single)

    single = Exporter()
    single.target("relay", NAME, resolved=2, distinct=between(90, 120, 2, 1))
    for number, loaded in ((10, 90), (11, 120)):
        single.backend(
            "relay",
            NAME,
            number,
            file_match=between(60, loaded, 0, 1),
            not_after=between(0, loaded, 30 * DAY, 90 * DAY),
            not_before=between(0, loaded, -60 * DAY, 0),
        )
    yield never_fires("one server loads a renewed certificate after half an hour, the other after one hour", single)

    yield never_fires("the exporter restarts", healthy(Exporter(restarts=120)))

    replacement = Exporter("c", starts=103)
    replacement.target("relay", NAME, resolved=2, lookup=between(150, 200, 0, 1))
    replacement.backend("relay", NAME, 10)
    replacement.backend(
        "relay",
        NAME,
        11,
        success=between(150, 200, 0, 1),
        failure=("connect", "timeout"),
        last_seen=lambda t: 60 * (150 if 150 <= t < 200 else t),
    )
    yield never_fires(
        "one of two replicas is replaced, and the network of the new one fails later",
        healthy(Exporter("a")),
        healthy(Exporter("b", ends=100)),
        replacement,
    )

    yield keeps_firing("the exporter restarts while alerts are firing", broken(Exporter(restarts=250)))
    yield keeps_firing("broken servers are in DNS every other 10 minutes", broken(Exporter(), resolved=alternating(10)))
    yield keeps_firing(
        "one of two replicas is replaced while alerts are firing",
        broken(Exporter("a")),
        broken(Exporter("b", ends=250), local_errors=False),
        broken(Exporter("c", starts=253), local_errors=False),
    )


class Exporter:
    """The series of one exporter instance. It finishes no round in the first two minutes after its start."""

    def __init__(
        self, name: str = "a", *, restarts: int | None = None, starts: int = 0, ends: int = LENGTH + 1
    ) -> None:
        self._name = name
        self._restarts = restarts
        self._starts = starts
        self._ends = ends
        self.series: list[str] = []
        self._add("up", [], lambda t: int(self._is_up(t)), lambda t: self._starts <= t < self._ends)
        self._add("smtp_tls_exporter_build_info", [("version", "0.1.0")], constant(1), self._is_up)
        self._add("smtp_tls_exporter_config_last_reload_successful", [], constant(1), self._is_up)

    def local_errors(self) -> None:
        self._add("smtp_tls_exporter_local_errors_total", [("reason", "overloaded")], lambda t: t, self._is_up)

    def target(
        self,
        name: str,
        server_name: str,
        *,
        resolved: int | Values,
        lookup: int | Values = 1,
        disagree: int | Values = 0,
        distinct: int | Values | None = 1,
    ) -> None:
        labels = [("target", name), ("team", "mail")]
        self._add("smtp_tls_target_interval_seconds", labels, constant(300), self._is_up)
        # The timestamp of the last round is 0 before the first round, not absent.
        self._add("smtp_tls_target_last_round_timestamp_seconds", labels, self._since_round(lambda t: 60 * t + 1))
        self._add("smtp_tls_target_lookup_success", labels, lookup, self._has_round)
        self._add("smtp_tls_target_nameservers_disagree", labels, disagree, self._has_round)
        labels = [("target", name), ("server_name", server_name), ("team", "mail")]
        self._add("smtp_tls_target_backends_resolved", labels, self._since_round(values(resolved)))
        # Until the first round is finished, only one certificate has been seen.
        counted = values(distinct)
        first = lambda t: counted(t) if self._has_round(t - 1) or t == 0 else 1  # noqa: E731
        self._add("smtp_tls_target_distinct_certificates", labels, first if distinct else None, self._has_round)

    def backend(
        self,
        target: str,
        server_name: str,
        number: int,
        *,
        resolved: int | Values = 1,
        success: int | Values = 1,
        failure: tuple[str, str] | None = None,
        handshake_errors: int | Values = 0,
        certificate: bool = True,
        last_seen: Values = lambda t: 60 * t,
        hostname_match: int = 1,
        name_match: int = 1,
        trusted: int = 1,
        revoked: bool = False,
        file_match: int | Values = 1,
        not_after: int | Values = 60 * DAY,
        not_before: int | Values = -30 * DAY,
    ) -> None:
        labels = [("target", target), ("server_name", server_name), ("team", "mail")]
        labels += [("backend", f"192.0.2.{number}:587"), ("tls", "starttls")]

        def add(name: str, value: int | Values, *more: tuple[str, str]) -> None:
            self._add(f"smtp_tls_{name}", [*labels, *more], value, self._has_round)

        succeeds = values(success)
        fails: Values = lambda t: None if succeeds(t) else 1  # noqa: E731
        add("backend_resolved", resolved)
        add("probe_success", success)
        errors = values(handshake_errors)
        add("handshake_errors", lambda t: 0 if succeeds(t) else errors(t))
        if failure:
            add("probe_failure_info", fails, ("stage", failure[0]), ("reason", failure[1]))
        if not certificate:
            return
        add("cert_last_seen_timestamp_seconds", last_seen)
        add("cert_hostname_match", hostname_match)
        add("cert_name_match", name_match, ("name", "mail.example.com"))
        add("cert_file_match", file_match)
        add("cert_not_after_timestamp_seconds", not_after)
        add("cert_not_before_timestamp_seconds", not_before)
        add("verified_chain_not_after_timestamp_seconds", not_after)
        add("chain_trusted", trusted)
        add("chain_valid", trusted)
        if revoked:
            add("ocsp_error", 1, ("reason", "revoked"))

    def since_start(self, t: int) -> int:
        """Minutes since the last start, like the value of a counter."""
        return t - self._restarts if self._restarts is not None and t >= self._restarts else t

    def _is_up(self, t: int) -> bool:
        is_restarting = self._restarts is not None and self._restarts <= t < self._restarts + 2
        return self._starts <= t < self._ends and not is_restarting

    def _has_round(self, t: int) -> bool:
        started = [0 if self._starts == 0 else self._starts + 2]
        if self._restarts is not None:
            started.append(self._restarts + 4)
        return self._is_up(t) and not any(start - 2 <= t < start for start in started)

    def _since_round(self, what: Values) -> Values:
        return lambda t: (what(t) if self._has_round(t) else 0) if self._is_up(t) else None

    def _add(
        self,
        name: str,
        labels: list[tuple[str, str]],
        value: int | Values | None,
        exists: Callable[[int], bool] = lambda t: True,
    ) -> None:
        if value is None:
            return
        value = values(value)
        series = notation([value(t) if exists(t) else None for t in range(LENGTH + 1)])
        everything = [("job", "smtp_tls"), ("instance", f"{self._name}:10465"), ("pod", f"x-{self._name}"), *labels]
        selector = ",".join(f'{label}="{text}"' for label, text in everything)
        self.series.append(f"- series: {name}{{{selector}}}\n  values: {series}\n")


def healthy(exporter: Exporter) -> Exporter:
    exporter.target("relay", NAME, resolved=2)
    exporter.backend("relay", NAME, 10)
    exporter.backend("relay", NAME, 11)
    return exporter


def broken(exporter: Exporter, resolved: int | Values = 1, *, local_errors: bool = True) -> Exporter:
    """Adds servers with every kind of problem."""
    if local_errors:
        exporter.local_errors()
    exporter.target("relay", NAME, resolved=5, distinct=2, disagree=1)
    exporter.backend("relay", NAME, 10)
    exporter.backend(
        "relay",
        NAME,
        11,
        resolved=resolved,
        hostname_match=0,
        name_match=0,
        trusted=0,
        revoked=True,
        file_match=0,
        not_after=3 * DAY,
        not_before=-87 * DAY,
    )

    def fails(target: str, server_name: str, number: int, stage: str, reason: str, errors: int | Values = 0) -> None:
        exporter.backend(
            target,
            server_name,
            number,
            resolved=resolved,
            success=0,
            failure=(stage, reason),
            handshake_errors=errors,
            certificate=False,
        )

    fails("relay", NAME, 12, "connect", "refused")
    fails("relay", NAME, 13, "starttls", "starttls_not_offered")
    fails("relay", NAME, 14, "handshake", "tls_version", exporter.since_start)
    exporter.target("wrong", WRONG, resolved=1)
    exporter.backend("wrong", WRONG, 20, resolved=resolved, hostname_match=0)
    exporter.target("dead", DEAD, resolved=1, distinct=None)
    fails("dead", DEAD, 30, "connect", "timeout")
    exporter.target("gone", GONE, resolved=0, lookup=0, distinct=None)
    return exporter


def never_fires(name: str, *exporters: Exporter) -> str:
    """Expects that no alert fires at any time."""
    return group(name, exporters, f'count_over_time(ALERTS{{alertstate="firing"}}[{LENGTH}m])', [])


def keeps_firing(name: str, *exporters: Exporter) -> str:
    """Expects that every alert fires in each minute of the last hour."""
    expected = [f'{{alertname="SmtpTls{alert}",severity="{severity}"}}' for alert, severity in EVERY_ALERT]
    counted = 'min by (alertname, severity) (count_over_time(ALERTS{alertstate="firing"}[3599s]))'
    return group(name, exporters, counted, [f"- {{labels: '{labels}', value: 60}}\n" for labels in expected])


def group(name: str, exporters: Iterable[Exporter], expression: str, samples: list[str]) -> str:
    series = "".join(series for exporter in exporters for series in exporter.series)
    expected = "\n" + indent("".join(samples), "          ") if samples else " []\n"
    return (
        f"  - name: {name}\n    interval: 1m\n    input_series:\n{indent(series, '      ')}    promql_expr_test:\n"
        f"      - expr: '{expression}'\n        eval_time: {LENGTH}m\n        exp_samples:{expected}"
    )


def constant(value: int) -> Values:
    return lambda t: value


def values(value: int | Values | None) -> Values:
    return value if callable(value) else lambda t: value


def between(begin: int, end: int, inside: int | None, outside: int | None) -> Values:
    return lambda t: inside if begin <= t < end else outside


def alternating(minutes: int) -> Values:
    return lambda t: 1 - t // minutes % 2


def notation(samples: list[int | None]) -> str:
    """Returns samples in promtool's notation: `1+2x3` is 1 3 5 7. The end of a series is marked as stale."""
    words: list[str] = []
    at = 0
    while at < len(samples):
        first = samples[at]
        if first is None:
            words.append("stale" if at and samples[at - 1] is not None else "_")
            at += 1
            continue
        following = samples[at + 1] if at + 1 < len(samples) else None
        step = following - first if following is not None else 0
        end = at + 1
        while end < len(samples) and samples[end] == first + step * (end - at):
            end += 1
        words.append(f"{first}{step:+}x{end - at - 1}")
        at = end
    return " ".join(words)


if __name__ == "__main__":
    main(*sys.argv[1:])
