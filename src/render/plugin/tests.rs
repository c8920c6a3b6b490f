use std::sync::Arc;

use super::*;
use crate::observation::{LookupFailure, LookupReport};
use crate::reason::{LocalReason, ProbeReason, RejectionCause, Stage};
use crate::snapshot::ExporterReport;
use crate::snapshot::fixture::{EndpointFixture, TestCa, between, leaf, name, now};
use crate::target::{Target as ConfiguredTarget, TargetName};
use crate::text::is_printable;

const HOST: &str = "smtp.example.com";

fn output(reports: Vec<TargetReport>, local_errors: &[(LocalReason, u64)]) -> PluginOutput {
    let exporter = ExporterReport { local_errors: local_errors.to_vec(), ..ExporterReport::default() };
    let fleet = Fleet { targets: reports.into_iter().map(Arc::new).collect(), exporter };
    let found = plugin_output(&fleet, now(), Duration::from_micros(1_234_500), Duration::from_secs(20));
    check_form(&found);
    found
}

/// What every plugin that reads the output relies on, whatever the servers sent.
#[track_caller]
fn check_form(PluginOutput { state, text }: &PluginOutput) {
    assert!(text.len() <= 4000 && text.ends_with('\n'), "{} bytes: {text}", text.len());
    assert!(text.chars().all(|c| c == '\n' || is_printable(c)), "{text:?}");
    assert_eq!(text.matches('|').count(), 1, "{text}");
    let first = text.lines().next().expect("a line");
    let (status, data) = first.split_once(" | ").expect("performance data");
    assert!(status.starts_with(&format!("SMTP TLS {} - ", state.as_str().to_uppercase())), "{status}");
    assert!(status.len() <= 270, "{status}");
    let mut rest = data;
    while !rest.is_empty() {
        let (label, values) = rest.strip_prefix('\'').and_then(|rest| rest.split_once("'=")).expect("a label");
        assert!(!label.contains(['\'', '=']) && !label.contains("::"), "{label}");
        let (values, next) = values.split_once(' ').unwrap_or((values, ""));
        let mut fields = values.split(';');
        let value = fields.next().expect("a value").trim_end_matches('s');
        assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{values}");
        assert!(fields.all(|field| field.is_empty() || field.trim_end_matches(':').parse::<f64>().is_ok()), "{values}");
        rest = next;
    }
}

