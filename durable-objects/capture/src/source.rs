//! Places in source code: what a page's build calls a file is a piece of a path, seen from wherever the build ran. Where exactly one file
//! of the repository ends in it, the place becomes that file's; otherwise it stays as it is and is said to be unknown or ambiguous.

use crate::{Capture, Node};
use std::collections::BTreeMap;

/// Files that are named for a place that several fit.
const CANDIDATES_SHOWN: usize = 4;
/// A place outside of the repository's folders may match by a path of at least so many parts.
const PARTS_MIN: usize = 2;

/// What became of the places of a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceMatches {
    /// Places that are files of the repository.
    pub matched: usize,
    /// Paths that several files fit.
    pub ambiguous: Vec<Ambiguous>,
    /// Paths that no file fits.
    pub unknown: Vec<String>,
}

/// A path that several files of the repository fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguous {
    /// As the page has it.
    pub path: String,
    /// A few of the files.
    pub files: Vec<String>,
}

impl SourceMatches {
    /// What is to be said about places that are no file's, one line each.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let ambiguous = self.ambiguous.iter().map(|Ambiguous { path, files }| {
            format!("(@{path}: several files of the repository fit, such as {})", files.join(", "))
        });
        let unknown = self.unknown.iter().map(|path| format!("(@{path}: no file of the repository)"));
        ambiguous.chain(unknown)
    }
}

impl Capture {
    /// Whether it has any place in source code.
    #[must_use]
    pub fn has_sources(&self) -> bool {
        fn any(nodes: &[Node]) -> bool {
            nodes.iter().any(|node| node.facts.source.is_some() || any(&node.children))
        }
        any(&self.nodes)
    }

    /// Makes the places those of the repository with these files, where that is possible.
    pub fn match_sources<'a>(&mut self, files: impl IntoIterator<Item = &'a str>) -> SourceMatches {
        // Looking through all files for each place would be slow in a large repository; by their names it is not.
        let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for file in files {
            by_name.entry(file.rsplit('/').next().unwrap_or(file)).or_default().push(file);
        }
        let mut matches = SourceMatches::default();
        match_nodes(&mut self.nodes, &by_name, &mut matches);
        matches
    }
}

fn match_nodes(nodes: &mut [Node], by_name: &BTreeMap<&str, Vec<&str>>, matches: &mut SourceMatches) {
    for node in nodes {
        if let Some(source) = &mut node.facts.source {
            let (path, place) = split(source);
            match find(path, by_name).as_slice() {
                [] => note(&mut matches.unknown, path.to_owned()),
                [file] => {
                    matches.matched += 1;
                    *source = format!("{file}{place}");
                }
                several => {
                    let files =
                        several.iter().take(CANDIDATES_SHOWN).map(|file| (*file).to_owned()).collect();
                    note(&mut matches.ambiguous, Ambiguous { path: path.to_owned(), files });
                }
            }
        }
        match_nodes(&mut node.children, by_name, matches);
    }
}

fn note<T: PartialEq>(list: &mut Vec<T>, one: T) {
    if !list.contains(&one) {
        list.push(one);
    }
}

/// A path, and `:line:column` behind it.
fn split(source: &str) -> (&str, &str) {
    let mut path = source;
    for _ in 0..2 {
        match path.rsplit_once(':') {
            Some((before, digits))
                if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                path = before;
            }
            Some(_) | None => break,
        }
    }
    (path, source.get(path.len()..).unwrap_or_default())
}

/// The files that a path may mean: the very one; else those that end in it; else the longest that it ends in.
fn find<'a>(path: &str, by_name: &BTreeMap<&str, Vec<&'a str>>) -> Vec<&'a str> {
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let path = path.trim_start_matches("./").trim_start_matches('/');
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some(files) = by_name.get(name).filter(|_| !path.split('/').any(|part| part == "node_modules"))
    else {
        return Vec::new();
    };
    if let Some(file) = files.iter().find(|file| **file == path) {
        return vec![file];
    }
    let longer: Vec<&str> = files.iter().copied().filter(|file| ends_in(file, path)).collect();
    if !longer.is_empty() {
        return longer;
    }
    let shorter =
        files.iter().copied().filter(|file| ends_in(path, file) && file.split('/').count() >= PARTS_MIN);
    shorter.max_by_key(|file| file.len()).into_iter().collect()
}

fn ends_in(path: &str, end: &str) -> bool {
    path.strip_suffix(end).is_some_and(|before| before.ends_with('/'))
}
