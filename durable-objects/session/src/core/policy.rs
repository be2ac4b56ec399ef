//! Who may do what in a session: the view that a session has of the one table, `identity::policy`, and the words of a refusal.

pub use identity::policy::{SessionAction as Action, evaluate_role as evaluate_permission};

/// How a refusal names the action.
pub(super) fn describe(action: Action) -> &'static str {
    match action {
        Action::Watch => "watch the session",
        Action::Prompt => "submit prompts",
        Action::EditPrompt => "edit prompts",
        Action::OrderQueue => "order the queue",
        Action::StopTurn => "stop turns",
        Action::Rename => "rename the session",
        Action::ChangeRole => "change roles",
        Action::Archive => "archive the session",
        Action::Delete => "delete the session",
    }
}
