//! Compares two surfaces, and tells whether clients that were built with the old one still work.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::compatibility::{Mismatch, Typed, check};
use crate::schemas::{MethodSchemas, SchemaSet, Schemas};
use crate::type_text::{as_sent, is_option};
use crate::{Method, Param, Surface};

/// One change from an old surface to a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The interface has another name.
    Interface {
        /// Its old name.
        was: String,
        /// Its new name.
        is: String,
    },
    /// A new method.
    Added(Method),
    /// A removed method.
    Removed(Method),
    /// A removed method and a new one with the same signature.
    Renamed {
        /// The method under its old name.
        was: Method,
        /// The method under its new name.
        is: Method,
    },
    /// A method whose parameters or result differ.
    Retyped {
        /// The method as it was.
        was: Method,
        /// The method as it is.
        is: Method,
    },
    /// A method that gained or lost optional parameters, and is otherwise the same.
    Optional {
        /// The method as it was.
        was: Method,
        /// The method as it is.
        is: Method,
    },
    /// A method whose types have other shapes.
    Reshaped {
        /// The method as it is.
        is: Method,
        /// Why old clients do not understand the new server, by place. Empty if they do.
        refused: Vec<String>,
    },
    /// A method whose signature is the same and whose attributes differ.
    Attributes {
        /// The method as it was.
        was: Method,
        /// The method as it is.
        is: Method,
    },
}

/// A method of a client that is missing or different on the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The wire name of the method.
    pub method: String,
    /// Its signature on the client.
    pub client: String,
    /// Its signature on the server, `None` where it is missing.
    pub server: Option<String>,
    /// Where the shapes of its types differ, and how.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
}

impl fmt::Display for Difference {
    /// The name of the method, and where its types differ.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.method)?;
        if self.places.is_empty() { Ok(()) } else { write!(f, " ({})", self.places.join("; ")) }
    }
}

impl Surface {
    /// All changes from `old` to this surface. The order and the docs of methods are not compared.
    pub fn changes_since(&self, old: &Self) -> Vec<Change> {
        let budget = Budget::of_surface();
        let mut changes = Vec::new();
        if self.interface != old.interface {
            changes
                .push(Change::Interface { was: old.interface.to_string(), is: self.interface.to_string() });
        }
        let mut added: Vec<&Method> =
            self.methods.iter().filter(|method| old.method(&method.name).is_none()).collect();
        for was in old.methods.iter() {
            match self.method(&was.name) {
                Some(is) => changes.extend(self.change_of(is, old, was, &budget)),
                None => changes.push(removed_or_renamed(was, &mut added)),
            }
        }
        changes.extend(added.into_iter().cloned().map(Change::Added));
        changes
    }

    /// The change from `was`, a method of `old`, to `is`, the method of the same name here.
    fn change_of(&self, is: &Method, old: &Self, was: &Method, budget: &Budget) -> Option<Change> {
        let attributes = |method: &Method| (method.read, method.idempotent, method.deadline_ms);
        let changed = match (self.types_of(is), old.types_of(was)) {
            (Some(new), Some(old)) => reshaped(is, &new, was, &old, budget),
            _ if was.signature().eq(is.signature()) => None,
            _ if differ_in_options(was, is) => Some(Change::Optional { was: was.clone(), is: is.clone() }),
            _ => Some(Change::Retyped { was: was.clone(), is: is.clone() }),
        };
        let has_other_attributes = attributes(was) != attributes(is);
        changed
            .or_else(|| has_other_attributes.then(|| Change::Attributes { was: was.clone(), is: is.clone() }))
    }

    /// The methods that prevent a client of this surface from using `server`. There are none if the server
    /// has all methods of the client, and each side can read what the other sends: by the schemas of both,
    /// or by the signatures, which may differ in optional parameters. The server may have other methods.
    ///
    /// The same holds for the objects that the methods return; their methods are named `Interface::method`.
    pub fn differences_from(&self, server: &Self) -> Vec<Difference> {
        let budget = Budget::of_surface();
        let own = self.methods.iter().filter_map(|method| self.difference_of(method, server, &budget));
        let of_objects = self.objects.iter().flat_map(|object| {
            // An interface that the server does not have has no methods there.
            let missing = Self::default();
            let theirs = server.of_interface(&object.interface).unwrap_or(&missing);
            let difference_of = |method| object.difference_of(method, theirs, &budget);
            let differences = object.methods.iter().filter_map(difference_of);
            let named = |difference: Difference| Difference {
                method: format!("{}::{}", object.interface, difference.method),
                ..difference
            };
            differences.map(named).collect::<Vec<_>>()
        });
        own.chain(of_objects).collect()
    }

