//! A30, A31: what of the host must not be there to be read, and what must not be written.

use crate::attempt::{Attempt, Must, Tried, errno};
use crate::facts::Facts;
use crate::network::some;
use crate::system::tried;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};

/// Nothing of this exists inside.
const ABSENT: &[&str] = &[
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/sudoers",
    "/etc/ssh",
    "/etc/crontab",
    "/etc/machine-id",
    "/etc/fstab",
    "/etc/resolv.conf",
    "/etc/ssl/private",
    "/etc/pki/tls/private",
    "/etc/letsencrypt",
    "/etc/docker",
    "/etc/kubernetes",
    "/root",
    "/boot",
    "/srv",
    "/media",
    "/sys",
    "/lost+found",
    "/var/lib",
    "/var/log",
    "/var/spool",
    "/var/run",
    "/var/mail",
    "/run/systemd",
    "/run/dbus",
    "/run/user",
    "/run/secrets",
    "/run/docker.sock",
    "/run/lock",
    "/dev/mem",
    "/dev/kmem",
    "/dev/port",
    "/dev/kmsg",
    "/dev/fuse",
    "/dev/kvm",
    "/dev/sda",
    "/dev/vda",
    "/dev/nvme0n1",
    "/dev/loop-control",
    "/dev/loop0",
    "/dev/net",
    "/dev/vsock",
    "/dev/vhost-net",
    "/dev/vhost-vsock",
    "/dev/mapper",
    "/dev/userfaultfd",
    "/dev/uinput",
    "/dev/input",
    "/dev/snd",
    "/dev/dri",
    "/dev/rtc0",
    "/dev/hpet",
    "/dev/console",
    "/dev/tty0",
    "/dev/tty1",
    "/dev/ttyS0",
    "/dev/mqueue",
    "/dev/cpu",
    "/dev/cpu_dma_latency",
    "/dev/log",
];

/// Tells about the host or steers it: nothing comes out when it is read.
const SILENT: &[&str] = &[
    "acpi",
    "asound",
    "buddyinfo",
    "bus",
    "cmdline",
    "config.gz",
    "consoles",
    "crypto",
    "devices",
    "diskstats",
    "dma",
    "driver",
    "execdomains",
    "fs",
    "interrupts",
    "iomem",
    "ioports",
    "irq",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "modules",
    "mtrr",
    "pagetypeinfo",
    "partitions",
    "sched_debug",
    "schedstat",
    "scsi",
    "misc",
    "slabinfo",
    "softirqs",
    "swaps",
    "sysrq-trigger",
    "timer_list",
    "timer_stats",
    "vmallocinfo",
    "zoneinfo",
];

/// Settings of the kernel: none may even be opened for writing.
const SETTINGS: &[&str] = &[
    "sysrq-trigger",
    "mtrr",
    "irq/default_smp_affinity",
    "sys/kernel/core_pattern",
    "sys/kernel/modprobe",
    "sys/kernel/hotplug",
    "sys/kernel/hostname",
    "sys/kernel/domainname",
    "sys/kernel/panic",
    "sys/kernel/sysrq",
    "sys/kernel/ns_last_pid",
    "sys/kernel/pid_max",
    "sys/kernel/randomize_va_space",
    "sys/kernel/shmmax",
    "sys/kernel/msgmax",
    "sys/kernel/sem",
    "sys/kernel/cap_last_cap",
    "sys/vm/drop_caches",
    "sys/vm/panic_on_oom",
    "sys/vm/overcommit_memory",
    "sys/fs/binfmt_misc/register",
    "sys/fs/protected_hardlinks",
    "sys/fs/suid_dumpable",
    "sys/fs/mqueue/msg_max",
    "sys/net/ipv4/ip_forward",
    "sys/net/ipv4/ping_group_range",
    "sys/net/ipv4/ip_unprivileged_port_start",
    "sys/net/ipv6/conf/all/forwarding",
    "sys/net/core/somaxconn",
    "sys/user/max_user_namespaces",
    "sys/user/max_mnt_namespaces",
    "fs/nfsd/threads",
    "acpi/ibm/leds",
];

