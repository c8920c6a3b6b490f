//! The zone data and how queries are answered.

use std::collections::HashMap;
use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{CNAME, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// The answer for one name and type.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The addresses of the queried family, rotated by one with every query.
    Addresses(Vec<IpAddr>),
    /// A few addresses of a large pool.
    Rotating {
        /// The pool, of one family.
        all: Vec<IpAddr>,
        /// How many addresses an answer contains.
        shown: usize,
        /// By how many addresses each [`crate::Dns::rotate`] advances.
        step: usize,
    },
    /// The addresses of the queried family in one of these sets, each query the next set.
    InTurns(Vec<Vec<IpAddr>>),
    /// A CNAME, followed by the target's records if the zone has the target.
    Cname(String),
    /// A CNAME only: the client has to query the target.
    CnameOnly(String),
    /// The name does not exist (RFC 2308 §2.1), even if other types are set.
    NxDomain,
    /// The name exists but has no records of this type (RFC 2308 §2.2).
    NoData,
    /// SERVFAIL.
    ServFail,
    /// SERVFAIL from a validating resolver for bogus data; with checking disabled, it returns the addresses
    /// (RFC 4035 §3.2.2).
    Bogus(Vec<IpAddr>),
    /// REFUSED.
    Refused,
    /// FORMERR.
    FormErr,
    /// NOTIMP.
    NotImp,
    /// No response.
    NoReply,
    /// The addresses over TCP; over UDP an empty response with the TC bit (RFC 2181 §9).
    Truncated(Vec<IpAddr>),
    /// These records, unchanged, whatever their owner name.
    Records(Vec<Record>),
}

#[derive(Debug, Default)]
pub(super) struct Zone {
    names: HashMap<String, HashMap<RecordType, Entry>>,
    round: usize,
}

impl Zone {
    pub(super) fn set(&mut self, name: &str, record_type: RecordType, answer: Answer) {
        let types = self.names.entry(normalize(&parse(name))).or_default();
        types.insert(record_type, Entry { answer, queries: 0 });
    }

    pub(super) fn clear(&mut self, name: &str) {
        self.names.remove(&normalize(&parse(name)));
    }

    pub(super) fn rotate(&mut self) {
        self.round += 1;
    }

    pub(super) fn answer(&mut self, name: &Name, record_type: RecordType, checking_disabled: bool) -> Outcome {
        let mut aliases = Vec::new();
        let mut owner = name.clone();
        loop {
            let mut outcome = match self.lookup(&owner, record_type, checking_disabled) {
                Lookup::Found(outcome) => outcome,
                Lookup::Alias { target, follow } => {
                    let data = RData::CNAME(CNAME(target.clone()));
                    aliases.push(Record::from_rdata(owner, TTL, data));
                    let known = self.names.contains_key(&normalize(&target));
                    if follow && known && aliases.len() < MAX_ALIASES {
                        owner = target;
                        continue;
                    }
                    Reply::with(ResponseCode::NoError)
                }
            };
            if let Outcome::Reply(reply) = &mut outcome {
                reply.answers.splice(..0, aliases);
            }
            return outcome;
        }
    }

