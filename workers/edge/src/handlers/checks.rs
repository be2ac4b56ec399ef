//! `GET /api/operator/checks`: tries what the deployment works with, all at once, and says of each whether it works and what to do.
//!
//! Nothing is changed by it. It is what an operator looks at after the first deployment, and when something is odd.

use crate::answer::{Answer, json_text};
use crate::context::Context;
use crate::slack_settings::SlackSettings;
use futures::join;
use platform::bridge::{Ask, Unanswered};
use platform::code_host::App;
use platform::d1::Database;
use platform::operator::Operator;
use protocol::account::IntegrationState;
use protocol::bridge::Capabilities;
use session::call::ARTIFACTS_BINDING;

/// How long the bridge may take.
const BRIDGE_MS_MAX: u64 = 10_000;
/// An object that nobody makes: whether the bucket answers is what matters.
const NO_OBJECT: &str = "checks/nothing";
/// GitHub sends something to a deployment that is used; after this silence is worth a word.
const QUIET_MS: u64 = 7 * 24 * 3_600_000;
const DAY_MS: u64 = 24 * 3_600_000;

/// What was found of one integration.
struct Found {
    state: IntegrationState,
    detail: String,
}

impl Found {
    fn new(state: IntegrationState, detail: impl Into<String>) -> Self {
        Self { state, detail: detail.into() }
    }
}

/// All of them.
pub(super) async fn checks(context: &Context) -> Answer {
    let (bridge, app, database, artifacts) =
        join!(bridge(context), app(context), database(context), artifacts(context));
    let found = [
        ("Address", address(context)),
        ("Database", database.0),
        ("Store of artifacts", artifacts),
        ("Sandbox bridge", bridge),
        ("GitHub App", app),
        ("Webhooks of GitHub", database.1),
        ("Slack", slack(context)),
    ];
    let lines: Vec<String> = found.iter().map(|(name, found)| line(name, found)).collect();
    json_text(200, format!("{{\"checks\":[{}]}}", lines.join(",")))
}

fn line(name: &str, found: &Found) -> String {
    let state = match found.state {
        IntegrationState::Works => "works",
        IntegrationState::Limited => "limited",
        IntegrationState::Off => "off",
        IntegrationState::Wrong => "wrong",
    };
    let detail = serde_json::Value::from(found.detail.as_str());
    format!("{{\"name\":\"{name}\",\"state\":\"{state}\",\"detail\":{detail}}}")
}

/// Links in pull requests and Slack lead to `PUBLIC_URL`.
fn address(context: &Context) -> Found {
    let here = context.url.origin();
    match context.settings.public_origin.as_deref() {
        Some(public) if public == here => Found::new(IntegrationState::Works, here),
        Some(public) => Found::new(
            IntegrationState::Limited,
            format!("this is {here}, but links lead to {public}, which PUBLIC_URL says"),
        ),
        None => Found::new(
            IntegrationState::Limited,
            "PUBLIC_URL is not set: links in pull requests lead to the address of whoever asked last",
        ),
    }
}

async fn bridge(context: &Context) -> Found {
    let ask = Ask::look("/capabilities".to_owned(), BRIDGE_MS_MAX);
    let answered = match Operator(&context.env).bridge().send(&ask).await {
        Ok(answered) => answered,
        Err(Unanswered::Misconfigured(reason) | Unanswered::Silent(reason)) => {
            return Found::new(IntegrationState::Wrong, reason);
        }
    };
    let Ok(known) = serde_json::from_slice::<Capabilities>(&answered.body) else {
        let detail =
            format!("it answers {}, but does not say what it can: upgrade the bridge", answered.status);
        return Found::new(IntegrationState::Wrong, detail);
    };
    let at = format!("{} sandboxes; limits: {}", known.provider, known.limits.join(", "));
    if known.missing.is_empty() {
        return Found::new(IntegrationState::Works, at);
    }
    Found::new(IntegrationState::Limited, format!("{at}; {}", known.missing.join("; ")))
}

