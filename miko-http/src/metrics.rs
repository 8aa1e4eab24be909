//! `GET /metrics`: what the server has counted, in the text format of Prometheus.

use std::fmt::{Display, Write};
use std::fs;

use hyper::StatusCode;
use hyper::header::HeaderValue;
use miko_shared::server::CallOutcome;
use nix::unistd::{SysconfVar, sysconf};

use crate::asked::Asked;
use crate::body::ResponseBody;
use crate::reply::{self, Answer};

/// The version of the format.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Answers with all metrics.
pub(crate) fn answer(asked: &Asked) -> Answer {
    let text = text(asked);
    Ok(reply::respond(StatusCode::OK, TEXT, ResponseBody::whole(text)))
}

fn text(asked: &Asked) -> String {
    let metrics = asked.connection.calls.metrics();
    let http = &asked.connection.http;
    let mut out = Text::default();
    out.family("mikobase_calls_total", "counter", "Calls that have ended, by method and outcome.");
    metrics.each_method(|interface, method, count| {
        for (outcome, count) in &count.outcomes {
            let outcome = match outcome {
                CallOutcome::Succeeded => "ok",
                CallOutcome::Failed(id) => id.as_str(),
                CallOutcome::Later => "later",
                _ => "other-error",
            };
            let labels = [("interface", interface), ("method", method), ("outcome", outcome)];
            out.sample("mikobase_calls_total", &labels, count);
        }
    });
    let help = "How long the thread of the server has run calls.";
    out.family("mikobase_call_seconds_total", "counter", help);
    metrics.each_method(|interface, method, count| {
        let labels = [("interface", interface), ("method", method)];
        out.sample("mikobase_call_seconds_total", &labels, count.time.as_secs_f64());
    });
    let traffic = [("wire", &metrics.wire), ("http", &metrics.protocols)];
    let mut of_traffic = |name: &str, kind: &str, help: &str, value: &dyn Fn(usize) -> u64| {
        out.family(name, kind, help);
        for (index, (protocol, _)) in traffic.iter().enumerate() {
            out.sample(name, &[("protocol", protocol)], value(index));
        }
    };
    of_traffic("mikobase_open_connections", "gauge", "Open connections.", &|index| traffic[index].1.open());
    of_traffic("mikobase_connections_total", "counter", "Connections that were accepted.", &|index| {
        traffic[index].1.accepted()
    });
    of_traffic("mikobase_received_bytes_total", "counter", "Bytes that have arrived.", &|index| {
        traffic[index].1.received()
    });
    of_traffic("mikobase_sent_bytes_total", "counter", "Bytes that were sent.", &|index| {
        traffic[index].1.sent()
    });
    out.family("mikobase_http_responses_total", "counter", "Responses over HTTP, by status.");
    for (status, count) in &*http.counts.responses.borrow() {
        out.sample("mikobase_http_responses_total", &[("status", status.as_str())], count);
    }
    out.family("mikobase_http_sessions", "gauge", "Open sessions of HTTP.");
    out.sample("mikobase_http_sessions", &[], http.sessions.count());
    out.family("mikobase_http_streams", "gauge", "Streams that are being sent over HTTP.");
    out.sample("mikobase_http_streams", &[], http.counts.streams.get());
    out.process();
    out.0
}

/// A text in the format of Prometheus.
#[derive(Default)]
struct Text(String);

impl Text {
    /// Begins the samples of a metric.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.write(format_args!("{name}"));
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.write(format_args!("{before}{label}=\"{text}\""));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        self.write(format_args!("{end} {value}\n"));
    }

    /// What the kernel knows of the process, under the names that all programs give it.
    fn process(&mut self) {
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
        let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        if let Some(pages) = number(statm.split(' ').nth(1))
            && let Some(size) = system(SysconfVar::PAGE_SIZE)
        {
            self.family("process_resident_memory_bytes", "gauge", "The memory of the server.");
            self.sample("process_resident_memory_bytes", &[], pages * size);
        }
        // The fields after the name of the program, which may contain anything: the first is the third.
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        if let (Some(user), Some(kernel)) =
            (number(fields.split(' ').nth(11)), number(fields.split(' ').nth(12)))
            && let Some(ticks) = system(SysconfVar::CLK_TCK)
        {
            self.family("process_cpu_seconds_total", "counter", "The processor time of the server.");
            #[expect(clippy::cast_precision_loss, reason = "a fraction of seconds, for people")]
            self.sample("process_cpu_seconds_total", &[], (user + kernel) as f64 / ticks as f64);
        }
        if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
            self.family("process_open_fds", "gauge", "The open descriptors of the server.");
            self.sample("process_open_fds", &[], descriptors.count());
        }
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // A `String` takes any text.
        let _ = self.0.write_fmt(text);
    }
}

fn system(variable: SysconfVar) -> Option<u64> {
    sysconf(variable).ok().flatten().and_then(|value| u64::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_escaped_labels() {
        let mut text = Text::default();
        text.family("calls", "counter", "Calls.");
        text.sample("calls", &[], 1);
        text.sample("calls", &[("method", "a"), ("outcome", "\"\\\n")], 2.5);
        let expected = "# HELP calls Calls.\n# TYPE calls counter\ncalls 1\n\
                        calls{method=\"a\",outcome=\"\\\"\\\\\\n\"} 2.5\n";
        assert_eq!(text.0, expected);
    }
}
