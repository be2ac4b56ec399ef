//! Images that the bridge's program builds in real sandboxes of a real repository, and warm sandboxes that start from them.

use crate::pool::{claim_by, repository, warm_order};
use crate::restart::{is_over, is_ready, sandbox_of, turn};
use crate::support::code_host::{CodeHost, git};
use crate::support::edge::{FakeEdge, Session};
use crate::support::program::{Program, runner};
use crate::support::sandbox_id;
use protocol::bridge::{CommandRequest, CreateSandboxRequest, SandboxSource, TerminateRequest};
use protocol::id::{BuildId, ImageId};
use protocol::repository::{
    BuildImageRequest, BuildOutcome, ImageOrigin, Inventory, Recipe, RepositoryRequest, WarmState,
};
use protocol::runner::RunnerEvent;
use serde_json::Value;
use std::time::{Duration, Instant};

pub(crate) struct Scene {
    pub(crate) edge: FakeEdge,
    pub(crate) host: CodeHost,
    pub(crate) program: Program,
}

impl Scene {
    /// `None` when there is no runner to start, after saying so.
    pub(crate) async fn start(name: &str) -> Option<Self> {
        let runner = runner()?;
        let (edge, host) = (FakeEdge::start().await, CodeHost::start().await);
        let mut program = Program::new(runner, &edge, &host, name);
        program.start().await;
        Some(Self { edge, host, program })
    }

