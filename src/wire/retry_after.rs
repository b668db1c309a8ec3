//! `Retry-After` (RFC 9110 section 10.2.3): seconds or an HTTP date.

use crate::domain::Timestamp;
use std::time::Duration;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

const LONGEST: Duration = Duration::from_hours(24);

/// How long to wait: a day at most, zero for a date that is past, `None` for what is neither. A date is compared with the
/// `Date` of the same answer where it has one, because the provider's clock and ours may run apart; else with `now`.
pub(super) fn parse(value: &str, date: Option<&str>, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than a number holds is more than a day.
        return Some(value.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST));
    }
    let from = date.and_then(http_date).unwrap_or(now);
    Some(http_date(value)?.since(from).min(LONGEST))
}

fn http_date(text: &str) -> Option<Timestamp> {
    let at = OffsetDateTime::parse(text.trim(), &Rfc2822).ok()?.unix_timestamp().checked_mul(1000)?;
    Some(Timestamp::from_millis(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_and_neither() {
        let now = Timestamp::parse("1994-11-06T08:49:00Z").unwrap();
        let seconds = |value: &str| parse(value, None, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds(" 0 "), Some(0));
        assert_eq!(seconds("99999999999999999999999999"), Some(86_400));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(37));
        assert_eq!(seconds("Sat, 06 Nov 1993 08:49:37 GMT"), Some(0));
        assert_eq!(seconds("Fri, 31 Dec 9999 23:59:59 GMT"), Some(86_400));
        let theirs =
            |date: &str| parse("Sun, 06 Nov 1994 08:49:37 GMT", Some(date), now).map(|wait| wait.as_secs());
        assert_eq!(theirs("Sun, 06 Nov 1994 08:40:00 GMT"), Some(577), "their clock is behind ours");
        assert_eq!(theirs("today"), Some(37));
        for neither in ["", "-1", "1.5", "soon", "+3", "1e3", "\u{0}", "١٢"] {
            assert_eq!(seconds(neither), None, "{neither:?}");
        }
    }
}
