//! Budgets of the deployment: the questions that sessions ask the ledger in D1, and what its answers mean.
//!
//! No IO: [`ledger`] and [`slots`] say which statements to run, [`verdict`] what follows. A turn spends only what it was granted, and what is
//! granted counts as spent until it is given back, so that two sessions never spend the same dollar. Used by the session's object and
//! by the edge.

pub mod day;
pub mod ledger;
pub mod slots;
pub mod verdict;
