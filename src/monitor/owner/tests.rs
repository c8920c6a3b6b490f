use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::SystemTime;

use smtp_fleet::{Fleet, Pki, ServerSpec, Step, Termination, profiles};
use tokio::sync::oneshot::error::TryRecvError;

use super::super::once::{OneOff, OneOffError, OneOffReport, OneOffRequest};
use super::super::target_state::TargetState;
use super::super::targets::MAX_ONE_OFFS;
use super::*;
use crate::config::OneOffs;
use crate::net::ClientAddress;
use crate::target::{Allow, AllowPattern, NotAllowed};

fn owner(text: &str) -> Owner {
    let config = Config::parse(&format!("defaults: {{trust: mozilla}}\n{text}"), Path::new("config.yaml"));
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    Owner::new(config, Arc::new(SystemTime::now), FileReader::default(), Queries::Once).expect("an owner")
}

/// Runs until no job is in progress.
async fn settle(owner: &mut Owner) {
    loop {
        owner.turn();
        if owner.jobs.is_empty() {
            break;
        }
        owner.next_event().await;
    }
}

/// The sizes of all collections that hold state.
fn sizes(owner: &Owner) -> [usize; 6] {
    let [targets, names, ad_hoc, lacking_issuer] = owner.targets.sizes();
    [targets, names, ad_hoc, lacking_issuer, owner.jobs.len(), owner.admission.in_use()]
}

/// The only configured target.
fn own(owner: &Owner) -> TargetId {
    owner.targets.named(&TargetName::new("own").expect("a name")).expect("a target")
}

fn client(number: usize) -> ClientAddress {
    let last = u8::try_from(number).expect("a small number");
    IpAddr::from([198, 51, 100, last]).into()
}

type Reply = oneshot::Receiver<Result<OneOff, OneOffError>>;

/// Requests a one-off round for a client.
fn ask(owner: &mut Owner, target: &str, client: ClientAddress) -> Reply {
    let (reply, answer) = oneshot::channel();
    owner.request_one_off(OneOffRequest { kind: target.parse().expect("a target"), client, reply });
    owner.start_one_offs();
    answer
}

/// Requests a one-off round that is answered immediately.
fn begin(owner: &mut Owner, target: &str) -> Result<OneOff, OneOffError> {
    ask(owner, target, client(1)).try_recv().expect("an answer")
}

fn only(fleet: crate::snapshot::Fleet) -> Arc<TargetReport> {
    Arc::clone(fleet.targets.first().expect("a target"))
}

/// A loopback port on which nothing listens.
fn dead_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    listener.local_addr().expect("an address").port()
}

/// A target named `own` at 127.1.0.0, and permission to probe its network.
fn own_target(port: u16) -> String {
    let targets = format!("targets: [{{host: 127.1.0.0, port: {port}, addresses: [127.1.0.0], name: own}}]");
    format!("probe: {{allow: [\"127.1.0.0/16:{port}\"]}}\n{targets}")
}

#[tokio::test]
async fn finished_one_offs_leave_no_state() {
    let port = dead_port();
    // The same endpoint as that of the first one-off, so the probe is shared.
    let mut owner = owner(&own_target(port));
    settle(&mut owner).await;
    let (before, report, due) = (sizes(&owner), only(owner.targets.published.fleet()), owner.due.next());
    assert_eq!(report.counters.failures, 1, "nothing listens there");
    for batch in 0..50 {
        let mut rounds = Vec::new();
        for number in 0..20 {
            let target = format!("127.1.{batch}.{number}:{port}");
            rounds.push((begin(&mut owner, &target).expect("a round"), target));
        }
        settle(&mut owner).await;
        for (one_off, target) in rounds {
            let OneOffReport { target: report, refused, ended } = one_off.report();
            assert_eq!((report.target.name.as_str(), refused, ended), (&*target, 0, true));
            assert_eq!((report.counters.probes, report.counters.failures), (1, 1), "{target}");
        }
    }
    assert_eq!(sizes(&owner), before);
    assert_eq!(owner.due.next(), due);
    let falls_due = std::iter::from_fn(|| owner.due.pop(Instant::now() + Duration::from_secs(1 << 24))).count();
    assert_eq!(falls_due, 2, "the next round of the target and the repeated probe");
    assert!(Arc::ptr_eq(&report, &only(owner.targets.published.fleet())), "its report is unchanged");
    let own = own(&owner);
    assert_eq!(owner.targets.dedup.owners(owner.targets.backends_of(own)[0]), [own]);
}

