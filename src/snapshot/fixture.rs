//! Reports for tests: real certificates with fixed dates, verified at a fixed time.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls_pki_types::CertificateDer;
use smtp_fleet::x509::{Ca, CertBuilder, Key, KeyAlgorithm, Time};

use super::alternates::resolves;
use super::{AlternateName, BackendReport, Counters, EndpointReport, LastCertificate, ProbeReport, TargetReport};
use crate::observation::{Connection, Failure, Phases, PresentedChain};
use crate::reason::{ProbeReason, RejectionCause, Resolves, Stage};
use crate::target::{
    Backend, Endpoint, HostTarget, ProbeSettings, ServerName, Target, TargetKind, TargetName, TlsMode, UserLabels,
};
use crate::trust::{Root, TrustStore};
use crate::verdict::{Assessment, AssessmentInput, Judge};

/// 2026-06-01T00:00:00Z.
pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_780_272_000)
}

/// A server name.
pub(crate) fn name(text: &str) -> ServerName {
    ServerName::parse(text).expect("a server name")
}

/// A root and an intermediate, and a trust store with the root.
pub(crate) struct TestCa {
    pub(crate) root: Ca,
    pub(crate) intermediate: Ca,
    pub(crate) key: Key,
    trust: TrustStore,
    judge: Judge,
}

impl TestCa {
    pub(crate) fn new() -> Self {
        Self::with_root(Self::authority("Example Root", 1))
    }

    /// With another root.
    pub(crate) fn with_root(root: CertBuilder) -> Self {
        let key = || Key::generate(KeyAlgorithm::P256);
        let root = Ca::root(&root, &key());
        let intermediate = root.sub(&Self::authority("Example Intermediate", 2), &key());
        let trust = TrustStore::new("test", vec![Root::new(&root.der()).expect("a root")]);
        Self { root, intermediate, key: key(), trust, judge: Judge::default() }
    }

    /// With these certificates in the trust store instead of the root.
    pub(crate) fn trusting(self, certificates: &[CertificateDer<'static>]) -> Self {
        let roots = certificates.iter().map(|certificate| Root::new(certificate).expect("a root")).collect();
        Self { trust: TrustStore::new("test", roots), ..self }
    }

    fn authority(name: &str, serial: u8) -> CertBuilder {
        let authority = between(CertBuilder::authority(name), "20200101000000Z", "20400101000000Z");
        CertBuilder { serial: vec![serial], ..authority }
    }

    /// A certificate issued by the intermediate, and the intermediate.
    pub(crate) fn chain(&self, leaf: &CertBuilder) -> Vec<CertificateDer<'static>> {
        vec![self.intermediate.issue(leaf, &self.key), self.intermediate.der()]
    }

    /// The verdicts on a chain that a server presents for `fixture`.
    pub(crate) fn assess_chain(&self, fixture: &EndpointFixture, chain: &[CertificateDer<'static>]) -> Assessment {
        self.verdicts(&fixture.endpoint.server_name, &fixture.expect_names, None, chain.to_vec())
    }

    /// The verdicts on a certificate for `names`, valid from 2026-01-01 to the first day of the year and month `until`, that
    /// a server presents for `server_name`. The EHLO name and the only expected name are `mail.example.com`.
    pub(crate) fn assess(&self, server_name: &ServerName, names: &[&str], (year, month): (i32, u8)) -> Assessment {
        let until = format!("{year}{month:02}01000000Z").leak();
        let leaf = between(CertBuilder::leaf(names), "20260101000000Z", until);
        let chain = self.chain(&CertBuilder { serial: vec![0x2a], ..leaf });
        self.verdicts(server_name, &[name("mail.example.com")], Some("mail.example.com"), chain)
    }

    /// The verdicts, with a valid key proof.
    fn verdicts(
        &self,
        server_name: &ServerName,
        expect_names: &[ServerName],
        ehlo_name: Option<&str>,
        certificates: Vec<CertificateDer<'static>>,
    ) -> Assessment {
        let input = AssessmentInput { server_name, expect_names, ehlo_name, trust: &self.trust, known: None };
        let presented = PresentedChain { certificates, staple: Box::default() };
        Assessment { proof: Some(true), ..self.judge.assess(presented, None, &input, now()) }
    }
}

/// A server certificate for these names, valid from 2026-05-01 to 2026-09-01.
pub(crate) fn leaf(names: &[&str]) -> CertBuilder {
    between(CertBuilder::leaf(names), "20260501000000Z", "20260901000000Z")
}

/// Valid between two times, as GeneralizedTime.
pub(crate) fn between(builder: CertBuilder, from: &'static str, until: &'static str) -> CertBuilder {
    CertBuilder { not_before: Time::Text(from), not_after: Time::Text(until), ..builder }
}

/// An endpoint and its `expect_names`.
pub(crate) struct EndpointFixture {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) expect_names: Vec<ServerName>,
}

impl EndpointFixture {
    /// On port 587.
    pub(crate) fn of(server_name: &str) -> Self {
        Self::at(server_name, 587, TlsMode::StartTls)
    }

    pub(crate) fn at(server_name: &str, port: u16, tls: TlsMode) -> Self {
        let endpoint = Arc::new(Endpoint { server_name: name(server_name), port, tls });
        Self { endpoint, expect_names: Vec::new() }
    }

    /// A resolved backend that was never probed.
    pub(crate) fn unprobed(&self, address: &str) -> BackendReport {
        unprobed(&self.endpoint, address)
    }

