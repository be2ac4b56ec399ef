//! The text that a repository's owners want pull requests to begin with. Where GitHub looks for it: "Creating a pull request template for
//! your repository" of GitHub's documentation.

use crate::error::{Error, parse};
use crate::request::{Request, percent_encode, repository_path};
use crate::value::{list, owned, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::id::RepositoryId;
use serde_json::Value;

/// Folders in which a template may be, in the order in which they count.
pub(crate) const FOLDERS: [&str; 3] = [".github", "", "docs"];
/// Names that a template may have, in lower case.
const NAMES: [&str; 3] = ["pull_request_template.md", "pull_request_template.txt", "pull_request_template"];

/// Where a template is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    path: String,
}

/// Asks for the names in one of [`FOLDERS`]. Answer: [`parse_list`].
pub(crate) fn list_request(repository: &RepositoryId, folder: usize, branch: &str) -> Request {
    contents(repository, FOLDERS.get(folder).copied().unwrap_or_default(), branch)
}

/// Names of the files in a folder.
pub(crate) fn parse_list(status: u16, body: &[u8]) -> Result<Vec<String>, Error> {
    let entries: Value = parse(status, body)?;
    let files = list(&entries, "").iter().filter(|entry| text(entry, "type") == "file");
    Ok(files.map(|file| owned(file, "name")).collect())
}

/// The template among the names of a folder.
pub(crate) fn find_template(folder: usize, names: &[String]) -> Option<Template> {
    let folder = FOLDERS.get(folder)?;
    let wanted =
        NAMES.iter().find_map(|wanted| names.iter().find(|name| name.eq_ignore_ascii_case(wanted)))?;
    let path = if folder.is_empty() { wanted.clone() } else { format!("{folder}/{wanted}") };
    Some(Template { path })
}

/// Asks for its text. Answer: [`parse_file`].
pub(crate) fn file_request(repository: &RepositoryId, template: &Template, branch: &str) -> Request {
    contents(repository, &template.path, branch)
}

/// The text of a file; empty where it is no text.
pub(crate) fn parse_file(status: u16, body: &[u8]) -> Result<String, Error> {
    let file: Value = parse(status, body)?;
    if text(&file, "encoding") != "base64" {
        return Ok(String::new());
    }
    let packed: String = text(&file, "content").split_whitespace().collect();
    let bytes = STANDARD.decode(packed).unwrap_or_default();
    Ok(String::from_utf8(bytes).unwrap_or_default())
}

fn contents(repository: &RepositoryId, path: &str, branch: &str) -> Request {
    let path = path.split('/').map(percent_encode).collect::<Vec<_>>().join("/");
    Request::get(format!("{}/contents/{path}?ref={}", repository_path(repository), percent_encode(branch)))
}
