//! A28, A29: namespaces, mounts, other processes, and the parts of the kernel that escapes have come through.

use crate::attempt::{Attempt, Must, errno};
use crate::system::{call, clone_with, clone3_with, tried};
use std::ffi::{CString, c_long};
use std::fs::OpenOptions;
use std::os::fd::{AsRawFd, OwnedFd};

const PERM: &[i32] = &[libc::EPERM];
const NOSYS: &[i32] = &[libc::ENOSYS];
/// `open_tree_attr`, newer than the C library's list.
const SYS_OPEN_TREE_ATTR: c_long = 467;

/// Must be refused before the kernel looks at the arguments, which are all zero.
const NAMESPACE_CALLS: &[(&str, c_long)] = &[
    ("unshare", libc::SYS_unshare),
    ("setns", libc::SYS_setns),
    ("mount", libc::SYS_mount),
    ("umount2", libc::SYS_umount2),
    ("pivot_root", libc::SYS_pivot_root),
    ("chroot", libc::SYS_chroot),
    ("open_tree", libc::SYS_open_tree),
    ("open_tree_attr", SYS_OPEN_TREE_ATTR),
    ("move_mount", libc::SYS_move_mount),
    ("fsopen", libc::SYS_fsopen),
    ("fsconfig", libc::SYS_fsconfig),
    ("fsmount", libc::SYS_fsmount),
    ("fspick", libc::SYS_fspick),
    ("mount_setattr", libc::SYS_mount_setattr),
    ("ptrace", libc::SYS_ptrace),
    ("process_vm_readv", libc::SYS_process_vm_readv),
    ("process_vm_writev", libc::SYS_process_vm_writev),
    ("process_madvise", libc::SYS_process_madvise),
    ("pidfd_getfd", libc::SYS_pidfd_getfd),
    ("kcmp", libc::SYS_kcmp),
];

/// Likewise.
const KERNEL_CALLS: &[(&str, c_long)] = &[
    ("bpf", libc::SYS_bpf),
    ("perf_event_open", libc::SYS_perf_event_open),
    ("userfaultfd", libc::SYS_userfaultfd),
    ("keyctl", libc::SYS_keyctl),
    ("add_key", libc::SYS_add_key),
    ("request_key", libc::SYS_request_key),
    ("kexec_load", libc::SYS_kexec_load),
    #[cfg(target_arch = "x86_64")]
    ("kexec_file_load", libc::SYS_kexec_file_load),
    ("init_module", libc::SYS_init_module),
    ("finit_module", libc::SYS_finit_module),
    ("delete_module", libc::SYS_delete_module),
    ("syslog", libc::SYS_syslog),
    ("open_by_handle_at", libc::SYS_open_by_handle_at),
    ("fanotify_init", libc::SYS_fanotify_init),
    ("lookup_dcookie", libc::SYS_lookup_dcookie),
    ("reboot", libc::SYS_reboot),
    ("swapon", libc::SYS_swapon),
    ("swapoff", libc::SYS_swapoff),
    ("acct", libc::SYS_acct),
    ("quotactl", libc::SYS_quotactl),
    ("quotactl_fd", libc::SYS_quotactl_fd),
    ("settimeofday", libc::SYS_settimeofday),
    ("clock_settime", libc::SYS_clock_settime),
    ("clock_adjtime", libc::SYS_clock_adjtime),
    ("adjtimex", libc::SYS_adjtimex),
    ("vhangup", libc::SYS_vhangup),
    ("sethostname", libc::SYS_sethostname),
    ("setdomainname", libc::SYS_setdomainname),
    ("move_pages", libc::SYS_move_pages),
    ("migrate_pages", libc::SYS_migrate_pages),
    #[cfg(target_arch = "x86_64")]
    ("iopl", libc::SYS_iopl),
    #[cfg(target_arch = "x86_64")]
    ("ioperm", libc::SYS_ioperm),
    #[cfg(target_arch = "x86_64")]
    ("modify_ldt", libc::SYS_modify_ldt),
    #[cfg(target_arch = "x86_64")]
    ("uselib", libc::SYS_uselib),
    #[cfg(target_arch = "x86_64")]
    ("_sysctl", libc::SYS__sysctl),
    #[cfg(target_arch = "x86_64")]
    ("sysfs", libc::SYS_sysfs),
    #[cfg(target_arch = "x86_64")]
    ("ustat", libc::SYS_ustat),
];

/// Programs that find these missing take an older way, so they must seem missing.
const MISSING_CALLS: &[(&str, c_long)] = &[
    ("clone3", libc::SYS_clone3),
    ("io_uring_setup", libc::SYS_io_uring_setup),
    ("io_uring_enter", libc::SYS_io_uring_enter),
    ("io_uring_register", libc::SYS_io_uring_register),
];

