//! Pictures and files of the agent: what they are taken for, how many are kept, and that nobody's word about them is believed.

use super::*;
use crate::core::Served;
use expect_test::{Expect, expect};
use protocol::attachment::BINARY_TYPE;
use protocol::limit::{FILE_BYTES_MAX, SESSION_FILES_MAX, TURN_FILES_MAX};

/// Two pixels, red.
pub(crate) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAB7QOjdAAAADUlEQVR42mP4z8AARAAI/gH/GcBr5wAAAABJRU5ErkJggg==";

pub(crate) fn made(rig: &Rig, item_id: Option<&ItemId>, name: &str, data: &str) -> RunnerEvent {
    let (item_id, name, data) = (item_id.cloned(), name.to_owned(), data.to_owned());
    RunnerEvent::FileMade { turn_id: rig.turn(), item_id, name, data }
}

fn encoded(content: impl AsRef<[u8]>) -> String {
    platform::crypto::base64(content.as_ref())
}

/// The head of a PNG of this size, and nothing of its pixels.
fn png_of(width: u32, height: u32) -> String {
    let head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    let rest = b"\x08\x02\0\0\0\0\0\0\0";
    encoded([head.as_slice(), &width.to_be_bytes(), &height.to_be_bytes(), rest].concat())
}

fn files(effects: &[Effect]) -> Vec<(Artifact, String)> {
    let told = |effect: &Effect| match effect {
        Effect::Record { event: SessionEvent::ArtifactChanged { artifact }, .. } => {
            let ArtifactContent::File { name, media_type, bytes, extent, .. } = &artifact.content else {
                return None;
            };
            let extent =
                extent.map_or(String::new(), |Extent { width, height }| format!(", {width}×{height}"));
            Some((artifact.clone(), format!("{name}: {media_type}, {bytes} bytes{extent}")))
        }
        _ => None,
    };
    effects.iter().filter_map(told).collect()
}

fn notices(effects: &[Effect]) -> Vec<String> {
    let told = |effect: &Effect| match effect {
        Effect::Record { event: SessionEvent::ItemChanged { item }, .. } => match &item.content {
            ItemContent::Notice { text, .. } => Some(text.clone()),
            _ => None,
        },
        _ => None,
    };
    effects.iter().filter_map(told).collect()
}

/// What becomes of one file that is left in the folder.
fn check_one(name: &str, data: &str, expected: &Expect) {
    let mut rig = Rig::running();
    let event = made(&rig, None, name, data);
    let effects = rig.events(vec![event]);
    let told: Vec<String> =
        files(&effects).into_iter().map(|(_, told)| told).chain(notices(&effects)).collect();
    expected.assert_eq(&told.join("\n"));
}

#[test]
fn the_content_says_what_a_file_is() {
    check_one("a.png", PNG, &expect!["a.png: image/png, 70 bytes, 2×1"]);
    check_one("lies.txt", PNG, &expect!["lies.txt: image/png, 70 bytes, 2×1"]);
    let page = "<script>alert(1)</script>";
    check_one("page.html", &encoded(page), &expect!["page.html: text/plain, 25 bytes"]);
    let vector = "<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>";
    check_one("logo.svg", &encoded(vector), &expect!["logo.svg: text/plain, 59 bytes"]);
    check_one(
        "a.gif",
        &encoded(b"GIF89a\x01\0\x01\0\x80"),
        &expect!["a.gif: application/octet-stream, 11 bytes"],
    );
    check_one("nul.txt", &encoded("a\0b"), &expect!["nul.txt: application/octet-stream, 3 bytes"]);
    check_one("huge.png", &png_of(60_000, 60_000), &expect!["huge.png: application/octet-stream, 33 bytes"]);
    check_one("flat.png", &png_of(0, 9), &expect!["flat.png: application/octet-stream, 33 bytes"]);
}

#[test]
fn what_cannot_be_kept_says_why() {
    let too_long = encoded(vec![b'x'; FILE_BYTES_MAX + 1]);
    check_one("a", &too_long, &expect!["`a` is not kept as an artifact: it has more than 1024 KiB."]);
    check_one("b`\n", "AAA", &expect!["`b'` is not kept as an artifact: it did not arrive whole."]);
    check_one("", "", &expect!["`file` is not kept as an artifact: it is empty."]);
    check_one("c", "====", &expect!["`c` is not kept as an artifact: it did not arrive whole."]);
}

