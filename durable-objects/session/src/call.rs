//! How the edge calls a session's object: its binding, its name, one variant per call, and the bodies.
//!
//! Caller and object match on the same [`Call`]. Who the caller's user is was verified at the edge before; the object trusts it.

use protocol::client::PromptRequest;
use protocol::id::{RepositoryId, ReservationId, SessionId, TurnId, UserId};
use protocol::objects;
use protocol::time::Timestamp;
use protocol::timeline::User;
use serde::{Deserialize, Serialize};

objects!(CreateCall, MessageCall, ArchiveCall, StopCall, DeleteCall, SocketCall, DismissCall, EraseCall);

/// Name of the Durable Object binding in `wrangler.toml`.
pub const BINDING: &str = "SESSION";

/// Header of [`Call::Socket`]: a [`SocketCall`] as written by [`encode_header`].
pub const SOCKET_HEADER: &str = "x-farhand-socket";

/// Name of the R2 binding that whole tool outputs go to.
pub const ARTIFACTS_BINDING: &str = "ARTIFACTS";

/// Binding of the objects of Slack threads, which are told how their session goes, by `POST` of what the store renders for them.
pub const THREAD_BINDING: &str = "THREAD";
/// Where a thread is told; the host means nothing.
pub const THREAD_URL: &str = "https://thread/view";

/// How a session that there is not, or not for somebody, is answered; from the object and from the edge alike.
pub const NO_SESSION: &str = "there is no such session";

/// Header of an answer to [`Call::Output`]: the key of the object in [`ARTIFACTS_BINDING`].
pub const KEY_HEADER: &str = "x-farhand-key";

/// What the keys of a session's objects in [`ARTIFACTS_BINDING`] begin with.
#[must_use]
pub fn artifact_prefix(session_id: &SessionId) -> String {
    format!("sessions/{session_id}/")
}

/// Name of the object that owns a session.
#[must_use]
pub fn object_name(session_id: &SessionId) -> String {
    session_id.as_str().to_owned()
}

/// Everything that the edge asks of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// [`CreateCall`] → 201 [`protocol::client::CreateSessionResponse`]. A repeat with the same content gives the same answer.
    Create,
    /// [`MessageCall`] → 202 [`protocol::client::PromptAccepted`].
    Message,
    /// → 200 [`protocol::client::SessionStatus`].
    Status,
    /// `?before=<seq>` → 200 [`protocol::client::HistoryPage`].
    History,
    /// `?id=<artifact id>` → 200 with the text or the picture, as long as the object keeps it; 307 with the R2 key in [`KEY_HEADER`]
    /// when it has gone there; 404.
    Output,
    /// [`ArchiveCall`] → 200 `{}`.
    Archive,
    /// [`DeleteCall`] → 200 `{}`. From then on there is no such session.
    Delete,
    /// [`SocketCall`] in [`SOCKET_HEADER`], with the client's upgrade headers → 101.
    Socket,
    /// [`protocol::bridge::RunnerAttached`] → 200 [`protocol::bridge::EventsAck`].
    Attached,
    /// [`protocol::bridge::EventBatch`] → 200 [`protocol::bridge::EventsAck`], or 409 `event_gap` with the number `expected`.
    Events,
    /// [`protocol::bridge::SandboxEnded`] → 200 `{}`.
    Ended,
    /// [`protocol::bridge::EgressReport`] → 200 `{}`.
    Egress,
    /// [`StopCall`] → 200 `{}`: the turn is to end.
    Stop,
    /// [`protocol::pull::PullReport`] → 200 `{}`, or 404 when it is not the session's pull request.
    PullReported,
    /// → 200 `{}`: budgets or a halt have changed.
    BudgetsChanged,
    /// [`DismissCall`] → 200 `{}`.
    Dismiss,
    /// → 200 [`protocol::status::SessionLoad`].
    Load,
    /// `?user=<user id>` → 200 with what the session has of a person: JSON of pairs of a kind and an object.
    Export,
    /// [`EraseCall`] → 200 [`Erased`], or 404 where nothing of a session is left; 503 while something with the old name is on its way.
    Erase,
    /// A panic inside the object, where the variable `TEST_ROUTES` is `1`; otherwise 404.
    TestPanic,
}

impl Call {
    const ALL: [Self; 20] = [
        Self::Create,
        Self::Message,
        Self::Status,
        Self::History,
        Self::Output,
        Self::Archive,
        Self::Delete,
        Self::Socket,
        Self::Attached,
        Self::Events,
        Self::Ended,
        Self::Egress,
        Self::Stop,
        Self::PullReported,
        Self::BudgetsChanged,
        Self::Dismiss,
        Self::Load,
        Self::Export,
        Self::Erase,
        Self::TestPanic,
    ];

