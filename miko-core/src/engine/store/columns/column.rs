//! The values at one path of the records of a table.

use foldhash::fast::RandomState;
use indexmap::IndexSet;

use crate::query::PathValue;

/// With at most this many distinct values, a column keeps its dictionary even if few records share a value:
/// the records that are read first may have more distinct values than the others.
const MIN_DICTIONARY: usize = 4096;

/// The bytes that a value of a dictionary takes besides those on the heap: itself, its hash and its slot in
/// the hash table.
const ENTRY_SIZE: usize = size_of::<PathValue>() + 20;

/// The value at one path for each record of a table, by the position of the record.
#[derive(Debug)]
pub(crate) struct Column {
    values: Values,
    /// The bytes that the values take on the heap. Each value of a dictionary counts once.
    heap_size: usize,
}

/// The values of a column, in one of two forms.
#[derive(Debug)]
pub(crate) enum Values {
    /// A dictionary of the distinct values, and for each record the index of its value in the dictionary. A
    /// value stays in the dictionary even if no record has it any longer. If the dictionary becomes too
    /// large, the column becomes plain.
    Coded(Dictionary),
    /// The value of each record. There is no dictionary, since most of the values are distinct.
    Plain(Vec<PathValue>),
}

/// Distinct values, and the value of each record as an index into them (its code).
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    /// For each record, the index of its value in `distinct`.
    pub(crate) codes: Vec<u32>,
    pub(crate) distinct: IndexSet<PathValue, RandomState>,
}

impl Default for Column {
    fn default() -> Self {
        Self { values: Values::Coded(Dictionary::default()), heap_size: 0 }
    }
}

impl Column {
    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    /// The approximate size in bytes.
    pub(crate) fn size(&self) -> usize {
        let values_size = match &self.values {
            Values::Coded(Dictionary { codes, distinct }) => {
                codes.len() * size_of::<u32>() + distinct.len() * ENTRY_SIZE
            }
            Values::Plain(values) => values.len() * size_of::<PathValue>(),
        };
        values_size + self.heap_size
    }

    /// Inserts the value of a new record at its position.
    pub(crate) fn insert(&mut self, position: usize, value: PathValue) {
        match &mut self.values {
            Values::Coded(dictionary) => {
                let code = dictionary.code_of(value, &mut self.heap_size);
                dictionary.codes.insert(position, code);
                self.replace_large_dictionary();
            }
            Values::Plain(values) => {
                self.heap_size += value.heap_size();
                values.insert(position, value);
            }
        }
    }

    /// Replaces the value of a record.
    pub(crate) fn set(&mut self, position: usize, value: PathValue) {
        match &mut self.values {
            Values::Coded(dictionary) => {
                dictionary.codes[position] = dictionary.code_of(value, &mut self.heap_size);
                self.replace_large_dictionary();
            }
            Values::Plain(values) => {
                self.heap_size += value.heap_size();
                self.heap_size -= values[position].heap_size();
                values[position] = value;
            }
        }
    }

    /// Keeps only the values at the positions at which `is_kept` is true.
    pub(crate) fn retain(&mut self, is_kept: &[bool]) {
        let mut is_kept = is_kept.iter().copied();
        match &mut self.values {
            Values::Coded(Dictionary { codes, .. }) => codes.retain(|_| is_kept.next() == Some(true)),
            Values::Plain(values) => {
                values.retain(|_| is_kept.next() == Some(true));
                self.heap_size = values.iter().map(PathValue::heap_size).sum();
            }
        }
    }

    /// Makes the column plain if the dictionary has grown so large that it saves nothing.
    fn replace_large_dictionary(&mut self) {
        let Values::Coded(Dictionary { codes, distinct }) = &self.values else { return };
        if distinct.len() <= MIN_DICTIONARY.max(codes.len() / 2) {
            return;
        }
        let values: Vec<_> = codes.iter().map(|code| distinct[*code as usize].clone()).collect();
        self.heap_size = values.iter().map(PathValue::heap_size).sum();
        self.values = Values::Plain(values);
    }
}

impl Dictionary {
    /// The code of a value. Adds a new value to the dictionary, and its size on the heap to `heap_size`.
    fn code_of(&mut self, value: PathValue, heap_size: &mut usize) -> u32 {
        if let Some(code) = self.distinct.get_index_of(&value) {
            return code as u32;
        }
        *heap_size += value.heap_size();
        // The index fits: a table has fewer than 2^32 records, and the dictionary has at most half as many
        // values, or a few thousand (see `replace_large_dictionary`).
        self.distinct.insert_full(value).0 as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: usize) -> PathValue {
        PathValue::Number(value.into())
    }

    fn value(column: &Column, position: usize) -> PathValue {
        match column.values() {
            Values::Coded(Dictionary { codes, distinct }) => distinct[codes[position] as usize].clone(),
            Values::Plain(values) => values[position].clone(),
        }
    }

    #[test]
    fn a_column_of_mostly_distinct_values_has_no_dictionary() {
        for (distinct, is_coded) in [(1, true), (100, true), (2000, true), (10_000, false)] {
            let mut column = Column::default();
            (0..10_000).for_each(|position| column.insert(position, number(position % distinct)));
            assert_eq!(matches!(column.values(), Values::Coded(_)), is_coded, "{distinct}");
            assert!((0..10_000).all(|position| value(&column, position) == number(position % distinct)));
        }
    }

    #[test]
    fn repeatedly_replaced_values_do_not_accumulate() {
        let mut column = Column::default();
        let text = |round: usize| PathValue::Text("x".repeat(round % 50).into());
        (0..100).for_each(|position| column.insert(position, number(0)));
        for round in 0..100_000 {
            column.set(round % 100, if round % 2 == 0 { number(round) } else { text(round) });
        }
        assert!(matches!(column.values(), Values::Plain(_)), "{}", column.size());
        // The column has 100 values. Each takes its own size, and at most 50 bytes of text.
        assert!(column.size() < 100 * 200, "{}", column.size());
        assert_eq!(value(&column, 99), text(99_999));
        (0..100).for_each(|position| column.set(position, PathValue::Null));
        assert_eq!(column.heap_size, 0);
    }
}
