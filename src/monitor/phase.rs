//! The phase of a target: the only place where it changes. Pure.
//!
//! | phase | event | next phase | [`Step`] |
//! |---|---|---|---|
//! | `Idle` | round due | `LookingUp` the known backends | begin a round with a lookup |
//! | `Idle` | lookup due | `LookingUp` no backends | look up |
//! | `LookingUp`, nothing left to probe | round due | `LookingUp` the known backends | end the round; begin one without another lookup |
//! | `LookingUp` | lookup finished | `Probing` what is left, and the new backends | probe the new backends |
//! | `Probing`, nothing left but files or verdicts that take long | round due | `LookingUp` the known backends | end the round; begin one with a lookup |
//! | `ResolvingAlternates` | round due | `LookingUp` the known backends | end the round; begin one with a lookup |
//! | `LookingUp`, `Probing` | backend done | the same without it | |
//! | `Probing`, nothing left | settled, there are alternate names | `ResolvingAlternates` | look up the alternate names |
//! | `Probing`, nothing left | settled, there are none | `Idle` | end the round |
//! | `ResolvingAlternates` | alternate names resolved | `Idle` | end the round |
//!
//! All other events change nothing: a round that is due while the last one still has backends to probe is left out, which
//! shows as lag. Jobs have numbers, so that the result of a lookup that was given up is not taken for that of a later one.

use super::dedup::BackendId;

/// The number of a lookup, unique in this process.
pub(super) type LookupId = u64;

/// A target between its rounds and in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum TargetPhase {
    /// Between rounds.
    #[default]
    Idle,
    /// The lookup is queued or running. The backends known before it are probed meanwhile.
    LookingUp {
        /// The lookup.
        lookup: LookupId,
        /// Backends that have not been probed in this round yet.
        left: Vec<BackendId>,
    },
    /// The lookup is finished.
    Probing {
        /// Backends that have not been probed in this round yet.
        left: Vec<BackendId>,
    },
    /// All backends were probed; alternate names are being looked up.
    ResolvingAlternates {
        /// The lookup.
        lookup: LookupId,
    },
}

/// What an event requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Stay,
    /// Begin a round: probe the known backends, and look up the target.
    Begin {
        /// The last round ends now.
        ends_last: bool,
        /// The lookup to queue; none if that of the last round is still waiting.
        lookup: Option<LookupId>,
    },
}

impl TargetPhase {
    /// A round is due or requested. `known` are the backends to probe immediately; `next` is the number of its lookup.
    pub(super) fn round_due(&mut self, known: Vec<BackendId>, next: LookupId) -> Step {
        let (lookup, ends_last, is_new) = match self {
            Self::Idle => (next, false, true),
            Self::ResolvingAlternates { .. } => (next, true, true),
            Self::Probing { left } if left.is_empty() => (next, true, true),
            Self::LookingUp { lookup, left } if left.is_empty() && !known.is_empty() => (*lookup, true, false),
            Self::LookingUp { .. } | Self::Probing { .. } => return Step::Stay,
        };
        *self = Self::LookingUp { lookup, left: known };
        Step::Begin { ends_last, lookup: is_new.then_some(lookup) }
    }

    /// The repetition of a failed lookup is due; returns whether to queue it.
    pub(super) fn lookup_due(&mut self, next: LookupId) -> bool {
        let is_idle = *self == Self::Idle;
        if is_idle {
            *self = Self::LookingUp { lookup: next, left: Vec::new() };
        }
        is_idle
    }

    /// Whether the result of this lookup is still wanted.
    pub(super) fn awaits(&self, id: LookupId) -> bool {
        matches!(self, Self::LookingUp { lookup, .. } | Self::ResolvingAlternates { lookup } if *lookup == id)
    }

    /// The lookup of the target is finished. `is_member` says whether a backend still belongs to the target, `new` are
    /// those that do so since this lookup.
    pub(super) fn looked_up(&mut self, is_member: impl Fn(BackendId) -> bool, new: &[BackendId]) {
        if let Self::LookingUp { left, .. } = self {
            let mut left = std::mem::take(left);
            left.retain(|id| is_member(*id));
            left.extend(new);
            *self = Self::Probing { left };
        }
    }