#[test]
fn a_call_brings_a_picture_once_and_it_waits_for_the_store() {
    let mut rig = Rig::running();
    let item = rig.item(1, tool("", ToolState::Running));
    let event = made(&rig, Some(&item.id), "a.png", PNG);
    let effects = rig.events(vec![RunnerEvent::ItemChanged { item: item.clone() }, event.clone()]);
    let [(first, _)] = files(&effects).try_into().unwrap();
    let ArtifactContent::File { item_id, content_id, .. } = &first.content else { panic!("{first:?}") };
    assert_eq!(item_id.as_ref(), Some(&item.id));
    let kept = effects.iter().find_map(|effect| match effect {
        Effect::SaveOutput { artifact_id, output } if artifact_id == content_id => Some(output.clone()),
        _ => None,
    });
    let Some(Served::Picture { media_type, bytes }) = kept.unwrap().serve() else { panic!("no picture") };
    assert_eq!((media_type.as_str(), bytes.len()), ("image/png", 70));
    let store = Work::StoreOutput { artifact_id: content_id.clone() };
    assert!(effects.contains(&Effect::Enqueue(store)));

    // The runner's spool may give an event to a session that lost its answer; numbers see to that. A call that says it again does not
    // make two of it.
    let [(again, _)] = files(&rig.events(vec![event])).try_into().unwrap();
    assert_eq!(again.id, first.id);
    assert_eq!(rig.session.files.len(), 1);
}

#[test]
fn a_newer_file_in_the_folder_replaces_the_older_one() {
    let mut rig = Rig::running();
    let one = made(&rig, None, "report.md", &encoded("one"));
    let two = made(&rig, None, "report.md", &encoded("two"));
    let [(first, _), (second, _)] = files(&rig.events(vec![one, two])).try_into().unwrap();
    assert_eq!(first.id, second.id);
    assert_ne!(first.content, second.content);
}

#[test]
fn files_of_other_turns_and_unknown_calls_are_left_out() {
    let mut rig = Rig::running();
    let unknown = made(&rig, Some(&item_id(7)), "a.png", PNG);
    let name = "a.png".to_owned();
    let turn_id = TurnId::parse("trn_other").unwrap();
    let other = RunnerEvent::FileMade { turn_id, item_id: None, name, data: PNG.into() };
    let late = made(&rig, None, "a.png", PNG);
    assert_eq!(files(&rig.events(vec![unknown, other])), []);
    rig.end_turn(None);
    let effects = rig.events(vec![late]);
    assert_eq!((files(&effects), notices(&effects)), (vec![], vec![]));
}

#[test]
fn a_turn_and_a_session_keep_so_many_and_no_more() {
    let mut rig = Rig::running();
    let mut kept = 0;
    for turn in 0.. {
        let events =
            (0..=TURN_FILES_MAX).map(|number| made(&rig, None, &format!("{turn}-{number}"), &encoded("x")));
        let effects = rig.events(events.collect());
        let now = files(&effects).len();
        kept += now;
        if kept >= SESSION_FILES_MAX {
            assert!(notices(&effects).last().unwrap().ends_with("files."));
            break;
        }
        assert_eq!(now, TURN_FILES_MAX);
        let [notice] = notices(&effects).try_into().unwrap();
        assert_eq!(
            notice,
            format!("`{turn}-20` is not kept as an artifact: a turn brings at most 20 files.")
        );
        rig.end_turn(None);
        rig.finish_snapshot(WorkOutcome::Done);
        rig.prompt(turn + 10);
        rig.receive();
    }
    assert_eq!((kept, rig.session.files.len()), (SESSION_FILES_MAX, SESSION_FILES_MAX));
    rig.end_turn(None);
    rig.finish_snapshot(WorkOutcome::Done);
    rig.prompt(99);
    rig.receive();
    let (new, known) = (made(&rig, None, "new", &encoded("y")), made(&rig, None, "0-0", &encoded("y")));
    let effects = rig.events(vec![new, known]);
    assert_eq!(notices(&effects), ["`new` is not kept as an artifact: a session keeps at most 200 files."]);
    let [(_, told)] = files(&effects).try_into().unwrap();
    assert_eq!(told, "0-0: text/plain, 1 bytes");
}

#[test]
fn a_download_is_served_as_nothing_else() {
    let output = Output { media_type: BINARY_TYPE.into(), text: encoded(b"PK\x03\x04") };
    assert_eq!(output.serve(), Some(Served::Binary(b"PK\x03\x04".to_vec())));
    let unknown = Output { media_type: "text/html".into(), text: encoded("<b>") };
    assert_eq!(unknown.serve(), Some(Served::Binary(b"<b>".to_vec())));
}
