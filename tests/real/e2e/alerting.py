"""The setup that `deploy/` documents: the exporter, Prometheus with the shipped rules and Alertmanager with the shipped
routes, sped up so that an hour passes in a minute, in front of the servers of a test fleet. Two of these setups, with
Debian's versions and with newer ones, scrape the same exporter."""

from __future__ import annotations

import sys
import urllib.parse
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from shorten import FACTOR, divide

from .alertmanager import Alertmanager
from .exporter import Exporter
from .fleetctl import Fleet
from .process import FixtureError, free_port, run, wait_until
from .prometheus import Prometheus
from .webhook import Webhook

ROOT = Path(__file__).resolve().parents[3]
SHORTEN = ROOT / "tests/rules/shorten.py"
RULES = ROOT / "deploy/prometheus/smtp-tls.rules.yaml"
SCRAPE = ROOT / "deploy/prometheus/scrape.example.yaml"
ROUTING = ROOT / "deploy/alertmanager/alertmanager.example.yaml"

# Seconds between rounds: two minutes, sped up.
INTERVAL = 2
# Seconds until the addresses of a removed name are dropped.
RETENTION = 6

# The numbers of the servers of each target. The host is the target's name below example.com.
TARGETS = {
    "relay": (1, 2, 3),
    "submit": (4, 5),
    "tenth-left": (6,),
    "fifth-left": (7,),
    "lapsed": (8,),
    "retired": (9, 10, 11),
    "down": (12, 13),
    "no-starttls": (14, 15),
    "unknown-issuer": (16,),
    "not-yet-valid": (17,),
    "old-tls": (18, 19),
    "web": (20, 21),
    "unresolved": (22,),
    "names": (23,),
    "revoked": (24,),
}
SERVERS = 24

TEAMS = {"web": "web"}
OPTIONS = {"unresolved": f", backend_retention: {RETENTION}s", "names": ", expect_names: [alias.example.com]"}

# The second name of all certificates of the target `relay`; it resolves to the same servers.
POOL = "pool.example.com"

TARGET = "  - {{host: {host}, port: {port}, name: {name}, resolver: fleet, labels: {{team: {team}}}{options}}}\n"

# A rule that has a value while everything is ok.
RECORDED = "backend:smtp_tls_probe_success:max10m"
TIMEOUT = 60

# Keys of durations in the two configs.
SCRAPE_DURATIONS = {"scrape_interval", "scrape_timeout", "evaluation_interval"}
ROUTE_DURATIONS = {"group_wait", "group_interval", "repeat_interval"}


def host(target: str) -> str:
    return f"{target}.example.com"


class MonitoringStack:
    """Prometheus, Alertmanager and the webhook that it notifies."""

    def __init__(self, name: str, home: Path, logs: Path, exporter: str, rules: Path, binaries: Path | None) -> None:
        self.name = name
        self.webhook = Webhook()
        self.alertmanager = Alertmanager(
            home / f"alertmanager-{name}",
            logs,
            free_port(),
            routing_config(ROUTING, self.webhook.url),
            binaries / "prometheus-alertmanager" if binaries else "prometheus-alertmanager",
        )
        self.prometheus = Prometheus(
            home / f"alerting-prometheus-{name}",
            logs,
            free_port(),
            scrape_config(SCRAPE, exporter, self.alertmanager.address, rules),
            binaries / "prometheus" if binaries else "prometheus",
        )

    def open(self, exits: ExitStack) -> None:
        """On return the rules have been evaluated on scraped data."""
        for part in (self.webhook, self.prometheus):
            exits.callback(part.stop)
            part.start()
        wait_until(f"{self.name}: rules are evaluated", partial(self.prometheus.query, RECORDED), TIMEOUT)
        # Not earlier: Prometheus takes five seconds to its first scrape. Sped up, that is five minutes without an
        # exporter, for which an alert would be right.
        exits.callback(self.alertmanager.stop)
        self.alertmanager.start()


