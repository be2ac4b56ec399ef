//! The description of the whole HTTP API as OpenAPI 3.1 (<https://spec.openapis.org/oas/v3.1.1>): what the operations say of themselves, and
//! what follows for each of them from its row in the route table: who may ask, by what proof, and how others are refused.
//!
//! The bodies are described from the types of `protocol`. The test of this crate writes the document down and holds it against the table; the
//! fuzzer of `tests/edge/fuzz` holds it against the running Worker.

mod machines;
mod operation;
mod operators;
mod pages;
mod people;
mod repositories;
mod schemas;
mod sessions;

use crate::route::{Entry, TABLE};
use identity::policy::{Access, RepositoryAccess, Scope, rule};
use operation::{JSON, Operation};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{ArtifactId, BuildId, ReservationId, SandboxId, SessionId, UserId};
use schemas::{Schemas, plain};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const ABOUT: &str = "A platform for background coding agents: sessions, prompts, what agents say and do, and their changes.\n\n\
    **Proof.** Programs send an API key as `Authorization: Bearer fhk_…`; people make keys in Settings. A key reaches as far as its scope, \
    `read` or `write`; what manages keys and sign-ins wants a signed-in browser.\n\n\
    **Errors.** Every refusal is a JSON object with `code`, for programs, and `message`, which says what to do. Other codes and further \
    members of answers may come with newer versions: ignore what you do not know.\n\n\
    **Live.** A session tells what happens over a WebSocket: ask for a ticket, open the socket with the sub-protocols `farhand.v1` and \
    `ticket.<ticket>`, send `{\"type\":\"subscribe\"}`, and read `ServerMessage`s. `since` of a later `subscribe` brings exactly what was missed.\n\n\
    Times are milliseconds since 1970 in UTC. Bodies are JSON in UTF-8, at most 256 KiB unless said otherwise.";

/// What the operations belong to, in the order in which they are read.
const TAGS: [(&str, &str); 7] = [
    ("Sessions", "Conversations with an agent, each about one repository."),
    ("Repositories", "What sessions may be about, and what their sandboxes start from."),
    ("Account", "Who one is, where one is signed in, and keys for programs."),
    ("Metrics", "How much the deployment is used, and what came of it."),
    ("Operators", "For those who run the deployment."),
    ("Machines", "For the sandbox bridge, GitHub and Slack, which sign what they send."),
    ("Pages", "What browsers go to."),
];

/// The whole document.
#[must_use]
pub fn document() -> Value {
    let mut schemas = Schemas::new();
    let mut refusals = Refusals::default();
    let mut paths: Map<String, Value> = Map::new();
    let groups = [
        ("Sessions", sessions::operations()),
        ("Repositories", repositories::operations()),
        ("Account", people::operations()),
        ("Metrics", operators::metrics()),
        ("Operators", operators::operations()),
        ("Machines", machines::operations()),
        ("Pages", pages::operations()),
    ];
    for (tag, operations) in groups {
        for operation in operations {
            let path = paths.entry(operation.path).or_insert_with(|| json!({}));
            let described = describe(&mut schemas, &mut refusals, tag, &operation);
            if let Some(path) = path.as_object_mut() {
                path.insert(operation.method.to_ascii_lowercase(), described);
            }
        }
    }
    // What the description speaks of beside the operations: a session's frames.
    schemas.asked::<protocol::client::ClientMessage>();
    schemas.answered::<protocol::client::ServerMessage>();
    schemas.answered::<ErrorBody>();
    let (schemas, paths) = schemas.finish(Value::Object(paths));
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Farhand",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "This deployment" }],
        "tags": TAGS.map(|(name, about)| json!({ "name": name, "description": about })),
        "paths": paths,
        "components": { "schemas": schemas, "responses": refusals.0, "securitySchemes": security_schemes() },
    })
}

fn security_schemes() -> Value {
    let header = |name: &str, about: &str| json!({ "type": "apiKey", "in": "header", "name": name, "description": about });
    json!({
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key, `fhk_…`, made in Settings. A scope of `read` sees, one of `write` also changes.",
        },
        "browser": {
            "type": "apiKey",
            "in": "cookie",
            "name": "__Host-farhand_session",
            "description": "A signed-in browser (without encryption, on loopback: `farhand_session`). Changes must come from a page of the deployment's own origin.",
        },
        "ticket": header("Sec-WebSocket-Protocol", "`farhand.v1, ticket.<ticket>` with a ticket for this session, good for one socket within a minute."),
        "bridge": header("Authorization", "The signature of a sandbox bridge over the whole request, made with BRIDGE_KEY; answers are signed in `x-farhand-signature`."),
        "github": header("X-Hub-Signature-256", "HMAC-SHA256 of the body with GITHUB_WEBHOOK_SECRET, as GitHub makes it."),
        "slack": header("X-Slack-Signature", "HMAC-SHA256 of `X-Slack-Request-Timestamp` and body with SLACK_SIGNING_SECRET, as Slack makes it."),
        "scraper": { "type": "http", "scheme": "bearer", "description": "METRICS_KEY of the deployment." },
    })
}

