use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// Below this a time is in seconds: 10^11 s is the year 5138, 10^11 ms is 1973.
const SECONDS_BELOW: i64 = 100_000_000_000;
/// Above this a time is in microseconds.
const MICROSECONDS_FROM: i64 = 100_000_000_000_000;

/// Unix milliseconds from a time in seconds, milliseconds or microseconds, told apart by magnitude (section 4).
pub fn normalize_ms(time: i64) -> i64 {
    match time {
        0 => 0,
        t if t < SECONDS_BELOW => t.saturating_mul(1000),
        t if t < MICROSECONDS_FROM => t,
        t => t / 1000,
    }
}

/// A number that some of Zoom's texts show as a string; fractions are cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lenient(pub i64);

impl Lenient {
    pub fn as_ms(self) -> i64 {
        normalize_ms(self.0)
    }
}

impl<'de> Deserialize<'de> for Lenient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Lenient;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a string of digits")
            }
            fn visit_i64<E: Error>(self, n: i64) -> Result<Lenient, E> {
                Ok(Lenient(n))
            }
            fn visit_u64<E: Error>(self, n: u64) -> Result<Lenient, E> {
                i64::try_from(n).map(Lenient).map_err(E::custom)
            }
            fn visit_f64<E: Error>(self, n: f64) -> Result<Lenient, E> {
                Ok(Lenient(n as i64))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Lenient, E> {
                text.trim().parse().map(Lenient).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_microseconds_become_milliseconds() {
        assert_eq!(normalize_ms(1_694_204_592), 1_694_204_592_000);
        assert_eq!(normalize_ms(1_732_313_171_881), 1_732_313_171_881);
        assert_eq!(normalize_ms(1_732_313_171_881_123), 1_732_313_171_881);
        assert_eq!(normalize_ms(0), 0);
    }

    #[test]
    fn a_number_is_read_from_a_string_too() {
        assert_eq!(serde_json::from_str::<Lenient>("\" 12 \"").unwrap(), Lenient(12));
        assert_eq!(serde_json::from_str::<Lenient>("12.9").unwrap(), Lenient(12));
        assert!(serde_json::from_str::<Lenient>("\"now\"").is_err());
        assert!(serde_json::from_str::<Lenient>("null").is_err());
    }
}
