//! Parses and writes times of RFC 3339.

use std::ops::RangeInclusive;

use jiff::civil::Date;

/// A parsed time.
pub(super) struct ParsedTime {
    /// Milliseconds since 1970. Digits below milliseconds are cut off.
    pub(super) millis: i64,
    /// Whether all digits that were cut off are 0.
    pub(super) is_exact: bool,
}

// Durations in milliseconds.
const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 24 * 60 * MINUTE;

/// The largest offset from UTC, in minutes.
const MAX_OFFSET_MINUTES: i64 = 23 * 60 + 59;

/// The years 0 to 9999 in UTC: 0000-01-01T00:00:00Z to 9999-12-31T23:59:59.999Z, in milliseconds since 1970.
pub(super) const YEARS: RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

/// The times that can be parsed, in milliseconds since 1970: the times that are in the years 0 to 9999 with
/// some offset.
pub(super) const PARSEABLE: RangeInclusive<i64> =
    *YEARS.start() - MAX_OFFSET_MINUTES * MINUTE..=*YEARS.end() + MAX_OFFSET_MINUTES * MINUTE;

/// Whether `text` is a `date-time` of RFC 3339.
pub(crate) fn is_valid(text: &str) -> bool {
    parse(text).is_some()
}

/// Parses a `date-time` of RFC 3339.
///
/// A leap second (`:60`) is valid only at the end of a month in UTC. It is read as the following second.
pub(super) fn parse(text: &str) -> Option<ParsedTime> {
    let mut rest = text.as_bytes();
    let year = parse_number(&mut rest, 4)?;
    parse_one_of(&mut rest, b"-")?;
    let month = parse_number(&mut rest, 2)?;
    parse_one_of(&mut rest, b"-")?;
    let day = parse_number(&mut rest, 2)?;
    parse_one_of(&mut rest, b"Tt")?;
    let hour = parse_number(&mut rest, 2).filter(|hour| *hour <= 23)?;
    parse_one_of(&mut rest, b":")?;
    let minute = parse_number(&mut rest, 2).filter(|minute| *minute <= 59)?;
    parse_one_of(&mut rest, b":")?;
    let second = parse_number(&mut rest, 2).filter(|second| *second <= 60)?;
    let (fraction, is_exact) = parse_fraction(&mut rest)?;
    let offset = parse_offset(&mut rest)?;
    if !rest.is_empty() {
        return None;
    }
    // The year has four digits, month and day have two, so the casts are lossless.
    let date = Date::new(year as i16, month as i8, day as i8).ok()?;
    // In minutes since the start of `date` in UTC. Negative if the time is on an earlier date in UTC.
    let minute_in_utc = hour * 60 + minute - offset;
    let start_of_minute = days_since_epoch(date) * DAY + minute_in_utc * MINUTE;
    if second == 60 && !ends_month(start_of_minute) {
        return None;
    }
    Some(ParsedTime { millis: start_of_minute + second * SECOND + fraction, is_exact })
}

/// Parses a number of exactly `digit_count` digits.
fn parse_number(rest: &mut &[u8], digit_count: usize) -> Option<i64> {
    let (taken, after) = rest.split_at_checked(digit_count)?;
    *rest = after;
    taken
        .iter()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

/// Parses one byte, which must be one of `allowed`.
fn parse_one_of(rest: &mut &[u8], allowed: &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    allowed.contains(first).then_some(*first)
}

/// Parses an optional fraction of a second. Returns its milliseconds, and whether all digits below
/// milliseconds are 0.
fn parse_fraction(rest: &mut &[u8]) -> Option<(i64, bool)> {
    let Some(after) = rest.strip_prefix(b".") else { return Some((0, true)) };
    let count = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, after) = after.split_at(count);
    *rest = after;
    let digit = |at: usize| digits.get(at).map_or(0, |byte| i64::from(byte - b'0'));
    let millis = digit(0) * 100 + digit(1) * 10 + digit(2);
    (count > 0).then(|| (millis, digits.iter().skip(3).all(|byte| *byte == b'0')))
}

