//! The secrets of a deployment: which it needs, which are made here, and which are asked for.

use super::deployment::{Base, Deployment};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::collections::BTreeSet;

/// One secret of the Worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Secret {
    pub(super) name: &'static str,
    /// What it is, and where to find it.
    pub(super) what: &'static str,
    pub(super) source: Source,
    need: Need,
}

/// Where a secret comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Random bytes, made once.
    Made(Form),
    /// Somebody else's: asked for.
    Asked,
    /// Asked for by the path of a file.
    AskedAsFile,
}

/// How random bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// 32 bytes in base64.
    Key,
    /// A ring of one such key, as sealed tokens want it.
    Ring,
}

/// Whether a deployment works without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Always,
    /// Where a variable is set.
    With(&'static str),
    Never,
}

/// All of them, in the order in which they are asked for.
pub(super) const SECRETS: &[Secret] = &[
    Secret {
        name: "SESSION_KEY",
        what: "signs who is signed in",
        source: Source::Made(Form::Key),
        need: Need::Always,
    },
    Secret {
        name: "TOKEN_KEYS",
        what: "seals the tokens of those who sign in",
        source: Source::Made(Form::Ring),
        need: Need::Always,
    },
    Secret {
        name: "BRIDGE_KEY",
        what: "shared with the bridge, which reads it as FARHAND_BRIDGE_KEY",
        source: Source::Made(Form::Key),
        need: Need::Always,
    },
    Secret {
        name: "GITHUB_CLIENT_SECRET",
        what: "a client secret of the GitHub App; its page, General, Client secrets",
        source: Source::Asked,
        need: Need::With("GITHUB_CLIENT_ID"),
    },
    Secret {
        name: "GITHUB_APP_ID",
        what: "the GitHub App's id; its page, General, About",
        source: Source::Asked,
        need: Need::Never,
    },
    Secret {
        name: "GITHUB_APP_PRIVATE_KEY",
        what: "the file with the GitHub App's private key (PEM); its page, General, Private keys",
        source: Source::AskedAsFile,
        need: Need::Never,
    },
    Secret {
        name: "GITHUB_WEBHOOK_SECRET",
        what: "what the GitHub App's webhooks are signed with; its page, General, Webhook",
        source: Source::Asked,
        need: Need::Never,
    },
    Secret {
        name: "SLACK_SIGNING_SECRET",
        what: "the Slack app's Basic Information, Signing Secret",
        source: Source::Asked,
        need: Need::With("SLACK_TEAM_ID"),
    },
    Secret {
        name: "SLACK_BOT_TOKEN",
        what: "the Slack app's OAuth & Permissions, Bot User OAuth Token",
        source: Source::Asked,
        need: Need::With("SLACK_TEAM_ID"),
    },
    Secret {
        name: "SLACK_REFRESH_TOKEN",
        what: "the first refresh token of a Slack app whose tokens rotate",
        source: Source::Asked,
        need: Need::Never,
    },
    Secret {
        name: "SLACK_CLIENT_SECRET",
        what: "of a Slack app whose tokens rotate: Basic Information, Client Secret",
        source: Source::Asked,
        need: Need::With("SLACK_CLIENT_ID"),
    },
    Secret {
        name: "METRICS_KEY",
        what: "what scrapers of /metrics send, 16 characters at least",
        source: Source::Asked,
        need: Need::Never,
    },
    Secret {
        name: "SLACK_ROUTER_KEY",
        what: "a key for the model that finds a message's repository",
        source: Source::Asked,
        need: Need::Never,
    },
];

impl Secret {
    /// Whether the deployment does not work without it.
    pub(super) fn is_needed(&self, deployment: &Deployment, base: &Base) -> bool {
        match self.need {
            Need::Always => true,
            Need::With(var) => deployment.var(base, var).is_some(),
            Need::Never => false,
        }
    }

    /// Whether it could be of use: Slack's only where there is Slack.
    fn is_wanted(&self, deployment: &Deployment, base: &Base) -> bool {
        !self.name.starts_with("SLACK_") || deployment.var(base, "SLACK_TEAM_ID").is_some()
    }
}

