//! `config.example.yaml` loads and contains every key.

use std::path::Path;

use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;
use serde_yaml::Value;

use super::{PemFiles, accepted, without_files};
use crate::config::settings::Settings;
use crate::config::stores::{ClientCertificate, Resolver, Store};
use crate::config::target::Entry;
use crate::config::{Config, Document, ErrorKind, LimitKeys, Probe};

const EXAMPLE: &str = include_str!("../../../config.example.yaml");

#[test]
fn example_loads_unchanged() {
    let text = EXAMPLE.replace("trust: system", "trust: mozilla");
    let commented = accepted(&text);
    let bare = accepted("targets: [{host: smtp.example.com, trust: mozilla}]");
    assert_eq!(without_files(&commented), without_files(&bare), "the example must set defaults only");
    // A host without system roots fails for that reason only.
    let has_roots = !rustls_native_certs::load_native_certs().certs.is_empty();
    let loaded = Config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.yaml"));
    match loaded {
        Ok(loaded) => assert!(has_roots && loaded.targets.len() == commented.targets.len()),
        Err(error) => {
            let is_of_roots = error.kind() == ErrorKind::File && error.place().contains("system");
            assert!(!has_roots && is_of_roots, "{error}");
        }
    }
}

#[test]
fn example_loads_with_every_commented_key_enabled() {
    let pem = PemFiles::shared();
    let files = ["corp-root.pem", "probe.pem", "probe.key"].into_iter().zip(["ca.pem", "client.pem", "client.key"]);
    let text = files.fold(uncommented().replace("trust: system", "trust: internal"), |text, (shown, made)| {
        text.replace(&format!("/etc/ssl/{shown}"), &format!("{}/{made}", pem.path()))
    });
    let config = accepted(&text);
    assert_eq!(config.trust_stores.len(), 2);
    let kinds: Vec<_> = config.targets.iter().map(|target| target.kind.as_str()).collect();
    assert_eq!(kinds, ["host", "mx", "mx", "submission"]);
}

#[test]
fn example_contains_every_key() {
    let example: Value = serde_yaml::from_str(&uncommented()).expect("YAML");
    let section = |path: &[&str]| path.iter().fold(&example, |value, key| &value[*key]);
    check::<Document>(&example);
    check::<Settings>(section(&["defaults"]));
    check::<Store>(section(&["trust_stores", "internal"]));
    check::<Resolver>(section(&["resolvers", "public"]));
    check::<LimitKeys>(section(&["limits"]));
    check::<Probe>(section(&["probe"]));
    check::<ClientCertificate>(&section(&["targets"])[0]["client_certificate"]);

    let targets = section(&["targets"]).as_sequence().expect("a list");
    for key in keys::<Entry>() {
        assert!(targets.iter().any(|target| target.get(key).is_some()), "no {key} of a target");
    }
}

/// `section` contains all keys that `T` reads.
#[track_caller]
fn check<'de, T: Deserialize<'de>>(section: &Value) {
    for key in keys::<T>() {
        assert!(section.get(key).is_some(), "no {key}");
    }
}

/// The example with every commented key enabled: a `#` right before a letter, or before the dash of an entry.
fn uncommented() -> String {
    let lines = EXAMPLE.lines().map(|line| {
        let text = line.trim_start();
        let key = text
            .strip_prefix('#')
            .filter(|key| key.strip_prefix("- ").unwrap_or(key).starts_with(|c: char| c.is_ascii_lowercase()));
        key.map_or_else(|| line.to_owned(), |key| format!("{}{key}", &line[..line.len() - text.len()]))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The keys that the struct `T` requests from its deserializer.
fn keys<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    let failed = T::deserialize(Keys(&mut keys)).is_err();
    assert!(failed && !keys.is_empty(), "a struct");
    keys
}

/// Records the field names of a struct and yields no value.
struct Keys<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Keys<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("only fields"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
