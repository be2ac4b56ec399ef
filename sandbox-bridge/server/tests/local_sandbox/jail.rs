//! What an agent must not be able to do: each attempt is made inside, and none may succeed.

use crate::support::{Bench, TOKEN, request};
use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

/// Python's socket and ctypes reach what the shell cannot.
fn has_python() -> bool {
    let found = std::path::Path::new("/usr/bin/python3").exists();
    if !found {
        println!("skipped: the probes need /usr/bin/python3");
    }
    found
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
async fn only_the_bridge_can_be_reached() {
    let Some(bench) = Bench::start() else { return };
    if !has_python() {
        return;
    }
    let host_port = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = host_port.local_addr().unwrap().port();
    let place = tempfile::tempdir().unwrap();
    let _host_socket = UnixListener::bind(place.path().join("host.sock")).unwrap();
    let id = bench.create(&request()).await;
    let script = format!(
        r#"cat > /tmp/probe.py <<'END'
import socket as s, os
reached = []
def tries(name, do):
    try:
        do(); reached.append(name)
    except OSError: pass
def tcp(family, address):
    c = s.socket(family, s.SOCK_STREAM); c.settimeout(2); c.connect(address)
def udp(address):
    c = s.socket(s.AF_INET, s.SOCK_DGRAM); c.settimeout(2); c.sendto(b"x", address)
for a in ["1.1.1.1", "8.8.8.8", "169.254.169.254", "10.0.0.1", "192.168.0.1", "172.17.0.1"]:
    for p in [443, 80, 53, 22]:
        tries("tcp %s:%d" % (a, p), lambda: tcp(s.AF_INET, (a, p)))
        tries("udp %s:%d" % (a, p), lambda: udp((a, p)))
for a in ["2606:4700:4700::1111", "::ffff:1.1.1.1", "fe80::1"]:
    tries("tcp6 " + a, lambda: tcp(s.AF_INET6, (a, 443)))
tries("host loopback", lambda: tcp(s.AF_INET, ("127.0.0.1", {port})))
tries("host socket", lambda: tcp(s.AF_UNIX, "{socket}"))
for name in ["example.com", "github.com"]:
    tries("name " + name, lambda: s.getaddrinfo(name, 443))
for kind, args in [("raw icmp", (s.AF_INET, s.SOCK_RAW, 1)), ("packet", (s.AF_PACKET, s.SOCK_RAW, 0)), ("vsock", (40, s.SOCK_STREAM, 0)), ("alg", (38, s.SOCK_SEQPACKET, 0)), ("netlink audit", (s.AF_NETLINK, s.SOCK_RAW, 9)), ("netlink netfilter", (s.AF_NETLINK, s.SOCK_RAW, 12))]:
    tries(kind, lambda: s.socket(*args))
print("reached", reached, "interfaces", [name for _, name in s.if_nameindex()])
END
python3 /tmp/probe.py"#,
        socket = place.path().join("host.sock").display()
    );
    assert_eq!(bench.desk.ok(&id, &script).await, "reached [] interfaces ['lo']\n");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dangerous_system_calls_are_refused() {
    let Some(bench) = Bench::start() else { return };
    if !has_python() || !cfg!(target_arch = "x86_64") {
        return;
    }
    let id = bench.create(&request()).await;
    let script = r#"cat > /tmp/calls.py <<'END'
import ctypes, os, errno, fcntl
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    ctypes.set_errno(0)
    return libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in args]), ctypes.get_errno()
EPERM, ENOSYS = 1, 38
refused = dict(ptrace=101, mount=165, umount2=166, pivot_root=155, chroot=161, unshare=272, setns=308, bpf=321, perf_event_open=298,
  userfaultfd=323, keyctl=250, add_key=248, request_key=249, kexec_load=246, init_module=175, delete_module=176, open_by_handle_at=304,
  process_vm_readv=310, process_vm_writev=311, kcmp=312, open_tree=428, move_mount=429, fsopen=430, fsconfig=431, fsmount=432, fspick=433,
  mount_setattr=442, open_tree_attr=467, pidfd_getfd=438, fanotify_init=300, reboot=169, swapon=167, syslog=103, acct=163, iopl=172,
  x32_getpid=0x40000000 | 39, personality_bits=None, clone_newuser=None, tiocsti=None)
bad = []
for name, number in refused.items():
    if name == "personality_bits": r = call(135, 0x0040000)
    elif name == "clone_newuser": r = call(56, 0x10000000 | 17, 0, 0, 0, 0)
    elif name == "tiocsti":
        try: fcntl.ioctl(0, 0x5412, b"x"); r = (0, 0)
        except OSError as e: r = (-1, e.errno)
    else: r = call(number, 0, 0, 0, 0, 0)
    if r != (-1, EPERM): bad.append((name, r))
for name, number in dict(clone3=435, io_uring_setup=425, io_uring_enter=426, io_uring_register=427).items():
    r = call(number, 0, 0, 0, 0, 0)
    if r != (-1, ENOSYS): bad.append((name, r))
if call(135, 0xffffffff)[0] < 0: bad.append("asking for the personality")
print("bad", bad)
END
python3 /tmp/calls.py"#;
    assert_eq!(bench.desk.ok(&id, script).await, "bad []\n");
    // The 32-bit door of the kernel has other numbers, so using it at all ends the process.
    let other_abi = bench
        .desk
        .run(
            &id,
            r#"python3 - <<'END'
import ctypes, mmap
code = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(code)
print("got", ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))())
END"#,
        )
        .await;
    assert!(other_abi.code > 128 && !other_abi.output.contains("got"), "{other_abi:?}");
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
    let search = "echo $FARHAND_SANDBOX_TOKEN | grep -rlf - /workspace /home /run /etc /tmp /proc/[0-9]*/cmdline 2>/dev/null";
    assert_eq!(bench.desk.run(&id, search).await.output, "");
    let on_disk =
        std::process::Command::new("grep").args(["-rl", TOKEN]).arg(bench.state()).output().unwrap();
    let on_disk = String::from_utf8(on_disk.stdout).unwrap();
    assert_eq!(on_disk, "");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_stay_in_their_sandbox() {
    let Some(bench) = Bench::start() else { return };
    let mut small = request();
    small.limits.memory_mib = 256;
    small.limits.disk_mib = 16;
    let bomb = bench.create(&small).await;
    let neighbour = bench.create(&request()).await;
    let files = bench.desk.run(&bomb, "head -c 64M /dev/zero > big; stat -c %s big").await;
    assert_eq!(files.output.lines().last(), Some("16777216"), "{}", files.output);
    if has_python() {
        let memory = bench.desk.run(&bomb, "python3 -c 'x = bytearray(400 << 20); print(len(x))'").await;
        assert_ne!(memory.code, 0, "{}", memory.output);
        let forks = "import os, time, sys\nn = 0\ntry:\n  while n < 6000:\n    if os.fork() == 0: time.sleep(60); os._exit(0)\n    n += 1\nexcept OSError: pass\nprint(n)\nsys.stdout.flush()\nos.system('pkill -P %d' % os.getpid())";
        let answer = bench.desk.run(&neighbour, &format!("python3 -c \"{forks}\"")).await;
        let forked: u32 = answer.output.lines().next().unwrap().parse().unwrap();
        assert!((100..4096).contains(&forked), "{forked} processes could be started");
    }
    bench.desk.ok(&neighbour, "true").await;
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
