//! Server names: DNS names and IP addresses.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, Script};
use rustls_pki_types::DnsName;
use thiserror::Error;

/// The name that a client connects to: a DNS name in lower-case A-labels without trailing dot, or an IP address.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerName(Repr);

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Repr {
    Dns(Arc<str>),
    Ip(IpAddr),
}

impl ServerName {
    /// Parses an IP address, with or without brackets, or a host name. U-labels are converted to A-labels (UTS 46) if they
    /// contain only characters that IDNA2008 allows; A-labels are taken as they are. Case and a trailing dot are dropped.
    ///
    /// # Errors
    /// If it is neither. Underscores are accepted, as by resolvers and in certificates.
    pub fn parse(text: &str) -> Result<Self, ServerNameError> {
        let unbracketed = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        if let Ok(ip) = unbracketed.unwrap_or(text).parse::<IpAddr>() {
            return Ok(Self(Repr::Ip(ip.to_canonical())));
        }
        let ascii = idna::domain_to_ascii(text).map_err(|_| ServerNameError::Idna)?;
        if !text.is_ascii() {
            let unicode = idna::domain_to_unicode(&ascii).0;
            if !unicode.chars().all(is_allowed_in_labels) || !unicode.split('.').all(follows_context_rules) {
                return Err(ServerNameError::Idna);
            }
        }
        let ascii = ascii.strip_suffix('.').unwrap_or(&ascii);
        if ascii.is_empty() {
            return Err(ServerNameError::Empty);
        }
        if ascii.len() > 253 {
            return Err(ServerNameError::TooLong);
        }
        for label in ascii.split('.') {
            match label.len() {
                0 => return Err(ServerNameError::EmptyLabel),
                1..=63 => {}
                _ => return Err(ServerNameError::LabelTooLong),
            }
        }
        // Checked by the rule of the TLS library, so that the name cannot fail later.
        DnsName::try_from(ascii).map_err(|_| ServerNameError::Syntax)?;
        Ok(Self(Repr::Dns(ascii.to_ascii_lowercase().into())))
    }

    /// The address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.0 {
            Repr::Ip(ip) => Some(ip),
            Repr::Dns(_) => None,
        }
    }

    /// The DNS name, if it is one.
    pub fn dns(&self) -> Option<&str> {
        match &self.0 {
            Repr::Dns(name) => Some(name),
            Repr::Ip(_) => None,
        }
    }

    /// `HOST:PORT`; an IPv6 address is in brackets.
    pub fn with_port(&self, port: u16) -> String {
        match &self.0 {
            Repr::Ip(ip) => SocketAddr::new(*ip, port).to_string(),
            Repr::Dns(name) => format!("{name}:{port}"),
        }
    }

    /// The name for TLS and certificate libraries. Always `Some` for a parsed name.
    pub fn to_pki(&self) -> Option<rustls_pki_types::ServerName<'static>> {
        match &self.0 {
            Repr::Ip(ip) => Some(rustls_pki_types::ServerName::IpAddress((*ip).into())),
            Repr::Dns(name) => rustls_pki_types::ServerName::try_from(name.to_string()).ok(),
        }
    }
}

/// Whether IDNA2008 allows a character in a label (RFC 5892 §2 and §3): letters, marks and digits, not symbols and
/// punctuation. UTS 46 maps characters, but does not exclude those.
fn is_allowed_in_labels(c: char) -> bool {
    use GeneralCategory::{DecimalNumber, LowercaseLetter, ModifierLetter, NonspacingMark, OtherLetter, SpacingMark};
    c.is_ascii()
        || EXCEPTIONS.contains(&c)
        || matches!(
            CodePointMapData::<GeneralCategory>::new().get(c),
            LowercaseLetter | OtherLetter | ModifierLetter | NonspacingMark | SpacingMark | DecimalNumber
        )
}

/// Characters of other categories that are allowed (RFC 5892 §2.6, appendix A): joiners, the middle dot, Greek, Hebrew,
/// Sindhi, Tibetan, Japanese and Chinese signs.
const EXCEPTIONS: [char; 11] = [
    '\u{200c}', '\u{200d}', '\u{b7}', '\u{375}', '\u{5f3}', '\u{5f4}', '\u{6fd}', '\u{6fe}', '\u{f0b}', '\u{3007}',
    '\u{30fb}',
];

