//! Member lookup in objects, optimized for objects with few members.

use serde_json::{Map, Value};

/// Up to this number of members, a linear scan is faster than hashing the key.
const LINEAR_SCAN_MAX: usize = 16;

/// As `Map::get`.
pub(crate) fn get<'m>(map: &'m Map<String, Value>, key: &str) -> Option<&'m Value> {
    if map.len() > LINEAR_SCAN_MAX {
        return map.get(key);
    }
    map.iter().find_map(|(name, value)| (name == key).then_some(value))
}

/// As `Map::get_mut`.
pub(crate) fn get_mut<'m>(map: &'m mut Map<String, Value>, key: &str) -> Option<&'m mut Value> {
    if map.len() > LINEAR_SCAN_MAX {
        return map.get_mut(key);
    }
    map.iter_mut().find_map(|(name, value)| (name == key).then_some(value))
}
