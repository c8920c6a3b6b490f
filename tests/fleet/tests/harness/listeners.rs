//! Tests of the farm and the black hole.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use smtp_fleet::{Blackhole, CertSpec, Farm, Pki, TlsMode, profiles};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{run_session, trusting};

#[tokio::test]
async fn farm_serves_a_different_certificate_on_each_address() {
    let pki = Pki::new();
    let config = trusting(&pki, None);
    let farm = Farm::start(Arc::new(move |ip| {
        pki.issue_with_shared_key(&CertSpec::valid_for(&[profiles::ALIAS, &ip.to_string()]))
    }));
    let farm = farm.await.unwrap();
    let mut leaves = HashSet::new();
    // Both sides of the octet boundaries.
    for index in [0, 1, 254, 255, 65_534, 65_535, 4_194_302] {
        for _ in 0..2 {
            let outcome = run_session(farm.addr(index), TlsMode::StartTls, &config).await;
            leaves.insert(outcome.unwrap().leaf.to_vec());
        }
    }
    assert_eq!(leaves.len(), 7);
    assert_eq!(farm.connections(), 14);
    assert_eq!(farm.addr(0).to_string(), format!("127.64.0.1:{}", farm.port()));
}

#[tokio::test]
async fn black_hole_leaves_connection_attempts_unanswered() {
    let blackhole = Blackhole::start().await.unwrap();
    for _ in 0..3 {
        let attempt = TcpStream::connect(blackhole.addr());
        assert!(timeout(Duration::from_millis(100), attempt).await.is_err());
    }
    let addr = blackhole.addr();
    drop(blackhole);
    assert!(TcpStream::connect(addr).await.is_err());
}
