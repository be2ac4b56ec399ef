//! Snapshots of real sandboxes: by layers and by copies, damaged ones, and sandboxes that go on while and after they are saved.

use crate::support::{Bench, from_snapshot, new_sandbox_id, new_snapshot_id, of, request, secrets, until};
use protocol::id::SnapshotId;
use sandbox_bridge::provider::local::SnapshotDriver;
use sandbox_bridge::provider::{ProviderError, SandboxProvider};
use std::fs;
use std::path::PathBuf;

const DRIVERS: [SnapshotDriver; 2] = [SnapshotDriver::Overlay, SnapshotDriver::Copy];

fn bench(driver: SnapshotDriver) -> Option<Bench> {
    Bench::start_with(|config| config.snapshot_driver = Some(driver))
}

fn layer(bench: &Bench, id: &SnapshotId) -> PathBuf {
    bench.state().join("layers").join(id.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_drivers_bring_back_the_same() {
    let mut seen = Vec::new();
    for driver in DRIVERS {
        let Some(bench) = bench(driver) else { return };
        let first = bench.create(&request()).await;
        bench
            .desk
            .ok(
                &first,
                "mkdir -p a/b gone replaced; echo 1 > a/one; ln a/one a/b/same; ln -s /etc/passwd a/link; echo x > replaced/file;
                 echo memory > ~/memory; truncate -s 1G sparse; printf end >> sparse; touch -d @1000000000 a/one; chmod 700 a/b;
                 mkfifo pipe; echo below > hidden; : > 'name with
newline'; echo closed > closed; chmod 000 closed",
            )
            .await;
        let (one, two) = (new_snapshot_id(), new_snapshot_id());
        bench.provider.snapshot(&first, &one).await.unwrap();
        bench.provider.terminate(&first).await.unwrap();
        let second = bench.create(&from_snapshot(&one)).await;
        bench
            .desk
            .ok(
                &second,
                "rm -rf gone; rm -r replaced; mkdir replaced; echo new > replaced/other; rm hidden;
                 python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"hidden\")'; mv a moved; echo more >> ~/memory",
            )
            .await;
        bench.provider.snapshot(&second, &two).await.unwrap();
        bench.provider.terminate(&second).await.unwrap();
        let third = bench.create(&from_snapshot(&two)).await;
        let listing =
            "cd /; find workspace home/agent -not -type d -printf '%p %y %m %s %T@ %l\\n' | sort; cat home/agent/memory;
             find workspace -type d -printf '%p %m\\n' | sort; test $(stat -c %b workspace/sparse) -lt 100; cat workspace/replaced/*";
        seen.push(bench.desk.ok(&third, listing).await);
        let size = bench.provider.snapshot(&third, &new_snapshot_id()).await.unwrap().size_bytes;
        assert!(size < 100_000, "{driver:?} wrote the hole out: {size}");
        bench.finish().await;
    }
    // Times of what was made anew differ; everything else is the same.
    let without_times = |text: &String| -> Vec<String> {
        text.lines()
            .map(|line| {
                line.split(' ').filter(|word| !word.starts_with("17") || !word.contains('.')).collect()
            })
            .collect()
    };
    assert_eq!(without_times(&seen[0]), without_times(&seen[1]), "{}\n{}", seen[0], seen[1]);
    assert!(seen[0].contains("workspace/moved/one f 644 2 1000000000.0000000000"), "{}", seen[0]);
    assert!(!seen[0].contains("hidden") && !seen[0].contains("gone"), "{}", seen[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_driver_keeps_the_snapshots() {
    let Some(mut now) = bench(SnapshotDriver::Overlay) else { return };
    let mut order = request();
    for (round, driver) in
        [SnapshotDriver::Copy, SnapshotDriver::Overlay, SnapshotDriver::Copy].into_iter().enumerate()
    {
        let id = now.create(&order).await;
        now.desk.ok(&id, &format!("echo {round} > file-{round}; rm -f file-{}", round + 8)).await;
        let snapshot = new_snapshot_id();
        now.provider.snapshot(&id, &snapshot).await.unwrap();
        now.provider.terminate(&id).await.unwrap();
        order = from_snapshot(&snapshot);
        now = now.restart_with(|config| config.snapshot_driver = Some(driver)).await;
    }
    let last = now.create(&order).await;
    assert_eq!(now.desk.ok(&last, "cat *").await, "0\n1\n2\n");
    now.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_snapshot_of_a_running_sandbox_stands_on_what_the_sandbox_stands_on() {
    let Some(bench) = Bench::start() else { return };
    let session = request().session_id;
    let sandbox = bench.create(&request()).await;
    let mut previous: Option<SnapshotId> = None;
    for round in 0..4 {
        bench.desk.ok(&sandbox, &format!("echo {round} > same; echo {round} > file-{round}")).await;
        let snapshot = new_snapshot_id();
        bench.provider.snapshot(&sandbox, &snapshot).await.unwrap();
        if let Some(previous) = previous.replace(snapshot) {
            bench.provider.delete_snapshot(&previous, &session).await.unwrap();
            assert!(!layer(&bench, &previous).exists(), "nothing stands on the one before");
        }
    }
    let restored = bench.create(&from_snapshot(&previous.unwrap())).await;
    assert_eq!(bench.desk.ok(&restored, "cat same file-*").await, "3\n0\n1\n2\n3\n");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_lost_something_is_refused_and_says_what() {
    let Some(bench) = Bench::start() else { return };
    let mut order = request();
    let mut snapshots = Vec::new();
    for name in ["a", "b"] {
        let id = bench.create(&order).await;
        bench.desk.ok(&id, &format!("mkdir {name}; echo {name} > {name}/file")).await;
        let snapshot = new_snapshot_id();
        bench.provider.snapshot(&id, &snapshot).await.unwrap();
        bench.provider.terminate(&id).await.unwrap();
        order = from_snapshot(&snapshot);
        snapshots.push(snapshot);
    }
    let (lower, upper) = (layer(&bench, &snapshots[0]), layer(&bench, &snapshots[1]));
    let aside = bench.place.path().join("aside");
    let refusal = async || match bench.provider.create(&new_sandbox_id(), &of(&order), &secrets()).await {
        Err(ProviderError::SnapshotUnusable(why)) => why,
        other => panic!("{other:?}"),
    };

    fs::rename(&lower, &aside).unwrap();
    assert!(refusal().await.contains("which it stands on, is missing"));
    copy_tree(&upper, &lower);
    assert!(refusal().await.contains("does not have the digest"));
    fs::remove_dir_all(&lower).unwrap();
    fs::rename(&aside, &lower).unwrap();

    for (tree, file) in [(&lower, "fs/workspace/a/file"), (&upper, "fs/workspace/b/file")] {
        fs::rename(tree.join(file), &aside).unwrap();
        assert!(refusal().await.contains("not those that were saved"), "{file}");
        fs::write(tree.join(file), "longer than before").unwrap();
        assert!(refusal().await.contains("not those that were saved"), "{file}");
        fs::remove_file(tree.join(file)).unwrap();
        fs::rename(&aside, tree.join(file)).unwrap();
    }
    fs::rename(upper.join("fs"), &aside).unwrap();
    assert!(refusal().await.contains("are missing"));
    fs::rename(&aside, upper.join("fs")).unwrap();

    let whole = bench.create(&order).await;
    assert_eq!(bench.desk.ok(&whole, "cat */file").await, "a\nb\n");
    bench.finish().await;
}

fn copy_tree(from: &std::path::Path, to: &std::path::Path) {
    let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_fails_leaves_the_sandbox_running_and_nothing_behind() {
    for driver in DRIVERS {
        let started = Bench::start_with(|config| {
            config.snapshot_driver = Some(driver);
            config.watch_disk = false;
        });
        let Some(bench) = started else { return };
        let mut order = request();
        order.limits.disk_mib = 4;
        let id = bench.create(&order).await;
        bench
            .desk
            .ok(&id, "head -c 3M /dev/urandom > a; head -c 3M /dev/urandom > b; (while :; do date +%s%N > ~/tick; done) & true")
            .await;
        let refused = bench.provider.snapshot(&id, &new_snapshot_id()).await.unwrap_err();
        assert!(refused.to_string().contains("more than 4 MiB of changed files"), "{refused}");
        let ticked = bench.desk.ok(&id, "cat ~/tick; rm b").await;
        until("the sandbox goes on", || {
            let upper = bench.state().join("sandboxes").join(id.as_str()).join("upper/home/tick");
            fs::read_to_string(upper).is_ok_and(|tick| !tick.is_empty() && tick != ticked)
        })
        .await;
        let layers = bench.state().join("layers");
        assert_eq!(fs::read_dir(&layers).unwrap().count(), 1, "{driver:?}");
        bench.provider.snapshot(&id, &new_snapshot_id()).await.unwrap();
        bench.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_swaps_links_saves_nothing_of_the_host() {
    let Some(bench) = Bench::start() else { return };
    let outside = bench.place.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("canary"), "outside of every sandbox").unwrap();
    let id = bench.create(&request()).await;
    let target = outside.display();
    bench
        .desk
        .ok(
            &id,
            &format!(
                "mkdir d; echo inside > d/canary; (while :; do mv d e; ln -s {target} d; rm d; mv e d; done) > /dev/null 2>&1 &
                 (while :; do echo inside > f; ln -sf {target}/canary f; rm -f f; done) > /dev/null 2>&1 & true"
            ),
        )
        .await;
    for _ in 0..20 {
        let snapshot = new_snapshot_id();
        bench.provider.snapshot(&id, &snapshot).await.unwrap();
        let found = std::process::Command::new("grep")
            .args(["-rqs", "outside of every"])
            .arg(layer(&bench, &snapshot).join("fs"))
            .status()
            .unwrap();
        assert_eq!(found.code(), Some(1));
        bench.provider.delete_snapshot(&snapshot, &request().session_id).await.unwrap();
    }
    assert_eq!(fs::read_to_string(outside.join("canary")).unwrap(), "outside of every sandbox");
    bench.finish().await;
}
