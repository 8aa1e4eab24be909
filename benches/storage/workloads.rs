//! Creates, reads and queries on each kind of store.

use crate::records::{Record, SHIPS};
use crate::store::Store;
use crate::support::{Samples, Table, interleaved, seconds_per_call};
use crate::{PRELOADED, ROUNDS};

pub(crate) fn workloads(stores: &mut [Store], preloaded: &[Record], fresh: &[Record]) -> Table {
    let mut table = Table::new(stores.iter().map(|store| store.name.as_str()));
    let sizes: Vec<_> = stores.iter().map(|store| Samples::exact(store.bytes_per_record())).collect();

    table.measured(
        "create, /s",
        &interleaved(ROUNDS, stores, |store| {
            let seconds = seconds_per_call(fresh.len(), |n| store.create(&fresh[n]));
            store.shrink();
            1.0 / seconds
        }),
    );
    table.measured(
        "read by key, /s",
        &interleaved(ROUNDS, stores, |store| {
            // A stride that shares no divisor with the count visits every key, never its neighbour next.
            1.0 / seconds_per_call(30_000, |n| {
                assert!(store.read(&preloaded[n * 7_919 % PRELOADED].pk).is_some());
            })
        }),
    );
    table.measured(
        "scan, two conditions, /s",
        &interleaved(ROUNDS, stores, |store| {
            1.0 / seconds_per_call(2, |_| assert!(store.count(&store.sql.scan, []) > 0))
        }),
    );
    table.measured(
        "indexed equality, limit 10, /s",
        &interleaved(ROUNDS, stores, |store| {
            1.0 / seconds_per_call(1_000, |n| {
                assert_eq!(store.count(&store.sql.indexed, [format!("ship-{:03}", n % SHIPS)]), 10);
            })
        }),
    );
    table.measured("bytes per record", &sizes);
    table
}