#[tokio::test]
async fn a_one_off_shares_the_probe_of_a_target() {
    let port = dead_port();
    let mut owner = owner(&own_target(port));
    let one_off = begin(&mut owner, &format!("127.1.0.0:{port}")).expect("a round");
    owner.turn();
    // Both lookups.
    owner.next_event().await;
    owner.next_event().await;
    owner.turn();
    assert_eq!(owner.jobs.len(), 1, "both wait for the same probe");
    owner.next_event().await;
    let (one_off, own) = (one_off.report(), only(owner.targets.published.fleet()));
    assert!(one_off.ended && own.last_round.is_some(), "{own:?}");
    assert_eq!((one_off.target.counters.probes, own.counters.probes), (1, 1));
    assert_eq!(sizes(&owner), [1, 1, 0, 0, 0, 0]);
}

/// Each row of `clients` asks for so many rounds, one client after the other; `expected` is how many are started.
#[track_caller]
fn check_shares(clients: &[usize], expected: &[usize]) {
    let mut owner = owner("probe: {allow: [10.0.0.0/8]}");
    let mut replies = Vec::new();
    for (number, count) in clients.iter().enumerate() {
        let mut ask = |at| ask(&mut owner, &format!("10.0.{number}.{at}"), client(number));
        replies.push((0..*count).map(&mut ask).collect::<Vec<_>>());
    }
    let rounds: Vec<Vec<OneOff>> = replies
        .iter_mut()
        .map(|replies| replies.iter_mut().filter_map(|it| it.try_recv().ok()?.ok()).collect())
        .collect();
    assert_eq!(rounds.iter().map(Vec::len).collect::<Vec<_>>(), expected, "{clients:?}");
    assert_eq!(sizes(&owner)[2], expected.iter().sum::<usize>());
}

#[tokio::test]
async fn clients_share_the_one_off_rounds() {
    check_shares(&[100], &[24]);
    check_shares(&[100, 100, 1], &[24, 4, 1]);
    check_shares(&[1; 40], &[vec![1; MAX_ONE_OFFS], vec![0; 8]].concat());
}

#[tokio::test]
async fn requests_for_one_offs_wait_for_a_place() {
    let mut owner = owner("probe: {allow: [10.0.0.0/8]}");
    let target = |number: usize| format!("10.0.{}.{}", number / 200, number % 200);
    let mut rounds: Vec<_> = (0..24).map(|number| begin(&mut owner, &target(number)).expect("a round")).collect();
    let mut waiting: Vec<_> = (24..152).map(|number| ask(&mut owner, &target(number), client(1))).collect();
    assert!(waiting.iter_mut().all(|reply| matches!(reply.try_recv(), Err(TryRecvError::Empty))));
    assert_eq!(begin(&mut owner, &target(152)).err(), Some(OneOffError::TooMany));
    let joined = begin(&mut owner, &format!("{}:587", target(0))).expect("the one that is in progress");
    assert!(!joined.report().ended);
    // Clients that have disconnected make room in the queue, and get no round.
    waiting.drain(..127);
    let mut last = ask(&mut owner, &target(153), client(1));
    assert_eq!(owner.targets.one_off_requests.waiting(), 2);
    rounds.truncate(22);
    owner.apply_departures();
    owner.start_one_offs();
    for reply in [&mut waiting[0], &mut last] {
        rounds.push(reply.try_recv().expect("an answer").expect("a round"));
    }
    assert_eq!(sizes(&owner)[2], 24);
    // New rules apply to requests that wait, too, but not to rounds in progress.
    let mut late = ask(&mut owner, &target(154), client(1));
    owner.targets.one_offs = None;
    drop(joined);
    rounds.truncate(20);
    let refused = OneOffError::NotAllowed(NotAllowed::Nothing);
    assert_eq!(begin(&mut owner, &target(1)).err(), Some(refused.clone()));
    assert_eq!(late.try_recv().expect("an answer").err(), Some(refused));
}

