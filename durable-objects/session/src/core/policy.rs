//! Who may do what in a session: the one table.

use protocol::timeline::Role;

/// What a participant wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
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

/// Whether someone with this role may do that. Watching is everyone's who was let in.
#[must_use]
pub fn evaluate_permission(role: Role, action: Action) -> bool {
    match (role, action) {
        (Role::Owner, _) => true,
        (
            Role::Driver,
            Action::Prompt | Action::EditPrompt | Action::OrderQueue | Action::StopTurn | Action::Rename,
        ) => true,
        (Role::Driver, Action::ChangeRole | Action::Archive | Action::Delete)
        | (Role::Viewer | Role::Unknown, _) => false,
    }
}

/// How a refusal names the action.
pub(super) fn describe(action: Action) -> &'static str {
    match action {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let all = [
            (Action::Prompt, true),
            (Action::EditPrompt, true),
            (Action::OrderQueue, true),
            (Action::StopTurn, true),
            (Action::Rename, true),
            (Action::ChangeRole, false),
            (Action::Archive, false),
            (Action::Delete, false),
        ];
        for (action, drivers_may) in all {
            assert!(evaluate_permission(Role::Owner, action), "{action:?}");
            assert_eq!(evaluate_permission(Role::Driver, action), drivers_may, "{action:?}");
            assert!(!evaluate_permission(Role::Viewer, action), "{action:?}");
            assert!(!evaluate_permission(Role::Unknown, action), "{action:?}");
        }
    }
}
