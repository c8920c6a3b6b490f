//! Chains that fit into the certificate message of TLS and are made to be expensive to judge: all exceed the budget.

use rustls_pki_types::CertificateDer;
use smtp_fleet::Extension;
use smtp_fleet::x509::{CertBuilder, GeneralName, Key, KeyAlgorithm, Name, Time};

/// An expensive chain, leaf first.
pub(super) struct HostileChain {
    pub(super) what: &'static str,
    pub(super) certificates: Vec<CertificateDer<'static>>,
    /// The only trusted root.
    pub(super) root: CertificateDer<'static>,
}

/// The length limit of a certificate message in rustls.
pub(super) const MESSAGE_LIMIT: usize = 64 * 1024;

pub(super) fn all() -> Vec<HostileChain> {
    vec![
        levels("three levels of same names", &[12, 12, 12, 26]),
        levels("two levels of same names", &[31, 31]),
        levels("seven levels of same names", &[9, 9, 9, 9, 9, 9, 8]),
        one_name("one name", KeyAlgorithm::P256),
        one_name("one name, large keys", KeyAlgorithm::P521),
        under_the_root("fakes under the root", KeyAlgorithm::P384, 62),
        under_a_trusted_ca("fakes under a trusted CA", 1, &[4, 13, 40]),
        under_a_trusted_ca("fakes under six trusted CAs", 6, &[55]),
        self_signed(),
        constrained("names within constraints", false),
        constrained("names of other kinds than the constraints", true),
        constrained_by_the_root_holder(),
        purposes(),
        extensions(),
        garbage(),
        long_names(),
    ]
}

/// Levels of CAs under each other.
fn levels(what: &'static str, sizes: &[usize]) -> HostileChain {
    let key = Key::generate(KeyAlgorithm::P256);
    let leaf = leaf(&[]).sign(&key, &Name::common("Level 0"), &key);
    new(what, [vec![leaf], cross_signed(sizes)].concat(), root(&key))
}

/// CAs of the same name on each level: every path through the levels is possible by name. Each starts to be valid on
/// another day.
pub(super) fn cross_signed(sizes: &[usize]) -> Vec<CertificateDer<'static>> {
    let key = Key::generate(KeyAlgorithm::P256);
    let mut certificates = Vec::new();
    for (level, size) in sizes.iter().enumerate() {
        let issuer = Name::common(&format!("Level {}", level + 1));
        certificates.extend((0..*size).map(|number| {
            let ca = ca(&format!("Level {level}"), level * 20 + number);
            ca.sign(&Key::generate(KeyAlgorithm::P256), &issuer, &key)
        }));
    }
    certificates
}

/// CAs that have one name, as has their issuer: each may be the issuer of each other.
fn one_name(what: &'static str, algorithm: KeyAlgorithm) -> HostileChain {
    let key = Key::generate(algorithm);
    let name = Name::common("X");
    let mut certificates = vec![leaf(&[]).sign(&key, &name, &key)];
    let others = (0..62).map(|number| ca("X", number).sign(&Key::generate(algorithm), &name, &key));
    certificates.extend(others);
    new(what, certificates, root(&key))
}

/// CAs that claim to be issued by the root and are not.
fn under_the_root(what: &'static str, algorithm: KeyAlgorithm, count: usize) -> HostileChain {
    let key = Key::generate(algorithm);
    let mut certificates = vec![leaf(&[]).sign(&key, &Name::common("X"), &key)];
    certificates
        .extend((0..count).map(|number| ca("X", number).sign(&Key::generate(algorithm), &Name::common(ROOT), &key)));
    new(what, certificates, root(&Key::generate(algorithm)))
}

/// Levels of CAs under `depth` CAs that the root did certify.
fn under_a_trusted_ca(what: &'static str, depth: usize, sizes: &[usize]) -> HostileChain {
    let root_key = Key::generate(KeyAlgorithm::P384);
    let (mut key, mut name) = (root_key.clone(), Name::common(ROOT));
    let mut trusted = Vec::new();
    for level in 0..depth {
        let (below, text) = (Key::generate(KeyAlgorithm::P384), format!("Trusted {level}"));
        trusted.push(ca(&text, 0).sign(&below, &name, &key));
        (key, name) = (below, Name::common(&text));
    }
    let own = Key::generate(KeyAlgorithm::P384);
    let mut certificates = vec![leaf(&[]).sign(&own, &Name::common("Level 0"), &own)];
    for (level, size) in sizes.iter().enumerate() {
        let is_top = level + 1 == sizes.len();
        let issuer = if is_top { name.clone() } else { Name::common(&format!("Level {}", level + 1)) };
        certificates.extend((0..*size).map(|number| {
            ca(&format!("Level {level}"), level * 20 + number).sign(&own, &issuer, if is_top { &key } else { &own })
        }));
    }
    certificates.extend(trusted);
    new(what, certificates, root(&root_key))
}

/// Certificates signed with their own keys.
fn self_signed() -> HostileChain {
    let certificates = (0..200).map(|number| {
        let mut ca = ca("X", number);
        ca.extensions.clear();
        ca.self_sign(&Key::generate(KeyAlgorithm::P384))
    });
    new("self-signed certificates", certificates.collect(), root(&Key::generate(KeyAlgorithm::P256)))
}

