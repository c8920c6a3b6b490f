//! What is due when. Pure: moments are arguments.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// Things that fall due, the earliest first; equal moments in the order in which they were put in.
#[derive(Debug)]
pub(super) struct DueHeap<T> {
    heap: BinaryHeap<Reverse<Due<T>>>,
    count: u64,
}

impl<T> DueHeap<T> {
    pub(super) fn new() -> Self {
        Self { heap: BinaryHeap::new(), count: 0 }
    }

    pub(super) fn push(&mut self, at: Instant, what: T) {
        self.count += 1;
        self.heap.push(Reverse(Due { at, number: self.count, what }));
    }

    /// When the next thing falls due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(due)| due.at)
    }

    /// Takes out the earliest thing that is due at `now`, with the moment it was due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Instant, T)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(due)| (due.at, due.what))
    }
}

#[derive(Debug)]
struct Due<T> {
    at: Instant,
    number: u64,
    what: T,
}

impl<T> PartialEq for Due<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Due<T> {}

impl<T> PartialOrd for Due<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Due<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// When the rounds of one target begin: at its phase in every interval since `origin`. The phase depends on the name
/// alone, so that a reload moves nothing and targets spread evenly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cadence {
    origin: Instant,
    interval: Duration,
    share: f64,
}

impl Cadence {
    pub(super) fn new(origin: Instant, name: &str, interval: Duration) -> Self {
        let digest = Sha256::digest(name.as_bytes());
        let number = digest.iter().take(4).fold(0u32, |number, byte| number << 8 | u32::from(*byte));
        Self { origin, interval, share: f64::from(number) / (f64::from(u32::MAX) + 1.0) }
    }

    /// From one round to the next.
    pub(super) fn interval(self) -> Duration {
        self.interval
    }

    /// The first beginning that is later than `after`.
    pub(super) fn next(self, after: Instant) -> Instant {
        let first = self.origin + self.interval.mul_f64(self.share);
        let Some(passed) = after.checked_duration_since(first) else { return first };
        let rounds = passed.as_nanos() / self.interval.as_nanos().max(1) + 1;
        first + Duration::from_nanos((rounds * self.interval.as_nanos()).try_into().unwrap_or(u64::MAX))
    }

    /// The beginning of a new target's first round: its share of `splay` from `now`.
    pub(super) fn first(self, now: Instant, splay: Duration) -> Instant {
        now + splay.mul_f64(self.share)
    }

    /// The beginning after one that did not come at its phase, and not too soon behind it.
    pub(super) fn settle(self, started: Instant) -> Instant {
        self.next(started + self.interval / 2)
    }
}

/// Over how long the first rounds of `targets` new targets are spread: a few start immediately, many over `interval`, a
/// minute at most.
pub(super) fn splay(targets: usize, interval: Duration) -> Duration {
    let gentle = PER_TARGET.saturating_mul(targets.saturating_sub(1).try_into().unwrap_or(u32::MAX));
    gentle.min(interval).min(MAX_SPREAD)
}

const PER_TARGET: Duration = Duration::from_millis(20);
const MAX_SPREAD: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn pops_entries_by_time_then_in_insertion_order() {
        let now = Instant::now();
        let mut heap = DueHeap::new();
        for (after, what) in [(3, "c"), (1, "a"), (2, "b"), (1, "a2"), (9, "late")] {
            heap.push(now + Duration::from_secs(after), what);
        }
        let mut popped = Vec::new();
        while let Some((_, what)) = heap.pop(now + Duration::from_secs(5)) {
            popped.push(what);
        }
        assert_eq!(popped, ["a", "a2", "b", "c"]);
        assert_eq!(heap.next(), Some(now + Duration::from_secs(9)));
    }

    #[test]
    fn rounds_start_one_interval_apart_at_a_stable_offset() {
        let origin = Instant::now();
        for name in ["relay", "mx:example.com", "smtp.example.com:587", ""] {
            let cadence = Cadence::new(origin, name, MINUTE);
            let first = cadence.next(origin);
            assert!(first - origin < MINUTE, "{name}");
            assert_eq!(cadence.next(first), first + MINUTE, "{name}");
            assert_eq!(cadence.next(first + MINUTE * 7 + MINUTE / 2), first + MINUTE * 8, "{name}");
            assert_eq!(
                Cadence::new(origin, name, MINUTE).next(origin + MINUTE),
                cadence.next(origin + MINUTE),
                "{name}"
            );
            let started = first + MINUTE / 3;
            let settled = cadence.settle(started) - started;
            assert!((MINUTE / 2..=MINUTE * 3 / 2).contains(&settled), "{name}: {settled:?}");
        }
    }

    #[test]
    fn offsets_are_evenly_distributed() {
        let origin = Instant::now();
        let mut tenths = [0; 10];
        for n in 0..1000 {
            let at = Cadence::new(origin, &format!("host-{n}:587"), MINUTE).next(origin) - origin;
            tenths[usize::try_from(at.as_secs() / 6).expect("a tenth")] += 1;
        }
        assert!(tenths.iter().all(|count| (60..=140).contains(count)), "{tenths:?}");
    }

    #[test]
    fn the_first_rounds_of_many_targets_are_spread_out() {
        for (targets, interval, expected) in [
            (1, 300, Duration::ZERO),
            (6, 300, Duration::from_millis(100)),
            (1001, 300, Duration::from_secs(20)),
            (100_000, 300, Duration::from_secs(60)),
            (100_000, 5, Duration::from_secs(5)),
        ] {
            assert_eq!(splay(targets, Duration::from_secs(interval)), expected, "{targets} every {interval} s");
        }
    }
}
