//! The one table of what can be asked of the Worker: method, path, and the action that it is; who may do that is `identity::policy`'s word.
//!
//! The router matches requests against it, and the tests generate their matrices from it, so that a new route is covered by itself.

use identity::policy::{Access, Action, SessionAction, rule};
use protocol::id::{ArtifactId, BuildId, RepositoryId, ReservationId, SandboxId, SessionId, UserId};
use serde::ser::{Serialize, SerializeStruct as _, Serializer};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Whether the Worker is up and configured.
    Health,
    /// Whether what it works with works.
    Ready,
    /// What a client needs before anybody is signed in.
    Configuration,
    /// Signs in by the local issuer.
    SignIn,
    /// Signs out.
    SignOut,
    /// Leaves for the code host to sign in.
    SignInGithub,
    /// Comes back from there.
    SignInCallback,
    /// Ends all sign-ins of the user.
    SignOutEverywhere,
    /// The user's sign-ins.
    SignIns,
    /// Ends one of them.
    EndSignIn,
    /// The user's keys of the API.
    Keys,
    /// Makes a key.
    CreateKey,
    /// Ends a key.
    RevokeKey,
    /// Allows another client to have a key.
    GrantKey,
    /// That client gets it.
    ExchangeKey,
    /// What was done by whom.
    Audit,
    /// Wraps sealed tokens anew under the current key.
    Rewrap,
    /// Removes a user, or lets it come back.
    RemoveUser,
    /// Everybody who was ever let in.
    People,
    /// Everything that is stored about whoever asks.
    ExportSelf,
    /// Removes whoever asks.
    EraseSelf,
    /// Everything that is stored about somebody.
    ExportUser,
    /// Removes somebody with everything that is theirs.
    EraseUser,
    /// Who is being removed, and who was.
    Erasures,
    /// How much may be spent, what is spent, and whether everything is halted.
    Budgets,
    /// Sets or removes a budget.
    SetBudget,
    /// Stops everything.
    Halt,
    /// Lets it go on.
    LiftHalt,
    /// Whether what the deployment works with works.
    Checks,
    /// How the deployment is at this moment.
    Status,
    /// Where managed browsers find the extension.
    ExtensionUpdates,
    /// Who is signed in.
    Me,
    /// Repositories that the user may work on.
    Repositories,
    /// Starts a session.
    CreateSession,
    /// Lists sessions.
    Sessions,
    /// How much the deployment is used and what came of it.
    Metrics,
    /// The same for scrapers; browsers get the page that shows it.
    Exposition,
    /// The code host tells what happened there.
    CodeHostEvent,
    /// Slack tells what was written.
    SlackEvent,
    /// Slack tells what was clicked.
    SlackInteraction,
    /// Whose Slack account a code is of, and the linking of it.
    SlackLink,
    /// Ends what was linked.
    SlackUnlink,
    /// The manifest of the Slack app for this deployment.
    SlackManifest,
    /// A page of the web client.
    Page,
    /// This very table.
    TestRoutes,
    /// A panic in the Worker.
    TestPanic,
    /// Something of one session.
    Session(SessionRoute),
    /// Something of one repository.
    Repository(RepositoryRoute),
}

/// What a request asks of one repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepositoryRoute {
    /// Its image, builds and warm pool.
    Status,
    /// A build now.
    Build,
    /// What a build said.
    BuildLog,
    /// What wins over the recipe in it.
    Settings,
    /// What it is told from others by.
    Hints,
    /// Other words for that.
    SaveHints,
    /// A sandbox for a prompt that is being composed.
    Reserve,
    /// A bridge delivers a piece of a build's log.
    LogReported,
    /// A bridge reports the end of a build.
    BuildEnded,
    /// A bridge reports how a warm sandbox is.
    WarmReported,
    /// A bridge asks for what opens it at the code host.
    Credential,
}

