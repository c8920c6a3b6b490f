//! Probes the TLS certificates of SMTP servers, **once per resolved backend address**, on an interval, and publishes
//! for Prometheus what it saw and what it concludes.
//!
//! # Bird's-eye view
//! Data runs one way, through the modules in this order:
//!
//! | wing | modules |
//! |---|---|
//! | vocabulary: no I/O, no runtime | [`reason`], [`client_errors`], [`net`], [`target`], [`trust`], [`observation`] |
//! | input | [`cli`], [`config`], [`logging`] |
//! | work | [`discovery`], [`probe`], [`verdict`], [`snapshot`], [`monitor`], [`verify`] |
//! | output | [`advice`], [`render`], [`web`], [`service`], [`check`], [`health`] |
//!
//! A *target* (an entry of the config) expands to *endpoints* (server name, port, TLS mode), and those by DNS to
//! *backends* (endpoint and one address). A probe of a backend yields an *observation*; a *verdict* is concluded from
//! it; *reports* of both are what the outputs read.
//!
//! # Invariants
//! `tests/integration/imports.rs` holds those that can be read from imports.
//! - `discovery`, `probe` and `verdict` import vocabulary only (and `route`, which asks the kernel one question).
//! - Vocabulary, `verdict`, `snapshot`, `verify`, `advice` and `report` never import tokio; `web` sees snapshots and the monitor's `Handle`.
//! - Only `discovery` imports hickory; only `probe` speaks TLS as a client; only `verdict` and `trust` import webpki,
//!   and only `verdict` x509-parser and x509-ocsp.
//! - Only `monitor` starts probes, so that every bound on connections holds for all of them.
//! - Time, roots and policy are arguments: no verdict asks a clock.
//! - A bad certificate is data, not an error. A verdict that is not known is absent, never negative.
//! - A failure of this machine touches no report of a server.

pub mod client_errors;
pub mod file;
pub mod net;
pub mod reason;
pub mod target;
pub mod text;
pub mod trust;

pub mod observation;

pub mod config;

pub mod discovery;

pub mod probe;

pub mod verdict;

pub mod snapshot;

pub mod monitor;

pub mod verify;

pub mod advice;
pub mod cmd;
pub mod metrics;
pub mod render;
pub mod service;
pub mod web;
