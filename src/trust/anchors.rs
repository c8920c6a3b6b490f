//! Loads trust anchors from the system, from Mozilla's root program and from PEM files; loads certificates and private
//! keys from PEM files.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor};

use crate::file;

/// The set of roots that a trust store starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roots {
    /// The root certificates of this host (`SSL_CERT_FILE`, `SSL_CERT_DIR` or the distribution's store).
    System,
    /// Mozilla's root certificates at the time of the build.
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
    pub fn load(self) -> Result<Vec<TrustAnchor<'static>>, NoSystemRoots> {
        match self {
            Self::System => system(),
            Self::Mozilla => Ok(webpki_roots::TLS_SERVER_ROOTS.to_vec()),
            Self::None => Ok(Vec::new()),
        }
    }
}

/// The files and directories that the root certificates of this host are read from.
pub fn system_paths() -> impl Iterator<Item = PathBuf> {
    let found = openssl_probe::probe();
    found.cert_file.into_iter().chain(found.cert_dir)
}

fn system() -> Result<Vec<TrustAnchor<'static>>, NoSystemRoots> {
    // Opening a FIFO would wait forever.
    if let Some(path) = system_paths().find(|path| path.exists() && !path.is_file() && !path.is_dir()) {
        return Err(NoSystemRoots { error: Some(format!("{}: not a regular file", path.display())) });
    }
    let found = rustls_native_certs::load_native_certs();
    // A malformed certificate in the system's store must not make the others unusable.
    let anchors: Vec<_> = found.certs.iter().filter_map(|certificate| anchor(certificate).ok()).collect();
    if anchors.is_empty() {
        return Err(NoSystemRoots { error: found.errors.first().map(ToString::to_string) });
    }
    Ok(anchors)
}

/// The certificates of a PEM file as trust anchors.
///
/// # Errors
/// If the file cannot be read, has no certificate, or one that is not usable as a trust anchor.
pub fn from_file(path: &Path) -> Result<Vec<TrustAnchor<'static>>, PemFileError> {
    let usable = |(index, certificate): (usize, &CertificateDer<'_>)| {
        let number = index + 1;
        anchor(certificate).map_err(|error| PemFileError::new(path, PemFault::NotAnAnchor { number, error }))
    };
    certificates(path)?.iter().enumerate().map(usable).collect()
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
    let fault = |fault| PemFileError::new(name, fault);
    let bytes = bytes.map_err(|error| fault(PemFault::Io(error)))?;
    let bytes = sections(&bytes).map_err(fault)?;
    let found = CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| fault(PemFault::Pem(error)))?;
    if found.is_empty() {
        return Err(fault(if bytes.trim_ascii().is_empty() { PemFault::Empty } else { PemFault::NoCertificate }));
    }
    Ok(found)
}

/// The first private key in a PEM file (PKCS #8, PKCS #1 or SEC 1), which is not parsed.
///
/// # Errors
/// If the file cannot be read, is not valid PEM, or has no private key.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemFileError> {
    let fault = |fault| PemFileError::new(path, fault);
    let bytes = file::read(path, MAX_FILE_BYTES).map_err(|error| fault(PemFault::Io(error)))?;
    let bytes = sections(&bytes).map_err(fault)?;
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| {
        fault(match error {
            pem::Error::NoItemsFound if bytes.trim_ascii().is_empty() => PemFault::Empty,
            pem::Error::NoItemsFound => PemFault::NoKey,
            error => PemFault::Pem(error),
        })
    })
}

/// The text without a byte order mark, after a check that the parser skips no section: it ignores lines that are not exactly
/// a BEGIN or END line, and drops a section that another one interrupts.
fn sections(bytes: &[u8]) -> Result<&[u8], PemFault> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut open: Option<String> = None;
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line.trim_ascii_end());
        if !(line.contains("-BEGIN ") || line.contains("-END ")) {
            continue;
        }
        let label = |start| line.strip_prefix(start)?.strip_suffix("-----").filter(|label| !label.contains("--"));
        let is_expected = match (label("-----BEGIN "), label("-----END "), open.take()) {
            (Some(label), None, None) if !UNSUPPORTED.contains(&label) => {
                open = Some(label.to_owned());
                true
            }
            (None, Some(label), Some(begun)) => label == begun,
            _ => false,
        };
        if !is_expected {
            return Err(PemFault::UnexpectedLine { number: index + 1, line: line.into_owned() });
        }
    }
    Ok(bytes)
}

fn anchor(certificate: &CertificateDer<'_>) -> Result<TrustAnchor<'static>, webpki::Error> {
    webpki::anchor_from_trusted_cert(certificate).map(|anchor| anchor.to_owned())
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
    /// A section of the file is not valid PEM.
    Pem(pem::Error),
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
            Self::Pem(error) => write!(f, "invalid PEM ({})", pem_reason(error)),
            Self::NotAnAnchor { number, error } => {
                write!(f, "certificate {number} is not usable as a trust anchor ({error})")
            }
        }
    }
}

/// Like the `Display` of [`pem::Error`], which prints lines as lists of byte values.
fn pem_reason(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no END line".to_owned(),
        pem::Error::IllegalSectionStart { line } => {
            format!("unexpected line {}", String::from_utf8_lossy(line).trim_end())
        }
        pem::Error::Base64Decode(_) => "a section is not base64".to_owned(),
        error => error.to_string(),
    }
}

/// Sections that contain certificates in other formats.
const UNSUPPORTED: [&str; 4] = ["TRUSTED CERTIFICATE", "X509 CERTIFICATE", "PKCS7", "CMS"];
/// Characters of a line that an error shows: two joined lines fit.
const MAX_SHOWN: usize = 80;
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
