//! A trait of any visibility, in any module.
use mikobase::{Result, mikobase_interface};

mod outer {
    pub(crate) mod inner {
        use mikobase::{Result, mikobase_interface};

        #[mikobase_interface]
        pub(in crate::outer) trait InPath {
            fn call(&self) -> Result<()>;
        }

        #[mikobase_interface]
        pub(super) trait InSuper {
            fn call(&self) -> Result<()>;
        }

        #[mikobase_interface]
        pub(crate) trait InCrate: Send + Sync + 'static {
            fn call(&self) -> Result<()>;
        }

        #[mikobase_interface]
        pub(self) trait InSelf {
            fn call(&self) -> Result<()>;
        }
    }
}

#[mikobase_interface]
trait Private {
    fn r#match(&self, r#type: &str) -> Result<()>;
    fn _1(&self) -> mikobase::Result<[u8; 4]>;
}

fn main() {}
