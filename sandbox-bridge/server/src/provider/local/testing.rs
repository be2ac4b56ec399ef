//! What the unit tests of layers share: a state directory, a tree with everything that a sandbox can leave, a way to tell two
//! trees apart, and processes that end or fail at a chosen system call.

use super::earlier::{Earlier, Index};
use super::layers;
use super::layout::{BASE_LAYER, HOME, Layout, WORKSPACE};
use super::merge;
use super::meta::{LayerMeta, LayerOwner, Reason, SnapshotDriver};
use super::publish::{Draft, NewLayer};
use crate::launcher::Account;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use protocol::id::{SessionId, SnapshotId};
use std::ffi::CString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A state directory of this process's own account, and a place beside it.
pub(crate) struct Fixture {
    pub(crate) place: TempDir,
    pub(crate) layout: Layout,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let layout = Layout::open(&place.path().join("state"), own_account()).unwrap();
        Self { place, layout }
    }

    /// An upper directory with an empty workspace and home.
    pub(crate) fn upper(&self, name: &str) -> PathBuf {
        let path = self.place.path().join(name);
        fs::create_dir_all(path.join(WORKSPACE)).unwrap();
        fs::create_dir_all(path.join(HOME)).unwrap();
        path
    }

    /// What a sandbox restored from this snapshot would see.
    pub(crate) fn seen(&self, id: &SnapshotId) -> String {
        let chain = layers::chain(&self.layout, id, None).unwrap();
        let target = tempfile::tempdir_in(self.place.path()).unwrap();
        layers::materialise(&self.layout, &chain.names, target.path(), own_account()).unwrap();
        describe(target.path())
    }
}

pub(crate) fn own_account() -> Account {
    Account { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() }
}

pub(crate) fn session() -> SessionId {
    SessionId::parse("ses_test").unwrap()
}

pub(crate) fn snapshot(name: &str) -> SnapshotId {
    SnapshotId::parse(&format!("snp_{name}")).unwrap()
}

/// Saves an upper directory as the provider does.
pub(crate) fn save(
    layout: &Layout,
    id: &SnapshotId,
    upper: &Path,
    lowers: &[String],
) -> io::Result<LayerMeta> {
    save_again(layout, id, upper, lowers, None)
}

/// The same, for an upper directory that was saved before.
pub(crate) fn save_again(
    layout: &Layout,
    id: &SnapshotId,
    upper: &Path,
    lowers: &[String],
    before: Option<&SnapshotId>,
) -> io::Result<LayerMeta> {
    let mut draft = draft(layout, id, lowers.to_vec(), 1 << 30)?;
    let earlier = before.and_then(|before| Earlier::open(layout, before.as_str()));
    draft.copy_upper(upper, earlier, Index::after_sync(layout)?)?;
    draft.seal()?;
    draft.publish()
}

/// A layer that has nothing yet.
pub(crate) fn draft<'a>(
    layout: &'a Layout,
    id: &SnapshotId,
    lowers: Vec<String>,
    bytes_max: u64,
) -> io::Result<Draft<'a>> {
    let new = NewLayer {
        name: id.as_str(),
        owner: LayerOwner::Session { session_id: session() },
        sandbox: None,
        driver: SnapshotDriver::Overlay,
        reason: Reason::Saved,
        lowers,
        tools: Vec::new(),
        bytes_max,
    };
    Draft::begin(layout, new)
}

pub(crate) fn on_base() -> Vec<String> {
    vec![BASE_LAYER.to_owned()]
}

pub(crate) fn on(lower: &SnapshotId) -> Vec<String> {
    vec![lower.to_string(), BASE_LAYER.to_owned()]
}

/// The overlay's mark of a removed entry.
pub(crate) fn whiteout(path: &Path) {
    use nix::sys::stat::{Mode, SFlag, mknod};
    mknod(path, SFlag::S_IFCHR, Mode::empty(), 0).unwrap();
}

