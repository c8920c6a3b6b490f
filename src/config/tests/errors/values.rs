//! What is refused for its value, word for word.

use super::check;

#[test]
fn durations() {
    check(
        "defaults: {interval: 10 parsecs}",
        "defaults.interval: found `10 parsecs`, allowed is a duration from 1s to 1y, such as 90s or 1h30m (line 1, column 22)",
    );
    check(
        "defaults: {interval: 5}",
        "defaults.interval: found the number 5, allowed is a duration from 1s to 1y, such as 90s or 1h30m (line 1, column 22)",
    );
    check(
        "defaults: {interval: 999ms}",
        "defaults.interval: found `999ms`, allowed is a duration from 1s to 1y, such as 90s or 1h30m (line 1, column 22)",
    );
    check(
        "defaults: {interval: 0}",
        "defaults.interval: found the number 0, allowed is a duration from 1s to 1y, such as 90s or 1h30m (line 1, column 22)",
    );
    check(
        "defaults: {timeout: 0s}",
        "defaults.timeout: found `0s`, allowed is a duration from 1ms to 1h, such as 20s or 500ms (line 1, column 21)",
    );
    check(
        "defaults: {backend_retention: -1h}",
        "defaults.backend_retention: found `-1h`, allowed is a duration from 0 to 1y, such as 1h or 1d (line 1, column 31)",
    );
    check(
        "targets: [{host: a.test, interval: 10s, timeout: 30s}]",
        "targets[0].timeout: found 30s, allowed is at most the interval, 10s",
    );
    check(
        "defaults: {timeout: 20s}\ntargets: [{host: a.test, interval: 10s}]",
        "targets[0].interval: found 10s, allowed is at least defaults.timeout, 20s",
    );
    check(
        "defaults: {timeout: 20s, interval: 10s}\ntargets: [{host: a.test}]",
        "defaults.timeout: found 20s, allowed is at most the interval, 10s",
    );
    check(
        "defaults: {timeout: 10m}\ntargets: [{host: a.test}]",
        "defaults.timeout: found 10m, allowed is at most the interval, 5m",
    );
    check(
        "targets: [{host: a.test, connect_timeout: 21s}]",
        "targets[0].connect_timeout: found 21s, allowed is at most the timeout, 20s",
    );
    check(
        "defaults: {connect_timeout: 5s}\ntargets: [{host: a.test, timeout: 3s}]",
        "targets[0].timeout: found 3s, allowed is at least defaults.connect_timeout, 5s",
    );
    check(
        "targets: [{host: a.test, connect_timeout: 5s, interval: 3s}]",
        "targets[0].connect_timeout: found 5s, allowed is at most the interval, 3s",
    );
    check(
        "defaults: {connect_timeout: 5s}\ntargets: [{host: a.test, interval: 3s}]",
        "targets[0].interval: found 3s, allowed is at least defaults.connect_timeout, 5s",
    );
}

