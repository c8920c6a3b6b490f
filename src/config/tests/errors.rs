//! What is refused for its form, word for word.

mod values;

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{Folder, config};
use crate::config::Config;

/// `text` is refused with the message `config.yaml: EXPECTED`; `DIR` stands for a folder with test files.
#[track_caller]
pub(super) fn check(text: &str, expected: &str) {
    let folder = Folder::shared();
    let error = config(&folder.fill(text)).err().map(|error| error.to_string());
    let expected = format!("config.yaml: {}", folder.fill(expected));
    assert_eq!(error.as_deref(), Some(expected.as_str()), "{text}");
}

/// The file of these bytes is refused so.
#[track_caller]
fn check_file(bytes: &[u8], expected: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.yaml");
    fs::write(&path, bytes).expect("a file");
    check_path(&path, expected);
}

#[track_caller]
fn check_path(path: &Path, expected: &str) {
    let error = Config::load(path).err().map(|error| error.to_string());
    assert_eq!(error, Some(format!("{}: {expected}", path.display())));
}

#[test]
fn documents() {
    check("", "found an empty document, allowed is a mapping of keys, `targets` among them");
    check("# only a comment\n---\n", "found an empty document, allowed is a mapping of keys, `targets` among them");
    check("null", "found nothing, allowed is a mapping of keys (line 1, column 1)");
    check("- a", "found a list, allowed is a mapping of keys (line 1, column 1)");
    check("text", "found the text `text`, allowed is a mapping of keys (line 1, column 1)");
    check(
        "targets: [\n",
        "found YAML that cannot be parsed (did not find expected node content, while parsing a flow node), allowed is valid YAML (line 2, column 1)",
    );
    check(
        "targets: 'x",
        "found YAML that cannot be parsed (found unexpected end of stream, while scanning a quoted scalar at line 1 column 10), allowed is valid YAML (line 1, column 12)",
    );
    check(
        "\ttargets:",
        "found YAML that cannot be parsed (found character that cannot start any token, while scanning for the next token), allowed is valid YAML (line 1, column 1)",
    );
    check(
        "targets: []\n# \u{1}",
        "found YAML that cannot be parsed (control characters are not allowed), allowed is valid YAML (line 2, column 3)",
    );
    check("targets: []\n---\ntargets: []\n", "found several YAML documents, allowed is one");
    check("%TAG !x! y\n---\ntargets: []\n", "found a %TAG directive, allowed is YAML without it (line 1, column 1)");
    check(
        "targets: [*nobody]",
        "found an alias to an anchor that is not defined before it, allowed is a defined anchor (line 1, column 11)",
    );
    check("targets:", "targets: found no targets, allowed is at least one, here or in `target_files`");
    check("targets: []", "targets: found no targets, allowed is at least one, here or in `target_files`");
    check("limits: {}", "targets: found no targets, allowed is at least one, here or in `target_files`");
}

