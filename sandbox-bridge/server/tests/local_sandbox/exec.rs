//! Commands and connections through the supervisor: streams, input, signals, terminals, ports, and their end with the caller.

use crate::support::{
    Bench, PATIENCE, Place, config, new_sandbox_id, of, processes_with, request, secrets, until,
};
use protocol::id::SandboxId;
use protocol::supervisor::{ExecCommand, ExecExit, ExecSignal, TerminalSize};
use sandbox_bridge::provider::exec::{ExecError, ExecEvent, ExecStream};
use sandbox_bridge::provider::local::{LocalConfig, LocalProvider};
use sandbox_bridge::provider::{ProviderError, SandboxProvider};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What stands in for the runner: it waits to be ended.
pub(crate) const IDLE: [&str; 6] = ["/opt/farhand/bin/runner", "init", "--", "/bin/sleep", "100000", ""];

/// A provider whose sandboxes have the real supervisor and nothing to do.
fn start() -> Option<Bench> {
    let runner = crate::runner::runner()?;
    Bench::start_with(|config| with_supervisor(config, runner))
}

/// Sets the real supervisor up.
pub(crate) fn with_supervisor(config: &mut LocalConfig, runner: std::path::PathBuf) {
    config.runner = runner;
    config.command = IDLE.iter().filter(|part| !part.is_empty()).map(|part| (*part).to_owned()).collect();
}

pub(crate) fn shell(script: &str) -> ExecCommand {
    ExecCommand { arguments: ["sh", "-c", script].map(str::to_owned).to_vec(), ..ExecCommand::default() }
}

fn exited(code: i32) -> ExecExit {
    ExecExit { code: Some(code), signal: None }
}

async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Runs a script to its end.
pub(crate) async fn run(
    provider: &LocalProvider,
    id: &SandboxId,
    script: &str,
) -> (String, String, ExecExit) {
    let stream = soon("the start", provider.exec(id, shell(script))).await.unwrap();
    let (output, errors, exit) = soon("the end", stream.collect(1 << 20)).await.unwrap();
    (String::from_utf8(output).unwrap(), String::from_utf8(errors).unwrap(), exit)
}

/// Reads output until it contains this text.
async fn read_until(stream: &mut ExecStream, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        match soon(text, stream.output.next()).await.unwrap() {
            ExecEvent::Output(bytes) | ExecEvent::ErrorOutput(bytes) => {
                seen.push_str(&String::from_utf8_lossy(&bytes));
            }
            ExecEvent::Exit(exit) => panic!("it ended with {exit:?} after {seen:?}"),
        }
    }
    seen
}

