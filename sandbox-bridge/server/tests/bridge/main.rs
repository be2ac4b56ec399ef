//! The bridge as a whole, on loopback, between an edge, a code host, a model and runners that the tests play themselves.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail like tests"
)]

mod agreed;
mod api;
mod binary;
mod egress;
mod ending;
mod exhaustion;
mod git;
mod halt;
mod hub;
mod images;
mod model;
mod pool;
mod projects;
mod restart;
mod support;
mod trace;
