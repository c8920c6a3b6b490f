//! The exporter as a service: probes on an interval and serves the results over HTTP until a signal.

use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::cli::Args;
use super::signals::termination;
use super::{FAILURE, USAGE, exit_with, logging};
use crate::config::Config;
use crate::service::Service;
use crate::web;

/// Serves until SIGTERM or SIGINT, or only checks the configuration if `--config.check` is set. The exit code is 0
/// after a signal or for a valid configuration, 1 for a runtime failure, and 2 for an invalid configuration or invalid
/// flags.
pub fn command(args: Args) -> ExitCode {
    logging::init(args.log_level, args.log_format);
    let config = match Config::load(&args.config_file) {
        Ok(config) => config,
        Err(error) => return exit_with(USAGE, &error),
    };
    if args.config_check {
        println!("{} is valid: {}", args.config_file.display(), config.summary());
        for glob in config.target_files.unmatched() {
            eprintln!("smtp-tls-exporter: warning: no file matches target_files pattern `{glob}`");
        }
        return ExitCode::SUCCESS;
    }
    let (prefix, url) = (args.route_prefix.clone(), args.external_url.clone());
    let web = match web::Options::new(args.telemetry_path.clone(), prefix, url) {
        Ok(web) => web,
        Err(error) => return exit_with(USAGE, &error),
    };
    match run(args, config, web) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "fatal error");
            exit_with(FAILURE, &error)
        }
    }
}

fn run(args: Args, config: Config, web: web::Options) -> Result<(), String> {
    let runtime = Runtime::new().map_err(|error| format!("cannot start the runtime: {error}"))?;
    let result = runtime.block_on(serve(args, config, web));
    // A read from an unresponsive file server may block a thread for a long time.
    runtime.shutdown_timeout(Duration::from_millis(500));
    result
}

async fn serve(args: Args, config: Config, web: web::Options) -> Result<(), String> {
    let terminated = termination().map_err(|error| format!("cannot install signal handlers: {error}"))?;
    let mut listeners = Vec::new();
    for address in &args.listen {
        listeners.extend(web::bind(address).await.map_err(|error| error.to_string())?);
    }
    for listener in &listeners {
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, targets = config.targets.len(), version = env!("CARGO_PKG_VERSION"), "listening");
        }
    }
    let service = Service { config, config_file: Some(args.config_file), listeners, web };
    service.start()?.until(terminated).await.map_err(|error| error.to_string())
}
