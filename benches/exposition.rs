//! CPU time of a scrape of 10,000 backends, from the router to the last byte of the body, compared with
//! `prometheus-client` writing the same samples from prepared values to a String. Each round runs both, so that other load
//! affects both.

use std::collections::BTreeMap;
use std::fmt;
use std::hint::black_box;
use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SerialNumber};
use rustls_pki_types::PrivateKeyDer;
use smtp_tls_exporter::metrics::Format;
use smtp_tls_exporter::observation::{Connection, Failure, KeyProof, Phases, PresentedChain};
use smtp_tls_exporter::reason::{Phase, ProbeReason, Stage};
use smtp_tls_exporter::snapshot::{
    BackendReport, Counters, EndpointReport, ExporterReport, Fleet, LastCertificate, LookupReport, ProbeReport,
    TargetReport,
};
use smtp_tls_exporter::target::{
    Backend, Endpoint, HostTarget, ProbeSettings, ServerName, Target, TargetKind, TargetName, TlsMode, UserLabels,
};
use smtp_tls_exporter::trust::{Root, TrustStore};
use smtp_tls_exporter::verdict::{AssessmentInput, Judge};
use smtp_tls_exporter::web::{FleetSource, Options, reloads, router};

mod support;

use support::{cpu_seconds, median, memory};

const TARGETS: u16 = 1000;
const BACKENDS_EACH: u16 = 10;
const ROUNDS: usize = 15;
/// Limit of the ratio of uncompressed expositions.
const LIMIT: f64 = 0.80;

fn main() {
    // `cargo test --benches` only checks that it runs.
    let (targets, rounds) = if std::env::args().any(|arg| arg == "--bench") { (TARGETS, ROUNDS) } else { (10, 1) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let backends = u32::from(targets) * u32::from(BACKENDS_EACH);
    let fleet = synthetic(targets);
    let (reload, _requests) = reloads();
    let router = router(Fixed(fleet), reload, &Options::default());

    let (size, growth) = peak_growth(|| runtime.block_on(drain(&router, Format::OpenMetrics, false)));
    println!("streamed scrape: {size} bytes, peak of resident memory raised by {growth} KiB");
    let mut text = runtime.block_on(scrape(&router, Format::OpenMetrics));
    let (samples, registry) = bare(&text);
    println!("{backends} backends: {samples} samples, {} per backend", samples / backends as usize);

    for (name, format, gzip) in [
        ("OpenMetrics", Format::OpenMetrics, false),
        ("text", Format::Text, false),
        ("OpenMetrics, gzip", Format::OpenMetrics, true),
        ("text, gzip", Format::Text, true),
    ] {
        let (mut exporter, mut library) = (Vec::new(), Vec::new());
        let mut sent = 0;
        for _ in 0..rounds {
            exporter.push(cpu(|| sent = runtime.block_on(drain(&router, format, gzip))));
            library.push(cpu(|| {
                black_box(write_bare(&registry, &mut text, gzip));
            }));
        }
        // The median of the ratios of rounds, as both parts of a round ran under the same load.
        let ratio = median(exporter.iter().zip(&library).map(|(exporter, library)| exporter / library).collect());
        let (exporter, library) = (median(exporter), median(library));
        println!(
            "scrape of {backends} backends, {name}: exporter {exporter:.1} ms, bare library {library:.1} ms, ratio {ratio:.2} \
             (limit {LIMIT:.2}), {sent} bytes sent"
        );
    }
}

/// CPU time of `work` in milliseconds.
fn cpu(work: impl FnOnce()) -> f64 {
    let start = cpu_seconds();
    work();
    (cpu_seconds() - start) * 1e3
}

/// The result of `work`, and by how many KiB it raised the peak of this process's resident memory.
fn peak_growth<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let peak = || memory().vmhwm.unwrap_or(0);
    let before = peak();
    let result = work();
    (result, peak() - before)
}

async fn answer(router: &Router, format: Format, gzip: bool) -> Body {
    let accept = if format == Format::OpenMetrics { "application/openmetrics-text" } else { "text/plain" };
    let coding = if gzip { "gzip" } else { "identity" };
    let request = axum::http::Request::get("/metrics").header("accept", accept).header("accept-encoding", coding);
    let request = request.body(Body::empty()).expect("a request");
    let response = TowerToHyperService::new(router.clone()).call(request).await.expect("routers do not fail");
    assert_eq!(response.status(), 200);
    response.into_body()
}

async fn scrape(router: &Router, format: Format) -> String {
    let body = answer(router, format, false).await.collect().await.expect("a whole body");
    String::from_utf8(body.to_bytes().to_vec()).expect("text")
}

