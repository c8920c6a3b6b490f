//! The exporter as a service: probes on an interval and serves the results over HTTP until a signal.

use std::fmt::Display;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;

use super::cli::Args;
use super::signals::BlockedSignals;
use super::stderr::Priority;
use super::{FAILURE, USAGE, exit_with, load_complete, logging, note, print, read_in_time, runtime_error};
use crate::config::Config;
use crate::rules::TargetLabels;
use crate::service::{Notifier, Service, WebSettings};
use crate::target::Shard;
use crate::text::{conjunction_within, escaped, printable};
use crate::web::{self, ListenAddress};

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
    let shard = match args.web().and_then(|_| args.shard()) {
        Ok(shard) => shard,
        Err(error) => return exit_with(USAGE, &error),
    };
    let file = args.config_file.clone();
    let config = match read_in_time(move || load_complete(&file)) {
        Ok(Ok(config)) => config,
        Ok(Err(error)) | Err(error) => return exit_with(USAGE, &error),
    };
    note_dropped_labels(&args.config_file, &config);
    let config = config.of_shard(shard);
    let mut report = valid(&args.config_file, &config.summary());
    if let Some(file) = &args.web_config_file {
        let path = file.clone();
        let settings = match read_in_time(move || WebSettings::load(path)) {
            Ok(Ok(settings)) => settings,
            Ok(Err(error)) => return exit_with(USAGE, &error),
            Err(error) => return exit_with(USAGE, &error),
        };
        for warning in settings.warnings() {
            note(Priority::Warning, &format_args!("warning: {warning}"));
        }
        report += &valid(file, settings.summary());
    }
    match print(&report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit_with(USAGE, &error),
    }
}

fn valid(file: &Path, summary: &str) -> String {
    format!("{} is valid: {summary}\n", escaped(&file.display().to_string()))
}

/// Prints which labels of targets the shipped rules drop, and the command that prints rules that keep them.
fn note_dropped_labels(file: &Path, config: &Config) {
    let labels = TargetLabels::of(config.targets.iter().map(|target| &**target));
    let dropped: Vec<String> = labels.dropped_by_shipped_rules().map(|label| format!("`{}`", label.as_str())).collect();
    if !dropped.is_empty() {
        let (noun, names) =
            (if dropped.len() == 1 { "label" } else { "labels" }, conjunction_within(dropped, MAX_LISTED, MAX_LINE));
        note(
            Priority::Info,
            &format_args!(
                "note: the shipped alert rules drop the {noun} {names} of targets; `smtp-tls-exporter rules --config.file={}` \
             prints rules that keep them",
                shell_word(&file.to_string_lossy())
            ),
        );
    }
    for (name, error) in labels.left_out.iter().take(MAX_LISTED) {
        let name = printable(name, MAX_LINE);
        note(Priority::Info, &format_args!("note: alerts cannot keep the label `{name}` of targets: {error}"));
    }
}

/// `text` as one word of a shell.
fn shell_word(text: &str) -> String {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ':' | '@' | '%' | ',');
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn run(args: Args, signals: BlockedSignals) -> Result<(), Fatal> {
    let web = args.web().map_err(Fatal::usage)?;
    let shard = args.shard().map_err(Fatal::usage)?;
    // Before the runtime has threads.
    let passed = args.systemd_socket.then(web::systemd_listeners).transpose().map_err(Fatal::usage)?;
    let runtime = Runtime::new().map_err(|error| Fatal::failure(runtime_error(error)))?;
    let result = runtime.block_on(serve(args, shard, web, passed, signals));
    // A thread may hang in a read from a file server that is down: it is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(500));
    result
}

/// Starts the service and runs it until a signal arrives, which may be during the start.
async fn serve(
    args: Args,
    shard: Shard,
    web: web::Options,
    passed: Option<Vec<TcpListener>>,
    signals: BlockedSignals,
) -> Result<(), Fatal> {
    let (terminated, hangup) = signals
        .termination_and_hangup()
        .map_err(|error| Fatal::failure(format!("cannot install signal handlers: {error}")))?;
    let mut terminated = pin!(terminated);
    let service = tokio::select! {
        biased;
        () = &mut terminated => return Ok(()),
        service = service(args, shard, web, passed, hangup) => service?,
    };
    let listening = Listening::of(&service);
    let running = service.start().map_err(Fatal::failure)?;
    listening.log();
    running.until(terminated).await.map_err(Fatal::failure)
}

/// Loads the configuration and binds the listeners, unless they were `passed` to the process.
async fn service(
    args: Args,
    shard: Shard,
    web: web::Options,
    passed: Option<Vec<TcpListener>>,
    hangup: Signal,
) -> Result<Service, Fatal> {
    let file = args.config_file.clone();
    let load = move || read_in_time(move || Config::load(&file));
    let loaded = spawn_blocking(load).await.map_err(Fatal::failure)?.map_err(Fatal::failure)?;
    let config = loaded.map_err(Fatal::usage)?.of_shard(shard);
    for warning in &config.warnings {
        tracing::warn!(warning, "configuration warning");
    }
    let web_config = web_config(args.web_config_file).await?;
    let listeners = match passed {
        Some(passed) => passed,
        None => bind(&args.listen).await.map_err(Fatal::failure)?,
    };
    Ok(Service {
        config,
        config_file: Some(args.config_file),
        hangup: Some(hangup),
        auto_reload: Some(args.auto_reload_interval).filter(|interval| !interval.is_zero()),
        listeners,
        web,
        web_config,
        notifier: Notifier::from_env(),
    })
}

/// What is logged once the service is started.
struct Listening {
    addresses: Vec<SocketAddr>,
    tls: bool,
    targets: usize,
    /// None if it is the only one.
    shard: Option<String>,
}

impl Listening {
    fn of(service: &Service) -> Self {
        let Service { config, listeners, web_config, .. } = service;
        Self {
            addresses: listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect(),
            tls: web_config.as_ref().is_some_and(WebSettings::has_tls),
            targets: config.targets.len(),
            shard: config.shard.has_others().then(|| config.shard.to_string()),
        }
    }

    fn log(self) {
        let Self { addresses, tls, targets, shard } = self;
        for address in addresses {
            tracing::info!(%address, tls, targets, shard, version = env!("CARGO_PKG_VERSION"), "listening");
        }
    }
}

async fn bind(addresses: &[ListenAddress]) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in addresses {
        listeners.extend(web::bind(address).await?);
    }
    Ok(listeners)
}

/// The web configuration, if there is one. Logs its warnings.
async fn web_config(file: Option<PathBuf>) -> Result<Option<WebSettings>, Fatal> {
    let Some(file) = file else { return Ok(None) };
    let load = move || read_in_time(move || WebSettings::load(file));
    let loaded = spawn_blocking(load).await.map_err(Fatal::failure)?.map_err(Fatal::failure)?;
    let settings = loaded.map_err(Fatal::usage)?;
    for warning in settings.warnings() {
        tracing::warn!(warning, "web configuration warning");
    }
    Ok(Some(settings))
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

/// Labels in a message, and the length of their list.
const MAX_LISTED: usize = 10;
const MAX_LINE: usize = 200;
