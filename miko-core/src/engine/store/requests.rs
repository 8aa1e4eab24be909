//! Running requests: one, or many of which all are done or none.

use crate::engine::store::Store;
use crate::engine::store::pending::Pending;
use crate::engine::tables::Tables;
use crate::error::{Result, Warning};
use crate::query::Request;
use crate::response::{Answers, Response, Results};

impl<T: Tables> Store<T> {
    /// Runs a request for itself: it is done, or nothing was changed.
    pub(in crate::engine) fn run(&mut self, request: Request) -> Result<Results> {
        match request {
            Request::Select(select) => self.select(&select),
            Request::Create(create) if self.may_stand(&create) => self.create_standing(create),
            write => self.write(|store| store.run_inside(write)),
        }
    }

    /// Runs requests one after another, up to the first that fails: nothing was changed then.
    pub(in crate::engine) fn run_all(
        &mut self,
        requests: Vec<Result<(Request, Vec<Warning>)>>,
    ) -> Result<Answers> {
        let is_write = |request: &Request| !matches!(request, Request::Select(_));
        let writes =
            requests.iter().any(|parsed| parsed.as_ref().is_ok_and(|(request, _)| is_write(request)));
        let run_all = |store: &mut Self| {
            let answers = requests.into_iter().enumerate().map(|(index, parsed)| {
                store.pending.begin_request(index);
                let run = |(request, warnings)| {
                    let results = store.run_inside(request)?;
                    store.answer.charge(0)?;
                    Ok(Response { results, warnings })
                };
                parsed.and_then(run).map(Ok).map_err(|error| error.with_all("request", index))
            });
            answers.collect::<Result<Vec<_>>>().map(Answers::from)
        };
        if writes {
            return self.write(run_all);
        }
        let answers = run_all(self);
        self.pending = Pending::default();
        answers
    }

    /// Runs a request inside the transaction that is open. If it fails, that transaction has to be rolled
    /// back.
    fn run_inside(&mut self, request: Request) -> Result<Results> {
        match request {
            Request::Select(select) => self.select(&select),
            Request::Create(create) => self.create(create),
            Request::Update(update) => self.update(update),
            Request::Delete(delete) => self.delete(&delete),
        }
    }
}
