"""What a user has who follows `deploy/`: the exporter, Prometheus with the shipped rules and Alertmanager with the
shipped routes, where an hour passes in a minute; and the fleet on stage before them. Two of them side by side, of
Debian's versions and of newer ones, watch the same exporter."""

from __future__ import annotations

import sys
import urllib.parse
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from shorten import FACTOR, divided

from .alertmanager import Alertmanager
from .exporter import Exporter
from .webhook import Pager
from .process import SceneError, free_port, run, wait_until
from .prometheus import Prometheus
from .fleetctl import Stage

ROOT = Path(__file__).resolve().parents[3]
SHORTEN = ROOT / "tests/rules/shorten.py"
RULES = ROOT / "deploy/prometheus/smtp-tls.rules.yaml"
SCRAPE = ROOT / "deploy/prometheus/scrape.example.yaml"
ROUTING = ROOT / "deploy/alertmanager/alertmanager.example.yaml"

# Seconds between rounds: two minutes, shortened.
INTERVAL = 2
# Until an address is forgotten whose name is gone.
RETENTION = 6

# By target: its server's numbers. The host is the target's name below example.com.
CAST = {
    "relay": (1, 2, 3),
    "submit": (4, 5),
    "soon": (6,),
    "late": (7,),
    "gone": (8,),
    "trio": (9, 10, 11),
    "dark": (12, 13),
    "plain": (14, 15),
    "strange": (16,),
    "future": (17,),
    "shake": (18, 19),
    "web": (20, 21),
    "vanish": (22,),
    "names": (23,),
    "revoked": (24,),
}
SERVERS = 24

TEAMS = {"web": "web"}
MORE = {"vanish": f", backend_retention: {RETENTION}s", "names": ", expect_names: [alias.example.com]"}

# The second name of all certificates of the relay, which leads to the same servers.
POOL = "pool.example.com"

TARGET = "  - {{host: {host}, port: {port}, name: {name}, resolver: stage, labels: {{team: {team}}}{more}}}\n"

# A rule that gives something while all is well.
RECORDED = "backend:smtp_tls_probe_success:max10m"
PATIENCE = 60

# Keys of times in the two configs.
SCRAPE_TIMES = {"scrape_interval", "scrape_timeout", "evaluation_interval"}
ROUTE_TIMES = {"group_wait", "group_interval", "repeat_interval"}


def host(target: str) -> str:
    return f"{target}.example.com"


class Watch:
    """Prometheus, Alertmanager and where its messages arrive."""

    def __init__(self, name: str, home: Path, logs: Path, exporter: str, rules: Path, binaries: Path | None) -> None:
        self.name = name
        self.pager = Pager()
        self.alertmanager = Alertmanager(
            home / f"alertmanager-{name}",
            logs,
            free_port(),
            routing(ROUTING, self.pager.url),
            binaries / "prometheus-alertmanager" if binaries else "prometheus-alertmanager",
        )
        self.prometheus = Prometheus(
            home / f"stack-prometheus-{name}",
            logs,
            free_port(),
            scraping(SCRAPE, exporter, self.alertmanager.address, rules),
            binaries / "prometheus" if binaries else "prometheus",
        )

    def open(self, exits: ExitStack) -> None:
        """On return rules are evaluated, on what was scraped."""
        for part in (self.pager, self.prometheus):
            exits.callback(part.stop)
            part.start()
        wait_until(f"{self.name}: rules are evaluated", partial(self.prometheus.query, RECORDED), PATIENCE)
        # Not before: Prometheus takes five seconds to its first scrape, however short the rest is. Five minutes without
        # an exporter, so to speak, of which it would be right to complain.
        exits.callback(self.alertmanager.stop)
        self.alertmanager.start()


