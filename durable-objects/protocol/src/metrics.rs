//! What `GET /api/metrics` answers: how much a deployment is used, what came of it, what it cost.
//!
//! The edge writes it as text; every column and its meaning stand in the crate `metrics`, whose tests hold the two together. Clients get
//! their types from here.

use crate::id::{RepositoryId, UserId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long the parts of a period are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MetricsStep {
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first to the first.
    Month,
}

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metrics {
    /// What was asked about.
    pub period: MetricsPeriod,
    /// When it was so.
    pub now: Timestamp,
    /// Whether it is about all repositories, and not only about those that the user sees.
    pub is_everything: bool,
    /// The period as a whole.
    pub adoption: AdoptionMetrics,
    /// The period part by part.
    pub series: Vec<MetricsPart>,
    /// Repository by repository, those of the most sessions first.
    pub repositories: Vec<RepositoryMetrics>,
    /// Person by person, those of the most prompts first; only the user, where that is no operator.
    pub people: Vec<PersonMetrics>,
    /// How sandboxes started.
    pub starts: Vec<StartMetrics>,
    /// How old images are, the oldest first.
    pub images: Vec<ImageMetrics>,
    /// This very moment.
    pub live: LiveMetrics,
    /// What each field of each of these means.
    pub definitions: BTreeMap<String, BTreeMap<String, String>>,
}

/// A period of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricsPeriod {
    /// First moment.
    pub from: Timestamp,
    /// First moment after it.
    pub to: Timestamp,
    /// Name of the time zone, as in the IANA's database.
    pub zone: String,
    /// How long its parts are.
    pub step: MetricsStep,
}

/// The period as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`metrics::table::ADOPTION` says what each means")]
pub struct AdoptionMetrics {
    pub sessions: f64,
    pub pull_requests_created: f64,
    pub pull_requests_merged: f64,
    pub merge_rate: f64,
    pub first_token_average_ms: f64,
    #[serde(rename = "firstTokenP50Ms")]
    pub first_token_p50_ms: f64,
    #[serde(rename = "firstTokenP95Ms")]
    pub first_token_p95_ms: f64,
    pub unique_users: f64,
    pub multiplayer_sessions: f64,
    pub prompts: f64,
    pub average_prompts: f64,
    pub input_tokens: f64,
    pub output_tokens: f64,
    pub cost_usd: f64,
    pub cost_per_session_usd: f64,
    pub cost_per_merged_usd: f64,
    pub tokens_per_session: f64,
    pub tokens_per_merged: f64,
}

/// A part of the period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`metrics::table::SERIES` says what each means")]
pub struct MetricsPart {
    pub starts_at: f64,
    pub sessions: f64,
    pub pull_requests_created: f64,
    pub pull_requests_merged: f64,
    pub first_token_average_ms: f64,
    pub multiplayer_sessions: f64,
    pub prompts: f64,
    pub input_tokens: f64,
    pub output_tokens: f64,
    pub cost_usd: f64,
}

/// A repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`metrics::table::REPOSITORIES` says what each means")]
pub struct RepositoryMetrics {
    pub repository: RepositoryId,
    pub sessions: f64,
    pub pull_requests_created: f64,
    pub pull_requests_merged: f64,
    pub merge_rate: f64,
    pub average_prompts: f64,
    pub input_tokens: f64,
    pub output_tokens: f64,
    pub cost_usd: f64,
    pub agent_pull_requests: f64,
    pub all_pull_requests: Option<f64>,
    pub agent_share: Option<f64>,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`metrics::table::PEOPLE` says what each means")]
pub struct PersonMetrics {
    pub user_id: UserId,
    pub name: String,
    pub sessions: f64,
    pub prompts: f64,
    pub input_tokens: f64,
    pub output_tokens: f64,
    pub cost_usd: f64,
}

/// Starts of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`metrics::table::STARTS` says what each means")]
pub struct StartMetrics {
    pub kind: String,
    pub starts: f64,
    pub average_ms: f64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub share: f64,
}

/// The image of a repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`metrics::table::IMAGES` says what each means")]
pub struct ImageMetrics {
    pub repository: RepositoryId,
    pub built_at: f64,
    pub age_ms: f64,
}

/// This very moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`metrics::table::LIVE` says what each means")]
pub struct LiveMetrics {
    pub people_prompting: f64,
}
