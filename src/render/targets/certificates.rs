//! Every certificate that the backends of a target presented. Equal chains are printed once.

use std::sync::Arc;
use std::time::SystemTime;

use crate::render::table::certificate;
use crate::render::wrap::hanging_in;
use crate::snapshot::TargetReport;
use crate::target::Backend;
use crate::verdict::{Certificate, unix};

pub(super) fn write(out: &mut String, report: &TargetReport, now: SystemTime, columns: usize) {
    for (chain, backends) in chains(report) {
        let addresses: Vec<String> = backends.iter().map(|backend| backend.socket_addr().to_string()).collect();
        out.push('\n');
        hanging_in(out, columns, "  CERTIFICATES of ", &addresses.join(", "));
        for (index, each) in chain.iter().enumerate() {
            let note = if index == 0 { "server certificate" } else { "" };
            hanging_in(out, columns, &format!("  {}  ", index + 1), note);
            certificate(out, each, unix(now), columns);
        }
    }
}

/// The presented chains, each with the backends that presented it.
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
