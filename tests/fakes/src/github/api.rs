//! Routes of the code host: REST under `/api/v3`, git and pages beside it, with GitHub's own error bodies.

use super::{Recorded, State, Who, app, fault, git_http, oauth, page, pulls, shape};
use crate::repository;
use axum::Json;
use axum::extract::{Path, Query, Request, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
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
        .route("/repos/{owner}/{name}/contents", get(root_contents))
        .route("/repos/{owner}/{name}/contents/", get(root_contents))
        .route("/repos/{owner}/{name}/contents/{*path}", get(contents))
        .route("/repos/{owner}/{name}/installation", get(app::installation))
        .route("/app", get(app::itself))
        .route("/app/installations/{id}/access_tokens", post(app::access_token))
        .route("/repos/{owner}/{name}/pulls", get(pulls::list).post(pulls::open))
        .route("/repos/{owner}/{name}/pulls/{number}", get(pulls::one).patch(pulls::update))
        .route("/repos/{owner}/{name}/pulls/{number}/merge", put(pulls::merge))
        .route("/repos/{owner}/{name}/pulls/{number}/reviews", get(pulls::reviews).post(pulls::add_review))
        .route("/repos/{owner}/{name}/pulls/{number}/comments", post(pulls::add_line_comment))
        .route("/repos/{owner}/{name}/issues/{number}/comments", post(pulls::add_comment))
        .route("/repos/{owner}/{name}/check-runs", post(pulls::add_run))
        .route("/repos/{owner}/{name}/commits/{reference}/check-runs", get(pulls::runs))
        .route("/repos/{owner}/{name}/commits/{reference}/status", get(pulls::status))
        .route("/search/issues", get(pulls::search))
        .merge(oauth::api())
        // A wildcard and no fallback: it must win over the wider routes of git.
        .route("/{*rest}", axum::routing::any(not_found));
    axum::Router::new()
        .nest("/api/v3", api)
        .merge(oauth::pages())
        .route("/{owner}/{name}/pull/{number}", get(page::pull))
        .route("/{owner}/{repository}", get(page::repository))
        .route("/{owner}/{repository}/{*rest}", axum::routing::any(git_http::git))
        .fallback(not_found)
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(&state), fault::strike))
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
    pub(super) fn new(status: StatusCode, message: &str) -> Self {
        let body = json!({
            "message": message,
            "documentation_url": "https://docs.github.com/rest",
            "status": status.as_u16().to_string(),
        });
        Self(status, body)
    }

    pub(super) fn validation(errors: Value) -> Self {
        let mut refused = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Validation Failed");
        if let Some(body) = refused.1.as_object_mut() {
            body.insert("errors".to_owned(), errors);
        }
        refused
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    pub(super) fn internal(error: &dyn std::error::Error) -> Self {
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

pub(super) fn authenticate(state: &State, headers: &HeaderMap) -> Result<Who, Refused> {
    let Some(token) = token(headers) else {
        return Err(Refused::new(StatusCode::UNAUTHORIZED, "Requires authentication"));
    };
    state.who(&token).ok_or_else(|| Refused::new(StatusCode::UNAUTHORIZED, "Bad credentials"))
}

/// Who asks, and the repository's folder, if that token opens it.
pub(super) fn authorize(
    state: &State,
    headers: &HeaderMap,
    owner: &str,
    name: &str,
) -> Result<(Who, PathBuf), Refused> {
    let who = authenticate(state, headers)?;
    let directory = state.visible(&who, owner, name).ok_or_else(Refused::not_found)?;
    Ok((who, directory))
}

async fn user(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Result<Json<Value>, Refused> {
    let Who::Person(account) = authenticate(&state, &headers)? else {
        return Err(Refused::new(StatusCode::FORBIDDEN, "Resource not accessible by integration"));
    };
    Ok(Json(shape::private_user(&state, &account.login, &account.name, &account.email)))
}

/// A repository as its folder says.
pub(super) async fn describe(
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
    Ok(shape::repository(state, owner, name, &branch, description))
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
struct Reference {
    r#ref: Option<String>,
}

async fn root_contents(
    shared: Shared<Arc<State>>,
    headers: HeaderMap,
    Path((owner, name)): Path<(String, String)>,
    reference: Query<Reference>,
) -> Result<Json<Value>, Refused> {
    contents(shared, headers, Path((owner, name, String::new())), reference).await
}

/// A file with its content, or the names in a folder.
async fn contents(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path((owner, name, path)): Path<(String, String, String)>,
    Query(reference): Query<Reference>,
) -> Result<Json<Value>, Refused> {
    let (_, directory) = authorize(&state, &headers, &owner, &name)?;
    let full_name = format!("{owner}/{name}");
    let branch = match reference.r#ref {
        Some(branch) => branch,
        None => repository::default_branch(&state.root, &directory)
            .await
            .map_err(|error| Refused::internal(&error))?,
    };
    let commit = repository::branch_commit(&state.root, &directory, &branch).await;
    let commit = commit.ok_or_else(|| Refused::new(StatusCode::NOT_FOUND, "No commit found for the ref"))?;
    let path = path.trim_matches('/');
    let place = format!("{commit}:{path}");
    let git = async |arguments: &[&str]| repository::git(&state.root, &directory, arguments).await;
    match git(&["cat-file", "-t", &place]).await.as_deref() {
        Ok("blob") => {
            let text = git(&["cat-file", "blob", &place]).await.map_err(|error| Refused::internal(&error))?;
            Ok(Json(shape::content(&state, &full_name, path, "file", Some(text.as_bytes()))))
        }
        Ok("tree") => {
            let listed = git(&["ls-tree", &place]).await.map_err(|error| Refused::internal(&error))?;
            let entry = |line: &str| {
                let (about, name) = line.split_once('\t')?;
                let kind = if about.contains(" tree ") { "dir" } else { "file" };
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
                Some(shape::content(&state, &full_name, &path, kind, None))
            };
            Ok(Json(listed.lines().filter_map(entry).collect()))
        }
        Ok(_) | Err(_) => Err(Refused::not_found()),
    }
}