/// What a request asks of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionRoute {
    /// Its state without its timeline.
    Status,
    /// A page of what its snapshot leaves out.
    History,
    /// The whole text of an artifact.
    Artifact,
    /// Takes a prompt.
    Message,
    /// Is archived, or taken up again.
    Archived,
    /// Is removed for good.
    Delete,
    /// A ticket for its WebSocket.
    Ticket,
    /// Its WebSocket.
    Socket,
    /// A bridge announces a runner.
    Attached,
    /// A bridge delivers events.
    Events,
    /// A bridge reports the end of a sandbox.
    Ended,
    /// A bridge reports where a sandbox was not let go.
    Egress,
    /// Its page of the web client.
    Page,
    /// A panic in its object.
    TestPanic,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// HTTP method, in capitals.
    pub method: &'static str,
    /// Path, with `{id}` for a session's id, `{owner}/{name}` for that of a repository, and `{artifact_id}`, `{build_id}`,
    /// `{reservation_id}`, `{sandbox_id}`, `{key_id}`, `{sign_in_id}` and `{user_id}` for those of what they say.
    pub path: &'static str,
    /// What somebody does by it.
    pub action: Action,
    /// What is asked.
    pub route: Route,
}

impl Entry {
    /// Who may ask.
    #[must_use]
    pub fn access(&self) -> Access {
        rule(self.action).access
    }
}

/// For tests, which make their matrices of it.
impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entry = serializer.serialize_struct("Entry", 4)?;
        entry.serialize_field("method", self.method)?;
        entry.serialize_field("path", self.path)?;
        entry.serialize_field("access", &self.access())?;
        entry.serialize_field("action", &format!("{:?}", self.action))?;
        entry.end()
    }
}

const fn entry(method: &'static str, path: &'static str, action: Action, route: Route) -> Entry {
    Entry { method, path, action, route }
}

const fn of_session(method: &'static str, path: &'static str, action: Action, route: SessionRoute) -> Entry {
    Entry { method, path, action, route: Route::Session(route) }
}

const fn of_repository(
    method: &'static str,
    path: &'static str,
    action: Action,
    route: RepositoryRoute,
) -> Entry {
    Entry { method, path, action, route: Route::Repository(route) }
}

