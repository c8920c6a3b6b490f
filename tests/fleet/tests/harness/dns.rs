//! Tests of the name server, with raw messages over both transports.

use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A as A4;
use hickory_proto::rr::{Name, RData, RecordType};
use smtp_fleet::{Answer, Dns, EdnsSupport, Record, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Sends a query; `None` if there is no response.
async fn query(dns: &Dns, name: &str, kind: RecordType, over: Transport) -> Option<Message> {
    let limit = match name {
        "unanswered.test." => Duration::from_millis(100),
        _ => Duration::from_secs(20),
    };
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_str_relaxed(name).unwrap(), kind));
    let message = message.to_vec().unwrap();
    let answer = match over {
        Transport::Udp => {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            socket.send_to(&message, dns.addr()).await.unwrap();
            let mut buffer = [0; 4096];
            let received = timeout(limit, socket.recv(&mut buffer)).await;
            buffer[..received.ok()?.unwrap()].to_vec()
        }
        Transport::Tcp => {
            let mut stream = TcpStream::connect(dns.addr()).await.unwrap();
            stream.write_u16(message.len() as u16).await.unwrap();
            stream.write_all(&message).await.unwrap();
            let length = timeout(limit, stream.read_u16()).await.ok()?.unwrap();
            let mut buffer = vec![0; length.into()];
            stream.read_exact(&mut buffer).await.unwrap();
            buffer
        }
    };
    let answer = Message::from_vec(&answer).unwrap();
    assert_eq!(answer.metadata.id, 4711);
    assert_eq!(answer.queries.len(), 1);
    Some(answer)
}

/// Checks the response over both transports, in short form: response code, `TC`, `SOA`, and the record data.
async fn check(dns: &Dns, name: &str, kind: RecordType, udp: &str, tcp: &str) {
    for (over, expected) in [(Transport::Udp, udp), (Transport::Tcp, tcp)] {
        let answer = query(dns, name, kind, over).await;
        assert_eq!(answer.map_or_else(|| "no reply".to_owned(), summary), expected, "{name} {kind} {over:?}");
    }
}

fn summary(answer: Message) -> String {
    let mut words = vec![match answer.metadata.response_code {
        ResponseCode::NoError => "ok".to_owned(),
        code => format!("{code:?}"),
    }];
    if answer.metadata.truncation {
        words.push("TC".to_owned());
    }
    if answer.authorities.iter().any(|record| record.record_type() == RecordType::SOA) {
        words.push("SOA".to_owned());
    }
    words.extend(answer.answers.iter().map(|record| record.data.to_string()));
    words.join(" ")
}

#[tokio::test]
async fn gives_every_kind_of_answer() {
    let dns = Dns::start().await.unwrap();
    let one = ips(&["192.0.2.1"]);
    dns.set_addresses("both.test.", &ips(&["192.0.2.1", "2001:db8::1"]));
    dns.set("v4.test", A, Answer::Addresses(one.clone()));
    dns.set("alias.test", CNAME, Answer::Cname("Alias2.test".to_owned()));
    dns.set("alias2.test", CNAME, Answer::Cname("v4.test".to_owned()));
    dns.set("bare.test", CNAME, Answer::CnameOnly("v4.test".to_owned()));
    dns.set("abroad.test", CNAME, Answer::Cname("elsewhere.example".to_owned()));
    dns.set("loop.test", CNAME, Answer::Cname("loop.test".to_owned()));
    dns.set("gone.test", A, Answer::NxDomain);
    dns.set("empty.test", A, Answer::NoData);
    dns.set("broken.test", A, Answer::ServFail);
    dns.set("closed.test", A, Answer::Refused);
    dns.set("old.test", A, Answer::FormErr);
    dns.set("old.test", AAAA, Answer::NotImp);
    dns.set("unanswered.test", A, Answer::NoReply);
    dns.set("long.test", A, Answer::Truncated(one));
    let many: Vec<_> = (0..100).map(|host| IpAddr::from([192, 0, 2, host])).collect();
    dns.set("many.test", A, Answer::Rotating { all: many, shown: 100, step: 0 });
    dns.set_mx("mail_x.test", &[(10, "a.test"), (20, "b.test.")]);
    dns.set_mx("null.test", &[(0, ".")]);
    dns.set_srv("_submissions._tcp.test", &[(0, 1, 465, "v4.test")]);
    let foreign = Record::from_rdata(Name::from_ascii("evil.example.").unwrap(), 60, RData::A(A4::new(203, 0, 113, 1)));
    dns.set("foreign.test", A, Answer::Records(vec![foreign]));

    let same = async |name: &str, kind, expected: &str| {
        check(&dns, name, kind, expected, expected).await;
    };
    same("both.test.", A, "ok 192.0.2.1").await;
    same("BoTh.TeSt.", AAAA, "ok 2001:db8::1").await;
    same("v4.test.", AAAA, "ok SOA").await;
    same("unknown.test.", A, "NXDomain SOA").await;
    same("alias.test.", A, "ok alias2.test. v4.test. 192.0.2.1").await;
    same("alias.test.", AAAA, "ok SOA alias2.test. v4.test.").await;
    same("alias.test.", CNAME, "ok alias2.test.").await;
    same("bare.test.", A, "ok v4.test.").await;
    same("abroad.test.", A, "ok elsewhere.example.").await;
    same("gone.test.", A, "NXDomain SOA").await;
    same("empty.test.", A, "ok SOA").await;
    same("broken.test.", A, "ServFail").await;
    same("closed.test.", A, "Refused").await;
    same("old.test.", A, "FormErr").await;
    same("old.test.", AAAA, "NotImp").await;
    same("unanswered.test.", A, "no reply").await;
    check(&dns, "long.test.", A, "ok TC", "ok 192.0.2.1").await;
    same("mail_x.test.", MX, "ok 10 a.test. 20 b.test.").await;
    same("null.test.", MX, "ok 0 .").await;
    same("_submissions._tcp.test.", SRV, "ok 0 1 465 v4.test.").await;
    same("foreign.test.", A, "ok 203.0.113.1").await;

    let looped = query(&dns, "loop.test.", A, Transport::Udp).await.unwrap();
    assert!(looped.answers.len() > 1);
    let cut = query(&dns, "many.test.", A, Transport::Udp).await.unwrap();
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    let whole = query(&dns, "many.test.", A, Transport::Tcp).await.unwrap();
    assert_eq!(whole.answers.len(), 100);

    assert_eq!(
        dns.queries()[..4],
        [
            ("both.test".to_owned(), A, Transport::Udp),
            ("both.test".to_owned(), A, Transport::Tcp),
            ("both.test".to_owned(), AAAA, Transport::Udp),
            ("both.test".to_owned(), AAAA, Transport::Tcp),
        ]
    );
    dns.clear("V4.test");
    check(&dns, "v4.test.", A, "NXDomain SOA", "NXDomain SOA").await;
}

