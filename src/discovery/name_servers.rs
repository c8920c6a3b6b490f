//! Queries to name servers. Each server has a client of its own, so that no server's answer hides a failure of another,
//! and only records of the queried name and its aliases are used.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{Hosts, TokioResolver};
use parking_lot::Mutex;

use super::validation::is_bogus;
use crate::file;
use crate::reason::LookupReason;
use crate::target::ResolverSpec;

pub(super) type QueryResult<T> = Result<Records<T>, LookupReason>;

/// The records of an answer; never empty.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Records<T> {
    pub(super) data: Vec<T>,
    /// The queried name is an alias of their owner.
    pub(super) aliased: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MxRecord {
    pub(super) preference: u16,
    pub(super) host: Name,
}

/// An SRV record (RFC 2782) without its weight, since all hosts are probed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SrvRecord {
    pub(super) priority: u16,
    pub(super) port: u16,
    pub(super) host: Name,
}

/// A fully qualified name, to which no search list applies. None if `name` is not valid in DNS.
pub(super) fn absolute(name: &str) -> Option<Name> {
    Name::from_str_relaxed(format!("{name}.")).ok()
}

#[derive(Clone, Debug)]
pub(super) struct NameServer {
    address: SocketAddr,
    client: TokioResolver,
}

/// The name servers of one configured resolver.
#[derive(Debug)]
pub(super) enum NameServers {
    /// As configured.
    Listed(Servers),
    /// From this host's files, which are re-read when they change.
    System { paths: SystemPaths, read: Mutex<Option<(FileStamps, Servers)>> },
}

impl NameServers {
    pub(super) fn new(spec: &ResolverSpec) -> Result<Self, NetError> {
        Ok(match spec {
            ResolverSpec::System => Self::system(SystemPaths { resolv_conf: RESOLV_CONF.into(), hosts: HOSTS.into() }),
            ResolverSpec::Listed { name_servers, compare } => {
                let servers = name_servers.iter().map(|address| server(*address)).collect::<Result<_, _>>()?;
                Self::Listed(Servers { servers, compare: *compare, hosts: None })
            }
        })
    }

    fn system(paths: SystemPaths) -> Self {
        Self::System { paths, read: Mutex::new(None) }
    }

    pub(super) fn current(&self) -> Servers {
        match self {
            Self::Listed(servers) => servers.clone(),
            Self::System { paths, read } => {
                let mut read = read.lock();
                let stamps = paths.stamps();
                let known = read.take().filter(|(known, _)| *known == stamps);
                let (_, servers) = read.insert(known.unwrap_or_else(|| (stamps, paths.read())));
                servers.clone()
            }
        }
    }
}

/// What one lookup uses. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Servers {
    pub(super) servers: Vec<NameServer>,
    /// Query all servers and compare their answers.
    pub(super) compare: bool,
    /// The hosts file, if the resolver uses it.
    hosts: Option<Arc<Hosts>>,
}

impl Servers {
    /// The addresses of `name` in the hosts file, of both families; a name that is listed there is not looked up in DNS.
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

/// The files that configure name resolution on this host.
#[derive(Debug)]
pub(super) struct SystemPaths {
    resolv_conf: PathBuf,
    hosts: PathBuf,
}

/// Modification time and length of both files.
type FileStamps = [Option<(SystemTime, u64)>; 2];

impl SystemPaths {
    fn stamps(&self) -> FileStamps {
        [&self.resolv_conf, &self.hosts].map(|path| {
            let data = fs::metadata(path).ok()?;
            Some((data.modified().ok()?, data.len()))
        })
    }

