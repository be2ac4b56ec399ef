//! A local sandbox from its order to its last file: create, save, restore, end.

use crate::support::{
    Bench, TOKEN, from_snapshot, new_sandbox_id, new_snapshot_id, of, processes_with, request, secrets, until,
};
use protocol::bridge::CreateSandboxRequest;
use protocol::id::{SessionId, SnapshotId};
use protocol::timeline::Isolation;
use sandbox_bridge::provider::{ProviderError, SandboxProvider};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_runs_as_an_ordinary_account_and_reaches_the_bridge() {
    let Some(bench) = Bench::start() else { return };
    assert_eq!(bench.provider.capabilities().isolation, Isolation::Namespaces);
    let id = bench.create(&request()).await;
    assert_eq!(bench.desk.ok(&id, "id -un; pwd; hostname").await, "agent\n/workspace\nsandbox\n");
    assert_eq!(
        bench.desk.ok(&id, "echo $FARHAND_SANDBOX_TOKEN $FARHAND_GENERATION").await,
        format!("{TOKEN} 1\n")
    );
    bench.desk.ok(&id, "touch file ~/memory; test -w /tmp").await;
    let upper = bench.state().join("sandboxes").join(id.as_str()).join("upper");
    assert_ne!(fs::metadata(upper.join("workspace/file")).unwrap().uid(), 0);
    assert_eq!(fs::metadata(upper.join("home/memory")).unwrap().uid(), crate::support::account().uid);
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_order_again_finds_the_same_sandbox() {
    let Some(bench) = Bench::start() else { return };
    let (id, order) = (new_sandbox_id(), request());
    let secrets = secrets();
    let wanted = of(&order);
    let orders = (0..8).map(|_| bench.provider.create(&id, &wanted, &secrets));
    for record in futures::future::join_all(orders).await {
        assert_eq!(record.unwrap().sandbox_id, id);
    }
    assert_eq!(bench.provider.list().len(), 1);
    let marker = format!("FARHAND_SANDBOX_ID={id}");
    bench.desk.ok(&id, "true").await;
    let with_children = processes_with(&marker).len();
    assert!((1..=2).contains(&with_children), "there are {with_children} processes");

    let newer = CreateSandboxRequest { generation: 2, ..order.clone() };
    let refusal = bench.provider.create(&id, &of(&newer), &secrets).await.unwrap_err();
    assert!(
        matches!(&refusal, ProviderError::Rejected(why) if why.contains("has generation 1, not 2")),
        "{refusal}"
    );

    bench.provider.terminate(&id).await.unwrap();
    let refusal = bench.provider.create(&id, &of(&order), &secrets).await.unwrap_err();
    assert!(matches!(&refusal, ProviderError::Rejected(why) if why.contains("has ended")), "{refusal}");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_was_ended_before_its_order_came_stays_ended() {
    let Some(bench) = Bench::start() else { return };
    let id = new_sandbox_id();
    bench.provider.terminate(&id).await.unwrap();
    let refusal = bench.provider.create(&id, &of(&request()), &secrets()).await.unwrap_err();
    assert!(matches!(refusal, ProviderError::Rejected(_)), "{refusal}");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_brings_back_files_removals_and_replacements() {
    let Some(bench) = Bench::start() else { return };
    let first = bench.create(&request()).await;
    bench
        .desk
        .ok(
            &first,
            "mkdir -p tree/gone replaced; echo 1 > tree/a; echo 2 > tree/gone/b; echo 3 > replaced/c; ln -s a tree/link;
             echo memory > ~/memory; printf '#!/bin/sh\\necho run' > tree/tool; chmod 755 tree/tool; touch -d @1000000000 tree/a;
             chmod 000 replaced/c; mkfifo pipe; truncate -s 5G sparse; echo x > removed",
        )
        .await;
    let base = new_snapshot_id();
    let taken = bench.provider.snapshot(&first, &base).await.unwrap();
    assert!((1..100_000).contains(&taken.size_bytes), "{}", taken.size_bytes);
    assert_eq!(bench.provider.snapshot(&first, &base).await.unwrap(), taken);
    bench.desk.ok(&first, "echo later > tree/a").await;
    bench.provider.terminate(&first).await.unwrap();

    let second = bench.create(&from_snapshot(&base)).await;
    let seen = bench
        .desk
        .ok(&second, "cat tree/a tree/gone/b ~/memory; readlink tree/link; ./tree/tool; stat -c %Y tree/a")
        .await;
    assert_eq!(seen, "1\n2\nmemory\na\nrun\n1000000000\n");
    assert_eq!(
        bench.desk.ok(&second, "stat -c '%a %F' replaced/c pipe; stat -c %s sparse").await,
        "0 regular file\n644 fifo\n5368709120\n"
    );
    bench
        .desk
        .ok(
            &second,
            "rm -rf tree/gone removed; rm -rf replaced; mkdir replaced; echo new > replaced/d; mv tree moved",
        )
        .await;
    let changed = new_snapshot_id();
    bench.provider.snapshot(&second, &changed).await.unwrap();
    bench.provider.terminate(&second).await.unwrap();

    let third = bench.create(&from_snapshot(&changed)).await;
    let seen = bench
        .desk
        .ok(&third, "find . -not -name sparse -not -name pipe | sort; cat replaced/d moved/a")
        .await;
    assert_eq!(seen, ".\n./moved\n./moved/a\n./moved/link\n./moved/tool\n./replaced\n./replaced/d\nnew\n1\n");
    let untouched = bench.create(&from_snapshot(&base)).await;
    assert_eq!(bench.desk.ok(&untouched, "cat tree/gone/b removed").await, "2\nx\n");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_chain_of_snapshots_is_joined_and_still_right() {
    let Some(bench) = Bench::start() else { return };
    let mut order = request();
    let mut snapshots = Vec::new();
    for round in 0..36 {
        let id = bench.create(&order).await;
        bench.desk.ok(&id, &format!("echo {round} > file-{round}; rm -rf d; mkdir d; echo {round} > d/in-{round}; rm -f file-{}", round - 2)).await;
        let snapshot = new_snapshot_id();
        bench.provider.snapshot(&id, &snapshot).await.unwrap();
        bench.provider.terminate(&id).await.unwrap();
        order = from_snapshot(&snapshot);
        snapshots.push(snapshot);
    }
    let last = bench.create(&order).await;
    assert_eq!(bench.desk.ok(&last, "ls -d * d/*").await, "d\nd/in-35\nfile-34\nfile-35\n");
    bench.provider.terminate(&last).await.unwrap();
    for snapshot in &snapshots {
        bench.provider.delete_snapshot(snapshot, &order.session_id).await.unwrap();
    }
    // Joining goes on in the background, and finds then that there is nothing to join.
    until("only the base is left", || fs::read_dir(bench.state().join("layers")).unwrap().count() == 1).await;
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_whose_description_is_damaged_is_refused_for_good() {
    let Some(bench) = Bench::start() else { return };
    let sandbox = bench.create(&request()).await;
    let snapshot = new_snapshot_id();
    bench.provider.snapshot(&sandbox, &snapshot).await.unwrap();
    let meta = bench.state().join("layers").join(snapshot.as_str()).join("meta.json");
    let whole = fs::read_to_string(&meta).unwrap();
    let newer = whole.replace("\"format\":2", "\"format\":9");
    for damaged in ["", "{", &whole[..whole.len() / 2], &newer] {
        fs::write(&meta, damaged).unwrap();
        let refusal =
            bench.provider.create(&new_sandbox_id(), &of(&from_snapshot(&snapshot)), &secrets()).await;
        assert!(
            matches!(&refusal, Err(ProviderError::SnapshotUnusable(why)) if why.contains("damaged")),
            "{refusal:?}"
        );
    }
    fs::write(&meta, &whole).unwrap();
    bench.create(&from_snapshot(&snapshot)).await;
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_snapshot_stays_as_long_as_something_stands_on_it() {
    let Some(bench) = Bench::start() else { return };
    let first = bench.create(&request()).await;
    bench.desk.ok(&first, "echo 1 > a").await;
    let snapshot = new_snapshot_id();
    bench.provider.snapshot(&first, &snapshot).await.unwrap();
    bench.provider.terminate(&first).await.unwrap();
    let second = bench.create(&from_snapshot(&snapshot)).await;
    bench.provider.delete_snapshot(&snapshot, &request().session_id).await.unwrap();
    assert_eq!(bench.desk.ok(&second, "cat a").await, "1\n");
    let refusal = bench
        .provider
        .create(&new_sandbox_id(), &of(&from_snapshot(&snapshot)), &secrets())
        .await
        .unwrap_err();
    assert!(
        matches!(&refusal, ProviderError::SnapshotUnusable(why) if why.contains("is not on this machine")),
        "{refusal}"
    );
    let layer = bench.state().join("layers").join(snapshot.as_str());
    assert!(layer.exists());
    bench.provider.terminate(&second).await.unwrap();
    assert!(!layer.exists());
    bench.provider.delete_snapshot(&snapshot, &request().session_id).await.unwrap();
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_snapshot_leaves_those_that_stand_on_it_and_uses_its_id_up() {
    let Some(bench) = Bench::start() else { return };
    let session = request().session_id;
    let (mut order, mut snapshots) = (request(), Vec::new());
    for name in ["a", "b", "c"] {
        let id = bench.create(&order).await;
        bench.desk.ok(&id, &format!("echo {name} > {name}")).await;
        let snapshot = new_snapshot_id();
        bench.provider.snapshot(&id, &snapshot).await.unwrap();
        bench.provider.terminate(&id).await.unwrap();
        order = from_snapshot(&snapshot);
        snapshots.push(snapshot);
    }
    let layers = bench.state().join("layers");
    let there = |snapshot: &SnapshotId| layers.join(snapshot.as_str()).exists();
    for snapshot in &snapshots[..2] {
        for _ in 0..2 {
            bench.provider.delete_snapshot(snapshot, &session).await.unwrap();
        }
    }
    let last = bench.create(&order).await;
    assert_eq!(bench.desk.ok(&last, "cat a b c").await, "a\nb\nc\n");
    let late = bench.provider.snapshot(&last, &snapshots[1]).await.unwrap_err();
    assert!(matches!(&late, ProviderError::Rejected(why) if why.contains("was deleted")), "{late}");
    bench.provider.delete_snapshot(&snapshots[2], &session).await.unwrap();
    assert!(snapshots.iter().all(there), "the sandbox stands on all of them");
    assert_eq!(bench.desk.ok(&last, "cat a b c").await, "a\nb\nc\n");
    bench.provider.terminate(&last).await.unwrap();
    assert!(!snapshots.iter().any(there));

    let unknown = new_snapshot_id();
    bench.provider.delete_snapshot(&unknown, &session).await.unwrap();
    let next = bench.create(&request()).await;
    let refused = bench.provider.snapshot(&next, &unknown).await.unwrap_err();
    assert!(matches!(refused, ProviderError::Rejected(_)), "{refused}");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_session_cannot_have_the_snapshot() {
    let Some(bench) = Bench::start() else { return };
    let first = bench.create(&request()).await;
    let snapshot = new_snapshot_id();
    bench.provider.snapshot(&first, &snapshot).await.unwrap();
    let foreign = CreateSandboxRequest {
        session_id: SessionId::parse("ses_other").unwrap(),
        ..from_snapshot(&snapshot)
    };
    let refusal = bench.provider.create(&new_sandbox_id(), &of(&foreign), &secrets()).await.unwrap_err();
    assert!(
        matches!(&refusal, ProviderError::SnapshotUnusable(why) if why.contains("another session")),
        "{refusal}"
    );
    let refusal = bench.provider.delete_snapshot(&snapshot, &foreign.session_id).await.unwrap_err();
    assert!(matches!(&refusal, ProviderError::Rejected(why) if why.contains("another session")), "{refusal}");
    assert_eq!(bench.desk.ok(&bench.create(&from_snapshot(&snapshot)).await, "echo here").await, "here\n");
    let unknown = bench.provider.snapshot(&new_sandbox_id(), &new_snapshot_id()).await.unwrap_err();
    assert!(matches!(unknown, ProviderError::NotFound(_)), "{unknown}");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_sandbox_that_was_ended() {
    let Some(bench) = Bench::start() else { return };
    let id = bench.create(&request()).await;
    bench
        .desk
        .ok(
            &id,
            "trap '' TERM HUP; for i in 1 2 3; do setsid sh -c 'trap \"\" TERM HUP; sleep 1000' & done; nohup sleep 1000 >/dev/null &
             mkdir -p a/b; chmod 000 a",
        )
        .await;
    let marker = format!("FARHAND_SANDBOX_ID={id}");
    assert!(processes_with(&marker).len() >= 4);
    let began = Instant::now();
    bench.provider.terminate(&id).await.unwrap();
    println!("terminate took {:?}", began.elapsed());
    assert_eq!(processes_with(&marker), Vec::<i32>::new());
    assert!(!bench.state().join("sandboxes").join(id.as_str()).exists());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(id.as_str()));
    for group in ["memory", "cpu", "pids", "unified", ""] {
        let found = fs::read_dir(format!("/sys/fs/cgroup/{group}")).into_iter().flatten().flatten();
        for parent in found.filter(|entry| entry.file_name().to_string_lossy().starts_with("farhand-")) {
            assert!(!parent.path().join(id.as_str()).exists(), "{:?}", parent.path());
        }
    }
    bench.provider.terminate(&id).await.unwrap();
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_nobody_asked_for_is_reported_with_its_reason() {
    let Some(bench) = Bench::start() else { return };
    let mut exits = bench.provider.exits().unwrap();
    assert!(bench.provider.exits().is_none());
    let (dies, lives_shortly) = (bench.create(&request()).await, new_sandbox_id());
    let _ = bench.desk.run(&dies, "kill -9 $PPID; exit").await.code;
    drop(exits.try_recv());
    let mut short = request();
    short.limits.life_ms = 300;
    bench.provider.create(&lives_shortly, &of(&short), &secrets()).await.unwrap();
    let exit = tokio::time::timeout(crate::support::PATIENCE, exits.recv()).await.unwrap().unwrap();
    assert_eq!(exit.record.sandbox_id, lives_shortly);
    assert!(exit.reason.contains("end of its life"), "{}", exit.reason);
    until("it is gone", || bench.provider.list().iter().all(|record| record.sandbox_id != lives_shortly))
        .await;
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_at_once_come_up_quickly() {
    let Some(bench) = Bench::start() else { return };
    let mut single = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        let id = bench.create(&request()).await;
        let created = began.elapsed();
        until("it has called", || bench.desk.calls(&id) > 0).await;
        single.push((created, began.elapsed()));
        bench.provider.terminate(&id).await.unwrap();
    }
    single.sort();
    println!("create, and first byte over the socket: {:?}", single[2]);
    let began = Instant::now();
    let order = request();
    let made = futures::future::join_all((0..20).map(|_| bench.create(&order))).await;
    println!("20 at once created after {:?}", began.elapsed());
    for id in &made {
        until("it has called", || bench.desk.calls(id) > 0).await;
    }
    println!("20 at once called after {:?}", began.elapsed());
    assert_eq!(bench.provider.list().len(), 20);
    let began = Instant::now();
    futures::future::join_all(made.iter().map(|id| bench.provider.terminate(id))).await;
    println!("20 at once ended after {:?}", began.elapsed());
    assert_eq!(bench.provider.list(), []);
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_costs_what_was_changed() {
    let Some(bench) = Bench::start() else { return };
    let first = bench.create(&request()).await;
    let fill = "for d in $(seq 40); do mkdir $d; for f in $(seq 40); do head -c 2000 /dev/zero | tr '\\0' a > $d/$f; done; done";
    bench.desk.ok(&first, fill).await;
    let base = new_snapshot_id();
    let began = Instant::now();
    assert_eq!(bench.provider.snapshot(&first, &base).await.unwrap().size_bytes, 40 * 40 * 2000);
    println!("saved 1,600 new files in {:?}", began.elapsed());
    bench.provider.terminate(&first).await.unwrap();

    let began = Instant::now();
    let second = bench.create(&from_snapshot(&base)).await;
    println!("restored them in {:?}", began.elapsed());
    bench.desk.ok(&second, "for f in $(seq 25); do echo change > 7/$f; done; cat */* > /dev/null").await;
    let began = Instant::now();
    assert_eq!(bench.provider.snapshot(&second, &new_snapshot_id()).await.unwrap().size_bytes, 25 * 7);
    println!("saved 25 changed files in {:?}", began.elapsed());
    bench.finish().await;
}
