//! How a target is probed: by its own keys, else by those of `defaults`, else by the built-in defaults.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::duration;
use super::error::{ErrorKind, Fault, Place, quoted, suggestion};
use super::machine::this_machine;
use super::scalar::{AllowedNetwork, CertName, Ehlo, Family, Interval, Port, Retention, Samples, Timeout, UniqueVec};
use crate::target::{ClientCertificate, ProbeSettings};

/// The keys that `defaults` and each target may have.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub(super) struct Settings {
    pub(super) interval: Option<Interval>,
    pub(super) timeout: Option<Timeout>,
    pub(super) connect_timeout: Option<Timeout>,
    pub(super) ehlo_name: Option<Ehlo>,
    pub(super) ip_family: Option<Family>,
    pub(super) allow_addresses: Option<UniqueVec<AllowedNetwork>>,
    pub(super) allow_ports: Option<UniqueVec<Port>>,
    pub(super) backend_retention: Option<Retention>,
    pub(super) samples: Option<Samples>,
    pub(super) expect_names: Option<UniqueVec<CertName>>,
    pub(super) trust: Option<String>,
    pub(super) resolver: Option<String>,
}

/// The files of a target that are not settings of `defaults`.
#[derive(Default)]
pub(super) struct OwnFiles {
    pub(super) client_certificate: Option<Arc<ClientCertificate>>,
    pub(super) certificate_file: Option<Arc<Path>>,
}

/// Combines settings. Targets with equal results share them.
pub(super) struct Resolved<'a> {
    defaults: &'a Settings,
    stores: Vec<Arc<str>>,
    resolvers: Vec<Arc<str>>,
    built_in: ProbeSettings,
    /// By their debug form, which does not distinguish client certificates.
    made: HashMap<String, Vec<Arc<ProbeSettings>>>,
}

impl<'a> Resolved<'a> {
    /// `stores` and `resolvers` are all names that settings may refer to.
    pub(super) fn new(defaults: &'a Settings, stores: Vec<Arc<str>>, resolvers: Vec<Arc<str>>) -> Self {
        let ehlo_name = defaults.ehlo_name.as_ref().map_or_else(this_machine, |it| it.0.clone());
        let built_in = ProbeSettings { ehlo_name, ..ProbeSettings::default() };
        Self { defaults, stores, resolvers, built_in, made: HashMap::new() }
    }

    /// The settings of the target at `place`.
    pub(super) fn settings(
        &mut self,
        place: &Place,
        own: &Settings,
        files: OwnFiles,
    ) -> Result<Arc<ProbeSettings>, Fault> {
        let (defaults, built_in) = (self.defaults, &self.built_in);
        let layers = Layers { own, place, defaults };
        let interval = layers.time("interval", |it| it.interval.as_ref().map(|it| it.0), built_in.interval);
        let timeout =
            layers.time("timeout", |it| it.timeout.as_ref().map(|it| it.0), built_in.timeout).at_most(&interval)?;
        let connect = |it: &Settings| it.connect_timeout.as_ref().map(|it| it.0);
        let connect_timeout = layers.time("connect_timeout", connect, built_in.connect_timeout).at_most(&timeout)?;
        let networks = own.allow_addresses.as_ref().or(defaults.allow_addresses.as_ref());
        let ports = own.allow_ports.as_ref().or(defaults.allow_ports.as_ref());
        let names = own.expect_names.as_ref().or(defaults.expect_names.as_ref());
        let retention = own.backend_retention.as_ref().or(defaults.backend_retention.as_ref());
        let settings = ProbeSettings {
            interval: interval.value,
            timeout: timeout.value,
            connect_timeout: connect_timeout.value,
            ehlo_name: own.ehlo_name.as_ref().map_or_else(|| built_in.ehlo_name.clone(), |it| it.0.clone()),
            ip_family: own.ip_family.as_ref().or(defaults.ip_family.as_ref()).map_or(built_in.ip_family, |it| it.0),
            allow_addresses: networks.map_or_else(Vec::new, |networks| networks.0.iter().map(|it| it.0).collect()),
            allow_ports: ports.map_or_else(Vec::new, |ports| ports.0.iter().map(|it| it.0).collect()),
            backend_retention: retention.map_or(built_in.backend_retention, |it| it.0),
            samples: own.samples.as_ref().or(defaults.samples.as_ref()).map_or(built_in.samples, |it| it.0),
            expect_names: names.map_or_else(Vec::new, |names| names.0.iter().map(|name| name.0.clone()).collect()),
            trust: layers.reference(["trust", "trust store"], |it| it.trust.as_deref(), &self.stores)?,
            resolver: layers.reference(["resolver"; 2], |it| it.resolver.as_deref(), &self.resolvers)?,
            client_certificate: files.client_certificate,
            certificate_file: files.certificate_file,
        };
        let alike = self.made.entry(format!("{settings:?}")).or_default();
        if let Some(equal) = alike.iter().find(|made| ***made == settings) {
            return Ok(Arc::clone(equal));
        }
        let settings = Arc::new(settings);
        alike.push(Arc::clone(&settings));
        Ok(settings)
    }
}

