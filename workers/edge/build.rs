//! Tells the Worker the name of the newest migration of D1, so that it can say when the database lacks it.

use std::path::Path;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/d1");
    println!("cargo::rerun-if-changed={}", folder.display());
    let names = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let newest = names.filter_map(|name| name.into_string().ok()).filter(|name| name.ends_with(".sql")).max();
    println!("cargo::rustc-env=NEWEST_MIGRATION={}", newest.unwrap_or_default());
}