/// Everything there is.
pub const TABLE: &[Entry] = &[
    entry("GET", "/api/health", Action::Enter, Route::Health),
    entry("GET", "/api/ready", Action::Enter, Route::Ready),
    entry("GET", "/api/configuration", Action::Enter, Route::Configuration),
    entry("POST", "/api/sign-in", Action::Enter, Route::SignIn),
    entry("POST", "/api/sign-out", Action::Enter, Route::SignOut),
    entry("GET", "/api/sign-in/github", Action::Enter, Route::SignInGithub),
    entry("GET", "/api/sign-in/github/callback", Action::Enter, Route::SignInCallback),
    entry("POST", "/api/sign-out-everywhere", Action::ManageSelf, Route::SignOutEverywhere),
    entry("GET", "/api/sign-ins", Action::ManageSelf, Route::SignIns),
    entry("DELETE", "/api/sign-ins/{sign_in_id}", Action::ManageSelf, Route::EndSignIn),
    entry("GET", "/api/keys", Action::ManageSelf, Route::Keys),
    entry("POST", "/api/keys", Action::ManageSelf, Route::CreateKey),
    entry("DELETE", "/api/keys/{key_id}", Action::ManageSelf, Route::RevokeKey),
    entry("POST", "/api/keys/grants", Action::ManageSelf, Route::GrantKey),
    entry("POST", "/api/keys/exchange", Action::Enter, Route::ExchangeKey),
    entry("GET", "/api/operator/audit", Action::Operate, Route::Audit),
    entry("POST", "/api/operator/rewrap", Action::Operate, Route::Rewrap),
    entry("POST", "/api/operator/removals", Action::Operate, Route::RemoveUser),
    entry("GET", "/api/operator/people", Action::Operate, Route::People),
    entry("GET", "/api/operator/people/{user_id}/export", Action::Operate, Route::ExportUser),
    entry("POST", "/api/operator/people/{user_id}/erasure", Action::Operate, Route::EraseUser),
    entry("GET", "/api/operator/erasures", Action::Operate, Route::Erasures),
    entry("GET", "/api/operator/budgets", Action::Operate, Route::Budgets),
    entry("PUT", "/api/operator/budgets", Action::Operate, Route::SetBudget),
    entry("POST", "/api/operator/halt", Action::Operate, Route::Halt),
    entry("DELETE", "/api/operator/halt", Action::Operate, Route::LiftHalt),
    entry("GET", "/api/operator/checks", Action::Operate, Route::Checks),
    entry("GET", "/api/operator/status", Action::Operate, Route::Status),
    entry("POST", "/api/webhooks/github", Action::Tell, Route::CodeHostEvent),
    entry("POST", "/api/slack/events", Action::Hear, Route::SlackEvent),
    entry("POST", "/api/slack/interactions", Action::Hear, Route::SlackInteraction),
    entry("POST", "/api/slack/links", Action::ManageSelf, Route::SlackLink),
    entry("DELETE", "/api/slack/links", Action::ManageSelf, Route::SlackUnlink),
    entry("GET", "/api/operator/slack-manifest", Action::Operate, Route::SlackManifest),
    entry("GET", "/api/me", Action::KnowSelf, Route::Me),
    entry("GET", "/api/me/export", Action::ManageSelf, Route::ExportSelf),
    entry("POST", "/api/me/erasure", Action::ManageSelf, Route::EraseSelf),
    entry("GET", "/api/repositories", Action::ListRepositories, Route::Repositories),
    entry("POST", "/api/sessions", Action::CreateSession, Route::CreateSession),
    entry("GET", "/api/sessions", Action::ListSessions, Route::Sessions),
    entry("GET", "/api/metrics", Action::SeeMetrics, Route::Metrics),
    entry("GET", "/metrics", Action::Scrape, Route::Exposition),
    of_session(
        "GET",
        "/api/sessions/{id}/status",
        Action::Session(SessionAction::Watch),
        SessionRoute::Status,
    ),
    of_session(
        "GET",
        "/api/sessions/{id}/history",
        Action::Session(SessionAction::Watch),
        SessionRoute::History,
    ),
    of_session(
        "GET",
        "/api/sessions/{id}/artifacts/{artifact_id}",
        Action::Session(SessionAction::Watch),
        SessionRoute::Artifact,
    ),
    of_session(
        "POST",
        "/api/sessions/{id}/message",
        Action::Session(SessionAction::Prompt),
        SessionRoute::Message,
    ),
    of_session(
        "PUT",
        "/api/sessions/{id}/archived",
        Action::Session(SessionAction::Archive),
        SessionRoute::Archived,
    ),
    of_session("DELETE", "/api/sessions/{id}", Action::Session(SessionAction::Delete), SessionRoute::Delete),
    of_session(
        "POST",
        "/api/sessions/{id}/ticket",
        Action::Session(SessionAction::Watch),
        SessionRoute::Ticket,
    ),
    of_session("GET", "/api/sessions/{id}/socket", Action::Connect, SessionRoute::Socket),
    of_session("POST", "/api/bridge/sessions/{id}/attached", Action::Report, SessionRoute::Attached),
    of_session("POST", "/api/bridge/sessions/{id}/events", Action::Report, SessionRoute::Events),
    of_session("POST", "/api/bridge/sessions/{id}/ended", Action::Report, SessionRoute::Ended),
    of_session("POST", "/api/bridge/sessions/{id}/egress", Action::Report, SessionRoute::Egress),
    of_repository(
        "GET",
        "/api/repositories/{owner}/{name}/status",
        Action::SeeRepository,
        RepositoryRoute::Status,
    ),
    of_repository(
        "POST",
        "/api/repositories/{owner}/{name}/builds",
        Action::UseRepository,
        RepositoryRoute::Build,
    ),
    of_repository(
        "GET",
        "/api/repositories/{owner}/{name}/builds/{build_id}/log",
        Action::SeeRepository,
        RepositoryRoute::BuildLog,
    ),
    of_repository(
        "PUT",
        "/api/repositories/{owner}/{name}/settings",
        Action::UseRepository,
        RepositoryRoute::Settings,
    ),
    of_repository(
        "GET",
        "/api/repositories/{owner}/{name}/hints",
        Action::SeeRepository,
        RepositoryRoute::Hints,
    ),
    of_repository(
        "PUT",
        "/api/repositories/{owner}/{name}/hints",
        Action::UseRepository,
        RepositoryRoute::SaveHints,
    ),
    of_repository(
        "PUT",
        "/api/repositories/{owner}/{name}/reservations/{reservation_id}",
        Action::UseRepository,
        RepositoryRoute::Reserve,
    ),
    of_repository(
        "POST",
        "/api/bridge/repositories/{owner}/{name}/builds/{build_id}/log",
        Action::Report,
        RepositoryRoute::LogReported,
    ),
    of_repository(
        "POST",
        "/api/bridge/repositories/{owner}/{name}/builds/{build_id}/ended",
        Action::Report,
        RepositoryRoute::BuildEnded,
    ),
    of_repository(
        "POST",
        "/api/bridge/repositories/{owner}/{name}/sandboxes/{sandbox_id}",
        Action::Report,
        RepositoryRoute::WarmReported,
    ),
    of_repository(
        "POST",
        "/api/bridge/repositories/{owner}/{name}/credential",
        Action::Report,
        RepositoryRoute::Credential,
    ),
    entry("GET", "/", Action::Enter, Route::Page),
    entry("GET", "/new", Action::Enter, Route::Page),
    entry("GET", "/connect/extension", Action::Enter, Route::Page),
    entry("GET", "/settings", Action::Enter, Route::Page),
    entry("GET", "/repositories", Action::Enter, Route::Page),
    entry("GET", "/repositories/{owner}/{name}", Action::Enter, Route::Page),
    entry("GET", "/extension/updates.xml", Action::Enter, Route::ExtensionUpdates),
    entry("GET", "/status", Action::Enter, Route::Page),
    entry("GET", "/connect/slack", Action::Enter, Route::Page),
    of_session("GET", "/sessions/{id}", Action::Enter, SessionRoute::Page),
];

