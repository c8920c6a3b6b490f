//! Writes metric families: name and type as each format requires them, labels and values.

use std::fmt::{self, Write};
use std::time::Duration;

use prometheus_client::encoding::{
    CounterValueEncoder, DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabel, EncodeLabelSet,
    EncodeLabelValue, GaugeValueEncoder, LabelSetEncoder, MetricEncoder, NoLabelSet,
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
    pub(super) fn info<'l, S: EncodeLabelValue, const N: usize>(
        &mut self,
        metric: &'static Metric,
        samples: impl IntoIterator<Item = (ScopeLabels<'l>, [S; N])>,
    ) -> fmt::Result {
        self.labeled(metric, samples.into_iter().map(|(scope, own)| (scope, own, true)))
    }

    pub(super) fn labeled<'l, S: EncodeLabelValue, V: Into<SampleValue>, const N: usize>(
        &mut self,
        metric: &'static Metric,
        samples: impl IntoIterator<Item = (ScopeLabels<'l>, [S; N], V)>,
    ) -> fmt::Result {
        let mut samples = samples.into_iter();
        let Some(first) = samples.next() else { return Ok(()) };
        let format = self.format;
        let mut family = self.begin(metric)?;
        let mut put = |(scope, own, value): (ScopeLabels<'l>, [S; N], V)| {
            let labels = SampleLabels::new(metric, scope, own);
            let value: SampleValue = value.into();
            match (metric.kind, format) {
                (MetricKind::Info, Format::OpenMetrics) => family.encode_info(&labels),
                (MetricKind::Counter, Format::OpenMetrics) if labels.is_empty() => {
                    family.encode_counter(&value, NO_EXEMPLAR)
                }
                (MetricKind::Counter, Format::OpenMetrics) => {
                    family.encode_family(&labels)?.encode_counter(&value, NO_EXEMPLAR)
                }
                _ if labels.is_empty() => family.encode_gauge(&value),
                _ => family.encode_family(&labels)?.encode_gauge(&value),
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

/// The labels of a scope as in the exposition: escaped, separated by commas.
#[derive(Clone, Copy, Default)]
pub(super) struct ScopeLabels<'a> {
    pub(super) all: &'a str,
    /// The exporter's own, which come first.
    pub(super) fixed: &'a str,
    /// The configured ones.
    pub(super) user: &'a str,
}

/// The labels of a sample, in order: the scope's fixed labels, the metric's own, the configured ones.
struct SampleLabels<'a, S, const N: usize> {
    scope: ScopeLabels<'a>,
    keys: &'static [&'static str],
    values: [S; N],
}

impl<'a, S: EncodeLabelValue, const N: usize> SampleLabels<'a, S, N> {
    fn new(metric: &'static Metric, scope: ScopeLabels<'a>, values: [S; N]) -> Self {
        debug_assert_eq!(metric.labels.len(), N, "{}", metric.name);
        Self { scope, keys: metric.labels, values }
    }

    fn is_empty(&self) -> bool {
        N == 0 && self.scope.all.is_empty()
    }
}

impl<S: EncodeLabelValue, const N: usize> EncodeLabelSet for SampleLabels<'_, S, N> {
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

/// Writes rendered labels through the encoder of a label key, which writes its text as it is. So a label set that about
/// forty families share is escaped once per scrape.
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

/// Appends `key="value"` to rendered labels, after a comma if `out` is not empty.
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
