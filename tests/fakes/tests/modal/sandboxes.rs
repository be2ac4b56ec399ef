//! A sandbox's life: names as claims, tags, lists, ends.

use crate::caller::Caller;
use fakes::modal::ModalOptions;
use modal_api::*;
use std::time::Duration;
use tonic::Code;

fn tag(name: &str, value: &str) -> SandboxTag {
    SandboxTag { tag_name: name.to_owned(), tag_value: value.to_owned() }
}

#[tokio::test]
async fn a_name_belongs_to_one_running_sandbox() {
    let mut caller = Caller::start().await;
    let first = caller.create(caller.named("session-1")).await.unwrap();
    let taken = caller.create(caller.named("session-1")).await.map(|_| ()).unwrap_err();
    assert_eq!(taken.code(), Code::AlreadyExists);
    let mut find = SandboxGetFromNameRequest {
        sandbox_name: "session-1".to_owned(),
        app_name: "farhand".to_owned(),
        ..SandboxGetFromNameRequest::default()
    };
    let found = caller.control.sandbox_get_from_name_v2(find.clone()).await.unwrap().into_inner();
    assert_eq!(found.sandbox_id, first.sandbox_id);

    caller.terminate(&first.sandbox_id).await;
    assert_eq!(
        caller.control.sandbox_get_from_name_v2(find.clone()).await.unwrap_err().code(),
        Code::NotFound
    );
    find.include_terminated = true;
    let found = caller.control.sandbox_get_from_name_v2(find).await.unwrap().into_inner();
    assert_eq!(found.sandbox_id, first.sandbox_id);
    caller.create(caller.named("session-1")).await.unwrap();
}

#[tokio::test]
async fn of_many_who_claim_one_name_at_once_one_wins() {
    let mut caller = Caller::start().await;
    let mut members = Vec::new();
    for _ in 0..4 {
        members.push(caller.create(caller.order()).await.unwrap().sandbox_id);
    }
    let claims =
        members.iter().map(|sandbox_id| {
            let (mut control, sandbox_id) = (caller.control.clone(), sandbox_id.clone());
            async move {
                control.sandbox_set_name(SandboxSetNameRequest { sandbox_id, name: "won".to_owned() }).await
            }
        });
    let answers = futures::future::join_all(claims).await;
    let codes: Vec<Code> =
        answers.iter().filter_map(|answer| answer.as_ref().err().map(tonic::Status::code)).collect();
    assert_eq!(codes, [Code::AlreadyExists; 3]);

    let winner = caller.fake.running().into_iter().find(|sandbox| sandbox.name == "won").unwrap();
    let mut set = async |name: &str| {
        let request = SandboxSetNameRequest { sandbox_id: winner.sandbox_id.clone(), name: name.to_owned() };
        caller.control.sandbox_set_name(request).await.map(|_| ()).map_err(|status| status.code())
    };
    assert_eq!(set("won").await, Ok(()));
    assert_eq!(set("other").await, Err(Code::FailedPrecondition));
}

#[tokio::test]
async fn a_list_is_read_page_by_page_with_the_newest_first() {
    let mut caller = Caller::start_with(ModalOptions { page_size: 2, ..ModalOptions::default() }).await;
    let mut created = Vec::new();
    for index in 0..5 {
        let mut order = caller.order();
        order.tags = vec![tag("pool", if index == 2 { "claimed" } else { "warm" }), tag("repo", "a/b")];
        created.push(caller.create(order).await.unwrap().sandbox_id);
    }
    caller.terminate(&created[4]).await;
    let mut list = async |tags: Vec<SandboxTag>, include_finished: bool| {
        let (mut found, mut before_timestamp) = (Vec::new(), 0.0);
        loop {
            let app_id = caller.app_id.clone();
            let tags = tags.clone();
            let request = SandboxListRequest {
                app_id,
                before_timestamp,
                include_finished,
                tags,
                ..SandboxListRequest::default()
            };
            let page = caller.control.sandbox_list_v2(request).await.unwrap().into_inner().sandboxes;
            let Some(last) = page.last() else { break found };
            assert!(page.len() <= 2);
            before_timestamp = last.created_at;
            found.extend(page.into_iter().map(|info| created.iter().position(|id| *id == info.id).unwrap()));
        }
    };
    assert_eq!(list(vec![], false).await, [3, 2, 1, 0]);
    assert_eq!(list(vec![], true).await, [4, 3, 2, 1, 0]);
    assert_eq!(list(vec![tag("pool", "warm"), tag("repo", "a/b")], false).await, [3, 1, 0]);
    assert_eq!(list(vec![tag("pool", "none")], false).await, [0_usize; 0]);
}

