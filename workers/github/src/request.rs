//! Requests as values, and the one place that knows which headers GitHub's REST API wants.

use protocol::id::RepositoryId;

/// Version of the REST API that the parsers of this crate read.
const API_VERSION: &str = "2022-11-28";
/// GitHub refuses requests without a user agent.
pub(crate) const USER_AGENT: &str = "farhand";

/// What to do with the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read it.
    Get,
    /// Change it.
    Patch,
    /// Make a new one.
    Post,
}

impl Method {
    /// In capitals, as in HTTP.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Patch => "PATCH",
            Self::Post => "POST",
        }
    }
}

/// One request to the API, without base URL and without credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub method: Method,
    /// From the API's root, with query; starts with `/`.
    pub path: String,
    /// JSON, where there is a body.
    pub body: Option<String>,
}

impl Request {
    /// The whole URL at an API whose root is `api_url`, with or without a slash at its end.
    #[must_use]
    pub fn url(&self, api_url: &str) -> String {
        format!("{}{}", api_url.trim_end_matches('/'), self.path)
    }

    pub(crate) fn get(path: String) -> Self {
        Self { method: Method::Get, path, body: None }
    }
}

/// Headers of every request to the API in the name of whoever `token` belongs to.
#[must_use]
pub fn headers(token: &str) -> [(&'static str, String); 5] {
    [
        ("accept", "application/vnd.github+json".to_owned()),
        ("authorization", format!("Bearer {token}")),
        ("content-type", "application/json".to_owned()),
        ("user-agent", USER_AGENT.to_owned()),
        ("x-github-api-version", API_VERSION.to_owned()),
    ]
}

/// Path of a repository in the API; ids contain nothing that must be escaped in a path.
pub(crate) fn repository_path(repository: &RepositoryId) -> String {
    format!("/repos/{}/{}", repository.owner(), repository.name())
}

/// A value of a query: everything but unreserved characters as `%XX`.
pub fn percent_encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_url_may_end_in_a_slash() {
        let request = Request::get("/user/repos".to_owned());
        for base in ["https://code.example/api/v3", "https://code.example/api/v3/"] {
            assert_eq!(request.url(base), "https://code.example/api/v3/user/repos");
        }
    }

    #[test]
    fn a_query_value_cannot_end_its_parameter() {
        assert_eq!(percent_encode("acme:farhand/a&b=ü"), "acme%3Afarhand%2Fa%26b%3D%C3%BC");
    }
}
