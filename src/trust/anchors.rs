//! Loads the roots of trust stores: this machine's, Mozilla's, and certificates in PEM files.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor};

use crate::file;

/// The roots that a trust store begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Those of this machine.
    System,
    /// Mozilla's, as they were when this program was built.
    Mozilla,
    /// None.
    None,
}

impl Roots {
    /// The word in the config.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Mozilla => "mozilla",
            Self::None => "none",
        }
    }

    /// Loads them.
    ///
    /// # Errors
    /// When this machine has no root that can be used: every chain would be untrusted, and nobody would know why.
    pub fn load(self) -> Result<Vec<TrustAnchor<'static>>, NoSystemRoots> {
        match self {
            Self::System => system(),
            Self::Mozilla => Ok(webpki_roots::TLS_SERVER_ROOTS.to_vec()),
            Self::None => Ok(Vec::new()),
        }
    }
}

fn system() -> Result<Vec<TrustAnchor<'static>>, NoSystemRoots> {
    let found = rustls_native_certs::load_native_certs();
    // One odd certificate among a system's hundred must not cost the others.
    let anchors: Vec<_> = found.certs.iter().filter_map(|certificate| anchor(certificate).ok()).collect();
    if anchors.is_empty() {
        return Err(NoSystemRoots { error: found.errors.first().map(ToString::to_string) });
    }
    Ok(anchors)
}

/// The certificates of a PEM file as roots.
///
/// # Errors
/// When the file cannot be read, or holds no certificate or one that cannot be a root.
pub fn from_file(path: &Path) -> Result<Vec<TrustAnchor<'static>>, PemFileError> {
    let usable = |(index, certificate): (usize, &CertificateDer<'_>)| {
        let number = index + 1;
        anchor(certificate).map_err(|error| PemFileError::new(path, PemFault::NoRoot { number, error }))
    };
    certificates(path)?.iter().enumerate().map(usable).collect()
}

/// The certificates of a PEM file in their order, at least one; what else is in the file is passed over.
///
/// # Errors
/// When the file cannot be read or holds no certificate.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemFileError> {
    certificates_in(path, file::read(path, MAX_FILE))
}

/// Likewise of what `input` gives, which is told as `name` where something is wrong.
///
/// # Errors
/// When it cannot be read or holds no certificate.
pub fn certificates_from(input: impl Read, name: &Path) -> Result<Vec<CertificateDer<'static>>, PemFileError> {
    certificates_in(name, file::read_from(input, MAX_FILE))
}

fn certificates_in(name: &Path, bytes: io::Result<Vec<u8>>) -> Result<Vec<CertificateDer<'static>>, PemFileError> {
    let fault = |fault| PemFileError::new(name, fault);
    let bytes = bytes.map_err(|error| fault(PemFault::Io(error)))?;
    let found = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| fault(PemFault::Pem(error)))?;
    if found.is_empty() {
        return Err(fault(if bytes.trim_ascii().is_empty() { PemFault::Empty } else { PemFault::NoCertificate }));
    }
    Ok(found)
}

/// The first private key in a PEM file (PKCS #8, PKCS #1 or SEC 1), not looked into.
///
/// # Errors
/// When the file cannot be read or holds no key.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemFileError> {
    let fault = |fault| PemFileError::new(path, fault);
    let bytes = file::read(path, MAX_FILE).map_err(|error| fault(PemFault::Io(error)))?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        fault(match error {
            pem::Error::NoItemsFound if bytes.trim_ascii().is_empty() => PemFault::Empty,
            pem::Error::NoItemsFound => PemFault::NoKey,
            error => PemFault::Pem(error),
        })
    })
}

fn anchor(certificate: &CertificateDer<'_>) -> Result<TrustAnchor<'static>, webpki::Error> {
    webpki::anchor_from_trusted_cert(certificate).map(|anchor| anchor.to_owned())
}

/// This machine has no root certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSystemRoots {
    error: Option<String>,
}

impl fmt::Display for NoSystemRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no root certificates on this machine")?;
        self.error.iter().try_for_each(|error| write!(f, " ({error})"))
    }
}

impl std::error::Error for NoSystemRoots {}

/// A PEM file, and what is wrong with it.
#[derive(Debug)]
pub struct PemFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub fault: PemFault,
}

impl PemFileError {
    fn new(path: &Path, fault: PemFault) -> Self {
        Self { path: path.to_owned(), fault }
    }
}

impl fmt::Display for PemFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.path.display(), self.fault)
    }
}

impl std::error::Error for PemFileError {}

/// What is wrong with a PEM file.
#[derive(Debug)]
pub enum PemFault {
    /// It cannot be read.
    Io(io::Error),
    /// Nothing in it.
    Empty,
    /// No certificate in it.
    NoCertificate,
    /// No private key in it.
    NoKey,
    /// A section that begins as PEM, but is none.
    Pem(pem::Error),
    /// A certificate that cannot be a root.
    NoRoot {
        /// Which one of the file, counted from 1.
        number: usize,
        /// Why.
        error: webpki::Error,
    },
}

/// A clause that goes on after the file's name.
impl fmt::Display for PemFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => match error.kind() {
                io::ErrorKind::NotFound => f.write_str("which does not exist"),
                io::ErrorKind::IsADirectory => f.write_str("which is a directory"),
                io::ErrorKind::PermissionDenied => f.write_str("which this user may not read"),
                io::ErrorKind::FileTooLarge => f.write_str("which has more than 16 MiB"),
                _ => write!(f, "which cannot be read ({error})"),
            },
            Self::Empty => f.write_str("which is empty"),
            Self::NoCertificate => f.write_str("in which no PEM certificate is"),
            Self::NoKey => f.write_str("in which no PEM private key is"),
            Self::Pem(error) => write!(f, "which is broken PEM ({})", pem_reason(error)),
            Self::NoRoot { number, error } => write!(f, "whose certificate {number} cannot be a root ({error:?})"),
        }
    }
}

/// The library prints marker lines as lists of byte values.
fn pem_reason(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section without its END line".to_owned(),
        pem::Error::IllegalSectionStart { line } => format!("the line {}", String::from_utf8_lossy(line).trim_end()),
        pem::Error::Base64Decode(_) => "a section that is not base64".to_owned(),
        error => error.to_string(),
    }
}

/// Octets of a PEM file that are read.
const MAX_FILE: u64 = 16 * 1024 * 1024;
