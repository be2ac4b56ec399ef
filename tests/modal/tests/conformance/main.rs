//! Our messages against Modal's descriptors, and our stand-in against Modal's client.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of a test fails the test"
)]
#![expect(clippy::wildcard_enum_match_arm, reason = "syn's enums are many, and not ours")]

mod descriptors;
mod official_client;
mod python;
mod source;
