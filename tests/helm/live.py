"""Starts the exporter with the rendered arguments and files, and requests what the kubelet and Prometheus would request."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import facts
from helm import EXPORTER

Json = dict[str, Any]
# For a start on slow hosts, and for each request.
TIMEOUT = 60


def errors(objects: list[Json], folder: Path, args: list[str]) -> Iterator[str]:
    """Without targets, so that nothing is probed."""
    (config,) = (each.partition("=")[2] for each in args if each.startswith("--config.file="))
    Path(config).write_text(f"target_files: [{folder}/none/*.yaml]\n")
    local = [re.sub("^--web.listen-address=.*", "--web.listen-address=127.0.0.1:0", each) for each in args]
    with exporter(local) as address:
        container = facts.exporter(next(facts.pods(objects)))
        probes = [container[each] for each in ("livenessProbe", "readinessProbe", "startupProbe") if each in container]
        for probe in (each["httpGet"] for each in probes if "httpGet" in each):
            # The kubelet sends the address of the pod.
            yield from _status_errors(address, probe.get("scheme", "HTTP"), probe["path"], "10.0.0.1:10465", 200)
        if any("tcpSocket" in each for each in probes):
            socket.create_connection(address, TIMEOUT).close()
            try:
                yield f"answers without a client certificate: {_get(address, 'HTTPS', '/', '10.0.0.1')}"
            except OSError as error:
                if "WRONG_VERSION_NUMBER" in str(error):
                    yield "serves HTTP, not HTTPS"
            return
        service = facts.of_kind(objects, "Service")[0]["metadata"]
        for monitor in facts.of_kind(objects, "ServiceMonitor", "PodMonitor"):
            endpoint = (monitor["spec"].get("endpoints") or monitor["spec"]["podMetricsEndpoints"])[0]
            status = 401 if "basicAuth" in endpoint else 200
            name = f"{service['name']}.{service['namespace']}.svc"
            hosts = ["10.0.0.1:10465", f"{name}:10465", f"{name}.cluster.local:10465"]
            if facts.of_kind(objects, "StatefulSet"):
                hosts.append(f"{service['name']}-0.{name.replace('.', '-headless.', 1)}.cluster.local:10465")
            for host in hosts:
                yield from _status_errors(address, endpoint.get("scheme", "http"), endpoint["path"], host, status)
            if any(each.startswith("--web.allowed-hosts=") for each in args):
                yield from _status_errors(address, endpoint.get("scheme", "http"), endpoint["path"], "attacker.example", 403)


@contextmanager
def exporter(args: list[str]) -> Iterator[tuple[str, int]]:
    """The first address that it listens on."""
    process = subprocess.Popen([EXPORTER, *args], stderr=subprocess.PIPE, text=True)
    timer = threading.Timer(TIMEOUT, process.kill)
    timer.start()
    assert process.stderr
    try:
        output = []
        for line in process.stderr:
            output.append(line)
            if found := re.search(r'listening.*\baddress"?[=:]"?([0-9.]+):(\d+)', line):
                break
        else:
            raise RuntimeError(f"the exporter does not listen: {''.join(output)}")
        # Read to the end, so that the exporter never waits for its log.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield found[1], int(found[2])
    finally:
        timer.cancel()
        process.kill()
        process.wait()


def _status_errors(address: tuple[str, int], scheme: str, path: str, host: str, expected: int) -> Iterator[str]:
    if (status := _get(address, scheme, path, host)) != expected:
        yield f"{scheme} {path} of {host}: expected {expected}, got {status}"


def _get(address: tuple[str, int], scheme: str, path: str, host: str) -> int:
    if scheme.upper() == "HTTPS":
        # The kubelet does not verify certificates.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(*address, timeout=TIMEOUT, context=context)
    else:
        connection = http.client.HTTPConnection(*address, timeout=TIMEOUT)
    try:
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status
    finally:
        connection.close()