/// A new file in these must not be possible.
const CLOSED: &[&str] = &[
    "/",
    "/usr",
    "/usr/bin",
    "/usr/local",
    "/usr/local/bin",
    "/usr/lib",
    "/usr/share",
    "/bin",
    "/lib",
    "/etc",
    "/etc/ssl",
    "/opt",
    "/opt/farhand",
    "/opt/farhand/bin",
    "/run",
    "/run/farhand/socket",
    "/home",
    "/dev",
    "/mnt",
    "/proc",
    "/proc/sys",
    "/proc/1",
    "/var",
];

/// These must not be changed, replaced or removed.
const FIXED: &[&str] = &[
    "/usr/bin/env",
    "/bin/sh",
    "/etc/passwd",
    "/etc/group",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/ld.so.cache",
    "/opt/farhand/bin/runner",
    "/run/farhand/socket/bridge.sock",
    "/proc/1/exe",
];

/// All that may stand at the root.
const ROOT: &[&str] = &[
    "bin",
    "dev",
    "etc",
    "home",
    "lib",
    "lib32",
    "lib64",
    "libx32",
    "mnt",
    "opt",
    "proc",
    "run",
    "sbin",
    "tmp",
    "usr",
    "var",
    "workspace",
];
/// All that may be a device.
const DEV: &[&str] = &[
    "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom",
    "zero",
];

pub(crate) fn attempts(facts: &Facts) -> Vec<Attempt> {
    let mut all = readings(facts);
    all.extend(writings());
    all.extend(nodes());
    all.extend(links());
    all.extend(marks());
    all
}

fn exists(path: &str) -> Tried {
    fs::symlink_metadata(path).map(|data| format!("{:?}", data.file_type())).map_err(errno)
}

