//! Who one is, the ways in and out, and keys.

use super::operation::{JSON, Operation, count, object, operation, text, word};
use identity::api_key::{DAYS_MAX, NAME_CHARS_MAX};
use protocol::account::{ApiKeyList, ApiKeyMade, SignInList};
use protocol::client::{Configuration, SignInRequest};
use protocol::error::ErrorCode;
use protocol::status::Readiness;
use protocol::timeline::User;
use serde_json::json;

/// All of them.
pub(super) fn operations() -> Vec<Operation> {
    let mut operations = ways_in();
    operations.extend(sign_ins());
    operations.extend(keys());
    operations.extend(slack());
    operations.extend(own_data());
    operations
}

fn ways_in() -> Vec<Operation> {
    vec![
        operation("GET", "/api/health", "health", "Whether the deployment is up and configured.")
            .answers_object(
                200,
                "It is.",
                [("protocolVersion", count("Of the wires.")), ("version", text("Of the build."))],
            ),
        operation(
            "GET",
            "/api/ready",
            "ready",
            "Whether the deployment can work, and what keeps it from that.",
        )
        .about("For monitors. It is asked anew every five seconds at most.")
        .answers::<Readiness>(200, "It can.")
        .answers::<Readiness>(503, "It cannot; `reasons` says why."),
        operation(
            "GET",
            "/api/configuration",
            "configuration",
            "What a client needs before anybody is signed in.",
        )
        .answers::<Configuration>(200, "How to sign in, models, and what prompts may carry.")
        .refuses(&[ErrorCode::Forbidden]),
        operation("POST", "/api/sign-in", "signIn", "Signs in as a local user.")
            .about("On loopback addresses of a deployment with `SIGN_IN=local` only.")
            .takes::<SignInRequest>()
            .example(json!({ "login": "ada" }))
            .answers::<User>(200, "Signed in; the cookies come with it.")
            .with_header("set-cookie", "Of the signed-in browser.")
            .refuses(&[ErrorCode::Forbidden]),
        operation("GET", "/api/sign-in/github", "signInWithGithub", "Leaves for GitHub to sign in.")
            .query("to", "The path to come back to.", json!({ "type": "string" }))
            .answers_nothing(302, "To GitHub.")
            .with_header("location", "There.")
            .refuses(&[ErrorCode::Forbidden]),
        operation("GET", "/api/sign-in/github/callback", "signInCallback", "Comes back from GitHub.")
            .query("code", "As GitHub gives it.", json!({ "type": "string" }))
            .query("state", "As it was given to GitHub.", json!({ "type": "string" }))
            .query("error", "Where somebody said no there.", json!({ "type": "string" }))
            .answers_nothing(302, "To where the sign-in began, or to `/?sign-in=<what went wrong>`.")
            .with_header("location", "There."),
        operation("POST", "/api/sign-out", "signOut", "Signs this browser out, if it is signed in.")
            .answers_done(200, "It is signed out."),
        operation("GET", "/api/me", "me", "Who is asking.").answers::<User>(200, "The user."),
    ]
}

fn sign_ins() -> Vec<Operation> {
    vec![
        operation("GET", "/api/sign-ins", "listSignIns", "Lists where the user is signed in.")
            .answers::<SignInList>(200, "Browsers, what was used last first."),
        operation("DELETE", "/api/sign-ins/{sign_in_id}", "endSignIn", "Signs one browser of the user out.")
            .answers_done(200, "It is signed out."),
        operation(
            "POST",
            "/api/sign-out-everywhere",
            "signOutEverywhere",
            "Signs all browsers of the user out.",
        )
        .answers_done(200, "They are signed out."),
    ]
}

fn keys() -> Vec<Operation> {
    let name = json!({ "type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX, "pattern": "^[!-~]([ -~]*[!-~])?$",
        "description": "What it is for: printable characters, not only spaces." });
    let days = json!({ "type": "integer", "minimum": 1, "maximum": DAYS_MAX, "description": "For how many days it counts." });
    let key = object([("name", name), ("scope", word(&["read", "write"])), ("days", days)]);
    vec![
        operation("GET", "/api/keys", "listKeys", "Lists the user's keys, without their secrets.")
            .answers::<ApiKeyList>(200, "Those that count, newest first."),
        operation("POST", "/api/keys", "createKey", "Makes a key.")
            .about("The answer is the only time that the key itself is told; what is kept is its hash.")
            .takes_as(JSON, move |_| key.clone())
            .example(json!({ "name": "nightly report", "scope": "read", "days": 90 }))
            .answers::<ApiKeyMade>(201, "The key."),
        operation("DELETE", "/api/keys/{key_id}", "revokeKey", "Revokes a key.")
            .answers_done(200, "It does not count any more, and what it had opened is closed."),
        operation("POST", "/api/keys/grants", "grantKey", "Allows the browser extension to have a key.")
            .takes_texts(&[
                ("client", "Id of the extension; the operator lists it in EXTENSION_IDS."),
                ("challenge", "SHA-256 of the extension's verifier (RFC 7636), base64url."),
                ("state", "Letters, digits, `-` and `_`; at most 128. It comes back."),
            ])
            .answers_object(200, "Where to send the browser.", [("redirect", text("With the code."))]),
        operation("POST", "/api/keys/exchange", "exchangeKey", "Gives the browser extension its key.")
            .takes_texts(&[
                ("code", "From the redirect; counts once."),
                ("verifier", "Behind the challenge."),
            ])
            .answers::<ApiKeyMade>(201, "The key.")
            .refuses(&[ErrorCode::TokenInvalid, ErrorCode::Forbidden]),
    ]
}

fn own_data() -> Vec<Operation> {
    vec![
        exported(operation(
            "GET",
            "/api/me/export",
            "exportSelf",
            "Everything that is stored about whoever asks.",
        )),
        operation(
            "POST",
            "/api/me/erasure",
            "eraseSelf",
            "Removes whoever asks, with everything that is theirs.",
        )
        .about("It cannot be undone. Sessions of others keep what was written, in nobody's name.")
        .takes_as(JSON, |_| object([("login", text("One's own, so that it is no slip of the hand."))]))
        .example(json!({ "login": "linus" }))
        .answers_done(202, "It has begun, and the browser is signed out.")
        .refuses(&[ErrorCode::Forbidden]),
    ]
}

/// What an export takes and answers.
pub(super) fn exported(operation: Operation) -> Operation {
    operation
        .about("Each line is a JSON object: rows of tables, then what each session has. The last one says `complete`, or `after` for the rest.")
        .query("after", "Only sessions behind this one, as the last line of the export before says.", json!({ "type": "string" }))
        .answers_as(200, "The lines.", "application/x-ndjson", |_| text("JSON objects, one to a line."))
}

fn slack() -> Vec<Operation> {
    let link = object([("code", text("From the link in Slack.")), ("step", word(&["look", "confirm"]))]);
    vec![
        operation("POST", "/api/slack/links", "linkSlack", "Links a Slack account, or says whose it is.")
            .about("`look` says whose account the code is of; `confirm` links it and spends the code.")
            .takes_as(JSON, move |_| link.clone())
            .example(json!({ "code": "c2xhY2s", "step": "look" }))
            .answers_object(
                200,
                "Whose it is.",
                [("team", text("Of the workspace.")), ("user", text("At Slack.")), ("name", text("There."))],
            )
            .refuses(&[ErrorCode::TokenInvalid]),
        operation(
            "DELETE",
            "/api/slack/links",
            "unlinkSlack",
            "Ends all links to Slack accounts of the user.",
        )
        .answers_object(200, "They are ended.", [("ended", count("How many there were."))]),
    ]
}
