//! The address of a running exporter.

use std::str::FromStr;

use hyper::Uri;
use hyper::http::uri::Scheme;

/// The address of an exporter: `http://HOST[:PORT]`, optionally followed by its route prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
    authority: String,
    ready: Uri,
}

impl Address {
    /// Host and port to connect to; IPv6 addresses without brackets.
    pub fn endpoint(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Host and port as given, for the Host field (RFC 9112 §3.2).
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path of `/-/ready` below the route prefix.
    pub fn ready(&self) -> &Uri {
        &self.ready
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || "expected http://HOST:PORT, optionally followed by the route prefix".to_owned();
        let uri = Uri::from_str(text).map_err(|_| invalid())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(invalid)?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        // This excludes user information; only a port may follow.
        let port = match authority.strip_prefix(host).ok_or_else(invalid)? {
            "" => 80,
            port => port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or_else(invalid)?,
        };
        if uri.scheme() != Some(&Scheme::HTTP) || uri.query().is_some() {
            return Err(invalid());
        }
        let ready = Uri::from_str(&format!("{}/-/ready", uri.path().trim_end_matches('/'))).map_err(|_| invalid())?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port, authority: authority.to_owned(), ready })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_http_addresses_only() {
        #[track_caller]
        fn check(text: &str, expected: Option<(&str, u16, &str)>) {
            let found = text.parse::<Address>();
            let found = found.as_ref().ok().map(|it| (it.host.as_str(), it.port, it.ready.path()));
            assert_eq!(found, expected, "{text}");
        }
        check("http://127.0.0.1:10465", Some(("127.0.0.1", 10465, "/-/ready")));
        check("http://127.0.0.1:10465/", Some(("127.0.0.1", 10465, "/-/ready")));
        check("http://[::1]:9115/smtp", Some(("::1", 9115, "/smtp/-/ready")));
        check("http://exporter.example.com/a/b/", Some(("exporter.example.com", 80, "/a/b/-/ready")));
        check("https://127.0.0.1:10465", None);
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
