//! Times in UTC with millisecond precision. The module `rfc3339` parses and writes them.

mod rfc3339;

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use miko_rpc::travel::{reads_binary, writes_binary};
use miko_rpc::{Error, ErrorId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use rfc3339::is_valid as is_rfc3339;

/// A time in UTC with millisecond precision: `2026-04-21T14:32:00.123Z`.
///
/// Every time of RFC 3339 can be parsed: from year 0 to the end of year 9999, with any offset. Digits below
/// milliseconds are cut off. A time is written in UTC. Exceptions are the times up to 23:59 hours before year
/// 0 or after year 9999: RFC 3339 has them only with an offset, so they are written with one. A time beyond
/// them, which [`from_millis`](Self::from_millis) accepts, has no form in RFC 3339: it is written in
/// milliseconds, such as `9223372036854775807ms`, which cannot be parsed.
///
/// ```
/// use miko_core::Timestamp;
///
/// let launch: Timestamp = "2026-04-21T16:32:00.1239+02:00".parse()?;
/// assert_eq!(launch.to_string(), "2026-04-21T14:32:00.123Z");
/// let forever: Timestamp = "9999-12-31T23:59:59Z".parse()?;
/// assert_eq!(forever.to_string(), "9999-12-31T23:59:59.000Z");
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest time.
    pub(crate) const FIRST: Self = Self(i64::MIN);

    /// The current time by the clock of the machine.
    pub fn now() -> Self {
        // A clock before 1970 is wrong: the epoch is returned instead.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    /// `millis` milliseconds after 1970-01-01T00:00:00Z.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The time one millisecond later. The last possible time is returned unchanged.
    pub(crate) fn after(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Returns the time, if it is in the years 0 to 9999 in UTC, the years of RFC 3339. Every time that a
    /// write takes from the clock, or advances, is checked in this way, so that it is written in UTC and can
    /// be parsed again. Times that a worldlet states, and those copied from another row, are not checked:
    /// they were parsed or checked before.
    ///
    /// # Errors
    /// `internal` for any other time: the clock is wrong, or the record already has a time at the end of the
    /// year 9999 or later.
    pub(crate) fn within_rfc3339_years(self) -> Result<Self, Error> {
        if rfc3339::YEARS.contains(&self.0) {
            return Ok(self);
        }
        let message = "the time of this write lies outside the years 0 to 9999, so it has no form in UTC: \
                       check the clock of this machine and the time of the record";
        Err(Error::new(ErrorId::INTERNAL, message).with("found", self.to_string()))
    }

    /// This time if its text can be parsed, or else the nearest time whose text can be. A request has its
    /// cutoff as text, which must be parsed again.
    ///
    /// As a cutoff, the nearest time finds the same versions as this time, since all times of records can be
    /// parsed. Exception: if this time is earlier than all times that can be parsed, the nearest time also
    /// finds the versions of the earliest time that can be parsed.
    pub(crate) fn nearest_parseable(self) -> Self {
        Self(self.0.clamp(*rfc3339::PARSEABLE.start(), *rfc3339::PARSEABLE.end()))
    }

    /// Parses a timestamp that is to be compared with the time of a record. `None` if the timestamp equals no
    /// time of a record: it is malformed, or has digits other than 0 below milliseconds.
    pub(crate) fn parse_exact(text: &str) -> Option<Self> {
        rfc3339::parse(text).filter(|time| time.is_exact).map(|time| Self(time.millis))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(rfc3339::TimeText::of(self.0).as_str())
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        rfc3339::parse(text).map(|time| Self(time.millis)).ok_or_else(|| {
            let message = "this is not a timestamp of RFC 3339 such as 2026-04-21T14:32:00.123Z";
            Error::new(ErrorId::INVALID_REQUEST, message).with("found", text)
        })
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !writes_binary(&serializer) {
            serializer.serialize_str(rfc3339::TimeText::of(self.0).as_str())
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !reads_binary(&deserializer) {
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_has_a_time_that_can_be_read_again() {
        let [first, last] = ["0000-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"];
        for text in [first, "1969-12-31T23:59:59.999Z", last] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(time.within_rfc3339_years().unwrap().to_string(), text);
        }
        let (before, after) =
            (first.parse::<Timestamp>().unwrap().0 - 1, last.parse::<Timestamp>().unwrap().0 + 1);
        for millis in [before, after, i64::MIN, i64::MAX] {
            let error = Timestamp::from_millis(millis).within_rfc3339_years().unwrap_err();
            assert!(error.is(ErrorId::INTERNAL), "{millis}: {error}");
        }
    }
}
