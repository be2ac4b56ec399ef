//! The runner of a sandbox that no session has yet: starts the agent, brings the workspace to the newest commit, and waits.
//!
//! What it has to say goes through [`WarmStates`], which the link repeats after each hello. Called by `worker`.

use crate::git::Workspace;
use crate::log;
use crate::random;
use crate::turn::with_causes;
use protocol::repository::WarmState;
use std::time::Duration;
use tokio::sync::watch;

/// Pauses between tries to reach the newest commit.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_LONGEST: Duration = Duration::from_secs(60);

/// How the sandbox is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WarmStates {
    pub(crate) ready: Option<WarmState>,
    pub(crate) synced: Option<WarmState>,
    pub(crate) ended: Option<WarmState>,
}

impl WarmStates {
    /// What a bridge that was told `told` does not know.
    pub(crate) fn news(&self, told: &Self) -> Vec<WarmState> {
        let pairs = [(&self.ended, &told.ended), (&self.ready, &told.ready), (&self.synced, &told.synced)];
        pairs.into_iter().filter(|(now, told)| now != told).filter_map(|(now, _)| now.clone()).collect()
    }
}

/// Says that the agent answers.
pub(crate) fn say_ready(states: &watch::Sender<WarmStates>, agent: String) {
    states.send_modify(|states| states.ready = Some(WarmState::Ready { agent }));
}

/// Says that the sandbox is of no use.
pub(crate) fn say_ended(states: &watch::Sender<WarmStates>, reason: String) {
    states.send_modify(|states| states.ended = Some(WarmState::Ended { reason }));
}

/// Brings the workspace to the newest commit, however long that takes. Cancelling it in the middle leaves what the next try mends.
pub(crate) async fn sync(workspace: &Workspace, states: &watch::Sender<WarmStates>) {
    let mut failures = 0;
    loop {
        match workspace.sync().await {
            Ok(commit) => {
                states.send_modify(|states| states.synced = Some(WarmState::Synced { commit }));
                return;
            }
            Err(error) => {
                log::warn(format!("the workspace is not at the newest commit: {}", with_causes(&error)))
            }
        }
        tokio::time::sleep(random::backoff(PAUSE_FIRST, PAUSE_LONGEST, failures)).await;
        failures += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_is_told_what_it_does_not_know() {
        let (states, _keep) = watch::channel(WarmStates::default());
        say_ready(&states, "agent 1".to_owned());
        let ready = WarmState::Ready { agent: "agent 1".to_owned() };
        assert_eq!(states.borrow().news(&WarmStates::default()), vec![ready.clone()]);
        let told = states.borrow().clone();
        let synced = WarmState::Synced { commit: "abc".to_owned() };
        states.send_modify(|states| states.synced = Some(synced.clone()));
        assert_eq!(states.borrow().news(&told), vec![synced.clone()]);
        assert_eq!(states.borrow().news(&WarmStates::default()), [ready, synced]);
    }
}
