use std::net::IpAddr;
use std::sync::mpsc;

use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::time::timeout;

use super::*;

/// A router behind a gate, and the sender of its [`Access`].
struct Site {
    router: Router,
    gate: Arc<Gate>,
    access: watch::Sender<Arc<Access>>,
}

type Pending = BoxFuture<'static, Response>;

impl Site {
    fn new(access: Access) -> Self {
        let (access, receiver) = watch::channel(Arc::new(access));
        let gate = Arc::new(Gate::new(receiver));
        let router = Router::new()
            .route("/", get(|| async { "content\n" }))
            .layer(from_fn_with_state(Arc::clone(&gate), require_access))
            .layer(from_fn_with_state(Arc::clone(&gate), set_configured_headers));
        Self { router, gate, access }
    }

    fn replace(&self, access: Access) {
        self.access.send_replace(Arc::new(access));
    }

    /// A request of a client with this `Authorization` field, polled once.
    fn start(&self, number: u8, authorization: Option<&str>) -> Result<Response, Pending> {
        let mut request = Request::get("/").extension(client(number));
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let request = request.body(Body::empty()).expect("a request");
        let call = TowerToHyperService::new(self.router.clone()).call(request);
        let mut call = call.map(|response| response.expect("routers do not fail")).boxed();
        (&mut call).now_or_never().ok_or(call)
    }

    async fn status(&self, number: u8, authorization: Option<&str>) -> StatusCode {
        end(self.start(number, authorization)).await.status()
    }

    /// Keeps all checks of passwords waiting until the sender is dropped.
    fn block_checks(&self) -> mpsc::Sender<()> {
        let (release, blocked) = mpsc::channel();
        let gate = Arc::clone(&self.gate);
        let work = move || blocked.recv().is_ok();
        tokio::spawn(async move { gate.checks.run(client(255).into(), [0; 32].into(), work).await });
        release
    }
}

fn client(number: u8) -> ClientAddress {
    IpAddr::from([192, 0, 2, number]).into()
}

async fn end(request: Result<Response, Pending>) -> Response {
    match request {
        Ok(response) => response,
        Err(pending) => timeout(Duration::from_secs(60), pending).await.expect("an answer"),
    }
}

fn users(users: &[(&str, &str)]) -> Access {
    let hash = |password| PasswordHash::parse(&bcrypt::hash(password, 4).expect("a hash")).expect("a hash");
    let users = users.iter().map(|(user, password)| ((*user).to_owned(), hash(*password))).collect();
    let headers = ResponseHeaders::new([("X-Frame-Options", "deny")]).expect("valid headers");
    Access::new(users, None, headers).expect("random numbers")
}

fn basic(credentials: impl AsRef<[u8]>) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(credentials))
}

#[tokio::test]
async fn requires_a_right_password() {
    let site = Site::new(users(&[("alice", "secret"), ("", "nobody"), ("ü", "pä:ss")]));
    let check = async |authorization: Option<String>, status: u16| {
        let response = end(site.start(1, authorization.as_deref())).await;
        assert_eq!(response.status(), status, "{authorization:?}");
        let field = |name| response.headers().get(name).map(|value| value.to_str().expect("text"));
        assert_eq!(field(header::WWW_AUTHENTICATE), (status == 401).then_some("Basic"), "{authorization:?}");
        assert_eq!(field(header::X_FRAME_OPTIONS), Some("deny"));
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(&*body, if status == 401 { &b"Unauthorized\n"[..] } else { b"content\n" });
    };
    for right in ["alice:secret", ":nobody", "ü:pä:ss"] {
        check(Some(basic(right)), 200).await;
        check(Some(basic(right)), 200).await;
        check(Some(basic(right).replacen("Basic", "bAsIc", 1)), 200).await;
    }
    check(None, 401).await;
    let wrong: [&[u8]; 9] = [
        b"alice:Secret",
        b"alice:",
        b"alice",
        b"bob:secret",
        b":",
        b"alice:secret\0",
        b"alice\0:secret",
        b"alice:\xff",
        b"\xff:secret",
    ];
    for wrong in wrong {
        check(Some(basic(wrong)), 401).await;
    }
    for malformed in ["", "Basic", "Basic ", "Basic *", "Bearer YWxpY2U6c2VjcmV0", "Basic alice:secret"] {
        check(Some(malformed.to_owned()), 401).await;
    }
}

