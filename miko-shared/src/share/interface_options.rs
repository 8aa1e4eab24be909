//! Options of a share that only one interface has, such as the backend of a Mikobase. The type of the options
//! is unknown to the code of shares.

use std::any::Any;

/// The options that one interface has; empty until one of them is set.
#[derive(Default)]
#[cfg_attr(
    not(feature = "mikobase"),
    allow(dead_code, reason = "only shares of a Mikobase have options of their own")
)]
pub(crate) struct InterfaceOptions(Option<Box<dyn Any>>);

#[cfg_attr(
    not(feature = "mikobase"),
    allow(dead_code, reason = "only shares of a Mikobase have options of their own")
)]
impl InterfaceOptions {
    /// The options, if they are of type `T`; `None` if they have another type, or if none were set.
    pub(crate) fn get<T: 'static>(&self) -> Option<&T> {
        self.0.as_deref()?.downcast_ref()
    }

    /// The options of type `T`, mutably. If none were set, or if they have another type, they become the
    /// defaults of `T` first.
    pub(crate) fn get_or_default<T: Default + 'static>(&mut self) -> &mut T {
        if !self.0.as_deref().is_some_and(<dyn Any>::is::<T>) {
            self.0 = Some(Box::new(T::default()));
        }
        let options = self.0.as_deref_mut().and_then(<dyn Any>::downcast_mut);
        options.expect("the options are of type T: otherwise they were just replaced")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_kept_by_type() {
        let mut options = InterfaceOptions::default();
        assert_eq!(options.get::<u32>(), None);
        *options.get_or_default::<u32>() += 7;
        *options.get_or_default::<u32>() += 1;
        assert_eq!(options.get::<u32>(), Some(&8));
        assert_eq!(options.get::<String>(), None);
    }
}
