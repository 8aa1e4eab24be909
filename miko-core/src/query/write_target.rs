//! The records that a write changes: one record with a given pk, or all records that conditions select.

use serde_json::{Map, Value};

use crate::diagnostics::Place;
use crate::diagnostics::readers;
use crate::query::request_keys::RequestKeys;
use crate::query::select::SelectRequest;
use crate::timestamp::Timestamp;

/// Which records a write changes.
#[derive(Debug)]
pub(crate) enum WriteTarget {
    /// One record. `if_updated_at` is the `updated_at` that it must have; `None` allows any.
    One { pk: String, if_updated_at: Option<Timestamp> },
    /// The current records that a select finds.
    Selected(Box<SelectRequest>),
}

/// The keys of a request that are allowed only beside `where`.
const ORDER_KEYS: [&str; 3] = ["sort", "sorts", "limit"];

impl WriteTarget {
    /// Reads `pk` and `if_updated_at`, or `where` and the keys that are allowed beside it.
    /// `single_record_keys` are further keys of the action that make sense for one record only. The caller
    /// reads them. This function refuses them beside `where`.
    pub(super) fn read(keys: &mut RequestKeys<'_>, single_record_keys: &[&'static str]) -> Option<Self> {
        let Some(conditions) = keys.take("where") else {
            let pk = keys.read_required("pk", readers::string);
            let if_updated_at = keys.read("if_updated_at", readers::exact_timestamp);
            return Some(Self::One { pk: pk?, if_updated_at });
        };
        let excluded: Vec<&str> =
            keys.present(&["pk", "if_updated_at"]).chain(keys.present(single_record_keys)).collect();
        if !excluded.is_empty() {
            let message = format!("`{}` is about one record, and `where` about many", excluded.join("`, `"));
            let present: Vec<&str> = excluded.iter().copied().chain(["where"]).collect();
            keys.faults.refuse(Place::Root.fault(message).with("fields", present));
            // The keys are taken, so that `RequestKeys::finish` does not report them as unknown as well.
            for key in excluded {
                keys.take(key);
            }
        }
        let order: Map<String, Value> =
            ORDER_KEYS.iter().filter_map(|key| Some(((*key).to_owned(), keys.take(key)?))).collect();
        let place = Place::Key(&Place::Root, "where");
        let given = readers::object(conditions, &place, keys.faults);
        let mut is_refused = given.is_none();
        let conditions = given.unwrap_or_default();
        let selects_all = conditions.keys().all(|key| key == "placeholders");
        if !is_refused && selects_all && !order.contains_key("limit") {
            is_refused = true;
            let message = "an empty `where` selects every record: give conditions, or a `limit`";
            keys.faults.refuse(place.fault(message));
        }
        // The select is read even if `where` is refused, so that the faults of the conditions and of the keys
        // beside `where` are reported as well.
        let select = SelectRequest::read_where(&conditions, &order, keys.faults);
        (!is_refused).then(|| Self::Selected(Box::new(select)))
    }
}