#[tokio::test]
async fn tags_are_replaced_as_a_whole() {
    let mut caller = Caller::start().await;
    let mut order = caller.order();
    order.tags = vec![tag("repo", "a/b"), tag("pool", "warm")];
    let sandbox_id = caller.create(order).await.unwrap().sandbox_id;
    let set = SandboxTagsSetRequest {
        sandbox_id: sandbox_id.clone(),
        tags: vec![tag("pool", "claimed")],
        ..SandboxTagsSetRequest::default()
    };
    caller.control.sandbox_tags_set_v2(set).await.unwrap();
    let get = SandboxTagsGetRequest { sandbox_id };
    let tags = caller.control.sandbox_tags_get_v2(get).await.unwrap().into_inner().tags;
    assert_eq!(tags, [tag("pool", "claimed")]);
}

#[tokio::test]
async fn a_sandbox_ends_with_its_first_process() {
    let mut caller = Caller::start().await;
    for (line, status, exitcode) in [
        ("exit 0", GenericStatus::Success, 0),
        ("exit 7", GenericStatus::Failure, 7),
        ("kill -9 $$", GenericStatus::Failure, 137),
    ] {
        let mut order = caller.order();
        order.definition.as_mut().unwrap().entrypoint_args = ["sh", "-c", line].map(str::to_owned).to_vec();
        let sandbox_id = caller.create(order).await.unwrap().sandbox_id;
        let result = caller.wait(&sandbox_id, 10.0).await;
        assert_eq!((result.status(), result.exitcode), (status, exitcode), "{line}");
    }
}

#[tokio::test]
async fn a_sandbox_whose_command_is_not_there_says_so() {
    let mut caller = Caller::start().await;
    let mut order = caller.order();
    order.definition.as_mut().unwrap().entrypoint_args = vec!["/no/such/program".to_owned()];
    let sandbox_id = caller.create(order).await.unwrap().sandbox_id;
    let result = caller.wait(&sandbox_id, 10.0).await;
    assert_eq!(result.status(), GenericStatus::InitFailure);
    assert!(result.exception.contains("No such file"), "{}", result.exception);
}

#[tokio::test]
async fn a_sandbox_ends_when_its_time_is_over() {
    let mut caller = Caller::start().await;
    let sandbox = caller.create(caller.order()).await.unwrap();
    assert_eq!(caller.wait(&sandbox.sandbox_id, 0.0).await.status(), GenericStatus::Unspecified);
    caller.fake.clock().advance(Duration::from_secs(3599));
    assert_eq!(caller.wait(&sandbox.sandbox_id, 0.0).await.status(), GenericStatus::Unspecified);
    caller.fake.clock().advance(Duration::from_secs(1));
    assert_eq!(caller.wait(&sandbox.sandbox_id, 10.0).await.status(), GenericStatus::Timeout);
}

