//! CPU time of a lookup: discovery of a host of one family in one process against bare queries in another, each by a
//! UDP socket of its own, whose answers are parsed and read. The responder runs in the parent and is not counted.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::{Name, RData};
use smtp_fleet::{Answer, Dns, RecordType};
use smtp_tls_exporter::discovery::Resolvers;
use smtp_tls_exporter::target::{
    EhloName, Endpoint, HostTarget, IpFamily, ProbeSettings, ResolverSpec, ServerName, TargetKind, TlsMode,
};
use tokio::net::UdpSocket;

mod support;

const NAMES: usize = 50;
const ROUNDS: usize = 400;
const PAIRS: usize = 5;
const AIM: f64 = 2.5;
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
const PATIENCE: Duration = Duration::from_secs(10);

fn main() {
    let args = support::arguments();
    let runtime = support::runtime();
    match args.as_slice() {
        [mode, at] => {
            let at = at.parse().expect("an address");
            let micros = match mode.as_str() {
                "ours" => runtime.block_on(ours(at)),
                _ => runtime.block_on(bare(at)),
            };
            println!("{micros}");
        }
        _ => runtime.block_on(compare()),
    }
}

async fn compare() {
    let dns = Dns::start().await.expect("a responder");
    for name in names() {
        dns.set(&name, RecordType::A, Answer::Addresses(ADDRESSES.map(IpAddr::V4).to_vec()));
    }
    let run = |mode: &str| {
        let args = [mode.to_owned(), dns.addr().to_string()];
        tokio::task::block_in_place(|| support::child(&args)).parse::<f64>().expect("a number")
    };
    let runs: Vec<(f64, f64)> = (0..PAIRS).map(|_| (run("ours"), run("bare"))).collect();
    let median = |pick: fn(&(f64, f64)) -> f64| support::median(runs.iter().map(pick).collect());
    println!(
        "lookup: ours {:.1} us, bare {:.1} us, ratio {:.2} (aim {AIM})",
        median(|run| run.0),
        median(|run| run.1),
        median(|run| run.0 / run.1),
    );
}

/// Microseconds of CPU a lookup through discovery.
async fn ours(at: SocketAddr) -> f64 {
    let spec = ResolverSpec::Listed { name_servers: vec![at], compare: false };
    let resolvers = Resolvers::new(&BTreeMap::from([("farm".into(), spec)])).expect("resolvers");
    let settings = ProbeSettings {
        interval: Duration::from_secs(60),
        timeout: PATIENCE,
        connect_timeout: PATIENCE,
        ehlo_name: EhloName::AddressLiteral,
        ip_family: IpFamily::Ipv4,
        backend_retention: Duration::from_secs(3600),
        samples: 1,
        expect_names: Vec::new(),
        trust: "mozilla".into(),
        resolver: "farm".into(),
        client_certificate: None,
        certificate_file: None,
    };
    let shared = Arc::new((resolvers, settings));
    let targets: Vec<Arc<TargetKind>> = names().map(|name| Arc::new(target(&name))).collect();
    micros_per_lookup(async || {
        let lookups = targets.iter().map(|target| {
            let (target, shared) = (Arc::clone(target), Arc::clone(&shared));
            tokio::spawn(async move {
                let (resolvers, settings) = &*shared;
                let found = resolvers.discover(&target, settings, &[], PATIENCE).await;
                assert_eq!(found.hosts.iter().map(|host| host.addresses.len()).sum::<usize>(), ADDRESSES.len());
            })
        });
        join_all(lookups).await.into_iter().collect::<Result<Vec<_>, _>>().expect("lookups");
    })
    .await
}

fn target(name: &str) -> TargetKind {
    let host = ServerName::parse(name).expect("a name");
    let endpoint = Arc::new(Endpoint { server_name: host.clone(), port: 25, tls: TlsMode::StartTls });
    TargetKind::Host(HostTarget { host, addresses: Vec::new(), endpoint })
}

/// The same for bare queries.
async fn bare(at: SocketAddr) -> f64 {
    let names: Vec<Name> = names().map(|name| Name::from_ascii(format!("{name}.")).expect("a name")).collect();
    micros_per_lookup(async || {
        let queries = names.iter().cloned().enumerate().map(|(id, name)| tokio::spawn(query(at, id, name)));
        for addresses in join_all(queries).await {
            assert_eq!(addresses.expect("a query").expect("an answer").len(), ADDRESSES.len());
        }
    })
    .await
}

async fn query(at: SocketAddr, id: usize, name: Name) -> std::io::Result<Vec<Ipv4Addr>> {
    let mut message = Message::query();
    message.metadata.id = u16::try_from(id).map_err(std::io::Error::other)?;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, RecordType::A));
    message.edns = Some(Edns::new());
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(at).await?;
    socket.send(&message.to_vec().map_err(std::io::Error::other)?).await?;
    let mut buffer = vec![0; 2048];
    let length = socket.recv(&mut buffer).await?;
    let answer = Message::from_vec(&buffer[..length]).map_err(std::io::Error::other)?;
    let addresses = answer.answers.iter().filter_map(|record| match &record.data {
        RData::A(ip) => Some(ip.0),
        _ => None,
    });
    Ok(addresses.collect())
}

/// After a first round that sets up what is set up once.
async fn micros_per_lookup(mut round: impl AsyncFnMut()) -> f64 {
    round().await;
    let begin = support::cpu_seconds();
    for _ in 0..ROUNDS {
        round().await;
    }
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let lookups = (NAMES * ROUNDS) as f64;
    (support::cpu_seconds() - begin) * 1e6 / lookups
}

fn names() -> impl Iterator<Item = String> {
    (0..NAMES).map(|n| format!("relay-{n}.example.com"))
}
