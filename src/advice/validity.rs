//! Certificates out of their time, or nearly so.

use super::context::{Scene, Shown, grouped, places, story};
use super::phrases::{self, Listed, Place};
use super::request::Letter;
use super::{Advice, Story};
use crate::client_errors;
use crate::reason::{AdviceKind, ChainReason, Severity};
use crate::verdict::{Certificate, Facts};

/// Expired, not yet valid, about to expire.
pub(super) fn of(scene: &Scene<'_>) -> Vec<Story> {
    let told = [expired(scene), early(scene, true), early(scene, false), soon(scene), path_ends_soon(scene)];
    let mut stories: Vec<Story> = told.into_iter().flatten().map(story).collect();
    stories.extend(out_of_time_above(scene, ChainReason::Expired));
    stories.extend(out_of_time_above(scene, ChainReason::NotYetValid));
    stories
}

/// The certificates of the servers themselves that have expired.
fn expired(scene: &Scene<'_>) -> Option<Advice> {
    let now = scene.moment();
    let shown = scene.whose(|shown| shown.facts.is_some_and(|facts| facts.not_after < now));
    let (noted, listed) = noted(&shown, |facts| ago(facts.not_after, now))?;
    let text = format!(
        "{} expired{}: {}.",
        subject(&listed),
        after(&listed),
        "renew what has expired, and reload the server; where that happens by itself, see why it did not"
    );
    let letter = Letter {
        subject: "certificate has expired".to_owned(),
        wrong: "The certificate has expired.".to_owned(),
        todo: "renew the certificate and reload the server.".to_owned(),
        clients: Some(&client_errors::for_chain(ChainReason::Expired)),
    };
    let advice = scene.say(AdviceKind::Expired, scene.refusal(), &noted, &text);
    Some(Advice {
        request: Some(letter.on_certificates(scene, &shown)),
        clients: Some(client_errors::for_chain(ChainReason::Expired)),
        ..advice
    })
}

/// The certificates of the servers themselves whose time has not begun: within a day, or later.
fn early(scene: &Scene<'_>, by_clock: bool) -> Option<Advice> {
    let now = scene.moment();
    let shown = scene.whose(|shown| {
        let wait = shown.facts.map(|facts| facts.not_before.saturating_sub(now)).filter(|wait| *wait > 0);
        wait.is_some_and(|wait| (wait <= DAY) == by_clock)
    });
    let (noted, listed) = noted(&shown, |facts| ahead(facts.not_before, now))?;
    let begin = listed.verb("begins", "begin");
    let (kind, todo) = if by_clock {
        let todo = "a clock is wrong, this machine's or that of whoever issued it; check both against NTP. If they are \
                    right, clients have to wait that long";
        (AdviceKind::Clock, todo)
    } else {
        let todo = "it is issued for later; present the one before it until then, or have one issued that is valid now";
        (AdviceKind::NotYetValid, todo)
    };
    let text = format!("{} {begin} only{}: {todo}.", subject(&listed), after(&listed));
    let clients = client_errors::for_chain(ChainReason::NotYetValid);
    let letter = Letter {
        subject: "certificate is not valid yet".to_owned(),
        wrong: format!("At {}, as this machine has it, the certificate was not valid yet.", phrases::moment(now)),
        todo: format!("{todo}."),
        clients: Some(&clients),
    };
    let request = Some(letter.on_certificates(scene, &shown));
    Some(Advice { request, clients: Some(clients), ..scene.say(kind, scene.refusal(), &noted, &text) })
}

/// The certificates of the servers themselves that are about to expire.
fn soon(scene: &Scene<'_>) -> Option<Advice> {
    let now = scene.moment();
    let shown = scene.whose(|shown| shown.facts.is_some_and(|facts| expires_soon(facts, now)));
    let (noted, listed) = noted(&shown, |facts| {
        let lifetime = facts.not_after.saturating_sub(facts.not_before);
        let short = lifetime / 5 < FORTNIGHT;
        let left = format!("less than a fifth of {} left", phrases::span(lifetime.unsigned_abs()));
        ahead(facts.not_after, now) + &if short { format!(" with {left}") } else { String::new() }
    })?;
    let text = format!(
        "{} {}{}: renew and reload in time; where that happens by itself, see why it has not.",
        subject(&listed),
        listed.verb("expires", "expire"),
        after(&listed)
    );
    let letter = Letter {
        subject: "certificate expires soon".to_owned(),
        wrong: "The certificate expires soon.".to_owned(),
        todo: "renew the certificate and reload the server before that.".to_owned(),
        clients: None,
    };
    let request = Some(letter.on_certificates(scene, &shown));
    Some(Advice { request, ..scene.say(AdviceKind::ExpiresSoon, Severity::Warning, &noted, &text) })
}

