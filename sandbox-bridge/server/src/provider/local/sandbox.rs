//! One running sandbox: its processes, its door, its groups; saving it, ending it, and noticing that it ended.

use super::cgroup::{Group, PROCESSES_MAX};
use super::disk;
use super::earlier::{Earlier, Index};
use super::exec::{self, Frozen, Guard};
use super::inner::Inner;
use super::layers;
use super::layout::BASE_LAYER;
use super::meta::{LayerMeta, LayerOwner, Reason, SnapshotDriver, read_meta};
use super::process::{Handles, Membership};
use super::publish::{Draft, NewLayer};
use super::socket::Door;
use super::state::{self, SandboxState};
use super::usage::Usage;
use crate::launcher::{ExitRecord, ProcessIdentity};
use crate::provider::{Owner, SandboxExit, SandboxRecord, SessionOwner};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use protocol::id::SessionId;
use protocol::runner::SandboxMemory;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

/// How long the kernel may take to end what was killed.
const END_TIME: Duration = Duration::from_secs(10);

/// Why a sandbox is being ended; the first reason counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ending {
    /// It is not.
    None = 0,
    /// It was asked for.
    Asked = 1,
    /// It has lived as long as it may.
    Life = 2,
    /// It took more disk than it may.
    Disk = 3,
    /// It made more files than it may.
    Files = 4,
}

/// Why a sandbox was not given to a session.
pub(crate) enum GiveError {
    /// It was made for a session or a build.
    NotWarm,
    /// This session has it.
    Taken(SessionId),
    /// It could not be written down.
    Write(io::Error),
}

/// A sandbox whose processes run, or did a moment ago.
pub(crate) struct Running {
    pub(crate) state: SandboxState,
    process: ProcessIdentity,
    handles: Handles,
    membership: Membership,
    group: Group,
    /// One snapshot at a time; the name of the last one.
    saving: Mutex<Option<String>>,
    given: Mutex<Option<SessionOwner>>,
    door: Mutex<Option<Door>>,
    ending: AtomicU8,
    ended: watch::Sender<bool>,
}

impl Running {
    /// Takes hold of the processes; refuses when they are not the ones that were written down.
    pub(crate) fn new(
        state: SandboxState,
        given: Option<SessionOwner>,
        process: ProcessIdentity,
        group: Group,
        door: Door,
        uid: u32,
    ) -> io::Result<Arc<Self>> {
        let handles = Handles::open(&process, uid)?;
        let membership = Membership::of(&process, &state.sandbox_id);
        Ok(Arc::new(Self {
            state,
            process,
            handles,
            membership,
            group,
            saving: Mutex::new(None),
            given: Mutex::new(given),
            door: Mutex::new(Some(door)),
            ending: AtomicU8::new(Ending::None as u8),
            ended: watch::Sender::new(false),
        }))
    }

    /// What the provider says of it.
    pub(crate) fn record(&self) -> SandboxRecord {
        self.state.record(self.given.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone())
    }

    /// Gives a warm sandbox to this session, unless another one has it. Blocks.
    pub(crate) fn give(&self, directory: &Path, session: &SessionOwner) -> Result<(), GiveError> {
        let Owner::Warm { .. } = &self.state.order.owner else { return Err(GiveError::NotWarm) };
        let mut given = self.given.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*given {
            Some(known) if known == session => return Ok(()),
            Some(known) => return Err(GiveError::Taken(known.session_id.clone())),
            None => {}
        }
        state::write_given(directory, session).map_err(GiveError::Write)?;
        *given = Some(session.clone());
        Ok(())
    }

