//! Tests of shares with real processes, sockets and signals.
//!
//! A share forks, and a fork needs a process with one thread, so the harness in `harness.rs` runs each case
//! in its own process. After each case it checks that no process and no file is left.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::print_stdout, reason = "a test program")]

mod around;
mod async_client;
mod bounds;
mod changes;
mod chaos;
mod claims;
mod command;
mod deaths;
mod edits;
mod equality;
mod files;
mod fuzz;
mod gates;
mod harness;
mod histories;
mod hooks;
mod http;
mod http_client;
mod http_connections;
mod http_fuzz;
mod http_gzip;
mod http_metrics;
mod http_mikobase;
mod http_page;
mod http_proxy;
mod http_strange_server;
mod ledger;
mod lifecycle;
mod limits;
mod lost;
mod memory;
mod misuse;
mod nested;
mod office;
mod operations_page;
mod page;
mod peak;
mod protocol;
mod random;
mod relay;
mod replicas;
mod schemas;
mod serve;
mod session_deaths;
mod session_fuzz;
mod sessions;
mod signals;
mod streams;
mod support;
mod transactions;
mod turnstile;
mod unauthorized;
mod unread;
mod watch;

fn main() -> std::process::ExitCode {
    let cases: &[(&str, &[harness::Case])] = &[
        ("lifecycle", lifecycle::CASES),
        ("deaths", deaths::CASES),
        ("signals", signals::CASES),
        ("bounds", bounds::CASES),
        ("chaos", chaos::CASES),
        ("fuzz", fuzz::CASES),
        ("misuse", misuse::CASES),
        ("nested", nested::CASES),
        ("unauthorized", unauthorized::CASES),
        ("limits", limits::CASES),
        ("unread", unread::CASES),
        ("lost", lost::CASES),
        ("memory", memory::CASES),
        ("async_client", async_client::CASES),
        ("around", around::CASES),
        ("sessions", sessions::CASES),
        ("gates", gates::CASES),
        ("session_deaths", session_deaths::CASES),
        ("session_fuzz", session_fuzz::CASES),
        ("protocol", protocol::CASES),
        ("schemas", schemas::CASES),
        ("files", files::CASES),
        ("streams", streams::CASES),
        ("equality", equality::CASES),
        ("edits", edits::CASES),
        ("transactions", transactions::CASES),
        ("changes", changes::CASES),
        ("replicas", replicas::CASES),
        ("claims", claims::CASES),
        ("hooks", hooks::CASES),
        ("command", command::CASES),
        ("watch", watch::CASES),
        ("http", http::CASES),
        ("http_connections", http_connections::CASES),
        ("http_fuzz", http_fuzz::CASES),
        ("http_gzip", http_gzip::CASES),
        ("http_metrics", http_metrics::CASES),
        ("http_mikobase", http_mikobase::CASES),
        ("http_proxy", http_proxy::CASES),
        ("http_strange_server", http_strange_server::CASES),
        ("serve", serve::CASES),
        ("operations_page", operations_page::CASES),
        ("http_page", http_page::CASES),
        ("known_histories", histories::KNOWN),
        ("generated_histories", histories::GENERATED),
        ("recorded_histories", histories::RECORDS),
        ("histories", histories::RUNS),
    ];
    // Each with workers or other clients that call a server.
    let over_http = [
        "deaths",
        "chaos",
        "around",
        "sessions",
        "gates",
        "files",
        "streams",
        "equality",
        "edits",
        "transactions",
        "changes",
        "claims",
        "hooks",
    ];
    harness::main(
        cases,
        &over_http,
        &[
            ("programs", deaths::PROGRAMS),
            ("signal_programs", signals::PROGRAMS),
            ("chaos_programs", chaos::PROGRAMS),
            ("fuzz_programs", fuzz::PROGRAMS),
        ],
    )
}
