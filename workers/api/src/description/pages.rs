//! What browsers go to. Each is the one document of the web client, which shows what its address says.

use super::operation::{Operation, operation, text};
use protocol::error::ErrorCode;

const ABOUT: &str = "The web client.";

/// All of them.
pub(super) fn operations() -> Vec<Operation> {
    let page = |path, id, summary| {
        operation("GET", path, id, summary).answers_as(200, ABOUT, "text/html", |_| text("A document."))
    };
    let found = |path, id, summary| page(path, id, summary).refuses(&[ErrorCode::NotFound]);
    vec![
        page("/", "homePage", "The start page."),
        page("/new", "newSessionPage", "Starting a session."),
        found("/sessions/{id}", "sessionPage", "A session."),
        page("/repositories", "repositoriesPage", "The repositories."),
        found("/repositories/{owner}/{name}", "repositoryPage", "A repository."),
        page("/settings", "settingsPage", "The account, its keys and sign-ins."),
        page("/status", "statusPage", "How the deployment is, for operators."),
        page("/connect/extension", "connectExtensionPage", "Allowing the browser extension to have a key."),
        page("/connect/slack", "connectSlackPage", "Linking a Slack account."),
        operation(
            "GET",
            "/extension/updates.xml",
            "extensionUpdates",
            "Where managed browsers find the extension.",
        )
        .about("The update manifest of Chrome, for `ExtensionSettings`.")
        .answers_as(200, "The manifest.", "application/xml", |_| text("XML."))
        .refuses(&[
            ErrorCode::NotFound,
            ErrorCode::RateLimited,
            ErrorCode::Internal,
            ErrorCode::Unavailable,
        ]),
    ]
}
