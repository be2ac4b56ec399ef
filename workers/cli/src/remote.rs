//! Which repository the current folder is a clone of, as its remote `origin` says.

use crate::Error;
use protocol::id::RepositoryId;
use std::process::Command;

/// Asks git.
pub(crate) fn repository_here() -> Result<RepositoryId, Error> {
    let unknown =
        |why: &str| Error::Local(format!("{why}; name the repository with --repository owner/name"));
    let output = Command::new("git").args(["remote", "get-url", "origin"]).output();
    let output = output.map_err(|error| unknown(&format!("git cannot be asked for the remote: {error}")))?;
    if !output.status.success() {
        return Err(unknown("the current folder is no clone with a remote origin"));
    }
    let remote = String::from_utf8_lossy(&output.stdout);
    // What stands before the host may be a password.
    parse(&remote).ok_or_else(|| unknown("the remote origin is of no repository owner/name"))
}

/// The last two parts of a remote's path, in each of git's forms
/// (<https://git-scm.com/docs/git-clone#_git_urls>).
fn parse(remote: &str) -> Option<RepositoryId> {
    let remote = remote.trim();
    let path = match remote.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        None => remote.split_once(':').filter(|(host, _)| !host.contains('/'))?.1,
    };
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let mut parts = path.rsplit('/');
    let (name, owner) = (parts.next()?, parts.next()?);
    RepositoryId::parse(&format!("{owner}/{name}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_of_every_form_name_their_repository() {
        for (remote, expected) in [
            ("git@github.com:acme/shop.git\n", Some("acme/shop")),
            ("https://github.com/acme/shop", Some("acme/shop")),
            ("https://x-access-token:secret@github.com/acme/shop.js.git/", Some("acme/shop.js")),
            ("ssh://git@github.com:22/acme/shop.git", Some("acme/shop")),
            ("http://127.0.0.1:4000/git/acme/shop.git", Some("acme/shop")),
            ("/srv/git/acme/shop.git", None),
            ("../shop", None),
            ("", None),
            ("https://github.com/shop", None),
        ] {
            let found = parse(remote);
            assert_eq!(found.as_ref().map(RepositoryId::as_str), expected, "{remote}");
        }
    }
}
