//! What a soak costs this machine, and what it leaves there.

use anyhow::ensure;
use serde_json::{Value, json};
use stack::Stack;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Resident memory of one process over its life, in kB.
type Lives = BTreeMap<u32, Vec<u64>>;

/// Samples of a life that say whether memory is flat: five minutes of them.
const SAMPLES_MIN: usize = 300;
/// What is in use at the end of a life, in percent of what was in use once it was warm.
const GROWN_PERCENT_MAX: u64 = 120;

/// Memory of the processes that serve all sessions, sampled as the soak goes on.
#[derive(Debug, Default)]
pub(super) struct Memory {
    bridge: Lives,
    workerd: Lives,
}

impl Memory {
    pub(super) fn sample(&mut self, stack: &Stack) {
        note(&mut self.bridge, stack.bridge_pid());
        note(&mut self.workerd, stack.workerd_pid());
    }

    pub(super) fn summary(&self) -> Value {
        let told = |lives| Steady::of(lives).map_or(Value::Null, Steady::told);
        json!({"bridge": told(&self.bridge), "workerd": told(&self.workerd)})
    }

    /// What has grown, of what lived long enough for that to be said.
    pub(super) fn grown(&self) -> Vec<&'static str> {
        [("the bridge", &self.bridge), ("workerd", &self.workerd)]
            .into_iter()
            .filter(|(_, lives)| Steady::of(lives).is_some_and(Steady::has_grown))
            .map(|(name, _)| name)
            .collect()
    }
}

fn note(lives: &mut Lives, process: Option<u32>) {
    if let Some((id, kilobytes)) = process.and_then(|id| Some((id, resident_kb(id)?))) {
        lives.entry(id).or_default().push(kilobytes);
    }
}

/// The longest life after its first quarter, because a new process has forgotten everything anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Steady {
    /// Median of the first third, in kB.
    first: u64,
    /// Median of the last third, in kB.
    last: u64,
    samples: usize,
}

impl Steady {
    fn of(lives: &Lives) -> Option<Self> {
        let longest = lives.values().max_by_key(|samples| samples.len())?;
        let steady = longest.get(longest.len() / 4..)?;
        let third = steady.len() / 3;
        let first = median(steady.get(..third)?)?;
        let last = median(steady.get(steady.len() - third..)?)?;
        Some(Self { first, last, samples: steady.len() })
    }

    fn grown_percent(self) -> u64 {
        self.last * 100 / self.first.max(1)
    }

    fn has_grown(self) -> bool {
        self.samples >= SAMPLES_MIN && self.grown_percent() > GROWN_PERCENT_MAX
    }

    fn told(self) -> Value {
        json!({
            "first_third_kb": self.first, "last_third_kb": self.last,
            "last_percent_of_first": self.grown_percent(), "samples": self.samples,
        })
    }
}

fn median(samples: &[u64]) -> Option<u64> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

fn resident_kb(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What a state folder of the local provider has for sandboxes and snapshots, beside the base layer.
pub(super) fn leftovers_in(state: &Path) -> Vec<PathBuf> {
    let folder = |name: &str| {
        let entries = std::fs::read_dir(state.join(name)).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let layers = folder("layers").into_iter().filter(|path| !path.ends_with("base"));
    folder("sandboxes").into_iter().chain(folder("trash")).chain(layers).collect()
}

/// Control groups that a bridge has made for this state folder, see `cgroup.rs` of the local provider.
pub(super) fn control_groups_of(state: &Path) -> Vec<PathBuf> {
    let Ok(data) = std::fs::metadata(state) else { return Vec::new() };
    let name = format!("farhand-{:x}-{:x}", data.dev(), data.ino());
    let mut found = Vec::new();
    let mut next = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = next.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let path = entry.path();
                if path.ends_with(&name) { found.push(path) } else { next.push(path) }
            }
        }
    }
    found
}

/// Mounts of this machine in the folder; those of sandboxes are in namespaces of their own.
pub(super) fn mounts_in(folder: &Path) -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let name = folder.to_string_lossy().into_owned();
    mounts.lines().filter(|line| line.contains(&name)).map(str::to_owned).collect()
}

/// Processes whose command line names the folder, this one aside.
pub(super) fn processes_of(folder: &Path) -> Vec<String> {
    let name = folder.to_string_lossy().into_owned();
    let own = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    ids.filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()) && *id != own)
        .filter_map(|id| {
            let line = std::fs::read(format!("/proc/{id}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(&name).then(|| format!("{id}: {line:.200}"))
        })
        .collect()
}

/// Nothing of the run may be there once its stack has ended.
pub(super) fn nothing_remains(folder: &Path) -> anyhow::Result<()> {
    let (processes, mounts) = (processes_of(folder), mounts_in(folder));
    ensure!(processes.is_empty(), "processes remain: {processes:#?}");
    ensure!(mounts.is_empty(), "mounts remain: {mounts:#?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lives(samples: &[(u64, usize)]) -> Lives {
        let life = samples.iter().flat_map(|(kilobytes, times)| vec![*kilobytes; *times]).collect();
        [(1, vec![9000; 3]), (2, life)].into()
    }

    #[test]
    fn memory_is_compared_within_the_longest_life_after_its_beginning() {
        let steady = Steady::of(&lives(&[(1, 4), (100, 4), (150, 4), (200, 4)]));
        assert_eq!(steady, Some(Steady { first: 100, last: 200, samples: 12 }));
        assert_eq!(steady.map(Steady::grown_percent), Some(200));
        assert_eq!(Steady::of(&Lives::new()), None);
    }

    #[test]
    fn only_a_long_life_can_be_seen_to_grow() {
        let grown = |samples| Steady::of(&lives(samples)).is_some_and(Steady::has_grown);
        assert!(grown(&[(1, 100), (100, 150), (121, 150)]));
        assert!(!grown(&[(1, 100), (100, 150), (120, 150)]));
        assert!(!grown(&[(1, 10), (100, 15), (200, 15)]));
    }
}
