//! What OpenCode is told by environment: its configuration as JSON, its switches, and nothing of the runner's own.
//!
//! The gateway's providers have names of their own, because OpenCode treats some names (such as `openai`) in ways that need the
//! vendor's own endpoint. Pure; used by `server`.

use super::server::Extras;
use crate::agent::AgentSettings;
use crate::environment::Environment;
use crate::git::{gateway_settings, settings_as_variables};
use protocol::effort::{Effort, takes_effort};
use serde_json::{Map, Value, json};

/// Limits assumed of a model that OpenCode's catalogue does not know.
const CONTEXT_TOKENS: u32 = 200_000;
const OUTPUT_TOKENS: u32 = 32_000;
/// The vendor whose own wire format is used.
const ANTHROPIC: &str = "anthropic";
/// The other vendor whose models take pictures.
const OPENAI: &str = "openai";
/// The model that warms OpenCode up.
pub(super) const WARM_PROVIDER: &str = "farhand.warm";
pub(super) const WARM_MODEL: &str = "warm";

/// A model as OpenCode names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) provider: String,
    pub(super) name: String,
}

/// Reads `provider/name`; the name may have slashes of its own.
pub(super) fn parse_model(text: &str) -> Option<Model> {
    let (provider, name) = text.split_once('/')?;
    let known = !provider.is_empty() && !name.is_empty();
    known.then(|| Model { provider: provider_id(provider), name: name.to_owned() })
}

/// Whether a model, `provider/name`, is given pictures. Of others than the two vendors nothing is known, and a model that takes none fails
/// the turn.
pub(super) fn takes_pictures(model: &str) -> bool {
    matches!(model.split_once('/'), Some((ANTHROPIC | OPENAI, _)))
}

fn provider_id(provider: &str) -> String {
    if provider == ANTHROPIC { ANTHROPIC.to_owned() } else { format!("farhand-{provider}") }
}

/// The value of `OPENCODE_CONFIG_CONTENT`.
pub(super) fn content(environment: &Environment, settings: &AgentSettings, extras: Extras<'_>) -> Value {
    let mut providers = Map::new();
    for text in std::iter::once(&settings.model).chain(&settings.models) {
        let Some((gateway_name, _)) = text.split_once('/') else { continue };
        let Some(model) = parse_model(text) else { continue };
        let provider =
            providers.entry(model.provider.clone()).or_insert_with(|| provider(environment, gateway_name));
        if let Some(models) = provider.get_mut("models").and_then(Value::as_object_mut) {
            models.insert(model.name.clone(), describe(text, &model));
        }
    }
    if let Some(warm) = extras.warm {
        let options = json!({ "baseURL": format!("http://127.0.0.1:{}/v1", warm.port), "apiKey": "none" });
        providers
            .insert(WARM_PROVIDER.to_owned(), compatible(WARM_PROVIDER, &options, json!({ WARM_MODEL: {} })));
    }
    let default = parse_model(&settings.model).map(|model| format!("{}/{}", model.provider, model.name));
    json!({
        "model": default,
        "small_model": default,
        "enabled_providers": providers.keys().collect::<Vec<_>>(),
        "provider": providers,
        "share": "disabled",
        "autoupdate": false,
        "snapshot": false,
        "instructions": extras.guide.into_iter().collect::<Vec<_>>(),
        "plugin": extras.door.map(|door| &door.plugin).into_iter().collect::<Vec<_>>(),
        "permission": {
            "*": "allow",
            "external_directory": "allow",
            "bash": { "*": "allow", "git push": "deny", "git push *": "deny" },
        },
    })
}

fn provider(environment: &Environment, gateway_name: &str) -> Value {
    let options = json!({
        "baseURL": format!("{}/model/{gateway_name}", environment.bridge_url),
        "apiKey": environment.token,
    });
    if gateway_name == ANTHROPIC {
        json!({ "options": options, "models": {} })
    } else {
        compatible(gateway_name, &options, json!({}))
    }
}

fn compatible(name: &str, options: &Value, models: Value) -> Value {
    json!({ "npm": "@ai-sdk/openai-compatible", "name": name, "options": options, "models": models })
}

