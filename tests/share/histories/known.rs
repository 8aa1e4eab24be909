//! The checker finds known anomalies, and accepts histories that are sound.

use super::checker::{Summary, check};
use super::operation::Operation;
use super::violation::Anomaly::{self, *};
use crate::harness::Case;

pub const CASES: &[Case] = &[
    ("a_lost_update_of_a_list_is_found", || {
        finds(
            LostUpdate,
            &[0, 1],
            "0  1..10   ok  list 1 [], append 1 1
             1  2..9    ok  list 1 [], append 1 2
             2  20..21  ok  list 1 [1 2]",
        );
    }),
    ("a_lost_update_that_no_read_shows_is_found", || {
        finds(
            LostUpdate,
            &[0, 1],
            "0  1..10  ok  list 1 [], append 1 1
             1  2..9   ok  list 1 [], append 1 2",
        );
    }),
    ("a_lost_update_of_a_register_is_found", || {
        finds(
            LostUpdate,
            &[1, 2],
            "0  1..2   ok  write 1 5
             1  3..10  ok  read 1 5, write 1 6
             2  4..9   ok  read 1 5, write 1 7",
        );
    }),
    ("a_write_skew_of_lists_is_found", || {
        finds(
            WriteSkew,
            &[0, 1],
            "0  1..10   ok  list 1 [], list 2 [], append 1 1
             1  1..10   ok  list 1 [], list 2 [], append 2 2
             2  20..21  ok  list 1 [1], list 2 [2]",
        );
    }),
    ("a_write_skew_of_registers_is_found", || {
        finds(
            WriteSkew,
            &[0, 1],
            "0  1..10  ok  read 1 nil, write 2 5
             1  1..10  ok  read 2 nil, write 1 6",
        );
    }),
    ("two_reads_that_see_two_writes_in_different_orders_are_found", || {
        finds(
            WriteSkew,
            &[0, 1, 2, 3],
            "0  1..10  ok  append 1 1
             1  1..10  ok  append 2 2
             2  1..10  ok  list 1 [1], list 2 []
             3  1..10  ok  list 1 [], list 2 [2]",
        );
    }),
    ("an_aborted_read_of_a_list_is_found", || {
        finds(
            AbortedRead,
            &[0, 1],
            "0  1..2  failed  append 1 1
             1  3..4  ok      list 1 [1]",
        );
    }),
    ("an_aborted_read_of_a_register_is_found", || {
        finds(
            AbortedRead,
            &[0, 1],
            "0  1..4  failed  write 1 5
             1  2..3  ok      read 1 5",
        );
    }),
    ("an_aborted_read_that_later_reads_do_not_confirm_is_found", || {
        finds(
            AbortedRead,
            &[0, 2],
            "0  1..4    failed  append 1 1
             1  1..4    ok      append 1 2
             2  2..3    ok      list 1 [1]
             3  10..11  ok      list 1 [2]",
        );
    }),
    ("an_intermediate_read_of_a_list_is_found", || {
        finds(
            IntermediateRead,
            &[0, 1],
            "0  1..5  ok  append 1 1, append 1 2
             1  2..3  ok  list 1 [1]
             2  6..7  ok  list 1 [1 2]",
        );
    }),
    ("an_intermediate_read_of_a_register_is_found", || {
        finds(
            IntermediateRead,
            &[0, 1],
            "0  1..5  ok  write 1 5, write 1 6
             1  2..3  ok  read 1 5",
        );
    }),
    ("a_stale_read_of_a_list_is_found", || {
        finds(
            StaleRead,
            &[0, 1],
            "0  1..2  ok  append 1 1
             1  3..4  ok  list 1 []
             2  5..6  ok  list 1 [1]",
        );
    }),
    ("a_stale_read_of_a_register_is_found", || {
        finds(
            StaleRead,
            &[1, 2],
            "0  1..2  ok  write 1 5
             0  3..4  ok  write 1 6
             1  5..6  ok  read 1 5",
        );
    }),
    ("a_stale_read_of_a_register_without_a_value_is_found", || {
        finds(
            StaleRead,
            &[0, 1],
            "0  1..2  ok  write 1 5
             1  3..4  ok  read 1 nil",
        );
    }),
    ("a_register_that_returns_to_an_old_value_is_found", || {
        finds(
            StaleRead,
            &[0, 3],
            "0  1..10   ok  write 1 5
             1  1..10   ok  write 1 6
             2  11..12  ok  read 1 5
             3  13..14  ok  read 1 6
             2  15..16  ok  read 1 5",
        );
    }),
    ("a_read_of_a_later_write_is_found", || {
        finds(
            RealTimeViolation,
            &[0, 1],
            "0  1..2  ok  list 1 [1]
             1  3..4  ok  append 1 1",
        );
    }),
    ("a_fractured_read_is_found", || {
        finds(
            FracturedRead,
            &[0, 1],
            "0  1..10   ok  append 1 1, append 2 2
             1  1..10   ok  list 1 [1], list 2 []
             2  11..12  ok  list 1 [1], list 2 [2]",
        );
    }),
    ("a_fractured_read_of_an_operation_that_fails_is_found", || {
        finds(
            FracturedRead,
            &[0, 1],
            "0  1..10  ok      append 1 1, write 2 5
             1  1..10  failed  list 1 [1], read 2 nil, append 3 3",
        );
    }),
    ("a_read_skew_is_found", || {
        finds(
            ReadSkew,
            &[0, 1, 2],
            "0  1..10  ok  append 1 1
             1  1..10  ok  list 1 [1], append 2 2
             2  1..10  ok  list 2 [2], list 1 []",
        );
    }),
    ("a_dirty_write_is_found", || {
        finds(
            DirtyWrite,
            &[0, 1],
            "0  1..10   ok  append 1 1, append 2 1
             1  1..10   ok  append 1 2, append 2 2
             2  11..12  ok  list 1 [1 2], list 2 [2 1]",
        );
    }),
    ("appends_of_another_operation_between_those_of_one_are_found", || {
        finds(
            DirtyWrite,
            &[0, 1],
            "0  1..10   ok  append 1 1, append 1 3
             1  1..10   ok  append 1 2
             2  11..12  ok  list 1 [1 2 3]",
        );
    }),
    ("a_circular_information_flow_is_found", || {
        finds(
            CircularInformationFlow,
            &[0, 1],
            "0  1..10  ok  append 1 1, list 2 [2]
             1  1..10  ok  append 2 2, list 1 [1]",
        );
    }),
    ("a_lost_append_is_found", || {
        finds(
            LostAppend,
            &[0, 2],
            "0  1..2  ok  append 1 1
             1  3..4  ok  append 1 2
             2  5..6  ok  list 1 [2]",
        );
    }),
    ("a_duplicate_element_is_found", || {
        finds(
            DuplicateElement,
            &[1],
            "0  1..2  ok  append 1 1
             1  3..4  ok  list 1 [1 1]",
        );
    }),
    ("a_value_that_no_operation_wrote_is_found", || {
        finds(UnknownValue, &[0], "0  1..2  ok  list 1 [1]");
        finds(UnknownValue, &[0], "0  1..2  ok  read 1 1");
    }),
    ("two_orders_of_one_list_are_found", || {
        finds(
            IncompatibleOrder,
            &[2, 3],
            "0  1..10  ok  append 1 1
             1  1..10  ok  append 1 2
             2  1..10  ok  list 1 [1 2]
             3  1..10  ok  list 1 [2 1]",
        );
    }),
    ("operations_that_append_first_and_then_see_only_their_own_are_found", || {
        finds(
            IncompatibleOrder,
            &[0, 1],
            "0  1..10  ok  append 1 1, list 1 [1]
             1  1..10  ok  append 1 2, list 1 [2]",
        );
    }),
    ("reads_that_contradict_their_own_operation_are_found", || {
        for micro_ops in [
            "append 1 1, list 1 []",
            "list 1 [], append 1 1, list 1 []",
            "list 1 [], list 1 [9]",
            "list 1 [1], append 1 1",
            "write 1 1, read 1 nil",
            "read 1 nil, read 1 8",
            "read 1 1, write 1 1",
        ] {
            let others = "1  1..10  ok  append 1 9, write 1 8";
            finds(InternalInconsistency, &[0], &format!("0  1..10  ok  {micro_ops}\n{others}"));
        }
    }),
    ("an_unknown_outcome_that_is_seen_in_part_is_found", || {
        finds(
            RealTimeViolation,
            &[0, 1, 2],
            "0  1..   unknown  append 1 1, append 2 2
             1  3..4  ok       list 1 [1]
             2  5..6  ok       list 2 []",
        );
    }),
    ("an_unknown_outcome_that_is_seen_and_vanishes_is_found", || {
        finds(
            RealTimeViolation,
            &[0, 1, 2],
            "0  1..   unknown  append 1 1
             1  3..4  ok       list 1 [1]
             2  5..6  ok       list 1 []",
        );
    }),
    ("an_unknown_outcome_that_is_seen_too_early_is_found", || {
        finds(
            RealTimeViolation,
            &[0, 1],
            "0  5..   unknown  write 1 1
             1  1..2  ok       read 1 1",
        );
    }),
    ("an_unknown_outcome_may_be_seen_or_not", || {
        accepts(
            "0  1..    unknown  append 1 1, write 1 5
             1  2..3   ok       list 1 [], read 1 nil
             2  4..5   unknown  append 1 2, write 1 6
             3  6..7   ok       list 1 [2], read 1 6
             4  8..9   ok       list 1 [2 1], read 1 5",
        );
        accepts(
            "0  1..   unknown  append 1 1, write 1 5
             1  2..3  ok       append 1 2
             2  4..5  ok       list 1 [2], read 1 nil",
        );
    }),
    ("what_an_operation_that_fails_wrote_for_itself_is_accepted", || {
        accepts(
            "0  1..2  ok      append 1 1
             1  3..4  failed  list 1 [1], append 1 2, list 1 [1 2], write 1 5, read 1 5
             2  5..6  ok      list 1 [1], read 1 nil",
        );
    }),
    ("operations_that_overlap_may_have_any_order", || {
        accepts(
            "0  1..10   ok  append 1 1, write 1 5
             1  1..10   ok  append 1 2, write 1 6
             2  2..9    ok  list 1 [], read 1 nil
             3  2..9    ok  list 1 [2], read 1 6
             4  11..12  ok  list 1 [2 1], read 1 5",
        );
        // Times that are equal overlap, too.
        accepts(
            "0  1..2  ok  append 1 1
             1  2..3  ok  list 1 []
             2  3..4  ok  list 1 [1]",
        );
    }),
    ("appends_that_no_read_has_seen_yet_are_accepted", || {
        accepts(
            "0  1..2  ok  append 1 1
             1  3..9  ok  list 1 [1], append 1 2
             2  3..9  ok  append 1 3
             3  3..9  ok  append 1 4, append 1 5
             4  3..9  ok  list 1 [1]",
        );
    }),
    ("an_operation_sees_its_own_writes", || {
        accepts(
            "0  1..2  ok  append 1 1, list 1 [1], append 1 2, list 1 [1 2], list 1 [1 2]
             1  3..4  ok  list 1 [1 2], append 1 3, list 1 [1 2 3]
             2  5..6  ok  read 1 nil, write 1 5, read 1 5, write 1 6, read 1 6
             3  7..8  ok  write 1 7, read 1 7",
        );
    }),
    ("the_dependencies_of_a_history_are_counted", || {
        let text = "0  1..2  ok  append 1 1
                    1  3..4  ok  list 1 [1], append 1 2
                    2  1..9  ok  list 1 [1]
                    3  5..6  ok  read 1 nil, write 1 5
                    4  7..8  ok  read 1 5";
        let expected = Summary { operations: 5, write_write: 1, write_read: 3, read_write: 1 };
        assert_eq!(check(&history(text)), Ok(expected));
    }),
    ("an_operation_reads_as_it_is_written", || {
        let text = "3  10..20  ok  append 1 5, list 1 [4 5], list 2 [], write 2 7, read 2 nil, read 1 9";
        assert_eq!(text.parse::<Operation>().unwrap().to_string(), text);
        assert_eq!("3  10..  unknown  ".parse::<Operation>().unwrap().to_string(), "3  10..  unknown  ");
        for wrong in
            ["", "3", "3  10..20  maybe  ", "3  10  ok  ", "3  1..2  ok  list 1 4", "3  1..2  ok  sum 1 4"]
        {
            assert!(wrong.parse::<Operation>().is_err(), "{wrong}");
        }
    }),
];

fn history(text: &str) -> Vec<Operation> {
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// Checks that the history has this anomaly, which these operations show.
fn finds(anomaly: Anomaly, operations: &[u32], text: &str) {
    let violation = check(&history(text)).expect_err(text);
    let mut found = violation.operations.clone();
    found.sort_unstable();
    assert_eq!((violation.anomaly, found.as_slice()), (anomaly, operations), "{violation}");
    for index in operations {
        assert!(violation.to_string().contains(&format!("T{index} = ")), "{violation}");
    }
}

fn accepts(text: &str) {
    check(&history(text)).unwrap_or_else(|violation| panic!("{violation}"));
}
