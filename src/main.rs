//! The exporter's binary: arguments, log, config, service.

use std::process::ExitCode;

use clap::Parser;
use smtp_tls_exporter::cli::Args;
use smtp_tls_exporter::config::Config;
use smtp_tls_exporter::service::{Service, termination};
use smtp_tls_exporter::{logging, web};

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
    let web = web::Options {
        telemetry_path: args.telemetry_path.clone(),
        route_prefix: args.route_prefix.clone(),
        external_url: args.external_url.clone(),
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

#[tokio::main]
async fn run(args: Args, config: Config, web: web::Options) -> Result<(), String> {
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