    /// Commits files to the default branch; answers the commit.
    pub(crate) async fn commit(&self, files: &[(&str, &str)]) -> String {
        let seed = self.host.root.path().join("seed");
        for (name, text) in files {
            let path = seed.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        git(&seed, &["add", "."]).await;
        git(&seed, &["commit", "-q", "-m", "Change"]).await;
        git(&seed, &["push", "-q", "../acme/shop.git", "main"]).await;
        git(&seed, &["rev-parse", "HEAD"]).await
    }

    pub(crate) fn order(&self, image: &str) -> BuildImageRequest {
        BuildImageRequest {
            repository: sandbox_of(&self.host, 1).repository,
            image_id: ImageId::parse(image).unwrap(),
            settings: Recipe::default(),
            previous: None,
            timeout_ms: 120_000,
        }
    }

    /// Orders a build and waits for its end.
    async fn build(&self, name: &str, order: &BuildImageRequest) -> BuildOutcome {
        self.edge.change(|session| session.repository.log.clear());
        self.program.put::<Value>(&format!("/builds/bld_{name}"), order).await;
        self.end_of(name).await
    }

    async fn end_of(&self, name: &str) -> BuildOutcome {
        let id = format!("bld_{name}");
        let is_its = |session: &Session| session.repository.ended.iter().any(|(build, _)| *build == id);
        self.edge.until("the end of the build", is_its).await;
        let ended = self.edge.read(|session| session.repository.ended.clone());
        ended.into_iter().find(|(build, _)| *build == id).unwrap().1
    }

    pub(crate) async fn built(&self, name: &str, order: &BuildImageRequest) -> (ImageOrigin, Recipe) {
        let outcome = self.build(name, order).await;
        let BuildOutcome::Built { image_id, origin, recipe, size_bytes } = outcome else {
            panic!("{outcome:?}; {}", self.log())
        };
        assert_eq!(image_id, order.image_id);
        assert!(size_bytes > 0);
        (origin, recipe)
    }

    async fn failed(&self, name: &str, order: &BuildImageRequest) -> (String, String) {
        let outcome = self.build(name, order).await;
        let BuildOutcome::Failed { step, reason } = outcome else { panic!("{outcome:?}; {}", self.log()) };
        (step, reason)
    }

    pub(crate) fn log(&self) -> String {
        self.edge.read(|session| session.repository.log.clone())
    }

    async fn inventory(&self) -> Inventory {
        self.program.put("/inventory", &RepositoryRequest { repository: repository() }).await
    }

    async fn until_warm(&self, is_so: impl Fn(&WarmState) -> bool) {
        let is_there = |session: &Session| session.repository.warm.iter().any(|(_, state)| is_so(state));
        self.edge.until("the warm sandbox", is_there).await;
    }

    /// Waits until the sandboxes of builds are gone, also their processes.
    pub(crate) async fn until_nothing_runs(&self) {
        crate::support::soon("the end of all sandboxes", async {
            while !self.program.processes().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
}

const RECIPE: &str = r#"
setup = ["mkdir -p deps && echo installed > deps/lib", "echo home > ~/cache"]
build = ["cat README.md deps/lib > out.bin", "echo changed >> README.md"]
warm = ["echo this fails >&2; exit 3"]
"#;

#[tokio::test]
async fn an_image_is_built_and_a_warm_sandbox_starts_where_it_ended() {
    let Some(mut scene) = Scene::start("image").await else { return };
    let commit = scene.commit(&[(".farhand/recipe.toml", RECIPE), (".gitignore", "deps/\n")]).await;
    let order = scene.order("img_one");
    let (origin, recipe) = scene.built("one", &order).await;
    assert_eq!(origin.commit, commit);
    assert_eq!(recipe.build.as_ref().unwrap().len(), 2);
    let log = scene.log();
    for part in ["cloning acme/shop", "this fails", "exit code 3", "kept out of commits: out.bin", "saved as"]
    {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert_eq!(scene.inventory().await.images, vec![order.image_id.clone()]);
    scene.until_nothing_runs().await;

    // The same again is nothing to do, with and without a look into the repository.
    let again = BuildImageRequest { previous: Some(origin.clone()), ..scene.order("img_two") };
    assert_eq!(scene.build("two", &again).await, BuildOutcome::Unchanged);
    let settings = Recipe { warm: recipe.warm.clone(), ..Recipe::default() };
    let same = BuildImageRequest { settings, ..again.clone() };
    assert_eq!(scene.build("three", &same).await, BuildOutcome::Unchanged);
    // An order that is repeated tells the end again.
    scene.edge.change(|session| session.repository.ended.clear());
    scene.program.put::<Value>("/builds/bld_one", &order).await;
    assert!(matches!(scene.end_of("one").await, BuildOutcome::Built { .. }));

    let newer = scene.commit(&[("NEW.md", "new\n")]).await;
    let sandbox = format!("/sandboxes/{}", scene.program.sandbox_id);
    let warm = warm_order(order.repository.clone(), "img_one");
    scene.program.put::<Value>(&format!("{sandbox}/warm"), &warm).await;
    scene.until_warm(|state| matches!(state, WarmState::Ready { .. })).await;
    scene.until_warm(|state| *state == WarmState::Synced { commit: newer.clone() }).await;
    assert_eq!(scene.inventory().await.warm, [scene.program.sandbox_id.clone()]);

    // A bridge that dies finds it again, and whose it is.
    scene.program.kill().await;
    scene.program.start().await;
    let claimed = Instant::now();
    scene.program.put::<Value>(&format!("{sandbox}/claimed"), &claim_by("1", 1)).await;
    scene.edge.until("ready", is_ready).await;
    println!("claim → ready: {:?}", claimed.elapsed());
    scene.program.kill().await;
    scene.program.start().await;
    scene.program.put::<Value>(&format!("{sandbox}/claimed"), &claim_by("1", 1)).await;
    let other = scene.program.ask(&format!("{sandbox}/claimed"), &claim_by("2", 1)).await.unwrap();
    assert_eq!(other.status(), 409);
    assert_eq!(scene.inventory().await.warm, []);

    let prompt = "run echo \"$(cat NEW.md out.bin deps/lib ~/cache)\"\nwrite a.txt a";
    let command = CommandRequest { generation: 1, command: turn("1", prompt) };
    scene.program.put::<Value>(&format!("{sandbox}/commands/cmd_1"), &command).await;
    scene.edge.until("the end of the turn", is_over).await;
    let events = scene.edge.read(|session| session.stored.clone());
    assert!(matches!(events[0].event, RunnerEvent::Ready { .. }), "{:?}", events[0]);
    let text = serde_json::to_string(&events).unwrap();
    assert!(text.contains(r"new\nshop\ninstalled\ninstalled\nhome\n"), "{text}");
    let repository = scene.host.repository();
    let changed = git(&repository, &["diff", "--name-only", "main", "farhand/one"]).await;
    assert_eq!(changed, "a.txt", "what the build left is in no commit");
    assert_eq!(git(&repository, &["rev-parse", "farhand/one~1"]).await, newer);
    scene
        .program
        .put::<Value>(&format!("{sandbox}/terminated"), &TerminateRequest { generation: 1, session_id: None })
        .await;
    scene.until_nothing_runs().await;
    scene.program.kill().await;
}

#[tokio::test]
async fn a_session_starts_from_the_image_and_a_deleted_one_is_gone() {
    let Some(mut scene) = Scene::start("fromimage").await else { return };
    let settings = Recipe { setup: Some(vec!["echo built > built.txt".to_owned()]), ..Recipe::default() };
    let order = BuildImageRequest { settings, ..scene.order("img_one") };
    scene.built("one", &order).await;
    let newer = scene.commit(&[("NEW.md", "new\n")]).await;
    let source = SandboxSource::Image { image_id: order.image_id.clone() };
    let sandbox = format!("/sandboxes/{}", scene.program.sandbox_id);
    let create = CreateSandboxRequest { source, ..sandbox_of(&scene.host, 1) };
    scene.program.put::<Value>(&sandbox, &create).await;
    scene.edge.until("ready", is_ready).await;
    let command = CommandRequest {
        generation: 1,
        command: turn("1", "run echo \"$(cat built.txt NEW.md; git rev-parse HEAD)\""),
    };
    scene.program.put::<Value>(&format!("{sandbox}/commands/cmd_1"), &command).await;
    scene.edge.until("the end of the turn", is_over).await;
    let text = serde_json::to_string(&scene.edge.read(|session| session.stored.clone())).unwrap();
    assert!(text.contains(&format!(r"built\nnew\n{newer}\n")), "{text}");
    scene
        .program
        .put::<Value>(&format!("{sandbox}/terminated"), &TerminateRequest { generation: 1, session_id: None })
        .await;

    let body = RepositoryRequest { repository: repository() };
    for _ in 0..2 {
        scene.program.put::<Value>("/images/img_one/deleted", &body).await;
    }
    assert_eq!(scene.inventory().await.images, []);
    let late = format!("/sandboxes/{}", sandbox_id(&format!("late{}", std::process::id())));
    let refused = scene.program.ask(&late, &CreateSandboxRequest { generation: 2, ..create }).await.unwrap();
    assert_eq!(refused.status(), 404);
    let warm = warm_order(order.repository.clone(), "img_other");
    let refused = scene.program.ask(&format!("{late}/warm"), &warm).await.unwrap();
    assert_eq!(refused.status(), 404, "{}", refused.text().await.unwrap());
    scene.until_nothing_runs().await;
    scene.program.kill().await;
}

#[tokio::test]
async fn what_goes_wrong_is_told_with_its_remedy() {
    let Some(mut scene) = Scene::start("failing").await else { return };
    let with = |change: &dyn Fn(&mut Recipe)| {
        let mut settings = Recipe { setup: Some(Vec::new()), build: Some(Vec::new()), ..Recipe::default() };
        change(&mut settings);
        BuildImageRequest { settings, ..scene.order("img_bad") }
    };
    let list = |text: &str| Some(vec![text.to_owned()]);
    let cases: Vec<(BuildImageRequest, &str, &[&str])> = vec![
        (
            with(&|r| r.base_image = Some("nixos:1".into())),
            "starting a sandbox",
            &["nixos:1", "--base-image"],
        ),
        (with(&|r| r.tools = list("jdk-21")), "starting a sandbox", &["jdk-21", "--tool jdk-21:HOST=INSIDE"]),
        (
            with(&|r| r.secrets = list("NPM_TOKEN")),
            "reading the recipe",
            &["NPM_TOKEN", "FARHAND_REPOSITORY_POLICY"],
        ),
        (
            with(&|r| r.allowed_hosts = list("npm.example")),
            "reading the recipe",
            &["npm.example", "allow_hosts"],
        ),
        (with(&|r| r.build = list("echo why >&2; exit 4")), "echo why >&2; exit 4", &["exit code 4", "why"]),
        (
            with(&|r| r.setup = list("no-such-tool --now")),
            "no-such-tool --now",
            &["127", "was not found", "base_image"],
        ),
        (with(&|r| r.build = list("kill -9 $$")), "kill -9 $$", &["memory", "limits.memory_mib"]),
    ];
    for (number, (order, step, parts)) in cases.iter().enumerate() {
        let (at, reason) = scene.failed(&format!("bad{number}"), order).await;
        assert_eq!(at, *step, "{reason}");
        assert!(parts.iter().all(|part| reason.contains(part)), "{parts:?}: {reason}");
    }
    let mut order = with(&|r| r.build = list("sleep 1000"));
    order.timeout_ms = 4_000;
    let (_, reason) = scene.failed("slow", &order).await;
    assert!(reason.contains("longer than its 4 s"), "{reason}");
    order.timeout_ms = 120_000;
    order.repository.default_branch = "trunk".to_owned();
    let (step, reason) = scene.failed("branch", &order).await;
    assert!(step.contains("newest commit") && reason.contains("no branch trunk"), "{step}: {reason}");
    scene.commit(&[(".farhand/recipe.toml", "setup = []\nbulid = []\n")]).await;
    let order = scene.order("img_bad");
    let (_, reason) = scene.failed("parse", &order).await;
    assert!(reason.contains("recipe.toml is not a recipe: line 2") && reason.contains("bulid"), "{reason}");
    assert_eq!(scene.inventory().await.images, []);
    scene.until_nothing_runs().await;
    scene.program.kill().await;
}

#[tokio::test]
async fn a_build_that_is_cancelled_or_cut_leaves_nothing_and_can_be_ordered_again() {
    let Some(mut scene) = Scene::start("cut").await else { return };
    let body = RepositoryRequest { repository: repository() };
    let flag = "[ -e ~/.. ] && echo began; sleep 1000";
    let settings = Recipe { setup: Some(vec![flag.to_owned()]), ..Recipe::default() };
    let order = BuildImageRequest { settings, ..scene.order("img_cut") };
    let began = |session: &Session| session.repository.log.contains("\nbegan\n");

    scene.program.put::<Value>("/builds/bld_cancelled", &order).await;
    scene.edge.until("the command", began).await;
    assert_eq!(scene.inventory().await.builds, [BuildId::parse("bld_cancelled").unwrap()]);
    scene.program.put::<Value>("/builds/bld_cancelled/cancelled", &body).await;
    let outcome = scene.end_of("cancelled").await;
    assert!(
        matches!(&outcome, BuildOutcome::Failed { reason, .. } if reason.contains("cancelled")),
        "{outcome:?}"
    );
    scene.until_nothing_runs().await;
    assert_eq!(scene.inventory().await.builds, []);

    scene.edge.change(|session| session.repository.log.clear());
    scene.program.put::<Value>("/builds/bld_cut", &order).await;
    scene.edge.until("the command", began).await;
    scene.program.kill().await;
    assert!(!scene.program.processes().is_empty());
    scene.program.start().await;
    scene.until_nothing_runs().await;
    assert_eq!(scene.inventory().await.builds, []);
    scene.edge.change(|session| session.repository.log.clear());
    let quick = Recipe { setup: Some(vec!["echo again".to_owned()]), ..Recipe::default() };
    scene.built("cut", &BuildImageRequest { settings: quick, ..order }).await;
    // Whoever did not hear of it asks the next bridge, which finds the image.
    scene.program.kill().await;
    scene.program.start().await;
    scene.edge.change(|session| {
        session.repository.ended.clear();
        session.repository.log.clear();
    });
    let unheard = scene.order("img_cut");
    scene.built("cut", &unheard).await;
    assert!(scene.log().contains("is there already"), "{}", scene.log());
    scene.until_nothing_runs().await;
    scene.program.kill().await;
}

#[tokio::test]
async fn a_development_server_is_started_once_until_it_answers() {
    let Some(mut scene) = Scene::start("server").await else { return };
    let start = "echo cache > cache.txt; exec python3 -m http.server 8123 --bind 127.0.0.1";
    let settings = Recipe { setup: Some(Vec::new()), start: Some(start.to_owned()), ..Recipe::default() };
    scene.built("server", &BuildImageRequest { settings, ..scene.order("img_server") }).await;
    let log = scene.log();
    assert!(log.contains("it answers at port 8123"), "{log}");
    scene.until_nothing_runs().await;
    scene.program.kill().await;
}
