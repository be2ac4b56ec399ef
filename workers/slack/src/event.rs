//! What the Events API sends (docs.slack.dev, "The Events API"): a challenge, or a message that may be for us.
//!
//! Everything else is nothing to us, and nothing is a failure. Ids are checked for their form, because they become names of objects.

use crate::text;
use serde_json::{Value, json};

/// Longest text of a message that is read; Slack's own limit is 40,000 characters.
pub const TEXT_CHARS_MAX: usize = 40_000;
/// Files of one message that are told to the agent.
pub const FILES_MAX: usize = 10;

/// A request of the Events API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callback {
    /// Slack wants to know whether the address is ours; the answer is the challenge.
    Verification(String),
    /// Somebody wrote.
    Message(Message),
    /// Something that is not for us, of this workspace where it says one.
    Other {
        /// Its workspace; empty where there is none.
        team: String,
    },
}

/// Why somebody's message is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It mentions the bot.
    Mention,
    /// It was written to the bot alone.
    Direct,
    /// It stands in a thread, and is ours when the thread is, and the agent has asked something.
    Reply,
}

impl Kind {
    const WORDS: [(Self, &'static str); 3] =
        [(Self::Mention, "mention"), (Self::Direct, "direct"), (Self::Reply, "reply")];
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Of the event: the same one may come many times.
    pub event_id: String,
    /// The workspace.
    pub team: String,
    /// The channel.
    pub channel: String,
    /// `ts` of the message that the thread began with.
    pub thread: String,
    /// Its own `ts`, unique in the channel.
    pub ts: String,
    /// Who wrote it.
    pub user: String,
    /// Why it is ours.
    pub kind: Kind,
    /// As plain text, without the mention.
    pub text: String,
    /// What was attached.
    pub files: Vec<File>,
}

/// A file that goes along with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Slack's id; empty where there was none of its form.
    pub id: String,
    /// As its owner named it.
    pub name: String,
    /// Where people see it.
    pub permalink: String,
}

impl File {
    /// As kept by the thread.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!([self.name, self.permalink, self.id])
    }

    /// Reads what [`File::to_json`] wrote.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let part = |place: usize| value.get(place).and_then(Value::as_str).map(str::to_owned);
        Some(Self { name: part(0)?, permalink: part(1)?, id: part(2).unwrap_or_default() })
    }
}

impl Message {
    /// As kept by the thread.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let kind = Kind::WORDS.iter().find(|(kind, _)| *kind == self.kind).map_or("", |(_, word)| word);
        let files: Vec<Value> = self.files.iter().map(File::to_json).collect();
        json!({
            "event": self.event_id, "team": self.team, "channel": self.channel, "thread": self.thread, "ts": self.ts,
            "user": self.user, "kind": kind, "text": self.text, "files": files,
        })
    }

    /// Reads what [`Message::to_json`] wrote.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
        let word = text("kind")?;
        let files = value.get("files")?.as_array()?;
        Some(Self {
            event_id: text("event")?,
            team: text("team")?,
            channel: text("channel")?,
            thread: text("thread")?,
            ts: text("ts")?,
            user: text("user")?,
            kind: Kind::WORDS.iter().find(|(_, known)| *known == word).map(|(kind, _)| *kind)?,
            text: text("text")?,
            files: files.iter().filter_map(File::from_json).collect(),
        })
    }
}

/// Whether this is an id as Slack makes them.
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether this is a `ts`: seconds and a part, with a dot between.
#[must_use]
pub fn is_ts(text: &str) -> bool {
    let is_number =
        |part: &str| (1..=16).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.').is_some_and(|(seconds, part)| is_number(seconds) && is_number(part))
}

/// Reads a request's body; `None` where it is no JSON object.
#[must_use]
pub fn parse(body: &[u8]) -> Option<Callback> {
    let value: Value = serde_json::from_slice(body).ok().filter(Value::is_object)?;
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    if text("/type") == "url_verification" {
        return Some(Callback::Verification(text::cut(text("/challenge"), 500)));
    }
    let team = text("/team_id");
    let other = || Callback::Other { team: if is_id(team) { team.to_owned() } else { String::new() } };
    Some(message(&value).map_or_else(other, Callback::Message))
}

