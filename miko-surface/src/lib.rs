//! The surface of an interface: what it offers, as data.
//!
//! It is a package of its own because two worlds compare surfaces by the same rules: the attribute while it compiles a
//! trait (against a recorded file), and a server when a client connects.

mod change;
mod fingerprint;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use change::{Change, Difference};

/// The manifest of an interface: its name, its version and its methods.
///
/// The attribute makes one for each interface as a constant; one that came over a wire or from a file has the same
/// type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surface {
    /// The name of the trait.
    pub interface: Cow<'static, str>,
    /// The version of the crate that defines it. It says nothing about compatibility: the methods do.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub version: Cow<'static, str>,
    /// Its remote methods, in the order of the trait.
    pub methods: Cow<'static, [Method]>,
}

/// A remote method of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Method {
    /// Its name on the wire.
    pub name: Cow<'static, str>,
    /// Its parameters, in order.
    pub params: Cow<'static, [Param]>,
    /// Its return type as written.
    pub returns: Cow<'static, str>,
    /// Its documentation.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub doc: Cow<'static, str>,
    /// `Some(true)` if it only reads, `Some(false)` if it writes, `None` if the trait does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<bool>,
    /// Does running it twice do what running it once does?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idempotent: bool,
    /// Its default deadline in milliseconds, where the general one does not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// A parameter of a remote method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Param {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its type as written.
    #[serde(rename = "type")]
    pub ty: Cow<'static, str>,
}

impl Surface {
    /// The method with this wire name.
    pub fn method(&self, name: &str) -> Option<&Method> {
        self.methods.iter().find(|method| method.name == name)
    }

    /// The part of the surface that clients depend on, as it is recorded in a file: without version and docs, in the
    /// order of the names.
    #[must_use]
    pub fn recorded(&self) -> Self {
        let mut methods = self.methods.to_vec();
        methods.iter_mut().for_each(|method| method.doc = Cow::default());
        methods.sort_by(|one, other| one.name.cmp(&other.name));
        Self { interface: self.interface.clone(), version: Cow::default(), methods: methods.into() }
    }

    /// The surface as indented JSON with a newline at its end.
    pub fn to_json(&self) -> String {
        // Strings, numbers and lists always have a form in JSON.
        let mut json = serde_json::to_string_pretty(self).unwrap_or_default();
        json.push('\n');
        json
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// If it is no JSON, or the JSON of something else; the message says where.
    pub fn from_json(json: &str) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }
}

impl Method {
    /// Its own deadline, or `general` where it has none.
    pub fn deadline_or(&self, general: Duration) -> Duration {
        self.deadline_ms.map_or(general, Duration::from_millis)
    }

    /// May a client send it again when the connection was lost before the answer came? A method that only reads may be
    /// repeated, as well as one that its author calls idempotent.
    pub fn is_repeatable(&self) -> bool {
        self.idempotent || self.read == Some(true)
    }

    /// Its signature without its name: what both sides must agree on.
    fn shape(&self) -> impl Iterator<Item = &str> {
        let params = self.params.iter().flat_map(|param| [&*param.name, &*param.ty]);
        params.chain([&*self.returns])
    }

    /// The attributes as their author wrote them: `read, deadline = "30000ms"`.
    fn attributes(&self) -> String {
        let access = self.read.map(|read| if read { "read" } else { "write" }.to_owned());
        let idempotent = self.idempotent.then(|| "idempotent".to_owned());
        let deadline = self.deadline_ms.map(|deadline| format!("deadline = \"{deadline}ms\""));
        let attributes: Vec<String> = [access, idempotent, deadline].into_iter().flatten().collect();
        if attributes.is_empty() { "none".to_owned() } else { format!("`{}`", attributes.join(", ")) }
    }
}

impl fmt::Display for Method {
    /// As a signature: `record_by_pk(pk: &str) -> Result<Option<Record>>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        for (i, param) in self.params.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{}: {}", param.name, param.ty)?;
        }
        write!(f, ") -> {}", self.returns)
    }
}
