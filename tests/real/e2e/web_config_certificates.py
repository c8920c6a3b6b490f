"""Certificates and keys for the web configurations, in one folder with these."""

from __future__ import annotations

import shutil
from pathlib import Path

from .pki import P256, P521, RSA2048, Certificate, TestCa
from .process import run

SERVER = "IP:127.0.0.1"

# Names of client certificates that `client_allowed_sans` lists; the last one in the form that Go prints.
LISTED = ("client.example.com", "192.0.2.7", "client@example.com", "spiffe://example.com/client", "2001:db8::7")

# What openssl calls these, and some that the list does not have.
NAMED = {
    "DNS listed": "client.example.com",
    "IP listed": "IP:192.0.2.7",
    "e-mail listed": "email:client@example.com",
    "URI listed": "URI:spiffe://example.com/client",
    "IPv6 listed": "IP:2001:0db8:0000::0007",
    "DNS not listed": "other.example.com",
    "DNS in upper case": "CLIENT.example.com",
    "DNS wildcard": "*.example.com",
    "e-mail as DNS": "example.com",
    "URI not listed": "URI:spiffe://example.com/client/",
}

# Sections of the CA's configuration for certificates with other usages.
USAGES = {"server usage": "leaf", "any usage": "any_usage", "no usage": "no_usage"}


class Certificates:
    """`clients` are PEM files with a key and a certificate chain, by what is special about them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        ca, other = TestCa(home / "ca"), TestCa(home / "other-ca")
        self.root = ca.root
        shutil.copy(ca.root, home / "ca.pem")
        self.save("server", ca.issue([SERVER], 90))
        self.save("renewed", ca.issue([SERVER], 60))
        self.save("expired", ca.issue([SERVER], -1))
        self.save("rsa", ca.issue([SERVER], 90, key=RSA2048))
        self.save("p521", ca.issue([SERVER], 90, key=P521))
        self.clients: dict[str, Path] = {}
        for title, name in NAMED.items():
            self._client(title, ca.issue([name], 90, extensions="named_client"))
        for title, section in USAGES.items():
            self._client(title, ca.issue([LISTED[0]], 90, extensions=section))
        self._client("no name", ca.issue([LISTED[0]], 90, extensions="client"))
        self._client("expired", ca.issue([LISTED[0]], -1, extensions="named_client"))
        self._client("other CA", other.issue([LISTED[0]], 90, extensions="named_client"))
        listed = ca.issue([LISTED[0]], 90, extensions="named_client")
        end = "-----END CERTIFICATE-----\n"
        self.clients["no intermediate"] = home / "client-no-intermediate.pem"
        self.clients["no intermediate"].write_text(listed.key_and_chain.partition(end)[0] + end)
        self._self_signed()
        self._convert_keys()

    def save(self, name: str, certificate: Certificate) -> None:
        """As `NAME.pem` and `NAME.key`."""
        key, separator, chain = certificate.key_and_chain.partition("-----BEGIN CERTIFICATE-----")
        (self.home / f"{name}.key").write_text(key)
        (self.home / f"{name}.pem").write_text(separator + chain)

    def text(self, file: str) -> str:
        return (self.home / file).read_text()

    def _client(self, title: str, certificate: Certificate) -> None:
        self.clients[title] = certificate.save(self.home / f"client-{title.replace(' ', '-')}.pem")

    def _self_signed(self) -> None:
        """A certificate of version 3, which `self-signed.pem` has without its key, and one of version 1."""
        home = self.home
        key, certificate, request = home / "self-signed.key", home / "self-signed.pem", home / "self-signed.csr"
        new: list[str | Path] = ["openssl", "req", "-x509", "-days", "90", "-newkey", P256[0], "-pkeyopt", P256[1]]
        new += ["-noenc", "-keyout", key, "-out", certificate, "-subj", "/CN=client"]
        run([*new, "-addext", f"subjectAltName=DNS:{LISTED[0]}", "-addext", "basicConstraints=critical,CA:FALSE"])
        self.clients["self-signed"] = home / "client-self-signed.pem"
        self.clients["self-signed"].write_text(key.read_text() + certificate.read_text())
        run(["openssl", "req", "-new", "-key", key, "-subj", "/CN=client", "-out", request])
        version_1 = run(["openssl", "x509", "-req", "-in", request, "-signkey", key, "-days", "90"])
        self.clients["version 1"] = home / "client-version-1.pem"
        self.clients["version 1"].write_text(key.read_text() + version_1)

    def _convert_keys(self) -> None:
        def convert(source: str, destination: str, *options: str) -> None:
            run(["openssl", "pkey", "-in", self.home / source, "-out", self.home / destination, *options])

        convert("server.key", "encrypted.key", "-aes256", "-passout", "pass:secret")
        convert("server.key", "sec1.key", "-traditional")
        convert("rsa.key", "pkcs1.key", "-traditional")
