//! Target files that change while the service runs.

use std::net::SocketAddr;
use std::time::Duration;

use smtp_fleet::{Fleet, Pki, profiles};
use smtp_tls_exporter::config::Config;

use crate::service_fixture::{metrics, service};
use crate::support::{Environment, until};

/// Waits until the metrics contain exactly these targets and this result of the last reload.
async fn wait(address: SocketAddr, names: &[String], successful: f64) {
    until(async || {
        let answer = metrics(address).await;
        let loaded = answer.value("smtp_tls_exporter_config_last_reload_successful") == Some(successful);
        let count = answer.value("smtp_tls_exporter_targets") == Some(names.len() as f64);
        let named = names.iter().all(|name| answer.text().contains(&format!("target=\"{name}\"")));
        (loaded && count && named).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_target_files_when_they_change() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki), profiles::good(&pki)]).await.expect("a fleet");
    let env = Environment::new(&pki);
    let main = env.folder.path().join("config.yaml");
    let text = Environment::yaml("interval: 60s", "target_files: ['*.json']", &[]);
    std::fs::write(&main, text).expect("a config");
    let broken = env.folder.path().join("broken.json");
    std::fs::write(&broken, "[{").expect("a file");
    let config = Config::load(&main).unwrap_or_else(|error| panic!("{error}"));
    let (service, address) = service(config, Some(main)).await;
    let running = service.start_watching(Duration::from_millis(10)).expect("a service");

    let file = env.folder.path().join("servers.json");
    let names: Vec<_> = fleet.addrs().iter().map(ToString::to_string).collect();
    let write = |names: &[String]| {
        let text = serde_json::json!([{"targets": names, "labels": {"team": "mail", "__meta_x": "y"}}]);
        std::fs::write(&file, text.to_string()).expect("a file");
    };
    // An invalid file does not affect the others.
    wait(address, &[], 0.0).await;
    write(&names[..1]);
    wait(address, &names[..1], 0.0).await;
    std::fs::remove_file(&broken).expect("removed");
    wait(address, &names[..1], 1.0).await;
    fleet.servers()[0].wait_accepted(1).await;
    write(&names);
    wait(address, &names, 1.0).await;
    fleet.servers()[1].wait_accepted(1).await;
    std::fs::write(&file, "[{").expect("a file");
    wait(address, &names, 0.0).await;
    write(&names[1..]);
    wait(address, &names[1..], 1.0).await;
    let answer = metrics(address).await;
    assert!(answer.text().contains("team=\"mail\"") && !answer.text().contains("__meta_x"), "{}", answer.text());
    std::fs::remove_file(&file).expect("removed");
    wait(address, &[], 1.0).await;
    running.until(async {}).await.expect("a clean shutdown");
}
