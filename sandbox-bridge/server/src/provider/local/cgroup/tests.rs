//! Version 2 by delegation against the model of the kernel's rules, and what the counters tell.

use super::files::Model;
use super::*;
use std::sync::Arc;

const MOUNTS: &str = "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n";
const SCOPE: &str = "/sys/fs/cgroup/user.slice/farhand.scope";
const ALL: &[&str] = &["cpu", "io", "memory", "pids"];

/// The model outlives the groups that are opened in it.
#[derive(Debug)]
struct Shared(Arc<Model>);

impl Files for Shared {
    fn make(&self, group: &Path) -> io::Result<()> {
        self.0.make(group)
    }
    fn remove(&self, group: &Path) -> io::Result<()> {
        self.0.remove(group)
    }
    fn read(&self, group: &Path, file: &str) -> io::Result<String> {
        self.0.read(group, file)
    }
    fn write(&self, group: &Path, file: &str, value: &str) -> io::Result<()> {
        self.0.write(group, file, value)
    }
}

fn open(model: &Arc<Model>, own: &str) -> Cgroups {
    Cgroups::open_in(Box::new(Shared(Arc::clone(model))), MOUNTS, own, "farhand-1-2")
}

fn delegated(controllers: &[&str], processes: usize) -> (Arc<Model>, Cgroups) {
    let model = Arc::new(Model::with_group(SCOPE, controllers, processes, true));
    let cgroups = open(&model, "0::/user.slice/farhand.scope\n");
    (model, cgroups)
}

fn held(cgroups: &Cgroups) -> Vec<&'static str> {
    CONTROLLERS.into_iter().filter(|name| cgroups.limits(name)).collect()
}

#[test]
fn in_a_delegated_group_the_bridge_steps_aside_and_every_limit_is_set() {
    let (model, cgroups) = delegated(ALL, 1);
    assert_eq!(held(&cgroups), ["cpu", "memory", "pids"]);
    let group = cgroups.make_group("sbx_1", GroupLimits::of(&SandboxLimits::default())).unwrap();
    assert_eq!(group.join_files(), [format!("{SCOPE}/farhand-1-2/sbx_1/cgroup.procs")]);
    let path = format!("{SCOPE}/farhand-1-2/sbx_1");
    assert_eq!(
        model.settings(),
        [
            format!("{path}/cpu.max = 200000 100000"),
            format!("{path}/memory.max = 4294967296"),
            format!("{path}/memory.swap.max = 0"),
            format!("{path}/pids.max = 4096"),
        ]
    );
    assert!(model.processes().contains(&(format!("{SCOPE}/{BRIDGE_LEAF}"), 1)));
    // The next one to look, of the same bridge, finds the same place although the bridge has moved.
    let again = open(&model, &format!("0::/user.slice/farhand.scope/{BRIDGE_LEAF}\n"));
    assert_eq!(held(&again), held(&cgroups));
    assert_eq!(again.unified, cgroups.unified);
}

#[test]
fn what_is_not_handed_down_is_not_claimed() {
    let (model, cgroups) = delegated(&["memory", "pids"], 1);
    assert_eq!(held(&cgroups), ["memory", "pids"]);
    cgroups.make_group("sbx_1", GroupLimits::of(&SandboxLimits::default())).unwrap();
    assert!(!model.settings().iter().any(|line| line.contains("cpu")));
    // Somebody else's process in the same group keeps the kernel from handing anything down.
    assert_eq!(held(&delegated(ALL, 2).1), Vec::<&str>::new());
}

#[test]
fn without_delegation_nothing_is_claimed_and_nothing_is_made() {
    let model = Arc::new(Model::with_group(SCOPE, ALL, 1, false));
    let cgroups = open(&model, "0::/user.slice/farhand.scope\n");
    assert_eq!(held(&cgroups), Vec::<&str>::new());
    let group = cgroups.make_group("sbx_1", GroupLimits::of(&SandboxLimits::default())).unwrap();
    assert_eq!(group.join_files(), Vec::<String>::new());
    assert_eq!(model.processes(), [(SCOPE.to_owned(), 1)]);
}

#[test]
fn nothing_is_left_of_a_group_that_is_given_back() {
    let (model, cgroups) = delegated(ALL, 1);
    let group = cgroups.make_group("sbx_1", GroupLimits::of(&SandboxLimits::default())).unwrap();
    for path in group.paths() {
        cgroups.files.remove(path).unwrap();
    }
    cgroups.remove_group(&group);
    let left: Vec<String> = model.processes().into_iter().map(|(path, _)| path).collect();
    assert_eq!(left, [SCOPE.to_owned(), format!("{SCOPE}/{BRIDGE_LEAF}")]);
}

#[test]
fn counters_of_both_versions_tell_why_something_ended() {
    let place = tempfile::tempdir().unwrap();
    let group = Group { unified: Some(place.path().to_owned()), single: Vec::new() };
    let write = |file: &str, text: &str| fs::write(place.path().join(file), text).unwrap();
    assert!(!group.ran_out_of_memory() && !group.ran_out_of_processes() && !group.was_throttled());
    write("memory.events", "low 0\nmax 7\noom 1\noom_kill 0\n");
    write("pids.events", "max 0\n");
    assert!(!group.ran_out_of_memory() && !group.ran_out_of_processes());
    write("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
    write("pids.events", "max 3\n");
    write("cpu.stat", "nr_periods 4\nnr_throttled 1\n");
    assert!(group.ran_out_of_memory() && group.ran_out_of_processes() && group.was_throttled());
}

#[test]
fn what_processes_hold_is_told_in_both_versions_and_only_where_it_is_limited() {
    let told = |files: &[(&str, &str)]| {
        let place = tempfile::tempdir().unwrap();
        for (file, text) in files {
            fs::write(place.path().join(file), text).unwrap();
        }
        Group { unified: Some(place.path().to_owned()), single: Vec::new() }.memory()
    };
    let two = told(&[
        ("memory.max", "268435456\n"),
        ("memory.stat", "anon 251658240\nfile 16777216\n"),
        ("memory.events", "low 0\noom_kill 3\n"),
    ]);
    assert_eq!(two, Some(SandboxMemory { limit_mib: 256, held_mib: Some(240), kills: 3 }));
    assert!(two.unwrap().is_short());
    // In version 1 a group's own numbers come before those with its children.
    let one = told(&[
        ("memory.limit_in_bytes", "536870912\n"),
        ("memory.stat", "rss 0\ntotal_cache 12\ntotal_rss 104857600\n"),
        ("memory.oom_control", "oom_kill_disable 0\noom_kill 0\n"),
    ]);
    assert_eq!(one, Some(SandboxMemory { limit_mib: 512, held_mib: Some(100), kills: 0 }));
    assert!(!one.unwrap().is_short());
    assert_eq!(told(&[("memory.max", "max\n"), ("memory.events", "oom_kill 3\n")]), None);
}
