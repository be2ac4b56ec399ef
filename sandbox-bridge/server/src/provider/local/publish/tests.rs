//! Whoever dies or fails in the middle of a snapshot leaves either all of it or nothing, and the one before as it was.

use super::*;
use crate::provider::local::layers::{ChainError, chain, discard_drafts};
use crate::provider::local::testing::{
    Ended, Fate, Fixture, describe, fill, on, on_base, own_account, run_traced, save, session, snapshot,
};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use protocol::id::SnapshotId;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A saved snapshot, and an upper directory that stands on it.
struct Crash {
    fixture: Fixture,
    upper: PathBuf,
    old: SnapshotId,
    new: SnapshotId,
    seen_before: String,
    whole: String,
}

impl Crash {
    fn new() -> Self {
        let fixture = Fixture::new();
        let (old, new) = (snapshot("old"), snapshot("new"));
        let below = fixture.upper("below");
        fill(&below.join("workspace"));
        save(&fixture.layout, &old, &below, &on_base()).unwrap();
        let upper = fixture.upper("upper");
        fill(&upper.join("home"));
        let (seen_before, whole) = (fixture.seen(&old), describe(&upper));
        Self { fixture, upper, old, new, seen_before, whole }
    }

    fn attempt(&self, fate: Fate) -> Ended {
        run_traced(fate, || save(&self.fixture.layout, &self.new, &self.upper, &on(&self.old)).is_ok())
    }

    /// What the next start of the bridge finds; answers whether the new snapshot is there.
    fn is_there_afterwards(&self, ended: &Ended) -> bool {
        let layout = &self.fixture.layout;
        discard_drafts(layout).unwrap();
        assert_eq!(self.fixture.seen(&self.old), self.seen_before, "{ended:?}");
        let names: Vec<_> =
            fs::read_dir(layout.layers()).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{names:?}");
        match chain(layout, &self.new, Some(&session())) {
            Ok(chain) => {
                assert_eq!(chain.names, [self.new.as_str(), self.old.as_str(), BASE_LAYER]);
                assert_eq!(describe(&layout.layer(self.new.as_str()).join("fs")), self.whole, "{ended:?}");
                true
            }
            Err(ChainError::Missing(_)) => false,
            Err(error) => panic!("{ended:?}: {error}"),
        }
    }

    /// The same order again, as the session gives it; then everything as before.
    fn again(&self, is_there: bool) {
        let layout = &self.fixture.layout;
        if !is_there {
            save(layout, &self.new, &self.upper, &on(&self.old)).unwrap();
        }
        assert!(self.is_there_afterwards(&Ended { succeeded: Some(true), calls: 0 }));
        layout.discard(&layout.layer(self.new.as_str())).unwrap();
        layout.empty_trash().unwrap();
    }

    fn calls(&self) -> usize {
        let whole = self.attempt(Fate::Live);
        assert_eq!(whole.succeeded, Some(true));
        assert!(self.is_there_afterwards(&whole));
        self.again(true);
        whole.calls
    }
}

/// Points over the whole length, and each of the last ones, where the snapshot becomes visible.
fn points(calls: usize) -> Vec<usize> {
    let mut points: Vec<usize> = (0..50).map(|index| index * calls / 50).chain(calls - 25..calls).collect();
    points.dedup();
    points
}

