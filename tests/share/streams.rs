//! Large results, files and worldlets pass through a share in bounded memory.
//!
//! The long mode is
//! `MIKOBASE_TEST_RECORDS=1000000 MIKOBASE_TEST_MIB=1024 cargo test --release --test share streams`.

use std::env;
use std::io::{self, Read, Write};

use mikobase::Returning;
use mikobase::prelude::*;
use nix::sys::signal::{Signal, raise};

use crate::deaths::server_of;
use crate::harness::Case;
use crate::office::eventually;
use crate::peak::Peak;
use crate::support::uds;

pub const CASES: &[Case] = &[
    ("records_are_imported_iterated_and_exported_in_bounded_memory", records),
    ("a_file_goes_in_and_out_in_bounded_memory", file),
    ("what_a_killed_worker_was_reading_and_sending_leaves_nothing", killed),
];

/// The number of bytes by which the memory of a process may grow.
const BOUND: usize = 20 << 20;

fn size(variable: &str, otherwise: usize) -> usize {
    env::var(variable).map_or(otherwise, |size| size.parse().unwrap())
}

/// Prints by how much the memory of a process has grown, and checks that it is within the bound.
fn check(peak: &Peak, what: &str) {
    let growth = peak.growth();
    println!("{what} {} KiB", growth >> 10);
    assert!(growth < BOUND, "{what} {growth} bytes");
}

/// A step of a worker, with its name.
type Step = (&'static str, fn(&dyn Mikobase));

/// Runs the steps in a worker of a share on a file, and checks the memory growth of worker and server.
fn measured(steps: &[Step]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.db");
    let uds = uds().backend(path.to_str().unwrap()).unwrap().returning(Returning::Nothing);
    let report = uds.mikobase(1, |db, _| {
        let server = server_of(&uds.path());
        for (what, step) in steps {
            // The memory of a first call is not counted.
            db.properties()?;
            let (worker, server) = (Peak::since_now("self"), Peak::since_now(server));
            step(db);
            check(&worker, &format!("{what}: the worker has grown by"));
            check(&server, &format!("{what}: the server has grown by"));
        }
        Ok(())
    });
    report.unwrap().all_succeeded().unwrap();
}

/// The text of a worldlet, generated while it is read.
struct Text {
    records: usize,
    next: usize,
    made: io::Cursor<Vec<u8>>,
}

impl Text {
    fn of(records: usize) -> Self {
        Self { records, next: 0, made: io::Cursor::new(br#"{"records":{"#.to_vec()) }
    }
}

impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.made.position() == self.made.get_ref().len() as u64 && self.next <= self.records {
            let n = self.next;
            let entry = match n {
                _ if n == self.records => "}}".to_owned(),
                _ => {
                    let comma = if n == 0 { "" } else { "," };
                    let filler = "some text that makes a record of the usual size ".repeat(3);
                    format!(
                        r#"{comma}"r{n}":{{"bucket":{{"n":{n},"text":"{filler}"}},"class":"test.org/large"}}"#
                    )
                }
            };
            self.next += 1;
            self.made = io::Cursor::new(entry.into_bytes());
        }
        self.made.read(buffer)
    }
}

fn records() {
    fn count() -> usize {
        size("MIKOBASE_TEST_RECORDS", 30_000)
    }
    measured(&[
        ("import", |db| {
            let imported = db.import_worldlet(&mut Text::of(count()), false).unwrap();
            assert_eq!(imported.records, count() as u64);
        }),
        ("iteration", |db| {
            let mut sum = 0;
            for record in db.iter(json!({"class": "test.org/large"})).unwrap() {
                sum += record.unwrap().bucket.get("n").unwrap().unwrap().as_u64().unwrap();
            }
            assert_eq!(sum, (count() as u64 - 1) * count() as u64 / 2);
        }),
        ("export", |db| {
            struct Lines(usize);
            impl Write for Lines {
                fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                    self.0 += bytes.iter().filter(|byte| **byte == b'\n').count();
                    Ok(bytes.len())
                }
                fn flush(&mut self) -> io::Result<()> {
                    Ok(())
                }
            }
            let mut lines = Lines(0);
            db.export_worldlet(&mut lines).unwrap();
            assert_eq!(lines.0, count() + 1, "a record per line");
        }),
    ]);
}

fn file() {
    /// Bytes that differ from one place to the next.
    struct Content {
        left: usize,
    }
    impl Read for Content {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(self.left);
            for byte in &mut buffer[..length] {
                *byte = (self.left.wrapping_mul(2_654_435_761) >> 24) as u8;
                self.left -= 1;
            }
            Ok(length)
        }
    }
    fn length() -> usize {
        size("MIKOBASE_TEST_MIB", 32) << 20
    }
    measured(&[("put and get", |db| {
        let pk = db.put_file(&mut Content { left: length() }, "application/octet-stream").unwrap();
        let copied = io::copy(&mut db.file(&pk).unwrap(), &mut io::sink()).unwrap();
        assert_eq!(copied, length() as u64);
    })]);
}

fn killed() {
    /// The most streams that a database may have open.
    const STREAMS: usize = 1024;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.db");
    let uds = uds().backend(path.to_str().unwrap()).unwrap().returning(Returning::Nothing);
    let share = uds
        .spawn(1, |db, _| {
            let streams: Vec<_> = (0..STREAMS).map(|_| db.iter(json!({}))).collect::<Result<_>>()?;
            assert!(db.iter(json!({})).unwrap_err().is(ErrorId::STORAGE_FULL));
            let (upload, import) = (db.write_file("text/plain")?, db.import(false)?);
            upload.put(vec![1; 1000].into())?;
            import.put(b"{".to_vec().into())?;
            db.create("test.org/all_is_open", &json!({}))?;
            raise(Signal::SIGKILL).unwrap();
            drop((streams, upload, import));
            Ok(())
        })
        .unwrap();
    let db = share.db().unwrap();
    eventually(|| db.count(json!({})).unwrap(), &1);
    eventually(|| (0..STREAMS).try_for_each(|_| db.iter(json!({})).map(drop)).is_ok(), &true);
    share.join().unwrap().all_succeeded().unwrap_err();
    let tables = rusqlite::Connection::open(&path).unwrap();
    let count = "SELECT (SELECT count(*) FROM file) + (SELECT count(*) FROM file_chunk)";
    assert_eq!(tables.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}
