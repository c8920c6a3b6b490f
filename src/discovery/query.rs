//! One question to the name servers of a resolver: in turn until one can say, or all of them for comparison.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use super::name_servers::{Answer, NameServer, Records, Servers};
use crate::reason::LookupReason;

/// What was heard.
#[derive(Debug, PartialEq)]
pub(super) struct Heard<T> {
    pub(super) answer: Answer<T>,
    /// A server that is compared with others failed: what only it names is not known.
    pub(super) partly: Option<LookupReason>,
    /// Servers that were compared gave different answers.
    pub(super) disagree: bool,
}

impl<T> Heard<T> {
    pub(super) fn new(answer: Answer<T>) -> Self {
        Self { answer, partly: None, disagree: false }
    }
}

/// Puts a question, by `ask`, to each server that it has to go to. The time is this question's own, so that its silence
/// costs no other one the answer.
pub(super) async fn put<'a, T, F>(
    servers: &'a Servers,
    deadline: Instant,
    ask: impl Fn(&'a NameServer) -> F,
) -> Heard<T>
where
    T: Clone + Ord,
    F: Future<Output = Answer<T>>,
{
    // Where the time is up, no packet is sent for an answer that nobody waits for.
    if Instant::now() >= deadline {
        return Heard::new(Err(LookupReason::Timeout));
    }
    let late = |_| Err(LookupReason::Timeout);
    if servers.compare {
        let each = servers.servers.iter().map(|server| timeout_at(deadline, ask(server)));
        return union(join_all(each).await.into_iter().map(|answer| answer.unwrap_or_else(late)).collect());
    }
    let in_turn = async {
        let mut last = Err(LookupReason::ServFail);
        for server in &servers.servers {
            last = ask(server).await;
            // Only a server that could not say sends us to the next one.
            if could_say(&last) {
                break;
            }
        }
        last
    };
    Heard::new(timeout_at(deadline, in_turn).await.unwrap_or_else(late))
}

fn could_say<T>(answer: &Answer<T>) -> bool {
    !matches!(answer, Err(LookupReason::Timeout | LookupReason::ServFail | LookupReason::Bogus))
}

/// All records that any server names; they disagree where those that answered did not answer the same.
fn union<T: Clone + Ord>(answers: Vec<Answer<T>>) -> Heard<T> {
    let (said, failed): (Vec<_>, Vec<_>) = answers.into_iter().partition(could_say);
    let failed = failed.into_iter().find_map(Result::err);
    let aliased = said.iter().flatten().any(|records| records.aliased);
    let said: Vec<Result<BTreeSet<T>, LookupReason>> =
        said.into_iter().map(|answer| answer.map(|records| records.data.into_iter().collect())).collect();
    let disagree = said.windows(2).any(|pair| matches!(pair, [a, b] if a != b));
    let data: BTreeSet<T> = said.iter().flatten().flatten().cloned().collect();
    if data.is_empty() {
        let negative = said.into_iter().find_map(Result::err);
        let partly = failed.filter(|_| negative.is_some());
        return Heard { answer: Err(negative.or(failed).unwrap_or(LookupReason::ServFail)), partly, disagree };
    }
    Heard { answer: Ok(Records { data: data.into_iter().collect(), aliased }), partly: failed, disagree }
}

#[cfg(test)]
mod tests {
    use LookupReason::{NoData, NxDomain, ServFail, Timeout};

    use super::*;

    fn says(data: &[u8]) -> Answer<u8> {
        Ok(Records { data: data.to_vec(), aliased: false })
    }

    #[track_caller]
    fn check(answers: Vec<Answer<u8>>, answer: Answer<u8>, partly: Option<LookupReason>, disagree: bool) {
        assert_eq!(union(answers.clone()), Heard { answer, partly, disagree }, "{answers:?}");
    }

    #[test]
    fn answers_are_compared_as_sets() {
        check(vec![says(&[1, 2]), says(&[2, 1])], says(&[1, 2]), None, false);
        check(vec![says(&[1, 2]), says(&[2, 3])], says(&[1, 2, 3]), None, true);
        check(vec![says(&[1]), Err(NoData)], says(&[1]), None, true);
        check(vec![says(&[1]), says(&[1]), Err(NxDomain)], says(&[1]), None, true);
        check(vec![Err(ServFail), says(&[1])], says(&[1]), Some(ServFail), false);
        check(vec![Err(Timeout), Err(NxDomain)], Err(NxDomain), Some(Timeout), false);
        check(vec![Err(NoData), Err(NxDomain)], Err(NoData), None, true);
        check(vec![Err(Timeout), Err(ServFail)], Err(Timeout), None, false);
        check(vec![], Err(ServFail), None, false);
    }
}
