//! The manifest of the Slack app for one deployment (docs.slack.dev, "App manifest reference").

use serde_json::{Value, json};

/// What the bot may do, each with the reason that the install guide gives.
pub const SCOPES: &[(&str, &str)] = &[
    ("app_mentions:read", "hear that it is mentioned"),
    ("chat:write", "write into threads"),
    ("channels:history", "read the thread that it was mentioned in"),
    ("channels:read", "know a channel's name"),
    ("groups:history", "the same in private channels that it was invited to"),
    ("groups:read", "the same"),
    ("im:history", "hear direct messages"),
    ("users:read", "know people's names"),
    ("files:read", "see which files are attached"),
];

/// Events that it hears.
pub const EVENTS: &[&str] = &["app_mention", "message.channels", "message.groups", "message.im"];

/// The manifest; `origin` is the deployment's public address without a slash at the end.
#[must_use]
pub fn render(origin: &str, name: &str) -> Value {
    let scopes: Vec<&str> = SCOPES.iter().map(|(scope, _)| *scope).collect();
    json!({
        "display_information": {"name": name, "description": "Background coding agents: mention it, get a pull request."},
        "features": {
            "bot_user": {"display_name": name, "always_online": true},
            "app_home": {"home_tab_enabled": false, "messages_tab_enabled": true, "messages_tab_read_only_enabled": false},
        },
        "oauth_config": {"scopes": {"bot": scopes}},
        "settings": {
            "event_subscriptions": {"request_url": format!("{origin}/api/slack/events"), "bot_events": EVENTS},
            "interactivity": {"is_enabled": true, "request_url": format!("{origin}/api/slack/interactions")},
            "org_deploy_enabled": false,
            "socket_mode_enabled": false,
            "token_rotation_enabled": false,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_leads_to_the_deployment() {
        let manifest = render("https://farhand.example", "Farhand");
        let urls = ["/settings/event_subscriptions/request_url", "/settings/interactivity/request_url"]
            .map(|path| manifest.pointer(path).and_then(Value::as_str).unwrap());
        assert_eq!(
            urls,
            ["https://farhand.example/api/slack/events", "https://farhand.example/api/slack/interactions"]
        );
        assert_eq!(
            manifest.pointer("/oauth_config/scopes/bot").and_then(Value::as_array).unwrap().len(),
            SCOPES.len()
        );
    }
}
