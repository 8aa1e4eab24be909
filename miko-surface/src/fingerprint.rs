//! The fingerprint of a surface: a hash by which two surfaces are compared without being sent.

use crate::{Method, Surface};

impl Surface {
    /// A hash of the interface's name and of the names, parameters and results of its methods. The order,
    /// docs and attributes of methods do not affect it.
    ///
    /// It is stable across compilers, versions and platforms.
    pub fn fingerprint(&self) -> u64 {
        let method = |method: &Method| fnv1a([&*method.name].into_iter().chain(method.shape()));
        self.methods.iter().map(method).fold(fnv1a([&*self.interface].into_iter()), u64::wrapping_add)
    }
}

/// FNV-1a, 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>). The parts are separated by a byte that
/// does not occur in UTF-8. Unlike the hashers of the standard library, it is stable across versions and
/// platforms.
fn fnv1a<'a>(parts: impl Iterator<Item = &'a str>) -> u64 {
    let bytes = parts.flat_map(|part| part.bytes().chain([0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use crate::{Method, Param, Surface};

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
    fn order_docs_and_attributes_do_not_change_it_and_types_do() {
        let (a, b) = (method("a", "u64"), method("b", "u64"));
        let documented = Method { doc: "Counts.".into(), idempotent: true, ..a.clone() };
        let one = surface(vec![a.clone(), b.clone()]);
        assert_eq!(one.fingerprint(), surface(vec![b.clone(), documented]).fingerprint());
        assert_ne!(one.fingerprint(), surface(vec![method("a", "u32"), b]).fingerprint());
        assert_ne!(one.fingerprint(), surface(vec![a]).fingerprint());
    }

    #[test]
    fn it_is_stable() {
        let counter = surface(vec![method("add", "u64")]);
        assert_eq!(format!("{:016x}", counter.fingerprint()), "df1fb9156df2a475");
    }
}
