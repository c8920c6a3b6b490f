//! Writes metric families: name and type as each format requires them, labels and values.

use std::fmt::{self, Write};
use std::time::Duration;

use prometheus_client::encoding::{
    CounterValueEncoder, DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, GaugeValueEncoder,
    LabelSetEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;

use super::Format;
use super::table::{Metric, MetricKind};

/// Writes families one by one, and omits those without samples.
pub(super) struct Families<'e> {
    encoder: DescriptorEncoder<'e>,
    format: Format,
}

impl<'e> Families<'e> {
    pub(super) fn new(encoder: DescriptorEncoder<'e>, format: Format) -> Self {
        Self { encoder, format }
    }

    /// Writes a gauge or counter that has only the labels of its scope: `value` of each item that has one.
    pub(super) fn plain<'l, T, V: Into<SampleValue>>(
        &mut self,
        metric: &'static Metric,
        items: impl IntoIterator<Item = (ScopeLabels<'l>, T)>,
        value: impl Fn(T) -> Option<V>,
    ) -> fmt::Result {
        self.labeled(metric, items.into_iter().filter_map(|(scope, item)| Some((scope, NO_LABELS, value(item)?))))
    }

    /// Writes a gauge or counter without labels; nothing if there is no value.
    pub(super) fn one(&mut self, metric: &'static Metric, value: Option<impl Into<SampleValue>>) -> fmt::Result {
        self.labeled(metric, value.map(|value| (ScopeLabels::default(), NO_LABELS, value)))
    }

    /// Writes an info metric.
    pub(super) fn info<'l, S: AsRef<str>, const N: usize>(
        &mut self,
        metric: &'static Metric,
        samples: impl IntoIterator<Item = (ScopeLabels<'l>, [S; N])>,
    ) -> fmt::Result {
        self.labeled(metric, samples.into_iter().map(|(scope, own)| (scope, own, true)))
    }

    pub(super) fn labeled<'l, S: AsRef<str>, V: Into<SampleValue>, const N: usize>(
        &mut self,
        metric: &'static Metric,
        samples: impl IntoIterator<Item = (ScopeLabels<'l>, [S; N], V)>,
    ) -> fmt::Result {
        let mut samples = samples.into_iter();
        let Some(first) = samples.next() else { return Ok(()) };
        debug_assert_eq!(metric.labels.len(), N, "{}", metric.name);
        let format = self.format;
        let mut family = self.begin(metric)?;
        let mut rendered = String::new();
        let mut put = |(scope, own, value): (ScopeLabels<'l>, [S; N], V)| {
            let labels = if N == 0 {
                scope.all
            } else {
                scope.render_with(metric.labels, &own, &mut rendered);
                &rendered
            };
            let value: SampleValue = value.into();
            match (metric.kind, format) {
                (MetricKind::Info, Format::OpenMetrics) => family.encode_info(&Rendered(labels)),
                (MetricKind::Counter, Format::OpenMetrics) if labels.is_empty() => {
                    family.encode_counter(&value, NO_EXEMPLAR)
                }
                (MetricKind::Counter, Format::OpenMetrics) => {
                    family.encode_family(&Rendered(labels))?.encode_counter(&value, NO_EXEMPLAR)
                }
                _ if labels.is_empty() => family.encode_gauge(&value),
                _ => family.encode_family(&Rendered(labels))?.encode_gauge(&value),
            }
        };
        put(first)?;
        samples.try_for_each(put)
    }

