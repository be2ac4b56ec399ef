//! `sandbox-bridge snapshot` beside a bridge that runs: what was exported and imported is restored like any other snapshot.

use crate::support::{Bench, TOKEN, from_snapshot, launcher, new_snapshot_id, request};
use protocol::id::SnapshotId;
use sandbox_bridge::provider::SandboxProvider;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn snapshot(state: &Path, arguments: &[&str]) -> Output {
    Command::new(launcher()).arg("snapshot").args(arguments).arg("--state").arg(state).output().unwrap()
}

fn answer(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_moves_to_another_session_through_an_archive() {
    let Some(bench) = Bench::start() else { return };
    let first = bench.create(&request()).await;
    bench
        .desk
        .ok(
            &first,
            "mkdir d; echo 1 > d/one; ln d/one two; ln -s d link; echo memory > ~/memory; chmod 700 d",
        )
        .await;
    let base = new_snapshot_id();
    bench.provider.snapshot(&first, &base).await.unwrap();
    bench.provider.terminate(&first).await.unwrap();
    let second = bench.create(&from_snapshot(&base)).await;
    bench.desk.ok(&second, "rm d/one; echo 3 > three").await;
    let newer = new_snapshot_id();
    bench.provider.snapshot(&second, &newer).await.unwrap();

    let file = bench.place.path().join("snapshot.tar.zst");
    let path = file.to_str().unwrap();
    let exported = answer(&snapshot(&bench.state(), &["export", newer.as_str(), path]));
    let archive = fs::read(&file).unwrap();
    let plain = zstd::decode_all(archive.as_slice()).unwrap();
    assert!(!plain.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes()));

    let imported = answer(&snapshot(&bench.state(), &["import", path, "--session", "ses_other"]));
    assert_eq!(imported["entries"], exported["entries"]);
    let id = SnapshotId::parse(imported["snapshot_id"].as_str().unwrap()).unwrap();
    let mut order = from_snapshot(&id);
    order.session_id = protocol::id::SessionId::parse("ses_other").unwrap();
    let restored = bench.create(&order).await;
    let seen =
        bench.desk.ok(&restored, "ls; cat two three ~/memory link/one; stat -c %a d; touch d/new").await;
    assert_eq!(seen.lines().next(), Some("d"));
    let refused = bench.desk.run(&restored, "cat link/one").await;
    assert_ne!(refused.code, 0, "what was removed did not come along");
    bench.provider.delete_snapshot(&id, &order.session_id).await.unwrap();
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_exported_or_imported_is_said_and_leaves_nothing() {
    let Some(bench) = Bench::start() else { return };
    let file = bench.place.path().join("archive");
    let path = file.to_str().unwrap();
    let said = |output: Output| {
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let missing = said(snapshot(&bench.state(), &["export", "snp_unknown", path]));
    assert!(missing.contains("snp_unknown is not on this machine"), "{missing}");
    assert!(!file.exists());
    fs::write(&file, "no archive").unwrap();
    let refused = said(snapshot(&bench.state(), &["import", path, "--session", "ses_x"]));
    assert!(refused.contains("the archive was refused"), "{refused}");
    let wrong = said(snapshot(bench.place.path(), &["import", path, "--session", "ses_x"]));
    assert!(wrong.contains("is no state folder"), "{wrong}");
    assert_eq!(fs::read_dir(bench.state().join("layers")).unwrap().count(), 1);
    let beside: Vec<_> =
        fs::read_dir(bench.place.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(beside.len(), 2, "{beside:?}");
    bench.finish().await;
}
