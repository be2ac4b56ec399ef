//! A28, A31: what the processes of a sandbox are allowed at all, and how every mount is restricted.

use crate::attempt::{Attempt, Must, Tried, errno};
use crate::network::some;
use crate::system::{call, tried};
use nix::sys::resource::{Resource, getrlimit};
use std::fs;

/// Mounts below which a sandbox may write.
const WRITABLE: &[&str] =
    &["/workspace", "/home/agent", "/tmp", "/run/farhand", "/dev/pts", "/dev/shm", "/proc"];
/// Mounts that may have device nodes.
const DEVICES: &[&str] =
    &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/pts"];

fn status() -> Result<Vec<(String, String)>, i32> {
    let text = fs::read_to_string("/proc/self/status").map_err(errno)?;
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    Ok(fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
}

/// A field of the status that is not as it must be.
fn unlike(name: &'static str, wanted: &'static str) -> Attempt {
    Attempt::new("A31", format!("{name} other than {wanted}"), Must::Fail, move || {
        let fields = status()?;
        let value = fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.replace('\t', " "));
        match value {
            Some(value) if value == wanted => Err(0),
            Some(value) => Ok(value),
            None => Ok("no such field".to_owned()),
        }
    })
}

pub(crate) fn attempts() -> Vec<Attempt> {
    let mut all: Vec<Attempt> = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
        .map(|name| unlike(name, "0000000000000000"))
        .into();
    all.extend([
        unlike("NoNewPrivs", "1"),
        unlike("Seccomp", "2"),
        unlike("Uid", "1000 1000 1000 1000"),
        unlike("Gid", "1000 1000 1000 1000"),
    ]);
    all.extend(identities());
    all.extend(shares());
    all.extend(mounts());
    all.push(Attempt::new("A20", "a core file or a crash handler of the host", Must::Fail, || {
        // One byte is the limit at which the kernel also leaves a handler alone; see `do_coredump`.
        match getrlimit(Resource::RLIMIT_CORE).map_err(errno)? {
            (1, 1) => Err(0),
            limits => Ok(format!("{limits:?}")),
        }
    }));
    all
}

fn identities() -> Vec<Attempt> {
    let calls: [(&str, _, [usize; 3]); 6] = [
        ("setuid", libc::SYS_setuid, [0; 3]),
        ("setresuid", libc::SYS_setresuid, [0; 3]),
        ("setreuid", libc::SYS_setreuid, [0; 3]),
        ("setgid", libc::SYS_setgid, [0; 3]),
        ("setresgid", libc::SYS_setresgid, [0; 3]),
        ("setgroups", libc::SYS_setgroups, [0; 3]),
    ];
    let mut all: Vec<Attempt> = calls
        .into_iter()
        .map(|(name, number, [a, b, c])| {
            Attempt::new("A31", format!("{name}: root"), Must::Fail, move || {
                tried(number, [a, b, c, 0, 0, 0])
            })
        })
        .collect();
    all.push(Attempt::new("A31", "another uid for files", Must::Fail, || {
        call(libc::SYS_setfsuid, [0; 6])?;
        match call(libc::SYS_setfsuid, [usize::MAX, 0, 0, 0, 0, 0])? {
            1000 => Err(0),
            other => Ok(format!("uid {other}")),
        }
    }));
    all.push(Attempt::new("A31", "capset: everything", Must::Fail, || {
        let header = [0x2008_0522u32, 0];
        let data = [u32::MAX, u32::MAX, 0, u32::MAX, u32::MAX, 0];
        tried(libc::SYS_capset, [(&raw const header).addr(), (&raw const data).addr(), 0, 0, 0, 0])
    }));
    all.push(Attempt::new("A31", "prctl: an ambient capability", Must::Fail, || {
        let raise = libc::PR_CAP_AMBIENT_RAISE.cast_unsigned() as usize;
        tried(libc::SYS_prctl, [libc::PR_CAP_AMBIENT.cast_unsigned() as usize, raise, 21, 0, 0, 0])
    }));
    all.push(Attempt::new("A31", "prctl: new privileges again", Must::Fail, || {
        tried(libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS.cast_unsigned() as usize, 0, 0, 0, 0, 0])
    }));
    for (what, value) in [("uid_map", "0 0 1"), ("gid_map", "0 0 1"), ("setgroups", "allow")] {
        all.push(Attempt::new("A28", format!("another {what}"), Must::Fail, move || {
            fs::write(format!("/proc/self/{what}"), value).map(|()| value.to_owned()).map_err(errno)
        }));
    }
    all.push(Attempt::new("A32", "no longer the first to go without memory", Must::Fail, || {
        fs::write("/proc/self/oom_score_adj", "-1000").map(|()| "-1000".to_owned()).map_err(errno)
    }));
    all.push(Attempt::new("A32", "a higher limit of processes", Must::Fail, || {
        let (_, hard) = getrlimit(Resource::RLIMIT_NPROC).map_err(errno)?;
        let more = hard.saturating_add(1);
        if hard == libc::RLIM_INFINITY {
            return Ok("there is none".to_owned());
        }
        nix::sys::resource::setrlimit(Resource::RLIMIT_NPROC, more, more)
            .map(|()| format!("{more}"))
            .map_err(errno)
    }));
    all
}

