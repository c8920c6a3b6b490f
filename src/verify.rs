//! Verdicts on a certificate chain in a file. Unlike for a presented chain, there is no key proof and no stapled OCSP
//! response.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls_pki_types::CertificateDer;
use thiserror::Error;

use crate::observation::PresentedChain;
use crate::target::ServerName;
use crate::trust::anchors::{self, NoSystemRoots, PemFileError, Roots};
use crate::trust::{Root, TrustStore};
use crate::verdict::{AssessmentInput, Judge, JudgedChain, NameVerdict, Reasons, Warnings, name, unix};

/// What to verify, and against which names and roots.
#[derive(Clone, Debug)]
pub struct Request {
    /// The reference identifiers; at least one.
    pub names: Vec<ServerName>,
    /// The time of the verdicts.
    pub at: SystemTime,
    /// A PEM file with the chain, leaf first; `-` is standard input.
    pub chain: PathBuf,
    /// PEM files with trusted roots.
    pub ca_files: Vec<PathBuf>,
    /// Whether to also trust the system's roots.
    pub system_roots: bool,
}

/// The verdicts on a chain in a file.
#[derive(Debug)]
pub struct Verification {
    /// The time of the verdicts, Unix seconds.
    pub at: i64,
    /// The names of the request in order. No verdict if the leaf cannot be parsed.
    pub names: Vec<(ServerName, Option<NameVerdict>)>,
    /// The certificates, leaf first.
    pub chain: Arc<JudgedChain>,
    /// See [`crate::verdict::ChainVerdict::trusted`].
    pub trusted: Option<bool>,
    /// Whether a path verifies up to a trusted root at that time.
    pub valid: bool,
    /// Everything that is wrong with the chain at that time.
    pub reasons: Reasons,
    /// What some senders refuse at that time although the chain is valid.
    pub warnings: Warnings,
    /// The position of the server certificate in the file, from 1, if the first certificate is an issuer instead: servers and
    /// this verification take the first one (RFC 8446 §4.4.2).
    pub leaf_position: Option<usize>,
    /// The earliest notAfter in the file, Unix seconds.
    pub not_after: Option<i64>,
    /// The earliest notAfter on the verified path, the root included, Unix seconds.
    pub verified_not_after: Option<i64>,
}

impl Verification {
    /// Whether every name matches and the chain is valid.
    pub fn is_ok(&self) -> bool {
        let names_match = self.names.iter().all(|(_, verdict)| verdict.is_some_and(NameVerdict::is_match));
        names_match && self.valid && self.reasons.is_empty()
    }
}

/// Reads the files and verifies the chain.
///
/// # Errors
/// If a file cannot be read, or there is no root or no name.
pub fn verify(request: &Request) -> Result<Verification, VerifyError> {
    let anchors = roots(request.system_roots, &request.ca_files)?;
    let certificates = chain(&request.chain)?;
    assess(certificates, &request.names, &TrustStore::new("verify", anchors), request.at)
}

/// The system's roots, if `system_roots` is set, and those in PEM files.
///
/// # Errors
/// If no roots are selected, the system has none, or a file cannot be read or has no usable root.
pub fn roots(system_roots: bool, ca_files: &[PathBuf]) -> Result<Vec<Root>, VerifyError> {
    if !system_roots && ca_files.is_empty() {
        return Err(VerifyError::NoRoots);
    }
    let mut anchors = if system_roots { Roots::System.load().map_err(VerifyError::NoSystemRoots)? } else { Vec::new() };
    for file in ca_files {
        anchors.extend(anchors::from_file(file).map_err(VerifyError::CaFile)?);
    }
    Ok(anchors)
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, VerifyError> {
    let found = if path == Path::new("-") {
        anchors::certificates_from(Ok(io::stdin().lock()), Path::new("standard input"))
    } else {
        // It may be a pipe.
        anchors::certificates_from(File::open(path), path)
    };
    found.map_err(VerifyError::Chain)
}

fn assess(
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
    let verdict_on = |reference: &ServerName| facts.map(|facts| name::judge(reference, facts));
    let (verdict, now) = (assessment.chain.verdict(), unix(at));
    Ok(Verification {
        at: now,
        names: names.iter().map(|reference| (reference.clone(), verdict_on(reference))).collect(),
        trusted: verdict.trusted(),
        valid: verdict.valid(now),
        reasons: verdict.reasons(now),
        warnings: verdict.warnings(now),
        not_after: verdict.earliest_not_after(),
        verified_not_after: verdict.verified_not_after(now),
        leaf_position: leaf_position(&assessment.chain),
        chain: assessment.chain,
    })
}

fn leaf_position(chain: &JudgedChain) -> Option<usize> {
    let all: Vec<_> = chain.certificates().iter().filter_map(|certificate| certificate.facts()).collect();
    let is_issuer = |at: usize| {
        let subject = all.get(at)?.subject();
        let mut others = all.iter().enumerate().filter(|(other, _)| *other != at);
        others.any(|(_, other)| other.issuer() == subject).then_some(())
    };
    is_issuer(0)?;
    (1..all.len()).find(|at| is_issuer(*at).is_none()).map(|at| at + 1)
}

/// Why a chain cannot be verified.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// Neither the system's roots nor any others are trusted.
    #[error("no trusted roots: --no-system-roots requires --ca-file")]
    NoRoots,
    /// The system has no roots.
    #[error("{0}: use --ca-file and --no-system-roots")]
    NoSystemRoots(NoSystemRoots),
    /// A file with trusted roots is unusable.
    #[error("cannot load trusted roots: {0}")]
    CaFile(PemFileError),
    /// The file with the chain is unusable.
    #[error("cannot load certificate chain: {0}")]
    Chain(PemFileError),
    /// The request has no name.
    #[error("no host name given")]
    NoName,
}
