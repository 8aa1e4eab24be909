//! Interfaces whose methods return objects of other interfaces, streams and later answers, in one process.

use std::panic::catch_unwind;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use mikobase::rpc::{Interface, JsonItem, JsonSession, Surface};
use mikobase::{ErrorId, Later, Remote, Result, Stream, json, mikobase_interface};

/// Rooms that lead to each other.
#[mikobase_interface]
trait House {
    fn room(&self) -> Result<Remote<dyn Room>>;
}

#[mikobase_interface]
trait Room: Send + Sync {
    fn name(&self) -> Result<String>;
    fn next(&self) -> Result<Vec<Option<Remote<dyn Room>>>>;
    fn key(&self) -> Later<Remote<dyn Key>>;
}

#[mikobase_interface]
trait Key: Send + Sync {
    fn house(&self) -> Result<Remote<dyn OtherHouse>>;
}

#[mikobase_interface]
trait OtherHouse: House + Send + Sync {
    fn guests(&self) -> Result<Stream<String>>;
}

struct Built(Mutex<u64>);

impl House for Built {
    fn room(&self) -> Result<Remote<dyn Room>> {
        *self.0.lock().unwrap() += 1;
        let object: Arc<dyn Room> = Arc::new(Built(Mutex::new(*self.0.lock().unwrap())));
        Ok(object.into())
    }
}

impl Room for Built {
    fn name(&self) -> Result<String> {
        Ok(format!("room {}", self.0.lock().unwrap()))
    }

    fn next(&self) -> Result<Vec<Option<Remote<dyn Room>>>> {
        Ok(vec![None, Some(self.room()?)])
    }

    fn key(&self) -> Later<Remote<dyn Key>> {
        Ok(Remote::local(Box::new(Built(Mutex::new(0))) as Box<dyn Key>)).into()
    }
}

impl Key for Built {
    fn house(&self) -> Result<Remote<dyn OtherHouse>> {
        Ok(Remote::local(Box::new(Built(Mutex::new(10)))))
    }
}

impl OtherHouse for Built {
    fn guests(&self) -> Result<Stream<String>> {
        Ok(Stream::of(["one", "two"].map(str::to_owned)))
    }
}

#[test]
fn a_surface_has_each_interface_that_can_be_reached_once() {
    let names = |surface: &Surface| {
        surface.objects.iter().map(|object| object.interface.to_string()).collect::<Vec<_>>()
    };
    let surface = <dyn House>::surface();
    assert_eq!(names(surface), ["Key", "OtherHouse", "Room"]);
    let methods: Vec<&str> = surface.all_methods().map(|method| &*method.name).collect();
    assert_eq!(methods, ["room", "house", "guests", "room", "name", "next", "key"]);
    assert_eq!(names(<dyn OtherHouse>::surface()), ["Key", "OtherHouse", "Room"]);
    assert!(names(<dyn House>::own_surface()).is_empty());
    assert_eq!(surface.differences_from(surface), []);
    let read = Surface::from_json(&surface.to_json()).unwrap();
    assert_eq!(read.fingerprint(), surface.fingerprint());
}

/// Another interface called `Key`, beside that of the rooms.
mod other_key {
    #[super::mikobase_interface]
    pub trait Key: Send + Sync {
        fn turn(&self) -> super::Result<()>;
    }
}

#[mikobase_interface]
trait Locksmith {
    fn house(&self) -> Result<Remote<dyn OtherHouse>>;
    fn key(&self) -> Result<Remote<dyn other_key::Key>>;
}

#[test]
fn two_interfaces_of_one_name_are_refused() {
    let message = catch_unwind(<dyn Locksmith>::surface).unwrap_err().downcast::<String>().unwrap();
    let path = module_path!();
    assert_eq!(
        *message,
        format!(
            "the interfaces `{path}::Key` and `{path}::other_key::Key` have the same name, by which objects \
             are told apart: rename one of the traits"
        )
    );
}

#[test]
fn an_object_implements_its_interface_and_the_supertraits() {
    fn room_of(house: &impl House) -> Result<String> {
        house.room()?.next()?.pop().unwrap().unwrap().name()
    }
    let house = Built(Mutex::new(0));
    assert_eq!(room_of(&house).unwrap(), "room 2");
    let other = house.room().unwrap().key().wait().unwrap().house().unwrap();
    assert_eq!(room_of(&other).unwrap(), "room 12");
    let guests: Result<Vec<String>> = other.guests().unwrap().collect();
    assert_eq!(guests.unwrap(), ["one", "two"]);
}

#[test]
fn calls_by_name_reach_objects_and_streams_in_a_session() {
    let house = Built(Mutex::new(0));
    let mut session = JsonSession::new(&house as &dyn House);
    let mut call = |object, method, params| match object {
        0 => session.dispatch(method, params).unwrap().get().to_owned(),
        object => session.dispatch_to(object, method, params).unwrap().get().to_owned(),
    };
    assert_eq!(call(0, "room", json!({})), r#"{"object":1}"#);
    assert_eq!(call(1, "next", json!({})), r#"[null,{"object":2}]"#);
    assert_eq!(call(2, "name", json!([])), r#""room 2""#);
    assert_eq!(call(2, "key", json!({})), r#"{"object":3}"#);
    assert_eq!(call(3, "house", json!({})), r#"{"object":4}"#);
    assert_eq!(call(4, "guests", json!({})), r#"{"stream":5}"#);
    assert_eq!(call(4, "room", json!({})), r#"{"object":6}"#);
    assert_eq!(session.surface_of(6).unwrap().interface, "Room");
    assert_eq!(session.streams().collect::<Vec<_>>(), [5]);
    let mut items = Vec::new();
    while let Poll::Ready(JsonItem::Item { seq, item }) = session.next_item(5, None).unwrap() {
        items.push((seq, item.get().to_owned()));
    }
    assert_eq!(items, [(1, r#""one""#.to_owned()), (2, r#""two""#.to_owned())]);
    assert!(session.next_item(5, None).unwrap_err().is(ErrorId::SESSION_GONE), "it has ended");
    assert!(session.release(1) && !session.release(1));
    let error = session.dispatch_to(1, "name", json!({})).unwrap_err();
    assert!(error.to_string().contains("no such object"), "{error}");
}

#[test]
fn without_a_connection_an_object_is_not_a_value() {
    let house = Built(Mutex::new(0));
    let error = (&house as &dyn House).dispatch("room", json!({})).unwrap_err();
    assert!(error.to_string().contains("over a connection"), "{error}");
}
