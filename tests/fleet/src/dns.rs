//! A small authoritative name server for tests, over UDP and TCP.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::{MX, SRV};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use crate::network::{back_off, on_fresh_network};
use zone::{Outcome, TTL, Zone, parse};

pub use hickory_proto::rr::{Record, RecordType};
pub use zone::Answer;

mod zone;

/// A name server that answers for the names set on it. Stops on drop.
///
/// Other names do not exist (NXDOMAIN), and a name has no data for types that are not set (NODATA). Names are
/// case-insensitive; the trailing dot is optional.
#[derive(Debug)]
pub struct Dns {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

impl Dns {
    /// Starts a name server without names, on the same port for UDP and TCP.
    ///
    /// # Errors
    /// The error from binding.
    pub async fn start() -> io::Result<Self> {
        Self::serve(on_fresh_network(async |network| bind(network.host(0)).await).await?)
    }

    /// As [`Dns::start`], on 127.0.0.1.
    ///
    /// # Errors
    /// The error from binding.
    pub async fn start_on_localhost() -> io::Result<Self> {
        Self::serve(on_fresh_network(async |_| bind(Ipv4Addr::LOCALHOST).await).await?)
    }

    fn serve((udp, tcp): (UdpSocket, TcpListener)) -> io::Result<Self> {
        let addr = udp.local_addr()?;
        let state = Arc::<Mutex<State>>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&state)));
        tasks.spawn(serve_tcp(tcp, Arc::clone(&state)));
        Ok(Self { addr, state, _tasks: tasks })
    }

    /// The listen address, for UDP and TCP.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sets or replaces the answer for a name and type. A CNAME set under [`RecordType::CNAME`] answers queries for every
    /// type that is not set.
    ///
    /// # Panics
    /// If `name` is not a valid domain name.
    pub fn set(&self, name: &str, record_type: RecordType, answer: Answer) {
        lock(&self.state).zone.set(name, record_type, answer);
    }

    /// Sets the A and AAAA records of a name; a family without addresses gets no records.
    pub fn set_addresses(&self, name: &str, addresses: &[IpAddr]) {
        for record_type in [RecordType::A, RecordType::AAAA] {
            self.set(name, record_type, Answer::Addresses(addresses.to_vec()));
        }
    }

    /// Sets the MX records of a domain: preference and host. A single `(0, ".")` is a null MX (RFC 7505).
    pub fn set_mx(&self, domain: &str, hosts: &[(u16, &str)]) {
        let records = hosts.iter().map(|(preference, host)| {
            let data = RData::MX(MX::new(*preference, parse(host)));
            Record::from_rdata(parse(domain), TTL, data)
        });
        self.set(domain, RecordType::MX, Answer::Records(records.collect()));
    }

    /// Sets the SRV records of a service (RFC 2782): priority, weight, port and host; the host `.` means that the service
    /// is not available.
    pub fn set_srv(&self, service: &str, locations: &[(u16, u16, u16, &str)]) {
        let records = locations.iter().map(|(priority, weight, port, host)| {
            let data = RData::SRV(SRV::new(*priority, *weight, *port, parse(host)));
            Record::from_rdata(parse(service), TTL, data)
        });
        self.set(service, RecordType::SRV, Answer::Records(records.collect()));
    }

    /// Removes a name with all its records: it no longer exists.
    pub fn clear(&self, name: &str) {
        lock(&self.state).zone.clear(name);
    }

    /// How the server treats queries with EDNS from now on.
    pub fn set_edns(&self, edns: EdnsSupport) {
        lock(&self.state).edns = edns;
    }

    /// Advances every [`Answer::Rotating`] by its step. Queries do not advance it, because clients repeat them.
    pub fn rotate(&self) {
        lock(&self.state).zone.rotate();
    }

    /// The last 65,536 queries, in order; names are in lower case without the trailing dot.
    pub fn queries(&self) -> Vec<(String, RecordType, Transport)> {
        lock(&self.state).queries.iter().cloned().collect()
    }
}

/// How a server treats queries with EDNS (RFC 6891 §7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EdnsSupport {
    /// It answers them.
    #[default]
    Full,
    /// It answers FORMERR with the question, as it should.
    FormErr,
    /// It answers FORMERR with the header alone, whose counts are those of the query.
    Header,
    /// It answers NOTIMP.
    NotImp,
    /// It answers BADVERS.
    BadVersion,
    /// A firewall drops them.
    Dropped,
}

/// The transport of a query.
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
    edns: EdnsSupport,
    queries: VecDeque<(String, RecordType, Transport)>,
}

impl State {
    /// The response to a message, if there is one.
    fn answer(&mut self, message: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let request = Message::from_vec(message).ok()?;
        let mut response = Message::response(request.metadata.id, request.metadata.op_code);
        response.metadata.recursion_desired = request.metadata.recursion_desired;
        response.metadata.recursion_available = true;
        response.metadata.authoritative = true;
        response.queries.clone_from(&request.queries);
        response.edns = request.edns.as_ref().map(|_| Edns::new());
        let [question] = request.queries.as_slice() else {
            return error_response(response, ResponseCode::FormErr);
        };
        if request.metadata.message_type != MessageType::Query || request.metadata.op_code != OpCode::Query {
            return error_response(response, ResponseCode::NotImp);
        }
        self.record_query(question, transport);
        if request.edns.is_some() && self.edns != EdnsSupport::Full {
            return self.edns.refuse(response, message);
        }
        match self.zone.answer(question.name(), question.query_type(), request.metadata.checking_disabled) {
            Outcome::NoReply => return None,
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

    fn record_query(&mut self, question: &Query, transport: Transport) {
        let name = zone::normalize(question.name());
        if self.queries.len() == MAX_QUERIES {
            self.queries.pop_front();
        }
        self.queries.push_back((name, question.query_type(), transport));
    }
}

impl EdnsSupport {
    /// The response to `message`, which has EDNS. `response` is one without records.
    fn refuse(self, mut response: Message, message: &[u8]) -> Option<Vec<u8>> {
        response.edns = None;
        match self {
            Self::Full | Self::Dropped => None,
            Self::FormErr => error_response(response, ResponseCode::FormErr),
            Self::NotImp => error_response(response, ResponseCode::NotImp),
            Self::BadVersion => {
                response.edns = Some(Edns::new());
                error_response(response, ResponseCode::BADVERS)
            }
            Self::Header => {
                let mut header = message.get(..HEADER)?.to_vec();
                // QR; the code FORMERR.
                header[2] |= 0x80;
                header[3] = 0x01;
                Some(header)
            }
        }
    }
}

fn error_response(mut response: Message, code: ResponseCode) -> Option<Vec<u8>> {
    response.metadata.response_code = code;
    response.to_vec().ok()
}

async fn bind(address: Ipv4Addr) -> io::Result<(UdpSocket, TcpListener)> {
    let udp = UdpSocket::bind((address, 0)).await?;
    let tcp = TcpListener::bind(udp.local_addr()?).await?;
    Ok((udp, tcp))
}

async fn serve_udp(socket: UdpSocket, state: Arc<Mutex<State>>) {
    let mut buffer = [0; 4096];
    loop {
        // Receiving can fail with the ICMP error for an earlier response.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let answer = lock(&state).answer(&buffer[..length], Transport::Udp);
        if let Some(answer) = answer {
            // The client may have disconnected.
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
                Err(_) => back_off().await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Answers messages with a two-byte length prefix (RFC 1035 §4.2.2) until the client closes.
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

/// Bounds memory: a name server may run for days.
const MAX_QUERIES: usize = 65_536;
/// RFC 1035 §4.1.1.
const HEADER: usize = 12;
