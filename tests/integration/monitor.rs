//! Rounds: what is published when, what stays while a server fails, what a slow one may cost the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use smtp_fleet::{Answer, CertSpec, Dns, Fleet, Pki, RecordType, ServerSpec, TlsMode, profiles};
use smtp_tls_exporter::reason::{ChainReason, LookupReason, NameReason, ProbeReason, Stage};
use smtp_tls_exporter::snapshot::TargetReport;
use smtp_tls_exporter::verdict::NameVerdict;

use crate::support::{Environment, Running, backend, target, until};

/// The counts that tell of the intermittent failure.
fn counts(report: impl AsRef<TargetReport>) -> (usize, usize, usize, usize) {
    let backends: Vec<_> = report
        .as_ref()
        .endpoints
        .iter()
        .flat_map(|endpoint| &endpoint.backends)
        .filter(|backend| backend.resolved)
        .collect();
    let matching = |wanted| backends.iter().filter(|backend| backend.name_matches() == Some(wanted)).count();
    let reachable = backends.iter().filter(|backend| backend.is_reachable()).count();
    (backends.len(), reachable, matching(true), matching(false))
}

/// A config of one target whose name the responder resolves.
fn resolved(env: &Environment, dns: &Dns, host: &str, port: u16, defaults: &str) -> smtp_tls_exporter::config::Config {
    let resolvers = format!("resolvers: {{test: {{nameservers: [\"{}\"]}}}}", dns.addr());
    let defaults = format!("resolver: test, {defaults}");
    env.config(&Environment::yaml(&defaults, &resolvers, &[format!("{{host: {host}, port: {port}, name: relay}}")]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_classic_case_is_seen_on_every_backend() {
    let pki = Pki::new();
    let specs = vec![profiles::good(&pki), profiles::alias_missing(&pki), profiles::alias_missing(&pki)];
    let fleet = Fleet::start(specs).await.expect("a fleet");
    let dns = Dns::start().await.expect("a responder");
    dns.set_addresses(profiles::ALIAS, &fleet.ips());
    let env = Environment::new(&pki);
    let running = Running::start(resolved(&env, &dns, profiles::ALIAS, fleet.port(), "interval: 60s"));
    let report = running.round("relay").await;
    assert_eq!(counts(&report), (3, 3, 1, 2));
    for (server, expected) in fleet.servers().iter().zip([
        NameVerdict::Match,
        NameVerdict::Mismatch(NameReason::NotListed),
        NameVerdict::Mismatch(NameReason::NotListed),
    ]) {
        let report = backend(&report, server.addr());
        let last = report.last_certificate.as_ref().expect("a certificate");
        assert_eq!(last.assessment.name, Some(expected), "{}", server.addr());
        assert_eq!(last.assessment.proof, Some(true), "{}", server.addr());
        assert_eq!(last.assessment.trusted(), Some(true), "{}", server.addr());
        assert_eq!(last.assessment.valid(SystemTime::now()), Some(true), "{}", server.addr());
    }
    let lookup = report.lookup.as_ref().expect("a lookup");
    assert!(lookup.success, "no AAAA is as it should be: {lookup:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verdicts_hide_nothing_from_each_other() {
    let pki = Pki::new();
    let kinds: [(&str, ServerSpec); 9] = [
        ("good", profiles::good(&pki)),
        ("expired", profiles::expired(&pki)),
        ("not_yet_valid", profiles::not_yet_valid(&pki)),
        ("self_signed", profiles::self_signed(&pki)),
        ("missing_intermediate", profiles::missing_intermediate(&pki)),
        ("untrusted", profiles::untrusted(&pki)),
        ("crowded", {
            let identity = pki.issue(&CertSpec::valid_for(&[profiles::ALIAS]));
            let leaf = identity.leaf_der().clone();
            let crowd = std::iter::repeat_n(pki.root_der(), 40);
            ServerSpec::new(identity.with_chain(std::iter::once(leaf).chain(crowd).collect()))
        }),
        ("expired_and_other_name", {
            let spec = CertSpec::valid_for(&["mail.example.com"]).with_validity(-90 * 86_400, -86_400);
            ServerSpec::new(pki.issue(&spec))
        }),
        ("expired_without_intermediate", {
            let spec = CertSpec::valid_for(&[profiles::ALIAS]).with_validity(-90 * 86_400, -86_400);
            ServerSpec::new(pki.issue(&spec.with_presented(smtp_fleet::Presented::LeafOnly)))
        }),
    ];
    let fleet = Fleet::start(kinds.iter().map(|(_, spec)| spec.clone()).collect()).await.expect("a fleet");
    let env = Environment::new(&pki);
    let text = Environment::yaml(
        "interval: 60s",
        "",
        &[target("all", profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips())],
    );
    let running = Running::start(env.config(&text));
    let report = running.round("all").await;
    let now = SystemTime::now();
    for ((kind, _), server) in kinds.iter().zip(fleet.servers()) {
        use ChainReason::{Expired, MissingIntermediate, NotYetValid, SelfSigned, UnknownIssuer};
        let (name, trusted, valid, reasons): (bool, _, _, &[ChainReason]) = match *kind {
            "good" => (true, true, true, &[]),
            "expired" => (true, true, false, &[Expired]),
            "not_yet_valid" => (true, true, false, &[NotYetValid]),
            "self_signed" => (true, false, false, &[SelfSigned]),
            // The others present it. Any number of roots sent in its place hides nothing.
            "missing_intermediate" | "crowded" => (true, false, false, &[MissingIntermediate]),
            "untrusted" => (true, false, false, &[UnknownIssuer]),
            "expired_and_other_name" => (false, true, false, &[Expired]),
            "expired_without_intermediate" => (true, false, false, &[Expired, MissingIntermediate]),
            other => panic!("{other}"),
        };
        let report = backend(&report, server.addr());
        assert!(report.is_reachable(), "{kind}: a bad certificate is data, not an error");
        let assessment = &report.last_certificate.as_ref().expect("a certificate").assessment;
        assert_eq!(assessment.name.map(|name| name.is_match()), Some(name), "{kind}: name");
        assert_eq!(assessment.trusted(), Some(trusted), "{kind}: trusted");
        assert_eq!(assessment.valid(now), Some(valid), "{kind}: valid");
        assert_eq!(assessment.reasons(now).iter().collect::<Vec<_>>(), reasons, "{kind}: reasons");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn facts_outlive_a_failure_and_are_judged_against_the_clock() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki)]).await.expect("a fleet");
    let env = Environment::new(&pki);
    let text = Environment::yaml(
        "interval: 60s",
        "",
        &[target("one", profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips())],
    );
    let ahead = Arc::new(AtomicI64::new(0));
    let clock = {
        let ahead = Arc::clone(&ahead);
        Arc::new(move || SystemTime::now() + Duration::from_secs(ahead.load(Ordering::SeqCst).unsigned_abs()))
    };
    let running = Running::start_at(env.config(&text), clock);
    let server = &fleet.servers()[0];
    running.round("one").await;
    server.stop().await;
    let report = running.round("one").await;
    let seen = backend(&report, server.addr());
    let probe = seen.probe.as_ref().expect("a probe");
    let failure = probe.outcome.as_ref().expect_err("a failure");
    assert_eq!((failure.stage, failure.reason), (Stage::Connect, ProbeReason::Refused));
    assert_eq!(probe.consecutive_failures, 1);
    assert_eq!(seen.name_matches(), Some(true), "last");
    let last = seen.last_certificate.as_ref().expect("last");
    assert_eq!(last.assessment.valid(SystemTime::now()), Some(true));
    let later = SystemTime::now() + Duration::from_secs(100 * 86_400);
    assert_eq!(last.assessment.valid(later), Some(false), "the same report, read in a hundred days");
    assert!(last.assessment.reasons(later).contains(ChainReason::Expired));

    server.start().await.expect("the server comes back");
    ahead.store(100 * 86_400, Ordering::SeqCst);
    let report = running.round("one").await;
    let seen = backend(&report, server.addr());
    assert_eq!(seen.probe.as_ref().map(|probe| probe.consecutive_failures), Some(0));
    let last = seen.last_certificate.as_ref().expect("last");
    assert_eq!(last.assessment.valid(later), Some(false), "the certificate has crossed its date");
    assert_eq!(report.counters.probes, 3);
    assert_eq!(report.counters.failures, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_certificate_shows_and_both_are_counted() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::alias_missing(&pki)]).await.expect("a fleet");
    let env = Environment::new(&pki);
    let text = Environment::yaml(
        "interval: 60s",
        "",
        &[target("one", profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips())],
    );
    let running = Running::start(env.config(&text));
    let server = &fleet.servers()[0];
    let before = backend(running.round("one").await, server.addr());
    server.replace(profiles::good(&pki));
    let after = backend(running.round("one").await, server.addr());
    assert_eq!((before.name_matches(), after.name_matches()), (Some(false), Some(true)));
    let distinct = |report: &smtp_tls_exporter::snapshot::BackendReport| {
        report.last_certificate.as_ref().map(|last| last.distinct)
    };
    assert_eq!((distinct(&before), distinct(&after)), (Some(1), Some(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lookups_that_fail_keep_the_backends_and_say_so() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki), profiles::good(&pki)]).await.expect("a fleet");
    let dns = Dns::start().await.expect("a responder");
    dns.set_addresses(profiles::ALIAS, &fleet.ips());
    let env = Environment::new(&pki);
    let running = Running::start(resolved(&env, &dns, profiles::ALIAS, fleet.port(), "interval: 60s"));
    assert_eq!(counts(running.round("relay").await), (2, 2, 2, 0));

    for (answer, reason) in [
        (Answer::ServFail, LookupReason::ServFail),
        (Answer::NxDomain, LookupReason::NxDomain),
        (Answer::Refused, LookupReason::ServFail),
        (Answer::NoData, LookupReason::NoData),
    ] {
        dns.set(profiles::ALIAS, RecordType::A, answer.clone());
        dns.set(profiles::ALIAS, RecordType::AAAA, answer.clone());
        let report = running.round("relay").await;
        assert_eq!(counts(&report), (2, 2, 2, 0), "{answer:?}");
        let lookup = report.lookup.as_ref().expect("a lookup");
        assert!(!lookup.success, "{answer:?}");
        let failures: Vec<_> = lookup.failures.iter().map(|failure| (failure.record_type, failure.reason)).collect();
        assert_eq!(failures, [("A", reason), ("AAAA", reason)], "{answer:?}");
    }

    // One family fails: the other's answer counts, and the failure is told.
    dns.set_addresses(profiles::ALIAS, &fleet.ips());
    dns.set(profiles::ALIAS, RecordType::AAAA, Answer::ServFail);
    let report = running.round("relay").await;
    assert_eq!(counts(&report), (2, 2, 2, 0));
    let lookup = report.lookup.as_ref().expect("a lookup");
    let failures: Vec<_> = lookup.failures.iter().map(|failure| (failure.record_type, failure.reason)).collect();
    assert_eq!(failures, [("AAAA", LookupReason::ServFail)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_leaves_the_answer_leaves_the_counts() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki), profiles::alias_missing(&pki)]).await.expect("a fleet");
    let dns = Dns::start().await.expect("a responder");
    dns.set_addresses(profiles::ALIAS, &fleet.ips());
    let env = Environment::new(&pki);
    let running = Running::start(resolved(&env, &dns, profiles::ALIAS, fleet.port(), "interval: 60s"));
    assert_eq!(counts(running.round("relay").await), (2, 2, 1, 1));
    dns.set_addresses(profiles::ALIAS, &fleet.ips()[..1]);
    for expected in [(2, 2, 1, 1), (2, 2, 1, 1), (1, 1, 1, 0)] {
        assert_eq!(counts(running.round("relay").await), expected);
    }
    let gone = fleet.servers()[1].addr();
    let report = running.round("relay").await;
    assert!(!backend(&report, gone).resolved, "still watched, not counted");
    fleet.servers()[1].stop().await;
    running.round("relay").await;
    let report = running.round("relay").await;
    let left: Vec<_> = report.endpoints[0].backends.iter().map(|backend| backend.backend.socket_addr()).collect();
    assert_eq!(left, [fleet.servers()[0].addr()], "a server that was retired is dropped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_backend_hides_no_other() {
    let pki = Pki::new();
    let (slow, quick) = (profiles::slow_greeting(&pki, Duration::from_secs(600)), profiles::good(&pki));
    let fleet = Fleet::start(vec![slow, quick]).await.expect("a fleet");
    let env = Environment::new(&pki);
    let text = Environment::yaml(
        "interval: 60s",
        "",
        &[target("both", profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips())],
    );
    let running = Running::start(env.config(&text));
    fleet.servers()[1].wait_sessions(1).await;
    fleet.servers()[0].wait_accepted(1).await;
    let seen = until(async || {
        let fleet_report = running.handle.fleet();
        let report = backend(&fleet_report.targets[0], fleet.servers()[1].addr());
        report.probe.is_some().then_some(fleet_report)
    })
    .await;
    let report = &seen.targets[0];
    assert!(report.last_round.is_none(), "the round goes on");
    assert!(backend(report, fleet.servers()[0].addr()).probe.is_none());
    assert_eq!(seen.exporter.probes_in_flight, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_has_two_connections_at_most() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::slow_greeting(&pki, Duration::from_millis(50))]).await.expect("a fleet");
    let env = Environment::new(&pki);
    let names: Vec<String> = (0..12).map(|n| format!("host{n}.example.com")).collect();
    let targets: Vec<String> =
        names.iter().map(|name| target(name, name, fleet.port(), TlsMode::StartTls, &fleet.ips())).collect();
    let running = Running::start(env.config(&Environment::yaml("interval: 60s", "", &targets)));
    let reports = futures_util::future::join_all(names.iter().map(|name| running.round(name))).await;
    assert!(reports.iter().all(|report| report.last_round.is_some()));
    let server = &fleet.servers()[0];
    assert!(server.accepted() >= 12, "{} connections for 12 targets", server.accepted());
    assert!(server.peak_concurrency() <= 2, "{} at once", server.peak_concurrency());
}

