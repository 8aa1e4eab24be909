//! Looking keys up in objects, most of which have few.

use serde_json::{Map, Value};

/// Going through so many keys takes less than hashing one.
const FEW: usize = 16;

/// As `Map::get`.
pub(crate) fn get<'m>(map: &'m Map<String, Value>, key: &str) -> Option<&'m Value> {
    if map.len() > FEW {
        return map.get(key);
    }
    map.iter().find_map(|(name, value)| (name == key).then_some(value))
}

/// As `Map::get_mut`.
pub(crate) fn get_mut<'m>(map: &'m mut Map<String, Value>, key: &str) -> Option<&'m mut Value> {
    if map.len() > FEW {
        return map.get_mut(key);
    }
    map.iter_mut().find_map(|(name, value)| (name == key).then_some(value))
}
