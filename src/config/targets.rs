//! Makes targets of the entries that name them, in the config file and in files of targets.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use super::client_certificate::ClientCertificates;
use super::entry::{Entry, Subject};
use super::error::{ErrorKind, Fault, quoted};
use super::folder;
use super::keys::{self, Settings};
use super::one_or_many::OneOrMany;
use super::scalar::{CertName, Host, MxDomain, Name, SubmissionDomain};
use super::settings::{Own, Policies};
use super::target_file::{self, Content, FoundLabel, Group};
use crate::target::{
    Endpoint, HostTarget, MxTarget, ProbeSettings, SMTP, SUBMISSION, ServerName, SubmissionTarget, Target, TargetKind,
    TargetName, TlsMode, UserLabels,
};

/// The targets so far.
pub(super) struct Targets<'a> {
    policies: Policies<'a>,
    certificates: ClientCertificates,
    /// The file and the place in it where each name was given first.
    places: HashMap<TargetName, (Arc<Path>, String)>,
    pub(super) made: Vec<Arc<Target>>,
}

impl<'a> Targets<'a> {
    /// No targets yet.
    pub(super) fn new(policies: Policies<'a>) -> Self {
        Self { policies, certificates: ClientCertificates::default(), places: HashMap::new(), made: Vec::new() }
    }

    /// Adds what the file of targets at `path` holds.
    pub(super) fn add_file(&mut self, path: &Path) -> Result<(), Fault> {
        let file: Arc<Path> = path.into();
        match target_file::read(path)? {
            Content::Entries(entries) => {
                let mut entries = entries.into_iter().enumerate();
                entries.try_for_each(|(index, entry)| self.add_entry(&file, &format!("[{index}]"), entry))
            }
            Content::Groups(groups) => {
                let mut groups = groups.into_iter().enumerate();
                groups.try_for_each(|(index, group)| self.add_group(&file, &format!("[{index}]"), group))
            }
        }
    }

    /// Adds what the entry at `place` of `file` expands to; relative paths begin at the folder of `file`.
    pub(super) fn add_entry(&mut self, file: &Arc<Path>, place: &str, entry: Entry) -> Result<(), Fault> {
        let Entry { subject, mut keys } = entry;
        refuse_senseless(place, &subject, &keys)?;
        let settings = keys.take_settings();
        let client_certificate = match keys.client_certificate.take() {
            Some(files) => Some(self.certificates.load(&format!("{place}.client_certificate"), folder(file), files)?),
            None => None,
        };
        let certificate_file = keys.certificate_file.take().map(|path| folder(file).join(path.0).into());
        let settings = self.policies.settings(place, settings, Own { client_certificate, certificate_file })?;
        let labels =
            UserLabels::new(std::mem::take(&mut keys.labels.0).into_iter().map(|(name, value)| (name.0, value.0)));
        for (kind, name, place) in named(place, subject, keys)? {
            self.add(file, place, name, Unnamed { kind, labels: labels.clone(), settings: Arc::clone(&settings) })?;
        }
        Ok(())
    }

    /// How a target is probed that nothing is said of: by `defaults` alone.
    pub(super) fn default_policy(&mut self) -> Result<Arc<ProbeSettings>, Fault> {
        let own = Own { client_certificate: None, certificate_file: None };
        self.policies.settings("defaults", Settings::default(), own)
    }

    fn add_group(&mut self, file: &Arc<Path>, place: &str, group: Group) -> Result<(), Fault> {
        let own = Own { client_certificate: None, certificate_file: None };
        let settings = self.policies.settings(place, Settings::default(), own)?;
        let labels = UserLabels::new(group.labels.0.into_iter().filter_map(|(name, value)| match name {
            FoundLabel::Meta(_) => None,
            FoundLabel::User(name) => Some((name.0, value.0)),
        }));
        for (index, spec) in group.targets.into_iter().enumerate() {
            let Some(name) = spec.0.default_name() else { continue };
            let made = Unnamed { kind: spec.0, labels: labels.clone(), settings: Arc::clone(&settings) };
            self.add(file, format!("{place}.targets[{index}]"), name, made)?;
        }
        Ok(())
    }