/// A third of a thousand targets, each at an address of its own, accept and never say a word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_servers_keep_no_healthy_one_waiting() {
    // The servers are in this process, too.
    let files = rlimit::increase_nofile_limit(u64::MAX).expect("a limit");
    assert!(files >= 4096, "the test opens some 3,000 files, and {files} are allowed");
    let pki = Pki::new();
    let kinds = [profiles::good(&pki), profiles::good(&pki), profiles::slow_greeting(&pki, Duration::from_secs(3600))];
    let env = Environment::new(&pki);
    let mut fleets = Vec::new();
    let mut targets = Vec::new();
    while targets.len() < 1000 {
        let specs = (0..250).map(|n| kinds[(targets.len() + n) % 3].clone()).collect();
        let fleet = Fleet::start(specs).await.expect("a fleet");
        for ip in fleet.ips() {
            let name = format!("host{}", targets.len());
            targets.push(target(&name, profiles::ALIAS, fleet.port(), TlsMode::StartTls, &[ip]));
        }
        fleets.push(fleet);
    }
    let running = Running::start(env.config(&Environment::yaml("interval: 60s, timeout: 20s", "", &targets)));
    let begin = Instant::now();
    let healthy = |n: &usize| n % 3 != 2;
    let report = until(async || {
        let report = running.handle.fleet();
        let reachable = |n: usize| report.targets[n].endpoints[0].backends.first().is_some_and(|b| b.is_reachable());
        (0..1000).filter(healthy).all(reachable).then_some(report)
    })
    .await;
    assert!(begin.elapsed() < Duration::from_secs(60), "within one interval: {:?}", begin.elapsed());
    let silent = (0..1000).filter(|n| !healthy(n)).map(|n| &report.targets[n]);
    assert!(silent.flat_map(|target| &target.endpoints[0].backends).all(|backend| !backend.is_reachable()));
}