    /// Reads both files. An error in one does not affect the other; it is logged once per change.
    fn read(&self) -> Servers {
        let servers = resolv_conf(&self.resolv_conf).unwrap_or_else(|error| {
            tracing::warn!(file = %self.resolv_conf.display(), %error, "failed to read name servers");
            Vec::new()
        });
        let mut hosts = Hosts::default();
        let read = file::read(&self.hosts, MAX_FILE).and_then(|text| hosts.read_hosts_conf(&*text));
        if let Err(error) = read {
            tracing::warn!(file = %self.hosts.display(), %error, "failed to read hosts file");
        }
        Servers { servers, compare: false, hosts: Some(Arc::new(hosts)) }
    }
}

fn resolv_conf(path: &Path) -> Result<Vec<NameServer>, NetError> {
    let (config, _) = hickory_resolver::system_conf::parse_resolv_conf(file::read(path, MAX_FILE)?)?;
    config.name_servers().iter().map(|server| build(server.clone())).collect()
}

fn server(address: SocketAddr) -> Result<NameServer, NetError> {
    let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    build(NameServerConfig::new(address.ip(), true, connections.to_vec()))
}

fn build(server: NameServerConfig) -> Result<NameServer, NetError> {
    let port = server.connections.first().map_or(DNS_PORT, |connection| connection.port);
    let address = SocketAddr::new(server.ip, port);
    let mut options = ResolverOpts::default();
    // Monitoring needs current answers.
    options.cache_size = 0;
    options.attempts = 1;
    options.timeout = SERVER_TIMEOUT;
    options.use_hosts_file = ResolveHosts::Never;
    options.edns0 = true;
    options.preserve_intermediates = true;
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    Ok(NameServer { address, client: builder.build()? })
}

pub(super) async fn addresses(server: &NameServer, name: &Name, family: RecordType) -> QueryResult<IpAddr> {
    query_records(server, name, family, address).await
}

pub(super) async fn mx_records(server: &NameServer, domain: &Name) -> QueryResult<MxRecord> {
    let record = |record: &Record| match &record.data {
        RData::MX(mx) => Some(MxRecord { preference: mx.preference, host: mx.exchange.clone() }),
        _ => None,
    };
    query_records(server, domain, RecordType::MX, record).await
}

/// Follows aliases, since the library fails for aliases of SRV records.
pub(super) async fn srv_records(server: &NameServer, service: &Name) -> QueryResult<SrvRecord> {
    let record = |record: &Record| match &record.data {
        RData::SRV(srv) => Some(SrvRecord { priority: srv.priority, port: srv.port, host: srv.target.clone() }),
        _ => None,
    };
    let mut owner = service.clone();
    for _ in 0..=MAX_SERVICE_ALIASES {
        let reason = match query_records(server, &owner, RecordType::SRV, record).await {
            Err(reason) if reason != LookupReason::Timeout => reason,
            result => return result.map(|records| Records { aliased: owner != *service, ..records }),
        };
        match alias(server, &owner).await {
            Some(target) => owner = target,
            None => return Err(reason),
        }
    }
    Err(LookupReason::ServFail)
}

/// The target of the CNAME record of `name`, if it has one.
async fn alias(server: &NameServer, name: &Name) -> Option<Name> {
    let lookup = server.client.lookup(name.clone(), RecordType::CNAME).await.ok()?;
    lookup.answers().iter().find_map(|record| alias_in(record, name)).cloned()
}

async fn query_records<T>(
    server: &NameServer,
    name: &Name,
    record_type: RecordType,
    pick: impl Fn(&Record) -> Option<T>,
) -> QueryResult<T> {
    let lookup = match server.client.lookup(name.clone(), record_type).await {
        Ok(lookup) => lookup,
        Err(NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)))
            if is_bogus(server.address, name, record_type).await =>
        {
            return Err(LookupReason::Bogus);
        }
        Err(error) => return Err(reason(&error)),
    };
    let owner = end_of_aliases(name, lookup.answers());
    // Records of other owners could be forged by anyone who controls the queried zone.
    let data: Vec<T> = lookup.answers().iter().filter(|record| record.name == *owner).filter_map(pick).collect();
    if data.is_empty() { Err(LookupReason::NoData) } else { Ok(Records { data, aliased: owner != name }) }
}

/// The name at the end of the chain of aliases of `name`; itself if it has none.
fn end_of_aliases<'a>(name: &'a Name, answers: &'a [Record]) -> &'a Name {
    let mut owner = name;
    for _ in 0..MAX_ALIASES {
        let Some(target) = answers.iter().find_map(|record| alias_in(record, owner)) else { break };
        owner = target;
    }
    owner
}

fn alias_in<'a>(record: &'a Record, owner: &Name) -> Option<&'a Name> {
    match &record.data {
        RData::CNAME(target) if record.name == *owner => Some(&target.0),
        _ => None,
    }
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

/// RFC 1035 §4.2.
const DNS_PORT: u16 = 53;
const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";
const MAX_FILE: u64 = 16 * 1024 * 1024;
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_ALIASES: usize = 16;
const MAX_SERVICE_ALIASES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    struct Files {
        paths: SystemPaths,
        writes: u64,
    }

    impl Files {
        /// Writes a file with a modification time one minute after that of the last one.
        fn write(&mut self, path: fn(&SystemPaths) -> &PathBuf, text: &str) {
            let path = path(&self.paths);
            fs::write(path, text).expect("the file is written");
            self.writes += 1;
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(60 * self.writes);
            fs::File::options().write(true).open(path).and_then(|file| file.set_modified(at)).expect("a time");
        }
    }

    #[track_caller]
    fn check(what: &str, names: &NameServers, servers: usize, entry: Option<&str>) {
        let current = names.current();
        let name = absolute("relay.test").expect("a name");
        let expected = entry.map(|ip| vec![ip.parse::<IpAddr>().expect("an address")]);
        assert_eq!((current.servers.len(), current.hosts_entry(&name)), (servers, expected), "{what}");
    }

    #[tokio::test]
    async fn re_reads_the_system_files_when_they_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let paths =
            || SystemPaths { resolv_conf: folder.path().join("resolv.conf"), hosts: folder.path().join("hosts") };
        let names = NameServers::system(paths());
        let mut files = Files { paths: paths(), writes: 0 };
        check("neither file", &names, 0, None);
        files.write(|paths| &paths.resolv_conf, "nameserver 192.0.2.53\n");
        check("servers alone", &names, 1, None);
        files.write(|paths| &paths.hosts, "192.0.2.1 relay.test\n");
        check("an entry", &names, 1, Some("192.0.2.1"));
        files.write(|paths| &paths.hosts, "192.0.2.2 relay.test\n");
        check("the same length later", &names, 1, Some("192.0.2.2"));
        files.write(|paths| &paths.resolv_conf, "nameserver 192.0.2.53\nnameserver 192.0.2.54\n");
        check("another server", &names, 2, Some("192.0.2.2"));
        fs::remove_file(&files.paths.hosts).expect("the file goes");
        check("the entry is gone", &names, 2, None);
    }
}