async fn exit(stream: &mut ExecStream) -> ExecExit {
    loop {
        if let ExecEvent::Exit(exit) = soon("the exit", stream.output.next()).await.unwrap() {
            return exit;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_has_the_agent_s_place_and_none_of_the_runner_s_secrets() {
    let Some(bench) = start() else { return };
    let id = bench.create(&request()).await;
    let (output, errors, end) = run(&bench.provider, &id, "id -un; pwd; echo no >&2; exit 3").await;
    assert_eq!((output.as_str(), errors.as_str(), end), ("agent\n/workspace\n", "no\n", exited(3)));

    let (environment, _, _) = run(&bench.provider, &id, "env").await;
    let names: Vec<&str> = environment.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let ours: Vec<&&str> = names.iter().filter(|name| name.starts_with("FARHAND_")).collect();
    assert_eq!(ours, [&"FARHAND_SANDBOX_ID"], "{environment}");
    assert!(names.contains(&"HOME") && names.contains(&"HTTPS_PROXY"), "{environment}");
    assert!(!environment.contains(crate::support::TOKEN), "{environment}");

    let command = ExecCommand {
        folder: Some("/tmp".to_owned()),
        variables: [("COLOUR".to_owned(), "red".to_owned())].into(),
        ..shell("pwd; echo $COLOUR; cat; ls -l /proc/self/fd | grep -c socket")
    };
    let stream = bench.provider.exec(&id, command).await.unwrap();
    let (output, _, end) = soon("the end", stream.collect(1000)).await.unwrap();
    assert_eq!((String::from_utf8(output).unwrap().as_str(), end), ("/tmp\nred\n0\n", exited(1)));
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_run_is_said_at_once() {
    let Some(bench) = start() else { return };
    let id = bench.create(&request()).await;
    let of = |arguments: &[&str], folder: Option<&str>| ExecCommand {
        arguments: arguments.iter().map(|part| (*part).to_owned()).collect(),
        folder: folder.map(str::to_owned),
        ..ExecCommand::default()
    };
    for (command, words) in [
        (of(&["no-such-program"], None), "could not run no-such-program in /workspace: No such file"),
        (of(&["/etc/passwd"], None), "Permission denied"),
        (of(&["true"], Some("/nowhere")), "could not run true in /nowhere"),
        (of(&[], None), "there is no command"),
        (of(&["true", "a\0b"], None), "nul byte"),
        (of(&["true", &"x".repeat(300_000)], None), "at most 262144 bytes"),
    ] {
        let refusal = soon("the refusal", bench.provider.exec(&id, command)).await.err().unwrap();
        assert!(matches!(&refusal, ProviderError::Rejected(why) if why.contains(words)), "{refusal}");
    }
    let unknown = bench.provider.exec(&new_sandbox_id(), shell("true")).await.err().unwrap();
    assert!(matches!(unknown, ProviderError::NotFound(_)), "{unknown}");
    assert_eq!(run(&bench.provider, &id, "echo still here").await.0, "still here\n");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn input_reaches_a_command_that_reads_and_does_not_pile_up_at_one_that_does_not() {
    let Some(bench) = start() else { return };
    let id = bench.create(&request()).await;
    let whole: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let command = ExecCommand { input: true, ..shell("sleep 0.1; cat") };
    let stream = bench.provider.exec(&id, command).await.unwrap();
    let input = stream.input.clone();
    let sent = whole.clone();
    let writing = tokio::spawn(async move {
        input.write(&sent).await.unwrap();
        input.close().await.unwrap();
    });
    let (output, _, end) = soon("the echo", stream.collect(whole.len() * 2)).await.unwrap();
    writing.await.unwrap();
    assert_eq!(end, exited(0));
    assert!(output == whole, "{} bytes came back", output.len());

    // One that reads nothing: the window fills, and a signal still reaches it.
    let command = ExecCommand {
        input: true,
        ..shell("trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.01; done")
    };
    let mut deaf = bench.provider.exec(&id, command).await.unwrap();
    let input = deaf.input.clone();
    let writing = tokio::spawn(async move { input.write(&vec![b'x'; 1_000_000]).await });
    read_until(&mut deaf, "ready").await;
    let input = deaf.input.clone();
    input.signal(ExecSignal::Terminate).await.unwrap();
    read_until(&mut deaf, "told").await;
    assert_eq!(exit(&mut deaf).await, exited(5));
    drop(deaf);
    assert!(matches!(soon("the writer", writing).await.unwrap(), Err(ExecError::HungUp(_))));

    // One that closes its input: the rest is swallowed, and nobody waits.
    let command = ExecCommand { input: true, ..shell("exec < /dev/null; echo closed; sleep 0.3; echo end") };
    let mut closed = bench.provider.exec(&id, command).await.unwrap();
    let input = closed.input.clone();
    let writing = tokio::spawn(async move { input.write(&vec![b'x'; 300_000]).await });
    read_until(&mut closed, "end").await;
    assert_eq!(exit(&mut closed).await, exited(0));
    soon("the writer", writing).await.unwrap().ok();
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_waits_for_its_reader_and_arrives_whole() {
    let Some(bench) = start() else { return };
    let id = bench.create(&request()).await;
    let script = "head -c 20000000 /dev/zero; echo out; echo err >&2; echo done > /workspace/done";
    let mut stream = bench.provider.exec(&id, shell(script)).await.unwrap();
    // Nobody has read, so it cannot have come to its end; what is under way fits into the socket and a pipe.
    let (seen, _, _) =
        run(&bench.provider, &id, "for i in $(seq 20); do sleep 0.01; done; test -e done || echo waits")
            .await;
    assert_eq!(seen, "waits\n");
    let (mut length, mut largest, mut errors) = (0, 0, Vec::new());
    let end = loop {
        match soon("output", stream.output.next()).await.unwrap() {
            ExecEvent::Output(bytes) => {
                largest = largest.max(bytes.len());
                length += bytes.len();
            }
            ExecEvent::ErrorOutput(bytes) => errors.extend_from_slice(&bytes),
            ExecEvent::Exit(exit) => break exit,
        }
    };
    assert_eq!((length, errors.as_slice(), end), (20_000_004, b"err\n".as_slice(), exited(0)));
    assert!(largest <= 32 * 1024, "{largest}");
    assert!(matches!(stream.output.next().await, Err(ExecError::HungUp(None))));

    // What a command wrote just before its end is there, and a server that it leaves behind keeps nobody waiting.
    for _ in 0..20 {
        let (output, _, end) =
            run(&bench.provider, &id, "sleep 1000 & head -c 50000 /dev/zero; exit 7").await;
        assert_eq!((output.len(), end), (50_000, exited(7)));
    }
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_goes_away_takes_the_whole_process_group_along() {
    let Some(bench) = start() else { return };
    let id = bench.create(&request()).await;
    let marker = "EXEC_MARK=gone".to_owned();
    let command = ExecCommand {
        variables: [("EXEC_MARK".to_owned(), "gone".to_owned())].into(),
        ..shell("trap '' TERM HUP INT; (trap '' TERM HUP; sleep 1000) & sleep 1000 & echo begun; wait")
    };
    let mut stream = bench.provider.exec(&id, command.clone()).await.unwrap();
    read_until(&mut stream, "begun").await;
    assert!(processes_with(&marker).len() >= 3);
    drop(stream);
    until("the group is gone", || processes_with(&marker).is_empty()).await;

    let mut stream = bench.provider.exec(&id, command).await.unwrap();
    read_until(&mut stream, "begun").await;
    stream.input.signal(ExecSignal::Kill).await.unwrap();
    assert_eq!(exit(&mut stream).await, ExecExit { code: None, signal: Some("SIGKILL".to_owned()) });
    until("the group is gone", || processes_with(&marker).is_empty()).await;
    let stats = bench.provider.stats(&id).await.unwrap();
    assert_eq!((stats.processes, stats.commands), (2, 0), "{stats:?}");
    assert!(stats.resident_bytes > 100_000 && stats.threads >= 2, "{stats:?}");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_has_a_size_a_foreground_and_an_end() {
    let Some(bench) = start() else { return };
    let id = bench.create(&request()).await;
    let terminal = |script: &str, input| ExecCommand {
        terminal: Some(TerminalSize { rows: 24, columns: 80 }),
        input,
        ..shell(script)
    };
    let script =
        "tty; stty size; echo ready; while read -r line; do stty size; echo got $line; done; echo over";
    let mut stream = bench.provider.exec(&id, terminal(script, true)).await.unwrap();
    let seen = read_until(&mut stream, "ready").await;
    assert!(seen.contains("/dev/pts/") && seen.contains("24 80"), "{seen}");
    stream.input.resize(TerminalSize { rows: 50, columns: 132 }).await.unwrap();
    stream.input.write(b"word\n").await.unwrap();
    let seen = read_until(&mut stream, "got word").await;
    assert!(seen.contains("50 132"), "{seen}");
    stream.input.close().await.unwrap();
    read_until(&mut stream, "over").await;
    assert_eq!(exit(&mut stream).await, exited(0));

    let script = "trap 'echo seen; exit 4' WINCH; echo ready; while :; do sleep 0.01; done";
    let mut stream = bench.provider.exec(&id, terminal(script, true)).await.unwrap();
    read_until(&mut stream, "ready").await;
    stream.input.resize(TerminalSize { rows: 25, columns: 80 }).await.unwrap();
    assert_eq!(exit(&mut stream).await, exited(4));

    // Ctrl-C goes to what runs in the foreground, through the terminal. No shell here: one that is just starting a command may
    // swallow it.
    let python = "import time; print('ready', flush=True); time.sleep(1000)";
    let command = ExecCommand {
        arguments: ["python3", "-c", python].map(str::to_owned).to_vec(),
        ..terminal("", true)
    };
    let mut stream = bench.provider.exec(&id, command).await.unwrap();
    read_until(&mut stream, "ready").await;
    stream.input.write(&[3]).await.unwrap();
    assert_eq!(exit(&mut stream).await, ExecExit { code: None, signal: Some("SIGINT".to_owned()) });

    // Somebody who stays keeps the terminal, and nobody waiting.
    let script = "trap '' HUP; sleep 1000 & echo left; exit 6";
    let mut stream = bench.provider.exec(&id, terminal(script, false)).await.unwrap();
    read_until(&mut stream, "left").await;
    assert_eq!(exit(&mut stream).await, exited(6));

    let stream =
        bench.provider.exec(&id, terminal("test -t 1 && echo $TERM; seq 2000", false)).await.unwrap();
    let (output, errors, end) = soon("the end", stream.collect(1 << 20)).await.unwrap();
    let text = String::from_utf8(output).unwrap();
    assert!(text.starts_with("xterm-256color\r\n1\r\n") && text.ends_with("\r\n2000\r\n"), "{}", text.len());
    assert_eq!((errors.len(), end), (0, exited(0)));
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_inside_is_reached_and_a_closed_one_refused_at_once() {
    let Some(bench) = start() else { return };
    let id = bench.create(&request()).await;
    let refusal = bench.provider.dial(&id, 8123).await.err().unwrap();
    assert!(
        matches!(&refusal, ProviderError::Rejected(why) if why == "nothing listens on port 8123 in the sandbox"),
        "{refusal}"
    );
    let own = bench.provider.dial(&id, 3128).await.err().unwrap();
    assert!(matches!(&own, ProviderError::Rejected(why) if why.contains("leads back")), "{own}");

    let server = "import socket,sys
for kind, address in [(socket.AF_INET, ('127.0.0.1', 8123)), (socket.AF_INET6, ('::1', 8124))]:
    s = socket.socket(kind); s.bind(address); s.listen()
    print('listening', flush=True)
    c, _ = s.accept(); got = b''
    while piece := c.recv(65536): got += piece
    c.sendall(str(len(got)).encode()); c.close()
";
    let python = ExecCommand {
        arguments: ["python3", "-c", server].map(str::to_owned).to_vec(),
        ..ExecCommand::default()
    };
    let mut stream = bench.provider.exec(&id, python).await.unwrap();
    for port in [8123, 8124] {
        read_until(&mut stream, "listening").await;
        let mut connection = soon("the port", bench.provider.dial(&id, port)).await.unwrap();
        connection.write_all(&vec![b'x'; 3_000_000]).await.unwrap();
        connection.shutdown().await.unwrap();
        let mut answer = String::new();
        soon("the answer", connection.read_to_string(&mut answer)).await.unwrap();
        assert_eq!(answer, "3000000");
    }
    assert_eq!(exit(&mut stream).await, exited(0));
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commands_at_once_do_not_mix_and_too_many_are_refused() {
    let Some(bench) = start() else { return };
    let id = bench.create(&request()).await;
    let runs = (0..40).map(|number| {
        let (provider, id) = (&bench.provider, &id);
        async move { run(provider, id, &format!("for i in $(seq 50); do echo {number}; done")).await.0 }
    });
    for (number, output) in futures::future::join_all(runs).await.into_iter().enumerate() {
        assert_eq!(output, format!("{number}\n").repeat(50));
    }
    let mut held = Vec::new();
    for _ in 0..64 {
        held.push(bench.provider.exec(&id, shell("sleep 1000")).await.unwrap());
    }
    let refusal = bench.provider.exec(&id, shell("true")).await.err().unwrap();
    assert!(
        matches!(&refusal, ProviderError::Unavailable { what, .. } if what.contains("64 commands")),
        "{refusal}"
    );
    drop(held);
    let again = async {
        while bench.provider.exec(&id, shell("true")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon("room again", again).await;
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_inside_sees_or_reaches_the_control_socket() {
    let Some(bench) = start() else { return };
    let id = bench.create(&request()).await;
    let script =
        "find / -name 'control*' -path '*sandboxes*' 2>/dev/null; find / -name control.sock 2>/dev/null;
        for fd in 3 4 5 6 7 8 9 10; do cat < /proc/1/fd/$fd > /dev/null 2>&1 & done; wait 2>/dev/null;
        grep -c control.sock /proc/net/unix";
    let (seen, _, _) = run(&bench.provider, &id, script).await;
    // Its path is listed with the network namespace that it was made in, which is the host's.
    assert_eq!(seen, "0\n");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_ends_ends_its_commands() {
    let Some(bench) = start() else { return };
    let id = bench.create(&request()).await;
    let mut stream = bench.provider.exec(&id, shell("echo begun; sleep 1000")).await.unwrap();
    read_until(&mut stream, "begun").await;
    bench.provider.terminate(&id).await.unwrap();
    assert!(matches!(soon("the end", stream.output.next()).await, Err(ExecError::HungUp(_))));
    let gone = bench.provider.exec(&id, shell("true")).await.err().unwrap();
    assert!(matches!(gone, ProviderError::NotFound(_)), "{gone}");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_whose_first_process_is_no_supervisor_says_so_in_time() {
    // The usual stand-in: a shell, which inherits the socket and never answers.
    let Some(bench) = Bench::start() else { return };
    let id = bench.create(&request()).await;
    bench.desk.ok(&id, "kill -9 $PPID; true").await;
    let refusal = tokio::time::timeout(Duration::from_secs(1), bench.provider.exec(&id, shell("true"))).await;
    assert!(refusal.is_err() || refusal.is_ok_and(|outcome| outcome.is_err()));
    assert_eq!(bench.desk.ok(&id, "echo here").await, "here\n");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_processes_run_commands_too_but_their_ports_may_be_anybody_s() {
    let Some(runner) = crate::runner::runner() else { return };
    let place = Place::new();
    let mut config = LocalConfig { force_weak: true, weak_sandbox: true, ..config(place.path()) };
    let init = ["init", "--listen", "none", "--", "/bin/sleep", "100000"].map(str::to_owned);
    config.weak_command = Some([vec![runner.to_string_lossy().into_owned()], init.to_vec()].concat());
    let provider = LocalProvider::start(config, axum::Router::new()).unwrap();
    let id = new_sandbox_id();
    provider.create(&id, &of(&request()), &secrets()).await.unwrap();
    let (output, _, end) =
        run(&provider, &id, "basename $(dirname $(dirname $PWD)); echo x > file; (setsid sleep 1000 &)")
            .await;
    assert_eq!((output, end), (format!("{id}\n"), exited(0)));
    let refusal = provider.dial(&id, 22).await.err().unwrap();
    assert!(
        matches!(&refusal, ProviderError::Rejected(why) if why.contains("may be anybody's")),
        "{refusal}"
    );
    provider.snapshot(&id, &crate::support::new_snapshot_id()).await.unwrap();
    provider.terminate(&id).await.unwrap();
    let marker = format!("FARHAND_SANDBOX_ID={id}");
    until("every process is gone", || processes_with(&marker).is_empty()).await;
}
