//! The exporter as a service: probes on an interval and serves the results over HTTP until a signal.

use std::fmt::Display;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;

use super::cli::Args;
use super::signals::BlockedSignals;
use super::stderr::Priority;
use super::{FAILURE, USAGE, exit_with, logging, note, print, read_in_time, runtime_error};
use crate::config::Config;
use crate::service::Service;
use crate::text::escaped;
use crate::web;

/// Serves until SIGTERM or SIGINT, or only checks the configuration if `--config.check` is set. The exit code is 0 after a
/// signal or for a valid configuration, 1 for a runtime failure, and 2 for an invalid configuration or invalid flags.
pub fn command(args: Args, signals: BlockedSignals) -> ExitCode {
    logging::init(args.log_level, args.log_format);
    if args.config_check {
        signals.unblock();
        return check_config(&args);
    }
    match run(args, signals) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fatal { code, error }) => {
            tracing::error!(%error, "fatal error");
            ExitCode::from(code)
        }
    }
}

fn check_config(args: &Args) -> ExitCode {
    let file = args.config_file.clone();
    let config = match read_in_time(move || Config::load(&file)) {
        Ok(Ok(config)) => config,
        Ok(Err(error)) => return exit_with(USAGE, &error),
        Err(error) => return exit_with(USAGE, &error),
    };
    for warning in &config.warnings {
        note(Priority::Warning, &format_args!("warning: {warning}"));
    }
    for glob in config.files.unmatched() {
        note(Priority::Warning, &format_args!("warning: no file matches target_files pattern `{glob}`"));
    }
    if let [first, others @ ..] = config.files.failures() {
        others.iter().for_each(|failure| note(Priority::Error, failure));
        return exit_with(USAGE, first);
    }
    let printed =
        print(&format!("{} is valid: {}\n", escaped(&args.config_file.display().to_string()), config.summary()));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit_with(USAGE, &error),
    }
}

fn run(args: Args, signals: BlockedSignals) -> Result<(), Fatal> {
    let (prefix, url) = (args.route_prefix.clone(), args.external_url.clone());
    let web = web::Options::new(args.telemetry_path.clone(), prefix, url).map_err(Fatal::usage)?;
    let runtime = Runtime::new().map_err(|error| Fatal::failure(runtime_error(error)))?;
    let result = runtime.block_on(serve(args, web, signals));
    // A thread may hang in a read from a file server that is down: it is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(500));
    result
}

/// Starts the service and runs it until a signal arrives, which may be during the start.
async fn serve(args: Args, web: web::Options, signals: BlockedSignals) -> Result<(), Fatal> {
    let (terminated, hangup) = signals
        .termination_and_hangup()
        .map_err(|error| Fatal::failure(format!("cannot install signal handlers: {error}")))?;
    let mut terminated = pin!(terminated);
    let service = tokio::select! {
        biased;
        () = &mut terminated => return Ok(()),
        service = service(args, web, hangup) => service?,
    };
    let running = service.start().map_err(Fatal::failure)?;
    running.until(terminated).await.map_err(Fatal::failure)
}

/// Loads the configuration and binds the listeners.
async fn service(args: Args, web: web::Options, hangup: Signal) -> Result<Service, Fatal> {
    let file = args.config_file.clone();
    let load = move || read_in_time(move || Config::load(&file));
    let loaded = spawn_blocking(load).await.map_err(Fatal::failure)?.map_err(Fatal::failure)?;
    let config = loaded.map_err(Fatal::usage)?;
    for warning in &config.warnings {
        tracing::warn!(warning, "configuration warning");
    }
    let mut listeners = Vec::new();
    for address in &args.listen {
        listeners.extend(web::bind(address).await.map_err(Fatal::failure)?);
    }
    for listener in &listeners {
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, targets = config.targets.len(), version = env!("CARGO_PKG_VERSION"), "listening");
        }
    }
    Ok(Service { config, config_file: Some(args.config_file), hangup: Some(hangup), listeners, web })
}

/// Why the exporter ended without a signal.
struct Fatal {
    /// The exit code.
    code: u8,
    error: String,
}

impl Fatal {
    /// Invalid flags or an invalid configuration.
    fn usage(error: impl Display) -> Self {
        Self { code: USAGE, error: error.to_string() }
    }

    /// A runtime failure.
    fn failure(error: impl Display) -> Self {
        Self { code: FAILURE, error: error.to_string() }
    }
}
