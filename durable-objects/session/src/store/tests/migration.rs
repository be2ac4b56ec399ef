//! Migrations: applied once and in order, whatever fails between, and rows written before them stay what they were.

use super::*;
use crate::core::apply_event;
use crate::core::empty_snapshot;
use crate::store::migrate::MIGRATIONS;
use protocol::timeline::{EventRecord, Role};

#[test]
fn a_migration_that_fails_anywhere_is_done_by_the_next_start() {
    let whole = column(&migrated(), "SELECT sql FROM sqlite_master ORDER BY name");
    let statements: usize = MIGRATIONS.iter().map(|(_, script)| script.matches(";\n").count() + 1).sum();
    for statements in 0..statements + 2 {
        let store = Store::new(Memory::new());
        store.sql.statements_left.set(statements);
        assert!(store.migrate(Timestamp(1)).is_err(), "{statements}");
        store.sql.statements_left.set(usize::MAX);
        store.migrate(Timestamp(2)).unwrap();
        store.migrate(Timestamp(3)).unwrap();
        assert_eq!(column(&store, "SELECT sql FROM sqlite_master ORDER BY name"), whole);
        assert_eq!(
            column(&store, "SELECT name FROM migrations ORDER BY name"),
            MIGRATIONS.map(|(name, _)| name)
        );
    }
}

/// A session in the tables of the first migration: a turn that ended, one that runs, a prompt that waits and one that was taken back.
const FIRST: &str = r#"
INSERT INTO session VALUES (1, 'ses_1', 'Look', 'acme/shop', 'https://c/acme/shop.git', 'main', 'farhand/1', 'demo/demo', 'usr_ada', 100, 20, 10, 2, 0.25);
INSERT INTO events VALUES (1, 'session_created', '{"type":"session_created","repository":"acme/shop","createdBy":"usr_ada"}', 100);
INSERT INTO events VALUES (2, 'participant_joined', '{"type":"participant_joined","participant":{"userId":"usr_ada","login":"ada","name":"ADA","joinedAt":100}}', 100);
INSERT INTO events VALUES (3, 'prompt_queued', '{"type":"prompt_queued","prompt":{"id":"prm_1","author":"usr_ada","origin":"web","text":"Look","submittedAt":101,"state":"queued"}}', 101);
INSERT INTO events VALUES (4, 'title_changed', '{"type":"title_changed","title":"Look"}', 101);
INSERT INTO events VALUES (5, 'turn_started', '{"type":"turn_started","turn":{"id":"trn_1","promptId":"prm_1","attempt":1,"startedAt":102}}', 102);
INSERT INTO events VALUES (6, 'item_changed', '{"type":"item_changed","item":{"id":"itm_1","turnId":"trn_1","startedAt":103,"content":{"type":"text","text":"Hi","done":true}}}', 103);
INSERT INTO events VALUES (7, 'stop_requested', '{"type":"stop_requested","turnId":"trn_1","by":"usr_ada"}', 104);
INSERT INTO events VALUES (8, 'turn_ended', '{"type":"turn_ended","turnId":"trn_1","end":{"endedAt":105,"outcome":{"type":"stopped"},"usage":{"inputTokens":20,"outputTokens":10,"cachedTokens":2,"costUsd":0.25}},"promptState":"done"}', 105);
INSERT INTO events VALUES (9, 'effect_failed', '{"type":"effect_failed","what":"w","reason":"r"}', 106);
INSERT INTO events VALUES (10, 'prompt_queued', '{"type":"prompt_queued","prompt":{"id":"prm_2","author":"usr_ada","origin":"web","text":"Go","submittedAt":107,"state":"queued"}}', 107);
INSERT INTO events VALUES (11, 'turn_started', '{"type":"turn_started","turn":{"id":"trn_2","promptId":"prm_2","attempt":1,"startedAt":108}}', 108);
INSERT INTO events VALUES (12, 'item_changed', '{"type":"item_changed","item":{"id":"itm_2","turnId":"trn_2","startedAt":109,"content":{"type":"text","text":"A","done":false}}}', 109);
INSERT INTO events VALUES (13, 'item_appended', '{"type":"item_appended","itemId":"itm_2","offset":1,"text":"B"}', 110);
INSERT INTO events VALUES (14, 'prompt_queued', '{"type":"prompt_queued","prompt":{"id":"prm_3","author":"usr_ada","origin":"web","text":"Then","submittedAt":111,"state":"queued"}}', 111);
INSERT INTO events VALUES (15, 'prompt_queued', '{"type":"prompt_queued","prompt":{"id":"prm_4","author":"usr_ada","origin":"web","text":"No","submittedAt":112,"state":"queued"}}', 112);
INSERT INTO events VALUES (16, 'prompt_cancelled', '{"type":"prompt_cancelled","promptId":"prm_4","by":"usr_ada"}', 113);
INSERT INTO participants VALUES ('usr_ada', 'ada', 'ADA', 'ada@farhand.example', 100);
INSERT INTO participants VALUES ('usr_bob', 'bob', 'BOB', 'bob@farhand.example', 100);
INSERT INTO prompts VALUES ('prm_1', 'usr_ada', 'web', NULL, 'done', 'd1', 3, 101);
INSERT INTO prompts VALUES ('prm_2', 'usr_ada', 'web', NULL, 'running', 'd2', 10, 107);
INSERT INTO prompts VALUES ('prm_3', 'usr_ada', 'web', NULL, 'queued', 'd3', 14, 111);
INSERT INTO prompts VALUES ('prm_4', 'usr_ada', 'web', NULL, 'cancelled', 'd4', 15, 112);
INSERT INTO messages VALUES (1, 'user', 'prm_1', 'Look', 'usr_ada', 'ADA', 101);
INSERT INTO messages VALUES (2, 'agent', 'prm_1', 'Hi', NULL, 'scripted 1', 105);
INSERT INTO messages VALUES (3, 'user', 'prm_2', 'Go', 'usr_ada', 'ADA', 107);
INSERT INTO messages VALUES (4, 'user', 'prm_3', 'Then', 'usr_ada', 'ADA', 111);
INSERT INTO messages VALUES (5, 'user', 'prm_4', 'No', 'usr_ada', 'ADA', 112);
INSERT INTO queue VALUES ('prm_2', 10, 1);
INSERT INTO queue VALUES ('prm_3', 14, 0);
INSERT INTO turns VALUES ('trn_1', 5, 'prm_1', 1, 102, 'stopped', '{"endedAt":105,"outcome":{"type":"stopped"},"usage":{"inputTokens":20,"outputTokens":10,"cachedTokens":2,"costUsd":0.25}}');
INSERT INTO turns VALUES ('trn_2', 11, 'prm_2', 1, 108, 'running', NULL);
INSERT INTO items VALUES ('itm_1', 6, 'trn_1', 'text', 103, '{"type":"text","text":"","done":true}', 'Hi');
INSERT INTO items VALUES ('itm_2', 12, 'trn_2', 'text', 109, '{"type":"text","text":"","done":false}', 'AB');
INSERT INTO sandbox VALUES (1, 1, '{"state":"none"}', 'snp_1', 'none', 'ready', 'sbx_1', NULL, 7, 'http://127.0.0.1:1', 110, 'local', 'namespaces', 'scripted 1', NULL, NULL, 108, 1, 'none', NULL);
INSERT INTO outbox VALUES ('update_index', 'update_index', '{"kind":"update_index"}', 3, 0, 112);
"#;