class Stack:
    """`newer` is a folder of newer binaries."""

    def __init__(self, home: Path, logs: Path, exporter_binary: Path, newer: Path | None) -> None:
        home.mkdir()
        self._home = home
        self._logs = logs
        self._exporter_binary = exporter_binary
        self._newer = newer
        self.stage = Stage(SERVERS, home / "stage", logs / "stack-stage.log")
        self.watches: list[Watch] = []

    def open(self, exits: ExitStack) -> None:
        exits.callback(self.stage.stop)
        self.stage.start()
        self._dress()
        self.exporter = Exporter(
            self._exporter_binary,
            self._home / "stack-exporter",
            self._logs,
            free_port(),
            root=self.stage.root,
            targets=self._targets(),
            interval=INTERVAL,
        )
        exits.callback(self.exporter.stop)
        self.exporter.start()
        # A rule that looks at a target before its first round is another story.
        wait_until("stack: every server is seen, and is well", self._is_well, PATIENCE)
        short = self._home / "short.rules.yaml"
        run([sys.executable, SHORTEN, RULES, short, "--factor", str(FACTOR)])
        versions: list[tuple[str, Path | None]] = [("debian", None)]
        if self._newer:
            versions.append(("newer", self._newer))
        for name, binaries in versions:
            watch = Watch(name, self._home, self._logs, self.exporter.address, short, binaries)
            self.watches.append(watch)
            watch.open(exits)

    def dress(self, target: str) -> None:
        """Its servers as they should be: one certificate, as good as it gets."""
        more = {"relay": (POOL,), "names": ("alias.example.com",)}
        self.stage.present(CAST[target], host(target), *more.get(target, ()))

    def backend(self, target: str, which: int) -> str:
        """The address of one of its servers, from 0 on."""
        return self.stage.address(CAST[target][which])

    def _dress(self) -> None:
        for target, servers in CAST.items():
            self.dress(target)
            self.stage.resolve(host(target), servers)
        self.stage.resolve(POOL, CAST["relay"])

    def _targets(self) -> str:
        text = f'resolvers:\n  stage: {{nameservers: ["{self.stage.nameserver}"]}}\ntargets:\n'
        for name in CAST:
            text += TARGET.format(
                host=host(name),
                port=self.stage.port,
                name=name,
                team=TEAMS.get(name, "mail"),
                more=MORE.get(name, ""),
            )
        return text

    def _is_well(self) -> bool:
        samples = self.exporter.samples()
        for name in ("probe_success", "cert_hostname_match", "chain_valid"):
            values = [sample.value for sample in samples if sample.name == f"smtp_tls_{name}"]
            if values != [1.0] * SERVERS:
                return False
        return True


def scraping(example: Path, exporter: str, alertmanager: str, rules: Path) -> str:
    """The shipped example with addresses of ours, and short."""
    config = yaml.safe_load(example.read_text())
    _shorten(config, SCRAPE_TIMES)
    if config["rule_files"] != [RULES.name]:
        raise SceneError(f"{example}: rules are {config['rule_files']}")
    config["rule_files"] = [str(rules)]
    for group in _only(config["alerting"]["alertmanagers"])["static_configs"]:
        group["targets"] = [alertmanager]
    for group in _only(config["scrape_configs"])["static_configs"]:
        group["targets"] = [exporter]
    return _dumped(config)


def routing(example: Path, pager: str) -> str:
    """The shipped example with all receivers' addresses below the pager's, and short."""
    config = yaml.safe_load(example.read_text())
    _shorten(config["route"], ROUTE_TIMES)
    for receiver in config["receivers"]:
        other = receiver.keys() - {"name", "webhook_configs"}
        if other:
            raise SceneError(f"{example}: {receiver['name']} is told by {sorted(other)}")
        for webhook in receiver.get("webhook_configs", ()):
            url = urllib.parse.urlsplit(webhook["url"])
            webhook["url"] = f"{pager}/{url.netloc}{url.path}"
    return _dumped(config)


def _shorten(value: Any, keys: set[str]) -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            if key in keys:
                value[key] = divided(each)
            else:
                _shorten(each, keys)
    elif isinstance(value, list):
        for each in value:
            _shorten(each, keys)


def _only(values: list[dict[str, Any]]) -> dict[str, Any]:
    if len(values) != 1:
        raise SceneError(f"one is expected, not {len(values)}: {values}")
    return values[0]


def _dumped(config: Any) -> str:
    text: str = yaml.safe_dump(config, sort_keys=False)
    return text
