//! What a thread knows, and what follows from what it is told. Pure: rows in, rows out; the store keeps them.

use protocol::time::Timestamp;
use serde_json::{Value, json};

/// Between two changes of the card: Slack allows some fifty a minute for a whole workspace (docs.slack.dev, "Rate limits", tier 3).
pub const CARD_EVERY_MS: u64 = 3_000;
/// Prompts whose files are kept.
const FILES_KEPT_MAX: usize = 10;
/// Tries of what is owed to Slack.
const TRIES_MAX: u32 = 30;
const FIRST_MS: u64 = 500;
const LONGEST_MS: u64 = 300_000;

/// One thread. Kept as JSON, whose missing fields are empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thread {
    /// The workspace.
    pub team: String,
    /// The channel.
    pub channel: String,
    /// `ts` of the message that the thread began with.
    pub thread: String,
    /// The deployment's address, for links.
    pub home: String,
    /// The Slack user whose message the session began with.
    pub user: String,
    /// The session; for ever, once there is one.
    pub session: Option<String>,
    /// `owner/name` that was decided on, from before the session begins.
    pub repository: Option<String>,
    /// `ts` of the message that the decision was made for.
    pub decided_for: Option<String>,
    /// `ts` of the card.
    pub card: Option<String>,
    /// When the card was last changed.
    pub card_at: Timestamp,
    /// What the session last told.
    pub view: Option<Value>,
    /// The last turn whose end was told.
    pub told: Option<String>,
    /// Whether the last turn ended with a question.
    pub asked: bool,
    /// Slack's word for why nothing can be written here; whoever began was told. Until somebody is heard here again.
    pub closed: Option<String>,
    /// Files of the newest prompts that have some, for another try: the prompt's id and the files.
    pub files: Vec<(String, Value)>,
}

impl Thread {
    /// As kept.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "team": self.team, "channel": self.channel, "thread": self.thread, "home": self.home, "user": self.user,
            "session": self.session,
            "repository": self.repository, "decidedFor": self.decided_for, "card": self.card, "cardAt": self.card_at.0,
            "view": self.view, "told": self.told, "asked": self.asked, "closed": self.closed, "files": self.files,
        })
    }

    /// Reads what [`Thread::to_json`] wrote.
    #[must_use]
    pub fn from_json(value: &Value) -> Self {
        let optional = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let text = |name: &str| optional(name).unwrap_or_default();
        Self {
            team: text("team"),
            channel: text("channel"),
            thread: text("thread"),
            home: text("home"),
            user: text("user"),
            session: optional("session"),
            repository: optional("repository"),
            decided_for: optional("decidedFor"),
            card: optional("card"),
            card_at: Timestamp(value.get("cardAt").and_then(Value::as_u64).unwrap_or_default()),
            view: value.get("view").filter(|view| view.is_object()).cloned(),
            told: optional("told"),
            asked: value.get("asked").and_then(Value::as_bool).unwrap_or_default(),
            closed: optional("closed"),
            files: value
                .get("files")
                .cloned()
                .and_then(|files| serde_json::from_value(files).ok())
                .unwrap_or_default(),
        }
    }

    /// Keeps what went along with a prompt.
    pub fn keep_files(&mut self, prompt: &str, files: Value) {
        self.files.retain(|(known, _)| known != prompt);
        self.files.push((prompt.to_owned(), files));
        self.files.drain(..self.files.len().saturating_sub(FILES_KEPT_MAX));
    }

    /// Takes what the session tells; what is to be told to people because of it. An older or foreign view changes nothing.
    pub fn take_view(&mut self, view: Value, now: Timestamp) -> Vec<Order> {
        let session = view.get("sessionId").and_then(Value::as_str);
        let seq = |view: &Value| view.get("seq").and_then(Value::as_u64).unwrap_or_default();
        if session.is_none() || session != self.session.as_deref() {
            return Vec::new();
        }
        if self.view.as_ref().is_some_and(|known| seq(known) >= seq(&view)) {
            return Vec::new();
        }
        let mut orders = vec![Order::card(now.max(self.card_at.plus_ms(CARD_EVERY_MS)))];
        let text = |path: &str| view.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let (turn, state) = (text("/turn/id").to_owned(), text("/turn/state"));
        if matches!(state, "completed" | "failed" | "stopped") && self.told.as_deref() != Some(&turn) {
            self.asked = state == "completed" && is_question(text("/turn/summary"));
            self.told = Some(turn.clone());
            orders.push(Order::new(
                format!("result/{turn}"),
                "result",
                json!({"view": view, "asks": self.asked}),
                now,
            ));
        } else if state == "running" {
            self.asked = false;
        }
        self.view = Some(view);
        orders
    }
}

/// Whether an answer of the agent ends with a question to whoever asked.
#[must_use]
pub fn is_question(summary: &str) -> bool {
    let last = summary.trim_end().lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    last.trim_end_matches(['*', '_', '`', ')', '"', ' ']).ends_with('?')
}

/// Something that must happen outside. The same key is the same thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Its name.
    pub key: String,
    /// As in the table.
    pub kind: &'static str,
    /// What it takes.
    pub payload: Value,
    /// Not before.
    pub at: Timestamp,
}

