//! What is probed: targets, their endpoints and their backends.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::net::Network;

mod allow;
mod index;
mod name;
mod shard;
mod spec;

pub use self::allow::{Allow, AllowPattern, AllowedAddresses, NotAllowed, ProbeAccess};
pub use self::index::TargetIndex;
pub use self::name::{ServerName, ServerNameError};
pub use self::shard::{MAX_SHARDS, Shard, ShardError, ordinal_of_host_name, parse_ordinal};
pub use self::spec::{SMTP, SUBMISSION, SUBMISSIONS, TargetSpecError};

/// A target: what to look up, how to probe and check it, and its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Unique among all targets; the `target` label.
    pub name: TargetName,
    /// What is looked up.
    pub kind: TargetKind,
    /// Labels of every series of the target.
    pub labels: UserLabels,
    /// How it is probed and checked.
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

    /// The name of a target without a configured one: `HOST:PORT`, `mx:DOMAIN` or `submission:DOMAIN`. Always
    /// `Some`, since such a name is not empty.
    pub fn default_name(&self) -> Option<TargetName> {
        TargetName::new(&match self {
            Self::Host(HostTarget { host, endpoint, .. }) => host.with_port(endpoint.port),
            Self::Mx(mx) => format!("mx:{}", mx.domain),
            Self::Submission(submission) => format!("submission:{}", submission.domain),
        })
    }
}

/// An `mx` target: the mail hosts of a domain (RFC 5321 §5.1). Each is checked for its own host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MxTarget {
    /// Never an IP address.
    pub domain: ServerName,
    /// TCP port of all hosts.
    pub port: u16,
    /// How TLS is started.
    pub tls: TlsMode,
}

/// A `submission` target: the hosts of a domain's SRV records `_submissions._tcp` (implicit TLS) and `_submission._tcp`
/// (STARTTLS), see RFC 8314 §5.1 and RFC 6186 §3.1. Each is checked for its own host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmissionTarget {
    /// Never an IP address.
    pub domain: ServerName,
}

/// A `host` target.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTarget {
    /// The name to look up, unless it is an IP address or `addresses` is not empty.
    pub host: ServerName,
    /// The name was written with a trailing dot: no search list applies to it.
    pub is_qualified: bool,
    /// Addresses to probe instead of those in DNS; empty to use DNS.
    pub addresses: Vec<IpAddr>,
    /// Port, TLS mode, and the name that is sent as SNI and checked.
    pub endpoint: Arc<Endpoint>,
}

impl HostTarget {
    /// Whether its addresses are known without a lookup.
    pub fn is_literal(&self) -> bool {
        !self.addresses.is_empty() || self.host.ip().is_some()
    }
}

/// A server name, a port and a TLS mode.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// SNI and reference name.
    pub server_name: ServerName,
    /// TCP port.
    pub port: u16,
    /// How TLS is started.
    pub tls: TlsMode,
}

/// An endpoint at one address, to which a probe connects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Backend {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Never an IPv4-mapped IPv6 address.
    pub address: IpAddr,
}

impl Backend {
    /// The backend of `endpoint` at `address`, in canonical form (`::ffff:192.0.2.1` becomes `192.0.2.1`).
    pub fn new(endpoint: Arc<Endpoint>, address: IpAddr) -> Self {
        Self { endpoint, address: address.to_canonical() }
    }

    /// The address to connect to; also the `backend` label (`192.0.2.1:25`, `[2001:db8::1]:25`).
    pub fn socket_addr(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.endpoint.port)
    }
}

/// How TLS is started on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsMode {
    /// By the STARTTLS command (RFC 3207).
    StartTls,
    /// From the first byte (RFC 8314 §3).
    Implicit,
}

