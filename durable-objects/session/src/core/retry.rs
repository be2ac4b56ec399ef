//! When work that did not succeed is tried again.

use super::input::Work;
use protocol::time::Timestamp;

/// What to do about a failed try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Try again, not before then.
    At(Timestamp),
    /// It was tried often enough.
    GiveUp,
}

struct Policy {
    first_ms: u64,
    max_ms: u64,
    tries_max: Option<u32>,
}

impl Policy {
    fn of(work: &Work) -> Self {
        match work {
            // A prompt waits for these; their end is decided by deadlines of the session, not by counting.
            Work::CreateSandbox { .. }
            | Work::StartTurn { .. }
            | Work::SteerTurn { .. }
            | Work::StopTurn { .. }
            | Work::TakeSnapshot { .. } => Self { first_ms: 250, max_ms: 30_000, tries_max: None },
            // These are waited for a few seconds only.
            Work::ClaimSandbox { .. } | Work::BindSandbox { .. } => {
                Self { first_ms: 100, max_ms: 1000, tries_max: None }
            }
            // After that the sandbox ends by its life, and a claim by its lease.
            Work::TerminateSandbox { .. } | Work::ReleaseClaim { .. } => {
                Self { first_ms: 250, max_ms: 30_000, tries_max: Some(500) }
            }
            Work::OpenPullRequest(_) => Self { first_ms: 1000, max_ms: 600_000, tries_max: Some(12) },
            // It is looked at again in a while.
            Work::LookAtPullRequest { .. } => Self { first_ms: 1000, max_ms: 60_000, tries_max: Some(3) },
            // A prompt may wait for it, and sums must be told.
            Work::AskLedger => Self { first_ms: 250, max_ms: 60_000, tries_max: None },
            // What is to be gone must go, and what is to be kept must be stored, however long that takes.
            Work::DeleteSnapshot { .. }
            | Work::StoreOutput { .. }
            | Work::DeleteArtifacts
            | Work::UpdateIndex
            | Work::RemoveIndex => Self { first_ms: 1000, max_ms: 600_000, tries_max: None },
        }
    }
}

/// Doubles the wait with each try. Half of it is drawn by lot, so that sessions do not come back to a restarted bridge together.
///
/// `tries` counts those that failed, this one included; `random` is uniform.
#[must_use]
pub fn evaluate_retry(work: &Work, tries: u32, now: Timestamp, random: u32) -> Retry {
    let policy = Policy::of(work);
    if policy.tries_max.is_some_and(|max| tries >= max) {
        return Retry::GiveUp;
    }
    let wait = policy.first_ms.saturating_mul(1 << tries.saturating_sub(1).min(20)).min(policy.max_ms);
    let half = wait / 2;
    Retry::At(now.plus_ms(half + u64::from(random) % (wait - half + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::SandboxId;

    fn terminate() -> Work {
        Work::TerminateSandbox {
            sandbox_id: SandboxId::from_random([1; 16]),
            generation: 1,
            bridge_url: None,
        }
    }

    fn check(work: &Work, tries: u32, shortest_ms: u64, longest_ms: u64) {
        for random in [0, 1, 77, u32::MAX - 1, u32::MAX] {
            let Retry::At(at) = evaluate_retry(work, tries, Timestamp(1000), random) else {
                panic!("gave up after {tries}")
            };
            assert!((1000 + shortest_ms..=1000 + longest_ms).contains(&at.0), "{tries}: {at:?}");
        }
    }

    #[test]
    fn waits_double_up_to_their_limit() {
        check(&terminate(), 1, 125, 250);
        check(&terminate(), 2, 250, 500);
        check(&terminate(), 8, 15_000, 30_000);
        check(&terminate(), 100, 15_000, 30_000);
        check(&Work::UpdateIndex, 1, 500, 1000);
        check(&Work::UpdateIndex, u32::MAX, 300_000, 600_000);
    }

    #[test]
    fn endless_work_ends() {
        assert_eq!(evaluate_retry(&terminate(), 500, Timestamp(0), 0), Retry::GiveUp);
    }
}
