//! Questions to name servers. Each server is asked apart, so that no server's failure hides in another's answer, and
//! only what follows from the name asked is taken from what it says.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{Hosts, TokioResolver};
use parking_lot::Mutex;

use crate::reason::LookupReason;
use crate::target::ResolverSpec;

/// One question's outcome at one server.
pub(super) type Addresses = Result<Vec<IpAddr>, LookupReason>;

/// The name servers of one resolver of the config.
#[derive(Debug)]
pub(super) enum NameServers {
    /// Fixed.
    Listed { servers: Vec<TokioResolver>, compare: bool },
    /// As this machine's files say, read again when they change.
    System(Mutex<Option<SystemFiles>>),
}

impl NameServers {
    pub(super) fn new(spec: &ResolverSpec) -> Result<Self, NetError> {
        Ok(match spec {
            ResolverSpec::System => Self::System(Mutex::new(None)),
            ResolverSpec::Listed { name_servers, compare } => Self::Listed {
                servers: name_servers.iter().map(|at| server(*at)).collect::<Result<_, _>>()?,
                compare: *compare,
            },
        })
    }

    /// The servers to ask, whether all of them are asked, and the hosts file where it counts.
    pub(super) fn current(&self) -> Servers {
        match self {
            Self::Listed { servers, compare } => Servers { servers: servers.clone(), compare: *compare, hosts: None },
            Self::System(cache) => {
                let mut cache = cache.lock();
                let stamp = [RESOLV_CONF, HOSTS].map(|path| fs::metadata(path).and_then(|data| data.modified()).ok());
                let current = match cache.take() {
                    Some(files) if files.stamp == stamp => files,
                    _ => SystemFiles::read(stamp),
                };
                let servers = current.servers.clone();
                *cache = Some(current);
                servers
            }
        }
    }
}

/// What is asked for one lookup. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Servers {
    pub(super) servers: Vec<TokioResolver>,
    pub(super) compare: bool,
    hosts: Option<Arc<Hosts>>,
}

impl Servers {
    /// The addresses that the hosts file gives, both families together: a name in the file is not looked up elsewhere.
    pub(super) fn hosts_entry(&self, name: &Name) -> Option<Vec<IpAddr>> {
        let hosts = self.hosts.as_ref()?;
        let of = |record_type| {
            let lookup = hosts.lookup_static_host(&Query::query(name.clone(), record_type));
            lookup.into_iter().flat_map(|lookup| lookup.answers().iter().filter_map(address).collect::<Vec<_>>())
        };
        let addresses: Vec<IpAddr> = of(RecordType::A).chain(of(RecordType::AAAA)).collect();
        (!addresses.is_empty()).then_some(addresses)
    }
}

#[derive(Debug)]
pub(super) struct SystemFiles {
    stamp: [Option<SystemTime>; 2],
    servers: Servers,
}

impl SystemFiles {
    /// Reads what can be read: each file does without the other, and is complained of once for each change.
    fn read(stamp: [Option<SystemTime>; 2]) -> Self {
        let servers = resolv_conf().unwrap_or_else(|error| {
            tracing::warn!(file = RESOLV_CONF, %error, "no name servers of this machine");
            Vec::new()
        });
        let mut hosts = Hosts::default();
        let read = read_bounded(Path::new(HOSTS)).and_then(|text| hosts.read_hosts_conf(&*text));
        if let Err(error) = read {
            tracing::warn!(file = HOSTS, %error, "the hosts file is not read to its end");
        }
        Self { stamp, servers: Servers { servers, compare: false, hosts: Some(Arc::new(hosts)) } }
    }
}

fn resolv_conf() -> Result<Vec<TokioResolver>, NetError> {
    let text = read_bounded(Path::new(RESOLV_CONF))?;
    let (config, _) = hickory_resolver::system_conf::parse_resolv_conf(text)?;
    config.name_servers().iter().map(|server| build(server.clone())).collect()
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut text)?;
    Ok(text)
}

fn server(at: SocketAddr) -> Result<TokioResolver, NetError> {
    let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = at.port();
    }
    build(NameServerConfig::new(at.ip(), true, connections.to_vec()))
}

fn build(server: NameServerConfig) -> Result<TokioResolver, NetError> {
    let mut options = ResolverOpts::default();
    // A monitor wants the answer of now.
    options.cache_size = 0;
    options.attempts = 1;
    options.timeout = SERVER_TIMEOUT;
    options.use_hosts_file = ResolveHosts::Never;
    options.edns0 = true;
    options.preserve_intermediates = true;
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    builder.build()
}

/// Asks one server for `name`'s addresses of one family.
pub(super) async fn ask(server: &TokioResolver, name: &Name, record_type: RecordType) -> Addresses {
    match server.lookup(name.clone(), record_type).await {
        Ok(lookup) => {
            let addresses = along_aliases(name, lookup.answers());
            if addresses.is_empty() { Err(LookupReason::NoData) } else { Ok(addresses) }
        }
        Err(error) => Err(reason(&error)),
    }
}

/// The addresses of `name` itself or of what its aliases lead to; records of other owners are not ours to believe.
fn along_aliases(name: &Name, answers: &[Record]) -> Vec<IpAddr> {
    let mut owner = name;
    for _ in 0..MAX_ALIASES {
        let alias = answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == *owner => Some(&target.0),
            _ => None,
        });
        let Some(target) = alias else { break };
        owner = target;
    }
    answers.iter().filter(|record| record.name == *owner).filter_map(address).collect()
}

fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(ip) => Some(ip.0.into()),
        RData::AAAA(ip) => Some(IpAddr::from(ip.0).to_canonical()),
        _ => None,
    }
}

fn reason(error: &NetError) -> LookupReason {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => LookupReason::NxDomain,
            ResponseCode::NoError => LookupReason::NoData,
            _ => LookupReason::ServFail,
        },
        NetError::Timeout => LookupReason::Timeout,
        _ => LookupReason::ServFail,
    }
}

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";
const MAX_FILE: u64 = 16 * 1024 * 1024;
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_ALIASES: usize = 16;
