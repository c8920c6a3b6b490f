"""Checks of the notifications if Prometheus scrapes `/probe` only, as it scrapes blackbox_exporter: some of the targets
are in the exporter's configuration, the others are not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from . import faults
from .alerting import Alerting, Setup
from .checks import Step
from .notifications import Checks

SETUP = Setup(
    "probe_mode",
    (
        *("relay", "submit", "web", "lapsed", "unknown-issuer", "not-yet-valid"),
        *("down", "no-starttls", "old-tls", "unresolved", "denied"),
    ),
    scrapes_probe=True,
    # Alternate names are looked up for configured targets only, so `relay` is one of these.
    ad_hoc=("web", "lapsed", "unknown-issuer", "down", "old-tls", "unresolved", "denied"),
)


def steps(alerting: Alerting) -> Iterator[Step]:
    checks = ProbeModeChecks(alerting)
    yield "everything is ok: no alert is pending, no notification", checks.check_quiet
    yield "faults are caused at the same time", checks.cause_faults
    yield from checks.firing_steps([*checks.early, *checks.late, checks.denied])
    yield "a target that is down inhibits the alerts about its backends", checks.await_inhibited_backends
    yield "everything is fixed", checks.fix_everything
    yield from checks.resolved_steps()
    yield "resolved: SmtpTlsProbeScrapeFailing", partial(checks.await_resolved, checks.denied)
    yield checks.down.title, checks.kill_exporter
    yield "the exporter starts again: resolved, and nothing else was notified", checks.restart_exporter
    yield "each fault was notified once, to the right receiver, and nothing else was", checks.check_every


class ProbeModeChecks(Checks):
    def __init__(self, alerting: Alerting) -> None:
        super().__init__(alerting)
        self.denied = faults.scrape_failing(alerting, "denied")
        self._config = alerting.exporter.config.read_text()

    def cause_faults(self) -> None:
        super().cause_faults()
        lines = self._config.splitlines(keepends=True)
        self._reload("".join(line for line in lines if self.alerting.target_label("denied") not in line))

    def fix_everything(self) -> None:
        self.fix_all()
        self._reload(self._config)

    def kill_exporter(self) -> None:
        since = time.monotonic()
        self.check_no_notification(self.alerting.exporter.kill, self.down)
        self.await_notification("firing", self.down, since)

    def restart_exporter(self) -> None:
        since = time.monotonic()
        self.check_no_notification(self.alerting.exporter.start, self.down)
        self.await_notification("resolved", self.down, since)

    def check_every(self) -> None:
        self.check_all(self.denied, self.down)

    def _reload(self, config: str) -> None:
        self.alerting.exporter.config.write_text(config)
        self.alerting.exporter.reload()
