//! What others have of the monitor: its reports, and a way to ask it for things.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::board::Board;
use super::once::{OneOff, OneOffError};
use crate::config::Config;
use crate::snapshot::{Fleet, TargetReport};
use crate::target::{TargetKind, TargetName};

/// Reads what the monitor knows and asks it for things. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) board: Arc<Board>,
    pub(super) orders: mpsc::Sender<Order>,
}

impl Handle {
    /// All reports as they are now.
    pub fn fleet(&self) -> Fleet {
        self.board.fleet()
    }

    /// Whether the monitor runs.
    pub fn is_ready(&self) -> bool {
        !self.orders.is_closed()
    }

    /// Asks for a round of one target, joins the one that is under way, and waits for its end.
    /// None where there is no such target, or the monitor ends before.
    pub async fn round(&self, target: &TargetName) -> Option<Arc<TargetReport>> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(Order::Round { target: target.clone(), reply }).await.ok()?;
        answer.await.ok()
    }

    /// Begins a round of a target that no config names, if the config allows it, or joins the one that is under way. The
    /// round goes on whether or not somebody waits for its end, and nothing is left of it.
    ///
    /// # Errors
    /// When it is not allowed, or cannot be begun now.
    pub async fn probe_once(&self, target: TargetKind) -> Result<OneOff, OneOffError> {
        let (reply, answer) = oneshot::channel();
        let order = Order::OneOff { target: Box::new(target), reply };
        self.orders.send(order).await.map_err(|_| OneOffError::Ended)?;
        answer.await.unwrap_or(Err(OneOffError::Ended))
    }

    /// Goes over to another config. Reports of unchanged endpoints stay, and so do counters of targets by their name;
    /// probes that run are let finish.
    ///
    /// # Errors
    /// When the config's resolvers cannot be set up, or the monitor has ended; the running config stays.
    pub async fn reload(&self, config: Config) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        let ended = || "the monitor has ended".to_owned();
        self.orders.send(Order::Reload { config: Box::new(config), reply }).await.map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Publishes that a reload is in progress. False if that was published already.
    pub fn start_reload(&self) -> bool {
        !self.board.set_reload_running(true)
    }

    /// Publishes that no reload is in progress.
    pub fn end_reload(&self) {
        self.board.set_reload_running(false);
    }

    /// Notes that a config could not be loaded; the running one stays.
    pub fn reload_failed(&self) {
        self.board.config_failed();
    }
}

/// What is asked of the monitor.
#[derive(Debug)]
pub(super) enum Order {
    Round { target: TargetName, reply: oneshot::Sender<Arc<TargetReport>> },
    OneOff { target: Box<TargetKind>, reply: oneshot::Sender<Result<OneOff, OneOffError>> },
    Reload { config: Box<Config>, reply: oneshot::Sender<Result<(), String>> },
}
