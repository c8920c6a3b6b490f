//! Presented names that match no server name because of how they are written, although people read them as one.

use std::collections::HashSet;
use std::fmt::Write;
use std::net::IpAddr;

use super::certificate::{Facts, PresentedName};
use super::name::{self, is_valid, matches};
use crate::reason::NameDifference as Difference;
use crate::target::ServerName;
use crate::text::is_printable;

/// A presented name that looks like the server name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss<'a> {
    /// The name as presented.
    pub presented: PresentedName<'a>,
    /// How it differs; never empty.
    pub differences: Vec<Difference>,
}

impl NearMiss<'_> {
    /// The name in quotation marks, with escapes for what cannot be seen, cut after `limit` characters.
    pub fn quoted(&self, limit: usize) -> String {
        quoted(self.presented, limit)
    }

    /// What is odd about it, as a predicate: `ends with a dot and contains white space`.
    pub fn predicate(&self) -> String {
        let phrases: Vec<&str> = self.differences.iter().map(|difference| difference.predicate()).collect();
        phrases.join(" and ")
    }
}

impl Difference {
    /// The meaning as a predicate without its subject.
    pub fn predicate(self) -> &'static str {
        let doc = self.doc();
        doc.strip_prefix("It ").unwrap_or(doc).trim_end_matches('.')
    }
}

/// The presented names that look like `reference`, each once. None if one of them matches it.
pub fn near_misses<'f>(reference: &ServerName, facts: &'f Facts) -> Vec<NearMiss<'f>> {
    if name::judge(reference, facts).is_match() {
        return Vec::new();
    }
    let mut known = HashSet::new();
    let near_miss = |presented| {
        if !known.insert(presented) {
            return None;
        }
        let differences = differences(reference, presented);
        (!differences.is_empty()).then_some(NearMiss { presented, differences })
    };
    facts.names().chain(facts.other_names()).filter_map(near_miss).collect()
}

/// The names of a certificate as text: first those that look like `reference`, with their differences, then the others.
pub fn described_names<'f>(
    reference: &ServerName,
    facts: &'f Facts,
    limit: usize,
) -> impl Iterator<Item = String> + use<'f> {
    let near = near_misses(reference, facts);
    let is_near = near.iter().map(|near| near.presented).collect::<Vec<_>>();
    let described = move |near: NearMiss<'f>| format!("{} ({})", near.quoted(limit), near.predicate());
    let others = facts.names().filter(move |name| !is_near.contains(name));
    near.into_iter().map(described).chain(others.map(move |name| shown(name, limit)))
}

/// A presented name as text. If it is not a valid name, it is in quotation marks, with escapes for what cannot be seen.
pub fn shown(name: PresentedName<'_>, limit: usize) -> String {
    match name {
        PresentedName::Ip(ip) => ip.to_string(),
        PresentedName::Dns(text) if is_valid(text) => text.to_owned(),
        PresentedName::Dns(_) | PresentedName::Uri(_) | PresentedName::Mailbox(_) => quoted(name, limit),
    }
}

