//! A copy has everything that its source had, and nothing of what is elsewhere.

use super::*;
use crate::provider::local::testing::{Fixture, describe, fill};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn copy(from: &Path, to: &Path, bytes_max: u64) -> io::Result<Copier> {
    fs::create_dir(to)?;
    let mut copier = Copier::new(None, Content::Copy, bytes_max);
    copier.copy_layer(from, to).map(|()| copier)
}

#[test]
fn a_copy_of_a_layer_has_everything_that_was_there() {
    let fixture = Fixture::new();
    let upper = fixture.upper("upper");
    fill(&upper.join("workspace"));
    let target = fixture.place.path().join("copy");
    let copier = copy(&upper, &target, u64::MAX).unwrap();
    let seen = describe(&target);
    assert_eq!(seen, describe(&upper));
    for line in [
        "names 3",
        "2097152 bytes, names 1, sparse true",
        "\"user.overlay.opaque\"=\"y\"",
        "\"user.note\"=\"kept\"",
        "\"workspace/a/removed\" 0 ",
        "device 0",
        "-> \"/etc/passwd\"",
    ] {
        assert!(seen.contains(line), "{line}\n{seen}");
    }
    assert_eq!(copier.entries as usize, seen.lines().count());
    assert!(
        copier.contents.bytes < 64 * 1024,
        "holes and further names cost nothing: {}",
        copier.contents.bytes
    );
}

#[test]
fn what_cannot_be_copied_still_hides_what_is_below() {
    let fixture = Fixture::new();
    let upper = fixture.upper("upper");
    let _socket = std::os::unix::net::UnixListener::bind(upper.join("workspace/socket")).unwrap();
    let target = fixture.place.path().join("copy");
    copy(&upper, &target, u64::MAX).unwrap();
    let data = nix::sys::stat::lstat(&target.join("workspace/socket")).unwrap();
    assert_eq!(merge::kind_of(&data), Kind::Removed);
}

#[test]
fn marks_of_the_overlay_that_mean_another_place_are_left_behind() {
    let fixture = Fixture::new();
    let upper = fixture.upper("upper");
    let file = upper.join("workspace/file");
    fs::write(&file, "x").unwrap();
    for name in ["user.overlay.redirect", "user.overlay.metacopy", "user.overlay.overlay.own", "user.own"] {
        crate::provider::local::testing::set_xattr(&file, name, "1");
    }
    let target = fixture.place.path().join("copy");
    copy(&upper, &target, u64::MAX).unwrap();
    let seen = describe(&target);
    assert!(seen.contains("user.overlay.overlay.own") && seen.contains("user.own"), "{seen}");
    assert!(!seen.contains("redirect") && !seen.contains("metacopy"), "{seen}");
}

#[test]
fn too_much_and_too_deep_is_refused() {
    let fixture = Fixture::new();
    let upper = fixture.upper("upper");
    fs::write(upper.join("home/large"), vec![1; 3 << 20]).unwrap();
    let refusal = copy(&upper, &fixture.place.path().join("a"), 2 << 20).err().unwrap();
    assert!(refusal.to_string().contains("more than 2 MiB"), "{refusal}");
    fs::create_dir_all(upper.join("home").join("d/".repeat(merge::DEPTH_MAX + 1))).unwrap();
    let refusal = copy(&upper, &fixture.place.path().join("b"), u64::MAX).err().unwrap();
    assert!(refusal.to_string().contains("nested deeper"), "{refusal}");
}

/// Exchanges two names as fast as it can.
fn swap(one: &Path, other: &Path, end: &AtomicBool) -> u64 {
    let mut swaps = 0;
    while !end.load(Ordering::Relaxed) {
        renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).unwrap();
        swaps += 1;
    }
    swaps
}

#[test]
fn links_that_are_swapped_in_during_the_copy_lead_nowhere() {
    const TIME: Duration = Duration::from_secs(3);
    const CANARY: &str = "outside of every sandbox";
    let fixture = Fixture::new();
    let outside = fixture.place.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("canary"), CANARY).unwrap();
    let before = describe(&outside);
    let upper = fixture.upper("upper");
    let workspace = upper.join("workspace");
    fs::create_dir(workspace.join("directory")).unwrap();
    for name in ["canary", "other"] {
        fs::write(workspace.join("directory").join(name), "inside").unwrap();
        fs::hard_link(workspace.join("directory").join(name), workspace.join(format!("{name}-again")))
            .unwrap();
    }
    fs::write(workspace.join("file"), "inside").unwrap();
    symlink(&outside, workspace.join("link-to-directory")).unwrap();
    symlink(outside.join("canary"), workspace.join("link-to-file")).unwrap();

    let end = AtomicBool::new(false);
    let (mut whole, mut given_up) = (0, 0);
    let swaps: u64 = std::thread::scope(|scope| {
        let swappers = [("directory", "link-to-directory"), ("file", "link-to-file")].map(|(one, other)| {
            let (one, other, end) = (workspace.join(one), workspace.join(other), &end);
            scope.spawn(move || swap(&one, &other, end))
        });
        let began = Instant::now();
        let target = fixture.place.path().join("copy");
        while began.elapsed() < TIME {
            match copy(&upper, &target, 1 << 20) {
                Ok(_) => whole += 1,
                Err(_) => given_up += 1,
            }
            assert!(!contains(&target, CANARY.as_bytes()), "the copy reached out");
            fs::remove_dir_all(&target).unwrap();
        }
        end.store(true, Ordering::Relaxed);
        swappers.into_iter().map(|swapper| swapper.join().unwrap()).sum()
    });
    println!("{swaps} swaps: {whole} copies, {given_up} given up");
    assert!(whole + given_up > 100 && swaps > 1000);
    assert_eq!(describe(&outside), before);
}

/// Whether any file of a tree has this in it; links are not followed.
fn contains(tree: &Path, text: &[u8]) -> bool {
    fs::read_dir(tree).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        (kind.is_dir() && contains(&path, text))
            || (kind.is_file() && fs::read(&path).unwrap().windows(text.len()).any(|it| it == text))
    })
}
