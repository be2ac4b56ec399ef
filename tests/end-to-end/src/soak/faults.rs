//! Carries the planned faults out on a running stack.

use super::plan::Fault;
use anyhow::Context as _;
use protocol::id::SessionId;
use stack::{Cut, Rule, Sandbox, Stack, Then, Wires};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How often each session was visited so far, as its visitors tell.
#[derive(Debug, Default)]
pub(super) struct Visits(Mutex<BTreeMap<String, u64>>);

impl Visits {
    pub(super) fn note(&self, session: &SessionId) {
        let mut visits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *visits.entry(session.as_str().to_owned()).or_default() += 1;
    }

    pub(super) fn total(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    fn of(&self, session: &str) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(session).copied()
    }
}

/// What broke so far, and in which visits a sandbox was lost.
#[derive(Debug, Default)]
pub(super) struct Damage {
    pub(super) counts: BTreeMap<Fault, u64>,
    /// A prompt has three tries, so a visit loses one sandbox at most.
    lost_in: BTreeMap<String, u64>,
}

impl Damage {
    /// Breaks something; a sandbox only where one is to be had.
    pub(super) async fn cause(
        &mut self,
        fault: Fault,
        stack: &mut Stack,
        visits: &Visits,
    ) -> anyhow::Result<()> {
        match fault {
            Fault::BridgeKilled => {
                stack.kill_bridge();
                wires(stack)?.events.cut(Cut::Reset);
                stack.restart_bridge()?;
            }
            Fault::WorkerKilled => {
                stack.crash_workerd().await?;
                let wires = wires(stack)?;
                wires.events.cut(Cut::Reset);
                wires.clients.cut(Cut::Reset);
            }
            Fault::SandboxKilled | Fault::SandboxFrozen => {
                let Some(sandbox) = self.victim(stack, visits) else { return Ok(()) };
                // It may have ended by itself since.
                let struck = if fault == Fault::SandboxKilled { sandbox.kill() } else { sandbox.freeze() };
                if struck.is_err() {
                    return Ok(());
                }
            }
            Fault::ViewersCut => wires(stack)?.clients.cut(Cut::Reset),
            Fault::EventAnswersLost => {
                wires(stack)?.events.add_rule(Rule::new("POST", "/events", Then::LoseAnswer).times(3));
            }
            Fault::CommandAnswersLost => {
                wires(stack)?.commands.add_rule(Rule::new("PUT", "/", Then::LoseAnswer).times(2));
            }
            Fault::CommandsLost => {
                wires(stack)?.commands.add_rule(Rule::new("PUT", "/", Then::LoseRequest).times(2));
            }
            Fault::CodeHostFails => {
                let down = Then::Answer { status: 502, body: r#"{"message":"Bad Gateway"}"#.to_owned() };
                let wire = &wires(stack)?.code_host;
                wire.add_rule(Rule::new("POST", "/pulls", down).times(1));
                wire.add_rule(Rule::new("POST", "/pulls", Then::LoseAnswer).times(1));
            }
        }
        *self.counts.entry(fault).or_default() += 1;
        Ok(())
    }

    fn victim(&mut self, stack: &Stack, visits: &Visits) -> Option<Sandbox> {
        let is_fresh = |sandbox: &Sandbox| {
            let visit = visits.of(&sandbox.session_id);
            visit.is_some() && self.lost_in.get(&sandbox.session_id) != visit.as_ref()
        };
        let found = stack.sandboxes().into_iter().find(is_fresh)?;
        self.lost_in.insert(found.session_id.clone(), visits.of(&found.session_id)?);
        Some(found)
    }
}

/// Wires are whole again.
pub(super) fn mend(stack: &Stack) -> anyhow::Result<()> {
    let wires = wires(stack)?;
    for wire in [&wires.clients, &wires.events, &wires.commands, &wires.code_host] {
        wire.clear_rules();
    }
    Ok(())
}

pub(super) fn wires(stack: &Stack) -> anyhow::Result<&Wires> {
    stack.wires().context("the stack was started without proxies")
}
