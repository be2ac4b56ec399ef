//! A28, A30: other processes: those of the host must not even be seen, those of the sandbox not be taken over.

use crate::attempt::{Attempt, Must, Tried, errno};
use crate::facts::Facts;
use crate::network::some;
use crate::system::tried;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::fs;

const GONE: &[i32] = &[libc::ESRCH];
const PTRACE_ATTACH: usize = 16;
const PTRACE_SEIZE: usize = 0x4206;

/// The processes that are seen.
pub(crate) fn processes() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

pub(crate) fn attempts(facts: &Facts) -> Vec<Attempt> {
    let mut all = of_the_host(facts);
    all.extend(of_the_sandbox());
    all.push(Attempt::new("A30", "a file that was left open for whoever comes", Must::Fail, || {
        let entries = fs::read_dir("/proc/self/fd").map_err(errno)?.flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        // Standard streams, the listing itself, and the pipe of this attempt.
        let open = numbers.filter(|number| *number > 2).filter_map(|number| {
            let target =
                fs::read_link(format!("/proc/self/fd/{number}")).ok()?.to_string_lossy().into_owned();
            (!target.starts_with("/proc/") && !target.starts_with("pipe:"))
                .then(|| format!("{number}: {target}"))
        });
        some(open.collect())
    }));
    let own = facts.sandbox_id.clone();
    all.push(Attempt::new("A30", "the environment of another sandbox", Must::Fail, move || {
        let mark = b"FARHAND_SANDBOX_ID=";
        let environments =
            processes().into_iter().filter_map(|pid| fs::read(format!("/proc/{pid}/environ")).ok());
        let ids = environments.flat_map(|text| {
            let ids = text.split(|byte| *byte == 0).filter_map(|entry| entry.strip_prefix(mark.as_slice()));
            ids.map(|id| String::from_utf8_lossy(id).into_owned()).collect::<Vec<_>>()
        });
        some(ids.filter(|id| *id != own).collect())
    }));
    all
}

/// Whether the number, which a process of the host has, also belongs to a process of the sandbox: an attempt's own, mostly.
fn is_ours(pid: i32) -> bool {
    let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    pid == nix::unistd::getpid().as_raw() || String::from_utf8_lossy(&text).contains("jail-probe")
}

fn unless_ours(pid: i32, attempt: impl Fn() -> Tried) -> Tried {
    if is_ours(pid) { Err(libc::ESRCH) } else { attempt() }
}

fn of_the_host(facts: &Facts) -> Vec<Attempt> {
    let host = facts.host_pid;
    let mut all = vec![
        Attempt::new("A30", "a signal to a process of the host", Must::FailWith(GONE), move || {
            unless_ours(host, || {
                kill(Pid::from_raw(host), None).map(|()| "it is there".to_owned()).map_err(errno)
            })
        }),
        Attempt::new("A30", "a descriptor of a process of the host", Must::FailWith(GONE), move || {
            unless_ours(host, || tried(libc::SYS_pidfd_open, [host.cast_unsigned() as usize, 0, 0, 0, 0, 0]))
        }),
        Attempt::new("A30", "the processors of a process of the host", Must::FailWith(GONE), move || {
            let mut mask = [0u8; 1024];
            let pointer = (&raw mut mask).addr();
            unless_ours(host, || {
                tried(
                    libc::SYS_sched_getaffinity,
                    [host.cast_unsigned() as usize, mask.len(), pointer, 0, 0, 0],
                )
            })
        }),
        Attempt::new("A30", "more processes than a sandbox has", Must::Fail, || {
            // Kernel threads and the host's first process have names that none of a sandbox has.
            let names = processes()
                .into_iter()
                .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok());
            let names = names.map(|name| name.trim().to_owned());
            some(
                names
                    .filter(|name| ["kthreadd", "systemd", "ksoftirqd/0"].contains(&name.as_str()))
                    .collect(),
            )
        }),
    ];
    for name in ["environ", "root/etc/hostname", "cwd", "mem", "cmdline", "maps", "fd", "exe"] {
        let path = format!("/proc/{host}/{name}");
        all.push(Attempt::new("A30", format!("/proc/<process of the host>/{name}"), Must::Fail, move || {
            unless_ours(host, || fs::symlink_metadata(&path).map(|_| "it is there".to_owned()).map_err(errno))
        }));
    }
    all.push(Attempt::new("A28", "the root of any process is another one", Must::Fail, || {
        use std::os::unix::fs::MetadataExt;
        let own = fs::metadata("/").map_err(errno)?;
        let others = processes().into_iter().filter_map(|pid| {
            let data = fs::metadata(format!("/proc/{pid}/root/")).ok()?;
            ((data.dev(), data.ino()) != (own.dev(), own.ino())).then(|| format!("process {pid}"))
        });
        some(others.collect())
    }));
    all
}

fn of_the_sandbox() -> Vec<Attempt> {
    let perm = Must::FailWith(&[libc::EPERM]);
    let parent = || Pid::parent().as_raw().cast_unsigned() as usize;
    let seize = move || tried(libc::SYS_ptrace, [PTRACE_SEIZE, parent(), 0, 0, 0, 0]);
    let vectors = |pid: usize, number| -> Tried {
        let mut byte = [0u8; 8];
        let vector = [(&raw mut byte).addr(), byte.len()];
        let pointer = (&raw const vector).addr();
        tried(number, [pid, pointer, 1, pointer, 1, 0])
    };
    vec![
        Attempt::new("A28", "ptrace: attach to PID 1", perm.clone(), || {
            tried(libc::SYS_ptrace, [PTRACE_ATTACH, 1, 0, 0, 0, 0])
        }),
        Attempt::new("A28", "ptrace: seize the parent", perm.clone(), seize),
        Attempt::new("A28", "ptrace: be traced", perm.clone(), || tried(libc::SYS_ptrace, [0; 6])),
        Attempt::new("A28", "the memory of PID 1, read", perm.clone(), move || {
            vectors(1, libc::SYS_process_vm_readv)
        }),
        Attempt::new("A28", "the memory of PID 1, written", perm.clone(), move || {
            vectors(1, libc::SYS_process_vm_writev)
        }),
        Attempt::new("A28", "kcmp of two processes", perm.clone(), move || {
            tried(libc::SYS_kcmp, [parent(), 1, 0, 0, 0, 0])
        }),
        Attempt::new("A28", "a descriptor taken from PID 1", perm, || {
            let pidfd = crate::system::call(libc::SYS_pidfd_open, [1, 0, 0, 0, 0, 0])?;
            tried(libc::SYS_pidfd_getfd, [pidfd.cast_unsigned() as usize, 0, 0, 0, 0, 0])
        }),
        Attempt::new("A33", "an end of PID 1 by its own children", Must::Fail, || {
            // SIGSTOP and SIGKILL for the first process of a namespace are ignored when they come from within.
            kill(Pid::from_raw(1), nix::sys::signal::Signal::SIGKILL).map_err(errno)?;
            let state = fs::read_to_string("/proc/1/stat").map_err(errno)?;
            if state.contains(") Z ") { Ok("PID 1 is dead".to_owned()) } else { Err(0) }
        }),
    ]
}