/// Everything that is queued or running for a round ends with it.
#[tokio::test]
async fn a_given_up_round_leaves_nothing() {
    let port = dead_port();
    let text = format!(
        "limits: {{concurrent_probes: 1}}\n\
         resolvers: {{dead: {{nameservers: [\"127.0.0.1:{port}\"]}}}}\n\
         defaults: {{resolver: dead, trust: mozilla}}\n\
         probe: {{allow: [\"*\", \"127.1.0.0/16:{port}\"]}}"
    );
    let config = Config::parse(&text, Path::new("config.yaml")).unwrap_or_else(|error| panic!("{error}"));
    let mut owner =
        Owner::new(config, Arc::new(SystemTime::now), FileReader::default(), Queries::Once).expect("an owner");
    let before = sizes(&owner);
    drop(begin(&mut owner, "a.example").expect("a round"));
    owner.apply_departures();
    assert!(owner.lookups.pop().is_none(), "a lookup that was queued");
    let targets = ["a.example".to_owned(), format!("127.1.0.1:{port}"), format!("127.1.0.2:{port}")];
    let rounds = targets.each_ref().map(|target| begin(&mut owner, target).expect("a round"));
    let ids = targets.map(|target| owner.targets.one_off_of(&target.parse().expect("a target")).expect("a round"));
    owner.start_lookups();
    assert_eq!(owner.jobs.len(), 3);
    while ids[1..].iter().any(|id| owner.targets.backends_of(*id).is_empty()) {
        owner.next_event().await;
    }
    owner.turn();
    assert!(owner.admission.in_use() == 1 && owner.targets.dedup.len() == 2, "one is probed, and one waits");
    drop(rounds);
    owner.apply_departures();
    assert_eq!((owner.targets.dedup.len(), owner.targets.sizes()[2]), (1, 0), "only the probe that is being ended");
    settle(&mut owner).await;
    assert_eq!(sizes(&owner), before);
    assert!(owner.admission.is_unused() && owner.running_ad_hoc.is_empty());
    assert_eq!((owner.targets.dedup.len(), owner.targets.one_off_requests.waiting()), (0, 0));
}

