//! Control groups, version 2 or 1, where this process may make them: limits on memory, processor time and processes, and
//! freezing. Where it may not, the provider says so and falls back to limits that each process carries itself.
//!
//! Version 2 works by delegation: whoever started the bridge has given it a group of its own, such as systemd does for a service
//! or scope with `Delegate=yes`. The bridge never asks for one.

mod files;
mod place;
#[cfg(test)]
mod tests;

use files::{Files, Kernel};
use place::{Version, places};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use protocol::bridge::SandboxLimits;
use protocol::runner::SandboxMemory;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Processes and threads of one sandbox.
pub(crate) const PROCESSES_MAX: u64 = 4096;
const PERIOD_US: u64 = 100_000;
const FREEZE_TIME: Duration = Duration::from_millis(500);

/// A group that hands controllers down must be empty of processes itself, so the bridge steps aside into this leaf.
const BRIDGE_LEAF: &str = "farhand-bridge";
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
/// In version 1 freezing is a controller of its own.
const FREEZER: &str = "freezer";
const SINGLE_CONTROLLERS: [&str; 4] = ["cpu", "memory", "pids", FREEZER];

/// What a group is limited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupLimits {
    /// Memory and swap together.
    pub(crate) memory_bytes: u64,
    /// Processor time per period, and the period.
    pub(crate) quota_us: u64,
    pub(crate) period_us: u64,
    /// Processes and threads.
    pub(crate) processes: u64,
}

impl GroupLimits {
    pub(crate) fn of(limits: &SandboxLimits) -> Self {
        Self {
            memory_bytes: u64::from(limits.memory_mib) << 20,
            quota_us: u64::from(limits.cpu_millicores) * PERIOD_US / 1000,
            period_us: PERIOD_US,
            processes: PROCESSES_MAX,
        }
    }
}

/// Where groups of sandboxes can be made.
#[derive(Debug)]
pub(crate) struct Cgroups {
    files: Box<dyn Files>,
    /// Parent in the one hierarchy of version 2, with the controllers it hands down.
    unified: Option<(PathBuf, Vec<String>)>,
    /// Parents in hierarchies of version 1, by controller.
    single: Vec<(String, PathBuf)>,
    /// The parents are there only as long as a sandbox is, so they come and go.
    parents: Mutex<()>,
}

/// The groups of one sandbox.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    unified: Option<PathBuf>,
    single: Vec<PathBuf>,
}

impl Cgroups {
    /// Finds out what can be made, by making the parents once. Named after the state directory, so that two bridges do not meet.
    pub(crate) fn open(state: &Path) -> Self {
        let Ok(data) = fs::metadata(state) else { return Self::none() };
        let name = format!("farhand-{:x}-{:x}", data.dev(), data.ino());
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::open_in(Box::new(Kernel), &mounts(), &own, &name)
    }

    /// Where nothing can be limited.
    pub(crate) fn none() -> Self {
        Self { files: Box::new(Kernel), unified: None, single: Vec::new(), parents: Mutex::default() }
    }

    fn open_in(files: Box<dyn Files>, mounts: &str, own: &str, name: &str) -> Self {
        let mut found = Self { files, ..Self::none() };
        for place in places(mounts, own) {
            // The bridge may have stepped aside already.
            let stepped_aside = place.directory.file_name().is_some_and(|name| name == BRIDGE_LEAF);
            let above = place.directory.parent().filter(|_| stepped_aside);
            let directory = above.unwrap_or(&place.directory);
            let parent = directory.join(name);
            match place.version {
                Version::Two => {
                    if let Some(handed_down) = open_unified(found.files.as_ref(), directory, &parent) {
                        found.unified = Some((parent, handed_down));
                    }
                }
                Version::One => {
                    for controller in
                        place.controllers.iter().filter(|name| SINGLE_CONTROLLERS.contains(&name.as_str()))
                    {
                        if found.files.make(&parent).is_ok() {
                            found.single.push((controller.clone(), parent.clone()));
                        }
                    }
                }
            }
        }
        found.remove_parents();
        // For nothing but freezing, joining it would cost more than it is worth.
        if found.unified.as_ref().is_some_and(|(_, handed_down)| handed_down.is_empty())
            && found.single.iter().any(|(name, _)| name == FREEZER)
        {
            found.unified = None;
        }
        found
    }

