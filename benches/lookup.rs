//! CPU time per lookup: discovery of a host in one process, compared with bare queries in another, each with its own UDP
//! socket, whose answers are parsed. The name server runs in the parent process and is not counted.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::{Name, RData};
use smtp_fleet::{Answer, Dns, RecordType};
use smtp_tls_exporter::discovery::{Queries, Resolvers};
use smtp_tls_exporter::file::FileReader;
use smtp_tls_exporter::target::{IpFamily, ProbeSettings, ResolverSpec, TargetKind};
use tokio::net::UdpSocket;

mod support;

const NAMES: usize = 50;
const ROUNDS: usize = 400;
const RUNS: usize = 5;
const LIMIT: f64 = 2.5;
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
const TIMEOUT: Duration = Duration::from_secs(10);

fn main() {
    support::run(compare(), async |args| {
        let [mode, server] = args else { panic!("two arguments: {args:?}") };
        let server = server.parse().expect("an address");
        if mode == "discovery" { discovery(server).await } else { bare(server).await }
    });
}

async fn compare() {
    let dns = Dns::start().await.expect("a responder");
    for name in names() {
        dns.set(&name, RecordType::A, Answer::Addresses(ADDRESSES.map(IpAddr::V4).to_vec()));
    }
    let run = |mode: &str| support::child(&[mode.to_owned(), dns.addr().to_string()]).parse::<f64>().expect("a number");
    let runs: Vec<(f64, f64)> = (0..RUNS).map(|_| (run("discovery"), run("bare"))).collect();
    let median = |pick: fn(&(f64, f64)) -> f64| support::median(runs.iter().map(pick).collect());
    println!(
        "lookup: discovery {:.1} us, bare query {:.1} us, ratio {:.2} (limit {LIMIT})",
        median(|run| run.0),
        median(|run| run.1),
        median(|run| run.0 / run.1),
    );
}

/// Microseconds of CPU per lookup through discovery.
async fn discovery(server: SocketAddr) -> f64 {
    let spec = ResolverSpec::Listed { name_servers: vec![server], compare: false };
    let resolvers = Resolvers::new(&BTreeMap::from([("farm".into(), spec)]), &FileReader::default(), Queries::Once);
    let settings = ProbeSettings { ip_family: IpFamily::Ipv4, resolver: "farm".into(), ..ProbeSettings::default() };
    let shared = Arc::new((resolvers, settings));
    let targets: Vec<Arc<TargetKind>> = names().map(|name| Arc::new(name.parse().expect("a target"))).collect();
    micros_per_lookup(async || {
        let lookups = targets.iter().map(|target| {
            let (target, shared) = (Arc::clone(target), Arc::clone(&shared));
            tokio::spawn(async move {
                let (resolvers, settings) = &*shared;
                let found = resolvers.discover(&target, settings, &[], TIMEOUT).await.expect("no local failure");
                assert_eq!(found.hosts.iter().map(|host| host.addresses.len()).sum::<usize>(), ADDRESSES.len());
            })
        });
        join_all(lookups).await.into_iter().collect::<Result<Vec<_>, _>>().expect("lookups");
    })
    .await
}

/// The same for bare queries.
async fn bare(server: SocketAddr) -> f64 {
    let names: Vec<Name> = names().map(|name| Name::from_ascii(format!("{name}.")).expect("a name")).collect();
    micros_per_lookup(async || {
        let queries = names.iter().cloned().enumerate().map(|(id, name)| tokio::spawn(query(server, id, name)));
        for addresses in join_all(queries).await {
            assert_eq!(addresses.expect("a query").expect("an answer").len(), ADDRESSES.len());
        }
    })
    .await
}

async fn query(server: SocketAddr, id: usize, name: Name) -> std::io::Result<Vec<Ipv4Addr>> {
    let mut message = Message::query();
    message.metadata.id = u16::try_from(id).map_err(std::io::Error::other)?;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, RecordType::A));
    message.edns = Some(Edns::new());
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(server).await?;
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

/// Microseconds of CPU per lookup, after a first round of one-time set-up.
async fn micros_per_lookup(mut round: impl AsyncFnMut()) -> f64 {
    round().await;
    let start = support::cpu_seconds();
    for _ in 0..ROUNDS {
        round().await;
    }
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let lookups = (NAMES * ROUNDS) as f64;
    (support::cpu_seconds() - start) * 1e6 / lookups
}

fn names() -> impl Iterator<Item = String> {
    (0..NAMES).map(|n| format!("relay-{n}.example.com"))
}
