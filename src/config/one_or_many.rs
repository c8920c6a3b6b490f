//! Values that stand alone or in a list.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use super::value::{Scalar, text};

/// One value, or several that share all other keys of their entry.
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// The same with each value turned into another.
    pub(super) fn map<U>(self, mut turn: impl FnMut(T) -> U) -> OneOrMany<U> {
        match self {
            Self::One(one) => OneOrMany::One(turn(one)),
            Self::Many(many) => OneOrMany::Many(many.into_iter().map(turn).collect()),
        }
    }
}

/// A scalar that may stand in a list.
pub(super) trait Listable: Scalar {
    /// One or several of it, as the end of the message "found …, expected …".
    const ONE_OR_MANY: &'static str;
}

impl<'de, T: Listable + Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor(PhantomData))
    }
}

struct OneOrManyVisitor<T>(PhantomData<T>);

impl<'de, T: Listable + Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::ONE_OR_MANY)
    }

    fn visit_str<E: Error>(self, one: &str) -> Result<Self::Value, E> {
        text(one).map(OneOrMany::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut many = Vec::new();
        while let Some(value) = list.next_element()? {
            many.push(value);
        }
        Ok(OneOrMany::Many(many))
    }
}
