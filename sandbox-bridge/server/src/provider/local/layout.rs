//! The state directory: where everything of the local provider lies, and who may enter.
//!
//! `layers/<snapshot>/{fs,meta.json}`, `sandboxes/<id>/{upper,work,root,run,tmp,socket,control,witness,state.json,models.json}`,
//! `ended/<id>`, `tools/`, `logs/`, `trash/`. Directories belong to the bridge and are closed to everybody but the sandbox account's group,
//! which may pass through them; only what a sandbox writes belongs to its account.

use super::remove;
use crate::launcher::Account;
use protocol::id::SandboxId;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The layer below all others: an empty workspace and home.
pub(crate) const BASE_LAYER: &str = "base";
/// The two trees that a snapshot holds.
pub(crate) const WORKSPACE: &str = "workspace";
/// See [`WORKSPACE`].
pub(crate) const HOME: &str = "home";
/// Where a sandbox's control socket is: the bridge's alone.
pub(crate) const CONTROL_DIRECTORY: &str = "control";
const LOGS_KEPT: usize = 50;
/// How long another bridge may take to let go of the directory.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(2);
const LOCK_RETRY: Duration = Duration::from_millis(10);
const SUBDIRECTORIES: &[&str] = &["layers", "sandboxes", "ended", "tools", "logs", "trash"];

/// The state directory, locked by this process.
pub(crate) struct Layout {
    root: PathBuf,
    account: Account,
    privileged: bool,
    next_trash: AtomicU64,
    /// Held for as long as the bridge lives.
    _lock: Option<nix::fcntl::Flock<File>>,
}

impl Layout {
    /// Opens or makes the directory. Fails when another bridge uses it.
    pub(crate) fn open(root: &Path, account: Account) -> io::Result<Self> {
        Self::open_as(root, account, |root, lock| Self::lock(root, lock).map(Some))
    }

    /// Opens or makes the directory beside the bridge that may use it: for layers, which only come and go as a whole.
    pub(crate) fn beside(root: &Path, account: Account) -> io::Result<Self> {
        Self::open_as(root, account, |_, _| Ok(None))
    }

