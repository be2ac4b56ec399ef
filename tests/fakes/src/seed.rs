//! Fills the code host: the demo repository `acme/shop`, or somebody's own repository.
//!
//! The demo repository has one test that fails and a prompt that says how to make it pass.

use crate::{FakesError, repository};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// Name of the demo repository.
pub const SHOP: &str = "acme/shop";

/// What the demo asks for when nothing else is asked.
pub const SHOP_PROMPT: &str = "Give the discount of 10 percent again.\n\n\
In `src/price.sh`, replace `/ 1000` with `/ 100`. \
Then add the line `- The discount is ten percent again.` to `CHANGELOG.md` and run `sh test.sh`, which fails so far.";

const SHOP_FILES: &[(&str, &str)] = &[
    ("README.md", include_str!("../seed/shop/README.md")),
    ("CHANGELOG.md", include_str!("../seed/shop/CHANGELOG.md")),
    ("docs/pricing.md", include_str!("../seed/shop/docs/pricing.md")),
    ("src/catalogue.txt", include_str!("../seed/shop/src/catalogue.txt")),
    ("src/checkout.sh", include_str!("../seed/shop/src/checkout.sh")),
    ("src/price.sh", include_str!("../seed/shop/src/price.sh")),
    ("test.sh", include_str!("../seed/shop/test.sh")),
    ("tests/checkout_test.sh", include_str!("../seed/shop/tests/checkout_test.sh")),
    ("tests/price_test.sh", include_str!("../seed/shop/tests/price_test.sh")),
];

/// A repository at the code host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeded {
    /// `owner/name`.
    pub repository: String,
    /// What `HEAD` points to.
    pub default_branch: String,
}

/// Makes `acme/shop` in the hosting folder, unless it is there already.
pub async fn shop(root: &Path) -> Result<Seeded, FakesError> {
    repository::prepare(root)?;
    let seeded = Seeded { repository: SHOP.to_owned(), default_branch: "main".to_owned() };
    let bare = repository::directory(root, "acme", "shop");
    if bare.join("HEAD").is_file() {
        return Ok(seeded);
    }
    let file = |path: &Path, source| FakesError::File { path: path.to_owned(), source };
    let work = root.join("seed-work");
    for (path, content) in SHOP_FILES {
        let path = work.join(path);
        let parent = path.parent().unwrap_or(&work);
        std::fs::create_dir_all(parent).map_err(|source| file(parent, source))?;
        std::fs::write(&path, content).map_err(|source| file(&path, source))?;
    }
    std::fs::create_dir_all(&bare).map_err(|source| file(&bare, source))?;
    repository::git(root, &bare, &["init", "--quiet", "--bare", "--initial-branch", "main"]).await?;
    let bare_text = bare.to_string_lossy().into_owned();
    let folder = format!("--git-dir={bare_text}");
    repository::git(root, &work, &[&folder, "--work-tree=.", "add", "--all"]).await?;
    let identity = ["-c", "user.name=Acme", "-c", "user.email=shop@acme.example"];
    let mut commit = vec![folder.as_str(), "--work-tree=."];
    commit.extend(identity);
    commit.extend(["commit", "--quiet", "--message", "A small shop"]);
    repository::git(root, &work, &commit).await?;
    let description = bare.join("description");
    std::fs::write(&description, "A small shop with a test that fails\n")
        .map_err(|source| file(&description, source))?;
    std::fs::remove_dir_all(&work).map_err(|source| file(&work, source))?;
    Ok(seeded)
}

/// Copies a repository, given as path or URL, to the hosting folder. Only what is committed comes along.
pub async fn import(root: &Path, origin: &str) -> Result<Seeded, FakesError> {
    repository::prepare(root)?;
    let (owner, name) = place(origin);
    let bare = repository::directory(root, &owner, &name);
    if bare.exists() {
        std::fs::remove_dir_all(&bare).map_err(|source| FakesError::File { path: bare.clone(), source })?;
    }
    clone(origin, &bare).await?;
    // The remote's URL may carry a credential of the user's.
    let _ = repository::git(root, &bare, &["config", "--remove-section", "remote.origin"]).await;
    let default_branch = settle_head(root, &bare, origin).await?;
    Ok(Seeded { repository: format!("{owner}/{name}"), default_branch })
}

