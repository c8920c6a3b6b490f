//! Which of the presented certificates may stand on a path. Servers send roots, duplicates and what they were given
//! years ago; none of that may take the place of what is needed, or the time.

use std::collections::HashSet;
use std::sync::Arc;

use super::certificate::Certificate;

/// Presented certificates, leaf first, those nearer to it before the others.
#[derive(Debug)]
pub(super) struct Candidates {
    /// Each once.
    pub(super) certificates: Vec<Arc<Certificate>>,
    /// There are more than are looked at.
    pub(super) are_cut: bool,
}

impl Candidates {
    /// Follows the names of issuers from the leaf of `chain` upwards. What cannot be read comes last: nobody knows
    /// whose it is.
    pub(super) fn of(chain: &[Arc<Certificate>]) -> Self {
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
        let unread = names.iter().enumerate().filter(|(_, names)| names.is_none());
        unread.for_each(|(index, _)| take(&mut order, index));
        let certificates = order.iter().take(MAX_CERTIFICATES).filter_map(|index| chain.get(*index).cloned());
        Self { certificates: certificates.collect(), are_cut: order.len() > MAX_CERTIFICATES }
    }
}

/// Certificates that are looked at.
const MAX_CERTIFICATES: usize = 64;

#[cfg(test)]
mod tests {
    use smtp_fleet::{Authority, AuthoritySpec, CertSpec, Issuer, Pki};

    use super::*;

    fn certificate(authority: &Authority) -> Arc<Certificate> {
        Arc::new(Certificate::new(authority.der().clone()))
    }

    #[track_caller]
    fn check(presented: &[&Arc<Certificate>], expected: &[&Arc<Certificate>], are_cut: bool) {
        let presented: Vec<_> = presented.iter().copied().cloned().collect();
        let found = Candidates::of(&presented);
        let prints = |certificates: &mut dyn Iterator<Item = &Arc<Certificate>>| -> Vec<_> {
            certificates.map(|certificate| certificate.fingerprint()).collect()
        };
        assert_eq!(prints(&mut found.certificates.iter()), prints(&mut expected.iter().copied()));
        assert_eq!(found.are_cut, are_cut);
    }

    #[test]
    fn issuers_are_followed_by_name() {
        let pki = Pki::new();
        let upper = pki.root().sub(&AuthoritySpec::named("Upper"));
        let lower = upper.sub(&AuthoritySpec::named("Lower"));
        let twin = pki.root().sub(&AuthoritySpec::named("Lower"));
        let stray = pki.root().sub(&AuthoritySpec::named("Stray"));
        let leaf = pki.issue(&CertSpec::valid_for(&["a.example"]).with_issuer(Issuer::Authority(lower.clone())));
        let leaf = Arc::new(Certificate::new(leaf.leaf_der().clone()));
        let [upper, lower, twin, stray, root] = [&upper, &lower, &twin, &stray, pki.root()].map(certificate);
        let noise = Arc::new(Certificate::new(b"noise".to_vec().into()));
        check(&[], &[], false);
        check(&[&leaf], &[&leaf], false);
        check(&[&leaf, &lower, &upper], &[&leaf, &lower, &upper], false);
        check(&[&leaf, &noise, &root, &upper, &lower], &[&leaf, &lower, &upper, &root, &noise], false);
        check(&[&leaf, &stray, &lower, &leaf, &lower, &twin], &[&leaf, &lower, &twin], false);
        check(&[&leaf, &stray, &upper], &[&leaf], false);
        check(&[&noise, &root], &[&noise], false);
    }

    #[test]
    fn their_number_is_bounded() {
        let pki = Pki::new();
        let namesakes: Vec<_> =
            (0..70).map(|_| certificate(&pki.root().sub(&AuthoritySpec::named("Fleet Intermediate")))).collect();
        let leaf = Arc::new(Certificate::new(pki.issue(&CertSpec::valid_for(&["a.example"])).leaf_der().clone()));
        let presented: Vec<_> = std::iter::once(&leaf).chain(&namesakes).collect();
        check(&presented, &presented[..64], true);
        check(&presented[..64], &presented[..64], false);
    }
}