class Alerting:
    """`newer` is a folder with newer binaries of Prometheus and Alertmanager."""

    def __init__(self, home: Path, logs: Path, exporter_binary: Path, newer: Path | None) -> None:
        home.mkdir()
        self._home = home
        self._logs = logs
        self._exporter_binary = exporter_binary
        self._newer = newer
        self.fleet = Fleet(SERVERS, home / "fleet", logs / "alerting-fleetctl.log")
        self.stacks: list[MonitoringStack] = []

    def open(self, exits: ExitStack) -> None:
        exits.callback(self.fleet.stop)
        self.fleet.start()
        self._configure_fleet()
        self.exporter = Exporter(
            self._exporter_binary,
            self._home / "alerting-exporter",
            self._logs,
            root=self.fleet.root,
            targets=self._targets(),
            interval=INTERVAL,
        )
        exits.callback(self.exporter.stop)
        self.exporter.start()
        # The rules must not see a target before its first round.
        wait_until("alerting: every server is probed and ok", self._is_ok, TIMEOUT)
        short = self._home / "short.rules.yaml"
        run([sys.executable, SHORTEN, RULES, short, "--factor", str(FACTOR)])
        versions: list[tuple[str, Path | None]] = [("debian", None)]
        if self._newer:
            versions.append(("newer", self._newer))
        for name, binaries in versions:
            stack = MonitoringStack(name, self._home, self._logs, self.exporter.address, short, binaries)
            self.stacks.append(stack)
            stack.open(exits)

    def present_valid(self, target: str) -> None:
        """Gives the servers of a target one valid certificate."""
        more = {"relay": (POOL,), "names": ("alias.example.com",)}
        self.fleet.present(TARGETS[target], host(target), *more.get(target, ()))

    def backend(self, target: str, which: int) -> str:
        """The label `backend` of a target's server, counted from 0."""
        return self.fleet.address(TARGETS[target][which])

    def _configure_fleet(self) -> None:
        for target, servers in TARGETS.items():
            self.present_valid(target)
            self.fleet.resolve(host(target), servers)
        self.fleet.resolve(POOL, TARGETS["relay"])

    def _targets(self) -> str:
        text = f'resolvers:\n  fleet: {{nameservers: ["{self.fleet.nameserver}"]}}\ntargets:\n'
        for name in TARGETS:
            text += TARGET.format(
                host=host(name),
                port=self.fleet.port,
                name=name,
                team=TEAMS.get(name, "mail"),
                options=OPTIONS.get(name, ""),
            )
        return text

    def _is_ok(self) -> bool:
        samples = self.exporter.samples()
        for name in ("probe_success", "cert_hostname_match", "chain_valid"):
            values = [sample.value for sample in samples if sample.name == f"smtp_tls_{name}"]
            if values != [1.0] * SERVERS:
                return False
        return True


def scrape_config(example: Path, exporter: str, alertmanager: str, rules: Path) -> str:
    """The shipped example with the addresses of the fixture and short intervals."""
    config = yaml.safe_load(example.read_text())
    _shorten(config, SCRAPE_DURATIONS)
    if config["rule_files"] != [RULES.name]:
        raise FixtureError(f"{example}: rule_files are {config['rule_files']}")
    config["rule_files"] = [str(rules)]
    for group in _only(config["alerting"]["alertmanagers"])["static_configs"]:
        group["targets"] = [alertmanager]
    for group in _only(config["scrape_configs"])["static_configs"]:
        group["targets"] = [exporter]
    return _to_yaml(config)


def routing_config(example: Path, webhook_url: str) -> str:
    """The shipped example with all receivers' URLs below the webhook's, and short intervals."""
    config = yaml.safe_load(example.read_text())
    _shorten(config["route"], ROUTE_DURATIONS)
    for receiver in config["receivers"]:
        other = receiver.keys() - {"name", "webhook_configs"}
        if other:
            raise FixtureError(f"{example}: {receiver['name']} has {sorted(other)}, expected webhooks only")
        for webhook in receiver.get("webhook_configs", ()):
            url = urllib.parse.urlsplit(webhook["url"])
            webhook["url"] = f"{webhook_url}/{url.netloc}{url.path}"
    return _to_yaml(config)


def _shorten(value: Any, keys: set[str]) -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            if key in keys:
                value[key] = divide(each)
            else:
                _shorten(each, keys)
    elif isinstance(value, list):
        for each in value:
            _shorten(each, keys)


def _only(values: list[dict[str, Any]]) -> dict[str, Any]:
    if len(values) != 1:
        raise FixtureError(f"expected one item, got {len(values)}: {values}")
    return values[0]


def _to_yaml(config: Any) -> str:
    text: str = yaml.safe_dump(config, sort_keys=False)
    return text
