"""Access to an exporter with a web configuration: TLS, and a password or a client certificate."""

from __future__ import annotations

import base64
import ssl
import urllib.request
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import yaml

from .pki import TestCa
from .process import run

USER = "prometheus"
PASSWORD = "pass:wörd"


class WebAccess:
    """Files in the folder `home`. Clients send both the password and the certificate."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        ca = TestCa(home / "ca")
        self._home = home
        self._root = ca.root
        self._server = ca.issue(["IP:127.0.0.1"], 90).save(home / "server.pem")
        self._client = ca.issue([USER], 90, extensions="client").save(home / "client.pem")
        self._password = home / "password"
        self._password.write_text(PASSWORD)

    def config(self, name: str, *, with_certificate: bool) -> Path:
        """Writes a configuration that requires the client certificate, or the password."""
        tls: dict[str, Any] = {"cert_file": "server.pem", "key_file": "server.pem"}
        config: dict[str, Any] = {"tls_server_config": tls}
        if with_certificate:
            tls |= {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": str(self._root)}
        else:
            line = run(["htpasswd", "-nbBC", "5", USER, PASSWORD])
            config["basic_auth_users"] = {USER: line.strip().partition(":")[2]}
        file = self._home / f"{name}.yaml"
        file.write_text(yaml.safe_dump(config))
        return file

    @property
    def scrape_config(self) -> dict[str, Any]:
        """Keys of a scrape job."""
        return {
            "scheme": "https",
            "tls_config": {
                "ca_file": str(self._root),
                "cert_file": str(self._client),
                "key_file": str(self._client),
            },
            "basic_auth": {"username": USER, "password_file": str(self._password)},
        }

    def open(self, request: urllib.request.Request) -> HTTPResponse:
        context = ssl.create_default_context(cafile=str(self._root))
        context.load_cert_chain(self._client)
        credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request.add_header("Authorization", f"Basic {credentials}")
        response: HTTPResponse = urllib.request.urlopen(request, timeout=5, context=context)
        return response