    /// A backend that presented these certificates 30 seconds ago.
    pub(crate) fn presents(&self, ca: &TestCa, address: &str, chain: &[CertificateDer<'static>]) -> BackendReport {
        let connection = Connection { version: "TLSv1.3", cipher: "TLS13_AES_256_GCM_SHA384", group: "X25519" };
        let probe = probe(Ok(connection));
        let last = LastCertificate {
            seen_at: probe.at,
            assessment: ca.assess_chain(self, chain),
            file_match: None,
            distinct: 1,
            mismatched_samples: None,
        };
        BackendReport { probe: Some(probe), last_certificate: Some(last), ..self.unprobed(address) }
    }

    /// A backend whose probe failed 30 seconds ago.
    pub(crate) fn fails(&self, address: &str, stage: Stage, reason: ProbeReason, detail: &str) -> BackendReport {
        BackendReport { probe: Some(probe(Err(Failure::new(stage, reason, detail)))), ..self.unprobed(address) }
    }

    /// A backend that refused the client with `reply` 30 seconds ago.
    pub(crate) fn refuses(&self, address: &str, stage: Stage, reply: &str, cause: RejectionCause) -> BackendReport {
        let reason = match stage {
            Stage::StartTls => ProbeReason::StartTlsRefused,
            _ if reply.starts_with('4') => ProbeReason::Rejected4xx,
            _ => ProbeReason::Rejected5xx,
        };
        let failure = Failure::new(stage, reason, reply).with_cause(Some(cause));
        BackendReport { probe: Some(probe(Err(failure))), ..self.unprobed(address) }
    }

    /// A target with this endpoint.
    pub(crate) fn report(&self, backends: Vec<BackendReport>) -> TargetReport {
        let expect_names = self.expect_names.clone();
        let report = target("relay", UserLabels::default(), expect_names, &self.endpoint, backends);
        TargetReport { last_round: Some(now() - Duration::from_secs(29)), ..report }
    }

    /// The endpoint without a target.
    pub(crate) fn endpoint_report(&self, backends: Vec<BackendReport>) -> EndpointReport {
        endpoint_report(&self.endpoint, backends)
    }
}

/// The settings of these targets.
pub(crate) fn settings(expect_names: Vec<ServerName>) -> ProbeSettings {
    ProbeSettings { interval: Duration::from_secs(60), expect_names, trust: "test".into(), ..ProbeSettings::default() }
}

/// A target with one endpoint, before its first round is finished.
pub(crate) fn target(
    name: &str,
    labels: UserLabels,
    expect_names: Vec<ServerName>,
    endpoint: &Arc<Endpoint>,
    backends: Vec<BackendReport>,
) -> TargetReport {
    let host = endpoint.server_name.clone();
    let kind = HostTarget { host, is_qualified: false, addresses: Vec::new(), endpoint: Arc::clone(endpoint) };
    TargetReport {
        target: Arc::new(Target {
            name: TargetName::new(name).expect("a name"),
            kind: TargetKind::Host(kind),
            labels,
            settings: Arc::new(settings(expect_names)),
        }),
        lookup: None,
        last_round: None,
        endpoints: vec![endpoint_report(endpoint, backends)],
        counters: Counters::default(),
        file: None,
        changes: Arc::default(),
    }
}

fn endpoint_report(endpoint: &Arc<Endpoint>, backends: Vec<BackendReport>) -> EndpointReport {
    EndpointReport {
        endpoint: Arc::clone(endpoint),
        preference: None,
        found_as: None,
        held: 0,
        backends: backends.into_iter().map(Arc::new).collect(),
        skipped: vec![],
        not_allowed: [].into(),
        alternates: Arc::default(),
    }
}

/// A resolved backend that was never probed.
pub(crate) fn unprobed(endpoint: &Arc<Endpoint>, address: &str) -> BackendReport {
    let address: IpAddr = address.parse().expect("an address");
    BackendReport {
        backend: Backend::new(Arc::clone(endpoint), address),
        resolved: true,
        probe: None,
        last_certificate: None,
        handshake_errors: 0,
    }
}

/// The same report with alternate names; none for the addresses means that their lookup failed.
pub(crate) fn with_alternates(mut report: TargetReport, names: &[(&str, Option<&[&str]>)]) -> TargetReport {
    let endpoint = report.endpoints.first_mut().expect("an endpoint");
    let look_up = |(text, addresses): &(&str, Option<&[&str]>)| {
        let addresses: Option<Box<[IpAddr]>> =
            addresses.map(|all| all.iter().map(|address| address.parse().expect("an address")).collect());
        let resolves: Resolves = resolves(addresses.as_deref(), endpoint);
        AlternateName { name: name(text), resolves, addresses: addresses.unwrap_or_default() }
    };
    let alternates: Vec<AlternateName> = names.iter().map(look_up).collect();
    endpoint.alternates = alternates.into();
    report
}

/// The same backend after a failed probe, with its last certificate seen an hour ago.
pub(crate) fn now_failing(report: BackendReport) -> BackendReport {
    let last =
        report.last_certificate.map(|last| LastCertificate { seen_at: now() - Duration::from_secs(3630), ..last });
    let failure = Failure::new(Stage::Connect, ProbeReason::Timeout, "");
    BackendReport { probe: Some(probe(Err(failure))), last_certificate: last, ..report }
}

/// The same backend, no longer in DNS.
pub(crate) fn unresolved(report: BackendReport) -> BackendReport {
    BackendReport { resolved: false, ..report }
}

fn probe(outcome: Result<Connection, Failure>) -> ProbeReport {
    ProbeReport {
        at: now() - Duration::from_secs(30),
        duration: Duration::from_millis(250),
        phases: Phases::default(),
        consecutive_failures: u32::from(outcome.is_err()),
        outcome,
        client_auth: None,
    }
}
