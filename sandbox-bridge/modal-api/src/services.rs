//! The two services' methods as a table, from which the build script writes their code and the conformance test reads what to compare.
//!
//! Names of methods and messages are Modal's. Messages without prefix are those of this crate.

/// What stands for `google.protobuf.Empty`.
pub const EMPTY: &str = "google.protobuf.Empty";

/// One gRPC service.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Protobuf package.
    pub package: &'static str,
    /// Name in the package.
    pub name: &'static str,
    /// What it is for.
    pub comment: &'static str,
    /// Those that Farhand uses.
    pub methods: &'static [Method],
}

/// One method.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// As in the path of its requests.
    pub name: &'static str,
    /// Message that is sent.
    pub request: &'static str,
    /// Message that comes back.
    pub response: &'static str,
    /// Which side sends more than one message.
    pub streaming: Streaming,
    /// What it is for.
    pub comment: &'static str,
}

/// Which side of a call sends more than one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streaming {
    /// Neither.
    None,
    /// The caller.
    Request,
    /// The one that answers.
    Response,
}

/// All services.
pub const SERVICES: &[Service] = &[
    Service {
        package: "modal.client",
        name: "ModalClient",
        comment: "The control plane, at one address for all sandboxes.",
        methods: &[
            Method {
                name: "AppGetOrCreate",
                request: "AppGetOrCreateRequest",
                response: "AppGetOrCreateResponse",
                streaming: Streaming::None,
                comment: "Finds an app by name, or makes it.",
            },
            Method {
                name: "AuthTokenGet",
                request: "AuthTokenGetRequest",
                response: "AuthTokenGetResponse",
                streaming: Streaming::None,
                comment: "A short-lived token for the calls of V2 sandboxes.",
            },
            Method {
                name: "DictContents",
                request: "DictContentsRequest",
                response: "DictEntry",
                streaming: Streaming::Response,
                comment: "All entries of a dictionary.",
            },
            Method {
                name: "DictGet",
                request: "DictGetRequest",
                response: "DictGetResponse",
                streaming: Streaming::None,
                comment: "One value of a dictionary.",
            },
            Method {
                name: "DictGetOrCreate",
                request: "DictGetOrCreateRequest",
                response: "DictGetOrCreateResponse",
                streaming: Streaming::None,
                comment: "Finds a dictionary by name, or makes it.",
            },
            Method {
                name: "DictPop",
                request: "DictPopRequest",
                response: "DictPopResponse",
                streaming: Streaming::None,
                comment: "Removes an entry of a dictionary.",
            },
            Method {
                name: "DictUpdate",
                request: "DictUpdateRequest",
                response: "DictUpdateResponse",
                streaming: Streaming::None,
                comment: "Writes entries, also only where there is none: of all who do that, one is told that it was first.",
            },
            Method {
                name: "EnvironmentGetOrCreate",
                request: "EnvironmentGetOrCreateRequest",
                response: "EnvironmentGetOrCreateResponse",
                streaming: Streaming::None,
                comment: "An environment's settings, of which image builds need the builder's version.",
            },
            Method {
                name: "ImageDelete",
                request: "ImageDeleteRequest",
                response: EMPTY,
                streaming: Streaming::None,
                comment: "Removes an image or a snapshot.",
            },
            Method {
                name: "ImageFromId",
                request: "ImageFromIdRequest",
                response: "ImageFromIdResponse",
                streaming: Streaming::None,
                comment: "Whether an image or a snapshot exists still.",
            },
            Method {
                name: "ImageGetOrCreate",
                request: "ImageGetOrCreateRequest",
                response: "ImageGetOrCreateResponse",
                streaming: Streaming::None,
                comment: "Begins to build one layer, or finds it built.",
            },
            Method {
                name: "ImageJoinStreaming",
                request: "ImageJoinStreamingRequest",
                response: "ImageJoinStreamingResponse",
                streaming: Streaming::Response,
                comment: "The logs of a build and at last its result.",
            },
            Method {
                name: "SandboxCreateV2",
                request: "SandboxCreateV2Request",
                response: "SandboxCreateV2Response",
                streaming: Streaming::None,
                comment: "Starts a sandbox.",
            },
            Method {
                name: "SandboxGetCommandRouterAccess",
                request: "SandboxGetCommandRouterAccessRequest",
                response: "SandboxGetCommandRouterAccessResponse",
                streaming: Streaming::None,
                comment: "Address and token of the worker that a sandbox runs on.",
            },
            Method {
                name: "SandboxGetExitSnapshotV2",
                request: "SandboxGetExitSnapshotRequest",
                response: "SandboxGetExitSnapshotResponse",
                streaming: Streaming::None,
                comment: "The snapshot that a sandbox left when it ended.",
            },
            Method {
                name: "SandboxGetFromNameV2",
                request: "SandboxGetFromNameRequest",
                response: "SandboxGetFromNameResponse",
                streaming: Streaming::None,
                comment: "The sandbox that has a name.",
            },
            Method {
                name: "SandboxGetTaskIdV2",
                request: "SandboxGetTaskIdRequest",
                response: "SandboxGetTaskIdResponse",
                streaming: Streaming::None,
                comment: "The task that a sandbox is, for callers that know only its id.",
            },
            Method {
                name: "SandboxListV2",
                request: "SandboxListRequest",
                response: "SandboxListResponse",
                streaming: Streaming::None,
                comment: "A page of an app's sandboxes, the newest first.",
            },
            Method {
                name: "SandboxSetName",
                request: "SandboxSetNameRequest",
                response: "SandboxSetNameResponse",
                streaming: Streaming::None,
                comment: "Names a sandbox that has no name: one caller wins.",
            },
            Method {
                name: "SandboxTagsGetV2",
                request: "SandboxTagsGetRequest",
                response: "SandboxTagsGetResponse",
                streaming: Streaming::None,
                comment: "A sandbox's tags.",
            },
            Method {
                name: "SandboxTagsSetV2",
                request: "SandboxTagsSetRequest",
                response: EMPTY,
                streaming: Streaming::None,
                comment: "Replaces a sandbox's tags.",
            },
            Method {
                name: "SandboxTerminateV2",
                request: "SandboxTerminateRequest",
                response: "SandboxTerminateResponse",
                streaming: Streaming::None,
                comment: "Ends a sandbox.",
            },
            Method {
                name: "SandboxWaitV2",
                request: "SandboxWaitRequest",
                response: "SandboxWaitResponse",
                streaming: Streaming::None,
                comment: "Waits for a sandbox's end, for so long.",
            },
            Method {
                name: "SecretDelete",
                request: "SecretDeleteRequest",
                response: EMPTY,
                streaming: Streaming::None,
                comment: "Removes a stored secret.",
            },
            Method {
                name: "SecretGetOrCreate",
                request: "SecretGetOrCreateRequest",
                response: "SecretGetOrCreateResponse",
                streaming: Streaming::None,
                comment: "Finds a stored secret, or makes one.",
            },
        ],
    },
    Service {
        package: "modal.task_command_router",
        name: "TaskCommandRouter",
        comment: "What a sandbox's worker answers; its address and token come from the control plane.",
        methods: &[
            Method {
                name: "SandboxStdioReadV2",
                request: "SandboxStdioReadV2Request",
                response: "SandboxStdioReadV2Response",
                streaming: Streaming::Response,
                comment: "What a sandbox's first process wrote.",
            },
            Method {
                name: "TaskExecPoll",
                request: "TaskExecPollRequest",
                response: "TaskExecPollResponse",
                streaming: Streaming::None,
                comment: "Whether a command has ended.",
            },
            Method {
                name: "TaskExecStart",
                request: "TaskExecStartRequest",
                response: "TaskExecStartResponse",
                streaming: Streaming::None,
                comment: "Starts a command in a sandbox.",
            },
            Method {
                name: "TaskExecStdinStatus",
                request: "TaskExecStdinStatusRequest",
                response: "TaskExecStdinStatusResponse",
                streaming: Streaming::None,
                comment: "How much of a command's input arrived.",
            },
            Method {
                name: "TaskExecStdinWrite",
                request: "TaskExecStdinWriteRequest",
                response: "TaskExecStdinWriteResponse",
                streaming: Streaming::None,
                comment: "A piece of a command's input.",
            },
            Method {
                name: "TaskExecStdinWriteStream",
                request: "TaskExecStdinWriteStreamRequest",
                response: "TaskExecStdinWriteStreamResponse",
                streaming: Streaming::Request,
                comment: "A command's input in bulk.",
            },
            Method {
                name: "TaskExecStdioRead",
                request: "TaskExecStdioReadRequest",
                response: "TaskExecStdioReadResponse",
                streaming: Streaming::Response,
                comment: "What a command wrote, from an offset on.",
            },
            Method {
                name: "TaskExecWait",
                request: "TaskExecWaitRequest",
                response: "TaskExecWaitResponse",
                streaming: Streaming::None,
                comment: "Waits for a command's end.",
            },
            Method {
                name: "TaskSetNetworkAccess",
                request: "TaskSetNetworkAccessRequest",
                response: "TaskSetNetworkAccessResponse",
                streaming: Streaming::None,
                comment: "Replaces what a running sandbox may reach.",
            },
            Method {
                name: "TaskSnapshotFilesystem",
                request: "TaskSnapshotFilesystemRequest",
                response: "TaskSnapshotFilesystemResponse",
                streaming: Streaming::None,
                comment: "Saves a sandbox's files as an image.",
            },
        ],
    },
];
