//! An embedded fleet of mail servers on loopback, for tests, benches and the demo.
//!
//! Everything a probe meets is made here at run time and ends on drop: certificates ([`Pki`]; any at all by [`x509`],
//! and in [`cases`] a table of them with what must be concluded of each),
//! scripted SMTP servers with their faults ([`Fleet`], described by [`ServerSpec`] rows; [`profiles`] has the
//! known kinds), ten thousand well-behaved backends behind one listener ([`Farm`]), an address that
//! never answers a SYN ([`Blackhole`]) and the names that lead to them ([`Dns`]). [`demo`] is a scene of them all.
//!
//! Invariants: loopback only; ports come from the kernel; each fleet, responder and black hole has a
//! 127.x.y.0/24 of its own; no key outlives the process; nothing here depends on the exporter.

pub use blackhole::Blackhole;
pub use dns::{Answer, Dns, Record, RecordType, Transport};
pub use farm::{Farm, IdentityProvider};
pub use pki::{
    Authority, AuthoritySpec, CertSpec, Extension, Identity, Issuer, KeyKind, Pki, Presented, Purpose, ocsp, x509,
};
pub use script::{Chunk, Delivery, Fault, Script, ServerSpec, Step, Termination, TlsMode, TlsVersions};
pub use server::{Fleet, Server, Session};

pub mod cases;
pub mod demo;
pub mod profiles;

mod blackhole;
mod dns;
mod farm;
mod network;
mod pki;
mod script;
mod server;
