//! The command line. Flags are named as Prometheus names its own.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Parser, Subcommand, ValueEnum};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::config::{format_duration, parse_duration};
use crate::target::ServerName;

pub use self::address::Address;

mod address;
mod help;

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
    /// Probe every backend of mail servers once and tell what is wrong, and what to do about it.
    #[command(long_about = help::CHECK_ABOUT, after_long_help = help::CHECK_EXAMPLES, after_help = help::CHECK)]
    Check(CheckArgs),
    /// Judge a chain in a file as the exporter judges a presented one, before it is installed.
    #[command(after_help = help::VERIFY)]
    Verify(VerifyArgs),
    /// Ask a running exporter whether it is ready, as a container's health check does.
    #[command(after_help = help::HEALTH)]
    Health(HealthArgs),
}

/// Who is asked.
#[derive(Clone, Debug, clap::Args)]
pub struct HealthArgs {
    /// Where the exporter serves, with its route prefix.
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:10465")]
    pub address: Address,

    /// Time for the answer, 1s to 10m.
    #[arg(long, value_name = "DURATION", value_parser = timeout, default_value = "5s")]
    pub timeout: Duration,
}

/// What is probed, and how it is told.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// What to probe: targets in one word each, or names of the config's.
    #[arg(value_name = "TARGET", required_unless_present = "config_file", help = help::CHECK_TARGET)]
    pub targets: Vec<String>,

    /// Take names of targets, trust stores, resolvers and defaults from this file; without TARGET check all of it.
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,

    /// The name that clients ask for and certificates must carry, where it is not the host: for an IP address, say.
    #[arg(long, value_name = "NAME", value_parser = ServerName::parse)]
    pub name: Option<ServerName>,

    /// Time for all lookups and probes together, 1s to 10m; what is not finished by then is told as far as it is known.
    /// The default is 20s, or what the config gives its targets.
    #[arg(long, value_name = "DURATION", value_parser = timeout)]
    pub timeout: Option<Duration>,

    /// A PEM file of roots to trust, repeatable, beside those of this machine and in place of the config's.
    #[arg(long = "ca-file", value_name = "FILE")]
    pub ca_files: Vec<PathBuf>,

    /// Trust none of this machine's roots, only those of --ca-file.
    #[arg(long)]
    pub no_system_roots: bool,

    /// How the findings are written, to standard output.
    #[arg(long, value_enum, default_value_t = CheckOutput::Table)]
    pub output: CheckOutput,

    /// Tell every presented certificate in full, with SHA-256 and the SHA-1 thumbprint that Windows shows (table only).
    #[arg(long)]
    pub show_certs: bool,

    /// Write what each backend presented as PEM, a file each, to this directory, which is made where it is missing.
    #[arg(long, value_name = "DIR")]
    pub export: Option<PathBuf>,

    /// Let --export replace files that are there.
    #[arg(long, requires = "export")]
    pub force: bool,

    /// Colours: auto is on terminals, unless NO_COLOR is set or TERM is dumb.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    pub color: Color,
}

/// How findings of probes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckOutput {
    /// For people: as wide as the terminal, 80 columns in files.
    Table,
    /// One JSON object, as /api/v1/targets serves it (docs/api.md).
    Json,
    /// The series that /metrics would show of these targets, in the text format 0.0.4.
    Prometheus,
}

/// When colours are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// Where they are of use.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
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

fn timeout(text: &str) -> Result<Duration, String> {
    let found = parse_duration(text).filter(|found| (MIN_TIMEOUT..=MAX_TIMEOUT).contains(found));
    let allowed = || format!("{} to {}, such as 20s", format_duration(MIN_TIMEOUT), format_duration(MAX_TIMEOUT));
    found.ok_or_else(|| format!("allowed is a duration from {}", allowed()))
}

const MIN_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_TIMEOUT: Duration = Duration::from_secs(600);
