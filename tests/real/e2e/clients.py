"""What other clients print when they connect, compared with the rows of `client_errors`."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .checks import expect


def expect_error(name: str, error: Mapping[str, Any], output: str) -> None:
    """One of the texts is in the output, unless the client may accept the server. Text in angle brackets varies."""
    patterns = [".+".join(map(re.escape, re.split(r"<[^>]*>", text))) for text in error["texts"]]
    found = any(re.search(pattern, output) for pattern in patterns)
    expect(found or error["accepts"] is not None, f"{name}: none of {error['texts']} in {output[-600:]!r}")


def posttls_finger(address: str, port: int, server_name: str, root: Path, config: Path) -> str:
    """The output of Postfix's test client with implicit TLS at the security level `secure`. `config` is a folder for a
    main.cf."""
    (config / "main.cf").write_text("compatibility_level = 3.6\n")
    command = ["posttls-finger", "-c", "-w", "-l", "secure", "-F", str(root), f"[{address}]:{port}", server_name]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=30, env={"MAIL_CONFIG": str(config), "PATH": "/usr/sbin:/usr/bin"}
    )
    return done.stdout + done.stderr


def fails_with_gnutls(address: str, port: int, server_name: str) -> bool:
    """Whether gnutls-cli, which accepts any certificate here, establishes no TLS session."""
    command = ["gnutls-cli", "--insecure", f"--sni-hostname={server_name}", "--port", str(port), address]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    return "Handshake was completed" not in done.stdout or done.returncode != 0


def fails_with_swaks(address: str, port: int, server_name: str) -> bool:
    """Whether swaks, which accepts any certificate, receives no reply to EHLO inside TLS."""
    command = ["swaks", "--server", address, "--port", str(port), "--tls-on-connect", "--tls-sni", server_name]
    done = subprocess.run([*command, "--quit-after", "EHLO"], capture_output=True, text=True, timeout=60)
    return done.returncode != 0
