//! Nothing waits for what is slow: name servers, mail servers and file systems that do not respond, and clients that ask
//! again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use smtp_fleet::{Answer, Chunk, Dns, Fleet, Pki, RecordType, Script, Step, Termination, TlsMode, profiles};
use smtp_tls_exporter::file::FileReader;
use smtp_tls_exporter::monitor::Monitor;
use smtp_tls_exporter::target::TargetName;

use crate::service_fixture::{pki, service};
use crate::support::{Environment, Running, backend, request, target, until};

/// Number of A queries for a name.
fn queries(dns: &Dns, name: &str) -> usize {
    let is_asked = |(asked, record_type, _): &(String, RecordType, _)| {
        *record_type == RecordType::A && asked.trim_end_matches('.') == name
    };
    dns.queries().iter().filter(|query| is_asked(query)).count()
}

/// A name server stops responding. Targets whose addresses are known are probed as before, and so are those that do not need
/// this name server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_name_server_does_not_delay_probes() {
    let pki = Pki::new();
    let fleet = Fleet::start((0..3).map(|_| profiles::good(&pki)).collect()).await.expect("a fleet");
    let (dns, other_dns) = (Dns::start().await.expect("a responder"), Dns::start().await.expect("a responder"));
    dns.set_addresses("known.example.com", &fleet.ips()[..1]);
    other_dns.set_addresses("other.example.com", &fleet.ips()[1..2]);
    let names: Vec<String> = (0..400).map(|number| format!("silent{number}.example.com")).collect();
    for name in &names {
        dns.set(name, RecordType::A, Answer::NoReply);
        dns.set(name, RecordType::AAAA, Answer::NoReply);
    }
    let port = fleet.port();
    let mut targets: Vec<String> = vec![
        format!("{{host: known.example.com, port: {port}, name: known}}"),
        format!("{{host: other.example.com, port: {port}, name: other, resolver: other}}"),
        target("literal", profiles::ALIAS, port, TlsMode::StartTls, &fleet.ips()[2..]),
    ];
    targets.extend(names.iter().map(|name| format!("{{host: {name}, port: {port}, name: {name}}}")));
    let resolvers = format!(
        "resolvers: {{test: {{nameservers: [\"{}\"]}}, other: {{nameservers: [\"{}\"]}}}}",
        dns.addr(),
        other_dns.addr()
    );
    let env = Environment::new(&pki);
    let text = Environment::yaml("resolver: test, interval: 1s, timeout: 1s", &resolvers, &targets);
    let running = Running::start(env.config(&text));
    for name in ["known", "other", "literal"] {
        running.round(name).await;
    }
    dns.set("known.example.com", RecordType::A, Answer::NoReply);
    dns.set("known.example.com", RecordType::AAAA, Answer::NoReply);
    let servers = fleet.servers();
    let before: Vec<usize> = servers.iter().map(smtp_fleet::Server::accepted).collect();
    let asked = (queries(&dns, "known.example.com"), queries(&other_dns, "other.example.com"));
    join_all(servers.iter().zip(&before).map(|(server, before)| server.wait_accepted(before + 8))).await;
    // Most lookups wait for a slot; if probes waited for them, there would be one probe for each lookup.
    let lookups = queries(&dns, "known.example.com") - asked.0;
    let probes = servers[0].accepted() - before[0];
    assert!(probes >= 2 * lookups, "{probes} probes, {lookups} lookups");
    let lookups = queries(&other_dns, "other.example.com") - asked.1;
    assert!(lookups >= 6, "{lookups} lookups by another resolver");
}

