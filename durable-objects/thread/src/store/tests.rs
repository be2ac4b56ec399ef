//! The tables over real SQLite: what comes twice, what waits, and in which order it goes on.

use super::*;
use platform::memory::MemorySql;
use proptest::prelude::*;
use slack::interaction::Action;

const NOW: Timestamp = Timestamp(1000);

fn store() -> Store<MemorySql> {
    Store::new(MemorySql::open().unwrap())
}

fn message(event: &str, ts: &str, kind: Kind) -> Message {
    Message {
        event_id: event.into(),
        team: "T1".into(),
        channel: "C1".into(),
        thread: "1.0".into(),
        ts: ts.into(),
        user: "U1".into(),
        kind,
        text: "fix it".into(),
        files: Vec::new(),
    }
}

fn take(store: &Store<MemorySql>, event: &str, ts: &str) -> Taken {
    store.take_message(&message(event, ts, Kind::Mention), "https://farhand.example", NOW).unwrap()
}

fn due(store: &Store<MemorySql>) -> Vec<String> {
    store.load_due(NOW).unwrap().into_iter().map(|due| due.key).collect()
}

#[test]
fn f35_the_same_event_counts_once_and_so_does_the_same_message() {
    let store = store();
    assert_eq!(take(&store, "Ev1", "1.0"), Taken::New);
    for (event, ts) in [("Ev1", "1.0"), ("Ev2", "1.0"), ("Ev1", "2.0")] {
        assert_eq!(take(&store, event, ts), Taken::Nothing, "{event} {ts}");
    }
    assert_eq!(due(&store), ["message/1.0"]);
}

#[test]
fn messages_go_one_after_the_other_in_the_order_of_their_writing() {
    let store = store();
    take(&store, "Ev2", "2.0");
    take(&store, "Ev1", "1.0");
    assert_eq!(due(&store), ["message/1.0"]);
    let first = store.load_due(NOW).unwrap().remove(0);
    store.postpone(&first, NOW.plus_ms(500)).unwrap();
    assert_eq!(due(&store), Vec::<String>::new(), "the second waits for the first");
    assert_eq!(store.next_at().unwrap(), Some(NOW.plus_ms(500)));
    store.finish(&first, |thread| thread.session = Some("ses_1".into()), &[Order::card(NOW)]).unwrap();
    assert_eq!(due(&store), ["message/2.0", "card"]);
    assert_eq!(store.load().unwrap().session.as_deref(), Some("ses_1"));
}

#[test]
fn a_reply_is_heard_only_where_the_agent_has_asked() {
    let store = store();
    let reply = message("Ev9", "9.0", Kind::Reply);
    assert_eq!(store.take_message(&reply, "", NOW).unwrap(), Taken::Nothing);
    assert!(!store.exists().unwrap(), "it leaves no trace");
    take(&store, "Ev1", "1.0");
    assert_eq!(store.take_message(&reply, "", NOW).unwrap(), Taken::Nothing);
    store.change(|thread| thread.asked = true).unwrap();
    assert_eq!(store.take_message(&reply, "", NOW).unwrap(), Taken::New);
}

#[test]
fn what_waits_for_a_person_goes_on_when_the_person_has_acted() {
    let store = store();
    take(&store, "Ev1", "1.0");
    let first = store.load_due(NOW).unwrap().remove(0);
    store.wait(&first, &message("Ev1", "1.0", Kind::Mention), "link", NOW, &[]).unwrap();
    assert_eq!(due(&store), Vec::<String>::new());
    store.release_linked("U2", NOW).unwrap();
    assert_eq!(due(&store), Vec::<String>::new(), "somebody else's link releases nothing");
    store.release_linked("U1", NOW).unwrap();
    assert_eq!(due(&store), ["message/1.0"]);
}

#[test]
fn a_choice_counts_until_the_thread_has_its_session() {
    let store = store();
    take(&store, "Ev1", "1.0");
    let first = store.load_due(NOW).unwrap().remove(0);
    store.wait(&first, &message("Ev1", "1.0", Kind::Mention), "choice", NOW, &[]).unwrap();
    assert!(store.is_choosing().unwrap());
    let action = Action::Choose { repository: "acme/shop".into(), ts: "1.0".into() };
    let click = Interaction {
        team: "T1".into(),
        user: "U1".into(),
        channel: "C1".into(),
        thread: "1.0".into(),
        id: "5.0".into(),
        action,
    };
    assert_eq!(store.take_interaction(&click, "", NOW).unwrap(), Taken::New);
    assert_eq!(store.take_interaction(&click, "", NOW).unwrap(), Taken::Nothing);
    let clicked = store.load_due(NOW).unwrap().remove(0);
    store.release_chosen(&clicked, "1.0", "acme/shop", NOW).unwrap();
    assert_eq!(due(&store), ["message/1.0"]);
    assert_eq!(store.load().unwrap().repository.as_deref(), Some("acme/shop"));
}

#[test]
fn an_older_try_does_not_remove_a_newer_order() {
    let store = store();
    take(&store, "Ev1", "1.0");
    let first = store.load_due(NOW).unwrap().remove(0);
    store.finish(&first, |_| {}, &[Order::card(NOW)]).unwrap();
    let old = store.load_due(NOW).unwrap().remove(0);
    store.change(|thread| thread.session = Some("ses_1".into())).unwrap();
    store.take_view(json!({"sessionId": "ses_1", "seq": 1}), NOW.plus_ms(5000)).unwrap();
    store.finish(&old, |_| {}, &[]).unwrap();
    assert_eq!(store.next_at().unwrap(), Some(NOW.plus_ms(5000)));
}

#[test]
fn a_session_that_tells_before_the_thread_knows_it_tells_again() {
    let store = store();
    take(&store, "Ev1", "1.0");
    let view = json!({"sessionId": "ses_1", "seq": 1});
    assert_eq!(store.take_view(view.clone(), NOW).unwrap(), Taken::Nothing, "a stranger is not asked to");
    store.change(|thread| thread.decided_for = Some("1.0".into())).unwrap();
    assert_eq!(store.take_view(view.clone(), NOW).unwrap(), Taken::Full);
    store.change(|thread| thread.session = Some("ses_1".into())).unwrap();
    assert_eq!(store.take_view(view, NOW).unwrap(), Taken::New);
}

proptest! {
    #[test]
    fn f35_in_whatever_order_events_come_each_message_is_worked_on_once(order in proptest::collection::vec(0usize..4, 1..40)) {
        let store = store();
        let mut done = Vec::new();
        for which in order {
            take(&store, &format!("Ev{which}"), &format!("{}.0", which + 1));
            if which % 2 == 0 {
                for work in store.load_due(NOW).unwrap() {
                    done.push(work.key.clone());
                    store.finish(&work, |_| {}, &[]).unwrap();
                }
            }
        }
        let mut once = done.clone();
        once.sort();
        once.dedup();
        prop_assert_eq!(once.len(), done.len());
    }
}
