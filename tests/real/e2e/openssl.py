"""The second opinion: what `openssl s_client` is shown by a server, and makes of it."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .process import run

# X509_V_….
OK = 0
CERT_HAS_EXPIRED = 10
HOSTNAME_MISMATCH = 62


# As s_client names the curves that have a name of their own in TLS (RFC 8422 §5.1.1).
TLS_GROUPS = {"prime256v1": "secp256r1"}

# Debian's openssl.cnf rules out old versions and small keys, whatever the command line says.
PERMISSIVE = dict(os.environ, OPENSSL_CONF="/dev/null")


@dataclass(frozen=True)
class Opinion:
    fingerprint: str
    verdict: int


def ask(address: str, port: int, implicit_tls: bool, server_name: str, root: Path) -> Opinion | None:
    """None where no certificate was shown. Only this root is trusted."""
    command = ["openssl", "s_client", "-connect", f"{address}:{port}", "-servername", server_name]
    command += ["-verify_hostname", server_name, "-CAfile", str(root), "-no-CApath", "-no-CAstore"]
    # With -ign_eof a line that begins with Q is sent, and the server is who closes.
    command += ["-crlf", "-ign_eof"]
    if not implicit_tls:
        command += ["-starttls", "smtp", "-name", "client.example.com"]
    try:
        output = subprocess.run(command, input="QUIT\n", capture_output=True, text=True, timeout=10).stdout
    except subprocess.TimeoutExpired:
        return None
    certificate = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", output, re.DOTALL)
    # The code alone says nothing: it is 0 where there was no handshake.
    code = re.search(r"Verify return code: (\d+)", output)
    if certificate is None or code is None:
        return None
    der = ssl.PEM_cert_to_DER_cert(certificate[0])
    return Opinion(hashlib.sha256(der).hexdigest(), int(code[1]))


@dataclass(frozen=True)
class Agreed:
    """What a handshake has come to, in the names that TLS gives to suites and groups."""

    version: str
    cipher: str
    group: str


def shake_hands(address: str, port: int, server_name: str, options: Sequence[str | Path]) -> str:
    """What s_client says of a server to which all that OpenSSL still knows is offered."""
    command = ["openssl", "s_client", "-connect", f"{address}:{port}", "-servername", server_name]
    command += ["-min_protocol", "TLSv1", "-cipher", "ALL:@SECLEVEL=0", *map(str, options)]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=20, env=PERMISSIVE)
    return done.stdout + done.stderr


def agreed(output: str) -> Agreed | None:
    suite = re.search(r"^New, (\S+), Cipher is (\S+)", output, re.MULTILINE)
    if suite is None or suite[2] == "(NONE)":
        return None
    # Beside the suite stands the version that brought it; a session of TLS 1.3 is shown once a ticket has come.
    version = re.search(r"^ +Protocol +: (\S+)", output, re.MULTILINE)
    group = re.search(r"^Server Temp Key: (?:ECDH, )?(\w+)", output, re.MULTILINE)
    return Agreed(
        version[1] if version else suite[1],
        _tls_names()[suite[2]],
        TLS_GROUPS.get(group[1], group[1]) if group else "",
    )


@functools.cache
def _tls_names() -> dict[str, str]:
    """IANA's names of cipher suites, by OpenSSL's."""
    listed = run(["openssl", "ciphers", "-stdname", "ALL:@SECLEVEL=0"], PERMISSIVE)
    return {name: standard for standard, _, name, *_ in map(str.split, listed.splitlines())}
