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

/// How often words were said.
///
/// The attribute makes the rest: the server's side, a proxy that implements this trait, calls by name.
#[mikobase_interface]
trait WordCounts {
    /// Adds to the counts of words, and gives the number of different words known by now.
    fn add(&self, counts: Vec<(String, u64)>) -> Result<usize>;

    /// How often `word` was said.
    fn count(&self, word: &str) -> Result<u64>;

    /// The `n` most frequent words, those of equal count in alphabetical order.
    fn top(&self, n: usize) -> Result<Vec<(String, u64)>>;
}

/// What the server process holds.
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

    // The workers have ended after this; the server has not.
    share.wait()?;
    let words = share.db()?;
    println!("the most frequent words:");
    for (word, count) in words.top(5)? {
        println!("{count:>4} {word}");
    }
    println!("`nation` was said {} times", words.count("nation")?);

    // Whatever implements the trait can be called by name with JSON, as HTTP does it: here, the proxy.
    let by_name: &dyn WordCounts = words;
    println!("count({{\"word\": \"people\"}}) -> {}", by_name.dispatch("count", json!({"word": "people"}))?);

    for worker in share.join()?.workers() {
        println!("worker {} made {} calls and knew {} words", worker.index, worker.calls, worker.returned()?);
    }
    Ok(())
}

/// The words of a text in lower case, and how often each is in it.
fn counts_of(text: &str) -> Vec<(String, u64)> {
    let mut counts = HashMap::new();
    for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    counts.into_iter().collect()
}
