//! The exporter's binary: arguments, then a sub-command, or log, config and service.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Parser;
use smtp_tls_exporter::cmd::cli::{Args, Command, HealthArgs, Output, VerifyArgs};
use smtp_tls_exporter::cmd::{check, health, logging};
use smtp_tls_exporter::config::Config;
use smtp_tls_exporter::service::{Service, termination};
use smtp_tls_exporter::verify::{self, verify};
use smtp_tls_exporter::{render, web};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let args = Args::parse();
    match args.command {
        Some(Command::Check(args)) => return ExitCode::from(check::command(&args)),
        Some(Command::Verify(args)) => return judge(args),
        Some(Command::Health(args)) => return ask(&args),
        None => {}
    }
    logging::init(args.log_level, args.log_format);
    let config = match Config::load(&args.config_file) {
        Ok(config) => config,
        Err(error) => return fail(2, &error),
    };
    if args.config_check {
        println!("{} is good: {}", args.config_file.display(), config.summary());
        for glob in config.target_files.unmatched() {
            eprintln!("smtp-tls-exporter: warning: no file matches {glob} of target_files");
        }
        return ExitCode::SUCCESS;
    }
    let (prefix, url) = (args.route_prefix.clone(), args.external_url.clone());
    let web = match web::Options::new(args.telemetry_path.clone(), prefix, url) {
        Ok(web) => web,
        Err(error) => return fail(2, &error),
    };
    match run(args, config, web) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "ended");
            fail(1, &error)
        }
    }
}

/// Tells what a chain in a file is worth: 0 where all is well, 1 where it is not.
fn judge(args: VerifyArgs) -> ExitCode {
    let VerifyArgs { hosts: names, at, ca_files, no_system_roots, output, chain } = args;
    let at = at.unwrap_or_else(SystemTime::now);
    let request = verify::Request { names, at, chain, ca_files, system_roots: !no_system_roots };
    let verification = match verify(&request) {
        Ok(verification) => verification,
        Err(error) => return fail(2, &error),
    };
    let text = match output {
        Output::Table => render::table(&verification),
        Output::Json => render::json(&verification),
    };
    let written = io::stdout().write_all(text.as_bytes());
    let is_bad = u8::from(!verification.is_ok());
    written.map_or_else(|error| fail(2, &format!("standard output: {error}")), |()| ExitCode::from(is_bad))
}

/// Tells by the exit code whether an exporter is ready.
fn ask(args: &HealthArgs) -> ExitCode {
    health::ask(&args.address, args.timeout).map_or_else(|error| fail(1, &error), |()| ExitCode::SUCCESS)
}

/// Tells why it ends, and ends: with 2 for a mistake of whoever called.
fn fail(code: u8, error: &dyn Display) -> ExitCode {
    eprintln!("smtp-tls-exporter: {error}");
    ExitCode::from(code)
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
