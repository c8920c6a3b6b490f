//! The exporter's binary: arguments, log, config, service.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use smtp_tls_exporter::cli::Args;
use smtp_tls_exporter::config::Config;
use smtp_tls_exporter::service::{Service, termination};
use smtp_tls_exporter::{logging, web};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let args = Args::parse();
    logging::init(args.log_level, args.log_format);
    let config = match Config::load(&args.config_file) {
        Ok(config) => config,
        Err(error) => return usage(&error.to_string()),
    };
    if args.config_check {
        println!("{} is good: {} targets", args.config_file.display(), config.targets.len());
        return ExitCode::SUCCESS;
    }
    let (prefix, url) = (args.route_prefix.clone(), args.external_url.clone());
    let web = match web::Options::new(args.telemetry_path.clone(), prefix, url) {
        Ok(web) => web,
        Err(error) => return usage(&error),
    };
    match run(args, config, web) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "ended");
            eprintln!("smtp-tls-exporter: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A mistake of whoever called: told on standard error, with the exit code of wrong usage.
fn usage(error: &str) -> ExitCode {
    eprintln!("smtp-tls-exporter: {error}");
    ExitCode::from(2)
}

fn run(args: Args, config: Config, web: web::Options) -> Result<(), String> {
    let runtime = Runtime::new().map_err(|error| format!("the runtime cannot be set up: {error}"))?;
    let result = runtime.block_on(serve(args, config, web));
    // A thread that hangs in a file of a dead server is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(500));
    result
}

async fn serve(args: Args, config: Config, web: web::Options) -> Result<(), String> {
    let terminated = termination().map_err(|error| format!("signals: {error}"))?;
    let mut listeners = Vec::new();
    for address in &args.listen {
        listeners.extend(web::bind(address).await.map_err(|error| error.to_string())?);
    }
    for listener in &listeners {
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, targets = config.targets.len(), version = env!("CARGO_PKG_VERSION"), "serving");
        }
    }
    let service = Service { config, config_file: Some(args.config_file), listeners, web };
    service.start()?.until(terminated).await.map_err(|error| error.to_string())
}
