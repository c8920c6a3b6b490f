"""Files of a web configuration that change while the programs run. The toolkit reads them for each request, and the
exporter on SIGHUP, or when it sees the change."""

from __future__ import annotations

import shutil
import signal
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from .checks import Step, expect
from .process import wait_until
from .web_config import WORKERS, Outcome, Request, Server, WebConfig
from .web_config_cases import hash_of

# Longer than the exporter takes to see a change of a file.
TIMEOUT = 30.0
METRIC = "smtp_tls_exporter_web_config_last_reload_successful"

TLS: Mapping[str, Any] = {"tls_server_config": {"cert_file": "server.pem", "key_file": "server.key"}}
FILE = "web.yml"

Configure = Callable[[Path], None]


@dataclass(frozen=True)
class Change:
    """`change` is applied to the folder of the files; the outcome of the request is compared before and after it."""

    name: str
    config: Mapping[str, Any]
    change: Configure
    request: Request
    is_refused: bool = False
    """Whether the exporter keeps what it has."""
    credentials: tuple[str | Path, ...] = ()
    """Arguments of curl with which the exporter's metrics can be read at any time."""


def write(config: Mapping[str, Any] | str) -> Configure:
    text = config if isinstance(config, str) else yaml.safe_dump(dict(config))

    def change(folder: Path) -> None:
        (folder / FILE).write_text(text)

    return change


def steps(web_config: WebConfig) -> Iterator[Step]:
    changes = list(_changes())
    yield f"web_config: {len(changes)} changes while running", partial(_check_changes, web_config, changes)
    yield "web_config: new certificates without a signal", partial(_check_renewals, web_config)


def _changes() -> Iterator[Change]:
    old, new = ({"basic_auth_users": {user: hash_of("secret")}} for user in ("old", "new"))
    as_old, as_new = (Request(user, ("--user", f"{user}:secret")) for user in ("old", "new"))
    both = {"basic_auth_users": {**old["basic_auth_users"], **new["basic_auth_users"]}}
    plain = Request("any")
    yield Change("a user is added", old, write(both), as_new)
    yield Change("a user is removed", both, write(new), as_old, credentials=as_new.arguments)
    yield Change("a password changes", old, write({"basic_auth_users": {"old": hash_of("other")}}), as_old)
    yield Change("all users are removed", old, write("{}"), plain)
    header = {"http_server_config": {"headers": {"X-Frame-Options": "deny"}}}
    yield Change("a header is added", {}, write(header), Request("any", show=("X-Frame-Options",)))
    limit = {"rate_limit": {"interval": "1h", "burst": 1}}
    yield Change("a rate limit is added", {}, write(limit), plain)
    yield Change("an unknown key, without TLS", old, write({**old, "tls": {}}), as_old, True, as_old.arguments)
    yield Change("an unknown key, with TLS", TLS, write({**TLS, "tls": {}}), plain, True)
    yield Change("the file is empty, with TLS", TLS, write(""), plain, True)
    yield Change("the file is removed", old, lambda folder: (folder / FILE).unlink(), as_old, True, as_old.arguments)
    yield Change("TLS is added", {}, write(TLS), plain, True)
    yield Change("TLS is removed", TLS, write({}), plain, True)
    yield Change("the key is that of another certificate", TLS, _copy("renewed.key", "server.key"), plain, True)
    yield Change("the certificate is removed", TLS, lambda folder: (folder / "server.pem").unlink(), plain, True)
    yield Change("TLS 1.3 only", TLS, write(_tls(min_version="TLS13")), Request("TLS 1.2", ("--tls-max", "1.2")))
    verified = _tls(client_auth_type="RequireAndVerifyClientCert", client_ca_file="ca.pem")
    yield Change("client certificates are required", TLS, write(verified), plain)
    certificate = ("--cert", "client-DNS-listed.pem")
    yield Change(
        "the CA of client certificates is replaced",
        verified,
        _copy("self-signed.pem", "ca.pem"),
        Request("client of the old CA", certificate),
        credentials=("--cert", "client-self-signed.pem"),
    )


def _tls(**keys: Any) -> dict[str, Any]:
    return {"tls_server_config": {**TLS["tls_server_config"], **keys}}


def _copy(source: str, destination: str) -> Configure:
    def change(folder: Path) -> None:
        (folder / destination).write_bytes((folder / source).read_bytes())

    return change


