//! One query to the name servers of a resolver: to one after another until one has a definite answer, or to all of them to
//! compare or to join their answers.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::name_servers::{NameServer, Records, Servers};
use crate::observation::LocalFailure;
use crate::reason::{LocalReason, LookupReason};

/// The records that a name server has, or the reason why it gave none.
pub(super) type QueryResult<T> = Result<Records<T>, LookupReason>;

#[derive(Debug, PartialEq)]
pub(super) struct Answer<T> {
    pub(super) result: QueryResult<T>,
    /// Why one of the compared servers failed: records that only it has are missing.
    pub(super) partial_failure: Option<LookupReason>,
    pub(super) differences: Differences,
}

/// How the definite answers to a query differ. All false if there was only one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Differences {
    /// The servers have different records.
    pub(super) servers: bool,
    /// No server has records, but not all of them agree on whether the name exists.
    pub(super) existence: bool,
    /// A server answers with different records from query to query.
    pub(super) queries: bool,
}

impl Differences {
    pub(super) fn merge(&mut self, other: Self) {
        self.servers |= other.servers;
        self.existence |= other.existence;
        self.queries |= other.queries;
    }
}

impl<T> Answer<T> {
    pub(super) fn new(result: QueryResult<T>) -> Self {
        Self { result, partial_failure: None, differences: Differences::default() }
    }
}

/// Queries the servers until `deadline`; `send` sends the query to one of them.
///
/// # Errors
/// If this host failed, and nothing is known of any server.
pub(super) async fn query<'a, T, F>(
    servers: &'a Servers,
    deadline: Instant,
    send: impl Fn(&'a NameServer) -> F,
) -> Result<Answer<T>, LocalFailure>
where
    T: Clone + Ord,
    F: Future<Output = Result<QueryResult<T>, LocalFailure>>,
{
    if servers.servers.is_empty() {
        return Err(LocalFailure::new(LocalReason::NameServers, "no name server is configured"));
    }
    // After the deadline no packet may be sent.
    let now = Instant::now();
    if now >= deadline {
        return Ok(Answer::new(Err(LookupReason::Timeout)));
    }
    let (mut results, mut local) = (Vec::new(), None);
    if servers.compare || servers.repeat {
        let mut chosen: Vec<_> = servers.servers.iter().collect();
        if !servers.compare {
            // One that does not answer is not waited for again.
            let (answering, silent): (Vec<_>, _) =
                chosen.into_iter().partition(|server| !server.health.is_last_choice(now));
            chosen = if answering.is_empty() { silent } else { answering };
        }
        let end = now + deadline.saturating_duration_since(now) / 2;
        let send = &send;
        let each = chosen.into_iter().map(|server| async move {
            let ask = || server.health.watch(deadline, send(server));
            if servers.repeat { ask_repeatedly(ask, end).await } else { Ok(vec![ask().await?]) }
        });
        for result in join_all(each).await {
            match result {
                Ok(answers) => results.push(answers),
                Err(failure) => local = Some(failure),
            }
        }
        return match local {
            Some(local) if results.is_empty() => Err(local),
            _ => Ok(merge(results, servers.compare)),
        };
    }
    let mut in_order: Vec<_> = servers.servers.iter().collect();
    in_order.sort_by_cached_key(|server| server.health.is_last_choice(now));
    let mut failure = None;
    for server in in_order {
        match server.health.watch(deadline, send(server)).await {
            // The order of the reasons is that of how much is known.
            Ok(Err(reason)) if !is_definite(reason) => failure = failure.max(Some(reason)),
            Ok(result) => return Ok(Answer::new(result)),
            Err(failed) => local = Some(failed),
        }
        if Instant::now() >= deadline {
            break;
        }
    }
    match (failure, local) {
        (None, Some(local)) => Err(local),
        (failure, _) => Ok(Answer::new(Err(failure.unwrap_or(LookupReason::Timeout)))),
    }
}

