//! Rounds of the monitor: what is published and when, what remains while a server fails, and how backends share limits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use smtp_fleet::{Answer, CertSpec, Dns, Fleet, Pki, RecordType, ServerSpec, TlsMode, profiles};
use smtp_tls_exporter::config::Config;
use smtp_tls_exporter::reason::{ChainReason, LocalReason, LookupReason, NameReason, ProbeReason, Stage};
use smtp_tls_exporter::snapshot::{BackendReport, Change, LookupReport, TargetReport};
use smtp_tls_exporter::target::ResolverSpec;
use smtp_tls_exporter::verdict::NameVerdict;

use crate::support::{Environment, Running, backend, target, until};

/// Resolved, reachable, matched and mismatched backends.
fn counts(report: &TargetReport) -> (usize, usize, usize, usize) {
    let counts = report.counts(SystemTime::now());
    (counts.resolved, counts.reachable, counts.matched, counts.mismatched)
}

/// The record types that failed to resolve, with the reasons.
fn failures(lookup: &LookupReport) -> Vec<(&str, LookupReason)> {
    lookup.failures.iter().map(|failure| (failure.record_type, failure.reason)).collect()
}

/// A target named `one` with the addresses of the fleet.
fn one(fleet: &Fleet) -> String {
    target("one", profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips())
}

fn config(env: &Environment, targets: &[String]) -> Config {
    env.config(&Environment::yaml("interval: 60s", "", targets))
}

