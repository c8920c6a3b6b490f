//! What the configuration takes from this host: the name in EHLO if none is configured, and how names are resolved.

use std::env;
use std::fs;

use super::scalar::ehlo_name;
use crate::target::{EhloName, SystemResolver};

/// The fully qualified name of this host, or its address. Files that cannot be read count as empty.
pub(super) fn this_machine() -> EhloName {
    name_of(&read(HOSTNAME), &read(HOSTS))
}

/// The resolver of this host, with the variables that libc reads from the environment.
pub(super) fn system_resolver() -> SystemResolver {
    let variable = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    SystemResolver {
        resolv_conf: "/etc/resolv.conf".into(),
        hosts: HOSTS.into(),
        port: DNS_PORT,
        hostname: read(HOSTNAME).trim().to_owned(),
        local_domain: variable("LOCALDOMAIN"),
        options: variable("RES_OPTIONS"),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The host name if it is fully qualified, otherwise the first qualified name on a line of the hosts file that contains it,
/// otherwise the address. Names that are invalid in EHLO (RFC 5321 §4.1.2) are skipped.
fn name_of(hostname: &str, hosts: &str) -> EhloName {
    let hostname = hostname.trim();
    let qualified = |name: &str| if local(name) { None } else { ehlo_name(name) };
    if hostname.is_empty() || local(hostname) {
        return EhloName::AddressLiteral;
    }
    if hostname.contains('.') {
        return qualified(hostname).unwrap_or(EhloName::AddressLiteral);
    }
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines
        .map(|line| line.split_whitespace().skip(1))
        .filter(|names| names.clone().any(|name| name.eq_ignore_ascii_case(hostname)))
        .find_map(|mut names| names.find_map(qualified))
        .unwrap_or(EhloName::AddressLiteral)
}

/// Whether a name is one of the loopback interface.
fn local(name: &str) -> bool {
    name.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("localhost"))
}

const HOSTS: &str = "/etc/hosts";
const HOSTNAME: &str = "/proc/sys/kernel/hostname";
/// RFC 1035 §4.2.
const DNS_PORT: u16 = 53;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hostname: &str, hosts: &str, expected: Option<&str>) {
        let expected = expected.map_or(EhloName::AddressLiteral, |name| EhloName::Name(name.into()));
        assert_eq!(name_of(hostname, hosts), expected, "{hostname:?} in {hosts:?}");
    }

    #[test]
    fn names_of_machines() {
        check("probe.example.net\n", "", Some("probe.example.net"));
        check("Probe.Example.NET\n", "", Some("probe.example.net"));
        check("probe\n", "127.0.1.1 probe.example.net probe\n", Some("probe.example.net"));
        check("probe\n", "127.0.1.1\tprobe probe.example.net\n", Some("probe.example.net"));
        check("PROBE\n", "192.0.2.1 probe.example.net probe # the prober\n", Some("probe.example.net"));
        check(
            "probe\n",
            "127.0.0.1 localhost.localdomain localhost probe\n192.0.2.1 probe.example.net probe\n",
            Some("probe.example.net"),
        );
        check("probe\n", "127.0.0.1 localhost probe\n", None);
        check("probe\n", "127.0.1.1 probe\n", None);
        check("probe\n", "192.0.2.1 other.example.net other\n", None);
        check("probe\n", "# 192.0.2.1 probe.example.net probe\n", None);
        check("probe\n", "", None);
        check("4c01db0b339c\n", "172.17.0.2\t4c01db0b339c\n", None);
        check("localhost\n", "127.0.0.1 box.example.net localhost\n", None);
        check("localhost.localdomain\n", "", None);
        check("", "192.0.2.1 probe.example.net probe\n", None);
        check("mail_1.example.net\n", "", None);
        check("probe\n", "192.0.2.1 bad_name.example.net probe.example.net probe\n", Some("probe.example.net"));
    }
}
