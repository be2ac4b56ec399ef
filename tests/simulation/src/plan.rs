//! What goes wrong in a run, and how often. Each seed draws a plan of its own: a few kinds of faults at once, most of them absent,
//! because faults that happen everywhere hide each other.

use crate::random::Random;
use session::core::Timing;

/// How a kind of fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occurrence {
    /// So many times in a thousand messages, inputs or operations.
    PerMille(u64, u64),
    /// So many times in a run, whenever it comes.
    PerRun(u64, u64),
}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $occurrence:expr;)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $($(#[$doc])* $name,)* }

        impl Fault {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As on the command line.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// How often it happens in a run that has it.
            #[must_use]
            pub fn occurrence(self) -> Occurrence {
                match self { $(Self::$name => $occurrence,)* }
            }
        }
    };
}

use Occurrence::{PerMille, PerRun};

faults! {
    /// A request or its answer between edge and bridge is lost.
    RequestLost = "request-lost", PerMille(10, 150);
    /// A request arrives again, at once or minutes later.
    RequestTwice = "request-twice", PerMille(10, 150);
    /// A request or its answer takes seconds, and others overtake it.
    RequestLate = "request-late", PerMille(10, 150);
    /// A batch of events reaches the session without its first event.
    BatchTorn = "batch-torn", PerMille(10, 100);
    /// A frame between runner and bridge is lost.
    FrameLost = "frame-lost", PerMille(5, 60);
    /// A frame between runner and bridge arrives twice.
    FrameTwice = "frame-twice", PerMille(5, 60);
    /// A frame between runner and bridge overtakes the one before it.
    FrameSwapped = "frame-swapped", PerMille(5, 60);
    /// The object dies before what it decided is stored.
    CrashBeforeCommit = "crash-before-commit", PerMille(5, 60);
    /// The object dies when what it decided is stored and nobody has heard of it.
    CrashAfterCommit = "crash-after-commit", PerMille(5, 60);
    /// With the object, the alarm is lost that it had just set.
    AlarmLost = "alarm-lost", PerMille(300, 900);
    /// The object dies when something has happened outside and it does not know yet.
    CrashBeforeSettle = "crash-before-settle", PerMille(10, 200);
    /// The object sleeps: its memory is gone, its sockets are not.
    Evict = "evict", PerRun(1, 12);
    /// The object moves: memory and sockets are gone.
    Deploy = "deploy", PerRun(1, 3);
    /// The object's clock jumps forward.
    ClockForward = "clock-forward", PerRun(1, 2);
    /// The object's clock jumps back.
    ClockBack = "clock-back", PerRun(1, 2);
    /// The alarm runs although nobody asked for it.
    AlarmTwice = "alarm-twice", PerRun(1, 10);
    /// The alarm runs late.
    AlarmLate = "alarm-late", PerMille(50, 300);
    /// The bridge is restarted and has forgotten everything.
    BridgeRestart = "bridge-restart", PerRun(1, 3);
    /// Edge and bridge do not reach each other for a while.
    Partition = "partition", PerRun(1, 3);
    /// The runner's connection breaks and both ends notice.
    RunnerCut = "runner-cut", PerRun(1, 4);
    /// The runner's connection breaks and nobody notices for half a minute.
    RunnerHalfOpen = "runner-half-open", PerRun(1, 2);
    /// The runner dies and is started again in its sandbox.
    RunnerRestart = "runner-restart", PerRun(1, 2);
    /// The sandbox stands still for a while and then goes on.
    SandboxFrozen = "sandbox-frozen", PerRun(1, 2);
    /// The sandbox dies and the provider says so.
    SandboxDies = "sandbox-dies", PerRun(1, 3);
    /// The sandbox dies and nobody says so.
    SandboxVanishes = "sandbox-vanishes", PerRun(1, 2);
    /// The provider has no room: another sandbox may get over it.
    CreateFails = "create-fails", PerMille(100, 500);
    /// The provider does not answer in its usual way.
    CreateUnavailable = "create-unavailable", PerMille(100, 500);
    /// The sandbox is made long after its caller stopped waiting.
    CreateHangs = "create-hangs", PerMille(100, 400);
    /// The sandbox is made and its runner never dials in.
    RunnerAbsent = "runner-absent", PerMille(100, 400);
    /// The session's repository does not answer.
    RepositoryDown = "repository-down", PerMille(100, 800);
    /// A warm sandbox that is handed out is not there any more.
    WarmGone = "warm-gone", PerMille(100, 600);
    /// The runner of a warm sandbox is not connected.
    WarmUnattached = "warm-unattached", PerMille(100, 600);
    /// Another session has the warm sandbox.
    BindConflict = "bind-conflict", PerMille(100, 500);
    /// A claim's lease ends before its sandbox is bound.
    LeaseShort = "lease-short", PerMille(100, 600);
    /// The provider does not have the image.
    ImageGone = "image-gone", PerMille(200, 800);
    /// The runner cannot set its sandbox up.
    SetupFails = "setup-fails", PerMille(100, 400);
    /// The provider does not have the snapshot.
    RestoreRefused = "restore-refused", PerMille(200, 800);
    /// The snapshot cannot be taken at the moment.
    SnapshotUnavailable = "snapshot-unavailable", PerMille(100, 500);
    /// The snapshot takes longer than anybody waits.
    SnapshotHangs = "snapshot-hangs", PerMille(100, 400);
    /// Sandboxes and snapshots cannot be removed at the moment.
    RemovalFails = "removal-fails", PerMille(100, 500);
    /// The code host does not answer.
    CodeHostDown = "code-host-down", PerMille(100, 600);
    /// The code host says no.
    CodeHostRefuses = "code-host-refuses", PerMille(100, 500);
    /// The session index cannot be written.
    IndexDown = "index-down", PerMille(100, 500);
    /// Artifacts cannot be stored or removed.
    ArtifactsDown = "artifacts-down", PerMille(100, 500);
    /// A client's connection breaks.
    ClientCut = "client-cut", PerRun(1, 10);
    /// A client's connection breaks and it notices by its missing pong only.
    ClientHalfOpen = "client-half-open", PerRun(1, 4);
    /// A client does not read: it is told to subscribe again.
    ClientLags = "client-lags", PerRun(1, 4);
    /// The agent works and says nothing for minutes.
    AgentQuiet = "agent-quiet", PerMille(100, 400);
    /// The agent never comes to an end by itself.
    AgentHangs = "agent-hangs", PerMille(50, 300);
    /// The sandbox dies of the prompt, each time.
    AgentPoisoned = "agent-poisoned", PerMille(50, 300);
    /// The runner says what makes no sense: it is not trusted.
    RunnerLies = "runner-lies", PerMille(50, 300);
    /// A tool's output is longer than events carry.
    AgentFloods = "agent-floods", PerMille(50, 300);
}

