"""What the exporter does on purpose differently from the exporter toolkit of Prometheus; docs/web-configuration.md and
docs/http.md describe it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .web_config import PLAIN, REFUSED, TLS, Difference


@dataclass(frozen=True)
class Row:
    """Cases that differ for the same reason, with the outcome of the toolkit and of the exporter."""

    reason: str
    toolkit: str
    ours: str
    cases: Sequence[str]
    is_of_build: bool = False
    """Whether other builds of blackbox_exporter may do the same as the exporter."""


AES_128 = "TLSv1.2, ECDHE-ECDSA-AES128-GCM-SHA256"
AES_256 = "TLSv1.2, ECDHE-ECDSA-AES256-GCM-SHA384"
HTTP2_ON = ("http2 by default", "http2 on")
NO_ALPN = "the toolkit negotiates no ALPN if it is built with a recent version of Go"
KEEPS_LAST = "the exporter keeps what it loaded last"

ROWS = [
    # Files.
    Row(
        "several documents are an error; the toolkit reads the first one",
        TLS,
        REFUSED,
        ["documents: two documents", "documents: an empty second document"],
    ),
    Row("words of YAML 1.1 are booleans, also in quotes", REFUSED, TLS, ["documents: yes as a string"]),
    Row(
        "inline and as a file is an error; the toolkit uses the file",
        TLS,
        REFUSED,
        [
            "certificates: certificate inline and as a file",
            "certificates: key inline and as a file",
            "TLS settings: client CAs inline and as a file",
        ],
    ),
    Row(
        "client CAs without a certificate are an error; the toolkit then refuses all clients",
        TLS,
        REFUSED,
        [f"TLS settings: {text}" for text in ("garbage as client CAs", "empty file as client CAs")]
        + ["TLS settings: garbage as inline client CAs"],
    ),
    Row(
        "rustls has no TLS 1.0 and 1.1",
        TLS,
        REFUSED,
        [f"TLS settings: {key} {version}" for key in ("min_version", "max_version") for version in ("TLS10", "TLS11")],
    ),
    Row("an empty value counts as absent", REFUSED, TLS, ["TLS settings: empty version"]),
    Row("such a server accepts no client", TLS, REFUSED, ["TLS settings: minimum above maximum"]),
    Row("rustls has no suites with CBC", TLS, REFUSED, ["TLS settings: suite with CBC"]),
    Row("rustls has no P-521 for key exchange", TLS, REFUSED, ["TLS settings: curve CurveP521"]),
    Row(
        "the toolkit reads it as nanoseconds",
        PLAIN,
        REFUSED,
        ["HTTP settings: limit {'interval': 1000000000, 'burst': 5}"],
    ),
    Row(
        "a negative interval is no limit in the toolkit",
        PLAIN,
        REFUSED,
        ["HTTP settings: limit {'interval': '-1s', 'burst': 5}"],
    ),
    Row(
        "the toolkit then refuses all requests",
        PLAIN,
        REFUSED,
        [f"HTTP settings: limit {values}" for values in ({"interval": "1s"}, {"interval": "1s", "burst": -1})],
    ),
    Row("the toolkit drops the fraction", PLAIN, REFUSED, ["HTTP settings: limit {'interval': '1s', 'burst': 1.5}"]),
    Row(
        "a malformed hash is an error; the toolkit then refuses all passwords",
        PLAIN,
        REFUSED,
        [
            f"user names and hashes: hash: {text}"
            for text in (
                *("prefix 1", "one character less", "one character more"),
                *("a character that is not base64", "a salt that is not base64"),
            )
        ],
    ),
    Row(
        "a cost above 14 is an error: a request would take seconds",
        PLAIN,
        REFUSED,
        [f"user names and hashes: hash: cost {cost}" for cost in (15, 31)],
    ),
    # Requests.
    Row(
        "probes of Kubernetes have no password",
        "401",
        "200",
        [f"users: {text}" for text in ("no password for /-/healthy", "no password for /-/ready")]
        + ["users: wrong password for /-/healthy"],
    ),
    Row(
        "probes of Kubernetes are not limited",
        "429",
        "200",
        ["rate limit: third, /-/healthy", "rate limit: third, /-/ready"],
    ),
    Row(
        "clients are told when to try again",
        "429, Too Many Requests",
        "429, Too Many Requests, Retry-After: 1",
        ["rate limit: third"],
    ),
    Row(
        "all responses have the headers",
        "429, X-Content-Type-Options: nosniff",
        "429, Content-Security-Policy: default-src 'none', X-Frame-Options: deny, X-Content-Type-Options: nosniff, "
        "X-XSS-Protection: 1, Strict-Transport-Security: max-age=60",
        ["rate limit: headers of the third"],
    ),
    Row(
        "a blank header is unset, as the toolkit's documentation says",
        "200, X-XSS-Protection: , Strict-Transport-Security: ",
        "200",
        ["blank headers: blank"],
    ),
    # TLS.
    Row(NO_ALPN, "200, HTTP/1.1", "200, HTTP/2", [f"{group}: curl --http2" for group in HTTP2_ON], True),
    Row(NO_ALPN, "200, HTTP/1.1", "200, HTTP/2", ["users and TLS: --http2 with secret"], True),
    Row(
        NO_ALPN,
        "401, HTTP/1.1, WWW-Authenticate: Basic",
        "401, HTTP/2, WWW-Authenticate: Basic",
        ["users and TLS: --http2 with other"],
        True,
    ),
    Row(
        NO_ALPN,
        AES_128,
        f"{AES_128}, h2",
        [f"{group}: ALPN {protocols}" for group in HTTP2_ON for protocols in ("h2", "http/1.1 h2")],
        True,
    ),
    Row(
        NO_ALPN,
        AES_128,
        f"{AES_128}, http/1.1",
        [
            *(f"{group}: ALPN http/1.1" for group in (*HTTP2_ON, "http2 off")),
            *(f"{group}: ALPN spdy/3 http/1.1" for group in (*HTTP2_ON, "http2 off")),
            "http2 off: ALPN http/1.1 h2",
        ],
        True,
    ),
    Row(
        f"{NO_ALPN}; without a common protocol, a handshake fails (RFC 7301 §3.2)",
        AES_128,
        REFUSED,
        ["http2 off: ALPN h2", *(f"{group}: ALPN spdy/3" for group in (*HTTP2_ON, "http2 off"))],
        True,
    ),
    Row(
        f"{NO_ALPN}, and this client offers http/1.0 only",
        "200, HTTP/1",
        REFUSED,
        ["users and TLS: --http1.0 with secret"],
        True,
    ),
    Row(
        f"{NO_ALPN}, and this client offers http/1.0 only",
        "401, HTTP/1, WWW-Authenticate: Basic",
        REFUSED,
        ["users and TLS: --http1.0 with other"],
        True,
    ),
    Row(
        "rustls has no suites with CBC",
        "TLSv1.2, ECDHE-ECDSA-AES128-SHA",
        REFUSED,
        ["suites by default: ECDHE-ECDSA-AES128-SHA"],
        True,
    ),
    Row(
        "rustls has no suites with CBC",
        "TLSv1.2, ECDHE-RSA-AES128-SHA",
        REFUSED,
        ["suites with an RSA key: ECDHE-RSA-AES128-SHA"],
        True,
    ),
    Row("rustls has no P-521 for key exchange", "200", REFUSED, ["curves by default: P-521, TLS 1.3"], True),
    Row("the key has no effect in the toolkit", AES_128, AES_256, ["server's order: client prefers AES 128"], True),
    Row(
        "certificates of X.509 version 1 are refused",
        "200",
        REFUSED,
        [f"{auth}: version 1" for auth in ("RequestClientCert", "RequireAnyClientCert")],
    ),
    Row(
        "the usage must name client authentication",
        "200",
        REFUSED,
        [
            f"{auth}{names}: any usage"
            for auth in ("VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
            for names in ("", ", listed names")
        ],
    ),
    Row(
        "each connection verifies the certificate again",
        "resumed",
        "not resumed",
        ["sessions with client certificates: a session"],
        True,
    ),
    # Changes.
    Row("the toolkit reads the limit at start only", "200", "429", ["after: a rate limit is added"]),
    Row(KEEPS_LAST, "500", "200", ["after: an unknown key, without TLS", "after: the file is removed"]),
    Row(
        KEEPS_LAST,
        REFUSED,
        "200",
        [
            f"after: {change}"
            for change in (
                *("an unknown key, with TLS", "the file is empty, with TLS", "TLS is removed"),
                *("the key is that of another certificate", "the certificate is removed"),
            )
        ],
    ),
]

DIFFERENCES: Mapping[str, Difference] = {
    case: Difference(row.toolkit, row.ours, row.reason, row.is_of_build) for row in ROWS for case in row.cases
}
