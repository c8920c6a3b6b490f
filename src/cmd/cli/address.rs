//! The address of a running exporter.

use std::str::FromStr;

use hyper::Uri;
use hyper::http::uri::Scheme;

/// The address of an exporter: `http://HOST[:PORT]` or `https://HOST[:PORT]`, optionally followed by its route prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(Uri);

impl Address {
    /// Host and port to connect to; IPv6 addresses without brackets.
    pub fn endpoint(&self) -> (&str, u16) {
        let host = self.0.host().unwrap_or_default();
        let default_port = if self.is_https() { 443 } else { 80 };
        (host.trim_start_matches('[').trim_end_matches(']'), self.0.port_u16().unwrap_or(default_port))
    }

    /// Whether TLS is used.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTPS)
    }

    /// Host and port as given, for the Host field (RFC 9112 §3.2).
    pub fn authority(&self) -> &str {
        self.0.authority().map_or("", |authority| authority.as_str())
    }

    /// The path of `/-/ready` below the route prefix.
    pub fn path(&self) -> String {
        format!("{}/-/ready", self.0.path().trim_end_matches('/'))
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_valid = |uri: &Uri| {
            let host = uri.host().filter(|host| !host.is_empty())?;
            // This excludes user information; only a port may follow.
            let port = uri.authority()?.as_str().strip_prefix(host)?;
            let is_port = port.is_empty() || (port.starts_with(':') && uri.port_u16().is_some());
            let is_http = [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&uri.scheme());
            Some(is_port && is_http && uri.query().is_none())
        };
        let uri = Uri::from_str(text).ok().filter(|uri| is_valid(uri) == Some(true));
        uri.map(Self).ok_or("expected http://HOST:PORT or https://HOST:PORT, optionally followed by the route prefix")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_http_and_https_addresses_only() {
        #[track_caller]
        fn check(text: &str, expected: Option<(&str, u16, &str)>) {
            let found = text.parse::<Address>();
            let found = found.as_ref().ok().map(|it| (it.endpoint(), it.path()));
            let expected = expected.map(|(host, port, path)| ((host, port), path.to_owned()));
            assert_eq!(found, expected, "{text}");
        }
        check("http://127.0.0.1:10465", Some(("127.0.0.1", 10465, "/-/ready")));
        check("http://127.0.0.1:10465/", Some(("127.0.0.1", 10465, "/-/ready")));
        check("http://[::1]:9115/smtp", Some(("::1", 9115, "/smtp/-/ready")));
        check("http://exporter.example.com/a/b/", Some(("exporter.example.com", 80, "/a/b/-/ready")));
        check("https://127.0.0.1:10465", Some(("127.0.0.1", 10465, "/-/ready")));
        check("https://exporter.example.com", Some(("exporter.example.com", 443, "/-/ready")));
        check("ftp://127.0.0.1:10465", None);
        check("127.0.0.1:10465", None);
        check("http://user:secret@127.0.0.1:10465", None);
        check("http://127.0.0.1:10465/?target=x", None);
        check("http://127.0.0.1:70000", None);
        check("http://127.0.0.1:", None);
        check("http://127.0.0.1@127.0.0.1:1", None);
        check("http://:10465", None);
        check("/metrics", None);
        check("", None);
    }
}
