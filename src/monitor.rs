//! Schedules lookups and probes, and publishes their results.
//!
//! One task (`owner`) owns all state and never blocks: it computes no verdict, reads no file and waits for no lock that a
//! worker holds. Everything that waits or computes is a job of a `worker`. Its result is applied if it still fits:
//! identifiers of targets change with their settings, and those of backends and lookups are never used again.
//!
//! A round of a target probes its known backends immediately, while its lookup runs, and probes those that the lookup adds
//! when it arrives; so a lookup never delays a probe. `phase` has the phases of a target.
//!
//! | what waits | for what | how it is bounded |
//! |---|---|---|
//! | requests for one-off rounds | one of 32 rounds (`once`; clients share them) | 128 for each client, 512 in all |
//! | lookups | one of the slots of their resolver (`lookups`) | one for each target; those of literal addresses need no slot |
//! | probes | a slot of the address, and a permit (`admission`) | one for each backend (`dedup`) |
//! | verdicts on new chains | one of two threads (`verdicts`; targets take turns) | one for each probe, which holds no permit any more |

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use slotmap::new_key_type;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::discovery::Queries;
use crate::file::FileReader;

mod admission;
mod backend;
mod dedup;
mod events;
mod fair_queue;
mod handle;
mod heartbeat;
mod host;
mod index;
mod lag;
mod lookups;
mod once;
mod owner;
mod phase;
mod published;
mod roster;
mod schedule;
mod target_state;
mod targets;
mod verdicts;
mod worker;

use handle::Command;
pub use handle::Handle;
pub use heartbeat::Heartbeat;
pub use once::{OneOff, OneOffError, OneOffReport};
use owner::Owner;

new_key_type! {
    /// A target with its settings. It changes when they do, and is never reused for another one.
    struct TargetId;
}

/// The wall clock.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The monitor before it runs.
pub struct Monitor {
    commands: mpsc::Receiver<Command>,
    owner: Owner,
}

impl Monitor {
    /// Sets up the monitor of `config`. Nothing is looked up or probed until it runs.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(config: Config, clock: Clock) -> Result<(Self, Handle), String> {
        Self::with_reader(config, clock, FileReader::default())
    }

    /// As [`Monitor::new`], for a monitor that runs one round only: names are looked up several times, since there is no
    /// later round to find the addresses that one answer does not have.
    ///
    /// # Errors
    /// As [`Monitor::new`].
    pub fn single_round(config: Config, clock: Clock) -> Result<(Self, Handle), String> {
        Self::set_up(config, clock, FileReader::default(), Queries::Repeated)
    }

    /// As [`Monitor::new`]; `files` reads the files of this host.
    ///
    /// # Errors
    /// As [`Monitor::new`].
    pub fn with_reader(config: Config, clock: Clock, files: FileReader) -> Result<(Self, Handle), String> {
        Self::set_up(config, clock, files, Queries::Once)
    }

    fn set_up(config: Config, clock: Clock, files: FileReader, queries: Queries) -> Result<(Self, Handle), String> {
        let (sender, commands) = mpsc::channel(COMMAND_QUEUE);
        let owner = Owner::new(config, clock, files, queries)?;
        let handle = Handle { published: owner.published(), commands: sender };
        Ok((Self { commands, owner }, handle))
    }

    /// Runs until `shutdown`, then lets running probes finish for [`DRAIN`] and ends the rest.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        self.run_with(Heartbeat::default(), shutdown).await;
    }

    /// As [`Monitor::run`]. The heartbeat stops if the owner task makes no progress any more.
    pub async fn run_with(self, mut heartbeat: Heartbeat, shutdown: impl Future<Output = ()>) {
        let Self { mut commands, mut owner } = self;
        let mut lag = tokio::task::JoinSet::new();
        lag.spawn(owner.lag().watch());
        tokio::pin!(shutdown);
        loop {
            let due = owner.turn();
            let now = Instant::now();
            let wake = due.unwrap_or(now + TICK).min(now + TICK).min(heartbeat.beat(now));
            tokio::select! {
                () = &mut shutdown => break,
                Some(command) = commands.recv() => owner.handle(command),
                () = owner.next_event() => {}
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
        commands.close();
        owner.drain(heartbeat).await;
    }
}

/// How long running probes may go on after the shutdown.
pub const DRAIN: Duration = Duration::from_secs(3);
/// The owner task makes progress at least this often.
const TICK: Duration = Duration::from_secs(1);
const COMMAND_QUEUE: usize = 64;