impl TlsMode {
    /// The word in the configuration and in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StartTls => "starttls",
            Self::Implicit => "implicit",
        }
    }

    /// The words in texts.
    pub const fn title(self) -> &'static str {
        match self {
            Self::StartTls => "STARTTLS",
            Self::Implicit => "implicit TLS",
        }
    }

    /// The default for a port: implicit TLS for 465 (RFC 8314 §7.3), STARTTLS for all others.
    pub const fn default_for(port: u16) -> Self {
        if port == SUBMISSIONS { Self::Implicit } else { Self::StartTls }
    }
}

/// How a target is probed and checked. Targets with equal settings share them.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeSettings {
    /// Time from one round to the next.
    pub interval: Duration,
    /// Limit for a whole probe; at most the interval.
    pub timeout: Duration,
    /// Limit for the TCP connection; at most `timeout`.
    pub connect_timeout: Duration,
    /// The argument of EHLO.
    pub ehlo_name: EhloName,
    /// The addresses to look up and probe.
    pub ip_family: IpFamily,
    /// Networks of addresses that are not forwardable, to which MX and SRV records may lead.
    pub allow_addresses: Vec<Network>,
    /// Ports that SRV records may have besides the usual ones.
    pub allow_ports: Vec<u16>,
    /// How long addresses are kept after DNS stopped listing them, or after lookups started to fail.
    pub backend_retention: Duration,
    /// Connections to each backend per round; at least 1.
    pub samples: u32,
    /// Further names that the certificate must list.
    pub expect_names: Vec<ServerName>,
    /// The name of the trust store.
    pub trust: Arc<str>,
    /// The name of the resolver.
    pub resolver: Arc<str>,
    /// The certificate for servers that request one.
    pub client_certificate: Option<Arc<ClientCertificate>>,
    /// A PEM file whose first certificate the server should present.
    pub certificate_file: Option<Arc<Path>>,
}

impl ProbeSettings {
    /// Time from one probe of a backend to the next.
    pub fn pace(&self) -> Duration {
        self.interval / self.samples.max(1)
    }
}

/// The built-in defaults of the configuration, with an address literal in EHLO.
impl Default for ProbeSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(300),
            timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(5),
            ehlo_name: EhloName::AddressLiteral,
            ip_family: IpFamily::Auto,
            allow_addresses: Vec::new(),
            allow_ports: Vec::new(),
            backend_retention: Duration::from_secs(3600),
            samples: 1,
            expect_names: Vec::new(),
            trust: "system".into(),
            resolver: "system".into(),
            client_certificate: None,
            certificate_file: None,
        }
    }
}

/// The name servers of a resolver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolverSpec {
    /// The name servers of `/etc/resolv.conf`, after the hosts file. Hosts of the configuration are looked up with its
    /// search list.
    System(SystemResolver),
    /// These name servers only.
    Listed {
        /// Address and port of each; never empty.
        name_servers: Vec<SocketAddr>,
        /// Query all of them, use the union of their answers and report disagreement.
        compare: bool,
    },
}

/// What the resolver of this host depends on (resolv.conf(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemResolver {
    /// `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
    /// `/etc/hosts`.
    pub hosts: PathBuf,
    /// Port of the name servers; the file cannot set it.
    pub port: u16,
    /// The name of this host. Without a search list in the file, its domain is searched.
    pub hostname: String,
    /// The environment variable `LOCALDOMAIN`: a search list that replaces the one in the file.
    pub local_domain: Option<String>,
    /// The environment variable `RES_OPTIONS`: options that are added to those in the file.
    pub options: Option<String>,
}

/// Which addresses of a name are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpFamily {
    /// IPv4, and IPv6 if this host has a route to the address.
    Auto,
    /// Both, without regard to routes.
    Any,
    /// A records only.
    Ipv4,
    /// AAAA records only.
    Ipv6,
}

