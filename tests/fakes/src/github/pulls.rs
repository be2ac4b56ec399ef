//! Routes of pull requests, what is said about them, and checks of their commits. Each change is told by webhook.

use super::api::{Refused, authorize, describe};
use super::pull::{Pull, Run, Said, clock_ms, iso_time};
use super::shape::{self, Branches};
use super::{State, Who, lock};
use crate::repository;
use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path as FilePath;
use std::sync::Arc;

type Shape = Result<Json<Value>, Refused>;
type Made = Result<(StatusCode, Json<Value>), Refused>;
type Place = Path<(String, String, u64)>;

#[derive(Deserialize)]
pub(super) struct PullFilter {
    head: Option<String>,
    base: Option<String>,
    state: Option<String>,
}

fn text(body: &Value, field: &str) -> String {
    body.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn invalid(field: &str, code: &str) -> Refused {
    Refused::validation(json!([{"resource": "PullRequest", "field": field, "code": code}]))
}

fn custom(message: &str) -> Refused {
    Refused::validation(json!([{"resource": "PullRequest", "code": "custom", "message": message}]))
}

async fn branches(
    state: &State,
    directory: &FilePath,
    full_name: &str,
    pull: &Pull,
) -> Result<Branches, Refused> {
    let (owner, name) = full_name.split_once('/').unwrap_or_default();
    let range = format!("refs/heads/{}..refs/heads/{}", pull.base, pull.head);
    let commits =
        repository::git(&state.root, directory, &["rev-list", "--count", &range]).await.unwrap_or_default();
    Ok(Branches {
        repository: describe(state, directory, owner, name).await?,
        head_sha: repository::branch_commit(&state.root, directory, &pull.head).await,
        base_sha: repository::branch_commit(&state.root, directory, &pull.base).await,
        commits: commits.parse().unwrap_or(0),
    })
}

async fn value(state: &State, directory: &FilePath, full_name: &str, pull: &Pull) -> Result<Value, Refused> {
    Ok(shape::pull(state, full_name, pull, &branches(state, directory, full_name, pull).await?))
}

/// Everything that an event of a pull request has in it.
fn payload(action: &str, who: &Who, state: &State, pull: &Value, more: Value) -> Value {
    let mut payload = json!({
        "action": action, "number": pull.get("number"), "pull_request": pull, "repository": pull.pointer("/base/repo"),
        "sender": shape::user(state, who.login()),
    });
    if let (Some(fields), Value::Object(more)) = (payload.as_object_mut(), more) {
        fields.extend(more);
    }
    payload
}

pub(super) async fn list(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path((owner, name)): Path<(String, String)>,
    Query(filter): Query<PullFilter>,
) -> Shape {
    let (_, directory) = authorize(&state, &headers, &owner, &name)?;
    let full_name = format!("{owner}/{name}");
    let wanted =
        filter.head.map(|head| head.split_once(':').map_or(head.clone(), |(_, branch)| branch.to_owned()));
    let pulls = lock(&state.pulls).of(&full_name);
    let mut answer = Vec::new();
    for pull in pulls.iter().rev() {
        let fits = match filter.state.as_deref() {
            Some("all") => true,
            Some("closed") => pull.closed_at.is_some(),
            Some(_) | None => pull.closed_at.is_none(),
        };
        if fits
            && wanted.as_ref().is_none_or(|head| *head == pull.head)
            && filter.base.as_ref().is_none_or(|base| *base == pull.base)
        {
            answer.push(value(&state, &directory, &full_name, pull).await?);
        }
    }
    Ok(Json(Value::Array(answer)))
}

#[derive(Deserialize)]
pub(super) struct Search {
    q: String,
}

/// How many pull requests of a repository were created in a stretch of time: `repo:…` and `created:…..…` of the query, and nothing else of it.
pub(super) async fn search(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Query(Search { q }): Query<Search>,
) -> Shape {
    let of = |name: &str| q.split(' ').find_map(|word| word.strip_prefix(name)).unwrap_or_default();
    let (owner, name) = of("repo:").split_once('/').unwrap_or_default();
    authorize(&state, &headers, owner, name)?;
    let (since, until) = of("created:").split_once("..").unwrap_or_default();
    let is_within = |pull: &&Pull| (since..=until).contains(&iso_time(pull.created_at).as_str());
    let total = lock(&state.pulls).of(&format!("{owner}/{name}")).iter().filter(is_within).count();
    Ok(Json(json!({"total_count": total, "incomplete_results": false, "items": []})))
}

pub(super) async fn one(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path((owner, name, number)): Place,
) -> Shape {
    let (_, directory) = authorize(&state, &headers, &owner, &name)?;
    let full_name = format!("{owner}/{name}");
    let pull = lock(&state.pulls).find(&full_name, number).ok_or_else(Refused::not_found)?;
    Ok(Json(value(&state, &directory, &full_name, &pull).await?))
}

pub(super) async fn open(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path((owner, name)): Path<(String, String)>,
    Json(request): Json<Value>,
) -> Made {
    let (who, directory) = authorize(&state, &headers, &owner, &name)?;
    for field in ["title", "head", "base"] {
        if text(&request, field).trim().is_empty() {
            return Err(invalid(field, "missing_field"));
        }
    }
    let head = text(&request, "head");
    let head = head.strip_prefix(&format!("{owner}:")).unwrap_or(&head).to_owned();
    let base = text(&request, "base");
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
    let now = clock_ms();
    let pull = Pull {
        number: 0,
        title: text(&request, "title"),
        body: text(&request, "body"),
        head: head.clone(),
        base,
        author: who.login().to_owned(),
        draft: request.get("draft").and_then(Value::as_bool).unwrap_or(false),
        created_at: now,
        updated_at: now,
        closed_at: None,
        merged_at: None,
        reviews: Vec::new(),
        comments: Vec::new(),
    };
    let full_name = format!("{owner}/{name}");
    let opened = lock(&state.pulls).open(&full_name, pull).map_err(|error| Refused::internal(&error))?;
    let Some(pull) = opened else {
        return Err(custom(&format!("A pull request already exists for {owner}:{head}.")));
    };
    let value = value(&state, &directory, &full_name, &pull).await?;
    state.tell("pull_request", &payload("opened", &who, &state, &value, json!({})));
    Ok((StatusCode::CREATED, Json(value)))
}

/// Changes a pull request, tells it, and answers how it is then.
async fn change(
    state: &State,
    headers: &HeaderMap,
    (owner, name, number): (&str, &str, u64),
    change: impl FnOnce(&mut Pull, &Who) -> &'static str,
) -> Result<Value, Refused> {
    let (who, directory) = authorize(state, headers, owner, name)?;
    let full_name = format!("{owner}/{name}");
    let mut action = "edited";
    let changed = lock(&state.pulls)
        .change(&full_name, number, |pull| action = change(pull, &who))
        .map_err(|error| Refused::internal(&error))?;
    let pull = changed.ok_or_else(Refused::not_found)?;
    let value = value(state, &directory, &full_name, &pull).await?;
    if !action.is_empty() {
        state.tell("pull_request", &payload(action, &who, state, &value, json!({})));
    }
    Ok(value)
}

pub(super) async fn update(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path((owner, name, number)): Place,
    Json(request): Json<Value>,
) -> Shape {
    let changed = change(&state, &headers, (&owner, &name, number), |pull, _| {
        for (field, value) in [("title", &mut pull.title), ("body", &mut pull.body), ("base", &mut pull.base)]
        {
            if request.get(field).is_some_and(Value::is_string) {
                *value = text(&request, field);
            }
        }
        match text(&request, "state").as_str() {
            "closed" if pull.closed_at.is_none() => {
                pull.closed_at = Some(clock_ms());
                "closed"
            }
            "open" if pull.closed_at.is_some() && pull.merged_at.is_none() => {
                pull.closed_at = None;
                "reopened"
            }
            _ => "edited",
        }
    });
    changed.await.map(Json)
}

pub(super) async fn merge(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path((owner, name, number)): Place,
) -> Shape {
    let merged = change(&state, &headers, (&owner, &name, number), |pull, _| {
        let now = clock_ms();
        (pull.closed_at, pull.merged_at) = (Some(now), Some(now));
        "closed"
    });
    let sha = merged.await?.pointer("/head/sha").cloned();
    Ok(Json(json!({"sha": sha, "merged": true, "message": "Pull Request successfully merged"})))
}

pub(super) async fn reviews(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path((owner, name, number)): Place,
) -> Shape {
    authorize(&state, &headers, &owner, &name)?;
    let full_name = format!("{owner}/{name}");
    let pull = lock(&state.pulls).find(&full_name, number).ok_or_else(Refused::not_found)?;
    Ok(Json(pull.reviews.iter().map(|said| shape::review(&state, &full_name, number, said)).collect()))
}

/// Adds what somebody said.
async fn say(state: &State, headers: &HeaderMap, place: (&str, &str, u64), said: Said, kind: Kind) -> Made {
    let (owner, name, number) = place;
    let full_name = format!("{owner}/{name}");
    let (who, directory) = authorize(state, headers, owner, name)?;
    let head = lock(&state.pulls).find(&full_name, number).map(|pull| pull.head).unwrap_or_default();
    let commit = repository::branch_commit(&state.root, &directory, &head).await.unwrap_or_default();
    let said = Said { author: who.login().to_owned(), commit, ..said };
    let kept = said.clone();
    let pull = change(state, headers, place, |pull, _| {
        match kind {
            Kind::Review => pull.reviews.push(kept),
            Kind::Line | Kind::Comment => pull.comments.push(kept),
        }
        ""
    });
    let pull = pull.await?;
    let (event, action, field, shape) = match kind {
        Kind::Review => {
            ("pull_request_review", "submitted", "review", shape::review(state, &full_name, number, &said))
        }
        Kind::Line => (
            "pull_request_review_comment",
            "created",
            "comment",
            shape::comment(state, &full_name, number, &said),
        ),
        Kind::Comment => {
            ("issue_comment", "created", "comment", shape::comment(state, &full_name, number, &said))
        }
    };
    let mut told = shape.clone();
    if kind == Kind::Review
        && let Some(verdict) = told.get_mut("state")
    {
        // Webhooks have it in small letters, the API in capitals.
        *verdict = json!(said.verdict.to_ascii_lowercase());
    }
    let issue = json!({"number": number, "pull_request": {"url": pull.get("url")}});
    state.tell(event, &payload(action, &who, state, &pull, json!({ field: told, "issue": issue })));
    let status = if kind == Kind::Review { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(shape)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Review,
    Line,
    Comment,
}

fn said(state: &State, body: &Value) -> Said {
    Said {
        id: state.next_id(),
        author: String::new(),
        body: text(body, "body"),
        verdict: String::new(),
        path: body.get("path").and_then(Value::as_str).map(str::to_owned),
        line: body.get("line").and_then(Value::as_u64),
        commit: String::new(),
        at: clock_ms(),
    }
}

pub(super) async fn add_review(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path((owner, name, number)): Place,
    Json(body): Json<Value>,
) -> Made {
    let verdict = match text(&body, "event").as_str() {
        "APPROVE" => "APPROVED",
        "REQUEST_CHANGES" => "CHANGES_REQUESTED",
        "COMMENT" => "COMMENTED",
        _ => return Err(invalid("event", "missing_field")),
    };
    let said = Said { verdict: verdict.to_owned(), path: None, line: None, ..said(&state, &body) };
    say(&state, &headers, (&owner, &name, number), said, Kind::Review).await
}

pub(super) async fn add_line_comment(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path((owner, name, number)): Place,
    Json(body): Json<Value>,
) -> Made {
    let said = said(&state, &body);
    if said.path.is_none() {
        return Err(invalid("path", "missing_field"));
    }
    say(&state, &headers, (&owner, &name, number), said, Kind::Line).await
}

pub(super) async fn add_comment(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path((owner, name, number)): Place,
    Json(body): Json<Value>,
) -> Made {
    let said = Said { path: None, line: None, ..said(&state, &body) };
    say(&state, &headers, (&owner, &name, number), said, Kind::Comment).await
}

pub(super) async fn add_run(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path((owner, name)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> Made {
    let (who, directory) = authorize(&state, &headers, &owner, &name)?;
    let full_name = format!("{owner}/{name}");
    let sha = text(&body, "head_sha");
    let mut on = Vec::new();
    let pulls = lock(&state.pulls).of(&full_name);
    for pull in pulls {
        if repository::branch_commit(&state.root, &directory, &pull.head).await.as_ref() == Some(&sha) {
            on.push(pull);
        }
    }
    let conclusion = body.get("conclusion").and_then(Value::as_str).map(str::to_owned);
    let status = match (text(&body, "status"), &conclusion) {
        (_, Some(_)) => "completed".to_owned(),
        (status, None) if status.is_empty() => "queued".to_owned(),
        (status, None) => status,
    };
    let run = Run {
        id: state.next_id(),
        name: text(&body, "name"),
        head_sha: sha,
        branch: on.first().map(|pull| pull.head.clone()).unwrap_or_default(),
        status,
        conclusion,
        pulls: on.iter().map(|pull| pull.number).collect(),
        at: clock_ms(),
    };
    let shape = shape::check_run(&state, &full_name, &run);
    lock(&state.runs).push((full_name.clone(), run));
    let repository = describe(&state, &directory, &owner, &name).await?;
    let sender = shape::user(&state, who.login());
    state.tell(
        "check_run",
        &json!({"action": "created", "check_run": shape, "repository": repository, "sender": sender}),
    );
    Ok((StatusCode::CREATED, Json(shape)))
}

pub(super) async fn runs(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path((owner, name, reference)): Path<(String, String, String)>,
) -> Shape {
    let (_, directory) = authorize(&state, &headers, &owner, &name)?;
    let full_name = format!("{owner}/{name}");
    let sha = repository::branch_commit(&state.root, &directory, &reference).await.unwrap_or(reference);
    let runs = lock(&state.runs).clone();
    let of = runs.iter().filter(|(repository, run)| *repository == full_name && run.head_sha == sha);
    let shapes: Vec<Value> = of.map(|(_, run)| shape::check_run(&state, &full_name, run)).collect();
    Ok(Json(json!({"total_count": shapes.len(), "check_runs": shapes})))
}

/// The older kind of check, of which there is none here.
pub(super) async fn status(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path((owner, name, reference)): Path<(String, String, String)>,
) -> Shape {
    let (_, directory) = authorize(&state, &headers, &owner, &name)?;
    let repository = describe(&state, &directory, &owner, &name).await?;
    let sha = repository::branch_commit(&state.root, &directory, &reference).await.unwrap_or(reference);
    let url = format!("{}/api/v3/repos/{owner}/{name}/commits/{sha}", state.url);
    Ok(Json(json!({
        "state": "pending", "sha": sha, "total_count": 0, "statuses": [], "repository": repository, "commit_url": url, "url": url,
    })))
}
