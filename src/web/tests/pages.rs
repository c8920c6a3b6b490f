use std::collections::{BTreeSet, HashSet};

use super::*;
use crate::metrics::fixture::{backend, name, reachable};
use crate::snapshot::TargetReport;

async fn answer(router: &Router, path: &str) -> (u16, String, String) {
    let response = get_page(router, path).await;
    let (status, kind) = (response.status().as_u16(), field(&response, header::CONTENT_TYPE).to_owned());
    (status, kind, text(response).await)
}

/// A fleet of targets with these names, one backend each.
fn named(names: &[&str]) -> Fleet {
    let ca = TestCa::new();
    let alias = name("smtp.example.com");
    let backend = reachable(backend(&alias, "192.0.2.1"), ca.assess(&alias, &["smtp.example.com"], (2027, 1)));
    let targets = names.iter().map(|name| Arc::new(target(name, &[], &alias, vec![backend.clone()])));
    Fleet { targets: targets.collect(), exporter: ExporterReport::default() }
}

/// The links of a page, unescaped.
fn links(page: &str) -> Vec<String> {
    let links = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    links.map(|link| link.replace("&amp;", "&").split('#').next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn any_target_name_can_be_linked() {
    let names = [
        "relay",
        "a/b",
        "/",
        "a b",
        "ü",
        "%",
        "%2F",
        "\"><b>",
        "'",
        "a?b",
        "a#b",
        "a&b=c",
        "mx:example.com",
        "..a",
        "[2001:db8::1]:25",
        "\n",
        "{name}",
        "+",
        "a\\b",
        "*",
    ];
    let router = site(named(&names), &Options::default());
    let page = text(get_page(&router, "/").await).await;
    let targets: Vec<String> = links(&page).into_iter().filter(|link| link.starts_with("/targets/")).collect();
    for link in &targets {
        let (status, kind, page) = answer(&router, link).await;
        assert_eq!((status, &*kind), (200, "text/html; charset=utf-8"), "{link}");
        for link in links(&page).iter().filter(|link| link.starts_with("/api/")) {
            let (status, kind, _) = answer(&router, link).await;
            let expected = if link.contains("chain.pem") { "application/x-pem-file" } else { "application/json" };
            assert_eq!((status, &*kind), (200, expected), "{link}");
        }
    }
    // At least the heading of each target and the row of its backend.
    assert!(targets.len() >= 2 * names.len(), "{targets:?}");
    let distinct: HashSet<&String> = targets.iter().collect();
    assert_eq!(distinct.len(), names.len(), "{targets:?}");
    // A proxy may have decoded the slash.
    assert_eq!(answer(&router, "/targets/a/b").await.0, 200);
}

#[tokio::test]
async fn errors_have_the_format_of_their_path() {
    let router = site(classic(&TestCa::new()), &Options::default());
    let check = async |path: &str, status: u16, kind: &str, about: &str| {
        let found = answer(&router, path).await;
        assert_eq!((found.0, &*found.1), (status, kind), "{path}: {}", found.2);
        let text = match kind {
            "application/json" => {
                let json: serde_json::Value = serde_json::from_str(&found.2).expect("JSON");
                json["error"].as_str().unwrap_or_else(|| panic!("{path}: {}", found.2)).to_owned()
            }
            _ => found.2,
        };
        assert!(text.contains(about), "{path}: {text}");
    };
    let (html, json, plain) = ("text/html; charset=utf-8", "application/json", "text/plain; charset=utf-8");
    check("/targets/nobody", 404, html, "<h1>").await;
    check("/targets/%3Cscript%3E", 404, html, "<h1>").await;
    check("/targets/%ff%fe", 404, html, "<h1>").await;
    check("/targets/", 404, plain, "").await;
    check("/api/v1/targets/nobody", 404, json, "nobody").await;
    check("/api/v1/targets/%1b%5b31m%e2%80%ae", 404, json, "\u{fffd}[31m\u{fffd}").await;
    check("/api/v1/targets/%ff", 404, json, "").await;
    check("/api/v1/nothing", 404, plain, "").await;
    for backend in ["192.0.2.99:587", "192.0.2.10:25", "192.0.2.10", "x", "%ff", "[::1", "192.0.2.10:587%00"] {
        check(&format!("/api/v1/targets/relay/backends/{backend}/chain.pem"), 404, json, "").await;
    }
    // A known backend that never presented a certificate.
    check("/api/v1/targets/relay/backends/192.0.2.13:587/chain.pem", 404, json, "").await;
    check("/api/v1/targets/nobody/backends/192.0.2.10:587/chain.pem", 404, json, "nobody").await;
    let long = "x".repeat(5_000);
    check(&format!("/?q={long}"), 414, plain, "").await;
    check(&format!("/?q={}", "x".repeat(4_000)), 200, html, "class=\"nothing\"").await;
    check("/?%zz&&=&page=-1&state=%00&q=%ff", 200, html, "class=\"nothing\"").await;
    check(&format!("/api/v1/targets/{long}"), 404, json, "xxx…").await;
}

#[tokio::test]
async fn chains_are_downloaded_as_pem_files() {
    let ca = TestCa::new();
    let mut fleet = classic(&ca);
    let relay = fleet.targets.first().expect("a target");
    let expected: Vec<Vec<u8>> = relay.endpoints[0].backends[0]
        .last_certificate
        .as_ref()
        .expect("what it presented")
        .assessment
        .chain
        .certificates()
        .iter()
        .map(|certificate| certificate.der().to_vec())
        .collect();
    // The same address and port for another server name.
    let other = name("mail.example.com");
    let second = reachable(backend(&other, "192.0.2.10"), ca.assess(&other, &["mail.example.com"], (2027, 1)));
    let twin = target("twin", &[], &other, vec![second]);
    let endpoints = relay.endpoints.iter().chain(&twin.endpoints).cloned().collect();
    fleet.targets.push(Arc::new(TargetReport { endpoints, ..twin }));
    let modes = crate::metrics::fixture::both_modes(&ca, "modes", "192.0.2.10");
    let implicit = modes.endpoints.last().and_then(|endpoint| endpoint.backends.first()).expect("a backend");
    let implicit = implicit.leaf().expect("a certificate").der().to_vec();
    fleet.targets.push(Arc::new(modes));
    let router = site(fleet, &Options::default());

    let path = "/api/v1/targets/relay/backends/192.0.2.10:587/chain.pem";
    let response = get_page(&router, path).await;
    assert_eq!(field(&response, header::CONTENT_TYPE), "application/x-pem-file");
    let disposition = "attachment; filename=\"smtp.example.com_192.0.2.10_587.pem\"";
    assert_eq!(field(&response, header::CONTENT_DISPOSITION), disposition);
    assert_eq!(field(&response, header::CACHE_CONTROL), "no-store");
    let found = pem::parse_many(bytes(response).await).expect("PEM");
    assert_eq!(found.iter().map(|each| each.contents().to_vec()).collect::<Vec<_>>(), expected);
    let head = ask(&router, Request::head(path)).await;
    assert_eq!((head.status(), bytes(head).await.len()), (StatusCode::OK, 0));

    for (path, expected) in [
        ("relay/backends/%5B2001%3Adb8%3A%3A10%5D%3A587/chain.pem", Ok("smtp.example.com_2001-db8--10_587.pem")),
        ("relay/backends/[::ffff:192.0.2.10]:587/chain.pem", Ok("smtp.example.com_192.0.2.10_587.pem")),
        ("relay/backends/192.0.2.10:587/chain.pem?server_name=SMTP.example.com.", Ok("smtp.example.com_")),
        ("relay/backends/192.0.2.10:587/chain.pem?server_name=mail.example.com", Err(404)),
        ("relay/backends/192.0.2.10:587/chain.pem?server_name=%00", Err(404)),
        ("twin/backends/192.0.2.10:587/chain.pem", Err(400)),
        ("twin/backends/192.0.2.10:587/chain.pem?server_name=mail.example.com", Ok("mail.example.com_192.0.2.10")),
        ("twin/backends/192.0.2.10:587/chain.pem?server_name=smtp.example.com", Ok("smtp.example.com_192.0.2.10")),
        ("twin/backends/192.0.2.10:587/chain.pem?server_name=smtp.example.com&tls=starttls", Ok("smtp.example.com_")),
        ("twin/backends/192.0.2.10:587/chain.pem?server_name=smtp.example.com&tls=implicit", Err(404)),
        ("modes/backends/192.0.2.10:587/chain.pem", Err(400)),
        ("modes/backends/192.0.2.10:587/chain.pem?server_name=smtp.example.com", Err(400)),
        ("modes/backends/192.0.2.10:587/chain.pem?tls=starttls", Ok("smtp.example.com_192.0.2.10")),
        ("modes/backends/192.0.2.10:587/chain.pem?tls=IMPLICIT", Err(404)),
    ] {
        let response = get_page(&router, &format!("/api/v1/targets/{path}")).await;
        assert_eq!(response.status(), expected.err().unwrap_or(200), "{path}");
        assert!(field(&response, header::CONTENT_DISPOSITION).contains(expected.unwrap_or_default()), "{path}");
    }
    let response = get_page(&router, "/api/v1/targets/modes/backends/192.0.2.10:587/chain.pem?tls=implicit").await;
    let found = pem::parse_many(bytes(response).await).expect("PEM");
    assert_eq!(found.first().map(|leaf| leaf.contents()), Some(&*implicit));
}

/// Each `'sha256-…'` is the hash of the only element of its kind, as a browser computes it (CSP 3 §8.1).
#[tokio::test]
async fn the_content_security_policy_has_the_hashes_of_style_and_script() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest, Sha256};

    let router = site(classic(&TestCa::new()), &Options::default());
    for path in ["/", "/targets/relay", "/targets/nobody"] {
        let response = get_page(&router, path).await;
        let policy = field(&response, header::CONTENT_SECURITY_POLICY).to_owned();
        assert_eq!(field(&response, header::REFERRER_POLICY), "no-referrer");
        let page = text(response).await;
        let hash = |element: &str| {
            let (open, close) = (format!("<{element}>"), format!("</{element}>"));
            assert_eq!(page.matches(&open).count(), 1, "{element} of {path}");
            let content = page.split(&open).nth(1).and_then(|rest| rest.split(&close).next()).expect("an element");
            STANDARD.encode(Sha256::digest(content))
        };
        let expected = format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; \
             form-action 'self'; frame-ancestors 'none'",
            hash("style"),
            hash("script")
        );
        assert_eq!(policy, expected, "{path}");
        for forbidden in [" style=", " onclick=", " onload=", " src=", "javascript:", "http://", "https://", "<link"] {
            assert!(!page.contains(forbidden), "{forbidden} in {path}");
        }
    }
}

