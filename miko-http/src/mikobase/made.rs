//! Bodies whose pieces need calls.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::Bytes;
use miko_rpc::Result;

use crate::body::Pieces;

/// Pieces that a future makes one after another, from a state that it hands on.
pub(super) struct Made<S, F, M> {
    making: Option<Pin<Box<F>>>,
    make: M,
    size: Option<u64>,
    _state: PhantomData<fn(S)>,
}

impl<S, F, M> Made<S, F, M>
where
    F: Future<Output = Result<Option<(Bytes, S)>>>,
    M: FnMut(S) -> F,
{
    /// `make` makes the next piece and the next state; `None` at the end.
    pub(super) fn new(state: S, size: Option<u64>, mut make: M) -> Self {
        Self { making: Some(Box::pin(make(state))), make, size, _state: PhantomData }
    }
}

impl<S, F, M> Pieces for Made<S, F, M>
where
    F: Future<Output = Result<Option<(Bytes, S)>>>,
    M: FnMut(S) -> F,
{
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let Some(making) = &mut self.making else { return Poll::Ready(None) };
        let Poll::Ready(made) = making.as_mut().poll(context) else { return Poll::Pending };
        match made {
            Ok(Some((piece, state))) => {
                self.making = Some(Box::pin((self.make)(state)));
                Poll::Ready(Some(Ok(piece)))
            }
            Ok(None) => {
                self.making = None;
                Poll::Ready(None)
            }
            Err(error) => {
                self.making = None;
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn size(&self) -> Option<u64> {
        self.size
    }
}
