//! Payloads as GitHub sends them, cut to what matters, and what is refused.

use super::*;
use protocol::pull::{CheckState, PullState, Verdict};
use protocol::time::Timestamp;
use serde_json::json;

fn event(kind: &str, mut value: Value) -> Option<Event> {
    value["repository"] = json!({"full_name": "acme/shop"});
    parse_event(kind, value.to_string().as_bytes()).unwrap()
}

#[test]
fn a03_only_a_signature_of_sha_256_is_one() {
    let digits = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(parse_signature(&format!("sha256={digits}")).map(|bytes| bytes.len()), Some(32));
    for wrong in [
        String::new(),
        digits.to_owned(),
        format!("sha1={digits}"),
        format!("sha1={}", &digits[..40]),
        format!("SHA256={digits}"),
        format!("sha256={}", digits.to_uppercase()),
        format!("sha256={}", &digits[1..]),
        format!("sha256={digits}0"),
        "sha256=".to_owned(),
        format!("sha256= {}", &digits[1..]),
        format!("sha256=+{}", &digits[1..]),
        format!("sha256={}", "é".repeat(32)),
    ] {
        assert_eq!(parse_signature(&wrong), None, "{wrong}");
    }
}

#[test]
fn a_pull_request_tells_how_it_is() {
    let pull = json!({
        "number": 7, "html_url": "u", "title": "T", "state": "closed", "merged_at": "2026-11-20T21:48:38Z",
        "updated_at": "2026-11-20T21:48:39Z", "base": {"ref": "main"}, "head": {"ref": "farhand/1", "sha": "abc"},
    });
    let event = event("pull_request", json!({"action": "closed", "pull_request": pull})).unwrap();
    assert_eq!(event.target, Target::Numbers(vec![7]));
    let seen = event.report.seen.unwrap();
    assert_eq!(
        (seen.state, seen.head.as_str(), seen.updated_at),
        (PullState::Merged, "abc", Timestamp(1_795_211_319_000))
    );
}

#[test]
fn what_people_say_is_told_once_and_not_when_it_says_nothing() {
    let review = |state: &str, body: Value| {
        let review = json!({"id": 3, "user": {"login": "ada"}, "body": body, "state": state, "html_url": "u", "submitted_at": "2026-11-20T21:48:38Z"});
        event(
            "pull_request_review",
            json!({"action": "submitted", "review": review, "pull_request": {"number": 7}}),
        )
    };
    let approved = review("approved", Value::Null).unwrap();
    assert_eq!(
        (approved.report.reviews[0].verdict, approved.report.reviews[0].author.as_str()),
        (Verdict::Approved, "ada")
    );
    assert_eq!(review("commented", Value::Null), None, "its comments come by themselves");
    assert_eq!(review("pending", json!("draft")), None);
    let dismissed = review("dismissed", Value::Null).unwrap();
    assert!(dismissed.report.reviews[0].updated_at > approved.report.reviews[0].updated_at);

    let comment = json!({"id": 4, "user": {"login": "ada"}, "body": "x", "html_url": "u", "path": "a.rs", "line": 3, "updated_at": "2026-11-20T21:48:38Z"});
    let line = event(
        "pull_request_review_comment",
        json!({"action": "created", "comment": comment, "pull_request": {"number": 7}}),
    );
    let said = &line.unwrap().report.reviews[0];
    assert_eq!((said.id.as_str(), said.path.as_deref(), said.line), ("line-4", Some("a.rs"), Some(3)));
    let issue = |issue: Value, action: &str| {
        event("issue_comment", json!({"action": action, "comment": comment, "issue": issue}))
    };
    let on_pull = json!({"number": 7, "pull_request": {"url": "u"}});
    assert_eq!(issue(on_pull.clone(), "created").unwrap().target, Target::Numbers(vec![7]));
    assert_eq!(issue(on_pull, "deleted"), None);
    assert_eq!(issue(json!({"number": 7}), "created"), None, "of an issue that is no pull request");
}

#[test]
fn checks_are_found_by_number_or_by_branch() {
    let run = |pulls: Value| {
        let run = json!({
            "name": "test", "head_sha": "abc", "status": "completed", "conclusion": "failure", "html_url": "u",
            "completed_at": "2026-11-20T21:48:38Z", "pull_requests": pulls, "check_suite": {"head_branch": "farhand/1"},
        });
        event("check_run", json!({"action": "completed", "check_run": run})).unwrap()
    };
    assert_eq!(run(json!([{"number": 7}])).target, Target::Numbers(vec![7]));
    let of_branch = run(json!([]));
    assert_eq!(of_branch.target, Target::Branches(vec!["farhand/1".to_owned()]));
    assert_eq!(of_branch.report.checks[0].state, CheckState::Failed);
    let status = json!({"sha": "abc", "state": "pending", "context": "ci", "updated_at": "2026-11-20T21:48:38Z", "branches": [{"name": "farhand/1"}]});
    let status = event("status", status).unwrap();
    assert_eq!(
        (status.report.checks[0].state, status.report.checks[0].commit.as_str()),
        (CheckState::Pending, "abc")
    );
}

#[test]
fn what_nobody_follows_is_nothing_and_what_is_broken_is_said() {
    assert_eq!(event("push", json!({})), None);
    assert_eq!(event("check_suite", json!({})), None);
    assert_eq!(parse_event("ping", b"not even JSON"), Ok(None));
    assert!(parse_event("pull_request", b"{").is_err());
    assert!(parse_event("pull_request", b"{}").is_err());
    assert!(parse_event("pull_request", br#"{"repository": {"full_name": "../x"}}"#).is_err());
    assert!(
        parse_event("pull_request", br#"{"repository": {"full_name": "acme/shop"}, "pull_request": []}"#)
            .is_err()
    );
}
