//! The web configuration: TLS, users, headers and the rate limit of the HTTP server, in the format of the exporter toolkit of
//! Prometheus (<https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md>).

mod document;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use self::document::{Document, TlsKeys, Written, invalid, unknown};
use super::error::{ConfigError, ErrorKind, Fault, Place, Step};
use super::files::Stamp;
use super::yaml::{self, Node};
use super::{Source, folder};
use crate::file;
use crate::text::{counted, utc};
use crate::trust::anchors::{PemFault, Roots, parse_certificates, parse_private_key, parse_roots};
use crate::trust::server_tls::{
    CipherSuite, ClientAuth, Curve, ServerTls, ServerTlsError, ServerTlsSettings, TlsVersion,
};

/// A web configuration with the files that it refers to.
pub struct WebConfig {
    /// TLS; none for plain HTTP.
    pub tls: Option<ServerTls>,
    /// The users and the hashes of their passwords; empty if requests need no password.
    pub users: BTreeMap<String, String>,
    /// Header fields of all responses, not yet checked.
    pub headers: BTreeMap<String, String>,
    /// The limit for requests, not yet checked.
    pub rate_limit: RequestRate,
    /// What is valid but probably not intended.
    pub warnings: Vec<String>,
    path: PathBuf,
    text: String,
}

/// How many requests are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestRate {
    /// The time after which a further request is accepted; zero if there is no limit.
    pub interval: Duration,
    /// Requests that are accepted without a pause between them.
    pub burst: i64,
}

/// The state of the files of a web configuration when they were read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WebConfigFiles(BTreeMap<PathBuf, Stamp>);

impl WebConfigFiles {
    /// Whether a file was added, removed, replaced or written since.
    pub fn have_changed(&self) -> bool {
        self.0.iter().any(|(path, stamp)| Stamp::of(path) != *stamp)
    }

    /// Notes the state of a file before it is read, so that a later change is not missed.
    fn watch(&mut self, path: &Path) {
        self.0.entry(path.to_owned()).or_insert_with(|| Stamp::of(path));
    }
}

impl WebConfig {
    /// Reads the file at `path` and the files that it refers to. Adds them to `files`.
    ///
    /// # Errors
    /// If a file cannot be read or is invalid. No error quotes a key or a hash.
    pub fn load(path: &Path, files: &mut WebConfigFiles) -> Result<Self, ConfigError> {
        files.watch(path);
        let text = yaml::read(path).map_err(|fault| Source { path, text: "" }.error(&fault))?;
        let source = Source { path, text: &text };
        let mut config = read(source, files).map_err(|fault| source.error(&without_secrets(fault)))?;
        config.text = text;
        Ok(config)
    }

    /// The error for the hash of a user's password.
    pub fn invalid_user(&self, user: &str, error: impl fmt::Display) -> ConfigError {
        let place = Place::default().key(USERS).key(user);
        self.error(&Fault::new(ErrorKind::InvalidValue, place, format!("invalid hash of a password: {error}")))
    }

    /// The error for the header with this name.
    pub fn invalid_header(&self, name: &str, error: impl fmt::Display) -> ConfigError {
        let place = Place::default().key(HTTP).key("headers").key(name);
        self.error(&Fault::new(ErrorKind::InvalidValue, place, format!("invalid header: {error}")))
    }

    /// The error for the burst of the rate limit.
    pub fn invalid_burst(&self, error: impl fmt::Display) -> ConfigError {
        let place = Place::default().key(RATE_LIMIT).key("burst");
        self.error(&Fault::new(ErrorKind::InvalidValue, place, error.to_string()))
    }

    /// The error of switching TLS on or off, which needs a restart.
    pub fn switched_tls(&self) -> ConfigError {
        let message = match self.tls {
            Some(_) => "TLS cannot be switched on while the exporter runs: restart it",
            None => "TLS cannot be switched off while the exporter runs: restart it",
        };
        self.error(&Fault::new(ErrorKind::Conflict, Place::default().key(TLS), message))
    }

    /// Whether the file has no content.
    pub fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// The error of a file that has become empty, most likely because it is being written.
    pub fn emptied(&self) -> ConfigError {
        let message = "the file is empty: expected a mapping of keys, or `{}` for none";
        self.error(&Fault::of_file(ErrorKind::Missing, message))
    }

    fn error(&self, fault: &Fault) -> ConfigError {
        Source { path: &self.path, text: &self.text }.error(fault)
    }

    /// What it contains, in words.
    pub fn summary(&self) -> String {
        let users = counted(self.users.len(), "user");
        format!("TLS {}, {users}", if self.tls.is_some() { "on" } else { "off" })
    }
}

