//! Queries to name servers, whose answers are kept apart, so that no server's answer hides a failure of another. Only
//! records of the queried name and its aliases are used.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::client::Client;
use super::health::Health;
use super::hosts_file::HostsFile;
use super::query::QueryResult;
use super::resolv_conf::SearchList;
use super::system::SystemFiles;
use crate::file::FileReader;
use crate::observation::LocalFailure;
use crate::reason::LookupReason;
use crate::target::{ResolverSpec, ServerName};

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

/// A fully qualified name. None if `name` is not valid in DNS.
pub(super) fn absolute(name: &str) -> Option<Name> {
    Name::from_str_relaxed(format!("{name}.")).ok()
}

#[derive(Clone, Debug)]
pub(super) struct NameServer {
    pub(super) client: Arc<Client>,
    pub(super) health: Arc<Health>,
}

impl NameServer {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { client: Arc::new(Client::new(address)), health: Arc::default() }
    }
}

/// The name servers of one configured resolver.
#[derive(Debug)]
pub(super) enum NameServers {
    /// As configured.
    Listed(Servers),
    /// From this host's files.
    System(Box<SystemFiles>),
}

impl NameServers {
    pub(super) fn new(spec: &ResolverSpec, reader: &FileReader) -> Self {
        match spec {
            ResolverSpec::System(system) => Self::System(SystemFiles::new(system.clone(), reader.clone()).into()),
            ResolverSpec::Listed { name_servers, compare } => {
                let servers = name_servers.iter().map(|address| NameServer::new(*address)).collect();
                Self::Listed(Servers { servers, compare: *compare, ..Servers::default() })
            }
        }
    }

    /// The servers as of now.
    ///
    /// # Errors
    /// If this host's files cannot be read.
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
    /// Query all servers, each of them several times, and join their answers.
    pub(super) repeat: bool,
    /// The hosts file, if the resolver uses it.
    pub(super) hosts: Option<Arc<HostsFile>>,
    /// The search list, if the resolver has one.
    pub(super) search: Option<Arc<SearchList>>,
}

impl Servers {
    /// The addresses of `name` in the hosts file, of both families; a name that is listed there is not looked up in DNS.
    pub(super) fn hosts_entry(&self, name: &ServerName) -> Option<&[IpAddr]> {
        self.hosts.as_ref()?.get(name.dns()?)
    }
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

/// The name to which `name` is an alias.
pub(super) async fn alias(server: &NameServer, name: &Name) -> Result<QueryResult<Name>, LocalFailure> {
    let record = |record: &Record| match &record.data {
        RData::CNAME(target) => Some(target.0.clone()),
        _ => None,
    };
    let answers = server.client.ask(name, RecordType::CNAME).await?;
    Ok(answers.and_then(|answers| {
        let data: Vec<Name> = answers.iter().filter(|answer| answer.name == *name).filter_map(record).collect();
        if data.is_empty() { Err(LookupReason::NoData) } else { Ok(Records { data, aliased: false }) }
    }))
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
            Err(reason) if !matches!(reason, LookupReason::Timeout | LookupReason::Unreachable) => reason,
            result => return Ok(result.map(|records| Records { aliased: owner != *service, ..records })),
        };
        let alias = server.client.ask(&owner, RecordType::CNAME).await?.unwrap_or_default();
        match alias.iter().find_map(|record| alias_in(record, &owner)) {
            Some(target) => owner = target.clone(),
            None => return Ok(Err(reason)),
        }
    }
    Ok(Err(LookupReason::ServFail))
}

async fn query_records<T>(
    server: &NameServer,
    name: &Name,
    record_type: RecordType,
    pick: impl Fn(&Record) -> Option<T>,
) -> Result<QueryResult<T>, LocalFailure> {
    let answers = match server.client.ask(name, record_type).await? {
        Ok(answers) => answers,
        Err(reason) => return Ok(Err(reason)),
    };
    let Some(owner) = end_of_aliases(name, &answers) else { return Ok(Err(LookupReason::ServFail)) };
    // Records of other owners could be forged by anyone who controls the queried zone.
    let data: Vec<T> = answers.iter().filter(|record| record.name == *owner).filter_map(pick).collect();
    Ok(if data.is_empty() { Err(LookupReason::NoData) } else { Ok(Records { data, aliased: owner != name }) })
}

/// The name at the end of the chain of aliases of `name`, itself if it has none; none if the chain is too long or a loop.
fn end_of_aliases<'a>(name: &'a Name, answers: &'a [Record]) -> Option<&'a Name> {
    let mut owner = name;
    for _ in 0..MAX_ALIASES {
        let Some(target) = answers.iter().find_map(|record| alias_in(record, owner)) else { return Some(owner) };
        owner = target;
    }
    None
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

/// Aliases in one answer.
const MAX_ALIASES: usize = 16;
const MAX_SERVICE_ALIASES: usize = 8;