const NAMESPACES: &[(&str, i32)] = &[
    ("user", libc::CLONE_NEWUSER),
    ("mount", libc::CLONE_NEWNS),
    ("process", libc::CLONE_NEWPID),
    ("network", libc::CLONE_NEWNET),
    ("IPC", libc::CLONE_NEWIPC),
    ("UTS", libc::CLONE_NEWUTS),
    ("control group", libc::CLONE_NEWCGROUP),
];

/// What `personality` can be asked for to weaken a process or reach another way into the kernel.
const PERSONALITIES: &[(&str, usize)] = &[
    ("no address randomisation", 0x0004_0000),
    ("executable data", 0x0040_0000),
    ("32-bit Linux", 0x0008),
    ("another system", 0x0001),
];

/// Ways of a socket that no build needs: family, kind, protocol.
const SOCKETS: &[(&str, i32, i32, i32)] = &[
    ("raw IPv4", libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
    ("raw IPv4 of any protocol", libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW),
    ("raw IPv6", libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_ICMPV6),
    ("ping", libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
    ("SCTP", libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP),
    ("DCCP", libc::AF_INET, 6, libc::IPPROTO_DCCP),
    ("UDP-Lite", libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE),
    ("L2TP", libc::AF_INET, libc::SOCK_DGRAM, 115),
    ("packet", libc::AF_PACKET, libc::SOCK_RAW, 0),
    ("vsock", libc::AF_VSOCK, libc::SOCK_STREAM, 0),
    ("kernel crypto", libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
    ("key management", libc::AF_KEY, libc::SOCK_RAW, 2),
    ("TIPC", libc::AF_TIPC, libc::SOCK_STREAM, 0),
    ("RDS", libc::AF_RDS, libc::SOCK_SEQPACKET, 0),
    ("Bluetooth", libc::AF_BLUETOOTH, libc::SOCK_RAW, 1),
    ("CAN", libc::AF_CAN, libc::SOCK_RAW, 1),
    ("XDP", libc::AF_XDP, libc::SOCK_RAW, 0),
    ("RxRPC", libc::AF_RXRPC, libc::SOCK_DGRAM, libc::AF_INET),
    ("SMC", 43, libc::SOCK_STREAM, 0),
    ("QIPCRTR", 42, libc::SOCK_DGRAM, 0),
    ("netlink for netfilter", libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER),
    ("netlink for audit", libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT),
    ("netlink for device events", libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_KOBJECT_UEVENT),
    ("netlink for socket listings", libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_SOCK_DIAG),
    ("generic netlink", libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_GENERIC),
    ("netlink for IPsec", libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_XFRM),
];

pub(crate) fn attempts() -> Vec<Attempt> {
    let plain = |row, table: &'static [(&'static str, c_long)], errors| {
        table.iter().map(move |(name, number)| {
            Attempt::new(row, *name, Must::FailWith(errors), || tried(*number, [0; 6]))
        })
    };
    let mut all: Vec<Attempt> = plain("A28", NAMESPACE_CALLS, PERM).collect();
    all.extend(plain("A29", KERNEL_CALLS, PERM));
    all.extend(plain("A29", MISSING_CALLS, NOSYS));
    all.extend(namespaces());
    all.extend(mounts());
    all.extend(PERSONALITIES.iter().map(|(name, value)| {
        let what = format!("personality: {name}");
        Attempt::new("A29", what, Must::FailWith(PERM), || {
            tried(libc::SYS_personality, [*value, 0, 0, 0, 0, 0])
        })
    }));
    all.extend(SOCKETS.iter().map(|(name, family, kind, protocol)| {
        let arguments = [*family, *kind, *protocol, 0, 0, 0].map(|number| number.cast_unsigned() as usize);
        Attempt::new("A29", format!("socket: {name}"), Must::FailWith(PERM), move || {
            tried(libc::SYS_socket, arguments)
        })
    }));
    all.push(Attempt::new("A29", "socketpair: TIPC", Must::FailWith(PERM), || {
        let mut pair = [0i32; 2];
        let family = libc::AF_TIPC.cast_unsigned() as usize;
        tried(libc::SYS_socketpair, [family, libc::SOCK_STREAM as usize, 0, (&raw mut pair).addr(), 0, 0])
    }));
    all.extend(terminals());
    all.extend(foreign_calls());
    all
}

fn namespaces() -> Vec<Attempt> {
    let mut all = Vec::new();
    for (name, flag) in NAMESPACES {
        let flag = *flag;
        all.push(Attempt::new(
            "A28",
            format!("unshare: {name} namespace"),
            Must::FailWith(PERM),
            move || tried(libc::SYS_unshare, [flag.cast_unsigned() as usize, 0, 0, 0, 0, 0]),
        ));
        all.push(Attempt::new("A28", format!("clone: {name} namespace"), Must::FailWith(PERM), move || {
            clone_with(flag)
        }));
        all.push(Attempt::new(
            "A28",
            format!("clone3: {name} namespace"),
            Must::FailWith(NOSYS),
            move || clone3_with(flag),
        ));
    }
    all.push(Attempt::new("A28", "clone: several namespaces at once", Must::FailWith(PERM), || {
        clone_with(libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWNET)
    }));
    for name in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        all.push(Attempt::new(
            "A28",
            format!("setns: {name} namespace of PID 1"),
            Must::FailWith(PERM),
            move || {
                let own = OpenOptions::new().read(true).open(format!("/proc/1/ns/{name}")).map_err(errno);
                // Where even the name is closed, the call itself is still tried.
                let number = own.as_ref().map_or(0, |file| file.as_raw_fd().cast_unsigned() as usize);
                tried(libc::SYS_setns, [number, 0, 0, 0, 0, 0])
            },
        ));
    }
    all.push(Attempt::new("A28", "user namespaces allowed by their own limit", Must::Fail, || {
        let limit = std::fs::read_to_string("/proc/sys/user/max_user_namespaces").map_err(errno)?;
        if limit.trim() == "0" { Err(0) } else { Ok(format!("{} may be made", limit.trim())) }
    }));
    all
}

