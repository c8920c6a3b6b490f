//! Which origins and hosts are served.

use super::*;

/// The status of a request with these fields, sent as it is.
async fn status(server: &Server, target: &str, fields: &str) -> String {
    let sent = format!("{target} HTTP/1.1\r\n{fields}content-length: 0\r\nconnection: close\r\n\r\n");
    let received = rest(&mut server.connect(&sent).await).await;
    received.split(' ').nth(1).unwrap_or_default().to_owned()
}

async fn server(external_url: Option<&str>, allowed_hosts: &[&str]) -> Server {
    let allowed_hosts = allowed_hosts.iter().map(|host| host.parse().expect("a host")).collect();
    let external_url = external_url.map(str::to_owned);
    let options = Options { external_url, allowed_hosts, route_prefix: Some("/".to_owned()), ..lifecycle() };
    Server::start(site(classic(&TestCa::new()), &options), Limits::default()).await
}

/// Each endpoint that another origin must not use, and its status for requests that are not refused.
const PROTECTED: [(&str, &str); 4] = [
    ("POST /-/reload", "500"),
    ("PUT /-/reload", "500"),
    ("GET /probe?target=relay", "503"),
    ("HEAD /probe?target=relay", "200"),
];

#[tokio::test]
async fn refuses_requests_of_other_origins() {
    let plain = server(None, &[]).await;
    let external = server(Some("https://tls.example/"), &[]).await;
    let check = async |server: &Server, fields: &str, is_allowed: bool| {
        for (target, status_if_allowed) in PROTECTED {
            let found = status(server, target, fields).await;
            let expected = if is_allowed { status_if_allowed } else { "403" };
            assert_eq!(found, expected, "{target} with {fields:?}");
        }
        for target in ["GET /metrics", "GET /", "GET /-/ready"] {
            assert_eq!(status(server, target, &format!("{fields}x: y\r\n")).await, "200", "{target} with {fields:?}");
        }
    };
    for (fields, is_allowed) in [
        // Not a browser.
        ("host: a.example\r\n", true),
        ("", true),
        ("host: a.example\r\nsec-fetch-site: same-origin\r\n", true),
        ("host: a.example\r\nsec-fetch-site: none\r\n", true),
        ("host: a.example\r\nsec-fetch-site: cross-site\r\n", false),
        ("host: a.example\r\nsec-fetch-site: same-site\r\n", false),
        ("host: a.example\r\nsec-fetch-site: \r\n", false),
        ("host: a.example\r\nsec-fetch-site: Same-Origin\r\n", false),
        ("host: a.example\r\nsec-fetch-site: same-origin\r\nsec-fetch-site: same-origin\r\n", false),
        ("host: a.example\r\nsec-fetch-site: \u{fc}\r\n", false),
        ("host: a.example\r\norigin: http://a.example\r\n", true),
        ("host: A.example\r\norigin: HTTP://a.EXAMPLE:80\r\n", true),
        ("host: a.example:80\r\norigin: http://a.example\r\n", true),
        // Behind a proxy that terminates TLS.
        ("host: a.example\r\norigin: https://a.example\r\n", true),
        ("host: a.example:443\r\norigin: https://a.example\r\n", true),
        ("host: a.example:10465\r\norigin: http://a.example:10465\r\n", true),
        ("host: a.example.\r\norigin: http://a.example.\r\n", true),
        ("host: [0:0::1]:80\r\norigin: http://[::1]\r\n", true),
        ("host: 127.0.0.1:10465\r\norigin: http://127.0.0.1:10465\r\n", true),
        ("host: a.example\r\norigin: http://b.example\r\n", false),
        ("host: a.example\r\norigin: http://a.example:8080\r\n", false),
        ("host: a.example:80\r\norigin: https://a.example\r\n", false),
        ("host: a.example\r\norigin: http://a.example.\r\n", false),
        ("host: a.example\r\norigin: http://x.a.example\r\n", false),
        ("host: a.example\r\norigin: null\r\n", false),
        ("host: a.example\r\norigin: \r\n", false),
        ("host: a.example\r\norigin: http://a.example/\r\n", false),
        ("host: a.example\r\norigin: http://u@a.example\r\n", false),
        ("host: a.example\r\norigin: http://a.example http://b.example\r\n", false),
        ("host: a.example\r\norigin: http://a.example\r\norigin: http://a.example\r\n", false),
        ("host: a.example\r\norigin: http://b.example\r\nsec-fetch-site: same-origin\r\n", false),
        ("host: a.example\r\norigin: http://a.example\r\nsec-fetch-site: cross-site\r\n", false),
        // Forwarded fields are not read.
        ("host: a.example\r\norigin: http://b.example\r\nx-forwarded-host: b.example\r\n", false),
        ("origin: http://a.example\r\n", false),
        ("host: a.example\r\nhost: a.example\r\norigin: http://a.example\r\n", false),
        ("host: null\r\norigin: null\r\n", false),
        // An image or a link over plain HTTP.
        ("host: a.example\r\nreferer: http://a.example/\r\n", true),
        ("host: a.example:10465\r\nreferer: http://A.example:10465/targets/x?y=z\r\n", true),
        ("host: a.example\r\nreferer: https://a.example\r\n", true),
        ("host: [::1]:10465\r\nreferer: http://[0::1]:10465/\r\n", true),
        ("host: a.example\r\norigin: http://a.example\r\nreferer: http://a.example/\r\n", true),
        ("host: a.example\r\nreferer: http://evil.example/\r\n", false),
        ("host: a.example\r\nreferer: http://evil.example/?http://a.example/\r\n", false),
        ("host: a.example\r\nreferer: http://evil.example#@a.example/\r\n", false),
        ("host: a.example\r\nreferer: http://a.example@evil.example/\r\n", false),
        ("host: a.example\r\nreferer: http://a.example.evil.example/\r\n", false),
        ("host: a.example\r\nreferer: http://a.example:8080/\r\n", false),
        ("host: a.example\r\nreferer: ftp://a.example/\r\n", false),
        ("host: a.example\r\nreferer: /probe\r\n", false),
        ("host: a.example\r\nreferer: about:blank\r\n", false),
        ("host: a.example\r\nreferer: \r\n", false),
        ("host: a.example\r\nreferer: http://a.example/\r\nreferer: http://a.example/\r\n", false),
        ("host: a.example\r\norigin: http://a.example\r\nreferer: http://evil.example/\r\n", false),
        ("referer: http://a.example/\r\n", false),
    ] {
        check(&plain, fields, is_allowed).await;
    }
    for (fields, is_allowed) in [
        ("host: tls.example\r\norigin: https://tls.example\r\n", true),
        // A proxy that replaces the host.
        ("host: 127.0.0.1:10465\r\norigin: https://tls.example:443\r\n", true),
        ("host: 127.0.0.1:10465\r\norigin: http://127.0.0.1:10465\r\n", true),
        ("host: tls.example\r\norigin: http://tls.example\r\n", false),
        ("host: 127.0.0.1:10465\r\norigin: http://tls.example\r\n", false),
        ("host: tls.example\r\norigin: https://tls.example:8443\r\n", false),
        ("host: 127.0.0.1:10465\r\nreferer: https://tls.example/x\r\n", true),
        ("host: 127.0.0.1:10465\r\nreferer: http://tls.example/x\r\n", false),
    ] {
        check(&external, fields, is_allowed).await;
    }
    let absolute = async |origin: &str| {
        status(&plain, "POST http://a.example/-/reload", &format!("host: b.example\r\norigin: {origin}\r\n")).await
    };
    assert_eq!((&*absolute("http://a.example").await, &*absolute("http://b.example").await), ("500", "403"));
    plain.finish().await;
    external.finish().await;
}

