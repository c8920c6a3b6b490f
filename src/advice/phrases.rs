//! Parts of sentences, of bounded length: lists of backends and names, certificates.

use std::net::IpAddr;

use super::Advice;
use super::context::BackendCertificate;
use crate::reason::{AdviceKind, Severity};
use crate::target::{Backend, ServerName};
use crate::text::{conjunction, conjunction_within, plural, printable, utc};
use crate::verdict::certificate::hex;
use crate::verdict::near_miss::described_names;
use crate::verdict::{Certificate, Facts, PathRoot, unix};

/// A certificate of a trust store at which a path ends: `root CN=Example Root`.
pub(super) fn root(root: &PathRoot) -> String {
    let kind = if root.is_self_issued { "root" } else { "intermediate" };
    format!("{kind} {}", printable(&root.subject, MAX_NAME_CHARS))
}

/// Backends as the subject of a sentence.
pub(super) struct BackendList {
    backends: Vec<Backend>,
    /// The list; with the notes if they differ.
    pub(super) list: String,
    /// The note that all backends share; empty for none.
    pub(super) note: Option<String>,
}

impl BackendList {
    /// The backends in `items`. Each has the time at which it was seen, if that is before its last probe (Unix seconds), and a
    /// note of its own; empty for none.
    pub(super) fn new<'a>(items: impl IntoIterator<Item = (&'a Backend, Option<i64>, String)>) -> Self {
        let items: Vec<_> = items.into_iter().collect();
        let first = items.first().map(|(.., note)| note.clone()).unwrap_or_default();
        let same = items.iter().all(|(.., note)| *note == first);
        let text = |(backend, seen_at, note): &(&Backend, Option<i64>, String)| {
            let note = Some(note.clone()).filter(|note| !same && !note.is_empty());
            let seen = seen_at.map(|at| format!("last seen at {}", utc(at)));
            let notes: Vec<String> = note.into_iter().chain(seen).collect();
            let address = backend.address;
            if notes.is_empty() { address.to_string() } else { format!("{address} ({})", notes.join(", ")) }
        };
        let list = conjunction(items.iter().map(text), MAX_BACKENDS);
        let backends = items.iter().map(|(backend, ..)| (*backend).clone()).collect();
        Self { backends, list, note: same.then_some(first) }
    }

    /// `one` if there is one backend, else `many`.
    pub(super) fn plural(&self, one: &'static str, many: &'static str) -> &'static str {
        plural(self.backends.len(), one, many)
    }

    /// The shared note in parentheses, with a leading space; empty if there is none.
    pub(super) fn note_in_parentheses(&self) -> String {
        let note = self.note.as_ref().filter(|note| !note.is_empty());
        note.map(|note| format!(" ({note})")).unwrap_or_default()
    }

    /// Advice about these backends, without a request and without client errors.
    pub(super) fn advice(self, kind: AdviceKind, severity: Severity, text: &str) -> Advice {
        Advice { backends: self.backends, ..advice(kind, severity, text) }
    }
}

/// Advice about the target as a whole, without a request and without client errors.
pub(super) fn advice(kind: AdviceKind, severity: Severity, text: &str) -> Advice {
    let text = printable(text, MAX_TEXT_CHARS);
    Advice { kind, severity, backends: Vec::new(), text, request: None, clients: None }
}

/// The backends of `certificates`, without notes; none if there are no certificates.
pub(super) fn list(certificates: &[&BackendCertificate<'_>]) -> Option<BackendList> {
    list_with_notes(certificates, |_| String::new())
}

/// The backends of `certificates`, each with a note; none if there are no certificates.
pub(super) fn list_with_notes<'a>(
    certificates: &[&BackendCertificate<'a>],
    note: impl Fn(&BackendCertificate<'a>) -> String,
) -> Option<BackendList> {
    let items = certificates.iter().map(|certificate| {
        let seen_at = certificate.is_outdated.then(|| unix(certificate.last.seen_at));
        (&certificate.report.backend, seen_at, note(certificate))
    });
    (!certificates.is_empty()).then(|| BackendList::new(items))
}

/// As [`list_with_notes`], with notes on the facts of certificates that can be parsed.
pub(super) fn list_with_fact_notes(
    certificates: &[&BackendCertificate<'_>],
    note: impl Fn(&Facts) -> String,
) -> Option<BackendList> {
    list_with_notes(certificates, |certificate| certificate.facts.map(&note).unwrap_or_default())
}

pub(super) fn addresses<'a>(addresses: impl IntoIterator<Item = &'a IpAddr>) -> String {
    conjunction(addresses.into_iter().map(IpAddr::to_string), MAX_BACKENDS)
}

/// The names that a certificate lists, those that look like `reference` first, at most `limit` of them.
pub(super) fn names(reference: &ServerName, facts: &Facts, limit: usize) -> String {
    let names = conjunction_within(described_names(reference, facts, MAX_NAME_CHARS), limit, MAX_NAMES_CHARS);
    if names.is_empty() { "no name".to_owned() } else { names }
}

/// A certificate by its subject and fingerprint.
pub(super) fn certificate(certificate: &Certificate) -> String {
    let subject = certificate.facts().map(|facts| facts.subject()).unwrap_or_default();
    let subject = if subject.is_empty() { "without a subject".to_owned() } else { printable(subject, MAX_NAME_CHARS) };
    format!("{subject} (SHA-256 {})", hex(&certificate.fingerprint()))
}

const MAX_BACKENDS: usize = 5;
const MAX_NAME_CHARS: usize = 100;
/// The names of one certificate.
const MAX_NAMES_CHARS: usize = 200;
pub(super) const MAX_TEXT_CHARS: usize = 4_000;
