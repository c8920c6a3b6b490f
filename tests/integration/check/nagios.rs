//! `check --output=nagios`: status lines and exit codes of a monitoring plugin.

use std::fs::OpenOptions;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use smtp_fleet::{
    Answer, Blackhole, CertSpec, Fault, Issuer, RecordType, Script, ServerSpec, Step, Termination, profiles,
};

use super::{CheckEnvironment, text};
use crate::support::Environment;

const DAY: i64 = 86_400;

/// Runs the command and checks the exit code, the start of the status line, and that nothing else is printed.
#[track_caller]
fn check(command: &mut Command, code: i32, status: &str) -> String {
    let output = tokio::task::block_in_place(|| command.output().expect("it runs"));
    let (found, error) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.status.code(), error), (Some(code), ""), "{command:?}: {found}");
    let state = ["OK", "WARNING", "CRITICAL", "UNKNOWN"][usize::try_from(code).expect("a code")];
    let expected = format!("SMTP TLS {state} - {status}");
    assert!(found.starts_with(&expected), "{expected} in\n{found}");
    assert!(found.len() <= 4000 && found.matches('|').count() <= 1, "{found}");
    found.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_have_the_codes_of_the_guidelines() {
    let env = CheckEnvironment::new(|pki| {
        let until = |days: i64| CertSpec::valid_for(&[profiles::HOST]).with_validity(-100 * DAY, days * DAY + 3600);
        vec![
            profiles::good(pki),
            profiles::alias_missing(pki),
            ServerSpec::new(pki.issue(&until(20))),
            ServerSpec::new(pki.issue(&until(5))),
        ]
    })
    .await;
    let (port, ips, dns) = (env.fleet.port(), env.fleet.ips(), &env.dns);
    dns.set_addresses(profiles::ALIAS, &ips[..2]);
    dns.set("broken.example.com", RecordType::A, Answer::ServFail);
    dns.set("broken.example.com", RecordType::AAAA, Answer::ServFail);
    dns.set("silent.example.com", RecordType::A, Answer::NoReply);
    dns.set("silent.example.com", RecordType::AAAA, Answer::NoReply);
    dns.set_mx("quiet.example.com", &[(0, ".")]);
    let one = |name: &str, index: usize| {
        format!("{{name: {name}, host: {}, port: {port}, addresses: [{}]}}", profiles::HOST, ips[index])
    };
    env.config(&[one("good", 0), one("warning", 2), one("critical", 3)]);
    let alias = env.at(profiles::ALIAS);
    for (args, code, status) in [
        (&["good"][..], 0, "1 backend of good, certificate expires in "),
        (&["mx:quiet.example.com"], 0, "no backends of mx:quiet.example.com: "),
        (&["warning"], 1, "1 backend of warning: certificate expires in 20 days"),
        (&["critical"], 2, "1 backend of critical: certificate expires in 5 days"),
        (&[&alias], 2, &format!("1 of 2 backends of {alias} failing: name not_listed")),
        (&["good", "warning"], 1, "2 backends of 2 targets: warning"),
        (&["warning", &alias, "good"], 2, "1 of 4 backends of 3 targets failing: "),
        (
            &["nowhere.example.com"],
            2,
            "no backends of nowhere.example.com:587: lookup of nowhere.example.com A and AAAA: nxdomain",
        ),
        (&["broken.example.com"], 2, "no backends of broken.example.com:587: "),
        (&["silent.example.com", "--timeout=2s"], 3, "no backends of silent.example.com:587: "),
        (&["silent.example.com", "good", "--timeout=2s"], 3, "1 backend of 2 targets: silent.example.com:587"),
    ] {
        check(&mut env.command(&[&["--output=nagios", "--config.file=config.yaml"], args].concat()), code, status);
    }
    // No name server: nobody listens on this port.
    let closed = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("an address");
    let resolvers = format!("resolvers: {{test: {{nameservers: [\"{closed}\"]}}}}");
    let config = Environment::yaml("resolver: test", &resolvers, &["{host: a.test}".to_owned()]);
    std::fs::write(env.path("no-dns.yaml"), config).expect("a file");
    let args = ["--output=nagios", "--config.file=no-dns.yaml", "--timeout=4s"];
    check(&mut env.command(&args), 3, "no backends of a.test:587: lookup of a.test A and AAAA: dns_");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_prevents_the_check_is_unknown() {
    let env = CheckEnvironment::new(|pki| vec![profiles::good(pki)]).await;
    let file = |name: &str, text: &str| std::fs::write(env.path(name), text).expect("a file");
    file("invalid.yaml", "defaults: {trust: system}\ntargets: [{host: a.test, port: 0}]\n");
    file("empty.txt", "");
    let (config, nagios) = ("--config.file=config.yaml", "--output=nagios");
    for (args, status) in [
        (&[nagios][..], "the following required arguments were not provided"),
        (&[nagios, "--no-such-flag", "a.test"], "unexpected argument '--no-such-flag'"),
        (&["a.test", "--no-such-flag", "--output", "nagios"], "unexpected argument '--no-such-flag'"),
        (&["a.test", "-z", nagios], "unexpected argument '-z'"),
        (&["a.test", "--output=Nagios"], "invalid value 'Nagios'"),
        (&["a.test", "--output=nagois"], "invalid value 'nagois'"),
        (&["a.test", "--outptu=nagios"], "unexpected argument '--outptu'"),
        (&["a.test", "--output=json", nagios], "the argument '--output <OUTPUT>' cannot be used multiple times"),
        (&["a.test", nagios, "--timeout=0"], "invalid value '0' for '--timeout"),
        (&["a.test", nagios, "--timeout"], "a value is required for '--timeout"),
        (&["a.test", nagios, "--force"], "the following required arguments were not provided"),
        (&["a.test", nagios, "--name=a|b\n\u{1b}[2J"], "invalid value 'a/b"),
        (&["a.test", nagios], ""),
        (&["a.test", nagios, "--no-system-roots", "--ca-file=empty.txt"], "cannot load trusted roots: empty.txt: "),
        (&[nagios, "--config.file=missing.yaml"], "missing.yaml"),
        (&[nagios, "--config.file=invalid.yaml"], "invalid.yaml"),
        (&[nagios, config, "foo|bar"], ""),
        (&[nagios, config, "mx:a.test", "--name=b.test"], "--name cannot be used"),
        (&[nagios, config, "unused.example.com", "--export=empty.txt"], "cannot create the directory empty.txt"),
    ] {
        let found = check(&mut env.command(args), 3, status);
        assert!(!found.contains('|'), "no performance data: {found}");
    }
    // Help is not a result.
    for help in ["-h", "--help"] {
        let output = env.run_bare(&[nagios, help]);
        assert_eq!(output.status.code(), Some(3));
        assert!(text(&output.stdout).contains("Usage: "), "{}", text(&output.stdout));
        assert_eq!(env.run_bare(&[help]).status.code(), Some(0));
    }
    // A directory in which the files exist already: nothing but the failure is reported.
    let target = env.at(profiles::HOST);
    env.dns.set_addresses(profiles::HOST, &env.fleet.ips());
    check(&mut env.command(&[nagios, config, &target, "--export=out"]), 0, "1 backend of ");
    let found = check(&mut env.command(&[nagios, config, &target, "--export=out"]), 3, "out/");
    assert_eq!(found.matches("SMTP TLS").count(), 1, "{found}");
    // Nothing can be printed.
    let full = OpenOptions::new().write(true).open("/dev/full").expect("it opens");
    let mut command = env.command(&[nagios, config, &target]);
    let status = tokio::task::block_in_place(|| command.stdout(full).status().expect("it runs"));
    assert_eq!(status.code(), Some(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_within_the_timeout() {
    let env = CheckEnvironment::new(|pki| vec![profiles::terminates(pki, Step::Connected, Termination::Stall)]).await;
    let hole = Blackhole::start().await.expect("a black hole");
    let targets = [hole.addr(), env.fleet.addrs()[0]].map(|at| at.to_string());
    for (target, status) in [(&targets[0], "connect timeout"), (&targets[1], "greeting timeout")] {
        let begin = Instant::now();
        let args = ["--output=nagios", "--config.file=config.yaml", target, "--timeout=4s"];
        check(&mut env.command(&args), 2, &format!("1 of 1 backend of {target} failing: {status}"));
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    }
    // Interrupted.
    let mut command = env.command(&["--output=nagios", "--config.file=config.yaml", &targets[1], "--timeout=60s"]);
    let process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    env.fleet.servers()[0].wait_accepted(2).await;
    assert!(Command::new("kill").arg(process.id().to_string()).status().expect("kill runs").success());
    let output = tokio::task::block_in_place(|| process.wait_with_output().expect("it ends"));
    let found = (output.status.code(), text(&output.stdout), text(&output.stderr));
    assert_eq!(found, (Some(3), "SMTP TLS UNKNOWN - interrupted\n", ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_of_servers_is_neither_performance_data_nor_a_line() {
    let env = CheckEnvironment::new(|pki| {
        let names = ["a|b=1", "x\r\nSMTP TLS OK - y", "\u{1b}]0;owned\u{7}", "smtp.example.com|", "'$`;<"];
        let names = names.into_iter().map(str::to_owned).chain((0..500).map(|number| format!("h{number}|.test")));
        let evil = Some("x|\u{1b}[2J\u{202e}\n<script>".to_owned());
        let spec = CertSpec { names: names.collect(), common_name: evil, ..CertSpec::default() };
        let greeting = Script::with_greeting("554 5.7.1 go | 'days_until_expiry'=99;; away");
        vec![
            ServerSpec::new(pki.issue(&spec.with_issuer(Issuer::SelfSigned))),
            profiles::good(pki).with_script(greeting).with_fault(Fault::terminates(Step::Greeted, Termination::Close)),
        ]
    })
    .await;
    env.dns.set_addresses(profiles::ALIAS, &env.fleet.ips());
    let target = format!("{{name: \"t|\\u2066\", host: {}, port: {}}}", profiles::ALIAS, env.fleet.port());
    env.config(&[target]);
    let mut command = env.command(&["--output=nagios", "--config.file=config.yaml"]);
    let found = check(&mut command, 2, "2 of 2 backends of t/\u{fffd} failing: greeting ");
    assert!(found.chars().all(|c| c == '\n' || smtp_tls_exporter::text::is_printable(c)), "{found:?}");
    let (first, rest) = found.split_once('\n').expect("lines");
    assert!(first.contains(" | 'days_until_expiry'=") && first.len() < 1000, "{first}");
    assert!(rest.contains("go / 'days_until_expiry'=99"), "the reply is quoted: {rest}");
    assert!(rest.lines().all(|line| line.starts_with("CRITICAL ") || line.starts_with("- ")), "{rest}");
}
