//! Interfaces whose supertraits are interfaces.

use std::cell::Cell;

use mikobase::rpc::{Interface, Proxy};
use mikobase::{Result, json, mikobase_interface};

use crate::Loopback;

mod shelf {
    use mikobase::{Result, mikobase_interface};

    /// What can be read.
    #[mikobase_interface]
    pub trait Read {
        #[interface(read)]
        fn get(&self) -> Result<u64>;
    }

    /// What can be written, too.
    #[mikobase_interface]
    pub trait Write: Read + Send {
        #[interface(write)]
        fn set(&self, value: u64) -> Result<u64>;

        /// Runs where it is called.
        #[interface(local)]
        fn increment(&self) -> Result<u64> {
            self.set(self.get()? + 1)
        }
    }
}

/// Another interface with the same supertrait.
#[mikobase_interface]
trait Named: shelf::Read {
    fn name(&self) -> Result<String>;
}

/// An interface without a method of its own: two others, of which both have a third.
#[mikobase_interface]
trait Whole: shelf::Write + Named {}

#[derive(Default)]
struct Counter(std::sync::Mutex<Cell<u64>>);

impl shelf::Read for Counter {
    fn get(&self) -> Result<u64> {
        Ok(self.0.lock().unwrap().get())
    }
}

impl shelf::Write for Counter {
    fn set(&self, value: u64) -> Result<u64> {
        self.0.lock().unwrap().set(value);
        Ok(value)
    }
}

impl Named for Counter {
    fn name(&self) -> Result<String> {
        Ok("a counter".to_owned())
    }
}

impl Whole for Counter {}

#[test]
fn a_proxy_implements_the_supertraits_of_its_interface() {
    use shelf::{Read, Write};
    let proxy =
        whole_rpc::WholeClient::new(Box::new(Loopback(Counter::default(), |it: &Counter| it as &dyn Whole)));
    assert_eq!(proxy.set(4).unwrap(), 4);
    assert_eq!(proxy.increment().unwrap(), 5);
    assert_eq!(proxy.get().unwrap(), 5);
    assert_eq!(proxy.name().unwrap(), "a counter");
    let as_supertrait: &dyn Read = proxy.as_interface();
    assert_eq!(as_supertrait.get().unwrap(), 5);
    fn read(shelf: &impl Read) -> u64 {
        shelf.get().unwrap()
    }
    assert_eq!(read(&proxy), 5);
}

#[test]
fn a_call_by_name_reaches_the_methods_of_supertraits() {
    let whole: &dyn Whole = &Counter::default();
    let call = |method: &str, params| match whole.dispatch(method, params) {
        Ok(result) => result.get().to_owned(),
        Err(error) => error.to_string(),
    };
    assert_eq!(call("set", json!([3])), "3");
    assert_eq!(call("get", json!([])), "3");
    assert_eq!(call("name", json!([])), r#""a counter""#);
    assert_eq!(
        call("shout", json!([])),
        "invalid_request: Whole has no method `shout` (found: \"shout\", known: [\"set\",\"get\",\"name\"])"
    );
}

#[test]
fn the_surface_has_each_method_once() {
    let names = |surface: &mikobase::rpc::Surface| {
        surface.methods.iter().map(|method| method.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(<dyn Whole>::surface()), ["set", "get", "name"]);
    assert_eq!(names(<dyn Named>::surface()), ["name", "get"]);
    assert_eq!(<dyn Whole>::surface().interface, "Whole");
    // A client of a part of it is served by what has all of it, but for the name of the interface.
    assert_eq!(<dyn Named>::surface().differences_from(<dyn Whole>::surface()), []);
}