/// Takes one after the other; more than `enough` of them must not be possible.
fn hoard<T>(
    row: &'static str,
    what: &str,
    enough: usize,
    take: impl Fn() -> Result<T, i32> + 'static,
) -> Attempt {
    Attempt::new(row, format!("more than {enough} {what}"), Must::Fail, move || {
        let mut held = Vec::new();
        while held.len() <= enough {
            held.push(take()?);
        }
        Ok(format!("{} and more", held.len()))
    })
}

/// What the kernel has for the whole machine or for an account, and priority over others.
fn shares() -> Vec<Attempt> {
    let own = Must::FailWith(&[libc::EPERM]);
    let real_time = |name: &'static str, policy: i32| {
        let must = Must::FailWith(&[libc::EPERM]);
        Attempt::new("A32", format!("scheduling before others: {name}"), must, move || {
            let priority = [1i32; 12];
            let pointer = (&raw const priority).addr();
            tried(libc::SYS_sched_setscheduler, [0, policy.cast_unsigned() as usize, pointer, 0, 0, 0])
        })
    };
    vec![
        hoard("A32", "terminals", 300, || nix::pty::posix_openpt(nix::fcntl::OFlag::O_RDWR).map_err(errno)),
        hoard("A32", "file watchers", 100, || call(libc::SYS_inotify_init1, [0; 6])),
        real_time("first in, first out", libc::SCHED_FIFO),
        real_time("in turns", libc::SCHED_RR),
        Attempt::new("A32", "a better nice value", Must::FailWith(&[libc::EACCES, libc::EPERM]), || {
            // Asks for 40 - 10 in the kernel's own counting.
            let wanted = (-10i32).cast_unsigned() as usize;
            tried(libc::SYS_setpriority, [libc::PRIO_PROCESS as usize, 0, wanted, 0, 0, 0])
        }),
        Attempt::new("A32", "real-time input and output", own, || {
            const REAL_TIME: usize = 1 << 13;
            tried(libc::SYS_ioprio_set, [1, 0, REAL_TIME, 0, 0, 0])
        }),
    ]
}

/// One line of `mountinfo`: where, how, and what is mounted.
fn mount_table() -> Result<Vec<(String, Vec<String>)>, i32> {
    let text = fs::read_to_string("/proc/self/mountinfo").map_err(errno)?;
    let mounts = text.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(4);
        let (place, options) = (fields.next()?, fields.next()?);
        Some((place.to_owned(), options.split(',').map(str::to_owned).collect()))
    });
    Ok(mounts.collect())
}

fn mounts_without(option: &str, applies: impl Fn(&str) -> bool) -> Tried {
    let lacking = mount_table()?
        .into_iter()
        .filter(|(place, options)| applies(place) && !options.iter().any(|own| own == option));
    some(lacking.map(|(place, _)| place).collect())
}

fn mounts() -> Vec<Attempt> {
    vec![
        Attempt::new("A31", "a mount that heeds setuid", Must::Fail, || mounts_without("nosuid", |_| true)),
        Attempt::new("A31", "a mount that heeds device nodes", Must::Fail, || {
            mounts_without("nodev", |place| !DEVICES.contains(&place))
        }),
        Attempt::new("A31", "a mount that can be written", Must::Fail, || {
            mounts_without("ro", |place| !WRITABLE.contains(&place) && !DEVICES.contains(&place))
        }),
        Attempt::new("A31", "a program on a device's place", Must::Fail, || {
            mounts_without("noexec", |place| {
                DEVICES.contains(&place) || ["/dev/shm", "/proc"].contains(&place)
            })
        }),
        Attempt::new("A28", "a mount that passes its changes on", Must::Fail, || {
            let text = fs::read_to_string("/proc/self/mountinfo").map_err(errno)?;
            let shared = text.lines().filter(|line| line.contains(" shared:") || line.contains(" master:"));
            some(shared.filter_map(|line| line.split(' ').nth(4)).map(str::to_owned).collect())
        }),
    ]
}
