//! A20: searches for the canaries everywhere a process of the sandbox can read: files, environments, arguments, memory.

use crate::attempt::{Attempt, Must, Tried, errno};
use crate::facts::Facts;
use crate::network::some;
use crate::processes::processes;
use nix::unistd::getpid;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Places that are searched file by file. What the host's own `/usr` holds is no secret of a sandbox.
const PLACES: &[&str] = &["/workspace", "/home", "/tmp", "/run", "/etc", "/dev/shm", "/opt", "/mnt", "/var"];
/// What each process tells about itself.
const TOLD: &[&str] = &["environ", "cmdline", "comm", "mountinfo", "mounts", "cgroup", "status", "limits"];
const FILE_BYTES_MAX: u64 = 64 << 20;
const FILES_MAX: usize = 200_000;
const MAPPING_BYTES_MAX: u64 = 256 << 20;
const PIECE: usize = 1 << 20;

pub(crate) fn attempts(facts: &Facts) -> Vec<Attempt> {
    let mut all: Vec<Attempt> = PLACES
        .iter()
        .map(|place| {
            let canaries = facts.canaries.clone();
            Attempt::new("A20", format!("a secret in a file below {place}"), Must::Fail, move || {
                in_files(Path::new(place), &canaries)
            })
        })
        .collect();
    for name in TOLD {
        let canaries = facts.canaries.clone();
        all.push(Attempt::new("A20", format!("a secret in /proc/*/{name}"), Must::Fail, move || {
            let found = processes().into_iter().filter_map(|pid| {
                let path = format!("/proc/{pid}/{name}");
                has_any(&fs::read(&path).ok()?, &canaries).then_some(path)
            });
            some(found.collect())
        }));
    }
    let canaries = facts.canaries.clone();
    all.push(Attempt::new("A20", "a secret in the memory of another process", Must::Fail, move || {
        let (own, parent) = (getpid().as_raw(), Pid::parent());
        let others = processes().into_iter().filter(|pid| *pid != own && *pid != parent);
        some(
            others
                .filter_map(|pid| in_memory(pid, &canaries).map(|at| format!("process {pid} at {at:x}")))
                .collect(),
        )
    }));
    let canaries = facts.canaries.clone();
    all.push(Attempt::new("A20", "a secret in the own environment", Must::Fail, move || {
        let found = std::env::vars_os().filter(|(_, value)| has_any(value.as_encoded_bytes(), &canaries));
        some(found.map(|(name, _)| name.to_string_lossy().into_owned()).collect())
    }));
    all.push(Attempt::new("A20", "the canaries themselves were not told", Must::Fail, {
        let told = !facts.canaries.is_empty();
        move || if told { Err(0) } else { Ok("nothing was searched for".to_owned()) }
    }));
    all
}

struct Pid;

impl Pid {
    /// The probe itself, which knows the canaries.
    fn parent() -> i32 {
        nix::unistd::Pid::parent().as_raw()
    }
}

fn has_any(text: &[u8], canaries: &[String]) -> bool {
    canaries.iter().any(|canary| !canary.is_empty() && find(text, canary.as_bytes()))
}

fn find(text: &[u8], wanted: &[u8]) -> bool {
    let Some((first, _)) = wanted.split_first() else { return false };
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = rest.get(at..).unwrap_or_default();
        if rest.starts_with(wanted) {
            return true;
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    false
}

fn in_files(place: &Path, canaries: &[String]) -> Tried {
    let mut left: Vec<PathBuf> = vec![place.to_owned()];
    let mut found = Vec::new();
    let mut seen = 0;
    while let Some(path) = left.pop() {
        let Ok(data) = fs::symlink_metadata(&path) else { continue };
        if data.is_dir() {
            left.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        } else if data.is_file() && data.size() <= FILE_BYTES_MAX {
            seen += 1;
            if seen > FILES_MAX {
                return Ok(format!("more than {FILES_MAX} files, not all searched"));
            }
            let mut bytes = Vec::new();
            let read = File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes));
            if read.is_ok() && has_any(&bytes, canaries) {
                found.push(path.to_string_lossy().into_owned());
            }
        } else if data.is_symlink()
            && fs::read_link(&path).is_ok_and(|to| has_any(to.as_os_str().as_encoded_bytes(), canaries))
        {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    some(found)
}

/// The address of a canary in the readable memory of a process.
fn in_memory(pid: i32, canaries: &[String]) -> Option<u64> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).map_err(errno).ok()?;
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    for line in maps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (range, rights) = (fields.next()?, fields.next()?);
        let (from, to) = range.split_once('-')?;
        let (from, to) = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?);
        if !rights.starts_with("rw") || to - from > MAPPING_BYTES_MAX {
            continue;
        }
        let mut bytes = vec![0; usize::try_from(to - from).ok()?];
        let mut at = 0;
        while at < bytes.len() {
            let end = (at + PIECE).min(bytes.len());
            let Some(piece) = bytes.get_mut(at..end) else { break };
            // A hole stays zero.
            let _ = memory.read_at(piece, from + at as u64);
            at = end;
        }
        if has_any(&bytes, canaries) {
            return Some(from);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_wherever_it_stands() {
        for (text, found) in
            [("canary", true), ("xxcanary", true), ("ccanaryx", true), ("canar", false), ("", false)]
        {
            assert_eq!(find(text.as_bytes(), b"canary"), found, "{text}");
        }
        assert!(!has_any(b"anything", &[String::new()]));
    }
}
