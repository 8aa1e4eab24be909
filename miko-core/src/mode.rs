//! The access mode of a database.

use miko_rpc::{Error, ErrorId, Result};

/// The access mode of a database: how its file is opened. [`Access`](crate::Access) restricts the writes of a
/// database that is open.
///
/// ```
/// use miko_core::backend::Mode;
///
/// assert_eq!("RW".parse(), Ok(Mode::ReadWrite));
/// assert!("w".parse::<Mode>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Reading and writing: `rw` or `wr`.
    ReadWrite,
    /// Reading: `r`.
    Read,
}

impl std::str::FromStr for Mode {
    type Err = Error;

    fn from_str(mode: &str) -> Result<Self> {
        let known = vec!["rw", "r"];
        match mode.to_ascii_lowercase().as_str() {
            "rw" | "wr" => Ok(Self::ReadWrite),
            "r" => Ok(Self::Read),
            "w" => Err(Error::new(ErrorId::MODE_NOT_SUPPORTED, "a database is not opened for writing only")
                .with("found", mode)
                .with("known", known)),
            _ => Err(Error::new(ErrorId::INVALID_MODE, "a mode must be `rw` or `r`")
                .with("found", mode)
                .with("known", known)),
        }
    }
}