/// The size of the body.
async fn drain(router: &Router, format: Format, gzip: bool) -> usize {
    let mut body = answer(router, format, gzip).await;
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        size += frame.expect("a whole body").into_data().map_or(0, |data| data.len());
    }
    size
}

/// Returns the size. In favor of the library, its String is allocated in advance.
fn write_bare(registry: &Registry, text: &mut String, gzip: bool) -> usize {
    text.clear();
    encode(text, registry).expect("a String takes everything");
    if !gzip {
        return text.len();
    }
    let mut compressed = GzEncoder::new(Vec::new(), Compression::fast());
    let written = compressed.write_all(text.as_bytes()).and_then(|()| compressed.finish());
    written.expect("a Vec takes everything").len()
}

/// The parsed samples of an exposition.
#[derive(Debug)]
struct Bare(Vec<BareFamily>);

#[derive(Debug)]
struct BareFamily {
    name: String,
    help: String,
    kind: MetricType,
    samples: Vec<(Vec<(String, String)>, Number)>,
}

#[derive(Clone, Copy, Debug)]
enum Number {
    Integer(i64),
    Float(f64),
}

impl Collector for Bare {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for BareFamily { name, help, kind, samples } in &self.0 {
            let mut family = encoder.encode_descriptor(name, help, None, *kind)?;
            for (labels, number) in samples {
                match (kind, number, labels.is_empty()) {
                    (MetricType::Info, ..) => family.encode_info(labels)?,
                    (MetricType::Counter, Number::Integer(value), true) => {
                        family.encode_counter::<NoLabelSet, u64, f64>(&value.unsigned_abs(), None)?;
                    }
                    (MetricType::Counter, Number::Integer(value), false) => {
                        let mut sample = family.encode_family(labels)?;
                        sample.encode_counter::<NoLabelSet, u64, f64>(&value.unsigned_abs(), None)?;
                    }
                    (MetricType::Counter, Number::Float(value), _) => {
                        family.encode_counter::<NoLabelSet, f64, f64>(value, None)?;
                    }
                    (_, Number::Integer(value), true) => family.encode_gauge(value)?,
                    (_, Number::Float(value), true) => family.encode_gauge(value)?,
                    (_, Number::Integer(value), false) => family.encode_family(labels)?.encode_gauge(value)?,
                    (_, Number::Float(value), false) => family.encode_family(labels)?.encode_gauge(value)?,
                }
            }
        }
        Ok(())
    }
}

/// The number of samples in `text`, and a registry that writes them byte for byte. `text` must have no escapes.
fn bare(text: &str) -> (usize, Registry) {
    let mut helps = BTreeMap::new();
    let mut families: Vec<BareFamily> = Vec::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            helps.insert(name.to_owned(), help.to_owned());
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let kind = match kind {
                "counter" => MetricType::Counter,
                "info" => MetricType::Info,
                _ => MetricType::Gauge,
            };
            let help = helps.get(name).cloned().unwrap_or_default();
            families.push(BareFamily { name: name.to_owned(), help, kind, samples: Vec::new() });
        } else if let Some((series, value)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) {
            let labels = series.split_once('{').map_or("", |(_, labels)| labels.trim_end_matches('}'));
            let labels: Vec<&str> = labels.split_inclusive('"').collect();
            let pairs = labels.chunks_exact(2).map(|pair| {
                let key = pair[0].trim_start_matches(',').trim_end_matches("=\"");
                (key.to_owned(), pair[1].trim_end_matches('"').to_owned())
            });
            let number = value.parse().map(Number::Integer).or_else(|_| value.parse().map(Number::Float));
            let samples = &mut families.last_mut().expect("a family").samples;
            samples.push((pairs.collect(), number.expect("a number")));
        }
    }
    let samples = families.iter().map(|family| family.samples.len()).sum();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Bare(families)));
    let mut again = String::new();
    write_bare(&registry, &mut again, false);
    assert!(again == text, "the library writes the same text");
    (samples, registry)
}

struct Fixed(Fleet);

impl FleetSource for Fixed {
    fn fleet(&self) -> Fleet {
        self.0.clone()
    }

    fn is_ready(&self) -> bool {
        true
    }
}

