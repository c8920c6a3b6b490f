//! The metrics of a fleet in Prometheus's exposition formats.
//!
//! Every exposition is built from a snapshot and keeps no state between scrapes: series of removed targets and backends
//! disappear by themselves.

use std::fmt;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;

use self::family::Families;
use self::view::FleetView;
use crate::snapshot::Fleet;

mod backend;
mod exporter;
mod family;
mod probe_response;
mod process;
pub mod table;
mod target;
mod view;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub(crate) use probe_response::{ProbeResponse, encode_probe_response};
pub use process::Process;

/// An exposition format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus text format 0.0.4.
    Text,
}

impl Format {
    /// The media type (`Content-Type`) of the format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Writes the metrics of `fleet` as of `now`, of the exporter, and of `process` if given.
///
/// # Errors
/// If `out` returns an error.
pub fn encode(
    fleet: Fleet,
    process: Option<Process>,
    now: SystemTime,
    format: Format,
    out: &mut impl fmt::Write,
) -> fmt::Result {
    write(format, out, move |families| {
        encode_reports(families, &fleet, now)?;
        exporter::encode(families, &fleet, process.as_ref())
    })
}

/// Writes the metrics of the targets of `fleet` as of `now`, without those of the exporter.
///
/// # Errors
/// If `out` returns an error.
pub fn encode_targets(fleet: Fleet, now: SystemTime, format: Format, out: &mut impl fmt::Write) -> fmt::Result {
    write(format, out, move |families| encode_reports(families, &fleet, now))
}

fn encode_reports(families: &mut Families<'_>, fleet: &Fleet, now: SystemTime) -> fmt::Result {
    let view = FleetView::new(fleet, now);
    target::encode(families, &view)?;
    backend::encode(families, &view, now)
}

/// Writes the families that `encode` writes.
fn write<F>(format: Format, out: &mut impl fmt::Write, encode: F) -> fmt::Result
where
    F: Fn(&mut Families<'_>) -> fmt::Result + Send + Sync + 'static,
{
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Exposition { format, encode }));
    encode_registry(out, &registry)?;
    match format {
        Format::OpenMetrics => encode_eof(out),
        Format::Text => Ok(()),
    }
}

struct Exposition<F> {
    format: Format,
    encode: F,
}

impl<F> fmt::Debug for Exposition<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exposition").field("format", &self.format).finish_non_exhaustive()
    }
}

impl<F: Fn(&mut Families<'_>) -> fmt::Result + Send + Sync + 'static> Collector for Exposition<F> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.encode)(&mut Families::new(encoder, self.format))
    }
}
