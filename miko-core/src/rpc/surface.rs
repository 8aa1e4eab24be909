//! The surface of an interface: what it offers, as data.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The manifest of an interface: its name, its version and its methods.
///
/// The attribute makes one for each interface as a constant; one that came over a wire has the same type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surface {
    /// The name of the trait.
    pub interface: Cow<'static, str>,
    /// The version of the crate that defines it. It says nothing about compatibility: the methods do.
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
    #[serde(default)]
    pub doc: Cow<'static, str>,
    /// `Some(true)` if it only reads, `Some(false)` if it writes, `None` if the trait does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<bool>,
    /// May a client repeat it after a lost connection?
    #[serde(default)]
    pub idempotent: bool,
    /// Its default deadline in milliseconds, where the general one does not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

impl Method {
    /// Its own deadline, or `general` where it has none.
    pub fn deadline_or(&self, general: Duration) -> Duration {
        self.deadline_ms.map_or(general, Duration::from_millis)
    }

    /// Name and types: what both sides must agree on.
    fn shape(&self) -> impl Iterator<Item = &str> {
        let params = self.params.iter().flat_map(|param| [&*param.name, &*param.ty]);
        std::iter::once(&*self.name).chain(params).chain([&*self.returns])
    }
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

/// How a method that a client knows differs on a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The wire name of the method.
    pub method: String,
    /// Its signature on the client.
    pub client: String,
    /// Its signature on the server, `None` where it is missing.
    pub server: Option<String>,
}

impl Surface {
    /// The method with this wire name.
    pub fn method(&self, name: &str) -> Option<&Method> {
        self.methods.iter().find(|method| method.name == name)
    }

    /// A number that is the same for two surfaces exactly if name and methods agree in name and types, whatever
    /// their order, docs and attributes.
    pub fn fingerprint(&self) -> u64 {
        let methods = self.methods.iter().map(|method| fnv1a(method.shape()));
        methods.fold(fnv1a([&*self.interface].into_iter()), u64::wrapping_add)
    }

    /// What keeps a client of this surface from talking to `server`: nothing, where the server has all of the
    /// client's methods in the same shape. It may have more.
    pub fn differences_from(&self, server: &Surface) -> Vec<Difference> {
        let differs = |method: &&Method| {
            server.method(&method.name).is_none_or(|other| !other.shape().eq(method.shape()))
        };
        let difference = |method: &Method| Difference {
            method: method.name.clone().into_owned(),
            client: method.to_string(),
            server: server.method(&method.name).map(ToString::to_string),
        };
        self.methods.iter().filter(differs).map(difference).collect()
    }
}

impl std::fmt::Display for Method {
    /// As a signature: `record_by_pk(pk: &str) -> Result<Option<Record>>`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}(", self.name)?;
        for (i, param) in self.params.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{}: {}", param.name, param.ty)?;
        }
        write!(f, ") -> {}", self.returns)
    }
}

/// FNV-1a, 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>), with a byte that no UTF-8 text holds between
/// the parts. Stable across versions and platforms, unlike the hashers of the standard library.
fn fnv1a<'a>(parts: impl Iterator<Item = &'a str>) -> u64 {
    let bytes = parts.flat_map(|part| part.bytes().chain([0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(name: &'static str, ty: &'static str) -> Method {
        Method {
            name: name.into(),
            params: vec![Param { name: "x".into(), ty: ty.into() }].into(),
            returns: "Result<u64>".into(),
            doc: "".into(),
            read: None,
            idempotent: false,
            deadline_ms: None,
        }
    }

    fn surface(methods: Vec<Method>) -> Surface {
        Surface { interface: "Counter".into(), version: "1".into(), methods: methods.into() }
    }

    #[test]
    fn order_and_docs_do_not_change_the_fingerprint_and_types_do() {
        let (a, b) = (method("a", "u64"), method("b", "u64"));
        let documented = Method { doc: "Counts.".into(), ..a.clone() };
        let one = surface(vec![a.clone(), b.clone()]);
        assert_eq!(one.fingerprint(), surface(vec![b.clone(), documented]).fingerprint());
        assert_ne!(one.fingerprint(), surface(vec![method("a", "u32"), b]).fingerprint());
        assert_ne!(one.fingerprint(), surface(vec![a]).fingerprint());
    }

    #[test]
    fn a_server_may_have_grown_but_not_shrunk_or_changed() {
        let old = surface(vec![method("a", "u64")]);
        let grown = surface(vec![method("new", "u8"), method("a", "u64")]);
        assert_eq!(old.differences_from(&grown), []);
        let missing = grown.differences_from(&old);
        assert_eq!((missing.len(), &*missing[0].method, &missing[0].server), (1, "new", &None));
        let changed = old.differences_from(&surface(vec![method("a", "&str")]));
        assert_eq!(changed[0].client, "a(x: u64) -> Result<u64>");
        assert_eq!(changed[0].server.as_deref(), Some("a(x: &str) -> Result<u64>"));
    }
}