#[tokio::test]
async fn serves_configured_hosts_only() {
    let check = async |server: &Server, fields: &str, expected: &str| {
        for target in ["GET /metrics", "GET /", "GET /api/v1/targets", "POST /-/reload", "GET /nowhere"] {
            let allowed = match target {
                "POST /-/reload" => "500",
                "GET /nowhere" => "404",
                _ => "200",
            };
            let expected = if expected == "200" { allowed } else { expected };
            assert_eq!(status(server, target, fields).await, expected, "{target} with {fields:?}");
        }
        for target in ["GET /-/healthy", "GET /-/ready"] {
            assert_eq!(status(server, target, fields).await, "200", "{target} with {fields:?}");
        }
    };
    let any = server(None, &[]).await;
    for fields in ["host: evil.example\r\n", "", "host: a\r\nhost: b\r\n"] {
        check(&any, fields, "200").await;
    }
    any.finish().await;

    let external = server(Some("https://ext.example:8443/"), &[]).await;
    let listed = server(None, &["a.example:8080", "B.example.", "[::1]:80", "c.example:80"]).await;
    let below = server(None, &["*.d.example", "*.e.example:8080"]).await;
    let both = server(Some("https://ext.example/"), &["a.example", "*"]).await;
    for (server, host, expected) in [
        (&external, "ext.example", "200"),
        (&external, "EXT.example.:1", "200"),
        (&external, "evil.example", "403"),
        (&external, "ext.example.evil.example", "403"),
        // Prometheus scrapes pods by address.
        (&external, "10.0.0.5:10465", "200"),
        (&external, "[fd00::5]:10465", "200"),
        (&external, "localhost:10465", "200"),
        (&external, "10.0.0.5.evil.example", "403"),
        (&external, "0x7f000001", "403"),
        (&external, "evil.example:x", "400"),
        (&external, "ext.example@evil.example", "400"),
        (&external, "", "400"),
        (&listed, "a.example:8080", "200"),
        (&listed, "a.example", "403"),
        (&listed, "a.example:8081", "403"),
        (&listed, "b.example:9", "200"),
        (&listed, "c.example", "200"),
        (&listed, "ext.example", "403"),
        (&listed, "127.0.0.1", "200"),
        (&below, "a.d.example", "200"),
        (&below, "A.b.D.example.:9", "200"),
        (&below, "d.example", "403"),
        (&below, "ad.example", "403"),
        (&below, "a.d.example.evil.example", "403"),
        (&below, "*.d.example", "400"),
        (&below, "a.e.example:8080", "200"),
        (&below, "a.e.example:8081", "403"),
        (&both, "anything.example", "200"),
    ] {
        check(server, &format!("host: {host}\r\n"), expected).await;
    }
    check(&external, "", "200").await;
    check(&external, "host: ext.example\r\nhost: ext.example\r\n", "400").await;
    check(&external, "host: evil.example\r\nx-forwarded-host: ext.example\r\nforwarded: host=ext.example\r\n", "403")
        .await;
    // The authority of the target counts, and not the field.
    for (target, host, expected) in [
        ("GET http://ext.example/metrics", "evil.example", "200"),
        ("GET http://evil.example/metrics", "ext.example", "403"),
        ("GET http://evil.example/-/healthy", "ext.example", "200"),
    ] {
        assert_eq!(status(&external, target, &format!("host: {host}\r\n")).await, expected, "{target}");
    }
    let answer = rest(&mut external.connect("GET /metrics HTTP/1.0\r\n\r\n").await).await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    let answer =
        rest(&mut external.connect("GET / HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n").await).await;
    assert!(answer.contains("--web.allowed-hosts") && !answer.contains("evil"), "{answer}");
    for server in [external, listed, below, both] {
        server.finish().await;
    }
}

#[test]
fn parses_allowed_hosts() {
    for text in ["a", "a:1", "*", " a.example ", "[::1]", "192.0.2.1:80", "*.a", "*.a.example:1", "*.A.example."] {
        assert!(text.parse::<AllowedHost>().is_ok(), "{text}");
    }
    for text in [
        "",
        "http://a",
        "a/",
        "a:x",
        "::1",
        "a,b",
        "*a",
        "*.",
        "a.*",
        "*.*",
        "*.*.a",
        "*.192.0.2.1",
        "*.[::1]",
        "*:1",
        "*..a",
    ] {
        assert!(text.parse::<AllowedHost>().is_err(), "{text}");
    }
}
