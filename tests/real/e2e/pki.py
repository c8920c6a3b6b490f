"""A root, an intermediate and leaves, made by the openssl command at run time."""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .process import SceneError, run

DAY = 86_400

CONFIG = """\
[req]
distinguished_name = name
prompt = no
[name]

[ca]
default_ca = street
[street]
database = {home}/index.txt
new_certs_dir = {home}/issued
rand_serial = yes
unique_subject = no
default_md = sha256
policy = policy
[policy]
commonName = supplied

[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = ${{ENV::STREET_SAN}}
[must_staple]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = ${{ENV::STREET_SAN}}
tlsfeature = status_request
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[responder]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = OCSPSigning
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""

# As `openssl genpkey` takes them.
P256 = ("EC", "ec_paramgen_curve:P-256")
P521 = ("EC", "ec_paramgen_curve:P-521")
RSA1024 = ("RSA", "rsa_keygen_bits:1024")
RSA2048 = ("RSA", "rsa_keygen_bits:2048")
ED25519 = ("ED25519",)
ED448 = ("ED448",)


@dataclass(frozen=True)
class Certificate:
    """What a server gets, and what a client should find out about it."""

    names: tuple[str, ...]
    not_after: int
    fingerprint: str
    """SHA-256 over the DER form, lower-case hex."""
    key_and_chain: str
    """PEM: key, leaf, intermediate; the form that `smtpd_tls_chain_files` wants, and Exim takes too."""

    def save(self, file: Path) -> Path:
        file.write_text(self.key_and_chain)
        return file


class Authority:
    """An intermediate below a root of its own."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        (home / "issued").mkdir()
        (home / "index.txt").touch()
        (home / "openssl.cnf").write_text(CONFIG.format(home=home))
        self._home = home
        self.root = home / "root.pem"
        self.intermediate = home / "intermediate.pem"
        # The authorities are older than any leaf, so that an expired leaf has an instant at which all was valid.
        born, dies = int(time.time()) - 1000 * DAY, int(time.time()) + 3000 * DAY
        self._sign("root", "Street Test Root", "authority", born, dies, ["-selfsign", "-keyfile", home / "root.key"])
        self._sign("intermediate", "Street Test Intermediate", "authority", born, dies, self._signer("root"))

    def issue(
        self,
        names: Sequence[str],
        days: float,
        *,
        key: Sequence[str] = P256,
        digest: str = "sha256",
        extensions: str = "leaf",
    ) -> Certificate:
        """A leaf that expires in so many days; negative: it has expired."""
        now = int(time.time())
        not_after = now + int(days * DAY)
        signer = ["-md", digest, *self._signer("intermediate")]
        self._sign("leaf", names[0], extensions, now - 90 * DAY, not_after, signer, names, key)
        key, leaf, intermediate = (
            (self._home / file).read_text() for file in ("leaf.key", "leaf.pem", "intermediate.pem")
        )
        return Certificate(
            names=tuple(names),
            not_after=not_after,
            fingerprint=hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf)).hexdigest(),
            key_and_chain=key + leaf + intermediate,
        )

    def revoke(self, certificate: Path) -> None:
        command: list[str | Path] = ["openssl", "ca", "-config", self._home / "openssl.cnf"]
        run([*command, "-revoke", certificate, *self._signer("intermediate")], _environment())

    def staple(self, certificate: Path, file: Path, *, responder: Path | None = None, days_ago: int = 0) -> Path:
        """What the OCSP responder said of a certificate, so many days ago: by the intermediate's own key, or by that of
        the delegated responder in a file. It holds for a week."""
        # openssl knows no other clock than the machine's.
        clock = ["faketime", "-f", f"-{days_ago}d"] if days_ago else []
        signer, key = (responder, responder) if responder else (self.intermediate, self._home / "intermediate.key")
        command: list[str | Path] = [
            *clock,
            "openssl",
            "ocsp",
            "-index",
            self._home / "index.txt",
            "-CA",
            self.intermediate,
        ]
        command += ["-rsigner", signer, "-rkey", key, "-ndays", "7"]
        run([*command, "-issuer", self.intermediate, "-cert", certificate, "-respout", file])
        return file

    @staticmethod
    def next_update(staple: Path) -> int:
        text = run(["openssl", "ocsp", "-noverify", "-text", "-respin", staple])
        when = re.search(r"Next Update: (.*) GMT", text)
        if when is None:
            raise SceneError(f"{staple}: no next update")
        return int(datetime.strptime(when[1], "%b %d %H:%M:%S %Y").replace(tzinfo=UTC).timestamp())

    def _signer(self, issuer: str) -> list[str | Path]:
        return ["-cert", self._home / f"{issuer}.pem", "-keyfile", self._home / f"{issuer}.key"]

    def _sign(
        self,
        file: str,
        common_name: str,
        extensions: str,
        not_before: int,
        not_after: int,
        signer: Sequence[str | Path],
        names: Sequence[str] = (),
        algorithm: Sequence[str] = P256,
    ) -> None:
        config, key, request = (self._home / part for part in ("openssl.cnf", f"{file}.key", f"{file}.csr"))
        env = _environment(names)
        kind, *options = algorithm
        generate: list[str | Path] = ["openssl", "genpkey", "-quiet", "-algorithm", kind, "-out", key]
        for option in options:
            generate += ["-pkeyopt", option]
        run(generate, env)
        run(
            ["openssl", "req", "-new", "-config", config, "-key", key, "-subj", f"/CN={common_name}", "-out", request],
            env,
        )
        # `openssl ca`, because `openssl x509` of OpenSSL 3.0 cannot set a start date, and -days -3 would end
        # before it begins.
        command: list[str | Path] = ["openssl", "ca", "-batch", "-notext", "-config", config, "-extensions", extensions]
        command += ["-startdate", _asn1(not_before), "-enddate", _asn1(not_after), *signer]
        command += ["-in", request, "-out", self._home / f"{file}.pem"]
        run(command, env)


def _environment(names: Sequence[str] = ()) -> dict[str, str]:
    """The config cannot be read without."""
    return dict(os.environ, STREET_SAN=",".join(f"DNS:{name}" for name in names))


def _asn1(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y%m%d%H%M%SZ")
