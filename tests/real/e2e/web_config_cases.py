"""Web configurations with which both programs start, and requests to them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from .process import run
from .web_config import Exchange, Group, Handshake, Request, Resumption
from .web_config_certificates import LISTED, Certificates

KEY_PAIR = {"cert_file": "server.pem", "key_file": "server.key"}
RSA_KEY_PAIR = {"cert_file": "rsa.pem", "key_file": "rsa.key"}
AUTH_TYPES = (
    "NoClientCert",
    "RequestClientCert",
    "RequireAnyClientCert",
    "VerifyClientCertIfGiven",
    "RequireAndVerifyClientCert",
)
HEADERS = {
    "Content-Security-Policy": "default-src 'none'",
    "X-Frame-Options": "deny",
    "X-Content-Type-Options": "nosniff",
    "X-XSS-Protection": "1",
    "Strict-Transport-Security": "max-age=60",
}
# The other paths are pages of blackbox_exporter.
NOT_FOUND = "/logs?id=1"
# bcrypt uses 72 bytes of a password.
LONG = "0123456789abcdef" * 5
AES_128 = "ECDHE-ECDSA-AES128-GCM-SHA256"
AES_256 = "ECDHE-ECDSA-AES256-GCM-SHA384"


def tls(**keys: Any) -> dict[str, Any]:
    return {"tls_server_config": {**KEY_PAIR, **keys}}


def hash_of(password: str, cost: int = 4) -> str:
    return run(["htpasswd", "-nbBC", str(cost), "user", password]).strip().partition(":")[2]


def groups(certificates: Certificates) -> Iterator[Group]:
    users = {
        "user": hash_of("secret"),
        "empty": hash_of(""),
        "colon": hash_of("pass:word"),
        "unicode": hash_of("pässwörd"),
        "long": hash_of(LONG),
        "2a": hash_of("secret").replace("$2y$", "$2a$"),
        "2b": hash_of("secret").replace("$2y$", "$2b$"),
        "Größe": hash_of("secret"),
        "": hash_of("secret"),
    }
    yield Group("users", {"basic_auth_users": users}, tuple(_of_users()), is_sequential=True)
    yield Group("users and TLS", {**tls(), "basic_auth_users": users}, tuple(_of_protocols()), is_sequential=True)
    with_headers = {**tls(), "http_server_config": {"headers": HEADERS}, "basic_auth_users": {"user": users["user"]}}
    yield Group("headers", with_headers, tuple(_of_headers()), is_sequential=True)
    blank = {"http_server_config": {"headers": {"X-XSS-Protection": "", "Strict-Transport-Security": ""}}}
    blank_requests = (Request("blank", show=("X-XSS-Protection", "Strict-Transport-Security")),)
    yield Group("blank headers", blank, blank_requests)
    limit = {**with_headers, "rate_limit": {"interval": "1h", "burst": 2}}
    yield Group("rate limit", limit, tuple(_of_rate_limit()), is_sequential=True)
    yield from _of_tls()
    yield from _of_client_certificates(certificates)


def _of_users() -> Iterator[Request]:
    shown = ("WWW-Authenticate", "body")
    yield Request("no credentials", show=shown)
    right = {
        "right": b"user:secret",
        "right, again": b"user:secret",
        "empty password": b"empty:",
        "colon in the password": b"colon:pass:word",
        "UTF-8 password": "unicode:pässwörd".encode(),
        "UTF-8 user": "Größe:secret".encode(),
        "empty user": b":secret",
        "long password": f"long:{LONG}".encode(),
        "prefix 2a": b"2a:secret",
        "prefix 2b": b"2b:secret",
    }
    wrong = {
        "wrong password": b"user:Secret",
        "wrong password, again": b"user:Secret",
        "unknown user": b"nobody:secret",
        "user in other case": b"User:secret",
        "user with a space": b"user :secret",
        "empty password of another user": b"user:",
        "password of another user": b"user:pass:word",
        "password up to the colon": b"colon:pass",
        "ISO 8859-1 password": "unicode:pässwörd".encode("latin-1"),
        "decomposed password": "unicode:pa\u0308sswo\u0308rd".encode(),
        "other after byte 72": f"long:{LONG[:72]}other".encode(),
        "72 bytes": f"long:{LONG[:72]}".encode(),
        "other in byte 72": f"long:{LONG[:71]}Z{LONG[72:]}".encode(),
        "71 bytes": f"long:{LONG[:71]}".encode(),
        "5000 bytes": b"user:" + b"x" * 5000,
        "NUL after the password": b"user:secret\0",
        "NUL and more after the password": b"user:secret\0secret",
        "NUL in the user": b"user\0:secret",
        "NUL as empty password": b"empty:\0",
        "no colon": b"user",
        "nothing": b"",
        "line feed": b"user:secret\n",
    }
    for name, credentials in (right | wrong).items():
        yield _authorized(name, f"Basic {_base64(credentials)}", show=shown)
    encoded = _base64(b"user:secret")
    for name, value in {
        "basic in lower case": f"basic {encoded}",
        "basic in upper case": f"BASIC {encoded}",
        "two spaces": f"Basic  {encoded}",
        "a tab": f"Basic\t{encoded}",
        "no space": f"Basic{encoded}",
        "other scheme": f"Bearer {encoded}",
        "no scheme": encoded,
        "no base64": "Basic user:secret",
        "no padding": f"Basic {_base64(b'2a:secret').rstrip('=')}",
        "padding": f"Basic {_base64(b'2a:secret')}",
        "too much padding": f"Basic {encoded}=",
        "bits after the end": f"Basic {_base64(b'2a:secret')[:-3]}R==",
        "a space in base64": f"Basic {encoded[:4]} {encoded[4:]}",
        "a parameter": f"Basic {encoded}, charset=UTF-8",
        "URL alphabet": f"Basic {_base64('unicode:pässwörd'.encode()).replace('+', '-').replace('/', '_')}",
    }.items():
        yield _authorized(name, value)
    yield Request("empty value", ("--header", "Authorization;"))
    first, second = f"Authorization: Basic {encoded}", f"Authorization: Basic {_base64(b'user:other')}"
    yield Request("right, then wrong", ("--header", first, "--header", second))
    yield Request("wrong, then right", ("--header", second, "--header", first))
    for path in ("/", "/probe", "/nothing", "/-/healthy", "/-/ready", "/-/reload", "/-/healthy/", "//-/healthy"):
        yield Request(f"no password for {path}", path=path)
    yield Request("no password for OPTIONS", ("--request", "OPTIONS"))
    yield Request("no password for a reload", ("--request", "POST"), "/-/reload")
    for flag in ("--http2", "--http2-prior-knowledge"):
        arguments = (flag, "--user", "user:secret")
        yield Request(f"{flag} without TLS", arguments, show=("protocol",))
        yield Request(f"{flag} without TLS, no password", (flag,), show=("protocol",))
    yield Request("no password for HEAD", ("--head",))
    yield Request("wrong password for /-/healthy", ("--user", "user:other"), "/-/healthy")
    yield Request("right password for what does not exist", ("--user", "user:secret"), NOT_FOUND)


def _of_protocols() -> Iterator[Request]:
    for version in ("--http1.0", "--http1.1", "--http2"):
        for password in ("secret", "other"):
            arguments = (version, "--user", f"user:{password}")
            yield Request(f"{version} with {password}", arguments, show=("protocol", "WWW-Authenticate"))
    yield Request("without TLS", ("--user", "user:secret"), is_plain=True)


def _of_headers() -> Iterator[Request]:
    show = (*HEADERS, "WWW-Authenticate")
    for version in ("--http1.1", "--http2"):
        user = (version, "--user", "user:secret")
        yield Request(f"200, {version}", user, show=show)
        yield Request(f"401, {version}", (version,), show=show)
        yield Request(f"404, {version}", user, NOT_FOUND, show)
    yield Request("page", ("--user", "user:secret"), "/", show)


def _of_rate_limit() -> Iterator[Request]:
    user = ("--user", "user:secret")
    yield Request("first", user)
    yield Request("second, without a password")
    yield Request("third", user, show=("body", "Retry-After"))
    yield Request("headers of the third", user, show=tuple(HEADERS))
    yield Request("third, without a password", show=("body", "WWW-Authenticate"))
    for path in ("/-/healthy", "/-/ready", "/nothing"):
        yield Request(f"third, {path}", path=path)


def _of_tls() -> Iterator[Group]:
    weak = ("--ciphers", "DEFAULT@SECLEVEL=0")
    versions = (
        Request("TLS 1.1", ("--tlsv1.0", "--tls-max", "1.1", *weak)),
        Request("TLS 1.2", ("--tls-max", "1.2")),
        Request("TLS 1.3", ("--tlsv1.3",)),
        Request("without TLS", is_plain=True),
    )
    yield Group("versions by default", tls(), (*versions, Resumption("a session")))
    yield Group("TLS 1.3 only", tls(min_version="TLS13"), versions)
    yield Group("TLS 1.2 only", tls(max_version="TLS12"), versions)
    yield Group("TLS 1.2, by both keys", tls(min_version="TLS12", max_version="TLS12"), versions)
    protocols: tuple[Exchange, ...] = (
        *(Request(f"curl {flag}", (flag,), show=("protocol",)) for flag in ("--http1.1", "--http2")),
        *(
            Handshake(f"ALPN {' '.join(alpn)}", AES_128, alpn=alpn)
            for alpn in ((), ("h2",), ("http/1.1",), ("http/1.1", "h2"), ("spdy/3",), ("spdy/3", "http/1.1"))
        ),
    )
    yield Group("http2 by default", tls(), protocols)
    yield Group("http2 on", {**tls(), "http_server_config": {"http2": True}}, protocols)
    yield Group("http2 off", {**tls(), "http_server_config": {"http2": False}}, protocols)

    suites = (AES_128, AES_256, "ECDHE-ECDSA-CHACHA20-POLY1305")
    weak_suites = ("ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES128-SHA")
    rsa_suites = [suite.replace("ECDSA", "RSA") for suite in (*suites, *weak_suites)]
    rsa_suites += ["AES128-GCM-SHA256", "AES128-SHA"]
    yield Group("suites by default", tls(), _handshakes(*suites, *weak_suites))
    rsa = {"tls_server_config": RSA_KEY_PAIR}
    yield Group("suites with an RSA key", rsa, _handshakes(*rsa_suites))
    one = {"cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]}
    # The first suite of TLS 1.3 is not prescribed.
    requests: tuple[Exchange, ...] = (*_handshakes(*suites), Request("TLS 1.3", ("--tlsv1.3",)))
    yield Group("one suite", tls(**one), requests)
    other = {"cipher_suites": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]}
    yield Group("a suite of another key", tls(**other), requests)
    two = {"cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", *one["cipher_suites"]]}
    order = (Handshake("client prefers AES 128", f"{AES_128}:{AES_256}"),)
    yield Group("server's order", tls(**two), order)
    yield Group("client's order", tls(**two, prefer_server_cipher_suites=False), order)

    curves = tuple(
        Request(f"{curve}, TLS {version}", ("--curves", curve, "--tls-max", version, f"--tlsv{version}"))
        for curve in ("X25519", "P-256", "P-384", "P-521")
        for version in ("1.2", "1.3")
    )
    yield Group("curves by default", tls(), curves)
    yield Group("one curve", tls(curve_preferences=["CurveP256"]), curves)
    yield Group("two curves", tls(curve_preferences=["X25519", "CurveP384"]), curves)


def _of_client_certificates(certificates: Certificates) -> Iterator[Group]:
    requests = (
        Request("none"),
        *(Request(title, ("--cert", file)) for title, file in certificates.clients.items()),
    )
    tls12 = (
        Request("none, TLS 1.2", ("--tls-max", "1.2")),
        *(
            Request(f"{title}, TLS 1.2", ("--cert", certificates.clients[title], "--tls-max", "1.2"))
            for title in ("DNS listed", "DNS not listed", "other CA", "self-signed", "expired")
        ),
    )
    for auth in AUTH_TYPES:
        # Without a request for a certificate, it does not matter which one the client has.
        is_requested = auth != "NoClientCert"
        ca = {"client_ca_file": "ca.pem"} if is_requested else {}
        of_type = (*requests, *tls12) if is_requested else (requests[0], *tls12)
        yield Group(auth, tls(client_auth_type=auth, **ca), of_type)
        with_names = tls(client_auth_type=auth, client_allowed_sans=list(LISTED), **ca)
        yield Group(f"{auth}, listed names", with_names, of_type)
    verify = tls(client_auth_type="RequireAndVerifyClientCert", client_ca_file="ca.pem")
    resumptions = (Resumption("a session", certificates.clients["DNS listed"]), Resumption("no certificate"))
    yield Group("sessions with client certificates", verify, resumptions)
    system = tls(client_auth_type="RequireAndVerifyClientCert")
    yield Group("system's CAs", system, requests[:3])
    no_names = tls(client_auth_type="RequireAnyClientCert", client_ca_file="ca.pem", client_allowed_sans=[])
    yield Group("no names listed", no_names, requests[:3])
    pinned = tls(client_auth_type="RequireAndVerifyClientCert", client_ca_file="self-signed.pem")
    yield Group("CA is a client certificate", pinned, requests)
    inline = {
        "cert": certificates.text("server.pem"),
        "key": certificates.text("server.key"),
        "client_ca": certificates.text("ca.pem"),
        "client_auth_type": "RequireAndVerifyClientCert",
    }
    yield Group("inline", {"tls_server_config": inline}, requests[:3])


def _handshakes(*suites: str) -> tuple[Exchange, ...]:
    return tuple(Handshake(suite, suite) for suite in suites)


def _authorized(name: str, value: str, show: tuple[str, ...] = ()) -> Request:
    return Request(name, ("--header", f"Authorization: {value}"), show=show)


def _base64(credentials: bytes) -> str:
    return base64.b64encode(credentials).decode()
