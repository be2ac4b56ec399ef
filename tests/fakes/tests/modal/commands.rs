//! Commands: output from any offset, input by offset, terminals, ends.

use crate::caller::{Caller, Running};
use bytes::Bytes;
use modal_api::task_exec_stdin_write_stream_request::Payload;
use modal_api::task_exec_wait_response::ExitStatus;
use modal_api::*;
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::Code;

fn input(
    sandbox: &Running,
    exec_id: &str,
    offset: u64,
    data: &'static str,
    eof: bool,
) -> TaskExecStdinWriteRequest {
    TaskExecStdinWriteRequest {
        task_id: sandbox.task_id.clone(),
        exec_id: exec_id.to_owned(),
        offset,
        data: Bytes::from_static(data.as_bytes()),
        eof,
    }
}

#[tokio::test]
async fn a_command_sees_the_sandboxs_files_and_variables() {
    let mut caller = Caller::start().await;
    let mut order = caller.order();
    let variables = BTreeMap::from([("GIVEN".to_owned(), "yes".to_owned())]);
    let source = secret_source::Source::Env(StringMap { contents: variables });
    order.secret_sources = vec![SecretSource { source: Some(source) }];
    let mut sandbox = caller.create(order).await.unwrap();
    let line = "pwd; id -u; echo $GIVEN $HOME $MODAL_SANDBOX_ID; echo text > /workspace/file; touch /usr/x || exit 3";
    let (output, exit) = sandbox.shell(line).await;
    assert_eq!(output, format!("/workspace\n0\nyes /root {}\n", sandbox.sandbox_id));
    assert_eq!(exit, ExitStatus::Code(3));
    let folder = caller.fake.sandbox(&sandbox.sandbox_id).unwrap().folder;
    assert_eq!(std::fs::read_to_string(folder.join("workspace/file")).unwrap(), "text\n");
}

#[tokio::test]
async fn output_is_read_from_any_offset_also_after_the_end() {
    let mut caller = Caller::start().await;
    let mut sandbox = caller.create(caller.order()).await.unwrap();
    let command = sandbox.command(&["sh", "-c", "printf onetwo; printf err >&2; exit 3"]);
    let exec_id = sandbox.begin(command).await;
    let (stdout, stderr) = (TaskExecStdioFileDescriptor::Stdout, TaskExecStdioFileDescriptor::Stderr);
    assert_eq!(sandbox.read(&exec_id, 0, stdout).await.unwrap(), "onetwo");
    assert_eq!(sandbox.exit(&exec_id).await, ExitStatus::Code(3));
    assert_eq!(sandbox.read(&exec_id, 3, stdout).await.unwrap(), "two");
    assert_eq!(sandbox.read(&exec_id, 0, stderr).await.unwrap(), "err");
}

#[tokio::test]
async fn a_program_left_in_the_background_does_not_keep_readers() {
    let mut caller = Caller::start().await;
    let mut sandbox = caller.create(caller.order()).await.unwrap();
    let (output, exit) = sandbox.shell("sleep 1000 & echo started").await;
    assert_eq!((output.as_str(), exit), ("started\n", ExitStatus::Code(0)));
}

