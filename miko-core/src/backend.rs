//! Backend URLs: they name the engine that holds the records.

use std::path::{Path, PathBuf};

use miko_rpc::{Error, ErrorId, Result};

use crate::engine::{Engine, LocalEngine, SqliteEngine, WorldletEngine};
use crate::storage::Storage;
use crate::storage::opening::{cannot_open, invalid_backend};

pub use crate::mode::Mode;

/// The forms of a backend URL, as the detail `known` of an error lists them.
pub const KNOWN: [&str; 5] = [
    "mikobase.uno/sqlite/memory",
    "mikobase.uno/sqlite/file?path=…",
    "a path that ends in .db, .sqlite or .mikobase",
    "mikobase.uno/worldlet?path=…",
    "a path that ends in .json",
];

/// A parsed backend URL.
///
/// ```
/// use miko_core::backend::{Backend, Location};
///
/// let backend: Backend = "https://mikobase.uno/sqlite/file?path=/srv/crew.db&temporal=true".parse()?;
/// assert_eq!(backend.location, Location::SqliteFile("/srv/crew.db".into()));
/// assert!(backend.temporal);
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Where the records are, and in which form.
    pub location: Location,
    /// Whether a database that is created now keeps every version of a record. With `true`, an existing
    /// database that is not temporal is refused. The kind of an existing database does not change.
    pub temporal: bool,
    /// Whether records of undefined classes are refused.
    pub strict: bool,
    /// Whether a `create` may choose the pk of its record.
    pub client_pks: bool,
    /// The size of the record cache in bytes, if it is not the default: see
    /// [`LocalEngine::record_cache_size`]. Only for SQLite.
    pub record_cache_size: Option<usize>,
    /// The size of the cached values of fields (columns) in bytes, if it is not the default: see
    /// [`LocalEngine::columns_size`]. Only for SQLite.
    pub columns_size: Option<usize>,
}

/// The backend with the options that apply when its URL names none.
impl From<Location> for Backend {
    fn from(location: Location) -> Self {
        Self {
            location,
            temporal: false,
            strict: false,
            client_pks: true,
            record_cache_size: None,
            columns_size: None,
        }
    }
}

/// Where the records are, and in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// SQLite in memory: the default of a share.
    SqliteMemory,
    /// SQLite in a file.
    SqliteFile(PathBuf),
    /// A worldlet: in a file, or with `None` in memory, where it begins empty.
    Worldlet(Option<PathBuf>),
}

/// Opens the engine that `url` names, for reading and writing.
///
/// An optimized build of a program takes much less time if the program opens its engine by this function. The
/// types of the engines, such as [`SqliteEngine`], are generic: a program that names one compiles the engine
/// once more.
///
/// ```
/// let db = miko_core::backend::open("mikobase.uno/sqlite/memory")?;
/// assert!(miko_core::backend::open("mikobase.uno/redis").is_err());
/// # Ok::<(), miko_core::Error>(())
/// ```
///
/// # Errors
/// `invalid-backend`, if `url` names no engine; the errors of [`Backend::open`].
pub fn open(url: &str) -> Result<Box<dyn Engine>> {
    open_with(url, Mode::ReadWrite)
}

/// Opens the engine that `url` names.
///
/// # Errors
/// As [`open`].
pub fn open_with(url: &str, mode: Mode) -> Result<Box<dyn Engine>> {
    url.parse::<Backend>()?.open(mode)
}

impl Backend {
    /// Opens the engine.
    ///
    /// # Errors
    /// The errors of the constructor of the engine, such as [`SqliteEngine::open_temporal`]; also
    /// `invalid-backend` for a database in memory in mode `r`, and for a worldlet if `record_cache_size` or
    /// `columns_size` is set: a worldlet has neither a record cache nor columns.
    pub fn open(&self, mode: Mode) -> Result<Box<dyn Engine>> {
        if matches!(self.location, Location::SqliteMemory | Location::Worldlet(None)) && mode == Mode::Read {
            let message = "a database in memory is empty when it is opened: there is nothing to read";
            return Err(Error::new(ErrorId::INVALID_BACKEND, message));
        }
        if let (Location::Worldlet(_), Some(option)) = (&self.location, self.cache_option()) {
            let message = format!("a worldlet has no `{option}`: its records are in memory, uncached");
            return Err(Error::new(ErrorId::INVALID_BACKEND, message));
        }
        match (&self.location, self.temporal) {
            (Location::SqliteMemory, false) => self.finish_open(SqliteEngine::in_memory()),
            (Location::SqliteMemory, true) => self.finish_open(SqliteEngine::temporal_in_memory()),
            (Location::SqliteFile(path), false) => self.finish_open(SqliteEngine::open(path, mode)),
            (Location::SqliteFile(path), true) => self.finish_open(SqliteEngine::open_temporal(path, mode)),
            (Location::Worldlet(None), false) => self.finish_open(WorldletEngine::in_memory()),
            (Location::Worldlet(None), true) => self.finish_open(WorldletEngine::temporal_in_memory()),
            (Location::Worldlet(Some(path)), false) => self.finish_open(WorldletEngine::open(path, mode)),
            (Location::Worldlet(Some(path)), true) => {
                self.finish_open(WorldletEngine::open_temporal(path, mode))
            }
        }
    }

