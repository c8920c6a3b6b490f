//! The parameters of the rules: selectors of scrape jobs, label names, thresholds and the URL of the runbooks.
//!
//! The defaults are a file in the repository, which the dashboards and the Helm chart read as well.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use thiserror::Error as ThisError;

use super::selector::Selector;
use super::{AlertLabel, AlertLabelError, JOB};
use crate::config::{ConfigError, Inconsistency, UniqueVec, load_over, parse_over};

/// The parameters of the rules.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Parameters {
    pub(super) selectors: Selectors,
    /// Labels of series and alerts.
    pub labels: Labels,
    pub(super) runbook_url: RunbookUrl,
    pub(super) thresholds: Thresholds,
}

/// Which scrape jobs the rules apply to.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping of keys")]
pub(super) struct Selectors {
    pub(super) exporter: Selector,
    pub(super) probe: Selector,
}

/// Labels of series and alerts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Labels {
    pub(super) cluster: AlertLabel,
    pub(super) namespace: AlertLabel,
    /// Labels of targets that alerts keep.
    #[serde(deserialize_with = "distinct")]
    pub kept: BTreeSet<AlertLabel>,
}

impl Labels {
    /// The labels that tell apart equally named jobs, which all rules keep.
    pub(super) fn of_jobs(&self) -> [&str; 3] {
        [JOB, self.cluster.as_str(), self.namespace.as_str()]
    }
}

/// When alerts fire.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping of keys")]
pub(super) struct Thresholds {
    pub(super) certificate_expiring_days: Days,
    pub(super) certificate_expiring_lifetime_ratio: Ratio,
    pub(super) certificate_about_to_expire_days: Days,
    pub(super) certificate_about_to_expire_lifetime_ratio: Ratio,
    pub(super) client_certificate_expiring_days: Days,
    pub(super) not_reloaded_hours: Hours,
    pub(super) certificates_differ_hours: Hours,
    pub(super) backend_flapping_changes: Changes,
}

pub(super) type Days = Whole<1, 3650>;
/// At least 2, because the rollout of a renewed certificate may take an hour.
pub(super) type Hours = Whole<2, 168>;
/// A backend whose state changes more often within 2 hours is probed more than once a minute.
pub(super) type Changes = Whole<2, 100>;

impl Parameters {
    /// The parameters of the shipped rules.
    ///
    /// # Errors
    /// None, unless the file in the binary is invalid.
    pub fn shipped() -> Result<Self, ConfigError> {
        parse_over("", Path::new("parameters.yaml"), DEFAULTS, Self::check)
    }

    /// Reads the file at `path`. What it does not have is as in the shipped rules.
    ///
    /// # Errors
    /// If the file cannot be read or is invalid.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        load_over(path, DEFAULTS, Self::check)
    }

    fn check(&self) -> Result<(), Inconsistency> {
        let Self { selectors, labels, thresholds, .. } = self;
        let fail = |places: [Keys; 2], message: String| Err(Inconsistency { places, message });
        if selectors.probe == selectors.exporter {
            return fail(
                [&["selectors", "probe"], &["selectors", "exporter"]],
                "both selectors are equal: expected different jobs".to_owned(),
            );
        }
        let [cluster, namespace, kept]: [Keys; 3] =
            [&["labels", "cluster"], &["labels", "namespace"], &["labels", "kept"]];
        if labels.namespace == labels.cluster {
            let message = format!("the names of both labels are `{}`", labels.cluster.as_str());
            return fail([namespace, cluster], message);
        }
        for (label, place) in [(&labels.cluster, cluster), (&labels.namespace, namespace)] {
            if label.as_str() == JOB {
                return fail([place, place], format!("`{JOB}` is the label of the job itself"));
            }
            if labels.kept.contains(label) {
                return fail([kept, place], format!("`{}` is kept by all rules", label.as_str()));
            }
        }
        if labels.kept.iter().any(|label| label.as_str() == JOB) {
            return fail([kept, kept], format!("`{JOB}` is kept by all rules"));
        }
        let (days, most_days) = (thresholds.certificate_about_to_expire_days, thresholds.certificate_expiring_days);
        if days.0 >= most_days.0 {
            return fail(DAYS, above(DAYS, days, most_days));
        }
        let (ratio, most_ratio) =
            (thresholds.certificate_about_to_expire_lifetime_ratio, thresholds.certificate_expiring_lifetime_ratio);
        if ratio.0 >= most_ratio.0 {
            return fail(RATIOS, above(RATIOS, ratio, most_ratio));
        }
        Ok(())
    }
}

fn above([key, most_key]: [Keys; 2], value: impl fmt::Display, most: impl fmt::Display) -> String {
    format!("inconsistent values: expected {} ({value}) to be less than {} ({most})", key.join("."), most_key.join("."))
}