#[tokio::test]
async fn an_idle_sandbox_ends_but_not_while_a_command_runs() {
    let mut caller = Caller::start().await;
    let mut order = caller.order();
    order.definition.as_mut().unwrap().idle_timeout_secs = Some(60);
    let mut sandbox = caller.create(order).await.unwrap();
    let command = sandbox.command(&["cat"]);
    let exec_id = sandbox.begin(command).await;
    caller.fake.clock().advance(Duration::from_secs(100));
    assert_eq!(caller.wait(&sandbox.sandbox_id, 0.2).await.status(), GenericStatus::Unspecified);
    let end = TaskExecStdinWriteRequest {
        task_id: sandbox.task_id.clone(),
        exec_id: exec_id.clone(),
        eof: true,
        ..TaskExecStdinWriteRequest::default()
    };
    sandbox.router.task_exec_stdin_write(end).await.unwrap();
    sandbox.exit(&exec_id).await;
    while caller.wait(&sandbox.sandbox_id, 0.05).await.status() == GenericStatus::Unspecified {
        caller.fake.clock().advance(Duration::from_secs(30));
    }
    assert_eq!(caller.wait(&sandbox.sandbox_id, 0.0).await.status(), GenericStatus::IdleTimeout);
}

#[tokio::test]
async fn the_end_of_a_sandbox_is_the_end_of_all_that_runs_in_it() {
    let mut caller = Caller::start().await;
    let mut sandbox = caller.create(caller.order()).await.unwrap();
    let line = "setsid sleep 1000 >/dev/null 2>&1 & echo $!; nohup sleep 1000 >/dev/null 2>&1 & echo $!";
    let (pids, _) = sandbox.shell(line).await;
    let pids: Vec<i32> = pids.lines().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 2);
    let first = caller.terminate(&sandbox.sandbox_id).await;
    assert_eq!(first.existing_result, None);
    let result = caller.wait(&sandbox.sandbox_id, 0.0).await;
    assert_eq!((result.status(), result.exitcode), (GenericStatus::Terminated, 137));
    for pid in pids {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
    }
    let again = caller.terminate(&sandbox.sandbox_id).await;
    assert_eq!(again.existing_result.unwrap().status(), GenericStatus::Terminated);
    let gone = sandbox.read("exec-1", 0, TaskExecStdioFileDescriptor::Stdout).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    let target = sandbox_get_command_router_access_request::Target::SandboxId(sandbox.sandbox_id);
    let access = SandboxGetCommandRouterAccessRequest { target: Some(target) };
    let refused = caller.control.sandbox_get_command_router_access(access).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn nothing_is_left_of_a_stand_in_that_ended() {
    let mut caller = Caller::start().await;
    let mut sandbox = caller.create(caller.order()).await.unwrap();
    let (pid, _) = sandbox.shell("setsid sleep 1000 >/dev/null 2>&1 & echo $!").await;
    let folder = caller.fake.sandbox(&sandbox.sandbox_id).unwrap().folder;
    assert!(folder.exists());
    drop(caller);
    assert!(!folder.exists());
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "{state}");
}

#[tokio::test]
async fn a_sandbox_that_cannot_be_is_refused() {
    let mut caller = Caller::start().await;
    type Change = fn(&mut Sandbox);
    let changes: [(Change, Code); 6] = [
        (|sandbox| sandbox.image_id = "im-missing".to_owned(), Code::NotFound),
        (|sandbox| sandbox.timeout_secs = 90_000, Code::InvalidArgument),
        (|sandbox| sandbox.workdir = Some("relative".to_owned()), Code::InvalidArgument),
        (|sandbox| sandbox.name = Some("with space".to_owned()), Code::InvalidArgument),
        (|sandbox| sandbox.network_access = None, Code::InvalidArgument),
        (
            |sandbox| {
                sandbox.resources =
                    Some(Resources { memory_mb: 2, memory_mb_max: 1, ..Resources::default() });
            },
            Code::InvalidArgument,
        ),
    ];
    for (change, code) in changes {
        let mut order = caller.order();
        change(order.definition.as_mut().unwrap());
        let refused = caller.create(order).await.map(|_| ()).unwrap_err();
        assert_eq!(refused.code(), code, "{}", refused.message());
    }
    assert_eq!(caller.fake.sandboxes(), []);
}