#[tokio::test]
async fn a_queued_probe_that_a_configured_target_waits_for_is_made() {
    let port = dead_port();
    let mut owner = owner(&own_target(port));
    owner.due = DueHeap::new();
    let one_off = begin(&mut owner, &format!("127.1.0.0:{port}")).expect("a round");
    let own = own(&owner);
    owner.begin_round(own, true, Instant::now());
    // Both lookups.
    owner.next_event().await;
    owner.next_event().await;
    drop(one_off);
    owner.apply_departures();
    settle(&mut owner).await;
    let report = only(owner.targets.published.fleet());
    assert_eq!((report.counters.probes, report.counters.failures), (1, 1));
    assert_eq!(sizes(&owner), [1, 1, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_running_probe_that_a_configured_target_waits_for_goes_on() {
    let pki = Pki::new();
    let silent = profiles::terminates(&pki, Step::Connected, Termination::Stall);
    let fleet = Fleet::start(vec![silent]).await.expect("a fleet");
    let (ip, port) = (fleet.ips()[0], fleet.port());
    for is_awaited in [true, false] {
        let mut owner = owner(&format!(
            "probe: {{allow: [\"{ip}:{port}\"]}}\n\
             targets: [{{host: {ip}, port: {port}, addresses: [{ip}], name: own}}]"
        ));
        owner.due = DueHeap::new();
        let own = own(&owner);
        let one_off = begin(&mut owner, &format!("{ip}:{port}")).expect("a round");
        owner.next_event().await;
        owner.turn();
        let cancel = owner.running_ad_hoc.values().next().cloned().expect("a probe");
        if is_awaited {
            owner.begin_round(own, true, Instant::now());
            owner.next_event().await;
        }
        drop(one_off);
        owner.apply_departures();
        assert_eq!(cancel.is_cancelled(), !is_awaited);
    }
}

#[tokio::test]
async fn a_round_goes_on_while_one_client_waits() {
    let port = dead_port();
    let mut owner = owner(&format!("probe: {{allow: [\"127.1.0.0/16:{port}\"]}}"));
    let target = format!("127.1.0.1:{port}");
    let first = begin(&mut owner, &target).expect("a round");
    let second = ask(&mut owner, &target, client(2)).try_recv().expect("an answer").expect("the same round");
    drop(first);
    settle(&mut owner).await;
    assert!(second.report().ended);
    // A round that the last client has left is not joined.
    let third = begin(&mut owner, &target).expect("a round");
    drop(third);
    let fourth = begin(&mut owner, &target).expect("a round");
    settle(&mut owner).await;
    assert!(fourth.report().ended && fourth.report().target.counters.probes == 1);
    assert_eq!(sizes(&owner), [0; 6]);
}

#[tokio::test]
async fn a_reload_does_not_affect_running_one_offs() {
    let port = dead_port();
    let mut owner = owner(&format!("probe: {{allow: [\"127.1.0.0/16:{port}\"]}}"));
    let one_off = begin(&mut owner, &format!("127.1.0.1:{port}")).expect("a round");
    let other = "defaults: {trust: mozilla, resolver: other}\nresolvers: {other: {nameservers: [192.0.2.53]}}\n\
                 targets: [{host: 192.0.2.1}]";
    owner.reload(Config::parse(other, Path::new("config.yaml")).expect("a config"), true);
    // The targets of the new config are not probed here.
    owner.due = DueHeap::new();
    settle(&mut owner).await;
    let OneOffReport { target, ended, .. } = one_off.report();
    assert!(ended && target.endpoints[0].backends[0].probe.is_some(), "{target:?}");
    assert_eq!(sizes(&owner)[..2], [1, 1]);
}

/// A fleet, and an owner whose only target has its servers; `keys` are added to the configuration.
async fn with_fleet(pki: &Pki, specs: Vec<ServerSpec>, keys: &str) -> (Fleet, Owner, tempfile::TempDir) {
    let fleet = Fleet::start(specs).await.expect("a fleet");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("root.pem"), pki.root_pem()).expect("a file");
    let (port, addresses) = (fleet.port(), fleet.ips());
    let text = format!(
        "trust_stores: {{test: {{roots: none, files: [root.pem]}}}}\n{keys}\n\
         targets: [{{host: smtp.example.com, port: {port}, addresses: {addresses:?}, name: own, trust: test}}]"
    );
    let config = Config::parse(&text, &folder.path().join("config.yaml")).unwrap_or_else(|error| panic!("{error}"));
    let owner = Owner::new(config, Arc::new(SystemTime::now), FileReader::default(), Queries::Once).expect("an owner");
    (fleet, owner, folder)
}

/// A configuration for the fleet of [`with_fleet`] that trusts `root`.
fn trusting(fleet: &Fleet, root: &str, folder: &Path) -> Config {
    std::fs::write(folder.join("other.pem"), root).expect("a file");
    let (port, addresses) = (fleet.port(), fleet.ips());
    let text = format!(
        "trust_stores: {{test: {{roots: none, files: [other.pem]}}}}\n\
         targets: [{{host: smtp.example.com, port: {port}, addresses: {addresses:?}, name: own, trust: test}}]"
    );
    Config::parse(&text, &folder.join("config.yaml")).unwrap_or_else(|error| panic!("{error}"))
}

fn trusted(owner: &Owner) -> Vec<Option<bool>> {
    let report = only(owner.targets.published.fleet());
    let last = report.backends().filter_map(|backend| backend.last_certificate.as_ref());
    last.map(|last| last.assessment.trusted()).collect()
}

/// Verdicts may take seconds, so the owner never computes them.
#[tokio::test]
async fn a_reload_leaves_the_verdicts_to_workers() {
    let pki = Pki::new();
    let specs = vec![profiles::good(&pki), profiles::alias_missing(&pki)];
    let (fleet, mut owner, folder) = with_fleet(&pki, specs, "").await;
    settle(&mut owner).await;
    assert_eq!(trusted(&owner), [Some(true), Some(true)]);
    owner.reload(trusting(&fleet, &pki.untrusted_root_pem(), folder.path()), true);
    assert_eq!(trusted(&owner), [Some(true), Some(true)], "the last verdicts until there are others");
    assert!(owner.verdicts.oldest().is_some());
    // Another reload before they are computed: the verdicts of the last one remain.
    owner.turn();
    owner.reload(trusting(&fleet, &pki.root_pem(), folder.path()), true);
    settle(&mut owner).await;
    assert_eq!(trusted(&owner), [Some(true), Some(true)]);
    owner.reload(trusting(&fleet, &pki.untrusted_root_pem(), folder.path()), true);
    settle(&mut owner).await;
    assert_eq!(trusted(&owner), [Some(false), Some(false)]);
    assert_eq!(fleet.servers()[0].accepted(), 1, "nothing is probed again");
}

#[tokio::test]
async fn a_probe_that_waits_for_its_verdicts_holds_no_permit_and_counts_as_lag() {
    let pki = Pki::new();
    let (_fleet, mut owner, _folder) = with_fleet(&pki, vec![profiles::good(&pki)], "").await;
    // As if all threads were busy.
    owner.verdicts.set_all_threads_busy(true);
    settle(&mut owner).await;
    assert_eq!((owner.admission.in_use(), owner.jobs.len()), (0, 0));
    let (before, lag) = (trusted(&owner), owner.targets.published.fleet().exporter.schedule_lag);
    assert!(before.is_empty() && lag > Duration::ZERO, "{before:?} {lag:?}");
    owner.verdicts.set_all_threads_busy(false);
    settle(&mut owner).await;
    assert_eq!(trusted(&owner), [Some(true)]);
    assert_eq!(owner.targets.published.fleet().exporter.schedule_lag, Duration::ZERO);
}

/// The share of one-off probes is taken by a server that does not reply; a configured target does not wait for it.
#[tokio::test]
async fn a_configured_target_lifts_the_probe_of_a_one_off() {
    let pki = Pki::new();
    let silent = profiles::terminates(&pki, Step::Connected, Termination::Stall);
    let (fleet, mut owner, _folder) =
        with_fleet(&pki, vec![profiles::good(&pki)], "limits: {concurrent_probes: 4}\nprobe: {allow: [10.0.0.0/8]}")
            .await;
    let silent = Fleet::start(vec![silent]).await.expect("a fleet");
    owner.due = DueHeap::new();
    let addresses = [silent.addrs(), fleet.addrs()].concat();
    let patterns = addresses.iter().map(|address| address.to_string().parse::<AllowPattern>().expect("a pattern"));
    let allow = Allow::new(patterns);
    let one_offs = owner.targets.one_offs.as_deref().cloned();
    owner.targets.one_offs = one_offs.map(|one_offs| Arc::new(OneOffs { allow, ..one_offs }));
    let waiting = begin(&mut owner, &silent.addrs()[0].to_string()).expect("a round");
    while owner.admission.in_use() == 0 {
        owner.turn();
        if owner.admission.in_use() == 0 {
            owner.next_event().await;
        }
    }
    let shared = begin(&mut owner, &fleet.addrs()[0].to_string()).expect("a round");
    owner.turn();
    owner.next_event().await;
    owner.turn();
    assert_eq!(owner.admission.in_use(), 1, "the share of one-off probes is taken");
    let own = own(&owner);
    owner.begin_round(own, false, Instant::now());
    while owner.targets.get(own).is_some_and(TargetState::is_new) {
        owner.turn();
        owner.next_event().await;
    }
    assert!(!waiting.report().ended);
    assert_eq!(fleet.servers()[0].accepted(), if shared.report().ended { 2 } else { 1 });
}

#[tokio::test]
async fn a_failed_lookup_is_repeated_within_a_minute() {
    let port = dead_port();
    let mut owner = owner(&format!(
        "resolvers: {{dead: {{nameservers: [\"127.0.0.1:{port}\"]}}}}\n\
         targets: [{{host: a.example.com, resolver: dead, interval: 1h, name: own}}]"
    ));
    owner.turn();
    settle(&mut owner).await;
    let lookup = only(owner.targets.published.fleet()).lookup.clone().expect("a lookup");
    assert!(!lookup.success);
    let next = owner.due.next().expect("the repetition");
    assert!(next <= Instant::now() + Duration::from_secs(60), "{:?}", next.duration_since(Instant::now()));
    assert!(matches!(owner.due.pop(next), Some((_, Due::Lookup(_)))));
}
