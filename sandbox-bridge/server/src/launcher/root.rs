//! The sandbox's own root: an empty tmpfs with a read-only `/usr`, a made-up `/etc`, and the overlay of the snapshots.
//!
//! What is bound is the policy: the sandbox is an ordinary account of the host and could read whatever it could see. Runs in
//! the child, inside its new mount namespace; the working directory is the provider's state directory until [`enter`].

use super::spec::{BindAccess, Failed, LaunchSpec, Refusal, Step};
use super::system::{Reach, attribute, set_mount_attributes};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, pivot_root};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// Parts of the host's `/etc` that tools need and that hold no secrets the account could read.
const ETC_BINDS: &[&str] = &[
    "alternatives",
    "ssl/certs",
    "ssl/cert.pem",
    "ssl/openssl.cnf",
    "pki/ca-trust",
    "pki/tls/certs",
    "pki/tls/cert.pem",
    "pki/tls/openssl.cnf",
    "ca-certificates",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "services",
    "protocols",
    "mime.types",
    "localtime",
];
/// Top directories that are links into `/usr` on most systems and real directories on the others.
const USR_COMPANIONS: &[&str] = &["bin", "sbin", "lib", "lib32", "lib64", "libx32"];
/// Of one sandbox. The kernel has 4,096 for all of them, of which 1,024 are the host's.
const TERMINALS_MAX: u32 = 256;
/// Of one sandbox. An account has 128 unless the host says otherwise.
const FILE_WATCHERS_MAX: u32 = 32;
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];
/// Parts of `/proc` that tell about the host or steer it, and that no tool needs.
const PROC_MASKED: &[&str] = &[
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
    "misc",
    "modules",
    "mtrr",
    "pagetypeinfo",
    "partitions",
    "sched_debug",
    "schedstat",
    "scsi",
    "slabinfo",
    "softirqs",
    "swaps",
    "sysrq-trigger",
    "timer_list",
    "timer_stats",
    "vmallocinfo",
    "zoneinfo",
];
const PLAIN: Option<&str> = None;

/// Builds the root under `<directory>/root` and moves into it.
pub(crate) fn enter(spec: &LaunchSpec) -> Result<(), Refusal> {
    let root = format!("{}/root", spec.directory);
    mount(PLAIN, "/", PLAIN, MsFlags::MS_REC | MsFlags::MS_PRIVATE, PLAIN)
        .failed(Step::Root, "keep mounts private")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), root.as_str(), Some("tmpfs"), flags, Some("mode=755,size=4m,nr_inodes=4k"))
        .failed(Step::Root, "mount an empty root")?;

    system_directories(&root)?;
    etc(&root)?;
    devices(spec, &root)?;
    workspace_and_home(spec, &root)?;
    writable_directories(spec, &root)?;
    for item in &spec.binds {
        bind(&item.source, &format!("{root}{}", item.target), item.access)?;
    }
    proc(&root)?;

    chdir(root.as_str()).failed(Step::Root, "go to the new root")?;
    pivot_root(".", ".").failed(Step::Root, "change the root")?;
    umount2(".", MntFlags::MNT_DETACH).failed(Step::Root, "let go of the host's root")?;
    chdir("/").failed(Step::Root, "go to the root")?;
    let closed = attribute::READ_ONLY | attribute::NO_SUID | attribute::NO_DEVICES;
    set_mount_attributes("/", closed, Reach::One).failed(Step::Root, "make the root read-only")
}

/// Binds a directory or file of the host, making the place for it.
fn bind(source: &str, target: &str, access: BindAccess) -> Result<(), Refusal> {
    let what = || format!("bind {source}");
    let kind = fs::symlink_metadata(source).failed(Step::Root, &what())?.file_type();
    if kind.is_dir() {
        fs::create_dir_all(target).failed(Step::Root, &what())?;
    } else if kind.is_symlink() {
        return Err(Refusal::new(Step::Root, format!("could not bind {source}: it is a symbolic link")));
    } else if !Path::new(target).exists() {
        make_file(target, "")?;
    }
    mount(Some(source), target, PLAIN, MsFlags::MS_BIND | MsFlags::MS_REC, PLAIN)
        .failed(Step::Root, &what())?;
    let set = attribute::NO_SUID
        | match (access, kind.is_dir()) {
            (BindAccess::ReadOnly, _) => attribute::READ_ONLY | attribute::NO_DEVICES,
            (BindAccess::Writable, true) => attribute::NO_DEVICES,
            // A device node is bound as a file; it must stay one.
            (BindAccess::Writable, false) => attribute::NO_EXEC,
        };
    set_mount_attributes(target, set, Reach::Below)
        .failed(Step::Root, &format!("restrict the bind of {source}"))
}

