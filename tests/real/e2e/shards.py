"""Checks of the notifications of two shards of one configuration: each target is probed by the shard of its name;
while a shard is missing, its instance and the missing shard are notified, and nothing else; when it is back, both
alerts resolve."""

from __future__ import annotations

import time
from collections.abc import Iterator

from . import faults
from .alerting import Alerting, Replica, Setup
from .checks import Step, expect
from .notifications import Checks

SETUP = Setup(
    "shards",
    ("relay", "submit", "old-tls", "revoked"),
    replicas=(Replica("node-1", shard=0), Replica("node-2", shard=1)),
    total_shards=2,
)


def steps(alerting: Alerting) -> Iterator[Step]:
    checks = ShardChecks(alerting)
    yield "each target belongs to the shard of its name", checks.check_targets
    yield "everything is ok: no alert is pending, no notification", checks.check_quiet
    yield checks.missing.title, checks.kill_shard
    yield "the shard starts again: both alerts resolve", checks.start_shard
    yield "each fault was notified once, to the right receiver, and nothing else was", checks.check_every


class ShardChecks(Checks):
    def __init__(self, alerting: Alerting) -> None:
        super().__init__(alerting)
        # Nothing is broken but an exporter.
        self.early = self.late = []
        self._lost = alerting.exporters[1]
        self.one_down = faults.instance_down(alerting, self._lost.address)
        # The number of shards, how many there are, and which.
        self.missing = faults.shards_missing(alerting, "2 shards of job smtp_tls", "only 1 could", ": 0.")

    def check_targets(self) -> None:
        for shard, exporter in enumerate(self.alerting.exporters):
            seen = {sample.labels["target"] for sample in exporter.samples() if "target" in sample.labels}
            expected = set(self.alerting.targets_of(shard))
            expect(seen == expected != set(), f"shard {shard}: targets {sorted(seen)}, expected {sorted(expected)}")

    def kill_shard(self) -> None:
        since = time.monotonic()
        self.check_no_notification(self._lost.kill, self.missing, self.one_down)
        for fault in (self.missing, self.one_down):
            self.await_notification("firing", fault, since)

    def start_shard(self) -> None:
        since = time.monotonic()
        self.check_no_notification(self._lost.start, self.missing, self.one_down)
        for fault in (self.missing, self.one_down):
            self.await_notification("resolved", fault, since)

    def check_every(self) -> None:
        self.check_all(self.missing, self.one_down)
