//! bcrypt hashes of passwords, as golang.org/x/crypto/bcrypt verifies them.

use std::fmt;

use base64::Engine;
use base64::alphabet::BCRYPT;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use bcrypt::HashParts;
use thiserror::Error;

/// A bcrypt hash.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    /// The binary logarithm of the number of rounds.
    pub(super) cost: u32,
    /// With version `2b` and a salt without unused bits.
    text: String,
}

impl PasswordHash {
    /// Parses `$VERSION$COST$SALT-AND-HASH`. All versions are verified alike, as Go does. White space at the end, as after a
    /// YAML block scalar, is ignored.
    ///
    /// # Errors
    /// If it is malformed, so that no password could match it, or if its cost is not 4 to 14.
    pub fn parse(text: &str) -> Result<Self, PasswordHashError> {
        let malformed = || PasswordHashError::Malformed;
        let version_removed = VERSIONS.iter().find_map(|version| text.strip_prefix(version));
        let (cost, rest) =
            version_removed.ok_or(PasswordHashError::Version)?.trim_end().split_once('$').ok_or_else(malformed)?;
        if cost.len() != 2 || !cost.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(malformed());
        }
        let (salt, hash) = rest.split_at_checked(SALT_LENGTH).ok_or_else(malformed)?;
        // 22 digits of base64 have four more bits than a salt. Go ignores them, while the crate expects zeros.
        let salt = SALT_DIGITS.encode(SALT_DIGITS.decode(salt).map_err(|_| malformed())?);
        let text = format!("$2b${cost}${salt}{hash}");
        let cost = text.parse::<HashParts>().map_err(|_| malformed())?.get_cost();
        if !(MIN_COST..=MAX_COST).contains(&cost) {
            return Err(PasswordHashError::Cost(cost));
        }
        Ok(Self { cost, text })
    }

    pub(super) const fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// Whether this is the hash of `password`, of which bcrypt takes the first 72 bytes. Takes up to a second of CPU time.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        bcrypt::verify(password, &self.text).unwrap_or(false)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHash").field("cost", &self.cost).finish_non_exhaustive()
    }
}

/// Why a text is not a valid hash. Never quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PasswordHashError {
    /// It does not begin as a bcrypt hash.
    #[error("not a bcrypt hash: expected $2a$, $2b$, $2y$, $2x$ or $2$ at its start")]
    Version,
    /// The rest is not valid.
    #[error("malformed bcrypt hash: expected a cost of two digits, `$`, and 53 characters of salt and hash")]
    Malformed,
    /// The cost is out of range.
    #[error("invalid cost {0} of a bcrypt hash: expected {MIN_COST} to {MAX_COST}")]
    Cost(u32),
}

/// The versions that exist. `2x` marks hashes of a library whose results differ for passwords that are not ASCII.
const VERSIONS: [&str; 5] = ["$2a$", "$2b$", "$2y$", "$2x$", "$2$"];
const SALT_LENGTH: usize = 22;
const SALT_DIGITS: GeneralPurpose = GeneralPurpose::new(
    &BCRYPT,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);
/// The least that the algorithm defines.
const MIN_COST: u32 = 4;
/// About a second on current hardware. One password is checked at a time.
const MAX_COST: u32 = 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<u32, PasswordHashError>) {
        let found = PasswordHash::parse(text);
        if let Err(error) = found {
            assert!(text.len() < 6 || !error.to_string().contains(text), "{error}");
        }
        assert_eq!(found.map(|hash| hash.cost), expected, "{text}");
    }

    #[test]
    fn parses_hashes_of_all_versions() {
        for version in ["2a", "2b", "2y", "2x", "2"] {
            check(&format!("${version}${REST}"), Ok(4));
        }
        for cost in [5, 10, 14] {
            check(&format!("$2y${cost:02}{TAIL}"), Ok(cost));
        }
        for cost in [0, 3, 15, 31, 32, 99] {
            check(&format!("$2y${cost:02}{TAIL}"), Err(PasswordHashError::Cost(cost)));
        }
        check(&format!("$2y${REST}\n"), Ok(4));
        for version in ["$1$", "$2c$", "$3a$", "2y$", " $2y$", "", "secret"] {
            check(&format!("{version}{REST}"), Err(PasswordHashError::Version));
        }
        check("", Err(PasswordHashError::Version));
        let malformed = [
            "$2y$".to_owned(),
            "$2y$04".to_owned(),
            "$2y$04$".to_owned(),
            format!("$2y$4{TAIL}"),
            format!("$2y$004{TAIL}"),
            format!("$2y$+4{TAIL}"),
            format!("$2y$-4{TAIL}"),
            format!("$2y$xx{TAIL}"),
            format!("$2y${REST}x"),
            format!("$2y${REST} x"),
            format!("$2y${REST}$"),
            // The last digit has bits that no hash has.
            format!("$2y${}r", &REST[..REST.len() - 1]),
            format!("$2y${}", &REST[..REST.len() - 1]),
            format!("$2y$04$+{}", &REST[4..]),
            format!("$2y$04${}", "ü".repeat(27)),
            format!("$2y$04${}", "日".repeat(18)),
        ];
        for text in malformed {
            check(&text, Err(PasswordHashError::Malformed));
        }
    }

    #[test]
    fn verifies_the_first_72_bytes() {
        #[track_caller]
        fn check(hash: &str, password: impl AsRef<[u8]>, expected: bool) {
            let hash = PasswordHash::parse(hash).expect("a hash");
            assert_eq!(hash.verify(password.as_ref()), expected, "{:?}", password.as_ref());
        }
        let hash = format!("$2y${REST}");
        check(&hash, "secret", true);
        for wrong in ["", "Secret", "secret ", "secret\0"] {
            check(&hash, wrong, false);
        }
        // Go ignores the unused bits of a salt.
        check(&hash.replacen("hr.P", "hr/P", 1), "secret", true);
        check(&hash.replacen("hr.P", "hs.P", 1), "secret", false);
        // The algorithm repeats the password and a zero byte.
        check(&hash, "secret\0secret", true);
        let hash = |password: &str| bcrypt::hash(password, 4).expect("a hash");
        let (exact, long) = (hash(&"x".repeat(72)), hash(&"x".repeat(100)));
        for (length, is_exact) in [(71, false), (72, true), (73, true), (1000, true)] {
            check(&exact, "x".repeat(length), is_exact);
            check(&long, "x".repeat(length), is_exact);
        }
        check(&hash(""), "", true);
        check(&hash("a\0b"), "a\0b", true);
        check(&hash("a\0b"), "a\0c", false);
        check(&hash("a"), [b'a', 0xff], false);
    }

    /// What follows the version in a hash of `secret` (`htpasswd -nbBC 4`).
    const REST: &str = "04$C78A3TfbNjgYXQd8vjGhr.PK50gXW8sLW9.abeWKsRH.AAdxixQpq";
    const TAIL: &str = "$C78A3TfbNjgYXQd8vjGhr.PK50gXW8sLW9.abeWKsRH.AAdxixQpq";
}
