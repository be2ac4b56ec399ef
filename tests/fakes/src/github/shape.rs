//! GitHub's objects as its API has them, with every member that its published description requires. What the stand-in does not have
//! is there as nothing: counts are zero, lists empty, addresses made up.

use super::State;
use super::pull::{Pull, iso_time};
use serde_json::{Map, Value, json};

/// An address of the API.
fn api(state: &State, path: &str) -> String {
    format!("{}/api/v3{path}", state.url)
}

/// All of `names` below `base`, with the ending that GitHub's URLs of templates do not need here.
fn urls(base: &str, names: &[(&str, &str)]) -> Map<String, Value> {
    names.iter().map(|(name, path)| ((*name).to_owned(), json!(format!("{base}{path}")))).collect()
}

fn merged(mut value: Value, more: Map<String, Value>) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.extend(more);
    }
    value
}

/// An account: a person, or the App.
pub(super) fn user(state: &State, login: &str) -> Value {
    let place = state.accounts.iter().position(|account| account.login == login);
    let id = place.map_or(1000, |index| index + 1);
    let base = api(state, &format!("/users/{login}"));
    let names = [
        ("url", ""),
        ("events_url", "/events"),
        ("followers_url", "/followers"),
        ("following_url", "/following"),
        ("gists_url", "/gists"),
        ("organizations_url", "/orgs"),
        ("received_events_url", "/received_events"),
        ("repos_url", "/repos"),
        ("starred_url", "/starred"),
        ("subscriptions_url", "/subscriptions"),
    ];
    let own = json!({
        "login": login, "id": id, "node_id": format!("U_{id}"), "avatar_url": format!("{}/avatars/{id}", state.url),
        "gravatar_id": "", "html_url": format!("{}/{login}", state.url), "site_admin": false,
        "type": if place.is_some() { "User" } else { "Bot" },
    });
    merged(own, urls(&base, &names))
}

/// The signed-in person, as that person sees it.
pub(super) fn private_user(state: &State, login: &str, name: &str, email: &str) -> Value {
    let more = json!({
        "name": name, "email": email, "bio": null, "blog": "", "company": null, "followers": 0, "following": 0, "hireable": null,
        "location": null, "public_gists": 0, "public_repos": 0, "created_at": iso_time(0), "updated_at": iso_time(0),
        "collaborators": 0, "disk_usage": 0, "owned_private_repos": 0, "private_gists": 0, "total_private_repos": 0,
        "two_factor_authentication": true, "user_view_type": "private",
    });
    merged(user(state, login), more.as_object().cloned().unwrap_or_default())
}

/// A repository.
pub(super) fn repository(
    state: &State,
    owner: &str,
    name: &str,
    branch: &str,
    description: Option<&str>,
) -> Value {
    let full_name = format!("{owner}/{name}");
    let base = api(state, &format!("/repos/{full_name}"));
    let names = [
        "archive",
        "assignees",
        "blobs",
        "branches",
        "collaborators",
        "comments",
        "commits",
        "compare",
        "contents",
        "contributors",
        "deployments",
        "downloads",
        "events",
        "forks",
        "git_commits",
        "git_refs",
        "git_tags",
        "hooks",
        "issue_comment",
        "issue_events",
        "issues",
        "keys",
        "labels",
        "languages",
        "merges",
        "milestones",
        "notifications",
        "pulls",
        "releases",
        "stargazers",
        "statuses",
        "subscribers",
        "subscription",
        "tags",
        "teams",
        "trees",
    ];
    let below = names.iter().map(|name| (format!("{name}_url"), json!(format!("{base}/{name}")))).collect();
    let id = state.repository_id(&full_name);
    let zero = json!({
        "forks": 0, "forks_count": 0, "open_issues": 0, "open_issues_count": 0, "size": 0, "stargazers_count": 0, "watchers": 0,
        "watchers_count": 0, "network_count": 0, "subscribers_count": 0, "fork": false, "has_downloads": false, "has_issues": true,
        "has_projects": false, "has_wiki": false, "has_pages": false, "has_discussions": false, "homepage": null, "language": null,
        "mirror_url": null, "license": null, "archived": false, "disabled": false,
    });
    let page = format!("{}/{full_name}", state.url);
    let own = json!({
        "id": id, "node_id": format!("R_{id}"), "name": name, "full_name": full_name, "owner": user(state, owner), "private": true,
        "description": description, "default_branch": branch, "url": base, "html_url": page, "clone_url": format!("{page}.git"),
        "git_url": format!("{page}.git"), "ssh_url": format!("{page}.git"), "svn_url": page, "created_at": iso_time(0),
        "updated_at": iso_time(0), "pushed_at": iso_time(0), "visibility": "private",
        "permissions": {"admin": false, "push": true, "pull": true},
    });
    let zero = zero.as_object().cloned().unwrap_or_default();
    merged(merged(own, below), zero)
}