impl Order {
    /// An order.
    #[must_use]
    pub fn new(key: String, kind: &'static str, payload: Value, at: Timestamp) -> Self {
        Self { key, kind, payload, at }
    }

    /// Bring the card up to date.
    #[must_use]
    pub fn card(at: Timestamp) -> Self {
        Self::new("card".to_owned(), "card", json!({}), at)
    }

    /// Tell one person something that the others in the channel need not see. `about` is what it follows from.
    #[must_use]
    pub fn say(about: &str, user: &str, words: &str, at: Timestamp) -> Self {
        Self::new(format!("say/{about}/{user}"), "say", json!({"user": user, "words": words}), at)
    }
}

/// When something that did not succeed is tried again; `None` when it was tried often enough. What must not be lost is tried for ever.
#[must_use]
pub fn evaluate_retry(
    kind: &str,
    tries: u32,
    wait_ms: u64,
    random: u32,
    now: Timestamp,
) -> Option<Timestamp> {
    let is_patient = matches!(kind, "message" | "interaction");
    if tries >= TRIES_MAX && !is_patient {
        return None;
    }
    let wait = FIRST_MS.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(LONGEST_MS);
    let drawn = wait / 2 + u64::from(random) % (wait / 2 + 1);
    Some(now.plus_ms(drawn.max(wait_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound() -> Thread {
        Thread { session: Some("ses_1".into()), ..Thread::default() }
    }

    fn view(seq: u64, turn: &str, state: &str, summary: &str) -> Value {
        json!({"sessionId": "ses_1", "seq": seq, "turn": {"id": turn, "state": state, "summary": summary}})
    }

    fn keys(orders: &[Order]) -> Vec<&str> {
        orders.iter().map(|order| order.key.as_str()).collect()
    }

    #[test]
    fn a_turns_end_is_told_once_whatever_comes_again() {
        let mut thread = bound();
        assert_eq!(keys(&thread.take_view(view(1, "trn_1", "running", ""), Timestamp(0))), ["card"]);
        assert_eq!(
            keys(&thread.take_view(view(5, "trn_1", "completed", "Done."), Timestamp(0))),
            ["card", "result/trn_1"]
        );
        assert_eq!(
            keys(&thread.take_view(view(5, "trn_1", "completed", "Done."), Timestamp(0))),
            Vec::<&str>::new()
        );
        assert_eq!(
            keys(&thread.take_view(view(3, "trn_1", "running", ""), Timestamp(0))),
            Vec::<&str>::new()
        );
        assert_eq!(keys(&thread.take_view(view(6, "trn_1", "completed", "Done."), Timestamp(0))), ["card"]);
        assert_eq!(
            keys(&thread.take_view(view(9, "trn_2", "failed", ""), Timestamp(0))),
            ["card", "result/trn_2"]
        );
    }

    #[test]
    fn a_foreign_session_tells_nothing() {
        assert!(Thread::default().take_view(view(1, "t", "running", ""), Timestamp(0)).is_empty());
        let mut other = Thread { session: Some("ses_2".into()), ..Thread::default() };
        assert!(other.take_view(view(1, "t", "running", ""), Timestamp(0)).is_empty());
    }

    #[test]
    fn the_card_changes_no_more_often_than_slack_allows() {
        let mut thread = Thread { card_at: Timestamp(10_000), ..bound() };
        assert_eq!(thread.take_view(view(1, "t", "running", ""), Timestamp(11_000))[0].at, Timestamp(13_000));
        assert_eq!(thread.take_view(view(2, "t", "running", ""), Timestamp(20_000))[0].at, Timestamp(20_000));
    }

    #[test]
    fn a_question_is_open_until_the_next_turn_runs() {
        let mut thread = bound();
        thread.take_view(view(1, "t1", "completed", "Which one?\n\n**A or B?**"), Timestamp(0));
        assert!(thread.asked);
        assert_eq!(Thread::from_json(&thread.to_json()), thread);
        thread.take_view(view(2, "t2", "running", ""), Timestamp(0));
        assert!(!thread.asked);
        assert!(!is_question("Is it? Yes."));
    }

    #[test]
    fn files_of_the_newest_prompts_are_kept() {
        let mut thread = bound();
        for number in 0..12 {
            thread.keep_files(&format!("prm_{number}"), json!([["a.png", "", "F1"]]));
            thread.keep_files("prm_0", json!([]));
        }
        assert_eq!(thread.files.len(), FILES_KEPT_MAX);
        assert_eq!(thread.files.last(), Some(&("prm_0".to_owned(), json!([]))));
        assert_eq!(Thread::from_json(&thread.to_json()), thread);
    }

    #[test]
    fn messages_are_tried_for_ever_and_notices_are_not() {
        assert!(evaluate_retry("message", 10_000, 0, 7, Timestamp(0)).is_some());
        assert!(evaluate_retry("card", 30, 0, 7, Timestamp(0)).is_none());
        assert_eq!(evaluate_retry("card", 1, 60_000, 7, Timestamp(5)), Some(Timestamp(60_005)));
    }
}
