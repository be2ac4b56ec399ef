//! Which part takes what happens to runners, to clients and to their sockets.
//!
//! Only hands over: what comes for a connection that is gone, or a sandbox that stands still, is dropped or waits here.

use super::World;
use crate::bridge::{self};
use crate::happening::{ClientStep, FromClient, RunnerStep, Token};
use crate::runner::Deed;
use crate::shell::{self};
use protocol::id::SandboxId;
use session::core::Input;

impl World {
    /// What happens to runners and their sockets.
    pub(super) fn take_runner(&mut self, step: RunnerStep) {
        match step {
            RunnerStep::Dialled(sandbox_id, token) if self.provider.live.contains_key(&sandbox_id) => {
                self.bridge.take_dial(around_bridge!(self), &sandbox_id, token);
            }
            RunnerStep::Frame(connection, frame) if self.sockets.carries(connection) => {
                self.bridge.take_frame(around_bridge!(self), connection, frame);
            }
            // Its sandbox or its connection is gone.
            RunnerStep::Dialled(..) | RunnerStep::Frame(..) => {}
            RunnerStep::Hear(connection, frame) => {
                let Some(sandbox_id) = self.sockets.sandbox(connection).cloned() else { return };
                if self.waits(&sandbox_id, &RunnerStep::Hear(connection, frame.clone())) {
                    return;
                }
                let Some(runner) = self.provider.runner(&sandbox_id) else { return };
                let deed =
                    runner.hear(&mut self.scene, &mut self.sockets, &mut self.observer, connection, frame);
                self.follow(&sandbox_id, deed);
            }
            RunnerStep::Lost(sandbox_id, connection) => {
                if self.waits(&sandbox_id, &RunnerStep::Lost(sandbox_id.clone(), connection)) {
                    return;
                }
                if let Some(runner) = self.provider.runner(&sandbox_id) {
                    runner.lose(&mut self.scene, connection);
                }
            }
            RunnerStep::BridgeLost(connection) => self.bridge.lose(around_bridge!(self), connection),
            RunnerStep::Tick(sandbox_id, tick) => {
                if self.waits(&sandbox_id, &RunnerStep::Tick(sandbox_id.clone(), tick)) {
                    return;
                }
                let Some(runner) = self.provider.runner(&sandbox_id) else { return };
                let deed = runner.take_tick(&mut self.scene, &mut self.sockets, &mut self.observer, tick);
                self.follow(&sandbox_id, deed);
            }
            RunnerStep::Dial(sandbox_id, token) => {
                if self.waits(&sandbox_id, &RunnerStep::Dial(sandbox_id.clone(), token)) {
                    return;
                }
                if let Some(runner) = self.provider.runner(&sandbox_id) {
                    runner.dial(&mut self.scene, token);
                }
            }
        }
    }

    /// Whether the sandbox stands still; what happens to it happens when it goes on.
    pub(super) fn waits(&mut self, sandbox_id: &SandboxId, step: &RunnerStep) -> bool {
        let until = self.provider.runner(sandbox_id).map_or(0, |runner| runner.frozen_until);
        let waits = until > self.scene.now;
        if waits {
            self.scene.at(until, step.clone());
        }
        waits
    }

    pub(super) fn follow(&mut self, sandbox_id: &SandboxId, deed: Deed) {
        match deed {
            Deed::Nothing => {}
            Deed::BeginsWork => self.provider.note_work(sandbox_id),
            Deed::KillsSandbox => self.end_sandbox(sandbox_id, Some("killed by its agent")),
            Deed::Ends => self.end_sandbox(sandbox_id, Some("its runner has ended")),
        }
    }

    /// What happens to clients and their sockets.
    pub(super) fn take_client(&mut self, step: ClientStep) {
        match step {
            ClientStep::Sent(socket, message) => {
                let is_request = matches!(message, FromClient::Request(..));
                if is_request || !self.shell.viewers.is_dead(socket) {
                    self.shell.take_client(around_shell!(self), socket, message);
                }
            }
            ClientStep::Got(socket, frame) => {
                let client = self.clients.iter_mut().find(|client| client.socket() == Some(socket));
                if let Some(client) = client {
                    client.take(&mut self.scene, &self.observer, socket, frame);
                }
            }
            ClientStep::Answered(index, answer) => {
                if let Some(client) = self.clients.get_mut(index) {
                    client.take_answer(&mut self.scene, &self.observer, answer);
                }
            }
            ClientStep::SocketOpened(index, socket) => self.open_socket(index, socket),
            ClientStep::SocketLost(index, socket) => {
                if let Some(client) = self.clients.get_mut(index) {
                    client.lose(&mut self.scene, socket);
                }
            }
            ClientStep::Tick(index) => {
                if let Some(client) = self.clients.get_mut(index) {
                    client.tick(&mut self.scene);
                }
            }
            ClientStep::Act(index) => {
                if let Some(client) = self.clients.get_mut(index) {
                    client.act(&mut self.scene);
                }
            }
        }
    }

    /// A client's socket opens: its user is a participant by it.
    pub(super) fn open_socket(&mut self, index: usize, socket: Token) {
        let Some(user) = self.clients.get(index).filter(|client| client.expects(socket)) else { return };
        let input = Input::ParticipantJoined { user: user.user.clone() };
        let reply = self.shell.join(around_shell!(self), input);
        let Some(client) = self.clients.get_mut(index) else { return };
        match reply {
            Some(true) => {
                self.shell.viewers.open(socket, index);
                client.subscribe(&mut self.scene, socket);
            }
            Some(false) => client.dismiss(),
            None => client.lose(&mut self.scene, socket),
        }
    }
}
