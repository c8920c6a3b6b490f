//! The files that a configuration refers to: whether they have changed, and what to load them again with.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::error::{ConfigError, ErrorKind, Fault, Place, quoted};
use super::matching_files::MatchingPaths;
use super::scalar::Glob;
use super::target::Targets;
use super::target_files::as_yaml;
use super::yaml;
use super::{Config, Source};
use crate::target::ClientCertificate;
use crate::trust::Root;
use crate::trust::anchors::{self, NoSystemRoots, PemFileError, Roots};
use crate::trust::client_certificate::{self, ClientCertificateError};

/// The files that a configuration refers to, and what is needed to load them again: target files, CA files, and client
/// certificates with their keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Files {
    /// None if no configuration was loaded.
    main: Option<Arc<MainFile>>,
    found: Found,
    /// What was valid when it was read last.
    valid: ValidContent,
    failures: Vec<ConfigError>,
}

/// The configuration file at the time when it was loaded.
#[derive(Debug, PartialEq)]
struct MainFile {
    text: String,
    origin: PathBuf,
    globs: Vec<String>,
}

/// The last valid content of each file.
#[derive(Clone, Debug, Default, PartialEq)]
struct ValidContent {
    targets: BTreeMap<PathBuf, Arc<str>>,
    anchors: BTreeMap<PathBuf, Anchors>,
    system_roots: Option<Anchors>,
    /// By the paths of the chain and the key.
    client_certificates: BTreeMap<[PathBuf; 2], Arc<ClientCertificate>>,
}

pub(super) type Anchors = Arc<[Root]>;

/// The state of the files at a point in time. Equal as long as none was added, removed, replaced or written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    targets: Vec<(PathBuf, Stamp)>,
    unmatched: Vec<String>,
    /// All other files; directories of system roots as well.
    others: BTreeMap<PathBuf, Stamp>,
}

/// What a configuration file contains: equal if the text is, or if it cannot be read for the same reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MainContent(Option<Result<[u8; 32], String>>);

/// What changes when a file does, or the file that a link refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    /// A file whose time is set to that of an earlier one, as by `cp -p`, is changed now. Seconds and nanoseconds.
    changed: (i64, i64),
    length: u64,
    /// A file that is moved keeps its times.
    inode: u64,
}

impl Files {
    /// The target files that match `globs` now. The patterns are from the configuration `main`.
    pub(super) fn find(globs: Vec<Glob>, main: Source<'_>) -> Result<Self, Fault> {
        let globs: Vec<_> = globs.into_iter().map(|glob| glob.0).collect();
        let found = Found::now(&globs, super::folder(main.path))?;
        let main = MainFile { text: main.text.to_owned(), origin: main.path.to_owned(), globs };
        Ok(Self { main: Some(Arc::new(main)), found, ..Self::default() })
    }

