//! The stack itself: what is started in which order, and how parts are killed and brought back.

use crate::StackError;
use crate::app::AppSecrets;
use crate::bridge::{self, Surroundings};
use crate::client::Client;
use crate::identity::{PEOPLE, Person, Secrets};
use crate::modal::Modal;
use crate::options::{Model, Options, Repository};
use crate::ports::{Ports, choose_port, port_of};
use crate::process::Process;
use crate::revive;
use crate::sandbox::{self, Sandbox};
use crate::wires::Wires;
use crate::worker::{self, Variables};
use fakes::github::{Github, GithubOptions};
use fakes::modal::ModalFake;
use fakes::model::{DemoModel, ModelOptions};
use fakes::seed;
use fakes::slack::{Slack, SlackOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time between two pieces of the demo model's text.
const PIECE_DELAY: Duration = Duration::from_millis(10);

/// Marks a run's folder that is to stay.
const KEPT: &str = "kept";

/// The running product. Everything ends when it is dropped.
#[derive(Debug)]
pub struct Stack {
    // Dropped in this order: the bridge hands its last events to the Worker.
    bridge: Option<Process>,
    worker: Option<Process>,
    wires: Option<Wires>,
    github: Github,
    slack: Slack,
    model: Option<DemoModel>,
    modal: Option<Modal>,
    repositories: Vec<seed::Seeded>,
    options: Options,
    secrets: RedactedSecrets,
    configuration: PathBuf,
    ports: Ports,
    url: String,
    bridge_url: String,
    _folder: RunFolder,
}

struct RedactedSecrets(Secrets);

impl std::fmt::Debug for RedactedSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// Removes the run's folder last, unless it is to be kept.
#[derive(Debug)]
struct RunFolder {
    path: PathBuf,
    keep: bool,
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed is in `target/` and named after this run.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

impl Stack {
    /// Starts everything and waits until it answers.
    pub async fn start(options: Options) -> Result<Self, StackError> {
        options.binaries.check()?;
        let directory = options.directory.clone();
        std::fs::create_dir_all(&directory).map_err(StackError::file(&directory))?;
        let folder = RunFolder { path: directory.clone(), keep: options.keep };
        remove_leftovers();
        if options.keep {
            let mark = directory.join(KEPT);
            std::fs::write(&mark, "").map_err(StackError::file(&mark))?;
        }
        let secrets = Secrets::of_run(&options)?;
        let mut ports = Ports::of_run(&directory);
        ports.worker = choose_port(options.port, ports.worker)?;
        let url = format!("http://127.0.0.1:{}", ports.worker);

        let root = directory.join("git");
        let mut repositories = Vec::new();
        for repository in &options.repositories {
            repositories.push(match repository {
                Repository::Shop => seed::shop(&root).await?,
                Repository::Import { origin } => seed::import(&root, origin).await?,
            });
        }
        let github = Github::start(GithubOptions {
            root,
            port: choose_port(None, ports.github)?,
            accounts: secrets.accounts(),
            app_token: secrets.app_token.clone(),
            app: secrets.app.as_ref().map(AppSecrets::app),
        })
        .await?;
        ports.github = port_of(github.url());
        if let Some(app) = &secrets.app {
            let names: Vec<String> = repositories.iter().map(|seeded| seeded.repository.clone()).collect();
            app.install(&github, &names, &url);
        }
        let slack = Slack::start(SlackOptions {
            port: 0,
            token: secrets.slack_token.clone(),
            refresh_token: None,
            signing_secret: secrets.slack_signing_secret.clone(),
            target: format!("{url}/api/slack"),
        })
        .await?;
        let model = match options.model {
            Model::Demo => {
                let model =
                    ModelOptions { port: 0, api_key: secrets.model_key.clone(), piece_delay: PIECE_DELAY };
                Some(DemoModel::start(model).await?)
            }
            Model::Real { .. } => None,
        };
        let modal = match &options.modal {
            Some(ways) => Some(Modal::start(ways).await?),
            None => None,
        };
        ports.bridge = choose_port(None, ports.bridge)?;
        let wires = if options.faults {
            Some(Wires::start(ports.worker, ports.bridge, ports.github).await?)
        } else {
            None
        };
        let around = Surroundings {
            options: &options,
            secrets: &secrets,
            github: &github,
            model: model.as_ref(),
            modal: modal.as_ref(),
            edge_url: wires.as_ref().map_or(&url, |wires| wires.events.url()),
            public_url: wires.as_ref().map(|wires| wires.commands.url()),
        };
        let (bridge, bridge_url) = bridge::start(&around, ports.bridge)?;
        ports.save(&directory)?;

        let configuration = configure(&options, &secrets, &bridge_url, (&github, &slack), wires.as_ref())?;
        worker::migrate(&options, &configuration)?;
        let mut worker = worker::start(&options, &configuration, ports.worker)?;
        worker::ready(&mut worker, &url).await?;
        Ok(Self {
            bridge: Some(bridge),
            worker: Some(worker),
            wires,
            github,
            slack,
            model,
            modal,
            repositories,
            options,
            secrets: RedactedSecrets(secrets),
            configuration,
            ports,
            url,
            bridge_url,
            _folder: folder,
        })
    }

    /// Origin of the Worker: open it in a browser.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Base URL of the sandbox bridge.
    #[must_use]
    pub fn bridge_url(&self) -> &str {
        &self.bridge_url
    }

    /// Shared secret of edge and bridge, for tests that sign requests of their own.
    #[must_use]
    pub fn bridge_key(&self) -> &str {
        &self.secrets.0.bridge_key
    }

    /// Every secret of the run, for tests that look where none may be.
    #[must_use]
    pub fn canaries(&self) -> Vec<String> {
        let secrets = &self.secrets.0;
        let mut all = vec![
            secrets.session_key.clone(),
            secrets.bridge_key.clone(),
            secrets.app_token.clone(),
            secrets.model_key.clone(),
            secrets.slack_signing_secret.clone(),
            secrets.slack_token.clone(),
        ];
        all.extend(secrets.accounts().into_iter().map(|account| account.token));
        all.extend(self.modal().map(|modal| modal.token_secret().to_owned()));
        if let Some(app) = &secrets.app {
            all.extend(app.canaries());
            all.extend(self.github.secrets());
        }
        all
    }

    /// Everything of the run is in here: `git`, `sandboxes`, `workerd`, `logs`.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.options.directory
    }

    /// The stand-in for the code host.
    #[must_use]
    pub fn github(&self) -> &Github {
        &self.github
    }

    /// The stand-in for Slack.
    #[must_use]
    pub fn slack(&self) -> &Slack {
        &self.slack
    }

    /// The stand-in for a model, unless a real one answers.
    #[must_use]
    pub fn model(&self) -> Option<&DemoModel> {
        self.model.as_ref()
    }

    /// The stand-in for Modal, where sandboxes run there.
    #[must_use]
    pub fn modal(&self) -> Option<&ModalFake> {
        self.modal.as_ref().map(|modal| &modal.fake)
    }

    /// What is there to work on, as given in the options.
    #[must_use]
    pub fn repositories(&self) -> &[seed::Seeded] {
        &self.repositories
    }

    /// Who can sign in.
    #[must_use]
    pub fn people(&self) -> &'static [Person] {
        PEOPLE
    }

    /// Process of the bridge while it runs, for measurements.
    #[must_use]
    pub fn bridge_pid(&self) -> Option<u32> {
        self.bridge.as_ref().map(Process::id)
    }

    /// Process of wrangler while it runs; workerd is its child.
    #[must_use]
    pub fn worker_pid(&self) -> Option<u32> {
        self.worker.as_ref().map(Process::id)
    }

    /// Process that runs the Worker and has its storage. Needs [`Options::revives_workerd`].
    #[must_use]
    pub fn workerd_pid(&self) -> Option<u32> {
        revive::pid(&self.options)
    }

    /// Signs a local user in.
    pub async fn sign_in(&self, login: &str) -> Result<Client, StackError> {
        if !PEOPLE.iter().any(|person| person.login == login) {
            return Err(StackError::UserUnknown(login.to_owned()));
        }
        Client::sign_in(&self.url, login).await
    }

    /// Signs somebody in at the code host, where the stack was started with [`Options::github_sign_in`].
    pub async fn sign_in_at_code_host(&self, login: &str) -> Result<Client, StackError> {
        Client::sign_in_at_code_host(&self.url, login).await
    }

    /// Signs a local user in through another address of the Worker, such as that of a proxy.
    pub async fn sign_in_at(&self, url: &str, login: &str) -> Result<Client, StackError> {
        Client::sign_in(url, login).await
    }

    /// The proxies, where the stack was started with faults.
    #[must_use]
    pub fn wires(&self) -> Option<&Wires> {
        self.wires.as_ref()
    }

    /// The sandboxes that run on this machine, whichever bridge started them.
    #[must_use]
    pub fn sandboxes(&self) -> Vec<Sandbox> {
        sandbox::list(&self.options.directory.join("sandboxes"))
    }

    /// Gives the Worker other variables; they count from its next start.
    pub fn set_variables(&mut self, variables: &[(&str, &str)]) -> Result<(), StackError> {
        for (name, value) in variables {
            self.options.variables.retain(|(known, _)| known != name);
            self.options.variables.push(((*name).to_owned(), (*value).to_owned()));
        }
        let secrets = &self.secrets.0;
        self.configuration = configure(
            &self.options,
            secrets,
            &self.bridge_url,
            (&self.github, &self.slack),
            self.wires.as_ref(),
        )?;
        Ok(())
    }

    /// SIGKILL to the bridge alone, as a crash would be.
    pub fn kill_bridge(&mut self) {
        if let Some(bridge) = self.bridge.take() {
            bridge.crash();
        }
    }

    /// Starts the bridge again, at the same address and with the same state.
    pub fn restart_bridge(&mut self) -> Result<(), StackError> {
        self.kill_bridge();
        let around = Surroundings {
            options: &self.options,
            secrets: &self.secrets.0,
            github: &self.github,
            model: self.model.as_ref(),
            modal: self.modal.as_ref(),
            edge_url: self.wires.as_ref().map_or(&self.url, |wires| wires.events.url()),
            public_url: self.wires.as_ref().map(|wires| wires.commands.url()),
        };
        let (bridge, url) = bridge::start(&around, self.ports.bridge)?;
        self.bridge = Some(bridge);
        self.bridge_url = url;
        Ok(())
    }

    /// SIGKILL to workerd and all around it.
    pub fn kill_workerd(&mut self) {
        self.worker = None;
    }

    /// SIGKILL to the process that runs the Worker and has its storage; it comes back without wrangler's slow start. Needs
    /// [`Options::revives_workerd`].
    pub async fn crash_workerd(&mut self) -> Result<(), StackError> {
        revive::crash(&self.options).await?;
        match &mut self.worker {
            Some(worker) => worker::ready(worker, &self.url).await,
            None => Ok(()),
        }
    }

    /// Starts workerd again, at the same address and with the same state.
    pub async fn restart_workerd(&mut self) -> Result<(), StackError> {
        self.kill_workerd();
        let mut worker = worker::start(&self.options, &self.configuration, self.ports.worker)?;
        worker::ready(&mut worker, &self.url).await?;
        self.worker = Some(worker);
        Ok(())
    }

    /// An error when the Worker or the bridge ended by itself.
    pub fn check(&mut self) -> Result<(), StackError> {
        for process in [&mut self.worker, &mut self.bridge].into_iter().flatten() {
            if !process.is_running() {
                return Err(process.failed("ended by itself"));
            }
        }
        Ok(())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if !self.options.sandboxes_die_with_bridge {
            // The next bridge finds the sandboxes that the last one left, and ends them with itself.
            self.options.sandboxes_die_with_bridge = true;
            let _ = self.restart_bridge();
        }
    }
}

