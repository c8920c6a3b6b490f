//! `check`: one round over a few targets, by the same monitor as the service's, told to whoever asks.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::runtime::Runtime;

use self::export::{Export, ExportError};
use self::terminal::Terminal;
use super::{FINDINGS, USAGE, exit_with};
use crate::cmd::cli::{CheckArgs, CheckOutput};
use crate::config::{Config, SelectError, Selection};
use crate::metrics::{Format, encode_targets};
use crate::reason::LocalReason;
use crate::render;
use crate::snapshot::{Fleet, state};
use crate::target::{Endpoint, HostTarget, ProbeSettings, ServerName, Target, TargetKind, TargetName};
use crate::trust::TrustStore;
use crate::verify::{VerifyError, roots};

mod export;
mod round;
mod terminal;

/// Probes every backend once and prints the findings. The exit code is 0 if everything is ok, 1 if there are findings, 2 if
/// nothing could be probed, and 130 after SIGINT or SIGTERM.
pub fn command(args: &CheckArgs) -> ExitCode {
    run(args).unwrap_or_else(|error| exit_with(USAGE, &error))
}

fn run(args: &CheckArgs) -> Result<ExitCode, CheckError> {
    let (config, patience) = config(args)?;
    let export = args.export.as_deref().map(|folder| Export::prepare(folder, args.force)).transpose()?;
    let terminal = Terminal::new(args.color);
    let runtime = Runtime::new().map_err(CheckError::Runtime)?;
    let seen = runtime.block_on(round::run(config, patience, terminal.progress()));
    // Nothing that still runs is waited for.
    runtime.shutdown_background();
    let Some(fleet) = seen? else { return Ok(ExitCode::from(INTERRUPTED)) };

    let now = SystemTime::now();
    let text = match args.output {
        CheckOutput::Table => render::targets_table(&fleet.targets, now, &terminal.style(args.show_certs)),
        CheckOutput::Json => render::targets_json(&fleet.targets, now),
        CheckOutput::Prometheus => prometheus(&fleet, now),
    };
    print(&text)?;
    tell_local_errors(&fleet);
    if let Some(export) = export {
        let files = export.write(&fleet.targets)?;
        eprintln!("smtp-tls-exporter: {files} written to {}", export.folder().display());
    }
    let is_ok = fleet.targets.iter().all(|report| state::is_ok(report, now));
    Ok(if is_ok { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
}

/// The config of what is asked for, and how long all of it may take.
fn config(args: &CheckArgs) -> Result<(Config, Duration), CheckError> {
    let is_given = !args.ca_files.is_empty() || args.no_system_roots;
    let trust = if is_given || args.config_file.is_none() {
        let anchors = roots(!args.no_system_roots, &args.ca_files).map_err(CheckError::Roots)?;
        Some(TrustStore::new(if is_given { GIVEN_ROOTS } else { SYSTEM_ROOTS }, anchors))
    } else {
        None
    };
    let selection = Selection { targets: &args.targets, trust: trust.as_ref() };
    let mut config = Config::select(args.config_file.as_deref(), selection).map_err(CheckError::Select)?;
    let own = config.targets.iter().map(|target| target.settings.timeout).max().unwrap_or_default();
    let patience = args.timeout.unwrap_or(own);
    for target in &mut config.targets {
        let kind = asked_for(target, args.name.as_ref())?;
        let settings = Arc::new(once(&target.settings, args.timeout, patience));
        *target = Arc::new(Target { kind, settings, ..(**target).clone() });
    }
    Ok((config, patience))
}

/// What is probed, under the name that clients ask for where that is given.
fn asked_for(target: &Target, name: Option<&ServerName>) -> Result<TargetKind, CheckError> {
    match (&target.kind, name) {
        (kind, None) => Ok(kind.clone()),
        (TargetKind::Host(host), Some(name)) => {
            let endpoint = Endpoint { server_name: name.clone(), ..(*host.endpoint).clone() };
            Ok(TargetKind::Host(HostTarget { endpoint: Arc::new(endpoint), ..host.clone() }))
        }
        (TargetKind::Mx(_) | TargetKind::Submission(_), Some(_)) => Err(CheckError::NameOfDomain(target.name.clone())),
    }
}

/// `settings` for one round with one probe of each backend, in which everything is over within `patience`.
fn once(settings: &ProbeSettings, timeout: Option<Duration>, patience: Duration) -> ProbeSettings {
    let timeout = timeout.unwrap_or(settings.timeout);
    ProbeSettings {
        // The monitor begins no second round within half of it.
        interval: settings.interval.max(2 * (patience + round::GRACE)),
        timeout,
        connect_timeout: settings.connect_timeout.min(timeout),
        samples: 1,
        ..settings.clone()
    }
}

/// As text 0.0.4, without what is about a service that runs.
fn prometheus(fleet: &Fleet, now: SystemTime) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = encode_targets(fleet.clone(), now, Format::Text, &mut text);
    text
}

/// All at once, or as much as whoever reads it wants.
fn print(text: &str) -> Result<(), CheckError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CheckError::Output(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What says nothing of a server, yet why it was not probed.
fn tell_local_errors(fleet: &Fleet) {
    for (reason, count) in fleet.exporter.local_errors.iter().filter(|(_, count)| *count > 0) {
        let times = if *count == 1 { "1 probe".to_owned() } else { format!("{count} probes") };
        let reason: LocalReason = *reason;
        eprintln!("smtp-tls-exporter: {times} failed on this machine's side, {reason}: {}", reason.doc());
    }
}

/// Why nothing could be done.
#[derive(Debug)]
pub(crate) enum CheckError {
    Select(SelectError),
    Roots(VerifyError),
    NameOfDomain(TargetName),
    Runtime(io::Error),
    Monitor(String),
    Output(io::Error),
    Export(ExportError),
}

impl From<ExportError> for CheckError {
    fn from(error: ExportError) -> Self {
        Self::Export(error)
    }
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Select(error) => error.fmt(f),
            Self::Roots(error) => error.fmt(f),
            Self::NameOfDomain(target) => {
                write!(
                    f,
                    "--name goes with hosts and addresses: the hosts of {target} are asked for by their own names"
                )
            }
            Self::Runtime(error) => write!(f, "the runtime cannot be set up: {error}"),
            Self::Monitor(error) => f.write_str(error),
            Self::Output(error) => write!(f, "standard output: {error}"),
            Self::Export(error) => error.fmt(f),
        }
    }
}

/// The trust stores that need no config, as messages name them.
const SYSTEM_ROOTS: &str = "system";
const GIVEN_ROOTS: &str = "--ca-file";
/// As shells tell of SIGINT.
const INTERRUPTED: u8 = 130;
