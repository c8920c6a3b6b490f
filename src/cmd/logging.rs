//! Logging to standard error.

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use super::stderr::{LogWriter, Stderr};
use crate::cmd::cli::{LogFormat, LogLevel};

/// Sets up logging for the process. Only events of the exporter are logged, not those of its libraries.
pub fn init(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Info => Level::INFO,
        LogLevel::Warn => Level::WARN,
        LogLevel::Error => Level::ERROR,
    };
    let registry = tracing_subscriber::registry().with(Targets::new().with_target(env!("CARGO_CRATE_NAME"), level));
    let writer = LogWriter { stderr: Stderr::new(), is_json: format == LogFormat::Json };
    let layer = match format {
        LogFormat::Logfmt => tracing_logfmt::builder().with_target(false).layer().with_writer(writer).boxed(),
        LogFormat::Json => {
            let layer = tracing_subscriber::fmt::layer().json().flatten_event(true).with_target(false);
            layer.with_writer(writer).boxed()
        }
    };
    registry.with(layer).init();
}
