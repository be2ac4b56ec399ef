//! What a person is told of their own keys and sign-ins, an operator of everybody, and of what tells repositories apart.
//!
//! The edge writes these as text, straight from its database, because each derived writer costs its module two kilobytes; clients get
//! their types from here, and the tests of the edge hold the two together.

use crate::id::UserId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far a key of the API reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeyScope {
    /// See.
    Read,
    /// See and change.
    Write,
}

/// `POST /api/keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyRequest {
    /// What it is for, in the words of whoever makes it.
    pub name: String,
    /// How far it reaches.
    pub scope: KeyScope,
    /// For how many days it counts.
    pub days: u32,
}

/// Answer to [`ApiKeyRequest`]: the only time that the key itself is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyMade {
    /// Names it in lists.
    pub id: String,
    /// The secret.
    pub key: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// `GET /api/keys`: those that count, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyList {
    /// Without their secrets.
    pub keys: Vec<ApiKey>,
}

/// One key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// Sixteen hexadecimal digits.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// How far it reaches.
    pub scope: KeyScope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was shown last, to the minute.
    pub used_at: Option<Timestamp>,
}

/// `GET /api/sign-ins`: where the user is signed in, what was used last first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SignInList {
    /// Those that count.
    pub sign_ins: Vec<SignedInBrowser>,
}

/// One browser in which a user is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SignedInBrowser {
    /// Thirty-two hexadecimal digits.
    pub id: String,
    /// What the browser calls itself (RFC 9110 §10.1.5), cut; empty where it was not asked.
    pub browser: String,
    /// When somebody signed in there.
    pub created_at: Timestamp,
    /// When it was used last, to ten minutes.
    pub used_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// `GET /api/operator/checks`: what the deployment has tried of what it works with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct IntegrationList {
    /// Each integration once, in a fixed order.
    pub checks: Vec<Integration>,
}

/// One integration, tried just now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Integration {
    /// What it is called: `Sandbox bridge`.
    pub name: String,
    /// Whether it works.
    pub state: IntegrationState,
    /// What was found, for people; where it does not work, with the remedy.
    pub detail: String,
}

/// Whether an integration works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum IntegrationState {
    /// It was tried, and works.
    Works,
    /// It works with less than it could.
    Limited,
    /// It is not set up, and need not be.
    Off,
    /// It does not work.
    Wrong,
}

/// `GET /api/operator/people`: everybody who was ever let in, those who were here last first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PeopleList {
    /// At most 500.
    pub people: Vec<Person>,
}

/// A person as operators see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// Who.
    pub id: UserId,
    /// At the code host.
    pub login: String,
    /// Of that account.
    pub name: String,
    /// When they came first.
    pub created_at: Timestamp,
    /// When they signed in last.
    pub seen_at: Timestamp,
    /// Since when they may not be here any more; `null` while they may.
    pub refused_at: Option<Timestamp>,
    /// Browsers in which they are signed in.
    pub sign_ins: u32,
    /// Keys of theirs that count.
    pub keys: u32,
    /// Whether they run the deployment.
    pub operator: bool,
}

/// What the ids of removed people begin with; the edge draws the rest.
pub const PSEUDONYM_PREFIX: &str = "usr_removed_";

/// Whether an id is of somebody who was removed.
#[must_use]
pub fn is_pseudonym(id: &UserId) -> bool {
    id.as_str().starts_with(PSEUDONYM_PREFIX)
}

/// `GET /api/operator/erasures`: who is being removed, and who was; those under way first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ErasureList {
    /// At most 50.
    pub erasures: Vec<Erasure>,
}

/// The removal of one person with what is theirs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Erasure {
    /// Who stands in the person's place where others need it.
    pub id: UserId,
    /// Whose it is, while it goes on; `null` from then on.
    pub login: Option<String>,
    /// Since when.
    pub requested_at: Timestamp,
    /// Name of the operator who asked for it; `null` where it was the person.
    pub requested_by: Option<String>,
    /// How far it is.
    pub state: ErasureState,
    /// When it was done.
    pub finished_at: Option<Timestamp>,
    /// What is in the way; it is tried every minute.
    pub problem: Option<String>,
    /// Sessions that do not know yet, or have something elsewhere that is being removed.
    pub sessions_left: u64,
    /// Sessions that are gone with all they had.
    pub sessions_deleted: u64,
    /// Sessions of others, too, which know somebody without a name.
    pub sessions_rewritten: u64,
    /// Rows that were removed or given the other name, by table.
    pub rows: BTreeMap<String, u64>,
}

/// How far a removal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErasureState {
    /// Sessions and tables are gone through.
    Working,
    /// Nothing is left; what may still come late is waited for.
    Watching,
    /// Done.
    Done,
}

/// `GET /api/operator/audit`: lines before `?before=`, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AuditPage {
    /// At most 200.
    pub entries: Vec<AuditEntry>,
}

/// Who did what to what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Its number.
    pub id: u32,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: UserId,
    /// What, such as `key.create`.
    pub action: String,
    /// To what.
    pub target: String,
    /// More about it; may be empty.
    pub detail: String,
}

/// `GET` and `PUT /api/repositories/{owner}/{name}/hints`: what a repository is told from others by where a message names none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RepositoryHints {
    /// What it is, in a sentence; where empty, the code host's description counts.
    pub description: String,
    /// Words that people use when they mean it, one to a line.
    pub hints: String,
    /// Ids of the channels whose messages are about it unless they say otherwise.
    pub channels: Vec<String>,
}
