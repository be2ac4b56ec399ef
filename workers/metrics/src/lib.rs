//! What a deployment is worth and how well it runs: the facts of each session, and every figure that is made of them, defined once.
//!
//! Pure: [`record`] and [`query`] are SQL as text with the values to bind, [`period`] and [`calendar`] say which moments are asked about,
//! [`table`] has every column with its meaning and writes what was found as JSON and CSV, [`open_metrics`] for scrapers. Sessions record,
//! `workers/edge` asks. A figure of a period is about the sessions that *started* in it, whenever the rest of it happened, so that a share
//! of them is never above one; only pull requests compared with everybody's, and starts of sandboxes, are counted by their own time.

pub mod calendar;
pub mod open_metrics;
pub mod period;
pub mod query;
pub mod record;
pub mod table;
