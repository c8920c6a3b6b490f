//! Entries of `targets`, in the configuration and in target files.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::error::{ErrorKind, Fault, Place, quoted};
use super::files::PemFiles;
use super::scalar::{
    Address, CertName, Domain, FilePath, Host, LabelName, LabelValue, Name, OneOrMany, Port, Tls, UniqueVec,
};
use super::settings::{OwnFiles, Resolved, Settings};
use super::stores::ClientCertificate;
use super::yaml::Node;
use super::{Source, folder};
use crate::target::{
    Endpoint, HostTarget, MxTarget, ProbeSettings, SMTP, SUBMISSION, SubmissionTarget, Target, TargetKind, TargetName,
    TlsMode, UserLabels,
};

/// The keys of an entry, besides those of [`Settings`].
#[derive(Deserialize)]
#[serde(expecting = "a mapping of keys")]
pub(super) struct Entry {
    host: Option<OneOrMany<Host>>,
    mx: Option<OneOrMany<Domain>>,
    submission: Option<OneOrMany<Domain>>,
    port: Option<Port>,
    tls: Option<Tls>,
    name: Option<Name>,
    #[serde(default)]
    labels: BTreeMap<LabelName, LabelValue>,
    addresses: Option<UniqueVec<Address>>,
    server_name: Option<CertName>,
    certificate_file: Option<FilePath>,
    client_certificate: Option<ClientCertificate>,
}

/// A target that is not part of the result yet, and the place that its name is from.
pub(super) struct Candidate {
    pub(super) name: TargetName,
    pub(super) place: Place,
    pub(super) kind: TargetKind,
    pub(super) labels: UserLabels,
    pub(super) settings: Arc<ProbeSettings>,
}

/// The targets so far.
pub(super) struct Targets<'a> {
    pub(super) settings: Resolved<'a>,
    pub(super) pem: PemFiles,
    /// For each name: its index, its file and its place there.
    pub(super) places: HashMap<TargetName, (usize, Arc<Path>, Place)>,
    pub(super) made: Vec<Arc<Target>>,
    /// The number of targets of groups whose labels were joined with those of an earlier one, and the first of them.
    pub(super) joined: (usize, Option<String>),
    pub(super) warnings: Vec<String>,
}

impl<'a> Targets<'a> {
    pub(super) fn new(settings: Resolved<'a>, pem: PemFiles) -> Self {
        Self { settings, pem, places: HashMap::new(), made: Vec::new(), joined: (0, None), warnings: Vec::new() }
    }

    /// Adds the targets of a list of entries at `place`: all or, in case of an error, none.
    pub(super) fn add_entries(&mut self, source: Source<'_>, place: &Place, entries: &[Node]) -> Result<(), Fault> {
        let mut candidates = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            candidates.extend(self.candidates(source, &place.index(index), entry)?);
        }
        let file: Arc<Path> = source.path.into();
        let mut added: HashMap<&TargetName, &Place> = HashMap::new();
        for Candidate { name, place, .. } in &candidates {
            let earlier = match self.places.get(name) {
                Some((_, earlier, place)) if *earlier != file => Some(format!("{place} in {}", earlier.display())),
                Some((_, _, place)) => Some(place.to_string()),
                None => added.insert(name, place).map(ToString::to_string),
            };
            if let Some(earlier) = earlier {
                let name = quoted(name.as_str());
                let message = format!("duplicate target name {name}: expected a unique `name`, also used by {earlier}");
                return Err(Fault::new(ErrorKind::Duplicate, place.clone(), message));
            }
        }
        candidates.into_iter().for_each(|candidate| self.push(&file, candidate));
        Ok(())
    }

    /// Adds a target whose name is not used yet.
    pub(super) fn push(&mut self, file: &Arc<Path>, candidate: Candidate) {
        let Candidate { name, place, kind, labels, settings } = candidate;
        self.places.insert(name.clone(), (self.made.len(), Arc::clone(file), place));
        self.made.push(Arc::new(Target { name, kind, labels, settings }));
    }

    /// The settings of targets without keys of their own.
    pub(super) fn default_settings(&mut self) -> Result<Arc<ProbeSettings>, Fault> {
        self.settings.settings(&Place::default(), &Settings::default(), OwnFiles::default())
    }

    /// The targets of the entry at `place`; relative paths begin at the directory of the file.
    fn candidates(&mut self, source: Source<'_>, place: &Place, node: &Node) -> Result<Vec<Candidate>, Fault> {
        let (mut entry, settings): (Entry, Settings) = node.read_both(place)?;
        let folder = folder(source.path);
        let subject = entry.subject(place)?;
        entry.refuse_keys_of_dns(place, subject)?;
        let client_certificate = match &entry.client_certificate {
            Some(files) => {
                let place = place.key("client_certificate");
                Some(files.load(&place, source, &mut self.pem, &mut self.warnings)?)
            }
            None => None,
        };
        let certificate_file = entry.certificate_file.take().map(|path| folder.join(path.0).into());
        let settings = self.settings.settings(place, &settings, OwnFiles { client_certificate, certificate_file })?;
        let labels = std::mem::take(&mut entry.labels).into_iter().map(|(name, value)| (name.0, value.0));
        let labels = UserLabels::new(labels);
        let name = entry.name.take();
        let (kinds, is_list) = entry.kinds();
        let key = place.key(subject);
        match (kinds.as_slice(), &name) {
            ([], _) => {
                let message = format!("empty list: expected at least one {}", noun(subject));
                return Err(Fault::new(ErrorKind::InvalidValue, key, message));
            }
            (_, Some(Name(name))) if is_list => {
                let (name, noun) = (quoted(name.as_str()), noun(subject));
                let message = format!("name {name} for a list of {noun}s: expected one {noun}, or no name");
                return Err(Fault::new(ErrorKind::Conflict, place.key("name"), message));
            }
            _ => {}
        }
        let candidate = |(index, kind): (usize, TargetKind)| {
            let (name, place) = match &name {
                Some(Name(name)) => (name.clone(), place.key("name")),
                None => (kind.default_name()?, if is_list { key.index(index) } else { key.clone() }),
            };
            Some(Candidate { name, place, kind, labels: labels.clone(), settings: Arc::clone(&settings) })
        };
        Ok(kinds.into_iter().enumerate().filter_map(candidate).collect())
    }
}