/// Those that are not set yet and wanted.
pub(super) fn missing(deployment: &Deployment, base: &Base, set: &BTreeSet<String>) -> Vec<&'static Secret> {
    let wanted = SECRETS.iter().filter(|secret| secret.is_wanted(deployment, base));
    wanted.filter(|secret| !set.contains(secret.name)).collect()
}

/// A new one of random bytes.
pub(super) fn make(form: Form, random: [u8; 32]) -> String {
    let key = STANDARD.encode(random);
    match form {
        Form::Key => key,
        Form::Ring => json!({"current": "1", "keys": {"1": key}}).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(more: &str) -> (Deployment, Base) {
        let base = Base::read(include_str!("../../../wrangler.toml")).unwrap();
        let text = format!(
            "public_url = \"https://a.example\"\n[vars]\nGITHUB_CLIENT_ID = \"Iv1\"\nBRIDGE_URL = \"https://b.example\"\nOPERATORS = \"ada\"\n{more}"
        );
        (Deployment::read(&text, &base).unwrap(), base)
    }

    fn names(more: &str, set: &[&str]) -> Vec<&'static str> {
        let (deployment, base) = read(more);
        let set = set.iter().map(|name| (*name).to_owned()).collect();
        missing(&deployment, &base, &set).iter().map(|secret| secret.name).collect()
    }

    #[test]
    fn only_what_is_missing_and_of_use_is_asked_for() {
        let all = names("", &[]);
        assert!(all.contains(&"GITHUB_CLIENT_SECRET") && all.iter().all(|name| !name.starts_with("SLACK_")));
        let rest = names("SLACK_TEAM_ID = \"T1\"", &["SESSION_KEY", "TOKEN_KEYS", "BRIDGE_KEY"]);
        assert!(rest.contains(&"SLACK_BOT_TOKEN") && !rest.contains(&"SESSION_KEY"));
    }

    #[test]
    fn a_deployment_cannot_do_without_some() {
        let (deployment, base) = read("SLACK_TEAM_ID = \"T1\"");
        let needed = SECRETS.iter().filter(|secret| secret.is_needed(&deployment, &base));
        let names: Vec<&str> = needed.map(|secret| secret.name).collect();
        let expected = [
            "SESSION_KEY",
            "TOKEN_KEYS",
            "BRIDGE_KEY",
            "GITHUB_CLIENT_SECRET",
            "SLACK_SIGNING_SECRET",
            "SLACK_BOT_TOKEN",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_ring_is_one_that_the_worker_reads() {
        let ring = make(Form::Ring, [7; 32]);
        assert!(platform::vault::ring::KeyRing::parse(&ring).is_ok(), "{ring}");
        assert_eq!(STANDARD.decode(make(Form::Key, [7; 32])).unwrap(), [7; 32]);
    }

    /// The Configuration of ARCHITECTURE.md is what the Worker reads: a name that it lists can be set by a deployment, or is refused.
    #[test]
    fn every_setting_of_the_worker_has_its_place() {
        let (_, base) = read("");
        let text = include_str!("../../../ARCHITECTURE.md");
        let (_, table) = text.split_once("\n## Configuration\n").unwrap();
        let (table, _) = table.split_once("\nBridge (").unwrap();
        let mut secrets = BTreeSet::new();
        for row in table.lines().filter(|line| line.starts_with("| `")) {
            let mut cells = row.split(" | ");
            let names: Vec<&str> = cells
                .next()
                .unwrap()
                .split('`')
                .filter(|part| part.starts_with(|c: char| c.is_ascii_uppercase()))
                .collect();
            let kinds: Vec<&str> = cells.next().unwrap().split(", ").map(str::trim).collect();
            for (index, name) in names.iter().enumerate() {
                match kinds.get(index).or(kinds.last()).copied() {
                    Some("secret") => _ = secrets.insert(*name),
                    Some("var") => assert!(base.has_place_for(name), "{name}"),
                    other => panic!("{name} is {other:?}"),
                }
            }
        }
        secrets.remove("LOCAL_USERS");
        let ours: BTreeSet<&str> = SECRETS.iter().map(|secret| secret.name).collect();
        assert_eq!(ours, secrets);
    }
}