    fn lookup(&mut self, owner: &Name, record_type: RecordType, checking_disabled: bool) -> Lookup {
        let round = self.round;
        let Some(types) = self.names.get_mut(&normalize(owner)) else {
            return Lookup::Found(Reply::negative(ResponseCode::NXDomain, owner));
        };
        let asked_type = match types.contains_key(&record_type) {
            true => record_type,
            false => RecordType::CNAME,
        };
        let Some(entry) = types.get_mut(&asked_type) else {
            return Lookup::Found(Reply::negative(ResponseCode::NoError, owner));
        };
        let addresses = |ips: Vec<IpAddr>| Reply::addresses(owner, record_type, ips);
        Lookup::Found(match &entry.answer {
            Answer::Addresses(all) => {
                let mut ips = all.clone();
                ips.retain(|ip| record_type_of(*ip) == record_type);
                let turn = entry.queries.checked_rem(ips.len()).unwrap_or_default();
                ips.rotate_left(turn);
                entry.queries += 1;
                addresses(ips)
            }
            Answer::Rotating { all, shown, step } => {
                let pool = all.iter().copied().cycle();
                let start = (round * step).checked_rem(all.len()).unwrap_or_default();
                addresses(pool.skip(start).take((*shown).min(all.len())).collect())
            }
            Answer::InTurns(sets) => {
                let set = sets.get(entry.queries.checked_rem(sets.len()).unwrap_or_default());
                entry.queries += 1;
                addresses(set.cloned().unwrap_or_default())
            }
            Answer::Truncated(ips) => addresses(ips.clone()).over_tcp_only(),
            Answer::Cname(target) | Answer::CnameOnly(target) => {
                return Lookup::Alias {
                    target: parse(target),
                    follow: matches!(entry.answer, Answer::Cname(_)) && record_type != RecordType::CNAME,
                };
            }
            Answer::NxDomain => Reply::negative(ResponseCode::NXDomain, owner),
            Answer::NoData => Reply::negative(ResponseCode::NoError, owner),
            Answer::Bogus(ips) if checking_disabled => addresses(ips.clone()),
            Answer::ServFail | Answer::Bogus(_) => Reply::with(ResponseCode::ServFail),
            Answer::Refused => Reply::with(ResponseCode::Refused),
            Answer::FormErr => Reply::with(ResponseCode::FormErr),
            Answer::NotImp => Reply::with(ResponseCode::NotImp),
            Answer::NoReply => Outcome::NoReply,
            Answer::Records(records) => Outcome::Reply(Reply { answers: records.clone(), ..Reply::default() }),
        })
    }
}

/// The outcome of a query.
pub(super) enum Outcome {
    NoReply,
    Reply(Reply),
}

impl Outcome {
    fn over_tcp_only(mut self) -> Self {
        if let Self::Reply(reply) = &mut self {
            reply.over_tcp_only = true;
        }
        self
    }
}

#[derive(Default)]
pub(super) struct Reply {
    pub(super) code: ResponseCode,
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
    pub(super) over_tcp_only: bool,
}

impl Reply {
    fn with(code: ResponseCode) -> Outcome {
        Outcome::Reply(Self { code, ..Self::default() })
    }

    fn addresses(owner: &Name, record_type: RecordType, ips: Vec<IpAddr>) -> Outcome {
        let ips = ips.into_iter().filter(|ip| record_type_of(*ip) == record_type);
        let data = ips.map(|ip| match ip {
            IpAddr::V4(ip) => RData::A(ip.into()),
            IpAddr::V6(ip) => RData::AAAA(ip.into()),
        });
        let answers: Vec<_> = data.map(|data| Record::from_rdata(owner.clone(), TTL, data)).collect();
        match answers.is_empty() {
            true => Self::negative(ResponseCode::NoError, owner),
            false => Outcome::Reply(Self { answers, ..Self::default() }),
        }
    }

    /// With the SOA record that RFC 2308 §3 requires.
    fn negative(code: ResponseCode, owner: &Name) -> Outcome {
        let zone = owner.base_name();
        let soa = SOA::new(zone.clone(), zone.clone(), 1, 60, 60, 60, TTL);
        Outcome::Reply(Self {
            code,
            authorities: vec![Record::from_rdata(zone, TTL, RData::SOA(soa))],
            ..Self::default()
        })
    }
}

/// The form in which names are compared: lower case, without the trailing dot.
pub(super) fn normalize(name: &Name) -> String {
    let name = name.to_ascii().to_ascii_lowercase();
    name.trim_end_matches('.').to_owned()
}

/// Parses a name with or without the trailing dot; underscores are allowed.
pub(super) fn parse(name: &str) -> Name {
    let mut name = Name::from_str_relaxed(name).expect("a domain name");
    name.set_fqdn(true);
    name
}

/// Seconds; short, so that a cache does not hide a change.
pub(super) const TTL: u32 = 1;

#[derive(Debug)]
struct Entry {
    answer: Answer,
    queries: usize,
}

enum Lookup {
    Found(Outcome),
    Alias { target: Name, follow: bool },
}

fn record_type_of(ip: IpAddr) -> RecordType {
    match ip {
        IpAddr::V4(_) => RecordType::A,
        IpAddr::V6(_) => RecordType::AAAA,
    }
}

/// Maximum number of CNAMEs in one answer, which bounds loops.
const MAX_ALIASES: usize = 16;
