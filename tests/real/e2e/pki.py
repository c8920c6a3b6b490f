"""A test CA: a root, an intermediate and leaf certificates, created by the openssl command at run time."""

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

from .process import FixtureError, run

DAY = 86_400

CONFIG = """\
[req]
distinguished_name = name
prompt = no
[name]

[ca]
default_ca = test
[test]
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
"""

END_ENTITY = """\
[{section}]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
{more}
"""

SUBJECT_ALT_NAME = "subjectAltName = ${ENV::TEST_CA_SAN}"

# By section: what the profile adds to the other extensions of end-entity certificates.
END_ENTITIES = {
    "leaf": f"extendedKeyUsage = serverAuth\n{SUBJECT_ALT_NAME}",
    "must_staple": f"extendedKeyUsage = serverAuth\n{SUBJECT_ALT_NAME}\ntlsfeature = status_request",
    "client": "extendedKeyUsage = clientAuth",
    "named_client": f"extendedKeyUsage = clientAuth\n{SUBJECT_ALT_NAME}",
    "any_usage": f"extendedKeyUsage = anyExtendedKeyUsage\n{SUBJECT_ALT_NAME}",
    "no_usage": SUBJECT_ALT_NAME,
    "responder": "extendedKeyUsage = OCSPSigning",
}

# Algorithm and options of `openssl genpkey`.
P256 = ("EC", "ec_paramgen_curve:P-256")
P521 = ("EC", "ec_paramgen_curve:P-521")
RSA1024 = ("RSA", "rsa_keygen_bits:1024")
RSA2048 = ("RSA", "rsa_keygen_bits:2048")
ED25519 = ("ED25519",)
ED448 = ("ED448",)


@dataclass(frozen=True)
class Certificate:
    """A certificate with its key, and the facts that a client should report of it."""

    names: tuple[str, ...]
    not_after: int
    fingerprint: str
    """SHA-256 of the DER form, lower-case hex."""
    key_and_chain: str
    """PEM: key, leaf, intermediate; the order that `smtpd_tls_chain_files` requires and Exim accepts."""

    def save(self, file: Path) -> Path:
        file.write_text(self.key_and_chain)
        return file


class TestCa:
    """An intermediate CA below its own root."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        (home / "issued").mkdir()
        (home / "index.txt").touch()
        config = CONFIG.format(home=home)
        for section, more in END_ENTITIES.items():
            config += END_ENTITY.format(section=section, more=more)
        (home / "openssl.cnf").write_text(config)
        self._home = home
        self.root = home / "root.pem"
        self.intermediate = home / "intermediate.pem"
        # The CAs are older than any leaf, so that an expired leaf has a time at which its whole chain was valid.
        not_before, not_after = int(time.time()) - 1000 * DAY, int(time.time()) + 3000 * DAY
        signer: list[str | Path] = ["-selfsign", "-keyfile", home / "root.key"]
        self._sign("root", "E2E Test Root", "authority", not_before, not_after, signer)
        self._sign("intermediate", "E2E Test Intermediate", "authority", not_before, not_after, self._signer("root"))

    def issue(
        self,
        names: Sequence[str],
        days: float,
        *,
        key: Sequence[str] = P256,
        digest: str = "sha256",
        extensions: str = "leaf",
    ) -> Certificate:
        """A leaf that expires in this many days; a negative number for one that has expired. Names are DNS names unless
        they have a prefix of openssl, such as `IP:`; the first one, without the prefix, is the common name."""
        now = int(time.time())
        not_after = now + int(days * DAY)
        signer = ["-md", digest, *self._signer("intermediate")]
        common_name = names[0].rpartition(":")[2].replace("/", "\\/")
        self._sign("leaf", common_name, extensions, now - 90 * DAY, not_after, signer, names, key)
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
        """Writes an OCSP response of this many days ago, valid for a week. It is signed by the intermediate, or by the
        delegated responder whose certificate and key are in a file."""
        # openssl has no option for the time.
        clock = ["faketime", "-f", f"-{days_ago}d"] if days_ago else []
        signer, key = (responder, responder) if responder else (self.intermediate, self._home / "intermediate.key")
        command: list[str | Path] = [*clock, "openssl", "ocsp", "-index", self._home / "index.txt"]
        command += ["-CA", self.intermediate, "-rsigner", signer, "-rkey", key, "-ndays", "7"]
        run([*command, "-issuer", self.intermediate, "-cert", certificate, "-respout", file])
        return file

    @staticmethod
    def next_update(staple: Path) -> int:
        text = run(["openssl", "ocsp", "-noverify", "-text", "-respin", staple])
        when = re.search(r"Next Update: (.*) GMT", text)
        if when is None:
            raise FixtureError(f"{staple}: no nextUpdate")
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
        # `openssl ca`, because `openssl x509` of OpenSSL 3.0 cannot set notBefore.
        command: list[str | Path] = ["openssl", "ca", "-batch", "-notext", "-config", config, "-extensions", extensions]
        command += ["-startdate", _asn1(not_before), "-enddate", _asn1(not_after), *signer]
        command += ["-in", request, "-out", self._home / f"{file}.pem"]
        run(command, env)


def _environment(names: Sequence[str] = ()) -> dict[str, str]:
    """openssl rejects the config if the variable is not set."""
    typed = (name if ":" in name else f"DNS:{name}" for name in names)
    return dict(os.environ, TEST_CA_SAN=",".join(typed))


def _asn1(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y%m%d%H%M%SZ")