/// The row of the table that an operation is about.
fn entry_of(operation: &Operation) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| (entry.method, entry.path) == (operation.method, operation.path))
}

fn describe(schemas: &mut Schemas, refusals: &mut Refusals, tag: &str, operation: &Operation) -> Value {
    let mut described = Map::new();
    let mut say = |name: &str, value: Value| described.insert(name.to_owned(), value);
    say("operationId", json!(operation.id));
    say("tags", json!([tag]));
    say("summary", json!(operation.summary));
    let about = [plain(operation.about), entry_of(operation).map(reach).unwrap_or_default()];
    let about: Vec<&str> = about.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
    if !about.is_empty() {
        say("description", json!(about.join("\n\n")));
    }
    say("security", entry_of(operation).map(security).unwrap_or_default());
    let mut parameters = path_parameters(operation.path);
    parameters.extend(operation.parameters.iter().cloned());
    if !parameters.is_empty() {
        say("parameters", Value::Array(parameters));
    }
    if let Some(body) = &operation.body {
        let mut content = json!({ "schema": (body.schema)(schemas) });
        if let (Some(example), Some(content)) = (&body.example, content.as_object_mut()) {
            content.insert("example".to_owned(), example.clone());
        }
        say("requestBody", json!({ "required": true, "content": { (body.media_type): content } }));
    }
    say("responses", answers(schemas, refusals, operation));
    Value::Object(described)
}

/// What somebody must be allowed, in words.
fn reach(entry: &Entry) -> String {
    let rule = rule(entry.action);
    let who = match rule.access {
        Access::Operator => "For operators.",
        Access::Public
        | Access::User
        | Access::Ticket
        | Access::Bridge
        | Access::CodeHost
        | Access::Slack
        | Access::Scraper => "",
    };
    let key = match (rule.access, rule.scope) {
        (Access::User | Access::Operator, Some(Scope::Read)) => "A key needs the scope `read`.",
        (Access::User | Access::Operator, Some(Scope::Write)) => "A key needs the scope `write`.",
        (Access::User | Access::Operator, None) => "No key will do: this wants a signed-in browser.",
        _ => "",
    };
    let repository = match rule.repository {
        RepositoryAccess::None => "",
        RepositoryAccess::Read => "The user must see the repository at the code host.",
        RepositoryAccess::Write => "The user must be allowed to push to the repository at the code host.",
    };
    let said: Vec<&str> = [who, key, repository].into_iter().filter(|text| !text.is_empty()).collect();
    said.join(" ")
}

fn security(entry: &Entry) -> Value {
    let rule = rule(entry.action);
    match rule.access {
        Access::Public => json!([]),
        Access::User | Access::Operator if rule.scope.is_some() => json!([{ "key": [] }, { "browser": [] }]),
        Access::User | Access::Operator => json!([{ "browser": [] }]),
        Access::Ticket => json!([{ "ticket": [] }]),
        Access::Bridge => json!([{ "bridge": [] }]),
        Access::CodeHost => json!([{ "github": [] }]),
        Access::Slack => json!([{ "slack": [] }]),
        Access::Scraper => json!([{ "scraper": [] }]),
    }
}

/// How everybody may be refused whom the table does not let in, or whose request is none.
fn usual_refusals(entry: &Entry) -> Vec<ErrorCode> {
    use ErrorCode as Code;
    let rule = rule(entry.action);
    let changes = entry.method != "GET";
    let mut codes = vec![Code::Internal, Code::Unavailable];
    if entry.path.contains('{') {
        codes.push(Code::NotFound);
    }
    match rule.access {
        Access::Public | Access::User | Access::Operator => {
            codes.push(Code::RateLimited);
            if changes {
                codes.extend([
                    Code::BadRequest,
                    Code::OriginRefused,
                    Code::TooLarge,
                    Code::MediaTypeUnsupported,
                ]);
            }
            if rule.access != Access::Public {
                codes.push(Code::SignInRequired);
            }
            if rule.access == Access::Operator
                || rule.scope != Some(Scope::Read)
                || rule.repository == RepositoryAccess::Write
            {
                codes.push(Code::Forbidden);
            }
        }
        Access::Ticket => codes.extend([Code::OriginRefused, Code::Forbidden]),
        Access::Bridge | Access::CodeHost => {
            codes.extend([Code::SignatureInvalid, Code::TooLarge, Code::BadRequest]);
        }
        Access::Slack => {
            codes.extend([Code::SignatureInvalid, Code::TooLarge, Code::BadRequest, Code::Forbidden]);
        }
        Access::Scraper => codes.extend([Code::RateLimited, Code::TokenInvalid]),
    }
    codes
}

