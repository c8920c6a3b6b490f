//! `check`: probes targets once, with the monitor of the exporter, and prints the result.

use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::runtime::Runtime;
use tokio::task::spawn_blocking;

use self::terminal::ProgressLine;
use super::signals::BlockedSignals;
use super::stderr::Priority;
use super::{Error, FINDINGS, USAGE, exit_with, note, print, read_in_time, runtime_error};
use crate::cmd::cli::{CheckArgs, CheckOutput};
use crate::config::{Config, Selection};
use crate::metrics::{Format, encode_targets};
use crate::render;
use crate::snapshot::{Fleet, state};
use crate::target::{Endpoint, HostTarget, ProbeSettings, ServerName, Target, TargetKind};
use crate::text::counted;
use crate::trust::TrustStore;
use crate::verify::roots;

mod export;
mod round;
mod terminal;

/// Looks up every target several times, probes every backend once, and prints the result. The exit code is 0 if everything is ok, 1 if there are problems, 2 if
/// nothing could be probed, and 130 after SIGINT or SIGTERM.
pub fn command(args: CheckArgs, signals: BlockedSignals) -> ExitCode {
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return exit_with(USAGE, &runtime_error(error)),
    };
    let result = runtime.block_on(run(args, signals));
    // Does not wait for probes in progress, nor for a read or a write that hangs.
    runtime.shutdown_background();
    match result {
        Ok(Some(code)) => ExitCode::from(code),
        Ok(None) => ExitCode::from(INTERRUPTED),
        Err(error) => exit_with(USAGE, &error),
    }
}

/// Prepares the check, probes, and prints the result. None after SIGINT or SIGTERM.
async fn run(args: CheckArgs, signals: BlockedSignals) -> Result<Option<u8>, Error> {
    let mut interrupted = pin!(signals.termination().map_err(runtime_error)?);
    let prepared = blocking(interrupted.as_mut(), move || {
        let (args, config) = read_in_time(move || {
            let config = config(&args);
            (args, config)
        })?;
        let (config, timeout) = config?;
        args.export.as_deref().map_or(Ok(()), export::prepare)?;
        Ok((args, config, timeout))
    });
    let Some((args, config, timeout)) = prepared.await? else { return Ok(None) };
    let fleet = round::run(config, timeout, ProgressLine::new(), interrupted.as_mut()).await?;
    let Some(fleet) = fleet else { return Ok(None) };
    blocking(interrupted, move || finish(&args, &fleet)).await
}

/// The result of `work`, which may wait for a file or a pipe; None if `interrupted` resolves first.
async fn blocking<T: Send + 'static>(
    interrupted: Pin<&mut impl Future<Output = ()>>,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<Option<T>, Error> {
    tokio::select! {
        biased;
        () = interrupted => Ok(None),
        result = spawn_blocking(work) => result.map_err(|error| runtime_error(error.into()))?.map(Some),
    }
}

/// Prints and exports the result, and returns the exit code.
fn finish(args: &CheckArgs, fleet: &Fleet) -> Result<u8, Error> {
    let now = SystemTime::now();
    let text = match args.output {
        CheckOutput::Table => render::targets_table(&fleet.targets, now, &terminal::style(args.color, args.show_certs)),
        CheckOutput::Json => render::targets_json(&fleet.targets, now),
        CheckOutput::Prometheus => prometheus(fleet, now),
    };
    print(&text)?;
    print_local_errors(fleet);
    if let Some(folder) = &args.export {
        let files = export::write(folder, args.force, &fleet.targets)?;
        note(Priority::Info, &format_args!("wrote {} to {}", counted(files, "file"), folder.display()));
    }
    let is_ok = fleet.targets.iter().all(|report| state::is_ok(report, now));
    Ok(if is_ok { SUCCESS } else { FINDINGS })
}

/// The configuration of the selected targets, and the timeout for all of them.
fn config(args: &CheckArgs) -> Result<(Config, Duration), Error> {
    let has_roots = !args.ca_files.is_empty() || args.no_system_roots;
    let trust = if has_roots || args.config_file.is_none() {
        let anchors = roots(!args.no_system_roots, &args.ca_files)?;
        Some(TrustStore::new(if has_roots { GIVEN_ROOTS } else { SYSTEM_ROOTS }, anchors))
    } else {
        None
    };
    let selection = Selection { targets: &args.targets, trust: trust.as_ref() };
    let mut config = Config::select(args.config_file.as_deref(), selection)?;
    let longest = config.targets.iter().map(|target| target.settings.timeout).max().unwrap_or_default();
    let timeout = args.timeout.unwrap_or(longest);
    for target in &mut config.targets {
        let kind = with_name(target, args.name.as_ref())?;
        let settings = Arc::new(single_round(&target.settings, args.timeout, timeout));
        *target = Arc::new(Target { kind, settings, ..(**target).clone() });
    }
    Ok((config, timeout))
}

/// The kind of `target`, with `name` as the server name if given.
fn with_name(target: &Target, name: Option<&ServerName>) -> Result<TargetKind, Error> {
    match (&target.kind, name) {
        (kind, None) => Ok(kind.clone()),
        (TargetKind::Host(host), Some(name)) => {
            let endpoint = Endpoint { server_name: name.clone(), ..(*host.endpoint).clone() };
            Ok(TargetKind::Host(HostTarget { endpoint: Arc::new(endpoint), ..host.clone() }))
        }
        (TargetKind::Mx(_) | TargetKind::Submission(_), Some(_)) => {
            Err(format!("--name cannot be used with `{}`: expected a host or an address", target.name).into())
        }
    }
}

/// `settings` for a single round with one connection to each backend. `given` is the timeout of the command line, `total`
/// that of the round.
fn single_round(settings: &ProbeSettings, given: Option<Duration>, total: Duration) -> ProbeSettings {
    let timeout = given.unwrap_or(settings.timeout);
    ProbeSettings {
        // The monitor starts no second round within half an interval.
        interval: settings.interval.max(2 * (total + round::GRACE)),
        timeout,
        connect_timeout: settings.connect_timeout.min(timeout),
        samples: 1,
        ..settings.clone()
    }
}

/// The exposition in text format 0.0.4, without the metrics of the exporter itself.
fn prometheus(fleet: &Fleet, now: SystemTime) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = encode_targets(fleet.clone(), now, Format::Text, &mut text);
    text
}

/// Prints failures of this host, which say nothing about a server.
fn print_local_errors(fleet: &Fleet) {
    for (reason, count) in fleet.exporter.local_errors.iter().filter(|(_, count)| *count > 0) {
        let errors = counted(usize::try_from(*count).unwrap_or(usize::MAX), "local error");
        note(Priority::Warning, &format_args!("{errors} on the exporter host: {reason}: {}", reason.doc()));
    }
}

/// The names, in messages, of trust stores that are not from the configuration.
const SYSTEM_ROOTS: &str = "system";
const GIVEN_ROOTS: &str = "--ca-file";
/// The exit code if everything is ok.
const SUCCESS: u8 = 0;
/// As shells report SIGINT: 128 plus the number of the signal.
const INTERRUPTED: u8 = 130;
