//! Control groups, version 2 or 1, where this process may make them: limits on memory, processor time and processes, and
//! freezing. Where it may not, the provider says so and falls back to limits that each process carries itself.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use protocol::bridge::SandboxLimits;
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

/// Where groups of sandboxes can be made.
#[derive(Debug, Default)]
pub(crate) struct Cgroups {
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
        let Ok(data) = fs::metadata(state) else { return Self::default() };
        let name = format!("farhand-{:x}-{:x}", data.dev(), data.ino());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut found = Self::default();
        for (kind, controllers, place) in own_places(&mounts, &own) {
            let parent = place.join(&name);
            match kind {
                Version::Two => {
                    if let Some(handed_down) = open_unified(&place, &parent) {
                        found.unified = Some((parent, handed_down));
                    }
                }
                Version::One => {
                    for controller in
                        controllers.iter().filter(|name| ["cpu", "memory", "pids"].contains(&name.as_str()))
                    {
                        if make(&parent).is_ok() {
                            found.single.push((controller.clone(), parent.clone()));
                        }
                    }
                }
            }
        }
        found.remove_parents();
        found
    }

    /// Whether this resource is really limited.
    pub(crate) fn limits(&self, controller: &str) -> bool {
        self.unified
            .as_ref()
            .is_some_and(|(_, handed_down)| handed_down.iter().any(|name| name == controller))
            || self.single.iter().any(|(name, _)| name == controller)
    }

    /// Makes the groups of a sandbox, with its limits.
    pub(crate) fn make_group(&self, id: &str, limits: &SandboxLimits) -> io::Result<Group> {
        let memory = u64::from(limits.memory_mib) << 20;
        let quota = u64::from(limits.cpu_millicores) * PERIOD_US / 1000;
        let mut group = Group::default();
        let _parents = self.parents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((parent, controllers)) = &self.unified {
            make(parent)?;
            let handed_down: Vec<&str> = controllers.iter().map(String::as_str).collect();
            if !handed_down.is_empty() {
                hand_down(parent, &handed_down)?;
            }
            let path = parent.join(id);
            make(&path)?;
            group.unified = Some(path.clone());
            for controller in controllers {
                match controller.as_str() {
                    "memory" => {
                        set(&path, "memory.max", &memory.to_string())?;
                        // Absent where the kernel has no swap accounting.
                        let _ = set(&path, "memory.swap.max", "0");
                    }
                    "cpu" => set(&path, "cpu.max", &format!("{quota} {PERIOD_US}"))?,
                    "pids" => set(&path, "pids.max", &PROCESSES_MAX.to_string())?,
                    _ => {}
                }
            }
        }
        for (controller, parent) in &self.single {
            make(parent)?;
            let path = parent.join(id);
            make(&path)?;
            if !group.single.contains(&path) {
                group.single.push(path.clone());
            }
            match controller.as_str() {
                "memory" => set(&path, "memory.limit_in_bytes", &memory.to_string())?,
                "cpu" => {
                    set(&path, "cpu.cfs_period_us", &PERIOD_US.to_string())?;
                    set(&path, "cpu.cfs_quota_us", &quota.to_string())?;
                }
                "pids" => set(&path, "pids.max", &PROCESSES_MAX.to_string())?,
                _ => {}
            }
        }
        Ok(group)
    }

    /// The groups of a sandbox that an earlier bridge made.
    pub(crate) fn find_group(&self, id: &str) -> Group {
        let there = |parent: &PathBuf| Some(parent.join(id)).filter(|path| path.is_dir());
        Group {
            unified: self.unified.as_ref().and_then(|(parent, _)| there(parent)),
            single: self.single.iter().filter_map(|(_, parent)| there(parent)).collect(),
        }
    }

    fn parents(&self) -> impl Iterator<Item = &PathBuf> {
        self.unified.iter().map(|(parent, _)| parent).chain(self.single.iter().map(|(_, parent)| parent))
    }

    /// Removes the groups of a sandbox, and with the last one the parents.
    pub(crate) fn remove_group(&self, group: &Group) {
        group.remove();
        let _parents = self.parents.lock().unwrap_or_else(PoisonError::into_inner);
        self.remove_parents();
    }

    /// Removes the parents as far as they are empty.
    fn remove_parents(&self) {
        for parent in self.parents() {
            let _ = fs::remove_dir(parent);
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
    /// Files to write one's number to.
    pub(crate) fn join_files(&self) -> Vec<String> {
        let paths = self.unified.iter().chain(&self.single);
        paths.map(|path| path.join("cgroup.procs").to_string_lossy().into_owned()).collect()
    }

    /// Freezes everything in the group; `false` when this kernel or place cannot.
    pub(crate) fn freeze(&self) -> bool {
        self.unified.as_ref().is_some_and(|path| {
            let frozen = set(path, "cgroup.freeze", "1").and_then(|()| wait_frozen(path));
            if frozen.is_err() {
                let _ = set(path, "cgroup.freeze", "0");
            }
            frozen.is_ok()
        })
    }

    /// Undoes [`Group::freeze`]; harmless otherwise.
    pub(crate) fn thaw(&self) {
        if let Some(path) = &self.unified {
            let _ = set(path, "cgroup.freeze", "0");
        }
    }

    /// Whether the kernel ended a process of the group for want of memory.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        let kills = |file: &str, path: &PathBuf| {
            let text = fs::read_to_string(path.join(file)).unwrap_or_default();
            text.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|number| number.trim() != "0"))
        };
        self.unified.iter().any(|path| kills("memory.events", path))
            || self.single.iter().any(|path| kills("memory.oom_control", path))
    }

    /// Just ended processes may still be in the groups for a moment.
    fn remove(&self) {
        for path in self.unified.iter().chain(&self.single) {
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

enum Version {
    One,
    Two,
}

/// Where this process is in each mounted hierarchy.
fn own_places(mounts: &str, own: &str) -> Vec<(Version, Vec<String>, PathBuf)> {
    let mut places = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let names: Vec<String> =
            controllers.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        if let Some(place) = mounts.lines().find_map(|mount| place_in(mount, &names, path)) {
            places.push((if names.is_empty() { Version::Two } else { Version::One }, names, place));
        }
    }
    places
}

/// `path` of a hierarchy as a directory, when this line of mountinfo mounts that hierarchy.
fn place_in(mount: &str, controllers: &[String], path: &str) -> Option<PathBuf> {
    let (left, right) = mount.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, place) = (left.next()?, left.next()?);
    let mut right = right.split(' ');
    let (kind, options) = (right.next()?, right.nth(1).unwrap_or_default());
    let fits = match controllers.first() {
        None => kind == "cgroup2",
        Some(first) => kind == "cgroup" && options.split(',').any(|option| option == first),
    };
    let below = if root == "/" { path } else { path.strip_prefix(root)? };
    fits.then(|| Path::new(place).join(below.trim_start_matches('/')))
}

