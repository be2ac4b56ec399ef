//! The whole product on loopback: stand-ins, sandbox bridge, and the Worker in workerd, with nothing left behind.
//!
//! `xtask` and the end-to-end tests start it. It builds nothing (see `xtask`), and it knows the product only by its command lines
//! and wires.

mod app;
mod bridge;
mod client;
mod error;
mod identity;
mod modal;
mod options;
mod paths;
mod ports;
mod process;
mod proxy;
mod revive;
mod run;
mod sandbox;
mod wires;
mod worker;

pub use client::{Client, SessionSocket};
pub use error::StackError;
pub use fakes;
pub use identity::Person;
pub use options::{Agent, Model, Options, Provider, Repository};
pub use paths::{Binaries, root};
pub use ports::raise_file_limit;
pub use proxy::{Counts, Cut, CutAfter, Direction, Door, Pace, Proxy, Rule, Then};
pub use run::Stack;
pub use sandbox::Sandbox;
pub use wires::Wires;