#[tokio::test]
async fn rotates_the_order_with_queries_and_the_pool_on_request() {
    let dns = Dns::start().await.unwrap();
    let all = ips(&["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    dns.set("robin.test", A, Answer::Addresses(all.clone()));
    check(&dns, "robin.test.", A, "ok 192.0.2.1 192.0.2.2 192.0.2.3", "ok 192.0.2.2 192.0.2.3 192.0.2.1").await;
    dns.set("pool.test", A, Answer::Rotating { all, shown: 2, step: 2 });
    for expected in ["ok 192.0.2.1 192.0.2.2", "ok 192.0.2.3 192.0.2.1", "ok 192.0.2.2 192.0.2.3"] {
        check(&dns, "pool.test.", A, expected, expected).await;
        dns.rotate();
    }
}

#[tokio::test]
async fn answers_in_turns_with_each_query() {
    let dns = Dns::start_on_localhost().await.unwrap();
    assert_eq!(dns.addr().ip(), IpAddr::from([127, 0, 0, 1]));
    let sets = vec![ips(&["192.0.2.1"]), ips(&["192.0.2.2", "2001:db8::1"]), vec![]];
    dns.set("turns.test", A, Answer::InTurns(sets));
    check(&dns, "turns.test.", A, "ok 192.0.2.1", "ok 192.0.2.2").await;
    check(&dns, "turns.test.", A, "ok SOA", "ok 192.0.2.1").await;
}

#[tokio::test]
async fn treats_queries_with_edns_as_set() {
    use ResponseCode::{BADSIG, FormErr, NoError, NotImp};
    let dns = Dns::start().await.unwrap();
    dns.set("a.test", A, Answer::NoData);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(dns.addr()).await.unwrap();
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_str_relaxed("a.test.").unwrap(), A));
    message.set_edns(Edns::new());
    let message = message.to_vec().unwrap();
    // BADVERS and BADSIG have the same code.
    for (edns, expected) in [
        (EdnsSupport::Full, NoError),
        (EdnsSupport::FormErr, FormErr),
        (EdnsSupport::NotImp, NotImp),
        (EdnsSupport::BadVersion, BADSIG),
    ] {
        dns.set_edns(edns);
        socket.send(&message).await.unwrap();
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).await.unwrap();
        let code = Message::from_vec(&buffer[..length]).unwrap().metadata.response_code;
        assert_eq!(code, expected, "{edns:?}");
    }
    dns.set_edns(EdnsSupport::Header);
    socket.send(&message).await.unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).await.unwrap();
    assert_eq!((length, &buffer[..2], buffer[3]), (12, &message[..2], 1));
    dns.set_edns(EdnsSupport::Dropped);
    socket.send(&message).await.unwrap();
    assert!(timeout(Duration::from_millis(100), socket.recv(&mut buffer)).await.is_err());
    // Queries without EDNS are answered.
    check(&dns, "a.test.", A, "ok SOA", "ok SOA").await;
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

const A: RecordType = RecordType::A;
const AAAA: RecordType = RecordType::AAAA;
const CNAME: RecordType = RecordType::CNAME;
const MX: RecordType = RecordType::MX;
const SRV: RecordType = RecordType::SRV;
