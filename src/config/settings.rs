//! How a target is probed: by its own keys, else by those of `defaults`, else by the built-in defaults.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::duration;
use super::error::{ErrorKind, Fault, Place, quoted, suggestion};
use super::machine::this_machine;
use super::scalar::{CertName, Ehlo, Family, Interval, Retention, Timeout, UniqueVec, Whole};
use crate::target::{ClientCertificate, EhloName, ProbeSettings};

/// The keys that `defaults` and each target may have.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub(super) struct Settings {
    pub(super) interval: Option<Interval>,
    pub(super) timeout: Option<Timeout>,
    pub(super) connect_timeout: Option<Timeout>,
    pub(super) ehlo_name: Option<Ehlo>,
    pub(super) ip_family: Option<Family>,
    pub(super) backend_retention: Option<Retention>,
    pub(super) samples: Option<Whole<1, 10>>,
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
        let built_in = ProbeSettings { ehlo_name: ehlo_name(defaults), ..ProbeSettings::default() };
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
        let layers = [Layer { settings: own, place: place.clone() }, defaults_layer(defaults)];
        let interval = time("interval", &layers, |it| it.interval.map(|it| it.0), built_in.interval);
        let timeout = time("timeout", &layers, |it| it.timeout.map(|it| it.0), built_in.timeout).at_most(&interval)?;
        let connect = |it: &Settings| it.connect_timeout.map(|it| it.0);
        let connect_timeout = time("connect_timeout", &layers, connect, built_in.connect_timeout).at_most(&timeout)?;
        let trust = reference(["trust", "trust store"], &layers, |it| it.trust.as_deref(), &self.stores)?;
        let resolver = reference(["resolver"; 2], &layers, |it| it.resolver.as_deref(), &self.resolvers)?;
        let names = own.expect_names.as_ref().or(defaults.expect_names.as_ref());
        let ehlo_name = own.ehlo_name.as_ref().map(|it| it.0.clone());
        let retention = own.backend_retention.or(defaults.backend_retention);
        let settings = ProbeSettings {
            interval: interval.value,
            timeout: timeout.value,
            connect_timeout: connect_timeout.value,
            ehlo_name: ehlo_name.unwrap_or_else(|| built_in.ehlo_name.clone()),
            ip_family: own.ip_family.as_ref().or(defaults.ip_family.as_ref()).map_or(built_in.ip_family, |it| it.0),
            backend_retention: retention.map_or(built_in.backend_retention, |it| it.0),
            samples: own.samples.or(defaults.samples).map_or(built_in.samples, |it| it.0),
            expect_names: names.map_or_else(Vec::new, |names| names.0.iter().map(|name| name.0.clone()).collect()),
            trust,
            resolver,
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

fn ehlo_name(defaults: &Settings) -> EhloName {
    defaults.ehlo_name.as_ref().map_or_else(this_machine, |it| it.0.clone())
}

/// Where settings come from.
struct Layer<'a> {
    settings: &'a Settings,
    place: Place,
}

fn defaults_layer(defaults: &Settings) -> Layer<'_> {
    Layer { settings: defaults, place: Place::default().key(DEFAULTS) }
}

impl Layer<'_> {
    /// A fault of one of the keys. `defaults` are in the configuration file, even if a target of another file uses them.
    fn fault(place: &Place, kind: ErrorKind, key: &str, message: String) -> Fault {
        let of_defaults = *place == Place::default().key(DEFAULTS);
        Fault { of_defaults, ..Fault::new(kind, place.key(key), message) }
    }
}

/// A duration in effect, and the place of its key; none if it is built in.
struct Time<'a> {
    key: &'static str,
    value: Duration,
    place: Option<&'a Place>,
}

fn time<'a>(
    key: &'static str,
    layers: &'a [Layer<'_>],
    get: impl Fn(&Settings) -> Option<Duration>,
    built_in: Duration,
) -> Time<'a> {
    let mut set = layers.iter().filter_map(|layer| Some((get(layer.settings)?, Some(&layer.place))));
    let (value, place) = set.next().unwrap_or((built_in, None));
    Time { key, value, place }
}

impl<'a> Time<'a> {
    /// This duration, which must not exceed `limit`; a built-in one is reduced to it. The key of the target is at fault
    /// rather than one of `defaults`.
    fn at_most(self, limit: &Self) -> Result<Self, Fault> {
        let (value, most) = (duration::format(self.value), duration::format(limit.value));
        let is_default = |place: &Place| *place == Place::default().key(DEFAULTS);
        match (self.place, limit.place) {
            _ if self.value <= limit.value => Ok(self),
            (None, _) => Ok(Self { value: limit.value, key: limit.key, place: limit.place }),
            (Some(own), Some(outer)) if is_default(own) && !is_default(outer) => {
                let message = format!("invalid value `{most}`: expected at least {}, {value}", own.key(self.key));
                Err(Layer::fault(outer, ErrorKind::InvalidValue, limit.key, message))
            }
            (Some(own), _) => {
                let message = format!("invalid value `{value}`: expected at most the {}, {most}", limit.key);
                Err(Layer::fault(own, ErrorKind::InvalidValue, self.key, message))
            }
        }
    }
}

/// The name of a trust store or resolver, which must be one of `defined`.
fn reference(
    [key, noun]: [&str; 2],
    layers: &[Layer<'_>],
    get: impl Fn(&Settings) -> Option<&str>,
    defined: &[Arc<str>],
) -> Result<Arc<str>, Fault> {
    let mut set = layers.iter().filter_map(|layer| Some((get(layer.settings)?, &layer.place)));
    let Some((name, place)) = set.next() else { return Ok(SYSTEM.into()) };
    defined.iter().find(|defined| ***defined == *name).cloned().ok_or_else(|| {
        let message = format!("unknown {noun} {}: {}", quoted(name), suggestion(name, defined));
        Layer::fault(place, ErrorKind::UnknownReference, key, message)
    })
}

const DEFAULTS: &str = "defaults";
/// The built-in trust store and resolver that are used by default.
const SYSTEM: &str = "system";
