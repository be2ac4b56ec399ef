//! Participants: who is here, with which role, and what only some of them may do to the session as a whole.

use super::input::{Effect, Reply, Work};
use super::limit::PARTICIPANTS_MAX;
use super::policy::{Action, describe, evaluate_permission};
use super::prompt::refuse;
use super::pull::Pull;
use super::session::Person;
use super::step::Step;
use protocol::error::ErrorCode;
use protocol::id::UserId;
use protocol::limit::TITLE_CHARACTERS_MAX;
use protocol::timeline::{Role, SandboxStatus, SessionEvent, User};

impl Step<'_> {
    /// Makes a user a participant, or notices that the account has changed.
    pub(super) fn join(&mut self, user: &User) -> Reply {
        self.resume_pull_request(&user.id);
        let known = self.session.participants.get(&user.id);
        if known.is_some_and(|known| known.user == *user) {
            return Reply::Done;
        }
        if known.is_none() && self.session.participants.len() >= PARTICIPANTS_MAX {
            return refuse(
                ErrorCode::Forbidden,
                &format!("this session has {PARTICIPANTS_MAX} participants; begin another one"),
            );
        }
        let seen_anew =
            known.is_none_or(|known| known.user.login != user.login || known.user.name != user.name);
        let role = if user.id == self.session.info.created_by { Role::Owner } else { Role::Driver };
        let (joined_at, role) = known.map_or((self.now(), role), |known| (known.joined_at, known.role));
        let person = Person { user: user.clone(), joined_at, role };
        let participant = person.participant();
        self.save_person(person);
        if seen_anew {
            self.record(SessionEvent::ParticipantJoined { participant });
        }
        Reply::Done
    }

    fn save_person(&mut self, person: Person) {
        self.session.participants.insert(person.user.id.clone(), person.clone());
        self.order(Effect::SaveParticipant(person));
    }

    /// Whether someone may do something; if not, the refusal.
    pub(super) fn permit(&self, user_id: &UserId, action: Action) -> Result<(), Reply> {
        let Some(person) = self.session.participants.get(user_id) else {
            return Err(refuse(ErrorCode::Forbidden, "you are not in this session; open it first"));
        };
        if evaluate_permission(person.role, action) {
            return Ok(());
        }
        let role = match person.role {
            Role::Owner => "owner",
            Role::Driver => "driver",
            Role::Viewer | Role::Unknown => "viewer",
        };
        let what = describe(action);
        Err(refuse(ErrorCode::Forbidden, &format!("a {role} cannot {what}; ask an owner of this session")))
    }

    pub(super) fn change_role(&mut self, user_id: UserId, role: Role, by: UserId) -> Reply {
        if let Err(refusal) = self.permit(&by, Action::ChangeRole) {
            return refusal;
        }
        if role == Role::Unknown {
            return refuse(ErrorCode::BadRequest, "there is no such role; choose owner, driver or viewer");
        }
        let Some(person) = self.session.participants.get(&user_id).cloned() else {
            return refuse(ErrorCode::NotFound, "this user has never been in this session");
        };
        if person.role == role {
            return Reply::Done;
        }
        let owners = self.session.participants.values().filter(|person| person.role == Role::Owner).count();
        if person.role == Role::Owner && owners == 1 {
            return refuse(ErrorCode::Forbidden, "a session has an owner; make someone else owner first");
        }
        self.save_person(Person { role, ..person });
        self.record(SessionEvent::RoleChanged { user_id, role, by });
        Reply::Done
    }

    pub(super) fn change_title(&mut self, title: &str, by: UserId) -> Reply {
        if let Err(refusal) = self.permit(&by, Action::Rename) {
            return refusal;
        }
        let title = title.trim();
        if title.is_empty() {
            return refuse(ErrorCode::BadRequest, "the title has no text");
        }
        if title.chars().count() > TITLE_CHARACTERS_MAX || title.chars().any(char::is_control) {
            return refuse(
                ErrorCode::BadRequest,
                &format!("a title is one line of at most {TITLE_CHARACTERS_MAX} characters"),
            );
        }
        if self.session.info.title != title {
            title.clone_into(&mut self.session.info.title);
            self.record(SessionEvent::TitleChanged { title: title.to_owned(), by: Some(by) });
        }
        Reply::Done
    }

    pub(super) fn change_archive(&mut self, archived: bool, by: UserId) -> Reply {
        if let Err(refusal) = self.permit(&by, Action::Archive) {
            return refusal;
        }
        if self.session.info.archived_at.is_some() == archived {
            return Reply::Done;
        }
        if !archived {
            self.session.info.archived_at = None;
            self.record(SessionEvent::SessionUnarchived { by });
            return Reply::Done;
        }
        if !self.session.queue.is_empty() {
            return refuse(
                ErrorCode::BadRequest,
                "a session with work left cannot be archived; stop its turn and cancel what waits first",
            );
        }
        self.session.info.archived_at = Some(self.now());
        self.record(SessionEvent::SessionArchived { by });
        self.leave_sandbox();
        Reply::Done
    }

    /// A participant wants everything gone.
    pub(super) fn delete(&mut self, by: &UserId) -> Reply {
        match self.permit(by, Action::Delete) {
            Ok(()) => self.remove_everything(),
            Err(refusal) => refusal,
        }
    }

    /// Everything goes: what people see at once, what is elsewhere through the outbox.
    pub(super) fn remove_everything(&mut self) -> Reply {
        for work in self.turn_order().into_iter().chain(self.stop_order()).chain(self.steer_orders()) {
            self.withdraw(&work);
        }
        self.retire_sandbox();
        for saved in std::mem::take(&mut self.session.snapshots) {
            self.enqueue(Work::DeleteSnapshot { snapshot_id: saved.snapshot_id });
        }
        self.withdraw(&Work::UpdateIndex);
        self.withdraw_key("open_pull_request".to_owned());
        self.withdraw_key("look_at_pull_request".to_owned());
        self.enqueue(Work::DeleteArtifacts);
        self.enqueue(Work::RemoveIndex);
        self.session.participants.clear();
        self.session.accepted.clear();
        self.session.files.clear();
        self.session.queue.clear();
        self.session.turn = None;
        self.session.pull = Pull { changes: self.session.pull.changes + 1, ..Pull::default() };
        self.session.status = SandboxStatus::None;
        self.session.deleted = true;
        self.order(Effect::Purge);
        Reply::Done
    }
}
