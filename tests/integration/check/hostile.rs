//! Text of servers must not control the terminal.

use serde_json::Value;
use smtp_fleet::{CertSpec, Fault, Script, ServerSpec, Step, profiles};
use smtp_fleet::{Issuer, Termination};

use super::table::findings;
use super::{CheckEnvironment, text};

fn is_harmless(c: char) -> bool {
    let is_format = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}');
    c == '\n' || !(c.is_control() || is_format)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_characters_and_long_lists_of_names_are_harmless() {
    let env = CheckEnvironment::new(|pki| {
        let many: Vec<String> = (0..1500).map(|number| format!("host-{number}.example.com")).collect();
        let mut names = vec!["\u{1b}]0;owned\u{7}\u{1b}[31m".to_owned(), "a\r\nb".to_owned()];
        names.extend(many);
        let evil = Some("x\u{1b}[2J\u{202e}\u{9b}31m\n<script>".to_owned());
        let spec = CertSpec { names, common_name: evil, ..CertSpec::default() }.with_issuer(Issuer::SelfSigned);
        let greeting = Script::with_greeting("554 \u{1b}[31m\u{202e}go\u{7} away");
        vec![
            ServerSpec::new(pki.issue(&spec)),
            profiles::good(pki).with_script(greeting).with_fault(Fault::terminates(Step::Greeted, Termination::Close)),
        ]
    })
    .await;
    env.dns.set_addresses(profiles::ALIAS, &env.fleet.ips());
    env.config(&[format!("{{name: \"t\\u2066\", host: {}, port: {}}}", profiles::ALIAS, env.fleet.port())]);
    for args in [&[][..], &["--show-certs"], &["--output=json"], &["--output=prometheus"]] {
        let output = env.run(args);
        let found = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {found}{}", text(&output.stderr));
        let odd: Vec<char> = found.chars().filter(|c| !is_harmless(*c)).collect();
        // The exposition has configured names unchanged: it is not for terminals.
        let own: &[char] = if args == ["--output=prometheus"] { &['\u{2066}'] } else { &[] };
        assert!(odd.iter().all(|c| own.contains(c)), "{args:?}: {odd:?}");
        assert!(found.len() < 100_000, "{args:?}: {}", found.len());
        if args.is_empty() {
            assert!(!found.contains("host-1499.") && found.contains("self_signed"), "{found}");
            let lines = findings(found);
            assert!(lines.lines().all(|line| line.chars().count() <= 80), "{lines}");
        }
    }
    let json: Value = serde_json::from_slice(&env.run(&["--output=json"]).stdout).expect("JSON");
    assert_eq!(json["targets"][0]["name"], "t\u{2066}", "escaped, not changed");
    let leaf = &json["targets"][0]["endpoints"][0]["backends"][0]["certificate"];
    assert_eq!(leaf["names"].as_array().map(Vec::len), Some(100));
    assert!(leaf["names_total"].as_u64().is_some_and(|total| total >= 1500), "{}", leaf["names_total"]);
}

/// A certificate that is larger than the limit is dropped, and costs neither time nor memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_megabytes_of_names_are_rejected() {
    let env = CheckEnvironment::new(|pki| {
        let padding = "x".repeat(50);
        let names: Vec<String> = (0..160_000).map(|number| format!("{padding}{number}.example.com")).collect();
        let identity = pki.issue(&CertSpec { names, ..CertSpec::default() });
        let size: usize = identity.chain().iter().map(|der| der.len()).sum();
        assert!(size > 10 * 1024 * 1024, "{size}");
        vec![ServerSpec::new(identity)]
    })
    .await;
    env.dns.set_addresses(profiles::ALIAS, &env.fleet.ips());
    for args in [&[][..], &["--show-certs"], &["--output=json"], &["--output=prometheus"]] {
        let output = env.run(&[&[&*env.at(profiles::ALIAS)], args].concat());
        let found = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {found}{}", text(&output.stderr));
        assert!(found.contains("chain_too_large") && found.len() < 20_000, "{args:?}: {found}");
    }
}
