//! The demo: names that resolve to healthy and failing servers, and an exporter configuration for them.

use std::fmt::Write;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{CertSpec, Dns, Fleet, Issuer, Pki, Presented, ServerSpec, TlsMode, TlsVersions, profiles};

/// The demo's servers and name server. Stops on drop.
#[derive(Debug)]
pub struct Demo {
    config: PathBuf,
    _fleet: Fleet,
    _dns: Dns,
}

impl Demo {
    /// Starts the servers and writes the root certificate and the configuration ([`CONFIG_FILE`]) to `folder`. The
    /// configuration is written last and atomically: once it exists, everything is ready.
    ///
    /// # Errors
    /// The error from binding or writing.
    pub async fn start(folder: &Path) -> io::Result<Self> {
        let pki = Pki::new();
        let cases = cases(&pki);
        let fleet = Fleet::start(cases.iter().flat_map(|case| case.servers.clone()).collect()).await?;
        let dns = Dns::start().await?;

        let mut addresses = fleet.ips().into_iter();
        let mut targets = String::new();
        for case in &cases {
            let backends: Vec<IpAddr> = addresses.by_ref().take(case.servers.len()).collect();
            for name in case.names {
                dns.set_addresses(name, &backends);
                let (port, tls, team) = (fleet.port(), case.tls(), case.team);
                writeln!(
                    targets,
                    "  - {{host: {name}, port: {port}, tls: {tls}, name: {name}, labels: {{team: {team}}}}}"
                )
                .expect("writing to a string never fails");
            }
        }
        std::fs::write(folder.join("root.pem"), pki.root_pem())?;
        let (config, draft) = (folder.join(CONFIG_FILE), folder.join("demo.yaml.draft"));
        std::fs::write(&draft, config_text(&dns, &targets))?;
        std::fs::rename(draft, &config)?;
        Ok(Self { config, _fleet: fleet, _dns: dns })
    }

    /// The path of the configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }
}

/// The name of the configuration file in its folder.
pub const CONFIG_FILE: &str = "demo.yaml";

/// Names that resolve to the same backends.
struct Case {
    names: &'static [&'static str],
    team: &'static str,
    servers: Vec<ServerSpec>,
}

impl Case {
    fn tls(&self) -> &'static str {
        match self.servers.first().map(|server| server.tls) {
            Some(TlsMode::Implicit) => "implicit",
            _ => "starttls",
        }
    }
}

/// First the case that the exporter was made for: only one of three backends lists the alias, all three list the other
/// name.
fn cases(pki: &Pki) -> Vec<Case> {
    let single =
        |name: &'static [&'static str], spec: ServerSpec| Case { names: name, team: "web", servers: vec![spec] };
    let certificate_for = |name: &str| CertSpec::valid_for(&[name]);
    let issue = |spec: CertSpec| ServerSpec::new(pki.issue(&spec));
    let with_certificate_for = |name, spec| ServerSpec { identity: Some(pki.issue(&certificate_for(name))), ..spec };
    const DAY: i64 = 86_400;
    vec![
        Case {
            names: &[profiles::ALIAS, profiles::HOST],
            team: "mail",
            servers: vec![profiles::good(pki), profiles::alias_missing(pki), profiles::alias_missing(pki)],
        },
        single(
            &["expired.example.com"],
            issue(certificate_for("expired.example.com").with_validity(-90 * DAY, -3 * DAY)),
        ),
        single(&["soon.example.com"], issue(certificate_for("soon.example.com").with_validity(-85 * DAY, 5 * DAY))),
        single(&["future.example.com"], issue(certificate_for("future.example.com").with_validity(DAY, 90 * DAY))),
        single(
            &["self-signed.example.com"],
            issue(certificate_for("self-signed.example.com").with_issuer(Issuer::SelfSigned)),
        ),
        single(
            &["incomplete.example.com"],
            issue(certificate_for("incomplete.example.com").with_presented(Presented::LeafOnly)),
        ),
        single(
            &["private-ca.example.com"],
            issue(certificate_for("private-ca.example.com").with_issuer(Issuer::Untrusted)),
        ),
        single(&["implicit.example.com"], issue(certificate_for("implicit.example.com")).with_tls(TlsMode::Implicit)),
        single(&["no-starttls.example.com"], profiles::no_starttls(pki)),
        single(
            &["no-longer-offered.example.com"],
            profiles::starttls_refused(pki, "454 TLS not available due to local problem"),
        ),
        single(&["busy.example.com"], profiles::greeting_421(pki)),
        single(
            &["postscreen.example.com"],
            with_certificate_for("postscreen.example.com", profiles::screening(pki, Duration::from_secs(1))),
        ),
        single(
            &["mutual.example.com"],
            with_certificate_for("mutual.example.com", profiles::client_certificate(pki, TlsVersions::Tls13)),
        ),
        // Certificate fields are untrusted input: their markup must be escaped.
        single(
            &["markup.example.com"],
            issue(
                certificate_for("<img src=x onerror=alert('name')>")
                    .with_common_name(Some("</title><script>alert('subject')</script>")),
            ),
        ),
    ]
}

fn config_text(dns: &Dns, targets: &str) -> String {
    format!(
        "defaults: {{interval: 15s, timeout: 10s, ehlo_name: probe.example.net, trust: demo, resolver: demo}}\n\
         trust_stores: {{demo: {{roots: none, files: [root.pem]}}}}\n\
         resolvers: {{demo: {{nameservers: [\"{}\"]}}}}\n\
         targets:\n{targets}",
        dns.addr()
    )
}
