//! How a target is probed: what it says itself, else what `defaults` says, else what is built in.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::duration;
use super::error::{ErrorKind, Fault, listed, quoted};
use super::keys::Settings;
use super::machine::this_machine;
use super::scalar::Reference;
use crate::target::{ClientCertificate, EhloName, IpFamily, ProbeSettings};

/// Makes policies. Targets with equal ones share one.
pub(super) struct Policies<'a> {
    /// Where `defaults` stands.
    origin: &'a Path,
    defaults: &'a Settings,
    stores: Vec<Arc<str>>,
    resolvers: Vec<Arc<str>>,
    machine: Option<EhloName>,
    made: HashMap<u64, Vec<Arc<ProbeSettings>>>,
}

/// What a target gives beyond the keys of `defaults`.
pub(super) struct Own {
    pub(super) client_certificate: Option<ClientCertificate>,
    pub(super) certificate_file: Option<Arc<Path>>,
}

impl<'a> Policies<'a> {
    /// `defaults` are those of the file `origin`; `stores` and `resolvers` are all that can be named.
    pub(super) fn new(
        origin: &'a Path,
        defaults: &'a Settings,
        stores: Vec<Arc<str>>,
        resolvers: Vec<Arc<str>>,
    ) -> Self {
        Self { origin, defaults, stores, resolvers, machine: None, made: HashMap::new() }
    }

    /// The settings of the target at `place`.
    pub(super) fn settings(&mut self, place: &str, settings: Settings, own: Own) -> Result<Arc<ProbeSettings>, Fault> {
        let defaults = self.defaults;
        let layers = Layers { origin: self.origin, place };
        let (interval, timeout, connect_timeout) = layers.times(&settings, defaults)?;
        let trust = layers.reference("trust", settings.trust, defaults.trust.as_ref(), &self.stores)?;
        let resolver = layers.reference("resolver", settings.resolver, defaults.resolver.as_ref(), &self.resolvers)?;
        let ehlo_name = settings.ehlo_name.or_else(|| defaults.ehlo_name.clone()).map(|ehlo| ehlo.0);
        let expect_names = settings.expect_names.or_else(|| defaults.expect_names.clone());
        let retention = settings.backend_retention.or_else(|| defaults.backend_retention.clone());
        let settings = ProbeSettings {
            interval,
            timeout,
            connect_timeout,
            ehlo_name: ehlo_name.unwrap_or_else(|| self.machine.get_or_insert_with(this_machine).clone()),
            ip_family: settings.ip_family.or_else(|| defaults.ip_family.clone()).map_or(IpFamily::Auto, |it| it.0),
            backend_retention: retention.map_or(RETENTION, |it| it.0),
            samples: settings.samples.or_else(|| defaults.samples.clone()).map_or(1, |it| it.0),
            expect_names: expect_names.map_or_else(Vec::new, |names| names.0.into_iter().map(|name| name.0).collect()),
            trust,
            resolver,
            client_certificate: own.client_certificate,
            certificate_file: own.certificate_file,
        };
        Ok(self.shared(settings))
    }

    fn shared(&mut self, settings: ProbeSettings) -> Arc<ProbeSettings> {
        let alike = self.made.entry(digest(&settings)).or_default();
        if let Some(equal) = alike.iter().find(|made| ***made == settings) {
            return Arc::clone(equal);
        }
        let settings = Arc::new(settings);
        alike.push(Arc::clone(&settings));
        settings
    }
}

/// A hash of what tells most policies apart.
fn digest(settings: &ProbeSettings) -> u64 {
    let mut hasher = DefaultHasher::new();
    (settings.interval, settings.timeout, settings.connect_timeout, settings.backend_retention).hash(&mut hasher);
    (&settings.trust, &settings.resolver, &settings.expect_names, &settings.certificate_file).hash(&mut hasher);
    if let EhloName::Name(name) = &settings.ehlo_name {
        name.hash(&mut hasher);
    }
    let leaf = settings.client_certificate.as_ref().and_then(|certificate| certificate.chain().first());
    leaf.map(AsRef::<[u8]>::as_ref).hash(&mut hasher);
    hasher.finish()
}

/// A target's keys above those of `defaults`.
struct Layers<'a> {
    origin: &'a Path,
    place: &'a str,
}

