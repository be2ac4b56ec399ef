//! What was asked of the stand-in, and what it is to do wrong: every call is recorded, and scripted faults happen to the next calls.

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use modal_api::services::SERVICES;
use prost::Message;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tonic::metadata::KeyAndValueRef;
use tonic::{Code, Request, Response, Status};

/// One call, as it came.
#[derive(Clone)]
pub struct Call {
    /// Such as `SandboxCreateV2`.
    pub method: &'static str,
    /// Names in lower case; values that are not text are left out.
    pub metadata: BTreeMap<String, String>,
    message: Bytes,
}

impl Call {
    /// What was sent; of calls with several messages the first.
    pub fn message<M: Message + Default>(&self) -> Result<M, prost::DecodeError> {
        M::decode(self.message.clone())
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("method", &self.method).finish_non_exhaustive()
    }
}

/// What goes wrong with a call.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It fails and nothing is done.
    Fails(Code, &'static str),
    /// It is refused with the request to come again after that time.
    Throttled(Duration),
    /// It is done, and the answer does not arrive.
    ReplyLost,
    /// It begins so much later.
    Slow(Duration),
    /// It is never answered.
    Hangs,
    /// Its stream breaks after so many messages.
    Cut(usize),
}

impl Fault {
    /// The service cannot be reached.
    pub const UNAVAILABLE: Self = Self::Fails(Code::Unavailable, "connection refused");
    /// The caller's token is too old.
    pub const TOKEN_EXPIRED: Self = Self::Fails(Code::Unauthenticated, "token has expired");
}

/// How an answer leaves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    Arrives,
    Lost,
    CutAfter(usize),
}

pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Ending {
    pub(super) fn reply<T>(self, answer: T) -> Result<Response<T>, Status> {
        match self {
            Self::Arrives => Ok(Response::new(answer)),
            Self::Lost | Self::CutAfter(_) => Err(broken()),
        }
    }

    pub(super) fn stream<T: Send + 'static>(
        self,
        answers: impl Stream<Item = Result<T, Status>> + Send + 'static,
    ) -> Result<Response<Answers<T>>, Status> {
        let answers: Answers<T> = match self {
            Self::Arrives => Box::pin(answers),
            Self::Lost => return Err(broken()),
            Self::CutAfter(count) => {
                let end = futures::stream::once(async { Err(broken()) });
                Box::pin(answers.take(count).chain(end))
            }
        };
        Ok(Response::new(answers))
    }
}

fn broken() -> Status {
    Status::unavailable("connection reset by peer")
}

/// Recorded calls and faults to come.
#[derive(Debug)]
pub(super) struct Calls {
    latencies: BTreeMap<&'static str, Duration>,
    jitter: Duration,
    recorded: Mutex<Vec<Call>>,
    script: Mutex<BTreeMap<&'static str, VecDeque<Fault>>>,
}

impl Calls {
    pub(super) fn new(latencies: BTreeMap<&'static str, Duration>, jitter: Duration) -> Self {
        Self { latencies, jitter, recorded: Mutex::default(), script: Mutex::default() }
    }

    pub(super) fn recorded(&self) -> Vec<Call> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn forget(&self) {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn script(&self, method: &str, times: usize, fault: &Fault) {
        let methods = SERVICES.iter().flat_map(|service| service.methods);
        let known = methods.map(|known| known.name).find(|name| *name == method);
        assert!(known.is_some(), "Modal has no method {method:?} that Farhand uses");
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(method) = known {
            script.entry(method).or_default().extend(std::iter::repeat_n(fault.clone(), times));
        }
    }

    /// Records a call and lets its fault happen.
    pub(super) async fn admit<M: Message>(
        &self,
        method: &'static str,
        request: &Request<M>,
    ) -> Result<Ending, Status> {
        self.admit_message(method, request.metadata(), request.get_ref().encode_to_vec().into()).await
    }

    pub(super) async fn admit_message(
        &self,
        method: &'static str,
        metadata: &tonic::metadata::MetadataMap,
        message: Bytes,
    ) -> Result<Ending, Status> {
        let call = Call { method, metadata: texts(metadata), message };
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        if let Some(latency) = self.latencies.get(method) {
            tokio::time::sleep(*latency).await;
        }
        if !self.jitter.is_zero() {
            let random = u32::from_str_radix(&crate::token::random_hex(4), 16).unwrap_or_default();
            tokio::time::sleep(self.jitter.mul_f64(f64::from(random) / f64::from(u32::MAX))).await;
        }
        let fault = self
            .script
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_mut(method)
            .and_then(VecDeque::pop_front);
        match fault {
            None => Ok(Ending::Arrives),
            Some(Fault::Fails(code, message)) => Err(Status::new(code, message)),
            Some(Fault::Throttled(after)) => {
                Err(modal_api::status::throttled(Code::ResourceExhausted, "rate limit exceeded", after))
            }
            Some(Fault::ReplyLost) => Ok(Ending::Lost),
            Some(Fault::Slow(time)) => {
                tokio::time::sleep(time).await;
                Ok(Ending::Arrives)
            }
            Some(Fault::Hangs) => std::future::pending().await,
            Some(Fault::Cut(messages)) => Ok(Ending::CutAfter(messages)),
        }
    }
}

fn texts(metadata: &tonic::metadata::MetadataMap) -> BTreeMap<String, String> {
    metadata
        .iter()
        .filter_map(|entry| match entry {
            KeyAndValueRef::Ascii(name, value) => {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            }
            KeyAndValueRef::Binary(..) => None,
        })
        .collect()
}