    /// Whether a group with this limit can be made. That the limit also holds is for the preflight to find out.
    pub(crate) fn limits(&self, controller: &str) -> bool {
        self.unified
            .as_ref()
            .is_some_and(|(_, handed_down)| handed_down.iter().any(|name| name == controller))
            || self.single.iter().any(|(name, _)| name == controller)
    }

    /// Makes the groups of a sandbox, with its limits.
    pub(crate) fn make_group(&self, id: &str, limits: GroupLimits) -> io::Result<Group> {
        let mut group = Group::default();
        let _parents = self.parents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((parent, controllers)) = &self.unified {
            self.files.make(parent)?;
            let handed_down: Vec<&str> = controllers.iter().map(String::as_str).collect();
            if !handed_down.is_empty() {
                hand_down(self.files.as_ref(), parent, &handed_down)?;
            }
            let path = parent.join(id);
            self.files.make(&path)?;
            group.unified = Some(path.clone());
            for controller in controllers {
                self.limit_unified(&path, controller, limits)?;
            }
        }
        for (controller, parent) in &self.single {
            self.files.make(parent)?;
            let path = parent.join(id);
            self.files.make(&path)?;
            if !group.single.contains(&path) {
                group.single.push(path.clone());
            }
            self.limit_single(&path, controller, limits)?;
        }
        Ok(group)
    }

    /// Files of version 2, `cgroup-v2.rst`.
    fn limit_unified(&self, path: &Path, controller: &str, limits: GroupLimits) -> io::Result<()> {
        let set = |file: &str, value: String| self.files.write(path, file, &value);
        match controller {
            "memory" => {
                set("memory.max", limits.memory_bytes.to_string())?;
                // Absent where the kernel has no swap accounting.
                let _ = set("memory.swap.max", "0".to_owned());
                Ok(())
            }
            "cpu" => set("cpu.max", format!("{} {}", limits.quota_us, limits.period_us)),
            "pids" => set("pids.max", limits.processes.to_string()),
            _ => Ok(()),
        }
    }

    /// Files of version 1, `cgroup-v1/memory.rst` and the like.
    fn limit_single(&self, path: &Path, controller: &str, limits: GroupLimits) -> io::Result<()> {
        let set = |file: &str, value: u64| self.files.write(path, file, &value.to_string());
        match controller {
            "memory" => {
                set("memory.limit_in_bytes", limits.memory_bytes)?;
                // Memory and swap together; never below the limit of memory, so it comes second. Absent like the above.
                let _ = set("memory.memsw.limit_in_bytes", limits.memory_bytes);
                Ok(())
            }
            "cpu" => {
                set("cpu.cfs_period_us", limits.period_us)?;
                set("cpu.cfs_quota_us", limits.quota_us)
            }
            "pids" => set("pids.max", limits.processes),
            _ => Ok(()),
        }
    }

    /// The groups of a sandbox that an earlier bridge made.
    pub(crate) fn find_group(&self, id: &str) -> Group {
        let there = |parent: &PathBuf| Some(parent.join(id)).filter(|path| path.is_dir());
        Group {
            unified: self.unified.as_ref().and_then(|(parent, _)| there(parent)),
            single: self.single.iter().filter_map(|(_, parent)| there(parent)).collect(),
        }
    }

    /// The groups that this process of the sandbox is really in: an earlier bridge may have been started elsewhere, such as in
    /// another scope of systemd.
    pub(crate) fn group_of(&self, id: &str, pid: i32) -> Group {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let mut group = Group::default();
        for place in places(&mounts(), &text) {
            if place.directory.file_name().is_some_and(|name| name == id) {
                match place.version {
                    Version::Two => group.unified = Some(place.directory),
                    Version::One => group.single.push(place.directory),
                }
            }
        }
        if group.unified.is_none() && group.single.is_empty() { self.find_group(id) } else { group }
    }

