//! The wire names of an interface and its supertraits, compared while compiling.

/// The wire names of an interface's methods.
#[derive(Debug)]
pub struct MethodNames {
    /// The path of the interface, which tells it from others of the same name.
    pub interface: &'static str,
    /// The names of its own methods.
    pub own: &'static [&'static str],
    /// Those of its supertraits.
    pub supertraits: &'static [&'static Self],
}

impl MethodNames {
    /// The name of the interface, without its path.
    pub fn name(&self) -> &'static str {
        self.interface.rsplit("::").next().unwrap_or(self.interface)
    }

    /// Whether the interface or one of its supertraits has a method of this name.
    pub const fn contains(&self, name: &str) -> bool {
        let mut i = 0;
        while i < self.own.len() {
            if equal(self.own[i], name) {
                return true;
            }
            i += 1;
        }
        self.is_inherited(name)
    }

    /// Whether one of the supertraits has a method of this name.
    pub const fn is_inherited(&self, name: &str) -> bool {
        let mut i = 0;
        while i < self.supertraits.len() {
            if self.supertraits[i].contains(name) {
                return true;
            }
            i += 1;
        }
        false
    }

    /// Whether each name in the supertraits comes from one interface only, which may be a supertrait of
    /// several.
    pub const fn supertraits_are_distinct(&self) -> bool {
        let mut i = 0;
        while i < self.supertraits.len() {
            let mut j = 0;
            while j < i {
                if !self.supertraits[i].is_distinct_from(self.supertraits[j]) {
                    return false;
                }
                j += 1;
            }
            i += 1;
        }
        true
    }

    /// Whether no interface in `self` shares a name with another interface in `other`.
    const fn is_distinct_from(&self, other: &Self) -> bool {
        if !other.shares_no_name_with_own_of(self) {
            return false;
        }
        let mut i = 0;
        while i < self.supertraits.len() {
            if !self.supertraits[i].is_distinct_from(other) {
                return false;
            }
            i += 1;
        }
        true
    }

    /// Whether no method of `self`, own or inherited, has the name of an own method of `one`. True if both
    /// are the same interface.
    const fn shares_no_name_with_own_of(&self, one: &Self) -> bool {
        if equal(self.interface, one.interface) {
            return true;
        }
        let mut i = 0;
        while i < self.own.len() {
            let mut j = 0;
            while j < one.own.len() {
                if equal(self.own[i], one.own[j]) {
                    return false;
                }
                j += 1;
            }
            i += 1;
        }
        let mut i = 0;
        while i < self.supertraits.len() {
            if !self.supertraits[i].shares_no_name_with_own_of(one) {
                return false;
            }
            i += 1;
        }
        true
    }
}

/// Whether two texts are equal. `==` on `str` is not `const`.
const fn equal(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut i = 0;
    while i < one.len() {
        if one[i] != other[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: MethodNames = MethodNames { interface: "Base", own: &["get"], supertraits: &[] };
    const LEFT: MethodNames = MethodNames { interface: "Left", own: &["put"], supertraits: &[&BASE] };
    const RIGHT: MethodNames = MethodNames { interface: "Right", own: &["add"], supertraits: &[&BASE] };
    const OTHER: MethodNames = MethodNames { interface: "Other", own: &["get"], supertraits: &[] };

    #[test]
    fn names_are_inherited() {
        assert!(LEFT.contains("put") && LEFT.contains("get") && !LEFT.contains("add"));
        assert!(LEFT.is_inherited("get") && !LEFT.is_inherited("put"));
    }

    #[test]
    fn supertraits_may_share_a_supertrait_but_no_name() {
        let cases: [(&'static [&'static MethodNames], bool); 6] = [
            (&[&LEFT, &RIGHT], true),
            (&[&LEFT, &BASE], true),
            (&[&BASE, &LEFT], true),
            (&[&LEFT, &OTHER], false),
            (&[&OTHER, &RIGHT], false),
            (&[&BASE, &OTHER], false),
        ];
        for (supertraits, expected) in cases {
            let names = MethodNames { interface: "Top", own: &[], supertraits };
            assert_eq!(names.supertraits_are_distinct(), expected, "{supertraits:?}");
        }
    }
}