/// A duration that is in force.
#[derive(Clone, Copy)]
struct Time {
    key: &'static str,
    value: Duration,
    from: Layer,
}

/// Who gave a value.
#[derive(Clone, Copy, PartialEq)]
enum Layer {
    Target,
    Defaults,
    BuiltIn,
}

impl Layers<'_> {
    /// Interval, timeout and connect timeout, each at most the one before it. Where one is not given,
    /// it follows the one before it down.
    fn times(&self, target: &Settings, defaults: &Settings) -> Result<(Duration, Duration, Duration), Fault> {
        let own = target.interval.as_ref().map(|it| it.0);
        let interval = time("interval", own, defaults.interval.as_ref().map(|it| it.0), INTERVAL);

        let own = target.timeout.as_ref().map(|it| it.0);
        let default = defaults.timeout.as_ref().map(|it| it.0);
        let timeout = self.at_most(time("timeout", own, default, TIMEOUT), interval)?;

        let own = target.connect_timeout.as_ref().map(|it| it.0);
        let default = defaults.connect_timeout.as_ref().map(|it| it.0);
        let connect = self.at_most(time("connect_timeout", own, default, CONNECT_TIMEOUT), timeout)?;
        Ok((interval.value, timeout.value, connect.value))
    }

    /// `inner`, provided that it fits into `outer`; the one that the target itself gives is at fault first.
    fn at_most(&self, inner: Time, outer: Time) -> Result<Time, Fault> {
        if inner.value <= outer.value {
            return Ok(inner);
        }
        if inner.from == Layer::BuiltIn {
            return Ok(Time { value: outer.value, ..outer });
        }
        if inner.from == Layer::Defaults && outer.from == Layer::Target {
            let least = format!("at least {}, {}", self.key(inner), duration::format(inner.value));
            let found = duration::format(outer.value);
            return Err(self.fault(ErrorKind::InvalidValue, outer.from, outer.key, found, least));
        }
        let most = format!("at most the {}, {}", outer.key, duration::format(outer.value));
        Err(self.fault(ErrorKind::InvalidValue, inner.from, inner.key, duration::format(inner.value), most))
    }

    fn key(&self, time: Time) -> String {
        self.of(time.from, time.key)
    }

    /// The fault of a key; `defaults` stand in the config file, even if a target of another file comes upon them.
    fn fault(&self, kind: ErrorKind, layer: Layer, key: &str, found: impl Display, allowed: impl Display) -> Fault {
        let fault = Fault::at(kind, self.of(layer, key), found, allowed);
        let file = (layer == Layer::Defaults).then(|| self.origin.to_owned());
        Fault { file, ..fault }
    }

    fn of(&self, layer: Layer, key: impl Display) -> String {
        match layer {
            Layer::Defaults => format!("defaults.{key}"),
            Layer::Target | Layer::BuiltIn => format!("{}.{key}", self.place),
        }
    }

    /// The name of a trust store or resolver that exists; `system` where none is given.
    fn reference(
        &self,
        key: &str,
        target: Option<Reference>,
        defaults: Option<&Reference>,
        defined: &[Arc<str>],
    ) -> Result<Arc<str>, Fault> {
        let layer = if target.is_some() { Layer::Target } else { Layer::Defaults };
        let name = target.or_else(|| defaults.cloned()).map_or_else(|| "system".to_owned(), |name| name.0);
        let found = defined.iter().find(|defined| ***defined == *name);
        found.cloned().ok_or_else(|| {
            let allowed = format!("one of {}", listed(defined));
            self.fault(ErrorKind::UnknownReference, layer, key, quoted(&name), allowed)
        })
    }
}

fn time(key: &'static str, target: Option<Duration>, defaults: Option<Duration>, built_in: Duration) -> Time {
    let (value, from) = match (target, defaults) {
        (Some(value), _) => (value, Layer::Target),
        (None, Some(value)) => (value, Layer::Defaults),
        (None, None) => (built_in, Layer::BuiltIn),
    };
    Time { key, value, from }
}

const INTERVAL: Duration = Duration::from_secs(5 * 60);
const TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RETENTION: Duration = Duration::from_secs(3600);