    fn parents(&self) -> impl Iterator<Item = &PathBuf> {
        self.unified.iter().map(|(parent, _)| parent).chain(self.single.iter().map(|(_, parent)| parent))
    }

    /// Removes the groups of a sandbox, and with the last one the parents.
    pub(crate) fn remove_group(&self, group: &Group) {
        group.remove();
        let _parents = self.parents.lock().unwrap_or_else(PoisonError::into_inner);
        self.remove_parents();
        // A group of an earlier bridge may have stood elsewhere.
        for parent in group.paths().filter_map(|path| path.parent()) {
            let _ = self.files.remove(parent);
        }
    }

    /// Removes the parents as far as they are empty.
    fn remove_parents(&self) {
        for parent in self.parents() {
            let _ = self.files.remove(parent);
        }
    }

    /// Removes groups whose sandbox is gone.
    pub(crate) fn sweep(&self, is_known: impl Fn(&str) -> bool) {
        for parent in self.parents() {
            for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
                let is_group = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_group && !entry.file_name().to_str().is_some_and(&is_known) {
                    let _ = fs::remove_dir(entry.path());
                }
            }
        }
        self.remove_parents();
    }
}

impl Group {
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.unified.iter().chain(&self.single)
    }

    /// Files by which a process of one thread joins. In version 1 a thread that moves itself spares the kernel the lock on all
    /// processes that `cgroup.procs` takes, and with it some ten milliseconds of waiting.
    pub(crate) fn join_files(&self) -> Vec<String> {
        let unified = self.unified.iter().map(|path| path.join("cgroup.procs"));
        let single = self.single.iter().map(|path| path.join("tasks"));
        unified.chain(single).map(|path| path.to_string_lossy().into_owned()).collect()
    }

    /// Files by which [`Group::freeze`] can be undone, with what to write there.
    pub(crate) fn thaw_files(&self) -> Vec<(String, String)> {
        let unified = self.unified.iter().map(|path| (path.join("cgroup.freeze"), "0"));
        let single = self.freezer().map(|path| (path.join("freezer.state"), "THAWED"));
        let files = unified.chain(single);
        files.map(|(path, word)| (path.to_string_lossy().into_owned(), word.to_owned())).collect()
    }

    /// Freezes everything in the group; `false` when this kernel or place cannot.
    pub(crate) fn freeze(&self) -> bool {
        let frozen = match (&self.unified, self.freezer()) {
            (Some(path), _) => set(path, "cgroup.freeze", "1").and_then(|()| wait_frozen(path)),
            (None, Some(path)) => {
                set(path, "freezer.state", "FROZEN").and_then(|()| wait_frozen_single(path))
            }
            (None, None) => return false,
        };
        if frozen.is_err() {
            self.thaw();
        }
        frozen.is_ok()
    }

    /// Undoes [`Group::freeze`]; harmless otherwise.
    pub(crate) fn thaw(&self) {
        if let Some(path) = &self.unified {
            let _ = set(path, "cgroup.freeze", "0");
        }
        if let Some(path) = self.freezer() {
            let _ = set(path, "freezer.state", "THAWED");
        }
    }

    /// The group that freezes in version 1.
    fn freezer(&self) -> Option<&PathBuf> {
        self.single.iter().find(|path| path.join("freezer.state").exists())
    }

    /// Whether the kernel ended a process of the group for want of memory.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        self.memory_kills().is_some_and(|kills| kills > 0)
    }

    /// How many processes of the group the kernel ended for want of memory; `None` where it does not count them.
    fn memory_kills(&self) -> Option<u64> {
        self.count(&["memory.events", "memory.oom_control"], "oom_kill")
    }

    /// How the group fares; `None` where the kernel does not limit it.
    pub(crate) fn memory(&self) -> Option<SandboxMemory> {
        let limit = self.paths().find_map(|path| {
            let read = |file| fs::read_to_string(path.join(file)).ok()?.trim().parse::<u64>().ok();
            read("memory.max").or_else(|| read("memory.limit_in_bytes"))
        })?;
        let held = self.count(&["memory.stat"], "total_rss").or_else(|| self.count(&["memory.stat"], "anon"));
        let held_mib = held.map(|bytes| bytes >> 20);
        Some(SandboxMemory { limit_mib: limit >> 20, held_mib, kills: self.memory_kills()? })
    }

    /// Whether a process could not be started because there were as many as there may be.
    pub(crate) fn ran_out_of_processes(&self) -> bool {
        self.count(&["pids.events"], "max").is_some_and(|times| times > 0)
    }

    /// Whether the processes had to wait because their time was used up.
    pub(crate) fn was_throttled(&self) -> bool {
        self.count(&["cpu.stat"], "nr_throttled").is_some_and(|times| times > 0)
    }

    /// What the files count of these, all of them together; `None` when none of them does.
    fn count(&self, files: &[&str], name: &str) -> Option<u64> {
        let read = |path: &PathBuf, file: &str| {
            let text = fs::read_to_string(path.join(file)).ok()?;
            let mut fields = text.lines().filter_map(|line| line.split_once(' '));
            fields.find(|(field, _)| *field == name)?.1.trim().parse::<u64>().ok()
        };
        let counts = self.paths().flat_map(|path| files.iter().filter_map(move |file| read(path, file)));
        counts.reduce(u64::saturating_add)
    }

    /// Just ended processes may still be in the groups for a moment.
    fn remove(&self) {
        for path in self.paths() {
            for _ in 0..50 {
                match fs::remove_dir(path) {
                    Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    Ok(()) | Err(_) => break,
                }
            }
        }
    }
}

fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()
}

/// Makes the parent and hands the controllers down to it; answers those that arrive, or `None` when nothing can be made.
fn open_unified(files: &dyn Files, place: &Path, parent: &Path) -> Option<Vec<String>> {
    files.make(parent).ok()?;
    let available = files.read(place, "cgroup.controllers").unwrap_or_default();
    let wanted: Vec<&str> =
        available.split_ascii_whitespace().filter(|name| CONTROLLERS.contains(name)).collect();
    if wanted.is_empty() {
        return Some(Vec::new());
    }
    if hand_down(files, place, &wanted).is_err() {
        let leaf = place.join(BRIDGE_LEAF);
        let stepped = files.make(&leaf).and_then(|()| files.write(&leaf, "cgroup.procs", "0"));
        let _ = stepped.and_then(|()| hand_down(files, place, &wanted));
    }
    let _ = hand_down(files, parent, &wanted);
    let arrived = files.read(parent, "cgroup.subtree_control").unwrap_or_default();
    Some(arrived.split_ascii_whitespace().map(str::to_owned).collect())
}

fn hand_down(files: &dyn Files, place: &Path, controllers: &[&str]) -> io::Result<()> {
    let text: Vec<String> = controllers.iter().map(|name| format!("+{name}")).collect();
    files.write(place, "cgroup.subtree_control", &text.join(" "))
}

fn set(path: &Path, file: &str, value: &str) -> io::Result<()> {
    fs::write(path.join(file), value)
}

/// Version 1 announces nothing: `FREEZING` becomes `FROZEN` when it is asked for.
fn wait_frozen_single(path: &Path) -> io::Result<()> {
    let deadline = Instant::now() + FREEZE_TIME;
    while fs::read_to_string(path.join("freezer.state"))?.trim_end() != "FROZEN" {
        if Instant::now() > deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the group does not freeze"));
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(())
}

fn wait_frozen(path: &Path) -> io::Result<()> {
    // The kernel counts news from the last read through the very descriptor that is polled.
    let mut events = File::open(path.join("cgroup.events"))?;
    let deadline = Instant::now() + FREEZE_TIME;
    loop {
        let mut text = String::new();
        events.rewind()?;
        events.read_to_string(&mut text)?;
        if text.lines().any(|line| line == "frozen 1") {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the group does not freeze"));
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], timeout)?;
    }
}
