//! One query to the name servers of a resolver: to one after another until one has a definite answer, or to all of them to
//! compare their answers.

use std::collections::BTreeSet;

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
    /// The compared servers gave different answers.
    pub(super) disagree: bool,
}

impl<T> Answer<T> {
    pub(super) fn new(result: QueryResult<T>) -> Self {
        Self { result, partial_failure: None, disagree: false }
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
    if Instant::now() >= deadline {
        return Ok(Answer::new(Err(LookupReason::Timeout)));
    }
    let (mut results, mut local) = (Vec::new(), None);
    if servers.compare {
        let each = servers.servers.iter().map(|server| server.health.watch(deadline, send(server)));
        for result in join_all(each).await {
            match result {
                Ok(result) => results.push(result),
                Err(failure) => local = Some(failure),
            }
        }
    } else {
        let now = Instant::now();
        let mut in_order: Vec<_> = servers.servers.iter().collect();
        in_order.sort_by_cached_key(|server| server.health.is_last_choice(now));
        for server in in_order {
            match server.health.watch(deadline, send(server)).await {
                Ok(result) => results.push(result),
                Err(failure) => local = Some(failure),
            }
            if results.last().is_some_and(is_definite) || Instant::now() >= deadline {
                break;
            }
        }
    }
    match (local, servers.compare) {
        (Some(local), _) if results.is_empty() => Err(local),
        (_, true) => Ok(merge(results)),
        (_, false) => Ok(Answer::new(results.pop().unwrap_or(Err(LookupReason::ServFail)))),
    }
}

fn is_definite<T>(result: &QueryResult<T>) -> bool {
    !matches!(result, Err(LookupReason::Timeout | LookupReason::ServFail | LookupReason::Bogus))
}

/// The union of the servers' records. Servers disagree if their definite answers differ.
fn merge<T: Clone + Ord>(results: Vec<QueryResult<T>>) -> Answer<T> {
    let (definite, failed): (Vec<_>, Vec<_>) = results.into_iter().partition(is_definite);
    let failed = failed.into_iter().find_map(Result::err);
    let aliased = definite.iter().flatten().any(|records| records.aliased);
    let definite: Vec<Result<BTreeSet<T>, LookupReason>> =
        definite.into_iter().map(|result| result.map(|records| records.data.into_iter().collect())).collect();
    let disagree = definite.windows(2).any(|pair| matches!(pair, [a, b] if a != b));
    let data: BTreeSet<T> = definite.iter().flatten().flatten().cloned().collect();
    if data.is_empty() {
        let negative = definite.into_iter().find_map(Result::err);
        let partial_failure = failed.filter(|_| negative.is_some());
        let result = Err(negative.or(failed).unwrap_or(LookupReason::ServFail));
        return Answer { result, partial_failure, disagree };
    }
    Answer { result: Ok(Records { data: data.into_iter().collect(), aliased }), partial_failure: failed, disagree }
}

#[cfg(test)]
mod tests {
    use LookupReason::{NoData, NxDomain, ServFail, Timeout};

    use super::*;

    fn records(data: &[u8]) -> QueryResult<u8> {
        Ok(Records { data: data.to_vec(), aliased: false })
    }

    #[track_caller]
    fn check(
        results: Vec<QueryResult<u8>>,
        result: QueryResult<u8>,
        partial_failure: Option<LookupReason>,
        disagree: bool,
    ) {
        assert_eq!(merge(results.clone()), Answer { result, partial_failure, disagree }, "{results:?}");
    }

    #[test]
    fn merges_results_as_sets_and_reports_disagreement() {
        check(vec![records(&[1, 2]), records(&[2, 1])], records(&[1, 2]), None, false);
        check(vec![records(&[1, 2]), records(&[2, 3])], records(&[1, 2, 3]), None, true);
        check(vec![records(&[1]), Err(NoData)], records(&[1]), None, true);
        check(vec![records(&[1]), records(&[1]), Err(NxDomain)], records(&[1]), None, true);
        check(vec![Err(ServFail), records(&[1])], records(&[1]), Some(ServFail), false);
        check(vec![Err(Timeout), Err(NxDomain)], Err(NxDomain), Some(Timeout), false);
        check(vec![Err(NoData), Err(NxDomain)], Err(NoData), None, true);
        check(vec![Err(Timeout), Err(ServFail)], Err(Timeout), None, false);
        check(vec![], Err(ServFail), None, false);
    }

    #[tokio::test]
    async fn without_a_name_server_the_failure_is_local() {
        let servers = Servers::default();
        let send = |_: &NameServer| async { Ok(records(&[1])) };
        let failure = query(&servers, Instant::now(), send).await.expect_err("no server");
        assert_eq!(failure.reason, LocalReason::NameServers);
    }
}
