//! The command line. Flags are named as Prometheus names its own.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Parser, Subcommand, ValueEnum};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::target::ServerName;

/// Probes the TLS certificate of every backend behind your SMTP names and serves what it found to Prometheus.
#[derive(Clone, Debug, Parser)]
#[command(name = "smtp-tls-exporter", version, about, long_about = None, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// What to do in place of serving.
    #[command(subcommand)]
    pub command: Option<Command>,

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

/// What can be done in place of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Judge a chain in a file as the exporter judges a presented one, before it is installed.
    #[command(after_help = VERIFY_HELP)]
    Verify(VerifyArgs),
}

/// What is judged, and how it is told.
#[derive(Clone, Debug, clap::Args)]
pub struct VerifyArgs {
    /// A name or address that clients ask for, repeatable.
    #[arg(long = "host", value_name = "NAME", required = true, value_parser = ServerName::parse)]
    pub hosts: Vec<ServerName>,

    /// The moment to judge at, in RFC 3339 (2026-12-24T12:00:00Z), in place of now.
    #[arg(long, value_name = "RFC3339", value_parser = moment)]
    pub at: Option<SystemTime>,

    /// A PEM file of roots to trust, repeatable, beside those of this machine.
    #[arg(long = "ca-file", value_name = "FILE")]
    pub ca_files: Vec<PathBuf>,

    /// Trust none of this machine's roots, only those of --ca-file.
    #[arg(long)]
    pub no_system_roots: bool,

    /// How the findings are written, to standard output.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,

    /// The chain as PEM, the server's own certificate first; - is standard input.
    #[arg(value_name = "CHAIN.pem")]
    pub chain: PathBuf,
}

/// How findings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people, 80 columns wide.
    Table,
    /// One JSON object.
    Json,
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

fn moment(text: &str) -> Result<SystemTime, time::error::Parse> {
    OffsetDateTime::parse(text, &Rfc3339).map(SystemTime::from)
}

const VERIFY_HELP: &str = "Exit codes: 0 all is well, 1 something is wrong with the chain or a name, \
                           2 wrong usage or a file that cannot be read.";
