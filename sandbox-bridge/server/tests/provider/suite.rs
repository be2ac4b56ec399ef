//! What every provider promises, as assertions on any of them. The files beside this one say which.

use crate::support::{
    exited, from_snapshot, new_sandbox_id, new_snapshot_id, order, request, run, secrets, session, shell,
    soon,
};
use protocol::bridge::{CreateSandboxRequest, SandboxLimits};
use protocol::id::SandboxId;
use protocol::supervisor::{ExecCommand, ExecExit, ExecSignal, TerminalSize};
use sandbox_bridge::provider::exec::{ExecEvent, ExecStream};
use sandbox_bridge::provider::{ProviderError, SandboxExit, SandboxOrder, SandboxProvider};
use tokio::sync::{Mutex, mpsc};

pub(crate) use crate::repository::{
    a_deleted_image_is_gone_for_good, a_warm_sandbox_is_given_once_and_for_ever,
    an_image_is_its_repository_s, an_image_saved_again_is_the_first_one, only_warm_sandboxes_are_given,
};

/// A provider whose sandboxes have the real supervisor, and [`crate::support::WAIT`] for a runner.
pub(crate) struct Subject<P> {
    pub(crate) provider: P,
    pub(crate) exits: Mutex<mpsc::Receiver<SandboxExit>>,
    /// As its capabilities say.
    pub(crate) name: &'static str,
    /// What it stands on, dropped last.
    pub(crate) _ground: Box<dyn std::any::Any + Send + Sync>,
}

/// What a session orders under another generation.
fn order_of(generation: u64) -> SandboxOrder {
    SandboxOrder::of_session(&CreateSandboxRequest { generation, ..request() })
}

impl<P: SandboxProvider> Subject<P> {
    pub(crate) async fn create(&self, order: &SandboxOrder) -> SandboxId {
        let id = new_sandbox_id();
        soon("the creation", self.provider.create(&id, order, &secrets())).await.unwrap();
        id
    }

    async fn next_exit(&self) -> SandboxExit {
        soon("an end that is reported", async { self.exits.lock().await.recv().await.unwrap() }).await
    }

    /// Leaves nothing running.
    pub(crate) async fn finish(self) {
        for record in self.provider.list() {
            soon("the end", self.provider.terminate(&record.sandbox_id)).await.unwrap();
        }
        assert!(self.provider.list().is_empty());
    }
}

