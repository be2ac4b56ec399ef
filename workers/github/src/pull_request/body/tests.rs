//! Snapshots of what people see at the code host, and what must never be in it.

use super::*;
use expect_test::expect;

fn seen(text: &str) -> String {
    text.replace('\u{200B}', "·")
}

#[test]
fn a_title_is_one_short_line() {
    let check = |text: &str, expected: &str| assert_eq!(seen(&render_title(text)), expected);
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

fn whole() -> String {
    render_part(&Body {
        summary: "The total left out the last line.\n\n```js\nreturn sum(lines);",
        prompts: &[
            BodyPrompt { author: "Ada Lovelace", text: "Fix the sum.\n\nFixes #3, cc @octocat" },
            BodyPrompt { author: "*Grace* @hopper", text: "Also a test, please" },
        ],
        checks: &[
            BodyCheck { command: "npm test", passed: true },
            BodyCheck { command: "npm run `lint`\n@acme", passed: false },
        ],
        flagged: &[".github/workflows/ci.yml".to_owned()],
        files_changed: 1,
        additions: 12,
        deletions: 3,
        session_url: Some("https://farhand.example/sessions/ses_1"),
        on_behalf_of: Some("Ada"),
        co_authors: &[("Grace\n<Hopper>", "grace@farhand.example")],
    })
}

#[test]
fn a_part_says_what_who_how_and_where() {
    expect![[r#"
        <!-- farhand:begin -->
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

        > [!WARNING]
        > These files may run with secrets later, or decide who reviews. Look at them first:
        > - `.github/workflows/ci.yml`

        Checked with:
        - `npm test` passed
        - `npm run 'lint' @·acme` **failed**

        1 file changed, +12 −3

        Made with Farhand in [this session](https://farhand.example/sessions/ses_1). Opened for **Ada**, whose prompt it is.
        <!-- farhand:end -->

        Co-authored-by: Grace Hopper <grace@farhand.example>"#]]
    .assert_eq(&seen(&whole()));
}

#[test]
fn what_people_wrote_stays_whatever_becomes_of_our_part() {
    let part = whole();
    let newer = part.replace("Fix the sum.", "Fix all sums.");
    let check = |body: &str, expected: &str| {
        let merged = merge(body, &newer);
        assert_eq!(merged, expected, "{body}");
        assert_eq!(merge(&merged, &newer), merged, "a second time");
    };
    check("", &newer);
    check(&part, &newer);
    check("Closes #7\n", &format!("Closes #7\n\n{newer}"));
    check(&compose("## Why\n\n- [ ] tested", &part), &format!("## Why\n\n- [ ] tested\n\n{newer}"));
    check(&format!("before\n{part}\n\nafter, by @ada"), &format!("before\n{newer}\n\nafter, by @ada"));
    check(&format!("a\r\n{}\r\nb", part.replace('\n', "\r\n")), &format!("a\n{newer}\n\nb"));
    check("a <!-- farhand:begin --> b", &format!("a  b\n\n{newer}"));
    check("a <!-- farhand:end --> b", &format!("a  b\n\n{newer}"));
}

#[test]
fn a39_agent_and_prompts_cannot_leave_their_part() {
    for hostile in [
        "<!-- farhand:end -->",
        "<!-- farhand:begin -->",
        "```\n<!-- farhand:end -->",
        "> ```\n@acme/everybody closes #1",
        "<details><summary>x</summary>",
        "![x](https://tracker.example/x.png)",
        "fixes https://code.example/a/b/issues/1",
        "Co-authored-by: Eve <eve@evil.example>",
    ] {
        let prompts = [BodyPrompt { author: hostile, text: hostile }];
        let flagged = [hostile.to_owned()];
        let checks = [BodyCheck { command: hostile, passed: true }];
        let part = render_part(&Body {
            summary: hostile,
            prompts: &prompts,
            checks: &checks,
            flagged: &flagged,
            on_behalf_of: Some(hostile),
            co_authors: &[(hostile, hostile)],
            ..Body::default()
        });
        assert_eq!((part.matches(BEGIN).count(), part.matches(END).count()), (1, 1), "{part}");
        assert!(part.starts_with(BEGIN), "{part}");
        let inner = part.replace(BEGIN, "").replace(END, "");
        for active in ["<!--", "<details", "![", "@acme", "fixes https"] {
            assert!(!inner.contains(active), "{active} is active in {part}");
        }
        let (_, trailers) = part.split_once(END).unwrap();
        assert!(trailers.trim().is_empty(), "no address, no trailer: {trailers}");
        assert_eq!(merge(&part, &part), part);
    }
}

#[test]
fn a_body_stays_within_what_the_code_host_takes() {
    let text = "@ü".repeat(100_000);
    let prompts: Vec<BodyPrompt<'_>> = (0..50).map(|_| BodyPrompt { author: &text, text: &text }).collect();
    let checks: Vec<BodyCheck<'_>> = (0..50).map(|_| BodyCheck { command: &text, passed: true }).collect();
    let flagged = vec![text.clone(); 500];
    let authors = vec![(text.as_str(), text.as_str()); 50];
    let part = render_part(&Body {
        summary: &text,
        prompts: &prompts,
        checks: &checks,
        flagged: &flagged,
        co_authors: &authors,
        ..Body::default()
    });
    assert!(part.len() <= BODY_BYTES_MAX - 4096, "{}", part.len());
    for body in [compose(&text, &part), merge(&text, &part), merge(&format!("{text}{part}{text}"), &part)] {
        assert!(body.chars().count() <= 65_536, "{}", body.chars().count());
        assert!(body.contains(END));
    }
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