/// Paths that end before the server's certificate does, within a fortnight, and that no other path follows.
fn path_ends_soon(scene: &Scene<'_>) -> Option<Advice> {
    let now = scene.moment();
    let end = |shown: &Shown<'_>| {
        let verdict = shown.assessment().chain.verdict();
        let end = verdict.verified_not_after(now).filter(|_| shown.valid == Some(true))?;
        let ends = end.saturating_sub(now) < FORTNIGHT && !verdict.valid(end.saturating_add(1));
        shown.facts.filter(|facts| ends && end < facts.not_after).map(|_| end)
    };
    let shown = scene.whose(|shown| end(shown).is_some());
    let note = |shown: &Shown<'_>| end(shown).map(|end| ahead(end, now)).unwrap_or_default();
    let noted: Vec<Place<'_>> = shown.iter().map(|shown| shown.noted(note(shown))).collect();
    let listed = Listed::of(&noted);
    let text = format!(
        "An intermediate in the chain of {} expires{}, before the server's own certificate: replace it by the CA's current \
         one in the file that the server presents.",
        listed.list,
        after(&listed)
    );
    (!shown.is_empty()).then(|| scene.say(AdviceKind::ExpiresSoon, Severity::Warning, &noted, &text))
}

/// Chains out of their time though the server's own certificate is not.
fn out_of_time_above(scene: &Scene<'_>, reason: ChainReason) -> Vec<Story> {
    let now = scene.moment();
    let is_out = |certificate: &Certificate| {
        certificate.facts().is_some_and(|facts| match reason {
            ChainReason::Expired => facts.not_after < now,
            _ => facts.not_before > now,
        })
    };
    let shown = scene.whose(|shown| shown.reasons.contains(reason) && !is_out(shown.leaf));
    // Said of one certificate only where no other can be meant.
    let culprit = |shown: &Shown<'_>| {
        let assessment = shown.assessment();
        let above = assessment.chain.certificates().iter().skip(1).chain(assessment.missing());
        let mut out = above.filter(|certificate| is_out(certificate));
        let first = out.next().map(|certificate| phrases::certificate(certificate));
        first.filter(|_| out.next().is_none())
    };
    let tell = |(culprit, shown): (Option<String>, Vec<&Shown<'_>>)| {
        let (kind, wrong) = match reason {
            ChainReason::Expired => (AdviceKind::Expired, "has expired"),
            _ => (AdviceKind::NotYetValid, "is not valid yet"),
        };
        let what = culprit
            .map_or_else(|| "a certificate above the server's own".to_owned(), |it| format!("the intermediate {it}"));
        let places = places(&shown);
        let todo = "replace it by the CA's current one in the file that the server presents, and reload the server";
        let text = format!("{}: {what} {wrong}; {todo}.", phrases::list(&places));
        let clients = client_errors::for_chain(reason);
        let letter = Letter {
            subject: format!("an intermediate {wrong}"),
            wrong: format!("In the chain, {what} {wrong}."),
            todo: format!("{todo}."),
            clients: Some(&clients),
        };
        let request = Some(letter.on_certificates(scene, &shown));
        story(Advice { request, clients: Some(clients), ..scene.say(kind, scene.refusal(), &places, &text) })
    };
    grouped(&shown, culprit).into_iter().map(tell).collect()
}

/// Whether a certificate that is valid at `now` (Unix seconds) is about to expire: in less than 14 days, or less than a
/// fifth of its lifetime where that is shorter, as it is for those that live for less than 70 days.
pub(super) fn expires_soon(facts: &Facts, now: i64) -> bool {
    let lifetime = facts.not_after.saturating_sub(facts.not_before);
    (facts.not_before..=facts.not_after).contains(&now)
        && facts.not_after.saturating_sub(now) < FORTNIGHT.min(lifetime / 5)
}

/// Places with a note that facts give, and the list of them; none for none.
fn noted<'a>(shown: &[&Shown<'a>], note: impl Fn(&Facts) -> String) -> Option<(Vec<Place<'a>>, Listed)> {
    let note = |shown: &Shown<'a>| shown.facts.map(&note).unwrap_or_default();
    let noted: Vec<Place<'a>> = shown.iter().map(|shown| shown.noted(note(shown))).collect();
    let listed = Listed::of(&noted);
    (!noted.is_empty()).then_some((noted, listed))
}

fn subject(listed: &Listed) -> String {
    format!("{} of {}", listed.verb("The certificate", "The certificates"), listed.list)
}

/// The note that all share, as the end of a clause.
fn after(listed: &Listed) -> String {
    listed.note.as_ref().map(|note| format!(" {note}")).unwrap_or_default()
}

fn ago(moment: i64, now: i64) -> String {
    format!("{} ago, on {}", phrases::span(now.abs_diff(moment)), phrases::moment(moment))
}

fn ahead(moment: i64, now: i64) -> String {
    format!("in {}, on {}", phrases::span(now.abs_diff(moment)), phrases::moment(moment))
}

const DAY: i64 = 86_400;
const FORTNIGHT: i64 = 14 * DAY;
