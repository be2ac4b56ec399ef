//! Small conversions between columns and types: ids, enums as text, JSON.

use super::sql::StoreError;
use protocol::id::InvalidId;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An enum without data as its word on the wire.
pub(super) fn word<T: Serialize>(value: &T) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        Ok(other) => Err(StoreError::Corrupt(format!("not a word: {other}"))),
        Err(error) => Err(StoreError::Corrupt(error.to_string())),
    }
}

pub(super) fn from_word<T: DeserializeOwned>(word: &str) -> Result<T, StoreError> {
    serde_json::from_str(&format!("\"{word}\"")).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(super) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(super) fn id<T>(parsed: Result<T, InvalidId>) -> Result<T, StoreError> {
    parsed.map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// A count, which is never that large.
pub(super) fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// JSON that one statement gets to write from; a bound text must stay below 2 MB.
pub(super) const BOUND_BYTES_MAX: usize = 512 * 1024;

/// Puts one more element into a JSON array whose end is still open, or whose brackets come later.
pub(super) fn push_element(array: &mut String, element: &str) {
    if !array.is_empty() && !array.ends_with('[') {
        array.push(',');
    }
    array.push_str(element);
}
