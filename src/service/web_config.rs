//! The web configuration of a service, which may change while it runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::config::{ConfigError, WebConfig, WebConfigFiles};
use crate::web::{Access, CurrentTls, PasswordHash, RateLimit, ResponseHeaders};

/// The web configuration in effect.
#[derive(Debug)]
pub struct WebSettings {
    path: PathBuf,
    /// As they were at the last attempt to load them.
    files: WebConfigFiles,
    tls: Option<watch::Sender<Arc<ServerConfig>>>,
    access: watch::Sender<Arc<Access>>,
    warnings: Vec<String>,
    summary: String,
    /// Shared with a thread as long as it reads.
    reading: Arc<()>,
}

/// Why a web configuration is not in effect.
#[derive(Debug, Error)]
pub enum WebConfigError {
    /// It is invalid.
    #[error(transparent)]
    Config(#[from] Box<ConfigError>),
    /// Contains nothing of a file.
    #[error("{0}")]
    Other(String),
}

/// A valid web configuration.
struct Loaded {
    tls: Option<Arc<ServerConfig>>,
    access: Access,
    warnings: Vec<String>,
    summary: String,
}

/// The files of an attempt to load them, and its result.
type Attempt = (WebConfigFiles, Result<Loaded, WebConfigError>);

impl WebSettings {
    /// Reads the file at `path` and the files that it refers to.
    ///
    /// # Errors
    /// If one is invalid or cannot be read.
    pub fn load(path: PathBuf) -> Result<Self, WebConfigError> {
        let (files, loaded) = load(&path, None);
        let Loaded { tls, access, warnings, summary } = loaded?;
        Ok(Self {
            path,
            files,
            tls: tls.map(watch::Sender::new),
            access: watch::Sender::new(Arc::new(access)),
            warnings,
            summary,
            reading: Arc::default(),
        })
    }

    /// What is valid but probably not intended.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What it contains, in words.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// Whether connections use TLS.
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The TLS of new connections.
    pub(super) fn tls(&self) -> Option<CurrentTls> {
        self.tls.as_ref().map(watch::Sender::subscribe)
    }

    /// Who may use the endpoints.
    pub(super) fn access(&self) -> watch::Receiver<Arc<Access>> {
        self.access.subscribe()
    }

    /// Loads the files again and applies them; with `only_changed`, only if one has changed since the last attempt. Returns
    /// whether they were loaded. After an error, what was in effect stays in effect.
    ///
    /// # Errors
    /// If a file is invalid, cannot be read in time, or switches TLS on or off.
    pub(super) async fn reload(&mut self, only_changed: bool) -> Result<bool, WebConfigError> {
        if Arc::strong_count(&self.reading) > 1 {
            // That was reported.
            let error = "an earlier read still waits for a file system that does not respond";
            return if only_changed { Ok(false) } else { Err(WebConfigError::Other(error.to_owned())) };
        }
        let (path, files, reading) = (self.path.clone(), self.files.clone(), Arc::clone(&self.reading));
        let has_tls = self.has_tls();
        let attempt = spawn_blocking(move || {
            let _reading = reading;
            (!only_changed || files.have_changed()).then(|| load(&path, Some(has_tls)))
        });
        let attempt = timeout(TIME_LIMIT, attempt).await.map_err(|_| {
            let limit = TIME_LIMIT;
            WebConfigError::Other(format!(
                "reading the files did not end within {limit:?}: a file system does not respond"
            ))
        })?;
        let Some((files, loaded)) = attempt.map_err(|panic| WebConfigError::Other(panic.to_string()))? else {
            return Ok(false);
        };
        self.files = files;
        let Loaded { tls, access, warnings, summary } = loaded?;
        if let Some((sender, tls)) = self.tls.as_ref().zip(tls) {
            sender.send_replace(tls);
        }
        self.access.send_replace(Arc::new(access));
        (self.warnings, self.summary) = (warnings, summary);
        Ok(true)
    }
}

/// `had_tls`: whether the running configuration has TLS, if there is one.
fn load(path: &Path, had_tls: Option<bool>) -> Attempt {
    let mut files = WebConfigFiles::default();
    let config = WebConfig::load(path, &mut files).map_err(invalid);
    let loaded = config.and_then(|config| {
        if had_tls.is_some_and(|had_tls| had_tls != config.tls.is_some()) {
            return Err(invalid(config.switched_tls()));
        }
        Ok(Loaded {
            access: access(&config)?,
            summary: config.summary(),
            tls: config.tls.map(|tls| tls.config),
            warnings: config.warnings,
        })
    });
    (files, loaded)
}

fn access(config: &WebConfig) -> Result<Access, WebConfigError> {
    let mut users = BTreeMap::new();
    for (user, hash) in &config.users {
        let hash = PasswordHash::parse(hash).map_err(|error| invalid(config.invalid_user(user, error)))?;
        users.insert(user.clone(), hash);
    }
    // One by one, so that an error has the place of the header.
    for (name, value) in &config.headers {
        ResponseHeaders::new([(name.as_str(), value.as_str())])
            .map_err(|error| invalid(config.invalid_header(name, error)))?;
    }
    let headers = config.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let headers = ResponseHeaders::new(headers).map_err(|error| WebConfigError::Other(error.to_string()))?;
    let rate = config.rate_limit;
    let rate_limit = RateLimit::new(rate.interval, rate.burst).map_err(|error| invalid(config.invalid_burst(error)))?;
    Access::new(users, rate_limit, headers).map_err(|error| WebConfigError::Other(error.to_string()))
}

fn invalid(error: ConfigError) -> WebConfigError {
    WebConfigError::Config(Box::new(error))
}

impl WebConfigError {
    /// The text for HTTP clients. Files are shown relative to `folder`.
    pub(super) fn public(&self, folder: &Path) -> String {
        match self {
            Self::Config(error) => {
                format!("web configuration not reloaded: {}; see the log of the exporter", error.summary(folder))
            }
            Self::Other(text) => format!("web configuration not reloaded: {text}"),
        }
    }
}

const TIME_LIMIT: Duration = Duration::from_secs(30);