/// An answer that shows three of five addresses, others each round: all five are watched, and none of them flaps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_rotates_loses_no_backend() {
    let pki = Pki::new();
    let specs = (0..5).map(|n| if n == 4 { profiles::alias_missing(&pki) } else { profiles::good(&pki) }).collect();
    let fleet = Fleet::start(specs).await.expect("a fleet");
    let dns = Dns::start().await.expect("a responder");
    dns.set(profiles::ALIAS, RecordType::A, Answer::Rotating { all: fleet.ips(), shown: 3, step: 2 });
    let env = Environment::new(&pki);
    let running = Running::start(resolved(&env, &dns, profiles::ALIAS, fleet.port(), "interval: 60s"));
    for round in 0..12 {
        let found = counts(running.round("relay").await);
        let expected = if round < 2 { found } else { (5, 5, 4, 1) };
        assert_eq!(found, expected, "round {round}");
        dns.rotate();
    }
}

/// Two servers behind one address, one of which has the wrong certificate: every connection shows one of them, and
/// the worst of the last ones counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_show_the_worst_server_behind_an_address() {
    let pki = Pki::new();
    let certificates = [CertSpec::valid_for(&[profiles::ALIAS]), CertSpec::valid_for(&["mail.example.com"])];
    let fleet = Fleet::start(vec![profiles::load_balanced(&pki, &certificates)]).await.expect("a fleet");
    let env = Environment::new(&pki);
    let one = target("one", profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips());
    let running = Running::start(env.config(&Environment::yaml("interval: 60s, samples: 2", "", &[one])));
    let mut seen = Vec::new();
    for _ in 0..5 {
        let report = backend(running.round("one").await, fleet.servers()[0].addr());
        let last = report.last_certificate.as_ref().expect("a certificate");
        seen.push((report.name_matches(), last.mismatched_samples, last.distinct));
    }
    assert_eq!(seen[0], (Some(true), Some(0), 1));
    assert_eq!(seen[1..], [(Some(false), Some(1), 2); 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_served_is_held_against_the_file() {
    let pki = Pki::new();
    let (old, new) = (profiles::good(&pki), profiles::good(&pki));
    let fleet = Fleet::start(vec![old.clone()]).await.expect("a fleet");
    let env = Environment::new(&pki);
    let one = target("one", profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips());
    let one = one.replace("name: one", "name: one, certificate_file: served.pem");
    let running = Running::start(env.config(&Environment::yaml("interval: 60s", "", &[one])));
    let write = |spec: &ServerSpec| {
        let chain = spec.identity.as_ref().expect("an identity").chain_pem();
        std::fs::write(env.folder.path().join("served.pem"), chain).expect("a file");
    };
    let file_match = async || {
        let report = backend(running.round("one").await, fleet.servers()[0].addr());
        report.last_certificate.as_ref().expect("a certificate").file_match
    };
    assert_eq!(file_match().await, None, "no file yet");
    write(&old);
    assert_eq!(file_match().await, Some(true));
    write(&new);
    assert_eq!(file_match().await, Some(false), "renewed, not reloaded");
    fleet.servers()[0].replace(new);
    assert_eq!(file_match().await, Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_keeps_what_is_unchanged() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki), profiles::good(&pki)]).await.expect("a fleet");
    let env = Environment::new(&pki);
    std::fs::write(env.folder.path().join("stranger.pem"), pki.untrusted_root_pem()).expect("a file");
    let one = target("one", profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips()[..1]);
    let two = target("two", profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips()[1..]);
    let text = Environment::yaml("interval: 60s", "", &[one.clone(), two.clone()]);
    let running = Running::start(env.config(&text));
    running.round("one").await;
    running.round("two").await;

    // One target leaves, the other stays as it is: nothing is probed for it.
    running
        .handle
        .reload(env.config(&Environment::yaml("interval: 60s", "", std::slice::from_ref(&one))))
        .await
        .expect("a reload");
    let report = running.handle.fleet();
    assert_eq!(report.targets.len(), 1);
    assert_eq!(report.targets[0].counters.probes, 1);
    assert!(backend(&report.targets[0], fleet.servers()[0].addr()).is_reachable());
    assert_eq!(fleet.servers()[0].accepted(), 1);

    // Other roots: the verdict on the last certificate changes at once.
    let other = text.replace("root.pem", "stranger.pem");
    running.handle.reload(env.config(&other)).await.expect("a reload");
    let report = running.handle.fleet();
    let seen = backend(&report.targets[0], fleet.servers()[0].addr());
    assert_eq!(seen.last_certificate.as_ref().expect("last").assessment.trusted(), Some(false));
    assert_eq!(fleet.servers()[0].accepted(), 1, "judged anew without a probe");

    // The one that came back begins with a round of its own.
    running.round("two").await;
    assert_eq!(running.handle.fleet().targets[1].counters.probes, 1);

    running.handle.reload_failed();
    assert!(!running.handle.fleet().exporter.reload_successful);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_probe_serves_all_targets_that_lead_there() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki)]).await.expect("a fleet");
    let server = &fleet.servers()[0];
    let env = Environment::new(&pki);
    std::fs::write(env.folder.path().join("stranger.pem"), pki.untrusted_root_pem()).expect("a file");
    let entry =
        |number: u32| target(&format!("t{number}"), profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips());
    let mut targets: Vec<String> = (0..12).map(entry).collect();
    // One of them sees the same with other eyes.
    targets[11] = targets[11].replace('{', "{trust: strangers, expect_names: [other.example.com], ");
    let text = Environment::yaml("interval: 1s, timeout: 1s", "", &targets)
        .replace("trust_stores: {", "trust_stores: {strangers: {roots: none, files: [stranger.pem]}, ");
    let running = Running::start(env.config(&text));
    for number in 0..12 {
        running.round(&format!("t{number}")).await;
    }
    let counts =
        || -> Vec<u64> { running.handle.fleet().targets.iter().map(|report| report.counters.probes).collect() };
    let (before, accepted) = (counts(), server.accepted());
    server.wait_accepted(accepted + 5).await;
    server.wait_sessions(accepted + 4).await;
    let (after, connections) = (counts(), (server.accepted() - accepted) as u64);
    for (number, (before, after)) in before.iter().zip(&after).enumerate() {
        let probes = after - before;
        assert!(probes + 2 >= connections && probes <= connections + 2, "t{number}: {probes} of {connections}");
    }
    let report = running.handle.fleet();
    let seen = |number: usize| backend(&report.targets[number], server.addr());
    for number in 0..11 {
        let last = seen(number).last_certificate.clone().expect("a certificate");
        assert_eq!(last.assessment.trusted(), Some(true), "t{number}");
    }
    let last = seen(11).last_certificate.clone().expect("a certificate");
    assert_eq!((last.assessment.trusted(), &*last.assessment.expected), (Some(false), &[false][..]));
}
