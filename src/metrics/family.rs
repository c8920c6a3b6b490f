//! Writes families: what the library needs to be told for each type and format, labels and values.

use std::fmt::{self, Write};

use prometheus_client::encoding::{
    CounterValueEncoder, DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabel, EncodeLabelSet,
    EncodeLabelValue, GaugeValueEncoder, LabelSetEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;

use super::Format;
use super::table::{Kind, Metric};

/// Writes one family after the other. A family without samples is left out.
pub(super) struct Families<'e> {
    encoder: DescriptorEncoder<'e>,
    format: Format,
}

impl<'e> Families<'e> {
    pub(super) fn new(encoder: DescriptorEncoder<'e>, format: Format) -> Self {
        Self { encoder, format }
    }

    /// A gauge or counter with no label beyond its scope's.
    pub(super) fn plain<'l, V: Into<Value>>(
        &mut self,
        metric: &'static Metric,
        samples: impl IntoIterator<Item = (Scoped<'l>, V)>,
    ) -> fmt::Result {
        self.labelled(metric, samples.into_iter().map(|(scope, value)| (scope, NO_LABELS, value)))
    }

    /// A gauge or counter.
    pub(super) fn labelled<'l, S: EncodeLabelValue, V: Into<Value>, const N: usize>(
        &mut self,
        metric: &'static Metric,
        samples: impl IntoIterator<Item = (Scoped<'l>, [S; N], V)>,
    ) -> fmt::Result {
        let mut samples = samples.into_iter();
        let Some(first) = samples.next() else { return Ok(()) };
        let as_counter = metric.kind == Kind::Counter && self.format == Format::OpenMetrics;
        let mut family = self.begin(metric)?;
        let mut put = |(scope, own, value): (Scoped<'l>, [S; N], V)| {
            let labels = Labels::new(metric, scope, own);
            let value: Value = value.into();
            match (labels.is_empty(), as_counter) {
                (true, true) => family.encode_counter(&value, NO_EXEMPLAR),
                (true, false) => family.encode_gauge(&value),
                (false, true) => family.encode_family(&labels)?.encode_counter(&value, NO_EXEMPLAR),
                (false, false) => family.encode_family(&labels)?.encode_gauge(&value),
            }
        };
        put(first)?;
        samples.try_for_each(put)
    }

    /// An info metric.
    pub(super) fn info<'l, S: EncodeLabelValue, const N: usize>(
        &mut self,
        metric: &'static Metric,
        samples: impl IntoIterator<Item = (Scoped<'l>, [S; N])>,
    ) -> fmt::Result {
        let mut samples = samples.into_iter();
        let Some(first) = samples.next() else { return Ok(()) };
        let format = self.format;
        let mut family = self.begin(metric)?;
        let mut put = |(scope, own): (Scoped<'l>, [S; N])| {
            let labels = Labels::new(metric, scope, own);
            match format {
                Format::OpenMetrics => family.encode_info(&labels),
                Format::Text => family.encode_family(&labels)?.encode_gauge(&Value::Integer(1)),
            }
        };
        put(first)?;
        samples.try_for_each(put)
    }

    /// Text 0.0.4 names the family as the samples, suffix included, and has no info type. The library appends suffixes
    /// only in `encode_counter` and `encode_info`, so there every sample is written as a gauge's.
    fn begin(&mut self, metric: &'static Metric) -> Result<MetricEncoder<'_>, fmt::Error> {
        let (name, kind) = match (self.format, metric.kind) {
            (_, Kind::Gauge) => (metric.name, MetricType::Gauge),
            (Format::OpenMetrics, Kind::Counter) => (metric.family(), MetricType::Counter),
            (Format::OpenMetrics, Kind::Info) => (metric.family(), MetricType::Info),
            (Format::Text, Kind::Counter) => (metric.name, MetricType::Counter),
            (Format::Text, Kind::Info) => (metric.name, MetricType::Gauge),
        };
        // No unit: the names carry theirs, and the library would append it once more.
        self.encoder.encode_descriptor(name, metric.help, None, kind)
    }
}

const NO_LABELS: [&str; 0] = [];
const NO_EXEMPLAR: Option<&prometheus_client::metrics::exemplar::Exemplar<NoLabelSet, f64>> = None;

/// The labels of a scope, as they stand in the exposition: escaped, separated by commas.
#[derive(Clone, Copy, Default)]
pub(super) struct Scoped<'a> {
    /// All of them.
    pub(super) all: &'a str,
    /// The fixed ones, which come first.
    pub(super) fixed: &'a str,
    /// The user's.
    pub(super) user: &'a str,
}

