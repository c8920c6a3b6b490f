//! Probes the TLS certificates of SMTP servers, once per resolved backend address, and publishes what it saw
//! and what it concludes for Prometheus.

pub mod anchors;
pub mod config;
pub mod discovery;
pub mod monitor;
pub mod observation;
pub mod probe;
pub mod reason;
pub mod route;
pub mod snapshot;
pub mod target;
pub mod trust;
pub mod verdict;
