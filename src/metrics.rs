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
    write(FleetCollector { fleet, process, with_exporter: true, now, format }, format, out)
}

/// Writes the metrics of the targets of `fleet` as of `now`, without those of the exporter.
///
/// # Errors
/// If `out` returns an error.
pub fn encode_targets(fleet: Fleet, now: SystemTime, format: Format, out: &mut impl fmt::Write) -> fmt::Result {
    write(FleetCollector { fleet, process: None, with_exporter: false, now, format }, format, out)
}

fn write(collector: impl Collector + 'static, format: Format, out: &mut impl fmt::Write) -> fmt::Result {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(collector));
    encode_registry(out, &registry)?;
    match format {
        Format::OpenMetrics => encode_eof(out),
        Format::Text => Ok(()),
    }
}

#[derive(Debug)]
struct FleetCollector {
    fleet: Fleet,
    process: Option<Process>,
    /// Whether to write the metrics of the exporter, too.
    with_exporter: bool,
    now: SystemTime,
    format: Format,
}

impl Collector for FleetCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let view = FleetView::new(&self.fleet, self.now);
        let mut families = Families::new(encoder, self.format);
        target::encode(&mut families, &view)?;
        backend::encode(&mut families, &view, self.now)?;
        if self.with_exporter {
            exporter::encode(&mut families, &self.fleet, self.process.as_ref())?;
        }
        Ok(())
    }
}
