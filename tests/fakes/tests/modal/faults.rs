//! Scripted faults: what the caller sees, and what was done all the same.

use crate::caller::Caller;
use fakes::modal::{Fault, ModalOptions};
use modal_api::status::retry_after;
use modal_api::*;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tonic::Code;

#[tokio::test]
async fn a_call_that_fails_did_nothing_and_one_whose_reply_is_lost_did() {
    let mut caller = Caller::start().await;
    caller.fake.script("SandboxCreateV2", 2, &Fault::UNAVAILABLE);
    caller.fake.script("SandboxCreateV2", 1, &Fault::ReplyLost);
    let mut counts = Vec::new();
    for _ in 0..3 {
        let failed = caller.create(caller.named("session-1")).await.map(|_| ()).unwrap_err();
        assert_eq!(failed.code(), Code::Unavailable);
        counts.push(caller.fake.running().len());
    }
    assert_eq!(counts, [0, 0, 1]);
    let taken = caller.create(caller.named("session-1")).await.map(|_| ()).unwrap_err();
    assert_eq!(taken.code(), Code::AlreadyExists);
    assert_eq!(caller.fake.methods(), ["SandboxCreateV2"; 4]);
    let call = &caller.fake.calls_of("SandboxCreateV2")[2];
    let message: SandboxCreateV2Request = call.message().unwrap();
    assert_eq!(message, caller.named("session-1"));
    assert_eq!(call.metadata[metadata::TOKEN_ID], caller.fake.token_id());
}

#[tokio::test]
async fn a_throttled_call_says_when_to_come_again() {
    let mut caller = Caller::start().await;
    caller.fake.script("SandboxListV2", 1, &Fault::Throttled(Duration::from_millis(1500)));
    let list = SandboxListRequest { app_id: caller.app_id.clone(), ..SandboxListRequest::default() };
    let refused = caller.control.sandbox_list_v2(list.clone()).await.unwrap_err();
    assert_eq!(
        (refused.code(), retry_after(&refused)),
        (Code::ResourceExhausted, Some(Duration::from_millis(1500)))
    );
    caller.control.sandbox_list_v2(list).await.unwrap();
}

#[tokio::test]
async fn a_stream_is_cut_after_so_many_messages() {
    let mut caller = Caller::start().await;
    let mut sandbox = caller.create(caller.order()).await.unwrap();
    let command = sandbox.command(&["sh", "-c", "printf one; read line; printf two"]);
    let exec_id = sandbox.begin(command).await;
    caller.fake.script("TaskExecStdioRead", 1, &Fault::Cut(1));
    let request = sandbox.output_request(&exec_id, 0, TaskExecStdioFileDescriptor::Stdout);
    let mut pieces = sandbox.router.task_exec_stdio_read(request).await.unwrap().into_inner();
    assert_eq!(pieces.message().await.unwrap().unwrap().data.as_ref(), b"one");
    assert_eq!(pieces.message().await.unwrap_err().code(), Code::Unavailable);
    let write = TaskExecStdinWriteRequest {
        task_id: sandbox.task_id.clone(),
        exec_id: exec_id.clone(),
        data: b"\n".as_slice().into(),
        ..TaskExecStdinWriteRequest::default()
    };
    sandbox.router.task_exec_stdin_write(write).await.unwrap();
    assert_eq!(sandbox.read(&exec_id, 3, TaskExecStdioFileDescriptor::Stdout).await.unwrap(), "two");
}

#[tokio::test]
async fn a_call_that_hangs_is_ended_by_the_callers_deadline() {
    let mut caller = Caller::start().await;
    caller.fake.script("SandboxListV2", 1, &Fault::Hangs);
    let mut request = tonic::Request::new(SandboxListRequest::default());
    request.set_timeout(Duration::from_millis(50));
    let late = caller.control.sandbox_list_v2(request).await.unwrap_err();
    assert!(matches!(late.code(), Code::Cancelled | Code::DeadlineExceeded), "{late:?}");
}

#[tokio::test]
async fn calls_take_as_long_as_they_are_said_to() {
    let latency = Duration::from_millis(50);
    let options =
        ModalOptions { latencies: BTreeMap::from([("SandboxCreateV2", latency)]), ..ModalOptions::default() };
    let mut caller = Caller::start_with(options).await;
    let begun = Instant::now();
    caller.create(caller.order()).await.unwrap();
    assert!(begun.elapsed() >= latency);
}

#[tokio::test]
async fn a_sandbox_is_ended_as_its_machine_would() {
    let mut caller = Caller::start().await;
    let preempted = caller.create(caller.order()).await.unwrap().sandbox_id;
    let killed = caller.create(caller.order()).await.unwrap().sandbox_id;
    caller.fake.preempt(&preempted).await;
    caller.fake.end(&killed, GenericStatus::KernelOomKill, "out of memory").await;
    let result = caller.wait(&preempted, 0.0).await;
    assert_eq!(
        (result.status(), result.exception.as_str()),
        (GenericStatus::Terminated, "Sandbox was preempted")
    );
    assert_eq!(caller.wait(&killed, 0.0).await.status(), GenericStatus::KernelOomKill);
}
