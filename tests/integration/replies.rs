//! Replies that refuse the exporter, and greetings that come too late: from the server to `/metrics`, `/probe`, the JSON
//! document, the page of the target, and `check`.

use std::time::Duration;

use serde_json::{Value, json};
use smtp_fleet::{CertSpec, Chunk, Fault, Pki, Script, ServerSpec, Step, Termination, TlsMode};

use crate::service_fixture::{ServiceFixture, check, pki};
use crate::support::{Answer, request};

/// A server, and what is expected of a probe.
pub(crate) struct Case {
    /// Also the name of the target.
    pub(crate) host: &'static str,
    tls: TlsMode,
    script: Script,
    stage: &'static str,
    reason: &'static str,
    /// The cause in the JSON document.
    cause: Option<&'static str>,
    /// What the advice mentions, besides the reply.
    advice: &'static [&'static str],
    /// The reply, as it is quoted.
    quoted: &'static str,
}

impl Case {
    /// Keys of the target.
    pub(crate) fn keys(&self) -> String {
        let tls = if self.tls == TlsMode::Implicit { "implicit" } else { "starttls" };
        let timeout = if self.reason == "timeout" { "1s" } else { "20s" };
        format!(", tls: {tls}, timeout: {timeout}, connect_timeout: 1s")
    }

    pub(crate) fn server(&self, pki: &Pki) -> ServerSpec {
        let identity = pki.issue(&CertSpec::valid_for(&[self.host]));
        ServerSpec::new(identity).with_tls(self.tls).with_script(self.script.clone())
    }

    pub(crate) fn quoted(&self) -> &'static str {
        self.quoted
    }

    fn is_limit(&self) -> bool {
        self.cause == Some("connection_limit")
    }

    /// Whether TLS was established, so that the certificate was seen.
    fn reaches_tls(&self) -> bool {
        self.stage == "session"
    }

    /// Checks the JSON document of one target.
    #[track_caller]
    pub(crate) fn check_json(&self, target: &Value) {
        let host = self.host;
        let probe = target.pointer("/endpoints/0/backends/0/probe").expect("a probe");
        for (key, expected) in [
            ("success", json!(false)),
            ("stage", json!(self.stage)),
            ("reason", json!(self.reason)),
            ("cause", json!(self.cause)),
            ("rate_limited", json!(self.is_limit())),
        ] {
            assert_eq!(probe[key], expected, "{host}: {key} in {probe:#}");
        }
        assert!(probe["detail"].as_str().is_some_and(|detail| detail.contains(self.quoted)), "{host}: {probe:#}");
        let advice = target["advice"].as_array().expect("advice");
        let of_probe: Vec<&Value> = advice.iter().filter(|advice| advice["kind"] != "dns").collect();
        let [advice] = of_probe.as_slice() else { panic!("{host}: {advice:#?}") };
        assert_eq!(advice["kind"] == "rate_limited", self.is_limit(), "{host}: {advice:#}");
        let text = advice["text"].as_str().expect("a text");
        for part in self.advice.iter().chain([&self.quoted]) {
            assert!(text.contains(part), "{host}: {part} in {text}");
        }
        assert_eq!(text.contains("limits"), self.is_limit(), "{host}: {text}");
    }
}

/// One line of a reply.
fn refuses(host: &'static str, to: Step, reply: &'static str) -> Case {
    refuses_in_lines(host, to, &[reply], reply)
}

fn refuses_in_lines(host: &'static str, to: Step, lines: &[&str], quoted: &'static str) -> Case {
    let mut script = Script::with_reply(to, lines);
    if quoted.starts_with("421") {
        // A server that sends 421 closes the connection (RFC 5321 §3.8).
        script.fault =
            if to == Step::Connected { Fault::terminates(Step::Greeted, Termination::Close) } else { Fault::None };
    }
    let (stage, reason) = match to {
        Step::StartTls => ("starttls", "starttls_refused"),
        _ => {
            let stage = if to == Step::Connected { "greeting" } else { "ehlo" };
            (stage, if quoted.starts_with('4') { "rejected_4xx" } else { "rejected_5xx" })
        }
    };
    let stage = if to == Step::EhloInTls { "session" } else { stage };
    Case { host, tls: TlsMode::StartTls, script, stage, reason, cause: None, advice: &[], quoted }
}

impl Case {
    fn cause(self, cause: &'static str) -> Self {
        Self { cause: Some(cause), ..self }
    }

