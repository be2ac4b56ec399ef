//! The way out of a sandbox: a proxy on its own socket that lets only allowed hosts through.
//!
//! Who asks is known by the socket. A name is checked, then resolved, then its address is checked, and exactly that address is
//! connected to. Nothing is allowed by default.

mod address;
pub mod host;
pub mod policy;
pub mod reason;