/// What a pull request has besides its description: how its branches stand.
pub(super) struct Branches {
    pub(super) repository: Value,
    pub(super) head_sha: Option<String>,
    pub(super) base_sha: Option<String>,
    pub(super) commits: u64,
}

/// A pull request.
pub(super) fn pull(state: &State, full_name: &str, pull: &Pull, branches: &Branches) -> Value {
    let number = pull.number;
    let owner = full_name.split('/').next().unwrap_or_default();
    let base = api(state, &format!("/repos/{full_name}/pulls/{number}"));
    let issue = api(state, &format!("/repos/{full_name}/issues/{number}"));
    let page = format!("{}/{full_name}/pull/{number}", state.url);
    let side = |branch: &str, sha: &Option<String>| {
        let sha = sha.clone().unwrap_or_else(|| "0".repeat(40));
        json!({
            "ref": branch, "label": format!("{owner}:{branch}"), "sha": sha, "repo": branches.repository, "user": user(state, owner),
        })
    };
    let links: Map<String, Value> =
        ["comments", "commits", "html", "issue", "review_comment", "review_comments", "self", "statuses"]
            .iter()
            .map(|name| ((*name).to_owned(), json!({"href": base})))
            .collect();
    let time = |at: Option<u64>| at.map(iso_time);
    let is_merged = pull.merged_at.is_some();
    json!({
        "id": number, "node_id": format!("PR_{number}"), "number": number, "state": if pull.closed_at.is_some() { "closed" } else { "open" },
        "locked": false, "draft": pull.draft, "title": pull.title, "body": pull.body, "user": user(state, &pull.author),
        "url": base, "html_url": page, "diff_url": format!("{page}.diff"), "patch_url": format!("{page}.patch"), "issue_url": issue,
        "comments_url": format!("{issue}/comments"), "commits_url": format!("{base}/commits"),
        "review_comments_url": format!("{base}/comments"), "review_comment_url": format!("{base}/comments"),
        "statuses_url": format!("{base}/statuses"), "_links": links, "assignee": null, "assignees": [], "labels": [],
        "milestone": null, "requested_reviewers": [], "requested_teams": [], "author_association": "MEMBER", "auto_merge": null,
        "created_at": iso_time(pull.created_at), "updated_at": iso_time(pull.updated_at), "closed_at": time(pull.closed_at),
        "merged_at": time(pull.merged_at), "merge_commit_sha": null, "merged": is_merged,
        "merged_by": if is_merged { user(state, &pull.author) } else { Value::Null }, "mergeable": true, "mergeable_state": "clean",
        "rebaseable": true, "maintainer_can_modify": false, "head": side(&pull.head, &branches.head_sha),
        "base": side(&pull.base, &branches.base_sha), "commits": branches.commits, "additions": 0, "deletions": 0,
        "changed_files": 0, "comments": 0, "review_comments": 0,
    })
}

/// A review of a pull request.
pub(super) fn review(state: &State, full_name: &str, number: u64, review: &super::pull::Said) -> Value {
    let pull = api(state, &format!("/repos/{full_name}/pulls/{number}"));
    let page = format!("{}/{full_name}/pull/{number}#r{}", state.url, review.id);
    json!({
        "id": review.id, "node_id": format!("PRR_{}", review.id), "user": user(state, &review.author), "body": review.body,
        "state": review.verdict, "commit_id": review.commit, "html_url": page, "pull_request_url": pull,
        "_links": {"html": {"href": page}, "pull_request": {"href": pull}}, "author_association": "MEMBER",
        "submitted_at": iso_time(review.at),
    })
}

