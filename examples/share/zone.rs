//! The input: tables of the IANA time zone database, a row per record.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The class of [`Country`].
pub(crate) const COUNTRY: &str = "iana.org/country";
/// The class of [`Zone`].
pub(crate) const ZONE: &str = "iana.org/zone";

/// The bucket of a country.
#[derive(Serialize, Deserialize)]
pub(crate) struct Country {
    pub(crate) code: String,
    pub(crate) name: String,
}

/// The bucket of a zone.
#[derive(Serialize, Deserialize)]
pub(crate) struct Zone {
    pub(crate) name: String,
    pub(crate) region: String,
    /// The code of the country.
    pub(crate) country: String,
    /// Degrees to the north.
    pub(crate) latitude: f64,
    /// Degrees to the east.
    pub(crate) longitude: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) comments: Option<String>,
}

/// The lines of a table that are not comments.
pub(crate) fn rows(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.starts_with('#'))
}

impl FromStr for Country {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let (code, name) = line.split_once('\t').ok_or_else(|| format!("this is no country: {line}"))?;
        Ok(Self { code: code.to_owned(), name: name.to_owned() })
    }
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        Self::read(line).ok_or_else(|| format!("this is no zone: {line}"))
    }
}

impl Zone {
    /// The last part of its name, usually a city.
    pub(crate) fn place(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    fn read(line: &str) -> Option<Self> {
        let mut columns = line.split('\t');
        let (country, coordinates, name) = (columns.next()?, columns.next()?, columns.next()?);
        // ISO 6709: +DDMM+DDDMM or +DDMMSS+DDDMMSS, each sign being plus or minus.
        let (latitude, longitude) = coordinates.split_at(coordinates.rfind(['+', '-'])?);
        Some(Self {
            name: name.to_owned(),
            region: name.split('/').next()?.to_owned(),
            country: country.to_owned(),
            latitude: degrees(latitude, 2)?,
            longitude: degrees(longitude, 3)?,
            comments: columns.next().map(str::to_owned),
        })
    }
}

/// A sign, `width` digits of degrees, two of minutes, and two of seconds or none.
fn degrees(angle: &str, width: usize) -> Option<f64> {
    let (sign, digits) = angle.split_at_checked(1)?;
    let (degrees, rest) = digits.split_at_checked(width)?;
    let (minutes, seconds) = rest.split_at_checked(2)?;
    let seconds = if seconds.is_empty() { "0" } else { seconds };
    let number = |digits: &str| digits.parse::<f64>().ok();
    let size = number(degrees)? + number(minutes)? / 60.0 + number(seconds)? / 3600.0;
    Some(if sign == "-" { -size } else { size })
}
