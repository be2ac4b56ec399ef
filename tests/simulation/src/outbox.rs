//! Carries out what must happen outside: a row is there first, then it is tried, then it is removed together with what came of it.

use crate::happening::{Answer, Ask, AskBody, Happening, Token};
use crate::mutant::Mutant;
use crate::plan::Fault;
use crate::scene::Scene;
use crate::shell::{Around, Shell, Silence, Source, TRY_MS_MAX};
use protocol::id::ImageId;
use protocol::runner::RunnerCommand;
use protocol::time::Timestamp;
use session::core::{Input, Retry, Work, WorkOutcome, evaluate_refusal, evaluate_retry};
use session::store::OutboxRow;

/// A prompt waits for these.
const CLAIM_MS_MAX: u64 = 2_000;
const BIND_MS_MAX: u64 = 4_000;
/// A command is an answer of one hop.
const COMMAND_MS_MAX: u64 = 10_000;
/// Making and saving a sandbox takes the provider's time.
const SANDBOX_MS_MAX: u64 = 115_000;
/// The code host, the index and the store of artifacts.
const ELSEWHERE_MS_MAX: u64 = 30_000;

impl Shell {
    /// Starts whatever is due and not being tried.
    pub(super) fn dispatch(&mut self, around: &mut Around<'_>) {
        let due = match self.tables.load_due(around.scene.clock()) {
            Ok(due) => due,
            Err(error) => return around.scene.fail("store", &error),
        };
        for row in due {
            if self.memory.in_flight.insert(row.key.clone()) {
                self.carry_out(around, row);
            }
        }
    }

    /// When the next row wants to be tried; one on its way is settled by its answer, or looked at after a while.
    pub(super) fn next_try(&self, scene: &Scene) -> Option<Timestamp> {
        let fallback = scene.clock().plus_ms(TRY_MS_MAX);
        let schedule = self.tables.load_schedule().unwrap_or_default();
        schedule
            .into_iter()
            .map(|(key, at)| if self.memory.in_flight.contains(&key) { fallback } else { at })
            .min()
    }

    fn carry_out(&mut self, around: &mut Around<'_>, row: OutboxRow) {
        let call = around.scene.token();
        if self.mutant == Some(Mutant::OutboxMarkedEarly) {
            let now = around.scene.clock();
            if let Some(session) = self.memory.session.take() {
                let removed = self.tables.commit_finished(&session, &[], now, &row);
                self.memory.session = Some(session);
                if let Err(error) = removed {
                    around.scene.fail("store", &error);
                }
            }
        }
        let body = self.render_ask(around, &row.work);
        around.scene.trace.line(around.scene.now, || format!("session > {} ({call})", row.key));
        self.memory.calls.insert(call, row.clone());
        let body = match body {
            Ok(Some(body)) => body,
            // What it was for is over.
            Ok(None) => return around.scene.after(0, Happening::Answered(call, Answer::Pointless)),
            Err(error) => return around.scene.fail("store", &error),
        };
        let timeout = match &row.work {
            Work::ClaimSandbox { .. } => CLAIM_MS_MAX,
            Work::BindSandbox { .. } => BIND_MS_MAX,
            Work::StartTurn { .. }
            | Work::SteerTurn { .. }
            | Work::StopTurn { .. }
            | Work::ReleaseClaim { .. }
            | Work::TerminateSandbox { .. } => COMMAND_MS_MAX,
            Work::CreateSandbox { .. } | Work::TakeSnapshot { .. } | Work::DeleteSnapshot { .. } => {
                SANDBOX_MS_MAX
            }
            // A write on its way would bring back what is removed, so that one comes to its end first.
            Work::DeleteArtifacts if self.is_on_its_way("store_output") => {
                return around.scene.after(0, Happening::Answered(call, Answer::Nothing));
            }
            Work::RemoveIndex if self.is_on_its_way("update_index") => {
                return around.scene.after(0, Happening::Answered(call, Answer::Nothing));
            }
            Work::OpenPullRequest(_)
            | Work::LookAtPullRequest { .. }
            | Work::StoreOutput { .. }
            | Work::DeleteArtifacts
            | Work::AskLedger
            | Work::UpdateIndex
            | Work::RemoveIndex => {
                // These keep the order in which they were sent.
                let arrival = around.scene.now + around.scene.hop();
                self.sent_elsewhere = arrival.max(self.sent_elsewhere);
                around.scene.at(self.sent_elsewhere, Happening::Asked(Ask { call, body }));
                return around.scene.after(ELSEWHERE_MS_MAX, Happening::AnswerMissed(call));
            }
        };
        around.road.carry_request(around.scene, Happening::Asked(Ask { call, body }));
        around.scene.after(timeout, Happening::AnswerMissed(call));
    }

