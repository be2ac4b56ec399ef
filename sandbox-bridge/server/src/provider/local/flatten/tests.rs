//! Joining changes nothing that anybody sees, whenever it is cut, and gives disk back.

use super::*;
use crate::provider::local::testing::{
    Fate, Fixture, fill, on, on_base, run_traced, save, set_xattr, snapshot, whiteout,
};
use std::fs;

/// A chain of two: the upper one removes, replaces and hides what is below.
fn two_layers(fixture: &Fixture) -> SnapshotId {
    let (lower, upper) = (fixture.upper("lower"), fixture.upper("upper"));
    fill(&lower.join("workspace"));
    fs::create_dir(lower.join("workspace/opaque/below")).unwrap();
    fs::create_dir(lower.join("workspace/becomes-file")).unwrap();
    fs::write(lower.join("workspace/becomes-directory"), "file").unwrap();
    let workspace = upper.join("workspace");
    fs::create_dir_all(workspace.join("a/b")).unwrap();
    whiteout(&workspace.join("a/file-1"));
    whiteout(&workspace.join("a/b/c"));
    fs::write(workspace.join("a/file-2"), "replaced").unwrap();
    fs::write(workspace.join("becomes-file"), "a file").unwrap();
    fs::create_dir(workspace.join("becomes-directory")).unwrap();
    fs::create_dir(workspace.join("opaque")).unwrap();
    set_xattr(&workspace.join("opaque"), "user.overlay.opaque", "y");
    fs::write(workspace.join("opaque/only"), "this").unwrap();
    let (first, second) = (snapshot("first"), snapshot("second"));
    save(&fixture.layout, &first, &lower, &on_base()).unwrap();
    save(&fixture.layout, &second, &upper, &on(&first)).unwrap();
    layers::delete(&fixture.layout, &first, &crate::provider::local::testing::session()).unwrap();
    second
}

fn join(fixture: &Fixture, id: &SnapshotId) -> io::Result<LayerMeta> {
    let chain = layers::chain(&fixture.layout, id, None).map_err(io::Error::other)?;
    flatten(&fixture.layout, id, chain, || ())
}

fn layers_of(fixture: &Fixture) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(fixture.layout.layers())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_joined_snapshot_shows_what_its_chain_showed() {
    let fixture = Fixture::new();
    let id = two_layers(&fixture);
    let before = fixture.seen(&id);
    for gone in ["a/file-1\"", "a/b/c", "opaque/new", "opaque/below", "a/removed"] {
        assert!(!before.contains(gone), "{gone}: {before}");
    }
    let meta = join(&fixture, &id).unwrap();
    assert_eq!(fixture.seen(&id), before);
    assert_eq!(meta.name, "snp_second~flat");
    assert_eq!(layers_of(&fixture), ["base", "snp_second~flat"]);
    assert!(
        is_worth(&fixture.layout, &layers::chain(&fixture.layout, &id, None).unwrap()).is_ok_and(|it| !it)
    );

    let upper = fixture.upper("third");
    fs::write(upper.join("workspace/third"), "third").unwrap();
    let third = snapshot("third");
    let chain = layers::chain(&fixture.layout, &id, None).unwrap();
    save(&fixture.layout, &third, &upper, &chain.names).unwrap();
    drop(chain);
    layers::delete(&fixture.layout, &id, &crate::provider::local::testing::session()).unwrap();
    assert!(fixture.seen(&third).contains("third"));
    layers::delete(&fixture.layout, &third, &crate::provider::local::testing::session()).unwrap();
    assert_eq!(layers_of(&fixture), ["base"]);
}

#[test]
fn a_kill_at_any_system_call_of_joining_loses_nothing() {
    let mut fixture = Fixture::new();
    let mut id = two_layers(&fixture);
    let mut before = fixture.seen(&id);
    let calls = run_traced(Fate::Live, || join(&fixture, &id).is_ok()).calls;
    let mut left = [0, 0];
    for index in 0..60 {
        // The last ones one by one: there the snapshot changes over.
        let at = if index < 40 { index * calls / 40 } else { calls - 60 + index };
        if layers_of(&fixture).contains(&"snp_second~flat".to_owned()) {
            fixture = Fixture::new();
            id = two_layers(&fixture);
            before = fixture.seen(&id);
        }
        assert_eq!(run_traced(Fate::KilledAt(at), || join(&fixture, &id).is_ok()).succeeded, None);
        layers::discard_drafts(&fixture.layout).unwrap();
        layers::sweep(&fixture.layout).unwrap();
        fixture.layout.empty_trash().unwrap();
        assert_eq!(fixture.seen(&id), before, "killed at {at} of {calls}");
        left[usize::from(layers_of(&fixture).len() == 2)] += 1;
    }
    println!(
        "{calls} system calls; killed at 60 of them: {} times two layers, {} times one",
        left[0], left[1]
    );
    assert!(left[0] > 30 && left[1] > 0);
}

#[test]
fn a_chain_is_worth_joining_when_half_of_it_is_not_seen() {
    let fixture = Fixture::new();
    let mut lowers = on_base();
    let mut newest = snapshot("0");
    for round in 0..4 {
        let upper = fixture.upper(&format!("upper-{round}"));
        fs::write(upper.join("workspace/same"), vec![b'x'; 9 << 20]).unwrap();
        newest = snapshot(&round.to_string());
        save(&fixture.layout, &newest, &upper, &lowers).unwrap();
        lowers.insert(0, newest.to_string());
        let chain = layers::chain(&fixture.layout, &newest, None).unwrap();
        assert_eq!(is_worth(&fixture.layout, &chain).unwrap(), round >= 2, "round {round}");
    }
    let meta = flatten_if_worth(&fixture.layout, &newest, || ()).unwrap().unwrap();
    assert_eq!(meta.bytes, 9 << 20);
    assert!(flatten_if_worth(&fixture.layout, &newest, || ()).unwrap().is_none());
    assert!(flatten_if_worth(&fixture.layout, &snapshot("unknown"), || ()).unwrap().is_none());
}

#[test]
fn what_another_process_reads_is_not_swept() {
    let fixture = Fixture::new();
    let id = two_layers(&fixture);
    let lease = layers::chain(&fixture.layout, &id, None).unwrap();
    join(&fixture, &id).unwrap();
    assert_eq!(layers_of(&fixture), ["base", "snp_first", "snp_second", "snp_second~flat"]);
    drop(lease);
    layers::sweep(&fixture.layout).unwrap();
    assert_eq!(layers_of(&fixture), ["base", "snp_second~flat"]);
}
