//! Which of several exporters probes a target.
//!
//! The shard of a target is the jump consistent hash of a key (Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash
//! Algorithm", 2014). The key is the first 8 bytes of the SHA-256 of the target's name in UTF-8, most significant byte
//! first. Neither may ever change: exporters of two versions share targets during an update.

use std::fmt;

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::TargetName;

/// One of several exporters that share the targets of one configuration. The default is the only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    ordinal: u32,
    total: u32,
}

impl Shard {
    /// The shard `ordinal`, counted from 0, of `total` shards.
    ///
    /// # Errors
    /// If `total` is not from 1 to [`MAX_SHARDS`], or `ordinal` is not below it.
    pub fn new(ordinal: u32, total: u32) -> Result<Self, ShardError> {
        if !(1..=MAX_SHARDS).contains(&total) {
            Err(ShardError::Total { total })
        } else if ordinal >= total {
            Err(ShardError::Ordinal { ordinal, total })
        } else {
            Ok(Self { ordinal, total })
        }
    }

    /// Its number, counted from 0.
    pub const fn ordinal(self) -> u32 {
        self.ordinal
    }

    /// The number of shards.
    pub const fn total(self) -> u32 {
        self.total
    }

    /// Whether there are other shards.
    pub const fn has_others(self) -> bool {
        self.total > 1
    }

    /// The number of the shard that probes the target with this name.
    pub fn ordinal_of(self, name: &TargetName) -> u32 {
        jump_hash(key(name.as_str()), self.total)
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self { ordinal: 0, total: 1 }
    }
}

/// As in `shard 0 of 3`.
impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {} of {}", self.ordinal, self.total)
    }
}

/// Why there is no such shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ShardError {
    /// The number of shards is out of range.
    #[error("invalid number of shards `{total}`: expected 1 to {MAX_SHARDS}")]
    Total {
        /// The number of shards.
        total: u32,
    },
    /// The shard is not one of them.
    #[error("invalid shard `{ordinal}`: expected 0 to {} for {total} shards", total - 1)]
    Ordinal {
        /// The number of the shard.
        ordinal: u32,
        /// The number of shards.
        total: u32,
    },
}

/// The number at the end of a host name, after a hyphen: 2 for `exporter-2`, as a StatefulSet of Kubernetes names its
/// pods. Only the part before the first dot counts.
pub fn ordinal_of_host_name(host_name: &str) -> Option<u32> {
    let label = host_name.split('.').next()?;
    let (_, number) = label.rsplit_once('-')?;
    parse_ordinal(number)
}

/// A number in decimal digits, without a sign.
pub fn parse_ordinal(text: &str) -> Option<u32> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

fn key(name: &str) -> u64 {
    let digest = Sha256::digest(name);
    digest.iter().take(size_of::<u64>()).fold(0, |key, byte| key << 8 | u64::from(*byte))
}

/// The bucket of `key`, of the buckets 0 to `buckets - 1`: the code of the paper, with its constants.
fn jump_hash(mut key: u64, buckets: u32) -> u32 {
    let (mut bucket, mut next) = (0, 0.0);
    while next < f64::from(buckets) {
        // Below the number of buckets, and not negative.
        bucket = next as u32;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        // The paper truncates the product to an integer.
        next = (f64::from(bucket + 1) * ((1_u64 << 31) as f64 / ((key >> 33) + 1) as f64)).trunc();
    }
    bucket
}