/// What a reader gets: bytes of a file, names in a directory.
fn read(path: &str) -> Tried {
    if fs::metadata(path).map_err(errno)?.is_dir() {
        return some(names(path)?);
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(errno)?.take(64).read_to_end(&mut bytes).map_err(errno)?;
    if bytes.is_empty() { Err(0) } else { Ok(String::from_utf8_lossy(&bytes).into_owned()) }
}

fn names(path: &str) -> Result<Vec<String>, i32> {
    let entries = fs::read_dir(path).map_err(errno)?.flatten();
    Ok(entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

fn beyond(path: &'static str, known: &'static [&'static str]) -> Attempt {
    Attempt::new("A30", format!("something unknown in {path}"), Must::Fail, move || {
        let hidden = |name: &String| name.starts_with('.');
        some(
            names(path)?
                .into_iter()
                .filter(|name| !known.contains(&name.as_str()) && !hidden(name))
                .collect(),
        )
    })
}

fn readings(facts: &Facts) -> Vec<Attempt> {
    let mut all: Vec<Attempt> =
        ABSENT.iter().map(|path| Attempt::new("A30", *path, Must::Fail, || exists(path))).collect();
    for path in &facts.host_paths {
        for way in [
            path.clone(),
            format!("/proc/1/root{path}"),
            format!("/proc/1/cwd/../../..{path}"),
            format!("/mnt{path}"),
        ] {
            all.push(Attempt::new("A30", format!("of the host: {way}"), Must::Fail, move || exists(&way)));
        }
    }
    all.extend(SILENT.iter().map(|name| {
        let path = format!("/proc/{name}");
        Attempt::new("A30", path.clone(), Must::Fail, move || read(&path))
    }));
    all.extend([
        beyond("/", ROOT),
        beyond("/dev", DEV),
        beyond("/home", &["agent"]),
        beyond("/run", &["farhand"]),
        beyond("/mnt", &[]),
        beyond("/run/farhand/socket", &["bridge.sock"]),
    ]);
    all.push(Attempt::new("A30", "the names of the host's control groups", Must::Fail, || {
        let text = fs::read_to_string("/proc/self/cgroup").map_err(errno)?;
        some(text.lines().filter(|line| !line.ends_with(":/")).map(str::to_owned).collect())
    }));
    all
}

/// Opens for writing without writing, so that where it works nothing is broken.
fn open_for_writing(path: &str) -> Tried {
    OpenOptions::new().write(true).open(path).map(|_| "opened for writing".to_owned()).map_err(errno)
}

fn writings() -> Vec<Attempt> {
    let mut all: Vec<Attempt> = SETTINGS
        .iter()
        .map(|name| {
            let path = format!("/proc/{name}");
            Attempt::new("A30", format!("{path}, written"), Must::Fail, move || open_for_writing(&path))
        })
        .collect();
    for folder in CLOSED {
        all.push(Attempt::new("A31", format!("a new file in {folder}"), Must::Fail, move || {
            let path = format!("{folder}/farhand-probe");
            File::create(&path).map(|_| path.clone()).map_err(errno)
        }));
        all.push(Attempt::new("A31", format!("another mode of {folder}"), Must::Fail, move || {
            let mode = fs::metadata(folder).map_err(errno)?.permissions().mode();
            fs::set_permissions(folder, fs::Permissions::from_mode(mode))
                .map(|()| "set".to_owned())
                .map_err(errno)
        }));
    }
    for path in FIXED {
        all.push(Attempt::new("A31", format!("{path}, opened for writing"), Must::Fail, move || {
            open_for_writing(path)
        }));
        all.push(Attempt::new("A31", format!("{path}, moved away"), Must::Fail, move || {
            fs::rename(path, format!("{path}.moved")).map(|()| "moved".to_owned()).map_err(errno)
        }));
        all.push(Attempt::new("A31", format!("{path}, removed"), Must::Fail, move || {
            fs::remove_file(path).map(|()| "removed".to_owned()).map_err(errno)
        }));
    }
    for path in ["/workspace", "/home/agent", "/tmp", "/run/farhand", "/proc", "/dev/shm"] {
        all.push(Attempt::new("A31", format!("{path}, moved away"), Must::Fail, move || {
            fs::rename(path, format!("{path}.moved")).map(|()| "moved".to_owned()).map_err(errno)
        }));
    }
    all.push(Attempt::new("A31", "a read-only file opened again through /proc", Must::Fail, || {
        let file = File::open("/usr/bin/env").map_err(errno)?;
        open_for_writing(&format!("/proc/self/fd/{}", file.as_raw_fd()))
    }));
    all.push(Attempt::new("A31", "PID 1's program through /proc", Must::Fail, || {
        let file = File::open("/proc/1/exe").map_err(errno)?;
        open_for_writing(&format!("/proc/self/fd/{}", file.as_raw_fd()))
    }));
    all.push(Attempt::new("A31", "a larger device than the null device", Must::Fail, || {
        let full = OpenOptions::new().write(true).open("/dev/full").map_err(errno)?;
        std::io::Write::write(&mut &full, b"x").map(|_| "it has room".to_owned()).map_err(errno)
    }));
    all
}

fn make_node(path: &str, kind: u32, major: u32, minor: u32) -> Tried {
    let text = CString::new(path).map_err(|_| 0)?;
    let device = libc::makedev(major, minor) as usize;
    let result = tried(
        libc::SYS_mknodat,
        [libc::AT_FDCWD as usize, text.as_ptr().addr(), (kind | 0o666) as usize, device, 0, 0],
    );
    let _ = fs::remove_file(path);
    result
}

fn nodes() -> Vec<Attempt> {
    let devices = [
        ("memory", libc::S_IFCHR, 1, 1),
        ("null", libc::S_IFCHR, 1, 3),
        ("kernel messages", libc::S_IFCHR, 1, 11),
        ("first disk", libc::S_IFBLK, 8, 0),
        ("virtual disk", libc::S_IFBLK, 254, 0),
        ("a whiteout", libc::S_IFCHR, 0, 0),
    ];
    let places = ["/tmp", "/workspace", "/home/agent", "/run/farhand", "/dev/shm"];
    let all = places.into_iter().flat_map(|place| {
        devices.map(move |(name, kind, major, minor)| {
            Attempt::new("A31", format!("device node in {place}: {name}"), Must::Fail, move || {
                make_node(&format!("{place}/farhand-probe-node"), kind, major, minor)
            })
        })
    });
    all.collect()
}

/// Hard links that would reach out, and ownership that would.
fn links() -> Vec<Attempt> {
    let hard = [
        ("/usr/bin/env", "/tmp/farhand-probe-link"),
        ("/usr/bin/env", "/workspace/farhand-probe-link"),
        ("/etc/passwd", "/tmp/farhand-probe-link"),
        ("/opt/farhand/bin/runner", "/tmp/farhand-probe-link"),
        ("/run/farhand/socket/bridge.sock", "/run/farhand/farhand-probe-link"),
        ("/dev/null", "/dev/shm/farhand-probe-link"),
    ];
    let mut all: Vec<Attempt> = hard
        .into_iter()
        .map(|(from, to)| {
            Attempt::new("A31", format!("hard link of {from} at {to}"), Must::Fail, move || {
                let made = fs::hard_link(from, to).map(|()| to.to_owned()).map_err(errno);
                let _ = fs::remove_file(to);
                made
            })
        })
        .collect();
    all.push(Attempt::new("A31", "a file given to root", Must::Fail, || {
        let path = "/tmp/farhand-probe-owner";
        File::create(path).map_err(errno)?;
        let given =
            std::os::unix::fs::chown(path, Some(0), Some(0)).map(|()| "given".to_owned()).map_err(errno);
        let _ = fs::remove_file(path);
        given
    }));
    all.push(Attempt::new("A31", "rights of a setuid copy", Must::Fail, || {
        let path = "/tmp/farhand-probe-setuid";
        fs::copy("/bin/sh", path).map_err(errno)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o6755)).map_err(errno)?;
        let output =
            std::process::Command::new(path).args(["-p", "-c", "id -u; id -g"]).output().map_err(errno);
        let _ = fs::remove_file(path);
        let text = String::from_utf8_lossy(&output?.stdout).replace('\n', " ");
        if text == "1000 1000 " { Err(0) } else { Ok(text) }
    }));
    for program in ["su", "sudo", "mount", "passwd", "newgrp", "pkexec", "chsh"] {
        all.push(Attempt::new(
            "A31",
            format!("rights of the host's setuid {program}"),
            Must::Fail,
            move || {
                let path = format!("/usr/bin/{program}");
                let bits = fs::metadata(&path).map_err(errno)?.permissions().mode();
                // The bit may be there; what counts is that the mount does not heed it.
                let heeded = nix::sys::statvfs::statvfs(path.as_str()).map_err(errno)?.flags();
                let heeded = !heeded.contains(nix::sys::statvfs::FsFlags::ST_NOSUID);
                if bits & 0o6000 != 0 && heeded { Ok(format!("mode {bits:o}")) } else { Err(0) }
            },
        ));
    }
    all.push(Attempt::new("A31", "a symbolic link out of the workspace", Must::Fail, || {
        let path = "/workspace/farhand-probe-out";
        symlink("/../../../../../../etc/shadow", path).map_err(errno)?;
        let seen = read(path);
        let _ = fs::remove_file(path);
        seen
    }));
    all.push(Attempt::new("A31", "a folder above the root", Must::Fail, || {
        std::env::set_current_dir("/workspace").map_err(errno)?;
        let up = "../".repeat(40);
        let above = fs::read_dir(&up).map_err(errno)?.flatten();
        let names: Vec<String> =
            above.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        some(
            names
                .into_iter()
                .filter(|name| !name.starts_with('.') && !ROOT.contains(&name.as_str()))
                .collect(),
        )
    }));
    all
}

/// Extended attributes that mean something to the kernel or to the overlay.
fn marks() -> Vec<Attempt> {
    let names = [
        ("trusted.overlay.opaque", "/workspace"),
        ("security.capability", "/workspace"),
        ("security.capability", "/tmp"),
        ("trusted.farhand", "/tmp"),
        ("system.posix_acl_default", "/usr"),
    ];
    let set = |path: &str, name: &str| -> Tried {
        let (path, name) = (CString::new(path).map_err(|_| 0)?, CString::new(name).map_err(|_| 0)?);
        // Version 2 of file capabilities: everything permitted.
        let value = [1u8, 0, 0, 2, 255, 255, 255, 255, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0];
        let [path, name, value, size] =
            [path.as_ptr().addr(), name.as_ptr().addr(), value.as_ptr().addr(), value.len()];
        tried(libc::SYS_setxattr, [path, name, value, size, 0, 0])
    };
    let all = names.into_iter().map(|(name, place)| {
        Attempt::new("A31", format!("attribute {name} in {place}"), Must::Fail, move || {
            let path = format!("{place}/farhand-probe-mark");
            File::create(&path).map_err(errno)?;
            let result = set(&path, name);
            let _ = fs::remove_file(&path);
            result
        })
    });
    all.collect()
}