#[tokio::test]
async fn output_that_is_not_asked_for_is_thrown_away() {
    let mut caller = Caller::start().await;
    let mut sandbox = caller.create(caller.order()).await.unwrap();
    let mut command = sandbox.command(&["echo", "text"]);
    command.stdout_config = TaskExecStdoutConfig::Devnull.into();
    let exec_id = sandbox.begin(command).await;
    let refused = sandbox.read(&exec_id, 0, TaskExecStdioFileDescriptor::Stdout).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let mut command = sandbox.command(&["echo", "text"]);
    command.stderr_config = TaskExecStderrConfig::Stdout.into();
    let refused = sandbox.router.task_exec_start(command).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_command_that_is_started_twice_runs_once() {
    let mut caller = Caller::start().await;
    let mut sandbox = caller.create(caller.order()).await.unwrap();
    let command = sandbox.command(&["sh", "-c", "echo run >> /tmp/runs"]);
    let exec_id = sandbox.begin(command.clone()).await;
    sandbox.begin(command).await;
    sandbox.exit(&exec_id).await;
    assert_eq!(sandbox.shell("cat /tmp/runs").await.0, "run\n");
}

#[tokio::test]
async fn input_that_is_sent_twice_arrives_once() {
    let mut caller = Caller::start().await;
    let mut sandbox = caller.create(caller.order()).await.unwrap();
    let command = sandbox.command(&["cat"]);
    let exec_id = sandbox.begin(command).await;
    let gap = input(&sandbox, &exec_id, 3, "x", false);
    let refused = sandbox.router.task_exec_stdin_write(gap).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    for (offset, data, eof) in [(0, "hello", false), (0, "hello", false), (3, "lo world", true)] {
        let write = input(&sandbox, &exec_id, offset, data, eof);
        sandbox.router.task_exec_stdin_write(write).await.unwrap();
    }
    assert_eq!(sandbox.read(&exec_id, 0, TaskExecStdioFileDescriptor::Stdout).await.unwrap(), "hello world");
    assert_eq!(sandbox.exit(&exec_id).await, ExitStatus::Code(0));
    let late = input(&sandbox, &exec_id, 11, "late", false);
    let refused = sandbox.router.task_exec_stdin_write(late).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn bulk_input_goes_on_where_a_broken_stream_ended() {
    let mut caller = Caller::start().await;
    let mut sandbox = caller.create(caller.order()).await.unwrap();
    let command = sandbox.command(&["sha256sum"]);
    let exec_id = sandbox.begin(command).await;
    let start = |offset| {
        let (task_id, exec_id) = (sandbox.task_id.clone(), exec_id.clone());
        Payload::Start(TaskExecStdinWriteStreamStart { task_id, exec_id, offset })
    };
    let block = Bytes::from(vec![7; 256 * 1024]);
    let message = |payload| TaskExecStdinWriteStreamRequest { payload: Some(payload) };
    // Without the end message the input stays open.
    let half = vec![message(start(0)), message(Payload::Data(block.clone()))];
    let rest = vec![
        message(start(block.len() as u64)),
        message(Payload::Data(block.clone())),
        message(Payload::End(TaskExecStdinWriteStreamEnd {})),
    ];
    let mut router = sandbox.router.clone();
    router.task_exec_stdin_write_stream(futures::stream::iter(half)).await.unwrap();
    let ask = TaskExecStdinStatusRequest { task_id: sandbox.task_id.clone(), exec_id: exec_id.clone() };
    let status = router.task_exec_stdin_status(ask.clone()).await.unwrap().into_inner();
    assert_eq!((status.num_bytes_written, status.closed), (block.len() as u64, false));
    router.task_exec_stdin_write_stream(futures::stream::iter(rest)).await.unwrap();
    let output = sandbox.read(&exec_id, 0, TaskExecStdioFileDescriptor::Stdout).await.unwrap();
    let (expected, _) = sandbox.shell("head -c 524288 /dev/zero | tr '\\0' '\\7' | sha256sum").await;
    assert_eq!(output, expected);
}

#[tokio::test]
async fn a_terminal_is_a_terminal() {
    let mut caller = Caller::start().await;
    let mut sandbox = caller.create(caller.order()).await.unwrap();
    let mut command = sandbox.command(&[
        "sh",
        "-c",
        "stty size; echo $TERM; tty > /dev/null && read line && echo got $line",
    ]);
    command.pty_info = Some(PtyInfo {
        enabled: true,
        winsz_rows: 30,
        winsz_cols: 90,
        env_term: "xterm".to_owned(),
        pty_type: PtyType::Shell.into(),
        no_terminate_on_idle_stdin: true,
    });
    let exec_id = sandbox.begin(command).await;
    let line = input(&sandbox, &exec_id, 0, "hello\n", false);
    sandbox.router.task_exec_stdin_write(line).await.unwrap();
    let output = sandbox.read(&exec_id, 0, TaskExecStdioFileDescriptor::Stdout).await.unwrap();
    assert_eq!(sandbox.exit(&exec_id).await, ExitStatus::Code(0), "{output}");
    // The terminal's own echo of the input stands anywhere between.
    let lines: Vec<&str> = output.split("\r\n").filter(|line| *line != "hello").collect();
    assert_eq!(lines, ["30 90", "xterm", "got hello", ""]);
}

#[tokio::test]
async fn a_command_is_killed_when_its_time_is_over() {
    let mut caller = Caller::start().await;
    let mut sandbox = caller.create(caller.order()).await.unwrap();
    let mut command = sandbox.command(&["sleep", "1000"]);
    command.timeout_secs = Some(60);
    let exec_id = sandbox.begin(command).await;
    let poll = TaskExecPollRequest { task_id: sandbox.task_id.clone(), exec_id: exec_id.clone() };
    let running = sandbox.router.task_exec_poll(poll).await.unwrap().into_inner();
    assert_eq!(running.exit_status, None);
    caller.fake.clock().advance(Duration::from_secs(60));
    assert_eq!(sandbox.exit(&exec_id).await, ExitStatus::Signal(9));
}

#[tokio::test]
async fn what_the_first_process_wrote_is_kept_in_part() {
    let options =
        fakes::modal::ModalOptions { kept_output_bytes: 10, ..fakes::modal::ModalOptions::default() };
    let mut caller = Caller::start_with(options).await;
    let mut order = caller.order();
    let line = "printf 0123456789abcde; echo done > /tmp/done; sleep 1000";
    order.definition.as_mut().unwrap().entrypoint_args = ["sh", "-c", line].map(str::to_owned).to_vec();
    let mut sandbox = caller.create(order).await.unwrap();
    sandbox.shell("until test -e /tmp/done; do :; done").await;
    let read = SandboxStdioReadV2Request {
        task_id: sandbox.task_id.clone(),
        offset: 0,
        file_descriptor: SandboxStdioFileDescriptor::Stdout.into(),
    };
    let mut pieces = sandbox.router.sandbox_stdio_read_v2(read).await.unwrap().into_inner();
    let piece = pieces.message().await.unwrap().unwrap();
    assert_eq!((piece.starting_offset, piece.data.as_ref()), (5, b"56789abcde".as_slice()));
}

#[tokio::test]
async fn a_token_opens_one_sandbox_and_not_for_ever() {
    let mut caller = Caller::start().await;
    let mut one = caller.create(caller.order()).await.unwrap();
    let other = caller.create(caller.order()).await.unwrap();
    let mut command = one.command(&["true"]);
    command.task_id = other.task_id;
    assert_eq!(one.router.task_exec_start(command).await.unwrap_err().code(), Code::PermissionDenied);
    caller.fake.revoke_tokens();
    let command = one.command(&["true"]);
    assert_eq!(one.router.task_exec_start(command).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn only_an_allow_list_replaces_what_a_sandbox_may_reach() {
    let mut caller = Caller::start().await;
    let mut sandbox = caller.create(caller.order()).await.unwrap();
    let mut access = NetworkAccess {
        network_access_type: NetworkAccessType::Open.into(),
        allowed_domains: vec!["example.org".to_owned()],
        ..NetworkAccess::default()
    };
    let request = |access: &NetworkAccess, task_id: &str| TaskSetNetworkAccessRequest {
        task_id: task_id.to_owned(),
        network_access: Some(access.clone()),
    };
    let refused =
        sandbox.router.task_set_network_access(request(&access, &sandbox.task_id)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    access.network_access_type = NetworkAccessType::Allowlist.into();
    sandbox.router.task_set_network_access(request(&access, &sandbox.task_id)).await.unwrap();
    assert_eq!(caller.fake.sandbox(&sandbox.sandbox_id).unwrap().network, access);
}
