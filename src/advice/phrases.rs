//! Parts of sentences, of bounded length: lists of backends and names, certificates.

use std::net::IpAddr;

use crate::target::Backend;
use crate::text::{conjunction, plural, printable, utc};
use crate::verdict::certificate::hex;
use crate::verdict::{Certificate, Facts};

#[derive(Clone)]
pub(super) struct ListedBackend<'a> {
    pub(super) backend: &'a Backend,
    /// Unix seconds; set if the statement is older than the last probe.
    pub(super) seen_at: Option<i64>,
    /// A fact about this backend; empty for none.
    pub(super) note: String,
}

/// Backends as the subject of a sentence.
pub(super) struct BackendList {
    /// The list; with the notes if they differ.
    pub(super) list: String,
    /// The note that all backends share.
    pub(super) note: Option<String>,
    count: usize,
}

impl BackendList {
    pub(super) fn new(backends: &[ListedBackend<'_>]) -> Self {
        let first = backends.first().map(|listed| listed.note.as_str()).unwrap_or_default();
        let same = backends.iter().all(|listed| listed.note == first);
        let items = backends.iter().map(|listed| {
            let note = Some(listed.note.clone()).filter(|note| !same && !note.is_empty());
            let seen = listed.seen_at.map(|at| format!("last seen at {}", utc(at)));
            let notes: Vec<String> = note.into_iter().chain(seen).collect();
            let address = listed.backend.address;
            if notes.is_empty() { address.to_string() } else { format!("{address} ({})", notes.join(", ")) }
        });
        Self { list: conjunction(items, MAX_BACKENDS), note: same.then(|| first.to_owned()), count: backends.len() }
    }

    /// `one` if there is one backend, else `many`.
    pub(super) fn plural(&self, one: &'static str, many: &'static str) -> &'static str {
        plural(self.count, one, many)
    }

    /// The shared note in parentheses, with a leading space; empty if there is none.
    pub(super) fn note_in_parentheses(&self) -> String {
        let note = self.note.as_ref().filter(|note| !note.is_empty());
        note.map(|note| format!(" ({note})")).unwrap_or_default()
    }
}

/// Backends without their notes.
pub(super) fn list(backends: &[ListedBackend<'_>]) -> String {
    let plain: Vec<_> = backends.iter().map(|listed| ListedBackend { note: String::new(), ..listed.clone() }).collect();
    BackendList::new(&plain).list
}

pub(super) fn addresses<'a>(addresses: impl IntoIterator<Item = &'a IpAddr>) -> String {
    conjunction(addresses.into_iter().map(IpAddr::to_string), MAX_BACKENDS)
}

/// The names that a certificate lists, at most `limit` of them.
pub(super) fn names(facts: &Facts, limit: usize) -> String {
    let mut names = facts.names().map(|name| printable(&name.to_string(), MAX_NAME_CHARS)).peekable();
    if names.peek().is_none() { "no name".to_owned() } else { conjunction(names, limit) }
}

/// A certificate by its subject and fingerprint.
pub(super) fn certificate(certificate: &Certificate) -> String {
    let subject = certificate.facts().map(|facts| facts.subject()).unwrap_or_default();
    let subject = if subject.is_empty() { "without a subject".to_owned() } else { printable(subject, MAX_NAME_CHARS) };
    format!("{subject} (SHA-256 {})", hex(&certificate.fingerprint()))
}

const MAX_BACKENDS: usize = 5;
const MAX_NAME_CHARS: usize = 100;
pub(super) const MAX_TEXT_CHARS: usize = 4_000;
