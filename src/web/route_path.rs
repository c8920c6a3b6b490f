//! The paths of `--web.telemetry-path` and `--web.route-prefix`.

/// Whether a request can have `path` as its path, with or without a slash at either end. It is as in a URL (RFC 3986 §3.3).
/// Many clients change `.`, `..` and empty segments before they send a request.
pub(super) fn is_route_path(path: &str) -> bool {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && is_encoded(segment);
    path.is_empty() || path == "/" || inner.split('/').all(is_segment)
}

/// Whether all characters are those of a path segment, and others percent-encoded.
fn is_encoded(segment: &str) -> bool {
    let mut parts = segment.split('%');
    let is_plain =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte));
    let is_after_percent = |text: &str| {
        let (digits, rest) = text.split_at_checked(2).unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) && is_plain(rest)
    };
    parts.next().is_some_and(is_plain) && parts.all(is_after_percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_paths_that_a_request_can_have() {
        for path in
            ["", "/", "/metrics", "stats/", "/x/y/", "/a.b/..c", "/%C3%A9", "/a%20b", "/a:b@c", "/*!$&'()+,;=~_-"]
        {
            assert!(is_route_path(path), "{path}");
        }
        for path in
            ["/x?y", "/x#y", "/a b", "/é", "//", "//x", "x//", "/a//b", "/.", "/a/../b", "/./a", "/a\n", "/\u{0}"]
        {
            assert!(!is_route_path(path), "{path}");
        }
        for path in ["/{a}", "/a\\b", "/%", "/%4", "/%zz", "/%+1", "/%é", "/a%2", "/\"", "/<a>", "https://a/"] {
            assert!(!is_route_path(path), "{path}");
        }
    }
}
