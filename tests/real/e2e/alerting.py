"""The setups whose notifications are checked: the exporter, Prometheus with the shipped rules and Alertmanager with the
shipped routes, sped up so that an hour passes in a minute or two, in front of the servers of a test fleet."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from shorten import FACTOR

from .exporter import Exporter
from .fleetctl import Fleet
from .monitoring import SCRAPE, SCRAPE_PROBE, MonitoringStack, shorten_rules
from .process import free_port, wait_until
from .prometheus import JOB, PROBE_JOB
from .web_access import WebAccess

# How many servers each target has. The host is the target's name below example.com.
TARGETS = {
    "relay": 3,
    "submit": 2,
    "tenth-left": 1,
    "fifth-left": 1,
    "lapsed": 1,
    "retired": 3,
    "down": 2,
    "no-starttls": 2,
    "unknown-issuer": 1,
    "not-yet-valid": 1,
    "old-tls": 2,
    "web": 2,
    "unresolved": 1,
    "names": 1,
    "revoked": 1,
    # These are never broken, see BLIND.
    "slow": 1,
    "other-dns": 1,
    # Probed through /probe only, until the exporter's configuration refuses it.
    "denied": 1,
}

TEAMS = {"web": "web"}

# The fleet's profile of a slow server has a certificate for this name.
SLOW_HOST = "smtp.example.com"

# The second name of all certificates of the target `relay`; it resolves to the same servers.
POOL = "pool.example.com"

# Labels of the scrape jobs that all replicas share, as service discovery in Kubernetes adds them.
LABELS = {"namespace": "monitoring"}

# Minutes between rounds, and until the addresses of a removed name are dropped.
INTERVAL = 2
RETENTION = 6

TIMEOUT = 60

# Settings of targets by which a replica cannot see what the others see: it gives up on a server before the greeting,
# and its name server does not answer.
BLIND: Mapping[str, Mapping[str, Any]] = {
    "slow": {"timeout": "100ms", "connect_timeout": "100ms"},
    "other-dns": {"resolver": "dead"},
}


@dataclass(frozen=True)
class Replica:
    """An instance of the exporter."""

    node: str
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings of targets that differ from those of the other replicas."""
    has_client_certificates: bool = False
    """With `Setup.has_access`: whether it requires client certificates rather than passwords."""
    shard: int | None = None
    """With `Setup.total_shards`: the only one that it probes."""


@dataclass(frozen=True)
class Setup:
    """What differs between the parts that check notifications."""

    part: str
    targets: Collection[str]
    replicas: Sequence[Replica] = (Replica("node-1"),)
    factor: int = FACTOR
    """How much faster than in production the time passes."""
    scrapes_probe: bool = False
    """Prometheus scrapes `/probe`, and nothing scrapes `/metrics`."""
    ad_hoc: Collection[str] = ()
    """Targets that are not in the exporter's configuration."""
    outages: Mapping[str, int] = field(default_factory=lambda: {"": 0})
    """How many minutes Prometheus is stopped for. There is a monitoring stack for each of them."""
    rule_flags: Mapping[str, str] = field(default_factory=dict)
    """Flags of Prometheus, with durations to speed up."""
    has_access: bool = False
    """Whether Prometheus has to use TLS, and a password or a client certificate."""
    total_shards: int = 1

    @property
    def job(self) -> str:
        return PROBE_JOB if self.scrapes_probe else JOB

    def seconds(self, minutes: float) -> float:
        """How long minutes take."""
        return minutes * 60 / self.factor


def host(target: str) -> str:
    return SLOW_HOST if target == "slow" else f"{target}.example.com"


