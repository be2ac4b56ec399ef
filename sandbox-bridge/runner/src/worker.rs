//! The runner's life: first welcome, set-up, then one turn after the other, until the sandbox is retired or the process told to end.
//!
//! The link runs beside it from the first moment, so that a restarted runner takes commands and sends old events while the agent
//! still starts. Called by `main`.

use crate::agent::Agent;
use crate::agent::opencode::OpencodeAgent;
use crate::agent::scripted::ScriptedAgent;
use crate::desk::{AcceptedTurn, Desk};
use crate::environment::Environment;
use crate::git::{Workspace, gateway_settings, settings_as_variables};
use crate::ledger::Ledger;
use crate::link::Link;
use crate::spool::Spool;
use crate::turn::{self, with_causes};
use protocol::runner::{AgentKind, RunnerConfiguration, RunnerEvent, TurnOrder};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How long the news of a failed set-up may take to reach the session.
const FAREWELL_MAX: Duration = Duration::from_secs(30);
/// How long the agent may take to end.
const STOP_MAX: Duration = Duration::from_secs(5);

/// `runner run`.
pub(crate) fn main() -> ExitCode {
    let environment = match Environment::read() {
        Ok(environment) => environment,
        Err(error) => {
            eprintln!("runner: {error}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map(|runtime| runtime.block_on(live(environment))) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            eprintln!("runner: {}", with_causes(error.as_ref()));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("runner: the runtime cannot be started: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn live(environment: Environment) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let ledger = Ledger::open(&environment)?;
    let spool = Arc::new(Spool::open(&environment.spool)?);
    if spool.is_damaged() {
        eprintln!("runner: the spool is damaged; lost events are replaced by notices");
    }
    let (desk, turns) = Desk::new(Arc::clone(&spool), ledger);
    let desk = Arc::new(desk);
    let abandoned = desk.abandoned_turn();
    if let Some(order) = &abandoned {
        spool.set_last_turn(order.turn_id.clone());
    }
    let (configuration, configured) = watch::channel(None);
    let link = Link {
        environment: environment.clone(),
        spool: Arc::clone(&spool),
        desk: Arc::clone(&desk),
        configuration,
    };
    let ending = CancellationToken::new();
    let worker = Worker { environment, spool, desk, ending: ending.clone() };
    let mut work = std::pin::pin!(worker.work(configured, turns, abandoned));
    let mut terminate = signal(SignalKind::terminate())?;
    let code = tokio::select! {
        reason = link.run() => {
            eprintln!("runner: the sandbox is retired: {reason}");
            ExitCode::SUCCESS
        }
        code = &mut work => return Ok(code),
        _ = terminate.recv() => ExitCode::from(143),
    };
    ending.cancel();
    // A process that does not end in time is killed with its handle.
    let _ = tokio::time::timeout(STOP_MAX, work).await;
    Ok(code)
}

struct Worker {
    environment: Environment,
    spool: Arc<Spool>,
    desk: Arc<Desk>,
    ending: CancellationToken,
}

impl Worker {
    /// Until the runner is told to end, or its set-up failed.
    async fn work(
        &self,
        configured: watch::Receiver<Option<RunnerConfiguration>>,
        mut turns: mpsc::UnboundedReceiver<AcceptedTurn>,
        abandoned: Option<TurnOrder>,
    ) -> ExitCode {
        let mut agent = None;
        let serving = self.serve(configured, &mut turns, abandoned, &mut agent);
        let result = self.ending.run_until_cancelled(serving).await;
        if let Some(mut agent) = agent {
            agent.stop().await;
        }
        match result {
            None | Some(Ok(())) => ExitCode::SUCCESS,
            Some(Err(reason)) => {
                self.say_farewell(reason, &mut turns).await;
                ExitCode::FAILURE
            }
        }
    }

    /// Sets everything up and works on turns; the error is why the set-up failed.
    async fn serve(
        &self,
        mut configured: watch::Receiver<Option<RunnerConfiguration>>,
        turns: &mut mpsc::UnboundedReceiver<AcceptedTurn>,
        abandoned: Option<TurnOrder>,
        slot: &mut Option<Box<dyn Agent>>,
    ) -> Result<(), String> {
        let configuration = match configured.wait_for(Option::is_some).await {
            Ok(configuration) => configuration.clone(),
            Err(_) => return Ok(()),
        };
        let Some(configuration) = configuration else { return Ok(()) };
        let workspace = Workspace::new(&self.environment, &configuration);
        if let Some(order) = abandoned {
            turn::end_abandoned(order, &workspace, &self.spool, &self.desk).await;
        }
        let agent = slot.insert(self.set_up(&workspace, configuration).await?);
        self.spool.append(RunnerEvent::Ready { agent: agent.description() }).await;
        while let Some(turn) = turns.recv().await {
            turn::run(turn, &workspace, agent.as_mut(), &self.spool, &self.desk).await;
        }
        Ok(())
    }

    async fn set_up(
        &self,
        workspace: &Workspace,
        configuration: RunnerConfiguration,
    ) -> Result<Box<dyn Agent>, String> {
        let verb = if workspace.is_restored() { "fetching" } else { "cloning" };
        self.step(format!("{verb} {}", configuration.repository)).await;
        let failed = |error: &dyn std::error::Error| {
            format!("{} could not be cloned: {}", configuration.repository, with_causes(error))
        };
        match configuration.agent {
            AgentKind::Scripted => {
                workspace.set_up().await.map_err(|error| failed(&error))?;
                let variables = settings_as_variables(&gateway_settings(&self.environment));
                Ok(Box::new(ScriptedAgent::new(self.environment.workspace.clone(), variables)))
            }
            AgentKind::Opencode => {
                // The server takes a second or two to start, which the clone can use.
                let starting = OpencodeAgent::start(&self.environment, &configuration);
                let cloning = async { workspace.set_up().await.map_err(|error| failed(&error)) };
                let (agent, ()) =
                    tokio::try_join!(async { starting.await.map_err(|error| with_causes(&error)) }, cloning)?;
                self.step("starting the agent".to_owned()).await;
                let agent = agent.open_session().await.map_err(|error| with_causes(&error))?;
                Ok(Box::new(agent))
            }
        }
    }

    async fn step(&self, step: String) {
        self.spool.append(RunnerEvent::SetupStep { step }).await;
    }

    /// Reports the failed set-up and waits until the session knows.
    async fn say_farewell(&self, reason: String, turns: &mut mpsc::UnboundedReceiver<AcceptedTurn>) {
        eprintln!("runner: the set-up failed: {reason}");
        self.spool.append(RunnerEvent::SetupFailed { reason: reason.clone() }).await;
        let told = async {
            while !self.spool.is_drained() {
                if let Ok(turn) = turns.try_recv() {
                    turn::refuse(turn.order, reason.clone(), &self.spool, &self.desk).await;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        // Without the bridge nobody can be told.
        let _ = tokio::time::timeout(FAREWELL_MAX, told).await;
    }
}