/// What else there is where the variable `TEST_ROUTES` is `1`; no deployment sets it.
pub const TEST_TABLE: &[Entry] = &[
    entry("GET", "/api/test/routes", Action::Enter, Route::TestRoutes),
    entry("GET", "/api/test/panic", Action::Enter, Route::TestPanic),
    of_session("GET", "/api/test/sessions/{id}/panic", Action::Enter, SessionRoute::TestPanic),
];

/// What a path says in the places of its pattern's variables; those that a pattern does not have stay empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// `{id}`.
    pub session_id: Option<SessionId>,
    /// `{artifact_id}`.
    pub artifact_id: Option<ArtifactId>,
    /// `{owner}/{name}`.
    pub repository: Option<RepositoryId>,
    /// `{build_id}`.
    pub build_id: Option<BuildId>,
    /// `{reservation_id}`.
    pub reservation_id: Option<ReservationId>,
    /// `{sandbox_id}`.
    pub sandbox_id: Option<SandboxId>,
    /// `{key_id}`.
    pub key_id: Option<String>,
    /// `{sign_in_id}`.
    pub sign_in_id: Option<String>,
    /// `{user_id}`.
    pub user_id: Option<UserId>,
}

/// What the table has for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// This.
    Route(Action, Route, Variables),
    /// The path, but with these methods only.
    OtherMethods(Vec<&'static str>),
    /// Nothing.
    Nothing,
}

/// Looks a request up in `tables`.
#[must_use]
pub fn find(tables: &[&[Entry]], method: &str, path: &str) -> Found {
    let mut others = Vec::new();
    for entry in tables.iter().copied().flatten() {
        let Some(variables) = match_path(entry.path, path) else { continue };
        if entry.method == method {
            return Found::Route(entry.action, entry.route, variables);
        }
        others.push(entry.method);
    }
    if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others) }
}

