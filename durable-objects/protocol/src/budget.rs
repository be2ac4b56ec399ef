//! Budgets: how much may be spent on models, by whom and in which time, what of it is spent, how many may work at once, and why an agent
//! is held.
//!
//! The ledger is in D1; a session asks it before a turn begins and while one runs. What a turn may spend goes to the bridge as an
//! [`Allowance`]; what it has spent comes back with the sandbox's events, as [`Spending`].

use crate::objects;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

objects!(
    Budget,
    AtOnce,
    BudgetRequest,
    BudgetState,
    Budgets,
    Halt,
    HaltRequest,
    HaltAnswer,
    Halted,
    Hold,
    Spending,
    Allowance,
    AllowanceRequest
);

/// Whose spending a budget limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum BudgetScope {
    /// One session's.
    Session,
    /// That of the prompts of one user.
    User,
    /// That of all sessions about one repository.
    Repository,
    /// All of the deployment's.
    Organisation,
    /// One of a newer version.
    #[serde(other)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Unknown,
}

impl BudgetScope {
    /// The word that stands for it, also in D1.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::User => "user",
            Self::Repository => "repository",
            Self::Organisation => "organisation",
            Self::Unknown => "unknown",
        }
    }
}

/// In which time a budget is spent, and then begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum BudgetPeriod {
    /// Never: what a session has for its life.
    Life,
    /// A day, UTC.
    Day,
    /// A month, UTC.
    Month,
    /// One of a newer version.
    #[serde(other)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Unknown,
}

impl BudgetPeriod {
    /// The word that stands for it, also in D1.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Life => "life",
            Self::Day => "day",
            Self::Month => "month",
            Self::Unknown => "unknown",
        }
    }
}

/// A budget, and how much of it is spent in its present period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Budget {
    /// Whose spending.
    pub scope: BudgetScope,
    /// Id of the session, user or repository; `*` for each that has no budget of its own; empty for the organisation.
    pub subject: String,
    /// In which time.
    pub period: BudgetPeriod,
    /// Limit of cost, in millionths of a dollar.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional, type = "number"))]
    pub money_micro_dollars: Option<u64>,
    /// Limit of tokens, read and written.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional, type = "number"))]
    pub tokens: Option<u64>,
    /// Longest time of one turn, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional, type = "number"))]
    pub turn_ms: Option<u64>,
    /// Cost so far, in millionths of a dollar.
    #[serde(default)]
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub spent_micro_dollars: u64,
    /// Tokens so far.
    #[serde(default)]
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub spent_tokens: u64,
    /// What turns of other sessions that run may still spend, in millionths of a dollar.
    #[serde(default)]
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub promised_micro_dollars: u64,
    /// The same in tokens.
    #[serde(default)]
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub promised_tokens: u64,
    /// Sessions at work at once, where that is limited: those whose turn runs or is being prepared.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub sessions: Option<AtOnce>,
    /// Sandboxes of sessions at once, where that is limited: idle ones too, but not those of warm pools.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub sandboxes: Option<AtOnce>,
}

/// How many there may be at once, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct AtOnce {
    /// As many as may be.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub max: u64,
    /// As many as are. It may be more after the limit was lowered.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub taken: u64,
}

/// `PUT /api/operator/budgets`: sets the limits of a budget; without any it is removed. Answer: [`Budgets`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(remote = "Self", rename_all = "camelCase", deny_unknown_fields)]
pub struct BudgetRequest {
    /// Whose spending.
    pub scope: BudgetScope,
    /// As in [`Budget`].
    pub subject: String,
    /// In which time; a session's is `life`.
    pub period: BudgetPeriod,
    /// In millionths of a dollar.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional, type = "number"))]
    pub money_micro_dollars: Option<u64>,
    /// Read and written.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional, type = "number"))]
    pub tokens: Option<u64>,
    /// Of one turn, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional, type = "number"))]
    pub turn_ms: Option<u64>,
    /// Sessions at work at once, at least 1. Not for a session.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional, type = "number"))]
    pub sessions_max: Option<u64>,
    /// Sandboxes of sessions at once, at least 1. Not for a session.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional, type = "number"))]
    pub sandboxes_max: Option<u64>,
}

/// `GET /api/operator/budgets`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Budgets {
    /// By scope and subject.
    pub budgets: Vec<Budget>,
    /// Present while everything is halted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub halt: Option<Halt>,
}

/// Everything is halted: no turn runs or begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Halt {
    /// Name of the operator.
    pub by: String,
    /// In that operator's words.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

/// `POST /api/operator/halt`, and `PUT /halted` of a bridge: ends every sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(remote = "Self", rename_all = "camelCase", deny_unknown_fields)]
pub struct HaltRequest {
    /// For people, in whose sessions it is shown.
    pub reason: String,
}

/// Answer to `POST /api/operator/halt`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct HaltAnswer {
    /// Sandboxes that were ended.
    pub ended: u32,
    /// Why sandboxes may still run; nothing begins in any case. Absent when all have ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub problem: Option<String>,
}

/// Answer of a bridge that was halted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Halted {
    /// Sandboxes that it has ended, those of other replicas included.
    pub ended: u32,
    /// Sandboxes that it could not end.
    pub left: u32,
}

/// Why an agent was stopped, or prompts wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Hold {
    /// Which kind.
    pub kind: HoldKind,
    /// For people: which limit, how much, who can change it.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// What holds a session's prompts back, and the budgets that count for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct BudgetState {
    /// Absent while nothing does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub hold: Option<Hold>,
    /// Whose limits count, and how far they are spent.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[cfg_attr(feature = "typescript", ts(as = "Option<Vec<Budget>>", optional))]
    pub budgets: Vec<Budget>,
}

/// What holds an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    /// A budget of money or tokens is used up.
    Budget,
    /// The turn has taken as long as turns may take.
    Time,
    /// The agent did the same thing over and over.
    Loop,
    /// An operator has halted everything.
    Halt,
    /// As many sessions are at work, or sandboxes there, as may be at once.
    Slots,
    /// A reason of a newer version.
    #[serde(other)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Unknown,
}

/// What the model calls of a sandbox have come to, as its bridge counts them. Both sums only rise while one bridge has the sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase", default)]
pub struct Spending {
    /// Cost, as far as the bridge knows prices.
    pub micro_dollars: u64,
    /// Read and written.
    pub tokens: u64,
    /// Whether a call was refused because the allowance is used up.
    pub refused: bool,
}

/// `PUT /sandboxes/{sandbox_id}/allowance` of the bridge. Answer: 200 `{}`. An older one than the newest is passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct AllowanceRequest {
    /// Of the sandbox.
    pub generation: u64,
    /// From here on.
    pub allowance: Allowance,
}

/// How far [`Spending`] of a sandbox may rise. The last call may go beyond it by what that call costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Allowance {
    /// When it was asked for: a newer one takes the place of an older one.
    pub asked_at: Timestamp,
    /// Up to this cost; any where absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub micro_dollars: Option<u64>,
    /// Up to so many tokens; any number where absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tokens: Option<u64>,
    /// It counts until then; afterwards calls wait for the next one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
    /// Whether the next one can be higher: a call beyond this one is then to be tried again, and otherwise refused for good.
    pub more: bool,
    /// What a refused call is told.
    pub reason: String,
}
