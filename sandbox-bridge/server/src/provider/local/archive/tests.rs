//! Archives of ours come back as they were; those of an attacker are refused or stay in their place.

use super::*;
use crate::provider::local::testing::{
    Fixture, describe, fill, on, on_base, own_account, save, session, set_xattr, snapshot, whiteout,
};
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::symlink;
use tar::{EntryType, Header};

const CANARY: &str = "not the archive's";

/// A state directory with something beside it that no archive may touch.
struct Border {
    fixture: Fixture,
    before: String,
}

impl Border {
    fn new() -> Self {
        let fixture = Fixture::new();
        let outside = fixture.place.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("canary"), CANARY).unwrap();
        Self { before: describe(&outside), fixture }
    }

    fn import(&self, archive: &[u8], limits: ArchiveLimits) -> Result<Archived, ArchiveError> {
        let state = self.fixture.layout.root();
        let imported = import(state, own_account(), &snapshot("new"), &session(), archive, limits);
        assert_eq!(describe(&self.fixture.place.path().join("outside")), self.before);
        let beside = fs::read_dir(self.fixture.place.path()).unwrap().count();
        assert_eq!(beside, 2, "only the state directory and the canary's");
        let layers: Vec<_> =
            fs::read_dir(self.fixture.layout.layers()).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(layers.len(), 1 + usize::from(imported.is_ok()), "{layers:?}");
        imported
    }

    fn refusal(&self, archive: &[u8], limits: ArchiveLimits) -> String {
        match self.import(archive, limits) {
            Err(ArchiveError::Refused(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    fn imported(&self) -> std::path::PathBuf {
        self.fixture.layout.layer(snapshot("new").as_str()).join("fs")
    }
}

/// One entry exactly as told, which no honest writer would write.
fn raw(name: &[u8], kind: EntryType, link: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    let old = header.as_old_mut();
    for (field, value) in [(&mut old.name, name), (&mut old.linkname, link)] {
        let length = value.len().min(field.len());
        field[..length].copy_from_slice(&value[..length]);
    }
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_mtime(1_000_000_000);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(content.len() as u64);
    header.set_cksum();
    block(&header, content)
}

fn block(header: &Header, content: &[u8]) -> Vec<u8> {
    let mut bytes = [header.as_bytes().as_slice(), content].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &str, content: &str) -> Vec<u8> {
    raw(name.as_bytes(), EntryType::Regular, b"", content.as_bytes())
}

fn link(name: &str, target: &str) -> Vec<u8> {
    raw(name.as_bytes(), EntryType::Symlink, target.as_bytes(), b"")
}

fn special(name: &str, kind: EntryType) -> Vec<u8> {
    raw(name.as_bytes(), kind, b"", b"")
}

/// A name that does not fit its header.
fn long(name: &[u8], entry: &[u8]) -> Vec<u8> {
    [raw(b"././@LongLink", EntryType::GNULongName, b"", name), entry.to_vec()].concat()
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let tar = [entries.concat(), vec![0; 1024]].concat();
    zstd::encode_all(tar.as_slice(), 1).unwrap()
}

fn few() -> ArchiveLimits {
    ArchiveLimits { entries: 100, bytes: 1 << 20, depth: 8, ..ArchiveLimits::default() }
}

#[test]
fn a_snapshot_goes_out_and_comes_back_as_it_was() {
    let fixture = Fixture::new();
    let (lower, upper) = (fixture.upper("lower"), fixture.upper("upper"));
    fill(&lower.join("workspace"));
    fs::remove_file(lower.join("workspace/pipe")).unwrap();
    fs::write(upper.join("home/memory"), "what was said").unwrap();
    fs::create_dir_all(upper.join("workspace/a").join("long".repeat(40)).join("name".repeat(40))).unwrap();
    fs::write(upper.join("workspace/a").join("long".repeat(40)).join("file"), "deep").unwrap();
    symlink("t".repeat(300), upper.join("workspace/long-target")).unwrap();
    whiteout(&upper.join("workspace/a/file-2"));
    set_xattr(&upper.join("workspace/a"), "user.directory", "noted");
    for tree in [&lower, &upper] {
        with_whole_seconds(tree);
    }
    let (first, second) = (snapshot("first"), snapshot("second"));
    save(&fixture.layout, &first, &lower, &on_base()).unwrap();
    save(&fixture.layout, &second, &upper, &on(&first)).unwrap();

    let mut archive = Vec::new();
    let out = export(fixture.layout.root(), own_account(), &second, &mut archive).unwrap();
    assert_eq!(out.skipped, 0);
    let border = Border::new();
    let back = border.import(&archive, ArchiveLimits::default()).unwrap();
    assert_eq!((back.entries, back.bytes), (out.entries, out.bytes));
    let seen = fixture.seen(&second);
    assert!(seen.contains("\"user.directory\"=\"noted\""), "{seen}");
    assert_eq!(border.fixture.seen(&snapshot("new")), seen);
    assert!(!seen.contains("file-2\" "), "{seen}");

    // Other programs read it.
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("a.tar"), zstd::decode_all(archive.as_slice()).unwrap()).unwrap();
    let listed =
        std::process::Command::new("tar").args(["-tf", "a.tar"]).current_dir(place.path()).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    assert_eq!(listed.stdout.split(|byte| *byte == b'\n').count() as u64 - 1, out.entries);
}

/// An archive keeps no parts of seconds.
fn with_whole_seconds(tree: &Path) {
    let cut = |path: &Path| {
        let modified = fs::symlink_metadata(path).unwrap();
        let time = nix::sys::time::TimeSpec::new(std::os::unix::fs::MetadataExt::mtime(&modified), 0);
        let flag = nix::sys::stat::UtimensatFlags::NoFollowSymlink;
        nix::sys::stat::utimensat(nix::fcntl::AT_FDCWD, path, &time, &time, flag).unwrap();
    };
    for entry in fs::read_dir(tree).unwrap() {
        let path = entry.unwrap().path();
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            with_whole_seconds(&path);
        }
        cut(&path);
    }
}

#[test]
fn what_leads_out_or_has_no_place_in_a_snapshot_is_refused() {
    let border = Border::new();
    let outside = border.fixture.place.path().join("outside").to_string_lossy().into_owned();
    let deep = format!("workspace{}", "/d".repeat(8));
    let cases: &[(&str, Vec<Vec<u8>>)] = &[
        ("leads out with ..", vec![file("workspace/../../outside/canary", "x")]),
        ("leads out with ..", vec![file("../outside/canary", "x")]),
        ("leads out with ..", vec![special("workspace/a/../../..", EntryType::Directory)]),
        ("absolute path", vec![file(&format!("{outside}/canary"), "x")]),
        ("absolute path", vec![file("/etc/cron.d/x", "x")]),
        ("neither in workspace nor in home", vec![file("canary", "x")]),
        ("neither in workspace nor in home", vec![link("outside", "/")]),
        ("must be a directory", vec![file("workspace", "x")]),
        ("must be a directory", vec![link("home", &outside)]),
        ("not a directory", vec![link("workspace/l", &outside), file("workspace/l/canary", "x")]),
        (
            "not a directory",
            vec![link("workspace/l", "../../.."), special("workspace/l/d", EntryType::Directory)],
        ),
        (
            "not a directory",
            vec![link("workspace/l", "m"), link("workspace/m", &outside), link("workspace/l/x", "y")],
        ),
        (
            "not a directory",
            vec![link("workspace/l", &outside), special("workspace/l", EntryType::Directory)],
        ),
        ("not a directory", vec![file("workspace/f", "x"), file("workspace/f/g", "x")]),
        (
            "absolute path",
            vec![raw(b"workspace/h", EntryType::Link, format!("{outside}/canary").as_bytes(), b"")],
        ),
        (
            "leads out with ..",
            vec![raw(b"workspace/h", EntryType::Link, b"workspace/../../outside/canary", b"")],
        ),
        (
            "not a directory",
            vec![
                link("workspace/l", &outside),
                raw(b"workspace/h", EntryType::Link, b"workspace/l/canary", b""),
            ],
        ),
        (
            "has not had yet",
            vec![link("workspace/l", "x"), raw(b"workspace/h", EntryType::Link, b"workspace/l", b"")],
        ),
        ("has not had yet", vec![raw(b"workspace/h", EntryType::Link, b"workspace/later", b"")]),
        ("another name of a directory", vec![raw(b"workspace/h", EntryType::Link, b"home", b"")]),
        ("a device, a pipe", vec![special("workspace/d", EntryType::Char)]),
        ("a device, a pipe", vec![special("workspace/d", EntryType::Block)]),
        ("a device, a pipe", vec![special("workspace/d", EntryType::Fifo)]),
        ("a device, a pipe", vec![special("workspace/d", EntryType::new(b'Z'))]),
        ("comes twice", vec![file("workspace/f", "1"), file("workspace/f", "2")]),
        ("comes twice", vec![file("workspace/f", "1"), link("workspace/f", "2")]),
        ("nested too deep", vec![file(&deep, "x")]),
        (
            "name that is too long",
            vec![long(&[b"workspace/", [b'n'; 256].as_slice()].concat(), &file("x", "x"))],
        ),
        ("too long or with a NUL", vec![long(&b"workspace/n/".repeat(500), &file("x", "x"))]),
        ("too long or with a NUL", vec![long(b"workspace/n\0/../../x", &file("x", "x"))]),
        ("more than a mebibyte", vec![long(&vec![b'n'; 2 << 20], &file("x", "x"))]),
        ("has content", vec![raw(b"workspace/l", EntryType::Symlink, b"x", b"content")]),
        ("link to nothing", vec![link("workspace/l", "")]),
        ("larger than 1 MiB", vec![raw(b"workspace/f", EntryType::Regular, b"", &vec![7; (1 << 20) + 1])]),
        ("larger than 1 MiB", vec![sparse(1 << 40)]),
        ("more than 100 entries", (0..101).map(|index| file(&format!("home/{index}"), "")).collect()),
        ("not a number", vec![vec![b'x'; 1024]]),
    ];
    for (why, entries) in cases {
        let refusal = border.refusal(&archive(entries), few());
        assert!(refusal.contains(why), "{why}: {refusal}");
        let honest = [vec![file("workspace/before", "x")], entries.clone()].concat();
        assert_eq!(border.refusal(&archive(&honest), few()), refusal);
    }
    border.import(&archive(&[file("workspace/f", "x")]), few()).unwrap();
}

/// A file that claims to be this large and has no content.
fn sparse(size: u64) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_path("workspace/sparse").unwrap();
    header.set_entry_type(EntryType::GNUSparse);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_size(0);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.set_real_size(size);
    gnu.sparse[0].set_offset(size);
    gnu.sparse[0].set_length(0);
    header.set_cksum();
    block(&header, b"")
}

