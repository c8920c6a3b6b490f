//! Which endpoints require a password, and in which order requests are checked.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::*;

/// A router with the user `alice`.
fn protected(rate_limit: Option<RateLimit>, options: &Options) -> Router {
    let hash = PasswordHash::parse(&bcrypt::hash("secret", 4).expect("a hash")).expect("a hash");
    let users = BTreeMap::from([("alice".to_owned(), hash)]);
    let headers = [("X-Frame-Options", "deny"), ("Content-Security-Policy", "default-src 'self'")];
    let headers = ResponseHeaders::new(headers).expect("valid headers");
    let access = Access::new(users, rate_limit, headers).expect("random numbers");
    let access = watch::channel(Arc::new(access)).1;
    site(classic(&TestCa::new()), &Options { access, enable_lifecycle: true, ..options.clone() })
}

fn credentials() -> String {
    format!("Basic {}", BASE64_STANDARD.encode("alice:secret"))
}

#[tokio::test]
async fn all_endpoints_but_those_of_health_checks_require_a_password() {
    for prefix in ["", "/x/y"] {
        let options = Options { route_prefix: Some(prefix.to_owned()), ..Options::default() };
        let router = protected(None, &options);
        for (method, path, status) in [
            ("GET", "/", 200),
            ("GET", "/metrics", 200),
            ("HEAD", "/metrics", 200),
            ("POST", "/metrics", 405),
            ("GET", "/probe?target=relay", 503),
            ("GET", "/targets/relay", 200),
            ("GET", "/targets/nothing", 404),
            ("GET", "/api/v1/targets", 200),
            ("GET", "/api/v1/targets/relay", 200),
            ("POST", "/-/reload", 500),
            ("GET", "/-/reload", 405),
            ("GET", "/-/healthy/", 404),
            ("GET", "//-/healthy", 404),
            ("GET", "/-/Healthy", 404),
            ("GET", "/nowhere", 404),
            ("OPTIONS", "/nowhere", 404),
            ("GET", "/-/healthy", 0),
            ("HEAD", "/-/ready", 0),
        ] {
            let path = format!("{prefix}{path}");
            let request = || Request::builder().method(method).uri(&path);
            let open = ask(&router, request()).await;
            let with_password = ask(&router, request().header(header::AUTHORIZATION, credentials())).await;
            let expected = if status == 0 { (200, 200) } else { (401, status) };
            assert_eq!((open.status().as_u16(), with_password.status().as_u16()), expected, "{method} {path}");
            for response in [open, with_password] {
                assert_eq!(field(&response, header::X_FRAME_OPTIONS), "deny", "{method} {path}");
                assert_eq!(field(&response, header::CONTENT_SECURITY_POLICY), "default-src 'self'", "{method} {path}");
                assert_eq!(field(&response, header::X_CONTENT_TYPE_OPTIONS), "nosniff", "{method} {path}");
            }
        }
        if !prefix.is_empty() {
            for path in ["/", "/x/y", "/-/healthy", "/metrics"] {
                assert_eq!(get_page(&router, path).await.status(), 401, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn hosts_are_checked_first_and_origins_last() {
    let options = Options { allowed_hosts: vec!["a.example".parse().expect("a host")], ..Options::default() };
    let limit = RateLimit::new(Duration::from_secs(3600), 3).expect("a valid burst");
    let router = protected(limit, &options);
    let check = async |host: &str, origin: Option<&str>, path: &str, authorization: Option<String>, status: u16| {
        let mut request = Request::post(path).header(header::HOST, host);
        for (name, value) in [(header::ORIGIN, origin.map(str::to_owned)), (header::AUTHORIZATION, authorization)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        assert_eq!(ask(&router, request).await.status(), status, "{host} {origin:?} {path}");
    };
    // Other hosts take nothing of the rate limit, also with methods that are not allowed.
    for path in ["/-/reload", "/metrics", "/nowhere"] {
        check("b.example", None, path, Some(credentials()), 403).await;
    }
    check("a.example", None, "/-/reload", None, 401).await;
    check("a.example", Some("http://b.example"), "/-/reload", Some(credentials()), 403).await;
    check("a.example", Some("http://a.example"), "/-/reload", Some(credentials()), 500).await;
    check("a.example", None, "/-/reload", Some(credentials()), 429).await;
    check("b.example", None, "/-/reload", None, 403).await;
    for _ in 0..5 {
        assert_eq!(get_page(&router, "/-/healthy").await.status(), 200);
    }
}

#[tokio::test]
async fn clients_with_wrong_passwords_do_not_keep_another_one_out() {
    let server = Server::start(protected(None, &Options::default()), Limits::default()).await;
    let request = |credentials: &str| {
        let field = BASE64_STANDARD.encode(credentials);
        format!("GET /metrics HTTP/1.1\r\nhost: x\r\nauthorization: Basic {field}\r\nconnection: close\r\n\r\n")
    };
    let mut attempts = Vec::new();
    for number in 0..60 {
        attempts.push(server.connect_as(2 + number % 3, &request(&format!("alice:guess{number}"))).await);
    }
    let mut own = server.connect_as(9, &request("alice:secret")).await;
    let answer = rest(&mut own).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:.200}");
    // Some disconnect while they wait.
    attempts.truncate(30);
    for attempt in &mut attempts {
        let answer = rest(attempt).await;
        let status = answer.get(9..12).unwrap_or_default();
        assert!(["401", "429"].contains(&status), "{answer:.200}");
    }
    server.finish().await;
}
