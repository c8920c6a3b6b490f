//! Distinguishes a SERVFAIL of failed DNSSEC validation from others: the query is repeated with checking disabled
//! (RFC 4035 §3.2.2), and is answered only in the first case. Then it is repeated with checking, since the server may have
//! recovered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Whether `server`, which answered SERVFAIL, has an answer that fails validation. Its content is not used.
pub(super) async fn is_bogus(server: SocketAddr, name: &Name, record_type: RecordType) -> bool {
    let code = async |checking_disabled| {
        timeout(TIMEOUT, response_code(server, name, record_type, checking_disabled)).await.ok().flatten()
    };
    matches!(code(true).await, Some(ResponseCode::NoError | ResponseCode::NXDomain))
        && code(false).await == Some(ResponseCode::ServFail)
}

async fn response_code(
    server: SocketAddr,
    name: &Name,
    record_type: RecordType,
    checking_disabled: bool,
) -> Option<ResponseCode> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.metadata.checking_disabled = checking_disabled;
    message.add_query(Query::query(name.clone(), record_type));
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // On a connected socket, the kernel drops packets from other addresses.
    let socket = UdpSocket::bind((any, 0)).await.ok()?;
    socket.connect(server).await.ok()?;
    socket.send(&message.to_vec().ok()?).await.ok()?;
    let mut buffer = vec![0; MAX_MESSAGE];
    loop {
        let length = socket.recv(&mut buffer).await.ok()?;
        let Some(response) = buffer.get(..length).and_then(|bytes| Message::from_vec(bytes).ok()) else { continue };
        let is_ours = response.metadata.id == message.metadata.id
            && response.metadata.message_type == MessageType::Response
            && response.metadata.op_code == OpCode::Query
            && response.queries == message.queries;
        if is_ours {
            return Some(response.metadata.response_code);
        }
    }
}

/// Only the reported reason depends on the answer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Limit of UDP messages without EDNS (RFC 1035 §4.2.1).
const MAX_MESSAGE: usize = 512;
