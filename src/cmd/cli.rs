//! The command line. Flags are named like those of Prometheus.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use nix::unistd::gethostname;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::config::{format_duration, parse_duration};
use crate::rules::AlertLabel;
use crate::target::{MAX_SHARDS, ServerName, Shard, ordinal_of_host_name, parse_ordinal};
use crate::text::printable;
use crate::web::{self, AllowedHost, ListenAddress};

pub use self::address::Address;

mod address;
mod help;

/// Prometheus exporter that probes the TLS certificate of every backend behind an SMTP name.
#[derive(Clone, Debug, Parser)]
#[command(name = "smtp-tls-exporter", version, about, long_about = None, args_conflicts_with_subcommands = true,
    after_help = help::EXIT_CODES)]
pub struct Args {
    /// A sub-command; without one, the exporter serves metrics.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Configuration file.
    #[arg(long = "config.file", value_name = "FILE", default_value = "config.yaml")]
    pub config_file: PathBuf,

    /// Check the configuration, the web configuration and the files they refer to, then exit: 0 if valid, 2 if not.
    #[arg(long = "config.check")]
    pub config_check: bool,

    /// Interval for checking the configuration file for changes, which reload the configuration as SIGHUP does, 1s to 1d;
    /// 0s: never.
    #[arg(long = "config.auto-reload-interval", value_name = "DURATION", value_parser = auto_reload_interval,
        default_value = "0s")]
    pub auto_reload_interval: Duration,

    /// Shard of this exporter, counted from 0: only the targets of this shard are probed; from-hostname takes the number
    /// after the last hyphen of the host name, as in exporter-2.
    #[arg(long = "shard", value_name = "N", requires = "total_shards")]
    pub shard: Option<ShardOrdinal>,

    /// Number of shards that the targets are divided into, by their names, 1 to 1024.
    #[arg(long = "total-shards", value_name = "M", requires = "shard",
        value_parser = total_shards)]
    pub total_shards: Option<u32>,

    /// Listen address; repeatable (`:PORT` listens on all interfaces).
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value = ":10465")]
    pub listen: Vec<ListenAddress>,

    /// Listen on the sockets that systemd passes (socket activation) instead of --web.listen-address.
    #[arg(long = "web.systemd-socket")]
    pub systemd_socket: bool,

    /// Enable POST and PUT requests to /-/reload, which reload the configuration as SIGHUP does.
    #[arg(long = "web.enable-lifecycle")]
    pub enable_lifecycle: bool,

    /// Path of the metrics endpoint.
    #[arg(long = "web.telemetry-path", value_name = "PATH", default_value = "/metrics")]
    pub telemetry_path: String,

    /// URL under which the exporter is reachable, used for links; its path is the default route prefix, and its host is
    /// one of --web.allowed-hosts.
    #[arg(long = "web.external-url", value_name = "URL")]
    pub external_url: Option<String>,

    /// Hosts that requests may be sent to (HOST or *.DOMAIN, with :PORT or with any port, comma-separated or repeated; `*` for
    /// any), besides IP addresses and localhost; without this flag and --web.external-url, any. Health checks may be sent to any
    /// host.
    #[arg(long = "web.allowed-hosts", value_name = "HOST", value_delimiter = ',')]
    pub allowed_hosts: Vec<AllowedHost>,

    /// Prefix of all HTTP paths.
    #[arg(long = "web.route-prefix", value_name = "PATH")]
    pub route_prefix: Option<String>,

    /// Web configuration file in the format of Prometheus: TLS, basic authentication, headers and rate limit of the HTTP server.
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub web_config_file: Option<PathBuf>,

    /// Minimum log level.
    #[arg(long = "log.level", value_enum, default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,

    /// Log format (standard error).
    #[arg(long = "log.format", value_enum, default_value_t = LogFormat::Logfmt)]
    pub log_format: LogFormat,
}

impl Args {
    /// The options of the web server.
    ///
    /// # Errors
    /// If a path or the external URL is not valid.
    pub fn web(&self) -> Result<web::Options, String> {
        let (prefix, url) = (self.route_prefix.clone(), self.external_url.clone());
        let options = web::Options::new(self.telemetry_path.clone(), prefix, url)?;
        let (allowed_hosts, enable_lifecycle) = (self.allowed_hosts.clone(), self.enable_lifecycle);
        Ok(web::Options { allowed_hosts, enable_lifecycle, ..options })
    }

    /// The shard of this exporter; the only one without the flags.
    ///
    /// # Errors
    /// If there is no such shard, or if it is that of the host name and this ends in no number.
    pub fn shard(&self) -> Result<Shard, String> {
        let Some((ordinal, total)) = self.shard.zip(self.total_shards) else { return Ok(Shard::default()) };
        let (ordinal, source) = match ordinal {
            ShardOrdinal::Number(ordinal) => (ordinal, ""),
            ShardOrdinal::FromHostname => (host_ordinal()?, " (from the host name)"),
        };
        Shard::new(ordinal, total).map_err(|error| format!("{error}{source}"))
    }
}