/// The definite answers of one server to the same query, or why there is none. It is asked until several answers in a row
/// bring no new record, for [`REPEAT_LIMIT`] after the first answer or, if it is slow, for [`MIN_QUERIES`], until `end`.
async fn ask_repeatedly<T, F>(ask: impl Fn() -> F, end: Instant) -> Result<Vec<QueryResult<T>>, LocalFailure>
where
    T: Clone + Ord,
    F: Future<Output = Result<QueryResult<T>, LocalFailure>>,
{
    let mut answers = vec![ask().await?];
    let mut known: BTreeSet<T> = data(&answers[..]).collect();
    let (mut quiet, limit) = (0, Instant::now() + REPEAT_LIMIT);
    while quiet < QUIET.max(3 * known.len()) && answers.len() < MAX_QUERIES && answers.iter().all(is_answer) {
        let now = Instant::now();
        if now >= end || (now >= limit && answers.len() >= MIN_QUERIES) {
            break;
        }
        // The server may limit the rate, so a failure to repeat a query is not one of the lookup.
        let Ok(answer) = ask().await else { break };
        if !is_answer(&answer) {
            break;
        }
        let before = known.len();
        known.extend(data([&answer]));
        quiet = if known.len() == before { quiet + 1 } else { 0 };
        answers.push(answer);
    }
    Ok(answers)
}

fn data<'a, T: Clone + 'a>(answers: impl IntoIterator<Item = &'a QueryResult<T>>) -> impl Iterator<Item = T> {
    answers.into_iter().flatten().flat_map(|records| records.data.iter().cloned())
}

fn is_answer<T>(result: &QueryResult<T>) -> bool {
    result.as_ref().err().is_none_or(|reason| is_definite(*reason))
}

const fn is_definite(reason: LookupReason) -> bool {
    matches!(reason, LookupReason::NxDomain | LookupReason::NoData | LookupReason::NullMx)
}

/// The union of the records in the answers of each server. The failure of a server matters only if the servers are to be
/// compared, or if no server has an answer.
fn merge<T: Clone + Ord>(servers: Vec<Vec<QueryResult<T>>>, compare: bool) -> Answer<T> {
    let all = || servers.iter().flatten();
    let failure =
        all().filter_map(|answer| answer.as_ref().err().copied()).filter(|reason| !is_definite(*reason)).max();
    let of_server = |answers: &[QueryResult<T>]| {
        let mut sets = answers.iter().filter(|answer| is_answer(answer)).map(|answer| data([answer]).collect());
        let first: BTreeSet<T> = sets.next()?;
        let mut varies = false;
        let union = sets.fold(first.clone(), |mut union, set: BTreeSet<T>| {
            varies |= set != first;
            union.extend(set);
            union
        });
        Some((union, varies))
    };
    let (sets, varying): (Vec<BTreeSet<T>>, Vec<bool>) = servers.iter().filter_map(|each| of_server(each)).unzip();
    let queries = varying.contains(&true);
    // What a server did not happen to answer says nothing about a difference between servers.
    let differ = !queries && sets.windows(2).any(|pair| matches!(pair, [a, b] if a != b));
    let records: BTreeSet<T> = sets.iter().flatten().cloned().collect();
    let is_negative = |reason| all().any(|answer| matches!(answer, Err(found) if *found == reason));
    let negative =
        [LookupReason::NullMx, LookupReason::NoData, LookupReason::NxDomain].into_iter().find(|it| is_negative(*it));
    let differences = Differences {
        servers: differ,
        existence: records.is_empty()
            && is_negative(LookupReason::NxDomain)
            && negative != Some(LookupReason::NxDomain),
        queries,
    };
    let partial_failure = failure.filter(|_| compare && !sets.is_empty());
    if records.is_empty() {
        let result = Err(negative.or(failure).unwrap_or(LookupReason::Timeout));
        return Answer { result, partial_failure, differences };
    }
    let aliased = all().flatten().any(|records| records.aliased);
    Answer { result: Ok(Records { data: records.into_iter().collect(), aliased }), partial_failure, differences }
}

