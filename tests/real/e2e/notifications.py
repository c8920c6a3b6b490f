"""Checks of notifications that all setups share. A notification counts if it arrives at the webhooks of all monitoring
stacks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial

from . import faults
from .alerting import Alerting, host
from .checks import Step, expect
from .faults import Fault
from .monitoring import MonitoringStack
from .process import wait_until
from .webhook import Notification

# Minutes. Longer than any window plus the `for` of the alerts that could wrongly fire after it.
QUIET = 25
# Seconds. Notifications take 20 seconds, 60 for the warning of expiry; the rest is a margin for a busy host.
TIMEOUT = 120
# Inhibited by SmtpTlsTargetDown of this target.
INHIBITED = {"alertname": "SmtpTlsBackendDown", "server_name": host("down")}
RUNBOOKS = "https://runbooks.example.com/smtp-tls"

# The path below the webhook's URL for each receiver of the shipped example.
PATHS = {
    "monitoring": "/chat.example.com/hooks/monitoring",
    "monitoring-pager": "/pager.example.com/hooks/monitoring",
    "mail-chat": "/chat.example.com/hooks/mail",
    "mail-pager": "/pager.example.com/hooks/mail",
    "web-chat": "/chat.example.com/hooks/web",
}


class Checks:
    def __init__(self, alerting: Alerting) -> None:
        self.alerting = alerting
        self.fleet = alerting.fleet
        self.quiet = alerting.setup.seconds(QUIET)
        self.broken_at = self.fixed_at = time.monotonic()
        self.early = faults.of_targets(alerting, is_late=False)
        self.late = faults.of_targets(alerting, is_late=True)
        self.down = faults.exporter_down(alerting)

    def of_target(self, target: str) -> Fault:
        return next(fault for fault in self.early if fault.target == target)

    def check_quiet(self) -> None:
        # Beyond the first evaluations, before the first scrape.
        time.sleep(self.quiet + 5)
        for stack in self.alerting.stacks:
            sent = stack.webhook.notifications(None)
            expect(not sent, f"{stack.name}: {sent}")
            alerts = stack.prometheus.query(f"count_over_time(ALERTS[{self.quiet:.0f}s])")
            expect(not alerts, f"{stack.name}: {[sample.labels for sample in alerts]}")

    def cause_faults(self) -> None:
        self.broken_at = time.monotonic()
        faults.cause(self.alerting)

    def await_firing(self, fault: Fault) -> None:
        self.await_notification("firing", fault, self.broken_at)

    def await_inhibited_backends(self) -> None:
        for which in range(2):
            labels = {"alertname": "SmtpTlsBackendDown", "backend": self.alerting.backend("down", which)}
            self.await_inhibited(labels)

    def fix_all(self, *except_for: str) -> None:
        self.fixed_at = time.monotonic()
        for target, servers in self.alerting.servers.items():
            if target not in except_for:
                self.alerting.present_valid(target)
                self.fleet.start_servers(servers)
                self.fleet.resolve(host(target), servers)

    def await_resolved(self, fault: Fault) -> None:
        self.await_notification("resolved", fault, self.fixed_at)

    def firing_steps(self, expected: Sequence[Fault]) -> Iterator[Step]:
        for fault in expected:
            yield fault.title, partial(self.await_firing, fault)

    def resolved_steps(self, *except_for: Fault) -> Iterator[Step]:
        for fault in [*self.early, *self.late]:
            if fault not in except_for:
                yield f"resolved: {fault.alert} of {fault.subject}", partial(self.await_resolved, fault)

    def check_no_notification(self, action: Callable[[], None], *allowed: Fault) -> None:
        """Nothing is notified from the action until any alert that it causes would fire, except for these faults."""
        since = time.monotonic()
        action()
        time.sleep(self.quiet)
        for stack in self.alerting.stacks:
            sent = [
                each
                for each in stack.webhook.notifications(None)
                if each.at > since and not any(each.matches(each.status, fault.every_label) for fault in allowed)
            ]
            expect(not sent, f"{stack.name}: {sent}")

    def check_all(self, *more: Fault, twice: Collection[Fault] = ()) -> None:
        """Each fault was notified once, except for those that were notified twice, and nothing else was."""
        expected = [*self.early, *self.late, *more]
        for stack in self.alerting.stacks:
            expect(not stack.webhook.errors(), f"{stack.name}: {stack.webhook.errors()}")
            sent = [each for each in stack.webhook.notifications() if not self._is_recovering(each)]
            unexpected = [each for each in sent if not any(fault.is_reported_by(each) for fault in expected)]
            expect(not unexpected, f"{stack.name}: unexpected: {unexpected}")
            for fault in expected:
                count = sum(fault.is_reported_by(each) for each in sent)
                what = f"{stack.name}: {fault.alert} ({fault.severity}) {fault.subject}"
                expect(count == (2 if fault in twice else 1), f"{what}: notified {count} times")

    def await_notification(self, status: str, fault: Fault, since: float) -> None:
        times = []
        for stack in self.alerting.stacks:
            notification = stack.webhook.wait(status, fault.every_label, since, since + TIMEOUT)
            if notification is None:
                expect(False, f"{stack.name}: not {status}; {_similar(stack, fault)}")
                continue
            times.append(notification.at - since)
            self._check_notification(stack, fault, notification)
        taken = ", ".join(f"{seconds:.1f} s" for seconds in times)
        print(f"# {fault.alert} {fault.subject}: {status} after {taken}", flush=True)

    def await_inhibited(self, labels: Mapping[str, str]) -> None:
        for stack in self.alerting.stacks:
            is_inhibited: Callable[[], bool | None] = partial(stack.alertmanager.is_inhibited, labels)
            wait_until(f"{stack.name}: {dict(labels)}: inhibited", is_inhibited, TIMEOUT)

    def _is_recovering(self, notification: Notification) -> bool:
        """When a target that was down recovers, a server that is seen one scrape after the first one may be notified:
        its alert lasts that much longer than the one that inhibits it. (In the other order the end of its alert would
        be inhibited, and lost.)"""
        return notification.at > self.fixed_at and notification.matches("firing", INHIBITED)

    def _check_notification(self, stack: MonitoringStack, fault: Fault, notification: Notification) -> None:
        def check(condition: bool, problem: str) -> None:
            expect(condition, f"{stack.name}: {problem} in {notification}")

        check(notification.receiver == fault.receiver, f"expected receiver {fault.receiver}")
        check(notification.path == PATHS[fault.receiver], f"expected path {PATHS[fault.receiver]}")
        check(bool(notification.annotations.get("summary")), "no summary")
        check(notification.annotations.get("runbook_url") == f"{RUNBOOKS}/{fault.alert}.md", "no runbook")
        if notification.status == "resolved":
            # The annotations are those of an evaluation when the fault may have been partly fixed.
            return
        # The line breaks are those of the YAML file.
        description = " ".join(notification.annotations.get("description", "").split())
        check("<no value>" not in description and "<error" not in description, "a template error")
        for fact, count in Counter(fault.facts).items():
            found = description.count(fact)
            # Replicas must not repeat a backend.
            is_backend = fact in self.fleet.addresses
            check(found == count if is_backend else found >= count, f"expected {count} times {fact!r}")
        for fact in fault.absent:
            check(fact not in description, f"unexpected {fact!r}")


def _similar(stack: MonitoringStack, fault: Fault) -> str:
    same = [each for each in stack.webhook.notifications() if each.labels["alertname"] == fault.alert]
    state = stack.prometheus.query(f'ALERTS{{alertname="{fault.alert}"}}')
    return f"but {same}, and {[sample.labels for sample in state]}"
