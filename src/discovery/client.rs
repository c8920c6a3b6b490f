//! Queries to one name server through the DNS library, which follows aliases and repeats truncated answers over TCP. A
//! server that does not support EDNS is queried again without it (RFC 6891 §7), as by other resolvers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hickory_resolver::Resolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, Record, RecordType};
use parking_lot::Mutex;

use super::health::SERVER_TIMEOUT;
use super::provider::Provider;
use super::validation::is_bogus;
use crate::observation::LocalFailure;
use crate::reason::LookupReason;

/// The clients of one name server.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
    provider: Provider,
    /// None if the library rejects the server, which it does not do for plain DNS.
    with_edns: Option<Resolver<Provider>>,
    plain: Option<Resolver<Provider>>,
    /// Until when the server is known not to support EDNS.
    plain_until: Mutex<Option<Instant>>,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        let provider = Provider::new(address);
        let [with_edns, plain] = [true, false].map(|edns| build(address, provider.clone(), edns).ok());
        Self { address, provider, with_edns, plain, plain_until: Mutex::default() }
    }

    /// The records in the answer, those of aliases included, or why there are none.
    ///
    /// # Errors
    /// If this host failed.
    pub(super) async fn ask(
        &self,
        name: &Name,
        record_type: RecordType,
    ) -> Result<Result<Vec<Record>, LookupReason>, LocalFailure> {
        // The library goes on until its timeout, and passes on that packets are refused as one of several errors.
        let mut unreachable = self.provider.unreachable.subscribe();
        let found = tokio::select! {
            Ok(()) = unreachable.changed() => return Ok(Err(LookupReason::Unreachable)),
            found = self.exchange(name, record_type) => found,
        };
        match found {
            Err(error) if !is_negative(&error) && unreachable.has_changed().unwrap_or_default() => {
                Ok(Err(LookupReason::Unreachable))
            }
            Ok(answers) => Ok(Ok(answers)),
            Err(NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)))
                if is_bogus(self.address, name, record_type).await =>
            {
                Ok(Err(LookupReason::Bogus))
            }
            Err(error) => self.reason(&error).map(Err),
        }
    }

    async fn exchange(&self, name: &Name, record_type: RecordType) -> Result<Vec<Record>, NetError> {
        if self.plain_until.lock().is_some_and(|until| Instant::now() < until) {
            return lookup(self.plain.as_ref(), name, record_type).await;
        }
        let found = lookup(self.with_edns.as_ref(), name, record_type).await;
        if !found.as_ref().is_err_and(may_reject_edns) {
            return found;
        }
        let found = lookup(self.plain.as_ref(), name, record_type).await;
        if found.as_ref().map_or_else(is_negative, |_| true) {
            *self.plain_until.lock() = Some(Instant::now() + PLAIN_PERIOD);
        }
        found
    }

    fn reason(&self, error: &NetError) -> Result<LookupReason, LocalFailure> {
        Ok(match error {
            NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
                ResponseCode::NXDomain => LookupReason::NxDomain,
                ResponseCode::NoError => LookupReason::NoData,
                _ => LookupReason::ServFail,
            },
            NetError::Timeout => LookupReason::Timeout,
            // No packet could be sent, or a connection over TCP failed.
            NetError::Io(_) | NetError::NoConnections => match self.provider.local_failure() {
                Some(local) => return Err(local),
                None => LookupReason::ServFail,
            },
            _ => LookupReason::ServFail,
        })
    }
}

async fn lookup(
    client: Option<&Resolver<Provider>>,
    name: &Name,
    record_type: RecordType,
) -> Result<Vec<Record>, NetError> {
    let client = client.ok_or(NetError::NoConnections)?;
    client.lookup(name.clone(), record_type).await.map(|lookup| lookup.answers().to_vec())
}

/// FORMERR, NOTIMP or BADVERS. Some servers answer SERVFAIL, or send a header alone, which the library does not accept, or
/// nothing.
fn may_reject_edns(error: &NetError) -> bool {
    use ResponseCode::{BADSIG, BADVERS, FormErr, NotImp, ServFail};
    let code = match error {
        NetError::Dns(DnsError::ResponseCode(code)) => *code,
        NetError::Dns(DnsError::NoRecordsFound(none)) => none.response_code,
        NetError::Io(_) | NetError::NoConnections => return false,
        _ => return true,
    };
    // BADVERS and BADSIG have the same code, and there are no signatures here.
    matches!(code, FormErr | NotImp | ServFail | BADVERS | BADSIG)
}

/// Whether the server answered that there are no records.
fn is_negative(error: &NetError) -> bool {
    use ResponseCode::{NXDomain, NoError};
    matches!(error, NetError::Dns(DnsError::NoRecordsFound(none)) if matches!(none.response_code, NXDomain | NoError))
}

fn build(address: SocketAddr, provider: Provider, edns: bool) -> Result<Resolver<Provider>, NetError> {
    let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    let server = NameServerConfig::new(address.ip(), true, connections.to_vec());
    let mut options = ResolverOpts::default();
    // Monitoring needs current answers.
    options.cache_size = 0;
    options.attempts = 1;
    options.timeout = SERVER_TIMEOUT / 2;
    options.use_hosts_file = ResolveHosts::Never;
    options.edns0 = edns;
    options.preserve_intermediates = true;
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut builder = Resolver::builder_with_config(config, provider);
    *builder.options_mut() = options;
    builder.build()
}

/// After this time, a server is queried with EDNS again.
const PLAIN_PERIOD: Duration = Duration::from_secs(900);
