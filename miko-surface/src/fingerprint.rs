//! The fingerprint of a surface: a hash by which two surfaces are compared without being sent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Method, Surface};

impl Surface {
    /// A hash of the interface's name, of the names, parameters and results of its methods, of the schemas of
    /// its types, and of the objects that it returns. The order, docs and attributes of methods do not affect
    /// it.
    ///
    /// It is stable across compilers, versions and platforms.
    pub fn fingerprint(&self) -> u64 {
        let method =
            |method: &Method| fnv1a([Cow::Borrowed(&*method.name)].into_iter().chain(method.signature()));
        let schemas = self
            .schemas
            .as_ref()
            .map(|schemas| schemas.hash_with(|json| fnv1a([Cow::Owned(canonical(json))].into_iter())));
        let parts = [
            joined(self.methods.iter().map(method)),
            joined(schemas.into_iter()),
            joined(self.objects.iter().map(Self::fingerprint)),
        ];
        fnv1a([Cow::Borrowed(&*self.interface)].into_iter().chain(parts.map(Cow::Owned)))
    }
}

/// Hashes as text, in ascending order.
fn joined(hashes: impl Iterator<Item = u64>) -> String {
    let mut hashes: Vec<u64> = hashes.collect();
    hashes.sort_unstable();
    hashes.into_iter().map(|hash| format!("{hash:016x}")).collect()
}

/// FNV-1a, 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>). The parts are separated by a byte that
/// does not occur in UTF-8. Unlike the hashers of the standard library, it is stable across versions and
/// platforms.
fn fnv1a<'a>(parts: impl Iterator<Item = Cow<'a, str>>) -> u64 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    parts.fold(0xcbf2_9ce4_8422_2325, |hash, part| mix(part.bytes().fold(hash, mix), 0xff))
}

/// The JSON text of a value, with the members of objects in the order of their keys.
fn canonical(json: &Value) -> String {
    match json {
        Value::Object(members) => {
            let sorted: BTreeMap<&String, String> =
                members.iter().map(|(key, value)| (key, canonical(value))).collect();
            let members: Vec<String> =
                sorted.iter().map(|(key, value)| format!("{}:{value}", Value::from(key.as_str()))).collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{Method, MethodSchemas, Param, SchemaSet, Schemas, Surface};

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
        Surface {
            interface: "Counter".into(),
            version: "1".into(),
            methods: methods.into(),
            ..Surface::default()
        }
    }

    #[test]
    fn order_docs_and_attributes_do_not_change_it_and_types_do() {
        let (a, b) = (method("a", "u64"), method("b", "u64"));
        let documented = Method { doc: "Counts.".into(), idempotent: true, ..a.clone() };
        let one = surface(vec![a.clone(), b.clone()]);
        assert_eq!(one.fingerprint(), surface(vec![b.clone(), documented]).fingerprint());
        assert_ne!(one.fingerprint(), surface(vec![method("a", "u32"), b]).fingerprint());
        assert_ne!(one.fingerprint(), surface(vec![a]).fingerprint());
    }

    #[test]
    fn the_interface_of_a_method_counts() {
        let (a, b) = (method("a", "u64"), method("b", "u64"));
        let with_object = |own: &[&Method], of_object: &[&Method]| {
            let methods = |methods: &[&Method]| methods.iter().copied().cloned().collect::<Vec<_>>();
            let object = Surface { interface: "Lease".into(), ..surface(methods(of_object)) };
            surface(methods(own)).with_objects(vec![object]).fingerprint()
        };
        let both = with_object(&[&a], &[&b]);
        assert_eq!(both, with_object(&[&a], &[&b]));
        for other in [with_object(&[&b], &[&a]), with_object(&[&a, &b], &[]), with_object(&[], &[&a, &b])] {
            assert_ne!(both, other);
        }
    }

    #[test]
    fn the_shapes_of_types_change_it_and_their_descriptions_do_not() {
        let described = |returns| {
            let method = MethodSchemas { returns, ..MethodSchemas::default() };
            let sent = SchemaSet { methods: [("a".to_owned(), method)].into(), ..SchemaSet::default() };
            surface(vec![method_a()]).described(Schemas::new(sent, SchemaSet::default())).fingerprint()
        };
        let plain = described(json!({"type": "object", "required": ["x"]}));
        assert_eq!(plain, described(json!({"description": "A point.", "required": ["x"], "type": "object"})));
        assert_ne!(plain, described(json!({"type": "object", "required": ["y"]})));
        assert_ne!(plain, surface(vec![method_a()]).fingerprint());
    }

    fn method_a() -> Method {
        method("a", "u64")
    }

    #[test]
    fn it_is_stable() {
        let counter = surface(vec![method("add", "u64")]);
        assert_eq!(format!("{:016x}", counter.fingerprint()), "81f432b0831afb44");
    }
}
