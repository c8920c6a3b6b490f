"""The rows of the lab: what handshakes come to, and what is learnt in them.

Where the exporter must fail follows from what rustls with aws-lc-rs offers: TLS 1.2 and 1.3, ECDHE with AEAD suites,
X25519, P-256 and P-384, no signature by SHA-1 or Ed448.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from .servers_checks import Step, expect
from .handshakes import NAME, Lab, Row, connection, seen
from .tcp_server import close_at_hello, reset_at_hello, talk_in_the_clear
from .openssl import Agreed
from .pki import ED448, ED25519, P521, RSA1024, RSA2048, Authority, Certificate
from .process import run

# Old versions and small keys have to be asked for.
ALL = ("-cipher", "ALL:@SECLEVEL=0")
TLS12 = ("-tls1_2", *ALL)
TLS13 = ("-tls1_3",)


def build(lab: Lab) -> None:
    for add in (_versions, _parameters, _client_certificates, _certificates, _staples, _no_tls):
        add(lab)


def steps(lab: Lab) -> Iterator[Step]:
    for row in lab.rows:
        yield f"s_server: {row.title}", partial(_await, lab, row)


def _await(lab: Lab, row: Row) -> None:
    while True:
        told = seen(lab.exporter.samples(), row.name)
        other = [key for key, wanted in row.expected.items() if told[key] != wanted]
        if not other or time.monotonic() > lab.deadline:
            break
        time.sleep(0.25)
    shown = [f"{key}: wanted {row.expected[key]}, saw {told[key]}" for key in other]
    expect(not other, f"{row.name}: {'; '.join(shown)}")


def _versions(lab: Lab) -> None:
    certificate = lab.issue()
    for option, version in (("-tls1", "TLSv1"), ("-tls1_1", "TLSv1.1")):
        lab.serve(
            version.lower(),
            f"{version} alone is no version",
            _failed("handshake", "tls_version"),
            certificate,
            option,
            *ALL,
            shown=[f"Protocol  : {version}\n"],
        )
    for name, options, agreed in (
        ("tls13", (*TLS13, "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256", "-groups", "P-384"), CHACHA_ON_P384),
        ("tls13-aes", (*TLS13, "-ciphersuites", "TLS_AES_128_GCM_SHA256", "-groups", "X25519"), AES_ON_X25519),
        ("tls12", ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384", "-groups", "P-256"), AES_ON_P256),
    ):
        lab.serve(
            name,
            f"{agreed.version} alone, with {agreed.cipher} on {agreed.group}, is named as s_client does",
            _succeeded(certificate) | {"connection": {connection(agreed)}},
            certificate,
            *options,
            agreed=agreed,
        )


def _parameters(lab: Lab) -> None:
    elliptic, rsa, ed448 = lab.issue(), lab.issue(key=RSA2048), lab.issue(key=ED448)
    small_group = lab.path("dh.pem")
    run(["openssl", "dhparam", "-out", small_group, "1024"])
    for name, title, certificate, options, shown in (
        (
            "rsa-key-exchange",
            "RSA key exchange",
            rsa,
            ("-tls1_2", "-cipher", "AES256-GCM-SHA384"),
            "Cipher is AES256-GCM-SHA384",
        ),
        ("cbc", "CBC", rsa, ("-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA384"), "Cipher is ECDHE-RSA-AES256-SHA384"),
        (
            "small-dhe",
            "DHE, and of 1024 bits,",
            rsa,
            ("-tls1_2", "-cipher", "DHE:@SECLEVEL=0", "-dhparam", small_group),
            "Server Temp Key: DH, 1024 bits",
        ),
        (
            "sha1-handshake",
            "handshakes signed by SHA-1",
            rsa,
            (*TLS12, "-sigalgs", "RSA+SHA1"),
            "Peer signing digest: SHA1",
        ),
        ("p521-group", "the group P-521", elliptic, ("-groups", "P-521"), "Server Temp Key: ECDH, secp521r1"),
        ("ed448", "an Ed448 certificate", ed448, (), "Peer signature type: ed448"),
    ):
        lab.serve(
            name,
            f"{title} alone is nothing in common",
            _failed("handshake", "no_common_params"),
            certificate,
            *options,
            shown=[shown],
            # Not among those that s_client takes by itself.
            client_options=["-sigalgs", "RSA+SHA1:RSA+SHA256"] if name == "sha1-handshake" else [],
        )
    lab.serve(
        "stranger",
        "a server that insists on another name",
        _failed("handshake", "unrecognized_name"),
        elliptic,
        *("-servername", "other.example.com", "-servername_fatal"),
        *("-cert2", lab.path("stranger.pem"), "-key2", lab.path("stranger.pem")),
        shown=["unrecognized name"],
    )


def _client_certificates(lab: Lab) -> None:
    certificate = lab.issue()
    client = lab.save(lab.issue(extensions="client"), "client")
    demand = ("-Verify", "1", "-verify_return_error", "-CAfile", lab.authority.root)
    for version, options, stage in (("1.2", TLS12, "handshake"), ("1.3", TLS13, "session")):
        name = f"demand-{version.replace('.', '')}"
        lab.serve(
            name,
            f"a client certificate demanded in TLS {version}, and none given: the server's is seen all the same",
            _failed(stage, "client_certificate_required") | _facts(certificate),
            certificate,
            *options,
            *demand,
            # The error is the other side's, and in TLS 1.3 comes once the client is done.
            shown=["Acceptable client certificate CA names" if version == "1.2" else "Requested Signature Algorithms"],
        )
        lab.serve(
            f"{name}-given",
            f"a client certificate demanded in TLS {version}, and given",
            _succeeded(certificate),
            certificate,
            *options,
            *demand,
            shown=["Verify return code: "],
            client_options=["-cert", client, "-key", client, "-cert_chain", lab.authority.intermediate],
            client_certificate=client,
        )


def _certificates(lab: Lab) -> None:
    for name, key, label in (
        ("p521", P521, "ECDSA P-521"),
        ("ed25519", ED25519, "Ed25519"),
        ("rsa2048", RSA2048, "RSA 2048"),
    ):
        certificate = lab.issue(key=key)
        expected = _succeeded(certificate) | {"key": {(label,)}}
        lab.serve(name, f"a certificate with a key of {label}", expected, certificate)
    small = lab.issue(key=RSA1024)
    lab.serve(
        "rsa1024",
        "a key of RSA 1024 is weak, and of nothing else guilty",
        _succeeded(small, "weak_key") | {"key": {("RSA 1024",)}},
        small,
        *ALL,
    )
    sha1 = lab.issue(digest="sha1")
    lab.serve(
        "sha1-certificate",
        "a certificate signed by SHA-1 is weakly signed, and of nothing else guilty",
        _succeeded(sha1, "weak_signature_algorithm") | {"signature": {("ecdsa-with-SHA1",)}},
        sha1,
        *ALL,
    )
    certificate = lab.issue()
    long_chain = lab.path("80-kilobytes.pem")
    intermediate = lab.authority.intermediate.read_text()
    # Between that and the 100 KB which s_client takes.
    long_chain.write_text(intermediate * (80 * 1024 // len(ssl.PEM_cert_to_DER_cert(intermediate))))
    lab.serve(
        "long-chain",
        "a chain of more than 64 KiB is too large",
        _failed("handshake", "chain_too_large"),
        certificate,
        *("-cert_chain", long_chain),
        shown=["Server Temp Key: "],
    )


def _staples(lab: Lab) -> None:
    authority = lab.authority
    responder = lab.save(lab.issue(extensions="responder"), "responder")

    def staple(
        name: str, title: str, status: str, shown: str, *errors: str, extensions: str = "leaf", **options: Any
    ) -> None:
        certificate = lab.issue(extensions=extensions)
        leaf = lab.save(certificate, f"{name}-leaf")
        if status == "revoked":
            authority.revoke(leaf)
        file = authority.staple(leaf, lab.path(f"{name}.der"), **options)
        expected = {
            "stapled": 1,
            "staple status": {(status,)},
            "staple next update": Authority.next_update(file),
            "staple errors": {(error,) for error in errors},
        }
        lab.serve(
            name,
            f"OCSP: {title}",
            _succeeded(certificate) | expected,
            certificate,
            *("-status_file", file),
            shown=[shown],
            client_options=["-status"],
        )

    staple("staple-good", "a staple that says good", "good", "Cert Status: good")
    staple("staple-delegated", "a staple by a delegated responder", "good", "Cert Status: good", responder=responder)
    staple(
        "staple-demanded",
        "a staple that the certificate demands",
        "good",
        "Cert Status: good",
        extensions="must_staple",
    )
    staple("staple-revoked", "a staple that says revoked", "revoked", "Cert Status: revoked", "revoked")
    staple("staple-stale", "a staple of ten days ago", "good", "Cert Status: good", "staple_stale", days_ago=10)

    other = lab.save(lab.issue(), "other-leaf")
    certificate = lab.issue()
    lab.serve(
        "staple-of-another",
        "OCSP: a staple for another certificate",
        _succeeded(certificate) | {"stapled": 1, "staple status": set(), "staple errors": {("staple_invalid",)}},
        certificate,
        *("-status_file", authority.staple(other, lab.path("other.der"))),
        shown=["Cert Status: good"],
        client_options=["-status"],
    )
    for name, title, extensions, errors in (
        ("staple-none", "no staple, and none demanded", "leaf", set()),
        ("staple-missing", "no staple, where the certificate demands one", "must_staple", {("staple_missing",)}),
    ):
        certificate = lab.issue(extensions=extensions)
        lab.serve(
            name,
            f"OCSP: {title}",
            _succeeded(certificate) | {"stapled": 0, "staple status": set(), "staple errors": errors},
            certificate,
            shown=["OCSP response: no response sent"],
            client_options=["-status"],
        )


def _no_tls(lab: Lab) -> None:
    for name, title, reason, behaviour in (
        ("plaintext", "SMTP in the clear is not TLS", "not_tls", talk_in_the_clear),
        ("closes", "a server that closes at the ClientHello", "eof", close_at_hello),
        ("resets", "a server that resets at the ClientHello", "reset", reset_at_hello),
    ):
        lab.behave(name, title, _failed("handshake", reason), behaviour)


def _failed(stage: str, reason: str) -> dict[str, Any]:
    return {
        "success": 0,
        "failure": {(stage, reason)},
        "handshake errors": True,
        "fingerprint": set(),
        "connection": set(),
    }


def _succeeded(certificate: Certificate, *chain_errors: str) -> dict[str, Any]:
    return {"success": 1, "failure": set(), "handshake errors": False} | _facts(certificate, *chain_errors)


def _facts(certificate: Certificate, *chain_errors: str) -> dict[str, Any]:
    verdict = 0 if chain_errors else 1
    return {
        "fingerprint": {(certificate.fingerprint,)},
        "not after": certificate.not_after,
        "name": NAME in certificate.names,
        "trusted": verdict,
        "valid": verdict,
        "chain errors": {(error,) for error in chain_errors},
    }


CHACHA_ON_P384 = Agreed("TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256", "secp384r1")
AES_ON_X25519 = Agreed("TLSv1.3", "TLS_AES_128_GCM_SHA256", "X25519")
AES_ON_P256 = Agreed("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "secp256r1")
