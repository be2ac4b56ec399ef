//! What a soak costs this machine, and what it leaves there.

use anyhow::ensure;
use serde_json::{Value, json};
use stack::Stack;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Resident memory of one process over its life, in kB.
type Lives = BTreeMap<u32, Vec<u64>>;

/// Memory of the processes that serve all sessions, sampled as the soak goes on.
#[derive(Debug, Default)]
pub(super) struct Memory {
    bridge: Lives,
    workerd: Lives,
}

impl Memory {
    pub(super) fn sample(&mut self, stack: &Stack) {
        note(&mut self.bridge, stack.bridge_pid());
        note(&mut self.workerd, stack.worker_pid().and_then(largest_workerd_below));
    }

    /// Of each process's longest life, because a new process has forgotten everything anyway.
    pub(super) fn summary(&self) -> Value {
        json!({"bridge": summary(&self.bridge), "workerd": summary(&self.workerd)})
    }
}

fn note(lives: &mut Lives, process: Option<u32>) {
    if let Some((id, kilobytes)) = process.and_then(|id| Some((id, resident_kb(id)?))) {
        lives.entry(id).or_default().push(kilobytes);
    }
}

fn summary(lives: &Lives) -> Value {
    let longest = lives.values().max_by_key(|samples| samples.len());
    let Some(steady) = longest.and_then(|samples| samples.get(samples.len() / 4..)) else {
        return Value::Null;
    };
    let third = steady.len() / 3;
    let first = median(steady.get(..third).unwrap_or_default());
    let last = median(steady.get(steady.len() - third..).unwrap_or_default());
    let (Some(first), Some(last)) = (first, last) else { return Value::Null };
    let ratio = (last * 1000 / first.max(1)).to_string().parse::<f64>().unwrap_or(0.0) / 1000.0;
    json!({"first_third_kb": first, "last_third_kb": last, "ratio": ratio, "samples": steady.len()})
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

/// The Worker's own process has the objects, and with them more memory than wrangler's front door.
fn largest_workerd_below(process: u32) -> Option<u32> {
    let below = descendants(process);
    let is_workerd = |id: &&u32| {
        std::fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.trim() == "workerd")
    };
    below.iter().filter(is_workerd).max_by_key(|id| resident_kb(**id)).copied()
}

fn descendants(process: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut next = vec![process];
    while let Some(parent) = next.pop() {
        let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            next.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
        found.push(parent);
    }
    found
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

    #[test]
    fn memory_is_compared_within_the_longest_life_after_its_beginning() {
        let mut lives = Lives::new();
        lives.insert(1, vec![9000; 3]);
        lives.insert(2, vec![1, 1, 1, 1, 100, 100, 100, 100, 150, 150, 150, 150, 200, 200, 200, 200]);
        let value = summary(&lives);
        assert_eq!((&value["first_third_kb"], &value["last_third_kb"]), (&json!(100), &json!(200)));
        assert_eq!(value["ratio"], json!(2.0));
        assert_eq!(summary(&Lives::new()), Value::Null);
    }
}
