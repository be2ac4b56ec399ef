//! The one table of what can be asked of the Worker: method, path, and who may ask. Decides nothing else.
//!
//! The router matches requests against it, and the tests generate their matrices from it, so that a new route is covered by itself.

use protocol::id::{ArtifactId, SessionId};
use serde::Serialize;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Whether the Worker is up and configured.
    Health,
    /// What a client needs before anybody is signed in.
    Configuration,
    /// Signs in by the local issuer.
    SignIn,
    /// Signs out.
    SignOut,
    /// Who is signed in.
    Me,
    /// Repositories that the user may work on.
    Repositories,
    /// Starts a session.
    CreateSession,
    /// Lists sessions.
    Sessions,
    /// A page of the web client.
    Page,
    /// This very table.
    TestRoutes,
    /// A panic in the Worker.
    TestPanic,
    /// Something of one session.
    Session(SessionRoute),
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

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Anybody.
    Public,
    /// A signed-in user.
    User,
    /// The holder of a WebSocket ticket.
    Ticket,
    /// A bridge, by signature.
    Bridge,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Entry {
    /// HTTP method, in capitals.
    pub method: &'static str,
    /// Path, with `{id}` for a session's id and `{artifact_id}` for that of an artifact.
    pub path: &'static str,
    /// Who may ask.
    pub access: Access,
    /// What is asked.
    #[serde(skip)]
    pub route: Route,
}

const fn entry(method: &'static str, path: &'static str, access: Access, route: Route) -> Entry {
    Entry { method, path, access, route }
}

const fn of_session(method: &'static str, path: &'static str, access: Access, route: SessionRoute) -> Entry {
    Entry { method, path, access, route: Route::Session(route) }
}

/// Everything there is.
pub const TABLE: &[Entry] = &[
    entry("GET", "/api/health", Access::Public, Route::Health),
    entry("GET", "/api/configuration", Access::Public, Route::Configuration),
    entry("POST", "/api/sign-in", Access::Public, Route::SignIn),
    entry("POST", "/api/sign-out", Access::Public, Route::SignOut),
    entry("GET", "/api/me", Access::User, Route::Me),
    entry("GET", "/api/repositories", Access::User, Route::Repositories),
    entry("POST", "/api/sessions", Access::User, Route::CreateSession),
    entry("GET", "/api/sessions", Access::User, Route::Sessions),
    of_session("GET", "/api/sessions/{id}/status", Access::User, SessionRoute::Status),
    of_session("GET", "/api/sessions/{id}/history", Access::User, SessionRoute::History),
    of_session("GET", "/api/sessions/{id}/artifacts/{artifact_id}", Access::User, SessionRoute::Artifact),
    of_session("POST", "/api/sessions/{id}/message", Access::User, SessionRoute::Message),
    of_session("PUT", "/api/sessions/{id}/archived", Access::User, SessionRoute::Archived),
    of_session("DELETE", "/api/sessions/{id}", Access::User, SessionRoute::Delete),
    of_session("POST", "/api/sessions/{id}/ticket", Access::User, SessionRoute::Ticket),
    of_session("GET", "/api/sessions/{id}/socket", Access::Ticket, SessionRoute::Socket),
    of_session("POST", "/api/bridge/sessions/{id}/attached", Access::Bridge, SessionRoute::Attached),
    of_session("POST", "/api/bridge/sessions/{id}/events", Access::Bridge, SessionRoute::Events),
    of_session("POST", "/api/bridge/sessions/{id}/ended", Access::Bridge, SessionRoute::Ended),
    of_session("POST", "/api/bridge/sessions/{id}/egress", Access::Bridge, SessionRoute::Egress),
    entry("GET", "/", Access::Public, Route::Page),
    entry("GET", "/new", Access::Public, Route::Page),
    of_session("GET", "/sessions/{id}", Access::Public, SessionRoute::Page),
];

/// What else there is where the variable `TEST_ROUTES` is `1`; no deployment sets it.
pub const TEST_TABLE: &[Entry] = &[
    entry("GET", "/api/test/routes", Access::Public, Route::TestRoutes),
    entry("GET", "/api/test/panic", Access::Public, Route::TestPanic),
    of_session("GET", "/api/test/sessions/{id}/panic", Access::Public, SessionRoute::TestPanic),
];

/// What a path says in the places of its pattern's variables; a pattern without them leaves both empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// `{id}`.
    pub session_id: Option<SessionId>,
    /// `{artifact_id}`.
    pub artifact_id: Option<ArtifactId>,
}

/// What the table has for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// This.
    Route(Access, Route, Variables),
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
            return Found::Route(entry.access, entry.route, variables);
        }
        others.push(entry.method);
    }
    if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others) }
}

/// Whether `path` is of the form `pattern`, and the variables in it.
fn match_path(pattern: &str, path: &str) -> Option<Variables> {
    let mut variables = Variables::default();
    let mut parts = path.split('/');
    for expected in pattern.split('/') {
        let part = parts.next()?;
        match expected {
            "{id}" => variables.session_id = Some(SessionId::parse(part).ok()?),
            "{artifact_id}" => variables.artifact_id = Some(ArtifactId::parse(part).ok()?),
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
            let variables = Variables {
                session_id: entry.path.contains("{id}").then(|| SessionId::parse("ses_1").unwrap()),
                artifact_id: entry
                    .path
                    .contains("{artifact_id}")
                    .then(|| ArtifactId::parse("art_1").unwrap()),
            };
            let path = entry.path.replace("{id}", "ses_1").replace("{artifact_id}", "art_1");
            assert_eq!(
                find(&[TABLE], entry.method, &path),
                Found::Route(entry.access, entry.route, variables),
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
        for entry in TABLE.iter().filter(|entry| entry.access == Access::Bridge) {
            assert_eq!(entry.method, "POST");
        }
    }
}
