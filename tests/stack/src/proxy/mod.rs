//! A TCP proxy on loopback that breaks what passes through it, on order and never by chance.
//!
//! It stands between two parts of a stack, see [`crate::Wires`]. A test says what is to happen, and waits for the proxy's counts
//! ([`Proxy::until`]) where it has to know that it did. It reads no more of HTTP than the beginning of each request.

mod connection;
mod rule;

use crate::StackError;
use connection::{Connection, Flow};
pub use rule::{Rule, Then};
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longest wait for a count.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// With an orderly end on both sides (FIN).
    Finish,
    /// As by a machine that does not know the connection (RST).
    Reset,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From whoever connected.
    Up,
    /// To whoever connected.
    Down,
}

/// The end of a connection after so many bytes one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutAfter {
    /// Which bytes are counted.
    pub direction: Direction,
    /// How many still pass.
    pub bytes: u64,
    /// How it is cut then.
    pub cut: Cut,
}

/// What new connections meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Door {
    /// They are joined with the other side.
    #[default]
    Open,
    /// They are reset at once.
    Shut,
    /// They are accepted and read, and never answered.
    BlackHole,
}

/// How fast bytes pass. Both ways alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Each piece waits so long.
    pub delay: Duration,
    /// Bytes in a second, and no limit where absent.
    pub bytes_per_second: Option<u64>,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that came.
    pub accepted: u64,
    /// Connections that are there now.
    pub open: u64,
    /// Requests that began.
    pub requests: u64,
    /// Connections cut after a number of bytes.
    pub cut: u64,
    /// Requests that were not passed on.
    pub lost_requests: u64,
    /// Requests that were carried out, and whose answer was thrown away.
    pub lost_answers: u64,
    /// Requests that were carried out, and whose answer is kept back.
    pub held_answers: u64,
    /// Requests that the proxy answered.
    pub answered: u64,
    /// Connections that met a black hole.
    pub swallowed: u64,
}

/// A running proxy. All its connections are reset when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    upstream: SocketAddr,
    state: Mutex<State>,
    counts: watch::Sender<Counts>,
    pace: watch::Sender<Pace>,
}

#[derive(Debug, Default)]
struct State {
    door: Door,
    rules: Vec<Rule>,
    cuts: VecDeque<CutAfter>,
    flows: BTreeMap<u64, watch::Sender<Flow>>,
    requests: Vec<String>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }

    /// A request begins; what is to happen with it.
    fn take_request(&self, method: &str, path: &str) -> Option<Then> {
        let mut state = self.state();
        state.requests.push(format!("{method} {path}"));
        let then = state.rules.iter_mut().find_map(|rule| rule.take(method, path));
        drop(state);
        self.count(|counts| counts.requests += 1);
        then
    }
}

impl Proxy {
    /// A proxy in front of a port of this machine.
    pub async fn start(upstream_port: u16) -> Result<Self, StackError> {
        let failed = StackError::file("127.0.0.1");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(StackError::file("127.0.0.1"))?.port();
        let shared = Arc::new(Shared {
            upstream: (Ipv4Addr::LOCALHOST, upstream_port).into(),
            state: Mutex::default(),
            counts: watch::Sender::default(),
            pace: watch::Sender::default(),
        });
        let listening = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Ok(Self { url: format!("http://127.0.0.1:{port}"), shared, listening })
    }

    /// Base URL of the proxy.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What new connections meet from here on.
    pub fn set_door(&self, door: Door) {
        self.shared.state().door = door;
    }

    /// How fast bytes pass from here on, also of the connections that are there.
    pub fn set_pace(&self, pace: Pace) {
        self.shared.pace.send_replace(pace);
    }

    /// The next connections end after so many bytes, one after the other; those after them do not.
    pub fn cut_next(&self, cuts: impl IntoIterator<Item = CutAfter>) {
        self.shared.state().cuts.extend(cuts);
    }

    /// Connections that are still to be cut by [`Self::cut_next`].
    #[must_use]
    pub fn cuts_left(&self) -> usize {
        self.shared.state().cuts.len()
    }

    /// Cuts every connection that is there.
    pub fn cut(&self, cut: Cut) {
        self.steer(Flow::Cut(cut));
    }

    /// Makes every connection that is there half-open: nothing moves, and no side learns of it.
    pub fn hold(&self) {
        self.steer(Flow::Hold);
    }

    /// Lets the held connections go on, kept answers included.
    pub fn release(&self) {
        self.steer(Flow::Pass);
    }

    fn steer(&self, flow: Flow) {
        for sender in self.shared.state().flows.values() {
            sender.send_replace(flow);
        }
    }

    /// Adds a rule for requests; the first one that fits counts.
    pub fn add_rule(&self, rule: Rule) {
        self.shared.state().rules.push(rule);
    }

    /// Requests pass again as they are.
    pub fn clear_rules(&self) {
        self.shared.state().rules.clear();
    }

    /// `METHOD path` of every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.shared.state().requests.clone()
    }

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        *self.shared.counts.borrow()
    }

    /// Waits until the counts are as wanted.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Counts) -> bool) -> Result<Counts, StackError> {
        let mut counts = self.shared.counts.subscribe();
        let found = tokio::time::timeout(PATIENCE, counts.wait_for(|counts| wanted(counts))).await;
        match found {
            Ok(Ok(counts)) => Ok(*counts),
            Ok(Err(_)) | Err(_) => Err(StackError::Timeout {
                what: format!("{what} (the proxy has counted {:?})", self.counts()),
                seconds: PATIENCE.as_secs(),
            }),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.cut(Cut::Reset);
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    let mut id = 0;
    // A failed accept is a client that went away before its turn.
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        id += 1;
        let (flow, steered) = watch::channel(Flow::Pass);
        let (door, cut) = {
            let mut state = shared.state();
            state.flows.insert(id, flow);
            let cut = if state.door == Door::Open { state.cuts.pop_front() } else { None };
            (state.door, cut)
        };
        shared.count(|counts| {
            counts.accepted += 1;
            counts.open += 1;
        });
        let connection = Connection::new(Arc::clone(&shared), steered, cut);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            connection.run(client, door).await;
            shared.state().flows.remove(&id);
            shared.count(|counts| counts.open -= 1);
        });
    }
}

#[cfg(test)]
mod tests;
