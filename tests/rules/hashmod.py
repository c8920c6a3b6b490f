"""Scrapes one list of targets at `/probe` of three exporters, with the job of docs/scaling.md three times, and checks that
each target is scraped once: `hashmod.py PROMETHEUS EXPORTER PAGE DIR`."""

from __future__ import annotations

import copy
import json
import re
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

SHARDS = 3
TARGETS = 60
TIMEOUT = 60


def main(prometheus: str, exporter: str, page: str, directory: str) -> int:
    home = Path(directory)
    closed = free_port()
    # Nothing listens there: probes fail, and scrapes succeed.
    targets = [f"127.0.0.{number}:{closed}" for number in range(1, TARGETS + 1)]
    (home / "exporter.yaml").write_text(f'probe: {{allow: ["127.0.0.0/8:{closed}"]}}\n')
    exporters = [f"127.0.0.1:{free_port()}" for _ in range(SHARDS)]
    address = f"127.0.0.1:{free_port()}"
    config = {"scrape_configs": jobs(example(Path(page)), targets, exporters)}
    (home / "prometheus.yaml").write_text(yaml.safe_dump(config))
    with ExitStack() as exits:
        for listen in exporters:
            start(exits, home, exporter, f"--config.file={home}/exporter.yaml", f"--web.listen-address={listen}")
        start(
            exits,
            home,
            prometheus,
            f"--config.file={home}/prometheus.yaml",
            f"--storage.tsdb.path={home}/data",
            f"--web.listen-address={address}",
        )
        probed = wait(address)
    problems = []
    counts = Counter(labels["instance"] for labels in probed)
    problems += [f"{target}: scraped by {counts[target]} jobs" for target in targets if counts[target] != 1]
    jobs_used = Counter(labels["job"] for labels in probed)
    if len(jobs_used) != SHARDS or len(probed) != TARGETS:
        problems.append(f"expected {TARGETS} targets in {SHARDS} jobs: {dict(jobs_used)}")
    print("\n".join(problems) or dict(jobs_used))
    return 1 if problems else 0


def example(page: Path) -> Any:
    """The only job in the page."""
    blocks = [block for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.S) if "hashmod" in block]
    if len(blocks) != 1:
        raise ValueError(f"{page}: expected one example with hashmod, found {len(blocks)}")
    (job,) = yaml.safe_load(blocks[0])["scrape_configs"]
    return job


def jobs(job: Any, targets: list[str], exporters: list[str]) -> list[Any]:
    """The job of shard 0 for each shard, in the way that the page describes."""
    made = []
    for shard, exporter in enumerate(exporters):
        mine = copy.deepcopy(job)
        if not mine["job_name"].endswith("_0"):
            raise ValueError(f"{mine['job_name']}: expected the job of shard 0")
        mine["job_name"] = mine["job_name"].removesuffix("0") + str(shard)
        del mine["file_sd_configs"]
        mine["static_configs"] = [{"targets": targets}]
        mine.update(scrape_interval="1s", scrape_timeout="1s")
        rules = {rule.get("action", "replace"): rule for rule in mine["relabel_configs"]}
        if rules["hashmod"]["modulus"] != SHARDS or str(rules["keep"]["regex"]) != "0":
            raise ValueError(f"expected shard 0 of {SHARDS}: {rules}")
        rules["keep"]["regex"] = str(shard)
        (address,) = [rule for rule in mine["relabel_configs"] if rule.get("target_label") == "__address__"]
        address["replacement"] = exporter
        made.append(mine)
    return made


def start(exits: ExitStack, home: Path, *command: str) -> None:
    log = exits.enter_context((home / "hashmod.log").open("ab"))
    process = subprocess.Popen(command, stdout=log, stderr=log)
    exits.callback(process.wait, TIMEOUT)
    exits.callback(process.terminate)


def wait(address: str) -> list[dict[str, str]]:
    """The labels of all series `probe_success`, once every target of every job has been scraped."""
    until = time.monotonic() + TIMEOUT
    probed: list[dict[str, str]] = []
    while time.monotonic() < until:
        try:
            active = len(get(address, "targets", state="active")["activeTargets"])
            series = get(address, "query", query="probe_success")["result"]
        except OSError:
            active = 0
        else:
            probed = [each["metric"] for each in series]
        if active and active == len(probed):
            return probed
        time.sleep(0.2)
    raise TimeoutError(f"{len(probed)} targets were scraped within {TIMEOUT} seconds")


def get(address: str, endpoint: str, **parameters: str) -> Any:
    url = f"http://{address}/api/v1/{endpoint}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=5) as response:
        return json.load(response)["data"]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
