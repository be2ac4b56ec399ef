//! The result of a demo: one JSON object for programs, a few lines for people.

use serde::Serialize;

/// What other tools read; fields are only ever added.
///
/// `prompt_to_agent_ms` is from the moment the session accepted the prompt to the moment the runner had the turn: the runner's time of
/// the first words minus its own measure of how long they took. A cold run contains the sandbox's boot. `time_to_first_token_ms` is from
/// the same start to the moment the session recorded the first words.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Report {
    pub(crate) session_id: Option<String>,
    /// `completed`, `nothing_changed`, `stopped` or `failed`.
    pub(crate) outcome: String,
    pub(crate) commit: Option<String>,
    pub(crate) files_changed: u32,
    pub(crate) branch: Option<String>,
    pub(crate) pull_request: Option<PullRequest>,
    pub(crate) commit_author: Option<String>,
    pub(crate) snapshot_id: Option<String>,
    pub(crate) events: u64,
    pub(crate) prompt_to_agent_ms: Option<u64>,
    pub(crate) time_to_first_token_ms: Option<u64>,
    pub(crate) duration_ms: u64,
    pub(crate) agent: String,
    pub(crate) agent_version: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) sandbox: Option<Sandbox>,
    pub(crate) repository: Option<String>,
    pub(crate) error: Option<String>,
}

/// The pull request as the code host has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PullRequest {
    pub(crate) number: u64,
    pub(crate) url: String,
    pub(crate) author: String,
    pub(crate) title: String,
}

/// Where the agent worked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Sandbox {
    pub(crate) provider: String,
    pub(crate) isolation: String,
}

impl Report {
    /// Of a demo that did not come to a session's end.
    pub(crate) fn failed(error: &str) -> Self {
        Self { outcome: "failed".to_owned(), error: Some(error.to_owned()), ..Self::default() }
    }

    /// Why this is not what a demo promises; `None` when it is.
    pub(crate) fn shortfall(&self) -> Option<String> {
        let error = self.error.clone().unwrap_or_default();
        match self.outcome.as_str() {
            "completed" if self.pull_request.is_none() => Some(format!("the commit is pushed, but no pull request was opened. {error}")),
            "completed" if self.snapshot_id.is_none() => Some(format!("the sandbox was not saved. {error}")),
            "completed" => None,
            "nothing_changed" => Some(
                "the turn ended well, but the agent changed nothing, so there is no commit and no pull request".to_owned(),
            ),
            other => Some(format!("the turn {other}. {error}")),
        }
    }

    /// For people.
    pub(crate) fn summary(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| text.push_str(&format!("{name:<14}{value}\n"));
        let seconds = |ms: u64| format!("{}.{:01} s", ms / 1000, ms % 1000 / 100);
        line("outcome", self.outcome.clone());
        if let (Some(commit), Some(author), Some(branch)) = (&self.commit, &self.commit_author, &self.branch)
        {
            line("commit", {
                let files = if self.files_changed == 1 { "file" } else { "files" };
                format!("{commit:.12} by {author}, {} {files} changed", self.files_changed)
            });
            line("branch", branch.clone());
        }
        if let Some(pull) = &self.pull_request {
            line("pull request", format!("#{} by {}: {}", pull.number, pull.author, pull.title));
        }
        if let Some(snapshot) = &self.snapshot_id {
            line("snapshot", snapshot.clone());
        }
        if let Some(sandbox) = &self.sandbox {
            line("sandbox", format!("{}, {}", sandbox.provider, sandbox.isolation));
        }
        let agent = self.agent_version.clone().unwrap_or_else(|| self.agent.clone());
        line("agent", format!("{agent} with {}", self.model.clone().unwrap_or_default()));
        let first = self
            .time_to_first_token_ms
            .map_or_else(String::new, |ms| format!(", first words after {}", seconds(ms)));
        line("time", format!("{}{first}, {} events", seconds(self.duration_ms), self.events));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed() -> Report {
        Report {
            session_id: Some("ses_1".into()),
            outcome: "completed".into(),
            commit: Some("0123456789abcdef".into()),
            files_changed: 2,
            branch: Some("farhand/x".into()),
            pull_request: Some(PullRequest {
                number: 1,
                url: "http://h/1".into(),
                author: "ada".into(),
                title: "T".into(),
            }),
            commit_author: Some("Ada <a@b>".into()),
            snapshot_id: Some("snp_1".into()),
            events: 40,
            prompt_to_agent_ms: Some(900),
            time_to_first_token_ms: Some(1500),
            duration_ms: 4200,
            agent: "opencode".into(),
            model: Some("demo/demo-1".into()),
            sandbox: Some(Sandbox { provider: "local".into(), isolation: "namespaces".into() }),
            ..Report::default()
        }
    }

    #[test]
    fn the_json_object_has_every_agreed_key() {
        let value = serde_json::to_value(completed()).unwrap();
        for key in [
            "session_id",
            "outcome",
            "commit",
            "files_changed",
            "branch",
            "commit_author",
            "snapshot_id",
            "events",
            "prompt_to_agent_ms",
            "time_to_first_token_ms",
            "duration_ms",
            "agent",
            "model",
        ] {
            assert!(!value[key].is_null(), "{key}");
        }
        for key in ["number", "url", "author"] {
            assert!(!value["pull_request"][key].is_null(), "{key}");
        }
        assert_eq!(value["sandbox"], serde_json::json!({"provider": "local", "isolation": "namespaces"}));
        let keys = value.as_object().unwrap().len();
        assert_eq!(serde_json::to_value(Report::failed("x")).unwrap().as_object().unwrap().len(), keys);
    }

    #[test]
    fn only_a_commit_with_a_pull_request_and_a_snapshot_is_enough() {
        assert_eq!(completed().shortfall(), None);
        assert!(
            Report { pull_request: None, ..completed() }.shortfall().unwrap().contains("no pull request")
        );
        assert!(Report { snapshot_id: None, ..completed() }.shortfall().unwrap().contains("not saved"));
        for outcome in ["nothing_changed", "stopped", "failed"] {
            assert!(Report { outcome: outcome.into(), ..completed() }.shortfall().is_some(), "{outcome}");
        }
        assert!(completed().summary().contains("Ada <a@b>, 2 files changed"));
    }
}
