//! An entry of `targets`: its keys, and which of `host`, `mx` and `submission` it gives.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::error::{ErrorKind, message};
use super::keys::Target;
use super::one_or_many::{Listable, OneOrMany};
use super::scalar::{Host, MxDomain, SubmissionDomain};

/// A target, or a list of targets that are alike.
pub(super) struct Entry {
    pub(super) subject: Subject,
    /// All other keys.
    pub(super) keys: Target,
}

/// What an entry is about.
pub(super) enum Subject {
    Host(OneOrMany<Host>),
    Mx(OneOrMany<MxDomain>),
    Submission(OneOrMany<SubmissionDomain>),
}

impl Subject {
    /// The key that gives it.
    pub(super) const fn key(&self) -> &'static str {
        match self {
            Self::Host(_) => HOST,
            Self::Mx(_) => MX,
            Self::Submission(_) => SUBMISSION,
        }
    }
}

impl Listable for Host {
    const ONE_OR_MANY: &'static str = "a host name, an IP address or a list of them";
}

impl Listable for MxDomain {
    const ONE_OR_MANY: &'static str = "a domain, whose MX records are looked up, or a list of them";
}

impl Listable for SubmissionDomain {
    const ONE_OR_MANY: &'static str = "a domain, whose SRV records are looked up, or a list of them";
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping of keys")
    }

    // Errors that are raised in here carry the entry's line; later ones would not.
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
        let mut keys = Target::deserialize(MapAccessDeserializer::new(map))?;
        let subjects = [
            keys.host.take().map(Subject::Host),
            keys.mx.take().map(Subject::Mx),
            keys.submission.take().map(Subject::Submission),
        ];
        let mut given = subjects.into_iter().flatten();
        let allowed = format!("exactly one of `{HOST}`, `{MX}` and `{SUBMISSION}`");
        let Some(subject) = given.next() else {
            let found = format!("no key `{HOST}`, `{MX}` or `{SUBMISSION}`");
            return Err(Error::custom(ErrorKind::Missing.tag(&message(found, allowed))));
        };
        if let Some(second) = given.next() {
            let found = format!("the keys `{}` and `{}` in one entry", subject.key(), second.key());
            return Err(Error::custom(ErrorKind::Conflict.tag(&message(found, allowed))));
        }
        Ok(Entry { subject, keys })
    }
}

const HOST: &str = "host";
const MX: &str = "mx";
const SUBMISSION: &str = "submission";
