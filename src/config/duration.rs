//! Durations in the format of Prometheus: `90s`, `1h30m`, `500ms`, `1d`.

use std::time::Duration;

/// The units in descending order, with their milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3600 * 1000),
    ("w", 7 * 24 * 3600 * 1000),
    ("d", 24 * 3600 * 1000),
    ("h", 3600 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// Parses a duration: whole numbers with units, in descending order and each unit at most once; or `0`.
pub fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut units = UNITS.iter();
    let mut rest = text;
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let (_, scale) = units.find(|(name, _)| *name == unit)?;
        sum = number.parse::<u64>().ok()?.checked_mul(*scale)?.checked_add(sum)?;
        rest = after;
    }
    (!text.is_empty()).then(|| Duration::from_millis(sum))
}

/// Formats a duration so that [`parse`] accepts it, in whole milliseconds.
pub fn format(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0".to_owned();
    }
    let mut text = String::new();
    for (unit, scale) in UNITS {
        // 15d is easier to read than 2w1d.
        if matches!(unit, "y" | "w") && !rest.is_multiple_of(scale) {
            continue;
        }
        if rest >= scale {
            text.push_str(&format!("{}{unit}", rest / scale));
            rest %= scale;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, millis: Option<u64>, written: &str) {
        let found = parse(text);
        assert_eq!(found, millis.map(Duration::from_millis), "{text:?}");
        if let Some(duration) = found {
            assert_eq!(format(duration), written, "{text:?}");
            assert_eq!(parse(written), found, "{written:?}");
        }
    }

    #[test]
    fn durations() {
        check("0", Some(0), "0");
        check("0s", Some(0), "0");
        check("500ms", Some(500), "500ms");
        check("1s", Some(1_000), "1s");
        check("60s", Some(60_000), "1m");
        check("1m", Some(60_000), "1m");
        check("90m", Some(5_400_000), "1h30m");
        check("1h30m", Some(5_400_000), "1h30m");
        check("1h0m5s", Some(3_605_000), "1h5s");
        check("1d", Some(86_400_000), "1d");
        check("15d", Some(1_296_000_000), "15d");
        check("2w", Some(1_209_600_000), "2w");
        check("1y", Some(31_536_000_000), "1y");
        check("1y2w3d4h5m6s7ms", Some(33_019_506_007), "382d4h5m6s7ms");
        check("", None, "");
        check("5", None, "");
        check("00", None, "");
        check("s", None, "");
        check("1.5h", None, "");
        check("-1s", None, "");
        check("+1s", None, "");
        check("1 s", None, "");
        check(" 1s", None, "");
        check("1s ", None, "");
        check("1S", None, "");
        check("1sec", None, "");
        check("10 parsecs", None, "");
        check("1m1h", None, "");
        check("1m1m", None, "");
        check("1ms1s", None, "");
        check("1h30", None, "");
        check("１s", None, "");
        check("99999999999999999999s", None, "");
        check("18446744073709551615s", None, "");
    }
}