#[test]
fn a_kill_at_any_system_call_leaves_all_of_a_snapshot_or_nothing() {
    let crash = Crash::new();
    let calls = crash.calls();
    let (mut nothing, mut all) = (0, 0);
    for at in points(calls) {
        let ended = crash.attempt(Fate::KilledAt(at));
        assert_eq!(ended.succeeded, None);
        let is_there = crash.is_there_afterwards(&ended);
        if is_there {
            all += 1
        } else {
            nothing += 1
        }
        crash.again(is_there);
    }
    println!(
        "{calls} system calls; killed at {} of them: {nothing} times nothing, {all} times all",
        nothing + all
    );
    assert!(nothing > 50 && all > 0);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn an_error_of_any_system_call_leaves_all_of_a_snapshot_or_nothing() {
    let crash = Crash::new();
    let calls = crash.calls();
    let (mut refused, mut succeeded) = (0, 0);
    for at in points(calls) {
        let ended = crash.attempt(Fate::FailsAt(at));
        let is_there = crash.is_there_afterwards(&ended);
        match ended.succeeded {
            Some(true) => assert!(is_there, "{ended:?}"),
            Some(false) => assert!(!is_there, "{ended:?}"),
            None => {}
        }
        if is_there {
            succeeded += 1
        } else {
            refused += 1
        }
        crash.again(is_there);
    }
    println!(
        "{calls} system calls; one of them failed {} times: {refused} refused, {succeeded} saved all the same",
        refused + succeeded
    );
    assert!(refused > 20, "{refused}");
}

/// A tmpfs of this size in namespaces of its own; `None` where this machine has none.
fn on_small_disk(kib: usize, work: impl FnOnce(&Path) -> bool) -> Option<bool> {
    const NO_NAMESPACES: i32 = 77;
    let place = tempfile::tempdir().unwrap();
    let own = own_account();
    // SAFETY: as in `run_traced`.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                if unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).is_err() {
                    return NO_NAMESPACES;
                }
                fs::write("/proc/self/setgroups", "deny").unwrap();
                fs::write("/proc/self/uid_map", format!("{0} {0} 1", own.uid)).unwrap();
                fs::write("/proc/self/gid_map", format!("{0} {0} 1", own.gid)).unwrap();
                let options = format!("size={kib}k,mode=755");
                let mounted = mount(
                    Some("tmpfs"),
                    place.path(),
                    Some("tmpfs"),
                    MsFlags::empty(),
                    Some(options.as_str()),
                );
                if mounted.is_err() { NO_NAMESPACES } else { i32::from(!work(place.path())) }
            }));
            // SAFETY: ends this process without running what belongs to its parent.
            unsafe { libc::_exit(outcome.unwrap_or(101)) }
        }
        nix::unistd::ForkResult::Parent { child } => {
            let ended = nix::sys::wait::waitpid(child, None).unwrap();
            let code =
                (0..=NO_NAMESPACES).find(|code| ended == nix::sys::wait::WaitStatus::Exited(child, *code));
            assert!(matches!(code, Some(0 | 1 | NO_NAMESPACES)), "on a disk of {kib} KiB: {ended:?}");
            (code != Some(NO_NAMESPACES)).then_some(code == Some(0))
        }
    }
}

#[test]
fn a_full_disk_leaves_the_snapshot_before_and_nothing_of_the_new_one() {
    let source = tempfile::tempdir().unwrap();
    for part in ["old", "new"] {
        for tree in ["workspace", "home"] {
            fs::create_dir_all(source.path().join(part).join(tree)).unwrap();
        }
    }
    fs::write(source.path().join("old/workspace/old"), "old").unwrap();
    for index in 0..40 {
        fs::write(source.path().join(format!("new/home/{index}")), vec![b'x'; 16 * 1024]).unwrap();
    }
    let attempt = |place: &Path| {
        let layout = Layout::open(&place.join("state"), own_account()).unwrap();
        let (old, new) = (snapshot("old"), snapshot("new"));
        save(&layout, &old, &source.path().join("old"), &on_base()).unwrap();
        let saved = save(&layout, &new, &source.path().join("new"), &on(&old));
        let there = chain(&layout, &new, None);
        assert_eq!(saved.is_ok(), there.is_ok());
        let content = fs::read_to_string(layout.layer(old.as_str()).join("fs/workspace/old")).unwrap();
        assert_eq!((content.as_str(), chain(&layout, &old, None).is_ok()), ("old", true));
        if let Err(error) = &saved {
            assert_eq!(error.raw_os_error().or(Some(libc::ENOSPC)), Some(libc::ENOSPC), "{error}");
            assert!(error.kind() == io::ErrorKind::StorageFull, "{error}");
            // What the attempt took is given back.
            layout.empty_trash().unwrap();
            save(&layout, &snapshot("small"), &source.path().join("old"), &on(&old)).unwrap();
        }
        saved.is_ok()
    };
    let (mut full, mut enough) = (0, 0);
    for kib in (100..=800).step_by(50) {
        match on_small_disk(kib, attempt) {
            None => {
                println!("skipped: no tmpfs in namespaces of an ordinary account here");
                return;
            }
            Some(false) => full += 1,
            Some(true) => enough += 1,
        }
    }
    println!("{full} disks were too small, {enough} were not");
    assert!(full >= 8 && enough >= 1);
}