/// Makes the parent and hands the controllers down to it; answers those that arrive, or `None` when nothing can be made.
fn open_unified(place: &Path, parent: &Path) -> Option<Vec<String>> {
    make(parent).ok()?;
    let available = fs::read_to_string(place.join("cgroup.controllers")).unwrap_or_default();
    let wanted: Vec<&str> =
        available.split_ascii_whitespace().filter(|name| ["cpu", "memory", "pids"].contains(name)).collect();
    // A group that hands controllers down must be empty of processes itself; the bridge steps aside into a leaf.
    if !wanted.is_empty() && hand_down(place, &wanted).is_err() {
        let leaf = place.join("farhand-bridge");
        let stepped = make(&leaf).and_then(|()| set(&leaf, "cgroup.procs", "0"));
        let _ = stepped.and_then(|()| hand_down(place, &wanted));
    }
    let _ = hand_down(parent, &wanted);
    let arrived = fs::read_to_string(parent.join("cgroup.subtree_control")).unwrap_or_default();
    Some(arrived.split_ascii_whitespace().map(str::to_owned).collect())
}

fn hand_down(place: &Path, controllers: &[&str]) -> io::Result<()> {
    let text: Vec<String> = controllers.iter().map(|name| format!("+{name}")).collect();
    set(place, "cgroup.subtree_control", &text.join(" "))
}

fn make(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn set(path: &Path, file: &str, value: &str) -> io::Result<()> {
    fs::write(path.join(file), value)
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

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
34 31 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
35 31 0:32 /pod/x /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    fn places(own: &str) -> Vec<String> {
        own_places(MOUNTS, own)
            .into_iter()
            .map(|(_, _, place)| place.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn the_own_place_is_found_in_each_hierarchy() {
        assert_eq!(
            places("4:memory:/a/b\n1:cpu,cpuacct:/pod/x/c\n0::/user.slice\n"),
            ["/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/cpu/c", "/sys/fs/cgroup/unified/user.slice"]
        );
    }

    #[test]
    fn a_place_outside_the_mounted_part_or_without_a_mount_is_skipped() {
        assert_eq!(places("1:cpu,cpuacct:/elsewhere\n9:pids:/\nnonsense\n"), Vec::<String>::new());
    }
}