fn read(source: Source<'_>, files: &mut WebConfigFiles) -> Result<WebConfig, Fault> {
    let (node, several) = yaml::parse(source.text, false)?;
    if several {
        return Err(Fault::of_file(ErrorKind::Syntax, "invalid YAML: expected one document, got several"));
    }
    let document: Document = node.read(&Place::default())?;
    let mut warnings = Vec::new();
    let place = Place::default().key(TLS);
    let http2 = document.http_server_config.http2.flag(&Place::default().key(HTTP).key("http2"))?.unwrap_or(true);
    let tls = if document.tls_server_config.is_enabled() {
        let loader = TlsLoader { source, files, place, warnings: &mut warnings };
        let sans = node.get(&Step::Key(TLS.to_owned())).and_then(|keys| keys.get(&Step::Key(SANS.to_owned())));
        // A key without a value is absent; an empty list permits no certificate.
        let sans =
            sans.is_some_and(|sans| *sans != Node::Null).then_some(&document.tls_server_config.client_allowed_sans);
        Some(loader.load(&document.tls_server_config, sans.map(Vec::as_slice), http2)?)
    } else {
        // As in the toolkit, these keys alone do not turn TLS on.
        let is_empty = matches!(node.get(&Step::Key(TLS.to_owned())), None | Some(Node::Null));
        let is_empty =
            is_empty || matches!(node.get(&Step::Key(TLS.to_owned())), Some(Node::Map(keys)) if keys.is_empty());
        if !is_empty {
            warnings.push(source.warning(&place, "no effect without a certificate: TLS is off".to_owned()));
        }
        checked_options(&document.tls_server_config, &place)?;
        None
    };
    let rate = Place::default().key(RATE_LIMIT);
    let interval = document.rate_limit.interval.duration(&rate.key("interval"))?;
    let burst = document.rate_limit.burst.whole(&rate.key("burst"))?;
    let users = Place::default().key(USERS);
    let has_users_key = node.get(&Step::Key(USERS.to_owned())).is_some();
    if has_users_key && document.basic_auth_users.is_empty() {
        warnings.push(source.warning(&users, "no users: requests need no password".to_owned()));
    }
    for user in document.basic_auth_users.keys() {
        // RFC 7617 §2.
        if user.contains(|c: char| c == ':' || c.is_control()) {
            let message = "no client can log in: a user name must not contain a colon or a control character";
            warnings.push(source.warning(&users.key(user), message.to_owned()));
        }
    }
    if tls.is_none() && !document.basic_auth_users.is_empty() {
        let message = "passwords are sent in clear text: TLS is off".to_owned();
        warnings.push(source.warning(&Place::default().key(USERS), message));
    }
    Ok(WebConfig {
        tls,
        users: texts(document.basic_auth_users),
        headers: texts(document.http_server_config.headers),
        rate_limit: RequestRate { interval, burst },
        warnings,
        path: source.path.to_owned(),
        text: String::new(),
    })
}

fn texts(map: BTreeMap<String, Written>) -> BTreeMap<String, String> {
    map.into_iter().map(|(key, value)| (key, value.text())).collect()
}

/// What does not depend on files.
struct TlsOptions {
    client_auth: ClientAuth,
    versions: [TlsVersion; 2],
    cipher_suites: Vec<CipherSuite>,
    curves: Vec<Curve>,
    /// None if it is not set.
    prefers_own_order: Option<bool>,
}

fn checked_options(keys: &TlsKeys, place: &Place) -> Result<TlsOptions, Fault> {
    let client_auth = keys.client_auth_type.choice(&place.key("client_auth_type"), &ClientAuth::ALL)?;
    let min = keys.min_version.choice(&place.key("min_version"), &TlsVersion::ALL)?.unwrap_or(TlsVersion::Tls12);
    let max = keys.max_version.choice(&place.key("max_version"), &TlsVersion::ALL)?.unwrap_or(TlsVersion::Tls13);
    if min > max {
        let message = "no TLS version: `min_version` is higher than `max_version`";
        return Err(Fault::new(ErrorKind::Conflict, place.key("min_version"), message));
    }
    let each = |key: &str, list: &[Written]| {
        let place = place.key(key);
        list.iter().enumerate().map(|(index, name)| (place.index(index), name.text())).collect::<Vec<_>>()
    };
    let suites = each("cipher_suites", &keys.cipher_suites).into_iter().map(|(place, name)| {
        CipherSuite::from_name(&name).ok_or_else(|| unknown(&place, &name, &CipherSuite::names()))
    });
    let curves = each("curve_preferences", &keys.curve_preferences)
        .into_iter()
        .map(|(place, name)| Curve::from_name(&name).ok_or_else(|| unknown(&place, &name, &Curve::names())));
    Ok(TlsOptions {
        client_auth: client_auth.unwrap_or(ClientAuth::None),
        versions: [min, max],
        cipher_suites: suites.collect::<Result<_, _>>()?,
        curves: curves.collect::<Result<_, _>>()?,
        prefers_own_order: keys.prefer_server_cipher_suites.flag(&place.key(PREFER_ORDER))?,
    })
}

