//! Ports of this machine: chosen once for a run, and kept so that it can be started again under the same addresses.

use crate::StackError;
use fakes::token::random_hex;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::net::TcpListener;
use std::path::Path;

/// Lets this process and those that it starts have as many sockets as the machine allows; the usual limit is below a thousand.
pub fn raise_file_limit() -> Result<(), StackError> {
    let failed = |error: nix::errno::Errno| StackError::file("RLIMIT_NOFILE")(error.into());
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(failed)
}

/// Ports of a run, kept so that it can be started again under the same addresses.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) worker: u16,
    pub(crate) github: u16,
    pub(crate) bridge: u16,
}

impl Ports {
    /// Those of the last time, or none.
    pub(crate) fn of_run(directory: &Path) -> Self {
        let file = directory.join("ports.json");
        std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Keeps them in the run's folder.
    pub(crate) fn save(self, directory: &Path) -> Result<(), StackError> {
        let file = directory.join("ports.json");
        std::fs::write(&file, serde_json::to_vec(&self).unwrap_or_default()).map_err(StackError::file(&file))
    }
}

/// Below those that systems give to outgoing connections: between the choice and the start of who listens there, seconds pass, and
/// other runs connect to thousands of addresses.
const OWN_PORTS_FROM: u16 = 16_384;
const OWN_PORTS: u16 = 16_384;

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// The port asked for, or the one of the last time, or any free one.
pub(crate) fn choose_port(wanted: Option<u16>, last: u16) -> Result<u16, StackError> {
    match wanted {
        Some(port) if port != 0 => {
            if is_free(port) {
                Ok(port)
            } else {
                Err(StackError::PortTaken { port })
            }
        }
        Some(_) | None if last != 0 && is_free(last) => Ok(last),
        Some(_) | None => {
            let first = u16::from_str_radix(&random_hex(2), 16).unwrap_or_default();
            let mut own = (0..OWN_PORTS).map(|step| OWN_PORTS_FROM + first.wrapping_add(step) % OWN_PORTS);
            own.find(|port| is_free(*port)).ok_or(StackError::PortTaken { port: OWN_PORTS_FROM })
        }
    }
}

/// The port of an address; 0 where it names none.
pub(crate) fn port_of(url: &str) -> u16 {
    url.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_refused_with_the_remedy() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let text = choose_port(Some(port), 0).unwrap_err().to_string();
        assert!(text.contains(&port.to_string()) && text.contains("--port"), "{text}");
        assert_ne!(choose_port(None, port).unwrap(), port);
        drop(listener);
        assert_eq!(choose_port(None, port).unwrap(), port);
    }

    #[test]
    fn the_port_of_an_address_is_read() {
        assert_eq!(port_of("http://127.0.0.1:8787"), 8787);
        assert_eq!(port_of("http://127.0.0.1:8787/"), 8787);
        assert_eq!(port_of("http://x"), 0);
    }
}