#[test]
fn keys() {
    check(
        "target: []",
        "unknown key `target`, allowed are defaults, trust_stores, resolvers, limits, probe, target_files, targets (line 1, column 1)",
    );
    check(
        "probes: {}",
        "unknown key `probes`, allowed are defaults, trust_stores, resolvers, limits, probe, target_files, targets (line 1, column 1)",
    );
    check(
        "1: x",
        "unknown key `1`, allowed are defaults, trust_stores, resolvers, limits, probe, target_files, targets (line 1, column 1)",
    );
    check("[a]: x", "found a list, allowed is a key (line 1, column 1)");
    check(
        "defaults: {intervall: 5m}",
        "defaults: unknown key `intervall`, allowed are interval, timeout, connect_timeout, ehlo_name, ip_family, backend_retention, samples, expect_names, trust, resolver (line 1, column 12)",
    );
    check(
        "targets:\n  - host: a.test\n    prot: 587",
        "targets[0]: unknown key `prot`, allowed are host, mx, submission, port, tls, name, labels, addresses, server_name, certificate_file, client_certificate, interval, timeout, connect_timeout, ehlo_name, ip_family, backend_retention, samples, expect_names, trust, resolver (line 3, column 5)",
    );
    check(
        "targets: [{\"a\\nb: c\": 1}]",
        "targets[0]: unknown key `a\\nb: c`, allowed are host, mx, submission, port, tls, name, labels, addresses, server_name, certificate_file, client_certificate, interval, timeout, connect_timeout, ehlo_name, ip_family, backend_retention, samples, expect_names, trust, resolver (line 1, column 12)",
    );
    check(
        "targets: [{<<: {host: a.test}}]",
        "targets[0]: unknown key `<<`, allowed are host, mx, submission, port, tls, name, labels, addresses, server_name, certificate_file, client_certificate, interval, timeout, connect_timeout, ehlo_name, ip_family, backend_retention, samples, expect_names, trust, resolver (line 1, column 12)",
    );
    check(
        "targets: [{host: a.test, client_certificate: {crt: c.pem}}]",
        "targets[0].client_certificate: unknown key `crt`, allowed are cert, key (line 1, column 47)",
    );
    check(
        "trust_stores: {internal: {file: x}}",
        "trust_stores.internal: unknown key `file`, allowed are roots, files (line 1, column 27)",
    );
    check(
        "resolvers: {r: {servers: []}}",
        "resolvers.r: unknown key `servers`, allowed are nameservers, compare (line 1, column 17)",
    );
    check(
        "limits: {probes: 1}",
        "limits: unknown key `probes`, allowed are concurrent_probes, backends_per_target (line 1, column 10)",
    );
    check(
        "targets: [{port: 25}]",
        "targets[0]: found no key `host`, `mx` or `submission`, allowed is exactly one of `host`, `mx` and `submission` (line 1, column 11)",
    );
    check(
        "targets:\n  - mx: a.test\n    host: b.test\n",
        "targets[0]: found the keys `host` and `mx` in one entry, allowed is exactly one of `host`, `mx` and `submission` (line 2, column 5)",
    );
    check(
        "targets: [{mx: a.test, submission: a.test}]",
        "targets[0]: found the keys `mx` and `submission` in one entry, allowed is exactly one of `host`, `mx` and `submission` (line 1, column 11)",
    );
    check(
        "targets: [{host: a.test, client_certificate: {cert: c.pem}}]",
        "targets[0].client_certificate: found no key `key`, which is required (line 1, column 46)",
    );
    check("resolvers: {r: {}}", "resolvers.r: found no key `nameservers`, which is required (line 1, column 16)");
    check("targets: []\ntargets: []", "found the key `targets` twice, allowed is each key once (line 1, column 1)");
    check(
        "targets:\n  - host: a.test\n    port: 25\n    port: 26\n",
        "targets[0]: found the key `port` twice, allowed is each key once (line 2, column 5)",
    );
    check(
        "trust_stores:\n  r: {roots: system}\n  r: {roots: mozilla}\n",
        "trust_stores: found the key `r` twice, allowed is each key once (line 3, column 3)",
    );
    check(
        "resolvers: {r: {nameservers: [192.0.2.1]}, r: {nameservers: [192.0.2.1]}}",
        "resolvers: found the key `r` twice, allowed is each key once (line 1, column 44)",
    );
    check(
        "targets: [{host: a.test, labels: {team: a, team: b}}]",
        "targets[0].labels: found the key `team` twice, allowed is each key once (line 1, column 44)",
    );
}

