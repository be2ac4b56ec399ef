//! The way to a pull request, cut at every step, against a code host in memory.

use super::*;
use crate::request::Method;
use serde_json::{Value, json};

/// A code host that does what it is asked, and can be cut before or after doing so.
/// What somebody else does to the pull requests.
type Change = fn(&mut Vec<Value>);

#[derive(Default)]
struct CodeHost {
    pulls: Vec<Value>,
    template: Option<(&'static str, &'static str)>,
    asked: usize,
    cut: Option<(usize, Cut)>,
    /// What somebody else does just before this request.
    meanwhile: Option<(usize, Change)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Cut {
    /// It never arrives.
    Request,
    /// It is carried out, and its answer is lost.
    Answer,
}

impl CodeHost {
    fn answer(&mut self, request: &Request) -> Option<(u16, Vec<u8>)> {
        self.asked += 1;
        if let Some((number, happens)) = self.meanwhile
            && number == self.asked
        {
            happens(&mut self.pulls);
        }
        let cut = self.cut.filter(|(number, _)| *number == self.asked).map(|(_, cut)| cut);
        if cut == Some(Cut::Request) {
            return None;
        }
        let (status, value) = self.carry_out(request);
        (cut.is_none()).then(|| (status, value.to_string().into_bytes()))
    }

    fn carry_out(&mut self, request: &Request) -> (u16, Value) {
        let body: Value =
            request.body.as_deref().map(|body| serde_json::from_str(body).unwrap()).unwrap_or_default();
        let path = request.path.strip_prefix("/repos/acme/shop").unwrap();
        match (request.method, path.split(['?', '/']).collect::<Vec<_>>().as_slice()) {
            (Method::Get, ["", "pulls", ..]) => {
                let open = self.pulls.iter().filter(|pull| pull["state"] == "open");
                (200, open.cloned().collect())
            }
            (Method::Get, ["", "contents", ..]) => self.contents(path),
            (Method::Post, ["", "pulls"]) => {
                if self.pulls.iter().any(|pull| pull["state"] == "open") {
                    let error = json!({"message": "A pull request already exists for acme:farhand/1."});
                    return (422, json!({"message": "Validation Failed", "errors": [error]}));
                }
                let pull = pull(self.pulls.len() + 1, body["body"].as_str().unwrap());
                self.pulls.push(pull.clone());
                (201, pull)
            }
            (Method::Patch, ["", "pulls", number]) => {
                let index = number.parse::<usize>().unwrap() - 1;
                self.pulls[index]["body"] = body["body"].clone();
                (200, self.pulls[index].clone())
            }
            other => panic!("{other:?}"),
        }
    }

    fn contents(&self, path: &str) -> (u16, Value) {
        let missing = (404, json!({"message": "Not Found"}));
        let Some((place, text)) = self.template else { return missing };
        let asked = path.trim_start_matches("/contents/").trim_end_matches("?ref=main");
        let (folder, name) = place.rsplit_once('/').unwrap_or(("", place));
        if asked == place {
            let packed = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
            return (200, json!({"type": "file", "encoding": "base64", "content": packed + "\n"}));
        }
        if asked == folder {
            return (200, json!([{"name": "README.md", "type": "file"}, {"name": name, "type": "file"}]));
        }
        missing
    }
}

fn pull(number: usize, body: &str) -> Value {
    json!({
        "number": number, "html_url": format!("https://code.example/{number}"), "title": "T", "body": body, "state": "open",
        "base": {"ref": "main"}, "head": {"ref": "farhand/1", "sha": "a"}, "merged_at": null, "updated_at": "2026-11-20T21:48:38Z",
    })
}

fn wanted(part: &str) -> NewPullRequest {
    let body = format!("<!-- farhand:begin -->\n{part}\n<!-- farhand:end -->");
    NewPullRequest { title: "T".into(), body, head: "farhand/1".into(), base: "main".into() }
}

/// Begins anew after every cut, as an object does that vanished or waited for nothing.
fn reach(host: &mut CodeHost, wanted: &NewPullRequest) -> PullRequest {
    let repository = RepositoryId::parse("acme/shop").unwrap();
    for _ in 0..10 {
        let mut flow = Flow::new(&repository, wanted);
        while let Some((status, answer)) = host.answer(&flow.request()) {
            match flow.take(status, &answer) {
                Ok(Some(pull)) => return pull,
                Ok(None) => {}
                Err(error) => {
                    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
                    break;
                }
            }
        }
    }
    panic!("no pull request after ten tries");
}

#[test]
fn f37_cut_at_every_call_there_is_one_pull_request_with_its_text() {
    let places = [
        None,
        Some(("PULL_REQUEST_TEMPLATE.md", "## Why\n")),
        Some((".github/pull_request_template.md", "## Why\n")),
        Some(("docs/Pull_Request_Template.txt", "## Why\n")),
    ];
    for template in places {
        let mut whole = CodeHost { template, ..CodeHost::default() };
        reach(&mut whole, &wanted("first"));
        let (calls, expected) = (whole.asked, whole.pulls[0]["body"].clone());
        assert_eq!(expected.as_str().unwrap().starts_with("## Why\n\n"), template.is_some(), "{expected}");
        for number in 1..=calls {
            for cut in [Cut::Request, Cut::Answer] {
                let mut host = CodeHost { template, cut: Some((number, cut)), ..CodeHost::default() };
                let reached = reach(&mut host, &wanted("first"));
                assert_eq!((host.pulls.len(), reached.number), (1, 1), "cut at {number} of {calls}");
                assert_eq!(host.pulls[0]["body"], expected, "cut at {number} of {calls}");
            }
        }
    }
}

#[test]
fn f37_an_update_cut_at_every_call_keeps_what_people_wrote() {
    let body = format!("mine, before\n\n{}\n\nmine, after", wanted("first").body);
    let expected = body.replace("first", "second");
    for number in 0..4 {
        for cut in [Cut::Request, Cut::Answer] {
            let mut host =
                CodeHost { pulls: vec![pull(1, &body)], cut: Some((number, cut)), ..CodeHost::default() };
            reach(&mut host, &wanted("second"));
            assert_eq!(host.pulls.len(), 1);
            assert_eq!(host.pulls[0]["body"], expected, "cut at {number}");
        }
    }
}

#[test]
fn a_pull_request_that_somebody_else_opens_meanwhile_is_adopted() {
    for number in 1..=5 {
        let opens: fn(&mut Vec<Value>) = |pulls| {
            if pulls.is_empty() {
                pulls.push(pull(1, "by hand"));
            }
        };
        let mut host = CodeHost { meanwhile: Some((number, opens)), ..CodeHost::default() };
        let reached = reach(&mut host, &wanted("first"));
        assert_eq!((host.pulls.len(), reached.number), (1, 1), "before request {number}");
        let body = host.pulls[0]["body"].as_str().unwrap();
        assert!(body.starts_with("by hand\n\n") && body.contains("first"), "{body}");
    }
}

#[test]
fn after_a_closed_pull_request_there_is_a_new_one_and_the_old_one_is_left_alone() {
    let mut closed = pull(1, "old");
    closed["state"] = json!("closed");
    let mut host = CodeHost { pulls: vec![closed], ..CodeHost::default() };
    assert_eq!(reach(&mut host, &wanted("first")).number, 2);
    assert_eq!(host.pulls[0]["body"], "old");
}

#[test]
fn a_pull_request_whose_text_is_right_is_not_touched() {
    let mut host = CodeHost { pulls: vec![pull(1, &wanted("first").body)], ..CodeHost::default() };
    reach(&mut host, &wanted("first"));
    assert_eq!(host.asked, 1);
}
