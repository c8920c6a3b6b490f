//! Which addresses of a name are backends now. DNS answers rotate, shrink and fail; this decides, from round to round,
//! what that means. Pure: answers, health and time are arguments.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// The addresses of one name that are known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Roster {
    /// Sorted by address. A list: most names have one or two.
    members: Vec<Member>,
    rotated_at: Option<SystemTime>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Member {
    address: IpAddr,
    named_at: SystemTime,
    /// Rounds since DNS named it last.
    missed: u32,
    resolved: bool,
}

/// What one round brought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round<'a> {
    /// The addresses in the answers.
    pub(super) named: &'a [IpAddr],
    /// The A lookup failed, so nothing is known of IPv4 addresses that are not named.
    pub ipv4_failed: bool,
    /// The AAAA lookup failed, likewise.
    pub ipv6_failed: bool,
}

/// Bounds on a roster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// How long an address is kept that is not named.
    pub(super) retention: Duration,
    /// How many addresses are kept.
    pub(super) cap: usize,
}

impl Roster {
    /// The addresses in order, each with whether DNS names it now.
    pub(super) fn members(&self) -> impl Iterator<Item = (IpAddr, bool)> {
        self.members.iter().map(|member| (member.address, member.resolved))
    }

    /// Takes in a round's answers and returns how many addresses did not fit under the cap.
    ///
    /// An address that is named is a member. One that is named no longer is kept while it answers, for the retention,
    /// and counts as resolved for two rounds more; once it fails it is dropped after two rounds, since a server that
    /// was retired must not page. A name whose address comes back within the retention rotates: all its addresses stay
    /// and count. A failed lookup changes nothing until the retention ends.
    pub(super) fn update(
        &mut self,
        round: Round<'_>,
        answering: impl Fn(IpAddr) -> bool,
        bounds: Bounds,
        now: SystemTime,
    ) -> usize {
        let came_back = self.members.iter().any(|member| member.missed > 0 && round.named.contains(&member.address));
        if came_back {
            self.rotated_at = Some(now);
        }
        // A clock that stepped back makes nothing old.
        let within = |since: SystemTime| now.duration_since(since).map_or(true, |age| age <= bounds.retention);
        let rotates = self.rotated_at.is_some_and(within);

        for member in &mut self.members {
            let failed = if member.address.is_ipv4() { round.ipv4_failed } else { round.ipv6_failed };
            if !failed && !round.named.contains(&member.address) {
                member.missed = member.missed.saturating_add(1);
                member.resolved = rotates || member.missed < ROUNDS_RESOLVED;
            }
        }
        self.members.retain(|member| {
            let retired = !rotates && member.missed >= ROUNDS_FAILING && !answering(member.address);
            round.named.contains(&member.address) || (within(member.named_at) && !retired)
        });

        let mut skipped = 0;
        for address in round.named {
            let fresh = Member { address: *address, named_at: now, missed: 0, resolved: true };
            match self.members.binary_search_by_key(address, |member| member.address) {
                Ok(at) => self.members[at] = fresh,
                Err(at) if self.members.len() < bounds.cap => self.members.insert(at, fresh),
                // Where answers rotate, room made for one takes it from another that is as much in use.
                Err(_) if !rotates && self.evict() => {
                    let at = self.members.partition_point(|member| member.address < *address);
                    self.members.insert(at, fresh);
                }
                Err(_) => skipped += 1,
            }
        }
        skipped
    }

    /// Makes room for an address that is named by giving up the one that has not been for longest.
    fn evict(&mut self) -> bool {
        let unnamed = self.members.iter().enumerate().filter(|(_, member)| member.missed > 0);
        let oldest = unnamed.max_by_key(|(_, member)| member.missed).map(|(at, _)| at);
        oldest.map(|at| self.members.remove(at)).is_some()
    }
}

/// In the third round without its name an address counts as resolved no longer.
const ROUNDS_RESOLVED: u32 = 3;
/// An address that fails is dropped in the second round without its name.
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
        let mut roster = Roster::default();
        let bounds = Bounds { retention: Duration::from_secs(600), cap };
        for (number, (round, expected)) in history.iter().enumerate() {
            // One round per minute.
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + 60 * number as u64);
            let failed = round.contains('!');
            let octets = |sign: bool| -> Vec<IpAddr> {
                let words = round.split_whitespace().filter(|word| *word != "!" && word.starts_with('-') == sign);
                words
                    .map(|word| ([192, 0, 2, word.trim_start_matches('-').parse().expect("an octet")]).into())
                    .collect()
            };
            let (named, failing) = (octets(false), octets(true));
            let round = Round { named: &named, ipv4_failed: failed, ipv6_failed: failed };
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
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let both = Round { named: &[v4, v6], ipv4_failed: false, ipv6_failed: false };
        assert_eq!(roster.update(both, |_| true, bounds, now), 0);
        for _ in 0..3 {
            let round = Round { named: &[], ipv4_failed: false, ipv6_failed: true };
            roster.update(round, |_| true, bounds, now);
        }
        assert_eq!(roster.members().collect::<Vec<_>>(), [(v4, false), (v6, true)]);
    }

    #[test]
    fn returns_the_number_of_addresses_over_the_cap() {
        let named: Vec<IpAddr> = (1..=9).map(|n| [192, 0, 2, n].into()).collect();
        let bounds = Bounds { retention: Duration::from_secs(600), cap: 4 };
        let round = Round { named: &named, ipv4_failed: false, ipv6_failed: false };
        let mut roster = Roster::default();
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(roster.update(round, |_| true, bounds, now), 5);
        assert_eq!(roster.update(round, |_| true, bounds, now), 5);
    }
}
