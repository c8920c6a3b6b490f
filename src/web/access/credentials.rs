//! The credentials of a request (RFC 7617), read as Go's `Request.BasicAuth` reads them.

use std::fmt;

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

/// A user name and a password.
#[derive(PartialEq, Eq)]
pub(super) struct Credentials {
    decoded: Vec<u8>,
    /// The index of the first colon.
    colon: usize,
}

impl Credentials {
    /// Those of the first `Authorization` field; None if there is none, if it has another scheme, or if it is malformed.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let (scheme, encoded) = headers.get(header::AUTHORIZATION)?.as_bytes().split_at_checked(SCHEME.len())?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return None;
        }
        let decoded = BASE64.decode(encoded).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        Some(Self { decoded, colon })
    }

    pub(super) fn user(&self) -> &[u8] {
        self.decoded.get(..self.colon).unwrap_or_default()
    }

    pub(super) fn password(&self) -> &[u8] {
        self.decoded.get(self.colon + 1..).unwrap_or_default()
    }
}

/// Without the credentials.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

const SCHEME: &[u8] = b"Basic ";
/// With padding. Like Go, it ignores the unused bits of the last digit.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(field: impl AsRef<[u8]>, expected: Option<(&[u8], &[u8])>) {
        let value = HeaderValue::from_bytes(field.as_ref()).expect("a value");
        let found = Credentials::of(&HeaderMap::from_iter([(header::AUTHORIZATION, value)]));
        let found = found.as_ref().map(|found| (found.user(), found.password()));
        assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(field.as_ref()));
    }

    #[test]
    fn reads_fields_as_go_does() {
        let encoded = |text: &[u8]| format!("Basic {}", BASE64.encode(text));
        check("Basic dTpw", Some((b"u", b"p")));
        check("basic dTpw", Some((b"u", b"p")));
        check("BASIC dTpw", Some((b"u", b"p")));
        check("Basic dTpwcA==", Some((b"u", b"pp")));
        check("Basic dTpwcB==", Some((b"u", b"pp")));
        check(encoded(b":"), Some((b"", b"")));
        check(encoded(b":p"), Some((b"", b"p")));
        check(encoded(b"u:"), Some((b"u", b"")));
        check(encoded(b"u:p:q"), Some((b"u", b"p:q")));
        check(encoded(b"u\0:\xff\0"), Some((b"u\0", b"\xff\0")));
        let malformed = [
            "",
            "B",
            "Basic",
            "Basic ",
            "Basic",
            "Basic  dTpw",
            "Basic\tdTpw",
            "Bearer dTpw",
            "Basic dTpwcA",
            "Basic dTpwcA=",
            "Basic dTpw=",
            "Basic dTpw dTpw",
            "Basic dTp_",
            "Basic dTpw,",
            "Digest username=\"u\"",
        ];
        for field in malformed {
            check(field, None);
        }
        check(encoded(b"up"), None);
        check(encoded(b""), None);
        check(b"Basic \xff\xff\xff\xff", None);
        assert_eq!(Credentials::of(&HeaderMap::new()), None);
    }

    #[test]
    fn reads_the_first_field() {
        let fields = ["Bearer x", "Basic dTpw"].map(|field| (header::AUTHORIZATION, HeaderValue::from_static(field)));
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        assert_eq!(Credentials::of(&headers), None);
    }
}
