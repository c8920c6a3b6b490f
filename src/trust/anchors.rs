//! Loads roots from the system, from Mozilla's root program and from PEM files; loads certificates and private
//! keys from PEM files.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::Root;
use crate::file;

/// The set of roots that a trust store starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roots {
    /// The root certificates of this host (`SSL_CERT_FILE`, `SSL_CERT_DIR` or the distribution's store).
    System,
    /// Mozilla's root certificates at the time of the build: names, keys and name constraints, without dates.
    Mozilla,
    /// No roots.
    None,
}

impl Roots {
    /// The value in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Mozilla => "mozilla",
            Self::None => "none",
        }
    }

    /// Loads the roots.
    ///
    /// # Errors
    /// If the system has no usable root certificate.
    pub fn load(self) -> Result<Vec<Root>, NoSystemRoots> {
        match self {
            Self::System => system(),
            Self::Mozilla => Ok(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().map(Root::from).collect()),
            Self::None => Ok(Vec::new()),
        }
    }
}

/// The files and directories that the root certificates of this host are read from, and the files in these directories.
pub fn system_paths() -> impl Iterator<Item = PathBuf> {
    let found = openssl_probe::probe();
    let folders = found.cert_dir.into_iter().flat_map(|folder| {
        let files: Vec<PathBuf> =
            fs::read_dir(&folder).into_iter().flatten().flatten().map(|file| file.path()).collect();
        [folder].into_iter().chain(files)
    });
    found.cert_file.into_iter().chain(folders)
}

fn system() -> Result<Vec<Root>, NoSystemRoots> {
    // Opening a FIFO would wait forever.
    if let Some(path) = system_paths().find(|path| path.exists() && !path.is_file() && !path.is_dir()) {
        return Err(NoSystemRoots { error: Some(format!("{}: not a regular file", path.display())) });
    }
    let found = rustls_native_certs::load_native_certs();
    // A malformed certificate in the system's store must not make the others unusable.
    let roots: Vec<_> = found.certs.iter().filter_map(|certificate| Root::new(certificate).ok()).collect();
    if roots.is_empty() {
        return Err(NoSystemRoots { error: found.errors.first().map(ToString::to_string) });
    }
    Ok(roots)
}

/// The certificates of a PEM file as roots.
///
/// # Errors
/// If the file cannot be read, has no certificate, or one that is not usable as a trust anchor.
pub fn from_file(path: &Path) -> Result<Vec<Root>, PemFileError> {
    let read = file::read(path, MAX_FILE_BYTES).map_err(PemFault::Io);
    read.and_then(|bytes| parse_roots(&bytes)).map_err(|fault| PemFileError::new(path, fault))
}

/// The certificates in PEM text as roots.
///
/// # Errors
/// If the text is not valid PEM, has no certificate, or one that is not usable as a trust anchor.
pub fn parse_roots(text: &[u8]) -> Result<Vec<Root>, PemFault> {
    let usable = |(index, certificate): (usize, &CertificateDer<'_>)| {
        let number = index + 1;
        Root::new(certificate).map_err(|error| PemFault::NotAnAnchor { number, error })
    };
    parse_certificates(text)?.iter().enumerate().map(usable).collect()
}

/// The certificates of a PEM file in order, at least one. Other sections are ignored.
///
/// # Errors
/// If the file cannot be read, is not valid PEM, or has no certificate.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemFileError> {
    certificates_in(path, file::read(path, MAX_FILE_BYTES))
}

/// The certificates in the PEM text that `input` provides. Errors call it `name`.
///
/// # Errors
/// As [`certificates`].
pub fn certificates_from(
    input: io::Result<impl Read>,
    name: &Path,
) -> Result<Vec<CertificateDer<'static>>, PemFileError> {
    certificates_in(name, input.and_then(|input| file::read_from(input, MAX_FILE_BYTES)))
}

fn certificates_in(name: &Path, bytes: io::Result<Vec<u8>>) -> Result<Vec<CertificateDer<'static>>, PemFileError> {
    let found = bytes.map_err(PemFault::Io).and_then(|bytes| parse_certificates(&bytes));
    found.map_err(|fault| PemFileError::new(name, fault))
}

/// The certificates in PEM text in order, at least one. Other sections are ignored.
///
/// # Errors
/// If the text is not valid PEM, or has no certificate.
pub fn parse_certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemFault> {
    let sections = sections(text)?;
    let of_certificates = sections.iter().filter(|section| section.label == "CERTIFICATE");
    let found: Vec<_> = of_certificates.map(Section::parse).collect::<Result<_, _>>()?;
    match found.is_empty() {
        true => Err(if text.trim_ascii().is_empty() { PemFault::Empty } else { PemFault::NoCertificate }),
        false => Ok(found),
    }
}

