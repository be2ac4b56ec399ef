//! How processes see a fake sandbox: its folder as root, the machine's programs read-only in it, and, where that is wanted, a network of
//! its own.
//!
//! This is no border, only a view: absolute paths of a sandbox lead into its folder. Every process builds it for itself, in
//! namespaces of its own, between fork and exec.

use super::network;
use crate::FakesError;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// Where programs, libraries and their settings are.
const MACHINE_FOLDERS: &[&str] =
    &["usr", "etc", "opt", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix"];
const OWN_FOLDERS: &[&str] = &["dev", "home", "proc", "root", "tmp", "var/tmp", "run"];

/// Makes an empty folder into the root of an image.
pub(super) fn prepare(root: &Path) -> Result<(), FakesError> {
    let failed = |path: &Path, source| FakesError::File { path: path.to_owned(), source };
    // Not its parents: they are gone when the stand-in has ended meanwhile.
    match std::fs::create_dir(root) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(root, error)),
        Ok(()) | Err(_) => {}
    }
    for name in OWN_FOLDERS {
        let path = root.join(name);
        std::fs::create_dir_all(&path).map_err(|error| failed(&path, error))?;
    }
    for name in MACHINE_FOLDERS {
        let (machine, path) = (Path::new("/").join(name), root.join(name));
        let Ok(kind) = std::fs::symlink_metadata(&machine) else { continue };
        let made = if kind.is_symlink() {
            std::fs::read_link(&machine).and_then(|target| std::os::unix::fs::symlink(target, &path))
        } else {
            std::fs::create_dir_all(&path)
        };
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(&path, error)),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Tries whether a process can have such a view.
pub(super) async fn probe(folder: &Path) -> Result<(), FakesError> {
    let root = folder.join("probe");
    prepare(&root)?;
    let mut command = Command::new("true");
    enter(&mut command, &root, "/", &[], Terminal::None, None).map_err(FakesError::View)?;
    let ended = command.stdin(Stdio::null()).kill_on_drop(true).status().await;
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(FakesError::View(io::Error::other(status.to_string()))),
        Err(error) => Err(FakesError::View(error)),
    }
}

/// A process to be started, with all that it needs between fork and exec, where nothing may be allocated.
struct Entry {
    binds: Vec<Bind>,
    root: CString,
    workdir: CString,
    uid_map: Vec<u8>,
    gid_map: Vec<u8>,
    has_terminal: bool,
    network: Option<network::Inside>,
}

struct Bind {
    source: CString,
    target: CString,
    is_read_only: bool,
}

/// Whether a process has a terminal as its standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Terminal {
    None,
    Controlling,
}

/// Lets a command run in `root`, in a session of its own, seeing `folders` of the machine beside the usual ones, in the machine's
/// network where it is given no other.
pub(super) fn enter(
    command: &mut Command,
    root: &Path,
    workdir: &str,
    folders: &[PathBuf],
    terminal: Terminal,
    network: Option<network::Inside>,
) -> io::Result<()> {
    let mut binds = vec![bind(Path::new("/proc"), root, false)?, bind(Path::new("/dev"), root, false)?];
    for name in MACHINE_FOLDERS {
        let machine = Path::new("/").join(name);
        if std::fs::symlink_metadata(&machine).is_ok_and(|kind| kind.is_dir()) {
            binds.push(bind(&machine, root, true)?);
        }
    }
    for folder in folders {
        let target = root.join(folder.strip_prefix("/").unwrap_or(folder));
        std::fs::create_dir_all(&target)?;
        binds.push(bind(folder, root, true)?);
    }
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let entry = Entry {
        binds,
        root: text(root.as_os_str())?,
        workdir: text(OsStr::new(workdir))?,
        uid_map: format!("0 {uid} 1").into_bytes(),
        gid_map: format!("0 {gid} 1").into_bytes(),
        has_terminal: terminal == Terminal::Controlling,
        network,
    };
    // SAFETY: `Entry::apply` makes system calls on values that exist before the fork; it neither allocates nor takes a lock.
    unsafe {
        command.pre_exec(move || entry.apply());
    }
    Ok(())
}

fn bind(source: &Path, root: &Path, is_read_only: bool) -> io::Result<Bind> {
    let target = root.join(source.strip_prefix("/").unwrap_or(source));
    Ok(Bind { source: text(source.as_os_str())?, target: text(target.as_os_str())?, is_read_only })
}

fn text(value: &OsStr) -> io::Result<CString> {
    CString::new(value.as_bytes()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

impl Entry {
    fn apply(&self) -> io::Result<()> {
        // SAFETY: system calls with pointers to strings and structs that `self` or this frame owns.
        unsafe {
            check(libc::setsid())?;
            if self.has_terminal {
                check(libc::ioctl(0, libc::TIOCSCTTY, 0))?;
            }
            let own = libc::CLONE_NEWNS | if self.network.is_some() { libc::CLONE_NEWNET } else { 0 };
            if libc::unshare(libc::CLONE_NEWUSER | own) == 0 {
                write(c"/proc/self/setgroups", b"deny")?;
                write(c"/proc/self/uid_map", &self.uid_map)?;
                write(c"/proc/self/gid_map", &self.gid_map)?;
            } else {
                // Root of a container without user namespaces.
                check(libc::unshare(own))?;
            }
            if let Some(network) = &self.network {
                network.open()?;
            }
            let none = std::ptr::null();
            let private = libc::MS_REC | libc::MS_PRIVATE;
            check(libc::mount(none, c"/".as_ptr(), none, private, none.cast()))?;
            for bind in &self.binds {
                let (source, target) = (bind.source.as_ptr(), bind.target.as_ptr());
                check(libc::mount(source, target, none, libc::MS_BIND | libc::MS_REC, none.cast()))?;
                if bind.is_read_only {
                    protect(&bind.target)?;
                }
            }
            check(libc::chroot(self.root.as_ptr()))?;
            check(libc::chdir(self.workdir.as_ptr()))?;
        }
        Ok(())
    }
}

/// Makes a mount and those below it read-only; mount_setattr(2).
///
/// # Safety
/// To be called in a mount namespace of its own.
unsafe fn protect(target: &CString) -> io::Result<()> {
    let attributes =
        libc::mount_attr { attr_set: libc::MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the struct is as long as is said, and the path ends with a zero.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            target.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn write(path: &std::ffi::CStr, data: &[u8]) -> io::Result<()> {
    // SAFETY: the path ends with a zero, the data is as long as is said, and the descriptor is closed by exec at the latest.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        check(file)?;
        let written = libc::write(file, data.as_ptr().cast(), data.len());
        libc::close(file);
        if written == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