    fn advises(self, advice: &'static [&'static str]) -> Self {
        Self { advice, ..self }
    }

    /// The same inside implicit TLS.
    fn implicit(self) -> Self {
        Self { tls: TlsMode::Implicit, stage: "session", ..self }
    }
}

/// A reply that is sent together with the greeting, before any command.
fn early(host: &'static str, quoted: &'static str) -> Case {
    let script = Script {
        greeting: vec![Chunk::line(&format!("220 mx ESMTP\r\n{quoted}"))],
        fault: Fault::terminates(Step::Greeted, Termination::Close),
        ..Script::default()
    };
    let (tls, stage, reason) = (TlsMode::StartTls, "ehlo", "rejected_4xx");
    Case { host, tls, script, stage, reason, cause: None, advice: &[], quoted }
}

fn late(host: &'static str) -> Case {
    let greeting = vec![Chunk::delayed(Duration::from_secs(30), "220 mail.example.com ESMTP")];
    let script = Script { greeting, ..Script::default() };
    let (tls, advice) = (TlsMode::StartTls, &["`timeout`", "wait"][..]);
    Case { host, tls, script, stage: "greeting", reason: "timeout", cause: None, advice, quoted: "" }
}

pub(crate) fn cases() -> Vec<Case> {
    use Step::{Connected, Ehlo, EhloInTls, StartTls};
    vec![
        refuses("starttls-454.example.com", StartTls, "454 4.7.0 TLS not available due to local problem")
            .cause("tls_unavailable")
            .advises(&["STARTTLS", "certificate or key"]),
        refuses_in_lines(
            "both.example.com",
            StartTls,
            &["454-4.7.0 too many TLS sessions,", "454 4.7.0 TLS not available due to local problem"],
            "454 4.7.0 too many TLS sessions, TLS not available due to local problem",
        )
        .cause("tls_unavailable")
        .advises(&["certificate or key"]),
        refuses("tls-sessions.example.com", StartTls, "454 4.7.0 Error: too many new TLS sessions from 127.0.0.1")
            .cause("connection_limit")
            .advises(&["`interval`"]),
        refuses("starttls-501.example.com", StartTls, "501 5.5.4 Syntax error").advises(&["proxy"]),
        refuses("starttls-grey.example.com", StartTls, "451 4.7.1 Greylisted")
            .cause("greylisted")
            .advises(&["greylisting"]),
        refuses("starttls-denied.example.com", StartTls, "550 5.7.1 STARTTLS not permitted on this port")
            .cause("access_denied")
            .advises(&["refuses the exporter host"]),
        early("early-421.example.com", "421 4.3.2 Service shutting down").cause("server_unavailable"),
        refuses("helo.example.com", Ehlo, "504 5.5.2 <probe>: Helo command rejected: need fully-qualified hostname")
            .cause("ehlo_name")
            .advises(&["`ehlo_name`"]),
        refuses("domain.example.com", Ehlo, "501 5.5.4 Invalid domain name")
            .cause("ehlo_name")
            .advises(&["`ehlo_name`"]),
        refuses("fqdn.example.com", Ehlo, "550 HELO should be a FQDN").cause("ehlo_name").advises(&["`ehlo_name`"]),
        refuses("no-ehlo.example.com", Ehlo, "502 5.5.1 command not recognized")
            .cause("ehlo_unsupported")
            .advises(&["EHLO", "proxy"]),
        refuses("ehlo-550.example.com", Ehlo, "550 5.0.0 no").advises(&["`ehlo_name`"]),
        refuses("limit.example.com", Connected, "421 4.7.0 mx.example.com Error: too many connections from 127.0.0.1")
            .cause("connection_limit")
            .advises(&["`interval`"]),
        refuses_in_lines(
            "lines.example.com",
            Connected,
            &[
                "421-4.7.28 Our system has detected an unusual",
                "421-4.7.28 RATE of mail from your address,",
                "421 4.7.28 gsmtp",
            ],
            "421 4.7.28 Our system has detected an unusual RATE of mail from your address, gsmtp",
        )
        .cause("connection_limit")
        .advises(&["`interval`"]),
        refuses("unexplained.example.com", Connected, "421 4.7.0 Try again later").cause("closing"),
        refuses("not-available.example.com", Connected, "421 4.3.2 Service not available").cause("server_unavailable"),
        refuses("disk.example.com", Connected, "452 4.4.5 insufficient disk space; try again later")
            .cause("server_fault")
            .advises(&["disk"]),
        refuses("local.example.com", Connected, "451 Temporary local problem").cause("server_fault"),
        refuses("blocked.example.com", Connected, "550 5.7.1 Client host blocked using zen.spamhaus.org")
            .cause("blocklisted")
            .advises(&["block list", "exporter host", "zen.spamhaus.org"]),
        refuses(
            "open-resolver.example.com",
            Connected,
            "554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org; Error: open resolver",
        )
        .cause("blocklist_unusable")
        .advises(&["every client", "resolver"]),
        refuses("unexplained-554.example.com", Connected, "554 Transaction failed").advises(&["permanent"]),
        refuses("grey.example.com", Connected, "450 4.2.0 greylisted").cause("greylisted").advises(&["greylisting"]),
        refuses("denied.example.com", Connected, "554 5.7.1 Access denied")
            .cause("access_denied")
            .advises(&["refuses the exporter host"]),
        refuses("protocol.example.com", Connected, "550 5.5.1 Protocol error").cause("protocol_error"),
        refuses("session.example.com", EhloInTls, "550 5.7.1 Go away").cause("access_denied").advises(&["inside TLS"]),
        refuses("session-421.example.com", EhloInTls, "421 4.7.0 Try again later").cause("closing"),
        refuses("session-helo.example.com", EhloInTls, "504 5.5.2 <probe>: Helo command rejected: no")
            .cause("ehlo_name")
            .advises(&["`ehlo_name`"]),
        refuses("implicit-ehlo.example.com", EhloInTls, "451 4.3.0 no").implicit(),
        refuses("no-service.example.com", Connected, "554 No SMTP service here").implicit().cause("no_mail_service"),
        refuses("implicit-421.example.com", Connected, "421").implicit().cause("closing"),
        refuses("implicit-limit.example.com", Connected, "421 too many connections")
            .implicit()
            .cause("connection_limit")
            .advises(&["`interval`"]),
        late("late.example.com"),
        late("late-implicit.example.com").implicit(),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_output_agrees_on_what_a_reply_says() {
    let cases = cases();
    let servers = cases.iter().map(|case| (case.host, vec![case.server(&pki())], case.keys()));
    let fixture = ServiceFixture::with_keys(servers.collect()).await;
    let metrics = fixture.metrics().await;
    for (index, case) in cases.iter().enumerate() {
        check_metrics(&metrics, case, &fixture.backend(index));
        let json = request(fixture.address, "GET", &format!("/api/v1/targets/{}", case.host), "").await;
        case.check_json(&serde_json::from_slice(&json.body).expect("JSON"));
        let page = request(fixture.address, "GET", &format!("/targets/{}", case.host), "").await;
        let page = page.text().replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        for part in case.advice.iter().filter(|part| !part.contains('`')).chain([&case.quoted]) {
            assert!(page.contains(part), "{}: {part} in {page}", case.host);
        }
        assert_eq!(page.contains("rate limited"), case.is_limit(), "{}", case.host);
        if case.reason != "timeout" {
            let probed = request(fixture.address, "GET", &format!("/probe?target={}", case.host), "").await;
            assert_eq!(probed.value("probe_success"), Some(0.0), "{}", case.host);
            check_metrics(&probed, case, &fixture.backend(index));
        }
    }
}

#[track_caller]
fn check_metrics(answer: &Answer, case: &Case, backend: &str) {
    let Case { host, stage, reason, .. } = case;
    let tls = if case.tls == TlsMode::Implicit { "implicit" } else { "starttls" };
    let labels = format!("target=\"{host}\",server_name=\"{host}\",backend=\"{backend}\",tls=\"{tls}\"");
    let series = |name: &str, more: &str| format!("smtp_tls_{name}{{{labels}{more}}}");
    // The certificate was seen if TLS was established; in implicit mode, a late greeting is inside TLS.
    let seen = case.reaches_tls().then_some(1.0);
    check(
        answer,
        &[
            (series("probe_success", ""), Some(0.0)),
            (series("probe_failure_info", &format!(",stage=\"{stage}\",reason=\"{reason}\"")), Some(1.0)),
            (series("backend_rate_limited", ""), Some(f64::from(u8::from(case.is_limit())))),
            (series("handshake_errors", ""), Some(0.0)),
            (series("cert_hostname_match", ""), seen),
            (series("chain_valid", ""), seen),
        ],
    );
}