/// The keys that lead to a value.
type Keys = &'static [&'static str];

const DAYS: [Keys; 2] =
    [&["thresholds", "certificate_about_to_expire_days"], &["thresholds", "certificate_expiring_days"]];
const RATIOS: [Keys; 2] = [
    &["thresholds", "certificate_about_to_expire_lifetime_ratio"],
    &["thresholds", "certificate_expiring_lifetime_ratio"],
];

/// The URL that has the runbooks, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct RunbookUrl(String);

impl TryFrom<String> for RunbookUrl {
    type Error = InvalidUrl;

    /// Accepts the characters of a URI (RFC 3986 §2) except quotes, which need no quotes in YAML and no escape in a template.
    fn try_from(text: String) -> Result<Self, InvalidUrl> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&()*+,;=%".contains(c);
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(InvalidUrl)?;
        let has_host = rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
        if !has_host || text.len() > MAX_TEXT || !text.chars().all(is_allowed) {
            return Err(InvalidUrl);
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

/// A text is not the URL of runbooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ThisError)]
#[error("expected an http or https URL without blanks and quotes, at most {MAX_TEXT} bytes")]
pub(super) struct InvalidUrl;

impl TryFrom<String> for AlertLabel {
    type Error = AlertLabelError;

    fn try_from(name: String) -> Result<Self, AlertLabelError> {
        Self::parse(&name)
    }
}

/// A list of labels, none of which occurs twice.
fn distinct<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<AlertLabel>, D::Error> {
    UniqueVec::<AlertLabel>::deserialize(deserializer).map(|labels| labels.0.into_iter().collect())
}

/// A number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole<const MIN: u16, const MAX: u16>(u16);

impl<'de, const MIN: u16, const MAX: u16> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor::<MIN, MAX>)
    }
}

struct WholeVisitor<const MIN: u16, const MAX: u16>;

impl<const MIN: u16, const MAX: u16> Visitor<'_> for WholeVisitor<MIN, MAX> {
    type Value = Whole<MIN, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {MIN} to {MAX}")
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<Self::Value, E> {
        let number = u16::try_from(number).ok().filter(|number| (MIN..=MAX).contains(number));
        number.map(Whole).ok_or_else(|| E::invalid_value(Unexpected::Other("number"), &self))
    }
}

/// A number between 0 and 1, which are excluded.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Ratio(f64);

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RatioVisitor)
    }
}

struct RatioVisitor;

impl Visitor<'_> for RatioVisitor {
    type Value = Ratio;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number greater than 0 and less than 1")
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Ratio, E> {
        // A shorter share of a lifetime of years is less than a second, and its decimal form has many digits.
        let is_allowed = (MIN_RATIO..1.0).contains(&number);
        is_allowed.then_some(Ratio(number)).ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Ratio, E> {
        Err(E::invalid_value(Unexpected::Other("number"), &self))
    }
}

impl fmt::Display for RunbookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MIN: u16, const MAX: u16> fmt::Display for Whole<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

const DEFAULTS: &str = include_str!("../../deploy/prometheus/parameters.yaml");
/// Bytes of a selector or a URL.
pub(super) const MAX_TEXT: usize = 2048;
const MIN_RATIO: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_needs_no_quotes_and_no_escapes() {
        for (text, expected) in [
            ("https://wiki.example.net", Some("https://wiki.example.net")),
            ("http://a.test:8080/b/", Some("http://a.test:8080/b")),
            ("https://a.test/b?c=d&e#/f", Some("https://a.test/b?c=d&e#/f")),
            ("https://[2001:db8::1]/b%20c", Some("https://[2001:db8::1]/b%20c")),
            ("", None),
            ("https://", None),
            ("https:///b", None),
            ("//a.test", None),
            ("file:///a", None),
            ("javascript:alert(1)", None),
            ("https://a.test/b c", None),
            ("https://a.test/b\n", None),
            ("https://a.test/'b", None),
            ("https://a.test/\"b", None),
            ("https://a.test/{{ .Labels.a }}", None),
            ("https://a.test/`b`", None),
            ("https://a.test/é", None),
        ] {
            let url = RunbookUrl::try_from(text.to_owned()).ok();
            assert_eq!(url.as_ref().map(ToString::to_string).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_shipped_parameters_are_those_that_the_code_names() {
        let shipped = Parameters::shipped().expect("valid");
        assert_eq!(shipped.labels.of_jobs(), super::super::SCRAPE_LABELS);
        assert_eq!(
            shipped.labels.kept.iter().map(AlertLabel::as_str).collect::<Vec<_>>(),
            [super::super::SHIPPED_LABEL]
        );
    }
}
