//! An embedded fleet of mail servers on loopback, for tests, benchmarks and the demo.
//!
//! Everything that a probe connects to is created at run time and removed on drop:
//!
//! - certificates: [`Pki`] issues the usual ones, [`x509`] builds malformed and unusual ones, [`ocsp`] signs OCSP
//!   responses, and [`cases`] is a table of certificate chains with the expected verdict for each;
//! - scripted SMTP servers: a [`Fleet`] runs one server per [`ServerSpec`], and [`profiles`] lists the known behaviors;
//! - a [`Farm`]: up to four million well-behaved backends behind one listener;
//! - a [`Blackhole`]: an address that never answers a SYN;
//! - a name server: [`Dns`];
//! - the [`demo`], which combines them;
//! - TLS client configurations for tests: [`client`].
//!
//! Invariants: loopback only; ports are assigned by the kernel; each fleet, name server and black hole has its own
//! 127.x.y.0/24 network; no key outlives the process; this crate never depends on the exporter.

pub use blackhole::Blackhole;
pub use dns::{Answer, Dns, EdnsSupport, Record, RecordType, Transport};
pub use farm::{Farm, IdentityProvider};
pub use pki::{
    Authority, AuthoritySpec, CertSpec, Extension, Identity, Issuer, KeyKind, Pki, Presented, Purpose, ocsp, x509,
};
pub use script::{Chunk, Delivery, Fault, Script, ServerSpec, Step, Termination, TlsMode, TlsVersions};
pub use server::{Fleet, Server, Session};

/// Builder methods that each replace one field of `Self`.
macro_rules! setters {
    ($($(#[$meta:meta])* $method:ident($field:ident: $type:ty);)+) => {
        $($(#[$meta])* pub fn $method(self, $field: $type) -> Self {
            Self { $field, ..self }
        })+
    };
}

pub mod cases;
pub mod client;
pub mod demo;
pub mod profiles;

mod blackhole;
mod dns;
mod farm;
mod network;
mod pki;
mod script;
mod server;
