//! Compares a message with its golden vector in `vectors/`; used by the tests beside it.
//!
//! `UPDATE_GENERATED=1` writes a vector that is missing, and never one that is there.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// Where the vectors are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// Whether what is missing is to be written.
pub(crate) fn updating() -> bool {
    std::env::var_os("UPDATE_GENERATED").is_some()
}

/// The committed vector decodes to `value`, and `value` is written as it is.
pub(crate) fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, value: &T) {
    let path = folder().join(format!("{name}.json"));
    if updating() && !path.exists() {
        std::fs::write(&path, serde_json::to_string_pretty(value).unwrap() + "\n").unwrap();
    }
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|_| panic!("no vector {name}: UPDATE_GENERATED=1 cargo test -p protocol"));
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value, "{name} decodes to something else");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&text).unwrap(),
        serde_json::to_value(value).unwrap(),
        "{name} is written differently; a changed format needs a new vector"
    );
}
