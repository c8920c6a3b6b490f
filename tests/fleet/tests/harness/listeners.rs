//! The farm and the black hole.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use smtp_fleet::{Blackhole, CertSpec, Farm, Pki, TlsMode, profiles};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{trusting, visit};

#[tokio::test]
async fn every_address_of_a_farm_has_its_own_certificate() {
    let pki = Pki::new();
    let config = trusting(&pki, None);
    let farm = Farm::start(Arc::new(move |ip| {
        pki.issue_with_shared_key(&CertSpec::valid_for(&[profiles::ALIAS, &ip.to_string()]))
    }));
    let farm = farm.await.unwrap();
    let mut leaves = HashSet::new();
    // The neighbours of every octet's end.
    for index in [0, 1, 254, 255, 65_534, 65_535, 4_194_302] {
        for _ in 0..2 {
            let seen = visit(farm.addr(index), TlsMode::StartTls, &config).await;
            leaves.insert(seen.unwrap().leaf.to_vec());
        }
    }
    assert_eq!(leaves.len(), 7);
    assert_eq!(farm.connections(), 14);
    assert_eq!(farm.addr(0).to_string(), format!("127.64.0.1:{}", farm.port()));
}

#[tokio::test]
async fn nobody_connects_to_a_black_hole() {
    let hole = Blackhole::start().await.unwrap();
    for _ in 0..3 {
        let attempt = TcpStream::connect(hole.addr());
        assert!(timeout(Duration::from_millis(100), attempt).await.is_err());
    }
    let addr = hole.addr();
    drop(hole);
    assert!(TcpStream::connect(addr).await.is_err());
}