fn describe(text: &str, model: &Model) -> Value {
    let mut told = if model.provider == ANTHROPIC {
        // The catalogue knows the vendor's models better.
        json!({})
    } else {
        let takes_pictures = takes_pictures(text);
        let input: &[&str] = if takes_pictures { &["text", "image"] } else { &["text"] };
        json!({
            "name": model.name,
            "limit": { "context": CONTEXT_TOKENS, "output": OUTPUT_TOKENS },
            "attachment": takes_pictures,
            "modalities": { "input": input, "output": ["text"] },
        })
    };
    if let (true, Some(fields)) = (takes_effort(text), told.as_object_mut()) {
        let ways = Effort::ALL.map(|effort| (effort.word().to_owned(), variant(model, effort)));
        fields.insert("variants".to_owned(), Map::from_iter(ways).into());
        fields.insert("reasoning".to_owned(), true.into());
    }
    told
}

/// What an effort is to a vendor: a word at OpenAI and those who speak like it, tokens at Anthropic, where at least 1,024 are asked for
/// (<https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking>).
fn variant(model: &Model, effort: Effort) -> Value {
    if model.provider != ANTHROPIC {
        return json!({ "reasoningEffort": effort.word() });
    }
    let tokens = match effort {
        Effort::Low => 2_048,
        Effort::Medium => 8_192,
        Effort::High => 24_576,
    };
    json!({ "thinking": { "type": "enabled", "budgetTokens": tokens } })
}

/// All variables that OpenCode gets besides the inherited ones.
pub(super) fn variables(
    environment: &Environment,
    settings: &AgentSettings,
    password: &str,
    extras: Extras<'_>,
) -> Vec<(String, String)> {
    let fixed = [
        ("OPENCODE_CLIENT", "serve"),
        ("OPENCODE_DISABLE_PROJECT_CONFIG", "1"),
        ("OPENCODE_DISABLE_MODELS_FETCH", "1"),
        ("OPENCODE_DISABLE_AUTOUPDATE", "1"),
        ("OPENCODE_DISABLE_LSP_DOWNLOAD", "1"),
        ("OPENCODE_DISABLE_DEFAULT_PLUGINS", "1"),
        ("OPENCODE_DISABLE_SHARE", "1"),
        ("NO_PROXY", "127.0.0.1,localhost,::1"),
        ("no_proxy", "127.0.0.1,localhost,::1"),
        ("OPENCODE_SERVER_PASSWORD", password),
    ];
    let mut variables: Vec<_> =
        fixed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    variables
        .push(("OPENCODE_CONFIG_CONTENT".to_owned(), content(environment, settings, extras).to_string()));
    variables.extend(settings_as_variables(&gateway_settings(environment)));
    variables
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::SandboxId;
    use protocol::runner::AgentKind;

    #[test]
    fn every_model_is_reached_through_the_gateway() {
        let environment = Environment {
            bridge_url: "http://127.0.0.1:3128".into(),
            token: "token".into(),
            sandbox_id: SandboxId::parse("sbx_1").unwrap(),
            generation: 1,
            spool: "spool".into(),
            workspace: "workspace".into(),
            code_host: None,
            opencode: None,
            home: "home".into(),
        };
        let settings = AgentSettings {
            kind: AgentKind::Opencode,
            title: "Farhand ses_1".into(),
            model: "openai/gpt-5".into(),
            models: vec!["openai/gpt-5".into(), "demo/a/b".into(), "anthropic/claude".into()],
        };
        let content = content(
            &environment,
            &settings,
            Extras { warm: None, door: None, guide: Some("/home/guide.md".as_ref()) },
        );
        assert_eq!(content["model"], "farhand-openai/gpt-5");
        let url = |provider: &str| content["provider"][provider]["options"]["baseURL"].clone();
        assert_eq!(url("farhand-openai"), "http://127.0.0.1:3128/model/openai");
        assert_eq!(url("farhand-demo"), "http://127.0.0.1:3128/model/demo");
        assert_eq!(url("anthropic"), "http://127.0.0.1:3128/model/anthropic");
        assert!(content["provider"]["farhand-demo"]["models"]["a/b"].is_object());
        assert_eq!(content["provider"]["anthropic"]["npm"], Value::Null);
        assert_eq!(content["permission"]["bash"]["git push *"], "deny");
        assert_eq!(content["instructions"], json!(["/home/guide.md"]));
    }
}
