//! Every message, field, enum value and method of ours is one of Modal's, with the same number and type.

use crate::python::{run, script};
use crate::source::Source;
use modal_api::services::{SERVICES, Streaming};
use serde_json::{Value, json};

fn ours() -> Value {
    let services: Vec<Value> = SERVICES
        .iter()
        .map(|service| {
            let methods: Vec<Value> = service
                .methods
                .iter()
                .map(|method| {
                    json!({
                        "name": method.name,
                        "request": method.request,
                        "response": method.response,
                        "request_stream": method.streaming == Streaming::Request,
                        "response_stream": method.streaming == Streaming::Response,
                    })
                })
                .collect();
            json!({ "package": service.package, "name": service.name, "methods": methods })
        })
        .collect();
    let Source { messages, enums, .. } = Source::read();
    json!({ "services": services, "messages": messages, "enums": enums })
}

/// The differences that Python finds, and how much it looked at.
fn compare(ours: &Value) -> (Vec<String>, usize) {
    let output = run(script("descriptors.py"), ours.to_string().as_bytes());
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let last = lines.pop().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(output.status.success(), lines.is_empty());
    (lines, last.strip_suffix(" compared").unwrap().parse().unwrap())
}

#[test]
fn our_messages_are_modals() {
    let (differences, compared) = compare(&ours());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(compared > 700, "only {compared} facts were compared");
}

#[test]
fn every_kind_of_difference_is_found() {
    let field = |ours: &mut Value, message: &str, index: usize, key: &str, value: Value| {
        ours["messages"][message][index][key] = value;
    };
    type Change<'a> = Box<dyn Fn(&mut Value) + 'a>;
    let changes: Vec<(&str, Change<'_>)> = vec![
        ("Sandbox.image_id number", Box::new(|ours| field(ours, "Sandbox", 1, "number", json!(2)))),
        ("Sandbox.image_id type", Box::new(|ours| field(ours, "Sandbox", 1, "type", json!("bytes")))),
        ("Sandbox.image_id repeated", Box::new(|ours| field(ours, "Sandbox", 1, "label", json!("repeated")))),
        ("Sandbox.image_id presence", Box::new(|ours| field(ours, "Sandbox", 1, "label", json!("optional")))),
        ("SecretSource.env oneof", Box::new(|ours| field(ours, "SecretSource", 1, "oneof", Value::Null))),
        ("Sandbox.imaginary", Box::new(|ours| field(ours, "Sandbox", 1, "name", json!("imaginary")))),
        ("GenericStatus::Success", Box::new(|ours| ours["enums"]["GenericStatus"][1][1] = json!(2))),
        (
            "ModalClient/Imaginary",
            Box::new(|ours| ours["services"][0]["methods"][0]["name"] = json!("Imaginary")),
        ),
        (
            "AppGetOrCreate response stream",
            Box::new(|ours| ours["services"][0]["methods"][0]["response_stream"] = json!(true)),
        ),
        ("Unused", Box::new(|ours| ours["messages"]["Unused"] = json!([]))),
    ];
    for (words, change) in changes {
        let mut wrong = ours();
        change(&mut wrong);
        let (differences, _) = compare(&wrong);
        assert!(differences.iter().any(|line| line.contains(words)), "{words}: {differences:?}");
    }
}
