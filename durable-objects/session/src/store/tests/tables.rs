//! Single tables: migrations, outbox, tickets, and what others read out of them.

use super::*;
use crate::core::tests::{Rig, appended, change, request, text, tool, user};
use crate::core::{Input, PullRequestOrder, Work, WorkOutcome};
use expect_test::expect;
use protocol::client::{Activity, PromptRequest};
use protocol::effort::Effort;
use protocol::id::TurnId;
use protocol::runner::RunnerEvent;
use protocol::status::Backlog;
use protocol::timeline::{ArtifactContent, ToolState};
use protocol::trace::TraceParent;

#[test]
fn migrations_give_these_tables() {
    let tables =
        column(&migrated(), "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name");
    expect![[r#"
        artifacts
        attachments
        attachments_by_picture
        attachments_by_text
        events
        items
        items_by_turn
        items_open
        messages
        messages_by_prompt
        migrations
        notices
        one_running_turn
        outbox
        outbox_by_time
        outputs
        participants
        prompts
        prompts_cancelled
        prompts_steered
        queue
        sandbox
        session
        thread
        tickets
        turns
        turns_by_prompt"#]]
    .assert_eq(&tables.join("\n"));
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
    assert_eq!(order.effort, Some(Effort::High));
    assert_eq!((order.author.name.as_str(), order.author.email.as_str()), ("ADA", "ada@farhand.example"));
    assert_eq!(store.load_turn_order(&TurnId::parse("trn_other").unwrap()).unwrap(), None);
}

#[test]
fn work_goes_back_to_the_prompt_that_it_is_for() {
    let mut rig = Rig::running();
    let submit = |rig: &mut Rig, number: u8| {
        let traceparent = Some(TraceParent::new([number; 16], [number; 8]));
        let prompt = PromptRequest { traceparent, ..request(number.into(), "Then") };
        rig.apply(Input::PromptSubmitted { author: user("ada"), prompt });
    };
    submit(&mut rig, 2);
    let end = |rig: &mut Rig| {
        rig.end_turn(Some(change('a')));
        rig.finish_snapshot(WorkOutcome::Done);
    };
    let present = |rig: &Rig| {
        let store = migrated();
        commit_all(&store, &rig.log);
        (store.load_trace().unwrap().map(TraceParent::trace_id), store)
    };
    assert_eq!(present(&rig).0, None, "the running prompt came without");
    end(&mut rig);
    let (trace, store) = present(&rig);
    assert_eq!(trace.as_deref(), Some("02".repeat(16).as_str()));
    let order = store.load_turn_order(&rig.turn()).unwrap().unwrap();
    assert_eq!(order.traceparent.map(TraceParent::trace_id), trace);
    submit(&mut rig, 3);
    end(&mut rig);
    end(&mut rig);
    assert_eq!(present(&rig).0.as_deref(), Some("03".repeat(16).as_str()), "after its end, too");
}

#[test]
fn an_outbox_says_how_much_of_it_fails() {
    let (store, _) = story();
    let waiting = u32::try_from(count(&store, "outbox")).unwrap();
    assert_eq!(store.load_backlog().unwrap(), Backlog { waiting, failing: 0, tries: 0 });
    store.sql.exec("UPDATE outbox SET attempts = 3 WHERE kind = 'start_turn'", &[]).unwrap();
    assert_eq!(store.load_backlog().unwrap(), Backlog { waiting, failing: 1, tries: 3 });
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
    let opened = WorkOutcome::PullRequestOpened {
        number: 7,
        url: "u".into(),
        title: "t".into(),
        base: "main".into(),
        progress: Default::default(),
    };
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
    assert_eq!(text.authors.iter().map(|author| author.name.as_str()).collect::<Vec<_>>(), ["ADA"]);
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
fn no_statement_looks_at_all_events() {
    let (store, rig) = story();
    store.load().unwrap();
    store.render_snapshot().unwrap();
    store.render_history(5).unwrap();
    store.replay(0, |_| {}).unwrap();
    store.load_session_status().unwrap();
    store.load_index_row().unwrap();
    store.load_turn_order(&rig.turn()).unwrap();
    store.load_pull_request_text().unwrap();
    let statements = store.sql.statements.borrow().clone();
    assert!(statements.len() > 30);
    for statement in statements {
        let plan = store.sql.plan(&statement).join("; ");
        assert!(!plan.contains("SCAN events"), "{statement}: {plan}");
        assert!(!statement.contains("FROM items") || !plan.contains("SCAN items;"), "{statement}: {plan}");
    }
}