#[tokio::test]
async fn links_work_below_a_prefix() {
    let names = ["relay", "a/b", "ü?"];
    let options = |prefix: Option<&str>, url: Option<&str>| Options {
        route_prefix: prefix.map(str::to_owned),
        external_url: url.map(str::to_owned),
        ..Options::default()
    };
    for (options, outside, inside) in [
        (options(None, None), "", ""),
        (options(Some("/x/y"), None), "/x/y", "/x/y"),
        (options(None, Some("https://example.com/x/")), "/x", "/x"),
        (options(Some("/{z}"), None), "/{z}", "/{z}"),
        // Behind a proxy that strips or replaces the path.
        (options(Some("/"), Some("https://example.com/x/y")), "/x/y", ""),
        (options(Some("/in"), Some("https://example.com/out")), "/out", "/in"),
    ] {
        let router = site(named(&names), &options);
        let mut todo = vec![format!("{outside}/")];
        let mut seen = BTreeSet::new();
        while let Some(link) = todo.pop() {
            if !seen.insert(link.clone()) {
                continue;
            }
            let path = link.strip_prefix(outside).unwrap_or_else(|| panic!("{link} begins with {outside}"));
            let path = format!("{inside}{path}");
            let (status, kind, page) = answer(&router, &path).await;
            assert_eq!(status, 200, "{link} with {options:?}");
            if kind.starts_with("text/html") {
                todo.extend(links(&page).into_iter().filter(|link| !link.is_empty()));
            }
        }
        // The overview, its counts by state; a page, its JSON and its chain for each target; four endpoints.
        assert_eq!(seen.len(), 5 + 3 * names.len() + 4, "{seen:?}");
    }
}

