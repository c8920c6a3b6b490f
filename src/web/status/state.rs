//! The order of states on a page, and a symbol for each.

use std::cmp::Reverse;

use maud::{Markup, html};

pub(super) use crate::snapshot::state::{State, state_of, worst};

/// The worst first.
pub(super) const STATES: [State; 4] = [State::Critical, State::Warning, State::Unknown, State::Ok];

/// A symbol for each state, so that states can be distinguished without color.
pub(super) const fn symbol(state: State) -> &'static str {
    match state {
        State::Critical => "✗",
        State::Warning => "!",
        State::Unknown => "…",
        State::Ok => "✓",
    }
}

/// The symbol of a state, hidden from screen readers, and a text.
pub(super) fn with_symbol(state: State, text: &str) -> Markup {
    html! { span class="sign" aria-hidden="true" { (symbol(state)) } " " (text) }
}

/// The result of one check.
pub(super) fn verdict(state: State, text: &str) -> Markup {
    html! { span class={ "verdict " (state.as_str()) } { (with_symbol(state, text)) } }
}

/// Whether a target in this state is shown expanded.
pub(super) fn needs_attention(state: State) -> bool {
    state >= State::Warning
}

/// A sort key that puts the worst first.
pub(super) const fn rank(state: State) -> Reverse<State> {
    Reverse(state)
}

/// The state that a URL names.
pub(super) fn parse(word: &str) -> Option<State> {
    STATES.into_iter().find(|state| state.as_str() == word)
}
