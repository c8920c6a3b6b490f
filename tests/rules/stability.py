"""Generates promtool tests for alert stability: `stability.py RULES DIR [LABEL…]`.

In each case, series change, appear or disappear although nothing changes on a server: a single failed probe, rotating
DNS answers, a renewal rolled out over an hour, an exporter restart, replicas, exporters that cannot be scraped. No alert
may fire for a healthy fleet, and the alerts of a broken fleet must fire without interruption, each of them once, with
exactly the expected labels. Cases that depend on what Prometheus adds to the series run with the labels of several
set-ups.

LABEL are the labels of targets that the rules keep. Without any, all cases are generated, for rules that keep `team`;
otherwise only those about labels of targets.

Values are one per minute, like scrapes, or one per two minutes for /probe. None means that there is no sample.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from textwrap import indent

import yaml

Values = Callable[[int], "int | None"]
Labels = dict[str, str]

NAME = "smtp.example.com"
WRONG = "wrong.example.com"
DEAD = "dead.example.com"
GONE = "gone.example.com"

DAY = 86_400
# Minutes: two hours for the longest `for`, and at least one hour that is evaluated.
LENGTH = 300

# In place of a sample: Prometheus does not scrape at this time.
NOT_SCRAPED = "_"

# The labels that all alerts keep, besides those of targets.
SCRAPE_LABELS = ["job", "cluster", "namespace"]


def plain(replica: str) -> Labels:
    return {"job": "smtp_tls", "instance": f"{replica}:10465"}


def relabeled(replica: str) -> Labels:
    return {**plain(replica), "pod": f"x-{replica}"}


def community_chart(replica: str) -> Labels:
    return {
        "job": "smtp-tls-exporter",
        "instance": f"10.0.0.{ord(replica)}:10465",
        "namespace": "mail",
        "service": "smtp-tls-exporter",
        "node": f"node-{replica}",
        "pod": f"smtp-tls-exporter-{replica}",
        "app_kubernetes_io_name": "smtp-tls-exporter",
        "helm_sh_chart": "smtp-tls-exporter-1",
        "pod_template_hash": f"hash{replica}",
    }


def service_monitor(replica: str) -> Labels:
    return {
        "job": "mail/smtp-tls-exporter",
        "instance": f"10.0.0.{ord(replica)}:10465",
        "namespace": "mail",
        "service": "smtp-tls-exporter",
        "endpoint": f"port-{replica}",
        "container": f"exporter-{replica}",
        "pod": f"smtp-tls-exporter-{replica}",
    }


def federated(replica: str) -> Labels:
    return {**plain(replica), "cluster": "eu", "replica": f"prometheus-{replica}", "prometheus_replica": replica}


SETUPS = {
    "plain Prometheus": plain,
    "chart of the Prometheus community": community_chart,
    "ServiceMonitor": service_monitor,
    "federation of replicas": federated,
}


def main(rules: str, directory: str, *kept: str) -> None:
    bare = Path(directory, "rules.yaml")
    bare.write_text(without_annotations(rules), encoding="utf-8")
    for number, case in enumerate(label_cases(list(kept)) if kept else cases()):
        text = f"rule_files: [{bare.name}]\nevaluation_interval: 1m\ntests:\n{case}"
        Path(directory, f"stability-{number}.test.yaml").write_text(text, encoding="utf-8")


def without_annotations(rules: str) -> str:
    """Annotations do not change which alerts fire, but their queries take most of the time of a test."""
    content = yaml.safe_load(Path(rules).read_text(encoding="utf-8"))
    for group in content["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)
    return yaml.safe_dump(content, sort_keys=False)


def cases() -> Iterable[str]:
    yield from server_cases()
    for setup, labels in SETUPS.items():
        yield from setup_cases(setup, labels)
    yield from replica_views()
    yield from separate_jobs()
    yield from probe_cases()
    yield from rotation_cases()
    yield from label_cases(["team"])


def server_cases() -> Iterable[str]:
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

    for step in (1, 3, 4):
        added = Exporter(step=step)
        added.target("relay", NAME, resolved=1)
        first = next(t for t in range(100, LENGTH) if t % step == 0)
        added.backend(
            "relay",
            NAME,
            10,
            success=between(first, first + step, 0, 1),
            failure=("handshake", "reset"),
            handshake_errors=1,
            listed=lambda t, first=first: t >= first,
        )
        yield never_fires(f"the first probe of a new target fails, scraped every {step} minutes", added, end=130)

    yield keeps_firing("the exporter restarts while alerts are firing", broken(Exporter(restarts=250)))
    yield keeps_firing("broken servers are in DNS every other 10 minutes", broken(Exporter(), resolved=alternating(10)))


def setup_cases(setup: str, labels: Callable[[str], Labels]) -> Iterable[str]:
    """What happens to replicas, with the labels that a set-up adds to their series."""

    def exporter(name: str, *, starts: int = 0, ends: int = LENGTH + 1, vanishes: int = LENGTH + 1) -> Exporter:
        return Exporter(name, labels, starts=starts, ends=ends, vanishes=vanishes)

    # Two replicas are replaced one after the other; with and without new names of instances, pods and nodes.
    for fleet, expect, title in (
        (healthy, never_fires, "healthy"),
        (broken_servers, keeps_firing, "broken"),
    ):
        replaced = [exporter("a", ends=245), exporter("c", starts=246)]
        replaced += [exporter("b", ends=250), exporter("d", starts=251)]
        restarted = [Exporter("a", labels, restarts=245), Exporter("b", labels, restarts=250)]
        yield expect(f"{setup}: the replicas of a {title} fleet are replaced", *map(fleet, replaced))
        yield expect(f"{setup}: the replicas of a {title} fleet restart", *map(fleet, restarted))

    # One replica has no network: it cannot resolve names nor connect, which is not the fault of a server.
    lonely = exporter("b")
    lonely.target("relay", NAME, resolved=2, lookup=0)
    for number in (10, 11):
        lonely.backend("relay", NAME, number, success=0, failure=("connect", "timeout"), last_seen=constant(0))
    yield never_fires(f"{setup}: one of two replicas has no network", healthy(exporter("a")), lonely)

    # One replica loses its network before the certificates are fixed, and keeps its last verdicts for a day.
    fixed = exporter("a")
    isolated = exporter("b")
    for replica, end in ((fixed, 70), (isolated, LENGTH + 1)):
        replica.target("relay", NAME, resolved=1, lookup=1 if replica is fixed else between(60, LENGTH + 1, 0, 1))
        replica.backend(
            "relay",
            NAME,
            10,
            success=1 if replica is fixed else between(60, LENGTH + 1, 0, 1),
            failure=("connect", "unreachable"),
            last_seen=lambda t, end=end: 60 * (t if end == 70 else min(t, 59)),
            hostname_match=between(0, end, 0, 1),
            name_match=between(0, end, 0, 1),
            trusted=between(0, end, 0, 1),
            file_match=between(0, end, 0, 1),
            not_after=between(0, end, 3 * DAY, 90 * DAY),
            not_before=between(0, end, -87 * DAY, 0),
        )
    yield settles(f"{setup}: one replica loses its network before certificates are fixed", 200, fixed, isolated)

    # One replica sees a problem of certificates, so it is reported, once.
    yield keeps_firing(f"{setup}: two replicas see a broken fleet", broken(exporter("a")), broken(exporter("b")))

    one_down = expected("ExporterDown", "warning", exporter("b").identity())
    yield fires_only(
        f"{setup}: one of two replicas is down",
        [one_down],
        healthy(exporter("a")),
        healthy(exporter("b", vanishes=100)),
    )

    # The series end, and failed scrapes are the only news. Alertmanager therefore needs no inhibition by
    # SmtpTlsExporterDown, which could hide what another Prometheus server still sees.
    down = [expected("ExporterDown", "critical", exporter("a").scrape_labels())]
    down += [expected("ExporterDown", "warning", exporter(name).identity()) for name in ("a", "b")]
    yield fires_only(
        f"{setup}: all replicas with a healthy fleet go down",
        down,
        healthy(exporter("a", vanishes=240)),
        healthy(exporter("b", vanishes=241)),
    )
    unlucky = exporter("a", vanishes=240)
    unlucky.target("relay", NAME, resolved=2, lookup=between(239, 300, 0, 1))
    unlucky.backend("relay", NAME, 10, success=between(239, 300, 0, 1), failure=("connect", "timeout"))
    unlucky.backend(
        "relay", NAME, 11, success=between(239, 300, 0, 1), failure=("handshake", "reset"), handshake_errors=1
    )
    yield fires_only(f"{setup}: the only replica goes down after a failed probe", [down[0], down[1]], unlucky)
    yield starts_only(
        f"{setup}: all replicas with a broken fleet go down",
        down,
        broken(exporter("a", vanishes=200)),
        broken(exporter("b", vanishes=201)),
    )


def replica_views() -> Iterable[str]:
    """Two Prometheus servers scrape the same exporter, and the rules see the series of both."""

    def view(server: str) -> Labels:
        return {**plain("a"), "replica": server, "prometheus_replica": server}

    yield never_fires(
        "one of two Prometheus servers cannot reach the exporter",
        healthy(Exporter("x", view)),
        healthy(Exporter("y", view, vanishes=100)),
    )
    yield keeps_firing(
        "two Prometheus servers see a broken fleet", broken(Exporter("x", view)), broken(Exporter("y", view))
    )
    yield keeps_firing(
        "one of two Prometheus servers cannot reach the exporter of a broken fleet",
        broken(Exporter("x", view)),
        broken(Exporter("y", view, vanishes=200)),
    )


def separate_jobs() -> Iterable[str]:
    """Two jobs of the same name with the same targets: what one of them sees is not mixed with what the other sees."""
    for label in ("cluster", "namespace"):
        eu, us = ((lambda place: lambda name: {**relabeled(name), label: place})(place) for place in ("eu", "us"))
        yield keeps_firing(
            f"two jobs that differ in {label}, one with a broken fleet",
            healthy(Exporter("a", eu)),
            broken(Exporter("a", us)),
        )
        yield fires_only(
            f"two jobs that differ in {label}, one of them down",
            [
                expected("ExporterDown", "critical", Exporter("a", us).scrape_labels()),
                expected("ExporterDown", "warning", Exporter("a", us).identity()),
            ],
            healthy(Exporter("a", eu)),
            healthy(Exporter("a", us, vanishes=100)),
        )


def probe_cases() -> Iterable[str]:
    """Jobs that scrape /probe: every target is an instance, and each scrape is a round of its own."""
    yield never_fires("/probe: a healthy fleet", healthy(ProbeJob()))
    single = ProbeJob()
    single.target("relay", NAME, resolved=2, lookup=between(120, 121, 0, 1))
    single.backend("relay", NAME, 10, success=between(60, 61, 0, 1), failure=("connect", "timeout"))
    single.backend("relay", NAME, 11, success=between(60, 61, 0, 1), failure=("handshake", "reset"), handshake_errors=1)
    yield never_fires("/probe: one probe and one lookup fail", single)
    yield keeps_firing("/probe: a broken fleet", broken_servers(ProbeJob()))
    yield keeps_firing("/probe: the exporter of a broken fleet restarts", broken_servers(ProbeJob(restarts=250)))
    failing = expected("ProbeScrapeFailing", "warning", {**ProbeJob().scrape_labels(), "instance": "wrong"})
    refused = ProbeJob(refused={"wrong": 100})
    refused.target("wrong", WRONG, resolved=1)
    refused.backend("wrong", WRONG, 20)
    yield fires_only("/probe: the exporter refuses one of two targets", [failing], healthy(refused))
    down = expected("ExporterDown", "critical", ProbeJob().scrape_labels())
    yield fires_only("/probe: the exporter goes down", [down], healthy(ProbeJob(refused={"relay": 100})))
    yield starts_only(
        "/probe: the exporter of a broken fleet goes down",
        [down],
        broken_servers(ProbeJob(refused=dict.fromkeys(("relay", "wrong", "dead", "gone"), 200))),
    )
    for interval in (4, 5):
        name = f"/probe every {interval} minutes: a broken fleet"
        yield keeps_firing(name, broken_servers(ProbeJob(step=interval)))
    # Both ways for the same targets: each job has its own alerts.
    for interval in (1, 2, 5):
        name = f"/probe beside /metrics, every {interval} minutes"
        yield never_fires(name, healthy(Exporter()), healthy(ProbeJob(step=interval)))
    name = "/probe beside /metrics, with a broken fleet"
    yield keeps_firing(name, healthy(Exporter()), broken_servers(ProbeJob(step=1)))


def rotation_cases() -> Iterable[str]:
    """Jobs that scrape /probe, and lookups that return other addresses each time: a response has only those."""
    failures = {"connect": "timeout", "handshake": "reset", "starttls": "starttls_refused"}
    for step in (1, 2, 5):
        for stage, reason in failures.items():
            for size in (1, 3) if step == 2 else (1,):
                name = f"/probe every {step} minutes, {size} of 12 addresses: one probe fails ({stage})"
                at = between(60, 60 + step, 0, 1)
                yield never_fires(name, rotating(ProbeJob(step=step), size, at, (stage, reason)), end=100)
            name = f"/probe every {step} minutes, 1 of 12 addresses: all fail ({stage})"
            down = expected("TargetDown", "critical", {**alerted(), "target": "relay", **endpoint(NAME)})
            yield fires_only(name, [down], rotating(ProbeJob(step=step), 1, constant(0), (stage, reason)), end=60)
        # The first response of a new target.
        new = ProbeJob(step=step, starts=100)
        new.target("relay", NAME, resolved=1)
        new.backend(
            "relay",
            NAME,
            10,
            success=between(100, 100 + step, 0, 1),
            failure=("handshake", "reset"),
            handshake_errors=1,
        )
        yield never_fires(f"/probe every {step} minutes: the first probe of a new target fails", healthy(Exporter()), new, end=130)


def rotating(job: ProbeJob, size: int, success: Values, failure: tuple[str, str]) -> ProbeJob:
    """Adds a target with 12 addresses, of which each response has the next `size` ones."""
    job.target("relay", NAME, resolved=size)
    turns = 12 // size
    for number in range(12):
        listed = lambda t, turn=number // size: t // job.step % turns == turn  # noqa: E731
        job.backend("relay", NAME, 10 + number, success=success, failure=failure, handshake_errors=1, listed=listed)
    return job


def alerted() -> Labels:
    """The labels that all alerts about servers of a job for /probe have."""
    return {**ProbeJob().scrape_labels(), "team": "mail"}


def label_cases(kept: list[str]) -> Iterable[str]:
    """Targets have the labels `team` and `tier`, of which the rules keep those in `kept`."""
    both = {"team": "mail", "tier": "gold"}
    exporters = [broken(Exporter(name, user=both)) for name in ("a", "b")]
    yield keeps_firing(f"targets have the labels team and tier, rules keep {kept}", *exporters, kept=kept)

    # Two targets with one server: one alert about the server for each set of labels that the rules keep.
    shared = Exporter(user=both)
    shared.target("dead", DEAD, resolved=1, distinct=None)
    shared.backend("dead", DEAD, 30, success=0, failure=("connect", "timeout"), certificate=False)
    shared.user = {**both, "tier": "silver"}
    shared.target("again", DEAD, resolved=1, distinct=None)
    shared.backend("again", DEAD, 30, success=0, failure=("connect", "timeout"), certificate=False)
    tiers = ("gold", "silver")
    users = [{label: {**both, "tier": tier}[label] for label in kept} for tier in tiers]
    down = [
        expected("TargetDown", "critical", {**shared.scrape_labels(), **user, **endpoint(DEAD), "target": target})
        for user, target in zip(users, ("dead", "again"), strict=True)
    ]
    backend = {**shared.scrape_labels(), **endpoint(DEAD), "backend": "192.0.2.30:587"}
    servers = [expected("BackendDown", "warning", {**backend, **user}) for user in users]
    servers = [server for at, server in enumerate(servers) if server not in servers[:at]]
    yield fires_only(f"two targets with one server differ in tier, rules keep {kept}", down + servers, shared)


class Exporter:
    """The series of one exporter instance. It finishes no round in the first two minutes after its start. It is removed
    from Prometheus when it `ends`, and cannot be scraped after it `vanishes`."""

    # Seconds between two rounds.
    interval = 300

    def __init__(
        self,
        name: str = "a",
        labels: Callable[[str], Labels] = relabeled,
        *,
        restarts: int | None = None,
        starts: int = 0,
        ends: int = LENGTH + 1,
        vanishes: int = LENGTH + 1,
        user: Labels | None = None,
        step: int = 1,
    ) -> None:
        # Minutes between two scrapes.
        self.step = step
        self.labels = labels(name)
        self.user = user or {"team": "mail"}
        self._restarts = restarts
        self._starts = starts
        self._ends = ends
        self._vanishes = vanishes
        self.is_broken = self.has_local_errors = False
        self.series: list[str] = []
        self._add("up", {}, lambda t: int(self._is_up(t)), lambda t: self._starts <= t < self._ends)
        self._add("smtp_tls_exporter_build_info", {"version": "0.1.0"}, constant(1), self._is_up)
        self._add("smtp_tls_exporter_config_last_reload_successful", {}, constant(1), self._is_up)
        self._add("smtp_tls_exporter_shard_ordinal", {}, constant(0), self._is_up)
        self._add("smtp_tls_exporter_total_shards", {}, constant(1), self._is_up)

    def scrape_labels(self) -> Labels:
        return {label: value for label, value in self.labels.items() if label in SCRAPE_LABELS}

    def identity(self) -> Labels:
        """The labels of alerts about an instance."""
        return {label: value for label, value in self.labels.items() if label in [*SCRAPE_LABELS, "instance", "pod"]}

    def skipped(self, target: str) -> None:
        labels = {"target": target, **self.user, "reason": "address_not_allowed"}
        self._add("smtp_tls_target_addresses_skipped", labels, 1, self._has_round)

    def local_errors(self) -> None:
        self.has_local_errors = True
        self._add("smtp_tls_exporter_local_errors_total", {"reason": "overloaded"}, lambda t: t, self._is_up)

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
        labels = {"target": name, **self.user}
        self._add("smtp_tls_target_interval_seconds", labels, constant(self.interval), self._is_up)
        # The timestamp of the last round is 0 before the first round, not absent.
        self._add("smtp_tls_target_last_round_timestamp_seconds", labels, self._since_round(lambda t: 60 * t + 1))
        self._add("smtp_tls_target_lookup_success", labels, lookup, self._has_round)
        self._add("smtp_tls_target_nameservers_disagree", labels, disagree, self._has_round)
        labels = {"target": name, "server_name": server_name, **self.user}
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
        hostname_match: int | Values = 1,
        name_match: int | Values = 1,
        trusted: int | Values = 1,
        revoked: bool = False,
        file_match: int | Values = 1,
        not_after: int | Values = 60 * DAY,
        not_before: int | Values = -30 * DAY,
        listed: Callable[[int], bool] = lambda t: True,
    ) -> None:
        """Adds the series of a backend, without samples where it is not `listed`."""
        labels = {"target": target, "server_name": server_name, **self.user}
        labels |= {"backend": f"192.0.2.{number}:587", "tls": "starttls"}

        def add(name: str, value: int | Values, /, **more: str) -> None:
            self._add(f"smtp_tls_{name}", {**labels, **more}, value, lambda t: self._has_round(t) and listed(t))

        succeeds = values(success)
        fails: Values = lambda t: None if succeeds(t) else 1  # noqa: E731
        add("backend_resolved", resolved)
        add("probe_success", success)
        errors = values(handshake_errors)
        add("handshake_errors", lambda t: 0 if succeeds(t) else errors(t))
        if failure:
            add("probe_failure_info", fails, stage=failure[0], reason=failure[1])
        if not certificate:
            return
        add("cert_last_seen_timestamp_seconds", last_seen)
        add("cert_hostname_match", hostname_match)
        add("cert_name_match", name_match, name="mail.example.com")
        add("cert_file_match", file_match)
        add("cert_not_after_timestamp_seconds", not_after)
        add("cert_not_before_timestamp_seconds", not_before)
        add("verified_chain_not_after_timestamp_seconds", not_after)
        add("chain_trusted", trusted)
        add("chain_valid", trusted)
        if revoked:
            add("ocsp_error", 1, reason="revoked")

    def since_start(self, t: int) -> int:
        """Minutes since the last start, like the value of a counter."""
        return t - self._restarts if self._restarts is not None and t >= self._restarts else t

    def _is_up(self, t: int) -> bool:
        is_restarting = self._restarts is not None and self._restarts <= t < self._restarts + 2
        return self._starts <= t < min(self._ends, self._vanishes) and not is_restarting

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
        labels: Labels,
        value: int | Values | None,
        exists: Callable[[int], bool] = lambda t: True,
    ) -> None:
        if value is None:
            return
        value = values(value)
        sample: Values = lambda t: value(t) if exists(t) else None  # noqa: E731
        series = notation([sample(t) if t % self.step == 0 else NOT_SCRAPED for t in range(LENGTH + 1)])
        self.series.append(f"- series: {name}{{{selector({**self.labels, **labels})}}}\n  values: {series}\n")


class ProbeJob(Exporter):
    """The series of a job that scrapes /probe every `step` minutes. Scrapes of a refused target fail from a time on."""

    # That of the exporter's configuration, which has no effect on targets that are not configured.
    interval = 3600

    def __init__(
        self,
        *,
        step: int = 2,
        starts: int = 0,
        restarts: int | None = None,
        refused: dict[str, int] | None = None,
    ) -> None:
        self._refused = refused or {}
        super().__init__(labels=lambda _: {"job": "smtp_tls_probe"}, starts=starts, restarts=restarts, step=step)
        # A scrape of /probe has no metrics of the exporter.
        self.series.clear()

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
        is_up: Values = lambda t: int(self._is_up(t) and t < self._end(name))  # noqa: E731
        self._add("up", {"target": name}, is_up, lambda t: t >= self._starts)
        super().target(name, server_name, resolved=resolved, lookup=lookup, disagree=disagree, distinct=distinct)

    def since_start(self, t: int) -> int:
        """Each scrape is a round of its own, which counts from 0."""
        return 1

    def _has_round(self, t: int) -> bool:
        """Every scrape has a finished round."""
        return self._is_up(t)

    def _end(self, target: str) -> int:
        return self._refused.get(target, LENGTH + 1)

    def _add(
        self,
        name: str,
        labels: Labels,
        value: int | Values | None,
        exists: Callable[[int], bool] = lambda t: True,
    ) -> None:
        target = labels.get("target", "")
        if name == "up":
            labels = {}
        end = LENGTH + 1 if name == "up" else self._end(target)
        super()._add(name, {**labels, "instance": target}, value, lambda t: exists(t) and t < end)


def healthy(exporter: Exporter) -> Exporter:
    exporter.target("relay", NAME, resolved=2)
    exporter.backend("relay", NAME, 10)
    exporter.backend("relay", NAME, 11)
    return exporter


def broken(exporter: Exporter, resolved: int | Values = 1, *, local_errors: bool = True) -> Exporter:
    """Adds servers with every kind of problem."""
    exporter.is_broken = True
    if local_errors:
        exporter.local_errors()
    exporter.target("relay", NAME, resolved=5, distinct=2, disagree=1)
    exporter.skipped("relay")
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


def broken_servers(exporter: Exporter) -> Exporter:
    """Without problems of the exporter itself."""
    return broken(exporter, local_errors=False)


def endpoint(server_name: str) -> Labels:
    return {"server_name": server_name, "port": "587", "tls": "starttls"}


def alerts_of_broken(exporter: Exporter, kept: list[str]) -> list[Labels]:
    """All alerts of a broken fleet, except those about rounds, whose state is reset by a restart, and BackendFlapping."""
    labels = {**exporter.scrape_labels(), **{label: exporter.user[label] for label in kept}}

    def backend(number: int, server_name: str = NAME) -> Labels:
        return {**labels, **endpoint(server_name), "backend": f"192.0.2.{number}:587"}

    def target(name: str, **more: str) -> Labels:
        return {**labels, "target": name, **more}

    return [
        expected("AddressesSkipped", "warning", target("relay")),
        expected("BackendDown", "warning", backend(12)),
        expected("BackendDown", "warning", backend(30, DEAD)),
        expected("CertificateExpiring", "critical", backend(11)),
        expected("CertificateExpiring", "warning", backend(11)),
        expected("CertificateRevoked", "critical", backend(11)),
        expected("CertificatesDiffer", "info", target("relay", server_name=NAME)),
        expected("ChainInvalid", "critical", backend(11)),
        expected("DnsFailing", "warning", target("gone")),
        expected("ExpectedNameMissing", "warning", {**backend(11), "name": "mail.example.com"}),
        expected("HandshakeFailing", "critical", backend(14)),
        expected("HostnameMismatch", "critical", target("wrong", server_name=WRONG)),
        expected("HostnameMismatchPartial", "critical", target("relay", server_name=NAME)),
        expected("NameServersDisagree", "warning", target("relay")),
        expected("NotReloaded", "warning", backend(11)),
        expected("StarttlsMissing", "critical", backend(13)),
        expected("TargetDown", "critical", target("dead", **endpoint(DEAD))),
        expected("TargetUnresolved", "critical", target("gone")),
    ]


def expected(alert: str, severity: str, labels: Labels) -> Labels:
    return {"alertname": f"SmtpTls{alert}", "severity": severity, "alertstate": "firing", **labels}


def never_fires(name: str, *exporters: Exporter, end: int = LENGTH) -> str:
    """Expects that no alert fires at any time."""
    return fires_only(name, [], *exporters, end=end)


def fires_only(name: str, alerts: list[Labels], *exporters: Exporter, end: int = LENGTH) -> str:
    """Expects that these alerts fire at the end, and that no others fire at any time."""
    ever = f'count_over_time(ALERTS{{alertstate="firing"}}[{end}m]) > bool 0'
    at_end = 'ALERTS{alertstate="firing"} > bool 0'
    checks = {expression: [(labels, 1) for labels in alerts] for expression in (ever, at_end)}
    return group(name, exporters, checks, end)


def settles(name: str, minute: int, *exporters: Exporter) -> str:
    """Expects that alerts fire in the first hour, and none after this minute."""
    return group(
        name,
        exporters,
        {
            f'count(count_over_time(ALERTS{{alertstate="firing"}}[1h] offset {LENGTH - 60}m)) > bool 0': [({}, 1)],
            f'count_over_time(ALERTS{{alertstate="firing"}}[{LENGTH - minute}m])': [],
        },
    )


def starts_only(name: str, alerts: list[Labels], *exporters: Exporter) -> str:
    """Expects that these alerts are the only ones at the end, and the only ones that start to fire after minute 200. All
    alerts of a broken fleet fire before that."""
    broken_alerts = [(labels, 1) for labels in all_of_broken(exporters, ["team"])]
    ever = 'count_over_time(ALERTS{alertstate="firing"}[99m])'
    before = 'count_over_time(ALERTS{alertstate="firing"}[99m] offset 101m)'
    return group(
        name,
        exporters,
        {
            f"{before} > bool 0": broken_alerts,
            f"({ever} unless {before}) > bool 0": [(labels, 1) for labels in alerts],
            'ALERTS{alertstate="firing"} > bool 0': [(labels, 1) for labels in alerts],
        },
    )


def keeps_firing(name: str, *exporters: Exporter, kept: list[str] | None = None) -> str:
    """Expects that every alert of a broken fleet, and no other, fires in each minute of the last hour."""
    alerts = [(labels, 60) for labels in all_of_broken(exporters, kept or ["team"])]
    return group(name, exporters, {'count_over_time(ALERTS{alertstate="firing"}[3599s])': alerts})


def all_of_broken(exporters: Iterable[Exporter], kept: list[str]) -> list[Labels]:
    alerts: list[Labels] = []
    for exporter in exporters:
        of_exporter = alerts_of_broken(exporter, kept) if exporter.is_broken else []
        if exporter.has_local_errors:
            of_exporter.append(expected("LocalErrors", "warning", exporter.identity()))
        alerts += [alert for alert in of_exporter if alert not in alerts]
    return alerts


def group(
    name: str,
    exporters: Iterable[Exporter],
    checks: dict[str, list[tuple[Labels, int]]],
    end: int = LENGTH,
) -> str:
    """A test of these expressions and their samples at the end."""
    series = "".join(series for exporter in exporters for series in exporter.series)
    tests = ""
    for expression, samples in checks.items():
        rows = "".join(f"- {{labels: '{{{selector(labels)}}}', value: {value}}}\n" for labels, value in samples)
        tests += f"      - expr: '{expression}'\n        eval_time: {end}m\n        exp_samples:"
        tests += "\n" + indent(rows, "          ") if rows else " []\n"
    return (
        f"  - name: {json.dumps(name)}\n    interval: 1m\n    input_series:\n{indent(series, '      ')}"
        f"    promql_expr_test:\n{tests}"
    )


def constant(value: int) -> Values:
    return lambda t: value


def values(value: int | Values | None) -> Values:
    return value if callable(value) else lambda t: value


def between(begin: int, end: int, inside: int | None, outside: int | None) -> Values:
    return lambda t: inside if begin <= t < end else outside


def alternating(minutes: int) -> Values:
    return lambda t: 1 - t // minutes % 2


def selector(labels: Labels) -> str:
    return ",".join(f"{label}={json.dumps(text)}" for label, text in labels.items())


def notation(samples: list[int | str | None]) -> str:
    """Returns samples in promtool's notation: `1+2x3` is 1 3 5 7. The end of a series is marked as stale."""
    words: list[str] = []
    at = 0
    scraped: int | str | None = None
    while at < len(samples):
        first = samples[at]
        if not isinstance(first, int):
            is_end = first is None and scraped is not None
            words.append("stale" if is_end else "_")
            scraped = scraped if first is NOT_SCRAPED else first
            at += 1
            continue
        following = samples[at + 1] if at + 1 < len(samples) else None
        step = following - first if isinstance(following, int) else 0
        end = at + 1
        while end < len(samples) and samples[end] == first + step * (end - at):
            end += 1
        words.append(f"{first}{step:+}x{end - at - 1}")
        scraped = first
        at = end
    return " ".join(words)


if __name__ == "__main__":
    main(*sys.argv[1:])