    /// Opens the engine for reading and writing without creating a file: the file must exist and hold a
    /// database. A database in memory is opened as by [`open`](Self::open).
    ///
    /// ```
    /// use miko_core::backend::Backend;
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// let path = folder.path().join("crew.db");
    /// let backend: Backend = path.to_str().unwrap().parse()?;
    /// assert!(backend.open_existing().is_err());
    /// assert!(!path.exists());
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid-backend` with the path, if the file is missing, empty or inaccessible; otherwise as
    /// [`open`](Self::open).
    pub fn open_existing(&self) -> Result<Box<dyn Engine>> {
        if let Some(path) = self.path() {
            let metadata = std::fs::metadata(path).map_err(|error| cannot_open(path, error))?;
            if metadata.len() == 0 {
                return Err(invalid_backend(path, "the file is empty: there is nothing to read"));
            }
        }
        self.open(Mode::ReadWrite)
    }

    /// The file that holds the records, if there is one.
    pub fn path(&self) -> Option<&Path> {
        match &self.location {
            Location::SqliteFile(path) | Location::Worldlet(Some(path)) => Some(path),
            Location::SqliteMemory | Location::Worldlet(None) => None,
        }
    }

    /// Applies the options to an engine that was opened.
    fn finish_open<T: Storage + 'static>(&self, engine: Result<LocalEngine<T>>) -> Result<Box<dyn Engine>> {
        let mut engine = engine?.client_pks(self.client_pks);
        if let Some(bytes) = self.record_cache_size {
            engine = engine.record_cache_size(bytes);
        }
        if let Some(bytes) = self.columns_size {
            engine = engine.columns_size(bytes);
        }
        Ok(Box::new(if self.strict { engine.strict() } else { engine }))
    }

    /// The name of the option that sets the size of a cache; `None` if no such option is set. If both are
    /// set, `record_cache_size`.
    fn cache_option(&self) -> Option<&'static str> {
        match (self.record_cache_size, self.columns_size) {
            (Some(_), _) => Some("record_cache_size"),
            (None, Some(_)) => Some("columns_size"),
            (None, None) => None,
        }
    }
}

impl std::str::FromStr for Backend {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self> {
        let without_scheme = url.strip_prefix("https://").unwrap_or(url);
        let (name, parameters) = without_scheme.split_once('?').unwrap_or((without_scheme, ""));
        let parameters = UrlParameters::parse(parameters);
        let backend = match name.strip_prefix("mikobase.uno/") {
            // Without a scheme: a plain path. The whole text is tried first, since a path may contain a
            // question mark.
            None if !url.contains("://") => match (location_of_path(url), location_of_path(name)) {
                (Some(location), _) => return Ok(location.into()),
                (None, Some(location)) => {
                    parameters.and_then(|parameters| parameters.backend_without_path(location))
                }
                (None, None) => Err("this does not name an engine".to_owned()),
            },
            None => Err("this does not name an engine".to_owned()),
            Some("sqlite/memory") => {
                parameters.and_then(|parameters| parameters.backend_without_path(Location::SqliteMemory))
            }
            Some("sqlite/file") => parameters.and_then(|parameters| match parameters.path {
                Some(ref path) => Ok(parameters.backend(Location::SqliteFile(path.clone()))),
                None => Err("SQLite in a file needs a `path`".to_owned()),
            }),
            Some("worldlet") => {
                parameters.map(|parameters| parameters.backend(Location::Worldlet(parameters.path.clone())))
            }
            Some(_) => Err("this does not name an engine".to_owned()),
        };
        backend.map_err(|error| invalid_url(url, &error))
    }
}

/// The location that a plain path names by its extension. `None` if the path has no known extension, or no
/// file name before the extension.
fn location_of_path(path: &str) -> Option<Location> {
    let (stem, extension) = path.rsplit_once('.')?;
    let has_stem = !stem.is_empty() && !stem.ends_with('/');
    match extension {
        "db" | "sqlite" | "mikobase" if has_stem => Some(Location::SqliteFile(path.into())),
        "json" if has_stem => Some(Location::Worldlet(Some(path.into()))),
        _ => None,
    }
}

/// The query parameters of a backend URL.
struct UrlParameters {
    path: Option<PathBuf>,
    /// The other parameters. The location in this value is not used: [`backend`](Self::backend) sets it.
    options: Backend,
}

impl UrlParameters {
    fn parse(text: &str) -> Result<Self, String> {
        let mut parameters = Self { path: None, options: Location::SqliteMemory.into() };
        let mut seen = Vec::new();
        for parameter in text.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if seen.contains(&name) {
                return Err(format!("`{name}` is given twice"));
            }
            seen.push(name);
            let options = &mut parameters.options;
            match name {
                "path" if value.is_empty() => return Err("`path` is empty".to_owned()),
                "path" => parameters.path = Some(percent_decode(value)?.into()),
                "temporal" => options.temporal = parse_boolean(name, value)?,
                "strict" => options.strict = parse_boolean(name, value)?,
                "client_pks" => options.client_pks = parse_boolean(name, value)?,
                "record_cache_size" => options.record_cache_size = Some(parse_byte_count(name, value)?),
                "columns_size" => options.columns_size = Some(parse_byte_count(name, value)?),
                unknown => return Err(format!("a backend URL has no parameter `{unknown}`")),
            }
        }
        Ok(parameters)
    }

    fn backend(&self, location: Location) -> Backend {
        Backend { location, ..self.options.clone() }
    }

    fn backend_without_path(self, location: Location) -> Result<Backend, String> {
        match self.path {
            None => Ok(self.backend(location)),
            Some(_) => Err("this backend has no parameter `path`".to_owned()),
        }
    }
}

fn parse_boolean(name: &str, value: &str) -> Result<bool, String> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("`{name}` must be true or false")),
    }
}

fn parse_byte_count(name: &str, value: &str) -> Result<usize, String> {
    // `parse` would also accept a sign.
    let has_only_digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let count = value.parse().ok().filter(|_| has_only_digits);
    count.ok_or_else(|| format!("`{name}` must be a number of bytes, such as {name}=16777216"))
}

fn percent_decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let hex = rest.split_at_checked(2).and_then(|(hex, after)| {
            rest = after;
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            Some(digit(hex[0])? << 4 | digit(hex[1])?)
        });
        bytes.push(hex.ok_or("in `path`, % is followed by two hexadecimal digits")?);
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err("`path` must be UTF-8 text without NUL".to_owned()),
    }
}

fn invalid_url(url: &str, error: &str) -> Error {
    Error::new(ErrorId::INVALID_BACKEND, error).with("found", url).with("known", KNOWN.to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::extension::MikobaseExt;

    #[test]
    fn a_mode_is_r_rw_or_wr_in_any_case() {
        for (mode, expected) in
            [("rw", Mode::ReadWrite), ("WR", Mode::ReadWrite), ("r", Mode::Read), ("R", Mode::Read)]
        {
            assert_eq!(mode.parse(), Ok(expected));
        }
        for (mode, id) in [
            ("w", ErrorId::MODE_NOT_SUPPORTED),
            ("", ErrorId::INVALID_MODE),
            (" r", ErrorId::INVALID_MODE),
            ("rr", ErrorId::INVALID_MODE),
        ] {
            assert!(mode.parse::<Mode>().unwrap_err().is(id), "{mode:?}");
        }
    }

    #[test]
    fn every_documented_form_is_parsed() {
        let file = |path: &str| Location::SqliteFile(path.into());
        let worldlet = |path: &str| Location::Worldlet(Some(path.into()));
        let known = [
            ("mikobase.uno/sqlite/memory", Location::SqliteMemory, false),
            ("https://mikobase.uno/sqlite/memory", Location::SqliteMemory, false),
            ("mikobase.uno/sqlite/memory?temporal=true", Location::SqliteMemory, true),
            ("mikobase.uno/sqlite/memory?temporal=false", Location::SqliteMemory, false),
            ("https://mikobase.uno/sqlite/file?path=/srv/a%20b%3f.db", file("/srv/a b?.db"), false),
            ("mikobase.uno/sqlite/file?temporal=true&path=x", file("x"), true),
            ("crew.db", file("crew.db"), false),
            ("/srv/crew.sqlite", file("/srv/crew.sqlite"), false),
            ("../crew.mikobase?temporal=true", file("../crew.mikobase"), true),
            ("what?.db", file("what?.db"), false),
            ("mikobase.uno/worldlet", Location::Worldlet(None), false),
            ("mikobase.uno/worldlet?path=w", worldlet("w"), false),
            ("crew.json", worldlet("crew.json"), false),
        ];
        for (url, location, temporal) in known {
            assert_eq!(url.parse::<Backend>(), Ok(Backend { temporal, ..location.into() }), "{url}");
        }
    }

    #[test]
    fn any_other_url_is_refused_with_the_known_forms() {
        let unknown = [
            "",
            "https://",
            "mikobase.uno",
            "mikobase.uno/",
            "mikobase.uno/redis",
            "http://mikobase.uno/sqlite/memory",
            "https://crew.db",
            "https://foo.com/crew.db",
            "http://foo.com/crew.db",
            "http://mikobase.uno/sqlite/file?path=crew.db",
            "crew",
            "crew.txt",
            ".db",
            "/srv/.json",
            "crew.db?x=1",
            "crew.db?path=other",
            "mikobase.uno/sqlite/file",
            "mikobase.uno/sqlite/file?path=",
            "mikobase.uno/sqlite/file?path=%",
            "mikobase.uno/sqlite/file?path=%zz",
            "mikobase.uno/sqlite/file?path=%ff",
            "mikobase.uno/sqlite/file?path=a%00.db",
            "mikobase.uno/sqlite/memory?path=x",
            "mikobase.uno/sqlite/memory?temporal",
            "mikobase.uno/sqlite/memory?strict=yes",
            "mikobase.uno/sqlite/memory?client_pks=no",
            "mikobase.uno/sqlite/memory?record_cache_size",
            "mikobase.uno/sqlite/memory?record_cache_size=+1",
            "mikobase.uno/sqlite/memory?columns_size=64MiB",
            "mikobase.uno/sqlite/memory?columns_size=99999999999999999999",
            "mikobase.uno/sqlite/memory?columns_size=1&columns_size=1",
            "mikobase.uno/sqlite/memory?temporal=true&temporal=true",
        ];
        for url in unknown {
            let error = url.parse::<Backend>().expect_err(url);
            assert!(error.is(ErrorId::INVALID_BACKEND), "{error}");
            assert_eq!(error.items()[0].details["found"], url);
            assert!(error.items()[0].details["known"].is_array());
        }
    }

    #[test]
    fn the_url_sets_the_sizes_of_the_caches() {
        let backend: Backend =
            "mikobase.uno/sqlite/memory?record_cache_size=0&columns_size=4096".parse().unwrap();
        assert_eq!((backend.record_cache_size, backend.columns_size), (Some(0), Some(4096)));
        backend.open(Mode::ReadWrite).unwrap();
        let select = json!({"action": "select", "path": ["n", 1]});
        for (columns_size, expected) in [("", 1), ("?columns_size=0", 0)] {
            let db = open(&format!("mikobase.uno/sqlite/memory{columns_size}")).unwrap();
            db.create("a.b/c", &json!({"n": 1})).unwrap();
            // Often enough that a column is built, unless `columns_size` forbids it.
            (0..3).for_each(|_| drop(db.q0(select.clone()).unwrap()));
            assert_eq!(db.explain(select.clone()).unwrap().columns.len(), expected, "{columns_size}");
        }
    }

    #[test]
    fn a_worldlet_with_the_size_of_a_cache_is_refused() {
        for option in ["record_cache_size", "columns_size"] {
            let error = open(&format!("mikobase.uno/worldlet?{option}=4096")).err().unwrap();
            assert!(error.is(ErrorId::INVALID_BACKEND));
            assert!(error.to_string().contains(option), "{error}");
        }
    }

    #[test]
    fn the_url_makes_every_engine_temporal() {
        for url in ["mikobase.uno/worldlet", "https://mikobase.uno/sqlite/memory"] {
            assert!(!open(url).unwrap().properties().unwrap().temporal);
            assert!(open(&format!("{url}?temporal=true")).unwrap().properties().unwrap().temporal);
            assert!(open_with(url, Mode::Read).err().unwrap().is(ErrorId::INVALID_BACKEND));
        }
    }
}