/// Loads TLS and the files that it needs.
struct TlsLoader<'a> {
    source: Source<'a>,
    files: &'a mut WebConfigFiles,
    /// Of `tls_server_config`.
    place: Place,
    warnings: &'a mut Vec<String>,
}

/// PEM text, and where it is from.
struct Pem {
    bytes: Vec<u8>,
    place: Place,
    /// None if it is written in the configuration.
    file: Option<PathBuf>,
}

impl TlsLoader<'_> {
    fn load(mut self, keys: &TlsKeys, sans: Option<&[Written]>, http2: bool) -> Result<ServerTls, Fault> {
        let options = checked_options(keys, &self.place)?;
        self.check_http2(&options, http2)?;
        let cert = self.required("cert", &keys.cert, &keys.cert_file)?;
        let key = self.required("key", &keys.key, &keys.key_file)?;
        let ca = self.pem("client_ca", &keys.client_ca, &keys.client_ca_file)?;
        let chain = parse_certificates(&cert.bytes).map_err(|fault| cert.fault(&fault, CERT_FILE))?;
        let private = parse_private_key(&key.bytes).map_err(|fault| match fault {
            // The line may be a part of the key.
            PemFault::UnexpectedLine { number, .. } => key.fault(&format!("unexpected line {number}"), KEY_FILE),
            fault => key.fault(&fault, KEY_FILE),
        })?;
        let auth_place = self.place.key("client_auth_type");
        if ca.is_some() && options.client_auth == ClientAuth::None {
            let message = "client CAs need a `client_auth_type` other than NoClientCert";
            return Err(Fault::new(ErrorKind::Conflict, auth_place, message));
        }
        if sans.is_some() && options.client_auth == ClientAuth::None {
            let message = "no effect without a `client_auth_type`: clients are not asked for a certificate";
            self.warnings.push(self.source.warning(&self.place.key(SANS), message.to_owned()));
        }
        let client_roots = match &ca {
            Some(ca) => parse_roots(&ca.bytes).map_err(|fault| ca.fault(&fault, CA_FILE))?,
            None if options.client_auth.verifies() => {
                let message =
                    "without `client_ca` or `client_ca_file`, client certificates are verified by the system roots";
                self.warnings.push(self.source.warning(&auth_place, message.to_owned()));
                Roots::System.load().map_err(|error| Fault::file(auth_place.clone(), error, CLIENT_CA))?
            }
            None => Vec::new(),
        };
        let [min_version, max_version] = options.versions;
        let has_order =
            min_version == TlsVersion::Tls12 && options.cipher_suites.iter().any(|suite| suite.is_of_tls12());
        if options.prefers_own_order.is_some() && !has_order {
            let message = "no effect without cipher suites of TLS 1.2 in `cipher_suites`: the order of others is not configurable";
            self.warnings.push(self.source.warning(&self.place.key(PREFER_ORDER), message.to_owned()));
        }
        let settings = ServerTlsSettings {
            chain,
            key: private,
            client_auth: options.client_auth,
            client_roots,
            announces_roots: ca.is_some(),
            client_sans: sans.map(|list| list.iter().map(Written::text).collect()),
            min_version,
            max_version,
            cipher_suites: options.cipher_suites,
            curves: options.curves,
            prefers_own_order: !has_order || options.prefers_own_order.unwrap_or(true),
            http2,
        };
        let tls = ServerTls::new(settings).map_err(|error| match error {
            ServerTlsError::Malformed => cert.fault(&error, CERT_FILE),
            ServerTlsError::UnusableKey | ServerTlsError::OtherKey => key.fault(&error, KEY_FILE),
            ServerTlsError::NoCipherSuite | ServerTlsError::SuitesOfOtherKey => {
                Fault::new(ErrorKind::Conflict, self.place.key("cipher_suites"), error.to_string())
            }
            ServerTlsError::ClientAuth(_) => Fault::new(ErrorKind::InvalidValue, auth_place, error.to_string()),
        })?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.warn_of_dates(&tls, &cert, i64::try_from(now).unwrap_or(i64::MAX));
        Ok(tls)
    }

    /// Servers of HTTP/2 over TLS 1.2 must support one of two cipher suites (RFC 9113 §9.2.2).
    fn check_http2(&self, options: &TlsOptions, http2: bool) -> Result<(), Fault> {
        let [min, _] = options.versions;
        let is_required = http2 && min == TlsVersion::Tls12 && !options.cipher_suites.is_empty();
        if !is_required || options.cipher_suites.iter().any(|suite| suite.is_required_by_http2()) {
            return Ok(());
        }
        let message = "HTTP/2 needs TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 or TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: add \
                       one of them, or set `http2: false`";
        Err(Fault::new(ErrorKind::Conflict, self.place.key("cipher_suites"), message))
    }

    fn warn_of_dates(&mut self, tls: &ServerTls, cert: &Pem, now: i64) {
        let state = if now > tls.not_after {
            format!("expired on {}", utc(tls.not_after))
        } else if now < tls.not_before {
            format!("is not valid before {}", utc(tls.not_before))
        } else if tls.not_after - now < WARN_BEFORE {
            format!("expires on {}", utc(tls.not_after))
        } else {
            return;
        };
        let file = cert.file.as_ref().map(|file| format!("{}: ", file.display())).unwrap_or_default();
        self.warnings.push(self.source.warning(&cert.place, format!("{file}server certificate {state}")));
    }

    fn required(&mut self, key: &str, inline: &Written, file: &Written) -> Result<Pem, Fault> {
        let missing = || {
            let message = format!("missing key: expected `{key}` or `{key}_file`");
            Fault::new(ErrorKind::Missing, self.place.clone(), message)
        };
        let missing = missing();
        self.pem(key, inline, file)?.ok_or(missing)
    }

    /// The value of `key`, or the content of the file that `{key}_file` names; none if neither is set.
    fn pem(&mut self, key: &str, inline: &Written, file: &Written) -> Result<Option<Pem>, Fault> {
        let in_file = self.place.key(format!("{key}_file"));
        if inline.is_set() && file.is_set() {
            let message = format!("expected only one of `{key}` and `{key}_file`");
            return Err(Fault::new(ErrorKind::Conflict, in_file, message));
        }
        if inline.is_set() {
            return Ok(Some(Pem { bytes: inline.text().into_bytes(), place: self.place.key(key), file: None }));
        }
        if !file.is_set() {
            return Ok(None);
        }
        let name = file.text();
        if name.contains('\0') {
            return Err(invalid(&in_file, &name.replace('\0', ""), "expected a path"));
        }
        let path = folder(self.source.path).join(name);
        self.files.watch(&path);
        let mut pem = Pem { bytes: Vec::new(), place: in_file, file: Some(path.clone()) };
        pem.bytes = file::read(&path, MAX_PEM).map_err(|error| pem.fault(&PemFault::Io(error), PEM_FILE))?;
        Ok(Some(pem))
    }
}