fn make_file(path: &str, text: &str) -> Result<(), Refusal> {
    if let Some(parent) = Path::new(path).parent() {
        fs::create_dir_all(parent).failed(Step::Root, "make a directory")?;
    }
    fs::write(path, text).failed(Step::Root, "make a file")
}

/// `/usr`, read-only, and what stands beside it.
fn system_directories(root: &str) -> Result<(), Refusal> {
    bind("/usr", &format!("{root}/usr"), BindAccess::ReadOnly)?;
    for name in USR_COMPANIONS {
        let (host, inside) = (format!("/{name}"), format!("{root}/{name}"));
        match fs::symlink_metadata(&host) {
            Ok(data) if data.is_symlink() => {
                let target = fs::read_link(&host).failed(Step::Root, &format!("read {host}"))?;
                symlink(target, inside).failed(Step::Root, &format!("link {host}"))?;
            }
            Ok(data) if data.is_dir() => bind(&host, &inside, BindAccess::ReadOnly)?,
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// An `/etc` with one user and no way to resolve names: there is no network to use them on.
fn etc(root: &str) -> Result<(), Refusal> {
    let id = super::identity::INSIDE_ID;
    let files = [
        (
            "passwd",
            format!(
                "agent:x:{id}:{id}:agent:/home/agent:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
            ),
        ),
        ("group", format!("agent:x:{id}:\nnogroup:x:65534:\n")),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
        ("hosts", "127.0.0.1 localhost sandbox\n::1 localhost sandbox\n".to_owned()),
        ("hostname", "sandbox\n".to_owned()),
    ];
    for (name, text) in files {
        make_file(&format!("{root}/etc/{name}"), &text)?;
    }
    for name in ETC_BINDS {
        // What is a link on the host is bound by what it leads to; what does not exist is not missed.
        if let Ok(real) = fs::canonicalize(format!("/etc/{name}")) {
            bind(&real.to_string_lossy(), &format!("{root}/etc/{name}"), BindAccess::ReadOnly)?;
        }
    }
    Ok(())
}

fn devices(spec: &LaunchSpec, root: &str) -> Result<(), Refusal> {
    let dev = format!("{root}/dev");
    for name in DEVICES {
        bind(&format!("/dev/{name}"), &format!("{dev}/{name}"), BindAccess::Writable)?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        symlink(target, format!("{dev}/{name}")).failed(Step::Root, "link a device")?;
    }
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let pts = format!("{dev}/pts");
    let terminals = format!("newinstance,ptmxmode=0666,mode=0620,max={TERMINALS_MAX}");
    fs::create_dir(&pts).failed(Step::Root, "make /dev/pts")?;
    mount(Some("devpts"), pts.as_str(), Some("devpts"), quiet, Some(terminals.as_str()))
        .failed(Step::Root, "mount /dev/pts")?;
    let shm = format!("{dev}/shm");
    fs::create_dir(&shm).failed(Step::Root, "make /dev/shm")?;
    let flags = quiet | MsFlags::MS_NODEV;
    let options = format!("mode=1777,size={},nr_inodes=16k", spec.shared_memory_bytes);
    mount(Some("tmpfs"), shm.as_str(), Some("tmpfs"), flags, Some(options.as_str()))
        .failed(Step::Root, "mount /dev/shm")
}

/// One overlay holds both, so that a snapshot has the agent's memory beside the files it worked on.
fn workspace_and_home(spec: &LaunchSpec, root: &str) -> Result<(), Refusal> {
    let directory = &spec.directory;
    let places = [("workspace", "workspace"), ("home", "home/agent")];
    if spec.lowers.is_empty() {
        for (part, place) in places {
            bind(&format!("{directory}/upper/{part}"), &format!("{root}/{place}"), BindAccess::Writable)?;
        }
        return Ok(());
    }
    // Over the very directory that it writes to: outside the new root, so that it is gone with the old one. To unmount it is not
    // needed then, for which the kernel would wait several milliseconds.
    let whole = format!("{directory}/upper");
    let options = format!(
        "lowerdir={},upperdir={directory}/upper,workdir={directory}/work,userxattr",
        spec.lowers.join(":")
    );
    mount(
        Some("overlay"),
        whole.as_str(),
        Some("overlay"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Some(options.as_str()),
    )
    .failed(Step::Overlay, "mount the overlay of the snapshots")?;
    for (part, place) in places {
        bind(&format!("{whole}/{part}"), &format!("{root}/{place}"), BindAccess::Writable)?;
    }
    Ok(())
}

/// Places outside the snapshot that may be written: `/tmp` and `/run/farhand`. The socket's directory inside it may not.
fn writable_directories(spec: &LaunchSpec, root: &str) -> Result<(), Refusal> {
    fs::create_dir(format!("{root}/mnt")).failed(Step::Root, "make /mnt")?;
    let directory = &spec.directory;
    bind(&format!("{directory}/tmp"), &format!("{root}/tmp"), BindAccess::Writable)?;
    bind(&format!("{directory}/run"), &format!("{root}/run/farhand"), BindAccess::Writable)?;
    bind(&format!("{directory}/socket"), &format!("{root}/run/farhand/socket"), BindAccess::ReadOnly)?;
    fs::create_dir(format!("{root}/var")).failed(Step::Root, "make /var")?;
    symlink("/tmp", format!("{root}/var/tmp")).failed(Step::Root, "link /var/tmp")
}

/// A `/proc` of this process namespace, without what is the host's and with its settings read-only.
fn proc(root: &str) -> Result<(), Refusal> {
    let place = format!("{root}/proc");
    fs::create_dir(&place).failed(Step::Proc, "make /proc")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), place.as_str(), Some("proc"), flags, PLAIN).failed(Step::Proc, "mount /proc")?;
    limit_objects(&place)?;
    let settings = format!("{place}/sys");
    bind(&settings, &settings, BindAccess::ReadOnly)?;
    mask(root, PROC_MASKED.iter().map(|name| format!("{place}/{name}")))
}

/// Limits of this user namespace, see `namespaces(7)`. No others below it: the second lock beside the system call filter. And a part
/// only of the file watchers, which the kernel counts for the account that all sandboxes have.
fn limit_objects(proc: &str) -> Result<(), Refusal> {
    let set = |name: &str, value: u32| {
        fs::write(format!("{proc}/sys/user/{name}"), value.to_string())
            .failed(Step::Proc, &format!("set {name}"))
    };
    set("max_user_namespaces", 0)?;
    // Absent in a kernel without inotify.
    let _ = set("max_inotify_instances", FILE_WATCHERS_MAX);
    Ok(())
}

/// Puts something closed and empty over each path that exists.
fn mask(root: &str, paths: impl Iterator<Item = String>) -> Result<(), Refusal> {
    let (file, directory) = (format!("{root}/run/.masked-file"), format!("{root}/run/.masked-directory"));
    make_file(&file, "")?;
    fs::create_dir(&directory).failed(Step::Root, "make a directory")?;
    for source in [&file, &directory] {
        fs::set_permissions(source, fs::Permissions::from_mode(0o000)).failed(Step::Root, "close a mask")?;
        // What is bound from a read-only mount is read-only itself.
        bind(source, source, BindAccess::ReadOnly)?;
    }
    for path in paths {
        let source = match fs::symlink_metadata(&path) {
            Ok(data) if data.is_dir() => &directory,
            Ok(data) if data.is_file() => &file,
            Ok(_) | Err(_) => continue,
        };
        mount(Some(source.as_str()), path.as_str(), PLAIN, MsFlags::MS_BIND, PLAIN)
            .failed(Step::Proc, &format!("hide {path}"))?;
    }
    Ok(())
}