fn mounts() -> Vec<Attempt> {
    let mount =
        |what: &'static str, source: &'static str, target: &'static str, kind: &'static str, flags: usize| {
            Attempt::new("A28", what, Must::FailWith(PERM), move || {
                let text = |text: &str| CString::new(text).map_err(|_| 0);
                let (source, target, kind) = (text(source)?, text(target)?, text(kind)?);
                let pointers = [source.as_ptr().addr(), target.as_ptr().addr(), kind.as_ptr().addr()];
                tried(libc::SYS_mount, [pointers[0], pointers[1], pointers[2], flags, 0, 0])
            })
        };
    let bind = libc::MS_BIND as usize;
    let rewrite = (libc::MS_REMOUNT | libc::MS_BIND) as usize;
    vec![
        mount("mount: a file system in memory", "tmpfs", "/tmp", "tmpfs", 0),
        mount("mount: another /proc", "proc", "/tmp", "proc", 0),
        mount("mount: /sys", "sysfs", "/tmp", "sysfs", 0),
        mount("mount: control groups", "cgroup2", "/tmp", "cgroup2", 0),
        mount("mount: bind of /usr", "/usr", "/tmp", "", bind),
        mount("mount: root writable", "", "/", "", rewrite),
        mount("mount: /usr writable", "", "/usr", "", rewrite),
        mount("mount: /proc/sys writable", "", "/proc/sys", "", rewrite),
    ]
}

/// A terminal of our own, on which the requests are tried.
fn terminal() -> Result<OwnedFd, i32> {
    let master = nix::pty::posix_openpt(nix::fcntl::OFlag::O_RDWR).map_err(errno)?;
    nix::pty::grantpt(&master).map_err(errno)?;
    nix::pty::unlockpt(&master).map_err(errno)?;
    let name = nix::pty::ptsname_r(&master).map_err(errno)?;
    let file = OpenOptions::new().read(true).write(true).open(name).map_err(errno)?;
    // The master must stay open as long as the terminal is used: to the end of this child.
    std::mem::forget(master);
    Ok(file.into())
}

fn terminals() -> Vec<Attempt> {
    let requests =
        [("TIOCSTI", 0x5412usize), ("TIOCLINUX", 0x541C), ("TIOCSETD", 0x5423), ("TIOCCONS", 0x541D)];
    requests
        .into_iter()
        .flat_map(|(name, request)| {
            // The kernel looks at the lower half only, so a filter must not be fooled by the upper one.
            [(name.to_owned(), request), (format!("{name} with bits above the number"), request | 1 << 40)]
        })
        .map(|(name, request)| {
            Attempt::new("A29", format!("ioctl: {name}"), Must::FailWith(PERM), move || {
                let terminal = terminal()?;
                let number = terminal.as_raw_fd().cast_unsigned() as usize;
                let discipline = [21i32; 2];
                tried(libc::SYS_ioctl, [number, request, (&raw const discipline).addr(), 0, 0, 0])
            })
        })
        .collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn foreign_calls() -> Vec<Attempt> {
    Vec::new()
}

/// The other two tables of numbers that an x86-64 kernel may have.
#[cfg(target_arch = "x86_64")]
fn foreign_calls() -> Vec<Attempt> {
    const X32: c_long = 0x4000_0000;
    let x32 = [("getpid", 39), ("unshare", 272), ("ptrace", 521), ("mount", 165), ("execve", 520)];
    let mut all: Vec<Attempt> = x32
        .into_iter()
        .map(|(name, number)| {
            Attempt::new("A29", format!("x32: {name}"), Must::FailWith(PERM), move || {
                tried(X32 | number, [0; 6])
            })
        })
        .collect();
    all.push(Attempt::new("A29", "32-bit: getpid", Must::Die, || {
        let own = call(libc::SYS_getpid, [0; 6]);
        crate::system::getpid_of_32_bit().map(|answer| format!("{answer}, really {own:?}"))
    }));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attempt_has_a_name_of_its_own() {
        let mut names: Vec<String> = attempts().into_iter().map(|attempt| attempt.what).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
