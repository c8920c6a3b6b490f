//! The ways out of a mismatch: another name that all backends carry, else the name of one of them.

use std::cmp::Reverse;
use std::net::IpAddr;

use super::Advice;
use super::context::{Scene, Shown};
use super::phrases::{self, Place};
use crate::reason::{AdviceKind, Resolves, Severity};
use crate::snapshot::alternates::{alternate_candidates, common_labels, resolves};
use crate::target::{ServerName, TargetKind};
use crate::verdict::certificate::PresentedName;
use crate::verdict::name;

/// What clients can do while certificates are not reissued.
pub(super) fn remedies(scene: &Scene<'_>) -> Vec<Advice> {
    let names = carried_by_all(scene);
    let leading: Vec<&SharedBy<'_>> = names.iter().filter(|shared| shared.resolves == Resolves::All).collect();
    let mut found: Vec<Advice> = if let [best, others @ ..] = leading.as_slice() {
        vec![use_shared(scene, best, others)]
    } else if names.is_empty() {
        use_one(scene).into_iter().collect()
    } else {
        astray(scene, names)
    };
    // Those that follow records look them up anew for every mail.
    if !found.is_empty() && !matches!(scene.target.target.kind, TargetKind::Mx(_)) {
        let text = format!(
            "After a change from {} to another name, mail already queued keeps the old name: purge or requeue, then test \
             again and watch.",
            scene.server_name()
        );
        found.push(scene.say(AdviceKind::QueuedMail, Severity::Info, &[], &text));
    }
    found
}

/// A name that every resolved backend carries, and where it leads.
struct SharedBy<'a> {
    name: ServerName,
    resolves: Resolves,
    addresses: &'a [IpAddr],
}

/// Judged anew: backends may have come since the names were looked up.
fn carried_by_all<'a>(scene: &Scene<'a>) -> Vec<SharedBy<'a>> {
    if scene.shown.len() != scene.resolved.len() {
        return Vec::new();
    }
    let is_carried = |name: &ServerName| {
        let carries = |shown: &Shown<'_>| shown.facts.is_some_and(|facts| name::judge(name, facts).is_match());
        name != scene.server_name() && scene.shown.iter().all(carries)
    };
    let looked_up = scene.report.alternates.iter().filter(|shared| is_carried(&shared.name));
    let mut names: Vec<SharedBy<'_>> = looked_up
        .map(|shared| {
            let found_out = (shared.resolves != Resolves::Unknown).then_some(&*shared.addresses);
            let resolves = resolves(found_out, scene.report);
            SharedBy { name: shared.name.clone(), resolves, addresses: &shared.addresses }
        })
        .collect();
    for name in alternate_candidates(scene.report) {
        if !names.iter().any(|known| known.name == name) {
            names.push(SharedBy { name, resolves: Resolves::Unknown, addresses: &[] });
        }
    }
    names
}

fn use_shared(scene: &Scene<'_>, best: &SharedBy<'_>, others: &[&SharedBy<'_>]) -> Advice {
    let (name, namers) = (&best.name, scene.namers());
    let them = if scene.resolved.len() == 1 { "it" } else { "them" };
    let all = all_of(scene);
    let mut text = match not_valid(scene) {
        None => format!("Let {namers} use {name}: valid on {all} and resolves to {them}."),
        Some(but) => {
            format!(
                "The certificates of {all} carry {name}, and it resolves to {them}; but {but}. Mend that, then let {namers} use {name}."
            )
        }
    };
    if !others.is_empty() {
        let names = phrases::some_of(others.iter().map(|other| other.name.to_string()), MAX_NAMES);
        text.push_str(&format!(" The same holds for {names}."));
    }
    text.push_str(&reserves(scene));
    scene.say(AdviceKind::UseAlternateName, Severity::Info, &all_places(scene), &text)
}

/// Names that all carry, and that do not lead to all of them and nowhere else.
fn astray(scene: &Scene<'_>, mut names: Vec<SharedBy<'_>>) -> Vec<Advice> {
    names.sort_by_key(|shared| match shared.resolves {
        Resolves::All | Resolves::Part => 0,
        Resolves::Unknown => 1,
        Resolves::Nowhere => 2,
        Resolves::Elsewhere => 3,
    });
    let backends: Vec<IpAddr> = scene.resolved.iter().map(|report| report.backend.address).collect();
    let them = if backends.len() == 1 { "it" } else { "them" };
    let (namers, old) = (scene.namers(), scene.server_name());
    let tell = |shared: &SharedBy<'_>| {
        let name = &shared.name;
        let is = match not_valid(scene) {
            None => format!("{name} is valid on {}", all_of(scene)),
            Some(but) => format!("{name} stands in the certificates of {} ({but})", all_of(scene)),
        };
        let leads = match shared.resolves {
            Resolves::All | Resolves::Part => {
                let missing = backends.iter().filter(|address| !shared.addresses.contains(address));
                format!(
                    "but resolves to {} only: give it records for {}, too, then let {namers} use it",
                    phrases::addresses(shared.addresses),
                    phrases::addresses(missing)
                )
            }
            Resolves::Nowhere => format!(
                "but has no address: give it records for {}, then let {namers} use it",
                phrases::addresses(&backends)
            ),
            Resolves::Elsewhere => {
                let strangers = shared.addresses.iter().filter(|address| !backends.contains(address));
                let also = if shared.addresses.iter().any(|address| backends.contains(address)) { "also " } else { "" };
                let strangers = phrases::addresses(strangers);
                format!(
                    "but resolves {also}to {strangers}, where {old} does not: let {namers} use it only once it leads to \
                     the same addresses"
                )
            }
            Resolves::Unknown => format!(
                "but whether it resolves to {them} and nowhere else is not known: look that up before {namers} use it"
            ),
        };
        let text = format!("{is}, {leads}.{}", reserves(scene));
        scene.say(AdviceKind::AlternateNameElsewhere, Severity::Info, &all_places(scene), &text)
    };
    names.iter().take(MAX_NAMES).map(tell).collect()
}

