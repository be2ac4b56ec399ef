//! Repositories at the code host: look one up, list a user's, and ask git itself whether it can be cloned.

use crate::error::{Error, parse};
use crate::request::{Request, USER_AGENT, repository_path};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::id::RepositoryId;
use serde::Deserialize;

protocol::objects!(read: Wire, WirePermissions);

/// A repository as the code host describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// `owner/name`, spelled as the code host does.
    pub id: RepositoryId,
    /// Empty where there is none.
    pub description: String,
    /// Branches start here and pull requests go here.
    pub default_branch: String,
    /// `https://…/owner/name.git`.
    pub clone_url: String,
    /// Whether the user who asked may push; `true` where the code host does not say.
    pub can_push: bool,
    /// Whether it is read-only for everybody.
    pub archived: bool,
}

#[derive(Deserialize)]
#[serde(remote = "Self")]
struct Wire {
    full_name: String,
    #[serde(default)]
    description: Option<String>,
    default_branch: String,
    clone_url: String,
    #[serde(default)]
    archived: bool,
    #[serde(default)]
    permissions: Option<WirePermissions>,
}

#[derive(Deserialize)]
#[serde(remote = "Self")]
struct WirePermissions {
    #[serde(default)]
    push: bool,
}

impl Wire {
    fn read(self) -> Option<Repository> {
        Some(Repository {
            id: RepositoryId::parse(&self.full_name).ok()?,
            description: self.description.unwrap_or_default(),
            default_branch: self.default_branch,
            clone_url: self.clone_url,
            can_push: self.permissions.is_none_or(|permissions| permissions.push),
            archived: self.archived,
        })
    }
}

/// Asks for one repository. Answer: [`parse_repository`].
#[must_use]
pub fn get_request(repository: &RepositoryId) -> Request {
    Request::get(repository_path(repository))
}

/// Reads the answer to [`get_request`].
pub fn parse_repository(status: u16, body: &[u8]) -> Result<Repository, Error> {
    let wire: Wire = parse(status, body)?;
    let name = wire.full_name.clone();
    wire.read().ok_or_else(|| Error::Unavailable { reason: format!("it names the repository {name:?}") })
}

/// Repositories on one page of [`list_request`]; a shorter page is the last one.
pub const PAGE_LENGTH: usize = 100;

/// Asks for the repositories that the user may work on, by name, page 1 first. Answer: [`parse_list`].
#[must_use]
pub fn list_request(page: u32) -> Request {
    Request::get(format!("/user/repos?sort=full_name&per_page={PAGE_LENGTH}&page={page}"))
}

/// One page of a user's repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryPage {
    /// Those that can be worked on: neither archived nor read-only for this user.
    pub repositories: Vec<Repository>,
    /// Whether there may be another page.
    pub is_last: bool,
}

/// Reads the answer to [`list_request`].
pub fn parse_list(status: u16, body: &[u8]) -> Result<RepositoryPage, Error> {
    let wires: Vec<Wire> = parse(status, body)?;
    let is_last = wires.len() < PAGE_LENGTH;
    let repositories = wires
        .into_iter()
        .filter_map(Wire::read)
        .filter(|repository| repository.can_push && !repository.archived)
        .collect();
    Ok(RepositoryPage { repositories, is_last })
}

/// A `GET` that git itself would begin a clone with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitProbe {
    /// Where.
    pub url: String,
    /// With what.
    pub headers: [(&'static str, String); 3],
}

/// Asks whether git answers at `clone_url` to the owner of `token`. Answer: [`is_git_answer`].
#[must_use]
pub fn git_probe(clone_url: &str, token: &str) -> GitProbe {
    let credential = STANDARD.encode(format!("x-access-token:{token}"));
    GitProbe {
        url: format!("{}/info/refs?service=git-upload-pack", clone_url.trim_end_matches('/')),
        headers: [
            ("authorization", format!("Basic {credential}")),
            // Protocol 2 answers with its capabilities only; older ones list every ref of the repository.
            ("git-protocol", "version=2".to_owned()),
            ("user-agent", format!("git/2 ({USER_AGENT})")),
        ],
    }
}

/// Bytes of the answer to a [`GitProbe`] that [`is_git_answer`] needs.
pub const GIT_ANSWER_BYTES: usize = GIT_ANSWER.len();
const GIT_ANSWER: &[u8] = b"001e# service=git-upload-pack\n";
/// What `git http-backend` answers at once in protocol 2, without the line above (gitprotocol-v2, "HTTP Transport").
const GIT_ANSWER_BARE: &[u8] = b"000eversion 2\n";

/// Whether the answer to a [`GitProbe`] came from a git server that lets this user in.
#[must_use]
pub fn is_git_answer(status: u16, start_of_body: &[u8]) -> bool {
    status == 200 && (start_of_body.starts_with(GIT_ANSWER) || start_of_body.starts_with(GIT_ANSWER_BARE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    const SHOP: &str = r#"{"id":7,"full_name":"Acme/shop","description":null,"default_branch":"main","private":true,
        "clone_url":"https://code.example/Acme/shop.git","permissions":{"admin":false,"push":true,"pull":true}}"#;

    #[test]
    fn a_repository_is_asked_for_and_read() {
        let id = RepositoryId::parse("acme/shop").unwrap();
        assert_eq!(
            get_request(&id),
            Request { method: crate::Method::Get, path: "/repos/acme/shop".into(), body: None }
        );
        expect![[r#"
            Repository {
                id: RepositoryId(
                    "Acme/shop",
                ),
                description: "",
                default_branch: "main",
                clone_url: "https://code.example/Acme/shop.git",
                can_push: true,
                archived: false,
            }
        "#]]
        .assert_debug_eq(&parse_repository(200, SHOP.as_bytes()).unwrap());
        assert!(parse_repository(404, br#"{"message":"Not Found"}"#).unwrap_err().is_not_found());
        assert!(parse_repository(401, br#"{"message":"Bad credentials"}"#).unwrap_err().is_unauthorized());
        let odd = SHOP.replace("Acme/shop\"", "../x\"");
        assert!(matches!(parse_repository(200, odd.as_bytes()), Err(Error::Unavailable { .. })));
    }

    #[test]
    fn a_list_leaves_out_what_cannot_be_worked_on() {
        let read_only = SHOP.replace("\"push\":true", "\"push\":false");
        let archived = SHOP.replace("\"private\":true", "\"archived\":true");
        let page = parse_list(200, format!("[{SHOP},{read_only},{archived}]").as_bytes()).unwrap();
        assert_eq!((page.repositories.len(), page.is_last), (1, true));
        let full = vec![SHOP; PAGE_LENGTH].join(",");
        let page = parse_list(200, format!("[{full}]").as_bytes()).unwrap();
        assert_eq!((page.repositories.len(), page.is_last), (PAGE_LENGTH, false));
    }

    #[test]
    fn only_gits_own_answer_counts() {
        let probe = git_probe("https://code.example/acme/shop.git", "t0ken");
        assert_eq!(probe.url, "https://code.example/acme/shop.git/info/refs?service=git-upload-pack");
        assert_eq!(probe.headers[0], ("authorization", "Basic eC1hY2Nlc3MtdG9rZW46dDBrZW4=".to_owned()));
        assert!(is_git_answer(200, b"001e# service=git-upload-pack\n0000000eversion 2\n"));
        assert!(is_git_answer(200, b"000eversion 2\nagent=git/2.47.3\n"));
        assert!(!is_git_answer(200, b"<html>sign in</html>"));
        assert!(!is_git_answer(401, b"001e# service=git-upload-pack\n"));
    }
}