/// The settings of the target at `place`, and those of `defaults`.
struct Layers<'a> {
    own: &'a Settings,
    place: &'a Place,
    defaults: &'a Settings,
}

/// The place of a key that is set.
#[derive(Clone)]
struct Origin {
    place: Place,
    of_defaults: bool,
}

impl Origin {
    /// A fault of the key. `defaults` are in the configuration file, even if a target of another file uses them.
    fn fault(&self, kind: ErrorKind, message: String) -> Fault {
        Fault { of_defaults: self.of_defaults, ..Fault::new(kind, self.place.clone(), message) }
    }
}

impl<'a> Layers<'a> {
    /// The value of `key` that applies, if one is set.
    fn get<T>(&self, key: &str, get: impl Fn(&'a Settings) -> Option<T>) -> Option<(T, Origin)> {
        let own = get(self.own).map(|value| (value, Origin { place: self.place.key(key), of_defaults: false }));
        own.or_else(|| {
            let place = Place::default().key("defaults").key(key);
            get(self.defaults).map(|value| (value, Origin { place, of_defaults: true }))
        })
    }

    fn time(&self, key: &'static str, get: impl Fn(&Settings) -> Option<Duration>, built_in: Duration) -> Time {
        let set = self.get(key, get);
        Time { key, value: set.as_ref().map_or(built_in, |(value, _)| *value), origin: set.map(|(_, origin)| origin) }
    }

    /// The name of a trust store or resolver, which must be one of `defined`.
    fn reference(
        &self,
        [key, noun]: [&str; 2],
        get: impl Fn(&'a Settings) -> Option<&'a str>,
        defined: &[Arc<str>],
    ) -> Result<Arc<str>, Fault> {
        let Some((name, origin)) = self.get(key, get) else { return Ok(SYSTEM.into()) };
        defined.iter().find(|defined| ***defined == *name).cloned().ok_or_else(|| {
            let message = format!("unknown {noun} {}: {}", quoted(name), suggestion(name, defined));
            origin.fault(ErrorKind::UnknownReference, message)
        })
    }
}

/// A duration in effect, and the origin of its key; none if it is built in.
#[derive(Clone)]
struct Time {
    key: &'static str,
    value: Duration,
    origin: Option<Origin>,
}

impl Time {
    /// This duration, which must not exceed `limit`; a built-in one is reduced to it. The key of the target is at fault
    /// rather than one of `defaults`.
    fn at_most(self, limit: &Self) -> Result<Self, Fault> {
        if self.value <= limit.value {
            return Ok(self);
        }
        let (value, most) = (duration::format(self.value), duration::format(limit.value));
        match (&self.origin, &limit.origin) {
            (None, _) => Ok(limit.clone()),
            (Some(own), Some(outer)) if own.of_defaults && !outer.of_defaults => {
                let message = format!("invalid value `{most}`: expected at least {}, {value}", own.place);
                Err(outer.fault(ErrorKind::InvalidValue, message))
            }
            (Some(own), _) => {
                let message = format!("invalid value `{value}`: expected at most the {}, {most}", limit.key);
                Err(own.fault(ErrorKind::InvalidValue, message))
            }
        }
    }
}

/// The built-in trust store and resolver that are used by default.
const SYSTEM: &str = "system";
