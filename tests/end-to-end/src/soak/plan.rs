//! What people ask for and what breaks, from a seed. Pure.

use crate::Dice;
use std::fmt;

/// What happens when somebody comes to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Visit {
    /// A prompt that changes a file.
    Append,
    /// One that streams before it does.
    Stream,
    /// One that changes nothing.
    Talk,
    /// Two prompts of two people at once.
    Queue,
    /// A second prompt that is to reach the running turn.
    Steer,
    /// A turn that hangs and is stopped; what waits behind it is cancelled.
    Hang,
    /// An agent that reports a failure.
    Fail,
    /// An agent that dies each time.
    Poison,
}

impl Visit {
    /// In proportion: what is slow comes seldom.
    const ALL: &[Self] = &[
        Self::Append,
        Self::Append,
        Self::Append,
        Self::Stream,
        Self::Stream,
        Self::Stream,
        Self::Talk,
        Self::Talk,
        Self::Queue,
        Self::Queue,
        Self::Steer,
        Self::Steer,
        Self::Hang,
        Self::Hang,
        Self::Fail,
        Self::Poison,
    ];

    /// The one of this session's turn, the same for a seed in whichever order sessions are visited.
    pub(super) fn of(seed: u64, session: usize, round: usize) -> Self {
        let mut dice = dice_of(seed, session, round);
        pick(&mut dice, Self::ALL).unwrap_or(Self::Append)
    }

    /// Whether people stay until the sandbox has stopped, so that the next prompt restores it.
    pub(super) fn waits_for_idle(seed: u64, session: usize, round: usize) -> bool {
        let mut dice = dice_of(seed, session, round);
        dice.between(0, 2);
        dice.between(0, 2) == 0
    }
}

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// SIGKILL to the bridge, and another start.
    BridgeKilled,
    /// SIGKILL to workerd, and another start.
    WorkerKilled,
    /// SIGKILL to everything in a sandbox.
    SandboxKilled,
    /// A sandbox that says nothing more.
    SandboxFrozen,
    /// Every socket of people is reset.
    ViewersCut,
    /// Batches that are stored, and whose answers are lost.
    EventAnswersLost,
    /// Orders that are carried out, and whose answers are lost.
    CommandAnswersLost,
    /// Orders that do not arrive.
    CommandsLost,
    /// A code host that fails, and whose answer is lost after that.
    CodeHostFails,
}

impl Fault {
    /// Of processes that serve all sessions.
    const RESTARTS: &[Self] = &[Self::BridgeKilled, Self::WorkerKilled];
    const OTHERS: &[Self] = &[
        Self::SandboxKilled,
        Self::SandboxKilled,
        Self::ViewersCut,
        Self::EventAnswersLost,
        Self::CommandAnswersLost,
        Self::CommandsLost,
        Self::CodeHostFails,
    ];

    /// The next one. Freezing waits for the end of a lease, so it comes seldom.
    pub(super) fn next(dice: &mut Dice, restarts: bool) -> Self {
        match dice.between(0, 30) {
            0 => Self::SandboxFrozen,
            1..=9 if restarts => pick(dice, Self::RESTARTS).unwrap_or(Self::BridgeKilled),
            _ => pick(dice, Self::OTHERS).unwrap_or(Self::ViewersCut),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BridgeKilled => "bridge_killed",
            Self::WorkerKilled => "worker_killed",
            Self::SandboxKilled => "sandbox_killed",
            Self::SandboxFrozen => "sandbox_frozen",
            Self::ViewersCut => "viewers_cut",
            Self::EventAnswersLost => "event_answers_lost",
            Self::CommandAnswersLost => "command_answers_lost",
            Self::CommandsLost => "commands_lost",
            Self::CodeHostFails => "code_host_fails",
        })
    }
}

fn dice_of(seed: u64, session: usize, round: usize) -> Dice {
    let place = (session as u64) << 32 | round as u64;
    // Odd factors keep different places apart, and the last bit keeps 0 away.
    let mut dice = Dice::new((seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1);
    dice.between(0, 2);
    dice.between(0, 2);
    dice
}

fn pick<T: Copy>(dice: &mut Dice, all: &[T]) -> Option<T> {
    let index = dice.between(0, all.len() as u64);
    all.get(usize::try_from(index).unwrap_or(0)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_says_what_happens_whatever_the_order() {
        let visits = |seed| (0..40).map(|place| Visit::of(seed, place % 8, place / 8)).collect::<Vec<_>>();
        assert_eq!(visits(7), visits(7));
        assert_ne!(visits(7), visits(8));
    }

    #[test]
    fn everything_happens_and_restarts_only_where_allowed() {
        let visits: BTreeSet<Visit> = (0..400).map(|place| Visit::of(1, place % 20, place / 20)).collect();
        assert_eq!(visits.len(), 8, "{visits:?}");
        let faults = |restarts| {
            let mut dice = Dice::new(5);
            (0..500).map(|_| Fault::next(&mut dice, restarts)).collect::<BTreeSet<_>>()
        };
        assert_eq!(faults(true).len(), 9, "{:?}", faults(true));
        assert!(!faults(false).iter().any(|fault| Fault::RESTARTS.contains(fault)));
    }
}
