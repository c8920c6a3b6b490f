//! Certificates that were renewed, and are not served everywhere.

use super::context::{Scene, Shown, grouped, places, story};
use super::phrases::{self, Listed, Place};
use super::request::Letter;
use super::validity::expires_soon;
use super::{Advice, Story};
use crate::reason::{AdviceKind, Severity};
use crate::text::printable;
use crate::verdict::{Facts, name};

/// Renewed on some backends only; on disk and not served.
pub(super) fn of(scene: &Scene<'_>) -> Vec<Story> {
    let mut stories = renewed_partly(scene);
    stories.extend(on_disk(scene).map(story));
    stories
}

/// Old certificates beside newer ones for the same names. Backends may well have certificates of their own, which are
/// never renewed at the same time: an old one counts once less than a third of its lifetime is left, when it should have
/// been renewed, too.
fn renewed_partly(scene: &Scene<'_>) -> Vec<Story> {
    let now = scene.moment();
    let is_old = |facts: &Facts| {
        let lifetime = facts.not_after.saturating_sub(facts.not_before);
        facts.not_after.saturating_sub(now) < lifetime / 3
    };
    let old = scene.whose(|shown| shown.facts.is_some_and(is_old));
    // Nothing to compare, as it is mostly.
    if old.is_empty() || old.len() == scene.shown.len() {
        return Vec::new();
    }
    let all: Vec<(&Shown<'_>, &Facts)> = scene.shown.iter().filter_map(|shown| Some((shown, shown.facts?))).collect();
    let names: Vec<Vec<String>> = all.iter().map(|(_, facts)| names_of(facts)).collect();
    let numbers: Vec<usize> = (0..all.len()).collect();
    let tell = |(_, same): (Option<&Vec<String>>, Vec<usize>)| {
        let same: Vec<(&Shown<'_>, &Facts)> = same.iter().filter_map(|number| all.get(*number).copied()).collect();
        let (newest, facts) = same.iter().copied().max_by_key(|(_, facts)| facts.not_after)?;
        let is_before = |old: &Facts| old.not_after < facts.not_after && old.not_before < facts.not_before;
        let old: Vec<&Shown<'_>> =
            same.iter().filter(|(_, old)| is_old(old) && is_before(old)).map(|(shown, _)| *shown).collect();
        let is_newest = |shown: &&Shown<'_>| shown.leaf.fingerprint() == newest.leaf.fingerprint();
        let news: Vec<&Shown<'_>> = same.iter().map(|(shown, _)| *shown).filter(is_newest).collect();
        // One that clients refuse is no model.
        let is_good = !is_old(facts) && newest.valid == Some(true);
        (!old.is_empty() && is_good).then(|| partly(scene, &old, &news, facts))
    };
    grouped(&numbers, |number| names.get(number)).into_iter().filter_map(tell).map(story).collect()
}

fn partly(scene: &Scene<'_>, old: &[&Shown<'_>], news: &[&Shown<'_>], newest: &Facts) -> Advice {
    let now = scene.moment();
    let note = |shown: &Shown<'_>| shown.facts.map(|facts| until(facts.not_after)).unwrap_or_default();
    let noted: Vec<Place<'_>> = old.iter().map(|shown| shown.noted(note(shown))).collect();
    let (listed, news) = (Listed::of(&noted), Listed::of(&places(news)));
    let text = format!(
        "{} {} a renewed certificate ({}), {} an older one for the same names{}: renew there, too, or put the new one there, \
         and reload the server.",
        news.list,
        news.verb("presents", "present"),
        until(newest.not_after),
        listed.list,
        listed.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default()
    );
    let is_urgent =
        |shown: &&Shown<'_>| shown.facts.is_some_and(|facts| facts.not_after < now || expires_soon(facts, now));
    let severity = if old.iter().any(is_urgent) { Severity::Warning } else { Severity::Info };
    let letter = Letter {
        subject: "certificate was renewed elsewhere, not here".to_owned(),
        wrong: format!(
            "Other servers behind {} present a newer certificate for the same names ({}).",
            scene.server_name(),
            until(newest.not_after)
        ),
        todo: "renew the certificate here, too, or put the new one here, and reload the server.".to_owned(),
        clients: None,
    };
    let request = Some(letter.on_certificates(scene, old));
    Advice { request, ..scene.say(AdviceKind::RenewedPartly, severity, &noted, &text) }
}

/// DNS names and addresses in lower case, sorted.
fn names_of(facts: &Facts) -> Vec<String> {
    let mut names: Vec<String> = facts.names().map(|name| name.to_string().to_ascii_lowercase()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What is in the target's `certificate_file` against what is served.
fn on_disk(scene: &Scene<'_>) -> Option<Advice> {
    let path = scene.target.target.settings.certificate_file.as_ref()?;
    let path = printable(&path.display().to_string(), MAX_PATH);
    let Some(file) = &scene.target.file else {
        // Before the first round nobody has tried to read it.
        let is_first = scene.target.endpoints.first().is_some_and(|first| std::ptr::eq(first, scene.report));
        let text = format!(
            "`certificate_file` {path} cannot be read, or holds no certificate: mend the file, its rights or the config."
        );
        let tried = scene.target.last_round.is_some() && is_first;
        return tried.then(|| scene.say(AdviceKind::FileUnreadable, Severity::Warning, &[], &text));
    };
    let other = scene.whose(|shown| shown.leaf.fingerprint() != file.fingerprint());
    let on_disk = file.facts();
    let is_newer = |shown: &Shown<'_>| {
        on_disk
            .zip(shown.facts)
            .is_some_and(|(disk, served)| disk.not_before > served.not_before && disk.not_after > served.not_after)
    };
    let older: Vec<&Shown<'_>> = other.iter().copied().filter(|shown| is_newer(shown)).collect();
    if let (Some(disk), false) = (on_disk, older.is_empty()) {
        return Some(not_reloaded(scene, &path, disk, &older));
    }
    let places = places(&other);
    let listed = Listed::of(&places);
    let text = format!(
        "{} {} another certificate than the file {path} holds: see which file the server presents, or mend \
         `certificate_file`.",
        listed.list,
        listed.verb("presents", "present")
    );
    (!other.is_empty()).then(|| scene.say(AdviceKind::NotReloaded, Severity::Warning, &places, &text))
}

fn not_reloaded(scene: &Scene<'_>, path: &str, disk: &Facts, older: &[&Shown<'_>]) -> Advice {
    let note = |shown: &Shown<'_>| shown.facts.map(|facts| until(facts.not_after)).unwrap_or_default();
    let noted: Vec<Place<'_>> = older.iter().map(|shown| shown.noted(note(shown))).collect();
    let listed = Listed::of(&noted);
    let mut text = format!(
        "The file {path} holds a newer certificate ({}) than {} {}{}: reload the server.",
        until(disk.not_after),
        listed.list,
        listed.verb("presents", "present"),
        listed.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default()
    );
    if !name::judge(scene.server_name(), disk).is_match() {
        text.push_str(&format!(" But mind that the new one lacks {}.", scene.server_name()));
    }
    let letter = Letter {
        subject: "certificate was renewed, and the server not reloaded".to_owned(),
        wrong: format!("On disk ({path}) there is a newer certificate ({}).", until(disk.not_after)),
        todo: "reload the server, so that it presents the new certificate.".to_owned(),
        clients: None,
    };
    let request = Some(letter.on_certificates(scene, older));
    Advice { request, ..scene.say(AdviceKind::NotReloaded, Severity::Warning, &noted, &text) }
}

fn until(moment: i64) -> String {
    format!("until {}", phrases::moment(moment))
}

/// Characters of a path.
const MAX_PATH: usize = 200;