def _check_changes(web_config: WebConfig, changes: Sequence[Change]) -> None:
    def run(item: tuple[int, Change]) -> list[Outcome]:
        number, change = item
        return _apply(web_config, web_config.certificates.home / f"change-{number}", change)

    with ThreadPoolExecutor(WORKERS) as pool:
        results = list(pool.map(run, enumerate(changes)))
    web_config.check(outcome for outcomes in results for outcome in outcomes)


def _apply(web_config: WebConfig, folder: Path, change: Change) -> list[Outcome]:
    _fill(web_config, folder)
    write(change.config)(folder)
    pair = web_config.pair_of(folder / FILE)
    request = _with_files(change.request, folder)
    try:
        pair.start(change.name)
        before = pair.request(f"before: {change.name}", request)
        outcomes = [before]
        change.change(folder)
        pair.ours.daemon.send(signal.SIGHUP)
        if change.is_refused:
            credentials = _with_files(Request("metrics", change.credentials), folder)
            wait_until(f"{METRIC} is 0", partial(_has, pair.ours, credentials, f"{METRIC} 0"), TIMEOUT)
        else:
            wait_until("the outcome changes", lambda: pair.ours.outcome(request) != before.ours, TIMEOUT)
        outcomes.append(pair.request(f"after: {change.name}", request))
        if change.is_refused:
            _fill(web_config, folder)
            write(change.config)(folder)
            pair.ours.daemon.send(signal.SIGHUP)
            wait_until(f"{METRIC} is 1", partial(_has, pair.ours, credentials, f"{METRIC} 1"), TIMEOUT)
            outcomes.append(pair.request(f"repaired: {change.name}", request))
        return outcomes
    finally:
        pair.stop()


def _check_renewals(web_config: WebConfig) -> None:
    """New files, and a symbolic link to another folder."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(partial(_check_renewal, web_config), (False, True)))


def _check_renewal(web_config: WebConfig, link: bool) -> None:
    """Connections that are open keep the old certificate, and can be used."""
    home = web_config.certificates.home
    folder = home / f"renewal-{link}"
    folder.mkdir()
    for name in ("server", "renewed"):
        (folder / name).mkdir()
        for suffix in ("pem", "key"):
            shutil.copy(home / f"{name}.{suffix}", folder / name / f"tls.{suffix}")
    current = folder / "current"
    current.symlink_to("server")
    (folder / FILE).write_text(
        yaml.safe_dump({"tls_server_config": {"cert_file": "current/tls.pem", "key_file": "current/tls.key"}})
    )
    pair = web_config.pair_of(folder / FILE)
    try:
        pair.start("renewal")
        servers = (pair.toolkit, pair.ours)
        connections = [server.connect() for server in servers]
        old = [_not_after(connection.sock) for connection in connections]
        expect(old == [_certificate_end(home / "server.pem")] * 2, f"before: {old}")
        if link:
            # As Kubernetes replaces the files of a secret.
            (folder / "next").symlink_to("renewed")
            (folder / "next").rename(current)
        else:
            for suffix in ("key", "pem"):
                shutil.copy(folder / "renewed" / f"tls.{suffix}", folder / "server" / f"tls.{suffix}")
        new = _certificate_end(home / "renewed.pem")
        for server in servers:
            wait_until(f"{server.daemon.log.stem}: the new certificate", partial(_presents, server, new), TIMEOUT)
        for connection in connections:
            connection.request("GET", "/metrics")
            response = connection.getresponse()
            response.read()
            expect(response.status == 200, f"status of the open connection: {response.status}")
            connection.close()
    finally:
        pair.stop()


def _presents(server: Server, not_after: str) -> bool:
    connection = server.connect()
    try:
        return _not_after(connection.sock) == not_after
    finally:
        connection.close()


def _not_after(tls: Any) -> str:
    return str(tls.getpeercert()["notAfter"])


def _certificate_end(file: Path) -> str:
    # The only decoder of the standard library.
    decoded: dict[str, str] = ssl._ssl._test_decode_cert(str(file))  # type: ignore[attr-defined]
    return decoded["notAfter"]


def _fill(web_config: WebConfig, folder: Path) -> None:
    """Copies the certificates, so that a case can replace them."""
    folder.mkdir(exist_ok=True)
    for file in web_config.certificates.home.glob("*.*"):
        if file.suffix in (".pem", ".key") and file.is_file():
            shutil.copy(file, folder)


def _with_files(request: Request, folder: Path) -> Request:
    """With the paths of certificates in the folder."""
    arguments = tuple(folder / each if str(each).endswith(".pem") else each for each in request.arguments)
    return Request(request.name, arguments, request.path, request.show)


def _has(server: Server, request: Request, line: str) -> bool:
    return line in server.text(request).splitlines()
