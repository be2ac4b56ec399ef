//! What a sandbox is asked to do when the question is whether there could be one: the things it needs, and the ones it must refuse.
//!
//! Called by `child` at the end of building everything, in place of the command. The whole table of attempts is the jail probe's.

use super::spec::{Failed, Refusal, Step};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use std::fs;

/// Tries both; `landlock_abi` is the version that is said to hold.
pub(crate) fn run(landlock_abi: i32) -> Result<(), Refusal> {
    overlay()?;
    root()?;
    processes_and_network()?;
    filter()?;
    if landlock_abi > 0 { landlock() } else { Ok(()) }
}

fn refuse<T>(step: Step, what: &str) -> Result<T, Refusal> {
    Err(Refusal::new(step, what.to_owned()))
}

/// What a kernel that lets the mounts through may still refuse: removing and replacing what a snapshot holds.
fn overlay() -> Result<(), Refusal> {
    let tried = |what: &str, result: std::io::Result<()>| result.failed(Step::Overlay, what);
    tried("remove a directory of a snapshot", fs::remove_dir_all("/workspace/probe"))?;
    tried("make a directory where one was", fs::create_dir("/workspace/probe"))?;
    tried("write in the workspace", fs::write("/workspace/probe/file", "x"))?;
    tried("write in the home", fs::write("/home/agent/file", "x"))?;
    match fs::read_dir("/workspace/probe").failed(Step::Overlay, "list the workspace")?.count() {
        1 => Ok(()),
        _ => refuse(Step::Overlay, "a removed directory of a snapshot came back"),
    }
}

fn root() -> Result<(), Refusal> {
    if fs::write("/usr/.farhand-probe", "x").is_ok() || fs::write("/.farhand-probe", "x").is_ok() {
        return refuse(Step::Root, "the root is writable");
    }
    if fs::read("/proc/kallsyms").is_ok_and(|text| !text.is_empty()) {
        return refuse(Step::Proc, "the host's parts of /proc are not hidden");
    }
    Ok(())
}

fn processes_and_network() -> Result<(), Refusal> {
    if std::process::id() != 1 {
        return refuse(Step::UserNamespace, "the first process does not have number 1");
    }
    let devices = fs::read_to_string("/proc/net/dev").failed(Step::Network, "list network devices")?;
    let names = devices.lines().skip(2).filter_map(|line| line.split(':').next()).map(str::trim);
    match names.filter(|name| *name != "lo").count() {
        0 => Ok(()),
        _ => refuse(Step::Network, "there is a network beside loopback"),
    }
}

fn filter() -> Result<(), Refusal> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    let raw = socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), None);
    let refused = [
        ("unshare", unshare(CloneFlags::empty()).err()),
        ("chroot", nix::unistd::chroot("/").err()),
        ("a packet socket", raw.err()),
    ];
    match refused.into_iter().find(|(_, error)| *error != Some(Errno::EPERM)) {
        None => Ok(()),
        Some((what, _)) => refuse(Step::Seccomp, &format!("the system call filter lets {what} pass")),
    }
}

/// An empty device node may be made by anybody since Linux 5.8, so what refuses it is Landlock.
fn landlock() -> Result<(), Refusal> {
    use nix::sys::stat::{Mode, SFlag, mknod};
    match mknod("/tmp/probe", SFlag::S_IFCHR, Mode::S_IRUSR, 0) {
        Err(_) => Ok(()),
        Ok(()) => refuse(Step::Landlock, "Landlock is said to hold and does not"),
    }
}