/// As the edge draws them: 16 hexadecimal digits for a key, 32 for a sign-in.
fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether `path` is of the form `pattern`, and the variables in it.
fn match_path(pattern: &str, path: &str) -> Option<Variables> {
    let mut variables = Variables::default();
    let mut owner = "";
    let mut parts = path.split('/');
    for expected in pattern.split('/') {
        let part = parts.next()?;
        match expected {
            "{id}" => variables.session_id = Some(SessionId::parse(part).ok()?),
            "{artifact_id}" => variables.artifact_id = Some(ArtifactId::parse(part).ok()?),
            "{owner}" => owner = part,
            "{name}" => variables.repository = Some(RepositoryId::parse(&format!("{owner}/{part}")).ok()?),
            "{build_id}" => variables.build_id = Some(BuildId::parse(part).ok()?),
            "{reservation_id}" => variables.reservation_id = Some(ReservationId::parse(part).ok()?),
            "{sandbox_id}" => variables.sandbox_id = Some(SandboxId::parse(part).ok()?),
            "{key_id}" if is_hex(part, 16) => variables.key_id = Some(part.to_owned()),
            "{sign_in_id}" if is_hex(part, 32) => variables.sign_in_id = Some(part.to_owned()),
            "{user_id}" => variables.user_id = Some(UserId::parse(part).ok()?),
            literal if literal == part => {}
            _ => return None,
        }
    }
    parts.next().is_none().then_some(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_own_request_and_only_once() {
        for entry in TABLE {
            let has = |name: &str| entry.path.contains(name);
            let variables = Variables {
                session_id: has("{id}").then(|| SessionId::parse("ses_1").unwrap()),
                artifact_id: has("{artifact_id}").then(|| ArtifactId::parse("art_1").unwrap()),
                repository: has("{owner}/{name}").then(|| RepositoryId::parse("acme/shop").unwrap()),
                build_id: has("{build_id}").then(|| BuildId::parse("bld_1").unwrap()),
                reservation_id: has("{reservation_id}").then(|| ReservationId::parse("rsv_1").unwrap()),
                sandbox_id: has("{sandbox_id}").then(|| SandboxId::parse("sbx_1").unwrap()),
                key_id: has("{key_id}").then(|| "0123456789abcdef".to_owned()),
                sign_in_id: has("{sign_in_id}").then(|| "0123456789abcdef".repeat(2)),
                user_id: has("{user_id}").then(|| UserId::parse("usr_1").unwrap()),
            };
            let path = entry.path.replace("{id}", "ses_1").replace("{artifact_id}", "art_1");
            let path = path.replace("{owner}/{name}", "acme/shop").replace("{build_id}", "bld_1");
            let path = path.replace("{reservation_id}", "rsv_1").replace("{sandbox_id}", "sbx_1");
            let path = path.replace("{key_id}", "0123456789abcdef");
            let path =
                path.replace("{sign_in_id}", &"0123456789abcdef".repeat(2)).replace("{user_id}", "usr_1");
            assert_eq!(
                find(&[TABLE], entry.method, &path),
                Found::Route(entry.action, entry.route, variables),
                "{path}"
            );
            assert!(!path.contains('{'), "{path} has a variable that nothing reads");
            assert_eq!(
                TABLE.iter().filter(|other| (other.method, other.path) == (entry.method, entry.path)).count(),
                1
            );
        }
    }

    #[test]
    fn other_methods_are_named() {
        assert_eq!(find(&[TABLE], "DELETE", "/api/sessions"), Found::OtherMethods(vec!["POST", "GET"]));
        assert_eq!(find(&[TABLE], "get", "/api/me"), Found::OtherMethods(vec!["GET"]));
        assert_eq!(find(&[TABLE], "GET", "/api/sessions/ses_1"), Found::OtherMethods(vec!["DELETE"]));
        assert_eq!(find(&[TABLE], "POST", "/api/sessions/ses_1/archived"), Found::OtherMethods(vec!["PUT"]));
    }

    #[test]
    fn what_is_not_in_the_table_is_nothing() {
        for path in [
            "",
            "/api",
            "/api/",
            "/api/health/",
            "//api/health",
            "/API/health",
            "/api/sessions/",
            "/api/sessions/ses_1/",
            "/api/sessions/trn_1/status",
            "/api/sessions/ses_1/artifacts",
            "/api/sessions/ses_1/artifacts/",
            "/api/sessions/ses_1/artifacts/itm_1",
            "/api/sessions/ses_1/artifacts/art_1/x",
            "/api/sessions/ses_1/artifacts/../status",
            "/api/sessions/../status",
            "/api/sessions//status",
            "/api/repositories/acme/status",
            "/api/repositories/acme/../status",
            "/api/repositories/-acme/shop/status",
            "/api/repositories/acme/shop.git/status",
            "/api/repositories/acme/shop/builds/ses_1/log",
            "/sessions",
            "/sessions/x",
            "/api/test/panic",
            "/index.html",
        ] {
            assert_eq!(find(&[TABLE], "GET", path), Found::Nothing, "{path}");
        }
    }

    #[test]
    fn what_bridges_report_is_a_post() {
        for entry in TABLE.iter().filter(|entry| entry.access() == Access::Bridge) {
            assert_eq!(entry.method, "POST");
        }
    }
}