    /// Reads the target files and adds their targets. An invalid file is recorded, and its last valid content in `previous`
    /// used.
    pub(super) fn add_to(
        &mut self,
        targets: &mut Targets<'_>,
        main: Source<'_>,
        previous: &Self,
    ) -> Result<(), ConfigError> {
        for (path, _) in &self.found.targets {
            let path = path.as_path();
            let mut add = |text: &str| {
                let source = Source { path, text };
                targets.add_file(source).map_err(|fault| if fault.of_defaults { main } else { source }.error(&fault))
            };
            let text = yaml::read(path).map_err(|fault| Source { path, text: "" }.error(&fault));
            let text = text.map(|text| Arc::from(as_yaml(text)));
            match text.and_then(|text| add(&text).map(|()| text)) {
                Ok(text) => {
                    self.valid.targets.insert(path.to_owned(), text);
                }
                Err(error) if error.file() == main.path => return Err(error),
                Err(error) => {
                    self.failures.push(error);
                    if let Some(text) = previous.valid.targets.get(path).filter(|text| add(text).is_ok()) {
                        self.valid.targets.insert(path.to_owned(), Arc::clone(text));
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds what was read besides the target files.
    pub(super) fn add_pem(&mut self, pem: PemFiles) {
        let PemFiles { last: _, read, found, failures } = pem;
        self.valid = ValidContent { targets: std::mem::take(&mut self.valid.targets), ..read };
        self.found.others = found;
        self.failures.extend(failures);
    }

    /// Whether the configuration has `target_files`, even if no file matches.
    pub fn has_target_files(&self) -> bool {
        self.main.as_ref().is_some_and(|main| !main.globs.is_empty())
    }

    /// Whether a file may change.
    pub fn are_watched(&self) -> bool {
        self.has_target_files() || !self.found.others.is_empty()
    }

    /// The target files that existed when the configuration was loaded, sorted.
    pub fn target_files(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.found.targets.iter().map(|(path, _)| path.as_path())
    }

    /// The patterns that matched no file when the configuration was loaded.
    pub fn unmatched(&self) -> &[String] {
        &self.found.unmatched
    }

    /// What is wrong with files. Their last valid content, if there is any, is in effect.
    pub fn failures(&self) -> &[ConfigError] {
        &self.failures
    }

    /// The state of the files when the configuration was loaded.
    pub const fn found(&self) -> &Found {
        &self.found
    }

    /// The state of the files now.
    ///
    /// # Errors
    /// If a directory cannot be read, or too many files match.
    pub fn look(&self) -> Result<Found, ConfigError> {
        let Some(main) = &self.main else { return Ok(Found::default()) };
        let source = Source { path: &main.origin, text: &main.text };
        let found = Found::now(&main.globs, super::folder(&main.origin)).map_err(|fault| source.error(&fault))?;
        let others = self.found.others.keys().map(|path| (path.clone(), Stamp::of(path)));
        Ok(Found { others: others.collect(), ..found })
    }

    /// Whether the configuration file is the same as when it was loaded.
    pub fn are_of_current_config(&self) -> bool {
        let is_unchanged = |main: &MainFile| yaml::read(&main.origin).is_ok_and(|text| text == main.text);
        self.main.as_deref().is_some_and(is_unchanged)
    }

    /// What the configuration file contained when it was loaded.
    pub fn main_content(&self) -> MainContent {
        MainContent(self.main.as_deref().map(|main| Ok(Sha256::digest(&main.text).into())))
    }

    /// What the configuration file contains now.
    pub fn main_content_now(&self) -> MainContent {
        let read = |path: &Path| {
            let text = yaml::read(path).map_err(|fault| Source { path, text: "" }.error(&fault).to_string())?;
            Ok(Sha256::digest(text).into())
        };
        MainContent(self.main.as_deref().map(|main| read(&main.origin)))
    }

    /// The configuration with the current files. The configuration file itself is not read again, so that a file that is
    /// being edited has no effect. None if no configuration was loaded.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load(&self) -> Option<Result<Config, ConfigError>> {
        let main = self.main.as_deref()?;
        Some(Config::parse_after(&main.text, &main.origin, self))
    }
}

/// Reads PEM files, each once. For one that has become invalid, its last valid content is used.
#[derive(Default)]
pub(super) struct PemFiles {
    last: ValidContent,
    read: ValidContent,
    found: BTreeMap<PathBuf, Stamp>,
    failures: Vec<ConfigError>,
}

impl PemFiles {
    /// `previous` has the last valid content.
    pub(super) fn new(previous: &Files) -> Self {
        let last = ValidContent { targets: BTreeMap::new(), ..previous.valid.clone() };
        Self { last, ..Self::default() }
    }

    /// The trust anchors in a CA file that `source` refers to. `describe` adds the place there to an error.
    pub(super) fn anchors(
        &mut self,
        path: PathBuf,
        source: Source<'_>,
        describe: impl FnOnce(PemFileError) -> Fault,
    ) -> Result<Anchors, Fault> {
        if let Some(read) = self.read.anchors.get(&path) {
            return Ok(Arc::clone(read));
        }
        self.watch(&path);
        let loaded = anchors::from_file(&path).map(Into::into).map_err(describe);
        let last = self.last.anchors.remove(&path);
        let anchors: Anchors = self.or_last_valid(loaded, last, source)?;
        self.read.anchors.insert(path, Arc::clone(&anchors));
        Ok(anchors)
    }

    /// The root certificates of this host.
    pub(super) fn system_roots(
        &mut self,
        source: Source<'_>,
        describe: impl FnOnce(NoSystemRoots) -> Fault,
    ) -> Result<Anchors, Fault> {
        for path in anchors::system_paths() {
            self.watch(&path);
        }
        let loaded = Roots::System.load().map(Into::into).map_err(describe);
        let last = self.last.system_roots.take();
        let anchors: Anchors = self.or_last_valid(loaded, last, source)?;
        self.read.system_roots = Some(Arc::clone(&anchors));
        Ok(anchors)
    }

    /// The client certificate in the files of a chain and its key, and whether they were read now rather than before.
    pub(super) fn client_certificate(
        &mut self,
        files: [PathBuf; 2],
        source: Source<'_>,
        describe: impl FnOnce(ClientCertificateError) -> Fault,
    ) -> Result<(Arc<ClientCertificate>, bool), Fault> {
        if let Some(read) = self.read.client_certificates.get(&files) {
            return Ok((Arc::clone(read), false));
        }
        files.iter().for_each(|path| self.watch(path));
        let [cert, key] = &files;
        let loaded = client_certificate::load(cert, key).map(Arc::new).map_err(describe);
        let last = self.last.client_certificates.remove(&files);
        let certificate = self.or_last_valid(loaded, last, source)?;
        self.read.client_certificates.insert(files, Arc::clone(&certificate));
        Ok((certificate, true))
    }

    fn or_last_valid<T>(&mut self, loaded: Result<T, Fault>, last: Option<T>, source: Source<'_>) -> Result<T, Fault> {
        match (loaded, last) {
            (Err(fault), Some(last)) => {
                self.failures.push(source.error(&fault));
                Ok(last)
            }
            (loaded, _) => loaded,
        }
    }

    /// Notes the state of a file before it is read, so that a later change is not missed.
    fn watch(&mut self, path: &Path) {
        self.found.entry(path.to_owned()).or_insert_with(|| Stamp::of(path));
    }
}

impl Found {
    fn now(globs: &[String], folder: &Path) -> Result<Self, Fault> {
        let mut found = Self::default();
        let mut files = BTreeMap::new();
        for (index, glob) in globs.iter().enumerate() {
            let fault = |kind, message| Fault::new(kind, Place::default().key("target_files").index(index), message);
            let matches = MatchingPaths::new(glob, folder).map_err(|error| {
                fault(ErrorKind::InvalidValue, format!("invalid pattern {}: {}", quoted(glob), error.msg))
            })?;
            let mut matched = false;
            for path in matches {
                let path =
                    path.map_err(|(path, error)| fault(ErrorKind::File, format!("{}: {error}", path.display())))?;
                // A dangling link is reported when it is read.
                let metadata = fs::metadata(&path).ok();
                if metadata.as_ref().is_some_and(|metadata| !metadata.is_file()) {
                    continue;
                }
                matched = true;
                files.insert(path, Stamp::new(metadata.as_ref()));
                if files.len() > MAX_FILES {
                    return Err(fault(ErrorKind::TooLarge, format!("too many files: expected at most {MAX_FILES}")));
                }
            }
            if !matched {
                found.unmatched.push(glob.clone());
            }
        }
        found.targets = files.into_iter().collect();
        Ok(found)
    }
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Self {
        Self::new(fs::metadata(path).ok().as_ref())
    }

    fn new(metadata: Option<&fs::Metadata>) -> Self {
        Self {
            modified: metadata.and_then(|metadata| metadata.modified().ok()),
            changed: metadata.map_or((0, 0), |metadata| (metadata.ctime(), metadata.ctime_nsec())),
            length: metadata.map_or(0, fs::Metadata::len),
            inode: metadata.map_or(0, MetadataExt::ino),
        }
    }
}

const MAX_FILES: usize = 10_000;
