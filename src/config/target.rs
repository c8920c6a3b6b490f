//! Entries of `targets`, in the configuration and in target files.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::error::{ErrorKind, Fault, Place, quoted};
use super::files::PemFiles;
use super::scalar::{
    Address, CertName, Domain, FilePath, Host, LabelName, LabelValue, Name, OneOrMany, Port, Tls, UniqueVec,
    WrittenName,
};
use super::settings::{OwnFiles, Resolved, Settings};
use super::stores::ClientCertificate;
use super::target_files::Adjusted;
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
    pub(super) place: Place,
    pub(super) target: Target,
}

/// The targets so far.
pub(super) struct Targets<'a> {
    pub(super) settings: Resolved<'a>,
    pub(super) pem: PemFiles,
    /// For each name: its index, its file and its place there.
    pub(super) places: HashMap<TargetName, (usize, Arc<Path>, Place)>,
    pub(super) made: Vec<Arc<Target>>,
    pub(super) adjusted: Adjusted,
    pub(super) warnings: Vec<String>,
}

impl<'a> Targets<'a> {
    pub(super) fn new(settings: Resolved<'a>, pem: PemFiles) -> Self {
        let (places, adjusted) = (HashMap::new(), Adjusted::default());
        Self { settings, pem, places, made: Vec::new(), adjusted, warnings: Vec::new() }
    }

    /// Adds the targets of a list of entries at `place`: all or, in case of an error, none.
    pub(super) fn add_entries(&mut self, source: Source<'_>, place: &Place, entries: &[Node]) -> Result<(), Fault> {
        let mut candidates = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            candidates.extend(self.candidates(source, &place.index(index), entry)?);
        }
        let file: Arc<Path> = source.path.into();
        let mut added: HashMap<&TargetName, &Place> = HashMap::new();
        for Candidate { place, target } in &candidates {
            let earlier = match self.places.get(&target.name) {
                Some((_, earlier, place)) if *earlier != file => Some(format!("{place} in {}", earlier.display())),
                Some((_, _, place)) => Some(place.to_string()),
                None => added.insert(&target.name, place).map(ToString::to_string),
            };
            if let Some(earlier) = earlier {
                let name = quoted(target.name.as_str());
                let message = format!("duplicate target name {name}: expected a unique `name`, also used by {earlier}");
                return Err(Fault::new(ErrorKind::Duplicate, place.clone(), message));
            }
        }
        candidates.into_iter().for_each(|candidate| self.push(&file, candidate));
        Ok(())
    }

    /// Adds a target whose name is not used yet.
    pub(super) fn push(&mut self, file: &Arc<Path>, Candidate { place, target }: Candidate) {
        self.places.insert(target.name.clone(), (self.made.len(), Arc::clone(file), place));
        self.made.push(Arc::new(target));
    }

    /// The settings of targets without keys of their own.
    pub(super) fn default_settings(&mut self) -> Result<Arc<ProbeSettings>, Fault> {
        self.settings.settings(&Place::default(), &Settings::default(), OwnFiles::default())
    }

    /// The targets of the entry at `place`; relative paths begin at the directory of the file.
    fn candidates(&mut self, source: Source<'_>, place: &Place, node: &Node) -> Result<Vec<Candidate>, Fault> {
        let (mut entry, settings): (Entry, Settings) = node.read_both(place)?;
        let folder = folder(source.path);
        let (subject, names) = entry.subject(place)?;
        entry.refuse_keys_of_dns(place, subject)?;
        refuse_keys_of_records(place, subject, &settings)?;
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
        let (key, noun) = (place.key(subject), if subject == HOST { "host" } else { "domain" });
        let (names, is_list) = match names {
            OneOrMany::One(name) => (vec![name], false),
            OneOrMany::Many(names) => (names, true),
        };
        if names.is_empty() {
            let message = format!("empty list: expected at least one {noun}");
            return Err(Fault::new(ErrorKind::InvalidValue, key, message));
        }
        if let Some(Name(name)) = entry.name.as_ref().filter(|_| is_list) {
            let name = quoted(name.as_str());
            let message = format!("name {name} for a list of {noun}s: expected one {noun}, or no name");
            return Err(Fault::new(ErrorKind::Conflict, place.key("name"), message));
        }
        let candidate = |(index, name): (usize, WrittenName)| {
            let kind = entry.kind(subject, name);
            let (name, place) = match &entry.name {
                Some(Name(name)) => (name.clone(), place.key("name")),
                None => (kind.default_name()?, if is_list { key.index(index) } else { key.clone() }),
            };
            let target = Target { name, kind, labels: labels.clone(), settings: Arc::clone(&settings) };
            Some(Candidate { place, target })
        };
        Ok(names.into_iter().enumerate().filter_map(candidate).collect())
    }
}