/// Whether each character of a label is where it is allowed (RFC 5892, appendix A.3 to A.9). UTS 46 has only the rules for
/// joiners.
fn follows_context_rules(label: &str) -> bool {
    let is_of = |script: Script, c: Option<char>| c.is_some_and(|c| CodePointMapData::<Script>::new().get(c) == script);
    label.char_indices().all(|(at, c)| {
        let (before, rest) = label.split_at_checked(at).unwrap_or_default();
        let (before, after) = (before.chars().next_back(), rest.chars().nth(1));
        match c {
            '\u{b7}' => before == Some('l') && after == Some('l'),
            '\u{375}' => is_of(Script::Greek, after),
            '\u{5f3}' | '\u{5f4}' => is_of(Script::Hebrew, before),
            '\u{30fb}' => label.chars().any(|c| {
                [Script::Hiragana, Script::Katakana, Script::Han].iter().any(|script| is_of(*script, Some(c)))
            }),
            '\u{660}'..='\u{669}' => !label.contains(|c| matches!(c, '\u{6f0}'..='\u{6f9}')),
            _ => true,
        }
    })
}

impl From<IpAddr> for ServerName {
    fn from(ip: IpAddr) -> Self {
        Self(Repr::Ip(ip.to_canonical()))
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Dns(name) => f.write_str(name),
            Repr::Ip(ip) => ip.fmt(f),
        }
    }
}

impl fmt::Debug for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a valid server name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ServerNameError {
    /// The name is empty.
    #[error("empty name")]
    Empty,
    /// A label is empty: two dots in a row, or a leading dot.
    #[error("empty label: found a leading dot or two dots in a row")]
    EmptyLabel,
    /// A label has more than 63 octets (RFC 1035 §2.3.4).
    #[error("label too long: expected at most 63 octets")]
    LabelTooLong,
    /// The name has more than 253 octets.
    #[error("name too long: expected at most 253 octets")]
    TooLong,
    /// A character is not allowed, a label begins or ends with a hyphen, or the last one has digits only.
    #[error("invalid host name: expected labels of letters, digits, `-` and `_`")]
    Syntax,
    /// Not a valid internationalized name (UTS 46).
    #[error("invalid internationalized name: expected letters and digits")]
    Idna,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_names_and_addresses() {
        for (text, expected) in [
            ("smtp.example.com", "smtp.example.com"),
            ("SMTP.Example.COM.", "smtp.example.com"),
            ("mail_x.test", "mail_x.test"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER。example", "xn--bcher-kva.example"),
            ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
            ("उदाहरण.परीक्षा", "xn--p1b6ci4b4b3a.xn--11b5bs3a9aj6g"),
            ("xn--n3h.example", "xn--n3h.example"),
            ("xn--ab-0ea.test", "xn--ab-0ea.test"),
            ("col·lapse.test", "xn--collapse-ioa.test"),
            ("L·L.test", "xn--ll-0ea.test"),
            ("ア・b.test", "xn--b-eeu1m.test"),
            ("א״ב.test", "xn--4dbc8h.test"),
            ("͵α.test", "xn--wva4j.test"),
            ("ا٠١.test", "xn--mgb8id.test"),
            ("192.0.2.1", "192.0.2.1"),
            ("2001:DB8::1", "2001:db8::1"),
            ("[2001:db8:0:0::1]", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            let name = ServerName::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(name.to_string(), expected);
            assert!(name.to_pki().is_some(), "{text:?} has a form for TLS");
        }
    }

    #[test]
    fn rejects_invalid_names() {
        let (long_label, long_name) = (format!("{}.test", "a".repeat(64)), ["abcdefghi"; 26].join("."));
        for (text, expected) in [
            ("", ServerNameError::Empty),
            (".", ServerNameError::Empty),
            ("a..b", ServerNameError::EmptyLabel),
            (&long_label, ServerNameError::LabelTooLong),
            (&long_name, ServerNameError::TooLong),
            ("two words", ServerNameError::Syntax),
            ("*.example.com", ServerNameError::Syntax),
            ("“a.test”", ServerNameError::Idna),
            ("mail’s.test", ServerNameError::Idna),
            ("mail–1.test", ServerNameError::Idna),
            ("☃.test", ServerNameError::Idna),
            ("a€.test", ServerNameError::Idna),
            ("❤.test", ServerNameError::Idna),
            ("xn--n3h.bücher.test", ServerNameError::Idna),
            ("a·b.test", ServerNameError::Idna),
            ("l·.test", ServerNameError::Idna),
            ("·l.test", ServerNameError::Idna),
            ("l·l·b.test", ServerNameError::Idna),
            ("a・b.test", ServerNameError::Idna),
            ("ア.a・b.test", ServerNameError::Idna),
            ("α͵.test", ServerNameError::Idna),
            ("״א.test", ServerNameError::Idna),
            ("a׳b.test", ServerNameError::Idna),
            ("٠۰.test", ServerNameError::Idna),
        ] {
            assert_eq!(ServerName::parse(text), Err(expected), "{text:?}");
        }
    }
}
