//! Every certificate that a target's backends presented; equal chains once.

use std::sync::Arc;
use std::time::SystemTime;

use crate::render::table::certificate;
use crate::render::wrap::hanging_in;
use crate::snapshot::TargetReport;
use crate::target::Backend;
use crate::verdict::{Certificate, unix};

pub(super) fn write(out: &mut String, report: &TargetReport, now: SystemTime, columns: usize) {
    for (chain, backends) in chains(report) {
        let places: Vec<String> = backends.iter().map(|backend| backend.socket_addr().to_string()).collect();
        out.push('\n');
        hanging_in(out, columns, "  CERTIFICATES of ", &places.join(", "));
        for (number, each) in chain.iter().enumerate() {
            hanging_in(out, columns, &format!("  {}  ", number + 1), if number == 0 { "the server's own" } else { "" });
            certificate(out, each, unix(now), columns);
        }
    }
}

/// The presented chains, each with those that presented it.
fn chains(report: &TargetReport) -> Vec<(&[Arc<Certificate>], Vec<&Backend>)> {
    let mut chains: Vec<(&[Arc<Certificate>], Vec<&Backend>)> = Vec::new();
    for backend in report.backends() {
        let Some(last) = &backend.last_certificate else { continue };
        let chain = last.assessment.chain.certificates();
        let same = |known: &[Arc<Certificate>]| {
            let prints = |chain: &[Arc<Certificate>]| chain.iter().map(|each| each.fingerprint()).collect::<Vec<_>>();
            prints(known) == prints(chain)
        };
        match chains.iter_mut().find(|(known, _)| same(known)) {
            Some((_, backends)) => backends.push(&backend.backend),
            None => chains.push((chain, vec![&backend.backend])),
        }
    }
    chains
}
