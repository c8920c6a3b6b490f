//! Where things are, as links say it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::target::{Backend, TargetName};

/// Makes links below a prefix.
#[derive(Clone, Debug)]
pub(in crate::web) struct Links {
    /// Empty, or with a leading and without a trailing slash.
    prefix: String,
}

impl Links {
    /// Links below `prefix`, which is empty or begins with a slash and ends with none.
    pub(in crate::web) fn below(prefix: String) -> Self {
        Self { prefix }
    }

    /// The overview.
    pub(super) fn home(&self) -> String {
        self.to("/")
    }

    /// Anything else.
    pub(super) fn to(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// A target's own page.
    pub(super) fn target(&self, name: &TargetName) -> String {
        self.to(&format!("/targets/{}", encoded(name.as_str())))
    }

    /// A target as JSON.
    pub(super) fn json(&self, name: &TargetName) -> String {
        self.to(&format!("/api/v1/targets/{}", encoded(name.as_str())))
    }

    /// What a backend presented, as PEM.
    pub(super) fn chain(&self, name: &TargetName, backend: &Backend) -> String {
        let address = encoded(&backend.socket_addr().to_string());
        let server_name = encoded(&backend.endpoint.server_name.to_string());
        format!("{}/backends/{address}/chain.pem?server_name={server_name}", self.json(name))
    }
}

/// The element of a target on the overview.
pub(super) fn target_id(name: &TargetName) -> String {
    format!("t-{}", encoded(name.as_str()))
}

/// The element of a backend on its target's page.
pub(super) fn backend_id(backend: &Backend) -> String {
    let endpoint = &backend.endpoint;
    encoded(&format!("b-{}-{}-{}", endpoint.server_name, backend.socket_addr(), endpoint.tls.as_str()))
}

/// `text` as one segment of a path, as a query's value and as an element's id.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// All but the unreserved characters (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
