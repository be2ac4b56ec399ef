//! Tables and snapshots of what this module asks, reads and writes.

use super::*;
use expect_test::expect;

const OPENED: &str = r#"{"number":12,"html_url":"https://code.example/acme/shop/pull/12","title":"Fix the sum",
    "state":"open","base":{"ref":"main"},"head":{"ref":"farhand/x"}}"#;

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
    let opened = PullRequest {
        number: 12,
        url: "https://code.example/acme/shop/pull/12".into(),
        title: "Fix the sum".into(),
        base: "main".into(),
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
}

#[test]
fn a_title_is_one_short_line() {
    let check =
        |text: &str, expected: &str| assert_eq!(render_title(text).replace('\u{200B}', "·"), expected);
    check("Fix the sum", "Fix the sum");
    check("\n  Fix\tthe sum.\nIt is off by one.", "Fix the sum.");
    check(" \n ", "Changes by Farhand");
    check("Fixes #1 for @octocat", "Fixes #·1 for @·octocat");
    check(
        "Make the shopping cart add up all of its lines, also those that were added twice, and show the total at the end",
        "Make the shopping cart add up all of its lines, also those that were added twice, and show the…",
    );
    for length in [99, 100, 101, 102, 5000] {
        assert!(render_title(&"ü".repeat(length)).len() <= TITLE_BYTES_MAX, "{length}");
    }
}

#[test]
fn a_body_says_what_who_how_much_and_where() {
    let body = Body {
        summary: "The total left out the last line.\n\n```js\nreturn sum(lines);",
        prompts: &[
            BodyPrompt { author: "Ada Lovelace", text: "Fix the sum.\n\nFixes #3, cc @octocat" },
            BodyPrompt { author: "*Grace* @hopper", text: "Also a test, please" },
        ],
        files_changed: 1,
        additions: 12,
        deletions: 3,
        session_url: Some("https://farhand.example/sessions/ses_1"),
    };
    expect![[r#"
        The total left out the last line.

        ```js
        return sum(lines);
        ```

        **Ada Lovelace** asked:

        > Fix the sum.
        > 
        > Fixes #·3, cc @·octocat

        **Grace @·hopper** asked:

        > Also a test, please

        1 file changed, +12 −3

        Made with Farhand in [this session](https://farhand.example/sessions/ses_1)."#]]
    .assert_eq(&render_body(&body).replace('\u{200B}', "·"));
}

#[test]
fn a_body_stays_within_what_the_code_host_takes() {
    let text = "@ü".repeat(100_000);
    let prompts: Vec<BodyPrompt<'_>> = (0..50).map(|_| BodyPrompt { author: &text, text: &text }).collect();
    let body = Body {
        summary: &text,
        prompts: &prompts,
        files_changed: 2,
        additions: 0,
        deletions: 0,
        session_url: None,
    };
    let rendered = render_body(&body);
    assert!(rendered.len() <= BODY_BYTES_MAX, "{}", rendered.len());
}

#[test]
fn the_middle_of_many_prompts_is_left_out() {
    let texts: Vec<String> = (1..=13).map(|number| format!("prompt {number}")).collect();
    let prompts: Vec<BodyPrompt<'_>> = texts.iter().map(|text| BodyPrompt { author: "Ada", text }).collect();
    let rendered = render_prompts(&prompts);
    assert!(rendered.contains("> prompt 1\n") && rendered.contains("… 3 prompts left out …"), "{rendered}");
    assert!(
        !rendered.contains("> prompt 4\n")
            && rendered.contains("> prompt 5\n")
            && rendered.ends_with("> prompt 13"),
        "{rendered}"
    );
}