pub(crate) fn set_xattr(path: &Path, name: &str, value: &str) {
    let name = CString::new(name).unwrap();
    merge::set_xattr(File::open(path).unwrap().as_fd(), &name, value.as_bytes()).unwrap();
}

/// Fills a directory with one of everything.
pub(crate) fn fill(directory: &Path) {
    let at = |name: &str| directory.join(name);
    fs::create_dir_all(at("a/b/c")).unwrap();
    for index in 0..8 {
        fs::write(at(&format!("a/file-{index}")), format!("content {index}\n").repeat(index * 100)).unwrap();
    }
    fs::write(at("a/b/c/tool"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(at("a/b/c/tool"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::hard_link(at("a/file-1"), at("a/b/same-as-1")).unwrap();
    fs::hard_link(at("a/file-1"), at("same-as-1")).unwrap();
    symlink("/etc/passwd", at("a/outside")).unwrap();
    symlink("file-2", at("a/beside")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    whiteout(&at("a/removed"));
    fs::create_dir(at("opaque")).unwrap();
    fs::write(at("opaque/new"), "new").unwrap();
    set_xattr(&at("opaque"), "user.overlay.opaque", "y");
    set_xattr(&at("a/file-3"), "user.note", "kept");
    let sparse = File::create(at("sparse")).unwrap();
    sparse.set_len(2 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"in the middle", 1 << 20).unwrap();
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
    fs::write(directory.join(std::ffi::OsStr::from_bytes(b"not utf-8 \xff\xfe")), "x").unwrap();
    fs::write(at("closed"), "closed").unwrap();
    fs::set_permissions(at("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_000_000_000_500);
    File::open(at("a/file-4")).unwrap().set_modified(old).unwrap();
}

/// Everything about a tree that a copy must keep, one line for each entry.
pub(crate) fn describe(top: &Path) -> String {
    let mut text = String::new();
    describe_below(top, top, &mut text);
    text
}

fn describe_below(top: &Path, directory: &Path, text: &mut String) {
    let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let data = fs::symlink_metadata(&path).unwrap();
        let kind = data.file_type();
        let name = path.strip_prefix(top).unwrap();
        let what = if kind.is_symlink() {
            format!("-> {:?}", fs::read_link(&path).unwrap())
        } else if kind.is_file() {
            describe_file(&path, &data)
        } else if kind.is_dir() {
            "directory".to_owned()
        } else if kind.is_fifo() {
            "fifo".to_owned()
        } else {
            format!("device {}", data.rdev())
        };
        let (mode, modified) = (data.mode() & 0o7777, (data.mtime(), data.mtime_nsec()));
        let modified = if kind.is_dir() { (0, 0) } else { modified };
        writeln!(text, "{name:?} {mode:o} {modified:?} {what}{}", describe_xattrs(&path)).unwrap();
        if kind.is_dir() {
            describe_below(top, &path, text);
        }
    }
}

fn describe_file(path: &Path, data: &fs::Metadata) -> String {
    // Only where it must be: a change of mode and back again is a change.
    let content = fs::read(path).unwrap_or_else(|_| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        let content = fs::read(path).unwrap();
        fs::set_permissions(path, data.permissions()).unwrap();
        content
    });
    let is_sparse = data.blocks() * 512 < data.size();
    let hash = super::structure::hex(&<sha2::Sha256 as sha2::Digest>::digest(content));
    format!("{} bytes, names {}, sparse {is_sparse}, {hash}", data.size(), data.nlink())
}

fn describe_xattrs(path: &Path) -> String {
    let Ok(file) = fs::symlink_metadata(path).and_then(|data| {
        if data.is_file() || data.is_dir() {
            File::open(path)
        } else {
            Err(io::ErrorKind::Unsupported.into())
        }
    }) else {
        return String::new();
    };
    let mut names = merge::xattr_names(file.as_fd()).unwrap();
    names.retain(|name| name.to_bytes().starts_with(b"user."));
    names.sort();
    names.iter().fold(String::new(), |mut text, name| {
        let value = merge::xattr(file.as_fd(), name).unwrap().unwrap_or_default();
        write!(text, " {name:?}={:?}", String::from_utf8_lossy(&value)).unwrap();
        text
    })
}

/// What happens to a process at a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing, ever: counts its calls.
    Live,
    /// It is killed before this one, counted from 0.
    KilledAt(usize),
    /// This one is not done and answers `EIO`.
    FailsAt(usize),
}

/// How a process ended, and how many system calls it began.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Whether the work succeeded; `None` when the process was killed.
    pub(crate) succeeded: Option<bool>,
    pub(crate) calls: usize,
}

/// Runs the work in a process of its own that this one traces.
pub(crate) fn run_traced(fate: Fate, work: impl FnOnce() -> bool) -> Ended {
    // SAFETY: the child runs only `work`, which takes no lock that another thread of the tests may have held; memory is usable
    // after fork with the C library that these tests are built for.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                ptrace::traceme().unwrap();
                raise(Signal::SIGSTOP).unwrap();
                work()
            }));
            // SAFETY: ends this process without running what belongs to its parent.
            unsafe { libc::_exit(i32::from(!outcome.unwrap_or(false))) }
        }
        ForkResult::Parent { child } => trace(child, fate),
    }
}

