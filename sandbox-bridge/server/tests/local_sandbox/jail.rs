//! What an agent must not be able to do: the probe tries it all inside, and its report must be empty.

use crate::egress;
use crate::support::{Bench, Desk, Place, TOKEN, request};
use protocol::id::SandboxId;
use sandbox_bridge::provider::SandboxProvider;
use sandbox_bridge::provider::local::{DEFAULT_BLOCKED, LocalConfig, ToolMount};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Where the probe is inside.
pub(crate) const PROBE: &str = "/opt/probe/jail-probe";

/// Rows of the probe that ask the proxy for a place that it must not reach.
const PROXY_ROWS_MIN: u64 = 100;

/// The probe's static build, where somebody has made it.
pub(crate) fn probe() -> Option<PathBuf> {
    let named = std::env::var_os("TEST_JAIL_PROBE").map(PathBuf::from);
    let built = || {
        let target = crate::support::launcher().parent()?.parent()?.to_owned();
        let builds = ["debug", "release", "native"].into_iter();
        let places =
            builds.map(|build| target.join("x86_64-unknown-linux-musl").join(build).join("jail-probe"));
        places
            .filter(|path| path.exists())
            .max_by_key(|path| fs::metadata(path).and_then(|data| data.modified()).ok())
    };
    let found = named.or_else(built);
    if found.is_none() {
        println!(
            "skipped: build it with cargo build -p jail-probe --target x86_64-unknown-linux-musl, or name it in TEST_JAIL_PROBE"
        );
    }
    found
}

/// A provider whose sandboxes have the probe.
pub(crate) fn start_with_probe(change: impl FnOnce(&mut LocalConfig)) -> Option<Bench> {
    let probe = probe()?;
    Bench::start_with(|config| {
        config.tool_mounts.push(ToolMount { name: None, host: probe, inside: PathBuf::from(PROBE) });
        change(config);
    })
}

/// What of the host the probe is to look for. Ends with its process.
struct Host {
    facts: Value,
    listener: TcpListener,
    second: Option<TcpListener>,
    _sockets: [UnixListener; 2],
    process: Child,
    _place: tempfile::TempDir,
}

