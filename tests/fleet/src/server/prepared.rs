//! A spec made ready to play: certificates bound to TLS configurations.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use crate::pki::Identity;
use crate::script::{Script, ServerSpec, TlsMode, TlsVersions};

/// A spec, with a TLS configuration for each of its identities.
#[derive(Debug)]
pub(crate) struct Part {
    spec: ServerSpec,
    configs: Vec<Arc<ServerConfig>>,
}

impl Part {
    pub(crate) fn new(spec: ServerSpec) -> Self {
        let identities = spec.identity.iter().chain(&spec.more_identities);
        Self { configs: identities.map(|identity| config(identity, &spec).into()).collect(), spec }
    }

    /// What the connection number `turn` plays.
    pub(crate) fn scene(&self, turn: usize) -> Scene<'_> {
        Scene {
            tls: self.spec.tls,
            script: &self.spec.script,
            config: turn.checked_rem(self.configs.len()).map(|index| &self.configs[index]),
        }
    }
}

/// What one connection plays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) tls: TlsMode,
    pub(crate) script: &'a Script,
    pub(crate) config: Option<&'a Arc<ServerConfig>>,
}

/// A configuration without tickets and sessions: ten thousand of them are small.
pub(crate) fn light_config(identity: &Identity) -> Arc<ServerConfig> {
    let mut config = config(identity, &ServerSpec::default());
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

/// Sessions and tickets stay on, as rustls has them: a client that resumes shows in [`crate::Session::resumed`].
fn config(identity: &Identity, spec: &ServerSpec) -> ServerConfig {
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&spec.versions.supported())
        .expect("aws-lc-rs has suites for every version");
    let builder = match &spec.client_ca {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.clone()).expect("a client CA parses");
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a client CA is there"))
        }
    };
    builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified())))
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