/// More shards than one configuration needs: each of them parses all targets.
pub const MAX_SHARDS: u32 = 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Computed with the code of the paper in Python.
    #[test]
    fn the_jump_hash_is_the_published_one() {
        for (key, buckets) in [
            (0, [0, 0, 0, 0, 0, 0]),
            (1, [0, 0, 6, 55, 549, 549]),
            (42, [0, 1, 2, 43, 571, 571]),
            (1 << 32, [0, 1, 2, 27, 339, 937]),
            (0x0123_4567_89AB_CDEF, [0, 0, 0, 35, 194, 194]),
            (u64::MAX, [0, 1, 2, 10, 313, 313]),
        ] {
            let found = [1, 2, 7, 57, 666, 1024].map(|count| jump_hash(key, count));
            assert_eq!(found, buckets, "{key}");
        }
    }

    /// These must hold in all versions. The keys are those of `printf %s NAME | sha256sum | cut -c1-16`.
    #[test]
    fn the_shard_of_a_name_never_changes() {
        for (name, expected_key, shards) in VECTORS {
            assert_eq!(key(name), *expected_key, "{name}");
            let name = TargetName::new(name).expect("a name");
            for (total, expected) in [1, 2, 3, 10, MAX_SHARDS].into_iter().zip(shards) {
                let shard = Shard::new(0, total).expect("a shard");
                assert_eq!(shard.ordinal_of(&name), *expected, "{name}, {total} shards");
            }
        }
    }

    const VECTORS: &[(&str, u64, [u32; 5])] = &[
        ("smtp.example.com:587", 0xF21C_69EB_CEB2_A0AE, [0, 1, 2, 4, 321]),
        ("smtp.example.com:465", 0x3500_854D_4800_16C3, [0, 0, 0, 5, 1023]),
        ("mx:example.com", 0xE4B9_6A16_D2FF_7506, [0, 0, 2, 2, 53]),
        ("submission:example.com", 0xCD84_75D3_958D_1A21, [0, 1, 1, 9, 914]),
        ("relay", 0x682F_BAE2_0F34_28BC, [0, 1, 2, 6, 283]),
        ("[2001:db8::1]:25", 0x94A7_DCC3_411A_2BD9, [0, 0, 2, 8, 283]),
        ("Münster relay", 0xEF8E_0FC0_A837_CEC3, [0, 1, 2, 5, 5]),
        ("a", 0xCA97_8112_CA1B_BDCA, [0, 1, 1, 1, 912]),
    ];

    #[test]
    fn targets_are_spread_evenly() {
        for total in [2, 3, 7, 16] {
            let mut counts = vec![0_i32; total as usize];
            // Names of one pool of servers, which differ in few characters.
            for number in 0..8000 {
                counts[jump_hash(key(&format!("smtp-{number}.example.com:587")), total) as usize] += 1;
            }
            let mean = 8000 / total as i32;
            assert!(counts.iter().all(|count| (count - mean).abs() * 5 < mean), "{total}: {counts:?}");
        }
    }

    proptest! {
        /// With one more shard, a target stays where it is, or moves to the new shard.
        #[test]
        fn targets_move_only_to_the_new_shard(name in "\\PC{1,60}", total in 1..MAX_SHARDS) {
            let key = key(&name);
            let (before, after) = (jump_hash(key, total), jump_hash(key, total + 1));
            prop_assert!(before < total && (after == before || after == total), "{} {} {}", total, before, after);
        }

        /// Of 4000 targets, a share of 1/(n+1) moves from n to n+1 shards: six standard deviations off at most.
        #[test]
        fn as_few_targets_move_as_possible(prefix in "[a-z]{0,8}", total in 1..64_u32) {
            let moved = (0..4000).filter(|number| {
                let key = key(&format!("{prefix}{number}.example.com:25"));
                jump_hash(key, total) != jump_hash(key, total + 1)
            });
            let (moved, share) = (moved.count() as f64, 1.0 / f64::from(total + 1));
            let deviation = (4000.0 * share * (1.0 - share)).sqrt();
            prop_assert!((moved - 4000.0 * share).abs() < 6.0 * deviation, "{} of 4000, {} shards", moved, total);
        }
    }

    #[test]
    fn a_shard_is_one_of_its_total() {
        for (ordinal, total) in [(0, 1), (0, 2), (1, 2), (MAX_SHARDS - 1, MAX_SHARDS)] {
            let shard = Shard::new(ordinal, total).expect("a shard");
            assert_eq!((shard.ordinal(), shard.total(), shard.has_others()), (ordinal, total, total > 1));
        }
        for (ordinal, total) in [(0, 0), (1, 0), (0, MAX_SHARDS + 1), (0, u32::MAX)] {
            assert_eq!(Shard::new(ordinal, total), Err(ShardError::Total { total }));
        }
        for (ordinal, total) in [(1, 1), (2, 2), (3, 2), (u32::MAX, MAX_SHARDS)] {
            assert_eq!(Shard::new(ordinal, total), Err(ShardError::Ordinal { ordinal, total }));
        }
    }

    #[test]
    fn host_names_end_in_an_ordinal() {
        for (host_name, ordinal) in [
            ("smtp-tls-exporter-0", Some(0)),
            ("exporter-2", Some(2)),
            ("exporter-12", Some(12)),
            ("exporter-02", Some(2)),
            ("-7", Some(7)),
            ("exporter-2.exporter.mail.svc.cluster.local", Some(2)),
            ("exporter.site-3", None),
            ("exporter-a.site-3", None),
            ("exporter", None),
            ("exporter2", None),
            ("exporter-", None),
            ("exporter-2a", None),
            ("exporter-+2", None),
            ("exporter-٢", None),
            ("exporter-5d4f8c7b9-x2x7p", None),
            ("exporter-4294967295", Some(u32::MAX)),
            ("exporter-4294967296", None),
            ("2", None),
            ("", None),
            (".", None),
        ] {
            assert_eq!(ordinal_of_host_name(host_name), ordinal, "{host_name}");
        }
    }
}
