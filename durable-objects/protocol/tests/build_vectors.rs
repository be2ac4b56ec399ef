//! The lines that a runner prints while an image is built match their vectors.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail like tests")]

mod golden;

use golden::check;
use protocol::build::{BuildSources, LeftBehind};

#[test]
fn what_a_build_is_told_matches_its_vectors() {
    let sources = BuildSources {
        entries: vec!["README.md".into(), "package.json".into()],
        files: [("package.json".to_owned(), "{}".to_owned())].into(),
    };
    check("build_sources", &sources);
    check("left_behind", &LeftBehind { files: vec!["dist/".into(), "a b.txt".into()] });
}