/// A server that limits the rate is left alone, however often its target is requested.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_do_not_pass_the_back_off() {
    let limited = profiles::good(&pki())
        .with_script(Script { greeting: vec![Chunk::line("421 4.7.0 Too many connections")], ..Script::default() });
    let fleet = Fleet::start(vec![limited, profiles::good(&pki())]).await.expect("a fleet");
    let env = Environment::new(&pki());
    let one = target("one", profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips());
    let (service, address) = service(env.config(&Environment::yaml("interval: 60s", "", &[one])), None).await;
    let running = service.start().expect("a service");
    for _ in 0..20 {
        let answer = request(address, "GET", "/probe?target=one", "").await;
        assert_eq!((answer.status, answer.value("probe_success")), (200, Some(0.0)));
    }
    let [limited, other] = [0, 1].map(|place| fleet.servers()[place].accepted());
    assert!(limited <= 2, "{limited} connections to a server that limits the rate");
    assert!(other >= 20, "{other} connections to the other one");
    let report = &running.handle.fleet().targets[0];
    assert!(backend(report, fleet.addrs()[0]).probe.as_ref().is_some_and(|probe| probe.rate_limited()));
}

/// What does not limit connections is probed as often as before: each request of `/probe` is one probe, and so is each
/// interval, so that a repaired server is noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_that_are_no_limit_do_not_slow_probes_down() {
    let pki = pki();
    let script = |step, reply: &str| profiles::good(&pki).with_script(Script::with_reply(step, &[reply]));
    let specs = vec![
        script(Step::StartTls, "454 4.7.0 TLS not available due to local problem"),
        script(Step::Connected, "421 4.7.0 Try again later"),
        script(Step::Ehlo, "504 5.5.2 <probe>: Helo command rejected: need fully-qualified hostname"),
        script(Step::Connected, "421 mail.example.com Service not available, closing transmission channel"),
        script(Step::Connected, "421 4.7.0 Too many connections"),
    ];
    let fleet = Fleet::start(specs).await.expect("a fleet");
    let env = Environment::new(&pki);
    let one = target("one", profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips());
    let (service, address) =
        service(env.config(&Environment::yaml("interval: 1s, timeout: 1s", "", &[one])), None).await;
    let running = service.start().expect("a service");
    let (limited, others) = fleet.servers().split_last().expect("servers");
    join_all(others.iter().map(|server| server.wait_accepted(8))).await;
    // Twice the interval, then four times as long, and so on.
    assert!(limited.accepted() <= 4, "{} connections to a server that limits them, 8 to others", limited.accepted());
    let before: Vec<usize> = others.iter().map(smtp_fleet::Server::accepted).collect();
    for _ in 0..5 {
        assert_eq!(request(address, "GET", "/probe?target=one", "").await.value("probe_success"), Some(0.0));
    }
    for (server, before) in others.iter().zip(before) {
        // The first request may have waited for a round that had begun.
        assert!(server.accepted() >= before + 4, "{}: {} after {before}", server.addr(), server.accepted());
    }
    // A repaired server is noticed within the interval.
    others[0].replace(profiles::good(&pki));
    let accepted = others[0].accepted();
    others[0].wait_accepted(accepted + 2).await;
    until(async || backend(&running.handle.fleet().targets[0], others[0].addr()).is_reachable().then_some(())).await;
    assert!(others[0].accepted() <= accepted + 4);
}

/// By default, requests within a few seconds share one round.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_a_loop_share_one_round() {
    let fleet = Fleet::start(vec![profiles::good(&pki())]).await.expect("a fleet");
    let env = Environment::new(&pki());
    let one = target("one", profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips());
    let (mut service, address) = service(env.config(&Environment::yaml("interval: 60s", "", &[one])), None).await;
    service.web.probe_max_age = Duration::from_secs(3600);
    let running = service.start().expect("a service");
    for _ in 0..50 {
        let answer = request(address, "GET", "/probe?target=one", "").await;
        assert_eq!((answer.status, answer.value("probe_success")), (200, Some(1.0)));
    }
    assert!(fleet.servers()[0].accepted() <= 2, "{} connections", fleet.servers()[0].accepted());
    drop(running);
}