    /// A backend was probed, or need not be probed in this round.
    pub(super) fn backend_done(&mut self, id: BackendId) {
        if let Self::LookingUp { left, .. } | Self::Probing { left } = self {
            left.retain(|each| *each != id);
        }
    }

    /// Whether all backends of the round were probed and its lookup is finished.
    pub(super) fn is_probed(&self) -> bool {
        matches!(self, Self::Probing { left } if left.is_empty())
    }

    /// After [`is_probed`](Self::is_probed): looks up alternate names.
    pub(super) fn resolve_alternates(&mut self, lookup: LookupId) {
        *self = Self::ResolvingAlternates { lookup };
    }

    /// The round has ended, or its target has changed.
    pub(super) fn end(&mut self) {
        *self = Self::Idle;
    }
}

#[cfg(test)]
mod tests {
    use slotmap::KeyData;

    use super::TargetPhase::{Idle, LookingUp, Probing, ResolvingAlternates};
    use super::*;

    fn ids<const N: usize>(numbers: [u64; N]) -> Vec<BackendId> {
        numbers.map(|number| KeyData::from_ffi(1 << 32 | number).into()).into()
    }

    #[track_caller]
    fn check(mut phase: TargetPhase, event: impl FnOnce(&mut TargetPhase) -> Step, expected: (TargetPhase, Step)) {
        let before = phase.clone();
        let step = event(&mut phase);
        assert_eq!((phase, step), expected, "from {before:?}");
    }

    #[test]
    fn rounds_begin_from_every_phase_that_has_nothing_left_to_probe() {
        let due = |phase: &mut TargetPhase| phase.round_due(ids([1, 2]), 7);
        let begin = |ends_last, lookup| Step::Begin { ends_last, lookup };
        let looking_up = |lookup, left| LookingUp { lookup, left };
        check(Idle, due, (looking_up(7, ids([1, 2])), begin(false, Some(7))));
        for waiting in [ResolvingAlternates { lookup: 3 }, Probing { left: ids([]) }] {
            check(waiting, due, (looking_up(7, ids([1, 2])), begin(true, Some(7))));
        }
        // A lookup that waits for a slow name server does not delay the next probes, nor is it queued twice.
        check(looking_up(3, ids([])), due, (looking_up(3, ids([1, 2])), begin(true, None)));
        let unknown = |phase: &mut TargetPhase| phase.round_due(Vec::new(), 7);
        for busy in [looking_up(3, ids([2])), Probing { left: ids([1]) }] {
            check(busy.clone(), due, (busy, Step::Stay));
        }
        check(looking_up(3, ids([])), unknown, (looking_up(3, ids([])), Step::Stay));
    }

    #[test]
    fn a_lookup_adds_its_new_backends_to_those_left() {
        let mut phase = LookingUp { lookup: 3, left: ids([1, 2]) };
        assert!(phase.awaits(3) && !phase.awaits(2));
        phase.backend_done(ids([1])[0]);
        let gone = ids([2])[0];
        phase.looked_up(|id| id != gone, &ids([4]));
        assert_eq!(phase, Probing { left: ids([4]) });
        assert!(!phase.is_probed() && !phase.awaits(3));
        phase.backend_done(ids([4])[0]);
        assert!(phase.is_probed());
        phase.resolve_alternates(5);
        assert!(phase.awaits(5) && !phase.is_probed());
        phase.end();
        assert_eq!(phase, Idle);
    }

    #[test]
    fn only_an_idle_target_repeats_its_lookup() {
        for (mut phase, expected) in [
            (Idle, true),
            (LookingUp { lookup: 1, left: ids([]) }, false),
            (Probing { left: ids([]) }, false),
            (ResolvingAlternates { lookup: 1 }, false),
        ] {
            assert_eq!(phase.lookup_due(9), expected, "{phase:?}");
            assert_eq!(phase.awaits(9), expected, "{phase:?}");
        }
    }
}