/// In quotation marks, cut after `limit` characters.
fn quoted(name: PresentedName<'_>, limit: usize) -> String {
    let text = name.to_string();
    let mut out = String::from('"');
    for (count, c) in text.chars().enumerate() {
        if count == limit {
            out.push('…');
            break;
        }
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            _ if is_invisible(c) || lookalike(c).is_some() || c.is_whitespace() && c != ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "{}", c.escape_default());
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

/// How `presented` differs from `reference`; empty if they are equal, or do not look alike.
fn differences(reference: &ServerName, presented: PresentedName<'_>) -> Vec<Difference> {
    let (text, kind) = match presented {
        PresentedName::Ip(ip) => {
            let is_mapped = reference.ip().is_some_and(|reference| reference != ip && reference == ip.to_canonical());
            return Vec::from_iter(is_mapped.then_some(Difference::MappedAddress));
        }
        // Most names are well-formed: they match, or are another name.
        PresentedName::Dns(text) if reference.ip().is_none() && is_valid(text) => return Vec::new(),
        PresentedName::Dns(text) => (text, None),
        PresentedName::Uri(text) | PresentedName::Mailbox(text) => (text, Some(Difference::OtherType)),
    };
    let visible: String = text.chars().filter(|c| c.is_whitespace() || !is_invisible(*c)).collect();
    let solid: String = visible.chars().filter(|c| !c.is_whitespace()).collect();
    let mut found = Vec::from_iter(kind);
    found.extend((visible.len() < text.len()).then_some(Difference::Invisible));
    if let Some(more) = differences_of_one(reference, &solid) {
        found.extend((solid.len() < visible.len()).then_some(Difference::WhiteSpace));
        found.extend(more);
    } else {
        // In a query or a local part, these characters separate no names.
        let is_plain = kind.is_none() && !visible.contains(['?', '@']);
        let is_separator =
            |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|') || is_plain && matches!(c, '&' | '+');
        let parts = names_between(&visible, is_separator);
        let more = differences_of_any(reference, &parts).or_else(|| {
            let lists = ['/', ':'].map(|separator| names_between(&visible, |c| c == separator));
            // Not the path of a URL, nor an IPv6 address.
            let is_name = |part: &&str| part.contains(['.', '=']) || address(part).is_some();
            let mut lists = lists.iter().filter(|parts| is_plain && parts.iter().all(is_name));
            lists.find_map(|parts| differences_of_any(reference, parts))
        });
        let Some(more) = more else { return Vec::new() };
        found.extend(more);
    }
    if kind.is_some() {
        // A URI has a scheme, and a mailbox a local part. Neither is an entry for DNS names.
        found.retain(|difference| {
            !matches!(
                difference,
                Difference::Prefix | Difference::Mailbox | Difference::Path | Difference::AddressAsDnsName
            )
        });
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn names_between(text: &str, is_separator: impl Fn(char) -> bool) -> Vec<&str> {
    text.split(is_separator).filter(|part| !part.is_empty()).collect()
}

/// How the first one of `parts` that looks like `reference` differs from it, if they are several, also as a list.
fn differences_of_any(reference: &ServerName, parts: &[&str]) -> Option<Vec<Difference>> {
    let mut found = parts.iter().find_map(|part| differences_of_one(reference, part))?;
    found.extend((parts.len() > 1).then_some(Difference::List));
    Some(found)
}

/// How a single name without white space differs from `reference`; none if it does not look like it.
fn differences_of_one(reference: &ServerName, text: &str) -> Option<Vec<Difference>> {
    let (core, mut found) = without_additions(text);
    match (reference.ip(), reference.dns()) {
        (Some(ip), _) => {
            (address(&core)?.to_canonical() == ip).then_some(())?;
            found.push(Difference::AddressAsDnsName);
        }
        (None, Some(name)) => found.extend(differences_in_letters(name, &core, &found)?),
        (None, None) => return None,
    }
    Some(found)
}

/// `text` without what surrounds a name, and what that was.
fn without_additions(text: &str) -> (String, Vec<Difference>) {
    let (mut rest, mut found) = (text, Vec::new());
    // Each round removes at least one character; a name has few additions.
    for _ in 0..MAX_ADDITIONS {
        if address(rest).is_some() {
            break;
        }
        let Some((difference, shorter)) = without_one(rest) else { break };
        found.push(difference);
        rest = shorter;
    }
    if !rest.contains("..") {
        return (rest.to_owned(), found);
    }
    found.push(Difference::EmptyLabel);
    let labels: Vec<&str> = rest.split('.').filter(|label| !label.is_empty()).collect();
    (labels.join("."), found)
}

fn without_one(text: &str) -> Option<(Difference, &str)> {
    let shorter = |difference, rest: &'_ str| (rest.len() < text.len()).then_some(difference);
    let is_punctuation =
        |c: char| matches!(c, '"' | '\'' | '`' | '<' | '>' | '(' | ')' | '[' | ']' | '{' | '}' | ',' | ';' | '|');
    if let Some(rest) = without_prefix(text) {
        return Some((Difference::Prefix, rest));
    }
    if let Some((_, rest)) = text.rsplit_once('@') {
        return Some((Difference::Mailbox, rest));
    }
    if let Some((rest, _)) = text.split_once(['/', '?', '#', '\\']) {
        return Some((Difference::Path, rest));
    }
    if let Some((rest, port)) = text.rsplit_once(':')
        && is_before_port(rest, port)
    {
        return Some((Difference::Port, rest));
    }
    let rest = text.trim_matches(is_punctuation);
    if let Some(difference) = shorter(Difference::Punctuation, rest) {
        return Some((difference, rest));
    }
    let rest = text.trim_end_matches('.');
    if let Some(difference) = shorter(Difference::TrailingDot, rest) {
        return Some((difference, rest));
    }
    let rest = text.trim_start_matches('.');
    shorter(Difference::LeadingDot, rest).map(|difference| (difference, rest))
}

/// `text` without a scheme, also a misspelled one, without a keyword such as `DNS:` or `DNS.1=`, or without slashes.
fn without_prefix(text: &str) -> Option<&str> {
    if let Some((_, rest)) = text.split_once("://") {
        return Some(rest);
    }
    if let Some((scheme, rest)) = text.split_once("//")
        && is_keyword(scheme)
    {
        return Some(rest);
    }
    if let Some(rest) = text.strip_prefix(['/', '\\']) {
        return Some(rest);
    }
    let (prefix, rest) = text.split_once([':', '='])?;
    let is_prefix = match text.as_bytes().get(prefix.len()) {
        // An attribute of a distinguished name may be an OID.
        Some(b'=') => !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
        // Not a name before a port, and not a part of an address.
        _ => {
            let is_port = rest.bytes().all(|b| b.is_ascii_digit());
            let is_address = prefix.len() <= 4 && prefix.bytes().all(|b| b.is_ascii_hexdigit()) && rest.contains(':');
            is_keyword(prefix) && !is_port && !is_address
        }
    };
    is_prefix.then_some(rest)
}

/// Whether `text` is a word, maybe with a number as in `DNS.1` (openssl.cnf), not a domain.
fn is_keyword(text: &str) -> bool {
    let (word, number) = text.split_once('.').unwrap_or((text, ""));
    text.len() <= MAX_PREFIX
        && word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        && number.bytes().all(|b| b.is_ascii_digit())
}

/// Whether `port` is a port, the name of one, or `*`, and the text before it is not a part of an IPv6 address.
fn is_before_port(text: &str, port: &str) -> bool {
    let is_number = port.bytes().all(|b| b.is_ascii_digit());
    let is_port = port.bytes().all(|b| b.is_ascii_alphanumeric() || b"*-".contains(&b));
    let is_host = text.ends_with(']') || text.split(':').next().is_some_and(|host| host.contains('.'));
    is_number && !text.contains(':') || is_port && is_host
}

/// An address as people write it: also with a zone (RFC 4007 §11), or with leading zeros.
fn address(text: &str) -> Option<IpAddr> {
    let (text, _zone) = text.split_once('%').unwrap_or((text, ""));
    let decimal = |octet: &str| octet.parse().ok().filter(|_| octet.bytes().all(|b| b.is_ascii_digit()));
    text.parse().ok().or_else(|| {
        let octets: Vec<u8> = text.split('.').map(decimal).collect::<Option<_>>()?;
        Some(IpAddr::from(<[u8; 4]>::try_from(octets).ok()?))
    })
}

/// The differences between `reference` and a name without additions; none if it does not look like it. `removed` are
/// its additions.
fn differences_in_letters(reference: &str, core: &str, removed: &[Difference]) -> Option<Vec<Difference>> {
    // `.example.com`, as in name constraints, looks like all names below it.
    let covers = |core: &str| {
        let below = reference.len().checked_sub(core.len()).and_then(|at| reference.split_at_checked(at));
        removed.contains(&Difference::LeadingDot)
            && below.is_some_and(|(above, end)| above.ends_with('.') && end.eq_ignore_ascii_case(core))
    };
    let looks_like = |core: &str| matches(core, reference) || covers(core);
    if looks_like(core) {
        return Some(Vec::new());
    }
    if !core.is_ascii() {
        let (wildcard, parent) = core.strip_prefix("*.").map_or(("", core), |parent| ("*.", parent));
        let ascii = ServerName::parse(parent).ok().and_then(|name| Some(format!("{wildcard}{}", name.dns()?)));
        if ascii.is_some_and(|ascii| looks_like(&ascii)) {
            return Some(vec![Difference::ULabel]);
        }
        let plain: String = core.chars().map(|c| lookalike(c).unwrap_or(c)).collect();
        if plain != core && looks_like(&plain) {
            return Some(vec![Difference::Lookalike]);
        }
    }
    // `*example.com` without a dot looks like `*.example.com`.
    let has_no_dot = || core.strip_prefix('*').is_some_and(|parent| matches(&format!("*.{parent}"), reference));
    let is_wildcard = core.contains('*') && !is_valid(core) && (matches_pattern(core, reference) || has_no_dot());
    is_wildcard.then(|| vec![Difference::Wildcard])
}

/// Whether each label of `pattern`, in which `*` is any text, fits the label of `name` at the same place.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let labels = |text: &str| text.to_ascii_lowercase().split('.').map(str::to_owned).collect::<Vec<_>>();
    let (pattern, name) = (labels(pattern), labels(name));
    pattern.len() == name.len() && pattern.iter().zip(&name).all(|(pattern, label)| matches_label(pattern, label))
}

fn matches_label(pattern: &str, label: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == label };
    let Some(mut label) = label.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = label.split_once(part) else { return false };
        label = after;
    }
    label.ends_with(end)
}

