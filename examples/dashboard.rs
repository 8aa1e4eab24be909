//! Twenty workers pay invoices; the parent shows what they do: `cargo run --example dashboard`.
//!
//! The table is a live query: it shows the latest invoices, and is drawn again when it has changed. A hook in
//! the server stamps each invoice with the worker that saves it, and refuses amounts that are negative. Where
//! standard output is no terminal, only the end is printed.
#![allow(clippy::print_stdout, reason = "an example")]

use std::io::{IsTerminal, Write, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::{Print, Stylize};
use crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{execute, queue};
use mikobase::BoxError;
use mikobase::prelude::*;
use mikobase::q0::{Edits, Select, eq};

const INVOICE: &str = "a.b/invoice";
const INVOICES: i64 = 300;

fn main() -> Result<(), BoxError> {
    // The worker whose call the server runs. Its calls run one after another.
    let caller = Arc::new(AtomicUsize::new(0));
    let stamp = Arc::clone(&caller);
    let uds = Uds::new()?
        .setup(|server| {
            let state = json!({"fields": {"state": {"class": "string", "index": true}}, "misc_fields": true});
            server.db().import_schema(json!({"classes": {INVOICE: state}}))?;
            let invoice = |n| json!({"number": n, "state": "open", "items": [n * 7 % 90, n * 5 % 60, -50]});
            server.db().create_all(INVOICE, &(1..=INVOICES).map(invoice).collect::<Vec<_>>())?;
            Ok(())
        })
        .before_save(INVOICE, move |invoice| {
            if invoice.get("total").and_then(|total| total.as_i64()).is_some_and(|total| total < 0) {
                return Err("the total of an invoice is not negative".into());
            }
            Ok(invoice.set("worker", stamp.load(Ordering::Relaxed))?)
        })
        .around(move |call, next| {
            caller.store(call.peer.worker.unwrap_or_default(), Ordering::Relaxed);
            next.run()
        });
    let share = uds.spawn(20, |db, _| pay_invoices(db))?;
    show(share.db()?)?;
    let report = share.join()?;
    let refused: u64 = report.into_returned()?.iter().sum();
    println!("{} invoices are paid, {refused} were refused", INVOICES.unsigned_abs() - refused);
    Ok(())
}

/// Pays invoices until none is open. Returns how many were refused.
fn pay_invoices(db: &MikobaseClient) -> Result<u64, BoxError> {
    let open = || Select::class(INVOICE).path(["state"], eq("open"));
    let mut refused = 0;
    while let Some(invoice) = db.claim_or_wait(open(), Duration::from_secs(30), Duration::ZERO)? {
        let items = invoice.bucket.get("items")?.unwrap_or_default();
        let total: i64 = items.as_array().into_iter().flatten().filter_map(|item| item.as_i64()).sum();
        std::thread::sleep(Duration::from_millis(total.unsigned_abs() / 4));
        let state = match db.patch(&invoice.pk, &json!({"total": total})) {
            Err(error) if error.is(ErrorId::SAVE_REJECTED) => "refused",
            saved => saved.map(|_| "paid")?,
        };
        refused += u64::from(state == "refused");
        invoice.finish_with(Edits::new().set(["state"], state))?;
    }
    Ok(refused)
}

/// Shows the invoices that were saved last, until none is open.
fn show(db: &MikobaseClient) -> Result<(), BoxError> {
    let mut latest = db.watch(json!({
        "class": INVOICE, "sort": [{"record": "updated_at"}, {"reverse": true}], "limit": 15,
    }))?;
    let mut open = db.watch(Select::class(INVOICE).path(["state"], eq("open")))?;
    let is_terminal = stdout().is_terminal();
    if is_terminal {
        execute!(stdout(), EnterAlternateScreen, Hide)?;
    }
    let shown = (|| {
        while !open.records().is_empty() {
            // All that has happened, and then at most one picture in fifty milliseconds.
            while let Poll::Ready(Some(step)) = latest.try_recv() {
                step?;
            }
            if is_terminal {
                draw(latest.records(), open.records().len())?;
            }
            if let Poll::Ready(step) = open.recv_timeout(Duration::from_millis(50)) {
                step.ok_or("the share has ended")??;
            }
        }
        Ok(())
    })();
    if is_terminal {
        execute!(stdout(), Show, LeaveAlternateScreen)?;
    }
    shown
}

fn draw(invoices: &[Record], open: usize) -> Result<(), BoxError> {
    let mut screen = stdout().lock();
    queue!(screen, MoveTo(0, 0), Clear(ClearType::All))?;
    queue!(screen, Print(format!("{open} of {INVOICES} invoices are open\r\n\r\n").bold()))?;
    queue!(screen, Print("number  state      total  worker\r\n".dim()))?;
    for invoice in invoices {
        let text =
            |field| Ok::<_, Error>(invoice.bucket.get(field)?.map_or(String::new(), |v| v.to_string()));
        let (state, total) = (text("state")?, text("total")?);
        let state = state.trim_matches('"');
        let line = format!("{:>6}  {state:<8} {total:>7} {:>7}\r\n", text("number")?, text("worker")?);
        queue!(screen, Print(if state == "refused" { line.red() } else { line.reset() }))?;
    }
    screen.flush()?;
    Ok(())
}