/// The first private key in a PEM file (PKCS #8, PKCS #1 or SEC 1), which is not parsed.
///
/// # Errors
/// If the file cannot be read, is not valid PEM, or has no private key.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemFileError> {
    let read = file::read(path, MAX_FILE_BYTES).map_err(PemFault::Io);
    read.and_then(|bytes| parse_private_key(&bytes)).map_err(|fault| PemFileError::new(path, fault))
}

/// The first private key in PEM text (PKCS #8, PKCS #1 or SEC 1), which is not parsed.
///
/// # Errors
/// If the text is not valid PEM, or has no private key.
pub fn parse_private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, PemFault> {
    let sections = sections(text)?;
    let of = |is_key: fn(&str) -> bool| sections.iter().find(|section| is_key(&section.label));
    // An encrypted key, or one of an unknown kind, is reported if there is no other.
    match of(|label| KEYS.contains(&label)).or_else(|| of(|label| label.ends_with("PRIVATE KEY"))) {
        Some(key) => key.parse(),
        None if text.trim_ascii().is_empty() => Err(PemFault::Empty),
        None => Err(PemFault::NoKey),
    }
}

/// A section of PEM text (RFC 7468).
struct Section<'a> {
    label: String,
    /// The number of the BEGIN line, from 1.
    line: usize,
    /// All its lines.
    text: &'a [u8],
}

impl Section<'_> {
    /// Whether it has this line (RFC 1421 §4.6), as keys that OpenSSL encrypted in its own format.
    fn has_header(&self, header: &[u8]) -> bool {
        self.text.split(|byte| *byte == b'\n').any(|line| line.trim_ascii() == header)
    }

    fn parse<T: PemObject>(&self) -> Result<T, PemFault> {
        let is_encrypted = self.label.starts_with("ENCRYPTED ") || self.has_header(b"Proc-Type: 4,ENCRYPTED");
        if is_encrypted {
            return Err(PemFault::Encrypted { number: self.line });
        }
        T::from_pem_slice(self.text).map_err(|error| match error {
            pem::Error::NoItemsFound => PemFault::Unsupported { number: self.line, label: self.label.clone() },
            error => PemFault::Pem { number: self.line, error },
        })
    }
}

/// All sections. The parser of the library would skip some: it ignores lines that are not exactly a BEGIN or END line, and
/// drops a section that another one interrupts.
fn sections(text: &[u8]) -> Result<Vec<Section<'_>>, PemFault> {
    let (mut sections, mut open, mut start) = (Vec::new(), None::<(String, usize, usize)>, 0);
    for (index, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let (end, number) = (start + line.len(), index + 1);
        // Each of several files that were concatenated may begin with a byte order mark.
        let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        let begin = end - line.len();
        start = end;
        let line = String::from_utf8_lossy(line.trim_ascii_end());
        let label = |start| line.strip_prefix(start)?.strip_suffix("-----").filter(|label| !label.contains("--"));
        match (label("-----BEGIN "), label("-----END "), open.take()) {
            (Some(label), None, None) if is_unsupported(label) => {
                return Err(PemFault::Unsupported { number, label: label.to_owned() });
            }
            (Some(label), None, None) => open = Some((label.to_owned(), number, begin)),
            (None, Some(label), Some((begun, line, begin))) if label == begun => {
                let text = text.get(begin..end).unwrap_or_default();
                sections.push(Section { label: begun, line, text });
            }
            (None, None, section) if !looks_like_marker(&line) && (section.is_some() || !looks_like_data(&line)) => {
                open = section;
            }
            _ => return Err(PemFault::UnexpectedLine { number, line: line.into_owned() }),
        }
    }
    match open {
        Some((_, number, _)) => Err(PemFault::NoEnd { number }),
        None => Ok(sections),
    }
}

/// Whether a section with this label has certificates in a form that is not read.
fn is_unsupported(label: &str) -> bool {
    let upper = label.to_uppercase();
    let has_certificates = ["CERTIFICATE", "PKCS7", "PKCS #7", "CMS"].iter().any(|word| upper.contains(word));
    has_certificates && label != "CERTIFICATE" && !upper.ends_with("REQUEST")
}

