//! Which addresses of a name are backends now. DNS answers rotate, shrink and fail; the roster decides from round to round
//! what that means. Pure: answers, health and time are arguments.

use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The known addresses of one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Roster {
    /// Sorted by address. A list, because most names have one or two.
    members: Vec<Member>,
    rotated_at: Option<Instant>,
    rotates: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Member {
    address: IpAddr,
    /// When DNS listed it last.
    listed_at: Instant,
    /// Rounds since then.
    missed: u32,
    resolved: bool,
    /// Whether it is in DNS is not known, since the last lookup of its family failed.
    held: bool,
    /// Added by the last update.
    is_new: bool,
}

/// The answers of one round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answers<'a> {
    /// The addresses in them.
    pub(super) listed: &'a [IpAddr],
    /// The A lookup failed: nothing is known of IPv4 addresses that are not listed.
    pub(super) ipv4_failed: bool,
    /// The AAAA lookup failed, likewise.
    pub(super) ipv6_failed: bool,
}

/// Limits of a roster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// How long an address is kept that is not listed.
    pub(super) retention: Duration,
    /// Maximum number of addresses.
    pub(super) cap: usize,
}

/// The order in which members are removed, last first.
type Rank = (u8, bool, u32);

impl Roster {
    /// The addresses in order, each with whether it is in DNS.
    pub(super) fn members(&self) -> impl Iterator<Item = (IpAddr, bool)> {
        self.members.iter().map(|member| (member.address, member.resolved))
    }

    /// Whether the last lookup found an address, or failed while one was known.
    pub(super) fn is_listed(&self) -> bool {
        self.members.iter().any(|member| member.missed == 0)
    }

    /// The number of addresses that are kept because the last lookup of their family failed.
    pub(super) fn held(&self) -> usize {
        self.members.iter().filter(|member| member.held).count()
    }

    /// Removes the addresses for which `remove` is true; returns those that were listed last time.
    pub(super) fn remove(&mut self, remove: impl Fn(IpAddr) -> bool) -> Vec<IpAddr> {
        let removed = self.members.extract_if(.., |member| remove(member.address));
        removed.filter(|member| member.missed == 0).map(|member| member.address).collect()
    }

    /// Applies the answers of a round and returns how many of the listed addresses do not fit under the cap.
    ///
    /// An address that is listed is a member. One that is no longer listed is kept while it answers, for the retention, and
    /// counts as resolved for two more rounds; once it fails it is dropped after two rounds, because a server that was
    /// retired must not page. A name whose address comes back within the retention rotates: all its addresses stay and
    /// count. A failed lookup changes nothing until the retention ends.
    pub(super) fn update(
        &mut self,
        answers: Answers<'_>,
        answering: impl Fn(IpAddr) -> bool,
        bounds: Bounds,
        now: Instant,
    ) -> usize {
        let came_back = self.members.iter().any(|member| member.missed > 0 && answers.listed.contains(&member.address));
        if came_back {
            self.rotated_at = Some(now);
        }
        let within = |since: Instant| now.duration_since(since) <= bounds.retention;
        self.rotates = self.rotated_at.is_some_and(within);
        let rotates = self.rotates;

        for member in &mut self.members {
            member.is_new = false;
            let failed = if member.address.is_ipv4() { answers.ipv4_failed } else { answers.ipv6_failed };
            let is_listed = answers.listed.contains(&member.address);
            member.held = failed && !is_listed;
            if !failed && !is_listed {
                member.missed = member.missed.saturating_add(1);
                member.resolved = rotates || member.missed < ROUNDS_RESOLVED;
            }
        }
        self.members.retain(|member| {
            let retired = !rotates && member.missed >= ROUNDS_FAILING && !answering(member.address);
            answers.listed.contains(&member.address) || (within(member.listed_at) && !retired)
        });
        for address in answers.listed {
            let fresh =
                Member { address: *address, listed_at: now, missed: 0, resolved: true, held: false, is_new: true };
            match self.members.binary_search_by_key(address, |member| member.address) {
                Ok(at) => self.members[at] = Member { is_new: self.members[at].is_new, ..fresh },
                Err(at) => self.members.insert(at, fresh),
            }
        }
        trim(&mut [self], bounds.cap).first().copied().unwrap_or_default()
    }

