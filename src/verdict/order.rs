//! Orders the presented certificates by their distance from the leaf. Servers also send roots, duplicates and unrelated
//! certificates, which must not use up the limits on certificates and work.

use std::collections::HashSet;
use std::sync::Arc;

use super::certificate::Certificate;

/// The presented certificates that may be on a path, leaf first, then in breadth-first order of issuers.
#[derive(Debug)]
pub(super) struct OrderedChain {
    /// Without duplicates.
    pub(super) certificates: Vec<Arc<Certificate>>,
    /// Whether certificates were left out because there were too many.
    pub(super) is_truncated: bool,
}

impl OrderedChain {
    /// Follows the issuer names from the leaf of `chain` upwards. Certificates that cannot be parsed come last: each of
    /// them may be the issuer of any other.
    pub(super) fn new(chain: &[Arc<Certificate>]) -> Self {
        let names: Vec<_> =
            chain.iter().map(|certificate| certificate.subject_der().zip(certificate.issuer_der())).collect();
        let mut order: Vec<usize> = chain.first().map(|_| 0).into_iter().collect();
        let mut taken: HashSet<[u8; 32]> = chain.first().map(|leaf| leaf.fingerprint()).into_iter().collect();
        let mut take = |order: &mut Vec<usize>, index: usize| {
            if chain.get(index).is_some_and(|certificate| taken.insert(certificate.fingerprint())) {
                order.push(index);
            }
        };
        let mut next = 0;
        while let Some(head) = order.get(next) {
            next += 1;
            let Some((_, issuer)) = names.get(*head).copied().flatten() else { continue };
            let above =
                names.iter().enumerate().filter(|(_, names)| names.is_some_and(|(subject, _)| subject == issuer));
            above.for_each(|(index, _)| take(&mut order, index));
        }
        let unparsed = names.iter().enumerate().filter(|(_, names)| names.is_none());
        unparsed.for_each(|(index, _)| take(&mut order, index));
        let certificates = order.iter().take(MAX_CERTIFICATES).filter_map(|index| chain.get(*index).cloned());
        Self { certificates: certificates.collect(), is_truncated: order.len() > MAX_CERTIFICATES }
    }
}

const MAX_CERTIFICATES: usize = 64;

#[cfg(test)]
mod tests {
    use smtp_fleet::{Authority, AuthoritySpec, CertSpec, Issuer, Pki};

    use super::*;

    fn certificate(authority: &Authority) -> Arc<Certificate> {
        Arc::new(Certificate::new(authority.der().clone()))
    }

    #[track_caller]
    fn check(presented: &[&Arc<Certificate>], expected: &[&Arc<Certificate>], is_truncated: bool) {
        let presented: Vec<_> = presented.iter().copied().cloned().collect();
        let found = OrderedChain::new(&presented);
        let fingerprints = |certificates: &mut dyn Iterator<Item = &Arc<Certificate>>| -> Vec<_> {
            certificates.map(|certificate| certificate.fingerprint()).collect()
        };
        assert_eq!(fingerprints(&mut found.certificates.iter()), fingerprints(&mut expected.iter().copied()));
        assert_eq!(found.is_truncated, is_truncated);
    }

    #[test]
    fn follows_issuer_names_from_the_leaf() {
        let pki = Pki::new();
        let upper = pki.root().sub(&AuthoritySpec::named("Upper"));
        let lower = upper.sub(&AuthoritySpec::named("Lower"));
        let same_name = pki.root().sub(&AuthoritySpec::named("Lower"));
        let unrelated = pki.root().sub(&AuthoritySpec::named("Unrelated"));
        let leaf = pki.issue(&CertSpec::valid_for(&["a.example"]).with_issuer(Issuer::Authority(lower.clone())));
        let leaf = Arc::new(Certificate::new(leaf.leaf_der().clone()));
        let [upper, lower, same_name, unrelated, root] =
            [&upper, &lower, &same_name, &unrelated, pki.root()].map(certificate);
        let garbage = Arc::new(Certificate::new(b"garbage".to_vec().into()));
        check(&[], &[], false);
        check(&[&leaf], &[&leaf], false);
        check(&[&leaf, &lower, &upper], &[&leaf, &lower, &upper], false);
        check(&[&leaf, &garbage, &root, &upper, &lower], &[&leaf, &lower, &upper, &root, &garbage], false);
        check(&[&leaf, &unrelated, &lower, &leaf, &lower, &same_name], &[&leaf, &lower, &same_name], false);
        check(&[&leaf, &unrelated, &upper], &[&leaf], false);
        check(&[&garbage, &root], &[&garbage], false);
    }

    #[test]
    fn keeps_at_most_64_certificates() {
        let pki = Pki::new();
        let same_name: Vec<_> =
            (0..70).map(|_| certificate(&pki.root().sub(&AuthoritySpec::named("Fleet Intermediate")))).collect();
        let leaf = Arc::new(Certificate::new(pki.issue(&CertSpec::valid_for(&["a.example"])).leaf_der().clone()));
        let presented: Vec<_> = std::iter::once(&leaf).chain(&same_name).collect();
        check(&presented, &presented[..64], true);
        check(&presented[..64], &presented[..64], false);
    }
}
