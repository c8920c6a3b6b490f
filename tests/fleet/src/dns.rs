//! A small name server for tests, over UDP and TCP.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::{MX, SRV};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use crate::network::{breathe, on_fresh_network};
use zone::{Outcome, TTL, Zone, parse};

pub use hickory_proto::rr::{Record, RecordType};
pub use zone::Answer;

mod zone;

/// A name server of one zone that holds whatever names are set. Ends on drop.
///
/// A name that is not set does not exist; a name that is set has nothing of any other type. Names are
/// case-insensitive, with or without the last dot.
#[derive(Debug)]
pub struct Dns {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

impl Dns {
    /// Starts an empty one, on one port for UDP and TCP.
    ///
    /// # Errors
    /// Whatever the kernel says to binding.
    pub async fn start() -> io::Result<Self> {
        let (udp, tcp) = on_fresh_network(async |network| {
            let udp = UdpSocket::bind((network.host(0), 0)).await?;
            let tcp = TcpListener::bind(udp.local_addr()?).await?;
            Ok((udp, tcp))
        })
        .await?;
        let addr = udp.local_addr()?;
        let state = Arc::<Mutex<State>>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&state)));
        tasks.spawn(serve_tcp(tcp, Arc::clone(&state)));
        Ok(Self { addr, state, _tasks: tasks })
    }

    /// Where it answers, over UDP and TCP.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sets what is answered to a name and type, in place of what was. A CNAME set under
    /// [`RecordType::CNAME`] answers every type that is not set.
    ///
    /// # Panics
    /// Where the name is none.
    pub fn set(&self, name: &str, record_type: RecordType, answer: Answer) {
        lock(&self.state).zone.set(name, record_type, answer);
    }

    /// Sets a name's A and AAAA records; a family without addresses has none.
    pub fn set_addresses(&self, name: &str, addresses: &[IpAddr]) {
        for record_type in [RecordType::A, RecordType::AAAA] {
            self.set(name, record_type, Answer::Addresses(addresses.to_vec()));
        }
    }

    /// Sets a domain's mail exchangers: preference and host. `(0, ".")` alone is the null MX (RFC 7505).
    pub fn set_mx(&self, domain: &str, hosts: &[(u16, &str)]) {
        let records = hosts.iter().map(|(preference, host)| {
            let data = RData::MX(MX::new(*preference, parse(host)));
            Record::from_rdata(parse(domain), TTL, data)
        });
        self.set(domain, RecordType::MX, Answer::Records(records.collect()));
    }

    /// Sets a service's locations (RFC 2782): priority, weight, port and host; the host `.` says that there is none.
    pub fn set_srv(&self, service: &str, locations: &[(u16, u16, u16, &str)]) {
        let records = locations.iter().map(|(priority, weight, port, host)| {
            let data = RData::SRV(SRV::new(*priority, *weight, *port, parse(host)));
            Record::from_rdata(parse(service), TTL, data)
        });
        self.set(service, RecordType::SRV, Answer::Records(records.collect()));
    }

    /// Forgets a name and all its types: it does not exist from now on.
    pub fn clear(&self, name: &str) {
        lock(&self.state).zone.clear(name);
    }

    /// Moves every [`Answer::Rotating`] on by its step. Queries never do: clients repeat them.
    pub fn rotate(&self) {
        lock(&self.state).zone.rotate();
    }

    /// The last 65,536 questions, in order: names in lower case without the last dot.
    pub fn queries(&self) -> Vec<(String, RecordType, Transport)> {
        lock(&self.state).queries.iter().cloned().collect()
    }
}

/// What a question came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP (RFC 7766).
    Tcp,
}

#[derive(Debug, Default)]
struct State {
    zone: Zone,
    queries: VecDeque<(String, RecordType, Transport)>,
}

impl State {
    /// The answer to a message, if it gets one.
    fn answer(&mut self, message: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let request = Message::from_vec(message).ok()?;
        let mut response = Message::response(request.metadata.id, request.metadata.op_code);
        response.metadata.recursion_desired = request.metadata.recursion_desired;
        response.metadata.recursion_available = true;
        response.metadata.authoritative = true;
        response.queries.clone_from(&request.queries);
        response.edns = request.edns.as_ref().map(|_| Edns::new());
        let [question] = request.queries.as_slice() else {
            return refuse(response, ResponseCode::FormErr);
        };
        if request.metadata.message_type != MessageType::Query || request.metadata.op_code != OpCode::Query {
            return refuse(response, ResponseCode::NotImp);
        }
        self.note(question, transport);
        match self.zone.answer(question.name(), question.query_type(), request.metadata.checking_disabled) {
            Outcome::Silence => return None,
            Outcome::Reply(reply) => {
                response.metadata.response_code = reply.code;
                response.metadata.truncation = reply.over_tcp_only;
                response.answers = reply.answers;
                response.authorities = reply.authorities;
            }
        }
        let too_long = |bytes: &Vec<u8>| bytes.len() > usize::from(request.max_payload());
        let whole = response.to_vec().ok()?;
        match transport {
            Transport::Udp if response.metadata.truncation || too_long(&whole) => response.truncate().to_vec().ok(),
            Transport::Tcp if response.metadata.truncation => {
                response.metadata.truncation = false;
                response.to_vec().ok()
            }
            _ => Some(whole),
        }
    }

    fn note(&mut self, question: &Query, transport: Transport) {
        let name = zone::key(question.name());
        if self.queries.len() == KEPT {
            self.queries.pop_front();
        }
        self.queries.push_back((name, question.query_type(), transport));
    }
}

fn refuse(mut response: Message, code: ResponseCode) -> Option<Vec<u8>> {
    response.metadata.response_code = code;
    response.to_vec().ok()
}

async fn serve_udp(socket: UdpSocket, state: Arc<Mutex<State>>) {
    let mut buffer = [0; 4096];
    loop {
        // An ICMP error of an earlier answer, where reading fails.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let answer = lock(&state).answer(&buffer[..length], Transport::Udp);
        if let Some(answer) = answer {
            // A client that is gone has no use for its answer.
            let _ = socket.send_to(&answer, client).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(answer_tcp(stream, Arc::clone(&state)));
                }
                Err(_) => breathe().await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Until the client ends: messages after their lengths in two octets (RFC 1035 §4.2.2).
async fn answer_tcp(mut stream: TcpStream, state: Arc<Mutex<State>>) -> io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut message = vec![0; length.into()];
        stream.read_exact(&mut message).await?;
        let answer = lock(&state).answer(&message, Transport::Tcp);
        if let Some(answer) = answer {
            let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
            let framed = [length.to_be_bytes().as_slice(), &answer].concat();
            stream.write_all(&framed).await?;
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name server may stand for days.
const KEPT: usize = 65_536;