impl Entry {
    /// Which one of the keys `host`, `mx` and `submission` is set.
    fn subject(&self, place: &Place) -> Result<&'static str, Fault> {
        let keys = [(HOST, self.host.is_some()), (MX, self.mx.is_some()), (SUBMISSION_KEY, self.submission.is_some())];
        let mut set = keys.into_iter().filter_map(|(key, is_set)| is_set.then_some(key));
        let fault = |kind, found: &str| {
            let message = format!("{found}: expected exactly one of `{HOST}`, `{MX}` and `{SUBMISSION_KEY}`");
            Err(Fault::new(kind, place.clone(), message))
        };
        match (set.next(), set.next()) {
            (None, _) => fault(ErrorKind::Missing, "nothing to probe"),
            (Some(key), None) => Ok(key),
            (Some(first), Some(second)) => fault(ErrorKind::Conflict, &format!("`{first}` with `{second}`")),
        }
    }

    /// Refuses keys whose values are determined by DNS records.
    fn refuse_keys_of_dns(&self, place: &Place, subject: &str) -> Result<(), Fault> {
        let (hosts, ports) = (&[HOST][..], &[HOST, MX][..]);
        let keys = [
            ("addresses", self.addresses.is_some(), hosts),
            ("server_name", self.server_name.is_some(), hosts),
            ("port", self.port.is_some(), ports),
            ("tls", self.tls.is_some(), ports),
        ];
        match keys.into_iter().find(|(_, is_set, allowed)| *is_set && !allowed.contains(&subject)) {
            None => Ok(()),
            Some((key, _, allowed)) => {
                let (allowed, what) = (allowed.join("` or `"), if subject == MX { "hosts" } else { "hosts and ports" });
                let message =
                    format!("`{key}` with `{subject}`: only allowed with `{allowed}`, since DNS determines the {what}");
                Err(Fault::new(ErrorKind::Conflict, place.key(key), message))
            }
        }
    }

    /// What is probed, and whether it is a list.
    fn kinds(self) -> (Vec<TargetKind>, bool) {
        let (own_port, own_tls) = (self.port.and_then(|port| u16::try_from(port.0).ok()), self.tls);
        let port_and_tls = |default: u16| {
            let port = own_port.unwrap_or(default);
            (port, own_tls.map_or_else(|| TlsMode::default_for(port), |tls| tls.0))
        };
        if let Some(hosts) = self.host {
            let (port, tls) = port_and_tls(SUBMISSION);
            let addresses = self.addresses.map_or_else(Vec::new, |list| list.0.into_iter().map(|it| it.0).collect());
            return hosts.each(|Host(host)| {
                let server_name = self.server_name.as_ref().map_or_else(|| host.clone(), |name| name.0.clone());
                let endpoint = Arc::new(Endpoint { server_name, port, tls });
                TargetKind::Host(HostTarget { host, addresses: addresses.clone(), endpoint })
            });
        }
        if let Some(domains) = self.mx {
            let (port, tls) = port_and_tls(SMTP);
            return domains.each(|Domain(domain)| TargetKind::Mx(MxTarget { domain, port, tls }));
        }
        let domains = self.submission.unwrap_or(OneOrMany::Many(Vec::new()));
        domains.each(|Domain(domain)| TargetKind::Submission(SubmissionTarget { domain }))
    }
}

impl<T> OneOrMany<T> {
    fn each(self, kind: impl FnMut(T) -> TargetKind) -> (Vec<TargetKind>, bool) {
        match self {
            Self::One(one) => ([one].into_iter().map(kind).collect(), false),
            Self::Many(many) => (many.into_iter().map(kind).collect(), true),
        }
    }
}

fn noun(subject: &str) -> &str {
    if subject == HOST { "host" } else { "domain" }
}

const HOST: &str = "host";
const MX: &str = "mx";
const SUBMISSION_KEY: &str = "submission";
