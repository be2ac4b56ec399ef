//! One function per route, and what happens before any of them: find the route, check who asks, read the body.

mod artifacts;
mod bridge;
mod guard;
mod pages;
mod people;
mod repositories;
mod sessions;
mod socket;
mod test_routes;

use crate::answer::{Answer, json, not_found};
use crate::context::Context;
use crate::route::{Found, Route, SessionRoute, TABLE, TEST_TABLE, Variables, find};
use guard::Admitted;
use protocol::PROTOCOL_VERSION;
use protocol::error::{ErrorBody, ErrorCode};
use serde::Serialize;
use session::call::Call;
use worker::{Env, Request};

/// Answers a request.
pub(crate) async fn handle(mut request: Request, env: Env) -> Answer {
    let has_test_routes = env.var("TEST_ROUTES").is_ok_and(|value| value.to_string() == "1");
    let tables: &[_] = if has_test_routes { &[TABLE, TEST_TABLE] } else { &[TABLE] };
    let (access, route, variables) = match find(tables, request.method().as_ref(), &request.path()) {
        Found::Route(access, route, variables) => (access, route, variables),
        Found::OtherMethods(methods) => {
            let message = format!("this path answers {} only", methods.join(", "));
            return Err(ErrorBody::new(ErrorCode::MethodNotAllowed, message));
        }
        Found::Nothing => return Err(not_found()),
    };
    if matches!(route, Route::Page | Route::Session(SessionRoute::Page)) {
        return pages::page(&request, &env).await;
    }
    let context = Context::new(&request, env)?;
    let admitted = guard::admit(&context, access, &mut request).await?;
    match route {
        Route::Health => health(),
        Route::Configuration => json(200, &context.settings.public(&context.host())?),
        Route::SignIn => people::sign_in(&context, &admitted).await,
        Route::SignOut => people::sign_out(&context),
        Route::Me => json(200, &admitted.principal()?.user),
        Route::Repositories => repositories::list(&context, &admitted).await,
        Route::CreateSession => sessions::create(&context, &admitted).await,
        Route::Sessions => sessions::list(&context).await,
        Route::Page => Err(not_found()),
        Route::TestRoutes => json(200, &TABLE),
        Route::TestPanic => test_routes::panic(),
        Route::Session(route) => handle_session(&context, &request, &admitted, route, &variables).await,
    }
}

async fn handle_session(
    context: &Context,
    request: &Request,
    admitted: &Admitted,
    route: SessionRoute,
    variables: &Variables,
) -> Answer {
    let id = variables.session_id.as_ref().ok_or_else(not_found)?;
    match route {
        SessionRoute::Status => sessions::status(context, id).await,
        SessionRoute::History => sessions::history(context, id).await,
        SessionRoute::Artifact => {
            artifacts::text(context, id, variables.artifact_id.as_ref().ok_or_else(not_found)?).await
        }
        SessionRoute::Message => sessions::message(context, admitted, id).await,
        SessionRoute::Archived => sessions::archive(context, admitted, id).await,
        SessionRoute::Delete => sessions::delete(context, admitted, id).await,
        SessionRoute::Ticket => socket::ticket(context, admitted, id).await,
        SessionRoute::Socket => socket::connect(context, request, id).await,
        SessionRoute::Attached => bridge::report(context, admitted, id, Call::Attached).await,
        SessionRoute::Events => bridge::report(context, admitted, id, Call::Events).await,
        SessionRoute::Ended => bridge::report(context, admitted, id, Call::Ended).await,
        SessionRoute::Egress => bridge::report(context, admitted, id, Call::Egress).await,
        SessionRoute::Page => Err(not_found()),
        SessionRoute::TestPanic => test_routes::panic_in_object(context, id).await,
    }
}

/// Body of `GET /api/health`; that there is one means that the configuration is complete.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    protocol_version: u32,
    version: &'static str,
}

fn health() -> Answer {
    json(200, &Health { protocol_version: PROTOCOL_VERSION, version: env!("CARGO_PKG_VERSION") })
}
