//! Everyone with a socket: who watches, how far each has read, and the frames that all of them get.
//!
//! What is here is lost when the object sleeps, and rebuilt from the sockets' attachments. Nothing is sent while it is being rebuilt,
//! so nobody is told twice.

use super::connection::{
    Attachment, Watching, attach, attachment_of, close, last_ping, render, send, send_raw,
};
use super::host::{go_on_with, now};
use super::shell::Shell;
use crate::audience::{Pace, Presence, Sent};
use crate::store::{render_event_frame, render_events_frame};
use platform::map::Map;
use protocol::client::{ServerMessage, close_code};
use protocol::id::{ConnectionId, UserId};
use protocol::limit::{FRAME_EVENTS_BYTES_MAX, FRAME_EVENTS_MAX, TYPING_REPEAT_MS, VIEWER_LAG_MS_MAX};
use protocol::time::Timestamp;
use protocol::timeline::Seq;
use std::rc::Rc;
use std::time::Duration;
use wasm_bindgen::JsValue;
use worker::{Delay, WebSocket, WebSocketRequestResponsePair};

/// A running stream's frames: 20 a second, after two at once. Bridges send as often, so that a running stream waits once only.
const FRAME_MS: u64 = 50;
const FRAME_BURST: u64 = 2;
/// Comings and goings are told together.
const PRESENCE_MS: u64 = 100;
/// Subscriptions of one client: each may be answered with mebibytes.
const SUBSCRIPTION_MS: u64 = 2_000;
const SUBSCRIPTION_BURST: u64 = 5;
/// Frames of one client: 20 a second, after a good many at once …
const CLIENT_FRAME_MS: u64 = 50;
const CLIENT_FRAME_BURST: u64 = 200;
/// … and so many refusals, after which the socket is closed.
const REFUSALS_MAX: u32 = 100;
/// A client sends `ping` every 25 s; one that has stopped is gone without a word.
const SILENT_MS_MAX: u64 = 100_000;
/// How often that is looked at.
const SWEEP_MS: u64 = 30_000;

struct Viewer {
    socket: WebSocket,
    user_id: UserId,
    watching: Watching,
    /// [`Sent::total`] as of the last event that it has acknowledged.
    acked: u64,
    pace: Pace,
    /// Of subscriptions: their answers are large, and not in the window.
    subscriptions: Pace,
    refusals: u32,
    /// When the others were last told that this one writes.
    typed_at: Timestamp,
}

/// What a client's frame meets at the door.
pub(super) enum Admission {
    Taken,
    /// Too many: tell the client.
    Refused,
    /// Too many for too long: close the socket.
    Closed,
}

/// The sockets of one session.
pub(super) struct Viewers {
    list: Map<ConnectionId, Viewer>,
    presence: Presence,
    /// The frame of everyone who was announced, for those who come: they get the later differences like all others.
    presence_frame: Option<JsValue>,
    sent: Sent,
    pace: Pace,
    /// Events that wait for the next frame, and the number of the newest.
    pending: Vec<String>,
    newest: Seq,
    flush_armed: bool,
    presence_armed: bool,
    swept_at: Timestamp,
    /// The event that `pong` names.
    pong: Option<Seq>,
}

impl Viewers {
    fn rebuild(sockets: Vec<WebSocket>, at: Timestamp) -> Self {
        let mut list = Map::new();
        for socket in sockets {
            if let Some(attachment) = attachment_of(&socket) {
                list.insert(attachment.connection_id.clone(), Viewer::new(socket, &attachment, 0, at));
            }
        }
        let users = list.values().map(|viewer: &Viewer| viewer.user_id.clone());
        Self {
            presence: Presence::of(users),
            presence_frame: None,
            list,
            sent: Sent::default(),
            pace: Pace::new(FRAME_MS, FRAME_BURST, at),
            pending: Vec::new(),
            newest: 0,
            flush_armed: false,
            presence_armed: false,
            swept_at: at,
            pong: None,
        }
    }

    /// Sends what waits, in as few frames as their limits allow.
    fn flush(&mut self) {
        let records = std::mem::take(&mut self.pending);
        let mut rest = records.as_slice();
        while let Some(first) = rest.first() {
            let mut bytes = first.len();
            let mut count = 1;
            while let Some(next) = rest.get(count)
                && count < FRAME_EVENTS_MAX
                && bytes + next.len() <= FRAME_EVENTS_BYTES_MAX
            {
                bytes += next.len();
                count += 1;
            }
            let (frame, after) = rest.split_at(count);
            rest = after;
            let text = match frame {
                [single] => render_event_frame(single),
                several => render_events_frame(several),
            };
            let newest = self.newest - rest.len() as Seq;
            self.send_events(newest, &text);
        }
    }

