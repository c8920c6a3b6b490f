"""Servers that refuse the exporter: real Postfix, Exim, `openssl s_server` and gnutls-serv, each on its own address, what
`check` reports of them, and what other clients print."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from . import openssl
from .checks import Failed, Step, expect
from .clients import expect_error
from .exim import Exim
from .exporter import defaults
from .pki import TestCa
from .postfix import Listener, Postfix, PostfixClient
from .process import Daemon, free_port, wait_until
from .s_server import OpensslServer

NAME = "smtp.example.com"

CLIENT_CERTIFICATE = """\
    client_certificate: {{cert: {file}, key: {file}}}
"""

TARGET = """\
  - name: {name}
    host: {host}
    addresses: [{address}]
    port: {port}
    tls: {tls}
"""

# smtpd checks clients when they connect, and also those of this host.
CHECK_ON_CONNECT = ("smtpd_delay_reject = no", "smtpd_client_event_limit_exceptions =")

EXIM_CONFIG = """\
host_reject_connection = ${{if eq{{$received_ip_address}}{{{rejecting}}}{{*}}{{}}}}
smtp_accept_max_per_host = ${{if eq{{$received_ip_address}}{{{limiting}}}{{1}}{{0}}}}
acl_smtp_connect = accept
acl_smtp_helo = check_helo
begin acl
check_helo:
  deny condition = ${{if eq{{$received_ip_address}}{{{helo}}}}}
       message = HELO should be a FQDN or address literal (See RFC 2821 4.1.1.1)
  accept
"""


@dataclass(frozen=True)
class Case:
    name: str
    """Also the name of the target."""
    address: str
    port: int
    expected: tuple[str, str, str | None]
    """Stage, reason and cause."""
    reply: str
    """A part of the reply that the server must send, and that the advice must quote."""
    advice: Sequence[str] = ()
    """What the advice must contain."""
    implicit_tls: bool = False
    client_certificate: Path | None = None
    """The client certificate of the exporter's target."""

    @property
    def at(self) -> tuple[str, int]:
        return self.address, self.port


def _domain(case: Case) -> str:
    return f"{case.name.replace('_', '-')}.test"


