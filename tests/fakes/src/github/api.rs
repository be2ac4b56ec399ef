//! Routes of the code host: REST under `/api/v3`, git and pages beside it, with GitHub's own error bodies.

use super::pull::{Pull, clock_ms, iso_time};
use super::{Recorded, State, Who, git_http, lock, page};
use crate::repository;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) fn router(state: Arc<State>) -> axum::Router {
    let api = axum::Router::new()
        .route("/user", get(user))
        .route("/user/repos", get(user_repositories))
        .route("/repos/{owner}/{name}", get(one_repository))
        .route("/repos/{owner}/{name}/branches/{*branch}", get(one_branch))
        .route("/repos/{owner}/{name}/pulls", get(list_pulls).post(open_pull))
        .route("/repos/{owner}/{name}/pulls/{number}", get(one_pull))
        // A wildcard and no fallback: it must win over the wider routes of git.
        .route("/{*rest}", axum::routing::any(not_found));
    axum::Router::new()
        .nest("/api/v3", api)
        .route("/{owner}/{name}/pull/{number}", get(page::pull))
        .route("/{owner}/{repository}", get(page::repository))
        .route("/{owner}/{repository}/{*rest}", axum::routing::any(git_http::git))
        .fallback(not_found)
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(&state), record))
        .with_state(state)
}

async fn record(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let method = request.method().to_string();
    let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    let who = token(request.headers()).and_then(|token| state.who(&token)).map(|who| who.login().to_owned());
    let response = next.run(request).await;
    state.record(Recorded { method, path, who, status: response.status().as_u16() });
    response
}

