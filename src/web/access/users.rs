//! Users, and which credentials are known to be right.

use std::collections::{BTreeMap, VecDeque};

use hmac::{Hmac, Mac};
use parking_lot::Mutex;
use sha2::Sha256;
use thiserror::Error;

use super::credentials::Credentials;
use super::password::PasswordHash;

/// The users, at least one.
pub(super) struct Users {
    hashes: BTreeMap<String, PasswordHash>,
    /// With a random key.
    mac: Hmac<Sha256>,
    /// The right credentials that were checked last.
    verified: Mutex<VecDeque<Verified>>,
}

#[derive(Clone)]
struct Verified {
    user: String,
    id: CredentialsId,
}

/// Identifies a user, its hash and a password. It does not help to guess a password without the random key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CredentialsId([u8; 32]);

/// What is known of credentials.
pub(super) enum Lookup {
    /// They are right.
    Verified,
    /// The password has to be checked.
    Unverified(Unverified),
}

/// A password to check.
pub(super) struct Unverified {
    pub(super) id: CredentialsId,
    hash: PasswordHash,
    /// The user whose hash it is; none for an unknown one.
    user: Option<String>,
    password: Vec<u8>,
}

impl Users {
    /// None without users.
    pub(super) fn new(hashes: BTreeMap<String, PasswordHash>) -> Result<Option<Self>, NoRandomness> {
        if hashes.is_empty() {
            return Ok(None);
        }
        let mut key = [0; KEY_LENGTH];
        getrandom::fill(&mut key).map_err(|error| NoRandomness(error.to_string()))?;
        Ok(Some(Self { hashes, mac: Hmac::new(&key.into()), verified: Mutex::default() }))
    }

    /// Takes over the right credentials of users whose hashes are the same as in `previous`.
    pub(super) fn keep_verified(&mut self, previous: &Self) {
        let is_kept = |verified: &&Verified| self.hashes.get(&verified.user) == previous.hashes.get(&verified.user);
        let kept = previous.verified.lock().iter().filter(is_kept).cloned().collect();
        *self.verified.get_mut() = kept;
        self.mac = previous.mac.clone();
    }

    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    pub(super) fn look_up(&self, credentials: &Credentials) -> Option<Lookup> {
        let (user, password) = (credentials.user(), credentials.password());
        let own = str::from_utf8(user).ok().and_then(|user| self.hashes.get(user));
        let hash = own.or_else(|| self.substitute(user))?;
        let id = CredentialsId(self.digest(&[user, hash.as_str().as_bytes(), password]));
        if own.is_some() && self.verified.lock().iter().any(|verified| verified.id == id) {
            return Some(Lookup::Verified);
        }
        Some(Lookup::Unverified(Unverified {
            id,
            hash: hash.clone(),
            user: str::from_utf8(user).ok().filter(|_| own.is_some()).map(str::to_owned),
            password: password.to_owned(),
        }))
    }

    /// The hash of some user, which the password of an unknown user is checked against. It is always the same one for the
    /// same name, so that time and repetition do not show which names exist, even if the costs differ.
    fn substitute(&self, user: &[u8]) -> Option<&PasswordHash> {
        let index =
            self.digest(&[user]).iter().fold(0, |rest, byte| (rest * 256 + usize::from(*byte)) % self.hashes.len());
        self.hashes.values().nth(index)
    }

    /// Checks the password, which takes up to a second of CPU time, and remembers it if it is right.
    pub(super) fn verify(&self, unverified: &Unverified) -> bool {
        if !unverified.hash.verify(&unverified.password) {
            return false;
        }
        if let Some(user) = &unverified.user {
            let mut verified = self.verified.lock();
            if verified.len() >= MAX_VERIFIED {
                verified.pop_front();
            }
            verified.push_back(Verified { user: user.clone(), id: unverified.id });
        }
        unverified.user.is_some()
    }

    fn digest(&self, fields: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.mac.clone();
        for field in fields {
            // Without the lengths, different fields could be one sequence of bytes.
            mac.update(&(field.len() as u64).to_be_bytes());
            mac.update(field);
        }
        mac.finalize().into_bytes().into()
    }
}

/// The system has no random numbers.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cannot get random numbers: {0}")]
pub struct NoRandomness(String);

