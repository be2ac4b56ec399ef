//! What a runner says about the end of a turn, made fit to be stored: a runner is not trusted with sizes, names or numbers.

use super::limit::{DIFF_FILES_MAX, DIFF_JSON_BYTES_MAX, LINE_BYTES_MAX, NUMBER_MAX};
use protocol::id::TurnId;
use protocol::timeline::{Change, FileDiff, TurnOutcome, Usage};

/// `turn_ended`, within limits.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TurnReport {
    pub(super) turn_id: TurnId,
    pub(super) attempt: u32,
    pub(super) outcome: TurnOutcome,
    pub(super) change: Option<Change>,
    pub(super) files: Vec<FileDiff>,
    pub(super) usage: Usage,
    pub(super) first_token_ms: Option<u64>,
}

impl TurnReport {
    /// Brings everything within its limit; `branch` is the only branch a session's turn can change.
    pub(super) fn within_limits(mut self, branch: &str) -> Self {
        if let TurnOutcome::Failed { reason } = &mut self.outcome {
            cut(reason, LINE_BYTES_MAX);
        }
        self.change = self.change.filter(|change| is_commit(&change.commit)).map(|mut change| {
            branch.clone_into(&mut change.branch);
            cut(&mut change.subject, LINE_BYTES_MAX);
            change
        });
        self.usage = Usage {
            input_tokens: self.usage.input_tokens.min(NUMBER_MAX),
            output_tokens: self.usage.output_tokens.min(NUMBER_MAX),
            cached_tokens: self.usage.cached_tokens.min(NUMBER_MAX),
            cost_usd: if self.usage.cost_usd.is_finite() { self.usage.cost_usd.max(0.0) } else { 0.0 },
        };
        self.first_token_ms = self.first_token_ms.map(|ms| ms.min(NUMBER_MAX));
        fit_files(&mut self.files);
        self
    }
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Leaves hunks out, last files first, until the diff fits a row.
fn fit_files(files: &mut Vec<FileDiff>) {
    files.truncate(DIFF_FILES_MAX);
    let mut used = 0;
    for file in files {
        cut(&mut file.path, LINE_BYTES_MAX);
        if let Some(path) = &mut file.previous_path {
            cut(path, LINE_BYTES_MAX);
        }
        let bytes = serde_json::to_string(&file.hunks).map_or(usize::MAX, |json| json.len());
        if bytes > DIFF_JSON_BYTES_MAX - used {
            file.hunks.clear();
            file.omitted = true;
        } else {
            used += bytes;
        }
    }
}

/// Shortens a text to at most `bytes_max`, at a character's border.
pub(super) fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
    }
}