#[test]
fn a_session_of_the_first_tables_goes_on() {
    let store = Store::new(Memory::new());
    store
        .sql
        .exec_script("CREATE TABLE migrations (name TEXT PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT")
        .unwrap();
    store.sql.exec_script(MIGRATIONS[0].1).unwrap();
    store.sql.exec("INSERT INTO migrations VALUES ('0001_session', 1)", &[]).unwrap();
    store.sql.exec_script(FIRST).unwrap();
    store.migrate(Timestamp(200)).unwrap();

    let session = store.load().unwrap().unwrap();
    let roles: Vec<Role> = session.participants.values().map(|person| person.role).collect();
    assert_eq!(roles, [Role::Owner, Role::Driver]);
    assert_eq!((session.seq, session.kept_from, session.turns_ended), (16, 1, 1));
    assert_eq!(
        session.snapshots.iter().map(|saved| (saved.snapshot_id.as_str(), saved.turns)).collect::<Vec<_>>(),
        [("snp_1", 1)]
    );
    assert_eq!(session.sandbox.as_ref().unwrap().created_at, Timestamp(110));
    assert_eq!(session.queue.len(), 2);
    let turn = session.turn.as_ref().unwrap();
    assert_eq!((turn.items.len(), turn.bytes, turn.received), (1, 2, true));
    assert_eq!(store.load_due(Timestamp(300)).unwrap()[0].version, 3);

    let (_, snapshot) = load_snapshot(&store);
    let mut folded = empty_snapshot(&session.info);
    store
        .replay(0, |frame| {
            let ServerMessage::Events { events } = serde_json::from_str(frame).unwrap() else { panic!() };
            events.iter().for_each(|record: &EventRecord| apply_event(&mut folded, record));
        })
        .unwrap();
    folded.participants.clone_from(&snapshot.participants);
    assert_eq!(snapshot, folded);

    // Text that comes now is in the events only.
    let piece = r#"{"type":"item_appended","itemId":"itm_2","offset":2,"text":"C\u0000"}"#;
    store.sql.exec("INSERT INTO events (seq, at, data) VALUES (17, 120, ?1)", &[piece.into()]).unwrap();
    let (seq, snapshot) = load_snapshot(&store);
    let text = crate::core::growing_text(&snapshot.items[1].content).unwrap();
    assert_eq!((seq, text), (17, "ABC\u{0}"));
    assert_eq!(store.load().unwrap().unwrap().turn.unwrap().bytes, 4);
}
