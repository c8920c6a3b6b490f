"""Checks of DNS that changes: the initial state, the changes while zones are edited and name servers stop, and the
restored state. All changes are made at the same time; each check then waits for the effect of one of them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping

from .checks import Step, await_vector, expect
from .dns import INTERVAL, LEAVING, MAIN, MANY, PLAIN, RETENTION, ROTATION, TWELVE, Dns
from .postfix import log_name
from .process import wait_until
from .prometheus import JOB
from .servers import IMPLICIT, STARTTLS, Host

# One round, the end of the retention in the next one, a scrape, and a margin for a busy host.
TIMEOUT = 8.0 * INTERVAL
# Scrapes, one per second, for which a state must last: three rounds, each of which may wait for its lookup and
# for its permit.
STABLE = 7 * INTERVAL

ROTATION_ROUNDS = 40
# A busy host may miss up to half of the rounds.
ROTATION_SECONDS = 2 * ROTATION_ROUNDS


def steps(dns: Dns) -> Iterator[Step]:
    """In this order."""
    checks = Checks(dns)
    yield from _named(checks.initial())
    yield "dns: zones are edited, one is removed, one name server stops, one becomes slow", checks.change
    yield from _named(checks.changed())
    yield "dns: the changes are undone", checks.restore
    yield from _named(checks.restored())


def _named(checks: tuple[Callable[[], None], ...]) -> Iterator[Step]:
    """Named by their docstrings."""
    for check in checks:
        yield f"dns: {check.__doc__}", check


class Checks:
    def __init__(self, dns: Dns) -> None:
        self._dns = dns
        self._changed_at = 0.0

    def initial(self) -> tuple[Callable[[], None], ...]:
        return (
            self._mx, self._null_mx, self._no_mx, self._missing_mx_host, self._aliased_mx_host, self._srv,
            self._same_mx_host, self._large_answer, self._invalid_signature, self._disagreement, self._balanced,
            self._sampled,
        )  # fmt: skip

    def changed(self) -> tuple[Callable[[], None], ...]:
        # The first one must run before the retention ends.
        return (
            self._address_removed, self._address_added, self._address_replaced, self._failing_address_removed,
            self._all_addresses_removed, self._name_removed, self._zone_removed, self._name_server_stopped,
            self._slow_name_server, self._silent_name_server,
        )  # fmt: skip

    def restored(self) -> tuple[Callable[[], None], ...]:
        return (self._restored, self._alias_logged_once, self._one_session, self._rotated, self._exits)

    def change(self) -> None:
        """Waits until the initial state of all that will change has been seen."""
        dns = self._dns
        for target in ("removed", "retired", "emptied", "vanished", "smtp", "stopped", "slow"):
            self._await_counts(target, 2)
        for target in ("added", "moved"):
            self._await_counts(target, 1)
        dns.knot.publish(MAIN, dns.main(edited=True))
        dns.knot.withdraw(LEAVING)
        dns.lone.stop()
        dns.slow.delay = 0.4
        self._changed_at = time.monotonic()

    def restore(self) -> None:
        dns = self._dns
        dns.lone.restart()
        dns.slow.delay = 0.0
        dns.knot.publish(MAIN, dns.main())

    # The initial state.

    def _mx(self) -> None:
        """MX: Postfix and Exim, each with its own server name and preference"""
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

    def _null_mx(self) -> None:
        """null MX: no hosts, and no lookup failure"""
        target = f"mx:null.{MAIN}"
        self._await("target_hosts", target, {target: 0}, by="target")
        self._await("target_lookup_success", target, {target: 1}, by="target")
        for name in ("target_lookup_failure_info", "endpoint_info", "probe_success"):
            self._await(name, target, {})

    def _no_mx(self) -> None:
        """no MX: the domain itself is the host"""
        domain = f"implicit.{MAIN}"
        target = f"mx:{domain}"
        self._await("endpoint_info", target, {domain: 1}, by="server_name")
        self._await("probe_success", target, backends(self._dns.mx.address), server_name=domain)
        self._await("target_lookup_success", target, {target: 1}, by="target")

    def _missing_mx_host(self) -> None:
        """an MX host that does not exist is reported, and the other one is probed"""
        target = f"mx:half.{MAIN}"
        nowhere = {"reason": "nxdomain", "type": "A"}
        self._await("target_lookup_failure_info", target, {f"nowhere.{MAIN}": 1}, by="name", **nowhere)
        self._await("target_lookup_success", target, {target: 0}, by="target")
        self._await("target_hosts", target, {target: 2}, by="target")
        self._await("probe_success", target, backends(self._dns.mx.address))

    def _aliased_mx_host(self) -> None:
        """an MX host that is a CNAME is followed and keeps its own server name"""
        target, alias = f"mx:aliased.{MAIN}", f"alias.{MAIN}"
        for name in ("probe_success", "cert_hostname_match"):
            self._await(name, target, backends(self._dns.mx.address), server_name=alias)
        self._await("endpoint_info", target, {alias: 1}, by="server_name")

    def _srv(self) -> None:
        """SRV: submission by implicit TLS and by STARTTLS, each at its port"""
        target = f"submission:both.{MAIN}"
        for tls, port in (("implicit", IMPLICIT), ("starttls", STARTTLS)):
            self._await("endpoint_info", target, {tls: 1}, by="tls", tls=tls, port=str(port))
        self._await("probe_success", target, {f"{self._dns.mx.address}:{port}": 1 for port in (IMPLICIT, STARTTLS)})

    def _same_mx_host(self) -> None:
        """twelve domains with the same MX host: each has its own series"""
        hub = f'server_name="hub.{MAIN}"'
        expected = {f"mx:{domain}": 1.0 for domain in TWELVE}
        for name in ("probe_success", "cert_hostname_match", "target_backends_resolved"):
            self._await_expression(f'smtp_tls_{name}{{job="{JOB}",{hub}}}', expected, by="target")

    def _large_answer(self) -> None:
        """an answer of over 1,232 bytes arrives complete, over TCP"""
        self._await_counts("many", MANY)
        # As many addresses, without duplicates.
        self._await("backend_resolved", "many", {f"{address}:{STARTTLS}": 1 for address in self._dns.many})

    def _invalid_signature(self) -> None:
        """an invalid signature behind unbound: no address of that name is used, other names of the zone are"""
        failure = metric("target_lookup_failure_info", "bad", type="A")
        samples = wait_until("a reason", lambda: self._dns.prometheus.query(failure))
        reasons = [sample.labels["reason"] for sample in samples]
        print(f"# reasons for an invalid signature behind unbound: {', '.join(reasons)}", flush=True)
        expect(reasons == ["dns_bogus"], f"{reasons}")
        self._await("target_lookup_success", "bad", {"bad": 0}, by="target")
        self._await("probe_success", "bad", {})
        self._await("target_lookup_success", "good", {"good": 1}, by="target")
        self._await("probe_success", "good", backends(self._dns.first.address))

    def _disagreement(self) -> None:
        """name servers that disagree are reported, and the addresses of both are probed"""
        self._await("target_nameservers_disagree", "disputed", {"disputed": 1}, by="target")
        self._await("target_nameservers_disagree", "agreed", {"agreed": 0}, by="target")
        both = self._both()
        self._await("probe_success", "disputed", both)
        self._await("target_lookup_success", "disputed", {"disputed": 1}, by="target")
        self._await_counts("disputed", 2)
        # Without `compare` there is no such series.
        self._await("target_nameservers_disagree", "slow", {}, by="target")

    def _balanced(self) -> None:
        """HAProxy: both certificates of an address are known"""
        self._await("backend_distinct_certificates", "balanced", {f"{self._dns.balanced}:{STARTTLS}": 2})
        self._await("cert_mismatched_samples", "balanced", {})

    def _sampled(self) -> None:
        """HAProxy: with samples, mismatched certificates are counted and decide the verdict"""
        backend = f"{self._dns.sampled}:{STARTTLS}"
        self._await("backend_distinct_certificates", "sampled", {backend: 2})
        # Half of the four samples, by round robin.
        self._await("cert_mismatched_samples", "sampled", {backend: 2})
        self._await("cert_hostname_match", "sampled", {backend: 0})
        self._await("target_backends_hostname_mismatched", "sampled", {f"sampled.{MAIN}": 1}, by="server_name")

    # After the changes.

    def _address_added(self) -> None:
        """an address is added: probed and counted"""
        self._await("probe_success", "added", self._both())
        self._await_counts("added", 2)

    def _address_replaced(self) -> None:
        """an address is replaced: the new one is probed, the old one not counted"""
        first, second = (backend(host) for host in (self._dns.first, self._dns.second))
        self._await("backend_resolved", "moved", {first: 0, second: 1})
        self._await_counts("moved", 1)

    def _address_removed(self) -> None:
        """an address is removed and its server answers: not counted, later dropped"""
        first, second = (backend(host) for host in (self._dns.first, self._dns.second))
        self._await("backend_resolved", "removed", {first: 1, second: 0})
        self._await_counts("removed", 1)
        # It is probed until it is dropped.
        self._await("probe_success", "removed", {first: 1, second: 1})
        self._await("probe_success", "removed", {first: 1}, seconds=RETENTION + TIMEOUT)
        self._await("backend_resolved", "removed", {first: 1})

    def _failing_address_removed(self) -> None:
        """an address is removed and its server fails: dropped"""
        first = backend(self._dns.first)
        self._await("backend_resolved", "retired", {first: 1})
        # It raises no alert: it was dropped before backend_resolved became 0.
        dead = f"{self._dns.dead}:{STARTTLS}"
        self._await("backend_resolved", "retired", {first: 1, dead: 1}, function="min_over_time", over=120)
        self._await_counts("retired", 1)
        self._await("probe_failure_info", "retired", {})

    def _all_addresses_removed(self) -> None:
        """all addresses are removed: kept for the retention, then dropped"""
        self._await("target_lookup_success", "emptied", {"emptied": 0}, by="target")
        self._await_failure("emptied", "nodata")
        # They may be dropped by now, so query for how long they were kept.
        since = max(1, round(time.monotonic() - self._changed_at))
        scrapes = f"count_over_time({metric('backend_resolved', 'emptied')}[{since}s])"
        self._await_expression(f"{scrapes} >= bool {RETENTION - 3 * INTERVAL}", self._both())
        self._await("backend_resolved", "emptied", {}, seconds=RETENTION + TIMEOUT)
        self._await("probe_success", "emptied", {})

    def _name_removed(self) -> None:
        """the name is removed (NXDOMAIN): reported, and the backends are kept"""
        self._await_failure("vanished", "nxdomain")
        self._await_kept("vanished", f"vanished.{MAIN}")

    def _zone_removed(self) -> None:
        """the zone is removed (SERVFAIL by unbound): reported, and the backends are kept"""
        self._await_failure("smtp", "dns_servfail")
        self._await_kept("smtp", f"smtp.{LEAVING}")

    def _name_server_stopped(self) -> None:
        """the name server is stopped: reported, and the backends are kept"""
        self._await_failure("stopped", "dns_unreachable")
        self._await_kept("stopped", f"stopped.{PLAIN}")

    def _slow_name_server(self) -> None:
        """a slow name server is waited for"""
        seconds = f"{metric('target_lookup_duration_seconds', 'slow')} >= bool {self._dns.slow.delay}"
        self._await_expression(seconds, {"slow": 1}, by="target")
        self._await("target_lookup_success", "slow", {"slow": 1}, by="target")
        self._await("target_lookup_success", "slow", {"slow": 1}, by="target", function="min_over_time", over=STABLE)

    def _silent_name_server(self) -> None:
        """a name server slower than the timeout is reported, and the backends are kept"""
        self._dns.slow.delay = 3600.0
        self._await_failure("slow", "dns_timeout")
        self._await_kept("slow", f"slow.{PLAIN}")

    # After the changes are undone.

    def _restored(self) -> None:
        """names and name servers that return: no failure remains, and no series was interrupted"""
        for target in ("vanished", "stopped", "slow"):
            self._await("target_lookup_success", target, {target: 1}, by="target")
            self._await("target_lookup_failure_info", target, {})
            self._await("backend_resolved", target, self._both(), function="min_over_time", over=60)
        self._await("backend_resolved", "emptied", self._both())
        self._await_counts("removed", 2)

    def _alias_logged_once(self) -> None:
        """a CNAME among the MX hosts is logged once, not every round"""
        # Lines about the state of a backend have a field `target`.
        about = [line for line in self._dns.exporter.log() if f"alias.{MAIN}" in line and " target=" not in line]
        expect(len(about) == 1, f"{len(about)} lines: {about[:3]}")

    def _one_session(self) -> None:
        """twelve domains with the same MX host: one session per round"""
        name = re.compile(rf" {re.escape(log_name(self._dns.hub.address, STARTTLS))}/smtpd\[\d+\]: connect from ")

        def sessions() -> int:
            return sum(1 for line in self._dns.postfix.log.lines_since(0) if name.search(line))

        rounds = 5
        before = sessions()
        time.sleep(rounds * INTERVAL)
        seen = sessions() - before
        expect(rounds - 2 <= seen <= rounds + 2, f"{seen} sessions in {rounds} rounds")

    def _rotated(self) -> None:
        """rotating answers: every backend has one uninterrupted series"""
        dns = self._dns
        expected = {backend(host): 1.0 for host in dns.rotating}
        # Once all addresses are known, after the first rounds.
        self._await("backend_resolved", "rotating", expected)
        rounds = f"sum({metric('probes_total', 'rotating')}) >= bool {ROTATION * (ROTATION_ROUNDS + ROTATION)}"
        self._await_expression(rounds, {"": 1}, by="", seconds=ROTATION_SECONDS)
        expect(dns.rotation.failure is None, f"the rotation failed: {dns.rotation.failure}")
        expect(dns.rotation.steps >= ROTATION_ROUNDS * 2 // 3, f"only {dns.rotation.steps} answers")
        window = f"[{ROTATION_ROUNDS}s]"
        scrapes = f'scalar(count_over_time(up{{job="{JOB}"}}{window}))'
        for name in ("backend_resolved", "probe_success", "cert_hostname_match"):
            series = f"{metric(name, 'rotating')}{window}"
            self._await_expression(f"count_over_time({series}) == bool {scrapes}", expected)
            self._await_expression(f"min_over_time({series})", expected)
        # No backend was ever dropped and added again: there are as many series as addresses.
        ever = f"count_over_time({metric('probe_success', 'rotating')}[10m])"
        self._await_expression(f"count({ever})", {"": ROTATION}, by="")
        success = f"min_over_time({metric('target_lookup_success', 'rotating')}[10m])"
        self._await_expression(success, {"rotating": 1}, by="target")

    def _exits(self) -> None:
        """no scrape failed, and the exporter exits with 0"""
        self._await_expression(f'min_over_time(up{{job="{JOB}"}}[10m])', {JOB: 1}, by="job")
        code = self._dns.exporter.stop(timeout=5.0)
        expect(code == 0, f"exit {code}")

    # Queries.

    def _both(self) -> dict[str, float]:
        return {backend(host): 1 for host in (self._dns.first, self._dns.second)}

    def _await_counts(self, target: str, resolved: int) -> None:
        self._await("target_backends_resolved", target, {"": resolved}, by="", function="sum")

    def _await_failure(self, target: str, reason: str) -> None:
        failures = f"count by (type) ({metric('target_lookup_failure_info', target, type='A', reason=reason)})"
        self._await_expression(failures, {"A": 1}, by="type")

    def _await_kept(self, target: str, server_name: str) -> None:
        """Over several rounds with a failed lookup the backends are counted and probed as before."""
        failed = f"count_over_time(({metric('target_lookup_success', target)} == 0)[60s:1s]) >= bool {STABLE}"
        self._await_expression(failed, {target: 1}, by="target")
        for name in ("backend_resolved", "probe_success"):
            self._await(name, target, self._both(), function="min_over_time", over=STABLE, server_name=server_name)
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
        seconds: float = TIMEOUT,
        **labels: str,
    ) -> None:
        selected = metric(name, target, **labels) + (f"[{over}s]" if over else "")
        self._await_expression(f"{function}({selected})" if function else selected, expected, by=by, seconds=seconds)

    def _await_expression(
        self, expression: str, expected: Mapping[str, float], *, by: str = "backend", seconds: float = TIMEOUT
    ) -> None:
        await_vector(self._dns, expression, expected, by=by, seconds=seconds)


def metric(name: str, target: str, **labels: str) -> str:
    """A selector; label values are patterns."""
    matchers = "".join(f',{label}=~"{value}"' for label, value in labels.items())
    return f'smtp_tls_{name}{{job="{JOB}",target="{target}"{matchers}}}'


def backend(host: Host) -> str:
    return f"{host.address}:{STARTTLS}"


def backends(*addresses: str) -> dict[str, float]:
    return {f"{address}:{STARTTLS}": 1 for address in addresses}
