"""What must be true of names that change: first as they stand, then while the zones are edited and name servers stop,
last after a while. An event is told to everyone at once; the checks then wait for what must come of it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping

from .servers_checks import Step, await_vector, expect
from .dns import INTERVAL, LEAVING, MAIN, MANY, PLAIN, RETENTION, ROTATION, TWELVE, Dns
from .postfix import log_name
from .process import wait_until
from .prometheus import JOB
from .servers import IMPLICIT, STARTTLS, Host

# Whether the exporter probes equal endpoints of several targets once; until it does, that check is left out.
SHARED_PROBES = True

# A round, the retention's end in the next, a scrape, and a machine that has other things to do.
PATIENCE = 8.0 * INTERVAL
# Scrapes of a second in which a state must hold: three rounds, of which each may wait for its lookup and again for its
# turn.
HOLDS = 7 * INTERVAL

ROTATION_ROUNDS = 40
# At most half of the interval's rounds are lost to a machine that is busy.
ROTATION_SECONDS = 2 * ROTATION_ROUNDS


def steps(dns: Dns) -> Iterator[Step]:
    """In the order of the story."""
    story = Story(dns)
    yield from story.standing()
    yield "dns: the events happen: zones are edited, one is withdrawn, a server stops, one is slow", story.strike
    yield from story.struck()
    yield "dns: what can be undone is undone", story.mend
    yield from story.mended()


class Story:
    def __init__(self, dns: Dns) -> None:
        self._dns = dns
        self._struck_at = 0.0

    def standing(self) -> Iterator[Step]:
        yield "dns: MX: Postfix and Exim, each under its own name, with its preference", self._two
        yield "dns: null MX: no hosts, and no failure", self._null
        yield "dns: no MX: the domain is its own host", self._implicit
        yield "dns: an MX host that does not exist is told, and the other is probed", self._half
        yield "dns: an MX host that is an alias is followed, under its own name", self._aliased
        yield "dns: SRV: submission by implicit TLS and by STARTTLS, at their ports", self._submission
        yield "dns: twelve domains on one mail host, and each has its own series", self._twelve
        yield "dns: an answer over 1,232 bytes comes by TCP, whole", self._many
        yield "dns: a broken signature, behind unbound: no address is believed, but those beside it are", self._bogus
        yield "dns: name servers that disagree are told, and what either names is probed", self._disagreement
        yield "dns: HAProxy: both certificates of an address are known", self._balanced
        yield "dns: HAProxy: with samples, the wrong one is counted and decides", self._sampled

    def strike(self) -> None:
        """All that is to be found changed must have been seen before."""
        dns = self._dns
        for target in ("removed", "retired", "emptied", "vanished", "smtp", "stopped", "slow"):
            self._await_counts(target, 2)
        for target in ("added", "moved"):
            self._await_counts(target, 1)
        dns.knot.publish(MAIN, dns.main(edited=True))
        dns.knot.withdraw(LEAVING)
        dns.lone.stop()
        dns.slow.delay = 0.4
        self._struck_at = time.monotonic()

    def struck(self) -> Iterator[Step]:
        # First, as it must be seen before the retention ends.
        yield "dns: an address is removed and answers: it leaves the counts, then goes", self._removed
        yield "dns: an address is added: probed and counted", self._added
        yield "dns: an address moves: the new one is probed, the old one leaves the counts", self._moved
        yield "dns: an address is removed and fails: it leaves", self._retired
        yield "dns: all addresses are removed: kept for the retention, then gone", self._emptied
        yield "dns: the name is gone (NXDOMAIN): told, and the backends are kept", self._vanished
        yield "dns: the zone is gone (SERVFAIL by unbound): told, and the backends are kept", self._left
        yield "dns: the name server is stopped: told, and the backends are kept", self._stopped
        yield "dns: a slow name server is waited for", self._slow
        yield "dns: one that is slower than the patience is told, and the backends are kept", self._silent

    def mend(self) -> None:
        dns = self._dns
        dns.lone.restart()
        dns.slow.delay = 0.0
        dns.knot.publish(MAIN, dns.main())

    def mended(self) -> Iterator[Step]:
        yield "dns: names and name servers that are back: no failure is left, and no series was lost", self._back
        yield "dns: an alias among the MX hosts is logged once, and not each round", self._alias_logged
        if SHARED_PROBES:
            yield "dns: twelve domains on one mail host: it sees one session a round", self._one_session
        rotated = f"dns: {ROTATION_ROUNDS} rounds of answers that rotate: every backend has one unbroken series"
        yield rotated, self._rotated
        yield "dns: the scrapes never failed, and the exporter leaves with 0", self._left_well

    # As it stands.

    def _two(self) -> None:
        postfix, exim = f"mx1.{MAIN}", f"mx2.{MAIN}"
        target = f"mx:two.{MAIN}"
        self._await("target_hosts", target, {target: 2}, by="target")
        for server_name, preference in ((postfix, "10"), (exim, "20")):
            endpoint = {"preference": preference, "port": str(STARTTLS), "tls": "starttls", "server_name": server_name}
            self._await("endpoint_info", target, {server_name: 1}, by="server_name", **endpoint)
        addresses = {postfix: self._dns.mx.address, exim: self._dns.exim_address}
        for name in ("probe_success", "cert_hostname_match", "chain_valid", "backend_resolved"):
            for server_name, address in addresses.items():
                self._await(name, target, backends(address), server_name=server_name)
        self._await("target_backends_resolved", target, {postfix: 1, exim: 1}, by="server_name")

    def _null(self) -> None:
        target = f"mx:null.{MAIN}"
        self._await("target_hosts", target, {target: 0}, by="target")
        self._await("target_lookup_success", target, {target: 1}, by="target")
        for name in ("target_lookup_failure_info", "endpoint_info", "probe_success"):
            self._await(name, target, {})

    def _implicit(self) -> None:
        domain = f"implicit.{MAIN}"
        target = f"mx:{domain}"
        self._await("endpoint_info", target, {domain: 1}, by="server_name")
        self._await("probe_success", target, backends(self._dns.mx.address), server_name=domain)
        self._await("target_lookup_success", target, {target: 1}, by="target")

    def _half(self) -> None:
        target = f"mx:half.{MAIN}"
        nowhere = {"reason": "nxdomain", "type": "A"}
        self._await("target_lookup_failure_info", target, {f"nowhere.{MAIN}": 1}, by="name", **nowhere)
        self._await("target_lookup_success", target, {target: 0}, by="target")
        self._await("target_hosts", target, {target: 2}, by="target")
        self._await("probe_success", target, backends(self._dns.mx.address))

    def _aliased(self) -> None:
        target, alias = f"mx:aliased.{MAIN}", f"alias.{MAIN}"
        for name in ("probe_success", "cert_hostname_match"):
            self._await(name, target, backends(self._dns.mx.address), server_name=alias)
        self._await("endpoint_info", target, {alias: 1}, by="server_name")

    def _submission(self) -> None:
        target = f"submission:both.{MAIN}"
        for tls, port in (("implicit", IMPLICIT), ("starttls", STARTTLS)):
            self._await("endpoint_info", target, {tls: 1}, by="tls", tls=tls, port=str(port))
        self._await("probe_success", target, {f"{self._dns.mx.address}:{port}": 1 for port in (IMPLICIT, STARTTLS)})

    def _twelve(self) -> None:
        hub = f'server_name="hub.{MAIN}"'
        expected = {f"mx:{domain}": 1.0 for domain in TWELVE}
        for name in ("probe_success", "cert_hostname_match", "target_backends_resolved"):
            self._await_expression(f'smtp_tls_{name}{{job="{JOB}",{hub}}}', expected, by="target")

    def _many(self) -> None:
        self._await_counts("many", MANY)
        # By name: as many, and not one twice.
        self._await("backend_resolved", "many", {f"{address}:{STARTTLS}": 1 for address in self._dns.many})

    def _bogus(self) -> None:
        failure = metric("target_lookup_failure_info", "bad", type="A")
        samples = wait_until("a reason", lambda: self._dns.prometheus.query(failure))
        reasons = [sample.labels["reason"] for sample in samples]
        print(f"# a broken signature behind unbound is told as {', '.join(reasons)}", flush=True)
        expect(reasons == ["dns_bogus"], f"{reasons}")
        self._await("target_lookup_success", "bad", {"bad": 0}, by="target")
        self._await("probe_success", "bad", {})
        self._await("target_lookup_success", "good", {"good": 1}, by="target")
        self._await("probe_success", "good", backends(self._dns.first.address))

    def _disagreement(self) -> None:
        self._await("target_nameservers_disagree", "disputed", {"disputed": 1}, by="target")
        self._await("target_nameservers_disagree", "agreed", {"agreed": 0}, by="target")
        both = self._both()
        self._await("probe_success", "disputed", both)
        self._await("target_lookup_success", "disputed", {"disputed": 1}, by="target")
        self._await_counts("disputed", 2)
        # Where nobody is compared, nothing is said.
        self._await("target_nameservers_disagree", "slow", {}, by="target")

    def _balanced(self) -> None:
        self._await("backend_distinct_certificates", "balanced", {f"{self._dns.balanced}:{STARTTLS}": 2})
        self._await("cert_mismatched_samples", "balanced", {})

    def _sampled(self) -> None:
        backend = f"{self._dns.sampled}:{STARTTLS}"
        self._await("backend_distinct_certificates", "sampled", {backend: 2})
        # They take turns, so half of four.
        self._await("cert_mismatched_samples", "sampled", {backend: 2})
        self._await("cert_hostname_match", "sampled", {backend: 0})
        self._await("target_backends_hostname_mismatched", "sampled", {f"sampled.{MAIN}": 1}, by="server_name")

    # While it changes.

    def _added(self) -> None:
        self._await("probe_success", "added", self._both())
        self._await_counts("added", 2)

    def _moved(self) -> None:
        first, second = (backend(host) for host in (self._dns.first, self._dns.second))
        self._await("backend_resolved", "moved", {first: 0, second: 1})
        self._await_counts("moved", 1)

    def _removed(self) -> None:
        first, second = (backend(host) for host in (self._dns.first, self._dns.second))
        self._await("backend_resolved", "removed", {first: 1, second: 0})
        self._await_counts("removed", 1)
        # It is probed for as long as it is kept.
        self._await("probe_success", "removed", {first: 1, second: 1})
        self._await("probe_success", "removed", {first: 1}, seconds=RETENTION + PATIENCE)
        self._await("backend_resolved", "removed", {first: 1})

    def _retired(self) -> None:
        first = backend(self._dns.first)
        self._await("backend_resolved", "retired", {first: 1})
        # It pages nobody: it was gone before it counted as one that DNS does not name.
        dead = f"{self._dns.dead}:{STARTTLS}"
        self._await("backend_resolved", "retired", {first: 1, dead: 1}, function="min_over_time", over=120)
        self._await_counts("retired", 1)
        self._await("probe_failure_info", "retired", {})

    def _emptied(self) -> None:
        self._await("target_lookup_success", "emptied", {"emptied": 0}, by="target")
        self._await_told("emptied", "nodata")
        # By now they may have gone, so it is asked how long they stayed.
        since = max(1, round(time.monotonic() - self._struck_at))
        scrapes = f"count_over_time({metric('backend_resolved', 'emptied')}[{since}s])"
        self._await_expression(f"{scrapes} >= bool {RETENTION - 3 * INTERVAL}", self._both())
        self._await("backend_resolved", "emptied", {}, seconds=RETENTION + PATIENCE)
        self._await("probe_success", "emptied", {})

    def _vanished(self) -> None:
        self._await_told("vanished", "nxdomain")
        self._await_kept("vanished", f"vanished.{MAIN}")

    def _left(self) -> None:
        self._await_told("smtp", "dns_servfail")
        self._await_kept("smtp", f"smtp.{LEAVING}")

    def _stopped(self) -> None:
        self._await_told("stopped", "dns_timeout|dns_servfail")
        self._await_kept("stopped", f"stopped.{PLAIN}")

    def _slow(self) -> None:
        seconds = f"{metric('target_lookup_duration_seconds', 'slow')} >= bool {self._dns.slow.delay}"
        self._await_expression(seconds, {"slow": 1}, by="target")
        self._await("target_lookup_success", "slow", {"slow": 1}, by="target")
        self._await("target_lookup_success", "slow", {"slow": 1}, by="target", function="min_over_time", over=HOLDS)

    def _silent(self) -> None:
        self._dns.slow.delay = 3600.0
        self._await_told("slow", "dns_timeout")
        self._await_kept("slow", f"slow.{PLAIN}")

    # And afterwards.

    def _back(self) -> None:
        for target in ("vanished", "stopped", "slow"):
            self._await("target_lookup_success", target, {target: 1}, by="target")
            self._await("target_lookup_failure_info", target, {})
            self._await("backend_resolved", target, self._both(), function="min_over_time", over=60)
        self._await("backend_resolved", "emptied", self._both())
        self._await_counts("removed", 2)

    def _alias_logged(self) -> None:
        # Lines that say what a backend is like have its target.
        about = [line for line in self._dns.exporter.log() if f"alias.{MAIN}" in line and " target=" not in line]
        expect(len(about) == 1, f"{len(about)} lines: {about[:3]}")

    def _one_session(self) -> None:
        name = re.compile(rf" {re.escape(log_name(self._dns.hub.address, STARTTLS))}/smtpd\[\d+\]: connect from ")

        def sessions() -> int:
            return sum(1 for line in self._dns.postfix.log_since(0) if name.search(line))

        rounds = 5
        before = sessions()
        time.sleep(rounds * INTERVAL)
        seen = sessions() - before
        expect(rounds - 2 <= seen <= rounds + 2, f"{seen} sessions in the time of {rounds} rounds")

    def _rotated(self) -> None:
        dns = self._dns
        expected = {backend(host): 1.0 for host in dns.rotating}
        # Since every address was found, in the first rounds.
        self._await("backend_resolved", "rotating", expected)
        rounds = f"sum({metric('probes_total', 'rotating')}) >= bool {ROTATION * (ROTATION_ROUNDS + ROTATION)}"
        self._await_expression(rounds, {"": 1}, by="", seconds=ROTATION_SECONDS)
        expect(dns.rotation.failure is None, f"the answers rotate no more: {dns.rotation.failure}")
        expect(dns.rotation.steps >= ROTATION_ROUNDS * 2 // 3, f"only {dns.rotation.steps} answers")
        window = f"[{ROTATION_ROUNDS}s]"
        scrapes = f'scalar(count_over_time(up{{job="{JOB}"}}{window}))'
        for name in ("backend_resolved", "probe_success", "cert_hostname_match"):
            series = f"{metric(name, 'rotating')}{window}"
            self._await_expression(f"count_over_time({series}) == bool {scrapes}", expected)
            self._await_expression(f"min_over_time({series})", expected)
        # Each has one series in all the time, and none went and came: not one more than the addresses.
        ever = f"count_over_time({metric('probe_success', 'rotating')}[10m])"
        self._await_expression(f"count({ever})", {"": ROTATION}, by="")
        success = f"min_over_time({metric('target_lookup_success', 'rotating')}[10m])"
        self._await_expression(success, {"rotating": 1}, by="target")

    def _left_well(self) -> None:
        self._await_expression(f'min_over_time(up{{job="{JOB}"}}[10m])', {JOB: 1}, by="job")
        code = self._dns.exporter.stop(patience=5.0)
        expect(code == 0, f"exit {code}")

    # What they ask of Prometheus.

    def _both(self) -> dict[str, float]:
        return {backend(host): 1 for host in (self._dns.first, self._dns.second)}

    def _await_counts(self, target: str, resolved: int) -> None:
        self._await("target_backends_resolved", target, {"": resolved}, by="", function="sum")

    def _await_told(self, target: str, reason: str) -> None:
        told = f"count by (type) ({metric('target_lookup_failure_info', target, type='A', reason=reason)})"
        self._await_expression(told, {"A": 1}, by="type")

    def _await_kept(self, target: str, server_name: str) -> None:
        """For several rounds of a failed lookup: they count as before, and are probed."""
        failed = f"count_over_time(({metric('target_lookup_success', target)} == 0)[60s:1s]) >= bool {HOLDS}"
        self._await_expression(failed, {target: 1}, by="target")
        for name in ("backend_resolved", "probe_success"):
            self._await(name, target, self._both(), function="min_over_time", over=HOLDS, server_name=server_name)
        self._await_counts(target, 2)

    def _await(
        self,
        name: str,
        target: str,
        expected: Mapping[str, float],
        *,
        by: str = "backend",
        function: str = "",
        over: int = 0,
        seconds: float = PATIENCE,
        **labels: str,
    ) -> None:
        selected = metric(name, target, **labels) + (f"[{over}s]" if over else "")
        self._await_expression(f"{function}({selected})" if function else selected, expected, by=by, seconds=seconds)

    def _await_expression(
        self, expression: str, expected: Mapping[str, float], *, by: str = "backend", seconds: float = PATIENCE
    ) -> None:
        await_vector(self._dns, expression, expected, by=by, seconds=seconds)


def metric(name: str, target: str, **labels: str) -> str:
    """A selector; the labels' values are patterns."""
    matchers = "".join(f',{label}=~"{value}"' for label, value in labels.items())
    return f'smtp_tls_{name}{{job="{JOB}",target="{target}"{matchers}}}'


def backend(host: Host) -> str:
    return f"{host.address}:{STARTTLS}"


def backends(*addresses: str) -> dict[str, float]:
    return {f"{address}:{STARTTLS}": 1 for address in addresses}
