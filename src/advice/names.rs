//! Certificates that lack a name: the server name, or one that the config expects.

use super::context::{Scene, Shown, grouped, places, story};
use super::phrases::{self, Listed, Place};
use super::request::Letter;
use super::{Advice, Story, alternates};
use crate::client_errors;
use crate::reason::{AdviceKind, NameReason, Severity};
use crate::target::ServerName;
use crate::verdict::NameVerdict;
use crate::verdict::certificate::PresentedName;

/// The mismatches with their ways out, then the expected names.
pub(super) fn of(scene: &Scene<'_>) -> Vec<Story> {
    let mut stories = Vec::new();
    let mut mismatch: Story = Vec::new();
    for reason in NameReason::ALL {
        let lacking = scene.whose(|shown| shown.name() == Some(NameVerdict::Mismatch(*reason)));
        if !lacking.is_empty() {
            mismatch.extend(mismatches(scene, *reason, &lacking));
        }
    }
    if !mismatch.is_empty() {
        mismatch.sort_by_key(|advice| advice.severity);
        mismatch.extend(wildcards(scene));
        mismatch.extend(alternates::remedies(scene));
        stories.push(mismatch);
    }
    stories.extend(expected(scene).map(story));
    stories
}

/// Those that lack the server name for one reason. Where it is read from the common name alone, clients differ by whether
/// the certificate has other names.
fn mismatches(scene: &Scene<'_>, reason: NameReason, lacking: &[&Shown<'_>]) -> Vec<Advice> {
    let is_bare = |shown: &Shown<'_>| shown.facts.is_some_and(|facts| dns_names(facts).next().is_none());
    let parts = grouped(lacking, |shown| reason == NameReason::CnOnly && is_bare(shown));
    parts.iter().map(|(bare, lacking)| mismatch(scene, reason, *bare, lacking)).collect()
}

fn mismatch(scene: &Scene<'_>, reason: NameReason, bare: bool, lacking: &[&Shown<'_>]) -> Advice {
    let name = scene.server_name();
    let noted: Vec<Place<'_>> = lacking.iter().map(|shown| shown.noted(presented(shown))).collect();
    let listed = Listed::of(&noted);
    let list = &listed.list;
    let they = match &listed.note {
        Some(note) => format!(", {} {note}", listed.verb("it presents", "they present")),
        None => ", they present the names in parentheses".to_owned(),
    };
    let reissued = listed.verb("have its certificate reissued", "have their certificates reissued");
    let (kind, wrong, todo) = match reason {
        NameReason::NotListed | NameReason::WildcardDepth => (
            AdviceKind::Reissue,
            format!("{list} {} {name}{they}", listed.verb("lacks", "lack")),
            format!("{reissued} with {name} added to the names {}", listed.verb("it has", "they have")),
        ),
        NameReason::CnOnly => (
            AdviceKind::Reissue,
            format!(
                "{list} {} {name} as common name only, which clients read no longer (RFC 9525 §2)",
                listed.verb("has", "have")
            ),
            format!("{reissued} with {name} as a subject alternative name"),
        ),
        NameReason::NoSan => (
            AdviceKind::Reissue,
            format!("{list} {} without any DNS name", listed.verb("presents a certificate", "present certificates")),
            format!("{reissued} with {name} as a subject alternative name"),
        ),
        NameReason::IpReference => (
            AdviceKind::IpReference,
            format!("{list} {} {name} as an IP address{they}", listed.verb("does not carry", "do not carry")),
            format!(
                "let clients use a DNS name, or {reissued} with the address as a subject alternative name of its own"
            ),
        ),
    };
    let clients = client_errors::for_name(reason);
    let severity = if bare { scene.refusal_by(&clients) } else { scene.refusal() };
    let mut advice = scene.say(kind, severity, &noted, &format!("{wrong}: {todo}."));
    let subject = if reason == NameReason::IpReference {
        format!("certificate without the address {name}")
    } else {
        format!("certificate without {name}")
    };
    let more: Vec<String> = missing_of_all(scene, lacking).iter().map(ToString::to_string).collect();
    let more = if more.is_empty() { String::new() } else { format!(" and {}", phrases::some_of(more, MAX_EXPECTED)) };
    let added = match name.ip() {
        Some(_) => format!("{name} (as an IP address){more}"),
        None => format!("{name}{more}"),
    };
    let letter = Letter {
        subject,
        wrong: format!("The certificate does not carry {name}. {}", reason.doc()),
        todo: format!(
            "have the certificate reissued with the subject alternative names that it has, and add {added}; then reload \
             the server."
        ),
        clients: Some(&clients),
    };
    advice.request = Some(letter.on_certificates(scene, lacking));
    advice.clients = Some(clients);
    advice
}

