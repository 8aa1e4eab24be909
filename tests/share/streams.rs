//! Large results, files and worldlets pass through a share in bounded memory.
//!
//! The long mode is
//! `MIKOBASE_TEST_RECORDS=1000000 MIKOBASE_TEST_MIB=1024 cargo test --release --test share streams`.

use std::io::{self, Read, Write};
use std::{env, fs};

use mikobase::prelude::*;
use mikobase::{Mikobase, MikobaseExt, Returning};

use crate::deaths::server_of;
use crate::harness::Case;

pub const CASES: &[Case] = &[
    ("records_are_imported_iterated_and_exported_in_bounded_memory", records),
    ("a_file_goes_in_and_out_in_bounded_memory", file),
];

/// The number of bytes by which the memory of a process may grow.
const BOUND: usize = 20 << 20;

fn size(variable: &str, otherwise: usize) -> usize {
    env::var(variable).map_or(otherwise, |size| size.parse().unwrap())
}

/// The memory of a process: its size at the start of a measurement, and its peak since then.
struct Memory {
    process: String,
    before: usize,
}

impl Memory {
    fn of(process: impl ToString) -> Self {
        let process = process.to_string();
        // Resets the peak: <https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html>. If the kernel
        // does not support that, the old peak counts.
        let is_anew = fs::write(format!("/proc/{process}/clear_refs"), "5").is_ok();
        let before = Self::status(&process, if is_anew { "VmRSS:" } else { "VmHWM:" });
        Self { process, before }
    }

    fn status(process: &str, key: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    /// Prints the growth and checks that it is within the bound.
    fn check(&self, what: &str) {
        let grown = Self::status(&self.process, "VmHWM:").saturating_sub(self.before);
        println!(
            "{what}: process {} has grown by {:.1} MiB",
            self.process,
            grown as f64 / f64::from(1 << 20)
        );
        assert!(grown < BOUND, "{what}: {grown} bytes");
    }
}

/// A step of a worker, with its name.
type Step = (&'static str, fn(&dyn Mikobase));

/// Runs the steps in a worker of a share on a file, and checks the memory growth of worker and server.
fn measured(steps: &[Step]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.db");
    let uds = Uds::new().unwrap().backend(path.to_str().unwrap()).unwrap().returning(Returning::Nothing);
    let report = uds.mikobase(1, |db, _| {
        let server = server_of(&uds.path());
        for (what, step) in steps {
            // The memory of a first call is not counted.
            db.properties()?;
            let memory = [Memory::of("self"), Memory::of(server)];
            step(db);
            memory.iter().for_each(|memory| memory.check(what));
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