impl Pem {
    fn fault(&self, error: &dyn fmt::Display, expected: &str) -> Fault {
        match &self.file {
            Some(path) => Fault::file(self.place.clone(), format_args!("{}: {error}", path.display()), expected),
            None => Fault::file(self.place.clone(), error, expected),
        }
    }
}

/// The fault without a value that may be a key or a hash: a mapping that is not one is quoted by its error.
fn without_secrets(fault: Fault) -> Fault {
    match fault.message.split_once(", got the string ") {
        Some((expected, _)) if fault.kind == ErrorKind::WrongType => {
            Fault { message: format!("{expected}, got a string"), ..fault }
        }
        _ => fault,
    }
}

const TLS: &str = "tls_server_config";
const HTTP: &str = "http_server_config";
const USERS: &str = "basic_auth_users";
const RATE_LIMIT: &str = "rate_limit";
const PREFER_ORDER: &str = "prefer_server_cipher_suites";
const SANS: &str = "client_allowed_sans";
const PEM_FILE: &str = "a PEM file";
const CERT_FILE: &str = "PEM with the certificate, then its intermediates";
const KEY_FILE: &str = "PEM with the private key of the certificate";
const CA_FILE: &str = "PEM with one or more CA certificates";
const CLIENT_CA: &str = "`client_ca` or `client_ca_file`";
/// Bytes of a file with certificates or a key.
const MAX_PEM: u64 = 16 * 1024 * 1024;
/// Seconds before its end at which a certificate causes a warning.
const WARN_BEFORE: i64 = 14 * 24 * 3600;