/// Whether a line was meant to begin or end a section: word processors and web pages replace hyphens and blanks.
fn looks_like_marker(line: &str) -> bool {
    let is_dash = |c: char| matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}');
    let line = line.trim();
    let has_dashes = line.chars().take(2).all(is_dash) || line.chars().rev().take(2).all(is_dash);
    let upper = line.to_uppercase();
    let is_comment = line.starts_with('#');
    has_dashes && !is_comment && (upper.contains("BEGIN") || upper.contains("END"))
}

/// Whether a line is the content of a section whose BEGIN line is missing, or of a file in UTF-16.
fn looks_like_data(line: &str) -> bool {
    let data = line.trim_end_matches('=');
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let is_fingerprint = || data.bytes().all(|byte| byte.is_ascii_hexdigit());
    line.contains('\0') || data.len() >= MIN_DATA && data.bytes().all(is_base64) && !is_fingerprint()
}

/// The system has no usable root certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSystemRoots {
    error: Option<String>,
}

impl fmt::Display for NoSystemRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no system root certificates")?;
        self.error.iter().try_for_each(|error| write!(f, " ({error})"))
    }
}

impl std::error::Error for NoSystemRoots {}

/// An error of loading a PEM file.
#[derive(Debug)]
pub struct PemFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: PemFault,
}

impl PemFileError {
    fn new(path: &Path, fault: PemFault) -> Self {
        Self { path: path.to_owned(), fault }
    }
}

impl fmt::Display for PemFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.fault)
    }
}

impl std::error::Error for PemFileError {}

/// What is wrong with a PEM file.
#[derive(Debug)]
pub enum PemFault {
    /// The file cannot be read.
    Io(io::Error),
    /// The file is empty.
    Empty,
    /// The file has no certificate.
    NoCertificate,
    /// The file has no private key.
    NoKey,
    /// A line that looks like the BEGIN or END line of a section that would not be read.
    UnexpectedLine {
        /// The position of the line, from 1.
        number: usize,
        /// The line.
        line: String,
    },
    /// A section has no END line.
    NoEnd {
        /// The position of its BEGIN line, from 1.
        number: usize,
    },
    /// A section that contains certificates or keys in a format that is not read.
    Unsupported {
        /// The position of its BEGIN line, from 1.
        number: usize,
        /// What it contains.
        label: String,
    },
    /// A private key is encrypted.
    Encrypted {
        /// The position of its BEGIN line, from 1.
        number: usize,
    },
    /// A section is not valid PEM.
    Pem {
        /// The position of its BEGIN line, from 1.
        number: usize,
        /// Why it is not valid.
        error: pem::Error,
    },
    /// A certificate is not usable as a trust anchor.
    NotAnAnchor {
        /// The position of the certificate in the file, from 1.
        number: usize,
        /// Why it is not usable.
        error: webpki::Error,
    },
}

impl fmt::Display for PemFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => match error.kind() {
                io::ErrorKind::NotFound => f.write_str("file not found"),
                io::ErrorKind::IsADirectory => f.write_str("is a directory"),
                io::ErrorKind::PermissionDenied => f.write_str("permission denied"),
                io::ErrorKind::FileTooLarge => f.write_str("larger than 16 MiB"),
                _ => error.fmt(f),
            },
            Self::Empty => f.write_str("file is empty"),
            Self::NoCertificate => f.write_str("no PEM certificate found"),
            Self::NoKey => f.write_str("no PEM private key found"),
            Self::UnexpectedLine { number, line } => {
                let shown: String = line.chars().take(MAX_SHOWN).collect();
                write!(f, "unexpected line {number}: `{}`", shown.escape_debug())
            }
            Self::NoEnd { number } => write!(f, "no END line for the BEGIN line {number}"),
            Self::Unsupported { number, label } => {
                let shown: String = label.chars().take(MAX_SHOWN).collect();
                write!(f, "unsupported section `{}` on line {number}", shown.escape_debug())
            }
            Self::Encrypted { number } => {
                write!(f, "the private key on line {number} is encrypted: store it without a passphrase")
            }
            Self::Pem { number, error: pem::Error::Base64Decode(_) } => {
                write!(f, "invalid base64 in the section on line {number}")
            }
            Self::Pem { number, error } => write!(f, "invalid section on line {number} ({error})"),
            Self::NotAnAnchor { number, error } => {
                write!(f, "certificate {number} is not usable as a trust anchor ({error})")
            }
        }
    }
}

const KEYS: [&str; 3] = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
/// Characters of a line that is taken for base64: RFC 7468 §2 has 64 in each but the last.
const MIN_DATA: usize = 60;
/// Characters of a line that an error shows: two joined lines fit.
const MAX_SHOWN: usize = 80;
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