impl Host {
    /// Everything that could be met by mistake: a file, a folder, sockets, and a process of the sandboxes' own account.
    async fn prepare(desk: &Desk, home: &Place, own: &SandboxId, other: &SandboxId) -> Self {
        let canaries = ["file", "environment", "workspace", "state"]
            .map(|kind| format!("canary-{kind}-{}", std::process::id()));
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("secret"), &canaries[0]).unwrap();
        let state = home.path().join("state");
        fs::write(state.join("bridge.sqlite"), &canaries[3]).unwrap();
        desk.ok(other, &format!("echo {} > secret", canaries[2])).await;
        let name = format!("farhand-probe-{}", place.path().display());
        let abstract_socket =
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let path = place.path().join("host.sock");
        let socket = UnixListener::bind(&path).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let account = crate::support::account();
        let mut process = Command::new("/bin/sleep");
        process.arg("600").env("SECRET", &canaries[1]).stdin(Stdio::null());
        if nix::unistd::Uid::effective().is_root() {
            process.uid(account.uid).gid(account.gid);
        }
        let process = process.spawn().unwrap();
        let paths = [
            place.path().join("secret"),
            state.clone(),
            home.path().to_owned(),
            std::env::current_exe().unwrap(),
        ];
        let facts = json!({
            "canaries": canaries,
            "host_paths": paths.map(|path| path.to_string_lossy().into_owned()),
            "host_pid": process.id(),
            "host_port": port,
            "host_abstract_socket": name,
            "host_socket": path.to_string_lossy(),
            "sandbox_id": own.as_str(),
        });
        listener.set_nonblocking(true).unwrap();
        let second = TcpListener::bind(("::1", port)).ok();
        Self { facts, listener, second, _sockets: [abstract_socket, socket], process, _place: place }
    }

    /// As the probe takes it: no canary is readable in it.
    fn told(&self) -> String {
        self.facts.to_string().bytes().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether anybody has come through, by whatever way.
    fn was_reached(&self) -> bool {
        let second = self.second.as_ref().is_some_and(|listener| {
            listener.set_nonblocking(true).unwrap();
            listener.accept().is_ok()
        });
        second || self.listener.accept().is_ok()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Below the real PID 1, because the stand-in would hand its control socket on to everybody, and behind the real gateway, with
/// hosts of this machine that are allowed beside those that are tried.
#[tokio::test(flavor = "multi_thread")]
async fn the_probe_finds_no_way_out() {
    let Some(probe) = probe() else { return };
    let mount = ToolMount { name: None, host: probe, inside: PathBuf::from(PROBE) };
    let Some(scene) = egress::Scene::start_with(|config| config.tool_mounts.push(mount)).await else {
        return;
    };
    let (own, other) = (scene.id.clone(), scene.another().await);
    let host = Host::prepare(&scene.desk, &scene.place, &own, &other).await;
    let text = scene.desk.ok(&own, &format!("{PROBE} try {}", host.told())).await;
    let report: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    println!("{} attempts", report["tried"]);
    assert!(report["tried"].as_u64().unwrap() > 1000, "{report:#}");
    assert_eq!(report["faults"], json!([]), "{:#}", report["faults"]);
    assert!(!host.was_reached());
    // The proxy was asked, and knew the sandbox.
    let counts = scene.bridge.egress(&own).unwrap();
    assert!(counts.denials >= PROXY_ROWS_MIN && counts.connections == 0, "{counts:?}");
    scene.desk.ok(&other, "cat secret").await;
    scene.finish().await;
}

/// Processes of this machine in this process namespace, ended ones not counted.
fn processes_in(namespace: u64) -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| sandbox_bridge::launcher::pid_namespace(*pid).is_ok_and(|own| own == namespace))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_survives_the_end_of_its_sandbox() {
    let Some(bench) = start_with_probe(|_| {}) else { return };
    let id = bench.create(&request()).await;
    let first = crate::support::processes_with(&format!("FARHAND_SANDBOX_ID={id}"))[0];
    let namespace = sandbox_bridge::launcher::pid_namespace(first).unwrap();
    bench.desk.ok(&id, &format!("{PROBE} survive")).await;
    crate::support::until("they have settled", || processes_in(namespace).len() >= 8).await;
    bench.provider.terminate(&id).await.unwrap();
    crate::support::until("all are gone", || processes_in(namespace).is_empty()).await;
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_command_says_so_wherever_it_is_called() {
    let script = "for c in curl wget ssh /usr/bin/curl /bin/wget git; do $c --version > out-$$ 2>&1; echo $c $? $(head -n 1 out-$$); done > seen; \
                  (rm -f /usr/bin/curl; mv /usr/bin/curl /tmp/x; echo x > /usr/bin/curl; cp /usr/bin/curl /tmp/copy; /tmp/copy) > tricks 2>&1; \
                  mv seen done; exec sleep 1000";
    let Some(bench) = Bench::start_with(|config| {
        config.blocked_commands = DEFAULT_BLOCKED.iter().map(|name| (*name).to_owned()).collect();
        config.command = vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()];
    }) else {
        return;
    };
    let id = bench.create(&request()).await;
    let workspace = bench.state().join("sandboxes").join(id.as_str()).join("upper/workspace");
    crate::support::until("all were called", || workspace.join("done").exists()).await;
    let seen = fs::read_to_string(workspace.join("done")).unwrap();
    for (command, name) in
        [("curl", "curl"), ("wget", "wget"), ("ssh", "ssh"), ("/usr/bin/curl", "curl"), ("/bin/wget", "wget")]
    {
        let there = ["/usr/bin", "/bin", "/usr/local/bin"]
            .iter()
            .any(|place| std::path::Path::new(place).join(name).exists());
        let line = format!("{command} 126 {name}: blocked in this sandbox.");
        assert!(!there || seen.lines().any(|seen| seen == line), "{line}\n{seen}");
    }
    assert!(seen.lines().any(|line| line.starts_with("git 0 git version")), "{seen}");
    let tricks = fs::read_to_string(workspace.join("tricks")).unwrap();
    assert!(
        tricks.contains("blocked in this sandbox") || !std::path::Path::new("/usr/bin/curl").exists(),
        "{tricks}"
    );
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_host_are_not_there() {
    let Some(bench) = Bench::start() else { return };
    let canary = bench.place.path().join("canary");
    fs::write(&canary, "host-file-canary").unwrap();
    let id = bench.create(&request()).await;
    let outside = format!(
        "{} {} /etc/shadow /root /home/* /var/log /sys/kernel /proc/kcore",
        canary.display(),
        bench.state().display()
    );
    let seen = bench.desk.run(&id, &format!("for p in {outside}; do [ $p = /home/agent ] || head -c1 $p 2>/dev/null || ls $p 2>/dev/null; done")).await;
    assert_eq!(seen.output, "");
    let listing = bench.desk.ok(&id, "ls -a /; ls /home /run /mnt /opt/farhand/bin").await;
    let listing: Vec<&str> = listing.split_ascii_whitespace().collect();
    assert!(
        listing.ends_with(&["/home:", "agent", "/mnt:", "/opt/farhand/bin:", "runner", "/run:", "farhand"]),
        "{listing:?}"
    );
    assert!(
        !listing.iter().any(|name| ["root", "boot", "sys", "srv", "media"].contains(name)),
        "{listing:?}"
    );
    let through_proc =
        "cat /proc/1/root/etc/shadow /proc/1/cwd/../../etc/shadow; ls /proc/1/root/root; cat /proc/1/mem";
    let seen = bench.desk.run(&id, &format!("({through_proc}) 2>/dev/null")).await;
    assert_eq!(seen.output, "");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_its_own_places_can_be_written() {
    let Some(bench) = Bench::start() else { return };
    let id = bench.create(&request()).await;
    let places = "/x /usr/x /usr/bin/x /etc/x /etc/passwd /bin/x /lib/x /opt/farhand/bin/runner /opt/farhand/bin/x /run/x \
                  /run/farhand/socket/x /home/x /dev/x /mnt/x /proc/sys/kernel/hostname /proc/sysrq-trigger";
    let written = bench
        .desk
        .ok(&id, &format!("for p in {places}; do (echo x >> $p) 2>/dev/null && echo $p; done; true"))
        .await;
    assert_eq!(written, "");
    let tricks = "mount -o remount,bind,rw / ; mount -o remount,bind,rw /usr; rm -f /run/farhand/socket/bridge.sock; \
                  mv /run/farhand/socket /run/farhand/other; rmdir /workspace; mknod /tmp/null c 1 3; mknod /tmp/disk b 254 0; \
                  ln /usr/bin/env /tmp/hard; chown 0:0 /workspace";
    for trick in tricks.split(';') {
        let answer = bench.desk.run(&id, trick).await;
        assert_ne!(answer.code, 0, "{trick}: {}", answer.output);
    }
    bench.desk.ok(&id, "cp /bin/sh /tmp/sh; chmod u+s /tmp/sh; test \"$(/tmp/sh -c 'id -u')\" = 1000").await;
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn privileges_are_gone_for_good() {
    let Some(bench) = Bench::start() else { return };
    let id = bench.create(&request()).await;
    let status = bench
        .desk
        .ok(&id, "grep -E '^(Cap|NoNewPrivs|Seccomp:|Uid|Groups)' /proc/self/status | tr -s '\\t ' ' '")
        .await;
    for line in status.lines().filter(|line| line.starts_with("Cap")) {
        assert!(line.ends_with(" 0000000000000000"), "{line}");
    }
    assert!(
        status.contains("NoNewPrivs: 1")
            && status.contains("Seccomp: 2")
            && status.contains("Uid: 1000 1000 1000 1000"),
        "{status}"
    );
    for attempt in [
        "unshare -U true",
        "unshare -m true",
        "unshare -rn true",
        "chroot / true",
        "nsenter -t 1 -m true",
        "mount -t tmpfs x /tmp",
        "hostname other",
        "dmesg",
    ] {
        let answer = bench.desk.run(&id, attempt).await;
        assert_ne!(answer.code, 0, "{attempt}: {}", answer.output);
    }
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_of_the_host_are_out_of_reach() {
    let Some(bench) = Bench::start() else { return };
    let (first, second) = (bench.create(&request()).await, bench.create(&request()).await);
    let own = std::process::id();
    bench.desk.ok(&first, "sleep 1000 & true").await;
    let seen = bench
        .desk
        .ok(&second, "cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep ^FARHAND_SANDBOX_ID | sort -u")
        .await;
    assert_eq!(seen, format!("FARHAND_SANDBOX_ID={second}\n"));
    let answer = bench.desk.run(&second, &format!("kill -0 {own}; kill -9 {own}")).await;
    assert_ne!(answer.code, 0);
    let seen: u32 = bench.desk.ok(&second, "ls -d /proc/[0-9]* | wc -l").await.trim().parse().unwrap();
    assert!(seen < 12, "{seen} processes are seen");
    bench.desk.ok(&first, "true").await;
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_the_bridge_is_inside() {
    let Some(bench) = Bench::start() else { return };
    // Stands for every variable that the bridge's own process has.
    let inherited: Vec<String> = std::env::vars()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("CARGO_") || name.starts_with("RUST"))
        .collect();
    assert!(!inherited.is_empty());
    let id = bench.create(&request()).await;
    let environments = bench.desk.ok(&id, "cat /proc/[0-9]*/environ | tr '\\0' '\\n' | sort -u").await;
    for name in inherited {
        assert!(!environments.contains(&format!("{name}=")), "{name} came in");
    }
    assert!(environments.contains(&format!("FARHAND_SANDBOX_TOKEN={TOKEN}")));
    // A snapshot has no secret either.
    bench.provider.snapshot(&id, &crate::support::new_snapshot_id()).await.unwrap();
    let search = "echo $FARHAND_SANDBOX_TOKEN | grep -rlf - /workspace /home /run /etc /tmp /proc/[0-9]*/cmdline 2>/dev/null";
    assert_eq!(bench.desk.run(&id, search).await.output, "");
    let on_disk =
        std::process::Command::new("grep").args(["-rl", TOKEN]).arg(bench.state()).output().unwrap();
    let on_disk = String::from_utf8(on_disk.stdout).unwrap();
    assert_eq!(on_disk, "");
    bench.finish().await;
}

/// What is closed must not be what builds need. Each line is a command that must succeed where its program is there.
#[tokio::test(flavor = "multi_thread")]
async fn what_builds_need_still_works() {
    let Some(bench) = Bench::start() else { return };
    let id = bench.create(&request()).await;
    let node = r#"const os = require('os'), http = require('http'), w = require('worker_threads');
        if (!os.cpus().length || !os.totalmem() || !os.networkInterfaces().lo) process.exit(3);
        require('fs').watch('/workspace').close(); new w.Worker('0', {eval: true});
        const s = http.createServer((q, r) => r.end('x')).listen(0, '127.0.0.1', () =>
            http.get({port: s.address().port, agent: false}, r => { r.resume(); r.on('end', () => process.exit(0)); }));"#;
    let python = [
        "import multiprocessing as m, os, pty, socket, threading",
        "m.get_context('fork').Pool(2).map(abs, [1]); m.Semaphore(); pty.openpty(); socket.socketpair()",
        "os.mkfifo('/tmp/fifo'); os.symlink('x', '/workspace/link'); os.sched_getaffinity(0); os.cpu_count()",
        "t = threading.Thread(target=int); t.start(); t.join(); open('/dev/shm/x', 'w').write('x')",
    ];
    let c = [
        "#include <pthread.h>",
        "#include <sys/mman.h>",
        "static void *f(void *p) { return p; }",
        "int main(void) {",
        "pthread_t t; if (pthread_create(&t, 0, f, 0)) return 1; pthread_join(t, 0);",
        "return mmap(0, 4096, PROT_READ|PROT_WRITE|PROT_EXEC, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) == MAP_FAILED; }",
    ];
    let (python, c) = (python.join("\n"), c.join("\n"));
    for (file, text) in [("node.js", node), ("python.py", python.as_str()), ("threads.c", c.as_str())] {
        bench
            .desk
            .ok(
                &id,
                &format!(
                    "cat > {file} <<'END'
{text}
END"
                ),
            )
            .await;
    }
    let commands = [
        ("node", "node node.js"),
        ("python3", "python3 python.py"),
        ("cc", "cc -pthread threads.c -o threads && ./threads"),
        (
            "git",
            "git init -q repo && cd repo && echo x > x && git add . && git -c user.name=a -c user.email=a@b commit -qm x && git gc -q",
        ),
        ("ps", "ps aux | grep -q next"),
        ("free", "free -m"),
        ("nproc", "nproc"),
        ("df", "df /workspace /tmp"),
        ("tar", "tar cf x.tar node.js && tar xf x.tar"),
        ("script", "script -qc 'stty size' /dev/null < /dev/null"),
        ("find", "find / -xdev -maxdepth 2 > /dev/null"),
        ("perl", "perl -MPOSIX -e 'fork; exit 0'"),
    ];
    for (program, command) in commands {
        if bench.desk.run(&id, &format!("command -v {program}")).await.code == 0 {
            bench.desk.ok(&id, command).await;
        } else {
            println!("skipped: there is no {program}");
        }
    }
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_output_stays_small() {
    let Some(bench) = Bench::start_with(|config| {
        config.command = vec![
            "/bin/sh".to_owned(),
            "-c".to_owned(),
            "head -c 20M /dev/zero | tr '\\0' x; echo end-of-flood; exec sleep 1000".to_owned(),
        ];
    }) else {
        return;
    };
    let id = bench.create(&request()).await;
    let witness = bench.state().join("sandboxes").join(id.as_str()).join("witness");
    crate::support::until("the flood is over", || {
        fs::read_to_string(witness.join("log")).is_ok_and(|log| log.ends_with("end-of-flood\n"))
    })
    .await;
    let kept: u64 = ["log", "log.1"]
        .iter()
        .filter_map(|name| fs::metadata(witness.join(name)).ok())
        .map(|data| data.len())
        .sum();
    assert!(kept <= 2 * 1024 * 1024, "{kept} bytes are kept");
    bench.finish().await;
}
