//! Small web pages behind the links: a repository with its branches, a pull request with its text and diff.
//!
//! Text of others is always escaped; the pages run no script.

use super::{State, lock};
use crate::repository;
use axum::extract::{Path, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use std::sync::Arc;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}\
pre{overflow:auto;padding:1rem;border:1px solid #8886;border-radius:6px;font-size:13px}\
.a{color:#1a7f37}.d{color:#cf222e}.m{opacity:.7}";

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

pub(super) fn document(title: &str, content: &str) -> Response {
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><body>{content}\
         <p class=\"m\">This page is Farhand's local stand-in for the code host. The git repository behind it is real.</p></body></html>",
        title = escape(title),
    );
    let policy = [(header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'")];
    (policy, Html(page)).into_response()
}

fn missing() -> Response {
    let mut response = document("Not found", "<h1>Not found</h1>");
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

fn colour(diff: &str) -> String {
    let lines = diff.lines().map(|line| {
        let escaped = escape(line);
        match line.as_bytes().first() {
            Some(b'+') => format!("<span class=\"a\">{escaped}</span>"),
            Some(b'-') => format!("<span class=\"d\">{escaped}</span>"),
            Some(_) | None => escaped,
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub(crate) async fn pull(
    Shared(state): Shared<Arc<State>>,
    Path((owner, name, number)): Path<(String, String, u64)>,
) -> Response {
    let full_name = format!("{owner}/{name}");
    let Some(pull) = lock(&state.pulls).find(&full_name, number) else { return missing() };
    let directory = repository::directory(&state.root, &owner, &name);
    let range = format!("refs/heads/{}...refs/heads/{}", pull.base, pull.head);
    let diff = repository::git(&state.root, &directory, &["diff", "--stat", "--patch", &range])
        .await
        .unwrap_or_else(|error| error.to_string());
    let content = format!(
        "<p class=\"m\">{repository} · pull request {number}</p><h1>{title}</h1>\
         <p>{author} wants to merge <code>{head}</code> into <code>{base}</code></p><pre>{body}</pre><h2>Changes</h2><pre>{diff}</pre>",
        repository = escape(&full_name),
        number = pull.number,
        title = escape(&pull.title),
        author = escape(&pull.author),
        head = escape(&pull.head),
        base = escape(&pull.base),
        body = escape(&pull.body),
        diff = colour(&diff),
    );
    document(&format!("{} · {full_name}#{number}", pull.title), &content)
}

pub(crate) async fn repository(
    Shared(state): Shared<Arc<State>>,
    Path((owner, folder)): Path<(String, String)>,
) -> Response {
    let name = folder.strip_suffix(".git").unwrap_or(&folder);
    if !repository::is_name(&owner) || !repository::is_name(name) {
        return missing();
    }
    let directory = repository::directory(&state.root, &owner, name);
    if !directory.join("HEAD").is_file() {
        return missing();
    }
    let branches = repository::git(&state.root, &directory, &["branch", "--list", "--verbose"])
        .await
        .unwrap_or_default();
    let full_name = format!("{owner}/{name}");
    let pulls = lock(&state.pulls).of(&full_name);
    let list: String = pulls
        .iter()
        .map(|pull| {
            format!(
                "<li><a href=\"/{full_name}/pull/{0}\">#{0} {1}</a></li>",
                pull.number,
                escape(&pull.title)
            )
        })
        .collect();
    let content = format!(
        "<h1>{title}</h1><h2>Branches</h2><pre>{branches}</pre><h2>Pull requests</h2><ul>{list}</ul>",
        title = escape(&full_name),
        branches = escape(&branches),
    );
    document(&full_name, &content)
}
