//! The limit of the work that schemas of another process can cause.

use std::cell::Cell;

/// How many steps the types of a surface may take together. Those of `Mikobase` take 5,000.
const MAX_STEPS: usize = 250_000;

/// How many bytes of text are looked at in a step.
const BYTES_PER_STEP: usize = 64;

/// How many constants are looked at in a step.
pub(crate) const CONSTANTS_PER_STEP: usize = 16;

/// The steps that a comparison may still take. A step is a schema, a field, an element or an alternative
/// that is looked at or copied, so time and memory are limited as well.
pub(crate) struct Budget {
    left: Cell<usize>,
    is_exceeded: Cell<bool>,
}

impl Budget {
    /// The steps for the types of a surface.
    pub(crate) fn of_surface() -> Self {
        Self { left: Cell::new(MAX_STEPS), is_exceeded: Cell::new(false) }
    }

    /// Takes `steps`. Returns whether there were as many. If not, the comparison has failed.
    pub(crate) fn take(&self, steps: usize) -> bool {
        let left = self.left.get().checked_sub(steps);
        self.left.set(left.unwrap_or(0));
        self.is_exceeded.set(self.is_exceeded() || left.is_none());
        !self.is_exceeded()
    }

    pub(crate) fn is_exceeded(&self) -> bool {
        self.is_exceeded.get()
    }
}

/// The steps of a look at a text.
pub(crate) fn steps_of(text: &str) -> usize {
    1 + text.len() / BYTES_PER_STEP
}