    fn begin_ending(&self, ending: Ending) {
        let first = self.ending.compare_exchange(
            Ending::None as u8,
            ending as u8,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        if first.is_err() {
            tracing::debug!(sandbox_id = %self.state.sandbox_id, "the sandbox is already being ended");
        }
    }

    /// Ends every process. Returns at once; [`Running::has_ended`] tells when it is done.
    pub(crate) fn kill(&self, ending: Ending) {
        self.begin_ending(ending);
        // Frozen processes die too, but only a thawed group gets rid of them in version 1.
        self.group.thaw();
        if self.process.pid_namespace == 0 {
            let _ = self.membership.kill();
        }
        if let Some(Err(error)) = self.handles.first.as_ref().map(|first| first.signal(Signal::SIGKILL)) {
            tracing::warn!(sandbox_id = %self.state.sandbox_id, %error, "could not end PID 1");
        }
    }

    /// Lets processes go on that an earlier bridge may have stopped. Blocks.
    pub(crate) fn resume(&self) {
        if let Err(error) = self.membership.resume() {
            tracing::warn!(sandbox_id = %self.state.sandbox_id, %error, "could not let the sandbox go on");
        }
    }

    /// How its group fares; `None` without one that counts.
    pub(crate) fn memory(&self) -> Option<SandboxMemory> {
        self.group.memory()
    }

    /// Room that its processes take with files that have no name.
    pub(crate) fn nameless_files(&self) -> Usage {
        self.membership.nameless_files()
    }

    /// Waits for the end and its cleaning up; `false` when it takes too long.
    pub(crate) async fn has_ended(&self) -> bool {
        let mut ended = self.ended.subscribe();
        let done = tokio::time::timeout(END_TIME, ended.wait_for(|ended| *ended)).await;
        matches!(done, Ok(Ok(_)))
    }

    /// Saves the file system as a layer of this name. Blocks.
    pub(crate) fn save(&self, inner: &Inner, name: &str, owner: LayerOwner) -> io::Result<LayerMeta> {
        let mut last = self.saving.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Ok(meta) = read_meta(&inner.layout, &layers::name_of(&inner.layout, name)) {
            return Ok(meta);
        }
        let directory = inner.layout.sandbox(&self.state.sandbox_id);
        let upper = directory.join("upper");
        let is_whole = self.process.pid_namespace == 0 || self.state.driver == SnapshotDriver::Copy;
        let driver = if is_whole { SnapshotDriver::Copy } else { SnapshotDriver::Overlay };
        let lowers = if is_whole { vec![BASE_LAYER.to_owned()] } else { self.state.lowers.clone() };
        let new = NewLayer {
            name,
            owner,
            sandbox: Some(&self.state.sandbox_id),
            driver,
            reason: Reason::Saved,
            lowers,
            tools: self.state.tools.clone(),
            bytes_max: u64::from(self.state.order.limits.disk_mib) << 20,
        };
        let mut draft = Draft::begin(&inner.layout, new)?;
        let earlier = last.as_ref().and_then(|name| Earlier::open(&inner.layout, name));
        let index = Index::after_sync(&inner.layout)?;
        {
            let _still = Stillness::begin(self, &directory)?;
            draft.copy_upper(&upper, earlier, index)?;
        }
        draft.seal()?;
        let _layers = inner.layers_lock();
        let meta = draft.publish()?;
        *last = Some(meta.name.clone());
        Ok(meta)
    }

    /// Watches the sandbox until it ends, then cleans up behind it.
    pub(crate) async fn watch(self: Arc<Self>, inner: Arc<Inner>) {
        let life = Duration::from_millis(self.state.order.limits.life_ms);
        let lived = Duration::from_millis(state::now_ms().saturating_sub(self.state.created_at));
        let limit = tokio::time::sleep(life.saturating_sub(lived));
        tokio::select! {
            () = self.witness_ended() => {}
            () = limit => {
                self.kill(Ending::Life);
                self.witness_ended().await;
            }
        }
        let running = Arc::clone(&self);
        let cleaner = Arc::clone(&inner);
        let reason =
            tokio::task::spawn_blocking(move || running.clean_up(&cleaner)).await.unwrap_or_default();
        if self.ending.load(Ordering::Acquire) != Ending::Asked as u8 {
            let exit = SandboxExit { record: self.record(), reason, told_here: true };
            if inner.exits.send(exit).await.is_err() {
                tracing::debug!("nobody listens for ended sandboxes");
            }
        }
        self.ended.send_replace(true);
        inner.empty_trash().await;
    }

    async fn witness_ended(&self) {
        let watched = async {
            let witness = self.handles.witness.as_fd().try_clone_to_owned()?;
            // SAFETY: the registration owns the descriptor, so it stays open and the same as long as it is registered.
            let witness = unsafe { AsyncFd::register_with_interest(witness, Interest::READABLE) }?;
            witness.readable().await.map(drop)
        };
        if let Err(error) = watched.await {
            // Out of descriptors, most likely. The answer is the same a little later.
            tracing::warn!(sandbox_id = %self.state.sandbox_id, %error, "could not watch the sandbox");
            while !self.handles.witness.ended_within(Duration::ZERO).unwrap_or(true) {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }

    /// Frees what the sandbox held; answers why it ended. Blocks.
    fn clean_up(&self, inner: &Inner) -> String {
        // Only for a witness that is this bridge's child; an adopted one has been reaped by its new parent.
        let _ = waitpid(Pid::from_raw(self.process.witness_pid), Some(WaitPidFlag::WNOHANG));
        // Without a process namespace nothing but us ends what the runner left behind.
        if self.process.pid_namespace == 0 {
            let _ = self.membership.kill();
        }
        if let Some(first) = &self.handles.first {
            let _ = first.ended_within(END_TIME);
        }
        let id = &self.state.sandbox_id;
        let reason = self.reason(state::read_exit(&inner.layout.sandbox(id)).ok());
        self.door.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        inner.forget(id);
        inner.cgroups.remove_group(&self.group);
        reason
    }

    fn reason(&self, exit: Option<ExitRecord>) -> String {
        let limits = &self.state.order.limits;
        let ending = self.ending.load(Ordering::Acquire);
        if ending == Ending::Life as u8 {
            let seconds = limits.life_ms / 1000;
            return format!(
                "the sandbox has reached the end of its life of {} min {} s",
                seconds / 60,
                seconds % 60
            );
        }
        if ending == Ending::Disk as u8 {
            return format!("the sandbox used more than its {} MiB of disk", limits.disk_mib);
        }
        if ending == Ending::Files as u8 {
            return format!("the sandbox had more than its {} files", disk::allowed(limits).files);
        }
        let killed = exit.as_ref().is_some_and(ExitRecord::was_killed);
        if killed && self.group.ran_out_of_memory() {
            return format!("the sandbox needed more than its {} MiB of memory", limits.memory_mib);
        }
        let failed = !exit.as_ref().is_some_and(ExitRecord::succeeded);
        if failed && self.group.ran_out_of_processes() {
            return format!("{}; it had as many processes as it may, {PROCESSES_MAX}", describe(exit));
        }
        describe(exit)
    }
}

/// How PID 1 ended, for humans.
pub(crate) fn describe(exit: Option<ExitRecord>) -> String {
    match exit {
        Some(ExitRecord { code: Some(code), .. }) => format!("the runner ended with exit code {code}"),
        Some(ExitRecord { signal: Some(signal), .. }) => format!("the sandbox was killed by {signal}"),
        Some(_) | None => "the sandbox was killed together with its launcher".to_owned(),
    }
}

/// While this lives, no process of the sandbox runs. Should the bridge die meanwhile, they go on by themselves.
pub(crate) struct Stillness<'a> {
    how: How<'a>,
    guard: Option<Guard>,
}

enum How<'a> {
    ByGroup(&'a Group),
    /// Ends with its connection, so also with the bridge.
    BySupervisor {
        _frozen: Frozen,
    },
    OneByOne(&'a Running),
}

impl<'a> Stillness<'a> {
    pub(crate) fn begin(running: &'a Running, directory: &Path) -> io::Result<Self> {
        let sandbox_id = &running.state.sandbox_id;
        // A sandbox of an older bridge has nobody to ask; the next bridge lets it go on.
        let guard = exec::guard(directory)
            .inspect_err(|error| tracing::debug!(%sandbox_id, %error, "nobody to let it go on"))
            .ok();
        if running.group.freeze() {
            return Ok(Self { how: How::ByGroup(&running.group), guard });
        }
        if running.process.pid_namespace != 0 {
            match exec::freeze(directory) {
                Ok(frozen) => return Ok(Self { how: How::BySupervisor { _frozen: frozen }, guard }),
                Err(error) => tracing::debug!(%sandbox_id, %error, "stopping its processes from outside"),
            }
        }
        let still = Self { how: How::OneByOne(running), guard };
        running.membership.stop()?;
        Ok(still)
    }
}

impl Drop for Stillness<'_> {
    fn drop(&mut self) {
        match &self.how {
            How::ByGroup(group) => group.thaw(),
            How::BySupervisor { .. } => {}
            How::OneByOne(running) => {
                if let Err(error) = running.membership.resume() {
                    tracing::error!(sandbox_id = %running.state.sandbox_id, %error, "could not let the sandbox go on");
                }
            }
        }
        if let Some(guard) = self.guard.take() {
            guard.dismiss();
        }
    }
}
