//! The sockets of clients at the object: who watches, and the frames that all of them get, a running stream's together.

use crate::happening::{ClientStep, Happening, ToClient, Token};
use crate::scene::Scene;
use protocol::timeline::{EventRecord, Seq};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Events of a running stream are held back this long.
const FRAME_MS: u64 = 50;

/// Everyone with a socket.
#[derive(Debug, Default)]
pub(crate) struct Viewers {
    /// Kept by the runtime while the object sleeps.
    sockets: BTreeMap<Token, Viewer>,
    /// What a ping is answered with; the runtime does that without waking the object.
    pong: Option<Seq>,
    /// Lost with the object's memory.
    pending: Vec<Rc<EventRecord>>,
    flush: Option<Token>,
    sent_at: u64,
}

#[derive(Debug)]
struct Viewer {
    client: usize,
    watching: Watching,
    arrived_until: u64,
    /// Nothing arrives any more, and neither end knows.
    is_dead: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watching {
    No,
    Yes,
    Lagging,
}

impl Viewers {
    pub(crate) fn open(&mut self, socket: Token, client: usize) {
        let viewer = Viewer { client, watching: Watching::No, arrived_until: 0, is_dead: false };
        self.sockets.insert(socket, viewer);
    }

    pub(crate) fn knows(&self, socket: Token) -> bool {
        self.sockets.contains_key(&socket)
    }

    pub(crate) fn start_watching(&mut self, socket: Token) {
        if let Some(viewer) = self.sockets.get_mut(&socket) {
            viewer.watching = Watching::Yes;
        }
    }

    /// New events: at once when the stream was quiet, otherwise with the next frame.
    pub(crate) fn broadcast(&mut self, scene: &mut Scene, records: Vec<Rc<EventRecord>>, newest: Seq) {
        self.pong = Some(newest);
        if records.is_empty() {
            return;
        }
        self.pending.extend(records);
        if scene.now >= self.sent_at + FRAME_MS {
            self.flush(scene);
        } else if self.flush.is_none() {
            let token = scene.token();
            self.flush = Some(token);
            scene.at(self.sent_at + FRAME_MS, Happening::Flush(token));
        }
    }

    pub(crate) fn take_flush(&mut self, scene: &mut Scene, token: Token) {
        if self.flush == Some(token) {
            self.flush(scene);
        }
    }

    /// Sends what waits.
    pub(crate) fn flush(&mut self, scene: &mut Scene) {
        self.flush = None;
        let records = std::mem::take(&mut self.pending);
        if records.is_empty() {
            return;
        }
        self.sent_at = scene.now;
        let watching: Vec<_> = self
            .sockets
            .iter()
            .filter(|(_, viewer)| viewer.watching == Watching::Yes)
            .map(|(socket, _)| *socket)
            .collect();
        for socket in watching {
            self.send(scene, socket, ToClient::Events(records.clone()));
        }
    }

    /// One frame to one client; its socket keeps order.
    pub(crate) fn send(&mut self, scene: &mut Scene, socket: Token, frame: ToClient) {
        let Some(viewer) = self.sockets.get_mut(&socket).filter(|viewer| !viewer.is_dead) else { return };
        let arrival = scene.now + scene.random.between(1, 60);
        viewer.arrived_until = arrival.max(viewer.arrived_until);
        scene.at(viewer.arrived_until, ClientStep::Got(socket, frame));
    }

    pub(crate) fn pong(&mut self, scene: &mut Scene, socket: Token) {
        let answer = ToClient::Pong(self.pong);
        self.send(scene, socket, answer);
    }

    /// The object's memory is gone; sockets stay.
    pub(crate) fn forget(&mut self) {
        self.pending.clear();
        self.flush = None;
    }

    /// Every socket breaks.
    pub(crate) fn cut_all(&mut self, scene: &mut Scene) {
        self.forget();
        for socket in self.all() {
            self.cut(scene, socket);
        }
    }

    /// A socket breaks; its client notices soon.
    pub(crate) fn cut(&mut self, scene: &mut Scene, socket: Token) {
        if let Some(viewer) = self.sockets.remove(&socket) {
            let notice = scene.random.between(1, 2_000);
            scene.after(notice, ClientStep::SocketLost(viewer.client, socket));
        }
    }

    /// A socket breaks and neither end knows.
    pub(crate) fn silence(&mut self, socket: Token) {
        if let Some(viewer) = self.sockets.get_mut(&socket) {
            viewer.is_dead = true;
        }
    }

    /// A client has not read: it gets nothing until it subscribes again.
    pub(crate) fn lag(&mut self, scene: &mut Scene, socket: Token) {
        if let Some(viewer) = self.sockets.get_mut(&socket)
            && viewer.watching == Watching::Yes
        {
            viewer.watching = Watching::Lagging;
            self.send(scene, socket, ToClient::Lagging);
        }
    }

    pub(crate) fn is_dead(&self, socket: Token) -> bool {
        self.sockets.get(&socket).is_none_or(|viewer| viewer.is_dead)
    }

    /// The session is gone: everybody is told so.
    pub(crate) fn dismiss(&mut self, scene: &mut Scene) {
        self.forget();
        for socket in self.all() {
            self.close(scene, socket);
        }
    }

    /// One client is told that the session is gone.
    pub(crate) fn close(&mut self, scene: &mut Scene, socket: Token) {
        self.send(scene, socket, ToClient::Closed);
        self.sockets.remove(&socket);
    }

    pub(crate) fn all(&self) -> Vec<Token> {
        self.sockets.keys().copied().collect()
    }
}