/// The token of a request: as bearer, or as the password of basic authentication, the way git sends it.
pub(crate) fn token(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(rest.trim()).ok()?;
    let pair = String::from_utf8(decoded).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

/// An answer in GitHub's shape.
pub(crate) struct Refused(StatusCode, Value);

impl Refused {
    fn new(status: StatusCode, message: &str) -> Self {
        let body = json!({
            "message": message,
            "documentation_url": "https://docs.github.com/rest",
            "status": status.as_u16().to_string(),
        });
        Self(status, body)
    }

    fn validation(errors: Value) -> Self {
        let mut refused = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Validation Failed");
        if let Some(body) = refused.1.as_object_mut() {
            body.insert("errors".to_owned(), errors);
        }
        refused
    }

    fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    fn internal(error: &dyn std::error::Error) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, &format!("stand-in: {error}"))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

async fn not_found() -> Response {
    Refused::not_found().into_response()
}

fn authenticate(state: &State, headers: &HeaderMap) -> Result<Who, Refused> {
    let Some(token) = token(headers) else {
        return Err(Refused::new(StatusCode::UNAUTHORIZED, "Requires authentication"));
    };
    state.who(&token).ok_or_else(|| Refused::new(StatusCode::UNAUTHORIZED, "Bad credentials"))
}

fn authorize(state: &State, headers: &HeaderMap, owner: &str, name: &str) -> Result<(Who, PathBuf), Refused> {
    let who = authenticate(state, headers)?;
    let directory = state.visible(&who, owner, name).ok_or_else(Refused::not_found)?;
    Ok((who, directory))
}

fn person(state: &State, login: &str) -> Value {
    let id = state.accounts.iter().position(|account| account.login == login).map_or(0, |index| index + 1);
    json!({"login": login, "id": id, "type": if id == 0 { "Bot" } else { "User" }, "html_url": format!("{}/{login}", state.url)})
}

async fn user(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Result<Json<Value>, Refused> {
    let Who::Person(account) = authenticate(&state, &headers)? else {
        return Err(Refused::new(StatusCode::FORBIDDEN, "Resource not accessible by integration"));
    };
    let mut value = person(&state, &account.login);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("name".to_owned(), json!(account.name));
        fields.insert("email".to_owned(), json!(account.email));
    }
    Ok(Json(value))
}

async fn describe(
    state: &State,
    directory: &std::path::Path,
    owner: &str,
    name: &str,
) -> Result<Value, Refused> {
    let branch = repository::default_branch(&state.root, directory)
        .await
        .map_err(|error| Refused::internal(&error))?;
    let description = std::fs::read_to_string(directory.join("description")).unwrap_or_default();
    let description =
        Some(description.trim()).filter(|text| !text.is_empty() && !text.starts_with("Unnamed"));
    let full_name = format!("{owner}/{name}");
    Ok(json!({
        "name": name,
        "full_name": full_name,
        "owner": person(state, owner),
        "private": true,
        "description": description,
        "default_branch": branch,
        "clone_url": format!("{}/{full_name}.git", state.url),
        "html_url": format!("{}/{full_name}", state.url),
        "url": format!("{}/api/v3/repos/{full_name}", state.url),
        "archived": false,
        "disabled": false,
        "permissions": {"admin": false, "push": true, "pull": true},
    }))
}

#[derive(Deserialize)]
struct Paging {
    page: Option<usize>,
    per_page: Option<usize>,
}

async fn user_repositories(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Query(paging): Query<Paging>,
) -> Result<Json<Vec<Value>>, Refused> {
    let who = authenticate(&state, &headers)?;
    let size = paging.per_page.unwrap_or(30).clamp(1, 100);
    let skip = paging.page.unwrap_or(1).saturating_sub(1) * size;
    let mut all = Vec::new();
    for (owner, name) in state.visible_repositories(&who).into_iter().skip(skip).take(size) {
        let directory = repository::directory(&state.root, &owner, &name);
        all.push(describe(&state, &directory, &owner, &name).await?);
    }
    Ok(Json(all))
}

async fn one_repository(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Json<Value>, Refused> {
    let (_, directory) = authorize(&state, &headers, &owner, &name)?;
    Ok(Json(describe(&state, &directory, &owner, &name).await?))
}

async fn one_branch(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path((owner, name, branch)): Path<(String, String, String)>,
) -> Result<Json<Value>, Refused> {
    let (_, directory) = authorize(&state, &headers, &owner, &name)?;
    match repository::branch_commit(&state.root, &directory, &branch).await {
        Some(commit) => Ok(Json(json!({"name": branch, "commit": {"sha": commit}, "protected": false}))),
        None => Err(Refused::new(StatusCode::NOT_FOUND, "Branch not found")),
    }
}

#[derive(Deserialize)]
struct PullFilter {
    head: Option<String>,
    base: Option<String>,
}

async fn list_pulls(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path((owner, name)): Path<(String, String)>,
    Query(filter): Query<PullFilter>,
) -> Result<Json<Vec<Value>>, Refused> {
    let (_, directory) = authorize(&state, &headers, &owner, &name)?;
    let full_name = format!("{owner}/{name}");
    let wanted =
        filter.head.map(|head| head.split_once(':').map_or(head.clone(), |(_, branch)| branch.to_owned()));
    let pulls = lock(&state.pulls).of(&full_name);
    let mut answer = Vec::new();
    for pull in pulls.iter().rev() {
        if wanted.as_ref().is_none_or(|head| *head == pull.head)
            && filter.base.as_ref().is_none_or(|base| *base == pull.base)
        {
            answer.push(pull_value(&state, &directory, &full_name, pull).await);
        }
    }
    Ok(Json(answer))
}

async fn one_pull(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path((owner, name, number)): Path<(String, String, u64)>,
) -> Result<Json<Value>, Refused> {
    let (_, directory) = authorize(&state, &headers, &owner, &name)?;
    let full_name = format!("{owner}/{name}");
    let pull = lock(&state.pulls).find(&full_name, number).ok_or_else(Refused::not_found)?;
    Ok(Json(pull_value(&state, &directory, &full_name, &pull).await))
}

async fn pull_value(state: &State, directory: &std::path::Path, full_name: &str, pull: &Pull) -> Value {
    let owner = full_name.split('/').next().unwrap_or_default();
    let side = async |branch: &str| {
        let sha = repository::branch_commit(&state.root, directory, branch).await;
        json!({"ref": branch, "label": format!("{owner}:{branch}"), "sha": sha, "repo": {"full_name": full_name}})
    };
    let range = format!("{}..{}", pull.base, pull.head);
    let commits =
        repository::git(&state.root, directory, &["rev-list", "--count", &range]).await.unwrap_or_default();
    json!({
        "number": pull.number,
        "id": pull.number,
        "state": "open",
        "draft": pull.draft,
        "merged": false,
        "title": pull.title,
        "body": pull.body,
        "user": person(state, &pull.author),
        "html_url": format!("{}/{full_name}/pull/{}", state.url, pull.number),
        "url": format!("{}/api/v3/repos/{full_name}/pulls/{}", state.url, pull.number),
        "head": side(&pull.head).await,
        "base": side(&pull.base).await,
        "commits": commits.parse::<u64>().unwrap_or(0),
        "created_at": iso_time(pull.created_at),
    })
}

fn invalid(field: &str, code: &str) -> Refused {
    Refused::validation(json!([{"resource": "PullRequest", "field": field, "code": code}]))
}

fn custom(message: &str) -> Refused {
    Refused::validation(json!([{"resource": "PullRequest", "code": "custom", "message": message}]))
}

async fn open_pull(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path((owner, name)): Path<(String, String)>,
    body: Body,
) -> Result<Response, Refused> {
    let (who, directory) = authorize(&state, &headers, &owner, &name)?;
    let bytes = axum::body::to_bytes(body, 1024 * 1024)
        .await
        .map_err(|_| Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "Request body too large"))?;
    let request: Value = serde_json::from_slice(&bytes)
        .map_err(|_| Refused::new(StatusCode::BAD_REQUEST, "Problems parsing JSON"))?;
    let text = |field: &str| request.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    for field in ["title", "head", "base"] {
        if text(field).trim().is_empty() {
            return Err(invalid(field, "missing_field"));
        }
    }
    let head = text("head");
    let head = head.strip_prefix(&format!("{owner}:")).unwrap_or(&head).to_owned();
    let base = text("base");
    for (field, branch) in [("head", &head), ("base", &base)] {
        if repository::branch_commit(&state.root, &directory, branch).await.is_none() {
            return Err(invalid(field, "invalid"));
        }
    }
    let range = format!("refs/heads/{base}..refs/heads/{head}");
    let commits = repository::git(&state.root, &directory, &["rev-list", "--count", &range])
        .await
        .map_err(|error| Refused::internal(&error))?;
    if commits == "0" {
        return Err(custom(&format!("No commits between {base} and {head}")));
    }
    let full_name = format!("{owner}/{name}");
    let pull = Pull {
        number: 0,
        title: text("title"),
        body: text("body"),
        head: head.clone(),
        base,
        author: who.login().to_owned(),
        draft: request.get("draft").and_then(Value::as_bool).unwrap_or(false),
        created_at: clock_ms(),
    };
    let opened = lock(&state.pulls).open(&full_name, pull).map_err(|error| Refused::internal(&error))?;
    let Some(pull) = opened else {
        return Err(custom(&format!("A pull request already exists for {owner}:{head}.")));
    };
    let value = pull_value(&state, &directory, &full_name, &pull).await;
    Ok((StatusCode::CREATED, Json(value)).into_response())
}
