//! A fleet as Prometheus reads it. Every exposition is built from snapshots: what is gone vanishes by itself, and nothing
//! is kept between scrapes.

use std::fmt;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;

use self::family::Families;
use self::view::View;
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

/// A text format for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus's text format 0.0.4.
    Text,
}

impl Format {
    /// The media type to send with it.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Writes all of `fleet`, judged at `now`, and of `process` where that is given.
///
/// # Errors
/// Only those of `out`.
pub fn encode(
    fleet: Fleet,
    process: Option<Process>,
    now: SystemTime,
    format: Format,
    out: &mut impl fmt::Write,
) -> fmt::Result {
    write(Snapshot { fleet, process, of_service: true, now, format }, out)
}

/// Likewise of the targets of `fleet` alone: what is about the exporter as a service is left out.
///
/// # Errors
/// Only those of `out`.
pub fn encode_targets(fleet: Fleet, now: SystemTime, format: Format, out: &mut impl fmt::Write) -> fmt::Result {
    write(Snapshot { fleet, process: None, of_service: false, now, format }, out)
}

fn write(snapshot: Snapshot, out: &mut impl fmt::Write) -> fmt::Result {
    let format = snapshot.format;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(snapshot));
    encode_registry(out, &registry)?;
    match format {
        Format::OpenMetrics => encode_eof(out),
        Format::Text => Ok(()),
    }
}

#[derive(Debug)]
struct Snapshot {
    fleet: Fleet,
    process: Option<Process>,
    /// Whether a service runs, of which there is something to tell.
    of_service: bool,
    now: SystemTime,
    format: Format,
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let view = View::new(&self.fleet, self.now);
        let mut families = Families::new(encoder, self.format);
        target::encode(&mut families, &view)?;
        backend::encode(&mut families, &view, self.now)?;
        if self.of_service {
            exporter::encode(&mut families, &self.fleet, self.process.as_ref())?;
        }
        Ok(())
    }
}
