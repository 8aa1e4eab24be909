//! Moments in time, to the millisecond.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, ErrorId};

/// A moment in UTC, to the millisecond: `2026-04-21T14:32:00.123Z`.
///
/// ```
/// use miko_core::Timestamp;
///
/// let launch: Timestamp = "2026-04-21T16:32:00.1239+02:00".parse()?;
/// assert_eq!(launch.to_string(), "2026-04-21T14:32:00.123Z");
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// 9999-01-01T00:00:00Z, in milliseconds.
const END: i64 = 253_370_764_800_000;

impl Timestamp {
    /// Before all others.
    pub(crate) const FIRST: Self = Self(i64::MIN);

    /// This very millisecond, by the clock of the machine.
    pub fn now() -> Self {
        // A clock before 1970 is a broken clock; the epoch is as good an answer as any.
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

    /// The millisecond after it.
    pub(crate) fn after(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Outside the years -9999 to 9999 no calendar form exists: such a value can only come from a broken peer.
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(moment) => write!(f, "{moment:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let moment: jiff::Timestamp = text.parse().map_err(|fault| {
            Error::new(
                ErrorId::INVALID_REQUEST,
                format!("this is no timestamp like 2026-04-21T14:32:00.123Z: {fault}"),
            )
            .with("found", text)
        })?;
        if moment.as_millisecond() >= END {
            let message = "a timestamp lies before the year 9999, behind which no calendar form is left for what comes after it";
            return Err(Error::new(ErrorId::INVALID_REQUEST, message).with("found", text));
        }
        Ok(Self(moment.as_millisecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Self)
        }
    }
}
