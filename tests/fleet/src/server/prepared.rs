//! Server specs with their TLS configurations.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use super::client_auth::ClientVerifier;
use crate::pki::Identity;
use crate::script::{Script, ServerSpec, Step, Termination, TlsMode, TlsVersions};

/// A spec with one TLS configuration per identity.
#[derive(Debug)]
pub(crate) struct PreparedServer {
    spec: ServerSpec,
    configs: Vec<Arc<ServerConfig>>,
}

impl PreparedServer {
    pub(crate) fn new(spec: ServerSpec) -> Self {
        let identities = spec.identity.iter().chain(&spec.more_identities);
        Self { configs: identities.map(|identity| config(identity, &spec).into()).collect(), spec }
    }

    /// The spec for connection number `index`.
    pub(crate) fn connection_spec(&self, index: usize) -> ConnectionSpec<'_> {
        ConnectionSpec {
            tls: self.spec.tls,
            script: &self.spec.script,
            config: index.checked_rem(self.configs.len()).map(|index| &self.configs[index]),
        }
    }
}

/// What one connection uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionSpec<'a> {
    pub(crate) tls: TlsMode,
    pub(crate) script: &'a Script,
    pub(crate) config: Option<&'a Arc<ServerConfig>>,
}

/// A configuration without tickets and stored sessions, which keeps a farm's memory small.
pub(crate) fn stateless_config(identity: &Identity) -> Arc<ServerConfig> {
    let mut config = config(identity, &ServerSpec::default());
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

/// Session storage and tickets keep the rustls defaults, so that [`crate::Session::resumed`] shows a client that
/// resumes.
fn config(identity: &Identity, spec: &ServerSpec) -> ServerConfig {
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&spec.versions.supported())
        .expect("aws-lc-rs has suites for every version");
    let (aborts, alerts) = (spec.script.termination(Step::ClientCertificate), spec.script.termination(Step::Tls));
    let builder = match &spec.client_ca {
        None => builder.with_no_client_auth(),
        Some(authority)
            if aborts.is_some() || alerts.is_some() || spec.accepts_any_client || !spec.client_schemes.is_empty() =>
        {
            let mut verifier = ClientVerifier::new(authority, &spec.client_schemes, &provider);
            verifier.is_mandatory = alerts.is_none() && !spec.accepts_any_client;
            verifier.alert =
                aborts.and_then(|how| if let Termination::Alert(alert) = how { Some(alert) } else { None });
            builder.with_client_cert_verifier(Arc::new(verifier))
        }
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.clone()).expect("a client CA parses");
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().expect("the client CA is set"))
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified())));
    config.enable_secret_extraction = matches!(alerts, Some(Termination::Alert(_)));
    config
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

impl TlsVersions {
    fn supported(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Both => vec![&version::TLS13, &version::TLS12],
            Self::Tls12 => vec![&version::TLS12],
            Self::Tls13 => vec![&version::TLS13],
        }
    }
}
