//! Why a resolver answers SERVFAIL: because a signature is wrong, or because something else is. The two are told
//! apart by asking once more with checking disabled (RFC 4035 §3.2.2): only a validator then has an answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Whether `server`, which answered SERVFAIL, has an answer that it does not believe. What is in it is not looked at.
pub(super) async fn hides_an_answer(server: SocketAddr, name: &Name, record_type: RecordType) -> bool {
    timeout(PATIENCE, code_unchecked(server, name, record_type))
        .await
        .ok()
        .flatten()
        .is_some_and(|code| matches!(code, ResponseCode::NoError | ResponseCode::NXDomain))
}

async fn code_unchecked(server: SocketAddr, name: &Name, record_type: RecordType) -> Option<ResponseCode> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.metadata.checking_disabled = true;
    message.add_query(Query::query(name.clone(), record_type));
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Connected: the kernel drops what comes from elsewhere.
    let socket = UdpSocket::bind((any, 0)).await.ok()?;
    socket.connect(server).await.ok()?;
    socket.send(&message.to_vec().ok()?).await.ok()?;
    let mut buffer = vec![0; LARGEST];
    loop {
        let length = socket.recv(&mut buffer).await.ok()?;
        let Some(answer) = buffer.get(..length).and_then(|bytes| Message::from_vec(bytes).ok()) else { continue };
        let is_ours = answer.metadata.id == message.metadata.id
            && answer.metadata.message_type == MessageType::Response
            && answer.metadata.op_code == OpCode::Query
            && answer.queries == message.queries;
        if is_ours {
            return Some(answer.metadata.response_code);
        }
    }
}

/// The word is not worth a longer wait.
const PATIENCE: Duration = Duration::from_secs(1);
/// Without EDNS no answer by UDP is larger (RFC 1035 §4.2.1).
const LARGEST: usize = 512;
