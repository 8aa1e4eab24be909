//! A stream whose items are encoded and sent elsewhere.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};
use std::time::Instant;

use super::feed::{Next, NextQueued, Queued};
use super::item;
use super::source::{Source, next_of_iterator};
use crate::bounds::Wire;
use crate::error::{Error, ErrorId};
use crate::handles::{ItemForm, ServedStream, StreamEvent};
use crate::panics::{drop_guarded, panic_message};

/// Encodes the items of a source.
pub(super) struct Serving<T>(Source<T>);

impl<T> Serving<T> {
    pub(super) fn new(source: Source<T>) -> Self {
        Self(source)
    }
}

impl<T: Wire> ServedStream for Serving<T> {
    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        form: ItemForm,
        out: &mut Vec<u8>,
    ) -> Poll<StreamEvent> {
        let event = guarded(|| {
            if let Some(next) = self.0.next_preceding() {
                return Poll::Ready(encode(queued(next), form, out));
            }
            let next = match &mut self.0 {
                Source::Iterator { items, seq } => queued(next_of_iterator(&mut **items, seq)),
                Source::Feed(receiver) => match receiver.poll_queued(context) {
                    Poll::Ready(next) => next,
                    Poll::Pending => return Poll::Pending,
                },
                Source::OnDemand(items) => match items.poll(context) {
                    Poll::Ready(next) => queued(next),
                    Poll::Pending => return Poll::Pending,
                },
                Source::Elsewhere(_) => NextQueued::End(Some(not_passed_on())),
                Source::Preceded { .. } | Source::Ended => NextQueued::End(None),
            };
            Poll::Ready(encode(next, form, out))
        });
        self.end_after(event)
    }

    fn wait_next(&mut self, until: Option<Instant>, form: ItemForm, out: &mut Vec<u8>) -> Poll<StreamEvent> {
        let event = guarded(|| self.0.wait(until).map(|next| encode(queued(next), form, out)));
        self.end_after(event)
    }
}

impl<T> Serving<T> {
    /// Drops the source at the end of the stream. A panic of its `Drop` is the error of an end without one.
    fn end_after(&mut self, event: Poll<StreamEvent>) -> Poll<StreamEvent> {
        let Poll::Ready(StreamEvent::End(error)) = event else { return event };
        let source = std::mem::replace(&mut self.0, Source::Ended);
        let dropped = drop_guarded(source).map_err(|panic| panicked(&panic));
        Poll::Ready(StreamEvent::End(error.or(dropped.err())))
    }
}

/// A panic of the source, or of the type of its items, is the end of the stream.
fn guarded(next: impl FnOnce() -> Poll<StreamEvent>) -> Poll<StreamEvent> {
    catch_unwind(AssertUnwindSafe(next))
        .unwrap_or_else(|panic| Poll::Ready(StreamEvent::End(Some(panicked(panic_message(&*panic))))))
}

fn panicked(message: &str) -> Error {
    Error::new(ErrorId::INTERNAL, format!("the source of the stream panicked: {message}"))
}

/// An item that was taken out of its queue.
fn queued<T>(next: Next<T>) -> NextQueued<T> {
    match next {
        Next::Item(seq, item) => NextQueued::Item(Queued::Own(seq, item)),
        Next::Lagged(count) => NextQueued::Lagged(count),
        Next::End(error) => NextQueued::End(error),
    }
}

/// Appends an item. One that cannot be encoded is the end of the stream.
fn encode<T: Wire>(next: NextQueued<T>, form: ItemForm, out: &mut Vec<u8>) -> StreamEvent {
    let queued = match next {
        NextQueued::Item(queued) => queued,
        NextQueued::Lagged(count) => return StreamEvent::Lagged(count),
        NextQueued::End(error) => return StreamEvent::End(error),
    };
    let start = out.len();
    let (seq, encoded) = match (queued, form) {
        (Queued::Own(seq, value), ItemForm::Message { limit }) => (seq, item::encode(&value, limit, out)),
        (Queued::Own(seq, value), ItemForm::Json { limit }) => (seq, item::encode_json(&value, limit, out)),
        (Queued::Shared(shared), ItemForm::Message { limit }) => {
            let encode = |value: &T| {
                let mut bytes = Vec::new();
                item::encode(value, limit, &mut bytes).map(|()| bytes)
            };
            (shared.seq(), shared.encoded(encode).map(|bytes| out.extend_from_slice(bytes)))
        }
        (Queued::Shared(shared), ItemForm::Json { limit }) => {
            (shared.seq(), shared.with(|value| item::encode_json(value, limit, out)))
        }
    };
    match encoded {
        Ok(()) => StreamEvent::Item { seq },
        Err(error) => {
            out.truncate(start);
            StreamEvent::End(Some(error))
        }
    }
}

fn not_passed_on() -> Error {
    let message =
        "a stream of another server cannot be sent on: make one of its items with `Stream::of_results`";
    Error::new(ErrorId::INTERNAL, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items whose source panics when it is dropped.
    struct Fragile(std::vec::IntoIter<Result<u8, Error>>);

    impl Iterator for Fragile {
        type Item = Result<u8, Error>;

        fn next(&mut self) -> Option<Self::Item> {
            self.0.next()
        }
    }

    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("oops");
        }
    }

    #[test]
    fn an_item_that_is_larger_than_the_limit_is_the_end_in_either_form() {
        let items = || Box::new([Ok("a".repeat(5)), Ok("a".repeat(50))].into_iter());
        for form in [ItemForm::Message { limit: 10 }, ItemForm::Json { limit: 10 }] {
            let mut stream = Serving::new(Source::Iterator { items: items(), seq: 0 });
            let mut out = Vec::new();
            let mut next = || stream.wait_next(None, form, &mut out);
            assert!(matches!(next(), Poll::Ready(StreamEvent::Item { seq: 1 })));
            let Poll::Ready(StreamEvent::End(Some(error))) = next() else { panic!("no error: {form:?}") };
            assert!(error.is(ErrorId::REQUEST_TOO_LARGE), "{error}");
            assert!(out.len() <= 10, "{out:?}");
        }
    }

    #[test]
    fn a_panic_of_a_source_that_is_dropped_is_the_error_of_an_end_without_one() {
        let conflict = || Err(Error::new(ErrorId::CONFLICT, "no"));
        for (items, end) in [
            (vec![Ok(1)], "internal: the source of the stream panicked: oops"),
            (vec![Ok(1), conflict()], "conflict: no"),
        ] {
            let items = Box::new(Fragile(items.into_iter()));
            let mut stream = Serving::new(Source::Iterator { items, seq: 0 });
            let mut next = || stream.wait_next(None, ItemForm::Json { limit: 10 }, &mut Vec::new());
            assert!(matches!(next(), Poll::Ready(StreamEvent::Item { seq: 1 })));
            let Poll::Ready(StreamEvent::End(Some(error))) = next() else { panic!("no error: {end}") };
            assert_eq!(error.to_string(), end);
            assert!(matches!(next(), Poll::Ready(StreamEvent::End(None))));
        }
    }
}
