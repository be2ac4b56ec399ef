//! Faults that come a number of times in a run: to the object, its clock, the bridge, the sandboxes and the clients.

use crate::bridge;
use crate::happening::Happening;
use crate::plan::Fault;
use crate::shell;
use crate::world::World;
use protocol::id::SandboxId;

impl World {
    /// Something goes wrong, unless nothing does any more.
    pub(crate) fn strike(&mut self, fault: Fault) {
        if self.scene.calm {
            return;
        }
        self.scene.note_fault(fault);
        match fault {
            Fault::Evict => self.with_shell(shell::Shell::sleep),
            Fault::Deploy => self.with_shell(shell::Shell::deploy),
            Fault::AlarmTwice => self.with_shell(shell::Shell::take_alarm),
            Fault::ClockForward => {
                let by = self.scene.random.between(1_000, 3_600_000);
                self.scene.clock_offset += i64::try_from(by).unwrap_or(0);
            }
            Fault::ClockBack => {
                let by = self.scene.random.between(1_000, 3_600_000);
                self.scene.clock_offset -= i64::try_from(by).unwrap_or(0);
            }
            Fault::BridgeRestart => self.restart_bridge(),
            Fault::Partition => {
                self.road.blocked = true;
                let ms = self.scene.random.between(1_000, 120_000);
                self.scene.after(ms, Happening::PartitionEnds);
            }
            Fault::RunnerCut => self.cut_runner((1, 300)),
            Fault::RunnerHalfOpen => self.cut_runner((25_000, 45_000)),
            Fault::RunnerRestart | Fault::SandboxFrozen | Fault::SandboxDies | Fault::SandboxVanishes => {
                self.strike_sandbox(fault);
            }
            Fault::ClientCut | Fault::ClientHalfOpen | Fault::ClientLags => self.strike_client(fault),
            // These strike where messages, inputs and operations ask for them.
            Fault::RequestLost
            | Fault::RequestTwice
            | Fault::RequestLate
            | Fault::BatchTorn
            | Fault::FrameLost
            | Fault::FrameTwice
            | Fault::FrameSwapped
            | Fault::CrashBeforeCommit
            | Fault::CrashAfterCommit
            | Fault::CrashBeforeSettle
            | Fault::AlarmLost
            | Fault::AlarmLate
            | Fault::CreateFails
            | Fault::CreateUnavailable
            | Fault::CreateHangs
            | Fault::RunnerAbsent
            | Fault::RepositoryDown
            | Fault::WarmGone
            | Fault::WarmUnattached
            | Fault::BindConflict
            | Fault::LeaseShort
            | Fault::ImageGone
            | Fault::SetupFails
            | Fault::RestoreRefused
            | Fault::SnapshotUnavailable
            | Fault::SnapshotHangs
            | Fault::RemovalFails
            | Fault::CodeHostDown
            | Fault::CodeHostRefuses
            | Fault::IndexDown
            | Fault::ArtifactsDown
            | Fault::AgentQuiet
            | Fault::AgentHangs
            | Fault::AgentPoisoned
            | Fault::RunnerLies
            | Fault::AgentFloods => {}
        }
    }

    fn strike_sandbox(&mut self, fault: Fault) {
        let ids: Vec<_> = self.provider.live.keys().cloned().collect();
        let Some(id) = self.scene.random.pick(&ids).cloned() else { return };
        if fault == Fault::SandboxDies {
            self.end_sandbox(&id, Some("killed"));
        } else if fault == Fault::SandboxVanishes {
            self.end_sandbox(&id, None);
        } else if fault == Fault::SandboxFrozen {
            self.freeze(&id);
        } else if let Some(runner) = self.provider.runner(&id) {
            runner.restart(&mut self.scene, &mut self.sockets);
        }
    }

    fn strike_client(&mut self, fault: Fault) {
        let sockets = self.shell.viewers.all();
        let Some(socket) = self.scene.random.pick(&sockets).copied() else { return };
        if fault == Fault::ClientCut {
            self.shell.viewers.cut(&mut self.scene, socket);
        } else if fault == Fault::ClientHalfOpen {
            self.shell.viewers.silence(socket);
        } else {
            self.shell.viewers.lag(&mut self.scene, socket);
        }
    }

    fn with_shell(&mut self, act: impl FnOnce(&mut shell::Shell, &mut shell::Around<'_>)) {
        let around =
            &mut shell::Around { scene: &mut self.scene, observer: &mut self.observer, road: &self.road };
        act(&mut self.shell, around);
    }

    fn restart_bridge(&mut self) {
        if !self.bridge.is_up {
            return;
        }
        let around = &mut bridge::Around {
            scene: &mut self.scene,
            road: &self.road,
            sockets: &mut self.sockets,
            provider: &mut self.provider,
        };
        self.bridge.go_down(around);
        let away = self.scene.random.between(100, 60_000);
        self.scene.after(away, Happening::BridgeUp);
    }

    fn cut_runner(&mut self, notice_ms: (u64, u64)) {
        let connections = self.sockets.all();
        if let Some(connection) = self.scene.random.pick(&connections).copied() {
            self.sockets.cut(&mut self.scene, connection, notice_ms);
        }
    }

    fn freeze(&mut self, id: &SandboxId) {
        let ms = self.scene.random.between(1_000, 180_000);
        let until = self.scene.now + ms;
        if let Some(runner) = self.provider.runner(id) {
            runner.frozen_until = until;
        }
        // The bridge takes a connection for dead from which nothing comes.
        if ms > 30_000 {
            for connection in self.sockets.all() {
                if self.sockets.sandbox(connection) == Some(id) {
                    self.sockets.cut(&mut self.scene, connection, (30_000, 32_000));
                }
            }
        }
    }
}