#[test]
fn names_and_addresses() {
    check(
        "targets: [{host: \"*.test\"}]",
        "targets[0].host: found `*.test` (a host name has letters, digits, `-`, `_` and `.` only), allowed is a host name or an IP address (line 1, column 18)",
    );
    check(
        "targets: [{host: ''}]",
        "targets[0].host: found `` (the name is empty), allowed is a host name or an IP address (line 1, column 18)",
    );
    check(
        "targets: [{host: a..test}]",
        "targets[0].host: found `a..test` (a label of the name is empty), allowed is a host name or an IP address (line 1, column 18)",
    );
    check(
        "targets: [{host: [a.test, two words]}]",
        "targets[0].host[1]: found `two words` (a host name has letters, digits, `-`, `_` and `.` only), allowed is a host name or an IP address (line 1, column 27)",
    );
    check(
        "targets: [{host: \"a.test:25\"}]",
        "targets[0].host: found `a.test:25` (the port goes into a key of its own), allowed is a host name or an IP address (line 1, column 18)",
    );
    check(
        "targets: [{host: 0.0.0.0}]",
        "targets[0].host: found `0.0.0.0` (no machine has this address), allowed is a host name or an IP address (line 1, column 18)",
    );
    check("targets: [{host: []}]", "targets[0].host: found an empty list, allowed is at least one host");
    check(
        "targets: [{host: a.test, server_name: \"a\\nb\"}]",
        "targets[0].server_name: found `a\\nb` (a host name has letters, digits, `-`, `_` and `.` only), allowed is a host name or an IP address (line 1, column 39)",
    );
    check(
        "defaults: {expect_names: [a.test, A.test]}",
        "defaults.expect_names[1]: found the value `A.test` twice, allowed is each value once (line 1, column 35)",
    );
    check(
        "targets: [{host: a.test, addresses: [b.test]}]",
        "targets[0].addresses[0]: found `b.test`, allowed is an IP address such as 192.0.2.10 or 2001:db8::10 (line 1, column 38)",
    );
    check(
        "targets: [{host: a.test, addresses: [\"::\"]}]",
        "targets[0].addresses[0]: found `::` (no machine has this address), allowed is an IP address such as 192.0.2.10 or 2001:db8::10 (line 1, column 38)",
    );
    check(
        "targets: [{host: a.test, addresses: [224.0.0.1]}]",
        "targets[0].addresses[0]: found `224.0.0.1` (no machine has this address), allowed is an IP address such as 192.0.2.10 or 2001:db8::10 (line 1, column 38)",
    );
    check(
        "targets: [{host: a.test, addresses: [255.255.255.255]}]",
        "targets[0].addresses[0]: found `255.255.255.255` (no machine has this address), allowed is an IP address such as 192.0.2.10 or 2001:db8::10 (line 1, column 38)",
    );
    check(
        "targets: [{host: a.test, addresses: [192.0.2.1, \"::ffff:192.0.2.1\"]}]",
        "targets[0].addresses[1]: found the value `::ffff:192.0.2.1` twice, allowed is each value once (line 1, column 49)",
    );
    check("resolvers: {r: {nameservers: []}}", "resolvers.r.nameservers: found 0 addresses, allowed is 1 to 16");
    check(
        "resolvers: {r: {nameservers: [dns.test]}}",
        "resolvers.r.nameservers[0]: found `dns.test`, allowed is an IP address, with a port or without, such as 192.0.2.53, 192.0.2.53:5353 or \"[2001:db8::53]:5353\" (line 1, column 31)",
    );
    check(
        "resolvers: {r: {nameservers: [\"192.0.2.1:0\"]}}",
        "resolvers.r.nameservers[0]: found `192.0.2.1:0` (its port is 0), allowed is an IP address, with a port or without, such as 192.0.2.53, 192.0.2.53:5353 or \"[2001:db8::53]:5353\" (line 1, column 31)",
    );
    check(
        "resolvers: {r: {nameservers: [192.0.2.1, \"192.0.2.1:53\"]}}",
        "resolvers.r.nameservers[1]: found the value `192.0.2.1:53` twice, allowed is each value once (line 1, column 42)",
    );
    check(
        "defaults: {ehlo_name: probe}",
        "defaults.ehlo_name: found `probe`, allowed is a name such as probe.example.net, or an address as [192.0.2.1] or [IPv6:2001:db8::1] (line 1, column 23)",
    );
    check(
        "defaults: {ehlo_name: 192.0.2.1}",
        "defaults.ehlo_name: found `192.0.2.1`, allowed is a name such as probe.example.net, or an address as [192.0.2.1] or [IPv6:2001:db8::1] (line 1, column 23)",
    );
    check(
        "defaults: {ehlo_name: \"a.test\\r\\nMAIL FROM:<>\"}",
        "defaults.ehlo_name: found `a.test\\r\\nMAIL FROM:<>`, allowed is a name such as probe.example.net, or an address as [192.0.2.1] or [IPv6:2001:db8::1] (line 1, column 23)",
    );
    check(
        "defaults: {ehlo_name: a b.test}",
        "defaults.ehlo_name: found `a b.test`, allowed is a name such as probe.example.net, or an address as [192.0.2.1] or [IPv6:2001:db8::1] (line 1, column 23)",
    );
    check(
        "defaults: {ehlo_name: \"[192.0.2.300]\"}",
        "defaults.ehlo_name: found `[192.0.2.300]`, allowed is a name such as probe.example.net, or an address as [192.0.2.1] or [IPv6:2001:db8::1] (line 1, column 23)",
    );
    check(
        "targets: [{host: a.test, name: ''}]",
        "targets[0].name: found ``, allowed is a text of 1 to 255 bytes without control characters (line 1, column 32)",
    );
    check(
        "targets: [{host: [a.test, b.test], name: x}]",
        "targets[0].name: found the name `x` for a list of hosts, each of which is a target, allowed is a name of its own for each target: give one host, or no name",
    );
    check(
        "targets: [{host: a.test, name: x}, {host: b.test, name: x}]",
        "targets[1].name: found the name `x` a second time, after targets[0].name, allowed is a name of its own (key `name`) for each target",
    );
    check(
        "targets: [{host: a.test}, {host: [b.test, A.test.]}]",
        "targets[1].host[1]: found the name `a.test:587` a second time, after targets[0].host, allowed is a name of its own (key `name`) for each target",
    );
}

