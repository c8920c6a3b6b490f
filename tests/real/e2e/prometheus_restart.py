"""Checks of what is notified when Prometheus was stopped and starts again on the same storage: nothing while everything
is ok, and alerts about faults that are still there fire again, with no other. promtool cannot show this: it evaluates
the rules in gaps as well.

After outages within its tolerance, Prometheus restores alerts whose `for` is at least its grace period; others wait for
their `for` again. Alertmanager resolves an alert that it does not receive for four minutes, so a fault may be notified
again, but only after its alert was resolved.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from .alerting import Alerting, Setup, host
from .checks import Step, expect
from .faults import Fault
from .monitoring import MonitoringStack
from .notifications import INHIBITED, TIMEOUT, Checks
from .process import wait_until

# Minutes; Prometheus's own defaults are an hour and ten minutes.
TOLERANCE = 15
GRACE = 10

# Prometheus takes five seconds to its first scrape. With this factor, SmtpTlsExporterAbsent must wait longer than that.
FACTOR = 30

SETUP = Setup(
    "prometheus_restart",
    ("relay", "lapsed", "unknown-issuer", "down", "no-starttls", "web"),
    factor=FACTOR,
    # A restart; shorter than most windows of the rules; and longer than them.
    outages={"quick": 0, "short": 5, "long": TOLERANCE + 3},
    rule_flags={"for-outage-tolerance": f"{TOLERANCE}m", "for-grace-period": f"{GRACE}m", "resend-delay": "1m"},
)

# It is fixed while Prometheus is stopped.
FIXED = "unknown-issuer"

# The alert of this target waits for longer than the grace period, so it is restored.
RESTORED = "lapsed"

# Alerts of the same faults, which fire while another one inhibits them.
INHIBITED_ALERTS = (
    INHIBITED,
    {"alertname": "SmtpTlsCertificateExpiring", "severity": "warning", "server_name": host(RESTORED)},
)


def steps(alerting: Alerting) -> Iterator[Step]:
    checks = RestartChecks(alerting)
    yield "Prometheus stops and starts while everything is ok: no alert fires", checks.restart_while_ok
    yield "faults are caused at the same time", checks.cause_faults
    yield from checks.firing_steps(checks.early)
    yield "Prometheus stops, one fault is fixed, and it starts: alerts about the others fire again", checks.restart
    yield "no alert fires that did not fire before, and none is notified twice", checks.check_after_restart
    yield "an alert is restored if the outage was short and its `for` is long", checks.check_restored
    yield "everything is fixed", checks.fix_all
    yield "all alerts resolve", checks.check_resolved


@dataclass(frozen=True)
class Outage:
    """When a Prometheus was stopped and started, in Unix time."""

    stopped: float
    started: float


class RestartChecks(Checks):
    def __init__(self, alerting: Alerting) -> None:
        super().__init__(alerting)
        self._outages: dict[str, Outage] = {}
        self._remaining = [fault for fault in self.early if fault.target != FIXED]

    def restart_while_ok(self) -> None:
        self._restart()
        self._await_quiet()
        for stack in self.alerting.stacks:
            expect(not stack.webhook.notifications(None), f"{stack.name}: {stack.webhook.notifications(None)}")
            self._check_only(stack, [])
            # The rules have been evaluated since.
            expect(len(stack.prometheus.query("up == 1")) == 1, f"{stack.name}: not scraped after the restart")

    def restart(self) -> None:
        self._restart(lambda: self.alerting.present_valid(FIXED))
        for stack in self.alerting.stacks:
            for fault in self._remaining:
                wait_until(
                    f"{stack.name}: {fault.alert} {fault.subject} fires", partial(_is_firing, stack, fault), TIMEOUT
                )

    def check_after_restart(self) -> None:
        self._await_quiet()
        for stack in self.alerting.stacks:
            self._check_only(stack, self._remaining)
            for fault in self._remaining:
                statuses = _statuses(stack, fault)
                print(f"# {stack.name}: {fault.alert} {fault.subject}: {', '.join(statuses)}", flush=True)
                expect(statuses[-1] == "firing", f"{stack.name}: {fault.alert} {fault.subject}: {statuses}")
                repeated = [pair for pair in pairwise(statuses) if pair[0] == pair[1]]
                expect(not repeated, f"{stack.name}: {fault.alert} {fault.subject}: {statuses}")
            fixed = _statuses(stack, self.of_target(FIXED))
            expect(fixed == ["firing", "resolved"], f"{stack.name}: {FIXED}: {fixed}")
            unexpected = [
                each
                for each in stack.webhook.notifications()
                if not any(fault.is_reported_by(each) for fault in self.early)
                and not _is_inhibited_otherwise(each.labels)
            ]
            expect(not unexpected, f"{stack.name}: unexpected: {unexpected}")

    def check_restored(self) -> None:
        """Whether the alert is considered active since before the outage."""
        for stack in self.alerting.stacks:
            for fault in self._remaining:
                outage = self._outages[stack.name]
                [active_at] = stack.prometheus.query(f"ALERTS_FOR_STATE{{{_selector(fault)}}}")
                # The value is in whole seconds.
                is_restored = active_at.value < outage.stopped - 1
                expected = fault.target == RESTORED and stack.outage < TOLERANCE
                expect(is_restored == expected, f"{stack.name}: {fault.alert} {fault.subject}: {active_at}, {outage}")

    def check_resolved(self) -> None:
        for stack in self.alerting.stacks:
            wait_until(f"{stack.name}: no alert fires", partial(_has_no_alert, stack), TIMEOUT)
        for fault in self.early:
            if fault in self._remaining:
                self.await_resolved(fault)

    def _restart(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Stops all Prometheus servers, and starts each after its outage."""
        for stack in self.alerting.stacks:
            stack.prometheus.stop()
        stopped = time.time()
        meanwhile()
        for stack in sorted(self.alerting.stacks, key=lambda stack: stack.outage):
            time.sleep(max(0.0, stopped + self.alerting.setup.seconds(stack.outage) - time.time()))
            self._outages[stack.name] = Outage(stopped, time.time())
            stack.prometheus.start()

    def _await_quiet(self) -> None:
        """Any alert that the last restart causes has fired."""
        started = max(outage.started for outage in self._outages.values())
        time.sleep(max(0.0, started + self.quiet - time.time()))

    def _check_only(self, stack: MonitoringStack, expected: list[Fault]) -> None:
        """No other alert has fired since the start of Prometheus."""
        seconds = time.time() - self._outages[stack.name].started
        firing = stack.firing(seconds)
        unexpected = [
            labels
            for labels in firing
            if not any(fault.every_label.items() <= labels.items() for fault in expected)
            and not _is_inhibited_otherwise(labels)
        ]
        expect(not unexpected, f"{stack.name}: {unexpected}")


def _is_inhibited_otherwise(labels: Mapping[str, str]) -> bool:
    """Prometheus sends an alert every other minute, so in an outage Alertmanager may resolve the alert that inhibits a
    minute before the one that is inhibited, and notify the latter."""
    return any(labels.items() >= each.items() for each in INHIBITED_ALERTS)


def _selector(fault: Fault) -> str:
    return ",".join(f'{name}="{value}"' for name, value in fault.every_label.items())


def _is_firing(stack: MonitoringStack, fault: Fault) -> bool:
    return bool(stack.prometheus.query(f'ALERTS{{alertstate="firing",{_selector(fault)}}}'))


def _has_no_alert(stack: MonitoringStack) -> bool:
    return not stack.prometheus.query("ALERTS")


def _statuses(stack: MonitoringStack, fault: Fault) -> list[str]:
    return [each.status for each in stack.webhook.notifications(None) if each.matches(each.status, fault.every_label)]