fn message(value: &Value) -> Option<Message> {
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let is_said = matches!(text("/event/subtype"), "" | "file_share" | "thread_broadcast");
    if text("/type") != "event_callback" || !is_said || value.pointer("/event/bot_id").is_some() {
        return None;
    }
    let bot = text("/authorizations/0/user_id");
    let (user, channel, ts, written) =
        (text("/event/user"), text("/event/channel"), text("/event/ts"), text("/event/text"));
    let thread = Some(text("/event/thread_ts")).filter(|thread| !thread.is_empty());
    let mentions =
        !bot.is_empty() && (written.contains(&format!("<@{bot}>")) || written.contains(&format!("<@{bot}|")));
    let kind = match (text("/event/type"), text("/event/channel_type")) {
        ("message", "im") => Kind::Direct,
        ("app_mention", _) => Kind::Mention,
        ("message", _) if mentions => Kind::Mention,
        ("message", _) if thread.is_some_and(|thread| thread != ts) => Kind::Reply,
        _ => return None,
    };
    let (event_id, team, thread) = (text("/event_id"), text("/team_id"), thread.unwrap_or(ts));
    let is_formed = [event_id, team, channel, user].iter().all(|id| is_id(id)) && is_ts(ts) && is_ts(thread);
    if !is_formed || user == bot {
        return None;
    }
    let written: String = written.chars().take(TEXT_CHARS_MAX).collect();
    let files = value.pointer("/event/files").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let file = |file: &Value| {
        let text = |name: &str| text::cut(file.get(name).and_then(Value::as_str).unwrap_or_default(), 500);
        let id = Some(text("id")).filter(|id| is_id(id)).unwrap_or_default();
        File { id, name: text("name"), permalink: text("permalink") }
    };
    let owned = str::to_owned;
    Some(Message {
        event_id: owned(event_id),
        team: owned(team),
        channel: owned(channel),
        thread: owned(thread),
        ts: owned(ts),
        user: owned(user),
        kind,
        text: text::parse(&written, bot),
        files: files.iter().take(FILES_MAX).map(file).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(event: Value) -> Value {
        json!({
            "type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": event,
            "authorizations": [{"user_id": "UBOT"}],
        })
    }

    fn read(value: &Value) -> Option<Message> {
        match parse(value.to_string().as_bytes())? {
            Callback::Message(message) => Some(message),
            Callback::Verification(_) | Callback::Other { .. } => None,
        }
    }

    fn kind(value: Value) -> Option<Kind> {
        read(&event(value)).map(|message| message.kind)
    }

    #[test]
    fn a_mention_is_read() {
        let message = read(&event(json!({
            "type": "app_mention", "user": "U1", "channel": "C1", "ts": "1.2", "text": "<@UBOT> fix &amp; go",
            "files": [{"id": "F1", "name": "a.png", "permalink": "https://x.example/a"}, {"id": "../F2"}],
        })))
        .unwrap();
        assert_eq!(
            (message.text.as_str(), message.thread.as_str(), message.kind),
            ("fix & go", "1.2", Kind::Mention)
        );
        let known = File { id: "F1".into(), name: "a.png".into(), permalink: "https://x.example/a".into() };
        let nameless = File { id: String::new(), name: String::new(), permalink: String::new() };
        assert_eq!(message.files, [known, nameless]);
        assert_eq!(Message::from_json(&message.to_json()), Some(message));
    }

    #[test]
    fn what_a_message_is_to_us_follows_from_where_it_stands() {
        let of = |more: Value| {
            let mut event = json!({"user": "U1", "channel": "C1", "ts": "2.0", "text": "x"});
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            kind(event)
        };
        assert_eq!(of(json!({"type": "message", "channel_type": "im"})), Some(Kind::Direct));
        assert_eq!(
            of(json!({"type": "message", "channel_type": "channel", "text": "<@UBOT> x"})),
            Some(Kind::Mention)
        );
        assert_eq!(
            of(json!({"type": "message", "channel_type": "channel", "thread_ts": "1.0"})),
            Some(Kind::Reply)
        );
        assert_eq!(of(json!({"type": "message", "channel_type": "channel"})), None);
        for ours in [json!({"bot_id": "B1"}), json!({"user": "UBOT"}), json!({"subtype": "message_changed"})]
        {
            let mut event = json!({"type": "app_mention"});
            event.as_object_mut().unwrap().extend(ours.as_object().unwrap().clone());
            assert_eq!(of(event), None);
        }
        assert_eq!(of(json!({"type": "app_mention", "channel": "../x"})), None);
        assert_eq!(of(json!({"type": "app_mention", "thread_ts": "1"})), None);
        assert_eq!(of(json!({"type": "reaction_added"})), None);
    }

    #[test]
    fn a_challenge_is_answered_with_itself() {
        let body = br#"{"type":"url_verification","challenge":"abc","token":"x"}"#;
        assert_eq!(parse(body), Some(Callback::Verification("abc".to_owned())));
        assert_eq!(parse(b"[]"), None);
        assert_eq!(parse(b"{"), None);
        assert_eq!(parse(br#"{"team_id":"T9"}"#), Some(Callback::Other { team: "T9".to_owned() }));
    }

    proptest! {
        #[test]
        fn reading_never_fails(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!matches!(parse(&body), Some(Callback::Message(_))));
        }
    }
}