fn trace(child: Pid, fate: Fate) -> Ended {
    let wait = || waitpid(child, Some(WaitPidFlag::__WALL)).unwrap();
    assert!(matches!(wait(), WaitStatus::Stopped(..)));
    ptrace::setoptions(child, ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_EXITKILL)
        .unwrap();
    let (mut calls, mut is_entry) = (0, true);
    let mut signal = None;
    loop {
        ptrace::syscall(child, signal.take()).unwrap();
        match wait() {
            WaitStatus::PtraceSyscall(_) if is_entry => {
                match fate {
                    Fate::KilledAt(at) if at == calls => {
                        ptrace::kill(child).unwrap();
                        while !matches!(wait(), WaitStatus::Signaled(..)) {}
                        return Ended { succeeded: None, calls };
                    }
                    Fate::FailsAt(at) if at == calls => is_entry = skip_call(child, &wait),
                    Fate::Live | Fate::KilledAt(_) | Fate::FailsAt(_) => is_entry = false,
                }
                calls += 1;
            }
            WaitStatus::PtraceSyscall(_) => is_entry = true,
            WaitStatus::Stopped(_, other) => signal = Some(other),
            WaitStatus::Exited(_, code) => return Ended { succeeded: Some(code == 0), calls },
            WaitStatus::Signaled(..) => return Ended { succeeded: None, calls },
            other @ (WaitStatus::PtraceEvent(..) | WaitStatus::Continued(_) | WaitStatus::StillAlive) => {
                panic!("{other:?}")
            }
        }
    }
}

/// At the entry of a call: goes on to its end without doing it, with the answer `EIO`. `false` when it cannot fail.
#[cfg(target_arch = "x86_64")]
fn skip_call(child: Pid, wait: &dyn Fn() -> WaitStatus) -> bool {
    let mut registers = ptrace::getregs(child).unwrap();
    let is = |call: libc::c_long| registers.orig_rax == call.unsigned_abs();
    // Neither ending a process nor unlocking a file is ever refused.
    if is(libc::SYS_exit_group) || (is(libc::SYS_flock) && registers.rsi == libc::LOCK_UN as u64) {
        return false;
    }
    registers.orig_rax = u64::MAX;
    ptrace::setregs(child, registers).unwrap();
    ptrace::syscall(child, None).unwrap();
    assert!(matches!(wait(), WaitStatus::PtraceSyscall(_)));
    let mut registers = ptrace::getregs(child).unwrap();
    registers.rax = i64::from(-libc::EIO).cast_unsigned();
    ptrace::setregs(child, registers).unwrap();
    true
}

#[cfg(not(target_arch = "x86_64"))]
fn skip_call(_child: Pid, _wait: &dyn Fn() -> WaitStatus) -> bool {
    panic!("calls are made to fail on x86_64 only");
}
