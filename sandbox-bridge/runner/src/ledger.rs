//! What a runner has to remember across its own death: commands done, turns begun, the turn that is open.
//!
//! One small file in the spool's folder, replaced as a whole. It makes commands idempotent and lets a restarted runner report the
//! turn that its predecessor left. A spool of another sandbox (restored with a snapshot) is emptied. Used by `desk` and `worker`.

use crate::environment::Environment;
use protocol::id::{CommandId, SandboxId, TurnId};
use protocol::runner::TurnOrder;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

const NAME: &str = "ledger.json";
/// Commands and turns remembered; repeats come within seconds.
const REMEMBERED_MAX: usize = 256;

#[derive(Serialize, Deserialize)]
struct State {
    sandbox_id: SandboxId,
    generation: u64,
    #[serde(default)]
    commands: VecDeque<CommandId>,
    #[serde(default)]
    turns: VecDeque<(TurnId, u32)>,
    #[serde(default)]
    open_turn: Option<TurnOrder>,
}

/// The file and what is in it.
pub(crate) struct Ledger {
    folder: PathBuf,
    state: State,
}

impl Ledger {
    /// Reads the ledger of this sandbox. What belongs to another one is deleted with its events.
    pub(crate) fn open(environment: &Environment) -> io::Result<Self> {
        let folder = environment.spool.clone();
        let fresh = || State {
            sandbox_id: environment.sandbox_id.clone(),
            generation: environment.generation,
            commands: VecDeque::new(),
            turns: VecDeque::new(),
            open_turn: None,
        };
        std::fs::create_dir_all(&folder)?;
        let found = std::fs::read(folder.join(NAME)).ok();
        let known = found.as_deref().and_then(|bytes| serde_json::from_slice::<State>(bytes).ok());
        let ours = known.filter(|state| {
            state.sandbox_id == environment.sandbox_id && state.generation == environment.generation
        });
        if ours.is_none() && found.is_some() {
            empty(&folder)?;
        }
        // Nothing is written when nothing changed: the disk may be full.
        let is_new = ours.is_none();
        let ledger = Self { folder, state: ours.unwrap_or_else(fresh) };
        if is_new {
            ledger.write()?;
        }
        Ok(ledger)
    }

    /// Whether this command was carried out.
    pub(crate) fn has_command(&self, id: &CommandId) -> bool {
        self.state.commands.contains(id)
    }

    /// Remembers a command that was carried out.
    pub(crate) fn record_command(&mut self, id: CommandId) -> io::Result<()> {
        remember(&mut self.state.commands, id);
        self.write()
    }

    /// Whether this attempt was begun.
    pub(crate) fn has_turn(&self, turn_id: &TurnId, attempt: u32) -> bool {
        self.state.turns.iter().any(|turn| turn.0 == *turn_id && turn.1 == attempt)
    }

    /// The turn that is being worked on, or was when the runner died.
    pub(crate) fn open_turn(&self) -> Option<&TurnOrder> {
        self.state.open_turn.as_ref()
    }

    /// A turn begins, by this command.
    pub(crate) fn begin_turn(&mut self, id: CommandId, order: TurnOrder) -> io::Result<()> {
        remember(&mut self.state.commands, id);
        remember(&mut self.state.turns, (order.turn_id.clone(), order.attempt));
        // What is left of it after the runner's death is its end, which no attachment is needed for.
        self.state.open_turn = Some(TurnOrder { attachments: Vec::new(), ..order });
        self.write()
    }

    /// The open turn is over, and its end is in the spool.
    pub(crate) fn end_turn(&mut self) -> io::Result<()> {
        self.state.open_turn = None;
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        let temporary = self.folder.join(format!("{NAME}.new"));
        std::fs::write(&temporary, serde_json::to_vec(&self.state).map_err(io::Error::other)?)?;
        std::fs::rename(temporary, self.folder.join(NAME))
    }
}

fn remember<T: PartialEq>(queue: &mut VecDeque<T>, entry: T) {
    if !queue.contains(&entry) {
        queue.push_back(entry);
    }
    while queue.len() > REMEMBERED_MAX {
        queue.pop_front();
    }
}

fn empty(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::runner::Author;

    fn environment(folder: &Path, generation: u64) -> Environment {
        Environment {
            bridge_url: String::new(),
            token: String::new(),
            sandbox_id: SandboxId::parse("sbx_1").unwrap(),
            generation,
            spool: folder.to_owned(),
            workspace: PathBuf::new(),
            code_host: None,
            opencode: None,
            home: PathBuf::new(),
        }
    }

    fn order() -> TurnOrder {
        TurnOrder {
            turn_id: TurnId::parse("trn_1").unwrap(),
            attempt: 2,
            prompt: "say hi".into(),
            author: Author { name: "Ada".into(), email: "ada@example.com".into() },
            model: "demo/model".into(),
            effort: None,
            digest: None,
            attachments: Vec::new(),
            traceparent: None,
            means: None,
        }
    }

    #[test]
    fn it_remembers_across_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let command = CommandId::parse("cmd_1").unwrap();
        let mut ledger = Ledger::open(&environment(folder.path(), 1)).unwrap();
        assert!(!ledger.has_command(&command));
        ledger.begin_turn(command.clone(), order()).unwrap();

        let mut ledger = Ledger::open(&environment(folder.path(), 1)).unwrap();
        assert!(ledger.has_command(&command));
        assert!(ledger.has_turn(&order().turn_id, 2));
        assert!(!ledger.has_turn(&order().turn_id, 3));
        assert_eq!(ledger.open_turn(), Some(&order()));
        ledger.end_turn().unwrap();
        assert_eq!(Ledger::open(&environment(folder.path(), 1)).unwrap().open_turn(), None);
    }

    #[test]
    fn another_generation_begins_with_an_empty_folder() {
        let folder = tempfile::tempdir().unwrap();
        Ledger::open(&environment(folder.path(), 1))
            .unwrap()
            .begin_turn(CommandId::parse("cmd_1").unwrap(), order())
            .unwrap();
        std::fs::write(folder.path().join("events-1.log"), "x").unwrap();
        let ledger = Ledger::open(&environment(folder.path(), 2)).unwrap();
        assert_eq!(ledger.open_turn(), None);
        assert!(!folder.path().join("events-1.log").exists());
    }
}
