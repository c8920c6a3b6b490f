//! How a state reads: its word, its sign, and its place in the order.

use std::cmp::Reverse;

pub(super) use crate::snapshot::state::{State, state_of, worst};

/// The worst first.
pub(super) const STATES: [State; 4] = [State::Critical, State::Warning, State::Unknown, State::Ok];

/// The word that people read; [`State::as_str`] is the one in URLs and in the stylesheet.
pub(super) const fn word(state: State) -> &'static str {
    match state {
        State::Critical => "critical",
        State::Warning => "warning",
        State::Unknown => "not known yet",
        State::Ok => "well",
    }
}

/// A sign beside the word, of another shape for each.
pub(super) const fn sign(state: State) -> &'static str {
    match state {
        State::Critical => "✗",
        State::Warning => "!",
        State::Unknown => "…",
        State::Ok => "✓",
    }
}

/// Whether somebody should look at it.
pub(super) fn is_bad(state: State) -> bool {
    state >= State::Warning
}

/// What sorts the worst first.
pub(super) const fn rank(state: State) -> Reverse<State> {
    Reverse(state)
}

/// The state for a word in a URL.
pub(super) fn parse(word: &str) -> Option<State> {
    STATES.into_iter().find(|state| state.as_str() == word)
}