class Replies:
    """The servers. `open` starts them and runs `check` once; closing `exits` stops them."""

    def __init__(self, home: Path, logs: Path, exporter: Path, exim: Path) -> None:
        self._home = home
        self._logs = logs
        self._exporter = exporter
        home.mkdir()
        # postlogd and Exim write there as other users.
        logs.chmod(0o1777)
        self.ca = TestCa(home / "pki")
        self._certificate = self.ca.issue((NAME,), 90)
        self.file = self._certificate.save(home / "certificate.pem")
        # A certificate with the key of another one, as after half a renewal.
        other = self.ca.issue((NAME,), 90)
        key, chain = other.key_and_chain.split("-----END PRIVATE KEY-----\n")[0], self._certificate.key_and_chain
        self._mismatched = home / "mismatched.pem"
        self._mismatched.write_text(key + "-----END PRIVATE KEY-----\n" + chain.split("-----END PRIVATE KEY-----\n")[1])
        self.cases: list[Case] = []
        self._servers: list[Any] = [self._postfix(), self._exim(exim), *self._s_servers(), self._gnutls_serv()]
        self._client = PostfixClient(home / "client", logs, {_domain(case): case.at for case in self.cases})
        self.report: Mapping[str, Any] = {}

    def open(self, exits: ExitStack) -> None:
        for server in (*self._servers, self._client):
            exits.callback(server.stop)
            server.start()
        for case in self.cases:
            wait_until(f"{case.name}: accepts connections", partial(_connects, case.address, case.port))
        exits.enter_context(self._hold(self._case("exim-limit")))
        self.report = self._check()

    def backend(self, case: Case) -> dict[str, Any]:
        for target in self.report["targets"]:
            if target["name"] == case.name:
                backend: dict[str, Any] = target["endpoints"][0]["backends"][0]
                return backend | {"advice": target["advice"]}
        raise Failed(f"{case.name} is not in the report")

    def deliver(self, case: Case) -> str:
        """What Postfix logs when it tries to deliver mail to the server and requires TLS."""
        return self._client.deliver(_domain(case))

    def _case(self, name: str) -> Case:
        return next(case for case in self.cases if case.name == name)

    def _hold(self, case: Case) -> socket.socket:
        """Occupies the only connection that the server accepts from this host."""

        def held() -> socket.socket | None:
            connection = socket.create_connection(case.at, timeout=5)
            if connection.recv(1024).startswith(b"220"):
                return connection
            # The end of an earlier connection is not noticed yet.
            connection.close()
            return None

        return wait_until(f"{case.name}: a connection", held)

    def _check(self) -> dict[str, Any]:
        config = self._home / "config.yaml"
        entries = [
            TARGET.format(
                name=case.name,
                host=NAME,
                address=case.address,
                port=case.port,
                tls="implicit" if case.implicit_tls else "starttls",
            )
            + (CLIENT_CERTIFICATE.format(file=case.client_certificate) if case.client_certificate else "")
            for case in self.cases
        ]
        config.write_text(defaults(self.ca.root) + "targets:\n" + "".join(entries))
        command = [self._exporter, "check", f"--config.file={config}", "--output=json"]
        command += [case.name for case in self.cases]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60)
        if done.returncode != 1:
            raise Failed(f"check: exit {done.returncode}: {done.stderr.strip()}")
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def _add(self, name: str, address: str, port: int, *expected: str | None, reply: str, **more: Any) -> None:
        stage, reason, cause = expected
        self.cases.append(Case(name, address, port, (str(stage), str(reason), cause), reply, **more))

    def _postfix(self) -> Postfix:
        port = free_port()
        listeners: list[Listener] = []

        def listen(name: str, *expected: str | None, settings: Sequence[str], implicit: bool = False, **more: Any) -> None:
            address = f"127.0.110.{len(listeners) + 1}"
            file = self._mismatched if name == "postfix-no-key" else self.file
            options = (*CHECK_ON_CONNECT, *settings)
            listeners.append(Listener(address, port, file, implicit_tls=implicit, settings=options))
            self._add(name, address, port, *expected, implicit_tls=implicit, **more)

        denied = {"reply": "Client host rejected: Access denied", "advice": ["refuses the exporter host"]}
        blocked = "550 5.7.1 Client host blocked using zen.spamhaus.org"
        helo = "504 5.5.2 need fully-qualified hostname"
        listen(
            "postfix-no-key",
            *("starttls", "starttls_refused", "tls_unavailable"),
            settings=[],
            reply="454 4.7.0 TLS not available due to local problem",
            advice=["certificate or key"],
        )
        listen(
            "postfix-no-tls",
            *("starttls", "starttls_not_offered", None),
            settings=["smtpd_tls_security_level = none"],
            reply="",
            advice=["STARTTLS is not offered"],
        )
        reject = ["smtpd_client_restrictions = reject"]
        listen("postfix-denied", "greeting", "rejected_5xx", "access_denied", settings=reject, **denied)
        listen(
            "postfix-denied-in-tls",
            *("session", "rejected_5xx", "access_denied"),
            settings=reject,
            implicit=True,
            **denied,
        )
        listen(
            "postfix-helo",
            *("ehlo", "rejected_5xx", "ehlo_name"),
            settings=[f"smtpd_helo_restrictions = check_helo_access static:{{{helo}}}"],
            reply="Helo command rejected: need fully-qualified hostname",
            advice=["`ehlo_name`"],
        )
        listen(
            "postfix-blocked",
            *("greeting", "rejected_5xx", "blocklisted"),
            settings=[f"smtpd_client_restrictions = check_client_access static:{{{blocked}}}"],
            reply="blocked using zen.spamhaus.org",
            advice=["block list", "exporter host"],
        )
        listen(
            "postfix-limit",
            *("greeting", "rejected_4xx", "connection_limit"),
            # The connection that waits for the server is the first one of this minute.
            settings=["smtpd_client_connection_rate_limit = 1"],
            reply="too many connections from",
            advice=["`interval`"],
        )
        # smtpd accepts any certificate in the handshake, and replies 421 to EHLO.
        require = ["smtpd_tls_security_level = encrypt", "smtpd_tls_req_ccert = yes", f"smtpd_tls_CAfile = {self.ca.root}"]
        listen(
            "postfix-no-client-certificate",
            *("session", "client_certificate_required", None),
            settings=require,
            reply="",
            advice=["a client certificate is required"],
        )
        for name, ca, days, words in (
            ("expired", self.ca, -1, ["Renew the client certificate", "expired on"]),
            ("foreign", TestCa(self._home / "foreign"), 90, ["its issuer is not trusted there"]),
        ):
            client = ca.issue((NAME,), days, extensions="client").save(self._home / f"client-{name}.pem")
            listen(
                f"postfix-client-certificate-{name}",
                *("session", "client_certificate_rejected", None),
                settings=require,
                reply="421 4.7.1 mail.example.com Error: Client certificate not trusted",
                advice=words,
                client_certificate=client,
            )
        return Postfix("postfix-replies", self._home / "postfix", self._logs, listeners)

    def _exim(self, binary: Path) -> Exim:
        port = free_port()
        rejecting, limiting, helo, broken = (f"127.0.111.{number}" for number in range(1, 5))
        self._add(
            "exim-denied",
            *(rejecting, port, "greeting", "rejected_5xx", "access_denied"),
            reply="554 SMTP service not available",
        )
        self._add(
            "exim-limit",
            *(limiting, port, "greeting", "rejected_4xx", "connection_limit"),
            reply="421 Too many concurrent SMTP connections",
            advice=["`interval`"],
        )
        self._add(
            "exim-helo",
            *(helo, port, "ehlo", "rejected_5xx", "ehlo_name"),
            reply="HELO should be a FQDN",
            advice=["`ehlo_name`"],
        )
        self._add(
            "exim-no-key",
            *(broken, port, "starttls", "starttls_refused", "tls_unavailable"),
            reply="454 TLS currently unavailable",
            advice=["certificate or key"],
        )
        certificates = {address: self._certificate for address in (rejecting, limiting, helo, broken)}
        more = EXIM_CONFIG.format(rejecting=rejecting, limiting=limiting, helo=helo)
        exim = Exim(binary, self._home / "exim", self._logs, port, certificates, more)
        (self._home / "exim" / f"{broken}.pem").write_text("not a certificate\n")
        return exim

    def _s_servers(self) -> Iterator[OpensslServer]:
        identity: list[str | Path] = ["-cert", self.file, "-key", self.file, "-cert_chain", self.ca.intermediate]
        refused = {b"EHLO": b"504 5.5.2 <probe>: Helo command rejected: no\r\n", b"QUIT": b"221 bye\r\n"}
        accepted = b"220 openssl.example.com ESMTP\r\n"
        for number, (name, greeting, expected, reply) in enumerate(
            (
                ("s_server-554", b"554 No SMTP service here\r\n", ("rejected_5xx", "no_mail_service"), "554 No SMTP"),
                ("s_server-421", b"421 4.7.0 Try again later\r\n", ("rejected_4xx", "closing"), "421 4.7.0 Try again"),
                ("s_server-504", accepted, ("rejected_5xx", "ehlo_name"), "Helo command rejected: no"),
            ),
            start=1,
        ):
            folder, log = self._home / f"{name}-sockets", self._logs / f"{name}.log"
            server = OpensslServer(f"127.0.112.{number}", folder, log, identity, greeting, refused)
            self._add(name, server.address, server.port, "session", *expected, reply=reply, implicit_tls=True)
            yield server

    def _gnutls_serv(self) -> Daemon:
        """It waits for the client, as a server does that makes clients wait for the greeting."""
        port = free_port()
        self._add(
            "gnutls-serv",
            *("127.0.112.100", port, "session", "timeout", None),
            reply="",
            advice=["`timeout`", "wait"],
            implicit_tls=True,
        )
        command = ["gnutls-serv", "--echo", "--port", str(port), "--x509certfile", self.file, "--x509keyfile", self.file]
        return Daemon(command, self._logs / "gnutls-serv.log")