    /// Adds one target, whose name was given or derived at `place`.
    fn add(&mut self, file: &Arc<Path>, place: String, name: TargetName, target: Unnamed) -> Result<(), Fault> {
        if let Some((first_file, first)) = self.places.get(&name) {
            let of = if first_file == file { String::new() } else { format!(" of {}", first_file.display()) };
            let found = format!("the name {} a second time, after {first}{of}", quoted(name.as_str()));
            return Err(Fault::at(ErrorKind::Duplicate, place, found, "a unique name (key `name`) for each target"));
        }
        self.places.insert(name.clone(), (Arc::clone(file), place));
        let Unnamed { kind, labels, settings } = target;
        self.made.push(Arc::new(Target { name, kind, labels, settings }));
        Ok(())
    }
}

/// A target that lacks its name.
struct Unnamed {
    kind: TargetKind,
    labels: UserLabels,
    settings: Arc<ProbeSettings>,
}

/// Refuses keys that say what DNS says for this kind of target.
fn refuse_senseless(place: &str, subject: &Subject, keys: &keys::Target) -> Result<(), Fault> {
    let (found_by, finds_ports) = match subject {
        Subject::Host(_) => return Ok(()),
        Subject::Mx(_) => ("MX", false),
        Subject::Submission(_) => ("SRV", true),
    };
    let given = [
        ("addresses", keys.addresses.is_some()),
        ("server_name", keys.server_name.is_some()),
        ("port", finds_ports && keys.port.is_some()),
        ("tls", finds_ports && keys.tls.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((key, _)) => {
            let found = format!("`{key}` with `{}`", subject.key());
            let allowed = match key {
                "port" | "tls" => format!("it only with `host` or `mx`: the {found_by} records determine it"),
                _ => format!("it only with `host`: the {found_by} records determine the hosts"),
            };
            Err(Fault::at(ErrorKind::Conflict, format!("{place}.{key}"), found, allowed))
        }
    }
}

/// Each target of an entry with its name, and the place of what that is made of.
fn named(place: &str, subject: Subject, keys: keys::Target) -> Result<Vec<(TargetKind, TargetName, String)>, Fault> {
    let key = subject.key();
    let kinds = match subject {
        Subject::Host(hosts) => {
            let port = keys.port.map_or(SUBMISSION, |port| port.0);
            let tls = keys.tls.map_or_else(|| TlsMode::default_for(port), |tls| tls.0);
            let addresses: Vec<IpAddr> =
                keys.addresses.map_or_else(Vec::new, |list| list.0.into_iter().map(|it| it.0).collect());
            let server_name = keys.server_name.map(|CertName(name)| name);
            hosts.map(|Host(host)| {
                let server_name: ServerName = server_name.clone().unwrap_or_else(|| host.clone());
                let endpoint = Arc::new(Endpoint { server_name, port, tls });
                TargetKind::Host(HostTarget { host, addresses: addresses.clone(), endpoint })
            })
        }
        Subject::Mx(domains) => {
            let port = keys.port.map_or(SMTP, |port| port.0);
            let tls = keys.tls.map_or_else(|| TlsMode::default_for(port), |tls| tls.0);
            domains.map(|MxDomain(domain)| TargetKind::Mx(MxTarget { domain, port, tls }))
        }
        Subject::Submission(domains) => {
            domains.map(|SubmissionDomain(domain)| TargetKind::Submission(SubmissionTarget { domain }))
        }
    };
    let one = if key == "host" { "host" } else { "domain" };
    match (kinds, keys.name) {
        (OneOrMany::One(kind), Some(Name(name))) => Ok(vec![(kind, name, format!("{place}.name"))]),
        (OneOrMany::One(kind), None) => {
            let name = kind.default_name();
            Ok(name.map(|name| (kind, name, format!("{place}.{key}"))).into_iter().collect())
        }
        (OneOrMany::Many(kinds), _) if kinds.is_empty() => {
            let place = format!("{place}.{key}");
            Err(Fault::at(ErrorKind::InvalidValue, place, "an empty list", format_args!("at least one {one}")))
        }
        (OneOrMany::Many(_), Some(Name(name))) => {
            let found = format!("the name {} for a list of {one}s, each of which is a target", quoted(name.as_str()));
            let allowed = format!("a unique name for each target: give one {one}, or no name");
            Err(Fault::at(ErrorKind::Conflict, format!("{place}.name"), found, allowed))
        }
        (OneOrMany::Many(kinds), None) => {
            let each = |(index, kind): (usize, TargetKind)| {
                let name = kind.default_name()?;
                Some((kind, name, format!("{place}.{key}[{index}]")))
            };
            Ok(kinds.into_iter().enumerate().filter_map(each).collect())
        }
    }
}
