"""The reference: what `openssl s_client` reports of a server."""

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

# X509_V_… codes.
OK = 0
CERT_HAS_EXPIRED = 10
HOSTNAME_MISMATCH = 62


# TLS names (RFC 8422 §5.1.1) of the curves that s_client prints under another name.
TLS_GROUPS = {"prime256v1": "secp256r1"}

# Debian's openssl.cnf disables old versions and small keys, whatever the command line says.
PERMISSIVE = dict(os.environ, OPENSSL_CONF="/dev/null")


@dataclass(frozen=True)
class Verification:
    fingerprint: str
    code: int


def verify(address: str, port: int, implicit_tls: bool, server_name: str, root: Path) -> Verification | None:
    """Connects and verifies against this root only; None if no certificate was presented."""
    command = ["openssl", "s_client", "-connect", f"{address}:{port}", "-servername", server_name]
    command += ["-verify_hostname", server_name, "-CAfile", str(root), "-no-CApath", "-no-CAstore"]
    # With -ign_eof a line that begins with Q is sent, and the server closes the connection.
    command += ["-crlf", "-ign_eof"]
    if not implicit_tls:
        command += ["-starttls", "smtp", "-name", "client.example.com"]
    try:
        output = subprocess.run(command, input="QUIT\n", capture_output=True, text=True, timeout=10).stdout
    except subprocess.TimeoutExpired:
        return None
    certificate = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", output, re.DOTALL)
    # The code alone is not enough: it is 0 when there was no handshake.
    code = re.search(r"Verify return code: (\d+)", output)
    if certificate is None or code is None:
        return None
    der = ssl.PEM_cert_to_DER_cert(certificate[0])
    return Verification(hashlib.sha256(der).hexdigest(), int(code[1]))


@dataclass(frozen=True)
class Negotiated:
    """What a handshake negotiated, with the suite and group names of TLS."""

    version: str
    cipher: str
    group: str


def s_client(address: str, port: int, server_name: str, options: Sequence[str | Path]) -> str:
    """The output of s_client when it offers everything that OpenSSL still supports."""
    command = ["openssl", "s_client", "-connect", f"{address}:{port}", "-servername", server_name]
    command += ["-min_protocol", "TLSv1", "-cipher", "ALL:@SECLEVEL=0", *map(str, options)]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=20, env=PERMISSIVE)
    return done.stdout + done.stderr


def errors(address: str, port: int, server_name: str, *, implicit_tls: bool) -> str:
    """The output of s_client with its own defaults, not those of the system. The connection stays open for a second, in
    which TLS 1.3 servers send alerts."""
    command = ["openssl", "s_client", "-connect", f"{address}:{port}", "-servername", server_name]
    if not implicit_tls:
        command += ["-starttls", "smtp"]
    shell = ["sh", "-c", 'sleep 1 | "$@"', "sh", *command]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=20, env=PERMISSIVE)
    return done.stdout + done.stderr


def negotiated(output: str) -> Negotiated | None:
    suite = re.search(r"^New, (\S+), Cipher is (\S+)", output, re.MULTILINE)
    if suite is None or suite[2] == "(NONE)":
        return None
    # The version beside the suite is the one that introduced the suite. s_client prints a TLS 1.3 session only once a
    # ticket has arrived.
    version = re.search(r"^ +Protocol +: (\S+)", output, re.MULTILINE)
    group = re.search(r"^Server Temp Key: (?:ECDH, )?(\w+)", output, re.MULTILINE)
    return Negotiated(
        version[1] if version else suite[1],
        _tls_names()[suite[2]],
        TLS_GROUPS.get(group[1], group[1]) if group else "",
    )


@functools.cache
def _tls_names() -> dict[str, str]:
    """IANA's names of cipher suites, by OpenSSL's names."""
    listed = run(["openssl", "ciphers", "-stdname", "ALL:@SECLEVEL=0"], PERMISSIVE)
    return {name: standard for standard, _, name, *_ in map(str.split, listed.splitlines())}
