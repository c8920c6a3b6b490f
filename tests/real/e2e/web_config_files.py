"""Web configuration files that both programs accept or refuse at start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from .web_config_cases import AES_128, AUTH_TYPES, HEADERS, KEY_PAIR, hash_of, tls
from .web_config_certificates import Certificates


def files(certificates: Certificates) -> Iterator[tuple[str, Mapping[str, str | bytes | Path]]]:
    home = certificates.home
    yield "documents", _documents(home)
    yield "certificates", _dump(_key_pairs(certificates))
    yield "TLS settings", _dump(_tls_settings())
    yield "HTTP settings", _dump(_http_settings())
    yield "user names and hashes", {**_dump(_users()), **_raw_users()}


def _dump(configs: Mapping[str, Any]) -> dict[str, str]:
    return {name: yaml.safe_dump(config, allow_unicode=True) for name, config in configs.items()}


def _documents(home: Path) -> dict[str, str | bytes | Path]:
    good = yaml.safe_dump(tls())
    (home / "folder").mkdir()
    (home / "linked.yml").write_text(good)
    (home / "folder" / "link.yml").symlink_to(home / "linked.yml")
    (home / "folder" / "below.yml").write_text(
        yaml.safe_dump({"tls_server_config": {key: f"../{file}" for key, file in KEY_PAIR.items()}})
    )
    absolute = {key: str(home / file) for key, file in KEY_PAIR.items()}
    return {
        "good": good,
        "absolute paths": yaml.safe_dump({"tls_server_config": absolute}),
        "paths to another folder": home / "folder" / "below.yml",
        "relative to a symbolic link": home / "folder" / "link.yml",
        "empty": "",
        "a comment": "# nothing\n",
        "an empty mapping": "{}\n",
        "null": "~\n",
        "empty sections": "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\nrate_limit:\n",
        "a list": "[]\n",
        "a string": "text\n",
        "a section is a string": "tls_server_config: text\n",
        "a section is a list": "basic_auth_users: [user]\n",
        "not YAML": "tls_server_config: {\n",
        "a tab": "tls_server_config:\n\tcert_file: server.pem\n",
        "CRLF": good.replace("\n", "\r\n"),
        "byte order mark": b"\xef\xbb\xbf" + good.encode(),
        "UTF-16": good.encode("utf-16"),
        "not UTF-8": b"basic_auth_users: {gr\xfc\xdfe: x}\n",
        "NUL": good.encode() + b"\0",
        "duplicate section": "rate_limit: {}\nrate_limit: {}\n",
        "duplicate key": "rate_limit: {burst: 1, burst: 1}\n",
        "yes as a boolean": f"{good}http_server_config: {{http2: yes}}\n",
        "yes as a string": f"{good}http_server_config: {{http2: 'yes'}}\n",
        "alias": "tls_server_config: {cert_file: &file server.pem, key_file: *file}\n",
        "start of a document": f"---\n{good}",
        "end of a document": f"{good}...\n",
        "two documents": f"{good}---\nrate_limit: {{}}\n",
        "an empty second document": f"{good}---\n",
        "unknown section": "tls: {}\n",
        "section in upper case": "TLS_server_config: {}\n",
        "unknown key of TLS": good + "  certificate: server.pem\n",
        "unknown key of HTTP": "http_server_config: {http3: true}\n",
        "unknown key of the limit": "rate_limit: {rate: 1}\n",
        "no file": home / "missing.yml",
        "a folder": home / "folder",
        "2 MB": "#" + "x" * 2_000_000 + "\n",
    }


def _key_pairs(certificates: Certificates) -> dict[str, Any]:
    home = certificates.home
    certificate, key = certificates.text("server.pem"), certificates.text("server.key")
    (home / "both.pem").write_text(certificate + key)
    (home / "reversed.pem").write_text(key + certificate)
    (home / "garbage.pem").write_text("garbage\n")
    (home / "empty.pem").touch()
    (home / "broken.pem").write_text(certificate.replace("A", "B"))
    leaf, end, intermediate = certificate.partition("-----END CERTIFICATE-----\n")
    (home / "leaf.pem").write_text(leaf + end)
    (home / "disordered.pem").write_text(intermediate + leaf + end)
    (home / "text.pem").write_text(f"Subject: server\n{certificate}\nmore text\n")
    sections: dict[str, dict[str, Any]] = {
        "certificate only": {"cert_file": "server.pem"},
        "key only": {"key_file": "server.key"},
        "inline": {"cert": certificate, "key": key},
        "inline certificate, file of the key": {"cert": certificate, "key_file": "server.key"},
        "file of the certificate, inline key": {"cert_file": "server.pem", "key": key},
        "certificate inline and as a file": {**KEY_PAIR, "cert": certificate},
        "key inline and as a file": {**KEY_PAIR, "key": key},
        "empty inline certificate": {**KEY_PAIR, "cert": ""},
        "no file of the certificate": {**KEY_PAIR, "cert_file": "missing.pem"},
        "no file of the key": {**KEY_PAIR, "key_file": "missing.key"},
        "folder as key": {**KEY_PAIR, "key_file": "folder"},
        "key of another certificate": {**KEY_PAIR, "key_file": "renewed.key"},
        "garbage as certificate": {**KEY_PAIR, "cert_file": "garbage.pem"},
        "garbage as key": {**KEY_PAIR, "key_file": "garbage.pem"},
        "empty certificate": {**KEY_PAIR, "cert_file": "empty.pem"},
        "broken certificate": {**KEY_PAIR, "cert_file": "broken.pem"},
        "certificate as key": {**KEY_PAIR, "key_file": "server.pem"},
        "key as certificate": {**KEY_PAIR, "cert_file": "server.key"},
        "one file": {"cert_file": "both.pem", "key_file": "both.pem"},
        "one file, key first": {"cert_file": "reversed.pem", "key_file": "reversed.pem"},
        "no intermediate": {**KEY_PAIR, "cert_file": "leaf.pem"},
        "intermediate first": {**KEY_PAIR, "cert_file": "disordered.pem"},
        "text around the certificates": {**KEY_PAIR, "cert_file": "text.pem"},
        "expired": {"cert_file": "expired.pem", "key_file": "expired.key"},
        "encrypted key": {**KEY_PAIR, "key_file": "encrypted.key"},
        "SEC 1 key": {**KEY_PAIR, "key_file": "sec1.key"},
        "PKCS #1 key": {"cert_file": "rsa.pem", "key_file": "pkcs1.key"},
        "P-521 key": {"cert_file": "p521.pem", "key_file": "p521.key"},
        "number as certificate": {**KEY_PAIR, "cert_file": 1},
        "list as certificate": {**KEY_PAIR, "cert_file": ["server.pem"]},
    }
    return {name: {"tls_server_config": section} for name, section in sections.items()}


def _tls_settings() -> dict[str, Any]:
    verify = {"client_auth_type": "RequireAndVerifyClientCert"}
    aes = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
    on: dict[str, dict[str, Any]] = {
        "client CAs missing": verify,
        "client CAs without a type": {"client_ca_file": "ca.pem"},
        "client CAs with NoClientCert": {"client_ca_file": "ca.pem", "client_auth_type": "NoClientCert"},
        "no file of client CAs": {**verify, "client_ca_file": "missing.pem"},
        "garbage as client CAs": {**verify, "client_ca_file": "garbage.pem"},
        "empty file as client CAs": {**verify, "client_ca_file": "empty.pem"},
        "garbage as inline client CAs": {**verify, "client_ca": "garbage"},
        "client CAs inline and as a file": {**verify, "client_ca_file": "ca.pem", "client_ca": "garbage"},
        "folder as client CAs": {**verify, "client_ca_file": "folder"},
        **{f"client_auth_type {auth}": {"client_auth_type": auth} for auth in AUTH_TYPES},
        "client_auth_type RequireClientCert": {"client_auth_type": "RequireClientCert"},
        "client_auth_type in lower case": {"client_auth_type": "requireandverifyclientcert"},
        "unknown client_auth_type": {"client_auth_type": "Always"},
        "empty client_auth_type": {"client_auth_type": ""},
        "names without a type": {"client_allowed_sans": ["client.example.com"]},
        "a name that is a string": {**verify, "client_allowed_sans": "client.example.com"},
        **{f"min_version {version}": {"min_version": version} for version in ("TLS10", "TLS11", "TLS12", "TLS13")},
        **{f"max_version {version}": {"max_version": version} for version in ("TLS10", "TLS11", "TLS12", "TLS13")},
        "unknown version": {"min_version": "TLS14"},
        "version in lower case": {"min_version": "tls12"},
        "version as a number": {"min_version": 1.2},
        "empty version": {"min_version": ""},
        "no version": {"min_version": None},
        "minimum above maximum": {"min_version": "TLS13", "max_version": "TLS12"},
        "unknown suite": {"cipher_suites": ["TLS_UNKNOWN"]},
        "suite in lower case": {"cipher_suites": [aes.lower()]},
        "OpenSSL's name of a suite": {"cipher_suites": [AES_128]},
        "suite that is a string": {"cipher_suites": aes},
        "suite of TLS 1.3": {"cipher_suites": [aes, "TLS_AES_128_GCM_SHA256"]},
        "only a suite of TLS 1.3": {"cipher_suites": ["TLS_AES_128_GCM_SHA256"]},
        "suite with CBC": {"cipher_suites": [aes, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"]},
        "suite with RC4": {"cipher_suites": [aes, "TLS_ECDHE_RSA_WITH_RC4_128_SHA"]},
        "suite with RSA key exchange": {"cipher_suites": [aes, "TLS_RSA_WITH_AES_128_GCM_SHA256"]},
        "suites without that of HTTP/2": {"cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]},
        "suites without that of HTTP/2, TLS 1.3": {
            "cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"],
            "min_version": "TLS13",
        },
        "a suite twice": {"cipher_suites": [aes, aes]},
        "no suites": {"cipher_suites": []},
        "suites that are null": {"cipher_suites": None},
        **{
            f"curve {curve}": {"curve_preferences": [curve]}
            for curve in ("X25519", "CurveP256", "CurveP384", "CurveP521", "X25519MLKEM768", "P256", "curvep256")
        },
        "no curves": {"curve_preferences": []},
        "prefer_server_cipher_suites yes": {"prefer_server_cipher_suites": True},
        "prefer_server_cipher_suites as a string": {"prefer_server_cipher_suites": "maybe"},
    }
    off: dict[str, dict[str, Any]] = {
        "only min_version": {"min_version": "TLS13"},
        "only cipher_suites": {"cipher_suites": [aes]},
        "only client_allowed_sans": {"client_allowed_sans": ["client.example.com"]},
        "only client_auth_type": {"client_auth_type": "NoClientCert"},
        "only client_ca_file": {"client_ca_file": "ca.pem"},
    }
    return {
        **{name: tls(**keys) for name, keys in on.items()},
        **{name: {"tls_server_config": keys} for name, keys in off.items()},
    }


def _http_settings() -> dict[str, Any]:
    def headers(**values: Any) -> dict[str, Any]:
        return {"http_server_config": {"headers": {name.replace("_", "-"): value for name, value in values.items()}}}

    suites = {"cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]}
    return {
        **{f"http2 {value}": {**tls(), "http_server_config": {"http2": value}} for value in (True, False, "maybe", 1)},
        "http2 without TLS": {"http_server_config": {"http2": True}},
        "http2 false, suites without that of HTTP/2": {**tls(**suites), "http_server_config": {"http2": False}},
        "all headers": {"http_server_config": {"headers": HEADERS}},
        "unknown header": headers(Server="x"),
        "header in lower case": headers(**{"x-frame-options": "deny"}),
        "frame options sameorigin": headers(X_Frame_Options="sameorigin"),
        "frame options in upper case": headers(X_Frame_Options="DENY"),
        "blank frame options": headers(X_Frame_Options=""),
        "other frame options": headers(X_Frame_Options="allow"),
        "other content type options": headers(X_Content_Type_Options="sniff"),
        "blank policy": headers(Content_Security_Policy=""),
        "policy with a line feed": headers(Content_Security_Policy="default-src 'none'\nx: y"),
        "policy that is not ASCII": headers(Content_Security_Policy="größe"),
        "number as a header": headers(X_XSS_Protection=0),
        "null as a header": headers(X_XSS_Protection=None),
        "headers are a list": {"http_server_config": {"headers": ["X-XSS-Protection"]}},
        "no headers": {"http_server_config": {"headers": {}}},
        **{
            f"limit {values}": {"rate_limit": values}
            for values in (
                {"interval": "1s", "burst": 1},
                {"interval": "1m30s", "burst": 10},
                {"interval": "0", "burst": 0},
                {"interval": "0s", "burst": 5},
                {"interval": 0, "burst": 5},
                {"interval": 1_000_000_000, "burst": 5},
                {"interval": "1", "burst": 5},
                {"interval": "1d", "burst": 5},
                {"interval": "-1s", "burst": 5},
                {"interval": "1s"},
                {"interval": "1s", "burst": -1},
                {"interval": "1s", "burst": 1.5},
                {"interval": "1s", "burst": "many"},
                {"interval": "soon", "burst": 1},
                {"burst": 5},
                {},
            )
        },
    }


def _users() -> dict[str, Any]:
    good = hash_of("secret")
    salt_and_hash = good[7:]
    hashes: dict[str, Any] = {
        "good": good,
        **{f"prefix {prefix}": f"${prefix}$04${salt_and_hash}" for prefix in ("2a", "2b", "2x", "2", "1", "3a", "2y2")},
        **{f"cost {cost}": f"$2y${cost}${salt_and_hash}" for cost in ("03", "04", "14", "15", "31", "32", "4", "xx")},
        "one character less": good[:-1],
        "one character more": f"{good}x",
        "a space at the end": f"{good} ",
        "a character that is not base64": f"{good[:-1]}!",
        "a salt that is not base64": f"{good[:10]}!{good[11:]}",
        "half of it": good[:30],
        "password itself": "a-password-that-must-not-be-in-any-message",
        "SHA": "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        "empty": "",
        "null": None,
        "a number": 1,
        "a list": [good],
    }
    names: dict[str, Any] = {
        "empty name": {"": good},
        "name with a colon": {"us:er": good},
        "name with a line feed": {"us\ner": good},
        "name with a space": {"us er": good},
        "number as a name": {1: good},
        "boolean as a name": {True: good},
        "one of two hashes is wrong": {"one": good, "two": "secret"},
        "no users": {},
    }
    return {
        **{f"hash: {name}": {"basic_auth_users": {"user": text}} for name, text in hashes.items()},
        **{name: {"basic_auth_users": users} for name, users in names.items()},
    }


def _raw_users() -> dict[str, str]:
    good = hash_of("secret")
    return {
        "a name twice": f"basic_auth_users:\n  user: {good}\n  user: {good}\n",
        "null as a name": f"basic_auth_users:\n  ~: {good}\n",
    }
