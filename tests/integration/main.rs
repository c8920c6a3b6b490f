//! The exporter against the embedded fleet: real TLS, real DNS packets, loopback only.

mod alternates;
mod binary;
mod certificates;
mod check;
mod damaged_chains;
mod discovery;
mod docs;
mod domain_targets;
mod end_to_end;
mod golden;
mod health;
mod layering;
mod monitor;
mod names;
mod near_misses;
mod probe;
mod probe_page;
mod reasons;
mod replies;
mod rotated_files;
mod scheduling;
mod senders;
mod service_fixture;
mod support;
mod target_files;
mod verify;
