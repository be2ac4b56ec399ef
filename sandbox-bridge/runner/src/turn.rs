//! One turn from its order to its end: identity, agent, commit, push, diff, report.
//!
//! A turn ends with exactly one `turn_ended`, and that says "completed" only when the branch at the code host has the work.
//! Called by `worker`.

use crate::agent::{Agent, AgentReport, TurnRequest};
use crate::desk::{AcceptedTurn, Desk};
use crate::gate::EditGate;
use crate::git::{Identity, TurnResult, Workspace, commit_message};
use crate::left;
use crate::log::{self, Step};
use crate::output::Output;
use crate::spool::Spool;
use protocol::runner::{RunnerEvent, TurnOrder, TurnStep};
use protocol::timeline::{TurnOutcome, Usage};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// A runner that is at work and shows nothing for this long sends a sign of life.
const HEARTBEAT_AFTER: Duration = Duration::from_secs(10);

/// Works on an accepted turn and reports its end.
pub(crate) async fn run(
    mut turn: AcceptedTurn,
    workspace: &Workspace,
    agent: &mut dyn Agent,
    edits: &EditGate,
    (spool, desk): (&Arc<Spool>, &Desk),
) {
    log::set_turn(Some(turn.order.turn_id.clone()));
    let mut output = Output::new(Arc::clone(spool), turn.order.turn_id.clone(), turn.received);
    let (outcome, usage, result) = tokio::select! {
        end = work(&mut turn, workspace, agent, edits, &mut output) => end,
        () = beat(spool) => return,
    };
    let event = RunnerEvent::TurnEnded {
        turn_id: turn.order.turn_id,
        attempt: turn.order.attempt,
        outcome,
        change: result.change,
        files: result.files,
        usage,
        first_token_ms: output.first_token_ms(),
    };
    spool.append(event).await;
    desk.end_turn();
    log::set_turn(None);
}

async fn work(
    turn: &mut AcceptedTurn,
    workspace: &Workspace,
    agent: &mut dyn Agent,
    edits: &EditGate,
    output: &mut Output,
) -> (TurnOutcome, Usage, TurnResult) {
    let identity = Identity::of(&turn.order.author);
    let was_settled = edits.is_open();
    let preparing = Step::begin(TurnStep::Prepare, &turn.order);
    let mut start = match workspace.begin_turn(&identity, turn.order.attempt).await {
        Ok(start) => start,
        Err(error) => {
            let reason = format!("the workspace cannot be prepared: {}", with_causes(&error));
            return (TurnOutcome::Failed { reason }, Usage::default(), TurnResult::nothing());
        }
    };
    preparing.end();
    let left_before = left::list(workspace.folder());
    let working = Step::begin(TurnStep::Agent, &turn.order);
    let AcceptedTurn { order, stop, steers, .. } = turn;
    let request = TurnRequest { order, identity: &identity, stop, steers, edits };
    let AgentReport { outcome, usage } = agent.run_turn(request, output).await;
    working.end();
    turn.steers.close();
    output.close(cut_reason(&outcome)).await;
    output.keep_left(left::collect(workspace.folder(), &left_before)).await;
    if edits.is_closed() {
        // It was stopped before it could change anything, or only read.
        return (outcome, usage, TurnResult::nothing());
    }
    match edits.passed().await {
        Ok(Some(head)) if !was_settled => start.begins_at(head),
        Ok(_) => {}
        Err(reason) => return (TurnOutcome::Failed { reason }, usage, TurnResult::nothing()),
    }
    let others = turn.steers.authors().iter().map(Identity::of);
    let message = commit_message(&turn.order.prompt, &identity, others);
    let publishing = Step::begin(TurnStep::Publish, &turn.order);
    let ended = workspace.end_turn(Some(&start), &identity, &message).await;
    publishing.end();
    match ended {
        Ok(result) => (outcome, usage, result),
        Err(error) => {
            let push = format!("the work is not at the code host: {}", with_causes(&error));
            let reason = match outcome {
                TurnOutcome::Completed => push,
                TurnOutcome::Stopped => format!("stopped, and {push}"),
                TurnOutcome::Failed { reason } => format!("{reason}; and {push}"),
            };
            (TurnOutcome::Failed { reason }, usage, TurnResult::nothing())
        }
    }
}

fn cut_reason(outcome: &TurnOutcome) -> &'static str {
    match outcome {
        TurnOutcome::Stopped => "stopped",
        TurnOutcome::Completed | TurnOutcome::Failed { .. } => "cut by the end of the turn",
    }
}

/// Ends the turn that an earlier runner left: once, and with what it left in the workspace committed in its author's name.
pub(crate) async fn end_abandoned(order: TurnOrder, workspace: &Workspace, spool: &Spool, desk: &Desk) {
    let ended = spool.contains(|event| {
        matches!(event, RunnerEvent::TurnEnded { turn_id, attempt, .. }
            if *turn_id == order.turn_id && *attempt == order.attempt)
    });
    if !ended {
        let mut reason = "the runner was restarted while the turn was on".to_owned();
        let mut result = TurnResult::nothing();
        if workspace.is_restored() {
            let identity = Identity::of(&order.author);
            match workspace
                .end_turn(None, &identity, &commit_message(&order.prompt, &identity, [].into_iter()))
                .await
            {
                Ok(left) => result = left,
                Err(error) => {
                    reason = format!("{reason}; its work is not at the code host: {}", with_causes(&error))
                }
            }
        }
        spool
            .append(RunnerEvent::TurnEnded {
                turn_id: order.turn_id,
                attempt: order.attempt,
                outcome: TurnOutcome::Failed { reason },
                change: result.change,
                files: result.files,
                usage: Usage::default(),
                first_token_ms: None,
            })
            .await;
    }
    desk.end_turn();
}

/// Reports a turn that cannot be worked on at all.
pub(crate) async fn refuse(order: TurnOrder, reason: String, spool: &Spool, desk: &Desk) {
    spool
        .append(RunnerEvent::TurnEnded {
            turn_id: order.turn_id,
            attempt: order.attempt,
            outcome: TurnOutcome::Failed { reason },
            change: None,
            files: Vec::new(),
            usage: Usage::default(),
            first_token_ms: None,
        })
        .await;
    desk.end_turn();
}

/// Runs for ever: a sign of life whenever nothing else was sent.
pub(crate) async fn beat(spool: &Spool) {
    loop {
        let quiet = spool.quiet_for();
        if quiet >= HEARTBEAT_AFTER {
            spool.append(RunnerEvent::Heartbeat).await;
        } else {
            tokio::time::sleep(HEARTBEAT_AFTER - quiet).await;
        }
    }
}

impl TurnResult {
    fn nothing() -> Self {
        Self { change: None, files: Vec::new() }
    }
}

/// An error with what caused it, in one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