#[test]
fn labels() {
    check(
        "targets: [{host: a.test, labels: {backend: a}}]",
        "targets[0].labels: found `backend` (this exporter sets it), allowed is a label name ([a-zA-Z_][a-zA-Z0-9_]*, not __*) that neither Prometheus nor this exporter uses itself (line 1, column 35)",
    );
    check(
        "targets: [{host: a.test, labels: {job: a}}]",
        "targets[0].labels: found `job` (Prometheus sets it), allowed is a label name ([a-zA-Z_][a-zA-Z0-9_]*, not __*) that neither Prometheus nor this exporter uses itself (line 1, column 35)",
    );
    check(
        "targets: [{host: a.test, labels: {__a: a}}]",
        "targets[0].labels: found `__a`, allowed is a label name ([a-zA-Z_][a-zA-Z0-9_]*, not __*) that neither Prometheus nor this exporter uses itself (line 1, column 35)",
    );
    check(
        "targets: [{host: a.test, labels: {a-b: a}}]",
        "targets[0].labels: found `a-b`, allowed is a label name ([a-zA-Z_][a-zA-Z0-9_]*, not __*) that neither Prometheus nor this exporter uses itself (line 1, column 35)",
    );
    check(
        "targets: [{host: a.test, labels: {1: a}}]",
        "targets[0].labels: found the number 1, allowed is a label name ([a-zA-Z_][a-zA-Z0-9_]*, not __*) that neither Prometheus nor this exporter uses itself (line 1, column 35)",
    );
    check(
        "targets: [{host: a.test, labels: {tier: 5}}]",
        "targets[0].labels.tier: found the number 5, allowed is a text of at most 1024 bytes (numbers and booleans in quotes) (line 1, column 41)",
    );
    check(
        "targets: [{host: a.test, labels: {tier: true}}]",
        "targets[0].labels.tier: found the boolean true, allowed is a text of at most 1024 bytes (numbers and booleans in quotes) (line 1, column 41)",
    );
    check(
        "targets: [{host: a.test, labels: {tier: }}]",
        "targets[0].labels.tier: found nothing, allowed is a text of at most 1024 bytes (numbers and booleans in quotes) (line 1, column 41)",
    );
}