    /// What prevents a client of this surface from calling `method` on `server`.
    fn difference_of(&self, method: &Method, server: &Self, budget: &Budget) -> Option<Difference> {
        let difference = |theirs: Option<&Method>, places| Difference {
            method: method.name.to_string(),
            client: method.to_string(),
            server: theirs.map(ToString::to_string),
            places,
        };
        let Some(theirs) = server.method(&method.name) else {
            return Some(difference(None, Vec::new()));
        };
        let fits = match (self.types_of(method), server.types_of(theirs)) {
            (Some(client), Some(server)) => {
                let places = incompatible_places(&client, &server, budget);
                return (!places.is_empty()).then(|| difference(Some(theirs), places));
            }
            _ => method.signature().eq(theirs.signature()) || differ_in_options(method, theirs),
        };
        (!fits).then(|| difference(Some(theirs), Vec::new()))
    }

    /// The schemas of a method's types, if the interface describes them.
    fn types_of(&self, method: &Method) -> Option<MethodTypes<'_>> {
        let Schemas { sent, received, .. } = &**self.schemas.as_ref()?;
        Some(MethodTypes {
            sends: sent.methods.get(&*method.name)?,
            sent,
            reads: received.methods.get(&*method.name)?,
            received,
        })
    }
}

/// Whether two signatures differ only in parameters that may be omitted.
fn differ_in_options(was: &Method, is: &Method) -> bool {
    let is_missing =
        |param: &Param, other: &Method| other.params.iter().all(|known| known.name != param.name);
    let common = |method: &Method, other: &Method| {
        let params = method.params.iter().filter(|param| !is_missing(param, other));
        params.map(|param| (param.name.to_string(), as_sent(&param.ty))).collect::<Vec<_>>()
    };
    let only_options = |method: &Method, other: &Method| {
        method.params.iter().all(|param| !is_missing(param, other) || is_option(&param.ty))
    };
    as_sent(&was.returns) == as_sent(&is.returns)
        && common(was, is) == common(is, was)
        && only_options(was, is)
        && only_options(is, was)
}

/// The schemas of a method's types on one side.
struct MethodTypes<'s> {
    /// The types as they are sent, and the definitions that they refer to.
    sends: &'s MethodSchemas,
    sent: &'s SchemaSet,
    /// The types as they are received, and the definitions that they refer to.
    reads: &'s MethodSchemas,
    received: &'s SchemaSet,
}

impl MethodTypes<'_> {
    /// All that the schemas say about values.
    fn bare(&self, method: &Method) -> [SchemaSet; 2] {
        [self.sent, self.received].map(|set| set.of_method(&method.name).without_annotations())
    }
}

/// The change of a method whose types are described on both sides.
fn reshaped(
    is: &Method,
    new: &MethodTypes<'_>,
    was: &Method,
    old: &MethodTypes<'_>,
    budget: &Budget,
) -> Option<Change> {
    let refused = incompatible_places(old, new, budget);
    let names = |method: &Method| method.params.iter().map(|param| param.name.clone()).collect::<Vec<_>>();
    let is_same = names(is) == names(was) && new.bare(is) == old.bare(was);
    (!is_same || !refused.is_empty()).then(|| Change::Reshaped { is: is.clone(), refused })
}

/// Where a client and a server cannot read what the other side sends.
fn incompatible_places(client: &MethodTypes<'_>, server: &MethodTypes<'_>, budget: &Budget) -> Vec<String> {
    let mut places = Vec::new();
    for (name, read) in &server.reads.params {
        let compared = match client.sends.params.get(name) {
            Some(sent) => check(
                Typed { schema: sent, set: client.sent },
                Typed { schema: read, set: server.received },
                budget,
            ),
            None if server.reads.optional.contains(name) => Ok(()),
            None => Err(Mismatch::whole("it is required, and the client does not send it")),
        };
        places.extend(compared.err().map(|mismatch| format!("argument `{name}`: {mismatch}")));
    }
    let is_unknown = |name: &&String| !server.reads.params.contains_key(*name);
    for name in client.sends.params.keys().filter(is_unknown) {
        if !client.reads.optional.contains(name) {
            places.push(format!("argument `{name}`: it is sent, and the server does not know it"));
        }
    }
    for (what, sent, read) in [
        ("result", &server.sends.returns, &client.reads.returns),
        ("error", &server.sends.error, &client.reads.error),
    ] {
        let compared = check(
            Typed { schema: sent, set: server.sent },
            Typed { schema: read, set: client.received },
            budget,
        );
        places.extend(compared.err().map(|mismatch| format!("{what}: {mismatch}")));
    }
    places
}

