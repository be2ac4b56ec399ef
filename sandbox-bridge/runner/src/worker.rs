//! The runner's life: first welcome, set-up, then one turn after the other, until the sandbox is retired or the process told to end.
//!
//! The link runs beside it from the first moment, so that a restarted runner takes commands and sends old events while the agent
//! still starts. Called by `main`.

use crate::agent::opencode::OpencodeAgent;
use crate::agent::scripted::ScriptedAgent;
use crate::agent::{Agent, AgentSettings};
use crate::desk::{AcceptedTurn, Desk};
use crate::environment::Environment;
use crate::gate::GateKeeper;
use crate::git::{Workspace, gateway_settings, settings_as_variables};
use crate::ledger::Ledger;
use crate::link::Link;
use crate::log;
use crate::spool::Spool;
use crate::turn::{self, with_causes};
use crate::warm::{self, WarmStates};
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use protocol::runner::{AgentKind, RunnerConfiguration, RunnerEvent, TurnOrder, WarmConfiguration};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How long the news of a failed set-up may take to reach the session.
const FAREWELL_MAX: Duration = Duration::from_secs(30);
/// How long a claimed sandbox may take to reach the newest commit before its turns fail.
const SETTLE_MAX: Duration = Duration::from_secs(90);
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
        log::error("the spool is damaged; lost events are replaced by notices");
    }
    let (desk, turns) = Desk::new(Arc::clone(&spool), ledger);
    let desk = Arc::new(desk);
    let abandoned = desk.abandoned_turn();
    if let Some(order) = &abandoned {
        spool.set_last_turn(order.turn_id.clone());
    }
    let (configuration, configured) = watch::channel(None);
    let (preparation, prepared) = watch::channel(None);
    let (warm, said) = watch::channel(WarmStates::default());
    let link = Link {
        lines: tokio::sync::Mutex::new(log::start()),
        environment: environment.clone(),
        spool: Arc::clone(&spool),
        desk: Arc::clone(&desk),
        configuration,
        preparation,
        warm: said,
    };
    let ending = CancellationToken::new();
    let worker = Worker { environment, spool, desk, ending: ending.clone(), warm };
    let mut work = std::pin::pin!(worker.work(Orders { configured, prepared, turns }, abandoned));
    let mut terminate = signal(SignalKind::terminate())?;
    let code = tokio::select! {
        reason = link.run() => {
            log::warn(format!("the sandbox is retired: {reason}"));
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
    warm: watch::Sender<WarmStates>,
}

/// What comes from the bridge.
struct Orders {
    configured: watch::Receiver<Option<RunnerConfiguration>>,
    prepared: watch::Receiver<Option<WarmConfiguration>>,
    turns: mpsc::UnboundedReceiver<AcceptedTurn>,
}

/// What a sandbox begins with: a session's, or nobody's.
enum Beginning {
    Session(RunnerConfiguration),
    Warm(WarmConfiguration),
}

/// Why the runner does not go on.
enum Failure {
    /// A session waits for it.
    Session(String),
    /// Nobody does yet.
    Warm(String),
}

/// Brings a claimed workspace where its session begins, once `synced` is over; answers the commit or, for humans, what is wrong.
async fn settle(workspace: &Workspace, synced: impl Future<Output = ()>) -> Result<String, String> {
    let what = "so nothing was changed; send the prompt again when the code host answers";
    if tokio::time::timeout(SETTLE_MAX, synced).await.is_err() {
        let seconds = SETTLE_MAX.as_secs();
        return Err(format!("the code host did not give the newest commit within {seconds} s, {what}"));
    }
    let branch = workspace.take_branch().await;
    branch.map_err(|error| format!("the session's branch cannot be had ({}), {what}", with_causes(&error)))
}

impl Worker {
    /// Until the runner is told to end, or its set-up failed.
    async fn work(&self, mut orders: Orders, abandoned: Option<TurnOrder>) -> ExitCode {
        let mut agent = None;
        let serving = self.serve(&mut orders, abandoned, &mut agent);
        let result = self.ending.run_until_cancelled(serving).await;
        if let Some(mut agent) = agent {
            agent.stop().await;
        }
        match result {
            None | Some(Ok(())) => ExitCode::SUCCESS,
            Some(Err(Failure::Session(reason))) => {
                self.say_farewell(reason, &mut orders.turns).await;
                ExitCode::FAILURE
            }
            Some(Err(Failure::Warm(reason))) => {
                log::error(format!("the sandbox cannot be used: {reason}"));
                warm::say_ended(&self.warm, reason);
                // The bridge ends the sandbox when it has heard.
                let _ = tokio::time::timeout(FAREWELL_MAX, self.ending.cancelled()).await;
                ExitCode::FAILURE
            }
        }
    }

    /// Sets everything up and works on turns; the error is why the set-up failed.
    async fn serve(
        &self,
        orders: &mut Orders,
        abandoned: Option<TurnOrder>,
        slot: &mut Option<Box<dyn Agent>>,
    ) -> Result<(), Failure> {
        match self.beginning(orders).await {
            Some(Beginning::Session(configuration)) => {
                self.serve_session(orders, configuration, abandoned, slot).await.map_err(Failure::Session)
            }
            Some(Beginning::Warm(configuration)) => self.serve_warm(orders, configuration, slot).await,
            None => Ok(()),
        }
    }

    async fn beginning(&self, orders: &mut Orders) -> Option<Beginning> {
        tokio::select! {
            configuration = orders.configured.wait_for(Option::is_some) => {
                Some(Beginning::Session(configuration.ok()?.clone()?))
            }
            configuration = orders.prepared.wait_for(Option::is_some) => {
                Some(Beginning::Warm(configuration.ok()?.clone()?))
            }
        }
    }

    async fn serve_session(
        &self,
        orders: &mut Orders,
        configuration: RunnerConfiguration,
        abandoned: Option<TurnOrder>,
        slot: &mut Option<Box<dyn Agent>>,
    ) -> Result<(), String> {
        let workspace = Workspace::new(&self.environment, &configuration);
        if let Some(order) = abandoned {
            turn::end_abandoned(order, &workspace, &self.spool, &self.desk).await;
        }
        // The session knows from it that silence means something from here on.
        self.spool.append(RunnerEvent::Heartbeat).await;
        let agent = tokio::select! {
            agent = self.set_up(&workspace, configuration) => agent?,
            () = turn::beat(&self.spool) => return Ok(()),
        };
        let agent = slot.insert(agent);
        self.spool.append(RunnerEvent::Ready { agent: agent.description() }).await;
        let (_keeper, edits) = GateKeeper::open();
        while let Some(turn) = orders.turns.recv().await {
            turn::run(turn, &workspace, agent.as_mut(), &edits, (&self.spool, &self.desk)).await;
        }
        Ok(())
    }

    /// Gets ready for whatever session comes, and then works for it.
    async fn serve_warm(
        &self,
        orders: &mut Orders,
        configuration: WarmConfiguration,
        slot: &mut Option<Box<dyn Agent>>,
    ) -> Result<(), Failure> {
        let WarmConfiguration { repository, default_branch, .. } = &configuration;
        let workspace = Workspace::unclaimed(&self.environment, repository, default_branch);
        if !workspace.is_restored() {
            return Err(Failure::Warm(format!("the image has no clone of {repository}; build it again")));
        }
        workspace.adopt().await.map_err(|error| Failure::Warm(with_causes(&error)))?;
        let agent = self.start_warm(&AgentSettings::of_pool(&configuration)).await.map_err(Failure::Warm)?;
        let agent = slot.insert(agent);
        warm::say_ready(&self.warm, agent.description());

        let mut syncing = std::pin::pin!(warm::sync(&workspace, &self.warm));
        let mut is_synced = false;
        let claimed = {
            let mut claim = std::pin::pin!(orders.configured.wait_for(Option::is_some));
            loop {
                tokio::select! {
                    claimed = &mut claim => break claimed.ok().and_then(|configuration| configuration.clone()),
                    () = &mut syncing, if !is_synced => is_synced = true,
                }
            }
        };
        let Some(configuration) = claimed else { return Ok(()) };
        self.spool.append(RunnerEvent::Ready { agent: agent.description() }).await;
        let workspace = Workspace::new(&self.environment, &configuration);
        let settled = settle(&workspace, async {
            if !is_synced {
                syncing.await;
            }
        });
        let configured = agent.configure(AgentSettings::of_session(&configuration)).await;
        configured.map_err(Failure::Session)?;
        self.serve_settling(orders, &workspace, agent.as_mut(), settled.boxed_local())
            .await
            .map_err(Failure::Session)
    }

    /// Works on turns while the workspace is still being brought where the session begins. Where that fails each turn tries again.
    async fn serve_settling<'a>(
        &self,
        orders: &mut Orders,
        workspace: &'a Workspace,
        agent: &mut dyn Agent,
        mut settling: LocalBoxFuture<'a, Result<String, String>>,
    ) -> Result<(), String> {
        let (keeper, edits) = GateKeeper::closed();
        let mut is_over = false;
        loop {
            let turn = tokio::select! {
                outcome = &mut settling, if !is_over => {
                    is_over = true;
                    keeper.settle(outcome);
                    continue;
                }
                turn = orders.turns.recv() => turn,
            };
            let Some(turn) = turn else { return Ok(()) };
            if edits.has_failed() {
                is_over = false;
                settling = settle(workspace, warm::sync(workspace, &self.warm)).boxed_local();
                keeper.close();
            }
            let state = (&self.spool, &*self.desk);
            let mut running = std::pin::pin!(turn::run(turn, workspace, agent, &edits, state));
            loop {
                tokio::select! {
                    outcome = &mut settling, if !is_over => {
                        is_over = true;
                        keeper.settle(outcome);
                    }
                    () = &mut running => break,
                }
            }
        }
    }

    async fn start_warm(&self, settings: &AgentSettings) -> Result<Box<dyn Agent>, String> {
        match settings.kind {
            AgentKind::Scripted => Ok(Box::new(self.scripted())),
            AgentKind::Opencode => {
                let agent = OpencodeAgent::start_warm(&self.environment, settings).await;
                let agent = agent.map_err(|error| with_causes(&error))?;
                Ok(Box::new(agent.open_session().await.map_err(|error| with_causes(&error))?))
            }
        }
    }

    fn scripted(&self) -> ScriptedAgent {
        let variables = settings_as_variables(&gateway_settings(&self.environment));
        ScriptedAgent::new(self.environment.workspace.clone(), variables)
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
                Ok(Box::new(self.scripted()))
            }
            AgentKind::Opencode => {
                // The server takes a second or two to start, which the clone can use.
                let settings = AgentSettings::of_session(&configuration);
                let starting = OpencodeAgent::start(&self.environment, &settings);
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
        log::error(format!("the set-up failed: {reason}"));
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
