//! Timestamps, email addresses and URLs, generated from a grammar and checked by independent code; and the
//! forms in which times, sort paths and numbers are accepted.

use std::fmt::Write;

use miko_core::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Local, create, db, run};

const MINUTES_PER_DAY: i64 = 24 * 60;

/// The parts of a timestamp, within and beyond their ranges.
#[derive(Debug, Clone)]
struct Written {
    /// Year, month, day, hour, minute, second.
    parts: [u32; 6],
    fraction: Option<String>,
    /// The sign, hours and minutes; `None` for `Z`.
    offset: Option<(char, u32, u32)>,
}

fn any_written() -> impl Strategy<Value = Written> {
    fn part(limits: &'static [u32], range: std::ops::Range<u32>) -> impl Strategy<Value = u32> {
        prop_oneof![3 => range, 1 => prop::sample::select(limits)]
    }
    let parts = (
        part(&[0, 4, 100, 400, 2000, 2023, 2024, 9999], 0..10_000),
        part(&[0, 1, 2, 6, 12, 13], 1..13),
        part(&[0, 1, 28, 29, 30, 31, 32], 1..29),
        part(&[0, 23, 24], 0..24),
        part(&[0, 59, 60], 0..60),
        part(&[0, 59, 60, 60, 61], 0..60),
    );
    let fraction = prop::option::of("[0-9]{1,12}");
    let offset = prop::option::of((
        prop::sample::select(&['+', '-'][..]),
        part(&[0, 23, 24], 0..24),
        part(&[0, 59, 60], 0..60),
    ));
    (parts, fraction, offset).prop_map(|((year, month, day, hour, minute, second), fraction, offset)| {
        Written { parts: [year, month, day, hour, minute, second], fraction, offset }
    })
}

