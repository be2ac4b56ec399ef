//! RepositoryObject: the shell of one repository. It loads, asks the core, commits, then sends; it decides nothing.
//!
//! It lives as long as the deployment knows the repository; it keeps nothing in memory that SQLite cannot give back. Edge and sessions
//! call it by `call::Call`, the runtime by alarm.
#![expect(missing_docs, reason = "`#[durable_object]` exports methods that carry no documentation")]

mod bridge;
mod calls;
mod outbox;
mod settings;
mod shell;

use shell::Shell;
use std::rc::Rc;
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};

/// The Durable Object that owns one repository.
#[durable_object(alarm)]
pub struct RepositoryObject {
    shell: Rc<Shell>,
}

impl DurableObject for RepositoryObject {
    fn new(state: State, env: Env) -> Self {
        Self { shell: Rc::new(Shell::new(state, &env)) }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        calls::answer(&self.shell, request).await
    }

    async fn alarm(&self) -> Result<Response> {
        self.shell.take_alarm();
        Response::empty()
    }
}
