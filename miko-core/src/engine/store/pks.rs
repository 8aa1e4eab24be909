//! Pks that the engine gives to new records, versions and files: UUIDs of version 7, each larger than the one
//! before it.
//!
//! The first pk of a millisecond is drawn: its lower bits are random. Each further pk is counted up: it is
//! larger by one than the pk before it (RFC 9562, section 6.2). So a busy engine asks the kernel for random
//! numbers once in a millisecond and not for each record. Two stores draw independent random numbers of more
//! than 60 bits, so they hardly ever give out equal pks.

use uuid::{NoContext, Uuid};

use crate::timestamp::Timestamp;

/// Gives out pks.
#[derive(Debug, Default)]
pub(super) struct Pks {
    /// The last pk; 0 before the first one.
    last: u128,
    /// Whether a caller has chosen a larger pk than the last one since the last draw, so that counting up may
    /// reach a chosen pk.
    may_meet_chosen: bool,
}

impl Pks {
    /// A new pk for a record, a version or a file of this time. A pk that is drawn contains the time, or the
    /// current time if that is earlier. `time` may be in the future, as that of an imported version. If the
    /// pk contained such a time, all pks until that time would be counted up from this pk.
    pub(super) fn next(&mut self, time: Timestamp) -> String {
        // A drawn pk, or 0 if the next pk is counted up.
        let drawn = if self.is_drawn_at(time) {
            // The clock is read once in a millisecond, and not for each pk.
            let time = time.min(Timestamp::now());
            if self.is_drawn_at(time) { random_pk(time).as_u128() } else { 0 }
        } else {
            0
        };
        // Pks ascend also when the clock goes back.
        if drawn > self.last {
            self.may_meet_chosen = false;
        }
        self.last = drawn.max(self.last + 1);
        Uuid::from_u128(self.last).to_string()
    }

    /// Whether a pk for this time is drawn and not counted up: there is no last pk, or the last pk has an
    /// earlier time.
    fn is_drawn_at(&self, time: Timestamp) -> bool {
        // The first pk is always drawn. Before it `last` is 0, which `millis` reads as 1970: with a clock at
        // 1970 or before, the first pk would be counted up from 0, and would be no UUID of version 7.
        self.last == 0 || time.as_millis() > self.millis()
    }

    /// Skips a pk that a caller has chosen, so that it is not given out. Only a pk shortly after the last one
    /// has to be skipped, since counting up could reach it. Any other pk could be given out only by a draw,
    /// which is improbable.
    pub(super) fn skip(&mut self, chosen: &str) {
        /// More pks than can be given out in a millisecond.
        const MAX_DISTANCE: u128 = 1 << 32;
        let Ok(chosen) = Uuid::try_parse(chosen) else { return };
        let chosen = chosen.as_u128();
        self.may_meet_chosen |= chosen > self.last;
        if chosen > self.last && chosen - self.last <= MAX_DISTANCE {
            self.last = chosen;
        }
    }

    /// Whether a record may have the pk that was given out last, so that it has to be looked up.
    pub(super) fn may_be_taken(&self) -> bool {
        self.may_meet_chosen
    }

    /// As if this pk was the last one.
    #[cfg(test)]
    pub(super) fn after(last: &str) -> Self {
        Self { last: Uuid::try_parse(last).unwrap().as_u128(), may_meet_chosen: false }
    }

    /// The time in the last pk, in milliseconds since 1970: the upper 48 bits.
    fn millis(&self) -> i64 {
        (self.last >> 80) as i64
    }
}

/// A pk that contains this time, and is random otherwise. A time before 1970 counts as 1970: UUIDs of version
/// 7 contain no earlier time.
fn random_pk(time: Timestamp) -> Uuid {
    let millis = time.as_millis().max(0) as u64;
    let nanos = (millis % 1_000 * 1_000_000) as u32;
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, millis / 1_000, nanos))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn pks_ascend_and_are_uuids_of_version_7_that_contain_the_time() {
        let mut pks = Pks::default();
        let mut last = String::new();
        let begun = Timestamp::now().as_millis();
        for _ in 0..10_000 {
            let pk = pks.next(Timestamp::now());
            assert!(pk > last, "{pk} after {last}");
            let uuid = Uuid::try_parse(&pk).unwrap();
            assert_eq!((uuid.get_version_num(), uuid.get_variant()), (7, uuid::Variant::RFC4122));
            assert!((begun..=Timestamp::now().as_millis()).contains(&pks.millis()));
            last = pk;
        }
    }

    #[test]
    fn a_pk_that_a_caller_has_chosen_is_not_given_out() {
        let mut pks = Pks::default();
        let now = Timestamp::now();
        let last = Uuid::try_parse(&pks.next(now)).unwrap().as_u128();
        let nth = |n: u128| Uuid::from_u128(last + n).to_string();
        pks.skip(&nth(1));
        pks.skip(&nth(3));
        pks.skip(&nth(2));
        pks.skip("mine");
        pks.skip(&nth(1 << 60));
        assert_eq!(pks.next(now), nth(4));
    }

    #[test]
    fn pks_ascend_when_the_clock_goes_back() {
        let mut pks = Pks::default();
        let before = pks.next(Timestamp::now());
        assert!(pks.next(Timestamp::from_millis(0)) > before);
    }

    #[test]
    fn pks_ascend_and_are_of_version_7_with_a_clock_before_1970() {
        let mut pks = Pks::default();
        let mut last = String::new();
        // The last one is the end of the year 9999.
        for millis in [i64::MIN, -1, 0, 1, 1, 0, 253_402_300_799_999] {
            let pk = pks.next(Timestamp::from_millis(millis));
            assert!(pk > last, "{pk} after {last}");
            assert_eq!(Uuid::try_parse(&pk).unwrap().get_version_num(), 7);
            last = pk;
        }
    }

    #[test]
    fn a_time_in_the_future_does_not_move_the_time_of_the_pks() {
        // The end of the year 9999.
        let future = Timestamp::from_millis(253_402_300_799_999);
        let mut pks = Pks::default();
        pks.next(future);
        assert!(pks.millis() <= Timestamp::now().as_millis());
        // A pk of an earlier time, such as one that a store gave out some milliseconds ago.
        pks.last = random_pk(Timestamp::from_millis(1)).as_u128();
        let before = pks.last;
        pks.next(future);
        assert!(pks.last - before > 1 << 80, "it is drawn anew, by the clock");
        assert!(pks.millis() <= Timestamp::now().as_millis());
    }

    #[test]
    fn two_stores_give_different_pks_in_the_same_millisecond() {
        let (mut first, mut second) = (Pks::default(), Pks::default());
        let now = Timestamp::now();
        let given: HashSet<String> = (0..1000).flat_map(|_| [first.next(now), second.next(now)]).collect();
        assert_eq!(given.len(), 2000);
    }
}
