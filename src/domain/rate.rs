//! So many in so long.

use super::parse_duration;
use std::time::Duration;

/// So many in so long: as many at once, and as many again over the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; one or more.
    pub count: u32,
    /// In how long: whole seconds, one or more.
    pub per: Duration,
}

impl Rate {
    /// One more comes back after this long.
    pub fn interval(&self) -> Duration {
        self.per / self.count.max(1)
    }

    /// Reads `100/1s`; the error says what is accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a rate such as 100/1s or 5000/1m");
        let (count, per) = text.split_once('/').ok_or_else(wrong)?;
        let count = count.parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
        let per = parse_duration(per)?;
        if per.as_secs() == 0 || per.subsec_nanos() > 0 {
            return Err(format!("`{text}` is not in whole seconds"));
        }
        Ok(Self { count, per })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rate_is() {
        let rate = |count, seconds| Ok(Rate { count, per: Duration::from_secs(seconds) });
        assert_eq!(Rate::parse("100/1s"), rate(100, 1));
        assert_eq!(Rate::parse("5000/1m"), rate(5_000, 60));
        for wrong in ["", "100", "0/1s", "-1/1s", "100/", "/1s", "100/0s", "100/1500ms", "1.5/1s"] {
            assert!(Rate::parse(wrong).is_err(), "{wrong}");
        }
    }
}