    fn send_events(&mut self, newest: Seq, text: &str) {
        let frame = JsValue::from_str(text);
        for viewer in self.list.values_mut().filter(|viewer| viewer.watching == Watching::Yes) {
            if self.sent.has_room(viewer.acked, text.len()) {
                send_raw(&viewer.socket, &frame);
            } else {
                viewer.set_watching(Watching::Lagging { since: now() });
                send(&viewer.socket, &ServerMessage::Lagging);
            }
        }
        self.sent.add(newest, text.len());
    }

    /// A frame that is not an event: it costs little, and a viewer that lags gets none.
    fn send_all(&self, message: &ServerMessage) {
        let frame = render(message);
        for viewer in self.list.values().filter(|viewer| viewer.watching == Watching::Yes) {
            send_raw(&viewer.socket, &frame);
        }
    }

    fn is_watched(&self) -> bool {
        self.list.values().any(|viewer| viewer.watching == Watching::Yes)
    }
}

impl Viewer {
    fn new(socket: WebSocket, attachment: &Attachment, acked: u64, at: Timestamp) -> Self {
        Self {
            socket,
            user_id: attachment.user_id.clone(),
            watching: attachment.watching,
            acked,
            pace: Pace::new(CLIENT_FRAME_MS, CLIENT_FRAME_BURST, at),
            subscriptions: Pace::new(SUBSCRIPTION_MS, SUBSCRIPTION_BURST, at),
            refusals: 0,
            typed_at: Timestamp(0),
        }
    }

    fn set_watching(&mut self, watching: Watching) {
        self.watching = watching;
        if let Some(mut attachment) = attachment_of(&self.socket) {
            attachment.watching = watching;
            attach(&self.socket, &attachment);
        }
    }
}

impl Shell {
    fn with_viewers<T>(&self, act: impl FnOnce(&mut Viewers) -> T) -> T {
        let mut viewers = self.viewers.borrow_mut();
        act(viewers.get_or_insert_with(|| Viewers::rebuild(self.state.get_websockets(), now())))
    }

    /// Makes sure that those who are here already are known before somebody comes.
    pub(super) fn know_viewers(&self) {
        self.with_viewers(|_| ());
    }

    /// Somebody has come.
    pub(super) fn add_viewer(self: &Rc<Self>, socket: WebSocket, attachment: &Attachment) {
        self.with_viewers(|viewers| {
            let viewer = Viewer::new(socket, attachment, viewers.sent.total(), now());
            if viewers.list.insert(attachment.connection_id.clone(), viewer).is_none() {
                viewers.presence.join(attachment.user_id.clone());
            }
        });
        self.announce();
        self.sweep();
    }

    /// Somebody has gone.
    pub(super) fn remove_viewer(self: &Rc<Self>, socket: &WebSocket) {
        let Some(attachment) = attachment_of(socket) else { return };
        self.with_viewers(|viewers| {
            match viewers.list.remove(&attachment.connection_id) {
                Some(_) => viewers.presence.leave(&attachment.user_id),
                // The object has just woken, and the runtime does not count the socket any more.
                None => viewers.presence.miss(attachment.user_id),
            }
        });
        self.announce();
    }

    /// Whether this client may send a frame now.
    pub(super) fn admit_frame(&self, connection_id: &ConnectionId) -> Admission {
        self.with_viewers(|viewers| {
            let Some(viewer) = viewers.list.get_mut(connection_id) else { return Admission::Taken };
            if viewer.pace.take(now()).is_ok() {
                return Admission::Taken;
            }
            viewer.refusals += 1;
            if viewer.refusals > REFUSALS_MAX { Admission::Closed } else { Admission::Refused }
        })
    }

    /// Whether this client may subscribe now.
    pub(super) fn admit_subscription(&self, connection_id: &ConnectionId) -> bool {
        self.with_viewers(|viewers| {
            let viewer = viewers.list.get_mut(connection_id);
            viewer.is_none_or(|viewer| viewer.subscriptions.take(now()).is_ok())
        })
    }

    /// A client has read everything up to this event.
    pub(super) fn take_ack(&self, connection_id: &ConnectionId, seq: Seq) {
        self.with_viewers(|viewers| {
            if let Some(viewer) = viewers.list.get_mut(connection_id)
                && let Some(total) = viewers.sent.total_at(seq)
            {
                viewer.acked = viewer.acked.max(total);
            }
        });
    }

    /// From here on a client gets every event; it was just brought up to date.
    pub(super) fn start_watching(&self, connection_id: &ConnectionId) {
        self.with_viewers(|viewers| {
            let total = viewers.sent.total();
            let Some(viewer) = viewers.list.get_mut(connection_id) else { return };
            viewer.acked = total;
            viewer.set_watching(Watching::Yes);
            let presence = &viewers.presence;
            let frame = viewers.presence_frame.get_or_insert_with(|| {
                render(&ServerMessage::Presence { users: presence.announced().cloned().collect() })
            });
            send_raw(&viewer.socket, frame);
        });
        self.answer_pings();
    }

