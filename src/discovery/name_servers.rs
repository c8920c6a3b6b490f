//! Queries to name servers. Each server has a client of its own, so that no server's answer hides a failure of another,
//! and only records of the queried name and its aliases are used.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{Hosts, Resolver};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::health::{Health, SERVER_TIMEOUT};
use super::provider::{LastFailure, Provider};
use super::query::QueryResult;
use super::validation::is_bogus;
use crate::file::{Contents, FileReader};
use crate::observation::LocalFailure;
use crate::reason::{LocalReason, LookupReason};
use crate::target::ResolverSpec;

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
    client: Resolver<Provider>,
    last_failure: LastFailure,
    pub(super) health: Arc<Health>,
}

/// The name servers of one configured resolver.
#[derive(Debug)]
pub(super) enum NameServers {
    /// As configured.
    Listed(Servers),
    /// From this host's files, which are re-read when they change.
    System(SystemFiles),
}

impl NameServers {
    pub(super) fn new(spec: &ResolverSpec, reader: &FileReader) -> Result<Self, NetError> {
        Ok(match spec {
            ResolverSpec::System => {
                Self::System(SystemFiles::new([RESOLV_CONF, HOSTS].map(Into::into), reader.clone()))
            }
            ResolverSpec::Listed { name_servers, compare } => {
                let servers = name_servers.iter().map(|address| server(*address)).collect::<Result<_, _>>()?;
                Self::Listed(Servers { servers, compare: *compare, hosts: None })
            }
        })
    }

    /// The servers as of now.
    ///
    /// # Errors
    /// If this host's files cannot be read now, and were not read before.
    pub(super) async fn current(&self) -> Result<Servers, LocalFailure> {
        match self {
            Self::Listed(servers) => Ok(servers.clone()),
            Self::System(files) => files.current().await,
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
pub(super) struct SystemFiles {
    /// `resolv.conf` and `hosts`.
    paths: [PathBuf; 2],
    reader: FileReader,
    last: Mutex<Option<(FileStates, Servers)>>,
}

/// Each file as it was read last, or the error.
type FileStates = [Result<Arc<Contents>, String>; 2];

impl SystemFiles {
    fn new(paths: [PathBuf; 2], reader: FileReader) -> Self {
        Self { paths, reader, last: Mutex::default() }
    }

    /// Reads the files. If that takes too long, what was read last is used.
    async fn current(&self) -> Result<Servers, LocalFailure> {
        let last = self.last.lock().clone();
        let known = last.as_ref().map(|(states, _)| states.each_ref().map(|state| state.as_ref().ok().cloned()));
        let [resolv_conf, hosts] = known.unwrap_or_default();
        let [resolv_conf_path, hosts_path] = &self.paths;
        let reads = join(self.reader.read(resolv_conf_path, resolv_conf), self.reader.read(hosts_path, hosts));
        let Ok((resolv_conf, hosts)) = timeout(FILE_TIMEOUT, reads).await else {
            let detail = format_args!("{} and {}: no answer", resolv_conf_path.display(), hosts_path.display());
            let servers = last.map(|(_, servers)| servers);
            return servers.ok_or_else(|| LocalFailure::new(LocalReason::NameServers, detail));
        };
        let states = [resolv_conf, hosts].map(|read| match read {
            Some(read) => read.map_err(|error| error.to_string()),
            None => Err("the read ended by a panic".to_owned()),
        });
        let mut last = self.last.lock();
        if let Some((_, servers)) = last.as_ref().filter(|(known, _)| *known == states) {
            return Ok(servers.clone());
        }
        let servers = self.parse(&states);
        *last = Some((states, servers.clone()));
        Ok(servers)
    }

    /// An error in one file does not affect the other; it is logged once per change.
    fn parse(&self, [resolv_conf, hosts]: &FileStates) -> Servers {
        let [resolv_conf_path, hosts_path] = &self.paths;
        let servers = resolv_conf.as_ref().map_err(String::clone).and_then(|file| name_servers(&file.bytes));
        let servers = servers.unwrap_or_else(|error| {
            tracing::warn!(file = %resolv_conf_path.display(), %error, "failed to read name servers");
            Vec::new()
        });
        let mut entries = Hosts::default();
        let parsed = hosts
            .as_ref()
            .map_err(String::clone)
            .and_then(|file| entries.read_hosts_conf(&*file.bytes).map_err(|error| error.to_string()));
        if let Err(error) = parsed {
            tracing::warn!(file = %hosts_path.display(), %error, "failed to read hosts file");
        }
        Servers { servers, compare: false, hosts: Some(Arc::new(entries)) }
    }
}

fn name_servers(resolv_conf: &[u8]) -> Result<Vec<NameServer>, String> {
    let parsed = hickory_resolver::system_conf::parse_resolv_conf(resolv_conf);
    let (config, _) = parsed.map_err(|error| error.to_string())?;
    let servers = config.name_servers().iter().map(|server| build(server.clone()));
    servers.collect::<Result<_, _>>().map_err(|error| error.to_string())
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
    let provider = Provider::default();
    let last_failure = provider.last_failure.clone();
    let mut builder = Resolver::builder_with_config(config, provider);
    *builder.options_mut() = options;
    Ok(NameServer { address, client: builder.build()?, last_failure, health: Arc::default() })
}

pub(super) async fn addresses(
    server: &NameServer,
    name: &Name,
    family: RecordType,
) -> Result<QueryResult<IpAddr>, LocalFailure> {
    query_records(server, name, family, address).await
}

pub(super) async fn mx_records(server: &NameServer, domain: &Name) -> Result<QueryResult<MxRecord>, LocalFailure> {
    let record = |record: &Record| match &record.data {
        RData::MX(mx) => Some(MxRecord { preference: mx.preference, host: mx.exchange.clone() }),
        _ => None,
    };
    query_records(server, domain, RecordType::MX, record).await
}

/// Follows aliases, since the library fails for aliases of SRV records.
pub(super) async fn srv_records(server: &NameServer, service: &Name) -> Result<QueryResult<SrvRecord>, LocalFailure> {
    let record = |record: &Record| match &record.data {
        RData::SRV(srv) => Some(SrvRecord { priority: srv.priority, port: srv.port, host: srv.target.clone() }),
        _ => None,
    };
    let mut owner = service.clone();
    for _ in 0..=MAX_SERVICE_ALIASES {
        let reason = match query_records(server, &owner, RecordType::SRV, record).await? {
            Err(reason) if reason != LookupReason::Timeout => reason,
            result => return Ok(result.map(|records| Records { aliased: owner != *service, ..records })),
        };
        match alias(server, &owner).await {
            Some(target) => owner = target,
            None => return Ok(Err(reason)),
        }
    }
    Ok(Err(LookupReason::ServFail))
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
) -> Result<QueryResult<T>, LocalFailure> {
    let lookup = match server.client.lookup(name.clone(), record_type).await {
        Ok(lookup) => lookup,
        Err(NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)))
            if is_bogus(server.address, name, record_type).await =>
        {
            return Ok(Err(LookupReason::Bogus));
        }
        Err(error) => return reason(&error, server).map(Err),
    };
    let owner = end_of_aliases(name, lookup.answers());
    // Records of other owners could be forged by anyone who controls the queried zone.
    let data: Vec<T> = lookup.answers().iter().filter(|record| record.name == *owner).filter_map(pick).collect();
    Ok(if data.is_empty() { Err(LookupReason::NoData) } else { Ok(Records { data, aliased: owner != name }) })
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

fn reason(error: &NetError, server: &NameServer) -> Result<LookupReason, LocalFailure> {
    Ok(match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => LookupReason::NxDomain,
            ResponseCode::NoError => LookupReason::NoData,
            _ => LookupReason::ServFail,
        },
        NetError::Timeout => LookupReason::Timeout,
        // No packet could be sent.
        NetError::Io(_) | NetError::NoConnections => match server.last_failure.get() {
            Some(local) => return Err(local),
            None => LookupReason::ServFail,
        },
        _ => LookupReason::ServFail,
    })
}