def _connects(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


def steps(replies: Replies) -> Iterator[Step]:
    for case in replies.cases:
        yield f"replies: {case.name}: {' '.join(filter(None, case.expected))}", partial(_agrees, replies, case)
    yield "replies: other clients print the errors that `client_errors` lists", partial(_clients, replies)
    yield "replies: gnutls-cli and swaks fail where all clients are said to fail", partial(_other_clients, replies)


def _agrees(replies: Replies, case: Case) -> None:
    backend = replies.backend(case)
    probe = backend["probe"]
    seen = (probe["stage"], probe["reason"], probe["cause"])
    expect(seen == case.expected, f"{seen}: {probe['detail']}")
    is_limit = case.expected[2] == "connection_limit"
    expect(probe["rate_limited"] == is_limit, f"rate_limited is {probe['rate_limited']}")
    texts = [advice["text"] for advice in backend["advice"]]
    expect(len(texts) == 1, f"{texts}")
    missing = [part for part in (case.reply, *case.advice) if part not in texts[0]]
    expect(not missing, f"{missing} not in {texts[0]!r}")
    if case.expected[0] == "session":
        # The certificate was seen, and is judged.
        expect(backend["name"]["match"] is True and backend["chain"]["valid"] is True, f"{backend['name']}")


def _clients(replies: Replies) -> None:
    """The errors of OpenSSL and Postfix, as the clients print them."""
    compared = 0
    for case in replies.cases:
        errors = replies.backend(case)["probe"]["client_errors"]
        # What is listed for client certificates is about TLS alerts.
        if errors is None or case.expected[1].startswith("client_certificate"):
            continue
        compared += 1
        expect_error(case.name, errors["openssl"], openssl.errors(*case.at, NAME, implicit_tls=case.implicit_tls))
        # It requires TLS, so that it does not accept what it accepts at the security level `may`.
        expect_error(case.name, errors["postfix"] | {"accepts": None}, replies.deliver(case))
    expect(compared == 3, f"{compared} servers have client errors")


def _other_clients(replies: Replies) -> None:
    for case in replies.cases:
        if case.expected[0] != "starttls":
            continue
        where = ["--server", case.address, "--port", str(case.port)]
        swaks = subprocess.run(
            ["swaks", *where, "--tls", "--quit-after", "EHLO"], capture_output=True, text=True, timeout=30
        )
        expect(swaks.returncode != 0 and case.reply in swaks.stdout, f"{case.name}: swaks prints {swaks.stdout!r}")
        gnutls = subprocess.run(
            ["gnutls-cli", "--insecure", "--starttls-proto=smtp", "--port", str(case.port), case.address],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        expect(gnutls.returncode != 0, f"{case.name}: gnutls-cli prints {gnutls.stdout!r}")