/// A comment on a pull request: on a line of it, where there is a path, else on it as an issue.
pub(super) fn comment(state: &State, full_name: &str, number: u64, said: &super::pull::Said) -> Value {
    let pull = api(state, &format!("/repos/{full_name}/pulls/{number}"));
    let page = format!("{}/{full_name}/pull/{number}#c{}", state.url, said.id);
    let own = json!({
        "id": said.id, "node_id": format!("C_{}", said.id), "user": user(state, &said.author), "body": said.body, "html_url": page,
        "url": format!("{pull}/comments/{}", said.id), "created_at": iso_time(said.at), "updated_at": iso_time(said.at),
        "author_association": "MEMBER",
    });
    let more = match &said.path {
        Some(path) => json!({
            "pull_request_review_id": null, "diff_hunk": "@@ -1 +1 @@", "path": path, "line": said.line, "commit_id": said.commit,
            "original_commit_id": said.commit, "pull_request_url": pull,
            "_links": {"self": {"href": pull}, "html": {"href": page}, "pull_request": {"href": pull}},
        }),
        None => json!({"issue_url": api(state, &format!("/repos/{full_name}/issues/{number}"))}),
    };
    merged(own, more.as_object().cloned().unwrap_or_default())
}

/// A check run of a commit.
pub(super) fn check_run(state: &State, full_name: &str, run: &super::pull::Run) -> Value {
    let url = api(state, &format!("/repos/{full_name}/check-runs/{}", run.id));
    let page = format!("{}/{full_name}/runs/{}", state.url, run.id);
    let pulls: Vec<Value> = run.pulls.iter().map(|number| json!({
        "id": number, "number": number, "url": api(state, &format!("/repos/{full_name}/pulls/{number}")),
        "head": {"ref": run.branch, "sha": run.head_sha, "repo": {"id": 1, "url": url, "name": full_name}},
        "base": {"ref": "main", "sha": run.head_sha, "repo": {"id": 1, "url": url, "name": full_name}},
    })).collect();
    json!({
        "id": run.id, "node_id": format!("CR_{}", run.id), "head_sha": run.head_sha, "name": run.name, "url": url, "html_url": page,
        "details_url": page, "status": run.status, "conclusion": run.conclusion, "started_at": iso_time(run.at),
        "completed_at": run.conclusion.as_ref().map(|_| iso_time(run.at)), "external_id": "", "check_suite": {"id": 1, "head_branch": run.branch},
        "output": {"title": null, "summary": null, "text": null, "annotations_count": 0, "annotations_url": url}, "app": null,
        "pull_requests": pulls,
    })
}

/// The App where it is installed.
pub(super) fn installation(state: &State, app_id: &str, owner: &str) -> Value {
    let url = api(state, "/installation");
    json!({
        "id": 1, "app_id": 1, "client_id": app_id, "app_slug": "farhand", "target_id": 1, "target_type": "Organization",
        "single_file_name": null, "repository_selection": "selected", "access_tokens_url": api(state, "/app/installations/1/access_tokens"),
        "html_url": url, "repositories_url": url, "events": [], "account": user(state, owner),
        "permissions": {"contents": "write", "metadata": "read", "pull_requests": "write"}, "created_at": iso_time(0),
        "updated_at": iso_time(0), "suspended_by": null, "suspended_at": null,
    })
}

/// The App as it sees itself: with all that it is asked for, installed where `installed` says.
pub(super) fn app(state: &State, app_id: &str, installed: usize) -> Value {
    let url = api(state, "/app");
    json!({
        "id": 1, "slug": "farhand", "node_id": "A_1", "client_id": app_id, "owner": user(state, "acme"), "name": "Farhand",
        "description": null, "external_url": url, "html_url": url, "created_at": iso_time(0), "updated_at": iso_time(0),
        "permissions": {
            "contents": "write", "metadata": "read", "pull_requests": "write", "checks": "read", "statuses": "read", "members": "read",
        },
        "events": [
            "pull_request", "pull_request_review", "pull_request_review_comment", "issue_comment", "check_run", "status",
            "organization", "membership", "team", "member", "repository",
        ],
        "installations_count": installed,
    })
}

/// A file, or one entry of a folder.
pub(super) fn content(state: &State, full_name: &str, path: &str, kind: &str, bytes: Option<&[u8]>) -> Value {
    use base64::Engine;
    let url = api(state, &format!("/repos/{full_name}/contents/{path}"));
    let mut value = json!({
        "type": kind, "name": path.rsplit('/').next(), "path": path, "sha": "0".repeat(40), "size": bytes.map_or(0, <[u8]>::len),
        "url": url, "git_url": url, "html_url": url, "download_url": url, "_links": {"self": url, "git": url, "html": url},
    });
    if let (Some(bytes), Some(fields)) = (bytes, value.as_object_mut()) {
        fields.insert("encoding".to_owned(), json!("base64"));
        fields.insert("content".to_owned(), json!(base64::engine::general_purpose::STANDARD.encode(bytes)));
    }
    value
}
