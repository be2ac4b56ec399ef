//! Output as events: each piece once, offsets in UTF-16, limits kept.

use super::*;
use proptest::prelude::*;
use protocol::limit::{EVENT_BYTES_MAX, FILE_BYTES_MAX, TOOL_OUTPUT_BYTES_MAX, TURN_FILES_MAX};
use protocol::runner::RunnerEventRecord;
use protocol::timeline::ToolState;

struct Desk {
    _folder: tempfile::TempDir,
    spool: Arc<Spool>,
    output: Output,
}

fn desk() -> Desk {
    let folder = tempfile::tempdir().unwrap();
    let spool = Arc::new(Spool::open(folder.path()).unwrap());
    let output = Output::new(Arc::clone(&spool), TurnId::parse("trn_1").unwrap(), Instant::now());
    Desk { _folder: folder, spool, output }
}

impl Desk {
    fn events(&self) -> Vec<RunnerEvent> {
        let records = self.spool.read(1, usize::MAX, usize::MAX);
        assert!(records.iter().all(|json| json.len() <= EVENT_BYTES_MAX));
        records.iter().map(|json| serde_json::from_str::<RunnerEventRecord>(json).unwrap().event).collect()
    }

    /// The only item, as a reader of the events sees it.
    fn item(&self) -> ItemContent {
        let mut content = None;
        for event in self.events() {
            if let RunnerEvent::ItemChanged { item } = event {
                content = Some(item.content);
                continue;
            }
            let RunnerEvent::ItemAppended { offset, text: added, .. } = event else { panic!("{event:?}") };
            let Some(
                ItemContent::Text { text, .. }
                | ItemContent::Reasoning { text, .. }
                | ItemContent::Tool { output: text, .. },
            ) = &mut content
            else {
                panic!("{content:?} cannot grow")
            };
            assert_eq!(text.encode_utf16().count() as u64, offset);
            text.push_str(&added);
        }
        content.unwrap()
    }
}

fn call(state: ToolState) -> ToolCall {
    ToolCall { name: "bash".into(), title: "make\nall".into(), input: "i".repeat(20_000), state }
}

const DONE: ToolState = ToolState::Completed { duration_ms: 1, exit_code: Some(0), edit: None };

#[tokio::test]
async fn files_follow_their_call_once_and_within_limits() {
    let mut desk = desk();
    let file =
        |name: &str, bytes: usize| MadeFile { name: name.into(), data: "A".repeat(bytes.div_ceil(3) * 4) };
    let files = vec![
        file("a.png", 9),
        file("large.png", FILE_BYTES_MAX + 3),
        file("full.png", FILE_BYTES_MAX / 3 * 3),
    ];
    for _ in 0..2 {
        desk.output.set_tool("1", call(DONE), "").await;
        desk.output.keep_files("1", files.clone()).await;
    }
    desk.output.set_tool("2", call(DONE), "").await;
    desk.output.keep_files("2", (0..TURN_FILES_MAX).map(|_| file("b.png", 3)).collect()).await;
    let events = desk.events();
    let RunnerEvent::ItemChanged { item } = &events[0] else { panic!("{:?}", events[0]) };
    let of_first = |event: &&RunnerEvent| matches!(event, RunnerEvent::FileMade { item_id: Some(id), .. } if *id == item.id);
    assert_eq!(events.iter().filter(of_first).count(), 2);
    let all = |event: &&RunnerEvent| matches!(event, RunnerEvent::FileMade { .. });
    assert_eq!(events.iter().filter(all).count(), TURN_FILES_MAX);
    let notices = events.iter().filter_map(|event| {
        let RunnerEvent::ItemChanged { item } = event else { return None };
        let ItemContent::Notice { text, .. } = &item.content else { return None };
        Some(text.as_str())
    });
    assert_eq!(
        notices.collect::<Vec<_>>(),
        [
            "`large.png` is not kept as an artifact: it has more than 1024 KiB.",
            "Only the first 20 files of this turn are kept as artifacts; 1 more are not.",
            "Only the first 20 files of this turn are kept as artifacts; 2 more are not.",
        ]
    );
}

