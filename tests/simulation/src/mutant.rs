//! The session's shell with one of its safeguards taken out. The simulator must notice each of them.

/// Which safeguard is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A silent sandbox is never taken for lost.
    NoLease,
    /// What a sandbox says counts whichever generation it is of.
    NoGenerationCheck,
    /// A repeated prompt is a new prompt.
    NoPromptDedupe,
    /// A runner's repeated events count again.
    NoEventDedupe,
    /// Work leaves the outbox before it was tried.
    OutboxMarkedEarly,
    /// Work never leaves the outbox.
    OutboxNeverMarked,
}

impl Mutant {
    /// Every mutant with its name on the command line.
    pub const ALL: [(Self, &str); 6] = [
        (Self::NoLease, "no-lease"),
        (Self::NoGenerationCheck, "no-generation-check"),
        (Self::NoPromptDedupe, "no-prompt-dedupe"),
        (Self::NoEventDedupe, "no-event-dedupe"),
        (Self::OutboxMarkedEarly, "outbox-marked-early"),
        (Self::OutboxNeverMarked, "outbox-never-marked"),
    ];
}