/// Where the number of the shard comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardOrdinal {
    /// It is given.
    Number(u32),
    /// It is at the end of the host name.
    FromHostname,
}

impl FromStr for ShardOrdinal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == FROM_HOSTNAME {
            return Ok(Self::FromHostname);
        }
        let ordinal = parse_ordinal(text).filter(|ordinal| *ordinal < MAX_SHARDS).map(Self::Number);
        ordinal.ok_or_else(|| format!("expected a number from 0 to {}, or {FROM_HOSTNAME}", MAX_SHARDS - 1))
    }
}

fn total_shards(text: &str) -> Result<u32, String> {
    let total = parse_ordinal(text).filter(|total| (1..=MAX_SHARDS).contains(total));
    total.ok_or_else(|| format!("expected a number from 1 to {MAX_SHARDS}"))
}

fn host_ordinal() -> Result<u32, String> {
    let name = gethostname().map_err(|error| format!("cannot read the host name: {error}"))?;
    let name = name.to_string_lossy();
    ordinal_of_host_name(&name).ok_or_else(|| {
        format!(
            "invalid shard `{FROM_HOSTNAME}`: the host name `{}` does not end in a hyphen and the number of a shard",
            printable(&name, MAX_HOST_NAME)
        )
    })
}

/// The sub-commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Probe every backend of mail servers once, and print problems and how to fix them.
    #[command(long_about = help::CHECK_ABOUT, after_long_help = help::CHECK_EXAMPLES, after_help = help::CHECK)]
    Check(CheckArgs),
    /// Verify a certificate chain in a file by the same rules as a presented chain.
    #[command(after_help = help::VERIFY)]
    Verify(VerifyArgs),
    /// Print alert rules for Prometheus that keep the labels of your targets.
    #[command(long_about = help::RULES_ABOUT, after_help = help::RULES)]
    Rules(RulesArgs),
    /// Check whether a running exporter is ready, for container health checks.
    #[command(after_help = help::HEALTH)]
    Health(HealthArgs),
    /// Print completions for a shell.
    #[command(after_help = help::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Print the man page, or write the man pages of all commands to a directory.
    #[command(after_help = help::MAN)]
    Man(ManArgs),
}

/// The arguments of `completions`.
#[derive(Clone, Debug, clap::Args)]
pub struct CompletionsArgs {
    /// Shell that the completions are for.
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

/// The arguments of `man`.
#[derive(Clone, Debug, clap::Args)]
pub struct ManArgs {
    /// Directory for the man pages of all commands, which is created if missing; existing pages are replaced.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// The arguments of `health`.
#[derive(Clone, Debug, clap::Args)]
pub struct HealthArgs {
    /// URL of the exporter, with its route prefix.
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:10465")]
    pub address: Address,

    /// Timeout for the response, 1s to 10m.
    #[arg(long, value_name = "DURATION", value_parser = timeout, default_value = "5s")]
    pub timeout: Duration,

    /// PEM file of trusted roots for https URLs, in place of the system roots; a self-signed certificate of the exporter
    /// may be one of them.
    #[arg(long = "ca-file", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// Do not verify the certificate of the exporter.
    #[arg(long, conflicts_with = "ca_file")]
    pub insecure: bool,

    /// User name for basic authentication.
    #[arg(long, value_name = "NAME", value_parser = user_name, requires = "password_file")]
    pub user: Option<String>,

    /// File with the password of this user; a line break at its end is ignored.
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,

    /// PEM file with a client certificate and its chain, for exporters that require one.
    #[arg(long = "cert-file", value_name = "FILE", requires = "key_file")]
    pub cert_file: Option<PathBuf>,

    /// PEM file with the key of the client certificate.
    #[arg(long = "key-file", value_name = "FILE", requires = "cert_file")]
    pub key_file: Option<PathBuf>,
}

/// The arguments of `check`.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// Targets to probe, or names of configured targets.
    #[arg(value_name = "TARGET", required_unless_present = "config_file", help = help::CHECK_TARGET)]
    pub targets: Vec<String>,

    /// Configuration file with targets, trust stores, resolvers and defaults; without TARGET, all its targets are probed.
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,

    /// Name that clients use and certificates must list, if not the host; for example with an IP address.
    #[arg(long, value_name = "NAME", value_parser = ServerName::parse)]
    pub name: Option<ServerName>,

    /// Timeout for all lookups and probes together, 1s to 10m; after it, partial results are printed.
    /// The default is the timeout of the targets in the configuration, else 20s.
    #[arg(long, value_name = "DURATION", value_parser = timeout)]
    pub timeout: Option<Duration>,

    /// PEM file of trusted roots, in addition to the system roots and in place of the configured ones; repeatable.
    #[arg(long = "ca-file", value_name = "FILE")]
    pub ca_files: Vec<PathBuf>,

    /// Do not trust the system roots, only those of --ca-file.
    #[arg(long)]
    pub no_system_roots: bool,

    /// Output format (standard output).
    #[arg(long, value_enum, default_value_t = CheckOutput::Table)]
    pub output: CheckOutput,

