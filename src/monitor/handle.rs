//! The monitor as others see it: its reports, and requests to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::once::{OneOff, OneOffError, OneOffRequest};
use super::published::Published;
use crate::config::Config;
use crate::net::ClientAddress;
use crate::snapshot::{ExporterReport, Fleet, TargetReport};
use crate::target::{NotAllowed, ProbeAccess, ServerName, TargetKind, TargetName};

/// Reads the monitor's reports and sends it requests. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) published: Arc<Published>,
    pub(super) commands: mpsc::Sender<Command>,
}

impl Handle {
    /// All reports at this time.
    pub fn fleet(&self) -> Fleet {
        self.published.fleet()
    }

    /// The report on the exporter at this time.
    pub fn exporter(&self) -> ExporterReport {
        self.published.exporter()
    }

    /// The report on the configured target with this name.
    pub fn find(&self, name: &str) -> Option<Arc<TargetReport>> {
        self.published.find(name)
    }

    /// The report on the first configured target with the host and port, or the domain, of `kind`, whatever its addresses and
    /// its TLS mode. If `server_name` is given, a host must have this server name.
    pub fn find_service(&self, kind: &TargetKind, server_name: Option<&ServerName>) -> Option<Arc<TargetReport>> {
        self.published.find_service(kind, server_name)
    }

    /// Whether the monitor has been shut down: rounds in progress may still end, others do not.
    pub fn has_ended(&self) -> bool {
        self.commands.is_closed()
    }

    /// Whether the monitor runs: it made progress within the last seconds and, if lookups or probes are running, results
    /// arrived within the longest timeout.
    pub fn is_ready(&self) -> bool {
        !self.has_ended() && self.published.is_healthy(Instant::now())
    }

    /// Starts a round of one target, or joins the one in progress, and waits for its end. Backends whose servers limit the
    /// rate are not probed before their time.
    /// `None` if there is no such target, or if the monitor ends before.
    pub async fn round(&self, target: &TargetName) -> Option<Arc<TargetReport>> {
        self.round_since(target, None).await
    }

    /// As [`Handle::round`], but returns the last report immediately if its round ended at most `max_age` ago.
    pub async fn recent_round(&self, target: &TargetName, max_age: Duration) -> Option<Arc<TargetReport>> {
        self.round_since(target, Some(max_age)).await
    }

    async fn round_since(&self, target: &TargetName, max_age: Option<Duration>) -> Option<Arc<TargetReport>> {
        self.ask(|reply| Command::Round { target: target.clone(), max_age, reply }).await
    }

    /// Starts a round of a target that is not configured, if the configuration permits it, or joins the one in progress. It
    /// waits while too many are in progress, and clients take turns; dropping the future ends the wait. The round is given
    /// up when all that wait for it have dropped their [`OneOff`].
    ///
    /// # Errors
    /// If it is not permitted, or if too many requests wait.
    pub async fn probe_once(&self, target: TargetKind, client: ClientAddress) -> Result<OneOff, OneOffError> {
        let request = |reply| Command::OneOff(Box::new(OneOffRequest { kind: target, client, reply }));
        self.ask(request).await.unwrap_or(Err(OneOffError::Ended))
    }

    /// Whether [`Handle::probe_once`] accepts this target now, apart from its limits.
    ///
    /// # Errors
    /// If the configuration does not permit it.
    pub fn permits(&self, target: &TargetKind) -> Result<(), NotAllowed> {
        self.published.permits(target)
    }

    /// What `/probe` accepts.
    pub fn probe_access(&self) -> ProbeAccess {
        self.published.probe_access()
    }

    /// Applies another configuration. Reports of unchanged endpoints stay, and so do the counters of targets with the same
    /// name; running probes finish. Waits a moment for the verdicts that a changed trust store requires.
    ///
    /// # Errors
    /// If the monitor has ended.
    pub async fn reload(&self, config: Config) -> Result<(), String> {
        let is_complete = config.files.failures().is_empty();
        self.apply(config, is_complete).await
    }

    /// As [`Handle::reload`], for a configuration that lacks a part of what was to be loaded: the last reload counts as failed.
    ///
    /// # Errors
    /// As [`Handle::reload`].
    pub async fn reload_in_part(&self, config: Config) -> Result<(), String> {
        self.apply(config, false).await
    }

    async fn apply(&self, config: Config, is_complete: bool) -> Result<(), String> {
        let config = Box::new(config);
        self.ask(|reply| Command::Reload { config, is_complete, reply }).await.ok_or("the monitor has ended")?;
        // Beyond the limit, they follow.
        let _ = timeout(SETTLE_LIMIT, self.settled()).await;
        Ok(())
    }

    /// Publishes that a reload is in progress. False if that was published already.
    pub fn start_reload(&self) -> bool {
        !self.published.set_reload_running(true)
    }

    /// Publishes that no reload is in progress.
    pub fn end_reload(&self) {
        self.published.set_reload_running(false);
    }

    /// Records that a configuration could not be loaded; the running one stays.
    pub fn reload_failed(&self) {
        self.published.config_failed();
    }

    /// Publishes whether the last attempt to load the web configuration succeeded.
    pub fn web_config_loaded(&self, successful: bool) {
        self.published.set_web_config(successful);
    }

    /// Waits until no verdict is outstanding. A round may learn an intermediate that completes the chains of targets whose
    /// rounds have ended before.
    pub async fn settled(&self) {
        // None means that the monitor has ended.
        let _ = self.ask(|reply| Command::Settled { reply }).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// A request to the monitor. The client may be gone when it is answered.
#[derive(Debug)]
pub(super) enum Command {
    Round { target: TargetName, max_age: Option<Duration>, reply: oneshot::Sender<Arc<TargetReport>> },
    OneOff(Box<OneOffRequest>),
    Reload { config: Box<Config>, is_complete: bool, reply: oneshot::Sender<()> },
    Settled { reply: oneshot::Sender<()> },
}

/// Limit for the verdicts that a reload waits for.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);