/// Leap seconds with any offset from UTC in minutes. One of three is a minute early, so it is invalid.
fn any_leap_second() -> impl Strategy<Value = Written> {
    (1u32..9999, 1u32..13, 1 - MINUTES_PER_DAY..MINUTES_PER_DAY, 0i64..3).prop_map(
        |(year, month, offset, off_by)| {
            // 23:59 UTC of the last day of the month, in local time of this offset.
            let days = days_before(year, month) + i64::from(days_in(year, month));
            let end = days * MINUTES_PER_DAY - 1 + offset - off_by % 2;
            let (mut year, mut month, mut day) =
                (year, month, end.div_euclid(MINUTES_PER_DAY) - days_before(year, month) + 1);
            if day > i64::from(days_in(year, month)) {
                (year, month, day) = if month == 12 { (year + 1, 1, 1) } else { (year, month + 1, 1) };
            }
            let minute = end.rem_euclid(MINUTES_PER_DAY) as u32;
            let size = offset.unsigned_abs() as u32;
            let sign = if offset < 0 { '-' } else { '+' };
            Written {
                parts: [year, month, day as u32, minute / 60, minute % 60, 60],
                fraction: None,
                offset: Some((sign, size / 60, size % 60)),
            }
        },
    )
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

/// Days from 0000-01-01 to the first of a month, counted one month after another.
fn days_before(year: u32, month: u32) -> i64 {
    let years = i64::from(year) * 365 + (0..year).filter(|year| is_leap(*year)).count() as i64;
    years + (1..month).map(|month| i64::from(days_in(year, month))).sum::<i64>()
}

impl Written {
    fn text(&self) -> String {
        let [year, month, day, hour, minute, second] = self.parts;
        let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        self.fraction.iter().for_each(|fraction| text.extend([".", fraction]));
        match self.offset {
            None => text.push('Z'),
            Some((sign, hours, minutes)) => write!(text, "{sign}{hours:02}:{minutes:02}").unwrap(),
        }
        text
    }

    /// Milliseconds since 1970, if RFC 3339 allows it.
    fn millis(&self) -> Option<i64> {
        let [year, month, day, hour, minute, second] = self.parts;
        let (sign, hours, minutes) = self.offset.unwrap_or(('+', 0, 0));
        let in_range = year <= 9999
            && (1..=12).contains(&month)
            && (1..=days_in(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60
            && hours < 24
            && minutes < 60;
        if !in_range {
            return None;
        }
        let offset = i64::from(hours * 60 + minutes) * if sign == '-' { -1 } else { 1 };
        let minute_in_utc = (days_before(year, month) + i64::from(day) - 1) * MINUTES_PER_DAY
            + i64::from(hour * 60 + minute)
            - offset;
        if second == 60 {
            let ends_a_month = (year.saturating_sub(1)..=year + 1)
                .flat_map(|year| (1..=12).map(move |month| days_before(year, month) * MINUTES_PER_DAY))
                .any(|first_of_month| minute_in_utc + 1 == first_of_month);
            if !ends_a_month {
                return None;
            }
        }
        let padded = format!("{:0<3}", self.fraction.as_deref().unwrap_or(""));
        let fraction: i64 = padded[..3].parse().unwrap();
        let since_1970 = minute_in_utc - days_before(1970, 1) * MINUTES_PER_DAY;
        Some((since_1970 * 60 + i64::from(second)) * 1000 + fraction)
    }
}

/// A class with one field of this type, on a database of its own.
fn with_field(field: &Value) -> Local {
    let db = db();
    let class = json!({"name": "a.b/c", "fields": {"field": field}});
    run(&db, json!({"action": "create", "class": "puck.uno/class", "bucket": class}));
    db
}

fn accepts(db: &Local, value: &str) -> bool {
    db.q0(json!({"action": "create", "class": "a.b/c", "bucket": {"field": value}})).is_ok()
}

fn check_timestamp(db: &Local, written: &Written) -> Result<(), TestCaseError> {
    let (text, millis) = (written.text(), written.millis());
    let read = text.parse::<Timestamp>().ok();
    prop_assert_eq!(read.map(Timestamp::as_millis), millis, "{}", &text);
    prop_assert_eq!(accepts(db, &text), millis.is_some(), "{}", &text);
    if let Some(read) = read {
        prop_assert_eq!(read.to_string().parse::<Timestamp>().unwrap(), read, "{}", &text);
    }
    Ok(())
}

proptest! {
    #[test]
    fn timestamps_are_those_of_rfc_3339(written in any_written(), leap in any_leap_second()) {
        let db = with_field(&json!({"class": "timestamp"}));
        check_timestamp(&db, &written)?;
        check_timestamp(&db, &leap)?;
    }

    #[test]
    fn an_email_address_is_an_addr_spec_alone(
        local in "[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,8}(\\.[a-z0-9]{1,8}){0,2}",
        domain in "[a-z0-9]{1,8}(-[a-z0-9]{1,4})?(\\.[a-z]{2,6}){1,2}",
        name in "[A-Z][a-z]{1,8}",
    ) {
        let db = with_field(&json!({"class": "string", "format": "email"}));
        let address = format!("{local}@{domain}");
        prop_assert!(accepts(&db, &address), "{}", address);
        let invalid = [
            format!("{name} <{address}>"),
            format!("\"{name}\" <{address}>"),
            format!("<{address}>"),
            format!("{address} "),
            format!("{address}, {address}"),
            format!("mailto:{name} <{address}>"),
            format!("{local}@"),
            format!("@{domain}"),
            format!("{local}.@{domain}"),
            format!("{local}@{domain}."),
            format!("{local} {local}@{domain}"),
            local,
        ];
        for text in invalid {
            prop_assert!(!accepts(&db, &text), "{}", text);
        }
    }

    #[test]
    fn a_url_needs_a_host_if_its_scheme_requires_one(
        scheme in "https?|HTTPS|wss?|s?ftp",
        user in "([a-z]{1,4}(:[a-z]{1,4})?@)?",
        host in "([a-z0-9]{1,8}(\\.[a-z]{2,5}){0,2}|127\\.0\\.0\\.1|\\[::1\\])",
        port in "(:[0-9]{0,5})?",
        rest in "(/[a-z0-9~]{0,5}){0,3}(\\?[a-z=&]{0,5})?(#[a-z]{0,5})?",
    ) {
        let db = with_field(&json!({"class": "url"}));
        let with_host = format!("{scheme}://{user}{host}{port}{rest}");
        for url in [with_host, format!("mailto:{host}@a.b"), format!("urn:x:{host}")] {
            // Only the host of an authority may have brackets.
            if url.starts_with(&scheme) || !host.contains('[') {
                prop_assert!(accepts(&db, &url), "{}", url);
            }
        }
        let without_host = format!("{scheme}://{user}{port}");
        for url in [format!("{without_host}{rest}"), format!("{scheme}:{rest}"), format!("{scheme}:{host}")] {
            // A path that begins with two slashes is an authority.
            let has_authority = url.starts_with(&format!("{scheme}://"));
            if !has_authority || url.starts_with(&without_host) && !rest.starts_with("//") {
                prop_assert!(!accepts(&db, &url), "{}", url);
            }
        }
    }
}

#[test]
fn every_time_of_rfc_3339_is_accepted_as_a_value_and_as_a_cutoff() {
    let db = with_field(&json!({"class": "timestamp"}));
    for time in [
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "9999-12-31t23:59:59.9999999999z",
        "9999-12-31T23:59:60Z",
    ] {
        assert!(accepts(&db, time), "{time}");
        let temporal = crate::support::temporal();
        create(&temporal, json!({}));
        let found = temporal.q0(json!({"action": "select", "cutoff": time})).unwrap().into_records().unwrap();
        // The record was created after the year 0 and before the year 9999.
        assert_eq!(found.count(), usize::from(time.starts_with('9')), "{time}");
    }
}

#[test]
fn a_time_with_more_digits_than_milliseconds_is_refused_and_not_truncated() {
    let db = db();
    let pk = create(&db, json!({}));
    let updated_at = crate::support::read(&db, &pk).updated_at.to_string();
    let update = |time: String| {
        db.q0(json!({"action": "update", "pk": pk, "bucket": {"n": 1}, "if_updated_at": time}))
    };
    let error = update(updated_at.replace('Z', "9Z")).unwrap_err();
    assert!(error.to_string().contains("if_updated_at"), "{error}");
    update(updated_at.replace('Z', "000Z")).unwrap();
}

#[test]
fn a_direction_in_a_sort_path_is_read_as_a_key_with_a_warning() {
    let db = db();
    for (n, desc) in [(2, 1), (1, 2)] {
        create(&db, json!({"n": {"desc": desc}, "m": n}));
    }
    let response = db.q0(json!({"action": "select", "sort": ["n", "desc"]})).unwrap();
    assert_eq!(response.warnings[0].id.as_str(), "direction_as_key");
    let order: Vec<_> =
        response.into_records().unwrap().iter().map(|record| record.bucket.get("m").unwrap()).collect();
    assert_eq!(order, [Some(json!(2)), Some(json!(1))]);
    for sort in [json!(["desc"]), json!(["n", {"reverse": true}])] {
        assert!(db.q0(json!({"action": "select", "sort": sort})).unwrap().warnings.is_empty());
    }
}

#[test]
fn numbers_with_superfluous_digits_are_kept_in_their_shortest_form() {
    let db = db();
    for (written, kept) in [("0.10000000000000001", json!(0.1)), ("100000000000000000000", json!(1e20))] {
        let request = format!(r#"{{"action": "create", "bucket": {{"n": {written}}}}}"#);
        let pk = run(&db, miko_core::json::parse(&request).unwrap());
        assert_eq!(crate::support::read(&db, &pk).bucket.get("n").unwrap(), Some(kept));
    }
    let error = miko_core::json::parse("[9007199254740993.0]").unwrap_err();
    assert_eq!(error.items()[0].details["found"], "9007199254740993.0");
    assert_eq!(error.items()[0].details["kept_as"], json!(9007199254740992.0));
}

#[test]
fn a_byte_order_mark_is_skipped() {
    assert_eq!(miko_core::json::parse("\u{FEFF}{}").unwrap(), json!({}));
    let db = db();
    db.read_worldlet(&mut "\u{FEFF}{\"records\": {\"a\": {\"bucket\": {}}}}".as_bytes(), false).unwrap();
    assert!(db.record_by_pk("a").unwrap().is_some());
}
