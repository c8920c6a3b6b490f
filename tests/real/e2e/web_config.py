"""Web configuration files, given to the exporter and to blackbox_exporter, which uses the exporter toolkit of
Prometheus: both must accept the same files, and the same requests. What differs must be declared."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from .checks import Step, expect
from .process import Daemon, free_port, wait_until
from .web_config_certificates import Certificates

# Outcomes.
REFUSED = "refused"
PLAIN = "starts without TLS"
TLS = "starts with TLS"

PATH = "/metrics"
TIMEOUT = 30.0
WORKERS = 4

# One that probes nothing.
CONFIG = "probe: {allow: ['192.0.2.1:25']}\n"
BLACKBOX_CONFIG = "modules: {}\n"


@dataclass(frozen=True)
class Request:
    """A request by curl. Its outcome is the status and what `show` names: header fields, `body` or `protocol`."""

    name: str
    arguments: tuple[str | Path, ...] = ()
    path: str = PATH
    show: tuple[str, ...] = ()
    is_plain: bool = False
    """Without TLS although the server uses it."""


@dataclass(frozen=True)
class Handshake:
    """A TLS handshake of Python's `ssl`. Its outcome is the version, the cipher suite and the protocol of ALPN."""

    name: str
    ciphers: str
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    alpn: tuple[str, ...] = ()


@dataclass(frozen=True)
class Resumption:
    """Two handshakes with TLS 1.2, the second one with the session of the first one."""

    name: str
    certificate: Path | None = None


Exchange = Request | Handshake | Resumption


@dataclass(frozen=True)
class Difference:
    toolkit: str
    ours: str
    reason: str
    is_of_build: bool = False
    """Whether other builds of blackbox_exporter may do the same as the exporter."""


@dataclass(frozen=True)
class Group:
    """Requests to servers with the same file."""

    name: str
    config: Mapping[str, Any]
    requests: tuple[Exchange, ...]
    is_sequential: bool = False