#[test]
fn an_archive_that_grows_without_end_is_refused_early() {
    let border = Border::new();
    let bomb = |kind: EntryType, name: &[u8]| {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_size(3 << 30);
        header.set_cksum();
        let zeros = Read::take(io::repeat(0), 256 << 20);
        zstd::encode_all(header.as_bytes().chain(zeros), 1).unwrap()
    };
    let default = ArchiveLimits::default();
    let refusal = border.refusal(&bomb(EntryType::Regular, b"workspace/f"), default);
    assert_eq!(refusal, "it is compressed more than 100 times");
    let refusal = border.refusal(&bomb(EntryType::GNULongName, b"././@LongLink"), default);
    assert!(refusal.contains("more than a mebibyte"), "{refusal}");
    let refusal = border.refusal(&bomb(EntryType::XHeader, b"x"), default);
    assert!(refusal.contains("more than a mebibyte"), "{refusal}");
    let no_time = ArchiveLimits { time: Duration::ZERO, ..default };
    assert_eq!(border.refusal(&archive(&[file("workspace/f", "x")]), no_time), "it takes longer than 0 s");
    assert_eq!(
        default,
        ArchiveLimits {
            entries: 200_000,
            bytes: 4 << 30,
            ratio: 100,
            depth: 64,
            time: Duration::from_secs(600)
        }
    );
}