    /// Whether work of this kind is being tried.
    fn is_on_its_way(&self, kind: &str) -> bool {
        self.memory.in_flight.iter().any(|key| key.split('/').next() == Some(kind))
    }

    /// The request for some work; nothing when the work has become pointless.
    fn render_ask(&mut self, around: &mut Around<'_>, work: &Work) -> Result<Option<AskBody>, String> {
        let command = |command: RunnerCommand, sandbox_id: &protocol::id::SandboxId, generation: u64| {
            work.command_id().map(|command_id| AskBody::Command {
                sandbox_id: sandbox_id.clone(),
                generation,
                command_id,
                command,
            })
        };
        Ok(match work {
            Work::ClaimSandbox { generation, .. } => Some(AskBody::Claim { generation: *generation }),
            Work::ReleaseClaim { generation } => Some(AskBody::Release { generation: *generation }),
            Work::BindSandbox { sandbox_id, generation } => {
                Some(AskBody::Bind { sandbox_id: sandbox_id.clone(), generation: *generation })
            }
            Work::CreateSandbox { sandbox_id, generation, source } => Some(AskBody::Create {
                sandbox_id: sandbox_id.clone(),
                generation: *generation,
                source: source.clone(),
            }),
            Work::StartTurn { sandbox_id, generation, turn_id } => {
                let turn = self.tables.load_turn_order(turn_id)?;
                turn.and_then(|turn| command(RunnerCommand::StartTurn { turn }, sandbox_id, *generation))
            }
            Work::SteerTurn { sandbox_id, generation, turn_id, prompt_id } => {
                let steer = self.tables.load_steering(turn_id, prompt_id)?;
                steer.and_then(|steer| command(steer, sandbox_id, *generation))
            }
            Work::StopTurn { sandbox_id, generation, turn_id } => {
                command(RunnerCommand::StopTurn { turn_id: turn_id.clone() }, sandbox_id, *generation)
            }
            Work::TakeSnapshot { sandbox_id, generation, snapshot_id } => Some(AskBody::Snapshot {
                sandbox_id: sandbox_id.clone(),
                generation: *generation,
                snapshot_id: snapshot_id.clone(),
            }),
            Work::TerminateSandbox { sandbox_id, generation, .. } => {
                Some(AskBody::Terminate { sandbox_id: sandbox_id.clone(), generation: *generation })
            }
            Work::OpenPullRequest(order) => Some(AskBody::PullRequest(order.clone())),
            // The code host here has nothing to tell that its answers do not, and nobody has a budget.
            Work::LookAtPullRequest { .. } | Work::AskLedger => None,
            Work::DeleteSnapshot { snapshot_id } => {
                Some(AskBody::DeleteSnapshot { snapshot_id: snapshot_id.clone() })
            }
            Work::StoreOutput { artifact_id } => self
                .tables
                .load_output(artifact_id)?
                .map(|text| AskBody::Store { artifact_id: artifact_id.clone(), text }),
            Work::DeleteArtifacts => Some(AskBody::DeleteArtifacts),
            Work::UpdateIndex => {
                let deleted = self.with_session(around, |session| session.deleted).unwrap_or(true);
                if deleted { None } else { Some(AskBody::UpdateIndex(self.tables.load_index_entry()?)) }
            }
            Work::RemoveIndex => Some(AskBody::RemoveIndex),
        })
    }

