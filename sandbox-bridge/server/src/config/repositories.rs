//! Reads what single repositories may reach, and the values of their secrets, from one environment variable or the file it names.

use super::{ConfigError, REPOSITORY_POLICY_VARIABLE, Secret, parse_json};
use crate::gateway::egress::RepositoryPolicy;
use protocol::id::RepositoryId;
use std::collections::BTreeMap;

const REPOSITORY_POLICY_EXAMPLE: &str = r#"{"owner/name": {"allow_hosts": ["registry.example"], "secrets": {"NPM_TOKEN": {"host": "registry.example", "value_env": "SHOP_NPM_TOKEN"}}}}"#;
/// Shorter ones would be found by chance in what is searched for them.
const SECRET_BYTES_MIN: usize = 8;

/// Reads the policies of repositories and puts the values of their secrets in.
pub(super) fn read(
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<RepositoryId, RepositoryPolicy>, ConfigError> {
    let text = variable(REPOSITORY_POLICY_VARIABLE).unwrap_or_else(|| "{}".to_owned());
    let text = if text.trim_start().starts_with('{') {
        text
    } else {
        let what = REPOSITORY_POLICY_VARIABLE;
        std::fs::read_to_string(&text).map_err(|source| ConfigError::File {
            what,
            path: text.into(),
            source,
        })?
    };
    let mut policies: BTreeMap<RepositoryId, RepositoryPolicy> =
        parse_json(REPOSITORY_POLICY_VARIABLE, REPOSITORY_POLICY_EXAMPLE, &text)?;
    for (id, policy) in &mut policies {
        for (name, secret) in &mut policy.secrets {
            let wrong = |what: &str| ConfigError::Policy {
                variable: REPOSITORY_POLICY_VARIABLE,
                what: format!("secret {name} of {id}: {what}"),
            };
            if !is_variable_name(name) {
                return Err(wrong(
                    "its name is that of an environment variable: letters, digits and _, not FARHAND_…",
                ));
            }
            let value = match (secret.value.take(), secret.value_env.as_deref()) {
                (Some(value), None) => value,
                (None, Some(from)) => {
                    let value =
                        variable(from).ok_or_else(|| wrong(&format!("the bridge has no variable {from}")))?;
                    Secret::new(value)
                }
                (Some(_), Some(_)) | (None, None) => {
                    return Err(wrong("give either \"value\" or \"value_env\""));
                }
            };
            let fits = value.reveal().len() >= SECRET_BYTES_MIN
                && value.reveal().bytes().all(|b| b.is_ascii_graphic());
            if !fits {
                return Err(wrong(&format!(
                    "its value has fewer than {SECRET_BYTES_MIN} characters, or some that no header can have"
                )));
            }
            secret.value = Some(value);
        }
    }
    Ok(policies)
}

fn is_variable_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let own = name.to_ascii_uppercase().starts_with("FARHAND_");
    first && !own && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policies(text: &str) -> Result<BTreeMap<RepositoryId, RepositoryPolicy>, ConfigError> {
        read(&|name: &str| match name {
            REPOSITORY_POLICY_VARIABLE => Some(text.to_owned()),
            "SHOP_NPM_TOKEN" => Some("canary-npm-token".to_owned()),
            "SHORT" => Some("canary".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn policies_of_repositories_come_as_json_or_as_a_file_with_it() {
        let read = policies(REPOSITORY_POLICY_EXAMPLE.replace("owner/name", "acme/shop").as_str()).unwrap();
        let policy = &read[&RepositoryId::parse("acme/shop").unwrap()];
        assert_eq!(policy.secrets["NPM_TOKEN"].value.as_ref().unwrap().reveal(), "canary-npm-token");
        assert_eq!(policy.secrets["NPM_TOKEN"].host.0.to_string(), "registry.example:443");
        assert!(!format!("{read:?}").contains("canary"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), r#"{"acme/shop": {"allow_hosts": ["*.example:8443"]}}"#).unwrap();
        assert_eq!(policies(file.path().to_str().unwrap()).unwrap().len(), 1);
        assert!(policies("{}").unwrap().is_empty());
        assert!(matches!(policies("/nowhere/policy.json"), Err(ConfigError::File { .. })));
    }

    #[test]
    fn a_policy_that_does_not_work_is_refused_without_its_secrets() {
        let with = |secret: &str| format!(r#"{{"acme/shop": {{"secrets": {secret}}}}}"#);
        for (text, words) in [
            (r#"{"acme": {}}"#.to_owned(), "wrong near line"),
            (r#"{"acme/shop": {"allow": []}}"#.to_owned(), "wrong near line"),
            (r#"{"acme/shop": {"allow_hosts": ["10.0.0.1"]}}"#.to_owned(), "wrong near line"),
            (with(r#"{"A": {"host": "*.example", "value": "canary-canary"}}"#), "wrong near line"),
            (with(r#"{"A": {"host": "a.example"}}"#), "give either"),
            (
                with(r#"{"A": {"host": "a.example", "value": "canary-canary", "value_env": "X"}}"#),
                "give either",
            ),
            (with(r#"{"A": {"host": "a.example", "value_env": "NOWHERE"}}"#), "no variable NOWHERE"),
            (with(r#"{"A": {"host": "a.example", "value_env": "SHORT"}}"#), "fewer than 8"),
            (with(r#"{"A": {"host": "a.example", "value": "canary canary"}}"#), "no header can have"),
            (with(r#"{"A-B": {"host": "a.example", "value": "canary-canary"}}"#), "environment variable"),
            (
                with(r#"{"FARHAND_X": {"host": "a.example", "value": "canary-canary"}}"#),
                "environment variable",
            ),
        ] {
            let error = policies(&text).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains("canary"), "{text}: {error}");
        }
    }
}
