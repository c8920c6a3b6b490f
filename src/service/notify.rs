//! Notifications to the service manager that has started the process (sd_notify(3)).

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use sd_notify::NotifyState;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

use crate::monitor::{Handle, Heartbeat};
use crate::snapshot::Fleet;
use crate::snapshot::state::{HealthState, worst};
use crate::text::counted;

/// Notifies the service manager; does nothing without one. It never waits: what cannot be sent immediately is given up, and
/// `READY=1` is sent again, after the `RELOADING=1` that belongs to it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Notifier(Option<Arc<Channel>>);

#[derive(Debug)]
struct Channel {
    /// Not connected, so that it works again after the service manager was restarted.
    socket: UnixDatagram,
    address: SocketAddr,
    /// The time after which the service manager kills a process that has not notified it.
    watchdog: Option<Duration>,
    /// The last `RELOADING=1` was not sent.
    owes_reloading: AtomicBool,
    /// The last `READY=1` was not sent.
    owes_ready: AtomicBool,
    /// The last notification was not sent.
    has_failed: AtomicBool,
}

impl Notifier {
    /// For the service manager that the environment variables `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` name.
    pub fn from_env() -> Self {
        let Some(address) = env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()) else {
            return Self::default();
        };
        let notifier = Self::new(&address, sd_notify::watchdog_enabled());
        notifier.unwrap_or_else(|error| {
            tracing::warn!(%error, "the service manager cannot be notified");
            Self::default()
        })
    }

    /// `address` is a path, or the name of an abstract socket after `@`.
    fn new(address: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(address)?,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "NOTIFY_SOCKET is not a Unix socket")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let watchdog = watchdog.filter(|time| !time.is_zero());
        let [owes_reloading, owes_ready, has_failed] = [const { AtomicBool::new(false) }; 3];
        Ok(Self(Some(Arc::new(Channel { socket, address, watchdog, owes_reloading, owes_ready, has_failed }))))
    }

    /// The start is finished, or a reload.
    pub(super) fn ready(&self, status: &str) {
        let Some(channel) = &self.0 else { return };
        // A reload is ended only if the service manager knows that it has started.
        let is_known = !channel.owes_reloading.load(Ordering::Relaxed) || channel.reloading();
        let is_sent = is_known && channel.send(&[NotifyState::Ready, NotifyState::Status(status)]);
        channel.owes_ready.store(!is_sent, Ordering::Relaxed);
    }

    /// A reload starts; [`Notifier::ready`] ends it.
    pub(super) fn reloading(&self) {
        if let Some(channel) = &self.0 {
            channel.reloading();
        }
    }

    pub(super) fn stopping(&self) {
        if let Some(channel) = &self.0 {
            channel.send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
        }
    }

    /// The heartbeat of the monitor, which keeps the watchdog of the service manager from killing the process, and the event
    /// that the monitor runs.
    pub(super) fn heartbeat(&self) -> (Heartbeat, oneshot::Receiver<()>) {
        let (started, has_started) = oneshot::channel();
        let mut started = Some(started);
        let watched = self.0.clone().and_then(|channel| Some((channel.watchdog?, channel)));
        // At half of the time, as sd_watchdog_enabled(3) recommends.
        let period = watched.as_ref().map_or(Duration::MAX, |(time, _)| *time / 2);
        let heartbeat = Heartbeat::new(period, move || {
            if let Some(started) = started.take() {
                let _ = started.send(());
            }
            if let Some((_, channel)) = &watched {
                channel.send(&[NotifyState::Watchdog]);
            }
        });
        (heartbeat, has_started)
    }

    /// Notifies that the start is finished when the monitor runs, and then of changes of the status, until it is dropped.
    pub(super) async fn run(self, started: oneshot::Receiver<()>, handle: Handle, period: Duration) {
        let Some(channel) = &self.0 else { return std::future::pending().await };
        if started.await.is_err() {
            // The monitor has ended: the service was never ready.
            return std::future::pending().await;
        }
        let mut last = status(&handle.fleet(), SystemTime::now());
        self.ready(&last);
        let mut poll = interval(period);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            poll.tick().await;
            let now = status(&handle.fleet(), SystemTime::now());
            if channel.owes_ready.load(Ordering::Relaxed) {
                self.ready(&now);
                last = now;
            } else if now != last && channel.send(&[NotifyState::Status(&now)]) {
                last = now;
            }
        }
    }
}

impl Channel {
    /// Whether the start of a reload was sent.
    fn reloading(&self) -> bool {
        // Reading this clock cannot fail.
        let Ok(now) = NotifyState::monotonic_usec_now() else { return true };
        // One datagram: a reload is recognized by its time (systemd 253 and later).
        let is_sent = self.send(&[NotifyState::Reloading, now, NotifyState::Status("reloading the configuration")]);
        self.owes_reloading.store(!is_sent, Ordering::Relaxed);
        is_sent
    }

    /// Whether the states were sent, as one datagram.
    fn send(&self, states: &[NotifyState<'_>]) -> bool {
        let text: String = states.iter().map(|state| format!("{state}\n")).collect();
        let sent = self.socket.send_to_addr(text.as_bytes(), &self.address);
        let had_failed = self.has_failed.swap(sent.is_err(), Ordering::Relaxed);
        match sent {
            Ok(_) => true,
            Err(error) => {
                if !had_failed {
                    tracing::warn!(%error, "the service manager cannot be notified");
                }
                false
            }
        }
    }
}

/// The targets in one line.
pub(super) fn status(fleet: &Fleet, now: SystemTime) -> String {
    let states = || fleet.targets.iter().map(|report| (report, worst(report, [], now)));
    let failing = states().filter(|(_, state)| *state > HealthState::Unknown).count();
    let pending = states().filter(|(report, _)| report.last_round.is_none()).count();
    let mut text = format!("{}, {failing} failing", counted(fleet.targets.len(), "target"));
    if pending > 0 {
        text.push_str(&format!(", {pending} not probed yet"));
    }
    if !fleet.exporter.reload_successful {
        text.push_str("; the last reload failed");
    }
    if fleet.exporter.web_reload_successful == Some(false) {
        text.push_str("; the last reload of the web configuration failed");
    }
    text
}

#[cfg(test)]
mod tests;
