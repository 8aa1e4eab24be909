//! A report as Markdown: a table per setting, and one of the goals.

use std::fmt::{self, Display, Formatter, Write};

use crate::peer;
use crate::plan::Setting;
use crate::report::{Report, Row};
use crate::statistics::{Estimate, Round};

/// The width of a line of text.
const MAX_WIDTH: usize = 110;

/// Writes the tables.
pub fn write(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string never fails.
    let _ = tables(report, &mut text);
    text
}

fn tables(report: &Report, text: &mut String) -> fmt::Result {
    let setting = format!(
        "Mikobase {} on {} CPUs; {} records from the start; slices of {} ms. \
         Each cell is the median of {} interleaved rounds and half their range; times in µs.",
        report.version,
        report.cpus,
        report.records,
        report.slice,
        report.rows.first().map_or(0, |row| row.rounds.len()),
    );
    write_wrapped(&setting, "", text)?;
    if report.compute > 0 {
        writeln!(text, "A worker computes for {} µs after each call.", report.compute)?;
    }
    if report.beside > 0 {
        writeln!(text, "Beside it, {} other processes compute all the time.", report.beside)?;
    }
    let mut settings: Vec<Setting> = report.rows.iter().map(|row| row.setting).collect();
    settings.dedup();
    for setting in settings {
        writeln!(text, "\n### {setting}\n")?;
        writeln!(
            text,
            "| | | requests per second | p50 | p99 | p99.9 | slowest ÷ fastest worker | Mikobase ÷ this |"
        )?;
        writeln!(text, "| --- | --- | --- | --- | --- | --- | --- | --- |")?;
        let mut before = None;
        for row in report.rows.iter().filter(|row| row.setting == setting) {
            let title = if before == Some(row.workload) { "" } else { row.workload.title() };
            before = Some(row.workload);
            write_row(report, row, title, text)?;
        }
    }
    goals(report, text)?;
    terms(report, text)
}

/// Writes a paragraph in lines of at most [`MAX_WIDTH`] characters, where its words allow that. All but the
/// first begin with `indent`.
fn write_wrapped(paragraph: &str, indent: &str, text: &mut String) -> fmt::Result {
    let mut width = 0;
    for word in paragraph.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > MAX_WIDTH {
            write!(text, "\n{indent}{word}")?;
            width = indent.len() + length;
        } else {
            let space = if width > 0 { " " } else { "" };
            write!(text, "{space}{word}")?;
            width += space.len() + length;
        }
    }
    writeln!(text)
}

fn write_row(report: &Report, row: &Row, title: &str, text: &mut String) -> fmt::Result {
    let rate = row.estimate(|round| round.rate);
    write!(text, "| {title} | {} | {} ±{}% ", row.peer, Short(rate.median), percent(rate))?;
    for quantity in [p50, p99, p999] {
        write!(text, "| {} ", Short(row.estimate(quantity).median))?;
    }
    match row.setting.workers {
        1 => write!(text, "| ")?,
        _ => write!(text, "| {:.2} ", row.estimate(|round| round.fairness).median)?,
    }
    match report.speed(row).filter(|_| !row.own) {
        Some(ratio) => writeln!(text, "| {:.2}× ±{}% |", ratio.median, percent(ratio)),
        None => writeln!(text, "| |"),
    }
}

fn p50(round: &Round) -> f64 {
    round.p50
}

fn p99(round: &Round) -> f64 {
    round.p99
}

fn p999(round: &Round) -> f64 {
    round.p999
}

fn goals(report: &Report, text: &mut String) -> fmt::Result {
    if let Some(lifetime) = &report.lifetime {
        let (share, processes) =
            (Estimate::of(lifetime.share.clone()), Estimate::of(lifetime.processes.clone()));
        writeln!(
            text,
            "\nAn empty share of {} workers: {:.1} ms ±{}%; forking and reaping {} processes: {:.1} ms ±{}%.",
            lifetime.workers,
            share.median,
            percent(share),
            lifetime.workers + 1,
            processes.median,
            percent(processes),
        )?;
    }
    if let Some(memory) = &report.memory {
        writeln!(
            text,
            "\nMemory of the server: {:.0} bytes per record of {:.0} bytes of JSON, {:.0} for one \
             that is in the record cache; {} updates of a thousand records: {:+.1} MiB.",
            memory.stored,
            memory.json,
            memory.cached,
            memory.updates,
            memory.growth / f64::from(1 << 20),
        )?;
    }
    if report.goals.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "\n### Goals\n\nA goal is reached if three quarters of the rounds reach it.\n\n\
         | goal | measured | quartiles | |\n| --- | --- | --- | --- |"
    )?;
    for result in &report.goals {
        let reached = if result.reached { "reached" } else { "**not reached**" };
        let measured = result.measured;
        writeln!(
            text,
            "| {} | {:.2} ±{}% | {:.2} to {:.2} | {reached} |",
            result.goal,
            measured.median,
            percent(measured),
            measured.lower,
            measured.upper,
        )?;
    }
    Ok(())
}

fn terms(report: &Report, text: &mut String) -> fmt::Result {
    writeln!(text, "\n### Who was measured\n")?;
    for name in peer::ALL.iter().map(|peer| peer.name) {
        if report.rows.iter().any(|row| row.peer == name) {
            write_wrapped(&format!("- **{name}**: {}", peer::terms(name).unwrap_or_default()), "  ", text)?;
        }
    }
    if !report.missing.is_empty() {
        writeln!(text, "- Not installed: {}", report.missing.join(", "))?;
    }
    Ok(())
}

fn percent(estimate: Estimate) -> String {
    format!("{:.0}", estimate.spread * 100.0)
}

/// A number with the digits that are significant in a noisy measurement, and a suffix for its magnitude.
pub(crate) struct Short(pub(crate) f64);

impl Display for Short {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            v if v >= 1e6 => write!(f, "{:.2}M", v / 1e6),
            v if v >= 1e4 => write!(f, "{:.0}k", v / 1e3),
            v if v >= 1e3 => write!(f, "{:.1}k", v / 1e3),
            v if v >= 100.0 => write!(f, "{v:.0}"),
            v => write!(f, "{v:.1}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_is_wrapped_between_words() {
        let mut text = String::new();
        let words = ["a".repeat(60), "b".repeat(49), "µ".repeat(120), "c".to_owned()];
        write_wrapped(&format!("{} {} {} {}", words[0], words[1], words[2], words[3]), "  ", &mut text)
            .unwrap();
        assert_eq!(text, format!("{} {}\n  {}\n  {}\n", words[0], words[1], words[2], words[3]));
    }

    #[test]
    fn a_number_keeps_the_digits_that_mean_something() {
        let cases =
            [(7.94, "7.9"), (123.4, "123"), (4210.0, "4.2k"), (71_400.0, "71k"), (1_234_567.0, "1.23M")];
        for (number, text) in cases {
            assert_eq!(Short(number).to_string(), text);
        }
    }
}