    /// What is in DNS now comes before what was, and what is known before what is new, so that series are stable.
    fn rank(&self, member: &Member) -> Rank {
        let class = match member {
            Member { missed: 0, .. } => 0,
            Member { resolved: true, .. } if self.rotates => 0,
            Member { resolved: true, .. } => 1,
            Member { .. } => 2,
        };
        (class, member.is_new, if class == 0 { 0 } else { member.missed })
    }
}

/// Removes members until all `rosters` together have at most `cap`, and returns for each how many listed addresses were
/// removed.
pub(super) fn trim(rosters: &mut [&mut Roster], cap: usize) -> Vec<usize> {
    let mut skipped = vec![0; rosters.len()];
    if rosters.iter().map(|roster| roster.members.len()).sum::<usize>() <= cap {
        return skipped;
    }
    let mut ranked: Vec<(Rank, usize, IpAddr)> = Vec::new();
    for (place, roster) in rosters.iter().enumerate() {
        ranked.extend(roster.members.iter().map(|member| (roster.rank(member), place, member.address)));
    }
    ranked.sort_unstable();
    for (_, place, address) in ranked.split_off(cap) {
        let roster = &mut rosters[place];
        if let Ok(at) = roster.members.binary_search_by_key(&address, |member| member.address) {
            skipped[place] += usize::from(roster.members.remove(at).missed == 0);
        }
    }
    skipped
}

