//! Long transcripts: the snapshot is bounded, and the pages before it have exactly the rest.

use super::*;
use crate::core::WorkOutcome;
use crate::core::tests::{Rig, text};
use proptest::prelude::*;
use protocol::client::HistoryPage;
use protocol::id::{ItemId, PromptId, TurnId};
use protocol::runner::RunnerEvent;

/// Turns with items of these sizes; each turn has another prompt behind it that is taken back.
fn session_of(turns: &[Vec<usize>]) -> (Store<Memory>, Rig) {
    let mut rig = Rig::running();
    let mut number = 0;
    for (index, items) in turns.iter().enumerate() {
        for bytes in items {
            number += 1;
            let item = rig.item(number, text(&"x".repeat(*bytes)));
            rig.events(vec![RunnerEvent::ItemChanged { item }]);
        }
        rig.prompt(1000 + index);
        let prompt_id = crate::core::tests::prompt_id(1000 + index);
        let by = crate::core::tests::user("ada").id;
        rig.apply(crate::core::Input::PromptCancelled { prompt_id, by });
        rig.end_turn(None);
        rig.finish_snapshot(WorkOutcome::Done);
        rig.prompt(index + 2);
        rig.receive();
    }
    let store = migrated();
    commit_all(&store, &rig.log);
    (store, rig)
}

struct Shown {
    prompts: Vec<PromptId>,
    turns: Vec<TurnId>,
    items: Vec<ItemId>,
}

/// Every thing of a part is where the tables say that it is.
fn check_places(store: &Store<Memory>, page: &HistoryPage) {
    let place = |table: &str, key: &str, number: &str, id: &str| {
        column(store, &format!("SELECT CAST({number} AS TEXT) FROM {table} WHERE {key} = '{id}'"))
    };
    let texts = |seqs: &[Seq]| seqs.iter().map(ToString::to_string).collect::<Vec<_>>();
    let prompts = page.prompts.iter().flat_map(|one| place("prompts", "prompt_id", "seq", one.id.as_str()));
    assert_eq!(texts(&page.places.prompts), prompts.collect::<Vec<_>>());
    let turns = page.turns.iter().flat_map(|one| place("turns", "turn_id", "position", one.id.as_str()));
    assert_eq!(texts(&page.places.turns), turns.collect::<Vec<_>>());
    let items = page.items.iter().flat_map(|one| place("items", "item_id", "position", one.id.as_str()));
    assert_eq!(texts(&page.places.items), items.collect::<Vec<_>>());
}

/// Everything that the snapshot and all pages show, oldest first; and how many pages there are.
fn walk(store: &Store<Memory>) -> (Shown, usize) {
    let (_, snapshot) = load_snapshot(store);
    let ids = |page: &HistoryPage| Shown {
        prompts: page.prompts.iter().map(|prompt| prompt.id.clone()).collect(),
        turns: page.turns.iter().map(|turn| turn.id.clone()).collect(),
        items: page.items.iter().map(|item| item.id.clone()).collect(),
    };
    let first = HistoryPage {
        prompts: snapshot.prompts,
        turns: snapshot.turns,
        items: snapshot.items,
        places: snapshot.places,
        earlier: snapshot.earlier,
    };
    check_places(store, &first);
    let mut shown = ids(&first);
    let (mut earlier, mut pages) = (first.earlier, 0);
    while let Some(before) = earlier {
        pages += 1;
        let json = store.render_history(before).unwrap();
        assert!(json.len() < 800 * 1024, "{}", json.len());
        let page: HistoryPage = serde_json::from_str(&json).unwrap();
        check_places(store, &page);
        let older = ids(&page);
        assert!(!older.turns.is_empty() || !older.prompts.is_empty(), "a page has something");
        assert!(
            page.items.iter().all(|item| older.turns.contains(&item.turn_id)),
            "items come with their turn"
        );
        assert!(
            page.turns.iter().all(|turn| older.prompts.contains(&turn.prompt_id)),
            "turns come with their prompt"
        );
        // Only the turn in which a part was cut may come again, and its prompt.
        assert!(older.turns.iter().filter(|id| shown.turns.contains(id)).count() <= 1);
        shown
            .turns
            .splice(0..0, older.turns.into_iter().filter(|id| !shown.turns.contains(id)).collect::<Vec<_>>());
        shown.prompts.splice(
            0..0,
            older.prompts.into_iter().filter(|id| !shown.prompts.contains(id)).collect::<Vec<_>>(),
        );
        assert!(older.items.iter().all(|id| !shown.items.contains(id)), "no item comes twice");
        shown.items.splice(0..0, older.items);
        assert!(page.earlier.is_none_or(|earlier| earlier < before), "pages go backwards");
        earlier = page.earlier;
    }
    (shown, pages)
}

fn check_whole(store: &Store<Memory>) -> usize {
    let (mut shown, pages) = walk(store);
    let strings = |ids: &[String]| ids.to_vec();
    assert_eq!(
        shown.items.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>(),
        strings(&column(store, "SELECT item_id FROM items ORDER BY position"))
    );
    assert_eq!(
        shown.turns.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>(),
        strings(&column(store, "SELECT turn_id FROM turns ORDER BY position"))
    );
    shown.prompts.sort();
    assert_eq!(
        shown.prompts.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>(),
        strings(&column(store, "SELECT prompt_id FROM prompts ORDER BY prompt_id"))
    );
    pages
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn snapshot_and_pages_are_the_whole(
        turns in prop::collection::vec(prop::collection::vec(prop_oneof![3 => 0..2_000usize, 1 => 100_000..250_000usize], 0..16), 1..7)
    ) {
        let (store, _) = session_of(&turns);
        check_whole(&store);
    }
}

#[test]
fn the_oldest_turns_of_a_very_long_session_are_left_out() {
    let (store, _) = session_of(&vec![vec![250_000]; 20]);
    let (_, snapshot) = load_snapshot(&store);
    assert_eq!(snapshot.items.len(), 8);
    assert_eq!(snapshot.turns.len(), 9);
    assert_eq!(snapshot.prompts.len(), 17, "those of the shown turns, and those taken back meanwhile");
    assert_eq!(snapshot.prompts[0].id, snapshot.turns[0].prompt_id);
    assert_eq!(check_whole(&store), 6, "two turns fit a page");
}

#[test]
fn of_one_turn_that_is_too_large_the_newest_items_are_shown() {
    let (store, _) = session_of(&[vec![200_000; 25]]);
    let (_, snapshot) = load_snapshot(&store);
    assert_eq!((snapshot.turns.len(), snapshot.items.len()), (2, 10));
    assert!(snapshot.earlier.is_some());
    assert!(check_whole(&store) > 5);
}

#[test]
fn a_short_session_is_shown_whole() {
    let (store, _) = session_of(&[vec![10, 20], vec![]]);
    let (_, snapshot) = load_snapshot(&store);
    assert_eq!(snapshot.earlier, None);
    assert_eq!(check_whole(&store), 0);
}
