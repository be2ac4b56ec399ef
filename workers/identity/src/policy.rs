//! The one table of who may do what: principal × role × action.
//!
//! Every route names its [`Action`] and every command of a session's socket its [`SessionAction`]; what it takes is said here and nowhere
//! else. The edge asks [`evaluate`] about deployment and repository; a session's core asks [`evaluate_role`], because roles live there.
//! Whoever is not named (a sandbox with its token, a bridge on another path) is nobody.

use protocol::timeline::Role;
use serde::Serialize;

/// What somebody wants of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionAction {
    /// See what it has said and done.
    Watch,
    /// Submit a prompt, or steer the running turn with one.
    Prompt,
    /// Change the text of a waiting prompt of one's own.
    EditPrompt,
    /// Give a waiting prompt another place, or take it back, whoever wrote it.
    OrderQueue,
    /// End the running turn.
    StopTurn,
    /// Give the session another title.
    Rename,
    /// Give a participant another role.
    ChangeRole,
    /// Archive the session, or take it up again.
    Archive,
    /// Remove the session for good.
    Delete,
}

/// What somebody wants of the deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// What everybody may know, and the way in and out.
    Enter,
    /// Know who one is.
    KnowSelf,
    /// End all of one's sign-ins; list, make and revoke one's keys; allow another client to have one.
    ManageSelf,
    /// List the repositories that one may work on.
    ListRepositories,
    /// List the sessions of repositories that one sees.
    ListSessions,
    /// Start a session.
    CreateSession,
    /// See how much the deployment is used and what came of it, as far as one sees its repositories.
    SeeMetrics,
    /// See a repository's images, builds and warm pool.
    SeeRepository,
    /// Order builds of a repository, reserve its sandboxes, change its settings.
    UseRepository,
    /// Something of a session.
    Session(SessionAction),
    /// Open a session's WebSocket with a ticket.
    Connect,
    /// Run the deployment: the audit log, the wrapping anew of tokens.
    Operate,
    /// Report what sandboxes do, and ask for what opens their repositories.
    Report,
    /// Tell what happened at the code host.
    Tell,
    /// Tell what people wrote and clicked in Slack.
    Hear,
    /// Collect what the deployment exposes about itself.
    Scrape,
}

/// Who may ask at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Anybody.
    Public,
    /// A signed-in user.
    User,
    /// A signed-in user who runs the deployment.
    Operator,
    /// The holder of a WebSocket ticket.
    Ticket,
    /// A bridge, by signature.
    Bridge,
    /// The code host, by the signature of its webhooks.
    CodeHost,
    /// Slack, by the signature of its requests.
    Slack,
    /// A collector of metrics, by a key of its own.
    Scraper,
}

/// How far a key of the API reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// See.
    Read,
    /// See and change.
    Write,
}

/// What the code host lets a user do with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RepositoryAccess {
    /// Not even see it.
    None,
    /// See it.
    Read,
    /// Push to it.
    Write,
}

impl RepositoryAccess {
    /// The word that stands for it in D1.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// What a word stands for; an unknown one for no access.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "write" => Self::Write,
            "read" => Self::Read,
            _ => Self::None,
        }
    }
}

/// With what a user proved who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// The cookie of a browser.
    Cookie,
    /// A key of the API.
    Key(Scope),
}

/// What an action takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Who may ask.
    pub access: Access,
    /// The least scope of a key; `None`: no key will do.
    pub scope: Option<Scope>,
    /// What the repository in question must allow.
    pub repository: RepositoryAccess,
}

/// The table.
#[must_use]
pub fn rule(action: Action) -> Rule {
    use RepositoryAccess as Repository;
    let of = |access, scope, repository| Rule { access, scope, repository };
    match action {
        Action::Enter => of(Access::Public, None, Repository::None),
        Action::KnowSelf | Action::ListRepositories | Action::ListSessions | Action::SeeMetrics => {
            of(Access::User, Some(Scope::Read), Repository::None)
        }
        Action::ManageSelf => of(Access::User, None, Repository::None),
        // The repository is named in the body: the handler asks the code host about it.
        Action::CreateSession => of(Access::User, Some(Scope::Write), Repository::None),
        Action::SeeRepository => of(Access::User, Some(Scope::Read), Repository::Write),
        Action::UseRepository => of(Access::User, Some(Scope::Write), Repository::Write),
        Action::Session(SessionAction::Watch) => of(Access::User, Some(Scope::Read), Repository::Read),
        Action::Session(
            SessionAction::Prompt
            | SessionAction::EditPrompt
            | SessionAction::OrderQueue
            | SessionAction::StopTurn
            | SessionAction::Rename
            | SessionAction::ChangeRole
            | SessionAction::Archive
            | SessionAction::Delete,
        ) => of(Access::User, Some(Scope::Write), Repository::Write),
        Action::Connect => of(Access::Ticket, None, Repository::None),
        Action::Operate => of(Access::Operator, Some(Scope::Write), Repository::None),
        Action::Report => of(Access::Bridge, None, Repository::None),
        Action::Tell => of(Access::CodeHost, None, Repository::None),
        Action::Hear => of(Access::Slack, None, Repository::None),
        Action::Scrape => of(Access::Scraper, None, Repository::None),
    }
}

