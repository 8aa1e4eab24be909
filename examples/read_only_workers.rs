//! Lets only the first worker write: `cargo run --example read_only_workers`.

#![allow(clippy::print_stdout, reason = "printing is what an example is for")]

use mikobase::prelude::*;

fn main() -> Result<(), BoxError> {
    let uds = Uds::new()?.around(|call, next| {
        let only_reads = call.method.read == Some(true);
        if call.peer.worker == Some(0) || only_reads {
            return next.run();
        }
        let message = "only the first worker may write";
        Err(Error::new(ErrorId::UNAUTHORIZED, message).with("method", &*call.method.name))
    });
    let report = uds.mikobase(2, |db, worker| {
        let definition = json!({"classes": {"example.org/note": {"fields": {"text": {"class": "string"}}}}});
        match db.import_schema(definition) {
            Ok(changes) => Ok(format!("worker {} may write: {changes:?}", worker.index())),
            Err(error) => Ok(format!("worker {} may not: {error}", worker.index())),
        }
    })?;
    for line in report.into_returned()? {
        println!("{line}");
    }
    Ok(())
}
