//! The memory of a process: its size now, and by how much it has grown at its peak.

use std::fs;

pub const MIB: usize = 1 << 20;

/// The growth of the anonymous memory of a process.
///
/// The kernel counts a peak of all resident pages, those of mapped files among them. It may reclaim the
/// latter at any time, so how many of them a peak contains is not known. It cannot be more than are mapped.
pub struct Peak {
    process: String,
    before: usize,
    mapped: usize,
}

impl Peak {
    /// Starts a measurement.
    pub fn since_now(process: impl ToString) -> Self {
        let process = process.to_string();
        let (before, mapped) = (anonymous(&process), mapped_files(&process));
        // Resets the peak: <https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html>.
        fs::write(format!("/proc/{process}/clear_refs"), "5").unwrap();
        Self { process, before, mapped }
    }

    /// The number of bytes by which the process has grown at least.
    pub fn growth(&self) -> usize {
        status(&self.process, "VmHWM").saturating_sub(self.mapped + self.before)
    }
}

/// The anonymous memory of a process in bytes.
pub fn anonymous(process: impl ToString) -> usize {
    status(&process.to_string(), "RssAnon")
}

/// A size in the status of a process in bytes.
fn status(process: &str, key: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

/// The size of all mappings of files of a process in bytes.
fn mapped_files(process: &str) -> usize {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let files = maps.lines().filter(|line| line.contains('/'));
    let sizes = files.map(|line| {
        let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        usize::from_str_radix(end, 16).unwrap() - usize::from_str_radix(start, 16).unwrap()
    });
    sizes.sum()
}