    /// Writes HELP and TYPE. In text format 0.0.4 the family has the name of its samples, suffix included, and there is no
    /// info type. The library appends suffixes in `encode_counter` and `encode_info` only, so text samples are written
    /// with `encode_gauge`.
    fn begin(&mut self, metric: &'static Metric) -> Result<MetricEncoder<'_>, fmt::Error> {
        let (name, kind) = match (self.format, metric.kind) {
            (_, MetricKind::Gauge) => (metric.name, MetricType::Gauge),
            (Format::OpenMetrics, MetricKind::Counter) => (metric.family(), MetricType::Counter),
            (Format::OpenMetrics, MetricKind::Info) => (metric.family(), MetricType::Info),
            (Format::Text, MetricKind::Counter) => (metric.name, MetricType::Counter),
            (Format::Text, MetricKind::Info) => (metric.name, MetricType::Gauge),
        };
        // No unit: the names include it already, and the library would append it again.
        self.encoder.encode_descriptor(name, metric.help, None, kind)
    }
}

const NO_LABELS: [&str; 0] = [];
const NO_EXEMPLAR: Option<&prometheus_client::metrics::exemplar::Exemplar<NoLabelSet, f64>> = None;

/// The labels of a scope as in the exposition: escaped, separated by commas. The exporter's own come first.
#[derive(Clone, Copy, Default)]
pub(super) struct ScopeLabels<'a> {
    all: &'a str,
    /// Length of the exporter's own.
    fixed: usize,
}

impl<'a> ScopeLabels<'a> {
    pub(super) fn new(all: &'a str, fixed: usize) -> Self {
        Self { all, fixed }
    }

    /// Writes them to `out`, with the labels of a metric between the exporter's and the configured ones.
    fn render_with(self, keys: &[&str], values: &[impl AsRef<str>], out: &mut String) {
        let (fixed, user) = self.all.split_at_checked(self.fixed).unwrap_or_default();
        out.clear();
        out.push_str(fixed);
        for (key, value) in keys.iter().zip(values) {
            render(out, key, value.as_ref());
        }
        out.push_str(user);
    }
}

/// Rendered labels. They are written through the encoder of a label key, which writes its text as it is, so that a label
/// set that about forty families share is escaped once per scrape.
struct Rendered<'a>(&'a str);

impl EncodeLabelSet for Rendered<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        encoder.encode_label().encode_label_key()?.write_str(self.0)
    }
}

/// Appends `key="value"` to rendered labels, after a comma if `out` is not empty.
pub(super) fn render(out: &mut String, key: &str, value: &str) {
    if !out.is_empty() {
        out.push(',');
    }
    out.push_str(key);
    out.push_str("=\"");
    if value.bytes().any(|byte| matches!(byte, b'\\' | b'"' | b'\n')) {
        out.push_str(&value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n"));
    } else {
        out.push_str(value);
    }
    out.push('"');
}

#[derive(Clone, Copy, Debug)]
pub(super) enum SampleValue {
    /// A count, a Boolean or a timestamp.
    Integer(i64),
    /// A duration in seconds, or a number of days.
    Float(f64),
}

impl EncodeGaugeValue for SampleValue {
    fn encode(&self, encoder: &mut GaugeValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => EncodeGaugeValue::encode(value, encoder),
            Self::Float(value) => EncodeGaugeValue::encode(value, encoder),
        }
    }
}

impl EncodeCounterValue for SampleValue {
    fn encode(&self, encoder: &mut CounterValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => EncodeCounterValue::encode(&value.unsigned_abs(), encoder),
            Self::Float(value) => EncodeCounterValue::encode(value, encoder),
        }
    }
}

macro_rules! sample_values {
    ($($from:ty: |$value:ident| $into:expr;)+) => {
        $(impl From<$from> for SampleValue {
            fn from($value: $from) -> Self {
                $into
            }
        })+
    };
}

sample_values! {
    bool: |value| Self::Integer(value.into());
    i64: |value| Self::Integer(value);
    u32: |value| Self::Integer(value.into());
    u64: |value| Self::Integer(i64::try_from(value).unwrap_or(i64::MAX));
    usize: |value| Self::Integer(i64::try_from(value).unwrap_or(i64::MAX));
    f64: |value| Self::Float(value);
    Duration: |value| Self::Float(value.as_secs_f64());
}
