//! `check` reports what a reply says, in its table and as JSON.

use super::{CheckEnvironment, text};
use crate::replies::cases;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_what_a_reply_says() {
    let cases = cases();
    let env = CheckEnvironment::new(|pki| cases.iter().map(|case| case.server(pki)).collect()).await;
    let port = env.fleet.port();
    let targets: Vec<String> = cases
        .iter()
        .zip(env.fleet.ips())
        .map(|(case, ip)| {
            format!("{{host: {0}, name: {0}, port: {port}, addresses: [{ip}]{1}}}", case.host, case.keys())
        })
        .collect();
    env.config(&targets);
    let names: Vec<&str> = cases.iter().map(|case| case.host).collect();
    let json = env.json(1, &names);
    for (case, target) in cases.iter().zip(json["targets"].as_array().expect("targets")) {
        assert_eq!(target["name"], case.host);
        case.check_json(target);
    }
    let output = env.run(&names);
    let table: String = text(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    for case in &cases {
        assert!(table.contains(case.quoted()), "{}: {}", case.host, text(&output.stdout));
    }
}