#[test]
fn a_cut_or_foreign_archive_is_refused() {
    let border = Border::new();
    let whole = archive(&[file("workspace/f", &"content ".repeat(200))]);
    border.refusal(&whole[..whole.len() / 2], few());
    border.refusal(b"not an archive at all", few());
    let tar = file("workspace/f", &"content ".repeat(200));
    let cut = zstd::encode_all(&tar[..1024], 1).unwrap();
    assert!(border.refusal(&cut, few()).contains("is cut off"));
}

#[test]
fn what_is_unusual_but_harmless_stays_in_its_place() {
    let border = Border::new();
    let entries = [
        raw(b"./workspace/latin-\xe9", EntryType::Regular, b"", b"bad UTF-8"),
        link("workspace/absolute", "/etc/passwd"),
        link("workspace/up", "../../../../etc"),
        file("home//made/by//the/way", "parents"),
        special("workspace/", EntryType::Directory),
        special("home/made", EntryType::Directory),
        raw(b"workspace/again", EntryType::Link, b"home/made/by/the/way", b""),
        raw(b"workspace/suid", EntryType::Regular, b"", b""),
        sparse(512 << 10),
    ];
    border.import(&archive(&entries), few()).unwrap();
    let seen = describe(&border.imported());
    for line in [
        "\"workspace/latin-\\xE9\" 644 (1000000000, 0) 9 bytes",
        "\"workspace/absolute\" 777 (1000000000, 0) -> \"/etc/passwd\"",
        "\"workspace/up\" 777 (1000000000, 0) -> \"../../../../etc\"",
        "\"home/made/by/the/way\" 644 (1000000000, 0) 7 bytes, names 2",
        "\"workspace/again\" 644 (1000000000, 0) 7 bytes, names 2",
        "524288 bytes, names 1, sparse true",
    ] {
        assert!(seen.contains(line), "{line}\n{seen}");
    }
}

