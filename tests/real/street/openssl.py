"""The second opinion: what `openssl s_client` is shown by a server, and makes of it."""

from __future__ import annotations

import hashlib
import re
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

# X509_V_….
OK = 0
CERT_HAS_EXPIRED = 10
HOSTNAME_MISMATCH = 62


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
