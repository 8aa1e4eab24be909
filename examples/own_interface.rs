//! A trait of your own, shared like a Mikobase: `cargo run --example own_interface`.
//!
//! Four processes count the words of a speech into one object that lives in a fifth. No records are involved.

#![allow(clippy::print_stdout, reason = "printing is what an example is for")]

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mikobase::rpc::Interface;
use mikobase::{BoxError, Result, Uds, json, mikobase_interface};

const SPEECH: &str = include_str!("data/gettysburg.txt");

/// The number of occurrences of words.
///
/// The attribute generates the server, a proxy that implements this trait, and calls by name.
#[mikobase_interface]
trait WordCounts {
    /// Adds to the counts of words and returns the number of different words so far.
    fn add(&self, counts: Vec<(String, u64)>) -> Result<usize>;

    /// The count of `word`.
    fn count(&self, word: &str) -> Result<u64>;

    /// The `n` most frequent words, by count and then in alphabetical order.
    fn top(&self, n: usize) -> Result<Vec<(String, u64)>>;
}

/// The object in the server process.
#[derive(Default)]
struct Counter {
    counts: Mutex<HashMap<String, u64>>,
}

impl Counter {
    fn counts(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WordCounts for Counter {
    fn add(&self, counts: Vec<(String, u64)>) -> Result<usize> {
        let mut known = self.counts();
        for (word, count) in counts {
            *known.entry(word).or_default() += count;
        }
        Ok(known.len())
    }

    fn count(&self, word: &str) -> Result<u64> {
        Ok(self.counts().get(word).copied().unwrap_or_default())
    }

    fn top(&self, n: usize) -> Result<Vec<(String, u64)>> {
        let mut words: Vec<_> = self.counts().clone().into_iter().collect();
        words.sort_by_key(|(word, count)| (Reverse(*count), word.clone()));
        words.truncate(n);
        Ok(words)
    }
}

fn main() -> Result<(), BoxError> {
    let uds = Uds::new()?;
    let mut share = uds.spawn_share::<dyn WordCounts, _>(
        4,
        || Ok(Box::new(Counter::default())),
        |words, worker| {
            let sentences = SPEECH.split('.').skip(worker.index()).step_by(worker.count());
            let mut known = 0;
            for sentence in sentences {
                known = words.add(counts_of(sentence))?;
            }
            Ok(known)
        },
    )?;

    // Waits for the workers; the server keeps running.
    share.wait()?;
    let words = share.db()?;
    println!("the most frequent words:");
    for (word, count) in words.top(5)? {
        println!("{count:>4} {word}");
    }
    println!("`nation` was said {} times", words.count("nation")?);

    // Every implementation of the trait, here the proxy, can be called by name with JSON, as over HTTP.
    let by_name: &dyn WordCounts = words;
    println!("count({{\"word\": \"people\"}}) -> {}", by_name.dispatch("count", json!({"word": "people"}))?);

    for worker in share.join()?.workers() {
        println!("worker {} made {} calls and knew {} words", worker.index, worker.calls, worker.returned()?);
    }
    Ok(())
}

/// The words of a text in lower case, each with its count.
fn counts_of(text: &str) -> Vec<(String, u64)> {
    let mut counts = HashMap::new();
    for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    counts.into_iter().collect()
}