class Alerting:
    """A setup, with monitoring stacks of Debian's versions of Prometheus and Alertmanager, and of the newer versions in
    the folder `newer`. `exporter` is the first replica."""

    def __init__(self, setup: Setup, home: Path, logs: Path, exporter_binary: Path, newer: Path | None) -> None:
        home.mkdir()
        self.setup = setup
        self._home = home
        self._logs = logs
        self._exporter_binary = exporter_binary
        self._newer = newer
        self.servers: dict[str, list[int]] = {}
        for target in setup.targets:
            first = 1 + sum(map(len, self.servers.values()))
            self.servers[target] = list(range(first, first + TARGETS[target]))
        count = sum(map(len, self.servers.values()))
        self.fleet = Fleet(count, home / "fleet", logs / f"{setup.part}-fleetctl.log")
        self.exporters: list[Exporter] = []
        self.access = WebAccess(home / "access") if setup.has_access else None
        self.web_configs: list[Path] = []
        """Of each exporter, with `Setup.has_access`."""
        self.stacks: list[MonitoringStack] = []

    def open(self, exits: ExitStack) -> None:
        exits.callback(self.fleet.stop)
        self.fleet.start()
        for target, servers in self.servers.items():
            self.present_valid(target)
            self.fleet.resolve(host(target), servers)
        if "relay" in self.servers:
            self.fleet.resolve(POOL, self.servers["relay"])
        for replica in self.setup.replicas:
            self._start_exporter(replica, exits)
        self.exporter = self.exporters[0]
        # The rules must not see a target before its first round.
        for exporter, replica in zip(self.exporters, self.setup.replicas, strict=True):
            is_ok = partial(self._is_ok, exporter, replica)
            wait_until(f"{self.setup.part}: every server is probed and ok", is_ok, TIMEOUT)
        rules = self._home / "short.rules.yaml"
        shorten_rules(rules, self.setup.factor)
        versions = {"debian": None, **({"newer": self._newer} if self._newer else {})}
        for outage, minutes in self.setup.outages.items():
            for version, binaries in versions.items():
                stack = MonitoringStack(
                    "-".join(filter(None, [self.setup.part, version, outage])),
                    self._home,
                    self._logs,
                    SCRAPE_PROBE if self.setup.scrapes_probe else SCRAPE,
                    self._groups(),
                    self.exporter.address,
                    rules,
                    self.setup.factor,
                    binaries,
                    minutes,
                    self.setup.rule_flags,
                    self.access.scrape_config if self.access else {},
                )
                self.stacks.append(stack)
                stack.open(exits)
        for stack in self.stacks:
            stack.await_evaluation(exits)

    def present_valid(self, target: str) -> None:
        """Gives the servers of a target one valid certificate."""
        more = {"relay": (POOL,), "names": ("alias.example.com",)}
        if target == "slow":
            self.fleet.play(self.servers[target], "slow_greeting")
        else:
            self.fleet.present(self.servers[target], host(target), *more.get(target, ()))

    def backend(self, target: str, which: int) -> str:
        """The label `backend` of a target's server, counted from 0."""
        return self.fleet.address(self.servers[target][which])

    def target_label(self, target: str) -> str:
        """The label `target` in the series."""
        return self._address(target) if target in self.setup.ad_hoc else target

    def team(self, target: str) -> str:
        return TEAMS.get(target, "mail")

    def _address(self, target: str) -> str:
        return f"{host(target)}:{self.fleet.port}"

    def _start_exporter(self, replica: Replica, exits: ExitStack) -> None:
        interval = int(self.setup.seconds(INTERVAL))
        flags = []
        if self.access:
            web_config = self.access.config(replica.node, with_certificate=replica.has_client_certificates)
            self.web_configs.append(web_config)
            flags.append(f"--web.config.file={web_config}")
        if replica.shard is not None:
            flags += [f"--shard={replica.shard}", f"--total-shards={self.setup.total_shards}"]
        exporter = Exporter(
            self._exporter_binary,
            self._home / f"{self.setup.part}-exporter-{replica.node}",
            self._logs,
            root=self.fleet.root,
            targets=self._config(replica),
            interval=interval,
            # A scrape of /probe must not end before the probe.
            timeout=1 if self.setup.scrapes_probe else interval,
            resolver="fleet",
            flags=flags,
            access=self.access,
        )
        exits.callback(exporter.stop)
        exporter.start()
        self.exporters.append(exporter)

    def _config(self, replica: Replica) -> str:
        """The configuration below the defaults."""
        fleet = self.fleet
        config: dict[str, Any] = {
            "resolvers": {
                "fleet": {"nameservers": [fleet.nameserver]},
                "dead": {"nameservers": [f"127.0.0.1:{free_port()}"]},
            },
            "probe": {"allow": [f"127.0.0.0/8:{fleet.port}", *map(self._address, self.setup.ad_hoc)]},
            "targets": [],
        }
        settings: dict[str, dict[str, Any]] = {
            "unresolved": {"backend_retention": f"{self.setup.seconds(RETENTION):.0f}s"},
            "names": {"expect_names": ["alias.example.com"]},
        }
        for name in self.servers:
            if name not in self.setup.ad_hoc:
                target = {
                    "host": host(name),
                    "port": int(fleet.port),
                    "name": name,
                    "labels": {"team": self.team(name)},
                }
                config["targets"].append(target | settings.get(name, {}) | dict(replica.settings.get(name, {})))
        text: str = yaml.safe_dump(config, sort_keys=False)
        return text

    def _groups(self) -> list[dict[str, Any]]:
        """The targets of the scrape job."""
        if not self.setup.scrapes_probe:
            return [
                {
                    "targets": [exporter.address],
                    "labels": {**LABELS, "node": replica.node, "pod": f"pod-{replica.node}"},
                }
                for exporter, replica in zip(self.exporters, self.setup.replicas, strict=True)
            ]
        configured = [target for target in self.servers if target not in self.setup.ad_hoc]
        return [
            # The exporter's configuration has the teams of these.
            {"targets": configured, "labels": {**LABELS, "team": "monitoring"}},
            *(
                {"targets": [self._address(target)], "labels": {**LABELS, "team": self.team(target)}}
                for target in self.setup.ad_hoc
            ),
        ]

    def targets_of(self, shard: int) -> list[str]:
        """The configured targets of a shard."""
        return [name for name in self.servers if _shard(name, self.setup.total_shards) == shard]

    def _is_ok(self, exporter: Exporter, replica: Replica) -> bool:
        samples = exporter.samples()
        configured = self.servers if replica.shard is None else self.targets_of(replica.shard)
        seen = [name for name in configured if name not in self.setup.ad_hoc and name not in replica.settings]
        expected = sum(len(self.servers[target]) for target in seen)
        for name in ("probe_success", "cert_hostname_match", "chain_valid"):
            of_seen = [each for each in samples if each.name == f"smtp_tls_{name}" and each.labels["target"] in seen]
            if [sample.value for sample in of_seen] != [1.0] * expected:
                return False
        return True


def _shard(target: str, total: int) -> int:
    """As docs/scaling.md describes it: a jump consistent hash (Lamping and Veach, arXiv 1406.2294)."""
    key = int.from_bytes(hashlib.sha256(target.encode()).digest()[:8], "big")
    shard, following = -1, 0
    while following < total:
        shard = following
        key = (key * 2862933555777941757 + 1) % 2**64
        following = int((shard + 1) * (2**31 / ((key >> 33) + 1)))
    return shard
