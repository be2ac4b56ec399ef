//! ThreadObject: the shell of one Slack thread. It stores what it is told, answers, and then does what follows, row by row.
//!
//! It is here and not beside its core because it acts in the name of people, by the functions that answer their requests. It lives as long
//! as its thread, because a thread stays bound to its session for ever; it keeps nothing in memory that SQLite cannot give back.
#![expect(missing_docs, reason = "`#[durable_object]` exports methods that carry no documentation")]

mod api;
mod attachment;
mod click;
mod message;
mod person;
mod post;
mod shell;

use platform::answer::{json, read, refuse};
use platform::failure::Failure;
use platform::host::now;
use platform::log::About;
use protocol::error::ErrorCode;
use protocol::limit::REQUEST_BYTES_MAX;
use serde_json::Value;
use shell::Shell;
use slack::event::Message;
use slack::interaction::Interaction;
use std::rc::Rc;
use thread::call::Call;
use thread::store::Taken;
use worker::{
    DurableObject, Env, Error, Request, Response, Result, State, WebSocket, WebSocketIncomingMessage,
    durable_object,
};

/// The Durable Object that owns one Slack thread.
#[durable_object]
pub struct ThreadObject {
    shell: Rc<Shell>,
}

impl DurableObject for ThreadObject {
    fn new(state: State, env: Env) -> Self {
        Self { shell: Rc::new(Shell::new(state, env)) }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        match answer(&self.shell, &mut request).await {
            Ok(response) => Ok(response),
            Err(failure) => refuse(failure, &About::default()),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        self.shell.go_on().await;
        Response::empty()
    }

    async fn websocket_message(&self, _socket: WebSocket, _message: WebSocketIncomingMessage) -> Result<()> {
        Ok(())
    }

    async fn websocket_close(
        &self,
        _socket: WebSocket,
        _code: usize,
        _reason: String,
        _clean: bool,
    ) -> Result<()> {
        Ok(())
    }

    async fn websocket_error(&self, _socket: WebSocket, _error: Error) -> Result<()> {
        Ok(())
    }

    async fn connect(&self, _socket: worker::Socket) -> Result<()> {
        Err(Error::RustError("a thread takes no TCP connections".to_owned()))
    }
}

async fn answer(shell: &Rc<Shell>, request: &mut Request) -> std::result::Result<Response, Failure> {
    let call = Call::find(&request.path())
        .ok_or_else(|| Failure::refused(ErrorCode::NotFound, "a thread has no such call"))?;
    let body: Value = read(request, REQUEST_BYTES_MAX).await?;
    let malformed = || Failure::refused(ErrorCode::BadRequest, "the call is not as expected");
    let home = body.get("home").and_then(Value::as_str).unwrap_or_default();
    let at = now();
    let taken = match call {
        Call::Message => {
            let message = body.get("message").and_then(Message::from_json).ok_or_else(malformed)?;
            shell.store.take_message(&message, home, at)?
        }
        Call::Interaction => {
            let click = body.get("interaction").and_then(Interaction::from_json).ok_or_else(malformed)?;
            shell.store.take_interaction(&click, home, at)?
        }
        Call::Linked => {
            if shell.store.exists()? {
                let user = body.get("user").and_then(Value::as_str).ok_or_else(malformed)?;
                shell.store.release_linked(user, at)?;
            }
            Taken::New
        }
        Call::View => {
            if shell.store.exists()? {
                shell.store.take_view(body, at)?
            } else {
                Taken::Nothing
            }
        }
    };
    match taken {
        Taken::Full => {
            let message = "this thread cannot take it now; try again later";
            return Err(Failure::refused(ErrorCode::Unavailable, message));
        }
        // The answer leaves with the alarm set: whatever happens to this object, the work goes on.
        Taken::New => shell.go_on().await,
        Taken::Nothing => {}
    }
    json(200, &serde_json::json!({}))
}