/// Parses the offset from UTC. Returns it in minutes.
fn parse_offset(rest: &mut &[u8]) -> Option<i64> {
    let sign = match parse_one_of(rest, b"Zz+-")? {
        b'+' => 1,
        b'-' => -1,
        _ => return Some(0),
    };
    let hours = parse_number(rest, 2).filter(|hours| *hours <= 23)?;
    parse_one_of(rest, b":")?;
    let minutes = parse_number(rest, 2).filter(|minutes| *minutes <= 59)?;
    Some(sign * (hours * 60 + minutes))
}

/// Whether the minute that starts at `start_of_minute` is the last of a month in UTC.
fn ends_month(start_of_minute: i64) -> bool {
    let end = start_of_minute + MINUTE;
    // The end of the year 9999 also ends a month. `Date` has no year 10000, so this end is compared as a
    // number.
    let first_of_month = |date: Date| date.day() == 1;
    let is_first_of_month =
        end == YEARS.end() + 1 || date_of(end.div_euclid(DAY)).is_some_and(first_of_month);
    end.rem_euclid(DAY) == 0 && is_first_of_month
}

fn days_since_epoch(date: Date) -> i64 {
    // This cannot fail: the days between two dates of the calendar are at most a few million.
    let since = date.since(Date::constant(1970, 1, 1)).map(|span| span.get_days());
    i64::from(since.unwrap_or_default())
}

fn date_of(days_since_epoch: i64) -> Option<Date> {
    let span = jiff::Span::new().try_days(days_since_epoch).ok()?;
    Date::constant(1970, 1, 1).checked_add(span).ok()
}

/// The text of a time in UTC. A time outside the years 0 to 9999 in UTC is written with an offset by which
/// its local time is inside them. A time that has no such offset is written in milliseconds.
pub(super) struct TimeText {
    bytes: [u8; Self::CAPACITY],
    length: usize,
}

impl TimeText {
    /// More bytes than any text needs.
    const CAPACITY: usize = 32;

    pub(super) fn of(millis: i64) -> Self {
        let (offset, suffix) = if millis < *YEARS.start() {
            (MAX_OFFSET_MINUTES, "+23:59")
        } else if millis > *YEARS.end() {
            (-MAX_OFFSET_MINUTES, "-23:59")
        } else {
            (0, "Z")
        };
        let local = millis.saturating_add(offset * MINUTE);
        let date = YEARS.contains(&local).then(|| date_of(local.div_euclid(DAY))).flatten();
        let mut text = Self { bytes: [0; Self::CAPACITY], length: 0 };
        let Some(date) = date else {
            // RFC 3339 has no text for this time. It was made by `Timestamp::from_millis`, or a faulty peer
            // sent it.
            text.push(&format!("{millis}ms"));
            return text;
        };
        let in_day = local.rem_euclid(DAY);
        text.push_number(date.year().into(), 4, "-");
        text.push_number(date.month().into(), 2, "-");
        text.push_number(date.day().into(), 2, "T");
        text.push_number(in_day / (60 * MINUTE), 2, ":");
        text.push_number(in_day / MINUTE % 60, 2, ":");
        text.push_number(in_day / SECOND % 60, 2, ".");
        text.push_number(in_day % SECOND, 3, suffix);
        text
    }

    pub(super) fn as_str(&self) -> &str {
        // Only ASCII is written. The fallback is unreachable.
        str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }

    fn push(&mut self, text: &str) {
        let end = self.length + text.len();
        self.bytes[self.length..end].copy_from_slice(text.as_bytes());
        self.length = end;
    }

    /// Writes a non-negative number with exactly `digit_count` digits, then `suffix`.
    fn push_number(&mut self, number: i64, digit_count: usize, suffix: &str) {
        let mut rest = number;
        for digit in self.bytes[self.length..self.length + digit_count].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        self.length += digit_count;
        self.push(suffix);
    }
}
