"""The resolver of the host, compared with libc: `getent` and `check` in a network of their own, with Knot on port 53 and
every kind of /etc/resolv.conf."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from .checks import Step, expect
from .knot import CONFIG, PLAIN, Records, write_zone
from .process import Daemon, wait_until

SERVER = "127.0.0.1"
# A server without search domains, and addresses that nothing listens on.
ZONES: Mapping[str, Records] = {
    "cluster.test": {
        "smtp.mail.svc.cluster.test": ["A 127.0.1.1"],
        "relay.cluster.test": ["A 127.0.1.2"],
        "relay.mail.svc.cluster.test": ["A 127.0.1.3"],
        "text.cluster.test": ["TXT none"],
    },
    "svc": {"both.svc": ["A 127.0.1.4"], "text.svc": ["TXT none"]},
    "other.test": {"both.svc.other.test": ["A 127.0.1.5"], "text.other.test": ["A 127.0.1.6"]},
    # A root zone, so that other names do not exist.
    ".": {},
}
NAMES = (
    "smtp.mail.svc", "smtp.mail.svc.", "smtp.mail.svc.cluster.test", "relay", "relay.mail.svc", "both.svc", "both.svc.",
    "text", "text.svc", "gone", "a.b.c.d.e.f", "listed", "localhost",
)  # fmt: skip
KUBERNETES = "search mail.svc.cluster.test svc.cluster.test cluster.test\noptions ndots:5\n"
FILES = {
    "of Kubernetes": KUBERNETES,
    "with one domain": "search cluster.test\n",
    "with a domain line": "search other.test\ndomain cluster.test\n",
    "with several search lines": "domain cluster.test\nsearch other.test\nsearch other.test cluster.test\n",
    "with tabs and trailing dots": "search\tother.test.\t cluster.test.\noptions\tndots:3\n",
    "with the root": "search . other.test\n",
    "with options": "search other.test\noptions rotate edns0 trust-ad timeout:1 attempts:1 unknown-thing:3 ndots:2\n",
    "with ndots:0": "search other.test\noptions ndots:0\n",
    "with ndots:15": "search other.test\noptions ndots:99\n",
    "with a comment": "# search cluster.test\n; options ndots:5\nsearch other.test\n",
    "with other keywords": "sortlist 127.0.0.0\nfamily inet4\nsearch other.test\n",
    "without a search list": "",
    "with invalid name servers": "nameserver dns.test\nnameserver\nnameserver fe80::1%nowhere\nsearch other.test\n",
}
ENVIRONMENTS: tuple[Mapping[str, str], ...] = (
    {"LOCALDOMAIN": "other.test cluster.test"},
    {"LOCALDOMAIN": ""},
    {"RES_OPTIONS": "ndots:5"},
    {"LOCALDOMAIN": "other.test", "RES_OPTIONS": "rotate ndots:3"},
)


class SystemDns:
    """A network and mount namespace with Knot. `open` starts it; closing `exits` stops it."""

    def __init__(self, home: Path, logs: Path, exporter: Path) -> None:
        home.mkdir()
        self._exporter = exporter
        self._resolv_conf, self._hosts = home / "resolv.conf", home / "hosts"
        self._resolv_conf.write_text("")
        self._hosts.write_text("127.0.0.1 localhost\n127.0.1.9 listed\n")
        # Both files are mounted over those of the host, which stay as they are.
        mounts = "mount --bind $0 /etc/resolv.conf && mount --bind $1 /etc/hosts"
        # libc returns no addresses if there are only loopback ones.
        addresses = "ip link set lo up && ip address add 192.0.2.1/32 dev lo"
        # Its domain is searched if no other one is configured.
        hostname = "echo probe.other.test >/proc/sys/kernel/hostname"
        script = f"{mounts} && {addresses} && {hostname} && exec sleep inf"
        argv = ["unshare", "--mount", "--net", "--uts", "sh", "-c", script, self._resolv_conf, self._hosts]
        self._namespace = Daemon(argv, logs / "dns-namespace.log")
        zones = {zone: home / f"{'root' if zone == '.' else zone}.zone" for zone in ZONES}
        for zone, file in zones.items():
            write_zone(file, zone.rstrip("."), ZONES[zone])
        config = home / "knot.conf"
        text = CONFIG.format(home=home, port=53)
        config.write_text(text + "".join(PLAIN.format(zone=zone, file=file) for zone, file in zones.items()))
        self._config = config
        self._logs = logs

    def open(self, exits: ExitStack) -> None:
        exits.callback(self._namespace.stop)
        self._namespace.start()
        wait_until("the namespace", lambda: "listed" in self._output(["cat", "/etc/hosts"]))
        knot = Daemon(self._inside(["knotd", "-c", str(self._config)]), self._logs / "dns-namespace-knot.log")
        exits.callback(knot.stop)
        knot.start()
        wait_until("SOA of cluster.test", lambda: "ns" in self._output(["kdig", f"@{SERVER}", "+short", "cluster.test", "SOA"]))

    def steps(self) -> Iterator[Step]:
        for what, text in FILES.items():
            yield f"dns: /etc/resolv.conf {what}: as libc", lambda text=text: self._agrees(text, {})
        for variables in ENVIRONMENTS:
            text = ", ".join(f"{name}={value!r}" for name, value in variables.items())
            yield f"dns: {text}: as libc", lambda variables=variables: self._agrees("search cluster.test\n", variables)
        yield "dns: AAAA is not queried on a host without IPv6", self._without_ipv6
        yield "dns: without a name server, the texts say so", self._unreachable

    def _agrees(self, text: str, variables: Mapping[str, str]) -> None:
        """All names resolve to the addresses that libc returns."""
        self._resolv_conf.write_text(text + f"nameserver {SERVER}\n")
        found = self._check(NAMES, variables)
        differences = []
        for name in NAMES:
            output = self._output(["getent", "ahostsv4", name], variables)
            expected = {line.split()[0] for line in output.splitlines()}
            if found[name] != expected:
                differences.append(f"{name}: libc {sorted(expected)}, check {sorted(found[name])}")
        expect(not differences, "; ".join(differences))

    def _without_ipv6(self) -> None:
        self._resolv_conf.write_text(f"nameserver {SERVER}\n")
        failures = self._documents(["gone.cluster.test"], {})["gone.cluster.test"]["lookup"]["failures"]
        expect([failure["type"] for failure in failures] == ["A"], f"{failures}")

    def _unreachable(self) -> None:
        self._resolv_conf.write_text("search cluster.test\nnameserver 127.0.0.99\n")
        document = self._documents(["relay.cluster.test"], {})["relay.cluster.test"]
        reasons = [failure["reason"] for failure in document["lookup"]["failures"]]
        texts = " ".join(advice["text"] for advice in document["advice"])
        expect(reasons == ["dns_unreachable"] and "zone" not in texts and "exist" not in texts, f"{reasons} {texts}")

    def _check(self, names: tuple[str, ...], variables: Mapping[str, str]) -> dict[str, set[str]]:
        documents = self._documents(list(names), variables)
        backends = {
            name: [backend for endpoint in document["endpoints"] for backend in endpoint["backends"]]
            for name, document in documents.items()
        }
        return {name: {backend["address"] for backend in each} for name, each in backends.items()}

    def _documents(self, names: list[str], variables: Mapping[str, str]) -> dict[str, Any]:
        documents = {}
        # A name with and without a trailing dot has the same name as a target.
        for batch in ([name for name in names if not name.endswith(".")], [name for name in names if name.endswith(".")]):
            if batch:
                output = self._output([str(self._exporter), "check", "--output=json", *batch], variables)
                targets = json.loads(output)["targets"]
                documents |= dict(zip(batch, targets, strict=True))
        return documents

    def _inside(self, command: list[str]) -> list[str]:
        return ["nsenter", f"--target={self._namespace.pid}", "--mount", "--net", "--uts", *command]

    def _output(self, command: list[str], variables: Mapping[str, str] | None = None) -> str:
        environment = {**os.environ, **(variables or {})}
        done = subprocess.run(self._inside(command), capture_output=True, text=True, env=environment, timeout=60)
        return done.stdout
