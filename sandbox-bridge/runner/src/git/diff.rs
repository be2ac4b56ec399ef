//! The session's branch against the point where it left the default branch, as the protocol shows it.
//!
//! Lists come from git with NUL between fields, so that no path has to be unquoted; hunks are read as a stream and dropped beyond
//! the limit. Called by `git`.

use super::command::{Git, GitError};
use super::patch::PatchReader;
use protocol::limit::DIFF_BYTES_MAX;
use protocol::timeline::{FileDiff, FileStatus};
use tokio::io::{AsyncBufReadExt, BufReader};

/// Files listed; a larger change is told by its sums alone.
const FILES_MAX: usize = 2000;
/// The tree without files, for branches that have nothing in common.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
/// A longer line is cut while it is read: no diff view shows it.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Sums over all files, also those not listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) files: u32,
    pub(super) additions: u32,
    pub(super) deletions: u32,
}

/// The diff of `head` against its merge base with the default branch.
pub(super) async fn of_branch(
    git: &Git,
    default_branch: &str,
    head: &str,
) -> Result<(Total, Vec<FileDiff>), GitError> {
    let default = format!("refs/remotes/origin/{default_branch}");
    let base = match git.run(&["merge-base", &default, head]).await {
        Ok(base) => base.trim().to_owned(),
        Err(GitError::Refused { .. }) => EMPTY_TREE.to_owned(),
        Err(error) => return Err(error),
    };
    let list =
        git.run(&["diff-tree", "-r", "-z", "-M", "--raw", "--numstat", "--no-ext-diff", &base, head]).await?;
    let (total, mut entries) = parse_list(&list);
    entries.truncate(FILES_MAX);
    read_hunks(git, &base, head, &mut entries).await?;
    let mut files: Vec<_> = entries.into_iter().map(|entry| entry.file).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((total, files))
}

/// A file, and how many sections the patch has for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) file: FileDiff,
    pub(super) sections: usize,
}

/// Reads `--raw --numstat -z`: first all raw records, then all counts, both in the same order.
pub(super) fn parse_list(list: &str) -> (Total, Vec<Entry>) {
    let mut fields = list.split('\0');
    let mut entries: Vec<Entry> = Vec::new();
    let mut counts = Vec::new();
    while let Some(field) = fields.next() {
        if let Some(raw) = field.strip_prefix(':') {
            entries.extend(parse_raw(raw, &mut fields));
        } else if let Some((additions, deletions, path)) = parse_counts(field) {
            if path.is_empty() {
                // Of a moved file: both paths follow.
                fields.nth(1);
            }
            counts.push((additions, deletions));
        }
    }
    let mut total = Total { files: u32::try_from(entries.len()).unwrap_or(u32::MAX), ..Total::default() };
    for (entry, (additions, deletions)) in entries.iter_mut().zip(counts) {
        entry.file.additions = additions;
        entry.file.deletions = deletions;
        total.additions = total.additions.saturating_add(additions);
        total.deletions = total.deletions.saturating_add(deletions);
    }
    (total, entries)
}

fn parse_raw<'a>(raw: &str, fields: &mut impl Iterator<Item = &'a str>) -> Option<Entry> {
    let letter = raw.rsplit(' ').next()?.chars().next()?;
    let first = fields.next()?.to_owned();
    let (status, path, previous_path) = match letter {
        'A' => (FileStatus::Added, first, None),
        'D' => (FileStatus::Deleted, first, None),
        'R' => (FileStatus::Renamed, fields.next()?.to_owned(), Some(first)),
        _ => (FileStatus::Modified, first, None),
    };
    let file = FileDiff {
        path,
        previous_path,
        status,
        additions: 0,
        deletions: 0,
        hunks: Vec::new(),
        omitted: false,
    };
    // A file that became a link, or the other way round, is shown as removed and added.
    Some(Entry { file, sections: if letter == 'T' { 2 } else { 1 } })
}

/// `12\t3\tpath`; `-` counts are those of a binary file.
fn parse_counts(field: &str) -> Option<(u32, u32, &str)> {
    let mut parts = field.splitn(3, '\t');
    let mut number = || parts.next().map(|part| part.parse().unwrap_or(0));
    let (additions, deletions) = (number()?, number()?);
    Some((additions, deletions, parts.next()?))
}

async fn read_hunks(git: &Git, base: &str, head: &str, entries: &mut [Entry]) -> Result<(), GitError> {
    let arguments =
        ["diff-tree", "-r", "-p", "-M", "--no-ext-diff", "--no-textconv", "--no-color", "-U3", base, head];
    let mut child = git.spawn(&arguments)?;
    let Some(stdout) = child.stdout.take() else { return Ok(()) };
    let mut lines = BufReader::new(stdout);
    let mut reader = PatchReader::new(entries, DIFF_BYTES_MAX);
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = lines.read_until(b'\n', &mut line).await.map_err(GitError::Start)?;
        if length == 0 || reader.is_full() {
            break;
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        line.truncate(LINE_BYTES_MAX);
        reader.read(&String::from_utf8_lossy(&line));
    }
    reader.finish();
    // The output beyond the limit is of no interest; the process ends when its pipe is closed.
    drop(lines);
    child.wait().await.map_err(GitError::Start)?;
    Ok(())
}