/// Writes the Worker's configuration; answers its path.
fn configure(
    options: &Options,
    secrets: &Secrets,
    bridge_url: &str,
    (github, slack): (&Github, &Slack),
    wires: Option<&Wires>,
) -> Result<PathBuf, StackError> {
    let (bridge_url, github_api_url) = match wires {
        Some(wires) => (wires.commands.url().to_owned(), wires.through_code_host(&github.api_url())),
        None => (bridge_url.to_owned(), github.api_url()),
    };
    let slack_api_url = slack.api_url();
    let variables = Variables {
        bridge_url: &bridge_url,
        github_api_url: &github_api_url,
        github,
        slack_api_url: &slack_api_url,
        slack_files_url: slack.files_url(),
    };
    worker::configure(options, secrets, &variables)
}

/// Removes what runs left that were killed before they could; their folder's name has the id of their process.
fn remove_leftovers() {
    let Ok(entries) = std::fs::read_dir(crate::root().join("target/runs")) else { return };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let process = name.rsplit('-').nth(1).and_then(|id| id.parse::<u32>().ok());
        if process.is_some_and(|id| !Path::new("/proc").join(id.to_string()).exists())
            && !path.join(KEPT).exists()
        {
            let _ = std::fs::remove_dir_all(&path);
        }
    }
}