/// The block length of SHA-256, in bytes.
const KEY_LENGTH: usize = 64;
/// Right credentials that are remembered.
const MAX_VERIFIED: usize = 100;

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    fn users(costs: &[(&str, u32)]) -> Users {
        let hash = |cost| PasswordHash::parse(&bcrypt::hash("secret", cost).expect("a hash")).expect("a hash");
        let hashes = costs.iter().map(|(user, cost)| ((*user).to_owned(), hash(*cost))).collect();
        Users::new(hashes).expect("random numbers").expect("users")
    }

    fn look_up(users: &Users, credentials: impl AsRef<[u8]>) -> Option<Unverified> {
        let field = format!("Basic {}", BASE64_STANDARD.encode(credentials));
        let field = HeaderValue::from_str(&field).expect("a value");
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, field)]);
        match users.look_up(&Credentials::of(&headers).expect("credentials")).expect("a user") {
            Lookup::Verified => None,
            Lookup::Unverified(unverified) => Some(unverified),
        }
    }

    impl From<[u8; 32]> for CredentialsId {
        fn from(id: [u8; 32]) -> Self {
            Self(id)
        }
    }

    #[test]
    fn right_credentials_are_checked_once() {
        let users = users(&[("alice", 4), ("bob", 4)]);
        for wrong in ["alice:wrong", "alice:", "carol:secret", ":secret", "Alice:secret", "alice :secret"] {
            for _ in 0..2 {
                let unverified = look_up(&users, wrong).expect("not verified");
                assert!(!users.verify(&unverified), "{wrong}");
            }
        }
        assert!(!users.verify(&look_up(&users, b"\xff:secret").expect("not verified")));
        assert!(users.verified.lock().is_empty());
        for right in ["alice:secret", "bob:secret"] {
            let unverified = look_up(&users, right).expect("not verified");
            assert!(users.verify(&unverified), "{right}");
            assert!(look_up(&users, right).is_none(), "{right}");
        }
        assert!(look_up(&users, "alice:wrong").is_some() && look_up(&users, "carol:secret").is_some());
    }

    #[test]
    fn credentials_of_unchanged_users_stay_verified() {
        let users_of = |hashes: [(&str, &PasswordHash); 2]| {
            let hashes = hashes.map(|(user, hash)| (user.to_owned(), hash.clone()));
            Users::new(BTreeMap::from(hashes)).expect("random numbers").expect("users")
        };
        let [first, second] =
            [(); 2].map(|()| PasswordHash::parse(&bcrypt::hash("secret", 4).expect("a hash")).expect("a hash"));
        let old = users_of([("alice", &first), ("bob", &first)]);
        for right in ["alice:secret", "bob:secret"] {
            assert!(old.verify(&look_up(&old, right).expect("not verified")));
        }
        let mut new = users_of([("alice", &first), ("bob", &second)]);
        new.keep_verified(&old);
        assert!(look_up(&new, "alice:secret").is_none() && look_up(&new, "bob:secret").is_some());
        assert_eq!(new.verified.lock().len(), 1);
        // With its former hash, the password is checked as well.
        let mut third = users_of([("alice", &first), ("bob", &first)]);
        third.keep_verified(&new);
        assert!(look_up(&third, "alice:secret").is_none() && look_up(&third, "bob:secret").is_some());
    }

    #[test]
    fn remembers_a_limited_number_of_credentials() {
        // Passwords that differ only after 72 bytes are all right.
        let hash = bcrypt::hash("x".repeat(72), 4).expect("a hash");
        let hashes = BTreeMap::from([("u".to_owned(), PasswordHash::parse(&hash).expect("a hash"))]);
        let users = Users::new(hashes).expect("random numbers").expect("users");
        let credentials = |length| format!("u:{}", "x".repeat(length));
        for length in 72..=72 + MAX_VERIFIED {
            let unverified = look_up(&users, credentials(length)).expect("not verified");
            assert!(users.verify(&unverified));
        }
        assert_eq!(users.verified.lock().len(), MAX_VERIFIED);
        assert!(look_up(&users, credentials(72)).is_some() && look_up(&users, credentials(73)).is_none());
    }

    #[test]
    fn unknown_users_cost_as_much_as_others() {
        let cost = |users: &Users, name: &str| look_up(users, format!("{name}:x")).expect("not verified").hash.cost;
        let same = users(&[("a", 5), ("b", 5)]);
        let mixed = users(&[("a", 4), ("b", 5), ("c", 6)]);
        let mut found = [0; 7];
        for number in 0..100 {
            let name = format!("unknown{number}");
            assert_eq!(cost(&same, &name), 5);
            let of_name = cost(&mixed, &name);
            assert_eq!(cost(&mixed, &name), of_name, "{name}");
            found[of_name as usize] += 1;
        }
        // Each with a probability of a third; none of 100 would be one in 10^17.
        assert!(found[4] > 0 && found[5] > 0 && found[6] > 0, "{found:?}");
    }

    #[test]
    fn ids_are_unambiguous_and_depend_on_a_random_key() {
        let users = [users(&[("a", 4)]), users(&[("a", 4)])];
        let [first, second] = &users;
        assert_ne!(first.digest(&[b"ab", b"c"]), first.digest(&[b"a", b"bc"]));
        assert_ne!(first.digest(&[b"a"]), first.digest(&[b"a", b""]));
        assert_eq!(first.digest(&[b"a"]), first.digest(&[b"a"]));
        assert_ne!(first.digest(&[b"a"]), second.digest(&[b"a"]));
    }
}
