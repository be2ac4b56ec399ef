//! Who may sign in to this deployment: the operator's lists, and the questions to the code host that follow from them.
//!
//! Lists that are empty let nobody in. Logins are compared without case, as GitHub does. Sign-in and every refresh ask here.

/// The lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    logins: Vec<String>,
    operators: Vec<String>,
    memberships: Vec<Membership>,
}

/// Something at the code host whose members may sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Its login.
    pub organisation: String,
    /// One of its teams, where not everyone may.
    pub team: Option<String>,
}

/// A setting that is no such list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} must list {expected}, separated by commas")]
pub struct AllowListError {
    setting: &'static str,
    expected: &'static str,
}

impl AllowList {
    /// Reads the settings `ALLOWED_LOGINS`, `ALLOWED_ORGANISATIONS`, `ALLOWED_TEAMS` (`organisation/team`) and `OPERATORS`.
    pub fn parse(read: impl Fn(&str) -> Option<String>) -> Result<Self, AllowListError> {
        let logins = |setting: &'static str| -> Result<Vec<String>, AllowListError> {
            let names = entries(read(setting));
            let wrong = AllowListError { setting, expected: "logins" };
            if names.iter().all(|name| is_name(name)) { Ok(names) } else { Err(wrong) }
        };
        let mut memberships = Vec::new();
        for organisation in logins("ALLOWED_ORGANISATIONS")? {
            memberships.push(Membership { organisation, team: None });
        }
        for entry in entries(read("ALLOWED_TEAMS")) {
            let wrong = AllowListError { setting: "ALLOWED_TEAMS", expected: "organisation/team" };
            let (organisation, team) = entry
                .split_once('/')
                .filter(|(organisation, team)| is_name(organisation) && is_name(team))
                .ok_or(wrong)?;
            memberships
                .push(Membership { organisation: organisation.to_owned(), team: Some(team.to_owned()) });
        }
        Ok(Self { logins: logins("ALLOWED_LOGINS")?, operators: logins("OPERATORS")?, memberships })
    }

    /// Whether this login may sign in whatever it belongs to.
    #[must_use]
    pub fn names(&self, login: &str) -> bool {
        has(&self.logins, login) || self.is_operator(login)
    }

    /// Whether this login runs the deployment.
    #[must_use]
    pub fn is_operator(&self, login: &str) -> bool {
        has(&self.operators, login)
    }

    /// The logins that run the deployment.
    #[must_use]
    pub fn operators(&self) -> &[String] {
        &self.operators
    }

    /// What else lets somebody in; one of them is enough.
    #[must_use]
    pub fn memberships(&self) -> &[Membership] {
        &self.memberships
    }
}

fn has(list: &[String], login: &str) -> bool {
    list.iter().any(|known| known.eq_ignore_ascii_case(login))
}

fn entries(setting: Option<String>) -> Vec<String> {
    let mut entries = Vec::new();
    for entry in setting.unwrap_or_default().split(',') {
        let entry = entry.trim().trim_start_matches('@');
        if !entry.is_empty() {
            entries.push(entry.to_owned());
        }
    }
    entries
}

/// What a login, an organisation or a team's slug is made of; nothing of it means something in a path.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(['.', '-'])
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(settings: &[(&str, &str)]) -> Result<AllowList, AllowListError> {
        AllowList::parse(|name| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn an_empty_configuration_lets_nobody_in() {
        for settings in [&[][..], &[("ALLOWED_LOGINS", " , ,"), ("OPERATORS", "")]] {
            let list = list(settings).unwrap();
            assert!(list.memberships().is_empty());
            for login in ["", "ada", ",", " "] {
                assert!(!list.names(login) && !list.is_operator(login), "{login:?}");
            }
        }
    }

    #[test]
    fn logins_count_without_case_and_as_a_whole() {
        let list = list(&[("ALLOWED_LOGINS", "Ada, @grace"), ("OPERATORS", "root-1")]).unwrap();
        for login in ["ada", "ADA", "Grace", "root-1"] {
            assert!(list.names(login), "{login}");
        }
        for login in ["ad", "adaa", "ada,grace", "", "root"] {
            assert!(!list.names(login), "{login}");
        }
        assert!(list.is_operator("Root-1") && !list.is_operator("ada"));
    }

    #[test]
    fn organisations_and_teams_are_questions() {
        let list = list(&[("ALLOWED_ORGANISATIONS", "acme"), ("ALLOWED_TEAMS", "acme/core, other/dev-1")]);
        let membership = |organisation: &str, team: Option<&str>| Membership {
            organisation: organisation.into(),
            team: team.map(str::to_owned),
        };
        assert_eq!(
            list.unwrap().memberships(),
            [membership("acme", None), membership("acme", Some("core")), membership("other", Some("dev-1"))]
        );
    }

    #[test]
    fn what_could_change_a_path_is_no_name() {
        for (setting, value) in [
            ("ALLOWED_LOGINS", "a/b"),
            ("ALLOWED_ORGANISATIONS", ".."),
            ("ALLOWED_ORGANISATIONS", "acme?x"),
            ("ALLOWED_TEAMS", "acme"),
            ("ALLOWED_TEAMS", "acme/a/b"),
            ("ALLOWED_TEAMS", "/core"),
            ("OPERATORS", "*"),
        ] {
            let error = list(&[(setting, value)]).unwrap_err().to_string();
            assert!(error.starts_with(setting) && !error.contains(value), "{error}");
        }
    }
}