#[test]
fn stores_and_resolvers() {
    check(
        "targets: [{host: a.test, trust: corp}]",
        "targets[0].trust: found `corp`, allowed is one of mozilla, system",
    );
    check(
        "defaults: {trust: corp}\ntrust_stores: {own: {roots: mozilla}}\ntargets: [{host: a.test}]",
        "defaults.trust: found `corp`, allowed is one of mozilla, own, system",
    );
    check("targets: [{host: a.test, resolver: corp}]", "targets[0].resolver: found `corp`, allowed is one of system");
    check(
        "trust_stores: {mozilla: {roots: none}}",
        "trust_stores: found `mozilla`, allowed is a name of 1 to 64 letters, digits, `.`, `_` and `-`, other than the built-in system and mozilla (line 1, column 16)",
    );
    check(
        "resolvers: {system: {nameservers: [192.0.2.1]}}",
        "resolvers: found `system`, allowed is a name of 1 to 64 letters, digits, `.`, `_` and `-`, other than the built-in system (line 1, column 13)",
    );
    check(
        "trust_stores: {own: {roots: all}}",
        "trust_stores.own.roots: found `all`, allowed is system, mozilla or none (line 1, column 29)",
    );
    check(
        "trust_stores: {own: {roots: none}}",
        "trust_stores.own: found neither roots nor files, allowed is one of them at least",
    );
    check(
        "trust_stores: {own: {files: [DIR/ca.pem, DIR/missing.pem]}}",
        "trust_stores.own.files[1]: found DIR/missing.pem, which does not exist, allowed is a PEM file with one or more CA certificates",
    );
    check(
        "trust_stores: {own: {files: [DIR/empty.pem]}}",
        "trust_stores.own.files[0]: found DIR/empty.pem, which is empty, allowed is a PEM file with one or more CA certificates",
    );
    check(
        "trust_stores: {own: {files: [DIR/garbage.pem]}}",
        "trust_stores.own.files[0]: found DIR/garbage.pem, in which no PEM certificate is, allowed is a PEM file with one or more CA certificates",
    );
    check(
        "trust_stores: {own: {files: [DIR/cut.pem]}}",
        "trust_stores.own.files[0]: found DIR/cut.pem, which is broken PEM (a section without its END line), allowed is a PEM file with one or more CA certificates",
    );
    check(
        "trust_stores: {own: {files: [DIR/base64.pem]}}",
        "trust_stores.own.files[0]: found DIR/base64.pem, which is broken PEM (a section that is not base64), allowed is a PEM file with one or more CA certificates",
    );
    check(
        "trust_stores: {own: {files: [DIR/no-root.pem]}}",
        "trust_stores.own.files[0]: found DIR/no-root.pem, whose certificate 2 cannot be a root (TrailingData(SignedData)), allowed is a PEM file with one or more CA certificates",
    );
    check(
        "trust_stores: {own: {files: [DIR]}}",
        "trust_stores.own.files[0]: found DIR, which is a directory, allowed is a PEM file with one or more CA certificates",
    );
}

#[test]
fn client_certificates() {
    check(
        "targets: [{host: a.test, client_certificate: {cert: DIR/missing.pem, key: DIR/client.key}}]",
        "targets[0].client_certificate.cert: found DIR/missing.pem, which does not exist, allowed is a PEM file with the certificate, then its intermediates",
    );
    check(
        "targets: [{host: a.test, client_certificate: {cert: DIR/empty.pem, key: DIR/client.key}}]",
        "targets[0].client_certificate.cert: found DIR/empty.pem, which is empty, allowed is a PEM file with the certificate, then its intermediates",
    );
    check(
        "targets: [{host: a.test, client_certificate: {cert: DIR/garbage.pem, key: DIR/client.key}}]",
        "targets[0].client_certificate.cert: found DIR/garbage.pem, in which no PEM certificate is, allowed is a PEM file with the certificate, then its intermediates",
    );
    check(
        "targets: [{host: a.test, client_certificate: {cert: DIR/client.pem, key: DIR/missing.key}}]",
        "targets[0].client_certificate.key: found DIR/missing.key, which does not exist, allowed is a PEM file with the private key of the certificate",
    );
    check(
        "targets: [{host: a.test, client_certificate: {cert: DIR/client.pem, key: DIR/client.pem}}]",
        "targets[0].client_certificate.key: found DIR/client.pem, in which no PEM private key is, allowed is a PEM file with the private key of the certificate",
    );
    check(
        "targets: [{host: a.test, client_certificate: {cert: DIR/client.pem, key: DIR/no-key.pem}}]",
        "targets[0].client_certificate.key: found DIR/no-key.pem, whose key is broken or of no supported type, allowed is a PEM file with the private key of the certificate",
    );
    check(
        "targets: [{host: a.test, client_certificate: {cert: DIR/client.pem, key: DIR/ca.key}}]",
        "targets[0].client_certificate.key: found DIR/ca.key, whose key is not that of the certificate, allowed is a PEM file with the private key of the certificate",
    );
    check(
        "targets: [{host: a.test, client_certificate: {cert: DIR/no-certificate.pem, key: DIR/client.key}}]",
        "targets[0].client_certificate.cert: found DIR/no-certificate.pem, whose first certificate cannot be parsed, allowed is a PEM file with the certificate, then its intermediates",
    );
}