/// Why somebody may not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Only operators may.
    #[error("only operators of this deployment may do that; OPERATORS names them")]
    Operators,
    /// Only a browser that is signed in may.
    #[error("no API key may do that; sign in with a browser")]
    NoKeys,
    /// The key does not reach that far.
    #[error("this API key may only read; use one of the scope write")]
    Scope,
}

/// Whether a signed-in user with this credential may do that, as far as it does not depend on a repository or a role.
pub fn evaluate(action: Action, credential: Credential, is_operator: bool) -> Result<(), Refusal> {
    let Rule { access, scope, .. } = rule(action);
    if access == Access::Operator && !is_operator {
        return Err(Refusal::Operators);
    }
    match (credential, scope) {
        (Credential::Cookie, _) => Ok(()),
        (Credential::Key(_), None) => Err(Refusal::NoKeys),
        (Credential::Key(has), Some(needed)) if has < needed => Err(Refusal::Scope),
        (Credential::Key(_), Some(_)) => Ok(()),
    }
}

/// Whether someone with this role in a session may do that there.
#[must_use]
pub fn evaluate_role(role: Role, action: SessionAction) -> bool {
    match (role, action) {
        (_, SessionAction::Watch) | (Role::Owner, _) => true,
        (
            Role::Driver,
            SessionAction::Prompt
            | SessionAction::EditPrompt
            | SessionAction::OrderQueue
            | SessionAction::StopTurn
            | SessionAction::Rename,
        ) => true,
        (Role::Driver, SessionAction::ChangeRole | SessionAction::Archive | SessionAction::Delete)
        | (Role::Viewer | Role::Unknown, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION_ACTIONS: [SessionAction; 9] = [
        SessionAction::Watch,
        SessionAction::Prompt,
        SessionAction::EditPrompt,
        SessionAction::OrderQueue,
        SessionAction::StopTurn,
        SessionAction::Rename,
        SessionAction::ChangeRole,
        SessionAction::Archive,
        SessionAction::Delete,
    ];

    #[test]
    fn roles() {
        let may = |role| -> Vec<bool> {
            SESSION_ACTIONS.into_iter().map(|action| evaluate_role(role, action)).collect()
        };
        assert_eq!(may(Role::Owner), [true; 9]);
        assert_eq!(may(Role::Driver), [true, true, true, true, true, true, false, false, false]);
        for role in [Role::Viewer, Role::Unknown] {
            assert_eq!(may(role), [true, false, false, false, false, false, false, false, false]);
        }
    }

    #[test]
    fn keys_and_operators() {
        let (read, write) = (Credential::Key(Scope::Read), Credential::Key(Scope::Write));
        for (action, expected) in [
            (Action::KnowSelf, [Ok(()), Ok(()), Ok(())]),
            (Action::ListSessions, [Ok(()), Ok(()), Ok(())]),
            (Action::SeeMetrics, [Ok(()), Ok(()), Ok(())]),
            (Action::Session(SessionAction::Watch), [Ok(()), Ok(()), Ok(())]),
            (Action::CreateSession, [Ok(()), Err(Refusal::Scope), Ok(())]),
            (Action::Session(SessionAction::Prompt), [Ok(()), Err(Refusal::Scope), Ok(())]),
            (Action::UseRepository, [Ok(()), Err(Refusal::Scope), Ok(())]),
            (Action::ManageSelf, [Ok(()), Err(Refusal::NoKeys), Err(Refusal::NoKeys)]),
            (Action::Operate, [Err(Refusal::Operators); 3]),
        ] {
            let found = [Credential::Cookie, read, write].map(|with| evaluate(action, with, false));
            assert_eq!(found, expected, "{action:?}");
        }
        assert_eq!(evaluate(Action::Operate, Credential::Cookie, true), Ok(()));
        assert_eq!(evaluate(Action::Operate, read, true), Err(Refusal::Scope));
    }

    #[test]
    fn everything_that_changes_a_session_takes_a_repository_that_can_be_pushed_to() {
        for action in SESSION_ACTIONS {
            let rule = rule(Action::Session(action));
            let watch = action == SessionAction::Watch;
            assert_eq!(rule.repository == RepositoryAccess::Read, watch, "{action:?}");
            assert_eq!(rule.repository == RepositoryAccess::Write, !watch, "{action:?}");
            assert_eq!(rule.access, Access::User);
        }
    }

    #[test]
    fn an_access_is_read_back_from_its_word_and_anything_else_is_none() {
        use RepositoryAccess::{None, Read, Write};
        for access in [None, Read, Write] {
            assert_eq!(RepositoryAccess::parse(access.as_str()), access);
        }
        assert_eq!(RepositoryAccess::parse("admin"), None);
    }
}