    /// Sends what waits, so that the tables hold nothing that viewers will get once more.
    pub(super) fn flush_events(&self) {
        self.with_viewers(Viewers::flush);
    }

    /// Sends events to everyone who watches: the first of a quiet stream at once, those of a running one together.
    pub(super) fn broadcast(self: &Rc<Self>, records: Vec<String>, newest: Seq) {
        if records.is_empty() {
            return;
        }
        let wait_ms = self.with_viewers(|viewers| {
            if !viewers.is_watched() {
                viewers.pending.clear();
                return None;
            }
            viewers.pending.extend(records);
            viewers.newest = newest;
            if viewers.flush_armed {
                return None;
            }
            match viewers.pace.take(now()) {
                Ok(()) => {
                    viewers.flush();
                    None
                }
                Err(wait_ms) => {
                    viewers.flush_armed = true;
                    Some(wait_ms)
                }
            }
        });
        if let Some(wait_ms) = wait_ms {
            self.later(wait_ms, |shell| {
                shell.with_viewers(|viewers| {
                    viewers.flush_armed = false;
                    // What has come due is paid for, even where the clock says a moment less.
                    let _ = viewers.pace.take(now());
                    viewers.flush();
                });
                shell.answer_pings();
                shell.sweep();
            });
        } else {
            self.answer_pings();
            self.sweep();
        }
    }

    /// While nothing runs, `ping` is answered with the newest event, without waking the object: a client sees whether it missed one.
    fn answer_pings(&self) {
        let newest =
            self.with_session(|session| session.turn.is_none().then_some(session.seq)).ok().flatten();
        let Some(newest) = newest else { return };
        let is_new = self.with_viewers(|viewers| viewers.pong.replace(newest) != Some(newest));
        if is_new && let Ok(answer) = WebSocketRequestResponsePair::new("ping", &format!("pong {newest}")) {
            self.state.set_websocket_auto_response(&answer);
        }
    }

    /// Tells viewers who came and went, a little later and together.
    fn announce(self: &Rc<Self>) {
        let armed = self.with_viewers(|viewers| std::mem::replace(&mut viewers.presence_armed, true));
        if armed {
            return;
        }
        self.later(PRESENCE_MS, |shell| {
            shell.with_viewers(|viewers| {
                viewers.presence_armed = false;
                if let Some(change) = viewers.presence.take_change() {
                    viewers.presence_frame = None;
                    let (joined, left) = (change.joined, change.left);
                    viewers.send_all(&ServerMessage::PresenceChanged { joined, left });
                }
            });
        });
    }

    /// Tells viewers that somebody writes, unless that is too soon after the last time.
    pub(super) fn broadcast_typing(&self, connection_id: &ConnectionId) -> bool {
        let at = now();
        self.with_viewers(|viewers| {
            let Some(viewer) = viewers.list.get_mut(connection_id) else { return false };
            let is_due = at.ms_since(viewer.typed_at) >= TYPING_REPEAT_MS / 2;
            if is_due {
                viewer.typed_at = at;
                let user_id = viewer.user_id.clone();
                viewers.send_all(&ServerMessage::Typing { user_id });
            }
            is_due
        })
    }

    /// Closes those that lag for too long, and those that have stopped to answer without saying good-bye.
    fn sweep(&self) {
        let at = now();
        self.with_viewers(|viewers| {
            if at.ms_since(viewers.swept_at) < SWEEP_MS {
                return;
            }
            viewers.swept_at = at;
            for viewer in viewers.list.values() {
                if let Watching::Lagging { since } = viewer.watching
                    && at.ms_since(since) >= VIEWER_LAG_MS_MAX
                {
                    close(&viewer.socket, close_code::TOO_SLOW, "too slow; come back with what you have");
                    continue;
                }
                let pinged = last_ping(&self.state, &viewer.socket);
                if pinged.is_some_and(|pinged| at.ms_since(pinged) > SILENT_MS_MAX) {
                    close(&viewer.socket, 1001, "no sign of life");
                }
            }
        });
    }

    /// The session is gone for everyone.
    pub(super) fn dismiss_viewers(&self) {
        for socket in self.state.get_websockets() {
            close(&socket, close_code::SESSION_GONE, "the session was deleted");
        }
        *self.viewers.borrow_mut() = None;
    }

    /// Does something after a while, should the object live so long.
    fn later(self: &Rc<Self>, wait_ms: u64, act: impl FnOnce(&Rc<Self>) + 'static) {
        let shell = self.clone();
        go_on_with(&self.state, async move {
            Delay::from(Duration::from_millis(wait_ms)).await;
            act(&shell);
        });
    }
}
