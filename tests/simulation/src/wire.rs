//! The ways between the parts: HTTP that loses, repeats and delays, and sockets that keep order until they break.

use crate::happening::{Happening, RunnerStep, ToRunner, Token};
use crate::plan::Fault;
use crate::scene::Scene;
use protocol::id::SandboxId;
use protocol::runner::RunnerEventRecord;
use std::collections::BTreeMap;
use std::rc::Rc;

/// HTTP between edge and bridge.
#[derive(Debug, Default)]
pub(crate) struct Road {
    /// Nothing gets through.
    pub(crate) blocked: bool,
}

impl Road {
    /// Sends a request on its way: it may be lost, come late, or come again.
    pub(crate) fn carry_request(&self, scene: &mut Scene, happening: Happening) {
        if self.blocked || scene.strikes(Fault::RequestLost) {
            return;
        }
        let delay = travel(scene);
        if scene.strikes(Fault::RequestTwice) {
            let longest = if scene.random.chance(500) { 2_000 } else { 180_000 };
            let again = delay + scene.random.between(0, longest);
            scene.after(again, happening.clone());
        }
        scene.after(delay, happening);
    }

    /// Sends an answer on its way: it may be lost or come late.
    pub(crate) fn carry_answer(&self, scene: &mut Scene, happening: Happening) {
        if !self.blocked && !scene.strikes(Fault::RequestLost) {
            let delay = travel(scene);
            scene.after(delay, happening);
        }
    }
}

fn travel(scene: &mut Scene) -> u64 {
    let hop = scene.hop();
    if scene.strikes(Fault::RequestLate) { hop + scene.random.between(200, 25_000) } else { hop }
}

/// The sockets between runners and bridge.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    open: BTreeMap<Token, Socket>,
}

#[derive(Debug)]
struct Socket {
    sandbox_id: SandboxId,
    up_until: u64,
    down_until: u64,
}

impl Sockets {
    pub(crate) fn open(&mut self, connection: Token, sandbox_id: SandboxId) {
        self.open.insert(connection, Socket { sandbox_id, up_until: 0, down_until: 0 });
    }

    /// Whether what is sent on it still arrives.
    pub(crate) fn carries(&self, connection: Token) -> bool {
        self.open.contains_key(&connection)
    }

    /// Breaks a connection; both ends notice, soon or only by silence.
    pub(crate) fn cut(&mut self, scene: &mut Scene, connection: Token, notice_ms: (u64, u64)) {
        if let Some(socket) = self.open.remove(&connection) {
            let (runner, bridge) = (
                scene.random.between(notice_ms.0, notice_ms.1),
                scene.random.between(notice_ms.0, notice_ms.1),
            );
            scene.after(runner, RunnerStep::Lost(socket.sandbox_id, connection));
            scene.after(bridge, RunnerStep::BridgeLost(connection));
        }
    }

    /// Connections that carry, for faults to choose from.
    pub(crate) fn all(&self) -> Vec<Token> {
        self.open.keys().copied().collect()
    }

    pub(crate) fn send_up(
        &mut self,
        scene: &mut Scene,
        connection: Token,
        frame: Vec<Rc<RunnerEventRecord>>,
    ) {
        self.send(scene, connection, RunnerStep::Frame(connection, frame).into(), true);
    }

    pub(crate) fn send_down(&mut self, scene: &mut Scene, connection: Token, frame: ToRunner) {
        self.send(scene, connection, RunnerStep::Hear(connection, frame).into(), false);
    }

    /// The sandbox at the other end.
    pub(crate) fn sandbox(&self, connection: Token) -> Option<&SandboxId> {
        self.open.get(&connection).map(|socket| &socket.sandbox_id)
    }

    fn send(&mut self, scene: &mut Scene, connection: Token, happening: Happening, up: bool) {
        let Some(socket) = self.open.get_mut(&connection) else { return };
        // A stream loses nothing but its end: what is lost is lost with everything behind it.
        if scene.strikes(Fault::FrameLost) {
            return self.cut(scene, connection, (1, 200));
        }
        let arrival = scene.now + scene.random.between(1, 8);
        let until = if up { &mut socket.up_until } else { &mut socket.down_until };
        if scene.strikes(Fault::FrameSwapped) {
            let late = arrival.max(*until) + scene.random.between(1, 40);
            return scene.at(late, happening);
        }
        *until = arrival.max(*until);
        let at = *until;
        if scene.strikes(Fault::FrameTwice) {
            let again = at + scene.random.between(0, 20);
            scene.at(again, happening.clone());
        }
        scene.at(at, happening);
    }
}