#[test]
fn types() {
    check("limits: 5", "limits: found the number 5, allowed is a mapping of keys (line 1, column 9)");
    check("targets: [a.test]", "targets[0]: found the text `a.test`, allowed is a mapping of keys (line 1, column 11)");
    check("targets: {host: a.test}", "targets: found a mapping, allowed is a list (line 1, column 10)");
    check(
        "targets:\n  -\n",
        "targets[0]: found no key `host`, `mx` or `submission`, allowed is exactly one of `host`, `mx` and `submission` (line 2, column 4)",
    );
    check(
        "targets: [{host: {a: b}}]",
        "targets[0].host: found a mapping, allowed is a host name, an IP address or a list of them (line 1, column 18)",
    );
    check(
        "targets: [{host: 5}]",
        "targets[0].host: found the number 5, allowed is a host name, an IP address or a list of them (line 1, column 18)",
    );
    check(
        "targets: [{host: !name a.test}]",
        "targets[0].host: found a value with a tag, allowed is a host name, an IP address or a list of them (line 1, column 18)",
    );
    check(
        "targets: [{host: a.test, port: \"587\"}]",
        "targets[0].port: found the text `587`, allowed is 1 to 65535 (line 1, column 32)",
    );
    check(
        "targets: [{host: a.test, port: 5.5}]",
        "targets[0].port: found the number 5.5, allowed is 1 to 65535 (line 1, column 32)",
    );
    check(
        "targets: [{host: a.test, port: }]",
        "targets[0].port: found nothing, allowed is 1 to 65535 (line 1, column 32)",
    );
    check(
        "targets: [{host: a.test, port: [25]}]",
        "targets[0].port: found a list, allowed is 1 to 65535 (line 1, column 32)",
    );
    check(
        "targets: [{host: a.test, tls: true}]",
        "targets[0].tls: found the boolean true, allowed is starttls or implicit (line 1, column 31)",
    );
    check(
        "targets: [{host: a.test, labels: [a]}]",
        "targets[0].labels: found a list, allowed is a mapping of names (line 1, column 34)",
    );
    check(
        "targets: [{host: a.test, addresses: 192.0.2.1}]",
        "targets[0].addresses: found the text `192.0.2.1`, allowed is a list (line 1, column 37)",
    );
    check(
        "targets: [{host: a.test, client_certificate: c.pem}]",
        "targets[0].client_certificate: found the text `c.pem`, allowed is a mapping of keys (line 1, column 46)",
    );
    check(
        "targets: [{host: a.test, trust: 5}]",
        "targets[0].trust: found the number 5, allowed is a name (numbers in quotes) (line 1, column 33)",
    );
    check(
        "trust_stores: {internal: {files: x.pem}}",
        "trust_stores.internal.files: found the text `x.pem`, allowed is a list (line 1, column 34)",
    );
    check(
        "resolvers: {r: {nameservers: [192.0.2.1], compare: yes}}",
        "resolvers.r.compare: found the text `yes`, allowed is true or false (line 1, column 52)",
    );
    check(
        "resolvers: {r: {nameservers: [[2001:db8::1]:53]}}",
        "resolvers.r.nameservers[0]: found a mapping, allowed is an IP address, with a port or without, such as 192.0.2.53, 192.0.2.53:5353 or \"[2001:db8::53]:5353\" (line 1, column 31)",
    );
    check(
        "defaults: {ehlo_name: 1.5}",
        "defaults.ehlo_name: found the number 1.5, allowed is a name such as probe.example.net, or an address as [192.0.2.1] or [IPv6:2001:db8::1] (line 1, column 23)",
    );
    check(
        "defaults: {expect_names: a.test}",
        "defaults.expect_names: found the text `a.test`, allowed is a list (line 1, column 26)",
    );
}

#[test]
fn numbers_and_words() {
    check(
        "targets:\n  - host: a.test\n    port: 70000",
        "targets[0].port: found 70000, allowed is 1 to 65535 (line 3, column 11)",
    );
    check("targets: [{host: a.test, port: 0}]", "targets[0].port: found 0, allowed is 1 to 65535 (line 1, column 32)");
    check(
        "targets: [{host: a.test, port: -1}]",
        "targets[0].port: found the number -1, allowed is 1 to 65535 (line 1, column 32)",
    );
    check(
        "targets: [{host: a.test, port: 99999999999999999999}]",
        "targets[0].port: found the number 99999999999999999999, allowed is 1 to 65535 (line 1, column 32)",
    );
    check(
        "targets: [{host: a.test, tls: ssl}]",
        "targets[0].tls: found `ssl`, allowed is starttls or implicit (line 1, column 31)",
    );
    check(
        "defaults: {ip_family: v4}",
        "defaults.ip_family: found `v4`, allowed is auto, any, ipv4 or ipv6 (line 1, column 23)",
    );
    check("defaults: {samples: 0}", "defaults.samples: found 0, allowed is 1 to 10 (line 1, column 21)");
    check("defaults: {samples: 11}", "defaults.samples: found 11, allowed is 1 to 10 (line 1, column 21)");
    check(
        "limits: {concurrent_probes: 0}",
        "limits.concurrent_probes: found 0, allowed is auto or 1 to 100000 (line 1, column 29)",
    );
    check(
        "limits: {concurrent_probes: many}",
        "limits.concurrent_probes: found the text `many`, allowed is auto or 1 to 100000 (line 1, column 29)",
    );
    check(
        "limits: {concurrent_probes: 100001}",
        "limits.concurrent_probes: found 100001, allowed is auto or 1 to 100000 (line 1, column 29)",
    );
    check(
        "limits: {backends_per_target: 0}",
        "limits.backends_per_target: found 0, allowed is 1 to 4096 (line 1, column 31)",
    );
    check(
        "limits: {backends_per_target: 4097}",
        "limits.backends_per_target: found 4097, allowed is 1 to 4096 (line 1, column 31)",
    );
}

