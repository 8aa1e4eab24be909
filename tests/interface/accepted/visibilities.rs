//! Interfaces of every visibility, in any module.
#![allow(dead_code, non_snake_case, reason = "no code uses these traits and their odd names")]
#![allow(clippy::needless_pub_self, reason = "it is one of the visibilities")]

use mikobase::{Result, mikobase_interface};

mod outer {
    pub(crate) trait Unit {
        type Of;
    }

    impl Unit for u8 {
        type Of = u64;
    }

    pub(crate) mod inner {
        use mikobase::{Result, mikobase_interface};

        #[mikobase_interface]
        pub(in crate::accepted::visibilities::outer) trait InPath {
            fn call(&self) -> Result<()>;
        }

        #[mikobase_interface]
        pub(super) trait InSuper {
            fn call(&self) -> Result<()>;
            fn of_trait(&self, unit: <u8 as super::Unit>::Of) -> Result<<u8 as self::Named>::Of>;
        }

        pub(crate) use super::Unit as Named;

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
