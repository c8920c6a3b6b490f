"""Checks of the notifications of two replicas, of which one requires a password and the other one a client
certificate, in this order: none while everything is ok; then many faults at the same time, each of which notifies the
owning team, once, with the facts that it needs; after the fixes each alert resolves; restarts of the replicas are not
noticed, a missing replica is notified on its own; while all replicas are down, only that is notified, and the other
alerts resolve; and when they are back, what is still broken is notified again.

The second replica cannot reach one of the servers and one of the name servers all the time, so no alert about these may
fire.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from . import faults
from .alerting import BLIND, TARGETS, Alerting, Replica, Setup, host
from .checks import Step, expect
from .faults import Fault
from .notifications import Checks

SETUP = Setup(
    "alerting",
    [target for target in TARGETS if target != "denied"],
    replicas=(Replica("node-1"), Replica("node-2", settings=BLIND, has_client_certificates=True)),
    has_access=True,
)

# What the blind replica sees.
FAILING = 'max_over_time(smtp_tls_probe_success{target="slow"}[%ds])'
NOT_LOOKED_UP = 'max_over_time(smtp_tls_target_lookup_success{target="other-dns"}[%ds])'


def steps(alerting: Alerting) -> Iterator[Step]:
    checks = ReplicaChecks(alerting)
    yield "everything is ok: no alert is pending, no notification", checks.check_quiet
    yield "one replica cannot reach a server and a name server: no alert is pending either", checks.check_blind
    yield "many faults are caused at the same time", checks.cause_faults
    yield from checks.firing_steps(checks.early)
    for fault in (checks.reload_failed, checks.web_config_reload_failed):
        yield fault.title, partial(checks.await_firing, fault)
    yield "a target that is down inhibits the alerts about its backends", checks.await_inhibited_backends
    yield "the address of a stopped server leaves DNS: the alert resolves, the counts decrease", checks.retire
    yield from checks.firing_steps(checks.late)
    yield "critical inhibits the warning about the same certificate", checks.await_inhibited_warning
    yield "everything is fixed except one certificate", checks.fix_all_but_one
    yield from checks.resolved_steps(checks.retired, checks.unfixed)
    for fault in (checks.reload_failed, checks.web_config_reload_failed):
        yield f"resolved: {fault.alert}", partial(checks.await_resolved, fault)
    yield "the replicas restart one after another: no notification", checks.restart_in_turn
    yield checks.one_down.title, checks.kill_one
    yield "the replica starts again: resolved, and nothing else was notified", checks.start_one
    yield checks.down.title, checks.kill_exporter
    yield (
        "without an exporter the other alerts resolve, and the warnings about instances are inhibited",
        checks.await_rest,
    )
    yield "the exporter starts again: resolved, and what is still broken is notified again", checks.restart_exporter
    yield "the restart causes no other notification", checks.check_quiet_after_restart
    yield "the last certificate is fixed: resolved", checks.fix_last
    yield "each fault was notified once, to the right receiver, and nothing else was", checks.check_every
    yield "the one replica was blind until the end", checks.check_blind


class ReplicaChecks(Checks):
    def __init__(self, alerting: Alerting) -> None:
        super().__init__(alerting)
        self._first, self._second = alerting.exporters
        self._config = self._first.config.read_text()
        self.reload_failed = faults.reload_failed(alerting, self._first.address)
        self._web_config = alerting.web_configs[1].read_text()
        self.web_config_reload_failed = faults.web_config_reload_failed(alerting, self._second.address)
        self.one_down = faults.instance_down(alerting, self._second.address)
        self.retired = self.of_target("retired")
        self.unfixed = self.of_target("lapsed")
        self._killed_at = 0.0

    def check_blind(self) -> None:
        """What each replica sees, since the start of the last period of quiet."""
        for stack in self.alerting.stacks:
            for query in (FAILING, NOT_LOOKED_UP):
                samples = stack.prometheus.query(query % self.quiet)
                seen = {sample.labels["node"]: sample.value for sample in samples}
                expect(seen == {"node-1": 1, "node-2": 0}, f"{stack.name}: {query}: {seen}")

    def cause_faults(self) -> None:
        super().cause_faults()
        self._first.config.write_text(self._config + "unknown_key: 1\n")
        self._first.reload()
        # It is read without a signal.
        self.alerting.web_configs[1].write_text(self._web_config + "unknown_key: 1\n")

    def retire(self) -> None:
        since = time.monotonic()
        self.fleet.resolve(host("retired"), self.alerting.servers["retired"][:2])
        self.await_notification("resolved", self.retired, since)
        for stack in self.alerting.stacks:
            counts = stack.prometheus.query('smtp_tls_target_backends_resolved{target="retired"}')
            expect([sample.value for sample in counts] == [2, 2], f"{stack.name}: {counts}")

    def await_inhibited_warning(self) -> None:
        warning = {"alertname": "SmtpTlsCertificateExpiring", "severity": "warning"}
        for target in ("tenth-left", "lapsed"):
            self.await_inhibited({**warning, "backend": self.alerting.backend(target, 0)})

    def fix_all_but_one(self) -> None:
        self.fix_all("lapsed")
        self._first.config.write_text(self._config)
        self._first.reload()
        self.alerting.web_configs[1].write_text(self._web_config)

    def restart_in_turn(self) -> None:
        def restart() -> None:
            for exporter in self.alerting.exporters:
                exporter.stop()
                exporter.start()

        self.check_no_notification(restart)
        self._check_firing(self.unfixed)

    def kill_one(self) -> None:
        since = time.monotonic()
        self.check_no_notification(self._second.kill, self.one_down)
        self.await_notification("firing", self.one_down, since)
        # The other replica still sees it.
        self._check_firing(self.unfixed)

    def start_one(self) -> None:
        since = time.monotonic()
        self.check_no_notification(self._second.start, self.one_down)
        self.await_notification("resolved", self.one_down, since)

    def kill_exporter(self) -> None:
        self._killed_at = time.monotonic()
        for exporter in self.alerting.exporters:
            exporter.kill()
        self.await_notification("firing", self.down, self._killed_at)

    def await_rest(self) -> None:
        for exporter in self.alerting.exporters:
            labels = {"alertname": "SmtpTlsExporterDown", "severity": "warning", "instance": exporter.address}
            self.await_inhibited(labels)
        self.await_notification("resolved", self.unfixed, self._killed_at)

    def restart_exporter(self) -> None:
        since = time.monotonic()
        # In this order, so that the blind replica is not alone.
        for exporter in self.alerting.exporters:
            exporter.start()
        self.await_notification("resolved", self.down, since)
        self.await_notification("firing", self.unfixed, since)

    def check_quiet_after_restart(self) -> None:
        self.check_no_notification(lambda: None)

    def fix_last(self) -> None:
        since = time.monotonic()
        self.alerting.present_valid("lapsed")
        self.await_notification("resolved", self.unfixed, since)

    def check_every(self) -> None:
        more = (self.reload_failed, self.web_config_reload_failed, self.one_down, self.down)
        self.check_all(*more, twice=[self.unfixed])

    def _check_firing(self, fault: Fault) -> None:
        """The alert has been firing without an interruption."""
        for stack in self.alerting.stacks:
            labels = {**fault.every_label, "alertstate": "firing"}
            selector = ",".join(f'{name}="{value}"' for name, value in labels.items())
            samples = stack.prometheus.query(f"count_over_time(ALERTS{{{selector}}}[{self.quiet:.0f}s])")
            # One evaluation may be late.
            expect(len(samples) == 1 and samples[0].value >= self.quiet - 2, f"{stack.name}: {samples}")
