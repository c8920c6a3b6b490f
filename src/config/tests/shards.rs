//! The configurations of shards.

use std::collections::BTreeSet;

use super::{Config, accepted};
use crate::target::Shard;

/// The configuration of a shard of three.
fn shard(config: &Config, ordinal: u32) -> Config {
    config.clone().of_shard(Shard::new(ordinal, 3).expect("a shard"))
}

fn names(config: &Config) -> BTreeSet<String> {
    config.targets.iter().map(|target| target.name.to_string()).collect()
}

#[test]
fn each_target_is_in_one_shard() {
    let targets: Vec<_> = (0..8).map(|number| format!("{{host: smtp-{number}.test}}")).collect();
    let config = accepted(&format!("defaults: {{trust: mozilla}}\ntargets: [{}]\n", targets.join(", ")));
    let shards: Vec<_> = (0..3).map(|ordinal| shard(&config, ordinal)).collect();
    assert!(shards.iter().all(|shard| shard.targets.len() + shard.other_shards.len() == 8), "{shards:#?}");
    let all: BTreeSet<String> = shards.iter().flat_map(names).collect();
    assert_eq!((shards.iter().map(|shard| shard.targets.len()).sum::<usize>(), all), (8, names(&config)));
    // The configuration of all targets, and that of a shard, again.
    assert_eq!(config.clone().of_shard(Shard::default()), config);
    assert_eq!(names(&shard(&shards[0], 1)), names(&shards[1]));
}

#[test]
fn what_only_other_shards_use_is_dropped() {
    let stores = "trust_stores: {own: {roots: none, files: [PEM/ca.pem]}}\n";
    let resolvers = "resolvers: {lan: {nameservers: [192.0.2.53]}}\n";
    let targets = "defaults: {trust: mozilla}\ntargets: [{host: a.test, trust: own, resolver: lan}, {host: b.test}]\n";
    let config = accepted(&format!("{stores}{resolvers}{targets}"));
    for ordinal in 0..3 {
        let shard = shard(&config, ordinal);
        let has = |name: &str| shard.targets.iter().any(|target| target.name.as_str().starts_with(name));
        let stores: Vec<&str> = shard.trust_stores.keys().map(|name| &**name).collect();
        let resolvers: Vec<&str> = shard.resolvers.keys().map(|name| &**name).collect();
        let expected = [has("b.").then_some("mozilla"), has("a.").then_some("own")];
        assert_eq!(stores, expected.into_iter().flatten().collect::<Vec<_>>());
        let expected = [has("a.").then_some("lan"), has("b.").then_some("system")];
        assert_eq!(resolvers, expected.into_iter().flatten().collect::<Vec<_>>());
        // All files are watched.
        assert_eq!(shard.files, config.files);
    }
    // What `/probe` uses stays.
    let config = accepted(&format!("{stores}{resolvers}{targets}probe: {{allow: [c.test]}}\n"));
    assert!((0..3).all(|ordinal| shard(&config, ordinal).trust_stores.contains_key("mozilla")));
}
