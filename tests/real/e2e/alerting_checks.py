"""What must be true of those who are paged, in the order of a story: nobody while all is well; then much breaks at
once, and each team hears of its own, once, with what is wrong and how to mend it; it is mended, and they hear of that;
the exporter dies, and nothing else is news.

A page counts where it arrives: at the other end of both Alertmanagers.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from . import faults as troubles
from .servers_checks import Step, expect
from .exporter import Exporter
from .webhook import Page
from .process import wait_until
from .alerting import CAST, POOL, Stack, Watch, host
from .faults import Trouble

HOUR = 3_600
DAY = 24 * HOUR

# Longer than any window with the `for` of what would be wrongly said after it.
CALM = 25
# For a page that takes 20 seconds, or 60 for the warning of expiry: the machine may have other things to do.
PATIENCE = 120
LEFT_BEHIND = {"alertname": "SmtpTlsBackendDown", "server_name": host("dark")}
RUNBOOKS = "https://runbooks.example.com/smtp-tls"

# Where the shipped example sends the messages of each receiver.
PATHS = {
    "monitoring": "/chat.example.com/hooks/monitoring",
    "monitoring-pager": "/pager.example.com/hooks/monitoring",
    "mail-chat": "/chat.example.com/hooks/mail",
    "mail-pager": "/pager.example.com/hooks/mail",
    "web-chat": "/chat.example.com/hooks/web",
}


def steps(stack: Stack) -> Iterator[Step]:
    story = Story(stack)
    yield "nothing is wrong: no alert is pending, nobody is paged", story.stay_calm
    yield "much breaks at once", story.break_all
    for trouble in story.at_once:
        yield trouble.title, partial(story.await_page, trouble)
    yield "a target that is down mutes what is said of its backends", story.await_muted_backends
    yield "the address of a dead server leaves DNS: the alert resolves, the counts shrink", story.retire
    for trouble in story.later:
        yield trouble.title, partial(story.await_page, trouble)
    yield "critical mutes the warning about the same certificate", story.await_muted_warning
    yield "all is mended but one certificate", story.mend_all
    for trouble in [*story.at_once, *story.later]:
        if trouble not in (story.retired, story.kept):
            yield f"resolved: {trouble.alert} of {trouble.subject}", partial(story.await_resolved, trouble)
    yield story.down.title, story.kill_exporter
    yield "without an exporter the rest is muted", story.await_muted_rest
    yield "the exporter is started again, and that is said", story.restart_exporter
    yield "nobody is paged because of the restart", story.stay_quiet
    yield "the last certificate is mended, and that is said", story.mend_last
    yield "each page came once, to whom it concerns, and no other page at all", story.audit


class Story:
    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._stage = stack.stage
        self._exporter: Exporter = stack.exporter
        self._config = stack.exporter.config.read_text()
        self._broken_at = self._mended_at = time.monotonic()
        self.at_once = troubles.at_once(stack)
        self.later = troubles.later(stack)
        self.down = troubles.exporter_down()
        self.retired = _the(self.at_once, "trio")
        self.kept = _the(self.at_once, "gone")

    def stay_calm(self) -> None:
        # The first evaluations, before the first scrape, are not to be seen any more.
        time.sleep(CALM + 5)
        for watch in self._stack.watches:
            pages = [*watch.pager.pages(), *watch.pager.pages("resolved")]
            expect(not pages, f"{watch.name}: {pages}")
            alerts = watch.prometheus.query(f"count_over_time(ALERTS[{CALM}s])")
            expect(not alerts, f"{watch.name}: {[sample.labels for sample in alerts]}")

    def break_all(self) -> None:
        stage = self._stage
        self._broken_at = time.monotonic()
        # First what takes longest. Half an hour more, so that a slow start does not change the words.
        stage.present(CAST["late"], host("late"), from_=-10 * DAY, until=2 * DAY + HOUR // 2)
        stage.present(CAST["soon"], host("soon"), from_=-10 * DAY, until=12 * HOUR + HOUR // 2)
        stage.present(CAST["gone"], host("gone"), from_=-10 * DAY, until=-HOUR)
        stage.forget(host("vanish"))
        stage.present(CAST["relay"][2:], POOL)
        stage.present(CAST["submit"], "mail.example.com")
        stage.halt(CAST["trio"][2:])
        stage.halt(CAST["dark"])
        stage.play(CAST["plain"][1:], "no_starttls")
        stage.present(CAST["strange"], host("strange"), issuer="stranger")
        stage.present(CAST["future"], host("future"), from_=DAY)
        stage.present(CAST["revoked"], host("revoked"), staple="revoked")
        stage.play(CAST["shake"][1:], "old_tls")
        stage.present(CAST["web"][1:], "other.example.com")
        stage.present(CAST["names"], host("names"))
        self._exporter.config.write_text(self._config + "  - {hots: typo.example.com}\n")
        self._exporter.reload()

    def await_page(self, trouble: Trouble) -> None:
        self._await_page(trouble, self._broken_at)

    def await_muted_backends(self) -> None:
        for which in range(2):
            labels = {"alertname": "SmtpTlsBackendDown", "backend": self._stack.backend("dark", which)}
            self._await_muted(labels)

    def retire(self) -> None:
        began = time.monotonic()
        self._stage.resolve(host("trio"), CAST["trio"][:2])
        self._await_resolved(self.retired, began)
        for watch in self._stack.watches:
            counts = watch.prometheus.query('smtp_tls_target_backends_resolved{target="trio"}')
            expect([sample.value for sample in counts] == [2], f"{watch.name}: {counts}")

    def await_muted_warning(self) -> None:
        for target in ("soon", "gone"):
            self._await_muted(
                {
                    "alertname": "SmtpTlsCertificateExpiring",
                    "severity": "warning",
                    "backend": self._stack.backend(target, 0),
                }
            )

    def mend_all(self) -> None:
        self._mended_at = time.monotonic()
        self._exporter.config.write_text(self._config)
        self._exporter.reload()
        self._stage.go_on([*CAST["dark"], *CAST["trio"]])
        for target, servers in CAST.items():
            if target != "gone":
                self._stack.dress(target)
            self._stage.resolve(host(target), servers)

    def await_resolved(self, trouble: Trouble) -> None:
        self._await_resolved(trouble, self._mended_at)

    def kill_exporter(self) -> None:
        began = time.monotonic()
        self._exporter.kill()
        # Before its series are out of all windows.
        self._await_muted({"alertname": self.kept.alert, "severity": "critical", **self.kept.labels})
        self._await_page(self.down, began)

    def await_muted_rest(self) -> None:
        self._await_muted({"alertname": "SmtpTlsExporterDown", "severity": "warning"})

    def restart_exporter(self) -> None:
        began = time.monotonic()
        self._exporter.start()
        self._await_resolved(self.down, began)

    def stay_quiet(self) -> None:
        before = [len(watch.pager.pages()) for watch in self._stack.watches]
        time.sleep(CALM)
        for watch, count in zip(self._stack.watches, before, strict=True):
            news = watch.pager.pages()[count:]
            expect(not news, f"{watch.name}: {news}")

    def mend_last(self) -> None:
        began = time.monotonic()
        self._stack.dress("gone")
        self._await_resolved(self.kept, began)

    def audit(self) -> None:
        expected = [*self.at_once, *self.later, self.down]
        for watch in self._stack.watches:
            expect(not watch.pager.complaints(), f"{watch.name}: {watch.pager.complaints()}")
            pages = [page for page in watch.pager.pages() if not self._is_left_behind(page)]
            strange = [page for page in pages if not any(each.is_told_by(page) for each in expected)]
            expect(not strange, f"{watch.name}: nobody asked for {strange}")
            told = Counter(
                each.subject + " " + each.alert for page in pages for each in expected if each.is_told_by(page)
            )
            again = {what: count for what, count in told.items() if count != 1}
            expect(not again, f"{watch.name}: {again}")
            expect(len(told) == len(expected), f"{watch.name}: {len(told)} of {len(expected)} pages: {sorted(told)}")

    def _is_left_behind(self, page: Page) -> bool:
        """Of a target that was down and comes back, a server that is seen a scrape after the first may be told of: for
        so long its alert outlives the one that mutes it. (The other way round its end would be muted, and lost.)"""
        return page.at > self._mended_at and page.is_about("firing", LEFT_BEHIND)

    def _await_page(self, trouble: Trouble, since: float) -> None:
        times = []
        for watch in self._stack.watches:
            page = watch.pager.wait("firing", trouble.every_label, since, since + PATIENCE)
            if page is None:
                expect(False, f"{watch.name}: no such page; {_pages_like(watch, trouble)}")
                continue
            times.append(page.at - since)
            self._judge(watch, trouble, page)
        taken = ", ".join(f"{seconds:.1f} s" for seconds in times)
        print(f"# {trouble.alert} {trouble.subject}: paged after {taken}", flush=True)

    def _await_resolved(self, trouble: Trouble, since: float) -> None:
        times = []
        for watch in self._stack.watches:
            page = watch.pager.wait("resolved", trouble.every_label, since, since + PATIENCE)
            if page is None:
                expect(False, f"{watch.name}: does not resolve")
                continue
            expect(page.receiver == trouble.receiver, f"{watch.name}: told to {page.receiver}")
            times.append(page.at - since)
        taken = ", ".join(f"{seconds:.1f} s" for seconds in times)
        print(f"# {trouble.alert} {trouble.subject}: resolved after {taken}", flush=True)

    def _await_muted(self, labels: Mapping[str, str]) -> None:
        for watch in self._stack.watches:
            is_muted: Callable[[], bool | None] = partial(watch.alertmanager.muted, labels)
            wait_until(f"{watch.name}: {dict(labels)}: muted", is_muted, PATIENCE)

    def _judge(self, watch: Watch, trouble: Trouble, page: Page) -> None:
        def hold(condition: bool, what: str) -> None:
            expect(condition, f"{watch.name}: {what} in {page}")

        hold(page.receiver == trouble.receiver, f"to {trouble.receiver} it should have gone")
        hold(page.path == PATHS[trouble.receiver], f"another path than {PATHS[trouble.receiver]}")
        hold(bool(page.annotations.get("summary")), "no summary")
        hold(page.annotations.get("runbook_url") == f"{RUNBOOKS}/{trouble.alert}.md", "no runbook")
        # Lines are folded where the rule's are.
        description = " ".join(page.annotations.get("description", "").split())
        hold("<no value>" not in description and "<error" not in description, "a broken template")
        for words in trouble.words:
            hold(words in description, f"not {words!r}")
        for words in trouble.absent:
            hold(words not in description, repr(words))


def _the(troubles: Sequence[Trouble], target: str) -> Trouble:
    return next(each for each in troubles if each.labels.get("server_name") == host(target))


def _pages_like(watch: Watch, trouble: Trouble) -> str:
    same = [page for page in watch.pager.pages() if page.labels["alertname"] == trouble.alert]
    state = watch.prometheus.query(f'ALERTS{{alertname="{trouble.alert}"}}')
    return f"but {same}, and {[sample.labels for sample in state]}"