class Server:
    """A process with a web configuration file."""

    def __init__(self, command: list[str | Path], web_config: Path, certificates: Certificates, log: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._certificates = certificates
        flags = [f"--web.config.file={web_config}", f"--web.listen-address={self.address}"]
        self.command = [*command, *flags]
        self.daemon = Daemon(self.command, log)
        self.scheme = ""

    def start(self) -> str:
        """Whether it starts, and with or without TLS."""
        self.daemon.start()
        outcome = wait_until(self.daemon.log.stem, self._started, TIMEOUT)
        self.scheme = {TLS: "https", PLAIN: "http"}.get(outcome, "")
        return outcome

    def stop(self) -> None:
        self.daemon.stop()

    def log(self) -> str:
        return self.daemon.log.read_text(errors="replace")

    def outcome(self, exchange: Exchange) -> str:
        match exchange:
            case Request():
                return self.request(exchange)
            case Handshake():
                return self.shake_hands(exchange)
            case Resumption():
                return self.resume(exchange)

    def request(self, request: Request) -> str:
        text, version, status = self._curl(request)
        if status == "000":
            return REFUSED
        head, _, body = text.partition("\n\n")
        shown = [status]
        for what in request.show:
            if what == "body":
                # Bodies of errors only.
                shown += [body.strip()] if int(status) >= 400 else []
            elif what == "protocol":
                shown.append(f"HTTP/{version}")
            else:
                fields = [line.partition(":") for line in head.splitlines()[1:]]
                shown += [f"{what}: {value.strip()}" for name, _, value in fields if name.lower() == what.lower()]
        return ", ".join(shown)

    def text(self, request: Request) -> str:
        """The header and the body of the response."""
        return self._curl(request)[0]

    def _curl(self, request: Request) -> tuple[str, str, str]:
        """The response, the version of HTTP, and the status, which is 000 without a response."""
        scheme = "http" if request.is_plain else self.scheme
        command: list[str | Path] = ["curl", "--silent", "--include", "--noproxy", "*", "--max-time", "20"]
        command += ["--cacert", self._certificates.root, "--write-out", "\n%{http_version} %{http_code}"]
        done = subprocess.run(
            [*command, *request.arguments, f"{scheme}://{self.address}{request.path}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        text, _, written = done.stdout.decode(errors="replace").replace("\r\n", "\n").rpartition("\n")
        version, status = written.split()
        return text, version, status

    def shake_hands(self, handshake: Handshake) -> str:
        context = self._context()
        context.set_ciphers(handshake.ciphers)
        context.minimum_version = context.maximum_version = handshake.version
        if handshake.alpn:
            context.set_alpn_protocols(list(handshake.alpn))
        try:
            with self._connect(context) as tls:
                cipher = tls.cipher()
                name = cipher[0] if cipher else ""
                return ", ".join(filter(None, [tls.version(), name, tls.selected_alpn_protocol()]))
        except OSError:
            return REFUSED

    def resume(self, resumption: Resumption) -> str:
        context = self._context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        if resumption.certificate:
            context.load_cert_chain(resumption.certificate)
        try:
            with self._connect(context) as first, self._connect(context, first.session) as second:
                return "resumed" if second.session_reused else "not resumed"
        except OSError:
            return REFUSED

    def connect(self) -> http.client.HTTPSConnection:
        """A connection for several requests."""
        connection = http.client.HTTPSConnection(self.address, context=self._context(), timeout=20)
        connection.connect()
        return connection

    def _connect(self, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
        host, _, port = self.address.partition(":")
        tcp = socket.create_connection((host, int(port)), timeout=20)
        try:
            return context.wrap_socket(tcp, server_hostname=host, session=session)
        except OSError:
            tcp.close()
            raise

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self._certificates.root))

    def _started(self) -> str | None:
        """A request without TLS is answered in any case."""
        if self.daemon.exit_code is not None:
            return REFUSED
        host, _, port = self.address.partition(":")
        try:
            with socket.create_connection((host, int(port)), timeout=5) as tcp:
                tcp.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                answer = tcp.recv(64)
        except OSError:
            return None
        if not answer.startswith(b"HTTP/1."):
            return None
        return TLS if answer.split()[1] == b"400" else PLAIN


@dataclass(frozen=True)
class Outcome:
    """What the two programs did in a case, with a file of this name."""

    case: str
    toolkit: str
    ours: str
    file: str = ""


@dataclass(frozen=True)
class Pair:
    """The two programs with the same file."""

    toolkit: Server
    ours: Server
    file: Path

    def start(self, case: str) -> Outcome:
        return Outcome(case, self.toolkit.start(), self.ours.start(), self.file.name)

    def request(self, case: str, request: Exchange) -> Outcome:
        return Outcome(case, self.toolkit.outcome(request), self.ours.outcome(request), self.file.name)

    def stop(self) -> None:
        self.toolkit.stop()
        self.ours.stop()


class WebConfig:
    """Compares the outcomes. `blackbox` is the binary of blackbox_exporter. Files and logs are in `home`."""

    def __init__(self, home: Path, exporter: Path, blackbox: Path, differences: Mapping[str, Difference]) -> None:
        self._home = home
        self._exporter = exporter
        self._blackbox = blackbox
        self._differences = differences
        self._tried: set[str] = set()
        self._same = 0
        self._files = 0

    def open(self, exits: ExitStack) -> None:
        self._home.mkdir()
        self._exits = exits
        self.certificates = Certificates(self._home)
        (self._home / "config.yaml").write_text(CONFIG)
        (self._home / "blackbox.yml").write_text(BLACKBOX_CONFIG)
        version = subprocess.run([self._blackbox, "--version"], capture_output=True, text=True)
        print(f"# {(version.stdout + version.stderr).partition(' (')[0]}", flush=True)

    def pair(self, content: str | bytes) -> Pair:
        """Programs that have not been started, with a new file in the folder of the certificates."""
        self._files += 1
        file = self._home / f"web-{self._files}.yml"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return self.pair_of(file)

    def pair_of(self, file: Path) -> Pair:
        def server(program: str, command: list[str | Path]) -> Server:
            log = self._home / f"{file.parent.name}-{file.name}-{program}.log"
            server = Server(command, file, self.certificates, log)
            self._exits.callback(server.stop)
            return server

        return Pair(
            server("blackbox", [self._blackbox, f"--config.file={self._home / 'blackbox.yml'}"]),
            server("exporter", [self._exporter, f"--config.file={self._home / 'config.yaml'}", "--log.format=logfmt"]),
            file,
        )

    def check(self, outcomes: Iterable[Outcome]) -> None:
        """Fails for each case whose outcomes differ otherwise than declared."""
        problems = []
        for outcome in outcomes:
            case, toolkit, ours = outcome.case, outcome.toolkit, outcome.ours
            difference = self._differences.get(case)
            self._tried.add(case)
            self._same += toolkit == ours
            if difference and difference.is_of_build and toolkit == ours == difference.ours:
                continue
            if difference and toolkit == ours:
                problems.append(f"{case}: declared as different, but both: {ours!r} ({outcome.file})")
            elif difference and (toolkit, ours) != (difference.toolkit, difference.ours):
                problems.append(f"{case}: toolkit {toolkit!r}, exporter {ours!r}, declared: {difference}")
            elif not difference and toolkit != ours:
                problems.append(f"{case}: toolkit {toolkit!r}, exporter {ours!r} ({outcome.file})")
        expect(not problems, "".join(f"\n#   {problem}" for problem in problems))

    def check_differences(self) -> None:
        not_tried = self._differences.keys() - self._tried
        expect(not not_tried, f"not tried: {sorted(not_tried)}")
        differ = len(self._tried) - self._same
        print(f"# {len(self._tried)} cases: the same outcome in {self._same}, {differ} differ as declared", flush=True)

    def group_step(self, group: Group) -> Step:
        return f"web_config: {group.name}: {len(group.requests)} requests", partial(self._check_group, group)

    def files_step(self, name: str, files: Mapping[str, str | bytes | Path]) -> Step:
        return f"web_config: {name}: {len(files)} files are accepted or refused", partial(
            self._check_files, name, files
        )

    def _check_group(self, group: Group) -> None:
        pair = self.pair(yaml.safe_dump(dict(group.config)))
        try:
            started = pair.start(group.name)
            expect(started.toolkit == started.ours != REFUSED, f"{started}: {pair.ours.log()[-600:]}")

            def run(request: Exchange) -> Outcome:
                return pair.request(f"{group.name}: {request.name}", request)

            with ThreadPoolExecutor(1 if group.is_sequential else WORKERS) as pool:
                outcomes = list(pool.map(run, group.requests))
        finally:
            pair.stop()
        _print_counts(group.name, outcomes)
        self.check(outcomes)

    def _check_files(self, name: str, files: Mapping[str, str | bytes | Path]) -> None:
        """A path is that of the file itself."""

        def run(item: tuple[str, str | bytes | Path]) -> Outcome:
            case, content = item
            pair = self.pair_of(content) if isinstance(content, Path) else self.pair(content)
            try:
                outcome = pair.start(f"{name}: {case}")
                if outcome.ours == REFUSED:
                    _check_refusal(pair)
                check = subprocess.run([*pair.ours.command, "--config.check"], capture_output=True, text=True)
                expected = 2 if outcome.ours == REFUSED else 0
                expect(check.returncode == expected, f"{outcome}: --config.check: {check.returncode}: {check.stderr}")
                return outcome
            finally:
                pair.stop()

        with ThreadPoolExecutor(WORKERS) as pool:
            outcomes = list(pool.map(run, files.items()))
        _print_counts(name, outcomes)
        self.check(outcomes)


def _check_refusal(pair: Pair) -> None:
    """The exporter ends with the code of an invalid configuration, and names the file, but no hash or key in it."""
    log, code = pair.ours.log(), pair.ours.daemon.exit_code
    expect(code == 2, f"{pair.file.name}: exit code {code}: {log}")
    expect(pair.file.name in log, f"{pair.file.name} is not in {log}")
    content = pair.file.read_text(errors="replace") if pair.file.is_file() else ""
    secrets = [word for word in re.findall(r"\S{40,}", content) if word in log]
    expect(not secrets, f"{secrets} in {log}")


def _print_counts(name: str, outcomes: Iterable[Outcome]) -> None:
    """What the toolkit did, so that a case that tests nothing is noticed."""
    counts = Counter(outcome.toolkit.partition(",")[0] for outcome in outcomes)
    print(f"# {name}: toolkit: " + ", ".join(f"{count} × {what}" for what, count in counts.most_common()), flush=True)