/// What a certificate presents, and on how many connections, where an address shows several.
fn presented(shown: &Shown<'_>) -> String {
    let names = shown.facts.map(|facts| phrases::names(facts, MAX_NAMES)).unwrap_or_default();
    match shown.last.mismatched_samples.filter(|_| shown.last.distinct > 1) {
        Some(count) => {
            let connections = phrases::counted(u64::try_from(count).unwrap_or(u64::MAX), "connection");
            format!("{names} on {connections} of its latest")
        }
        None => names,
    }
}

/// Wildcards that do not reach the server name.
fn wildcards(scene: &Scene<'_>) -> Vec<Advice> {
    let Some(name) = scene.server_name().dns() else { return Vec::new() };
    let too_deep = scene.whose(|shown| shown.name() == Some(NameVerdict::Mismatch(NameReason::WildcardDepth)));
    let groups = grouped(&too_deep, |shown| near_wildcard(shown, name));
    let mut found = Vec::new();
    for (parent, shown) in groups.into_iter().take(MAX_WILDCARDS) {
        let Some(parent) = parent else { continue };
        let places = places(&shown);
        let list = phrases::list(&places);
        let depth = name.split('.').count().saturating_sub(parent.split('.').count());
        let (lies, add) = match name.split_once('.') {
            Some((_, above)) if depth > 0 => {
                (format!("which lies {depth} labels below {parent}"), format!("{name} or *.{above}"))
            }
            _ => (format!("which has no label before {parent}"), name.to_owned()),
        };
        let text = format!(
            "*.{parent} on {list} stands for exactly one label (RFC 9525 §6.3): it covers names such as mail.{parent}, \
             not {name}, {lies}. Have {add} added, or let {} use a name one label below {parent} that leads there.",
            scene.namers()
        );
        found.push(scene.say(AdviceKind::WildcardDepth, Severity::Info, &places, &text));
    }
    found
}

/// The parent of the first wildcard that ends as `name` does, in lower case.
fn near_wildcard(shown: &Shown<'_>, name: &str) -> Option<String> {
    let wildcards = shown.facts.into_iter().flat_map(dns_names).filter_map(|presented| presented.strip_prefix("*."));
    let mut parents = wildcards.map(str::to_ascii_lowercase).filter(|parent| parent.contains('.'));
    parents.find(|parent| name == parent || name.strip_suffix(parent.as_str()).is_some_and(|rest| rest.ends_with('.')))
}

/// Names of the config's `expect_names` that certificates lack.
fn expected(scene: &Scene<'_>) -> Option<Advice> {
    let lacking = scene.whose(|shown| !missing(scene, shown).is_empty());
    if lacking.is_empty() {
        return None;
    }
    let note =
        |shown: &Shown<'_>| phrases::some_of(missing(scene, shown).iter().map(ToString::to_string), MAX_EXPECTED);
    let noted: Vec<Place<'_>> = lacking.iter().map(|shown| shown.noted(note(shown))).collect();
    let listed = Listed::of(&noted);
    let what = match &listed.note {
        Some(note) => format!("{note}, which the config expects (`expect_names`)"),
        None => "the names in parentheses, which the config expects (`expect_names`)".to_owned(),
    };
    let text = format!(
        "{} {} {what}: have {} reissued with what is missing added.",
        listed.list,
        listed.verb("lacks", "lack"),
        listed.verb("its certificate", "their certificates")
    );
    let all = missing_of_all(scene, &lacking);
    let all = phrases::some_of(all.iter().map(ToString::to_string), MAX_EXPECTED);
    let letter = Letter {
        subject: format!("certificate without {all}"),
        wrong: format!("The certificate does not carry all of the names that it should: {all}."),
        todo: format!(
            "have the certificate reissued with the subject alternative names that it has, and add {all}; then reload the \
             server."
        ),
        clients: None,
    };
    let mut advice = scene.say(AdviceKind::ExpectedName, Severity::Warning, &noted, &text);
    advice.request = Some(letter.on_certificates(scene, &lacking));
    Some(advice)
}

/// Expected names that a certificate lacks, without the server name.
fn missing<'a>(scene: &Scene<'a>, shown: &Shown<'_>) -> Vec<&'a ServerName> {
    let names = scene.target.target.settings.expect_names.iter().zip(&shown.assessment().expected);
    names.filter(|(name, carried)| !**carried && *name != scene.server_name()).map(|(name, _)| name).collect()
}

fn missing_of_all<'a>(scene: &Scene<'a>, lacking: &[&Shown<'_>]) -> Vec<&'a ServerName> {
    let mut names: Vec<&ServerName> = lacking.iter().flat_map(|shown| missing(scene, shown)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn dns_names(facts: &crate::verdict::Facts) -> impl Iterator<Item = &str> {
    facts.names().filter_map(|name| match name {
        PresentedName::Dns(name) => Some(name),
        PresentedName::Ip(_) => None,
    })
}

/// Presented names that a sentence lists of one backend.
const MAX_NAMES: usize = 5;
/// Expected names that a sentence lists.
const MAX_EXPECTED: usize = 10;
/// Wildcards that are explained.
const MAX_WILDCARDS: usize = 3;
