//! Single tables: migrations, outbox, tickets, and what others read out of them.

use super::*;
use crate::core::tests::{Rig, appended, change, text, tool, user};
use crate::core::{Input, PullRequestOrder, Work, WorkOutcome};
use crate::store::migrate::MIGRATIONS;
use expect_test::expect;
use protocol::client::{Activity, ServerMessage};
use protocol::id::TurnId;
use protocol::runner::RunnerEvent;
use protocol::timeline::{ArtifactContent, ToolState};

fn column(store: &Store<Memory>, query: &str) -> Vec<String> {
    let rows = store.sql.exec(query, &[]).unwrap();
    let text = |row: &Row| match &row.0[0] {
        Value::Text(text) => text.clone(),
        other => format!("{other:?}"),
    };
    rows.iter().map(text).collect()
}

#[test]
fn migrations_give_these_tables() {
    let tables =
        column(&migrated(), "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name");
    expect![[r#"
        artifacts
        events
        items
        items_by_turn
        messages
        messages_by_prompt
        migrations
        one_running_turn
        outbox
        outbox_by_time
        participants
        prompts
        queue
        sandbox
        session
        tickets
        turns"#]]
    .assert_eq(&tables.join("\n"));
}

#[test]
fn a_migration_that_fails_anywhere_is_done_by_the_next_start() {
    let whole = column(&migrated(), "SELECT sql FROM sqlite_master ORDER BY name");
    let statements: usize = MIGRATIONS.iter().map(|(_, script)| script.matches(";\n").count() + 1).sum();
    for statements in 0..statements + 2 {
        let store = Store::new(Memory::new());
        store.sql.statements_left.set(statements);
        assert!(store.migrate(Timestamp(1)).is_err(), "{statements}");
        store.sql.statements_left.set(usize::MAX);
        assert!(!store.exists().unwrap());
        store.migrate(Timestamp(2)).unwrap();
        store.migrate(Timestamp(3)).unwrap();
        assert_eq!(column(&store, "SELECT sql FROM sqlite_master ORDER BY name"), whole);
        assert_eq!(column(&store, "SELECT name FROM migrations"), ["0001_session"]);
    }
}

#[test]
fn asking_whether_there_is_a_session_leaves_no_trace() {
    let store = Store::new(Memory::new());
    assert!(!store.exists().unwrap());
    assert_eq!(column(&store, "SELECT name FROM sqlite_master"), [""; 0]);
    assert_eq!(migrated().load().unwrap(), None);
}

/// One turn with text and a tool, then the next prompt's turn.
fn story() -> (Store<Memory>, Rig) {
    let mut rig = Rig::running();
    let first = rig.item(1, text("I look "));
    let tool = rig.item(2, tool("", ToolState::Running));
    let last = rig.item(3, text("Done."));
    rig.events(vec![
        RunnerEvent::ItemChanged { item: first },
        appended(1, 7, "first."),
        RunnerEvent::ItemChanged { item: tool },
        RunnerEvent::ItemChanged { item: last },
        appended(3, 5, " See the diff."),
    ]);
    rig.end_turn(Some(change('a')));
    rig.finish_snapshot(WorkOutcome::Done);
    rig.prompt_text(2, "And now?");
    let store = migrated();
    commit_all(&store, &rig.log);
    (store, rig)
}

#[test]
fn messages_are_what_was_asked_and_answered() {
    let (store, _) = story();
    let query = "SELECT role || ' ' || author_name || ': ' || content FROM messages ORDER BY message_id";
    assert_eq!(
        column(&store, query),
        ["user ADA: prompt 1", "agent scripted 1: Done. See the diff.", "user ADA: And now?"]
    );
}

#[test]
fn a_runner_gets_prompt_author_and_model() {
    let (store, rig) = story();
    let order = store.load_turn_order(&rig.turn()).unwrap().unwrap();
    assert_eq!((order.attempt, order.prompt.as_str(), order.model.as_str()), (1, "And now?", "demo/demo"));
    assert_eq!((order.author.name.as_str(), order.author.email.as_str()), ("ADA", "ada@farhand.example"));
    assert_eq!(store.load_turn_order(&TurnId::parse("trn_other").unwrap()).unwrap(), None);
}

#[test]
fn the_status_has_the_diff_without_its_hunks() {
    let (store, rig) = story();
    let status = store.load_session_status().unwrap();
    assert_eq!((status.activity, status.queued_prompts, status.seq), (Activity::Running, 0, rig.session.seq));
    assert_eq!(status.usage.cost_usd, 0.125);
    let files = status.artifacts.iter().find_map(|artifact| match &artifact.content {
        ArtifactContent::Diff { files } => Some(files.clone()),
        _ => None,
    });
    assert!(files.is_some_and(|files| files.len() == 1 && files[0].hunks.is_empty()));
}

#[test]
fn the_index_row_is_about_now() {
    let (store, mut rig) = story();
    let row = store.load_index_row().unwrap();
    assert_eq!((row.seq, row.summary.activity), (rig.session.seq, Activity::Running));
    assert_eq!((row.summary.additions, row.summary.deletions, row.summary.pull_request_number), (2, 1, None));
    assert_eq!((row.summary.title.as_str(), row.summary.created_by_name.as_str()), ("prompt 1", "ADA"));
    rig.log.clear();
    for _ in 0..3 {
        rig.lose_sandbox("killed");
        if rig.session.sandbox.is_some() {
            rig.boot();
        }
    }
    let opened =
        WorkOutcome::PullRequestOpened { number: 7, url: "u".into(), title: "t".into(), base: "main".into() };
    let order = PullRequestOrder {
        turn_id: TurnId::parse("trn_1").unwrap(),
        author: user("ada").id,
        change: change('a'),
    };
    rig.apply(Input::WorkDone { work: Work::OpenPullRequest(order), outcome: opened });
    for (session, effects, now) in &rig.log {
        store.commit(session, effects, *now).unwrap();
    }
    let row = store.load_index_row().unwrap();
    assert_eq!((row.summary.activity, row.summary.pull_request_number), (Activity::Failed, Some(7)));
}

#[test]
fn a_pull_request_tells_who_asked_what() {
    let (store, _) = story();
    let text = store.load_pull_request_text().unwrap();
    assert_eq!(text.summary, "Done. See the diff.");
    assert_eq!(text.prompts, [("ADA".into(), "prompt 1".into()), ("ADA".into(), "And now?".into())]);
}

#[test]
fn the_outbox_forgets_what_is_done_and_nothing_else() {
    let (store, rig) = story();
    let (session, now) = (&rig.session, rig.now);
    let kinds = |rows: Vec<OutboxRow>| rows.iter().map(|row| row.work.kind()).collect::<Vec<_>>();
    let due = store.load_due(now).unwrap();
    assert_eq!(kinds(due.clone())[0], "start_turn", "a turn goes first");
    let index = due.iter().find(|row| row.work == Work::UpdateIndex).unwrap();

    store.postpone(index, now.plus_ms(500)).unwrap();
    assert!(!kinds(store.load_due(now.plus_ms(499)).unwrap()).contains(&"update_index"));
    let later = store.load_due(now.plus_ms(500)).unwrap();
    assert_eq!(later.iter().find(|row| row.work == Work::UpdateIndex).unwrap().attempts, 1);

    // Ordered again while it was tried: due at once, and the older try does not count for it.
    store.commit(session, &[Effect::Enqueue(Work::UpdateIndex)], now).unwrap();
    store.commit_finished(session, &[], now, &index.key, index.version).unwrap();
    let again = store.load_due(now).unwrap();
    let again = again.iter().find(|row| row.work == Work::UpdateIndex).unwrap();
    assert_eq!((again.attempts, again.version), (0, index.version + 1));
    store.commit_finished(session, &[], now, &again.key, again.version).unwrap();
    assert!(!kinds(store.load_due(now).unwrap()).contains(&"update_index"));
    assert!(!store.load_schedule().unwrap().iter().any(|(key, _)| key == "update_index"));
}

#[test]
fn a_ticket_is_taken_once_and_then_forgotten() {
    let store = migrated();
    let take = |now| store.take_ticket("t1", Timestamp(60), Timestamp(now)).unwrap();
    assert_eq!([take(0), take(0), take(60)], [true, false, false]);
    assert!(take(61), "expired tickets are refused before they come here");
}

#[test]
fn a_live_frame_is_what_the_wire_says() {
    let (store, _) = story();
    store
        .replay(0, |frame| {
            let message: ServerMessage = serde_json::from_str(frame).unwrap();
            assert_eq!(serde_json::to_string(&message).unwrap(), frame);
        })
        .unwrap();
}

#[test]
fn ten_thousand_missed_events_come_in_order() {
    let mut rig = Rig::running();
    let item = rig.item(1, text(""));
    rig.events(vec![RunnerEvent::ItemChanged { item }]);
    for offset in 0..2500 {
        rig.events(vec![appended(1, offset, "x")]);
    }
    let store = migrated();
    commit_all(&store, &rig.log);
    let mut count = 0;
    store.replay(3, |_| count += 1).unwrap();
    assert_eq!(count, rig.session.seq - 3);
}

#[test]
fn the_oldest_turns_of_a_very_long_session_are_left_out() {
    let mut rig = Rig::running();
    for number in 0..20 {
        let item = rig.item(number, text(&"x".repeat(250_000)));
        rig.events(vec![RunnerEvent::ItemChanged { item }]);
        rig.end_turn(None);
        rig.finish_snapshot(WorkOutcome::Done);
        rig.prompt(number + 2);
        rig.receive();
    }
    rig.prompt(99);
    let store = migrated();
    commit_all(&store, &rig.log);
    let (_, snapshot) = store.load_snapshot().unwrap();
    assert_eq!(snapshot.items.len(), 8);
    assert_eq!(snapshot.turns.len(), 9);
    assert_eq!(snapshot.prompts.len(), 10, "those of the shown turns, and the waiting one");
    assert_eq!(
        snapshot.prompts.first().map(|prompt| &prompt.id),
        snapshot.turns.first().map(|turn| &turn.prompt_id)
    );
}