    /// HTTP method, in capitals.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Self::Status
            | Self::History
            | Self::Output
            | Self::Socket
            | Self::Load
            | Self::Export
            | Self::TestPanic => "GET",
            Self::Create
            | Self::Message
            | Self::Archive
            | Self::Delete
            | Self::Attached
            | Self::Events
            | Self::Ended
            | Self::Egress
            | Self::Stop
            | Self::PullReported
            | Self::BudgetsChanged
            | Self::Dismiss
            | Self::Erase => "POST",
        }
    }

    /// Path at the object.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Create => "/create",
            Self::Message => "/message",
            Self::Status => "/status",
            Self::History => "/history",
            Self::Output => "/output",
            Self::Archive => "/archive",
            Self::Delete => "/delete",
            Self::Socket => "/socket",
            Self::Attached => "/attached",
            Self::Events => "/events",
            Self::Ended => "/ended",
            Self::Egress => "/egress",
            Self::Stop => "/stop",
            Self::PullReported => "/pull-reported",
            Self::BudgetsChanged => "/budgets-changed",
            Self::Dismiss => "/dismiss",
            Self::Load => "/load",
            Self::Export => "/export",
            Self::Erase => "/erase",
            Self::TestPanic => "/test/panic",
        }
    }

    /// URL for a request to the object's stub; the host means nothing.
    #[must_use]
    pub fn url(self) -> String {
        format!("https://session{}", self.path())
    }

    /// The call of a request that arrived at the object.
    #[must_use]
    pub fn find(method: &str, path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|call| call.method() == method && call.path() == path)
    }
}

/// Body of [`Call::Create`]. The edge has checked repository and model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct CreateCall {
    /// Chosen by the edge; also the object's name.
    pub session_id: SessionId,
    /// Who starts it.
    pub created_by: User,
    /// `owner/name`.
    pub repository: RepositoryId,
    /// `https://…/owner/name.git`.
    pub clone_url: String,
    /// Pull requests go here.
    pub default_branch: String,
    /// Model of prompts that name none, `provider/name`.
    pub model: String,
    /// The first prompt.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prompt: Option<PromptRequest>,
    /// Under which a warm sandbox was reserved while the prompt was composed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reservation: Option<ReservationId>,
    /// Name of the object of the Slack thread that it is begun in, which is told how the session goes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub thread: Option<String>,
}

/// Body of [`Call::Message`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct MessageCall {
    /// Who writes; joins the session by it.
    pub author: User,
    /// What.
    pub prompt: PromptRequest,
}

/// Body of [`Call::Archive`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct ArchiveCall {
    /// Who wants it.
    pub by: UserId,
    /// Whether the session is to take no prompts.
    pub archived: bool,
}

/// Body of [`Call::Stop`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct StopCall {
    /// Who wants it; joins the session by it.
    pub by: User,
    /// Which turn.
    pub turn_id: TurnId,
}

/// Body of [`Call::Delete`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct DeleteCall {
    /// Who wants it.
    pub by: UserId,
}

/// Value of [`SOCKET_HEADER`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct SocketCall {
    /// Who connects; joins the session by it.
    pub user: User,
    /// Unique id of the verified ticket: the session takes it once.
    pub ticket_id: String,
    /// When the ticket ends, and may be forgotten.
    pub ticket_expires_at: Timestamp,
    /// Whether this connection may only watch, whatever role its user has.
    #[serde(default)]
    pub read_only: bool,
}

/// Body of [`Call::Dismiss`]: the sockets of these tickets end, and what was not opened yet does not open any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct DismissCall {
    /// Ids of the tickets.
    pub tickets: Vec<String>,
    /// When they may be forgotten.
    pub until: Timestamp,
}

/// Body of [`Call::Erase`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct EraseCall {
    /// Who is being removed.
    pub user: UserId,
    /// Who stands in their place where others need the session.
    pub pseudonym: User,
}

/// Word for what has become of the session, in `outcome` of the answer to [`Call::Erase`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erased {
    /// It was theirs alone, and what it has elsewhere is being removed.
    Deleting,
    /// It knows the pseudonym.
    Rewritten,
}

impl Erased {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deleting => "deleting",
            Self::Rewritten => "rewritten",
        }
    }
}

/// A value as JSON that is fit for a header: what is not ASCII is written as `\uXXXX`.
#[must_use]
pub fn encode_header<T: Serialize>(value: &T) -> String {
    let json = serde_json::to_string(value).unwrap_or_default();
    let mut encoded = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() && !character.is_ascii_control() {
            encoded.push(character);
        } else {
            let mut units = [0u16; 2];
            for unit in character.encode_utf16(&mut units) {
                encoded.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    encoded
}

/// The session's own branch: `prefix` and the first letters of the session's id.
#[must_use]
pub fn branch_name(prefix: &str, session_id: &SessionId) -> String {
    let unique: String = session_id.as_str().chars().skip(SessionId::PREFIX.len() + 1).take(12).collect();
    format!("{prefix}{unique}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_found_by_its_own_request() {
        for call in Call::ALL {
            assert_eq!(Call::find(call.method(), call.path()), Some(call));
        }
        assert_eq!(Call::find("GET", "/create"), None);
        assert_eq!(Call::find("POST", "/nothing"), None);
    }

    #[test]
    fn a_name_in_any_script_passes_a_header() {
        let socket = SocketCall {
            user: User {
                id: UserId::parse("usr_1").unwrap(),
                login: "zoë".into(),
                name: "Zoë 😀 \"quoted\"\n".into(),
                email: "zoe@example.org".into(),
            },
            ticket_id: "t1".into(),
            ticket_expires_at: Timestamp(5),
            read_only: true,
        };
        let header = encode_header(&socket);
        assert!(header.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{header}");
        assert_eq!(serde_json::from_str::<SocketCall>(&header).unwrap(), socket);
    }

    #[test]
    fn a_branch_has_its_prefix_and_part_of_the_id() {
        let id = SessionId::from_random([7; 16]);
        let branch = branch_name("farhand/", &id);
        assert_eq!(branch.len(), "farhand/".len() + 12);
        assert!(id.as_str().contains(branch.trim_start_matches("farhand/")));
    }
}
