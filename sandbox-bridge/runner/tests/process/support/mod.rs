//! What the runner's process tests share: a fake bridge with a real git server and a small model, and a running runner.

pub(crate) mod bridge;
pub(crate) mod model;
pub(crate) mod opencode;

use bridge::FakeBridge;
use protocol::id::{CommandId, PromptId, RepositoryId, SessionId, TurnId};
use protocol::runner::{AgentKind, Author, RunnerCommand, RunnerConfiguration, TurnOrder};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

pub(crate) const BRANCH: &str = "farhand/test-1";
pub(crate) const TOKEN: &str = "sandbox-token-canary";

/// A repository at the "code host", and the folders of one sandbox.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
}

impl Place {
    /// A bare repository with one commit on `main`.
    pub(crate) fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        let (origin, seed) = (place.origin(), place.folder.path().join("seed"));
        std::fs::create_dir_all(&origin).unwrap();
        git(&origin, &["init", "--quiet", "--bare", "--initial-branch=main"]);
        git(&origin, &["config", "http.receivepack", "true"]);
        git(place.folder.path(), &["clone", "--quiet", origin.to_str().unwrap(), seed.to_str().unwrap()]);
        std::fs::write(seed.join("README.md"), "# Shop\n\nWelcome.\n").unwrap();
        git(&seed, &["checkout", "--quiet", "-B", "main"]);
        commit_all(&seed, "First commit");
        git(&seed, &["push", "--quiet", "origin", "main"]);
        place
    }

    pub(crate) fn repositories(&self) -> PathBuf {
        self.folder.path().join("repositories")
    }

    pub(crate) fn origin(&self) -> PathBuf {
        self.repositories().join("acme/shop.git")
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    /// Commits something to a branch of the origin, as somebody else.
    pub(crate) fn push_as_other(&self, branch: &str, file: &str) {
        let clone = self.folder.path().join(format!("other-{file}"));
        git(
            self.folder.path(),
            &["clone", "--quiet", self.origin().to_str().unwrap(), clone.to_str().unwrap()],
        );
        git(&clone, &["checkout", "--quiet", branch]);
        std::fs::write(clone.join(file), "from somebody else\n").unwrap();
        commit_all(&clone, "Change by somebody else");
        git(&clone, &["push", "--quiet", "origin", branch]);
    }
}

/// The real OpenCode, where it is installed.
pub(crate) fn opencode() -> Option<PathBuf> {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../node_modules");
    let names = ["opencode-linux-x64/bin/opencode", "opencode-ai/bin/opencode.exe"];
    let found = names.into_iter().map(|name| modules.join(name)).find(|path| path.exists());
    if found.is_none() {
        println!("skipped: OpenCode is not installed; run npm ci");
    }
    found
}

/// Commits everything in `folder`.
pub(crate) fn commit_all(folder: &Path, subject: &str) {
    git(folder, &["add", "--all"]);
    git(
        folder,
        &["-c", "user.name=Seed", "-c", "user.email=seed@example.com", "commit", "--quiet", "-m", subject],
    );
}

/// Runs git and gives its output.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A runner process, killed when dropped.
pub(crate) struct Runner {
    pub(crate) child: Child,
}

impl Runner {
    pub(crate) fn start(
        place: &Place,
        bridge: &FakeBridge,
        generation: u64,
        opencode: Option<&Path>,
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.arg("run");
        Self::spawn(command, place, bridge, generation, opencode)
    }

    /// With a spool on a disk of one mebibyte; `None`, saying so, where this machine has no user namespaces.
    pub(crate) fn start_on_a_small_disk(place: &Place, bridge: &FakeBridge) -> Option<Self> {
        let unshare = ["--user", "--map-root-user", "--mount"];
        if !Command::new("unshare").args(unshare).arg("true").status().is_ok_and(|status| status.success()) {
            println!("skipped: unshare cannot make a user namespace here");
            return None;
        }
        std::fs::create_dir_all(place.spool()).unwrap();
        let mut command = Command::new("unshare");
        let script = "mount -t tmpfs -o size=1m none \"$FARHAND_SPOOL\" && exec \"$0\" run";
        command.args(unshare).args(["sh", "-c", script, env!("CARGO_BIN_EXE_runner")]);
        Some(Self::spawn(command, place, bridge, 1, None))
    }

    fn spawn(
        mut command: Command,
        place: &Place,
        bridge: &FakeBridge,
        generation: u64,
        opencode: Option<&Path>,
    ) -> Self {
        let home = place.folder.path().join("home");
        std::fs::create_dir_all(&home).unwrap();
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", home)
            .env("FARHAND_BRIDGE_URL", bridge.url())
            .env("FARHAND_SANDBOX_TOKEN", TOKEN)
            .env("FARHAND_SANDBOX_ID", "sbx_test")
            .env("FARHAND_GENERATION", generation.to_string())
            .env("FARHAND_SPOOL", place.spool())
            .env("FARHAND_WORKSPACE", place.workspace())
            .stdin(Stdio::null());
        if let Some(opencode) = opencode {
            command.env("FARHAND_OPENCODE", opencode);
        }
        Self { child: command.spawn().unwrap() }
    }

    /// SIGKILL, as by a crash.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn configuration(agent: AgentKind) -> RunnerConfiguration {
    RunnerConfiguration {
        session_id: SessionId::parse("ses_test").unwrap(),
        repository: RepositoryId::parse("acme/shop").unwrap(),
        default_branch: "main".into(),
        branch: BRANCH.into(),
        agent,
        model: "demo/model".into(),
        models: vec!["demo/model".into()],
    }
}

pub(crate) fn command_id(text: &str) -> CommandId {
    CommandId::parse(&format!("cmd_{text}")).unwrap()
}

pub(crate) fn turn_id(text: &str) -> TurnId {
    TurnId::parse(&format!("trn_{text}")).unwrap()
}

pub(crate) fn person(name: &str) -> Author {
    Author { name: name.to_owned(), email: format!("{}@example.com", name.to_lowercase()) }
}

pub(crate) fn steer_turn(turn: &str, prompt_id: &str, author: &str, prompt: &str) -> RunnerCommand {
    RunnerCommand::SteerTurn {
        turn_id: turn_id(turn),
        prompt_id: PromptId::parse(&format!("prm_{prompt_id}")).unwrap(),
        prompt: prompt.to_owned(),
        author: person(author),
        attachments: Vec::new(),
    }
}

pub(crate) fn start_turn(turn: &str, author: &str, prompt: &str) -> RunnerCommand {
    RunnerCommand::StartTurn {
        turn: TurnOrder {
            turn_id: turn_id(turn),
            attempt: 1,
            prompt: prompt.to_owned(),
            author: person(author),
            model: "demo/model".into(),
            effort: None,
            digest: None,
            attachments: Vec::new(),
            traceparent: None,
            means: None,
        },
    }
}