    /// What came of a request; nobody waits for it when the object was away in between.
    pub(crate) fn take_answer(&mut self, around: &mut Around<'_>, call: Token, answer: Answer) {
        let Some(row) = self.memory.calls.remove(&call) else { return };
        if around.scene.strikes(Fault::CrashBeforeSettle) {
            return self.die_unaware(around);
        }
        around.scene.trace.line(around.scene.now, || format!("session: {} -> {answer:?}", row.key));
        self.memory.in_flight.remove(&row.key);
        let outcome = judge(&row.work, answer);
        if self.take_outcome(around, &row, outcome).is_err() {
            return;
        }
        self.dispatch(around);
        self.arm_for_everything(around.scene);
        self.vanish_if_done(around);
    }

    fn take_outcome(
        &mut self,
        around: &mut Around<'_>,
        row: &OutboxRow,
        outcome: WorkOutcome,
    ) -> Result<(), Silence> {
        let work = row.work.clone();
        let WorkOutcome::Delayed { reason } = outcome else {
            self.apply_from(around, Input::WorkDone { work, outcome }, &Source::Outbox(row))?;
            return Ok(());
        };
        let now = around.scene.clock();
        let tries = row.attempts.saturating_add(1);
        let random = u32::try_from(around.scene.random.below(u64::from(u32::MAX))).unwrap_or(0);
        match evaluate_retry(&work, tries, now, random) {
            Retry::At(at) => {
                if let Err(error) = self.tables.postpone(row, at) {
                    around.scene.fail("store", &error);
                }
                let outcome = WorkOutcome::Delayed { reason };
                self.apply(around, Input::WorkDone { work, outcome })?;
            }
            Retry::GiveUp => {
                let outcome = WorkOutcome::Failed { reason: format!("{reason}; tried {tries} times") };
                self.apply_from(around, Input::WorkDone { work, outcome }, &Source::Outbox(row))?;
            }
        }
        Ok(())
    }
}

/// What an answer means, as the real shell judges it.
fn judge(work: &Work, answer: Answer) -> WorkOutcome {
    match answer {
        Answer::Claimed { sandbox_id } => match ImageId::parse("img_1") {
            Ok(image_id) => WorkOutcome::SandboxClaimed {
                sandbox_id,
                bridge_url: "http://127.0.0.1:1".to_owned(),
                image_id,
            },
            Err(error) => WorkOutcome::Failed { reason: error.to_string() },
        },
        Answer::NoWarm { image_id } => WorkOutcome::NoWarmSandbox { image_id, failure: None },
        Answer::Refused(_, error)
            if matches!(work, Work::ClaimSandbox { .. } | Work::ReleaseClaim { .. }) =>
        {
            WorkOutcome::Failed { reason: error.message }
        }
        Answer::Refused(503, error) if matches!(work, Work::BindSandbox { .. }) => {
            WorkOutcome::Failed { reason: error.message }
        }
        Answer::Done | Answer::Pointless => WorkOutcome::Done,
        Answer::Created { isolation } => {
            WorkOutcome::SandboxCreated { provider: "local".to_owned(), isolation }
        }
        Answer::PullRequest { number, url, title, base } => {
            let progress = protocol::pull::PullRequestProgress::default();
            WorkOutcome::PullRequestOpened { number, url, title, base, progress }
        }
        Answer::Refused(status, error) => {
            evaluate_refusal(status, &serde_json::to_vec(&error).unwrap_or_default())
        }
        Answer::CodeHostRefused(reason) => WorkOutcome::Rejected { reason },
        Answer::Nothing => WorkOutcome::Delayed { reason: "it does not answer".to_owned() },
    }
}
