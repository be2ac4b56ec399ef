//! Pull requests: kept in one JSON file beside the repositories, numbered per repository.

use crate::FakesError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// One pull request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// From 1, per repository.
    pub number: u64,
    /// Its headline.
    pub title: String,
    /// Markdown.
    pub body: String,
    /// Branch with the change.
    pub head: String,
    /// Branch that it shall go to.
    pub base: String,
    /// Login of the token's owner.
    pub author: String,
    /// Whether it was opened as a draft.
    pub draft: bool,
    /// Unix milliseconds.
    pub created_at: u64,
    /// When it was last changed, Unix milliseconds.
    #[serde(default)]
    pub updated_at: u64,
    /// When it was closed, merged or not.
    #[serde(default)]
    pub closed_at: Option<u64>,
    /// When it was merged.
    #[serde(default)]
    pub merged_at: Option<u64>,
    /// Reviews of it, oldest first.
    #[serde(default)]
    pub reviews: Vec<Said>,
    /// Comments on it and on its lines, oldest first.
    #[serde(default)]
    pub comments: Vec<Said>,
}

/// What somebody said about a pull request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Unique at this code host.
    pub id: u64,
    /// Login.
    pub author: String,
    /// Markdown.
    pub body: String,
    /// `APPROVED` and its kin; empty for a comment.
    pub verdict: String,
    /// Of a comment on a line.
    pub path: Option<String>,
    /// Of a comment on a line.
    pub line: Option<u64>,
    /// About which commit.
    pub commit: String,
    /// Unix milliseconds.
    pub at: u64,
}

/// One check run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Unique at this code host.
    pub id: u64,
    /// As it is shown.
    pub name: String,
    /// Of which commit.
    pub head_sha: String,
    /// On which branch that is.
    pub branch: String,
    /// `queued`, `in_progress`, `completed`.
    pub status: String,
    /// Of a completed one.
    pub conclusion: Option<String>,
    /// Of which pull requests.
    pub pulls: Vec<u64>,
    /// Unix milliseconds.
    pub at: u64,
}

/// All pull requests of all repositories.
#[derive(Debug, Default)]
pub(crate) struct Pulls {
    file: PathBuf,
    by_repository: BTreeMap<String, Vec<Pull>>,
}

impl Pulls {
    pub(crate) fn load(root: &Path) -> Result<Self, FakesError> {
        let file = root.join("pulls.json");
        let by_repository = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(FakesError::File { path: file, source }),
        };
        Ok(Self { file, by_repository })
    }

    pub(crate) fn of(&self, repository: &str) -> Vec<Pull> {
        self.by_repository.get(repository).cloned().unwrap_or_default()
    }

    pub(crate) fn find(&self, repository: &str, number: u64) -> Option<Pull> {
        self.by_repository.get(repository)?.iter().find(|pull| pull.number == number).cloned()
    }

    /// Gives the pull request its number and keeps it, unless the same branches have one: then `None`.
    pub(crate) fn open(&mut self, repository: &str, mut pull: Pull) -> Result<Option<Pull>, FakesError> {
        let pulls = self.by_repository.entry(repository.to_owned()).or_default();
        let is_same = |other: &Pull| other.head == pull.head && other.base == pull.base;
        if pulls.iter().any(|other| is_same(other) && other.closed_at.is_none()) {
            return Ok(None);
        }
        pull.number = pulls.len() as u64 + 1;
        pulls.push(pull.clone());
        self.save()?;
        Ok(Some(pull))
    }

    /// Changes a pull request; `None` where there is none.
    pub(crate) fn change(
        &mut self,
        repository: &str,
        number: u64,
        change: impl FnOnce(&mut Pull),
    ) -> Result<Option<Pull>, FakesError> {
        let mut pulls = self.by_repository.get_mut(repository).into_iter().flatten();
        let Some(pull) = pulls.find(|pull| pull.number == number) else { return Ok(None) };
        change(pull);
        // Of two changes in the same second the later one is later, as it is at the code host after all.
        pull.updated_at = clock_ms().max(pull.updated_at + 1000);
        let changed = pull.clone();
        self.save()?;
        Ok(Some(changed))
    }

    fn save(&self) -> Result<(), FakesError> {
        let text = serde_json::to_vec_pretty(&self.by_repository).unwrap_or_default();
        std::fs::write(&self.file, text)
            .map_err(|source| FakesError::File { path: self.file.clone(), source })
    }
}

/// Unix milliseconds.
pub(crate) fn clock_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// `2026-11-20T12:00:00Z`, as GitHub writes times.
pub(crate) fn iso_time(ms: u64) -> String {
    let seconds = ms / 1000;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    // Days to a civil date: counts from 1 March of year 0, so that the leap day ends a year.
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::iso_time;

    #[test]
    fn times_are_written_as_dates() {
        assert_eq!(iso_time(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso_time(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(iso_time(1_795_211_318_922), "2026-11-20T21:48:38Z");
    }
}