/// The name of one good backend.
fn use_one(scene: &Scene<'_>) -> Option<Advice> {
    let is_good = |shown: &&Shown<'_>| shown.report.is_reachable() && shown.valid == Some(true);
    let (shown, name) = scene.shown.iter().filter(is_good).find_map(|shown| Some((shown, own_name(scene, shown)?)))?;
    let unknown: Vec<Place<'_>> = scene.resolved.iter().filter(|report| !is_read(report)).map(place).collect();
    let why = if unknown.is_empty() {
        "No name was found that all backends carry.".to_owned()
    } else {
        let list = phrases::list(&unknown);
        format!(
            "Whether all backends carry a name in common is not known, since no certificate of {list} could be read."
        )
    };
    let address = shown.report.backend.address;
    let text = format!(
        "{why} Until the certificates are reissued, {} can use {name}, which is valid on {address}, if it resolves to that \
         and nowhere else. All mail then depends on this one server: redundancy is lost.",
        scene.namers()
    );
    Some(scene.say(AdviceKind::UseBackendName, Severity::Info, &[shown.place()], &text))
}

/// A name of its own, before those that others carry, too.
fn own_name(scene: &Scene<'_>, shown: &Shown<'_>) -> Option<ServerName> {
    let facts = shown.facts?;
    let exact = facts.names().filter_map(|name| match name {
        PresentedName::Dns(name) if !name.contains('*') => ServerName::parse(name).ok(),
        _ => None,
    });
    let carries = |name: &ServerName, facts| name::judge(name, facts).is_match();
    let others = |name: &ServerName| {
        scene.shown.iter().filter(|other| other.facts.is_some_and(|facts| carries(name, facts))).count()
    };
    // Judging takes a look at all names: few of a long list are judged.
    let own = exact.filter(|name| name.dns().is_some() && name != scene.server_name()).take(MAX_OWN);
    own.filter(|name| carries(name, facts))
        .min_by_key(|name| (others(name), Reverse(common_labels(name, scene.server_name()))))
}

/// What stands in the way of calling a name valid on all backends.
fn not_valid(scene: &Scene<'_>) -> Option<String> {
    let places = |valid| -> Vec<Place<'_>> {
        scene.shown.iter().filter(|shown| shown.valid == valid).map(|shown| shown.place()).collect()
    };
    let (bad, unknown) = (places(Some(false)), places(None));
    let bad = (!bad.is_empty()).then(|| format!("the chain of {} is not valid", phrases::list(&bad)));
    let unknown = (!unknown.is_empty())
        .then(|| format!("whether the chain of {} is valid is not known", phrases::list(&unknown)));
    let said: Vec<String> = [bad, unknown].into_iter().flatten().collect();
    (!said.is_empty()).then(|| said.join(", and "))
}

/// What is not known for sure though all certificates are.
fn reserves(scene: &Scene<'_>) -> String {
    let mut text = String::new();
    let pick = |condition: fn(&Shown<'_>) -> bool| -> Vec<Place<'_>> {
        scene.shown.iter().filter(|shown| condition(shown)).map(|shown| shown.place()).collect()
    };
    let past = pick(|shown| shown.is_past);
    if !past.is_empty() {
        text.push_str(&format!(" {} cannot be probed now.", phrases::list(&past)));
    }
    let several = pick(|shown| shown.last.distinct > 1);
    if !several.is_empty() {
        let list = phrases::list(&several);
        text.push_str(&format!(
            " {list} showed more than one certificate lately, of which one was looked at for this."
        ));
    }
    let skipped: usize = scene.report.skipped.iter().map(|(_, count)| count).sum();
    if skipped > 0 {
        let count = u64::try_from(skipped).unwrap_or(u64::MAX);
        let addresses = if count == 1 { "1 more address".to_owned() } else { format!("{count} more addresses") };
        let name = scene.server_name();
        let are = if count == 1 { "is" } else { "are" };
        text.push_str(&format!(" {addresses} of {name} {are} not probed, and nothing is known of what is there."));
    }
    text
}

fn all_of(scene: &Scene<'_>) -> String {
    match scene.resolved.as_slice() {
        [one] => one.backend.address.to_string(),
        [_, _] => "both".to_owned(),
        many => format!("all {}", many.len()),
    }
}

fn all_places<'a>(scene: &Scene<'a>) -> Vec<Place<'a>> {
    scene.shown.iter().map(|shown| shown.place()).collect()
}

fn place<'a>(report: &&'a crate::snapshot::BackendReport) -> Place<'a> {
    Place { backend: &report.backend, seen_at: None, note: String::new() }
}

fn is_read(report: &&&crate::snapshot::BackendReport) -> bool {
    report.leaf().is_some_and(|leaf| leaf.facts().is_some())
}

/// Shared names that a reader is told of.
const MAX_NAMES: usize = 3;
/// Names of one backend that are looked at.
const MAX_OWN: usize = 8;
