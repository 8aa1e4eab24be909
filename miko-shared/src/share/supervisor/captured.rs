//! The bytes that the parent reads from a worker. Of its output a bounded number of bytes is kept, of its
//! result all bytes.

use std::collections::VecDeque;

/// The beginning and the end of the bytes that were read from a pipe.
#[derive(Debug, Clone, Default)]
pub(in crate::share) struct Captured {
    /// How many bytes of the beginning are kept.
    head_limit: usize,
    /// How many bytes of the end are kept.
    tail_limit: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    /// The number of bytes dropped between `head` and `tail`.
    cut: u64,
}

impl Captured {
    /// An empty value that can keep `limit` bytes: one half from the beginning, the other half from the end.
    pub(in crate::share) fn new(limit: usize) -> Self {
        let head_limit = limit.div_ceil(2);
        Self { head_limit, tail_limit: limit - head_limit, ..Self::default() }
    }

    /// Appends the bytes that were read next.
    pub(in crate::share) fn push(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(self.head_limit - self.head.len()));
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(self.tail_limit);
        self.tail.drain(..excess);
        self.cut += excess as u64;
    }

    /// The number of bytes dropped from the middle.
    pub(in crate::share) fn cut(&self) -> u64 {
        self.cut
    }

    /// The kept bytes: the beginning, followed by the end.
    pub(in crate::share) fn into_bytes(mut self) -> Vec<u8> {
        self.head.extend(self.tail);
        self.head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_are_kept() {
        let text: Vec<u8> = (0..=255).collect();
        for limit in [0, 1, 2, 7, 100, 255, 256, 257, usize::MAX] {
            for chunk_size in [1, 3, 300] {
                let mut captured = Captured::new(limit);
                text.chunks(chunk_size).for_each(|bytes| captured.push(bytes));
                let kept = limit.min(text.len());
                assert_eq!(captured.cut(), (text.len() - kept) as u64, "limit {limit}");
                let head = kept.min(limit.div_ceil(2));
                let expected = [&text[..head], &text[text.len() - (kept - head)..]].concat();
                assert_eq!(captured.into_bytes(), expected, "limit {limit}, chunks of {chunk_size}");
            }
        }
    }
}
