//! Messages of the command router, which runs on a sandbox's worker.

mod exec;
mod input;
mod task;

pub use exec::*;
pub use input::*;
pub use task::*;