/// An address no longer counts as resolved in the third round without it.
const ROUNDS_RESOLVED: u32 = 3;
/// An address that fails is dropped in the second round without it.
const ROUNDS_FAILING: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// Before each round: the last octets of the addresses in DNS, `-n` for each that fails, `!` for a failed lookup.
    /// After it: `n` for a resolved member, `(n)` for an unresolved one that is kept.
    #[track_caller]
    fn check(history: &[(&str, &str)]) {
        check_under(4, history);
    }

    #[track_caller]
    fn check_under(cap: usize, history: &[(&str, &str)]) {
        let (mut roster, start) = (Roster::default(), Instant::now());
        let bounds = Bounds { retention: Duration::from_secs(600), cap };
        for (number, (round, expected)) in history.iter().enumerate() {
            // One round per minute.
            let now = start + Duration::from_secs(60 * number as u64);
            let failed = round.contains('!');
            let octets = |sign: bool| -> Vec<IpAddr> {
                let words = round.split_whitespace().filter(|word| *word != "!" && word.starts_with('-') == sign);
                words
                    .map(|word| ([192, 0, 2, word.trim_start_matches('-').parse().expect("an octet")]).into())
                    .collect()
            };
            let (named, failing) = (octets(false), octets(true));
            let round = Answers { listed: &named, ipv4_failed: failed, ipv6_failed: failed };
            roster.update(round, |address| !failing.contains(&address), bounds, now);
            let found: Vec<String> = roster
                .members()
                .map(|(address, resolved)| {
                    let octet = address.to_string().rsplit('.').next().unwrap_or_default().to_owned();
                    if resolved { octet } else { format!("({octet})") }
                })
                .collect();
            assert_eq!(found.join(" "), *expected, "after round {number} of {history:?}");
        }
    }

    #[test]
    fn updates_members_after_each_round() {
        // Nothing changes.
        check(&[("1 2", "1 2"), ("2 1", "1 2"), ("1 2", "1 2")]);
        // An address is added.
        check(&[("1", "1"), ("1 2", "1 2")]);
        // An address is removed and keeps answering: resolved for two more rounds, then kept unresolved.
        check(&[("1 2", "1 2"), ("1", "1 2"), ("1", "1 2"), ("1", "1 (2)"), ("1", "1 (2)")]);
        // An address is removed and shut down: dropped after two rounds.
        check(&[("1 2", "1 2"), ("1 -2", "1 2"), ("1 -2", "1"), ("1 -2", "1")]);
        // Removed, keeps answering for a while, then is shut down.
        check(&[("1 2", "1 2"), ("1", "1 2"), ("1", "1 2"), ("1", "1 (2)"), ("1 -2", "1")]);
        // A rotating answer: once an address has come back, all of them stay.
        check(&[("1 2", "1 2"), ("2 3", "1 2 3"), ("3 1", "1 2 3"), ("1 2", "1 2 3"), ("1", "1 2 3"), ("1", "1 2 3")]);
        // A failed lookup changes nothing.
        check(&[("1 2", "1 2"), ("!", "1 2"), ("!", "1 2"), ("! -1", "1 2"), ("1 2", "1 2")]);
        // Lookups that keep failing: members are kept for the retention of ten rounds.
        let mut long = vec![("1", "1")];
        long.extend([("!", "1"); 10]);
        long.push(("!", ""));
        check(&long);
        // A removed address that keeps answering is kept for the retention.
        let mut kept = vec![("1 2", "1 2"), ("1", "1 2"), ("1", "1 2")];
        kept.extend([("1", "1 (2)"); 8]);
        kept.push(("1", "1"));
        check(&kept);
        // More addresses than the cap: those in DNS take precedence.
        check(&[("1 2 3 4 5", "1 2 3 4"), ("5 4 3 2", "2 3 4 5")]);
        check(&[("1 2 3 4", "1 2 3 4"), ("5 6 7 8", "5 6 7 8")]);
        check(&[("1 2 3 4", "1 2 3 4"), ("1 2 3 4 5", "1 2 3 4")]);
        // A rotating answer with more addresses than the cap: the known ones stay, so that series are stable.
        let known = "1 2 3 4";
        check(&[("1 2 3", "1 2 3"), ("2 3 4", known), ("3 4 1", known), ("4 5 6", known), ("5 6 1", known)]);
        check(&[(known, known), ("1 2 3", known), ("5 1 2 4", known)]);
    }

    #[test]
    fn updates_members_after_unusual_answers() {
        // Answers grow and contain duplicates.
        check(&[("1", "1"), ("1 2", "1 2"), ("1 1 2 3", "1 2 3")]);
        // Answers shrink to one address; the others keep answering.
        check(&[("1 2 3", "1 2 3"), ("1", "1 2 3"), ("1", "1 2 3"), ("1", "1 (2) (3)")]);
        // Servers are replaced: the old ones are shut down, or keep answering.
        check(&[("1 2", "1 2"), ("3 4 -1 -2", "1 2 3 4"), ("3 4 -1 -2", "3 4"), ("3 4", "3 4")]);
        check(&[("1", "1"), ("2", "1 2"), ("2", "1 2"), ("2", "(1) 2")]);
        // All addresses are removed: answering, or not.
        check(&[("1 2", "1 2"), ("", "1 2"), ("", "1 2"), ("", "(1) (2)")]);
        check(&[("1 2", "1 2"), ("-1 -2", "1 2"), ("-1 -2", "")]);
        // No address is known yet.
        check(&[("!", ""), ("!", ""), ("1", "1")]);
        check(&[("", ""), ("1", "1")]);
        // Two alternating answers.
        check(&[("1", "1"), ("2", "1 2"), ("1", "1 2"), ("2", "1 2"), ("1", "1 2"), ("2", "1 2")]);
        // A failed lookup does not count as a round without the address.
        check(&[("1 2", "1 2"), ("1", "1 2"), ("!", "1 2"), ("!", "1 2"), ("1", "1 2"), ("1", "1 (2)")]);
        // One failed probe does not drop an unresolved address.
        check(&[("1 2", "1 2"), ("1 -2", "1 2"), ("1", "1 2"), ("1", "1 (2)")]);
        // An unresolved address comes back.
        check(&[("1 2", "1 2"), ("1", "1 2"), ("1", "1 2"), ("1", "1 (2)"), ("1 2", "1 2")]);
        // A dropped address comes back and is removed again: not a rotation.
        let mut back = vec![("1 2", "1 2"), ("1 -2", "1 2"), ("1 -2", "1"), ("1 2", "1 2")];
        back.extend([("1", "1 2"), ("1", "1 2"), ("1", "1 (2)")]);
        check(&back);
        // The same after the retention.
        let mut late = vec![("1 2", "1 2"), ("1", "1 2"), ("1", "1 2")];
        late.extend([("1", "1 (2)"); 8]);
        late.extend([("1", "1"), ("1 2", "1 2"), ("1", "1 2"), ("1", "1 2"), ("1", "1 (2)")]);
        check(&late);
        // A rotation that ends: the address that does not come back is kept for the retention.
        let mut ends = vec![("1 2", "1 2"), ("2", "1 2"), ("1 2", "1 2")];
        ends.extend([("2", "1 2"); 10]);
        ends.push(("2", "2"));
        check(&ends);
        // Five addresses, three per answer.
        let all = "1 2 3 4 5";
        let rotating =
            ["2 3 4", "3 4 5", "4 5 1", "5 1 2", "1 2 3", "2 3 4", "3 4 5", "4 5 1"].map(|named| (named, all));
        check_under(8, &[&[("1 2 3", "1 2 3"), ("4 5 1", all)][..], &rotating].concat());
        // A failing one stays, since it may come back at any time.
        check_under(8, &[("1 2 3", "1 2 3"), ("3 4 5", all), ("1 2 3", all), ("3 4 5 -1", all), ("3 4 5 -1", all)]);
        // A lookup fails during the rotation.
        check_under(8, &[("1 2", "1 2"), ("2 3", "1 2 3"), ("1 2", "1 2 3"), ("!", "1 2 3"), ("2 3", "1 2 3")]);
    }

    #[test]
    fn a_failed_lookup_keeps_the_addresses_of_its_family_only() {
        let v4: IpAddr = [192, 0, 2, 1].into();
        let v6: IpAddr = "2001:db8::1".parse().expect("an address");
        let bounds = Bounds { retention: Duration::from_secs(600), cap: 4 };
        let mut roster = Roster::default();
        let now = Instant::now();
        let both = Answers { listed: &[v4, v6], ipv4_failed: false, ipv6_failed: false };
        assert_eq!(roster.update(both, |_| true, bounds, now), 0);
        assert_eq!(roster.held(), 0);
        for _ in 0..3 {
            let round = Answers { listed: &[], ipv4_failed: false, ipv6_failed: true };
            roster.update(round, |_| true, bounds, now);
            assert_eq!(roster.held(), 1);
        }
        assert_eq!(roster.members().collect::<Vec<_>>(), [(v4, false), (v6, true)]);
        // Another name server may have answered.
        let listed = Answers { listed: &[v6], ipv4_failed: true, ipv6_failed: true };
        roster.update(listed, |_| true, bounds, now);
        assert_eq!(roster.held(), 1, "the one that is not listed");
        let later = now + bounds.retention + Duration::from_secs(1);
        roster.update(Answers { listed: &[], ..listed }, |_| true, bounds, later);
        assert_eq!((roster.held(), roster.members().count()), (0, 0), "after the retention");
    }

    #[test]
    fn returns_the_number_of_addresses_over_the_cap() {
        let named: Vec<IpAddr> = (1..=9).map(|n| [192, 0, 2, n].into()).collect();
        let bounds = Bounds { retention: Duration::from_secs(600), cap: 4 };
        let round = Answers { listed: &named, ipv4_failed: false, ipv6_failed: false };
        let mut roster = Roster::default();
        let now = Instant::now();
        assert_eq!(roster.update(round, |_| true, bounds, now), 5);
        assert_eq!(roster.update(round, |_| true, bounds, now), 5);
    }
}
