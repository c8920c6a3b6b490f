//! The file as it is written: the private mirror that serde fills, flat and without unknown keys.

use serde::Deserialize;

use super::entry::Entry;
use super::one_or_many::OneOrMany;
use super::scalar::{
    Address, Allowed, BackendLimit, CertName, ConcurrentProbes, Ehlo, Family, FilePath, Flag, Glob, Host, Interval,
    LabelName, LabelValue, MxDomain, Name, NameServer, Port, Reference, ResolverKey, Retention, RootsWord, Samples,
    StoreKey, SubmissionDomain, Timeout, Tls,
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

/// What `defaults` may give and each target may give for itself. [`Target`] repeats these keys:
/// `serde(flatten)` would cost the place of errors.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping of keys")]
pub(super) struct Settings {
    #[serde(default, deserialize_with = "given")]
    pub(super) interval: Option<Interval>,
    #[serde(default, deserialize_with = "given")]
    pub(super) timeout: Option<Timeout>,
    #[serde(default, deserialize_with = "given")]
    pub(super) connect_timeout: Option<Timeout>,
    #[serde(default, deserialize_with = "given")]
    pub(super) ehlo_name: Option<Ehlo>,
    #[serde(default, deserialize_with = "given")]
    pub(super) ip_family: Option<Family>,
    #[serde(default, deserialize_with = "given")]
    pub(super) backend_retention: Option<Retention>,
    #[serde(default, deserialize_with = "given")]
    pub(super) samples: Option<Samples>,
    #[serde(default, deserialize_with = "given")]
    pub(super) expect_names: Option<Distinct<CertName>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) trust: Option<Reference>,
    #[serde(default, deserialize_with = "given")]
    pub(super) resolver: Option<Reference>,
}

/// The keys of an [`Entry`], which sees to it that one of the first three is given.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping of keys")]
pub(super) struct Target {
    #[serde(default, deserialize_with = "given")]
    pub(super) host: Option<OneOrMany<Host>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) mx: Option<OneOrMany<MxDomain>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) submission: Option<OneOrMany<SubmissionDomain>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) port: Option<Port>,
    #[serde(default, deserialize_with = "given")]
    pub(super) tls: Option<Tls>,
    #[serde(default, deserialize_with = "given")]
    pub(super) name: Option<Name>,
    #[serde(default)]
    pub(super) labels: Entries<LabelName, LabelValue>,
    #[serde(default, deserialize_with = "given")]
    pub(super) addresses: Option<Distinct<Address>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) server_name: Option<CertName>,
    #[serde(default, deserialize_with = "given")]
    pub(super) certificate_file: Option<FilePath>,
    #[serde(default, deserialize_with = "given")]
    pub(super) client_certificate: Option<ClientCertificate>,
    #[serde(default, deserialize_with = "given")]
    pub(super) interval: Option<Interval>,
    #[serde(default, deserialize_with = "given")]
    pub(super) timeout: Option<Timeout>,
    #[serde(default, deserialize_with = "given")]
    pub(super) connect_timeout: Option<Timeout>,
    #[serde(default, deserialize_with = "given")]
    pub(super) ehlo_name: Option<Ehlo>,
    #[serde(default, deserialize_with = "given")]
    pub(super) ip_family: Option<Family>,
    #[serde(default, deserialize_with = "given")]
    pub(super) backend_retention: Option<Retention>,
    #[serde(default, deserialize_with = "given")]
    pub(super) samples: Option<Samples>,
    #[serde(default, deserialize_with = "given")]
    pub(super) expect_names: Option<Distinct<CertName>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) trust: Option<Reference>,
    #[serde(default, deserialize_with = "given")]
    pub(super) resolver: Option<Reference>,
}

impl Target {
    /// Takes out what it gives for itself of the keys of `defaults`.
    pub(super) fn take_settings(&mut self) -> Settings {
        Settings {
            interval: self.interval.take(),
            timeout: self.timeout.take(),
            connect_timeout: self.connect_timeout.take(),
            ehlo_name: self.ehlo_name.take(),
            ip_family: self.ip_family.take(),
            backend_retention: self.backend_retention.take(),
            samples: self.samples.take(),
            expect_names: self.expect_names.take(),
            trust: self.trust.take(),
            resolver: self.resolver.take(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping of keys")]
pub(super) struct ClientCertificate {
    pub(super) cert: FilePath,
    pub(super) key: FilePath,
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
