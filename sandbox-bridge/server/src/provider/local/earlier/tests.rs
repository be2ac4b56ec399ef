//! A snapshot that shares files with the one before is the same as one that does not.

use super::*;
use crate::provider::local::testing::{
    Fixture, describe, draft, fill, on_base, save, save_again, session, set_xattr, snapshot,
};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use proptest::prelude::*;
use protocol::id::SnapshotId;
use std::num::NonZeroUsize;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Instant;

/// Without the number of names, which is what sharing changes.
fn content(tree: &Path) -> String {
    let lines = describe(tree);
    let lines = lines.lines().map(|line| match line.split_once(", names ") {
        Some((before, after)) => {
            format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Until what was written is old enough to be recorded.
fn settle() {
    let began = Instant::now();
    while began.elapsed() < 2 * TICK {
        std::thread::yield_now();
    }
}

fn files(fixture: &Fixture, id: &SnapshotId) -> PathBuf {
    fixture.layout.layer(id.as_str()).join("fs")
}

#[test]
fn what_was_touched_in_any_way_is_copied_and_the_rest_is_shared() {
    let fixture = Fixture::new();
    let upper = fixture.upper("upper");
    let at = |name: &str| upper.join("workspace").join(name);
    fill(&upper.join("workspace"));
    for name in ["x", "y"] {
        std::fs::create_dir(at(name)).unwrap();
        std::fs::write(at(name).join("same-name"), name).unwrap();
    }
    settle();
    let (first, second) = (snapshot("first"), snapshot("second"));
    let whole = save(&fixture.layout, &first, &upper, &on_base()).unwrap();
    assert_eq!(content(&files(&fixture, &first)), content(&upper));

    let modified = std::fs::metadata(at("a/file-2")).unwrap().modified().unwrap();
    std::fs::write(at("a/file-2"), "CONTENT 2\n".repeat(200)).unwrap();
    std::fs::File::options().write(true).open(at("a/file-2")).unwrap().set_modified(modified).unwrap();
    std::fs::set_permissions(at("a/file-4"), std::fs::Permissions::from_mode(0o755)).unwrap();
    set_xattr(&at("a/file-5"), "user.new", "note");
    std::fs::remove_file(at("a/file-6")).unwrap();
    std::fs::rename(at("x"), at("z")).unwrap();
    std::fs::rename(at("y"), at("x")).unwrap();
    std::fs::rename(at("z"), at("y")).unwrap();
    settle();
    let next = save_again(&fixture.layout, &second, &upper, &on_base(), Some(&first)).unwrap();
    assert_eq!(content(&files(&fixture, &second)), content(&upper));
    let inode = |id: &SnapshotId, name: &str| {
        std::fs::metadata(files(&fixture, id).join("workspace").join(name)).unwrap().ino()
    };
    for (name, is_shared) in [
        ("a/file-0", true),
        ("a/file-1", true),
        ("a/b/same-as-1", true),
        ("sparse", true),
        ("a/file-2", false),
        ("a/file-4", false),
        ("a/file-5", false),
        ("x/same-name", false),
    ] {
        assert_eq!(inode(&first, name) == inode(&second, name), is_shared, "{name}");
    }
    assert!(next.bytes * 2 < whole.bytes, "{} of {}", next.bytes, whole.bytes);

    // A third shares with the second what that had from the first, and outlives both.
    let third = snapshot("third");
    save_again(&fixture.layout, &third, &upper, &on_base(), Some(&second)).unwrap();
    assert_eq!(inode(&first, "a/file-0"), inode(&third, "a/file-0"));
    for gone in [&first, &second] {
        layers::delete(&fixture.layout, gone, &session()).unwrap();
    }
    fixture.layout.empty_trash().unwrap();
    assert_eq!(content(&files(&fixture, &third)), content(&upper));
    assert!(Earlier::open(&fixture.layout, first.as_str()).is_none());
}

#[test]
fn what_was_written_a_moment_ago_is_not_taken_for_settled() {
    let fixture = Fixture::new();
    let upper = fixture.upper("upper");
    std::fs::write(upper.join("workspace/old"), "old").unwrap();
    settle();
    let index = Index::after_sync(&fixture.layout).unwrap();
    std::fs::write(upper.join("workspace/new"), "new").unwrap();
    let mut draft = draft(&fixture.layout, &snapshot("first"), on_base(), 1 << 20).unwrap();
    draft.copy_upper(&upper, None, index).unwrap();
    draft.seal().unwrap();
    draft.publish().unwrap();
    let earlier = Earlier::open(&fixture.layout, "snp_first").unwrap();
    let inode = |name: &str| std::fs::metadata(upper.join("workspace").join(name)).unwrap().ino();
    assert!(earlier.states.contains_key(&inode("old")) && !earlier.states.contains_key(&inode("new")));
}

#[test]
fn stores_through_a_mapping_are_never_missed() {
    let fixture = Fixture::new();
    let upper = fixture.upper("upper");
    let path = upper.join("workspace/mapped");
    std::fs::write(&path, [0u8; 4096]).unwrap();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let length = NonZeroUsize::new(4096).unwrap();
    // SAFETY: a new mapping of a file that stays as long as it is.
    let mapping = unsafe {
        mmap(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED, &file, 0)
    }
    .unwrap();
    // SAFETY: within the mapping, which nobody else uses.
    let store = |value: u8| unsafe { mapping.cast::<u8>().as_ptr().write_volatile(value) };
    let mut before: Option<SnapshotId> = None;
    for round in 1..5u8 {
        store(round);
        settle();
        let next = snapshot(&round.to_string());
        let mut draft = draft(&fixture.layout, &next, on_base(), 1 << 20).unwrap();
        let earlier = before.as_ref().and_then(|before| Earlier::open(&fixture.layout, before.as_str()));
        draft.copy_upper(&upper, earlier, Index::after_sync(&fixture.layout).unwrap()).unwrap();
        // The sandbox goes on before what was copied is on the disk.
        store(100 + round);
        draft.seal().unwrap();
        draft.publish().unwrap();
        let saved = |id: &SnapshotId| std::fs::read(files(&fixture, id).join("workspace/mapped")).unwrap()[0];
        assert_eq!(saved(&next), round);
        let after = snapshot(&format!("{round}after"));
        save_again(&fixture.layout, &after, &upper, &on_base(), Some(&next)).unwrap();
        assert_eq!(saved(&after), 100 + round);
        before = Some(after);
    }
    // SAFETY: nothing uses the mapping any more.
    unsafe { munmap(mapping, 4096) }.unwrap();
}

/// What a program may do between two snapshots.
fn act(upper: &Path, kind: u8, one: u8, other: u8) {
    let at = |number: u8| {
        upper.join("workspace").join(format!("d{}", number / 4)).join(format!("f{}", number % 4))
    };
    let directory = |number: u8| upper.join("workspace").join(format!("d{}", number / 4));
    let (from, to) = (at(one), at(other));
    let _ = std::fs::create_dir(directory(one));
    let _ = std::fs::create_dir(directory(other));
    let _ = match kind {
        0 | 1 => std::fs::write(&from, [other; 16]),
        2 => std::fs::rename(&from, &to),
        3 => std::fs::remove_file(&from),
        4 => std::fs::hard_link(&from, &to),
        5 => std::fs::set_permissions(&from, std::fs::Permissions::from_mode(0o600 | u32::from(other))),
        6 => nix::fcntl::renameat2(
            nix::fcntl::AT_FDCWD,
            &directory(one),
            nix::fcntl::AT_FDCWD,
            &directory(other),
            nix::fcntl::RenameFlags::RENAME_EXCHANGE,
        )
        .map_err(Into::into),
        _ => std::fs::copy(&from, &to).map(drop),
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_chain_of_shared_snapshots_has_what_the_sandbox_has(
        rounds in prop::collection::vec(prop::collection::vec((0u8..8, 0u8..16, 0u8..16), 1..24), 2..5)
    ) {
        let fixture = Fixture::new();
        let upper = fixture.upper("upper");
        let mut saved: Vec<(SnapshotId, String)> = Vec::new();
        for (round, actions) in rounds.iter().enumerate() {
            for (kind, one, other) in actions {
                act(&upper, *kind, *one, *other);
            }
            settle();
            let next = snapshot(&round.to_string());
            let before = saved.last().map(|(id, _)| id);
            save_again(&fixture.layout, &next, &upper, &on_base(), before).unwrap();
            saved.push((next, content(&upper)));
        }
        for (id, expected) in &saved {
            prop_assert_eq!(&content(&files(&fixture, id)), expected);
        }
    }
}