#[test]
fn values_that_look_like_messages() {
    check(
        "targets: [{host: x at position 5}]",
        "targets[0].host: found `x at position 5` (a host name has letters, digits, `-`, `_` and `.` only), allowed is a host name or an IP address (line 1, column 18)",
    );
    check(
        "defaults: {ip_family: x at line 1 column 23}",
        "defaults.ip_family: found `x at line 1 column 23`, allowed is auto, any, ipv4 or ipv6 (line 1, column 23)",
    );
    check(
        "limits: {\"a: found b, allowed c\": 1}",
        "limits: unknown key `a: found b, allowed c`, allowed are concurrent_probes, backends_per_target (line 1, column 10)",
    );
}

#[test]
fn long_values_are_cut_in_messages() {
    let long = "x".repeat(1025);
    let shown = "x".repeat(60);
    check(
        &format!("targets: [{{host: a.test, labels: {{team: {long}}}}}]"),
        &format!(
            "targets[0].labels.team: found `{shown}…`, allowed is a text of at most 1024 bytes (numbers and booleans in quotes) (line 1, column 41)"
        ),
    );
    check(
        &format!("targets: [{{host: {}}}]", "ü".repeat(50_000)),
        "targets[0].host: found a text of 100000 bytes, allowed is a host name or an IP address (line 1, column 18)",
    );
}

#[test]
fn bombs_are_refused_at_once() {
    let largest = "[".repeat(16 << 20);
    let before = cpu_time();
    assert_eq!(largest.bytes().filter(|byte| *byte == b'[').count(), largest.len());
    let once_through = cpu_time() - before;
    let before = cpu_time();
    let too_deep = "found `[` and `{` nested too deep, allowed is at most 64 levels (line 1, column 74)";
    check(&format!("targets: {}", "[".repeat(40_000)), too_deep);
    check(&format!("targets: {largest}"), too_deep);
    check(
        &format!("targets:\n  - {}a", "- ".repeat(40_000)),
        "targets[0]: found a list, allowed is a mapping of keys (line 2, column 5)",
    );
    let repeated = ", *a".repeat(300);
    check(
        &format!("targets:\n  - &t {{host: [&a a.test{repeated}]}}\n{}", "  - *t\n".repeat(300)),
        "found aliases that repeat values too often, allowed is 100 repetitions for each value in the file",
    );
    let classic: String = (1..20).map(|n| format!("  - &a{n} [*a{p}, *a{p}, *a{p}]\n", p = n - 1)).collect();
    check(
        &format!("targets:\n  - &a0 [lol]\n{classic}"),
        "targets[0]: found a list, allowed is a mapping of keys (line 2, column 5)",
    );
    // By the processor's time, against that of reading the largest file once: what is quadratic takes minutes.
    let took = cpu_time() - before;
    assert!(took < once_through * 50, "{took:?} against {once_through:?}");
}

/// What this thread has used.
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

#[test]
fn files() {
    let folder = tempfile::tempdir().expect("a folder");
    check_path(&folder.path().join("none.yaml"), "found no such file, allowed is a readable YAML file");
    check_path(folder.path(), "found a directory, allowed is a readable YAML file");
    check_file(
        b"# \xc3\xbc\n# \xc3\xbc\xfc\n",
        "found a byte that is not UTF-8, allowed is UTF-8 text (line 2, column 4)",
    );
    check_file(&vec![b'#'; 17 << 20], "found a file of more than 16 MiB, allowed is 16 MiB at most");
    check_file(&vec![b'#'; 16 << 20], "found an empty document, allowed is a mapping of keys, `targets` among them");
}
