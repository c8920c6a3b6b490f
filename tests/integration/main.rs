//! The exporter's street against the embedded fleet: real TLS, real DNS packets, loopback only.

mod imports;
mod monitor;

mod probe;
mod support;