#[tokio::test]
async fn without_users_no_password_is_required() {
    let site = Site::new(Access::default());
    assert_eq!(site.status(1, None).await, 200);
    assert_eq!(site.status(1, Some("Basic *")).await, 200);
}

#[tokio::test]
async fn wrong_passwords_do_not_keep_others_out() {
    let site = Site::new(users(&[("alice", "secret"), ("bob", "other")]));
    let (alice, bob) = (basic("alice:secret"), basic("bob:other"));
    assert_eq!(site.status(1, Some(&alice)).await, 200);
    let release = site.block_checks();
    tokio::task::yield_now().await;
    let mut wrong = vec![site.start(1, Some(&basic("alice:guess1")))];
    let refused = end(site.start(1, Some(&basic("alice:guess2")))).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers().get(header::RETRY_AFTER), Some(&HeaderValue::from_static("1")));
    wrong.push(site.start(1, Some(&basic("alice:guess1"))));
    // Right credentials that were checked before need no check: none can run now.
    assert_eq!(site.status(1, Some(&alice)).await, 200);
    assert_eq!(site.status(2, Some(&alice)).await, 200);
    assert_eq!(site.status(1, None).await, 401);
    // A client whose requests have ended has a free place.
    let gone = site.start(3, Some(&basic("alice:guess3")));
    assert!(gone.is_err());
    drop(gone);
    let bob = [site.start(3, Some(&bob)), site.start(4, Some(&bob))];
    assert!(bob.iter().all(Result::is_err), "they wait");
    drop(release);
    let responses = join_all(bob.into_iter().chain(wrong).map(end)).await;
    let statuses: Vec<_> = responses.iter().map(|response| response.status().as_u16()).collect();
    assert_eq!(statuses, [200, 200, 401, 401]);
}

#[tokio::test]
async fn a_new_value_applies_to_the_next_request() {
    let site = Site::new(users(&[("alice", "secret")]));
    let (old, new) = (basic("alice:secret"), basic("alice:changed"));
    assert_eq!(
        (site.status(1, Some(&old)).await, site.status(1, Some(&new)).await),
        (StatusCode::OK, StatusCode::UNAUTHORIZED)
    );
    site.replace(users(&[("alice", "changed")]));
    assert_eq!(
        (site.status(1, Some(&old)).await, site.status(1, Some(&new)).await),
        (StatusCode::UNAUTHORIZED, StatusCode::OK)
    );
    // Another hash of the same password.
    site.replace(users(&[("alice", "changed")]));
    let release = site.block_checks();
    tokio::task::yield_now().await;
    let request = site.start(1, Some(&new));
    assert!(request.is_err(), "it waits");
    drop(release);
    assert_eq!(end(request).await.status(), 200);
    site.replace(Access::default());
    assert_eq!(site.status(1, None).await, 200);
}

#[tokio::test]
async fn limits_the_requests_of_all_clients_together() {
    let limit = RateLimit::new(Duration::from_secs(3600), 2).expect("a valid burst");
    let headers = ResponseHeaders::new([("Strict-Transport-Security", "max-age=60")]).expect("valid headers");
    let site = Site::new(Access::new(BTreeMap::new(), limit, headers).expect("random numbers"));
    for (number, status) in [(1, 200), (2, 200), (1, 429), (3, 429)] {
        let response = end(site.start(number, None)).await;
        assert_eq!(response.status(), status, "client {number}");
        assert!(response.headers().contains_key(header::STRICT_TRANSPORT_SECURITY));
        assert_eq!(response.headers().contains_key(header::RETRY_AFTER), status == 429);
    }
}

#[test]
fn debug_output_has_no_secrets() {
    let access = users(&[("alice", "secret")]);
    let hash = PasswordHash::parse(&bcrypt::hash("secret", 4).expect("a hash")).expect("a hash");
    let text = format!("{access:?} {hash:?}");
    assert!(!text.contains('$') && !text.contains("alice"), "{text}");
}
