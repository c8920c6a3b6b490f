//! What is probed: targets, the endpoints they expand to, and the backends behind those.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};

mod allow;
mod name;
mod spec;

pub use self::allow::{Allow, AllowPattern, AllowPatternError, AllowedAddresses, Refusal};
pub use self::name::{ServerName, ServerNameError};
pub use self::spec::{SMTP, SUBMISSION, TargetSpecError};

/// One entry of the config: what to look up, how to probe it, how to judge and label it.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Unique among all targets; the `target` label.
    pub name: TargetName,
    /// What the entry names.
    pub kind: TargetKind,
    /// User labels, which stand on every series of the target.
    pub labels: Labels,
    /// How it is probed and judged.
    pub settings: Arc<ProbeSettings>,
}

/// The kinds of targets.
#[derive(Clone, Debug, PartialEq)]
pub enum TargetKind {
    /// One host, probed at each of its addresses.
    Host(HostTarget),
    /// Every mail host of a domain.
    Mx(MxTarget),
    /// Every submission host of a domain.
    Submission(SubmissionTarget),
}

impl TargetKind {
    /// The `kind` label of `smtp_tls_target_info`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Host(_) => "host",
            Self::Mx(_) => "mx",
            Self::Submission(_) => "submission",
        }
    }

    /// The name of a target that is given none: `HOST:PORT`, `mx:DOMAIN` or `submission:DOMAIN`. Never none.
    pub fn default_name(&self) -> Option<TargetName> {
        TargetName::new(&match self {
            Self::Host(HostTarget { host, endpoint, .. }) => match host.ip() {
                Some(ip) => SocketAddr::new(ip, endpoint.port).to_string(),
                None => format!("{host}:{}", endpoint.port),
            },
            Self::Mx(mx) => format!("mx:{}", mx.domain),
            Self::Submission(submission) => format!("submission:{}", submission.domain),
        })
    }
}

/// An `mx:` target: the hosts that take a domain's mail (RFC 5321 §5.1). The server name of each is the host's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MxTarget {
    /// Never an IP address.
    pub domain: ServerName,
    /// TCP port of all of them.
    pub port: u16,
    /// How TLS begins there.
    pub tls: TlsMode,
}

/// A `submission:` target: the hosts that SRV records name for a domain's own users, `_submissions._tcp` with TLS at
/// once and `_submission._tcp` by STARTTLS (RFC 6186 §3.1, RFC 8314 §5.1). The server name of each is the host's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmissionTarget {
    /// Never an IP address.
    pub domain: ServerName,
}

/// A `host:` target.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTarget {
    /// What is looked up, unless it is an IP address or `addresses` is not empty.
    pub host: ServerName,
    /// Addresses to probe in place of DNS; empty means that DNS is asked.
    pub addresses: Vec<IpAddr>,
    /// Port, mode and the name that is asked for and checked.
    pub endpoint: Arc<Endpoint>,
}

/// A server name, a port and the way TLS begins there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// SNI and reference name.
    pub server_name: ServerName,
    /// TCP port.
    pub port: u16,
    /// How TLS begins.
    pub tls: TlsMode,
}

/// An endpoint at one address: what a probe connects to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Backend {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Never an IPv4-mapped IPv6 address.
    pub address: IpAddr,
}

impl Backend {
    /// The backend of `endpoint` at `address`, which is made canonical (`::ffff:192.0.2.1` is `192.0.2.1`).
    pub fn new(endpoint: Arc<Endpoint>, address: IpAddr) -> Self {
        Self { endpoint, address: address.to_canonical() }
    }

    /// Where to connect; also the `backend` label (`192.0.2.1:25`, `[2001:db8::1]:25`).
    pub fn socket_addr(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.endpoint.port)
    }
}

/// How TLS begins on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsMode {
    /// After the STARTTLS command (RFC 3207).
    StartTls,
    /// At once (RFC 8314 §3).
    Implicit,
}

impl TlsMode {
    /// The word in config and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StartTls => "starttls",
            Self::Implicit => "implicit",
        }
    }

    /// What a port means by custom: 465 is implicit (RFC 8314 §7.3), all others STARTTLS.
    pub const fn default_for(port: u16) -> Self {
        if port == 465 { Self::Implicit } else { Self::StartTls }
    }
}

