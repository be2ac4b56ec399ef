//! Tables and snapshots of what this module asks, reads and writes.

use super::*;
use expect_test::expect;
use protocol::time::Timestamp;

const OPENED: &str = r#"{"number":12,"html_url":"https://code.example/acme/shop/pull/12","title":"Fix the sum",
    "state":"open","base":{"ref":"main"},"head":{"ref":"farhand/x","sha":"abc"},"body":null,
    "merged_at":null,"updated_at":"2026-11-20T21:48:38Z"}"#;

fn shop() -> RepositoryId {
    RepositoryId::parse("acme/shop").unwrap()
}

#[test]
fn requests_are_values() {
    let new =
        NewPullRequest { title: "T".into(), body: "B".into(), head: "farhand/x".into(), base: "main".into() };
    expect![[r#"
        Request {
            method: Post,
            path: "/repos/acme/shop/pulls",
            body: Some(
                "{\"base\":\"main\",\"body\":\"B\",\"head\":\"farhand/x\",\"title\":\"T\"}",
            ),
        }
    "#]]
    .assert_debug_eq(&create_request(&shop(), &new));
    assert_eq!(
        find_request(&shop(), "farhand/ses_1&state=all").path,
        "/repos/acme/shop/pulls?state=open&per_page=1&head=acme%3Afarhand%2Fses_1%26state%3Dall"
    );
}

#[test]
fn answers_are_read() {
    let seen = PullSeen {
        state: PullState::Open,
        title: "Fix the sum".into(),
        head: "abc".into(),
        updated_at: Timestamp(1_795_211_318_000),
    };
    let opened = PullRequest {
        number: 12,
        url: "https://code.example/acme/shop/pull/12".into(),
        title: "Fix the sum".into(),
        body: String::new(),
        base: "main".into(),
        seen,
    };
    assert_eq!(parse_created(201, OPENED.as_bytes()), Ok(Created::New(opened.clone())));
    assert_eq!(parse_found(200, format!("[{OPENED}]").as_bytes()), Ok(Some(opened)));
    assert_eq!(parse_found(200, b"[]"), Ok(None));
    let exists = br#"{"message":"Validation Failed","errors":[{"message":"A pull request already exists for acme:farhand/x."}]}"#;
    assert_eq!(parse_created(422, exists), Ok(Created::AlreadyOpen));
    let empty =
        br#"{"message":"Validation Failed","errors":[{"message":"No commits between main and farhand/x"}]}"#;
    assert!(matches!(parse_created(422, empty), Err(Error::Rejected { status: 422, .. })));
    assert!(matches!(parse_created(503, b""), Err(Error::Unavailable { .. })));
    assert!(matches!(parse_created(201, b"{}"), Err(Error::Unavailable { .. })));
    let merged = OPENED.replace(r#""state":"open""#, r#""state":"closed""#);
    assert_eq!(parse_pull_request(200, merged.as_bytes()).unwrap().seen.state, PullState::Closed);
    let merged = merged.replace(r#""merged_at":null"#, r#""merged_at":"2026-11-20T21:48:38Z""#);
    assert_eq!(parse_pull_request(200, merged.as_bytes()).unwrap().seen.state, PullState::Merged);
}

#[test]
fn pull_requests_of_everybody_are_counted() {
    let request = count_request(&shop(), "2026-11-01T00:00:00Z", "2026-11-30T23:59:59Z");
    assert_eq!(
        request.path,
        "/search/issues?per_page=1&q=repo%3Aacme%2Fshop%20is%3Apr%20created%3A2026-11-01T00%3A00%3A00Z..2026-11-30T23%3A59%3A59Z"
    );
    let read = |body: &str| parse_count(200, body.as_bytes()).ok();
    assert_eq!(read(r#"{"total_count":17,"incomplete_results":false,"items":[{}]}"#), Some(Some(17)));
    assert_eq!(read(r#"{"total_count":3,"incomplete_results":true,"items":[]}"#), Some(None));
    assert_eq!(read(r#"{"message":"?"}"#), None);
    assert!(parse_count(403, br#"{"message":"API rate limit exceeded"}"#).is_err());
}
