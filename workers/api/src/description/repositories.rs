//! Repositories: which there are, their images, builds and warm pools, and what they are told from others by.

use super::operation::{Operation, operation, text};
use super::schemas::EXACT_MAX;
use protocol::account::RepositoryHints;
use protocol::client::RepositoryList;
use protocol::error::ErrorCode;
use protocol::repository::{Recipe, RepositoryStatus};
use serde_json::json;

/// How the code host may stand in the way of what is asked of one of its repositories.
const CODE_HOST: [ErrorCode; 2] = [ErrorCode::RepositoryUnknown, ErrorCode::RepositoryUnreachable];

/// All of them.
pub(super) fn operations() -> Vec<Operation> {
    vec![
        operation("GET", "/api/repositories", "listRepositories", "Lists the repositories that the user may work on.")
            .answers::<RepositoryList>(200, "By name.")
            .refuses(&[ErrorCode::Forbidden]),
        operation("GET", "/api/repositories/{owner}/{name}/status", "repositoryStatus", "A repository's image, builds and warm pool.")
            .about("404 where no session was started on it yet and nobody has saved its settings.")
            .answers::<RepositoryStatus>(200, "What its sandboxes start from.")
            .refuses(&CODE_HOST),
        operation("POST", "/api/repositories/{owner}/{name}/builds", "buildImage", "Orders a build of a repository's image now.")
            .answers_done(202, "It is ordered, or runs already.")
            .refuses(&CODE_HOST),
        operation("GET", "/api/repositories/{owner}/{name}/builds/{build_id}/log", "buildLog", "What a build said.")
            .query("from", "Byte to begin at; the first where absent.", json!({ "type": "integer", "minimum": 0, "maximum": EXACT_MAX }))
            .answers_as(200, "The log from there.", "text/plain", |_| text("The log."))
            .with_header("x-farhand-log-end", "Byte to go on at.")
            .refuses(&CODE_HOST)
            .refuses(&[ErrorCode::BadRequest]),
        operation("PUT", "/api/repositories/{owner}/{name}/settings", "saveRepositorySettings", "Saves what wins over the recipe in a repository.")
            .about("Field by field; what is absent is as the recipe in the repository has it, or is found out. A build of it follows.")
            .takes::<Recipe>()
            .example(json!({ "setup": ["npm ci"], "poolTarget": 2 }))
            .answers_done(200, "It is saved.")
            .refuses(&CODE_HOST),
        operation("GET", "/api/repositories/{owner}/{name}/hints", "repositoryHints", "What a repository is told from others by where a message names none.")
            .answers::<RepositoryHints>(200, "Empty where nobody has said anything.")
            .refuses(&CODE_HOST),
        operation("PUT", "/api/repositories/{owner}/{name}/hints", "saveRepositoryHints", "Saves what a repository is told from others by.")
            .takes::<RepositoryHints>()
            .example(json!({ "description": "The shop's web client", "hints": "cart\ncheckout", "channels": ["C024BE91L"] }))
            .answers_done(200, "It is saved.")
            .refuses(&CODE_HOST),
        operation("PUT", "/api/repositories/{owner}/{name}/reservations/{reservation_id}", "reserveSandbox", "Holds a warm sandbox for a prompt that is being composed.")
            .about("For two minutes, to be repeated while it goes on. Says nothing of whether there was one.")
            .answers_done(200, "It is noted.")
            .refuses(&CODE_HOST)
            .refuses(&[ErrorCode::IdConflict]),
    ]
}
