//! A Prometheus exporter that probes the TLS of SMTP servers, **once per resolved backend address**, on an interval.
//!
//! # Bird's-eye view
//! A *target* (an entry of the configuration) expands to *endpoints* (server name, port, TLS mode), and an endpoint to
//! *backends* (one per resolved address). A probe of a backend yields an *observation*, from which *verdicts* are
//! derived. Immutable *reports* hold both, and all outputs read them. Data flows one way, from the first layer to the
//! last:
//!
//! | layer | module | holds |
//! |---|---|---|
//! | vocabulary | [`reason`], [`client_errors`] | reasons of failures and verdicts, and what clients report for them |
//! | | [`target`], [`net`] | targets and their text forms; networks, address scopes and routes |
//! | | [`trust`] | trust stores |
//! | | [`observation`] | what a lookup or a probe observed |
//! | | [`text`], [`mod@file`], [`open_files`] | shared helpers: counts, lists, times; bounded reads; the limit of files |
//! | input | [`config`] | configuration and target files |
//! | work | [`discovery`] | target to endpoints to addresses, by DNS |
//! | | [`probe`] | backend to observation, by SMTP and TLS |
//! | | [`verdict`] | certificate facts, chain, name, key proof, OCSP |
//! | | [`snapshot`] | immutable reports, states, alternate names |
//! | | [`monitor`] | schedules lookups and probes, owns all state |
//! | | [`verify`] | verdicts on certificates from files |
//! | output | [`metrics`] | reports to Prometheus metrics |
//! | | [`rules`] | alerting rules for Prometheus |
//! | | [`advice`], [`render`] | what to fix; text, JSON and PEM |
//! | | [`web`], [`service`] | HTTP; listeners, monitor and reload together |
//! | | [`tls_client`] | verified TLS connections of commands |
//! | | [`cmd`] | the command line and its sub-commands |
//!
//! # Invariants
//! `tests/integration/layering.rs` checks those that concern imports.
//! - `discovery`, `probe` and `verdict` import only the vocabulary.
//! - The vocabulary, `verdict`, `snapshot`, `verify`, `metrics`, `advice` and `render` never import tokio. `web` uses
//!   reports and the monitor's `Handle`.
//! - Only `discovery` imports hickory; only `probe` and `tls_client` open TLS connections; only `verdict` and `trust` import
//!   webpki; only these and `tls_client` import x509-parser, and only `verdict` x509-ocsp.
//! - Only `monitor` starts probes, so that every limit on connections applies to all of them.
//! - Time, trust anchors and settings are arguments: verdicts never read a clock.
//! - An invalid certificate is data, not an error. A verdict that is not known is absent, never negative.
//! - A failure of the exporter host never changes the report of a server.

pub mod client_errors;
pub mod file;
pub mod net;
pub mod observation;
pub mod open_files;
pub mod reason;
pub mod target;
pub mod text;
pub mod trust;

pub mod config;

pub mod discovery;
pub mod monitor;
pub mod probe;
pub mod snapshot;
pub mod verdict;
pub mod verify;

pub mod advice;
pub mod cmd;
pub mod metrics;
pub mod render;
pub mod rules;
pub mod service;
pub mod tls_client;
pub mod web;
