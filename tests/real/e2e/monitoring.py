"""Prometheus with the shipped rules, and Alertmanager with the shipped routes, sped up."""

from __future__ import annotations

import sys
import urllib.parse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from shorten import divide

from .alertmanager import Alertmanager
from .process import FixtureError, free_port, run, wait_until
from .prometheus import Prometheus
from .webhook import Webhook

ROOT = Path(__file__).resolve().parents[3]
SHORTEN = ROOT / "tests/rules/shorten.py"
RULES = ROOT / "deploy/prometheus/smtp-tls.rules.yaml"
SCRAPE = ROOT / "deploy/prometheus/scrape.example.yaml"
ROUTING = ROOT / "deploy/alertmanager/alertmanager.example.yaml"
SCRAPE_PROBE = ROOT / "deploy/prometheus/scrape-probe.example.yaml"

# Keys of durations in the configs.
SCRAPE_DURATIONS = {"scrape_interval", "scrape_timeout", "evaluation_interval"}
ROUTE_DURATIONS = {"group_wait", "group_interval", "repeat_interval"}

# Prometheus's default: how long it uses the last sample of a series that has no newer one.
LOOKBACK = "5m"

# A rule that has a value while everything is ok.
RECORDED = "backend:smtp_tls_probe_success:max10m"
TIMEOUT = 60

# Items of `static_configs`.
Groups = Sequence[Mapping[str, Any]]


class MonitoringStack:
    """Prometheus, Alertmanager and the webhook that it notifies. `outage` is how many minutes, of the time that is sped
    up, Prometheus is stopped for."""

    def __init__(
        self,
        name: str,
        home: Path,
        logs: Path,
        example: Path,
        groups: Groups,
        exporter: str,
        rules: Path,
        factor: int,
        binaries: Path | None,
        outage: int,
        flags: Mapping[str, str],
        access: Mapping[str, Any],
    ) -> None:
        """`access` are keys of the scrape job."""
        self.name = name
        self.outage = outage
        self._notifications = logs / f"{name}-notifications.log"
        self.webhook = Webhook()
        self.alertmanager = Alertmanager(
            home / f"alertmanager-{name}",
            logs,
            free_port(),
            routing_config(ROUTING, self.webhook.url, factor),
            binaries / "prometheus-alertmanager" if binaries else "prometheus-alertmanager",
        )
        self.prometheus = Prometheus(
            home / f"alerting-prometheus-{name}",
            logs,
            free_port(),
            scrape_config(example, groups, exporter, self.alertmanager.address, rules, factor, access),
            binaries / "prometheus" if binaries else "prometheus",
            f"--query.lookback-delta={divide(LOOKBACK, factor)}",
            *(f"--rules.alert.{flag}={divide(value, factor)}" for flag, value in flags.items()),
        )

    def open(self, exits: ExitStack) -> None:
        exits.callback(self._save_notifications)
        for part in (self.webhook, self.prometheus):
            exits.callback(part.stop)
            part.start()

    def await_evaluation(self, exits: ExitStack) -> None:
        """On return the rules have been evaluated on scraped data."""
        wait_until(f"{self.name}: rules are evaluated", partial(self.prometheus.query, RECORDED), TIMEOUT)
        # Not earlier: Prometheus takes five seconds to its first scrape. Sped up, that is five minutes without an
        # exporter, for which an alert would be right.
        exits.callback(self.alertmanager.stop)
        self.alertmanager.start()

    def _save_notifications(self) -> None:
        """Saves what was notified, for failed checks."""
        lines = [
            f"{each.at:.1f} {each.status} {each.receiver} {each.labels}" for each in self.webhook.notifications(None)
        ]
        self._notifications.write_text("".join(f"{line}\n" for line in lines))

    def firing(self, seconds: float) -> list[dict[str, str]]:
        """The labels of the alerts that fired within the last seconds."""
        vector = f'max_over_time(ALERTS{{alertstate="firing"}}[{int(seconds * 1000)}ms])'
        return [sample.labels for sample in self.prometheus.query(vector)]


def shorten_rules(out: Path, factor: int) -> None:
    run([sys.executable, SHORTEN, RULES, out, "--factor", str(factor)])


def scrape_config(
    example: Path,
    groups: Groups,
    exporter: str,
    alertmanager: str,
    rules: Path,
    factor: int,
    access: Mapping[str, Any],
) -> str:
    """A shipped example with the addresses of the fixture and short intervals. `groups` are the targets, which keep the
    labels of the example; in a job for `/probe`, requests go to the exporter. `access` are more keys of the job."""
    config = yaml.safe_load(example.read_text())
    if config["rule_files"] != [RULES.name]:
        raise FixtureError(f"{example}: rule_files are {config['rule_files']}")
    config["rule_files"] = [str(rules)]
    for group in _only(config["alerting"]["alertmanagers"])["static_configs"]:
        group["targets"] = [alertmanager]
    job = _only(config["scrape_configs"])
    job |= access
    labels = _only(job["static_configs"])["labels"]
    job["static_configs"] = [{**group, "labels": {**labels, **group["labels"]}} for group in groups]
    # A few seconds cannot be divided by as much as minutes.
    if "scrape_timeout" in job:
        job["scrape_timeout"] = job["scrape_interval"]
    for rule in job.get("relabel_configs", ()):
        if rule["target_label"] == "__address__":
            rule["replacement"] = exporter
    _shorten(config, SCRAPE_DURATIONS, factor)
    return _to_yaml(config)


def routing_config(example: Path, webhook_url: str, factor: int) -> str:
    """The shipped example with all receivers' URLs below the webhook's, and short intervals."""
    config = yaml.safe_load(example.read_text())
    _shorten(config["route"], ROUTE_DURATIONS, factor)
    for receiver in config["receivers"]:
        other = receiver.keys() - {"name", "webhook_configs"}
        if other:
            raise FixtureError(f"{example}: {receiver['name']} has {sorted(other)}, expected webhooks only")
        for webhook in receiver.get("webhook_configs", ()):
            url = urllib.parse.urlsplit(webhook["url"])
            webhook["url"] = f"{webhook_url}/{url.netloc}{url.path}"
    return _to_yaml(config)


def _shorten(value: Any, keys: set[str], factor: int) -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            if key in keys:
                value[key] = divide(each, factor)
            else:
                _shorten(each, keys, factor)
    elif isinstance(value, list):
        for each in value:
            _shorten(each, keys, factor)


def _only(values: Sequence[Any]) -> Any:
    if len(values) != 1:
        raise FixtureError(f"expected one item, got {len(values)}: {values}")
    return values[0]


def _to_yaml(config: Any) -> str:
    # Without anchors, which other parsers may limit.
    text: str = yaml.dump(config, Dumper=_Dumper, sort_keys=False)
    return text


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True
