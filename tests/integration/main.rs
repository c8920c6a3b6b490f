//! The exporter's street against the embedded fleet: real TLS, real DNS packets, loopback only.

mod binary;
mod certificates;
mod check;
mod discovery;
mod docs;
mod domains;
mod golden;
mod health;
mod layering;

mod monitor;
mod mutations;
mod names;
mod probe;
mod probe_page;
mod reasons;
mod service_fixture;
mod street;
mod support;
mod target_files;
mod verify;
mod way_out;