/// Targets of ten backends: seven healthy, one whose certificate does not list the name, one expired, one failing.
fn synthetic(targets: u16) -> Fleet {
    let (ca_key, key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Example Issuing CA 1");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&ca_key).expect("a root");
    let trust = TrustStore::new("bench", vec![Root::new(root.der()).expect("a root")]);
    let bench = Bench { issuer: Issuer::new(params, ca_key), proof: proof(&key), key, trust, judge: Judge::default() };
    Fleet {
        targets: (0..targets).map(|n| Arc::new(bench.target(n))).collect(),
        exporter: ExporterReport { reload_successful: true, ..ExporterReport::default() },
    }
}

struct Bench {
    issuer: Issuer<'static, KeyPair>,
    key: KeyPair,
    proof: KeyProof,
    trust: TrustStore,
    judge: Judge,
}

impl Bench {
    fn target(&self, n: u16) -> TargetReport {
        let name = format!("smtp-{n:04}.example.com");
        let server_name = ServerName::parse(&name).expect("a name");
        let endpoint = Arc::new(Endpoint { server_name: server_name.clone(), port: 587, tls: TlsMode::StartTls });
        let valid = self.chain(n, &[&name, "mail.example.com"], 2099);
        let mismatched = self.chain(n, &["mail.example.com", "mail.example.net"], 2099);
        let expired = self.chain(n, &[&name], 2025);
        let [high, low] = n.to_be_bytes();
        let backends = (1..=10).map(|host| {
            let presented = match host {
                8 => &mismatched,
                9 => &expired,
                _ => &valid,
            };
            let backend = Backend::new(Arc::clone(&endpoint), Ipv4Addr::new(10, high, low, host).into());
            Arc::new(self.report(backend, presented.clone(), host == 10))
        });
        let mut counters = Counters::default();
        counters.count(&failure());
        let lookup = LookupReport { success: true, duration: Duration::from_micros(4321), ..LookupReport::default() };
        let kind = HostTarget { endpoint: Arc::clone(&endpoint), ..HostTarget::new(server_name, 587) };
        TargetReport {
            target: Arc::new(Target {
                name: TargetName::new(&format!("{name}:587")).expect("a name"),
                kind: TargetKind::Host(kind),
                labels: UserLabels::new([("team".to_owned(), format!("mail-{}", n % 7))]),
                settings: Arc::new(ProbeSettings { trust: "bench".into(), ..ProbeSettings::default() }),
            }),
            lookup: Some(Arc::new(lookup)),
            last_round: Some(SystemTime::now()),
            endpoints: vec![EndpointReport {
                backends: backends.collect(),
                endpoint,
                preference: None,
                found_as: None,
                held: 0,
                skipped: Vec::new(),
                not_allowed: [].into(),
                alternates: Arc::default(),
            }],
            counters,
            file: None,
            changes: Arc::default(),
        }
    }

    fn chain(&self, n: u16, names: &[&str], until: i32) -> PresentedChain {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names of a certificate");
        params.distinguished_name.push(DnType::CommonName, "mail.example.com");
        params.serial_number = Some(SerialNumber::from(0x04a1_7e55_0000_0000_u64 + u64::from(n)));
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let leaf = params.signed_by(&self.key, &self.issuer).expect("a certificate");
        PresentedChain { certificates: vec![leaf.der().clone()], staple: Box::default() }
    }

    fn report(&self, backend: Backend, presented: PresentedChain, fails: bool) -> BackendReport {
        let now = SystemTime::now();
        let trust = &self.trust;
        let input = AssessmentInput {
            server_name: &backend.endpoint.server_name,
            expect_names: &[],
            ehlo_name: None,
            trust,
            known: None,
        };
        let assessment = self.judge.assess(presented, Some(&self.proof), &input, now);
        let connection = Connection { version: "TLSv1.3", cipher: "TLS13_AES_256_GCM_SHA384", group: "X25519" };
        let mut phases = Phases::default();
        for (phase, at) in Phase::ALL.iter().zip(1..) {
            phases.set(*phase, Duration::from_nanos(7_654_321) * at);
        }
        let probe = ProbeReport {
            at: now,
            duration: Duration::from_nanos(98_765_432),
            phases,
            outcome: if fails { failure() } else { Ok(connection) },
            consecutive_failures: u32::from(fails),
            client_auth: None,
        };
        let last =
            LastCertificate { seen_at: now, assessment, file_match: None, distinct: 1, mismatched_samples: None };
        BackendReport { backend, resolved: true, probe: Some(probe), last_certificate: Some(last), handshake_errors: 0 }
    }
}

fn failure() -> Result<Connection, Failure> {
    Err(Failure::new(Stage::Greeting, ProbeReason::Timeout, "no greeting"))
}

fn proof(key: &KeyPair) -> KeyProof {
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let scheme = rustls::SignatureScheme::ECDSA_NISTP256_SHA256;
    let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).expect("a key that signs");
    let signer = signer.choose_scheme(&[scheme]).expect("a scheme");
    let message = b"handshake";
    let signature = signer.sign(message).expect("a signature").into();
    KeyProof { scheme: scheme.into(), tls13: true, message: message[..].into(), signature }
}
