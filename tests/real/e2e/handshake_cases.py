"""The cases of the handshake tests: the outcome of each handshake, and the facts that the exporter reports of it.

The expected failures follow from what rustls with aws-lc-rs offers: TLS 1.2 and 1.3, ECDHE with AEAD suites, X25519,
P-256 and P-384, no signatures by SHA-1 or Ed448.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from . import openssl
from .checks import Step, expect
from .clients import expect_error, fails_with_gnutls, fails_with_swaks, posttls_finger
from .handshakes import NAME, Case, Handshakes, connection, facts
from .openssl import Negotiated
from .pki import ED448, ED25519, P521, RSA1024, RSA2048, Certificate, TestCa
from .process import run
from .tcp_server import close_after_hello, reset_after_hello, speak_plaintext

# Options that enable old versions and small keys.
ALL = ("-cipher", "ALL:@SECLEVEL=0")
TLS12 = ("-tls1_2", *ALL)
TLS13 = ("-tls1_3",)


def add_all(handshakes: Handshakes) -> None:
    for add in (_versions, _parameters, _client_certificates, _certificates, _staples, _no_tls):
        add(handshakes)


def steps(handshakes: Handshakes) -> Iterator[Step]:
    for case in handshakes.cases:
        yield f"handshakes: {case.title}", partial(_await, handshakes, case)
    for case in handshakes.cases:
        if case.expected.get("success") == 0:
            yield f"handshakes: {case.name}: clients print what is listed", partial(_compare_clients, handshakes, case)


def _compare_clients(handshakes: Handshakes, case: Case) -> None:
    """What the exporter says of OpenSSL and Postfix is what they print; clients that verify nothing fail, too, unless some
    client may accept the server."""
    errors = handshakes.exporter.target(case.name)["endpoints"][0]["backends"][0]["probe"]["client_errors"]
    if errors is None:
        return
    at = (case.server.address, case.server.port, NAME)
    expect_error(case.name, errors["openssl"], openssl.errors(*at, implicit_tls=True))
    expect_error(case.name, errors["postfix"], posttls_finger(*at, handshakes.ca.root, handshakes.home))
    if all(error["accepts"] is None for error in errors.values()):
        expect(fails_with_gnutls(*at), f"{case.name}: gnutls-cli succeeds")
        expect(fails_with_swaks(*at), f"{case.name}: swaks succeeds")


def _await(handshakes: Handshakes, case: Case) -> None:
    while True:
        seen = facts(handshakes.exporter.samples(), case.name)
        differences = [key for key, expected in case.expected.items() if seen[key] != expected]
        if not differences or time.monotonic() > handshakes.deadline:
            break
        time.sleep(0.25)
    listed = [f"{key}: expected {case.expected[key]}, got {seen[key]}" for key in differences]
    expect(not differences, f"{case.name}: {'; '.join(listed)}")


def _versions(handshakes: Handshakes) -> None:
    certificate = handshakes.issue()
    for option, version in (("-tls1", "TLSv1"), ("-tls1_1", "TLSv1.1")):
        handshakes.serve(
            version.lower(),
            f"{version} only: no common version",
            _failed("handshake", "tls_version"),
            certificate,
            option,
            *ALL,
            s_client_prints=[f"Protocol  : {version}\n"],
        )
    for name, options, negotiated in (
        ("tls13", (*TLS13, "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256", "-groups", "P-384"), CHACHA_ON_P384),
        ("tls13-aes", (*TLS13, "-ciphersuites", "TLS_AES_128_GCM_SHA256", "-groups", "X25519"), AES_ON_X25519),
        ("tls12", ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384", "-groups", "P-256"), AES_ON_P256),
    ):
        handshakes.serve(
            name,
            f"{negotiated.version} only, with {negotiated.cipher} and {negotiated.group}: the same as s_client reports",
            _succeeded(certificate) | {"connection": {connection(negotiated)}},
            certificate,
            *options,
            negotiated=negotiated,
        )


def _parameters(handshakes: Handshakes) -> None:
    elliptic, rsa, ed448 = handshakes.issue(), handshakes.issue(key=RSA2048), handshakes.issue(key=ED448)
    small_group = handshakes.path("dh.pem")
    run(["openssl", "dhparam", "-out", small_group, "1024"])
    for name, title, certificate, options, printed in (
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
            "1024-bit DHE",
            rsa,
            ("-tls1_2", "-cipher", "DHE:@SECLEVEL=0", "-dhparam", small_group),
            "Server Temp Key: DH, 1024 bits",
        ),
        (
            "sha1-handshake",
            "handshake signatures by SHA-1",
            rsa,
            (*TLS12, "-sigalgs", "RSA+SHA1"),
            "Peer signing digest: SHA1",
        ),
        ("p521-group", "the group P-521", elliptic, ("-groups", "P-521"), "Server Temp Key: ECDH, secp521r1"),
        ("ed448", "an Ed448 certificate", ed448, (), "Peer signature type: ed448"),
    ):
        handshakes.serve(
            name,
            f"{title} only: no common parameters",
            _failed("handshake", "no_common_params"),
            certificate,
            *options,
            s_client_prints=[printed],
            # Not in the default list of s_client.
            s_client_options=["-sigalgs", "RSA+SHA1:RSA+SHA256"] if name == "sha1-handshake" else [],
        )
    handshakes.serve(
        "unrecognized-name",
        "a server that rejects the server name",
        _failed("handshake", "unrecognized_name"),
        elliptic,
        *("-servername", "other.example.com", "-servername_fatal"),
        *("-cert2", handshakes.path("unrecognized-name.pem"), "-key2", handshakes.path("unrecognized-name.pem")),
        s_client_prints=["unrecognized name"],
    )


def _client_certificates(handshakes: Handshakes) -> None:
    certificate = handshakes.issue()
    client = handshakes.save(handshakes.issue(extensions="client"), "client")
    expired = handshakes.save(handshakes.ca.issue((NAME,), -1, extensions="client"), "client-expired")
    purpose = handshakes.save(handshakes.issue(), "client-purpose")
    foreign = handshakes.save(TestCa(handshakes.path("foreign")).issue((NAME,), 90, extensions="client"), "client-foreign")
    require = ("-Verify", "1", "-verify_return_error", "-CAfile", handshakes.ca.root)
    # In TLS 1.3 the server sends the alert after the client's Finished, when s_client has exited.
    for version, options, stage, printed in (
        ("1.2", TLS12, "handshake", "Acceptable client certificate CA names"),
        ("1.3", TLS13, "session", "Requested Signature Algorithms"),
    ):
        name = f"client-certificate-{version.replace('.', '')}"
        handshakes.serve(
            name,
            f"client certificate required in TLS {version}, none sent: the server certificate is still reported",
            _failed(stage, "client_certificate_required") | _presented(certificate),
            certificate,
            *options,
            *require,
            s_client_prints=[printed],
        )
        handshakes.serve(
            f"{name}-sent",
            f"client certificate required in TLS {version} and sent",
            _succeeded(certificate),
            certificate,
            *options,
            *require,
            s_client_prints=["Verify return code: "],
            s_client_options=["-cert", client, "-key", client, "-cert_chain", handshakes.ca.intermediate],
            client_certificate=client,
        )
        for fault, rejected in (("expired", expired), ("purpose", purpose), ("unknown-ca", foreign)):
            handshakes.serve(
                f"{name}-{fault}",
                f"client certificate rejected in TLS {version} ({fault}): the server certificate is still reported",
                _failed(stage, "client_certificate_rejected") | _presented(certificate),
                certificate,
                *options,
                *require,
                client_certificate=rejected,
            )


def _certificates(handshakes: Handshakes) -> None:
    for name, key, label in (
        ("p521", P521, "ECDSA P-521"),
        ("ed25519", ED25519, "Ed25519"),
        ("rsa2048", RSA2048, "RSA 2048"),
    ):
        certificate = handshakes.issue(key=key)
        expected = _succeeded(certificate) | {"key": {(label,)}}
        handshakes.serve(name, f"a certificate with an {label} key", expected, certificate)
    small = handshakes.issue(key=RSA1024)
    handshakes.serve(
        "rsa1024",
        "an RSA 1024 key: `weak_key` is the only reason",
        _succeeded(small, "weak_key") | {"key": {("RSA 1024",)}},
        small,
        *ALL,
    )
    sha1 = handshakes.issue(digest="sha1")
    handshakes.serve(
        "sha1-certificate",
        "a certificate signed by SHA-1: `weak_signature_algorithm` is the only reason",
        _succeeded(sha1, "weak_signature_algorithm") | {"signature": {("ecdsa-with-SHA1",)}},
        sha1,
        *ALL,
    )
    certificate = handshakes.issue()
    long_chain = handshakes.path("80-kilobytes.pem")
    intermediate = handshakes.ca.intermediate.read_text()
    # More than 64 KiB, less than the 100 KB that s_client accepts.
    long_chain.write_text(intermediate * (80 * 1024 // len(ssl.PEM_cert_to_DER_cert(intermediate))))
    handshakes.serve(
        "long-chain",
        "a chain of more than 64 KiB: too large",
        _failed("handshake", "chain_too_large"),
        certificate,
        "-cert_chain",
        long_chain,
        s_client_prints=["Server Temp Key: "],
    )


def _staples(handshakes: Handshakes) -> None:
    ca = handshakes.ca
    responder = handshakes.save(handshakes.issue(extensions="responder"), "responder")

    def serve(
        name: str, title: str, certificate: Certificate, facts: dict[str, Any], printed: str, *options: str | Path
    ) -> None:
        handshakes.serve(
            name,
            f"OCSP: {title}",
            _succeeded(certificate) | facts,
            certificate,
            *options,
            s_client_prints=[printed],
            s_client_options=["-status"],
        )

    def staple(name: str, title: str, status: str, *errors: str, extensions: str = "leaf", **options: Any) -> None:
        certificate = handshakes.issue(extensions=extensions)
        leaf = handshakes.save(certificate, f"{name}-leaf")
        if status == "revoked":
            ca.revoke(leaf)
        file = ca.staple(leaf, handshakes.path(f"{name}.der"), **options)
        facts = {
            "stapled": 1,
            "staple status": {(status,)},
            "staple next update": TestCa.next_update(file),
            "staple errors": {(error,) for error in errors},
        }
        serve(name, title, certificate, facts, f"Cert Status: {status}", "-status_file", file)

    staple("staple-good", "status good", "good")
    staple("staple-delegated", "response signed by a delegated responder", "good", responder=responder)
    staple("staple-required", "must-staple certificate with a staple", "good", extensions="must_staple")
    staple("staple-revoked", "status revoked", "revoked", "revoked")
    staple("staple-stale", "a staple from ten days ago", "good", "staple_stale", days_ago=10)

    other = handshakes.save(handshakes.issue(), "other-leaf")
    file = ca.staple(other, handshakes.path("other.der"))
    invalid = {"stapled": 1, "staple status": set(), "staple errors": {("staple_invalid",)}}
    title = "a staple for another certificate"
    serve("staple-of-another", title, handshakes.issue(), invalid, "Cert Status: good", "-status_file", file)

    for name, title, extensions, errors in (
        ("staple-none", "no staple, not required", "leaf", set()),
        ("staple-missing", "must-staple certificate without a staple", "must_staple", {("staple_missing",)}),
    ):
        missing = {"stapled": 0, "staple status": set(), "staple errors": errors}
        serve(name, title, handshakes.issue(extensions=extensions), missing, "OCSP response: no response sent")


def _no_tls(handshakes: Handshakes) -> None:
    for name, title, reason, handle in (
        ("plaintext", "SMTP without TLS", "not_tls", speak_plaintext),
        ("closes", "a server that closes the connection after the ClientHello", "eof", close_after_hello),
        ("resets", "a server that resets the connection after the ClientHello", "reset", reset_after_hello),
    ):
        handshakes.serve_without_tls(name, title, _failed("handshake", reason), handle)


def _failed(stage: str, reason: str) -> dict[str, Any]:
    return {
        "success": 0,
        "failure": {(stage, reason)},
        "handshake errors": True,
        "fingerprint": set(),
        "connection": set(),
    }


def _succeeded(certificate: Certificate, *chain_errors: str) -> dict[str, Any]:
    return {"success": 1, "failure": set(), "handshake errors": False} | _presented(certificate, *chain_errors)


def _presented(certificate: Certificate, *chain_errors: str) -> dict[str, Any]:
    verdict = 0 if chain_errors else 1
    return {
        "fingerprint": {(certificate.fingerprint,)},
        "not after": certificate.not_after,
        "name": NAME in certificate.names,
        "trusted": verdict,
        "valid": verdict,
        "chain errors": {(error,) for error in chain_errors},
    }


CHACHA_ON_P384 = Negotiated("TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256", "secp384r1")
AES_ON_X25519 = Negotiated("TLSv1.3", "TLS_AES_128_GCM_SHA256", "X25519")
AES_ON_P256 = Negotiated("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "secp256r1")
