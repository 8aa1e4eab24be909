//! The traits between generated code and its generic callers.

use miko_surface::Surface;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::call::{Call, Served};
use crate::client::Client;
use crate::dispatch::{self, DispatchError};
use crate::error::Result;
use crate::method_names::MethodNames;

/// An interface that can be shared. The attribute implements it for `dyn Trait`.
pub trait Interface: 'static {
    /// The wire names of the methods, compared while compiling: supertraits must not share one.
    const NAMES: &'static MethodNames;

    /// The surface of the interface, with the methods of its supertraits, and without the objects that they
    /// return.
    fn own_surface() -> &'static Surface;

    /// The surface of the interface, with the methods of its supertraits, and the objects that they return.
    fn surface() -> &'static Surface {
        Self::own_surface()
    }

    /// The interfaces whose objects the methods return.
    fn objects() -> Vec<ObjectInterface> {
        Vec::new()
    }

    /// Runs one call. A panic inside the method becomes an error with id `internal`.
    ///
    /// # Errors
    /// If the method was not run, or its answer cannot be sent: those of [`Call::run`] and
    /// [`Call::unknown`].
    fn serve(&self, call: Call<'_>) -> Result<Served>;

    /// The proxy as the interface that it implements.
    fn of_client(client: &Client<Self>) -> &Self;

    /// Runs the method with this wire name and returns its result as JSON text. `params` are an object by
    /// name or an array by position. A later answer is waited for. A result that carries objects or streams
    /// needs a [`JsonSession`](crate::JsonSession).
    ///
    /// # Errors
    /// [`DispatchError::Request`], if the method does not exist or `params` do not fit it, or with `internal`
    /// if its result has no JSON form; [`DispatchError::Failed`] with the error of the method itself.
    fn dispatch(&self, method: &str, params: Value) -> Result<Box<RawValue>, DispatchError> {
        let mut result = None;
        self.serve(Call::json(method, params, &mut result))?;
        dispatch::written_raw(result, method)
    }
}

/// An interface whose objects a method returns. Interfaces may refer to each other, so it is looked at when
/// it is needed.
pub struct ObjectInterface {
    name: &'static str,
    own_surface: fn() -> &'static Surface,
    objects: fn() -> Vec<Self>,
}

impl ObjectInterface {
    /// The interface `I`.
    pub fn of<I: Interface + ?Sized>() -> Self {
        Self { name: I::NAMES.interface, own_surface: I::own_surface, objects: I::objects }
    }

    /// The surface of the interface `I` with those of all interfaces whose objects its methods return, also
    /// by way of other objects.
    ///
    /// # Panics
    /// If two of these interfaces have the same name. A client knows the interface of an object by its name,
    /// since it may have the trait in another module than the server.
    pub fn join<I: Interface + ?Sized>() -> Surface {
        let (mut seen, mut surfaces) = (Vec::<&str>::new(), Vec::new());
        let mut unseen = I::objects();
        while let Some(interface) = unseen.pop() {
            if !seen.contains(&interface.name) {
                seen.push(interface.name);
                surfaces.push((interface.own_surface)().clone());
                unseen.extend((interface.objects)());
            }
        }
        let root = I::NAMES.interface;
        seen.retain(|name| *name != root);
        seen.push(root);
        if let Some((one, other)) = namesakes(&seen) {
            panic!(
                "the interfaces `{one}` and `{other}` have the same name, by which objects are told apart: \
                 rename one of the traits"
            );
        }
        surfaces.sort_by(|one, other| one.interface.cmp(&other.interface));
        I::own_surface().with_objects(surfaces)
    }
}

/// Two of these paths that end with the same name.
fn namesakes<'p>(paths: &[&'p str]) -> Option<(&'p str, &'p str)> {
    let name = |path: &'p str| path.rsplit("::").next();
    let mut sorted = paths.to_vec();
    sorted.sort_unstable_by_key(|path| (name(path), *path));
    sorted.windows(2).find(|pair| name(pair[0]) == name(pair[1])).map(|pair| (pair[0], pair[1]))
}

/// Implemented for every [`Interface`]. It exists for its message, about a supertrait without the attribute.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an interface",
    label = "this trait has no `#[mikobase_interface]`",
    note = "an interface and its supertraits, other than `Send`, `Sync` and `'static`, have the attribute"
)]
pub trait IsInterface {}

#[diagnostic::do_not_recommend]
impl<I: Interface + ?Sized> IsInterface for I {}