#[tokio::test]
async fn documents_are_compressed_if_the_client_accepts_gzip() {
    let router = site(classic(&TestCa::new()), &Options::default());
    for (path, ends) in [("/", "</html>"), ("/targets/relay", "</html>"), ("/api/v1/targets", "}\n")] {
        let plain = get_page(&router, path).await;
        assert_eq!(field(&plain, header::CONTENT_ENCODING), "");
        let plain = bytes(plain).await;
        let gzip = || Request::get(path).header("accept-encoding", "gzip");
        let response = ask(&router, gzip()).await;
        let head = ask(&router, gzip().method("HEAD")).await;
        for response in [&response, &head] {
            for (name, expected) in [
                (header::CONTENT_ENCODING, "gzip"),
                (header::VARY, "accept-encoding"),
                (header::CACHE_CONTROL, "no-store"),
                (header::CONTENT_LENGTH, ""),
            ] {
                assert_eq!(field(response, name), expected, "{path}");
            }
        }
        let packed = bytes(response).await;
        let mut unpacked = String::new();
        GzDecoder::new(&*packed).read_to_string(&mut unpacked).expect("gzip");
        assert!(unpacked.ends_with(ends) && packed.len() * 2 < plain.len(), "{path}: {} bytes", packed.len());
    }
    // Too small to save a packet.
    let small = ask(&router, Request::get("/api/v1/targets/nobody").header("accept-encoding", "gzip")).await;
    assert_eq!(field(&small, header::CONTENT_ENCODING), "");
}
