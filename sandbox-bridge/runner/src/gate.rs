//! Holds edits back while the workspace of a sandbox that was just claimed is brought to the newest commit.
//!
//! Agents wait here before the first change, those that cannot tell reading from changing before they begin. The worker opens it;
//! in a sandbox that was made for its session it is open from the beginning.

use tokio::sync::watch;

#[derive(Clone, Debug)]
enum State {
    Closed,
    Open { head: Option<String> },
    Failed { reason: String },
}

/// What agents wait at.
#[derive(Clone)]
pub(crate) struct EditGate(watch::Receiver<State>);

/// Opens it.
pub(crate) struct GateKeeper(watch::Sender<State>);

impl GateKeeper {
    /// A gate that is closed.
    pub(crate) fn closed() -> (Self, EditGate) {
        let (sender, receiver) = watch::channel(State::Closed);
        (Self(sender), EditGate(receiver))
    }

    /// A gate that is open.
    pub(crate) fn open() -> (Self, EditGate) {
        let (sender, receiver) = watch::channel(State::Open { head: None });
        (Self(sender), EditGate(receiver))
    }

    /// Another try begins.
    pub(crate) fn close(&self) {
        self.0.send_replace(State::Closed);
    }

    /// The workspace is at `head`, or cannot be brought where it should be.
    pub(crate) fn settle(&self, outcome: Result<String, String>) {
        self.0.send_replace(match outcome {
            Ok(head) => State::Open { head: Some(head) },
            Err(reason) => State::Failed { reason },
        });
    }
}

impl EditGate {
    /// Whether changes need not wait.
    pub(crate) fn is_open(&self) -> bool {
        matches!(*self.0.borrow(), State::Open { .. })
    }

    /// Whether nothing can have been changed yet.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(*self.0.borrow(), State::Closed)
    }

    /// Whether the workspace could not be brought where it should be.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(*self.0.borrow(), State::Failed { .. })
    }

    /// Waits until the workspace may be changed; answers the commit that it was brought to, if it was.
    pub(crate) async fn passed(&self) -> Result<Option<String>, String> {
        let mut states = self.0.clone();
        let settled = states.wait_for(|state| !matches!(state, State::Closed)).await;
        match settled.map(|state| state.clone()) {
            Ok(State::Open { head }) => Ok(head),
            Ok(State::Failed { reason }) => Err(reason),
            Ok(State::Closed) | Err(_) => Err("the runner is ending".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_goes_on_when_the_workspace_is_settled() {
        let (keeper, gate) = GateKeeper::closed();
        assert!(!gate.is_open());
        let (passed, ()) = tokio::join!(gate.passed(), async { keeper.settle(Ok("abc".to_owned())) });
        assert_eq!(passed, Ok(Some("abc".to_owned())));
        assert!(gate.is_open());
        assert_eq!(GateKeeper::open().1.passed().await, Ok(None));
    }

    #[tokio::test]
    async fn a_workspace_that_cannot_be_settled_is_not_edited_before_another_try() {
        let (keeper, gate) = GateKeeper::closed();
        keeper.settle(Err("no network".to_owned()));
        assert!(gate.has_failed());
        assert_eq!(gate.passed().await, Err("no network".to_owned()));
        keeper.close();
        let (passed, ()) = tokio::join!(gate.passed(), async { keeper.settle(Ok("abc".to_owned())) });
        assert_eq!(passed, Ok(Some("abc".to_owned())));
        let (keeper, gate) = GateKeeper::closed();
        drop(keeper);
        assert!(gate.passed().await.is_err());
    }
}
