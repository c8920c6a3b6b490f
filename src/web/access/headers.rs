//! Header fields of all responses.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use thiserror::Error;

/// Header fields that are set on each response, in place of those that the exporter sets itself.
#[derive(Clone, Debug, Default)]
pub struct ResponseHeaders(HeaderMap);

impl ResponseHeaders {
    /// From names and values. A name without a value is not set. Line breaks in a value, as in a YAML block scalar, become
    /// spaces.
    ///
    /// # Errors
    /// If a name is not one of those that can be set, or if a value is invalid for its name.
    pub fn new<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ResponseHeadersError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let known = NAMES.iter().find(|(known, ..)| *known == name);
            let (_, field, values) = known.ok_or_else(|| ResponseHeadersError::Name(name.to_owned()))?;
            if !values.is_empty() && !values.contains(&value) {
                return Err(ResponseHeadersError::Choice(name.to_owned(), values));
            }
            let value = value.replace(['\r', '\n'], " ");
            let value = value.trim();
            if !value.is_empty() {
                let value = HeaderValue::from_bytes(value.as_bytes());
                map.insert(field, value.map_err(|_| ResponseHeadersError::Value(name.to_owned()))?);
            }
        }
        Ok(Self(map))
    }

    /// Sets them in `headers`.
    pub(super) fn set_in(&self, headers: &mut HeaderMap) {
        headers.extend(self.0.clone());
    }
}

/// Why header fields cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResponseHeadersError {
    /// The name is not one of those that can be set. Holds the name.
    #[error("unknown header `{0}`: expected one of {names}", names = names())]
    Name(String),
    /// The value is not one of the given ones. Holds the name.
    #[error("invalid value of `{0}`: expected {values}", values = .1.join(" or "))]
    Choice(String, &'static [&'static str]),
    /// The value contains a control character. Holds the name.
    #[error("invalid value of `{0}`: control characters are not allowed")]
    Value(String),
}

/// The fields of exporter-toolkit, spelled in this way only, and their values if these are limited.
const NAMES: [(&str, HeaderName, &[&str]); 5] = [
    ("Strict-Transport-Security", header::STRICT_TRANSPORT_SECURITY, &[]),
    ("X-Content-Type-Options", header::X_CONTENT_TYPE_OPTIONS, &["nosniff"]),
    ("X-Frame-Options", header::X_FRAME_OPTIONS, &["deny", "sameorigin"]),
    ("X-XSS-Protection", header::X_XSS_PROTECTION, &[]),
    ("Content-Security-Policy", header::CONTENT_SECURITY_POLICY, &[]),
];

fn names() -> String {
    NAMES.map(|(name, ..)| name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, value: &str, expected: Result<Option<&str>, ResponseHeadersError>) {
        let found = ResponseHeaders::new([(name, value)]);
        let value = |headers: &ResponseHeaders| headers.0.get(name).map(|value| value.as_bytes().to_vec());
        let expected = expected.map(|value| value.map(|value| value.as_bytes().to_vec()));
        assert_eq!(found.map(|headers| value(&headers)), expected, "{name}");
    }

    #[test]
    fn accepts_the_headers_of_exporter_toolkit() {
        let name = |name: &str| Err(ResponseHeadersError::Name(name.to_owned()));
        let choice = |name: &str, values| Err(ResponseHeadersError::Choice(name.to_owned(), values));
        check("Strict-Transport-Security", "max-age=63072000", Ok(Some("max-age=63072000")));
        check("X-XSS-Protection", "1; mode=block", Ok(Some("1; mode=block")));
        check("X-Content-Type-Options", "nosniff", Ok(Some("nosniff")));
        check("X-Content-Type-Options", "", choice("X-Content-Type-Options", &["nosniff"]));
        check("X-Frame-Options", "deny", Ok(Some("deny")));
        check("X-Frame-Options", "sameorigin", Ok(Some("sameorigin")));
        check("X-Frame-Options", "DENY", choice("X-Frame-Options", &["deny", "sameorigin"]));
        check("Content-Security-Policy", "default-src 'self'; x ü", Ok(Some("default-src 'self'; x ü")));
        check("Content-Security-Policy", "default-src\n  'self'\n", Ok(Some("default-src   'self'")));
        check("Content-Security-Policy", " ", Ok(None));
        check(
            "Content-Security-Policy",
            "a\0b",
            Err(ResponseHeadersError::Value("Content-Security-Policy".to_owned())),
        );
        check("x-frame-options", "deny", name("x-frame-options"));
        check("Server", "x", name("Server"));
        check("", "x", name(""));
    }
}
