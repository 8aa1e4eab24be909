//! Options that one interface adds to a share, which the share itself does not know.

use std::any::Any;

/// The options of the interface that a `Uds` is configured for; of one type.
#[derive(Default)]
pub(crate) struct InterfaceOptions(Option<Box<dyn Any>>);

impl InterfaceOptions {
    /// The options, if any of type `T` were set.
    pub(crate) fn get<T: 'static>(&self) -> Option<&T> {
        self.0.as_deref()?.downcast_ref()
    }

    /// The options of type `T`, to be changed. Options of another type are replaced by default ones.
    pub(crate) fn get_or_default<T: Default + 'static>(&mut self) -> &mut T {
        if !self.0.as_deref().is_some_and(<dyn Any>::is::<T>) {
            self.0 = Some(Box::new(T::default()));
        }
        let options = self.0.as_deref_mut().and_then(<dyn Any>::downcast_mut);
        options.expect("a value of this type was put in if there was none")
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
