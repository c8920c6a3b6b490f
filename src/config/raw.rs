//! The file as it is written: the private mirror that serde fills, flat and without unknown keys.

use serde::Deserialize;

use super::entry::Entry;
use super::keys::Settings;
use super::scalar::{
    Allowed, BackendLimit, ConcurrentProbes, FilePath, Flag, Glob, NameServer, ResolverKey, RootsWord, StoreKey,
};
use super::value::{Distinct, Entries, given};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping of keys")]
pub(super) struct Document {
    #[serde(default)]
    pub(super) defaults: Settings,
    #[serde(default)]
    pub(super) trust_stores: Entries<StoreKey, Store>,
    #[serde(default)]
    pub(super) resolvers: Entries<ResolverKey, Resolver>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) probe: Probe,
    #[serde(default)]
    pub(super) target_files: Vec<Glob>,
    #[serde(default)]
    pub(super) targets: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping of keys")]
pub(super) struct Store {
    #[serde(default, deserialize_with = "given")]
    pub(super) roots: Option<RootsWord>,
    #[serde(default)]
    pub(super) files: Vec<FilePath>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping of keys")]
pub(super) struct Resolver {
    pub(super) nameservers: Distinct<NameServer>,
    #[serde(default, deserialize_with = "given")]
    pub(super) compare: Option<Flag>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping of keys")]
pub(super) struct Limits {
    #[serde(default, deserialize_with = "given")]
    pub(super) concurrent_probes: Option<ConcurrentProbes>,
    #[serde(default, deserialize_with = "given")]
    pub(super) backends_per_target: Option<BackendLimit>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping of keys")]
pub(super) struct Probe {
    #[serde(default, deserialize_with = "given")]
    pub(super) allow: Option<Distinct<Allowed>>,
}
