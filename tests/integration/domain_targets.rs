//! `mx` and `submission` targets: from MX and SRV records to the metrics.

use smtp_fleet::{Answer, CertSpec, Dns, Fleet, Pki, RecordType, ServerSpec, TlsMode};

use crate::service_fixture::{check, metrics, rounds, service};
use crate::support::Environment;

fn server(pki: &Pki, name: &str, tls: TlsMode) -> ServerSpec {
    ServerSpec::new(pki.issue(&CertSpec::valid_for(&[name]))).with_tls(tls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_every_host_of_a_domain_at_every_address() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![
        server(&pki, "mx1.example.com", TlsMode::StartTls),
        server(&pki, "wrong.example.com", TlsMode::StartTls),
        server(&pki, "mx2.example.com", TlsMode::StartTls),
        server(&pki, "mail.example.com", TlsMode::Implicit),
        server(&pki, "example.net", TlsMode::StartTls),
    ]);
    let fleet = fleet.await.expect("a fleet");
    let (ips, port) = (fleet.ips(), fleet.port());
    let dns = Dns::start().await.expect("a responder");
    dns.set_mx("example.com", &[(20, "mx2.example.com."), (10, "mx1.example.com."), (30, "gone.example.com.")]);
    dns.set("gone.example.com", RecordType::A, Answer::NxDomain);
    dns.set("gone.example.com", RecordType::AAAA, Answer::NxDomain);
    dns.set_addresses("mx1.example.com", &ips[..2]);
    dns.set_addresses("mx2.example.com", &ips[2..3]);
    dns.set_mx("quiet.example.com", &[(0, ".")]);
    dns.set_addresses("example.net", &ips[4..]);
    dns.set_srv("_submissions._tcp.example.com", &[(0, 1, port, "mail.example.com.")]);
    dns.set_addresses("mail.example.com", &ips[3..4]);
    let env = Environment::new(&pki);
    let targets = [
        format!("{{mx: [example.com, quiet.example.com, example.net], port: {port}, labels: {{team: mail}}}}"),
        "{submission: example.com}".to_owned(),
    ];
    let defaults = format!("resolver: test, interval: 60s, allow_addresses: [127.0.0.0/8], allow_ports: [{port}]");
    let text = Environment::yaml(&defaults, &Environment::resolver(&dns), &targets);
    let (service, address) = service(env.config(&text), None).await;
    let running = service.start().expect("a service");
    let targets @ [com, quiet, net, submission] =
        ["mx:example.com", "mx:quiet.example.com", "mx:example.net", "submission:example.com"];
    rounds(&running, targets).await;
    let answer = metrics(address).await;
    let team = |target: &str| if target.starts_with("mx:") { ",team=\"mail\"" } else { "" };
    let of_target = |metric: &str, target: &str, more: &str, value| {
        (format!("smtp_tls_{metric}{{target=\"{target}\"{more}{}}}", team(target)), value)
    };
    let of_host = |metric: &str, target: &str, host: &str, more: &str, value| {
        of_target(metric, target, &format!(",server_name=\"{host}\"{more}"), value)
    };
    let matches = |target: &str, host: &str, index: usize, value| {
        let tls = if target == submission { "implicit" } else { "starttls" };
        let labels = format!(",backend=\"{}\",tls=\"{tls}\"", fleet.addrs()[index]);
        of_host("cert_hostname_match", target, host, &labels, value)
    };
    let info = |tls: &str, preference: &str| format!(",port=\"{port}\",tls=\"{tls}\",preference=\"{preference}\"");
    let failed = ",name=\"gone.example.com\",type=\"A\",reason=\"nxdomain\"";
    check(
        &answer,
        &[
            of_target("target_info", com, ",kind=\"mx\"", Some(1.0)),
            of_target("target_hosts", com, "", Some(3.0)),
            of_target("target_lookup_success", com, "", Some(0.0)),
            of_target("target_lookup_failure_info", com, failed, Some(1.0)),
            of_host("endpoint_info", com, "mx1.example.com", &info("starttls", "10"), Some(1.0)),
            of_host("endpoint_info", com, "mx2.example.com", &info("starttls", "20"), Some(1.0)),
            of_host("target_backends_hostname_matched", com, "mx1.example.com", "", Some(1.0)),
            of_host("target_backends_hostname_mismatched", com, "mx1.example.com", "", Some(1.0)),
            of_host("target_backends_hostname_matched", com, "mx2.example.com", "", Some(1.0)),
            matches(com, "mx1.example.com", 0, Some(1.0)),
            matches(com, "mx1.example.com", 1, Some(0.0)),
            matches(com, "mx2.example.com", 2, Some(1.0)),
            // A null MX is not a failure (RFC 7505).
            of_target("target_hosts", quiet, "", Some(0.0)),
            of_target("target_lookup_success", quiet, "", Some(1.0)),
            // Without MX records, the domain itself is the host (RFC 5321 §5.1).
            of_target("target_lookup_success", net, "", Some(1.0)),
            matches(net, "example.net", 4, Some(1.0)),
            of_target("target_info", submission, ",kind=\"submission\"", Some(1.0)),
            of_host("endpoint_info", submission, "mail.example.com", &info("implicit", "0"), Some(1.0)),
            matches(submission, "mail.example.com", 3, Some(1.0)),
        ],
    );
}
