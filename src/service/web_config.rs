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
    is_empty: bool,
    /// Why the last attempt failed. It is repeated until it succeeds: the files may have been written at the same time.
    last_failure: Option<String>,
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
    is_empty: bool,
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
        let Loaded { tls, access, warnings, summary, is_empty } = loaded?;
        Ok(Self {
            path,
            files,
            tls: tls.map(watch::Sender::new),
            access: watch::Sender::new(Arc::new(access)),
            warnings,
            summary,
            is_empty,
            last_failure: None,
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
        let running = Running { has_tls: self.has_tls(), is_empty: self.is_empty };
        let is_due = !only_changed || self.last_failure.is_some();
        let attempt = spawn_blocking(move || {
            let _reading = reading;
            (is_due || files.have_changed()).then(|| load(&path, Some(running)))
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
        let failure = loaded.as_ref().err().map(ToString::to_string);
        let is_known = failure.is_some() && failure == self.last_failure;
        self.last_failure = failure;
        if only_changed && is_known {
            return Ok(false);
        }
        let Loaded { tls, mut access, warnings, summary, is_empty } = loaded?;
        access.keep_verified(&self.access.borrow());
        if let Some((sender, tls)) = self.tls.as_ref().zip(tls) {
            sender.send_replace(tls);
        }
        self.access.send_replace(Arc::new(access));
        (self.warnings, self.summary, self.is_empty) = (warnings, summary, is_empty);
        Ok(true)
    }
}

/// What a reload must not change.
#[derive(Clone, Copy)]
struct Running {
    has_tls: bool,
    is_empty: bool,
}

/// `running` is none at the start.
fn load(path: &Path, running: Option<Running>) -> Attempt {
    let mut files = WebConfigFiles::default();
    let config = WebConfig::load(path, &mut files).map_err(invalid);
    let loaded = config.and_then(|config| {
        if config.is_empty() && running.is_some_and(|running| !running.is_empty) {
            return Err(invalid(config.emptied()));
        }
        if running.is_some_and(|running| running.has_tls != config.tls.is_some()) {
            return Err(invalid(config.switched_tls()));
        }
        Ok(Loaded {
            access: access(&config)?,
            summary: config.summary(),
            is_empty: config.is_empty(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_attempt_is_repeated_even_if_the_files_look_unchanged() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("web.yaml");
        let write = |text: &str| std::fs::write(&path, text).expect("a file");
        let text = "rate_limit: {interval: 1s, burst: 3}";
        write(text);
        let mut settings = WebSettings::load(path.clone()).expect("a valid file");
        write("");
        assert!(settings.reload(true).await.is_err(), "it is being written");
        assert_eq!(settings.reload(true).await.ok(), Some(false), "the same error is reported once");
        assert!(settings.reload(false).await.is_err(), "unless a reload is requested");
        write(text);
        // As if it had been read while it was written.
        settings.files = load(&path, None).0;
        assert_eq!(settings.reload(true).await.ok(), Some(true));
        assert_eq!(settings.reload(true).await.ok(), Some(false));
        write("{}");
        assert_eq!(settings.reload(true).await.ok(), Some(true), "a file without keys");
    }
}
