//! The surface of an interface: a description of its methods as data.
//!
//! This is a package of its own because surfaces are compared at compile time, by the attribute, with a
//! recorded file, and at run time, by a server, with the surface of a client.

mod budget;
mod change;
mod compatibility;
mod fingerprint;
mod schemas;
mod shape;
mod type_text;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use change::{Change, Difference};
pub use schemas::{MethodSchemas, SchemaSet, Schemas};

/// The description of an interface: its name, version and methods.
///
/// The attribute generates one per interface as a constant; one from a socket or a file has the same type.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Surface {
    /// The name of the trait.
    pub interface: Cow<'static, str>,
    /// The version of the crate that defines it. It has no influence on compatibility.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub version: Cow<'static, str>,
    /// Its remote methods, in the order of the trait.
    pub methods: Cow<'static, [Method]>,
    /// The ids of the errors that a call may fail with in addition to those of its method.
    #[serde(default, skip_serializing_if = "<[ErrorMeaning]>::is_empty")]
    pub errors: Cow<'static, [ErrorMeaning]>,
    /// The JSON Schemas of all types, if the interface describes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schemas: Option<Box<Schemas>>,
    /// The surfaces of the interfaces whose objects its methods return, directly or by way of other objects.
    /// Theirs are empty.
    #[serde(default, skip_serializing_if = "<[Surface]>::is_empty")]
    pub objects: Cow<'static, [Surface]>,
}

/// The id of an error, and what it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorMeaning {
    /// The id.
    pub id: Cow<'static, str>,
    /// What happened, and what to do.
    pub meaning: Cow<'static, str>,
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
    /// `Some(true)` if it only reads, `Some(false)` if it writes, `None` if the trait specifies neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<bool>,
    /// Whether running it twice has the same effect as running it once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idempotent: bool,
    /// Its own deadline in milliseconds, which replaces the general one.
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

    /// Whether there is a method with this wire name.
    pub fn has_method(&self, name: &str) -> bool {
        self.method(name).is_some()
    }

    /// The surface with the methods of other surfaces after its own. A method that several of them share, by
    /// a common supertrait, occurs once.
    #[must_use]
    pub fn joined_with(&self, others: &[&Self]) -> Self {
        let mut methods = self.methods.to_vec();
        for method in others.iter().flat_map(|other| &*other.methods) {
            if !methods.iter().any(|known| known.name == method.name) {
                methods.push(method.clone());
            }
        }
        let mut schemas = self.schemas.clone();
        for other in others.iter().filter_map(|other| other.schemas.as_ref()) {
            schemas.get_or_insert_default().merge(other);
        }
        Self { methods: methods.into(), schemas, ..self.clone() }
    }

    /// The surface with the schemas of its types.
    #[must_use]
    pub fn described(&self, schemas: Schemas) -> Self {
        Self { schemas: Some(Box::new(schemas)), ..self.clone() }
    }

    /// Whether the surface has the schemas of the method with this wire name, in both directions.
    pub fn describes(&self, method: &str) -> bool {
        self.schemas.as_ref().is_some_and(|schemas| {
            [&schemas.sent, &schemas.received].iter().all(|set| set.methods.contains_key(method))
        })
    }

    /// The surface with those of the objects that its methods return.
    #[must_use]
    pub fn with_objects(&self, objects: Vec<Self>) -> Self {
        Self { objects: objects.into(), ..self.clone() }
    }

    /// The surface of the objects with this interface, or this one if it has that name.
    pub fn of_interface(&self, name: &str) -> Option<&Self> {
        if self.interface == name {
            return Some(self);
        }
        self.objects.iter().find(|object| object.interface == name)
    }

    /// All methods, those of objects after those of the interface itself.
    pub fn all_methods(&self) -> impl Iterator<Item = &Method> {
        self.methods.iter().chain(self.objects.iter().flat_map(|object| object.methods.iter()))
    }

    /// The surface with only the methods that `other` has, too. A record has the methods of the trait itself;
    /// those of its supertraits are in their records.
    #[must_use]
    pub fn restricted_to(&self, other: &Self) -> Self {
        let mut restricted = self.clone();
        restricted.methods =
            self.methods.iter().filter(|method| other.has_method(&method.name)).cloned().collect();
        if let Some(schemas) = &mut restricted.schemas {
            schemas.retain(|method| other.has_method(method));
        }
        restricted
    }

    /// The part of the surface that is recorded in a file, since clients depend on it: without version, docs
    /// and errors, in the order of the names.
    #[must_use]
    pub fn recorded(&self) -> Self {
        let mut methods = self.methods.to_vec();
        methods.iter_mut().for_each(|method| method.doc = Cow::default());
        methods.sort_by(|one, other| one.name.cmp(&other.name));
        let schemas = self.schemas.as_ref().map(|schemas| Box::new(schemas.without_annotations()));
        Self { interface: self.interface.clone(), methods: methods.into(), schemas, ..Self::default() }
    }

    /// The surface as indented JSON with a newline at its end.
    pub fn to_json(&self) -> String {
        // Strings, numbers and lists can always be serialized as JSON.
        let mut json = serde_json::to_string_pretty(self).unwrap_or_default();
        json.push('\n');
        json
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// If `json` is not the JSON of a surface; the message gives the position.
    pub fn from_json(json: &str) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }
}

impl Method {
    /// Its own deadline, or `general` if it has none.
    pub fn deadline_or(&self, general: Duration) -> Duration {
        self.deadline_ms.map_or(general, Duration::from_millis)
    }

    /// Whether a client may repeat a call when the connection was lost before its answer arrived: for a
    /// method that only reads, or is declared idempotent.
    pub fn is_repeatable(&self) -> bool {
        self.idempotent || self.read == Some(true)
    }

    /// Whether its result carries an object, `Remote<dyn Interface>`, which lives with a connection. The
    /// attribute knows an object by the same words.
    pub fn returns_object(&self) -> bool {
        let objects = self.returns.match_indices("Remote<dyn ");
        let mut before = objects.map(|(start, _)| self.returns[..start].chars().next_back());
        before.any(|c| c.is_none_or(|c| !c.is_alphanumeric() && c != '_'))
    }

    /// Its signature without its name, with the types as they are sent.
    fn signature(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let params = self
            .params
            .iter()
            .flat_map(|param| [Cow::Borrowed(&*param.name), Cow::Owned(type_text::as_sent(&param.ty))]);
        params.chain([Cow::Owned(type_text::as_sent(&self.returns))])
    }

    /// The attributes as in the source: `read, deadline = "30000ms"`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_a_remote_interface() {
        for (returns, expected) in [
            ("Result<Remote<dyn Room>>", true),
            ("Result<Vec<Option<mikobase::Remote<dyn house::Room>>>>", true),
            ("Remote<dyn Room>", true),
            ("Result<Vec<Remote>>", false),
            ("Result<Remote<u8>>", false),
            ("Result<NotRemote<dyn Room>>", false),
        ] {
            let method = Method {
                name: "get".into(),
                params: Cow::default(),
                returns: returns.into(),
                doc: Cow::default(),
                read: None,
                idempotent: false,
                deadline_ms: None,
            };
            assert_eq!(method.returns_object(), expected, "{returns}");
        }
    }
}
