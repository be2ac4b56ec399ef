//! What a message names: `owner/name`, a link to the code host, or a repository's bare name where it is clearly meant as one.

use super::Candidate;
use protocol::id::RepositoryId;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// This one.
    One(RepositoryId),
    /// More than one.
    Several,
    /// One that the user may not work on.
    Stranger(String),
    /// Nothing.
    None,
}

/// Words before a bare name that make it one.
const BEFORE: &[&str] = &["in", "on", "to", "for", "repo", "repository", "project"];
/// Words behind it.
const BEHIND: &[&str] = &["repo", "repository", "project"];

/// Looks for names in a text. A thread or a description is never asked.
pub(super) fn find(text: &str, candidates: &[Candidate]) -> Named {
    let mut found: Vec<RepositoryId> = Vec::new();
    let mut stranger = None;
    let words: Vec<&str> = text.split_whitespace().collect();
    for (place, word) in words.iter().enumerate() {
        if let Some(path) = link_path(word) {
            match candidates.iter().find(|candidate| candidate.id.as_str().eq_ignore_ascii_case(&path)) {
                Some(candidate) => found.push(candidate.id.clone()),
                None => stranger = stranger.or(Some(path)),
            }
            continue;
        }
        let quoted = word.contains('`');
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let neighbour = |step: Option<usize>| {
            step.and_then(|place| words.get(place))
                .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase())
        };
        let is_meant = quoted
            || neighbour(place.checked_sub(1)).is_some_and(|word| BEFORE.contains(&word.as_str()))
            || neighbour(Some(place + 1)).is_some_and(|word| BEHIND.contains(&word.as_str()));
        let fits = |candidate: &&Candidate| {
            let id = candidate.id.as_str();
            let name = id.split_once('/').map_or(id, |(_, name)| name);
            id.eq_ignore_ascii_case(bare) || (is_meant && name.eq_ignore_ascii_case(bare))
        };
        found.extend(candidates.iter().filter(fits).map(|candidate| candidate.id.clone()));
    }
    found.sort();
    found.dedup();
    match (found.as_slice(), stranger) {
        ([one], None) => Named::One(one.clone()),
        ([], Some(stranger)) => Named::Stranger(stranger),
        ([], None) => Named::None,
        (_, _) => Named::Several,
    }
}

/// `owner/name` of a link to the code host. Others lead elsewhere and name nothing.
fn link_path(word: &str) -> Option<String> {
    let (_, address) = word.split_once("://")?;
    let mut parts = address.trim_end_matches([')', '.', ',', '>', ';', '`', '"']).split(['/', '?', '#']);
    let host = parts.next()?.to_ascii_lowercase();
    if !host.starts_with("github.") {
        return None;
    }
    let path = format!("{}/{}", parts.next()?, parts.next()?.trim_end_matches(".git"));
    RepositoryId::parse(&path).ok().map(|id| id.as_str().to_owned())
}