/// The plan of one run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Participants, the owner included.
    pub(crate) people: usize,
    /// What each of them does, roughly.
    pub(crate) acts: u64,
    /// How long faults happen.
    pub(crate) span_ms: u64,
    /// How long sandboxes live and wait.
    pub(crate) timing: Timing,
    /// Whether the session is deleted at the end, after it came to rest or in the middle of everything.
    pub(crate) deletion: Deletion,
    /// Warm sandboxes that the repository has to give.
    pub(crate) warm: u64,
    /// By [`Fault::ALL`].
    rates: Vec<u64>,
}

/// Whether and when the session is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deletion {
    /// It stays.
    Never,
    /// When everything has come to rest.
    AtRest,
    /// While people, agents and faults are at it.
    Amidst,
}

impl Plan {
    /// Draws a plan, without the kinds in `without`.
    #[must_use]
    pub(crate) fn draw(random: &mut Random, without: &[Fault]) -> Self {
        let people = usize::try_from(random.between(1, 4)).unwrap_or(1);
        let acts = random.between(2, 6);
        let span_ms = random.between(60, 900) * 1000;
        let timing = match random.below(4) {
            0 => Timing {
                life_ms: random.between(200, 800) * 1000,
                idle_ms: random.between(5, 60) * 1000,
                ..Timing::default()
            },
            1 => Timing { idle_ms: random.between(5, 60) * 1000, ..Timing::default() },
            _ => Timing::default(),
        };
        let deletion = match random.below(8) {
            0 => Deletion::Amidst,
            1 | 2 => Deletion::AtRest,
            _ => Deletion::Never,
        };
        let share = random.between(50, 400);
        let mut rates = Vec::new();
        for fault in Fault::ALL {
            let (PerMille(low, high) | PerRun(low, high)) = fault.occurrence();
            let rate = random.between(low, high);
            let happens = random.chance(share) && !without.contains(fault);
            rates.push(if happens { rate } else { 0 });
        }
        let warm = if random.chance(600) { random.between(1, 8) } else { 0 };
        Self { people, acts, span_ms, timing, deletion, warm, rates }
    }

    /// How often a kind happens; 0 when it does not.
    #[must_use]
    pub(crate) fn rate(&self, fault: Fault) -> u64 {
        self.rates.get(fault as usize).copied().unwrap_or(0)
    }
}
