//! The whole product on real parts, as people use it: tests in `tests/`, and a soak of many sessions with faults.

mod dice;
mod observer;
mod secrets;
pub mod soak;

pub use dice::Dice;
pub use observer::{Observer, PATIENCE, is_over};
pub use secrets::no_secrets;