/// Whether a character has no width or no effect on how a name looks.
fn is_invisible(c: char) -> bool {
    // The Braille pattern without dots is blank.
    !is_printable(c) || c == '\u{2800}'
}

/// The ASCII character that looks like `c`: hyphens and dots of word processors; Greek and Cyrillic letters (Unicode
/// Technical Standard 39 §4).
fn lookalike(c: char) -> Option<char> {
    let at = |others: &str, ascii: &str| {
        let at = others.chars().position(|other| other == c)?;
        ascii.chars().nth(at)
    };
    match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => Some('-'),
        '\u{2024}' | '\u{b7}' => Some('.'),
        '\u{2217}' | '\u{204e}' => Some('*'),
        _ => at("асԁеһіјӏорԛѕԝхуνοαρικ", "acdehijlopqswxyvoapik"),
    }
}

const MAX_ADDITIONS: usize = 16;
/// Characters of a keyword before a name, as in `X509v3 Subject Alternative Name:`.
const MAX_PREFIX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use Difference::{
        AddressAsDnsName, EmptyLabel, Invisible, LeadingDot, List, Lookalike, Mailbox, MappedAddress, OtherType, Path,
        Port, Prefix, Punctuation, TrailingDot, ULabel, WhiteSpace, Wildcard,
    };

    #[track_caller]
    fn check(reference: &str, presented: &str, expected: &[Difference]) {
        check_name(reference, PresentedName::Dns(presented), expected);
    }

    #[track_caller]
    fn check_name(reference: &str, presented: PresentedName<'_>, expected: &[Difference]) {
        let reference = ServerName::parse(reference).expect("a server name");
        assert_eq!(differences(&reference, presented), expected, "{presented:?} for {reference}");
    }

    #[test]
    fn finds_what_is_odd_about_a_name() {
        let name = "smtp.example.com";
        for (presented, expected) in [
            ("smtp.example.com.", &[TrailingDot][..]),
            ("SMTP.example.com..", &[TrailingDot]),
            ("*.example.com.", &[TrailingDot]),
            (".smtp.example.com", &[LeadingDot]),
            (".example.com", &[LeadingDot]),
            ("smtp..example.com", &[EmptyLabel]),
            ("smtp.example.com ", &[WhiteSpace]),
            (" smtp.example.com", &[WhiteSpace]),
            ("smtp. example.com", &[WhiteSpace]),
            ("* .example.com", &[WhiteSpace]),
            ("smtp.example.com\t", &[WhiteSpace]),
            ("smtp.example.com\n", &[WhiteSpace]),
            ("smtp.example.com\r\n", &[WhiteSpace]),
            ("smtp.example.com\u{a0}", &[WhiteSpace]),
            ("smtp.example.com\0", &[Invisible]),
            ("smtp\u{200b}.example.com", &[Invisible]),
            ("\u{feff}smtp.example.com", &[Invisible]),
            ("sm\u{ad}tp.example.com", &[Invisible]),
            ("smtp.exаmple.com", &[Lookalike]),
            ("smtp.example\u{2024}com", &[Lookalike]),
            ("smtp://smtp.example.com", &[Prefix]),
            ("smtps://smtp.example.com:465/", &[Prefix, Port, Path]),
            ("mailto:postmaster@smtp.example.com", &[Prefix, Mailbox]),
            ("DNS:smtp.example.com", &[Prefix]),
            ("CN=smtp.example.com", &[Prefix]),
            ("DNS.1=smtp.example.com", &[Prefix]),
            ("DNS.1 = smtp.example.com", &[WhiteSpace, Prefix]),
            ("DNS.12:smtp.example.com", &[Prefix]),
            ("DNS1:smtp.example.com", &[Prefix]),
            ("DNS_1=*.example.com", &[Prefix]),
            ("subjectAltName=DNS:smtp.example.com", &[Prefix]),
            ("X509v3 Subject Alternative Name: DNS:smtp.example.com", &[WhiteSpace, Prefix]),
            ("commonName=smtp.example.com", &[Prefix]),
            ("2.5.4.3=smtp.example.com", &[Prefix]),
            ("/CN=smtp.example.com", &[Prefix]),
            ("/C=US/O=Example/CN=smtp.example.com", &[Prefix, List]),
            ("C=US, O=Example, CN=smtp.example.com", &[Prefix, List]),
            ("/smtp.example.com", &[Prefix]),
            ("//smtp.example.com", &[Prefix]),
            ("http//smtp.example.com", &[Prefix]),
            ("https:/smtp.example.com", &[Prefix]),
            ("https:\\\\smtp.example.com", &[Prefix]),
            ("https:smtp.example.com/", &[Prefix, Path]),
            ("example.org:smtp.example.org", &[]),
            ("@smtp.example.com", &[Mailbox]),
            ("smtp.example.com:25", &[Port]),
            ("smtp.example.com.:587", &[TrailingDot, Port]),
            ("smtp.example.com:", &[Port]),
            ("smtp.example.com:smtp", &[Port]),
            ("smtp.example.com.:submission", &[TrailingDot, Port]),
            ("smtp.example.com:25:587", &[Port]),
            ("smtp.example.com:25-587", &[Port]),
            ("smtp.example.com:25/tcp", &[Port, Path]),
            ("smtp.example.com:*", &[Port]),
            ("*.example.com:*", &[Port]),
            ("smtp.example.com/", &[Path]),
            ("smtp.example.com//", &[Path]),
            ("smtp.example.com/mail?x", &[Path]),
            ("\"smtp.example.com\"", &[Punctuation]),
            ("<smtp.example.com>", &[Punctuation]),
            ("smtp.example.com,", &[Punctuation]),
            ("mail.example.com,smtp.example.com", &[List]),
            ("mail.example.com smtp.example.com", &[List]),
            ("DNS:mail.example.com, DNS:smtp.example.com", &[Prefix, List]),
            ("dns=smtp.example.com&dns=mail.example.com", &[Prefix, List]),
            ("dns=mail.example.com&dns=smtp.example.com", &[Prefix, List]),
            ("a.example.com+smtp.example.com", &[List]),
            ("smtp.example.com+a.example.com", &[List]),
            ("mail.example.com/smtp.example.com", &[List]),
            ("mail.example.com:25/smtp.example.com:25", &[Port, List]),
            ("mail.example.com:smtp.example.com", &[List]),
            ("smtp.example.com:mail.example.com", &[List]),
            ("https://example.org/smtp.example.com", &[]),
            ("https://example.org/?a=1&host=smtp.example.com", &[]),
            ("smtp.example.com+tag@example.org", &[]),
            ("*", &[]),
            ("*example.com", &[Wildcard]),
            ("*EXAMPLE.com.", &[TrailingDot, Wildcard]),
            ("DNS:*example.com", &[Prefix, Wildcard]),
            ("*ple.com", &[]),
            ("*com", &[]),
            ("s*.example.com", &[Wildcard]),
            ("*p.example.com", &[Wildcard]),
            ("smtp.*.com", &[Wildcard]),
            ("**.example.com", &[Wildcard]),
            ("s*x.example.com", &[]),
            ("SMTP.Example.COM", &[]),
            ("mail.example.com.", &[]),
            ("smtp.example.com.example.org", &[]),
            ("smtp.example.com\0.example.org", &[]),
            ("example.com.", &[]),
            (".example.org", &[]),
            ("", &[]),
            (".", &[]),
            ("://", &[]),
            ("::::@@//..", &[]),
        ] {
            check(name, presented, expected);
        }
        check("xn--bcher-kva.example.com", "bücher.example.com", &[ULabel]);
        check("xn--bcher-kva.example.com", "bücher.example.com.", &[TrailingDot, ULabel]);
        check("mail.xn--bcher-kva.example", "*.bücher.example", &[ULabel]);
        check("mail-1.example.com", "mail\u{2011}1.example.com", &[Lookalike]);
        check("example.com", "*.com", &[Wildcard]);
        check("smtp.example.com", "192.0.2.1", &[]);
        check("192.0.2.1", "192.0.2.1", &[AddressAsDnsName]);
        check("192.0.2.1", "192.0.2.1:25", &[Port, AddressAsDnsName]);
        check("192.0.2.1", "IP:192.0.2.1", &[Prefix, AddressAsDnsName]);
        check("2001:db8::1", "2001:DB8:0::1", &[AddressAsDnsName]);
        check("2001:db8::1", "[2001:db8::1]:25", &[Port, Punctuation, AddressAsDnsName]);
        check("192.0.2.1", "IP.1=192.0.2.1", &[Prefix, AddressAsDnsName]);
        check("192.0.2.1", "IP Address:192.0.2.1", &[WhiteSpace, Prefix, AddressAsDnsName]);
        check("192.0.2.1", "192.000.002.001", &[AddressAsDnsName]);
        check("192.0.2.1", "192.000.002.001:25", &[Port, AddressAsDnsName]);
        check("192.0.2.1", "192.0.2.1:smtp", &[Port, AddressAsDnsName]);
        check("192.0.2.1", "192.0.2.2/192.0.2.1", &[List, AddressAsDnsName]);
        check("192.0.2.1", "192.0.2.1/32", &[Path, AddressAsDnsName]);
        check("192.0.2.1", "::ffff:192.0.2.1", &[AddressAsDnsName]);
        check("192.0.2.1", "192.0.2.+1", &[]);
        check("192.0.2.1", "192.0.2.257", &[]);
        check("192.0.2.1", "192.0.2.1.1", &[]);
        check("2001:db8::1", "IPv6:2001:db8::1", &[Prefix, AddressAsDnsName]);
        check("2001:db8::1", "[IPv6:2001:db8::1]", &[Prefix, Punctuation, AddressAsDnsName]);
        check("2001:db8::1", "2001:db8::1%eth0", &[AddressAsDnsName]);
        check("2001:db8::1", "[2001:db8::1%25eth0]:25", &[Port, Punctuation, AddressAsDnsName]);
        check("2001:db8::1", "2001:db8::1/128", &[Path, AddressAsDnsName]);
        check("2001:db8::1", "2001:db8::2/2001:db8::1", &[List, AddressAsDnsName]);
        check("2001:db8::1", "2001:db8::", &[]);
        check("fd00::1", "fd00::1%eth0", &[AddressAsDnsName]);
        check("fd00::1", "fd00::1/64", &[Path, AddressAsDnsName]);
        check("192.0.2.1", "192.0.2.2", &[]);
        check("192.0.2.1", "smtp.example.com", &[]);
        check_name("smtp.example.com", PresentedName::Uri("smtp://smtp.example.com/"), &[OtherType]);
        check_name("smtp.example.com", PresentedName::Mailbox("postmaster@smtp.example.com"), &[OtherType]);
        check_name("smtp.example.com", PresentedName::Uri("https://example.org/"), &[]);
        let query = PresentedName::Uri("https://example.org/?a=1&host=smtp.example.com");
        check_name("smtp.example.com", query, &[]);
        check_name("smtp.example.com", PresentedName::Mailbox("smtp.example.com+tag@example.org"), &[]);
        check_name("192.0.2.1", PresentedName::Uri("smtp://192.0.2.1/"), &[OtherType]);
        let ip = |text: &str| PresentedName::Ip(text.parse().expect("an address"));
        check_name("192.0.2.1", ip("192.0.2.1"), &[]);
        check_name("192.0.2.1", ip("192.0.2.2"), &[]);
        check_name("192.0.2.1", ip("::ffff:192.0.2.1"), &[MappedAddress]);
        check_name("192.0.2.1", ip("::ffff:192.0.2.2"), &[]);
        check_name("2001:db8::1", ip("::ffff:192.0.2.1"), &[]);
        check_name("smtp.example.com", ip("::ffff:192.0.2.1"), &[]);
    }

    #[test]
    fn shows_odd_names_in_quotation_marks() {
        for (presented, expected) in [
            ("mail.example.com", "mail.example.com"),
            ("*.example.com", "*.example.com"),
            ("smtp.example.com.", "\"smtp.example.com.\""),
            ("smtp.example.com ", "\"smtp.example.com \""),
            ("a\tb\0\u{200b}\u{a0}", "\"a\\tb\\u{0}\\u{200b}\\u{a0}\""),
            ("say \"a\\b\"", "\"say \\\"a\\\\b\\\"\""),
            ("exаmple.com", "\"ex\\u{430}mple.com\""),
            ("bücher.example", "\"bücher.example\""),
            ("", "\"\""),
            ("0123456789 0123456789 0123456789", "\"0123456789 012345678…\""),
        ] {
            assert_eq!(shown(PresentedName::Dns(presented), 20), expected, "{presented:?}");
        }
    }

    #[test]
    fn names_that_look_like_the_reference_come_first() {
        let reference = ServerName::parse("smtp.example.com").expect("a server name");
        let described = |names: &[&str]| -> Vec<String> {
            let names: Vec<PresentedName<'_>> = names.iter().map(|name| PresentedName::Dns(name)).collect();
            described_names(&reference, &Facts::named(&names, None), 100).collect()
        };
        assert_eq!(
            described(&["mail.example.com", "smtp.example.com."]),
            ["\"smtp.example.com.\" (ends with a dot)", "mail.example.com"]
        );
        assert_eq!(
            described(&["smtp.example.com.", "smtp.example.com.", "mail.example.com"]),
            ["\"smtp.example.com.\" (ends with a dot)", "mail.example.com"]
        );
        // If another name matches, nothing is odd.
        assert_eq!(
            described(&["smtp.example.com", "smtp.example.com."]),
            ["smtp.example.com", "\"smtp.example.com.\""]
        );
    }

    #[test]
    fn every_difference_is_a_predicate() {
        for difference in Difference::ALL {
            assert!(difference.doc().starts_with("It "), "{difference}: {}", difference.doc());
        }
    }
}