fn answers(schemas: &mut Schemas, refusals: &mut Refusals, operation: &Operation) -> Value {
    let mut answers: BTreeMap<String, Value> = BTreeMap::new();
    for answer in &operation.answers {
        let mut described = json!({ "description": answer.about });
        let content: Map<String, Value> = answer
            .content
            .iter()
            .map(|(media_type, schema)| ((*media_type).to_owned(), json!({ "schema": schema(schemas) })))
            .collect();
        let headers: Map<String, Value> = answer
            .headers
            .iter()
            .map(|(name, about)| {
                ((*name).to_owned(), json!({ "description": about, "schema": { "type": "string" } }))
            })
            .collect();
        for (name, members) in [("content", content), ("headers", headers)] {
            if let Some(described) = described.as_object_mut().filter(|_| !members.is_empty()) {
                described.insert(name.to_owned(), Value::Object(members));
            }
        }
        answers.insert(answer.status.to_string(), described);
    }
    let mut codes = operation.refusals.clone();
    if operation.is_guarded() {
        codes.extend(entry_of(operation).map(usual_refusals).unwrap_or_default());
    }
    for (status, codes) in by_status(codes) {
        answers.insert(status.to_string(), refusals.refer(&codes));
    }
    json!(answers)
}

/// In the order of the codes' own list, each once.
fn by_status(codes: Vec<ErrorCode>) -> BTreeMap<u16, Vec<ErrorCode>> {
    let mut by_status: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
    for code in ErrorCode::ALL.iter().filter(|code| codes.contains(code)) {
        by_status.entry(code.http_status()).or_default().push(*code);
    }
    by_status
}

/// Refusals by the codes that they may have, each described once.
#[derive(Default)]
struct Refusals(BTreeMap<String, Value>);

impl Refusals {
    fn refer(&mut self, codes: &[ErrorCode]) -> Value {
        let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
        let name = names.join(".");
        let reference = json!({ "$ref": format!("#/components/responses/{name}") });
        self.0.entry(name).or_insert_with(|| refusal(codes));
        reference
    }
}

fn refusal(codes: &[ErrorCode]) -> Value {
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let said: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let mut schema = json!({
        "allOf": [{ "$ref": "#/components/schemas/ErrorBody" }, { "properties": { "code": { "enum": names } } }]
    });
    if codes.contains(&ErrorCode::EventGap)
        && let Some(schema) = schema.as_object_mut()
    {
        let expected = operation::count("With `event_gap`: the event that must come next.");
        schema.insert("properties".to_owned(), json!({ "expected": expected }));
    }
    json!({ "description": said.join(", "), "content": { (JSON): { "schema": schema } } })
}

/// Those of the variables in a path; their forms are those that the table is matched by.
fn path_parameters(path: &str) -> Vec<Value> {
    let mut variables = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let id = |prefix: &str| json!({ "type": "string", "pattern": format!("^{prefix}_[a-z0-9_-]+$"), "maxLength": protocol::limit::ID_BYTES_MAX });
    let hex = |digits: usize| json!({ "type": "string", "pattern": format!("^[0-9a-f]{{{digits}}}$") });
    let mut parameters = Vec::new();
    for name in &mut variables {
        let (about, schema) = match name {
            "id" => ("Of the session.", id(SessionId::PREFIX)),
            "artifact_id" => ("As an item, a prompt or the status names it.", id(ArtifactId::PREFIX)),
            "build_id" => ("As the repository's status names it.", id(BuildId::PREFIX)),
            "reservation_id" => ("Chosen by the client.", id(ReservationId::PREFIX)),
            "sandbox_id" => ("Of the warm sandbox.", id(SandboxId::PREFIX)),
            "key_id" => ("As the list of keys names it.", hex(16)),
            "user_id" => ("As the list of people names it.", id(UserId::PREFIX)),
            "sign_in_id" => ("As the list of sign-ins names it.", hex(32)),
            "owner" => (
                "Of the repository at the code host.",
                json!({ "type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$" }),
            ),
            _ => (
                "Of the repository at the code host; without `.git`.",
                json!({ "type": "string", "pattern": "^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,95}[A-Za-z0-9_-])?$" }),
            ),
        };
        parameters.push(
            json!({ "name": name, "in": "path", "required": true, "description": about, "schema": schema }),
        );
    }
    parameters
}
