//! Names of an author that are those of something else.
#![allow(dead_code, reason = "no code uses these traits")]

use mikobase::{Result, mikobase_interface};

/// A type with the name of an unsized one.
#[derive(serde::Serialize, serde::Deserialize)]
struct Path(u8);

#[mikobase_interface]
trait r#Draws {
    fn stroke(&self, path: &Path, file: &std::path::Path) -> Result<()>;

    #[interface(local)]
    fn stroke_all<T>(&self, _: T)
    where
        Self: std::marker::Sized,
    {
    }
}

#[test]
fn the_name_of_a_raw_trait_is_the_same_everywhere() {
    use mikobase::rpc::Interface;
    assert_eq!(draws_rpc::DRAWS_SURFACE.interface, <dyn Draws as Interface>::NAMES.name());
}