/// RFC 1035 §4.2.
const DNS_PORT: u16 = 53;
const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";
const FILE_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_ALIASES: usize = 16;
const MAX_SERVICE_ALIASES: usize = 8;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::SystemTime;

    use super::*;

    struct Files {
        paths: [PathBuf; 2],
        writes: u64,
    }

    impl Files {
        /// Writes a file with a modification time one minute after that of the last one.
        fn write(&mut self, which: usize, text: &str) {
            let path = &self.paths[which];
            fs::write(path, text).expect("the file is written");
            self.writes += 1;
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(60 * self.writes);
            fs::File::options().write(true).open(path).and_then(|file| file.set_modified(at)).expect("a time");
        }
    }

    fn paths(folder: &tempfile::TempDir) -> [PathBuf; 2] {
        ["resolv.conf", "hosts"].map(|name| folder.path().join(name))
    }

    async fn check(what: &str, names: &SystemFiles, servers: usize, entry: Option<&str>) {
        let current = names.current().await.expect("files that can be read");
        let name = absolute("relay.test").expect("a name");
        let expected = entry.map(|ip| vec![ip.parse::<IpAddr>().expect("an address")]);
        assert_eq!((current.servers.len(), current.hosts_entry(&name)), (servers, expected), "{what}");
    }

    #[tokio::test]
    async fn re_reads_the_system_files_when_they_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let names = SystemFiles::new(paths(&folder), FileReader::default());
        let mut files = Files { paths: paths(&folder), writes: 0 };
        check("neither file", &names, 0, None).await;
        files.write(0, "nameserver 192.0.2.53\n");
        check("servers alone", &names, 1, None).await;
        files.write(1, "192.0.2.1 relay.test\n");
        check("an entry", &names, 1, Some("192.0.2.1")).await;
        files.write(1, "192.0.2.2 relay.test\n");
        check("the same length later", &names, 1, Some("192.0.2.2")).await;
        files.write(0, "nameserver 192.0.2.53\nnameserver 192.0.2.54\n");
        check("another server", &names, 2, Some("192.0.2.2")).await;
        fs::remove_file(&files.paths[1]).expect("the file goes");
        check("the entry is gone", &names, 2, None).await;
    }

    #[tokio::test]
    async fn uses_what_was_read_last_while_the_file_system_hangs() {
        let (release, hang) = std::sync::mpsc::channel::<()>();
        let hang = Mutex::new(hang);
        let reader = FileReader::new(move |path, known| {
            if known.is_some() {
                let _ = hang.lock().recv();
            }
            let text = if path.ends_with("hosts") { "192.0.2.1 relay.test\n" } else { "nameserver 192.0.2.53\n" };
            Ok(Arc::new(text.as_bytes().to_vec().into()))
        });
        let paths = ["resolv.conf", "hosts"].map(PathBuf::from);
        let names = SystemFiles::new(paths.clone(), reader.clone());
        check("the first read", &names, 1, Some("192.0.2.1")).await;
        check("a read that hangs", &names, 1, Some("192.0.2.1")).await;
        let failure = SystemFiles::new(paths, reader).current().await.expect_err("no read ended");
        assert_eq!(failure.reason, LocalReason::NameServers);
        drop(release);
    }
}
