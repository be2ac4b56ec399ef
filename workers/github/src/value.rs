//! Picking what matters out of GitHub's large objects. A struct for each of them would be a reader of its own in the Worker's module.

use crate::time::parse_time;
use protocol::time::Timestamp;
use serde_json::Value;

/// A text; empty where there is none.
pub(crate) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// A text of the caller's own.
pub(crate) fn owned(value: &Value, path: &str) -> String {
    text(value, path).to_owned()
}

/// A number.
pub(crate) fn number(value: &Value, path: &str) -> Option<u64> {
    at(value, path)?.as_u64()
}

/// A moment; the beginning of time where there is none.
pub(crate) fn moment(value: &Value, path: &str) -> Timestamp {
    parse_time(text(value, path)).unwrap_or(Timestamp(0))
}

/// The elements of an array; none where there is none.
pub(crate) fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    at(value, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What is at a path of names with dots between them; the value itself for the empty one.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|name| !name.is_empty()).try_fold(value, |value, name| value.get(name))
}
