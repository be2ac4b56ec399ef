//! Whether this sandbox wants for memory, so that the death or the silence of an agent can be explained.
//!
//! Reads the own control group where it can be seen; a local sandbox sees none, so there the bridge is asked. An answer that does
//! not come explains nothing and is no failure. Agents call it.

use crate::environment::Environment;
use protocol::runner::SandboxMemory;
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Longest wait for the bridge.
const ANSWER_MAX: Duration = Duration::from_secs(2);
const GROUPS: &str = "/sys/fs/cgroup";
/// Version 1 has no word for "unlimited", but a number that no machine has.
const UNLIMITED_MIB: u64 = 1 << 40;

/// Remembers how it was at one moment.
pub(crate) struct MemoryWatch {
    http: Option<reqwest_plain::Client>,
    url: String,
    token: String,
    before: Option<JoinHandle<Option<SandboxMemory>>>,
}

impl MemoryWatch {
    /// Looks at nothing yet.
    pub(crate) fn new(environment: &Environment) -> Self {
        let http = reqwest_plain::Client::builder().no_proxy().timeout(ANSWER_MAX).build().ok();
        let url = format!("{}/memory", environment.bridge_url);
        Self { http, url, token: environment.token.clone(), before: None }
    }

    /// What is killed from here on counts. Does not wait.
    pub(crate) fn begin(&mut self) {
        let (http, url, token) = (self.http.clone(), self.url.clone(), self.token.clone());
        self.before = Some(tokio::spawn(look(http, url, token)));
    }

    /// Why an agent that was killed, or does not answer any more, does so, when it is for want of memory.
    pub(crate) async fn explain(&mut self, agent: &str, was_killed: bool) -> Option<String> {
        let before = self.before.take()?.await.ok()??;
        let now = look(self.http.clone(), self.url.clone(), self.token.clone()).await?;
        wants(before, now, was_killed).then(|| {
            format!(
                "{agent} ran out of memory (limit {} MiB), which it shares with all that it runs; let it build and test less at a time, or give the sandbox more memory",
                now.limit_mib
            )
        })
    }
}

/// A shortage that killed nothing explains silence, but no death.
fn wants(before: SandboxMemory, now: SandboxMemory, was_killed: bool) -> bool {
    now.kills > before.kills || (!was_killed && now.is_short())
}

async fn look(http: Option<reqwest_plain::Client>, url: String, token: String) -> Option<SandboxMemory> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    if let Some(own) = own_group(Path::new(GROUPS), &groups) {
        return Some(own);
    }
    let answer = http?.get(url).bearer_auth(token).send().await.ok()?;
    answer.error_for_status().ok()?.json().await.ok()
}

/// The own group where it is mounted and limited; `groups` as in cgroups(7).
fn own_group(root: &Path, groups: &str) -> Option<SandboxMemory> {
    groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        let (folder, events, limit, held) = match controllers {
            "" => (root.join(path), "memory.events", "memory.max", "anon"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (root.join("memory").join(path), "memory.oom_control", "memory.limit_in_bytes", "total_rss")
            }
            _ => return None,
        };
        let read = |file: &str| std::fs::read_to_string(folder.join(file)).ok();
        let count = |file: &str, name: &str| {
            let text = read(file)?;
            let mut fields = text.lines().filter_map(|line| line.split_once(' '));
            fields.find(|(field, _)| *field == name)?.1.trim().parse::<u64>().ok()
        };
        let limit_mib = read(limit)?.trim().parse::<u64>().ok()? >> 20;
        let held_mib = count("memory.stat", held).map(|bytes| bytes >> 20);
        let kills = count(events, "oom_kill")?;
        (limit_mib < UNLIMITED_MIB).then_some(SandboxMemory { limit_mib, held_mib, kills })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_read_in_both_versions_and_only_where_it_is_limited() {
        let root = tempfile::tempdir().unwrap();
        let group = |folder: &str, files: &[(&str, &str)]| {
            let folder = root.path().join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            for (file, text) in files {
                std::fs::write(folder.join(file), text).unwrap();
            }
        };
        let (limit, events) =
            (("memory.max", "268435456\n"), ("memory.events", "low 0\noom 2\noom_kill 3\n"));
        group("two/a", &[limit, events, ("memory.stat", "anon 104857600\nfile 4096\n")]);
        group("free", &[("memory.max", "max\n"), events]);
        let oom_control = ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
        let statistics = ("memory.stat", "rss 4096\ntotal_rss 209715200\n");
        group("memory/one", &[("memory.limit_in_bytes", "536870912\n"), oom_control, statistics]);
        group("memory/untold", &[("memory.limit_in_bytes", "536870912\n"), oom_control]);
        group("memory/all", &[("memory.limit_in_bytes", "9223372036854771712\n"), oom_control]);
        for (groups, expected) in [
            ("0::/two/a\n", Some((256, Some(100), 3))),
            ("0::/free\n", None),
            ("5:cpu,cpuacct:/one\n4:memory:/one\n0::/elsewhere\n", Some((512, Some(200), 1))),
            ("4:memory:/untold\n", Some((512, None, 1))),
            ("4:memory:/all\n", None),
            ("nonsense\n", None),
        ] {
            let read = own_group(root.path(), groups)
                .map(|memory| (memory.limit_mib, memory.held_mib, memory.kills));
            assert_eq!(read, expected, "{groups}");
        }
    }

    #[test]
    fn a_shortage_explains_silence_and_only_a_kill_explains_a_death() {
        let memory = |held_mib, kills| SandboxMemory { limit_mib: 400, held_mib, kills };
        for (now, explains_death, explains_silence) in [
            (memory(Some(100), 2), true, true),
            (memory(Some(100), 1), false, false),
            (memory(Some(359), 1), false, false),
            (memory(Some(360), 1), false, true),
            (memory(None, 1), false, false),
        ] {
            let before = memory(Some(100), 1);
            assert_eq!(wants(before, now, true), explains_death, "{now:?}");
            assert_eq!(wants(before, now, false), explains_silence, "{now:?}");
        }
    }
}
