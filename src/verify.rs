//! Judges a chain in a file as the exporter judges a presented one. Nobody proves here that he holds the key, and no
//! OCSP response is stapled: neither is asked for.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls_pki_types::{CertificateDer, TrustAnchor};

use crate::observation::PresentedChain;
use crate::target::ServerName;
use crate::trust::TrustStore;
use crate::trust::anchors::{self, NoSystemRoots, PemFileError, Roots};
use crate::verdict::{AssessmentInput, Judge, JudgedChain, NameVerdict, Reasons, name, unix};

/// What to judge, and by what.
#[derive(Clone, Debug)]
pub struct Request {
    /// The names that clients ask for; at least one.
    pub names: Vec<ServerName>,
    /// The moment to judge at.
    pub at: SystemTime,
    /// The chain as PEM, leaf first; `-` is standard input.
    pub chain: PathBuf,
    /// PEM files of roots.
    pub ca_files: Vec<PathBuf>,
    /// Whether this machine's roots are trusted, too.
    pub system_roots: bool,
}

/// What is concluded of a chain in a file.
#[derive(Debug)]
pub struct Verification {
    /// The moment it was judged at, Unix seconds.
    pub at: i64,
    /// Each name in the order of the request; no verdict where the leaf cannot be parsed.
    pub names: Vec<(ServerName, Option<NameVerdict>)>,
    /// The certificates, leaf first.
    pub chain: Arc<JudgedChain>,
    /// Whether a path leads to a root, time set aside; none where that cannot be decided.
    pub trusted: Option<bool>,
    /// Whether a path leads to a root at the moment.
    pub valid: bool,
    /// All that is wrong with the chain at the moment.
    pub reasons: Reasons,
    /// The earliest end of validity in the file, Unix seconds.
    pub not_after: Option<i64>,
    /// The earliest end of validity on the verified path, Unix seconds.
    pub verified_not_after: Option<i64>,
}

impl Verification {
    /// Whether every name matches and nothing is wrong with the chain.
    pub fn is_ok(&self) -> bool {
        let names_match = self.names.iter().all(|(_, verdict)| verdict.is_some_and(NameVerdict::is_match));
        names_match && self.valid && self.reasons.is_empty()
    }
}

/// Reads the files and judges.
///
/// # Errors
/// When nothing can be judged: a file cannot be read, there is no root to judge by, no name to judge for.
pub fn verify(request: &Request) -> Result<Verification, VerifyError> {
    let anchors = roots(request.system_roots, &request.ca_files)?;
    let certificates = chain(&request.chain)?;
    conclude(certificates, &request.names, &TrustStore::new("verify", anchors), request.at)
}

/// This machine's roots, where they are wanted, and those in PEM files.
///
/// # Errors
/// When there is none, or a file has none.
pub fn roots(system_roots: bool, ca_files: &[PathBuf]) -> Result<Vec<TrustAnchor<'static>>, VerifyError> {
    if !system_roots && ca_files.is_empty() {
        return Err(VerifyError::NoRoots);
    }
    let mut found = if system_roots { Roots::System.load().map_err(VerifyError::NoSystemRoots)? } else { Vec::new() };
    for file in ca_files {
        found.extend(anchors::from_file(file).map_err(VerifyError::CaFile)?);
    }
    Ok(found)
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, VerifyError> {
    let found = if path == Path::new("-") {
        anchors::certificates_from(io::stdin().lock(), Path::new("standard input"))
    } else {
        anchors::certificates(path)
    };
    found.map_err(VerifyError::Chain)
}

fn conclude(
    certificates: Vec<CertificateDer<'static>>,
    names: &[ServerName],
    trust: &TrustStore,
    at: SystemTime,
) -> Result<Verification, VerifyError> {
    let server_name = names.first().ok_or(VerifyError::NoName)?;
    let presented = PresentedChain { certificates, staple: Box::default() };
    let input = AssessmentInput { server_name, expect_names: &[], ehlo_name: None, trust, known: None };
    let assessment = Judge::default().assess(presented, None, &input, at);
    let facts = assessment.leaf().and_then(|leaf| leaf.facts());
    let judged = |reference: &ServerName| facts.map(|facts| name::judge(reference, facts));
    let (verdict, now) = (assessment.chain.verdict(), unix(at));
    Ok(Verification {
        at: now,
        names: names.iter().map(|reference| (reference.clone(), judged(reference))).collect(),
        trusted: verdict.trusted(),
        valid: verdict.valid(now),
        reasons: verdict.reasons(now),
        not_after: verdict.earliest_not_after(),
        verified_not_after: verdict.verified_not_after(now),
        chain: assessment.chain,
    })
}

/// Why nothing could be judged.
#[derive(Debug)]
pub enum VerifyError {
    /// Neither this machine's roots nor others are trusted.
    NoRoots,
    /// This machine has no roots.
    NoSystemRoots(NoSystemRoots),
    /// A file of roots is no such file.
    CaFile(PemFileError),
    /// The file of the chain is no such file.
    Chain(PemFileError),
    /// No name is asked for.
    NoName,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoots => f.write_str("no roots to judge by: --no-system-roots needs a --ca-file"),
            Self::NoSystemRoots(error) => write!(f, "{error}: give a --ca-file and --no-system-roots"),
            Self::CaFile(error) => write!(f, "no roots can be taken from {error}"),
            Self::Chain(error) => write!(f, "no chain can be taken from {error}"),
            Self::NoName => f.write_str("no name to judge for"),
        }
    }
}

impl std::error::Error for VerifyError {}