/// How a target is probed and judged. Targets with equal policies share one.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeSettings {
    /// From one round to the next.
    pub interval: Duration,
    /// One whole probe; at most the interval.
    pub timeout: Duration,
    /// TCP alone; at most `timeout`.
    pub connect_timeout: Duration,
    /// What is said in EHLO.
    pub ehlo_name: EhloName,
    /// Which addresses are looked up and probed.
    pub ip_family: IpFamily,
    /// How long an address is kept that DNS names no longer, or whose name fails.
    pub backend_retention: Duration,
    /// Connections to each backend in a round; at least 1.
    pub samples: u32,
    /// Further names that the certificate must carry.
    pub expect_names: Vec<ServerName>,
    /// The trust store, by its name in the config.
    pub trust: Arc<str>,
    /// The resolver, by its name in the config.
    pub resolver: Arc<str>,
    /// What is shown to servers that ask for a client certificate.
    pub client_certificate: Option<ClientCertificate>,
    /// A PEM file whose first certificate is what the server should present.
    pub certificate_file: Option<Arc<Path>>,
}

impl ProbeSettings {
    /// From one probe of a backend to the next.
    pub fn pace(&self) -> Duration {
        self.interval / self.samples.max(1)
    }
}

/// Who is asked for addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolverSpec {
    /// The name servers of `/etc/resolv.conf`, after the hosts file.
    System,
    /// These name servers and nothing else.
    Listed {
        /// Address and port of each; never empty.
        name_servers: Vec<SocketAddr>,
        /// Ask all of them, take the union of their answers and report disagreement.
        compare: bool,
    },
}

/// Which addresses of a name are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpFamily {
    /// IPv4, and IPv6 where this machine has an IPv6 route.
    Auto,
    /// Both, whatever this machine's routes.
    Any,
    /// A records only.
    Ipv4,
    /// AAAA records only.
    Ipv6,
}

impl IpFamily {
    /// The word in the config.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Any => "any",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

/// The argument of EHLO (RFC 5321 §4.1.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EhloName {
    /// A fully qualified name or, as configured, an address literal.
    Name(Arc<str>),
    /// The connection's own local address as a literal (RFC 5321 §4.1.3), where this machine has no name.
    AddressLiteral,
}

impl EhloName {
    /// The argument for a connection whose local address is `local`.
    pub fn argument(&self, local: IpAddr) -> String {
        match (self, local.to_canonical()) {
            (Self::Name(name), _) => name.to_string(),
            (Self::AddressLiteral, IpAddr::V4(ip)) => format!("[{ip}]"),
            (Self::AddressLiteral, IpAddr::V6(ip)) => format!("[IPv6:{ip}]"),
        }
    }
}

/// A certificate and key for servers that demand one. Equality is that of the chain.
#[derive(Clone)]
pub struct ClientCertificate(Arc<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>);

impl ClientCertificate {
    /// A chain, leaf first, and the leaf's key.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Self {
        Self(Arc::new((chain, key)))
    }

    /// The chain, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.0
    }

    /// The leaf's private key.
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.0.1
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientCertificate({} certificates)", self.chain().len())
    }
}

impl PartialEq for ClientCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.chain() == other.chain()
    }
}

impl Eq for ClientCertificate {}

/// A target's name: not empty, and unique in a config.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetName(Arc<str>);

impl TargetName {
    /// The name as given; none where it is empty.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// User labels, sorted by name, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Labels(Arc<[(Box<str>, Box<str>)]>);

impl Labels {
    /// Sorts the pairs. That names are valid and differ is the caller's to see to.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut pairs: Vec<(Box<str>, Box<str>)> = pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        pairs.sort();
        Self(pairs.into())
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (&**k, &**v))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ehlo_arguments_are_names_or_literals() {
        let literal = EhloName::AddressLiteral;
        assert_eq!(literal.argument([192, 0, 2, 1].into()), "[192.0.2.1]");
        assert_eq!(literal.argument("2001:db8::1".parse().expect("an address")), "[IPv6:2001:db8::1]");
        let name = EhloName::Name("probe.example.net".into());
        assert_eq!(name.argument([192, 0, 2, 1].into()), "probe.example.net");
    }
}
