//! Whether this machine has room for one more sandbox: open files, memory, disk. What runs already must be served on, so a part of
//! each is kept for it. Decides from figures that it is given; reads them at the call.

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;
use std::fs;
use std::path::Path;

/// Open files that are kept for what runs: calls of the edge, runners, snapshots, and the start of a sandbox itself.
const FILES_KEPT: u64 = 32;
/// Memory that is left to the machine.
const MEMORY_KEPT_BYTES: u64 = 256 << 20;
/// Disk that is kept for what runs to write.
const DISK_KEPT_BYTES: u64 = 256 << 20;
/// Files and folders that are kept for it.
const INODES_KEPT: u64 = 2_000;

/// What there is at the moment. What a machine does not tell is `None`, and not a reason to refuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    /// Open files of this process, and how many it may have.
    pub(crate) files: Option<(u64, u64)>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) disk_bytes: Option<u64>,
    pub(crate) inodes: Option<u64>,
}

impl Room {
    /// Looks around.
    pub(crate) fn look(state: &Path) -> Self {
        let open = fs::read_dir("/proc/self/fd").map(|entries| entries.count() as u64).ok();
        let allowed = getrlimit(Resource::RLIMIT_NOFILE).map(|(soft, _)| soft).ok();
        let disk = statvfs(state).ok();
        Self {
            files: open.zip(allowed),
            memory_bytes: fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(available_bytes),
            disk_bytes: disk.map(|disk| disk.blocks_available().saturating_mul(disk.fragment_size())),
            // File systems that make inodes as they need them count none.
            inodes: disk.filter(|disk| disk.files() > 0).map(|disk| disk.files_available()),
        }
    }

    /// Why there is none, with what to do about it.
    pub(crate) fn refusal(&self) -> Option<String> {
        let mib = |bytes: u64| bytes >> 20;
        if let Some((open, allowed)) = self.files.filter(|(open, allowed)| open + FILES_KEPT > *allowed) {
            return Some(format!(
                "{open} of {allowed} open files of the bridge are in use; end sandboxes, or raise the limit (ulimit -n, LimitNOFILE=)"
            ));
        }
        if let Some(left) = self.memory_bytes.filter(|left| *left < MEMORY_KEPT_BYTES) {
            let left = mib(left);
            return Some(format!("only {left} MiB of the machine's memory are left; end sandboxes"));
        }
        if let Some(left) = self.disk_bytes.filter(|left| *left < DISK_KEPT_BYTES) {
            let left = mib(left);
            return Some(format!(
                "only {left} MiB of disk are left for sandboxes; delete sessions or snapshots, or give --state more"
            ));
        }
        if let Some(left) = self.inodes.filter(|left| *left < INODES_KEPT) {
            return Some(format!(
                "only {left} more files fit on the disk for sandboxes; delete sessions or snapshots, or give --state more"
            ));
        }
        None
    }
}

/// What can be had without swapping; `proc_meminfo(5)`.
fn available_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: Room = Room {
        files: Some((20, 1024)),
        memory_bytes: Some(1 << 32),
        disk_bytes: Some(1 << 36),
        inodes: Some(1_000_000),
    };

    #[test]
    fn with_plenty_of_everything_or_without_figures_there_is_room() {
        assert_eq!(PLENTY.refusal(), None);
        assert_eq!(Room::default().refusal(), None);
    }

    #[test]
    fn what_is_short_is_named_with_the_remedy() {
        let says = |room: Room, words: &str| {
            let refusal = room.refusal().unwrap();
            assert!(refusal.contains(words), "{refusal}");
        };
        says(Room { files: Some((33, 64)), ..PLENTY }, "33 of 64 open files");
        says(Room { memory_bytes: Some(100 << 20), ..PLENTY }, "100 MiB of the machine's memory");
        says(Room { disk_bytes: Some(5 << 20), ..PLENTY }, "5 MiB of disk");
        says(Room { inodes: Some(7), ..PLENTY }, "7 more files");
        assert_eq!(Room { files: Some((32, 64)), ..PLENTY }.refusal(), None);
    }

    #[test]
    fn this_machine_tells_all_of_it() {
        let room = Room::look(&std::env::temp_dir());
        let (open, allowed) = room.files.unwrap();
        assert!(open > 2 && allowed >= open, "{room:?}");
        assert!(room.memory_bytes.is_some() && room.disk_bytes.is_some(), "{room:?}");
    }
}