/// A fleet and a monitor with the target `one`, whose host resolves to the fleet.
async fn resolved(pki: &Pki, specs: Vec<ServerSpec>) -> (Fleet, Dns, Running, Environment) {
    let fleet = Fleet::start(specs).await.expect("a fleet");
    let dns = Dns::start().await.expect("a responder");
    dns.set_addresses(profiles::ALIAS, &fleet.ips());
    let env = Environment::new(pki);
    let target = format!("{{host: {}, port: {}, name: one}}", profiles::ALIAS, fleet.port());
    let text = Environment::yaml("resolver: test, interval: 60s", &Environment::resolver(&dns), &[target]);
    let running = Running::start(env.config(&text));
    (fleet, dns, running, env)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_the_name_verdict_of_every_backend() {
    let pki = Pki::new();
    let specs = vec![profiles::good(&pki), profiles::alias_missing(&pki), profiles::alias_missing(&pki)];
    let (fleet, _dns, running, _env) = resolved(&pki, specs).await;
    let report = running.round("one").await;
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
    assert!(lookup.success, "a name without AAAA records is not a failure: {lookup:?}");
    running.stop().await;
}

/// A chain can be verified at the moment at which another probe learns its issuer: the result must not depend on which of
/// the two is applied first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issuers_learned_during_a_round_complete_all_its_chains() {
    for _ in 0..40 {
        let pki = Pki::new();
        let lacking = std::iter::repeat_with(|| profiles::missing_intermediate(&pki)).take(15);
        let fleet = Fleet::start(lacking.chain([profiles::good(&pki)]).collect()).await.expect("a fleet");
        let env = Environment::new(&pki);
        let running = Running::start(config(&env, &[one(&fleet)]));
        let report = running.round("one").await;
        let now = SystemTime::now();
        for server in &fleet.servers()[..15] {
            let backend = backend(&report, server.addr());
            let reasons = &backend.last_certificate.as_ref().expect("a certificate").assessment.reasons(now);
            assert_eq!(reasons.iter().collect::<Vec<_>>(), [ChainReason::MissingIntermediate]);
        }
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn name_and_chain_verdicts_are_independent() {
    let pki = Pki::new();
    let cases: [(&str, ServerSpec); 9] = [
        ("good", profiles::good(&pki)),
        ("expired", profiles::expired(&pki)),
        ("not_yet_valid", profiles::not_yet_valid(&pki)),
        ("self_signed", profiles::self_signed(&pki)),
        ("missing_intermediate", profiles::missing_intermediate(&pki)),
        ("untrusted", profiles::untrusted(&pki)),
        ("many_roots", {
            let identity = pki.issue(&CertSpec::valid_for(&[profiles::ALIAS]));
            let leaf = identity.leaf_der().clone();
            let roots = std::iter::repeat_n(pki.root_der(), 40);
            ServerSpec::new(identity.with_chain(std::iter::once(leaf).chain(roots).collect()))
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
    let fleet = Fleet::start(cases.iter().map(|(_, spec)| spec.clone()).collect()).await.expect("a fleet");
    let env = Environment::new(&pki);
    let running = Running::start(config(&env, &[one(&fleet)]));
    let report = running.round("one").await;
    let now = SystemTime::now();
    for ((case, _), server) in cases.iter().zip(fleet.servers()) {
        use ChainReason::{Expired, MissingIntermediate, NotYetValid, SelfSigned, UnknownIssuer};
        let (name, trusted, valid, reasons): (bool, _, _, &[ChainReason]) = match *case {
            "good" => (true, true, true, &[]),
            "expired" => (true, true, false, &[Expired]),
            "not_yet_valid" => (true, true, false, &[NotYetValid]),
            "self_signed" => (true, false, false, &[SelfSigned]),
            // The other servers present the intermediate. Superfluous roots change nothing.
            "missing_intermediate" | "many_roots" => (true, false, false, &[MissingIntermediate]),
            "untrusted" => (true, false, false, &[UnknownIssuer]),
            "expired_and_other_name" => (false, true, false, &[Expired]),
            "expired_without_intermediate" => (true, false, false, &[Expired, MissingIntermediate]),
            other => panic!("{other}"),
        };
        let report = backend(&report, server.addr());
        assert!(report.is_reachable(), "{case}: a bad certificate is not a failed probe");
        let assessment = &report.last_certificate.as_ref().expect("a certificate").assessment;
        assert_eq!(assessment.name.map(|name| name.is_match()), Some(name), "{case}: name");
        assert_eq!(assessment.trusted(), Some(trusted), "{case}: trusted");
        assert_eq!(assessment.valid(now), Some(valid), "{case}: valid");
        assert_eq!(assessment.reasons(now).iter().collect::<Vec<_>>(), reasons, "{case}: reasons");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_certificate_outlives_failures_and_expires_with_time() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki)]).await.expect("a fleet");
    let env = Environment::new(&pki);
    let ahead = Arc::new(AtomicI64::new(0));
    let clock = {
        let ahead = Arc::clone(&ahead);
        Arc::new(move || SystemTime::now() + Duration::from_secs(ahead.load(Ordering::SeqCst).unsigned_abs()))
    };
    let running = Running::start_at(config(&env, &[one(&fleet)]), clock);
    let server = &fleet.servers()[0];
    running.round("one").await;
    server.stop().await;
    let report = running.round("one").await;
    let seen = backend(&report, server.addr());
    let probe = seen.probe.as_ref().expect("a probe");
    let failure = probe.outcome.as_ref().expect_err("a failure");
    assert_eq!((failure.stage, failure.reason), (Stage::Connect, ProbeReason::Refused));
    assert_eq!(probe.consecutive_failures, 1);
    assert_eq!(seen.name_matches(), Some(true));
    let last = seen.last_certificate.as_ref().expect("a certificate");
    assert_eq!(last.assessment.valid(SystemTime::now()), Some(true));
    let later = SystemTime::now() + Duration::from_secs(100 * 86_400);
    assert_eq!(last.assessment.valid(later), Some(false), "the same report, in a hundred days");
    assert!(last.assessment.reasons(later).contains(ChainReason::Expired));

    server.start().await.expect("a restart");
    ahead.store(100 * 86_400, Ordering::SeqCst);
    let report = running.round("one").await;
    let seen = backend(&report, server.addr());
    assert_eq!(seen.probe.as_ref().map(|probe| probe.consecutive_failures), Some(0));
    let last = seen.last_certificate.as_ref().expect("a certificate");
    assert_eq!(last.assessment.valid(later), Some(false), "the certificate has expired");
    assert_eq!(report.counters.probes, 3);
    assert_eq!(report.counters.failures, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_certificate_is_reported_and_both_are_counted() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::alias_missing(&pki)]).await.expect("a fleet");
    let env = Environment::new(&pki);
    let running = Running::start(config(&env, &[one(&fleet)]));
    let server = &fleet.servers()[0];
    let before = backend(running.round("one").await, server.addr());
    server.replace(profiles::good(&pki));
    let after = backend(running.round("one").await, server.addr());
    assert_eq!((before.name_matches(), after.name_matches()), (Some(false), Some(true)));
    let distinct = |report: &BackendReport| report.last_certificate.as_ref().map(|last| last.distinct);
    assert_eq!((distinct(&before), distinct(&after)), (Some(1), Some(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_lookups_keep_the_backends_and_are_reported() {
    let pki = Pki::new();
    let (fleet, dns, running, _env) = resolved(&pki, vec![profiles::good(&pki), profiles::good(&pki)]).await;
    assert_eq!(counts(&*running.round("one").await), (2, 2, 2, 0));

    for (answer, reason) in [
        (Answer::ServFail, LookupReason::ServFail),
        (Answer::NxDomain, LookupReason::NxDomain),
        (Answer::Refused, LookupReason::ServFail),
        (Answer::NoData, LookupReason::NoData),
    ] {
        dns.set(profiles::ALIAS, RecordType::A, answer.clone());
        dns.set(profiles::ALIAS, RecordType::AAAA, answer.clone());
        let report = running.round("one").await;
        assert_eq!(counts(&report), (2, 2, 2, 0), "{answer:?}");
        let lookup = report.lookup.as_ref().expect("a lookup");
        assert!(!lookup.success, "{answer:?}");
        assert_eq!(failures(lookup), [("A", reason), ("AAAA", reason)], "{answer:?}");
    }

    // One family fails: the addresses of the other one are used, and the failure is reported.
    dns.set_addresses(profiles::ALIAS, &fleet.ips());
    dns.set(profiles::ALIAS, RecordType::AAAA, Answer::ServFail);
    let report = running.round("one").await;
    assert_eq!(counts(&report), (2, 2, 2, 0));
    assert_eq!(failures(report.lookup.as_ref().expect("a lookup")), [("AAAA", LookupReason::ServFail)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lookups_that_fail_on_this_host_change_no_report() {
    let env = Environment::new(&Pki::new());
    let resolver = "resolvers: {test: {nameservers: [192.0.2.53]}}";
    let target = "{host: smtp.example.com, name: one}".to_owned();
    let mut config = env.config(&Environment::yaml("resolver: test, interval: 60s", resolver, &[target]));
    // The kernel refuses to send to a broadcast address.
    let name_servers = vec![SocketAddr::from(([255, 255, 255, 255], 53))];
    config.resolvers.insert("test".into(), ResolverSpec::Listed { name_servers, compare: false });
    let running = Running::start(config);
    let report = running.round("one").await;
    assert_eq!(report.lookup, None);
    let errors = running.handle.fleet().exporter.local_errors;
    // The scheduled round may have ended before the requested one began.
    let counted: Vec<_> = errors.into_iter().filter(|(_, count)| *count > 0).map(|(reason, _)| reason).collect();
    assert_eq!(counted, [LocalReason::Forbidden]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_removed_from_dns_leave_the_counts_in_the_third_round() {
    let pki = Pki::new();
    let (fleet, dns, running, _env) = resolved(&pki, vec![profiles::good(&pki), profiles::alias_missing(&pki)]).await;
    assert_eq!(counts(&*running.round("one").await), (2, 2, 1, 1));
    dns.set_addresses(profiles::ALIAS, &fleet.ips()[..1]);
    for expected in [(2, 2, 1, 1), (2, 2, 1, 1), (1, 1, 1, 0)] {
        assert_eq!(counts(&*running.round("one").await), expected);
    }
    let gone = fleet.servers()[1].addr();
    let report = running.round("one").await;
    assert!(!backend(&report, gone).resolved, "probed, but not counted");
    fleet.servers()[1].stop().await;
    running.round("one").await;
    let report = running.round("one").await;
    let left: Vec<_> = report.endpoints[0].backends.iter().map(|backend| backend.backend.socket_addr()).collect();
    assert_eq!(left, [fleet.servers()[0].addr()], "an unresolved backend that fails is removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_backend_does_not_delay_the_results_of_others() {
    let pki = Pki::new();
    let (slow, quick) = (profiles::slow_greeting(&pki, Duration::from_secs(600)), profiles::good(&pki));
    let fleet = Fleet::start(vec![slow, quick]).await.expect("a fleet");
    let env = Environment::new(&pki);
    let running = Running::start(config(&env, &[one(&fleet)]));
    fleet.servers()[1].wait_sessions(1).await;
    fleet.servers()[0].wait_accepted(1).await;
    let seen = until(async || {
        let fleet_report = running.handle.fleet();
        let report = backend(&fleet_report.targets[0], fleet.servers()[1].addr());
        report.probe.is_some().then_some(fleet_report)
    })
    .await;
    let report = &seen.targets[0];
    assert!(report.last_round.is_none(), "the round is still in progress");
    assert!(backend(report, fleet.servers()[0].addr()).probe.is_none());
    assert_eq!(seen.exporter.probes_in_flight, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opens_at_most_two_connections_to_an_address() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::slow_greeting(&pki, Duration::from_millis(50))]).await.expect("a fleet");
    let env = Environment::new(&pki);
    let names: Vec<String> = (0..12).map(|n| format!("host{n}.example.com")).collect();
    let targets: Vec<String> =
        names.iter().map(|name| target(name, name, fleet.port(), TlsMode::StartTls, &fleet.ips())).collect();
    let running = Running::start(config(&env, &targets));
    let reports = futures_util::future::join_all(names.iter().map(|name| running.round(name))).await;
    assert!(reports.iter().all(|report| report.last_round.is_some()));
    let server = &fleet.servers()[0];
    assert!(server.accepted() >= 12, "{} connections for 12 targets", server.accepted());
    assert!(server.peak_concurrency() <= 2, "{} concurrent connections", server.peak_concurrency());
}

/// A third of 1,000 servers, each with an address of its own, accept connections and never reply.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_servers_do_not_delay_healthy_ones() {
    // The servers run in this process, too.
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

/// Each answer contains three of five addresses: all five stay resolved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_every_backend_of_a_rotating_answer() {
    let pki = Pki::new();
    let specs = (0..5).map(|n| if n == 4 { profiles::alias_missing(&pki) } else { profiles::good(&pki) }).collect();
    let (fleet, dns, running, _env) = resolved(&pki, specs).await;
    dns.set(profiles::ALIAS, RecordType::A, Answer::Rotating { all: fleet.ips(), shown: 3, step: 2 });
    for round in 0..12 {
        let found = counts(&*running.round("one").await);
        let expected = if round < 2 { found } else { (5, 5, 4, 1) };
        assert_eq!(found, expected, "round {round}");
        dns.rotate();
    }
}

/// A load balancer with two certificates, one of them with the wrong name, presented in turn: with `samples: 2`, one
/// mismatch among the last two connections is a mismatch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_report_the_worst_certificate_behind_an_address() {
    let pki = Pki::new();
    let certificates = [CertSpec::valid_for(&[profiles::ALIAS]), CertSpec::valid_for(&["mail.example.com"])];
    let fleet = Fleet::start(vec![profiles::load_balanced(&pki, &certificates)]).await.expect("a fleet");
    let env = Environment::new(&pki);
    let text = Environment::yaml("interval: 60s, samples: 2", "", &[one(&fleet)]);
    let running = Running::start(env.config(&text));
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
async fn compares_the_presented_certificate_with_the_certificate_file() {
    let pki = Pki::new();
    let (old, new) = (profiles::good(&pki), profiles::good(&pki));
    let fleet = Fleet::start(vec![old.clone()]).await.expect("a fleet");
    let env = Environment::new(&pki);
    let target = one(&fleet).replace('}', ", certificate_file: served.pem}");
    let running = Running::start(config(&env, &[target]));
    let write = |text: &str| std::fs::write(env.folder.path().join("served.pem"), text).expect("a file");
    let chain = |spec: &ServerSpec| spec.identity.as_ref().expect("an identity").chain_pem();
    let round = async || {
        let report = running.round("one").await;
        let backend = backend(&report, fleet.servers()[0].addr());
        (report.file.clone().and_then(Result::ok), backend.last_certificate.as_ref().expect("a certificate").file_match)
    };
    let seen = |(file, matches): (Option<_>, _)| (file.is_some(), matches);
    assert_eq!(seen(round().await), (false, None), "no file yet");
    write(&chain(&old));
    assert_eq!(seen(round().await), (true, Some(true)));
    write(&chain(&new));
    let (first, matches) = round().await;
    assert_eq!((first.is_some(), matches), (true, Some(false)), "renewed, but the server has not reloaded it");
    fleet.servers()[0].replace(new);
    let (second, matches) = round().await;
    assert_eq!(matches, Some(true));
    let [first, second] = [first, second].map(|file| file.expect("a file"));
    assert!(Arc::ptr_eq(&first, &second), "an unchanged file is not parsed again");
    write("no certificate");
    assert_eq!(seen(round().await), (false, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_keeps_unchanged_targets_and_reevaluates_certificates() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki), profiles::good(&pki)]).await.expect("a fleet");
    let env = Environment::new(&pki);
    std::fs::write(env.folder.path().join("other.pem"), pki.untrusted_root_pem()).expect("a file");
    let one = target("one", profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips()[..1]);
    let two = target("two", profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips()[1..]);
    let text = Environment::yaml("interval: 60s", "", &[one.clone(), two]);
    let running = Running::start(env.config(&text));
    running.round("one").await;
    running.round("two").await;

    // One target is removed, the other one is unchanged: it is not probed again.
    running.handle.reload(config(&env, &[one])).await.expect("a reload");
    let report = running.handle.fleet();
    assert_eq!(report.targets.len(), 1);
    assert_eq!(report.targets[0].counters.probes, 1);
    assert!(backend(&report.targets[0], fleet.servers()[0].addr()).is_reachable());
    assert_eq!(fleet.servers()[0].accepted(), 1);

    // With other roots, the verdict on the last certificate changes without a probe.
    let other = text.replace("root.pem", "other.pem");
    running.handle.reload(env.config(&other)).await.expect("a reload");
    let report = running.handle.fleet();
    let seen = backend(&report.targets[0], fleet.servers()[0].addr());
    assert_eq!(seen.last_certificate.as_ref().expect("a certificate").assessment.trusted(), Some(false));
    assert_eq!(fleet.servers()[0].accepted(), 1);

    // The target that is added again starts anew, with a round of its own.
    running.round("two").await;
    let probes = running.handle.fleet().targets[1].counters.probes;
    assert!((1..=2).contains(&probes), "{probes} probes: that round, and at most the requested one");

    running.handle.reload_failed();
    assert!(!running.handle.fleet().exporter.reload_successful);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_with_the_same_endpoint_share_one_probe() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki)]).await.expect("a fleet");
    let server = &fleet.servers()[0];
    let env = Environment::new(&pki);
    std::fs::write(env.folder.path().join("other.pem"), pki.untrusted_root_pem()).expect("a file");
    let entry =
        |number: u32| target(&format!("t{number}"), profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips());
    let mut targets: Vec<String> = (0..12).map(entry).collect();
    // One target evaluates the same probes with another trust store and another expected name.
    targets[11] = targets[11].replace('{', "{trust: other, expect_names: [other.example.com], ");
    let text = Environment::yaml("interval: 1s, timeout: 1s", "", &targets)
        .replace("trust_stores: {", "trust_stores: {other: {roots: none, files: [other.pem]}, ");
    let running = Running::start(env.config(&text));
    for number in 0..12 {
        running.round(&format!("t{number}")).await;
    }
    let probes =
        || -> Vec<u64> { running.handle.fleet().targets.iter().map(|report| report.counters.probes).collect() };
    let (before, accepted) = (probes(), server.accepted());
    server.wait_accepted(accepted + 5).await;
    server.wait_sessions(accepted + 4).await;
    let (after, connections) = (probes(), (server.accepted() - accepted) as u64);
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

/// The recorded changes, one line each.
fn changes(report: &TargetReport) -> Vec<String> {
    let line = |change: &Change| match change {
        Change::Condition(backend, condition) => {
            let failure = condition.failure.map(|(stage, reason)| format!("{stage} {reason}"));
            let what = failure.unwrap_or_else(|| format!("name {:?}", condition.name.expect("a verdict")));
            format!("{} {what}", backend.address)
        }
        Change::Resolved(backend, resolved) => format!("{} resolved {resolved}", backend.address),
        Change::Lookup(failures) => {
            let reasons: Vec<_> = failures.iter().map(|failure| failure.reason.as_str()).collect();
            format!("lookup {}", reasons.join(" "))
        }
    };
    report.changes.iter().map(|change| line(&change.change)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_changes_in_order() {
    let pki = Pki::new();
    let specs = vec![profiles::good(&pki), profiles::good(&pki), profiles::alias_missing(&pki)];
    let (fleet, dns, running, _env) = resolved(&pki, specs).await;
    let ips = fleet.ips();
    let mut expected = vec![format!("{} name false", ips[2])];
    assert_eq!(changes(&*running.round("one").await), expected, "a first result that is ok is not a change");
    fleet.servers()[0].stop().await;
    expected.push(format!("{} {} {}", ips[0], Stage::Connect, ProbeReason::Refused));
    assert_eq!(changes(&*running.round("one").await), expected);
    fleet.servers()[0].start().await.expect("a restart");
    expected.push(format!("{} name true", ips[0]));
    assert_eq!(changes(&*running.round("one").await), expected);
    for record_type in [RecordType::A, RecordType::AAAA] {
        dns.set(profiles::ALIAS, record_type, Answer::ServFail);
    }
    expected.push(format!("lookup {0} {0}", LookupReason::ServFail));
    assert_eq!(changes(&*running.round("one").await), expected);
    dns.set(profiles::ALIAS, RecordType::AAAA, Answer::NoData);
    dns.set_addresses(profiles::ALIAS, &ips[1..]);
    expected.push("lookup ".to_owned());
    assert_eq!(changes(&*running.round("one").await), expected);
    running.round("one").await;
    expected.push(format!("{} resolved false", ips[0]));
    assert_eq!(changes(&*running.round("one").await), expected, "unresolved from the third round on");
}
