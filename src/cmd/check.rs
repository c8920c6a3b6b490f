//! `check`: probes targets once, with the monitor of the exporter, and prints the result.

use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

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
pub(super) mod nagios;
mod round;
mod terminal;

/// Looks up every target several times, probes every backend once, and prints the result. The exit code is 0 if everything
/// is ok, 1 if there are problems, 2 if nothing could be probed, and 130 after SIGINT or SIGTERM; with `--output=nagios`
/// those of a monitoring plugin.
pub fn command(args: CheckArgs, signals: BlockedSignals) -> ExitCode {
    if args.output == CheckOutput::Nagios {
        return ExitCode::from(nagios::run(|| run(args, signals)));
    }
    match run(args, signals) {
        Ok(Some(code)) => ExitCode::from(code),
        Ok(None) => ExitCode::from(INTERRUPTED),
        Err(error) => exit_with(USAGE, &error),
    }
}

/// Checks and returns the exit code. None after SIGINT or SIGTERM.
fn run(args: CheckArgs, signals: BlockedSignals) -> Result<Option<u8>, Error> {
    let runtime = Runtime::new().map_err(runtime_error)?;
    let deadline = args.timeout.filter(|_| args.output == CheckOutput::Nagios);
    let result = runtime.block_on(async {
        let check = check(args, signals);
        let Some(deadline) = deadline else { return check.await };
        let result = tokio::time::timeout(deadline, check).await;
        result.unwrap_or_else(|_| Err(format!("no result within {} s", deadline.as_secs_f64()).into()))
    });
    // Does not wait for probes in progress, nor for a read or a write that hangs.
    runtime.shutdown_background();
    result
}

/// Prepares the check, probes, and prints the result. None after SIGINT or SIGTERM.
async fn check(args: CheckArgs, signals: BlockedSignals) -> Result<Option<u8>, Error> {
    let start = Instant::now();
    let mut interrupted = pin!(signals.termination().map_err(runtime_error)?);
    let prepared = blocking(interrupted.as_mut(), move || {
        let (args, config) = read_in_time(move || {
            let config = config(&args);
            (args, config)
        })?;
        let (config, limit) = config?;
        args.export.as_deref().map_or(Ok(()), export::prepare)?;
        Ok((args, config, limit))
    });
    let Some((args, config, limit)) = prepared.await? else { return Ok(None) };
    let fleet = round::run(config, limit, ProgressLine::new(), interrupted.as_mut()).await?;
    let Some(fleet) = fleet else { return Ok(None) };
    blocking(interrupted, move || finish(&args, &fleet, start.elapsed(), limit)).await
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

/// Prints and exports the result of a round that took `elapsed`, and returns the exit code.
fn finish(args: &CheckArgs, fleet: &Fleet, elapsed: Duration, limit: Duration) -> Result<u8, Error> {
    let now = SystemTime::now();
    let text = match args.output {
        CheckOutput::Table => render::targets_table(&fleet.targets, now, &terminal::style(args.color, args.show_certs)),
        CheckOutput::Json => render::targets_json(&fleet.targets, &fleet.exporter.shard, now),
        CheckOutput::Prometheus => prometheus(fleet, now),
        CheckOutput::Nagios => {
            // First: if it fails, the status line is that of the failure.
            export_chains(args, fleet)?;
            let output = render::plugin_output(fleet, now, elapsed, args.timeout.unwrap_or(limit));
            print(&output.text)?;
            return Ok(nagios::code(output.state));
        }
    };
    print(&text)?;
    print_local_errors(fleet);
    export_chains(args, fleet)?;
    let is_ok = fleet.targets.iter().all(|report| state::is_ok(report, now));
    Ok(if is_ok { SUCCESS } else { FINDINGS })
}

/// Writes the presented chains if `--export` is given, and reports it unless standard error belongs to the output.
fn export_chains(args: &CheckArgs, fleet: &Fleet) -> Result<(), Error> {
    let Some(folder) = &args.export else { return Ok(()) };
    let files = export::write(folder, args.force, &fleet.targets)?;
    if args.output != CheckOutput::Nagios {
        note(Priority::Info, &format_args!("wrote {} to {}", counted(files, "file"), folder.display()));
    }
    Ok(())
}

/// The configuration of the selected targets, and the time after which the round ends.
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
    let (given, limit) = timeouts(args);
    let timeout = given.unwrap_or(longest);
    for target in &mut config.targets {
        let kind = with_name(target, args.name.as_ref())?;
        let settings = Arc::new(single_round(&target.settings, given, timeout));
        *target = Arc::new(Target { kind, settings, ..(**target).clone() });
    }
    Ok((config, limit.unwrap_or(timeout + round::GRACE)))
}

/// The timeout of probes and that of the round, as far as they follow from the command line. A plugin is killed when its time
/// is over, so there is time for the lookups and the output within `--timeout`.
fn timeouts(args: &CheckArgs) -> (Option<Duration>, Option<Duration>) {
    match args.timeout {
        Some(given) if args.output == CheckOutput::Nagios => {
            let reserve = round::GRACE.min(given / 4);
            (Some(given - 2 * reserve), Some(given - reserve))
        }
        given => (given, None),
    }
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