#[test]
fn ids_in_use_and_deleted_ids_are_refused() {
    let border = Border::new();
    let archive = archive(&[file("workspace/f", "x")]);
    let root = border.fixture.layout.root();
    let again = || import(root, own_account(), &snapshot("new"), &session(), archive.as_slice(), few());
    again().unwrap();
    assert!(matches!(again(), Err(ArchiveError::Failed { .. })));
    layers::delete(&border.fixture.layout, &snapshot("new"), &session()).unwrap();
    assert!(matches!(again(), Err(ArchiveError::Snapshot(_))));
    let missing = export(root, own_account(), &snapshot("new"), io::sink());
    assert!(matches!(missing, Err(ArchiveError::Snapshot(_))));
}

/// Names of which an attacker might hope something.
fn nasty_name() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::sample::select(vec![
        &b"a"[..],
        b"b",
        b"c",
        b"..",
        b".",
        b"",
        b"\xff",
        b"workspace",
        b"home",
        b"outside",
        b"canary",
        b"fs",
        b"meta.json",
        b"\n",
        b"\\",
    ]);
    let start =
        prop::sample::select(vec![&b"workspace/"[..], b"home/", b"workspace", b"/", b"", b"../", b"./home/"]);
    (start, prop::collection::vec(part, 0..4))
        .prop_map(|(start, parts)| [start, parts.join(&b'/').as_slice()].concat())
}

fn nasty_entry() -> impl Strategy<Value = Vec<u8>> {
    let kinds = b"0012235147LKxgSZ".to_vec();
    (nasty_name(), prop::sample::select(kinds), nasty_name(), prop::collection::vec(any::<u8>(), 0..600))
        .prop_map(|(name, kind, link, content)| {
            let content = if b"07LKxgSZ".contains(&kind) { content } else { Vec::new() };
            raw(&name, EntryType::new(kind), &link, &content)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_archive_touches_anything_but_its_snapshot(entries in prop::collection::vec(nasty_entry(), 1..10)) {
        let border = Border::new();
        match border.import(&archive(&entries), few()) {
            Ok(_) => {
                let names: Vec<_> =
                    fs::read_dir(border.imported()).unwrap().map(|it| it.unwrap().file_name()).collect();
                prop_assert_eq!(names.len(), 2);
                border.fixture.seen(&snapshot("new"));
            }
            Err(ArchiveError::Refused(_)) => {}
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn no_damage_to_an_archive_leads_out(at in 0usize..4096, with in any::<u8>(), cut in 0usize..4096) {
        let border = Border::new();
        let entries = [file("workspace/f", "x"), link("home/l", "f"), long(&b"home/n".repeat(30), &file("x", "y"))];
        let mut tar = entries.concat();
        let at = at % tar.len();
        tar[at] ^= with;
        tar.truncate(tar.len() - cut % tar.len());
        let imported = border.import(&zstd::encode_all(tar.as_slice(), 1).unwrap(), few());
        prop_assert!(matches!(imported, Ok(_) | Err(ArchiveError::Refused(_))), "{imported:?}");
    }
}
