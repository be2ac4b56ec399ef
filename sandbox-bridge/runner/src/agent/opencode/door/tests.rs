//! The door is asked over HTTP, as the plugin asks.

use super::*;
use crate::gate::GateKeeper;
use protocol::id::SandboxId;

fn environment(home: &Path) -> Environment {
    Environment {
        bridge_url: "http://127.0.0.1:3128".into(),
        token: "token".into(),
        sandbox_id: SandboxId::parse("sbx_1").unwrap(),
        generation: 1,
        spool: home.join("spool"),
        workspace: home.join("workspace"),
        code_host: None,
        opencode: None,
        home: home.into(),
    }
}

async fn ask(door: &Door, path: &str) -> (u16, String) {
    let url = format!("{}{path}", door.plugin[1]["door"].as_str().unwrap());
    let answer = reqwest_plain::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_call_waits_until_the_workspace_is_settled() {
    let home = tempfile::tempdir().unwrap();
    let door = Door::build(&environment(home.path())).await.unwrap();
    let (keeper, edits) = GateKeeper::closed();
    let _holding = door.hold(edits, CancellationToken::new());
    let ((status, _), ()) = tokio::join!(ask(&door, "/pass"), async {
        assert_eq!(ask(&door, "/attended").await.0, 200);
        keeper.settle(Ok("abc".to_owned()));
    });
    assert_eq!(status, 200);
    assert!(door.is_attended());
    door.forget();
    assert!(!door.is_attended());
}

#[tokio::test]
async fn a_workspace_that_cannot_be_settled_refuses_and_says_why() {
    let home = tempfile::tempdir().unwrap();
    let door = Door::build(&environment(home.path())).await.unwrap();
    let (keeper, edits) = GateKeeper::closed();
    let _holding = door.hold(edits, CancellationToken::new());
    let (answer, ()) =
        tokio::join!(ask(&door, "/pass"), async { keeper.settle(Err("no network".to_owned())) });
    assert_eq!(answer, (403, "Nothing can be changed here: no network".to_owned()));
}

#[tokio::test]
async fn what_waits_in_a_stopped_turn_is_never_let_through() {
    let home = tempfile::tempdir().unwrap();
    let door = Door::build(&environment(home.path())).await.unwrap();
    let (keeper, edits) = GateKeeper::closed();
    let stop = CancellationToken::new();
    let holding = door.hold(edits.clone(), stop.clone());
    let ((status, _), ()) = tokio::join!(ask(&door, "/pass"), async { stop.cancel() });
    assert_eq!(status, 403);
    drop(holding);
    // Neither is what comes after the turn.
    drop(door.hold(edits, CancellationToken::new()));
    keeper.settle(Ok("abc".to_owned()));
    assert_eq!(ask(&door, "/pass").await.0, 403);
}

#[tokio::test]
async fn a_folder_with_packages_of_its_own_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".opencode");
    std::fs::create_dir_all(&folder).unwrap();
    let lock = r#"{"packages":{"":{"dependencies":{"zod":"4"}}}}"#;
    std::fs::write(folder.join("package-lock.json"), lock).unwrap();
    let error = Door::build(&environment(home.path())).await.err().unwrap();
    assert!(error.to_string().contains("packages of its own"), "{error}");
    assert_eq!(std::fs::read_to_string(folder.join("package-lock.json")).unwrap(), lock);
}