/// Answers without a new record after which a repeated query ends, or three times the known records if that is more.
const QUIET: usize = 5;
const MIN_QUERIES: usize = 4;
const MAX_QUERIES: usize = 64;
/// For the repetitions of a query.
const REPEAT_LIMIT: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use LookupReason::{NoData, NxDomain, ServFail, Timeout, Unreachable};

    use super::*;

    fn records(data: &[u8]) -> QueryResult<u8> {
        Ok(Records { data: data.to_vec(), aliased: false })
    }

    const SAME: Differences = Differences { servers: false, existence: false, queries: false };
    const SERVERS: Differences = Differences { servers: true, ..SAME };
    const EXISTENCE: Differences = Differences { existence: true, ..SAME };
    const QUERIES: Differences = Differences { queries: true, ..SAME };

    /// Compares the servers that have these answers.
    #[track_caller]
    fn check(
        servers: &[&[QueryResult<u8>]],
        result: QueryResult<u8>,
        partial_failure: Option<LookupReason>,
        differences: Differences,
    ) {
        let answers: Vec<_> = servers.iter().map(|answers| answers.to_vec()).collect();
        assert_eq!(merge(answers, true), Answer { result, partial_failure, differences }, "{servers:?}");
    }

    #[test]
    fn merges_results_as_sets_and_reports_differences() {
        check(&[&[records(&[1, 2])], &[records(&[2, 1])]], records(&[1, 2]), None, SAME);
        check(&[&[records(&[1, 2])], &[records(&[2, 3])]], records(&[1, 2, 3]), None, SERVERS);
        check(&[&[records(&[1])], &[Err(NoData)]], records(&[1]), None, SERVERS);
        check(&[&[records(&[1])], &[records(&[1])], &[Err(NxDomain)]], records(&[1]), None, SERVERS);
        check(&[&[Err(ServFail)], &[records(&[1])]], records(&[1]), Some(ServFail), SAME);
        check(&[&[Err(Timeout)], &[Err(NxDomain)]], Err(NxDomain), Some(Timeout), SAME);
        check(&[&[Err(NoData)], &[Err(NxDomain)]], Err(NoData), None, EXISTENCE);
        check(&[&[Err(NxDomain)], &[Err(NoData)]], Err(NoData), None, EXISTENCE);
        check(&[&[Err(Timeout)], &[Err(ServFail)], &[Err(Unreachable)]], Err(ServFail), None, SAME);
        check(&[&[Err(Timeout)], &[Err(Unreachable)]], Err(Timeout), None, SAME);
    }

    #[test]
    fn joins_the_answers_of_each_server() {
        let halves = [records(&[1, 2]), records(&[3, 4])];
        check(&[&halves], records(&[1, 2, 3, 4]), None, QUERIES);
        check(&[&halves, &halves[..1]], records(&[1, 2, 3, 4]), None, QUERIES);
        check(&[&[records(&[1]), Err(NoData)]], records(&[1]), None, QUERIES);
        check(&[&[records(&[1]), records(&[1])], &[records(&[1])]], records(&[1]), None, SAME);
        // Not compared, so that the other servers serve.
        let failing = vec![vec![Err(Timeout)], vec![records(&[1])]];
        assert_eq!(merge(failing, false), Answer::new(records(&[1])));
    }

    /// The number of queries for which the server has `answers`, the last one for ever.
    async fn queries(answers: &[QueryResult<u8>]) -> usize {
        let left = RefCell::new(answers.iter().cloned().rev().collect::<Vec<_>>());
        let ask = || async {
            let mut left = left.borrow_mut();
            Ok(if left.len() > 1 { left.pop() } else { left.last().cloned() }.expect("an answer"))
        };
        ask_repeatedly(ask, Instant::now() + Duration::from_secs(60)).await.expect("no local failure").len()
    }

    #[tokio::test]
    async fn repeats_a_query_until_no_answer_is_new() {
        assert_eq!(queries(&[records(&[1])]).await, 1 + QUIET);
        assert_eq!(queries(&[Err(NxDomain)]).await, 1 + QUIET);
        assert_eq!(queries(&[records(&[1]), records(&[1]), records(&[2])]).await, 3 + 6);
        assert_eq!(queries(&[records(&[1]), Err(NxDomain), records(&[2])]).await, 3 + 6);
        let endless: Vec<_> = (0..100).map(|number| records(&[number])).collect();
        assert_eq!(queries(&endless).await, MAX_QUERIES);
        assert_eq!(queries(&[Err(ServFail)]).await, 1);
        assert_eq!(queries(&[records(&[1]), Err(Timeout)]).await, 1, "only definite answers count");
    }

    #[tokio::test]
    async fn without_a_name_server_the_failure_is_local() {
        let servers = Servers::default();
        let send = |_: &NameServer| async { Ok(records(&[1])) };
        let failure = query(&servers, Instant::now(), send).await.expect_err("no server");
        assert_eq!(failure.reason, LocalReason::NameServers);
    }
}
