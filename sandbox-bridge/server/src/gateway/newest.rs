//! The newest commit of a branch, asked of the code host itself: no clone, no sandbox.
//!
//! Reads the list of references of git smart HTTP (gitprotocol-http(5)) up to the branch and no further. Used by image builds.

use super::credential::CredentialError;
use super::upstream::Upstream;
use super::{Gateway, STANDARD};
use axum::http::header::{ACCEPT, AUTHORIZATION};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use base64::Engine;
use protocol::bridge::RepositorySource;
use url::Url;

/// A list that is longer is not read to its end; some repositories have very many references, but branches come first.
const LIST_BYTES_MAX: usize = 64 * 1024 * 1024;
const SERVICE: &str = "git-upload-pack";
/// Length of a packet's own length.
const LENGTH_DIGITS: usize = 4;

/// Why the commit is not known.
#[derive(Debug, thiserror::Error)]
pub enum NewestError {
    /// The bridge has nothing that opens the code host.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// It did not answer; later it may.
    #[error("the code host cannot be reached: {0}")]
    Unreachable(String),
    /// It said no.
    #[error(
        "the code host refused {repository} ({status}); check that it exists and that the bridge's token may read it"
    )]
    Refused {
        /// What was asked for.
        repository: String,
        /// What it said.
        status: StatusCode,
    },
    /// There is nothing to build.
    #[error(
        "{repository} has no branch {branch}; push a first commit to it, or set the right default branch"
    )]
    NoBranch {
        /// What was asked for.
        repository: String,
        /// Its default branch.
        branch: String,
    },
    /// It is no code host.
    #[error("the code host's answer is not a list of references: {0}")]
    Answer(&'static str),
}

impl Gateway {
    /// The newest commit of the repository's default branch.
    pub async fn newest_commit(&self, source: &RepositorySource) -> Result<String, NewestError> {
        let secret = self.credentials.token(source).await?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let basic = STANDARD.encode(format!("x-access-token:{}", secret.reveal()));
        let mut authorization = HeaderValue::from_str(&format!("Basic {basic}"))
            .map_err(|_| NewestError::Unreachable("the bridge's credential is not usable".to_owned()))?;
        authorization.set_sensitive(true);
        headers.insert(AUTHORIZATION, authorization);
        read_newest(&self.upstream, source, headers).await
    }
}

async fn read_newest(
    upstream: &Upstream,
    source: &RepositorySource,
    headers: HeaderMap,
) -> Result<String, NewestError> {
    let unreachable = |error: reqwest::Error| NewestError::Unreachable(error.without_url().to_string());
    let url = format!("{}/info/refs?service={SERVICE}", source.clone_url.trim_end_matches('/'));
    let url = Url::parse(&url).map_err(|_| CredentialError::CloneUrl(source.id.to_string()))?;
    let mut response =
        upstream.send(Method::GET, url, headers, reqwest::Body::default()).await.map_err(unreachable)?;
    let status = response.status();
    if status.is_server_error() {
        return Err(NewestError::Unreachable(status.to_string()));
    }
    if !status.is_success() {
        return Err(NewestError::Refused { repository: source.id.to_string(), status });
    }
    let mut list = RefList::new(&source.default_branch);
    let mut total = 0;
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        total += chunk.len();
        if let Some(commit) = list.read(&chunk)? {
            return Ok(commit);
        }
        if total > LIST_BYTES_MAX {
            return Err(NewestError::Answer("it does not end"));
        }
    }
    Err(NewestError::NoBranch { repository: source.id.to_string(), branch: source.default_branch.clone() })
}

/// Finds one branch in a list of references that comes in pieces.
struct RefList {
    wanted: String,
    buffer: Vec<u8>,
    is_begun: bool,
}

impl RefList {
    fn new(branch: &str) -> Self {
        Self { wanted: format!("refs/heads/{branch}"), buffer: Vec::new(), is_begun: false }
    }

    /// Takes a piece in; answers the branch's commit once it was there.
    fn read(&mut self, piece: &[u8]) -> Result<Option<String>, NewestError> {
        self.buffer.extend_from_slice(piece);
        let mut at = 0;
        let mut found = None;
        while let Some(packet) = packet(self.buffer.get(at..).unwrap_or_default())? {
            at += packet.map_or(LENGTH_DIGITS, |content| content.len() + LENGTH_DIGITS);
            let Some(content) = packet else { continue };
            if !self.is_begun {
                if !content.starts_with(b"# service=git-upload-pack") {
                    return Err(NewestError::Answer("it does not begin as one"));
                }
                self.is_begun = true;
                continue;
            }
            found = self.commit(content);
            if found.is_some() {
                break;
            }
        }
        self.buffer.drain(..at);
        Ok(found)
    }

    /// `<commit> <name>`, the first with capabilities behind a NUL.
    fn commit(&self, content: &[u8]) -> Option<String> {
        let line = content.split(|byte| matches!(byte, 0 | b'\n')).next()?;
        let (commit, name) = std::str::from_utf8(line).ok()?.split_once(' ')?;
        let is_commit =
            matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_commit && name == self.wanted).then(|| commit.to_owned())
    }
}

/// The first packet: `Some(None)` is one without content; `None` is not whole yet.
fn packet(bytes: &[u8]) -> Result<Option<Option<&[u8]>>, NewestError> {
    let Some(digits) = bytes.get(..LENGTH_DIGITS) else { return Ok(None) };
    let length = std::str::from_utf8(digits).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
    match length.ok_or(NewestError::Answer("a packet has no length"))? {
        0..LENGTH_DIGITS => Ok(Some(None)),
        length => Ok(bytes.get(LENGTH_DIGITS..length).map(Some)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn list() -> Vec<u8> {
        let packet = |text: String| format!("{:04x}{text}", text.len() + 4);
        let packets = [
            packet("# service=git-upload-pack\n".to_owned()),
            "0000".to_owned(),
            packet(format!("{A} HEAD\0symref=HEAD:refs/heads/main\n")),
            packet(format!("{A} refs/heads/main-2\n")),
            packet(format!("{B} refs/heads/main\n")),
            "0000".to_owned(),
        ];
        packets.concat().into_bytes()
    }

    #[test]
    fn the_branch_is_found_however_the_list_is_cut() {
        for size in 1..list().len() {
            let mut refs = RefList::new("main");
            let mut pieces = list().chunks(size).map(|piece| refs.read(piece).unwrap()).collect::<Vec<_>>();
            pieces.retain(Option::is_some);
            assert_eq!(pieces.first(), Some(&Some(B.to_owned())), "pieces of {size}");
        }
        assert_eq!(RefList::new("other").read(&list()).unwrap(), None);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["<html>", "zzzz", "000cwhatever"] {
            assert!(RefList::new("main").read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
