//! The keys of a target as they are written, and those that `defaults` has in common with it: the private mirror that
//! serde fills.

use serde::Deserialize;

use super::one_or_many::OneOrMany;
use super::scalar::{
    Address, CertName, Ehlo, Family, FilePath, Host, Interval, LabelName, LabelValue, MxDomain, Name, Port, Reference,
    Retention, Samples, SubmissionDomain, Timeout, Tls,
};
use super::value::{Distinct, Entries, given};

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

/// The keys of an entry of `targets`, which sees to it that one of the first three is given.
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