async fn app(context: &Context) -> Found {
    let app = match App::read(&context.env) {
        Ok(Some(app)) => app,
        Ok(None) => {
            let remedy = "without GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY sandboxes reach git only as the bridge's own settings allow";
            return Found::new(IntegrationState::Off, remedy);
        }
        Err(error) => return Found::new(IntegrationState::Wrong, error.to_string()),
    };
    match app.facts(&context.settings.github_api_url).await {
        Err(error) => Found::new(IntegrationState::Wrong, error.to_string()),
        Ok(facts) if facts.installations == 0 => {
            let detail = format!("{} is installed nowhere: install it on the repositories", facts.slug);
            Found::new(IntegrationState::Wrong, detail)
        }
        Ok(facts) => {
            let installed = format!("{}, installed {} times", facts.slug, facts.installations);
            if facts.lacks.is_empty() {
                return Found::new(IntegrationState::Works, installed);
            }
            let detail = format!("{installed}; it lacks {}: add that on its page", facts.lacks.join(", "));
            Found::new(IntegrationState::Limited, detail)
        }
    }
}

/// Whether the database answers and has its tables, and when GitHub told something last.
async fn database(context: &Context) -> (Found, Found) {
    let asked = async {
        let rows = Database::new(&context.env)?.rows("SELECT max(received_at) FROM deliveries", &[]).await?;
        Ok::<_, worker::Error>(rows.first().and_then(|row| row.number(0)))
    };
    let last = match asked.await {
        Ok(last) => last,
        Err(error) => {
            let detail = format!(
                "it does not answer as it should: {error}; `cargo xtask deploy` applies its migrations"
            );
            let unknown = Found::new(IntegrationState::Wrong, "unknown without the database");
            return (Found::new(IntegrationState::Wrong, detail), unknown);
        }
    };
    (Found::new(IntegrationState::Works, "it answers, with its tables"), webhooks(context, last))
}

fn webhooks(context: &Context, last: Option<u64>) -> Found {
    if Operator(&context.env).text("GITHUB_WEBHOOK_SECRET").is_none() {
        let remedy =
            "GITHUB_WEBHOOK_SECRET is not set: pull requests are looked at every quarter of an hour instead";
        return Found::new(IntegrationState::Off, remedy);
    }
    let Some(last) = last else {
        let remedy =
            "none has come yet; the App's page, Advanced, shows what was sent and how it was answered";
        return Found::new(IntegrationState::Limited, remedy);
    };
    let quiet = context.now.0.saturating_sub(last);
    if quiet > QUIET_MS {
        let detail = format!("none for {} days; see the App's page, Advanced", quiet / DAY_MS);
        return Found::new(IntegrationState::Limited, detail);
    }
    Found::new(IntegrationState::Works, "they come")
}

async fn artifacts(context: &Context) -> Found {
    let asked = async { context.env.bucket(ARTIFACTS_BINDING)?.head(NO_OBJECT).await };
    match asked.await {
        Ok(_) => Found::new(IntegrationState::Works, "it answers"),
        Err(error) => Found::new(
            IntegrationState::Limited,
            format!("it does not answer: {error}; large outputs stay in their sessions until it does"),
        ),
    }
}

/// Slack is tried by the first message; until then its settings must be whole.
fn slack(context: &Context) -> Found {
    let names = ["SLACK_SIGNING_SECRET", "SLACK_BOT_TOKEN", "SLACK_TEAM_ID"];
    if names.iter().all(|name| Operator(&context.env).text(name).is_none()) {
        return Found::new(IntegrationState::Off, "see workers/slack/README.md to set it up");
    }
    match SlackSettings::of(&context.env) {
        Ok(settings) => {
            Found::new(IntegrationState::Works, format!("set up for the workspace {}", settings.team))
        }
        Err(error) => Found::new(IntegrationState::Wrong, error.message),
    }
}