/// A test for each assertion, with a provider that `$start` answers, or without where it answers `None`. Attributes before it are
/// those of every test.
macro_rules! suite {
    ($(#[$attribute:meta])* $start:path) => {
        crate::suite::suite! { [$(#[$attribute])*] $start:
            a_repeated_order_finds_the_sandbox_that_is_there,
            another_generation_under_the_same_id_is_refused,
            a_command_has_output_errors_an_exit_code_and_no_secret,
            what_cannot_be_run_is_said_at_once,
            input_arrives_whole_and_ends,
            much_output_arrives_whole_and_in_order,
            a_signal_reaches_the_command,
            a_command_nobody_listens_to_is_killed,
            a_terminal_has_its_size_and_gets_another,
            a_snapshot_brings_the_files_back,
            a_snapshot_taken_again_is_the_first_one,
            a_deleted_snapshot_is_gone_for_good,
            a_snapshot_that_nobody_took_cannot_be_restored,
            ending_twice_is_ending_once_and_uses_the_id_up,
            an_end_that_nobody_asked_for_is_reported,
            the_end_of_life_is_reported,
            unknown_sandboxes_are_not_found,
            capabilities_name_the_provider_and_what_holds,
            a_warm_sandbox_is_given_once_and_for_ever,
            only_warm_sandboxes_are_given,
            an_image_is_its_repository_s,
            an_image_saved_again_is_the_first_one,
            a_deleted_image_is_gone_for_good,
        }
    };
    ($attributes:tt $start:path: $($name:ident,)*) => {
        $(crate::suite::suite! { @one $attributes $start, $name })*
    };
    (@one [$($attribute:tt)*] $start:path, $name:ident) => {
            $($attribute)*
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let Some(subject) = $start().await else { return };
                crate::suite::$name(&subject).await;
                subject.finish().await;
            }
    };
}
pub(crate) use suite;

pub(crate) async fn a_repeated_order_finds_the_sandbox_that_is_there<P: SandboxProvider>(
    subject: &Subject<P>,
) {
    let (id, order) = (new_sandbox_id(), order());
    let secrets = secrets();
    let create = || subject.provider.create(&id, &order, &secrets);
    let (one, other) = soon("both creations", async { tokio::join!(create(), create()) }).await;
    let record = one.unwrap();
    assert_eq!((&record.sandbox_id, &record.order, &record.given), (&id, &order, &None));
    assert_eq!(record, other.unwrap());
    assert_eq!(record, soon("the repeat", create()).await.unwrap());
    assert_eq!(subject.provider.list(), [record]);
}

pub(crate) async fn another_generation_under_the_same_id_is_refused<P: SandboxProvider>(
    subject: &Subject<P>,
) {
    let id = subject.create(&order()).await;
    let other = order_of(2);
    let refusal = soon("the refusal", subject.provider.create(&id, &other, &secrets())).await.unwrap_err();
    assert!(
        matches!(&refusal, ProviderError::Rejected(why) if why.contains("generation 1, not 2")),
        "{refusal}"
    );
    assert_eq!(subject.provider.list().len(), 1);
}

pub(crate) async fn a_command_has_output_errors_an_exit_code_and_no_secret<P: SandboxProvider>(
    subject: &Subject<P>,
) {
    let id = subject.create(&order()).await;
    let (output, errors, end) = run(&subject.provider, &id, "pwd; echo no >&2; exit 3").await;
    assert_eq!((output.as_str(), errors.as_str(), end), ("/workspace\n", "no\n", exited(3)));
    let (environment, _, _) = run(&subject.provider, &id, "env").await;
    let ours = environment.lines().filter(|line| line.starts_with("FARHAND_")).collect::<Vec<_>>();
    assert_eq!(ours, [format!("FARHAND_SANDBOX_ID={id}")], "{environment}");
    assert!(!environment.contains(crate::support::TOKEN), "{environment}");
    let command = ExecCommand {
        folder: Some("/tmp".to_owned()),
        variables: [("COLOUR".to_owned(), "red".to_owned())].into(),
        ..shell("pwd; echo $COLOUR; cat")
    };
    let stream = soon("the start", subject.provider.exec(&id, command)).await.unwrap();
    let (output, _, end) = soon("the end", stream.collect(1000)).await.unwrap();
    assert_eq!((output.as_slice(), end), (&b"/tmp\nred\n"[..], exited(0)));
}

pub(crate) async fn what_cannot_be_run_is_said_at_once<P: SandboxProvider>(subject: &Subject<P>) {
    let id = subject.create(&order()).await;
    for (arguments, words) in
        [(&["no-such-program"][..], "could not run no-such-program"), (&[], "no command")]
    {
        let arguments = arguments.iter().map(|part| (*part).to_owned()).collect();
        let command = ExecCommand { arguments, ..ExecCommand::default() };
        let refusal = soon("the refusal", subject.provider.exec(&id, command)).await.err().unwrap();
        assert!(matches!(&refusal, ProviderError::Rejected(why) if why.contains(words)), "{refusal}");
    }
}

pub(crate) async fn input_arrives_whole_and_ends<P: SandboxProvider>(subject: &Subject<P>) {
    let id = subject.create(&order()).await;
    let command = ExecCommand { input: true, ..shell("sha256sum; echo done >&2") };
    let stream = soon("the start", subject.provider.exec(&id, command)).await.unwrap();
    let content: Vec<u8> = (0..700_000_u32).map(|at| (at % 251) as u8).collect();
    let input = stream.input.clone();
    let sent = content.clone();
    let writing = tokio::spawn(async move {
        for piece in sent.chunks(50_000) {
            input.write(piece).await.unwrap();
        }
        input.close().await.unwrap();
    });
    let (output, errors, end) = soon("the end", stream.collect(1000)).await.unwrap();
    writing.await.unwrap();
    let digest = protocol::sign::sha256_hex(&content);
    assert_eq!(String::from_utf8(output).unwrap(), format!("{digest}  -\n"));
    assert_eq!((errors.as_slice(), end), (&b"done\n"[..], exited(0)));
}

pub(crate) async fn much_output_arrives_whole_and_in_order<P: SandboxProvider>(subject: &Subject<P>) {
    let id = subject.create(&order()).await;
    let (output, _, end) = run(&subject.provider, &id, "seq 1 300000").await;
    let expected: String = (1..=300_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(end, exited(0));
    assert!(output == expected, "{} bytes of {}", output.len(), expected.len());
}

/// Reads output until it contains this text.
async fn read_until(stream: &mut ExecStream, text: &str) {
    let mut seen = String::new();
    while !seen.contains(text) {
        match soon(text, stream.output.next()).await.unwrap() {
            ExecEvent::Output(bytes) | ExecEvent::ErrorOutput(bytes) => {
                seen.push_str(&String::from_utf8_lossy(&bytes));
            }
            ExecEvent::Exit(exit) => panic!("it ended with {exit:?} after {seen:?}"),
        }
    }
}

async fn exit(stream: &mut ExecStream) -> ExecExit {
    loop {
        if let ExecEvent::Exit(exit) = soon("the exit", stream.output.next()).await.unwrap() {
            return exit;
        }
    }
}

pub(crate) async fn a_signal_reaches_the_command<P: SandboxProvider>(subject: &Subject<P>) {
    let id = subject.create(&order()).await;
    let script = "trap 'echo caught; exit 9' TERM; echo ready; while true; do sleep 0.05; done";
    let mut stream = soon("the start", subject.provider.exec(&id, shell(script))).await.unwrap();
    read_until(&mut stream, "ready").await;
    stream.input.signal(ExecSignal::Terminate).await.unwrap();
    read_until(&mut stream, "caught").await;
    assert_eq!(exit(&mut stream).await, exited(9));
    let mut stream =
        soon("the start", subject.provider.exec(&id, shell("echo on; sleep 100"))).await.unwrap();
    read_until(&mut stream, "on").await;
    stream.input.signal(ExecSignal::Kill).await.unwrap();
    assert_eq!(exit(&mut stream).await, ExecExit { code: None, signal: Some("SIGKILL".to_owned()) });
}

pub(crate) async fn a_command_nobody_listens_to_is_killed<P: SandboxProvider>(subject: &Subject<P>) {
    let id = subject.create(&order()).await;
    let script = "echo ready; while true; do date +%s%N > /tmp/beat; sleep 0.05; done";
    let mut stream = soon("the start", subject.provider.exec(&id, shell(script))).await.unwrap();
    read_until(&mut stream, "ready").await;
    drop(stream);
    // Its file stands still once it is dead, which takes a moment.
    let script = "for try in $(seq 200); do a=$(cat /tmp/beat); sleep 0.3; [ \"$a\" = \"$(cat /tmp/beat)\" ] && exit 0; done; exit 1";
    let (_, _, end) = run(&subject.provider, &id, script).await;
    assert_eq!(end, exited(0));
}

pub(crate) async fn a_terminal_has_its_size_and_gets_another<P: SandboxProvider>(subject: &Subject<P>) {
    let id = subject.create(&order()).await;
    let script = "stty size; while [ \"$(stty size)\" = '30 90' ]; do sleep 0.02; done; stty size; exit 4";
    let command =
        ExecCommand { terminal: Some(TerminalSize { rows: 30, columns: 90 }), input: true, ..shell(script) };
    let mut stream = soon("the start", subject.provider.exec(&id, command)).await.unwrap();
    read_until(&mut stream, "30 90").await;
    stream.input.resize(TerminalSize { rows: 31, columns: 91 }).await.unwrap();
    read_until(&mut stream, "31 91").await;
    assert_eq!(exit(&mut stream).await, exited(4));
}

pub(crate) async fn a_snapshot_brings_the_files_back<P: SandboxProvider>(subject: &Subject<P>) {
    let id = subject.create(&order()).await;
    let script = "echo one > /workspace/a; mkdir -p ~/.b; echo two > ~/.b/c; chmod 750 /workspace/a; ln -s a /workspace/l";
    assert_eq!(run(&subject.provider, &id, script).await.2, exited(0));
    let snapshot_id = new_snapshot_id();
    let taken = soon("the snapshot", subject.provider.snapshot(&id, &snapshot_id)).await.unwrap();
    assert_eq!(taken.snapshot_id, snapshot_id);
    assert_eq!(
        run(&subject.provider, &id, "echo later > /workspace/a; echo new > /workspace/n").await.2,
        exited(0)
    );
    let source = from_snapshot(&snapshot_id).source;
    let order = SandboxOrder { source: source.clone(), ..order_of(2) };
    let restored = subject.create(&order).await;
    let script = "cat /workspace/a /workspace/l ~/.b/c; stat -c %a /workspace/a; ls /workspace";
    let (output, _, _) = run(&subject.provider, &restored, script).await;
    assert_eq!(output, "one\none\ntwo\n750\na\nl\n");
    let (first, _, _) = run(&subject.provider, &id, "cat /workspace/a").await;
    assert_eq!(first, "later\n");
    // It can be restored once more, also when the sandbox that it came from is gone.
    soon("the end", subject.provider.terminate(&id)).await.unwrap();
    let again = subject.create(&SandboxOrder { source, ..order_of(3) }).await;
    assert_eq!(run(&subject.provider, &again, "cat /workspace/a").await.0, "one\n");
}

pub(crate) async fn a_snapshot_taken_again_is_the_first_one<P: SandboxProvider>(subject: &Subject<P>) {
    let id = subject.create(&order()).await;
    let snapshot_id = new_snapshot_id();
    assert_eq!(run(&subject.provider, &id, "echo one > /workspace/a").await.2, exited(0));
    let first = soon("the snapshot", subject.provider.snapshot(&id, &snapshot_id)).await.unwrap();
    assert_eq!(run(&subject.provider, &id, "echo two > /workspace/a").await.2, exited(0));
    assert_eq!(soon("the repeat", subject.provider.snapshot(&id, &snapshot_id)).await.unwrap(), first);
    let restored = subject.create(&from_snapshot(&snapshot_id)).await;
    assert_eq!(run(&subject.provider, &restored, "cat /workspace/a").await.0, "one\n");
}

pub(crate) async fn a_deleted_snapshot_is_gone_for_good<P: SandboxProvider>(subject: &Subject<P>) {
    let id = subject.create(&order()).await;
    let snapshot_id = new_snapshot_id();
    soon("the snapshot", subject.provider.snapshot(&id, &snapshot_id)).await.unwrap();
    for _ in 0..2 {
        soon("the deletion", subject.provider.delete_snapshot(&snapshot_id, &session())).await.unwrap();
    }
    let order = from_snapshot(&snapshot_id);
    let refusal = subject.provider.create(&new_sandbox_id(), &order, &secrets()).await.unwrap_err();
    assert!(matches!(refusal, ProviderError::SnapshotUnusable(_)), "{refusal}");
    let refusal = soon("the refusal", subject.provider.snapshot(&id, &snapshot_id)).await.unwrap_err();
    assert!(matches!(&refusal, ProviderError::Rejected(why) if why.contains("was deleted")), "{refusal}");
    // One that never was may be deleted too; one of another session may not.
    subject.provider.delete_snapshot(&new_snapshot_id(), &session()).await.unwrap();
    let kept = new_snapshot_id();
    soon("the snapshot", subject.provider.snapshot(&id, &kept)).await.unwrap();
    let other = "ses_other".to_owned().try_into().unwrap();
    let refusal = subject.provider.delete_snapshot(&kept, &other).await.unwrap_err();
    assert!(matches!(&refusal, ProviderError::Rejected(why) if why.contains("another session")), "{refusal}");
}

pub(crate) async fn a_snapshot_that_nobody_took_cannot_be_restored<P: SandboxProvider>(subject: &Subject<P>) {
    let (id, snapshot_id) = (new_sandbox_id(), new_snapshot_id());
    let refusal = subject.provider.create(&id, &from_snapshot(&snapshot_id), &secrets()).await.unwrap_err();
    assert!(
        matches!(&refusal, ProviderError::SnapshotUnusable(why) if why.contains(snapshot_id.as_str())),
        "{refusal}"
    );
    // The id is free for another source.
    soon("the creation", subject.provider.create(&id, &order(), &secrets())).await.unwrap();
}

pub(crate) async fn ending_twice_is_ending_once_and_uses_the_id_up<P: SandboxProvider>(subject: &Subject<P>) {
    let id = subject.create(&order()).await;
    for _ in 0..2 {
        soon("the end", subject.provider.terminate(&id)).await.unwrap();
        assert!(subject.provider.list().is_empty());
    }
    let refusal = subject.provider.create(&id, &order(), &secrets()).await.unwrap_err();
    assert!(matches!(&refusal, ProviderError::Rejected(why) if why.contains("has ended")), "{refusal}");
    // An id that never was is used up too, so that an order on its way does not come back.
    let early = new_sandbox_id();
    soon("the end", subject.provider.terminate(&early)).await.unwrap();
    let refusal = subject.provider.create(&early, &order(), &secrets()).await.unwrap_err();
    assert!(matches!(refusal, ProviderError::Rejected(_)), "{refusal}");
    // Ends that were asked for are not reported: the next report is of another sandbox.
    let other = subject.create(&order()).await;
    assert_eq!(run(&subject.provider, &other, "touch /tmp/end").await.2, exited(0));
    assert_eq!(subject.next_exit().await.record.sandbox_id, other);
}

pub(crate) async fn an_end_that_nobody_asked_for_is_reported<P: SandboxProvider>(subject: &Subject<P>) {
    let id = subject.create(&order()).await;
    // The command may be cut by the end that it brings about.
    let _ = soon("the start", subject.provider.exec(&id, shell("touch /tmp/end; sleep 1"))).await.unwrap();
    let stream = soon("the start", subject.provider.exec(&id, shell("touch /tmp/end; sleep 100"))).await;
    let exit = subject.next_exit().await;
    drop(stream);
    assert_eq!(exit.record.sandbox_id, id);
    assert!(exit.reason.contains('7'), "{}", exit.reason);
    assert!(subject.provider.list().is_empty());
    let refusal = subject.provider.create(&id, &order(), &secrets()).await.unwrap_err();
    assert!(matches!(refusal, ProviderError::Rejected(_)), "{refusal}");
}

pub(crate) async fn the_end_of_life_is_reported<P: SandboxProvider>(subject: &Subject<P>) {
    let limits = SandboxLimits { life_ms: 8000, ..SandboxLimits::default() };
    let id = subject.create(&SandboxOrder { limits, ..order() }).await;
    let exit = subject.next_exit().await;
    assert_eq!(exit.record.sandbox_id, id);
    assert!(exit.reason.contains("life"), "{}", exit.reason);
}

pub(crate) async fn unknown_sandboxes_are_not_found<P: SandboxProvider>(subject: &Subject<P>) {
    let id = new_sandbox_id();
    let saved = subject.provider.snapshot(&id, &new_snapshot_id()).await.unwrap_err();
    assert!(matches!(saved, ProviderError::NotFound(_)), "{saved}");
    let ran = subject.provider.exec(&id, shell("true")).await.err().unwrap();
    assert!(matches!(ran, ProviderError::NotFound(_)), "{ran}");
    let dialled = subject.provider.dial(&id, 1).await.err().unwrap();
    assert!(matches!(dialled, ProviderError::NotFound(_)), "{dialled}");
    let asked = subject.provider.stats(&id).await.err().unwrap();
    assert!(matches!(asked, ProviderError::NotFound(_)), "{asked}");
}

pub(crate) async fn capabilities_name_the_provider_and_what_holds<P: SandboxProvider>(subject: &Subject<P>) {
    let capabilities = subject.provider.capabilities();
    assert_eq!(capabilities.provider, subject.name);
    assert!(capabilities.limits.iter().any(|limit| limit == "life"), "{capabilities:?}");
    let id = subject.create(&order()).await;
    let stats = soon("the figures", subject.provider.stats(&id)).await.unwrap();
    assert!(stats.processes >= 1, "{stats:?}");
}
