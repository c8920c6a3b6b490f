//! Pieces of sentences: lists of backends and names, moments, spans of time. All of bounded length.

use std::net::IpAddr;
use std::time::SystemTime;

use time::OffsetDateTime;

use crate::target::{Backend, Endpoint};
use crate::text::printable;
use crate::verdict::certificate::hex;
use crate::verdict::{Certificate, Facts, unix};

/// A backend in a list.
#[derive(Clone)]
pub(super) struct Place<'a> {
    pub(super) backend: &'a Backend,
    /// Set where what is said of it is not as of its last probe.
    pub(super) seen_at: Option<SystemTime>,
    /// What is said of it in particular; empty for nothing.
    pub(super) note: String,
}

/// Backends as the subject of a sentence.
pub(super) struct Listed {
    /// The list, with the notes where they differ.
    pub(super) list: String,
    /// The note, where all have the same.
    pub(super) note: Option<String>,
    is_one: bool,
}

impl Listed {
    pub(super) fn of(places: &[Place<'_>]) -> Self {
        let first = places.first().map(|place| place.note.as_str()).unwrap_or_default();
        let same = places.iter().all(|place| place.note == first);
        let items = places.iter().map(|place| {
            let note = Some(place.note.clone()).filter(|note| !same && !note.is_empty());
            let seen = place.seen_at.map(|at| format!("as last seen at {}", moment(unix(at))));
            let said: Vec<String> = note.into_iter().chain(seen).collect();
            let address = place.backend.address;
            if said.is_empty() { address.to_string() } else { format!("{address} ({})", said.join(", ")) }
        });
        Self { list: some_of(items, MAX_PLACES), note: same.then(|| first.to_owned()), is_one: places.len() == 1 }
    }

    /// `one` where there is one backend, else `many`.
    pub(super) fn verb(&self, one: &'static str, many: &'static str) -> &'static str {
        if self.is_one { one } else { many }
    }
}

/// Backends, without notes.
pub(super) fn list(places: &[Place<'_>]) -> String {
    let plain: Vec<_> = places.iter().map(|place| Place { note: String::new(), ..place.clone() }).collect();
    Listed::of(&plain).list
}

/// Addresses.
pub(super) fn addresses<'a>(addresses: impl IntoIterator<Item = &'a IpAddr>) -> String {
    some_of(addresses.into_iter().map(IpAddr::to_string), MAX_PLACES)
}

/// `a`, `a and b`, `a, b and c`; at most `most` of them, and how many more there are.
pub(super) fn some_of(items: impl IntoIterator<Item = String>, most: usize) -> String {
    let mut items = items.into_iter();
    let shown = items.by_ref().take(most).collect();
    joined(shown, items.count())
}

fn joined(mut shown: Vec<String>, more: usize) -> String {
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    let Some(last) = shown.pop() else { return String::new() };
    if shown.is_empty() { last } else { format!("{} and {last}", shown.join(", ")) }
}

/// The names that a certificate presents, at most `most` of them.
pub(super) fn names(facts: &Facts, most: usize) -> String {
    let mut names = facts.names();
    let shown: Vec<String> = names.by_ref().take(most).map(|name| printable(&name.to_string(), MAX_NAME)).collect();
    if shown.is_empty() { "no name".to_owned() } else { joined(shown, names.count()) }
}

/// A certificate by its subject and fingerprint.
pub(super) fn certificate(certificate: &Certificate) -> String {
    format!("{} (SHA-256 {})", subject(certificate), hex(&certificate.fingerprint()))
}

/// A certificate by its subject.
pub(super) fn subject(certificate: &Certificate) -> String {
    let subject = certificate.facts().map(|facts| facts.subject()).unwrap_or_default();
    if subject.is_empty() { "without a subject".to_owned() } else { printable(subject, MAX_NAME) }
}

/// A moment (Unix seconds), to the minute.
pub(super) fn moment(unix: i64) -> String {
    let Ok(at) = OffsetDateTime::from_unix_timestamp(unix) else { return format!("{unix} s since 1970") };
    let (month, day, hour, minute) = (u8::from(at.month()), at.day(), at.hour(), at.minute());
    format!("{:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC", at.year())
}

/// So many seconds in the unit that suits, rounded down.
pub(super) fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..60 => return "less than a minute".to_owned(),
        60..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    counted(count, unit)
}

/// `1 day`, `2 days`.
pub(super) fn counted(count: u64, unit: &str) -> String {
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

/// Server name and port.
pub(super) fn place(endpoint: &Endpoint) -> String {
    match endpoint.server_name.ip() {
        Some(ip) => std::net::SocketAddr::new(ip, endpoint.port).to_string(),
        None => format!("{}:{}", endpoint.server_name, endpoint.port),
    }
}

/// Backends that a sentence lists.
const MAX_PLACES: usize = 5;
/// Characters of a name.
const MAX_NAME: usize = 100;
/// Characters of a text.
pub(super) const MAX_TEXT: usize = 4_000;