fn lookup(failures: &[(&'static str, LookupReason)], is_partial: bool) -> Option<Arc<LookupReport>> {
    let failure = |(record_type, reason): &(&'static str, LookupReason)| LookupFailure {
        name: name(HOST),
        record_type,
        reason: *reason,
        alias: None,
        is_partial,
    };
    let failures: Vec<LookupFailure> = failures.iter().map(failure).collect();
    Some(Arc::new(LookupReport {
        success: failures.is_empty(),
        hosts: None,
        duration: Duration::from_millis(4),
        failures,
        disagree: None,
        varies: false,
        searched: Vec::new(),
    }))
}

#[test]
fn states_and_status_lines() {
    use HealthState::{Critical, Ok, Unknown, Warning};
    let (ca, endpoint) = (TestCa::new(), EndpointFixture::of(HOST));
    let good = |address: &str| endpoint.presents(&ca, address, &ca.chain(&leaf(&[HOST])));
    let wrong = |address: &str| endpoint.presents(&ca, address, &ca.chain(&leaf(&["mail.example.com"])));
    let until = |from, until| endpoint.presents(&ca, "192.0.2.10", &ca.chain(&between(leaf(&[HOST]), from, until)));
    let refused = |address: &str| endpoint.fails(address, Stage::Connect, ProbeReason::Refused, "");
    let (a, b, c) = ("192.0.2.10", "192.0.2.11", "192.0.2.12");
    for (backends, state, status) in [
        (vec![good(a)], Ok, "1 backend of relay, certificate expires in 92 days"),
        (vec![good(a), good(b)], Ok, "2 backends of relay, first certificate expires in 92 days"),
        (vec![good(a), wrong(b), wrong(c)], Critical, "2 of 3 backends of relay failing: name not_listed"),
        (vec![good(a), refused(b)], Critical, "1 of 2 backends of relay failing: connect refused"),
        (vec![good(a), endpoint.unprobed(b)], Unknown, "1 of 2 backends of relay not probed: not probed: "),
        (
            vec![wrong(a), endpoint.unprobed(b)],
            Critical,
            "1 of 2 backends of relay failing, 1 not probed: not probed: ",
        ),
        // Lifetime, remaining: 365 days, 21 days and an hour; 21 days less an hour; 7 days less an hour; expired.
        (vec![until("20250622010000Z", "20260622010000Z")], Ok, "1 backend of relay, certificate expires in 21 days"),
        (
            vec![until("20250621230000Z", "20260621230000Z")],
            Warning,
            "1 backend of relay: certificate expires in 20 days",
        ),
        (
            vec![until("20250607230000Z", "20260607230000Z")],
            Critical,
            "1 backend of relay: certificate expires in 6 days",
        ),
        (vec![until("20250601000000Z", "20260531000000Z")], Critical, "1 of 1 backend of relay failing: chain expired"),
        // 6 days: a quarter is 36 hours, a tenth 14.4 hours.
        (vec![until("20260528000000Z", "20260603000000Z")], Ok, "1 backend of relay, certificate expires in 2 days"),
        (vec![until("20260527000000Z", "20260602000000Z")], Warning, "1 backend of relay: certificate expires in 24 h"),
        (
            vec![until("20260526120000Z", "20260601120000Z")],
            Critical,
            "1 backend of relay: certificate expires in 12 h",
        ),
    ] {
        let found = output(vec![endpoint.report(backends)], &[]);
        assert_eq!(found.state, state, "{}", found.text);
        let expected = format!("SMTP TLS {} - {status}", state.as_str().to_uppercase());
        assert!(found.text.starts_with(&expected), "{expected} in\n{}", found.text);
        assert_eq!(found.text.lines().count() == 1, state == Ok, "{}", found.text);
    }
}

#[test]
fn targets_that_could_not_be_looked_up_are_unknown() {
    use LookupReason::{NoData, NxDomain, ServFail, Timeout, Unreachable};
    let (ca, endpoint) = (TestCa::new(), EndpointFixture::of(HOST));
    let good = || endpoint.presents(&ca, "192.0.2.10", &ca.chain(&leaf(&[HOST])));
    for (failures, has_backend, state) in [
        (&[("A", Unreachable), ("AAAA", Unreachable)][..], false, HealthState::Unknown),
        (&[("A", Timeout), ("AAAA", Unreachable)], false, HealthState::Unknown),
        (&[("A", Timeout), ("AAAA", ServFail)], false, HealthState::Critical),
        (&[("A", NxDomain), ("AAAA", NxDomain)], false, HealthState::Critical),
        (&[("A", NoData), ("AAAA", Timeout)], false, HealthState::Critical),
        (&[("AAAA", Timeout)], true, HealthState::Warning),
    ] {
        let backends = if has_backend { vec![good()] } else { Vec::new() };
        let report = TargetReport { lookup: lookup(failures, has_backend), ..endpoint.report(backends) };
        let found = output(vec![report], &[]);
        assert_eq!(found.state, state, "{failures:?}: {}", found.text);
        let status = found.text.lines().next().expect("a line");
        assert!(status.contains(failures[0].1.as_str()), "{status}");
    }
    // This host could not ask.
    let none = || TargetReport { lookup: None, ..endpoint.report(Vec::new()) };
    let found = output(vec![none()], &[(LocalReason::NameServers, 3), (LocalReason::Buffers, 0)]);
    assert_eq!(found.state, HealthState::Unknown);
    let status = found.text.lines().next().expect("a line");
    assert!(status.contains("no backends of relay: name_servers on the checking host"), "{status}");
    // The worst target decides, and OK ones are not listed.
    let other = |report: TargetReport, name: &str| {
        let target = ConfiguredTarget { name: TargetName::new(name).expect("a name"), ..(*report.target).clone() };
        TargetReport { target: Arc::new(target), ..report }
    };
    let found = output(vec![endpoint.report(vec![good()]), other(none(), "gone")], &[]);
    assert_eq!(found.state, HealthState::Unknown);
    assert!(found.text.contains("1 backend of 2 targets: gone |") && !found.text.contains("relay"), "{}", found.text);
    assert_eq!(output(Vec::new(), &[]).state, HealthState::Unknown);
}

#[test]
fn performance_data_has_thresholds_and_a_series_for_each_backend() {
    let (ca, endpoint) = (TestCa::new(), EndpointFixture::of(HOST));
    let good = |address: &str| endpoint.presents(&ca, address, &ca.chain(&leaf(&[HOST])));
    // 6.5 days, of which 3.5 days less a minute are left.
    let until = between(leaf(&[HOST]), "20260528235900Z", "20260604115900Z");
    let short = endpoint.presents(&ca, "2001:db8::1", &ca.chain(&until));
    let report = endpoint.report(vec![good("192.0.2.10"), short, endpoint.unprobed("192.0.2.12")]);
    // The same backends in another target are the same series.
    let found = output(vec![report.clone(), report], &[]);
    let data = found.text.lines().next().and_then(|line| line.split_once(" | ")).expect("performance data").1;
    assert_eq!(
        data,
        "'days_until_expiry'=3.49;1.62:;0.65: 'backends'=6;;;0 'failing_backends'=0;;;0;6 'time'=1.234s;;;0;20 \
         '192.0.2.10:587 smtp.example.com'=92;21:;7: '[2001:db8:0:1]:587 smtp.example.com'=3.49;1.62:;0.65:"
    );
}

#[test]
fn numbers_have_two_decimals_at_most() {
    for (number, expected) in [
        (0.0, "0"),
        (-0.001, "0"),
        (20.0, "20"),
        (1.5, "1.5"),
        (-3.456, "-3.46"),
        (100.0, "100"),
        (1e10, "10000000000"),
    ] {
        assert_eq!(decimal(number), expected);
    }
}

/// Text of servers and names of targets, wherever they are quoted.
#[test]
fn hostile_text_stays_in_its_line() {
    let (ca, endpoint) = (TestCa::new(), EndpointFixture::of(HOST));
    for text in [
        "a|b",
        "x | 'days_until_expiry'=9999;;;",
        "||||",
        "SMTP TLS OK - all is well\nSMTP TLS OK\r\n",
        "\u{1b}]0;owned\u{7}\u{1b}[31m",
        "\u{202e}evil\u{2066}\u{200b}\u{2028}\u{85}\u{9b}31m",
        "'='=\"$USER1$`id`;<script>",
        "\0\t\u{b}\u{c}",
        &"|\u{1f600}".repeat(3000),
        &"ü".repeat(10_000),
    ] {
        let presents =
            endpoint.presents(&ca, "192.0.2.10", &ca.chain(&leaf(&[text, &format!("{HOST}|"), &format!("{HOST}\n")])));
        let reply = format!("554 5.7.1 {text}");
        let refuses = endpoint.refuses("192.0.2.11", Stage::Greeting, &reply, RejectionCause::ALL[0]);
        let fails = endpoint.fails("192.0.2.12", Stage::Handshake, ProbeReason::Reset, text);
        let mut report = endpoint.report(vec![presents, refuses, fails]);
        if let Some(name) = TargetName::new(text) {
            report.target = Arc::new(ConfiguredTarget { name, ..(*report.target).clone() });
        }
        let found = output(vec![report], &[]);
        assert_eq!(found.state, HealthState::Critical);
        for line in found.text.lines().skip(1) {
            assert!(line.starts_with("CRITICAL ") || line.starts_with("- ") || line.starts_with("... "), "{line}");
        }
        let status = PluginOutput { state: HealthState::Unknown, text: plugin_status(HealthState::Unknown, text) };
        assert!(status.text.len() <= 4000 && !status.text.contains('|'), "{}", status.text);
        assert!(status.text.chars().all(|c| c == '\n' || is_printable(c)), "{:?}", status.text);
        assert!(status.text.starts_with("SMTP TLS UNKNOWN - "), "{}", status.text);
    }
}

#[test]
fn many_backends_and_targets_fit() {
    let (ca, endpoint) = (TestCa::new(), EndpointFixture::of(HOST));
    let wrong = ca.chain(&leaf(&["mail.example.com"]));
    for (targets, backends) in [(1, 20), (1, 60), (60, 1), (60, 10)] {
        let report = |number: usize| {
            let address = |each: usize| format!("192.0.{number}.{}", each + 1);
            let backends = (0..backends).map(|each| endpoint.presents(&ca, &address(each), &wrong)).collect();
            let report = endpoint.report(backends);
            let name = TargetName::new(&format!("{}{number}", "long-name-".repeat(20))).expect("a name");
            TargetReport { target: Arc::new(ConfiguredTarget { name, ..(*report.target).clone() }), ..report }
        };
        let found = output((0..targets).map(report).collect(), &[]);
        assert_eq!(found.state, HealthState::Critical);
        let all = targets * backends;
        assert!(
            found.text.contains(&format!("'backends'={all};;;0 'failing_backends'={all};;;0;{all} ")),
            "{}",
            found.text
        );
        // A series is complete or absent.
        let series = found.text.matches(":587 smtp.example.com'=").count();
        assert_eq!(series, if all > 20 { 0 } else { all }, "{}", found.text);
        assert_eq!(found.text.contains(" omitted\n"), targets > 1, "{}", found.text);
    }
}

#[test]
fn a_status_has_the_first_line_of_the_message() {
    for (message, expected) in [
        ("no such file", "SMTP TLS UNKNOWN - no such file\n"),
        ("first\n\n  Usage: x | y\r\n", "SMTP TLS UNKNOWN - first\n  Usage: x / y\n"),
        ("\n\nlate", "SMTP TLS UNKNOWN - late\n"),
        ("", "SMTP TLS UNKNOWN - no message\n"),
    ] {
        assert_eq!(plugin_status(HealthState::Unknown, message), expected, "{message:?}");
    }
}