    /// What a killed bridge had forked last holds its lock until it runs a program of its own, so the lock may come a little later.
    fn lock(root: &Path, mut lock: File) -> io::Result<nix::fcntl::Flock<File>> {
        let deadline = Instant::now() + LOCK_WAIT_MAX;
        loop {
            match nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusiveNonblock) {
                Ok(locked) => return Ok(locked),
                Err((file, nix::errno::Errno::EWOULDBLOCK)) if Instant::now() < deadline => {
                    lock = file;
                    std::thread::sleep(LOCK_RETRY);
                }
                Err((_, error)) => {
                    let message = format!("{} is in use by another sandbox-bridge", root.display());
                    return Err(io::Error::new(io::Error::from(error).kind(), message));
                }
            }
        }
    }

    fn open_as(
        root: &Path,
        account: Account,
        lock: impl FnOnce(&Path, File) -> io::Result<Option<nix::fcntl::Flock<File>>>,
    ) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o710).create(root)?;
        let root = fs::canonicalize(root)?;
        let lock = lock(&root, File::create(root.join("lock"))?)?;
        // Root of a container may be nobody's root: then the account does not exist, and everything stays the bridge's own.
        let give_and_take = |file: &Path| {
            std::os::unix::fs::chown(file, Some(account.uid), Some(account.gid))?;
            std::os::unix::fs::chown(file, Some(0), Some(0))
        };
        let privileged = nix::unistd::Uid::effective().is_root() && give_and_take(&root.join("lock")).is_ok();
        let layout = Self { root, account, privileged, next_trash: AtomicU64::new(1), _lock: lock };
        layout.pass_through(&layout.root)?;
        for name in SUBDIRECTORIES {
            layout.make_passage(&layout.root.join(name))?;
        }
        layout.make_base()?;
        Ok(layout)
    }

    fn make_base(&self) -> io::Result<()> {
        let layer = self.layer(BASE_LAYER);
        self.make_passage(&layer)?;
        let fs = layer.join("fs");
        self.make_owned(&fs, 0o755)?;
        self.make_owned(&fs.join(WORKSPACE), 0o755)?;
        self.make_owned(&fs.join(HOME), 0o755)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn account(&self) -> Account {
        self.account
    }

    /// Whom copied files must be given to; `None` when they are that account's anyway.
    pub(crate) fn owner(&self) -> Option<Account> {
        self.privileged.then_some(self.account)
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub(crate) fn layer(&self, name: &str) -> PathBuf {
        self.root.join("layers").join(name)
    }

    pub(crate) fn sandboxes(&self) -> PathBuf {
        self.root.join("sandboxes")
    }

    pub(crate) fn sandbox(&self, id: &SandboxId) -> PathBuf {
        self.root.join("sandboxes").join(id.as_str())
    }

    pub(crate) fn tools(&self) -> PathBuf {
        self.root.join("tools")
    }

    /// A directory of the bridge that the account may only pass through.
    pub(crate) fn make_passage(&self, path: &Path) -> io::Result<()> {
        exists_or(fs::DirBuilder::new().mode(0o710).create(path))?;
        self.pass_through(path)
    }

    fn pass_through(&self, path: &Path) -> io::Result<()> {
        if self.privileged {
            std::os::unix::fs::chown(path, Some(0), Some(self.account.gid))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o710))
    }

    /// A directory that belongs to the account.
    pub(crate) fn make_owned(&self, path: &Path, mode: u32) -> io::Result<()> {
        exists_or(fs::DirBuilder::new().mode(0o700).create(path))?;
        self.give(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    }

    /// Makes a file or directory the account's.
    pub(crate) fn give(&self, path: &Path) -> io::Result<()> {
        match self.owner() {
            Some(account) => std::os::unix::fs::lchown(path, Some(account.uid), Some(account.gid)),
            None => Ok(()),
        }
    }

    /// The directories of a new sandbox. Nothing of an earlier attempt is kept.
    pub(crate) fn make_sandbox(&self, id: &SandboxId) -> io::Result<PathBuf> {
        let path = self.sandbox(id);
        if path.exists() {
            self.discard(&path)?;
        }
        self.make_passage(&path)?;
        for (name, mode) in [
            ("upper", 0o755),
            ("work", 0o700),
            ("run", 0o700),
            ("run/spool", 0o700),
            ("tmp", 0o1777),
            ("witness", 0o700),
        ] {
            self.make_owned(&path.join(name), mode)?;
        }
        // Not the account's: whoever is inside must not be able to put something else where the bridge binds.
        self.make_passage(&path.join("socket"))?;
        self.make_passage(&path.join("root"))?;
        exists_or(fs::DirBuilder::new().mode(0o700).create(path.join(CONTROL_DIRECTORY)))?;
        Ok(path)
    }

    /// Remembers that this sandbox has ended, or this snapshot is deleted, and its id is used up.
    pub(crate) fn use_up(&self, id: &str) -> io::Result<()> {
        File::create(self.root.join("ended").join(id)).map(drop)
    }

    pub(crate) fn is_used_up(&self, id: &str) -> bool {
        self.root.join("ended").join(id).exists()
    }

    /// Keeps the log of an ended sandbox among the newest ones.
    pub(crate) fn keep_log(&self, id: &SandboxId) {
        let logs = self.root.join("logs");
        let _ = fs::rename(self.sandbox(id).join("witness/log"), logs.join(format!("{id}.log")));
        prune_oldest(&logs, LOGS_KEPT);
    }

    /// Moves something out of the way; [`Layout::empty_trash`] deletes it.
    pub(crate) fn discard(&self, path: &Path) -> io::Result<()> {
        loop {
            let number = self.next_trash.fetch_add(1, Ordering::Relaxed);
            let name = format!("{}-{number}", std::process::id());
            let moved = fs::rename(path, self.root.join("trash").join(name));
            match moved.map_err(|error| (error.kind(), error)) {
                Ok(()) | Err((io::ErrorKind::NotFound, _)) => return Ok(()),
                // An earlier process with this number left it.
                Err((
                    io::ErrorKind::DirectoryNotEmpty
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::IsADirectory,
                    _,
                )) => {}
                Err((_, error)) => return Err(error),
            }
        }
    }

    /// Brings everything to the disk, and reports also what could not be written of files that are closed already (syncfs(2),
    /// since Linux 5.8).
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(nix::unistd::syncfs(&File::open(&self.root)?)?)
    }

    /// Deletes what was discarded; slow, so never while somebody waits.
    pub(crate) fn empty_trash(&self) -> io::Result<()> {
        remove::remove_contents(&self.root.join("trash"))
    }

    /// Forgets used-up ids that nobody can still ask for.
    pub(crate) fn forget_ended(&self, older_than: std::time::Duration) {
        let Ok(entries) = fs::read_dir(self.root.join("ended")) else { return };
        for entry in entries.flatten() {
            let age =
                entry.metadata().and_then(|data| data.modified()).ok().and_then(|time| time.elapsed().ok());
            if age.is_some_and(|age| age > older_than) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Puts a binary into `tools/` under `name`: as a hard link where that is possible and the account could execute it.
    pub(crate) fn install_tool(&self, source: &Path, name: &str) -> io::Result<()> {
        let context =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", source.display()));
        let source_real = fs::canonicalize(source).map_err(context)?;
        let data = fs::metadata(&source_real)?;
        let place = self.tools().join(name);
        if fs::metadata(&place).is_ok_and(|there| (there.dev(), there.ino()) == (data.dev(), data.ino())) {
            return Ok(());
        }
        let temporary = self.tools().join(format!(".{name}.tmp"));
        let _ = fs::remove_file(&temporary);
        let for_everybody = data.mode() & 0o005 == 0o005;
        if !for_everybody || fs::hard_link(&source_real, &temporary).is_err() {
            fs::copy(&source_real, &temporary).map_err(context)?;
            fs::set_permissions(&temporary, fs::Permissions::from_mode(0o755))?;
        }
        fs::rename(temporary, place)
    }
}

fn exists_or(made: io::Result<()>) -> io::Result<()> {
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn prune_oldest(directory: &Path, keep: usize) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut files: Vec<_> = entries
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    let surplus = files.len().saturating_sub(keep);
    for (_, path) in files.into_iter().take(surplus) {
        let _ = fs::remove_file(path);
    }
}