/// Clones in the user's own environment, so that keys and credential helpers work, but never asks.
async fn clone(origin: &str, bare: &Path) -> Result<(), FakesError> {
    let local = Path::new(origin);
    let source = if local.exists() {
        local.canonicalize().unwrap_or_else(|_| local.to_owned())
    } else {
        PathBuf::from(origin)
    };
    let output = Command::new("git")
        .args(["clone", "--quiet", "--bare", "--no-hardlinks", "--"])
        .arg(source)
        .arg(bare)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(FakesError::GitMissing)?;
    if output.status.success() {
        return Ok(());
    }
    let message = repository::last_lines(&output.stderr);
    let secret = user_information(origin);
    let hide = |text: &str| secret.map_or_else(|| text.to_owned(), |secret| text.replace(secret, "…"));
    Err(FakesError::RepositoryUnreachable { origin: hide(origin), message: hide(&message) })
}

/// Makes `HEAD` name a branch that has a commit, and answers it.
async fn settle_head(root: &Path, bare: &Path, origin: &str) -> Result<String, FakesError> {
    if let Ok(branch) = repository::default_branch(root, bare).await
        && repository::branch_commit(root, bare, &branch).await.is_some()
    {
        return Ok(branch);
    }
    let list =
        repository::git(root, bare, &["for-each-ref", "--format=%(refname:short)", "refs/heads"]).await?;
    let branches: Vec<&str> = list.lines().collect();
    let chosen = ["main", "master"]
        .into_iter()
        .find(|name| branches.contains(name))
        .or_else(|| branches.first().copied());
    let Some(branch) = chosen else {
        return Err(FakesError::RepositoryEmpty { origin: origin.to_owned() });
    };
    repository::git(root, bare, &["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]).await?;
    Ok(branch.to_owned())
}

/// `user:password` of a URL.
fn user_information(origin: &str) -> Option<&str> {
    let (_, rest) = origin.split_once("://")?;
    let authority = rest.split('/').next()?;
    authority.rsplit_once('@').map(|(information, _)| information)
}

/// Owner and name for an imported repository: the last two parts of its URL, or `local` and the folder's name.
fn place(origin: &str) -> (String, String) {
    let local = Path::new(origin);
    let is_local = local.exists();
    let text = if is_local {
        local.canonicalize().unwrap_or_else(|_| local.to_owned()).to_string_lossy().into_owned()
    } else {
        origin.split_once("://").map_or(origin, |(_, rest)| rest).replace(':', "/")
    };
    let mut parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    if parts.last() == Some(&".git") {
        parts.pop();
    }
    let clean = |part: &str| -> String {
        let kept: String = part
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
            .collect();
        kept.trim_start_matches(['-', '.']).chars().take(80).collect()
    };
    let last = parts.pop().unwrap_or_default();
    let name = clean(last.strip_suffix(".git").unwrap_or(last));
    // The first part of a URL is its host, which owns nothing.
    let owner =
        if is_local || parts.len() < 2 { "local".to_owned() } else { clean(parts.pop().unwrap_or_default()) };
    let or = |text: String, default: &str| if text.is_empty() { default.to_owned() } else { text };
    (or(owner, "local"), or(name, "repository"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_imported_repository_gets_a_name() {
        for (origin, owner, name) in [
            ("https://example.test/acme/shop.git", "acme", "shop"),
            ("https://user:secret@example.test/acme/shop", "acme", "shop"),
            ("git@example.test:acme/shop.git", "acme", "shop"),
            ("https://example.test/shop.git", "local", "shop"),
            ("https://example.test/gröup/sub/-odd name.git", "sub", "odd-name"),
        ] {
            assert_eq!(place(origin), (owner.to_owned(), name.to_owned()), "{origin}");
        }
    }

    #[test]
    fn the_secret_of_a_url_is_found() {
        assert_eq!(user_information("https://u:p@h/x"), Some("u:p"));
        assert_eq!(user_information("https://h/x@y"), None);
        assert_eq!(user_information("/a/b@c"), None);
    }
}