/// Many names below many name constraints.
fn constrained(what: &'static str, other_kind: bool) -> HostileChain {
    let key = Key::generate(KeyAlgorithm::P256);
    let names: Vec<_> = (0..8_000).map(|_| GeneralName::Dns(Vec::new())).collect();
    let base = if other_kind { GeneralName::Uri(Vec::new()) } else { GeneralName::Dns(Vec::new()) };
    let excluded = [vec![base; 3_000], vec![GeneralName::Ip(vec![0; 8])]].concat();
    let ca = ca("X", 0).with_extension(Extension::name_constraints(&[], &excluded));
    let ca = ca.sign(&key, &Name::common("Unknown"), &key);
    let leaf = leaf(&names).sign(&key, &Name::common("X"), &key);
    new(what, vec![leaf, ca], root(&key))
}

/// A trusted CA with name constraints that its certificates violate only in the last one, at each of many times.
fn constrained_by_the_root_holder() -> HostileChain {
    let (root_key, key) = (Key::generate(KeyAlgorithm::P256), Key::generate(KeyAlgorithm::P256));
    let label = "a".repeat(60);
    let names: Vec<_> = (0..240).map(|number| GeneralName::dns(&format!("{number:03}.{label}"))).collect();
    let permitted: Vec<_> = (0..240).map(|number| GeneralName::dns(&format!("{number:03}.{label}"))).collect();
    let names = [names, vec![GeneralName::dns("violates.example")]].concat();
    let sub = ca("X", 0).with_extension(Extension::name_constraints(&permitted, &[]));
    let sub = sub.sign(&key, &Name::common(ROOT), &root_key);
    let mut certificates = vec![leaf(&names).sign(&key, &Name::common("X"), &key), sub];
    certificates.extend((0..60).map(|number| ca("X", 1 + number).sign(&key, &Name::common("Unknown"), &key)));
    new("constraints of a trusted CA", certificates, root(&root_key))
}

/// A leaf and CAs with many extended key usages, the right one last.
fn purposes() -> HostileChain {
    let key = Key::generate(KeyAlgorithm::P256);
    let server = [1, 3, 6, 1, 5, 5, 7, 3, 1];
    let purposes = |count| [vec![&[0, 0][..]; count], vec![&server[..]]].concat();
    let mut certificates = vec![leaf(&[]).sign(&key, &Name::common("X"), &key)];
    certificates.extend((0..40).map(|number| {
        let ca = ca("X", number).with_extension(Extension::extended_key_usage(&purposes(300)));
        ca.sign(&Key::generate(KeyAlgorithm::P256), &Name::common("X"), &key)
    }));
    new("many purposes", certificates, root(&key))
}

/// CAs with many small extensions.
fn extensions() -> HostileChain {
    let key = Key::generate(KeyAlgorithm::P256);
    let mut certificates = vec![leaf(&[]).sign(&key, &Name::common("X"), &key)];
    certificates.extend((0..12).map(|number| {
        let mut ca = ca("X", number);
        ca.extensions.extend((0..440).map(|_| Extension { oid: vec![0, 1], critical: false, value: Vec::new() }));
        ca.sign(&Key::generate(KeyAlgorithm::P256), &Name::common("X"), &key)
    }));
    new("many extensions", certificates, root(&key))
}

/// Elements that are not certificates.
fn garbage() -> HostileChain {
    let key = Key::generate(KeyAlgorithm::P256);
    let mut certificates = vec![leaf(&[]).sign(&key, &Name::common("X"), &key)];
    certificates.extend((0..60).map(|number| ca("X", number).sign(&key, &Name::common("X"), &key)));
    certificates.extend((0..9_000u16).map(|number| CertificateDer::from(number.to_be_bytes().to_vec())));
    new("garbage", certificates, root(&key))
}

/// Certificates whose names are long and equal.
fn long_names() -> HostileChain {
    let key = Key::generate(KeyAlgorithm::P256);
    let long = "x".repeat(1_600);
    let mut certificates = vec![leaf(&[]).sign(&key, &Name::common(&long), &key)];
    certificates.extend(
        (0..17).map(|number| ca(&long, number).sign(&Key::generate(KeyAlgorithm::P256), &Name::common(&long), &key)),
    );
    new("long names", certificates, root(&key))
}

/// Leaves out the certificates that no longer fit into the message.
fn new(
    what: &'static str,
    mut certificates: Vec<CertificateDer<'static>>,
    root: CertificateDer<'static>,
) -> HostileChain {
    let mut left = MESSAGE_LIMIT;
    certificates.retain(|der| {
        // Three octets of length, two for the length of the extensions (RFC 8446 §4.4.2).
        let fits = left.checked_sub(der.len() + 5);
        left = fits.unwrap_or(left);
        fits.is_some()
    });
    HostileChain { what, certificates, root }
}

fn root(key: &Key) -> CertificateDer<'static> {
    CertBuilder::authority(ROOT).self_sign(key)
}

/// A CA that starts to be valid on its own day.
fn ca(name: &str, day: usize) -> CertBuilder {
    let day = i64::try_from(day).expect("small");
    CertBuilder::authority(name).valid_between((day - 200) * DAY, 1_000 * DAY)
}

/// A leaf that has expired, and was valid on each of the days.
fn leaf(names: &[GeneralName]) -> CertBuilder {
    let leaf = CertBuilder::leaf(&["smtp.example.com"]);
    let leaf = if names.is_empty() { leaf } else { leaf.with_alternative_names(names) };
    CertBuilder { not_before: Time::FromNow(-300 * DAY), not_after: Time::FromNow(-DAY), ..leaf }
}

const DAY: i64 = 86_400;
const ROOT: &str = "Trusted Root";
