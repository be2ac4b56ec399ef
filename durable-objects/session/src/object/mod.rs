//! SessionObject: the shell of one session. It loads, asks the core, commits, then sends; it decides nothing.
//!
//! It lives as long as its session's rows; it keeps nothing in memory that SQLite or the runtime cannot give back. The edge calls it
//! by `call::Call`, the runtime by alarm and sockets.
#![expect(missing_docs, reason = "`#[durable_object]` exports methods that carry no documentation")]

mod artifacts;
mod bridge;
mod calls;
mod claim;
mod connection;
mod erasure;
mod index;
mod journal;
mod ledger;
mod outbox;
mod pull_request;
mod settings;
mod shell;
mod slots;
mod socket;
mod token;
mod viewers;

pub use token::user_token;

use platform::{failure, host};
use shell::Shell;
use std::rc::Rc;
use worker::{
    DurableObject, Env, Error, Request, Response, Result, State, WebSocket, WebSocketIncomingMessage,
    durable_object,
};

/// The Durable Object that owns one session.
#[durable_object]
pub struct SessionObject {
    shell: Rc<Shell>,
}

impl DurableObject for SessionObject {
    fn new(state: State, env: Env) -> Self {
        Self { shell: Rc::new(Shell::new(state, env)) }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        calls::answer(&self.shell, request).await
    }

    async fn alarm(&self) -> Result<Response> {
        self.shell.take_alarm();
        Response::empty()
    }

    async fn websocket_message(&self, socket: WebSocket, message: WebSocketIncomingMessage) -> Result<()> {
        self.shell.take_frame(&socket, message);
        Ok(())
    }

    async fn websocket_close(
        &self,
        socket: WebSocket,
        code: usize,
        _reason: String,
        _clean: bool,
    ) -> Result<()> {
        self.shell.take_close(&socket, code);
        Ok(())
    }

    async fn websocket_error(&self, socket: WebSocket, _error: Error) -> Result<()> {
        self.shell.take_close(&socket, 1011);
        Ok(())
    }

    async fn connect(&self, _socket: worker::Socket) -> Result<()> {
        Err(Error::RustError("a session takes no TCP connections".to_owned()))
    }
}