/// The change for a missing method: renamed if one of `added`, which it is then removed from, has its
/// signature.
fn removed_or_renamed(was: &Method, added: &mut Vec<&Method>) -> Change {
    match added.iter().position(|method| method.signature().eq(was.signature())) {
        Some(renamed) => Change::Renamed { was: was.clone(), is: added.remove(renamed).clone() },
        None => Change::Removed(was.clone()),
    }
}

impl Change {
    /// Whether clients that were built with the old surface are accepted and get the results that they
    /// expect.
    pub fn old_clients_work(&self) -> bool {
        match self {
            Self::Added(_) | Self::Attributes { .. } | Self::Optional { .. } => true,
            Self::Reshaped { refused, .. } => refused.is_empty(),
            Self::Interface { .. } | Self::Removed(_) | Self::Renamed { .. } | Self::Retyped { .. } => false,
        }
    }
}

impl fmt::Display for Change {
    /// Describes the change and its effect on old clients.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface { was, is } => {
                write!(
                    f,
                    "the interface was `{was}` and is `{is}`: old clients are refused when they connect"
                )
            }
            Self::Added(is) => write!(f, "added: `{is}`. Old clients still work"),
            Self::Removed(was) => {
                write!(f, "removed: `{was}`. Old clients are refused when they connect")
            }
            Self::Renamed { was, is } => write!(
                f,
                "renamed: `{was}` is now `{}`. Old clients are refused when they connect, unless the name \
                 on the wire stays: `#[interface(name = \"{}\")]`",
                is.name, was.name
            ),
            Self::Retyped { was, is } => {
                write!(f, "changed: it was `{was}` and is `{is}`. Old clients are refused when they connect")
            }
            Self::Optional { was, is } => {
                write!(
                    f,
                    "changed: it was `{was}` and is `{is}`. Old clients still work, without the new \
                     parameters"
                )
            }
            Self::Reshaped { is, refused } if refused.is_empty() => {
                write!(
                    f,
                    "changed: the types of `{}` differ in a compatible way. Old clients still work",
                    is.name
                )
            }
            Self::Reshaped { is, refused } => write!(
                f,
                "changed: the types of `{}` differ. Old clients are refused when they connect: {}",
                is.name,
                refused.join("; ")
            ),
            Self::Attributes { was, is } => write!(
                f,
                "changed: the attributes of `{}` were {} and are {}. Old clients still work, and \
                 keep the old attributes",
                is.name,
                was.attributes(),
                is.attributes()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use crate::{Change, Difference, Method, Param, Surface};

    /// A surface from signatures such as `add by:u64 -> u64 read`.
    fn surface(methods: &[&str]) -> Surface {
        let methods: Vec<Method> = methods.iter().copied().map(method).collect();
        Surface {
            interface: "Counter".into(),
            version: "1".into(),
            methods: methods.into(),
            ..Surface::default()
        }
    }

    fn method(text: &str) -> Method {
        let (signature, rest) = text.split_once(" -> ").unwrap_or((text, "()"));
        let (returns, attributes) = rest.split_once(' ').unwrap_or((rest, ""));
        let mut words = signature.split(' ');
        let owned = |text: &str| Cow::Owned(text.to_owned());
        let name = owned(words.next().unwrap_or_default());
        let param = |word: &str| {
            let (name, ty) = word.split_once(':').unwrap_or((word, "u64"));
            Param { name: owned(name), ty: owned(ty) }
        };
        Method {
            name,
            params: words.map(param).collect(),
            returns: owned(returns),
            doc: "".into(),
            read: attributes.contains("read").then_some(true),
            idempotent: attributes.contains("idempotent"),
            deadline_ms: attributes.contains("deadline").then_some(5000),
        }
    }

    #[test]
    fn objects_are_compared_by_the_names_of_their_interfaces() {
        let begin = |objects: Vec<Surface>| surface(&["begin"]).with_objects(objects);
        let object =
            |name: &'static str, methods: &[&str]| Surface { interface: name.into(), ..surface(methods) };
        let client = begin(vec![object("Transaction", &["commit", "undo x"])]);
        let server = |methods: &[&str]| begin(vec![object("Other", &[]), object("Transaction", methods)]);
        assert_eq!(client.differences_from(&server(&["undo x", "commit", "more"])), []);
        let names = |server: &Surface| {
            let differences = client.differences_from(server);
            differences.into_iter().map(|difference| difference.method).collect::<Vec<_>>()
        };
        assert_eq!(names(&server(&["commit"])), ["Transaction::undo"]);
        assert_eq!(names(&begin(Vec::new())), ["Transaction::commit", "Transaction::undo"]);
        assert_ne!(client.fingerprint(), begin(Vec::new()).fingerprint());
        assert_eq!(client.all_methods().count(), 3);
    }

    #[test]
    fn each_change_says_what_it_means_for_old_clients() {
        let cases: &[(&[&str], &[&str], &[&str])] = &[
            (&["add by:u64"], &["add by:u64"], &[]),
            (&["a x", "b y"], &["b y", "a x"], &[]),
            (&["a x"], &["a x", "b y"], &["added: `b(y: u64) -> ()`. Old clients still work"]),
            (
                &["a x", "b y"],
                &["a x"],
                &["removed: `b(y: u64) -> ()`. Old clients are refused when they connect"],
            ),
            (
                &["add by:u64 -> i64"],
                &["plus by:u64 -> i64"],
                &["renamed: `add(by: u64) -> i64` is now `plus`. Old clients are refused when they \
                     connect, unless the name on the wire stays: `#[interface(name = \"add\")]`"],
            ),
            (
                &["add by:u64"],
                &["add by:i64"],
                &["changed: it was `add(by: u64) -> ()` and is `add(by: i64) -> ()`. Old clients are \
                     refused when they connect"],
            ),
            (
                &["get -> u64"],
                &["get -> u64 read idempotent deadline"],
                &["changed: the attributes of `get` were none and are `read, idempotent, deadline = \
                     \"5000ms\"`. Old clients still work, and keep the old attributes"],
            ),
            (
                &["a x", "b y"],
                &["c z:bool", "d y"],
                &[
                    "removed: `a(x: u64) -> ()`. Old clients are refused when they connect",
                    "renamed: `b(y: u64) -> ()` is now `d`. Old clients are refused when they connect, \
                     unless the name on the wire stays: `#[interface(name = \"b\")]`",
                    "added: `c(z: bool) -> ()`. Old clients still work",
                ],
            ),
        ];
        for (old, new, expected) in cases {
            let changes = surface(new).changes_since(&surface(old));
            let sentences: Vec<String> = changes.iter().map(ToString::to_string).collect();
            assert_eq!(&sentences, expected, "{old:?} {new:?}");
        }
    }

    #[test]
    fn a_server_may_have_grown_but_not_shrunk_or_changed() {
        let old = surface(&["a x"]);
        let grown = surface(&["b y", "a x -> () idempotent"]);
        assert_eq!(old.differences_from(&grown), []);
        let difference = |method: &str, client: &str, server: Option<&str>| Difference {
            method: method.to_owned(),
            client: client.to_owned(),
            server: server.map(ToOwned::to_owned),
            places: Vec::new(),
        };
        assert_eq!(grown.differences_from(&old), [difference("b", "b(y: u64) -> ()", None)]);
        assert_eq!(
            old.differences_from(&surface(&["a x:&str"])),
            [difference("a", "a(x: u64) -> ()", Some("a(x: &str) -> ()"))]
        );
    }

    #[test]
    fn another_interface_is_a_change_of_its_own() {
        let renamed = Surface { interface: "Tally".into(), ..surface(&["a x"]) };
        let changes = renamed.changes_since(&surface(&["a x"]));
        assert_eq!(changes, [Change::Interface { was: "Counter".into(), is: "Tally".into() }]);
        assert!(!changes[0].old_clients_work());
    }

    #[test]
    fn what_is_recorded_is_read_back_and_is_no_change() {
        let mut whole = surface(&["b y -> u64 read", "a x"]);
        whole.methods.to_mut()[0].doc = "Counts.".into();
        let json = whole.recorded().to_json();
        let record = Surface::from_json(&json);
        assert_eq!(record.as_ref().map(Surface::to_json).ok().as_deref(), Some(&*json));
        assert_eq!(record.map(|record| whole.changes_since(&record)).ok(), Some(vec![]));
        assert!(!json.contains("Counts") && !json.contains("version"), "{json}");
    }
}
