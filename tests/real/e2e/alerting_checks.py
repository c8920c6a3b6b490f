"""Checks of the notifications, in this order: none while everything is ok; then many faults at the same time, each of
which notifies the owning team, once, with the facts that it needs; after the fixes each alert resolves; while the exporter is
down, only that is notified, and the alerts that it proved resolve; and when it is back, what is still broken is notified again.

A notification counts if it arrives at the webhooks of all monitoring stacks.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from . import faults
from .alerting import POOL, TARGETS, Alerting, MonitoringStack, host
from .checks import Step, expect
from .exporter import Exporter
from .faults import Fault
from .process import wait_until
from .webhook import Notification

HOUR = 3_600
DAY = 24 * HOUR

# Seconds. Longer than any window plus the `for` of the alerts that could wrongly fire after it.
QUIET = 25
# Seconds. Notifications take 20 seconds, 60 for the warning of expiry; the rest is a margin for a busy host.
TIMEOUT = 120
RECOVERING = {"alertname": "SmtpTlsBackendDown", "server_name": host("down")}
RUNBOOKS = "https://runbooks.example.com/smtp-tls"

# The path below the webhook's URL for each receiver of the shipped example.
PATHS = {
    "monitoring": "/chat.example.com/hooks/monitoring",
    "monitoring-pager": "/pager.example.com/hooks/monitoring",
    "mail-chat": "/chat.example.com/hooks/mail",
    "mail-pager": "/pager.example.com/hooks/mail",
    "web-chat": "/chat.example.com/hooks/web",
}


def steps(alerting: Alerting) -> Iterator[Step]:
    checks = Checks(alerting)
    yield "everything is ok: no alert is pending, no notification", checks.check_quiet
    yield "many faults are caused at the same time", checks.cause_faults
    for fault in checks.early:
        yield fault.title, partial(checks.await_firing, fault)
    yield "a target that is down inhibits the alerts about its backends", checks.await_inhibited_backends
    yield "the address of a stopped server leaves DNS: the alert resolves, the counts decrease", checks.retire
    for fault in checks.late:
        yield fault.title, partial(checks.await_firing, fault)
    yield "critical inhibits the warning about the same certificate", checks.await_inhibited_warning
    yield "everything is fixed except one certificate", checks.fix_all
    for fault in [*checks.early, *checks.late]:
        if fault not in (checks.retired, checks.unfixed):
            yield f"resolved: {fault.alert} of {fault.subject}", partial(checks.await_resolved, fault)
    yield checks.down.title, checks.kill_exporter
    yield "without an exporter the other alerts resolve, and the warning about the instance is inhibited", checks.await_rest
    yield "the exporter starts again: resolved, and what is still broken is notified again", checks.restart_exporter
    yield "the restart causes no other notification", checks.check_quiet_after_restart
    yield "the last certificate is fixed: resolved", checks.fix_last
    yield "each fault was notified once, to the right receiver, and nothing else was", checks.check_all


class Checks:
    def __init__(self, alerting: Alerting) -> None:
        self._alerting = alerting
        self._fleet = alerting.fleet
        self._exporter: Exporter = alerting.exporter
        self._config = alerting.exporter.config.read_text()
        self._broken_at = self._fixed_at = self._killed_at = time.monotonic()
        self.early = faults.early(alerting)
        self.late = faults.late(alerting)
        self.down = faults.exporter_down()
        self.retired = _of_target(self.early, "retired")
        self.unfixed = _of_target(self.early, "lapsed")

    def check_quiet(self) -> None:
        # Beyond the first evaluations, before the first scrape.
        time.sleep(QUIET + 5)
        for stack in self._alerting.stacks:
            sent = [*stack.webhook.notifications(), *stack.webhook.notifications("resolved")]
            expect(not sent, f"{stack.name}: {sent}")
            alerts = stack.prometheus.query(f"count_over_time(ALERTS[{QUIET}s])")
            expect(not alerts, f"{stack.name}: {[sample.labels for sample in alerts]}")

    def cause_faults(self) -> None:
        fleet = self._fleet
        self._broken_at = time.monotonic()
        # The slowest first. Half an hour more, so that a slow start does not change the printed durations.
        fleet.present(TARGETS["fifth-left"], host("fifth-left"), from_=-10 * DAY, until=2 * DAY + HOUR // 2)
        fleet.present(TARGETS["tenth-left"], host("tenth-left"), from_=-10 * DAY, until=12 * HOUR + HOUR // 2)
        fleet.present(TARGETS["lapsed"], host("lapsed"), from_=-10 * DAY, until=-HOUR)
        fleet.forget(host("unresolved"))
        fleet.present(TARGETS["relay"][2:], POOL)
        fleet.present(TARGETS["submit"], "mail.example.com")
        fleet.stop_servers(TARGETS["retired"][2:])
        fleet.stop_servers(TARGETS["down"])
        fleet.play(TARGETS["no-starttls"][1:], "no_starttls")
        fleet.present(TARGETS["unknown-issuer"], host("unknown-issuer"), issuer="stranger")
        fleet.present(TARGETS["not-yet-valid"], host("not-yet-valid"), from_=DAY)
        fleet.present(TARGETS["revoked"], host("revoked"), staple="revoked")
        fleet.play(TARGETS["old-tls"][1:], "old_tls")
        fleet.present(TARGETS["web"][1:], "other.example.com")
        fleet.present(TARGETS["names"], host("names"))
        self._exporter.config.write_text(self._config + "  - {hots: typo.example.com}\n")
        self._exporter.reload()

    def await_firing(self, fault: Fault) -> None:
        self._await("firing", fault, self._broken_at)

    def await_inhibited_backends(self) -> None:
        for which in range(2):
            labels = {"alertname": "SmtpTlsBackendDown", "backend": self._alerting.backend("down", which)}
            self._await_inhibited(labels)

    def retire(self) -> None:
        since = time.monotonic()
        self._fleet.resolve(host("retired"), TARGETS["retired"][:2])
        self._await("resolved", self.retired, since)
        for stack in self._alerting.stacks:
            counts = stack.prometheus.query('smtp_tls_target_backends_resolved{target="retired"}')
            expect([sample.value for sample in counts] == [2], f"{stack.name}: {counts}")

    def await_inhibited_warning(self) -> None:
        warning = {"alertname": "SmtpTlsCertificateExpiring", "severity": "warning"}
        for target in ("tenth-left", "lapsed"):
            self._await_inhibited({**warning, "backend": self._alerting.backend(target, 0)})

    def fix_all(self) -> None:
        self._fixed_at = time.monotonic()
        self._exporter.config.write_text(self._config)
        self._exporter.reload()
        self._fleet.start_servers([*TARGETS["down"], *TARGETS["retired"]])
        for target, servers in TARGETS.items():
            if target != "lapsed":
                self._alerting.present_valid(target)
            self._fleet.resolve(host(target), servers)

    def await_resolved(self, fault: Fault) -> None:
        self._await("resolved", fault, self._fixed_at)

    def kill_exporter(self) -> None:
        since = time.monotonic()
        self._exporter.kill()
        self._killed_at = since
        self._await("firing", self.down, since)

    def await_rest(self) -> None:
        self._await_inhibited({"alertname": "SmtpTlsExporterDown", "severity": "warning"})
        self._await("resolved", self.unfixed, self._killed_at)

    def restart_exporter(self) -> None:
        since = time.monotonic()
        self._exporter.start()
        self._await("resolved", self.down, since)
        self._await("firing", self.unfixed, since)

    def check_quiet_after_restart(self) -> None:
        before = [len(stack.webhook.notifications()) for stack in self._alerting.stacks]
        time.sleep(QUIET)
        for stack, count in zip(self._alerting.stacks, before, strict=True):
            sent = stack.webhook.notifications()[count:]
            expect(not sent, f"{stack.name}: {sent}")

    def fix_last(self) -> None:
        since = time.monotonic()
        self._alerting.present_valid("lapsed")
        self._await("resolved", self.unfixed, since)

    def check_all(self) -> None:
        expected = [*self.early, *self.late, self.down]
        for stack in self._alerting.stacks:
            expect(not stack.webhook.errors(), f"{stack.name}: {stack.webhook.errors()}")
            sent = [each for each in stack.webhook.notifications() if not self._is_recovering(each)]
            unexpected = [each for each in sent if not any(fault.is_reported_by(each) for fault in expected)]
            expect(not unexpected, f"{stack.name}: unexpected: {unexpected}")
            counts = Counter(
                f"{fault.subject} {fault.alert}" for each in sent for fault in expected if fault.is_reported_by(each)
            )
            twice = f"{self.unfixed.subject} {self.unfixed.alert}"
            repeated = {what: count for what, count in counts.items() if count != (2 if what == twice else 1)}
            expect(not repeated, f"{stack.name}: {repeated}")
            expect(len(counts) == len(expected), f"{stack.name}: {len(counts)} of {len(expected)}: {sorted(counts)}")

    def _is_recovering(self, notification: Notification) -> bool:
        """When a target that was down recovers, a server that is seen one scrape after the first one may be notified:
        its alert lasts that much longer than the one that inhibits it. (In the other order the end of its alert would
        be inhibited, and lost.)"""
        return notification.at > self._fixed_at and notification.matches("firing", RECOVERING)

    def _await(self, status: str, fault: Fault, since: float) -> None:
        times = []
        for stack in self._alerting.stacks:
            notification = stack.webhook.wait(status, fault.every_label, since, since + TIMEOUT)
            if notification is None:
                expect(False, f"{stack.name}: not {status}; {_similar(stack, fault)}")
                continue
            times.append(notification.at - since)
            _check_notification(stack, fault, notification)
        taken = ", ".join(f"{seconds:.1f} s" for seconds in times)
        print(f"# {fault.alert} {fault.subject}: {status} after {taken}", flush=True)

    def _await_inhibited(self, labels: Mapping[str, str]) -> None:
        for stack in self._alerting.stacks:
            is_inhibited: Callable[[], bool | None] = partial(stack.alertmanager.is_inhibited, labels)
            wait_until(f"{stack.name}: {dict(labels)}: inhibited", is_inhibited, TIMEOUT)


def _check_notification(stack: MonitoringStack, fault: Fault, notification: Notification) -> None:
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
        check(description.count(fact) >= count, f"expected {count} times {fact!r}")
    for fact in fault.absent:
        check(fact not in description, f"unexpected {fact!r}")


def _of_target(every: Sequence[Fault], target: str) -> Fault:
    return next(each for each in every if each.labels.get("server_name") == host(target))


def _similar(stack: MonitoringStack, fault: Fault) -> str:
    same = [each for each in stack.webhook.notifications() if each.labels["alertname"] == fault.alert]
    state = stack.prometheus.query(f'ALERTS{{alertname="{fault.alert}"}}')
    return f"but {same}, and {[sample.labels for sample in state]}"