impl Entry {
    /// Which one of the keys `host`, `mx` and `submission` is set, and its value.
    fn subject(&mut self, place: &Place) -> Result<(&'static str, OneOrMany<WrittenName>), Fault> {
        let keys = [
            (HOST, self.host.take().map(|hosts| hosts.map(|host| host.0))),
            (MX, self.mx.take().map(|domains| domains.map(|domain| domain.0.into()))),
            (SUBMISSION_KEY, self.submission.take().map(|domains| domains.map(|domain| domain.0.into()))),
        ];
        let mut set = keys.into_iter().filter_map(|(key, names)| Some((key, names?)));
        let (kind, found) = match (set.next(), set.next()) {
            (Some(only), None) => return Ok(only),
            (Some((first, _)), Some((second, _))) => (ErrorKind::Conflict, format!("`{first}` with `{second}`")),
            (None, _) => (ErrorKind::Missing, "nothing to probe".to_owned()),
        };
        let message = format!("{found}: expected exactly one of `{HOST}`, `{MX}` and `{SUBMISSION_KEY}`");
        Err(Fault::new(kind, place.clone(), message))
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
        let refused = keys.into_iter().find(|(_, is_set, allowed)| *is_set && !allowed.contains(&subject));
        let Some((key, _, allowed)) = refused else { return Ok(()) };
        let (allowed, what) = (allowed.join("` or `"), if subject == MX { "hosts" } else { "hosts and ports" });
        let message =
            format!("`{key}` with `{subject}`: only allowed with `{allowed}`, since DNS determines the {what}");
        Err(Fault::new(ErrorKind::Conflict, place.key(key), message))
    }

    /// What is probed for one of the values of `subject`.
    fn kind(&self, subject: &str, written: WrittenName) -> TargetKind {
        let WrittenName { name, is_qualified } = written;
        let default = if subject == MX { SMTP } else { SUBMISSION };
        let port = self.port.as_ref().map_or(default, |port| port.0);
        let tls = self.tls.as_ref().map_or_else(|| TlsMode::default_for(port), |tls| tls.0);
        match subject {
            MX => TargetKind::Mx(MxTarget { domain: name, port, tls }),
            SUBMISSION_KEY => TargetKind::Submission(SubmissionTarget { domain: name }),
            _ => {
                let server_name = self.server_name.as_ref().map_or_else(|| name.clone(), |name| name.0.clone());
                let addresses = self.addresses.iter().flat_map(|list| &list.0).map(|address| address.0).collect();
                let endpoint = Arc::new(Endpoint { server_name, port, tls });
                TargetKind::Host(HostTarget { host: name, is_qualified, addresses, endpoint })
            }
        }
    }
}

/// Refuses keys that restrict hosts of DNS records, for a target that has none.
fn refuse_keys_of_records(place: &Place, subject: &str, settings: &Settings) -> Result<(), Fault> {
    let (hosts, ports) = (&[MX, SUBMISSION_KEY][..], &[SUBMISSION_KEY][..]);
    let keys = [
        ("allow_addresses", settings.allow_addresses.is_some(), hosts),
        ("allow_ports", settings.allow_ports.is_some(), ports),
    ];
    let refused = keys.into_iter().find(|(_, is_set, allowed)| *is_set && !allowed.contains(&subject));
    let Some((key, _, allowed)) = refused else { return Ok(()) };
    let (allowed, what) = (allowed.join("` or `"), if subject == HOST { "host is" } else { "port is" });
    let message = format!("`{key}` with `{subject}`: only allowed with `{allowed}`, since the {what} configured");
    Err(Fault::new(ErrorKind::Conflict, place.key(key), message))
}

const HOST: &str = "host";
const MX: &str = "mx";
const SUBMISSION_KEY: &str = "submission";