/// Servers that hang at any step share a quarter of the permits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_hang_after_the_greeting_do_not_delay_others() {
    let pki = Pki::new();
    let steps = [Step::Ehlo, Step::StartTls, Step::ClientHello, Step::EhloInTls];
    let hanging = (0..40).map(|n| profiles::terminates(&pki, steps[n % 4], Termination::Stall));
    let fleet = Fleet::start(hanging.chain([profiles::good(&pki)]).collect()).await.expect("a fleet");
    let ips = fleet.ips();
    let names: Vec<String> = (0..41).map(|n| format!("t{n}")).collect();
    let targets: Vec<String> = names
        .iter()
        .zip(&ips)
        .map(|(name, ip)| target(name, profiles::ALIAS, fleet.port(), TlsMode::StartTls, &[*ip]))
        .collect();
    let env = Environment::new(&pki);
    let text = Environment::yaml("interval: 1s, timeout: 1s", "limits: {concurrent_probes: 8}", &targets);
    let running = Running::start(env.config(&text));
    // Once each of them has timed out, they wait among themselves.
    join_all(names.iter().map(|name| running.round(name))).await;
    let (server, silent) = (&fleet.servers()[40], &fleet.servers()[..40]);
    let hung = || silent.iter().map(smtp_fleet::Server::accepted).sum::<usize>();
    let (before, hung_before) = (server.accepted(), hung());
    server.wait_accepted(before + 6).await;
    // Two permits and a timeout of one second: 12 connections in 6 seconds, and not the 48 of all permits.
    assert!(hung() - hung_before <= 24, "{} connections to servers that hang", hung() - hung_before);
}

/// A file system that hangs costs its own files only, and one read for each of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_system_that_hangs_delays_no_probe() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki), profiles::good(&pki)]).await.expect("a fleet");
    let reads = Arc::new(AtomicUsize::new(0));
    let (release, hang) = std::sync::mpsc::channel::<()>();
    let hang = parking_lot::Mutex::new(hang);
    let reader = {
        let reads = Arc::clone(&reads);
        FileReader::new(move |_, _| {
            reads.fetch_add(1, Ordering::SeqCst);
            // Ends with the test.
            let _ = hang.lock().recv();
            Err(std::io::ErrorKind::TimedOut.into())
        })
    };
    let target = |name: &str, place: usize| {
        target(name, profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips()[place..=place])
    };
    let mut targets = vec![target("other", 0)];
    targets.extend((0..12).map(|n| {
        let file = format!("{{certificate_file: /mnt/file{}, ", n % 2);
        target(&format!("t{n}"), 1).replacen('{', &file, 1)
    }));
    let env = Environment::new(&pki);
    let config = env.config(&Environment::yaml("interval: 1s, timeout: 1s", "", &targets));
    let (monitor, handle) = Monitor::with_reader(config, Arc::new(SystemTime::now), reader).expect("a monitor");
    let monitor = tokio::spawn(monitor.run(std::future::pending()));
    fleet.servers()[0].wait_accepted(12).await;
    let accepted = fleet.servers()[1].accepted();
    assert!(accepted >= 6, "{accepted} probes of a target whose file cannot be read, 12 of another one");
    assert!(handle.is_ready());
    let report = handle.round(&TargetName::new("t3").expect("a name")).await.expect("a round");
    let file = report.file.as_ref().expect("the read was given up").as_deref();
    assert!(file.is_err() && report.backends().all(|backend| backend.is_reachable()), "{report:?}");
    assert_eq!(reads.load(Ordering::SeqCst), 2, "one read for each file");
    monitor.abort();
    drop(release);
}

/// A monitor that no longer runs is not ready, even though it could be asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_requires_progress() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki)]).await.expect("a fleet");
    let env = Environment::new(&pki);
    let one = target("one", profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips());
    let config = env.config(&Environment::yaml("interval: 1s, timeout: 1s", "", &[one]));
    let (monitor, handle) = Monitor::new(config, Arc::new(SystemTime::now)).expect("a monitor");
    {
        let running = monitor.run(std::future::pending());
        tokio::pin!(running);
        tokio::select! {
            () = &mut running => {}
            () = fleet.servers()[0].wait_accepted(2) => {}
        }
        assert!(handle.is_ready());
        // Nobody polls it from here on, as if its thread were blocked.
        until(async || (!handle.is_ready()).then_some(())).await;
        tokio::select! {
            () = &mut running => {}
            () = until(async || handle.is_ready().then_some(())) => {}
        }
    }
    assert!(!handle.is_ready(), "it has ended");
}
