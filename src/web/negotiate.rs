//! Content negotiation (RFC 9110 §12.5): the format of an exposition and the content coding of a scrape.

use axum::http::{HeaderMap, HeaderName, header};

use crate::metrics::Format;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
}

/// The format for these headers. Clients that accept neither format get text 0.0.4, as from other exporters.
pub(super) fn format(headers: &HeaderMap) -> Format {
    let open_metrics = claim(headers, "application", "openmetrics-text", &["1.0.0", "0.0.1"]);
    let text = claim(headers, "text", "plain", &["0.0.4"]);
    // If both are equally acceptable, only a client that names OpenMetrics gets it.
    let named = open_metrics.range >= Range::Type && open_metrics.range >= text.range;
    let preferred = open_metrics.quality > text.quality || (open_metrics.quality == text.quality && named);
    if open_metrics.quality > 0 && preferred { Format::OpenMetrics } else { Format::Text }
}

pub(super) fn coding(headers: &HeaderMap) -> Coding {
    let quality = |coding: &str| {
        let named = entries(headers, &header::ACCEPT_ENCODING).filter(|entry| entry.name.eq_ignore_ascii_case(coding));
        named.map(|entry| entry.quality).max()
    };
    let any = quality("*");
    let gzip = quality("gzip").max(quality("x-gzip")).or(any).unwrap_or(0);
    // An identity coding that is not mentioned is acceptable, but least preferred.
    if gzip > 0 && gzip >= quality("identity").unwrap_or(0) { Coding::Gzip } else { Coding::Identity }
}

/// How acceptable a media type is: the quality of the most specific matching range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    range: Range,
    quality: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Range {
    Nothing,
    Anything,
    Family,
    Type,
    Version,
}

fn claim(headers: &HeaderMap, family: &str, subtype: &str, versions: &[&str]) -> Claim {
    let claims = entries(headers, &header::ACCEPT).filter_map(|entry| {
        let (entry_family, entry_subtype) = entry.name.split_once('/')?;
        let same_family = entry_family.eq_ignore_ascii_case(family);
        let range = match (entry_subtype, entry.version) {
            ("*", None) if entry_family == "*" => Range::Anything,
            ("*", None) if same_family => Range::Family,
            (name, None) if same_family && name.eq_ignore_ascii_case(subtype) => Range::Type,
            (name, Some(version))
                if same_family && name.eq_ignore_ascii_case(subtype) && versions.contains(&version) =>
            {
                Range::Version
            }
            _ => return None,
        };
        Some(Claim { range, quality: entry.quality })
    });
    claims.max().unwrap_or(Claim { range: Range::Nothing, quality: 0 })
}

/// One entry of a header of qualified values.
struct Entry<'a> {
    name: &'a str,
    version: Option<&'a str>,
    /// In thousandths.
    quality: u16,
}

/// The entries of all headers of this name; malformed ones are ignored.
fn entries<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = Entry<'a>> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let mut entry = Entry { name: parts.next()?, version: None, quality: 1000 };
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match key.trim_end() {
                "q" | "Q" => entry.quality = quality(value)?,
                key if key.eq_ignore_ascii_case("version") => entry.version = Some(value),
                _ => {}
            }
        }
        Some(entry)
    })
}

fn quality(text: &str) -> Option<u16> {
    let quality: f32 = text.parse().ok()?;
    (0.0..=1.0).contains(&quality).then(|| (quality * 1000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn formats() {
        use Format::{OpenMetrics, Text};
        let check = |accept: &[&'static str], expected: Format| {
            assert_eq!(format(&headers(header::ACCEPT, accept)), expected, "{accept:?}");
        };
        check(&[], Text);
        check(&[""], Text);
        check(&["*/*"], Text);
        check(&["text/html, */*;q=0.8"], Text);
        check(&["text/plain"], Text);
        check(&["text/*"], Text);
        check(&["image/png"], Text);
        check(&["application/openmetrics-text"], OpenMetrics);
        check(&["Application/OpenMetrics-Text; Version=1.0.0"], OpenMetrics);
        check(&["application/openmetrics-text; version=\"1.0.0\"; charset=utf-8"], OpenMetrics);
        check(&["application/openmetrics-text;version=0.0.1"], OpenMetrics);
        check(&["application/openmetrics-text;version=2.0.0"], Text);
        check(&["application/openmetrics-text;version=2.0.0", "application/openmetrics-text;q=0.1"], OpenMetrics);
        check(&["application/openmetrics-text;q=0"], Text);
        check(&["application/openmetrics-text;q=0, application/*"], Text);
        check(&["application/*"], OpenMetrics);
        check(&["application/*, text/*"], Text);
        check(&["application/openmetrics-text, text/plain"], OpenMetrics);
        check(&["text/plain, application/openmetrics-text"], OpenMetrics);
        check(&["application/openmetrics-text, text/plain;version=0.0.4"], Text);
        check(&["application/openmetrics-text;q=0.5, text/plain"], Text);
        check(&["application/openmetrics-text;q=0.5, text/plain;q=0.4"], OpenMetrics);
        check(&["application/openmetrics-text;q=0.4", "text/plain;q=0.5"], Text);
        check(&["application/openmetrics-text;q=0.501, text/plain;q=0.5"], OpenMetrics);
        check(&["application/openmetrics-text;q=x, text/plain;q=0.1"], Text);
        check(&["application/openmetrics-text;q=7"], Text);
        check(&["application/openmetrics-text;q=NaN"], Text);
        // Prometheus 2 and 3.
        check(
            &["application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1"],
            OpenMetrics,
        );
        check(
            &["application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2"],
            OpenMetrics,
        );
        check(&["text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"], Text);
        // Versions before OpenMetrics.
        check(
            &["application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.1"],
            Text,
        );
    }

    #[test]
    fn codings() {
        use Coding::{Gzip, Identity};
        let check = |accept: &[&'static str], expected: Coding| {
            assert_eq!(coding(&headers(header::ACCEPT_ENCODING, accept)), expected, "{accept:?}");
        };
        check(&[], Identity);
        check(&[""], Identity);
        check(&["gzip"], Gzip);
        check(&["GZIP"], Gzip);
        check(&["x-gzip"], Gzip);
        check(&["deflate, gzip;q=1.0, *;q=0.5"], Gzip);
        check(&["deflate", "gzip"], Gzip);
        check(&["br"], Identity);
        check(&["*"], Gzip);
        check(&["*;q=0"], Identity);
        check(&["gzip;q=0"], Identity);
        check(&["gzip;q=0, *"], Identity);
        check(&["gzip; q=0.000"], Identity);
        check(&["gzip;q=0.5, identity"], Identity);
        check(&["gzip, identity"], Gzip);
        check(&["gzip, identity;q=0"], Gzip);
        check(&["gzip;q=junk"], Identity);
    }
}