impl IpFamily {
    /// The word in the configuration.
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
    /// A fully qualified name, or an address literal if configured so.
    Name(Arc<str>),
    /// The local address of the connection as a literal (RFC 5321 §4.1.3), for a host without a name.
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

/// A certificate and key for servers that request one. Values with the same chain are equal.
pub struct ClientCertificate {
    /// The PEM file that the chain is from.
    pub file: PathBuf,
    /// The chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key of the leaf.
    pub key: PrivateKeyDer<'static>,
    /// The leaf's subject in the format of RFC 4514, printable.
    pub subject: Box<str>,
    /// The leaf's issuer in the format of RFC 4514, printable.
    pub issuer: Box<str>,
    /// The issuers of all certificates of the chain, as DER.
    pub issuers: Vec<Box<[u8]>>,
    /// The leaf's notBefore, Unix seconds.
    pub not_before: i64,
    /// The leaf's notAfter, Unix seconds.
    pub not_after: i64,
    /// The earliest notAfter of the certificates after the leaf, Unix seconds; none if there is only a leaf.
    pub intermediates_not_after: Option<i64>,
    /// Whether the leaf's key usage permits signatures (RFC 5280 §4.2.1.3).
    pub permits_signatures: bool,
    /// Whether the leaf's extended key usage permits client authentication (RFC 5280 §4.2.1.12).
    pub permits_client_auth: bool,
}

impl ClientCertificate {
    /// Why servers reject the certificate at `now`, Unix seconds; none if a server that trusts its issuer accepts it.
    pub const fn fault(&self, now: i64) -> Option<ClientCertificateFault> {
        if now > self.not_after {
            Some(ClientCertificateFault::Expired)
        } else if now < self.not_before {
            Some(ClientCertificateFault::NotYetValid)
        } else if !self.permits_client_auth {
            Some(ClientCertificateFault::WrongPurpose)
        } else if !self.permits_signatures {
            Some(ClientCertificateFault::NoSignatures)
        } else {
            match self.intermediates_not_after {
                Some(end) if now > end => Some(ClientCertificateFault::IntermediateExpired(end)),
                _ => None,
            }
        }
    }

    /// Whether one of these CAs, DER-encoded names, issued a certificate of the chain; also if there are none, since a
    /// server need not list the CAs that it accepts (RFC 8446 §4.2.4).
    pub fn is_issued_by_any(&self, acceptable: &[&[u8]]) -> bool {
        acceptable.is_empty() || self.issuers.iter().any(|issuer| acceptable.contains(&&**issuer))
    }
}

/// Why servers reject a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificateFault {
    /// Its notAfter has passed.
    Expired,
    /// Its notBefore is in the future.
    NotYetValid,
    /// Its extended key usage does not permit client authentication.
    WrongPurpose,
    /// Its key usage does not permit signatures, so its key cannot sign a handshake.
    NoSignatures,
    /// An intermediate that is sent with it expired at this time, Unix seconds.
    IntermediateExpired(i64),
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientCertificate({} certificates)", self.chain.len())
    }
}

impl PartialEq for ClientCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain
    }
}

impl Eq for ClientCertificate {}

impl Hash for ClientCertificate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.chain.hash(state);
    }
}

/// The name of a target: not empty, and unique in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetName(Arc<str>);

impl TargetName {
    /// The name, or none if `text` is empty.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Both have the same hash, so that a map is searched without a copy of the text.
impl Borrow<str> for TargetName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Configured labels, sorted by name, with unique names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserLabels(Arc<[(Box<str>, Box<str>)]>);

impl UserLabels {
    /// Labels from pairs; the caller ensures that their names are valid and unique.
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
    fn formats_ehlo_arguments_as_names_or_literals() {
        let literal = EhloName::AddressLiteral;
        assert_eq!(literal.argument([192, 0, 2, 1].into()), "[192.0.2.1]");
        assert_eq!(literal.argument("2001:db8::1".parse().expect("an address")), "[IPv6:2001:db8::1]");
        let name = EhloName::Name("probe.example.net".into());
        assert_eq!(name.argument([192, 0, 2, 1].into()), "probe.example.net");
    }
}
