//! Links, and the ids of elements that they refer to.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::target::{Backend, TargetName};

#[derive(Clone, Debug)]
pub(in crate::web) struct Links {
    prefix: String,
}

impl Links {
    /// Links below `prefix`, which is empty, or has a leading and no trailing slash.
    pub(in crate::web) fn new(prefix: String) -> Self {
        Self { prefix }
    }

    pub(super) fn home(&self) -> String {
        self.to("/")
    }

    pub(super) fn to(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    pub(super) fn target(&self, name: &TargetName) -> String {
        self.to(&format!("/targets/{}", encoded(name.as_str())))
    }

    pub(super) fn json(&self, name: &TargetName) -> String {
        self.to(&format!("/api/v1/targets/{}", encoded(name.as_str())))
    }

    pub(super) fn chain(&self, name: &TargetName, backend: &Backend) -> String {
        let address = encoded(&backend.socket_addr().to_string());
        let server_name = encoded(&backend.endpoint.server_name.to_string());
        let tls = backend.endpoint.tls.as_str();
        format!("{}/backends/{address}/chain.pem?server_name={server_name}&tls={tls}", self.json(name))
    }
}

/// The id of a target's element on the overview.
pub(super) fn target_id(name: &TargetName) -> String {
    format!("t-{}", encoded(name.as_str()))
}

/// The id of a backend's element on the page of its target.
pub(super) fn backend_id(backend: &Backend) -> String {
    let endpoint = &backend.endpoint;
    encoded(&format!("b-{}-{}-{}", endpoint.server_name, backend.socket_addr(), endpoint.tls.as_str()))
}

/// `text` percent-encoded for use as a path segment, as the value of a query parameter, or as the id of an element.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// All characters but the unreserved ones (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