#[tokio::test]
async fn final_text_adds_only_what_is_missing() {
    let mut desk = desk();
    desk.output.append_prose("a", ProseKind::Text, "One ").await;
    desk.output.append_prose("a", ProseKind::Text, "\u{1f600} ").await;
    desk.output.finish_prose("a", ProseKind::Text, "One \u{1f600}").await;
    assert_eq!(desk.events().len(), 2, "trimmed white space is no event");
    desk.output.finish_prose("a", ProseKind::Text, "One \u{1f600} two").await;
    assert_eq!(desk.item(), ItemContent::Text { text: "One \u{1f600} two".into(), done: false });
    desk.output.finish_prose("a", ProseKind::Text, "Another").await;
    assert_eq!(desk.item(), ItemContent::Text { text: "Another".into(), done: true });
    assert!(desk.output.first_token_ms().is_some());
}

#[tokio::test]
async fn a_tool_sends_its_output_as_it_grows_at_a_bounded_rate() {
    let mut desk = desk();
    desk.output.set_tool("t", call(ToolState::Running), "").await;
    let mut output = String::new();
    for line in 0..1000 {
        output.push_str(&format!("line {line}\n"));
        desk.output.set_tool("t", call(ToolState::Running), &output).await;
    }
    assert!(desk.output.has_waiting());
    assert!(desk.events().len() < 20, "{}", desk.events().len());
    desk.output.flush().await;
    assert!(!desk.output.has_waiting());
    let ItemContent::Tool { title, input, output: shown, .. } = desk.item() else { panic!() };
    assert_eq!((title.as_str(), shown), ("make", output.clone()));
    assert!(input.len() <= 8 * 1024 && input.ends_with('…'));
    desk.output.set_tool("t", call(DONE), "something else").await;
    let ItemContent::Tool { output, state, .. } = desk.item() else { panic!() };
    assert_eq!((output.as_str(), state), ("something else", DONE));
}

#[tokio::test]
async fn a_tool_that_still_runs_at_the_end_was_cut() {
    let mut desk = desk();
    desk.output.set_tool("t", call(ToolState::Running), "so far").await;
    desk.output.close("stopped").await;
    let ItemContent::Tool { output, state: ToolState::Failed { message, .. }, .. } = desk.item() else {
        panic!()
    };
    assert_eq!((output.as_str(), message.as_str()), ("so far", "stopped"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn output_of_any_size_keeps_its_beginning_and_its_end(
        pieces in prop::collection::vec("[a-z\u{1b}\u{e4}\u{1f600}]{1,20}", 1..6), repeat in 1..40_000_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut desk = desk();
            desk.output.set_tool("t", call(ToolState::Running), "").await;
            let mut whole = String::new();
            for piece in pieces {
                let piece = piece.repeat(repeat);
                desk.output.append_tool_output("t", &piece).await;
                whole.push_str(&piece);
            }
            desk.output.set_tool_state("t", call(DONE)).await;
            let ItemContent::Tool { output, omitted_bytes, .. } = desk.item() else { panic!() };
            if omitted_bytes == 0 {
                assert_eq!(output, whole);
            } else {
                let (head, rest) = output.split_once("\n[… ").unwrap();
                let (count, tail) = rest.split_once(" bytes left out …]\n").unwrap();
                assert_eq!(count, omitted_bytes.to_string());
                assert!(whole.starts_with(head) && whole.ends_with(tail));
                assert_eq!(whole.len() as u64, (head.len() + tail.len()) as u64 + omitted_bytes);
                assert!(head.len() + tail.len() <= TOOL_OUTPUT_BYTES_MAX);
            }
        });
    }
}
