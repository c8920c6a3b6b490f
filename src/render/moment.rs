//! Moments for people and programs.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// In UTC, as RFC 3339 writes it; none beyond its years 0 to 9999.
pub(super) fn rfc3339(unix: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(unix).ok()?.format(&Rfc3339).ok()
}

/// Days from `from` until `to`, negative where that is past.
pub(super) fn days(from: i64, to: i64) -> f64 {
    to.saturating_sub(from) as f64 / SECONDS_A_DAY
}

const SECONDS_A_DAY: f64 = 86_400.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (unix, expected) in [
            (0, Some("1970-01-01T00:00:00Z")),
            (1_800_000_000, Some("2027-01-15T08:00:00Z")),
            (-1, Some("1969-12-31T23:59:59Z")),
            (253_402_300_799, Some("9999-12-31T23:59:59Z")),
            (253_402_300_800, None),
            (i64::MIN, None),
            (i64::MAX, None),
        ] {
            assert_eq!(rfc3339(unix).as_deref(), expected, "{unix}");
        }
    }

    #[test]
    fn days_are_negative_once_past() {
        assert_eq!(days(0, 129_600).to_bits(), 1.5f64.to_bits());
        assert_eq!(days(86_400, 0).to_bits(), (-1.0f64).to_bits());
        assert!(days(i64::MAX, i64::MIN).is_finite());
    }
}
