//! `macro_rules!` puts invisible groups around the types that it is given.

#![deny(warnings)]

macro_rules! store {
    (
        $(#[$meta:meta])*
        $vis:vis $name:ident of $value:ty, by $key:ty, with $error:ty, $read:ident $write:ident
    ) => {
        $(#[$meta])*
        #[mikobase::mikobase_interface]
        $vis trait $name: Send + Sync {
            #[doc = concat!("Reads a value of ", stringify!($value))]
            #[interface(read)]
            fn $read(&self, key: $key) -> ::core::result::Result<Option<$value>, $error>;

            #[interface(write, deadline = "3s")]
            fn $write(&self, key: $key, values: &[$value], more: Vec<$value>) -> Answer<$value, $error>;
        }
    };
}

type Answer<T, E> = Result<Vec<T>, E>;

store!(
    /// Counts.
    #[allow(dead_code)]
    pub Counts of u64, by &str, with mikobase::Error, count set_count
);

store!(Names of (u8, Option<String>), by &[u8], with mikobase::Error, name set_name);

struct Nothing;

impl Counts for Nothing {
    fn count(&self, key: &str) -> Result<Option<u64>, mikobase::Error> {
        Ok(Some(key.len() as u64))
    }

    fn set_count(&self, _: &str, values: &[u64], more: Vec<u64>) -> Result<Vec<u64>, mikobase::Error> {
        Ok([values, &more].concat())
    }
}

impl Names for Nothing {
    fn name(&self, key: &[u8]) -> Result<Option<(u8, Option<String>)>, mikobase::Error> {
        Ok(key.first().map(|first| (*first, None)))
    }

    fn set_name(
        &self,
        _: &[u8],
        values: &[(u8, Option<String>)],
        _: Vec<(u8, Option<String>)>,
    ) -> Answer<(u8, Option<String>), mikobase::Error> {
        Ok(values.to_vec())
    }
}

fn main() {
    use mikobase::json;
    use mikobase::rpc::Interface;
    let counts: &dyn Counts = &Nothing;
    let set = counts.dispatch("set_count", json!({"key": "a", "values": [1], "more": [2]})).unwrap();
    assert_eq!(set.get(), "[1,2]");
    let names: &dyn Names = &Nothing;
    assert_eq!(names.dispatch("name", json!([[5]])).unwrap().get(), "[5,null]");
    let types: Vec<_> = <dyn Names>::surface().methods[1].params.iter().map(|param| &*param.ty).collect();
    assert_eq!(types, ["&[u8]", "&[(u8, Option<String>)]", "Vec<(u8, Option<String>)>"]);
}