/// The labels of a sample: the scope's fixed ones, the metric's own, the user's.
struct Labels<'a, S, const N: usize> {
    scope: Scoped<'a>,
    keys: &'static [&'static str],
    values: [S; N],
}

impl<'a, S: EncodeLabelValue, const N: usize> Labels<'a, S, N> {
    fn new(metric: &'static Metric, scope: Scoped<'a>, values: [S; N]) -> Self {
        debug_assert_eq!(metric.labels.len(), N, "{}", metric.name);
        Self { scope, keys: metric.labels, values }
    }

    fn is_empty(&self) -> bool {
        N == 0 && self.scope.all.is_empty()
    }
}

impl<S: EncodeLabelValue, const N: usize> EncodeLabelSet for Labels<'_, S, N> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        if N == 0 {
            return verbatim(encoder, self.scope.all);
        }
        verbatim(encoder, self.scope.fixed)?;
        for (key, value) in self.keys.iter().zip(&self.values) {
            (*key, ByRef(value)).encode(encoder.encode_label())?;
        }
        verbatim(encoder, self.scope.user)
    }
}

/// Rendered labels go through the encoder of one label key, which writes what it is given: a label set that some forty
/// families share is escaped once a scrape, and written at once instead of in pieces.
fn verbatim(encoder: &mut LabelSetEncoder<'_>, rendered: &str) -> fmt::Result {
    if rendered.is_empty() {
        return Ok(());
    }
    encoder.encode_label().encode_label_key()?.write_str(rendered)
}

struct ByRef<'a, S>(&'a S);

impl<S: EncodeLabelValue> EncodeLabelValue for ByRef<'_, S> {
    fn encode(&self, encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)
    }
}

/// Appends `key="value"` to rendered labels, after a comma where `out` does not end where labels begin.
pub(super) fn render(out: &mut String, key: &str, value: &str) {
    if !out.is_empty() {
        out.push(',');
    }
    out.push_str(key);
    out.push_str("=\"");
    for piece in value.split_inclusive(['\\', '"', '\n']) {
        let (plain, escaped) = match piece.as_bytes().last() {
            Some(b'\\') => (piece.strip_suffix('\\'), "\\\\"),
            Some(b'"') => (piece.strip_suffix('"'), "\\\""),
            Some(b'\n') => (piece.strip_suffix('\n'), "\\n"),
            _ => (None, ""),
        };
        out.push_str(plain.unwrap_or(piece));
        out.push_str(escaped);
    }
    out.push('"');
}

/// A sample's value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    /// Counts, truth values and timestamps.
    Integer(i64),
    /// Durations in seconds, and days.
    Float(f64),
}

impl EncodeGaugeValue for Value {
    fn encode(&self, encoder: &mut GaugeValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => EncodeGaugeValue::encode(value, encoder),
            Self::Float(value) => EncodeGaugeValue::encode(value, encoder),
        }
    }
}

impl EncodeCounterValue for Value {
    fn encode(&self, encoder: &mut CounterValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => EncodeCounterValue::encode(&value.unsigned_abs(), encoder),
            Self::Float(value) => EncodeCounterValue::encode(value, encoder),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(value.into())
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<std::time::Duration> for Value {
    fn from(value: std::time::Duration) -> Self {
        Self::Float(value.as_secs_f64())
    }
}
