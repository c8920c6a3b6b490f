//! The command line. Flags are named as Prometheus names its own.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Probes the TLS certificate of every backend behind your SMTP names and serves what it found to Prometheus.
#[derive(Clone, Debug, Parser)]
#[command(name = "smtp-tls-exporter", version, about, long_about = None)]
pub struct Args {
    /// The config file.
    #[arg(long = "config.file", value_name = "FILE", default_value = "config.yaml")]
    pub config_file: PathBuf,

    /// Check the config file and the files it names, and exit: 0 where it is good, 2 where it is not.
    #[arg(long = "config.check")]
    pub config_check: bool,

    /// Address to serve on, repeatable; without a host on all of them.
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value = ":10465")]
    pub listen: Vec<String>,

    /// Path of the metrics.
    #[arg(long = "web.telemetry-path", value_name = "PATH", default_value = "/metrics")]
    pub telemetry_path: String,

    /// The address under which clients reach the exporter, for links; its path is the default of the route prefix.
    #[arg(long = "web.external-url", value_name = "URL")]
    pub external_url: Option<String>,

    /// Prefix of all paths.
    #[arg(long = "web.route-prefix", value_name = "PATH")]
    pub route_prefix: Option<String>,

    /// Lines of this level and above are logged.
    #[arg(long = "log.level", value_enum, default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,

    /// How log lines are written, to standard error.
    #[arg(long = "log.format", value_enum, default_value_t = LogFormat::Logfmt)]
    pub log_format: LogFormat,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Everything, for whoever changes the exporter.
    Debug,
    /// Changes of state.
    Info,
    /// Changes for the worse.
    Warn,
    /// Faults of the exporter only.
    Error,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `key=value` pairs.
    Logfmt,
    /// One JSON object a line.
    Json,
}