    /// Print every presented certificate in full, with its SHA-256 and SHA-1 (the thumbprint in Windows); table only.
    #[arg(long)]
    pub show_certs: bool,

    /// Write the chain that each backend presented to a PEM file in this directory, which is created if missing.
    #[arg(long, value_name = "DIR")]
    pub export: Option<PathBuf>,

    /// Overwrite existing files with --export.
    #[arg(long, requires = "export")]
    pub force: bool,

    /// When to use colors; auto: on terminals, unless NO_COLOR is set or TERM is dumb.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    pub color: Color,
}

/// Output formats of `check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckOutput {
    /// For people, as wide as the terminal (80 columns in files).
    Table,
    /// A JSON object, as served by /api/v1/targets (docs/api.md).
    Json,
    /// The series that /metrics has for these targets, in text format 0.0.4.
    Prometheus,
    /// A monitoring plugin: status line, performance data and exit code (docs/nagios.md).
    Nagios,
}

/// When to use colors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On terminals.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The arguments of `verify`.
#[derive(Clone, Debug, clap::Args)]
pub struct VerifyArgs {
    /// Name or IP address that clients use; repeatable.
    #[arg(long = "host", value_name = "NAME", required = true, value_parser = ServerName::parse)]
    pub hosts: Vec<ServerName>,

    /// Time to check at instead of now, in RFC 3339 (2026-12-24T12:00:00Z).
    #[arg(long, value_name = "RFC3339", value_parser = time)]
    pub at: Option<SystemTime>,

    /// PEM file of trusted roots, in addition to the system roots; repeatable.
    #[arg(long = "ca-file", value_name = "FILE")]
    pub ca_files: Vec<PathBuf>,

    /// Do not trust the system roots, only those of --ca-file.
    #[arg(long)]
    pub no_system_roots: bool,

    /// Output format (standard output).
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,

    /// Chain as PEM, server certificate first; `-` reads standard input.
    #[arg(value_name = "CHAIN.pem")]
    pub chain: PathBuf,
}

/// The arguments of `rules`.
#[derive(Clone, Debug, clap::Args)]
pub struct RulesArgs {
    /// File with parameters: selectors of scrape jobs, label names, thresholds and the URL of the runbooks. Missing keys have
    /// their defaults; --label and --config.file add to its labels.kept.
    #[arg(long = "parameters", value_name = "FILE")]
    pub parameters: Option<PathBuf>,

    /// Configuration file whose target labels alerts keep; repeatable.
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_files: Vec<PathBuf>,

    /// Label of targets that alerts keep; repeatable. Without this, --config.file and --parameters: team.
    #[arg(long = "label", value_name = "NAME", value_parser = AlertLabel::parse)]
    pub labels: Vec<AlertLabel>,
}

/// Output formats of `verify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people, 80 columns wide.
    Table,
    /// A JSON object.
    Json,
}

/// Log levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// Recoveries, reloads and other changes of state.
    Info,
    /// Problems of targets.
    Warn,
    /// Errors of the exporter.
    Error,
}

/// Log formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `key=value` pairs.
    Logfmt,
    /// One JSON object per line.
    Json,
}

fn time(text: &str) -> Result<SystemTime, &'static str> {
    let time = OffsetDateTime::parse(text, &Rfc3339);
    time.map(SystemTime::from).map_err(|_| "expected an RFC 3339 time such as 2026-12-24T12:00:00Z")
}

fn auto_reload_interval(text: &str) -> Result<Duration, String> {
    let found = parse_duration(text);
    let found = found.filter(|found| found.is_zero() || (MIN_AUTO_RELOAD..=MAX_AUTO_RELOAD).contains(found));
    let (min, max) = (format_duration(MIN_AUTO_RELOAD), format_duration(MAX_AUTO_RELOAD));
    found.ok_or_else(|| format!("expected a duration from {min} to {max}, such as 30s, or 0s"))
}

/// A colon would end the name (RFC 7617 §2).
fn user_name(text: &str) -> Result<String, &'static str> {
    let is_valid = !text.contains(|c: char| c == ':' || c.is_control());
    if is_valid { Ok(text.to_owned()) } else { Err("colons and control characters are not allowed") }
}

fn timeout(text: &str) -> Result<Duration, String> {
    let found = parse_duration(text).filter(|found| (MIN_TIMEOUT..=MAX_TIMEOUT).contains(found));
    let (min, max) = (format_duration(MIN_TIMEOUT), format_duration(MAX_TIMEOUT));
    found.ok_or_else(|| format!("expected a duration from {min} to {max}, such as 20s"))
}

const FROM_HOSTNAME: &str = "from-hostname";
/// Characters of a host name in an error.
const MAX_HOST_NAME: usize = 64;
const MIN_AUTO_RELOAD: Duration = Duration::from_secs(1);
const MAX_AUTO_RELOAD: Duration = Duration::from_secs(24 * 60 * 60);
const MIN_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_TIMEOUT: Duration = Duration::from_secs(600);
