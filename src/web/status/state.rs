//! The order of states on a page, and a symbol for each.

use maud::{Markup, html};

pub(super) use crate::snapshot::state::{HealthState, state_of, worst};

/// The worst first.
pub(super) const STATES: [HealthState; 4] =
    [HealthState::Critical, HealthState::Warning, HealthState::Unknown, HealthState::Ok];

/// A symbol for each state, so that states can be distinguished without color.
pub(super) const fn symbol(state: HealthState) -> &'static str {
    match state {
        HealthState::Critical => "✗",
        HealthState::Warning => "!",
        HealthState::Unknown => "…",
        HealthState::Ok => "✓",
    }
}

/// The symbol of a state, hidden from screen readers, and a text.
pub(super) fn with_symbol(state: HealthState, text: &str) -> Markup {
    html! { span class="sign" aria-hidden="true" { (symbol(state)) } " " (text) }
}

pub(super) fn verdict(state: HealthState, text: &str) -> Markup {
    html! { span class={ "verdict " (state.as_str()) } { (with_symbol(state, text)) } }
}

/// Whether a target in this state is shown expanded.
pub(super) fn needs_attention(state: HealthState) -> bool {
    state >= HealthState::Warning
}

pub(super) fn parse(word: &str) -> Option<HealthState> {
    STATES.into_iter().find(|state| state.as_str() == word)
}
