//! One function per route, and what happens before any of them: find the route, check who asks, read the body.

pub(crate) mod access;
mod artifacts;
mod bridge;
mod budgets;
mod checks;
mod credentials;
mod extension;
mod guard;
mod hints;
mod images;
mod keys;
mod metrics;
mod operator;
mod pages;
mod people;
mod privacy;
mod ready;
mod repositories;
mod sessions;
mod sign_in;
mod slack;
mod socket;
mod status;
mod test_routes;
mod webhooks;

use crate::answer::{Answer, error, json, not_found};
use crate::context::Context;
pub(crate) use access::check_session;
use api::route::{Found, RepositoryRoute, Route, SessionRoute, TABLE, TEST_TABLE, Variables, find};
use guard::Admitted;
use identity::policy::{Access, Action, rule};
pub(crate) use images::poke_repositories;
pub(crate) use operator::{EVERY_MINUTE, prune, watch_sockets};
use platform::log::{self, About, Level};
use protocol::PROTOCOL_VERSION;
use protocol::error::{ErrorBody, ErrorCode};
pub(crate) use repositories::code_host;
use repository::call::Call as RepositoryCall;
use serde::Serialize;
use session::call::Call;
pub(crate) use sessions::{Started, start};
use std::future;
use std::pin::Pin;
pub(crate) use webhooks::prune_deliveries;
use worker::{Env, Method, Request, Response};

/// Answers a request.
pub(crate) async fn handle(request: Request, env: Env) -> worker::Result<Response> {
    let has_test_routes = env.var("TEST_ROUTES").is_ok_and(|value| value.to_string() == "1");
    let tables: &[_] = if has_test_routes { &[TABLE, TEST_TABLE] } else { &[TABLE] };
    // `worker` takes a method that it does not know for GET.
    let method = request.inner().method();
    let (action, route, variables) = match find(tables, &method, &request.path()) {
        Found::Route(action, route, variables) => (action, route, variables),
        Found::OtherMethods(methods) => {
            let methods = methods.join(", ");
            let message = format!("this path answers {methods} only");
            let refusal = error(&ErrorBody::new(ErrorCode::MethodNotAllowed, message))?;
            refusal.headers().set("allow", &methods)?;
            return Ok(refusal);
        }
        Found::Nothing => return error(&not_found()),
    };
    let is_page = matches!(route, Route::Page | Route::Session(SessionRoute::Page));
    // At this address scrapers and people expect different things.
    if is_page || (route == Route::Exposition && pages::is_browser(&request)) {
        return pages::page(&request, &env).await.or_else(|fault| error(&fault));
    }
    let context = match Context::new(&request, env) {
        Ok(context) => context,
        Err(fault) => return error(&fault),
    };
    let (method, path) = (request.method(), request.path());
    let answer = answer(&context, request, action, route, &variables).await;
    note(&context, action, (&method, &path), &answer);
    let response = answer.or_else(|fault| error(&fault))?;
    for cookie in context.set_cookies.borrow().iter() {
        response.headers().append("set-cookie", cookie)?;
    }
    Ok(response)
}

/// Says of a request what an operator asks for: all that fail for our part, and what people change.
fn note(context: &Context, action: Action, (method, path): (&Method, &str), answer: &Answer) {
    let status = match answer {
        Ok(answer) => answer.status_code(),
        Err(fault) => fault.code.http_status(),
    };
    let is_change = *method != Method::Get && rule(action).access == Access::User;
    if status < 500 && !is_change {
        return;
    }
    let about = About::default()
        .traced(Some(context.trace))
        .with("method", method.as_ref())
        .with("path", path)
        .number("status", u64::from(status));
    match answer {
        Err(fault) if status >= 500 => {
            log::write(Level::Error, "a request failed", &about.with("answer", &fault.message));
        }
        Ok(_) if status >= 500 => log::write(Level::Error, "a request failed", &about),
        Ok(_) | Err(_) => log::write(Level::Info, "request", &about),
    }
}

async fn answer(
    context: &Context,
    mut request: Request,
    action: Action,
    route: Route,
    variables: &Variables,
) -> Answer {
    let admitted = guard::admit(context, action, variables, &mut request).await?;
    let answer = match find_work(context, &request, &admitted, route, variables) {
        Ok(work) => work.await,
        Err(refusal) => Err(refusal),
    };
    match &admitted.signed {
        Some(claims) => bridge::sign(context, claims, answer).await,
        None => answer,
    }
}

/// What a handler is about to do. Boxed, because one place that waits for whichever it is takes a fifth of the code of thirty places.
type Work<'a> = Pin<Box<dyn Future<Output = Answer> + 'a>>;

fn find_work<'a>(
    context: &'a Context,
    request: &'a Request,
    admitted: &'a Admitted,
    route: Route,
    variables: &'a Variables,
) -> Result<Work<'a>, ErrorBody> {
    Ok(match route {
        Route::Health => Box::pin(future::ready(health())),
        Route::Ready => Box::pin(ready::ready(context)),
        Route::Configuration => {
            Box::pin(future::ready(json(200, &context.settings.public(&context.host())?)))
        }
        Route::SignIn => Box::pin(people::sign_in(context, admitted)),
        Route::SignInGithub => Box::pin(sign_in::leave(context)),
        Route::SignInCallback => Box::pin(sign_in::come_back(context)),
        Route::SignOut => Box::pin(people::sign_out(context)),
        Route::SignOutEverywhere => Box::pin(people::sign_out_everywhere(context, admitted)),
        Route::SignIns => Box::pin(people::list_sign_ins(context, admitted)),
        Route::EndSignIn => {
            let id = variables.sign_in_id.as_deref().ok_or_else(not_found)?;
            Box::pin(people::end_sign_in(context, admitted, id))
        }
        Route::Keys => Box::pin(keys::list(context, admitted)),
        Route::CreateKey => Box::pin(keys::create(context, admitted)),
        Route::RevokeKey => {
            Box::pin(keys::revoke(context, admitted, variables.key_id.as_deref().ok_or_else(not_found)?))
        }
        Route::GrantKey => Box::pin(keys::grant(context, admitted)),
        Route::ExchangeKey => Box::pin(keys::exchange(context, admitted)),
        Route::CodeHostEvent => Box::pin(webhooks::take(context, request, admitted)),
        Route::SlackEvent => Box::pin(slack::hear(context, admitted)),
        Route::SlackInteraction => Box::pin(slack::click(context, admitted)),
        Route::SlackLink => Box::pin(slack::link(context, admitted)),
        Route::SlackUnlink => Box::pin(slack::unlink(context, admitted)),
        Route::SlackManifest => Box::pin(future::ready(slack::manifest(context))),
        Route::Audit => Box::pin(operator::audit(context)),
        Route::Rewrap => Box::pin(operator::rewrap(context, admitted)),
        Route::RemoveUser => Box::pin(operator::remove_user(context, admitted)),
        Route::People => Box::pin(operator::people(context)),
        Route::ExportSelf => Box::pin(privacy::export_self(context, admitted)),
        Route::EraseSelf => Box::pin(privacy::erase_self(context, admitted)),
        Route::ExportUser => {
            let user = variables.user_id.as_ref().ok_or_else(not_found)?;
            Box::pin(privacy::export_other(context, admitted, user))
        }
        Route::EraseUser => {
            let user = variables.user_id.as_ref().ok_or_else(not_found)?;
            Box::pin(privacy::erase_other(context, admitted, user))
        }
        Route::Erasures => Box::pin(privacy::list(context)),
        Route::Budgets => Box::pin(budgets::list(context)),
        Route::SetBudget => Box::pin(budgets::set(context, admitted)),
        Route::Halt => Box::pin(budgets::halt(context, admitted)),
        Route::LiftHalt => Box::pin(budgets::lift(context, admitted)),
        Route::Checks => Box::pin(checks::checks(context)),
        Route::Status => Box::pin(status::status(context)),
        Route::ExtensionUpdates => Box::pin(future::ready(extension::updates(context))),
        Route::Me => Box::pin(future::ready(json(200, &admitted.principal()?.user))),
        Route::Repositories => Box::pin(repositories::list(context, admitted)),
        Route::CreateSession => Box::pin(sessions::create(context, admitted)),
        Route::Sessions => Box::pin(sessions::list(context, admitted)),
        Route::Metrics => Box::pin(metrics::people(context, admitted)),
        Route::Exposition => Box::pin(metrics::scraper(context)),
        Route::Page => return Err(not_found()),
        Route::TestRoutes => Box::pin(future::ready(json(200, &TABLE))),
        Route::TestPanic => Box::pin(future::ready(test_routes::panic())),
        Route::Session(route) => find_session_work(context, request, admitted, route, variables)?,
        Route::Repository(route) => find_repository_work(context, admitted, route, variables)?,
    })
}

fn find_session_work<'a>(
    context: &'a Context,
    request: &'a Request,
    admitted: &'a Admitted,
    route: SessionRoute,
    variables: &'a Variables,
) -> Result<Work<'a>, ErrorBody> {
    let id = variables.session_id.as_ref().ok_or_else(not_found)?;
    let report = |call| Box::pin(bridge::report(context, admitted, id, call));
    Ok(match route {
        SessionRoute::Status => Box::pin(sessions::status(context, id)),
        SessionRoute::History => Box::pin(sessions::history(context, id)),
        SessionRoute::Artifact => {
            Box::pin(artifacts::text(context, id, variables.artifact_id.as_ref().ok_or_else(not_found)?))
        }
        SessionRoute::Message => Box::pin(sessions::message(context, admitted, id)),
        SessionRoute::Archived => Box::pin(sessions::archive(context, admitted, id)),
        SessionRoute::Delete => Box::pin(sessions::delete(context, admitted, id)),
        SessionRoute::Ticket => Box::pin(socket::ticket(context, admitted, id)),
        SessionRoute::Socket => Box::pin(socket::connect(context, request, id)),
        SessionRoute::Attached => report(Call::Attached),
        SessionRoute::Events => report(Call::Events),
        SessionRoute::Ended => report(Call::Ended),
        SessionRoute::Egress => report(Call::Egress),
        SessionRoute::Page => return Err(not_found()),
        SessionRoute::TestPanic => Box::pin(test_routes::panic_in_object(context, id)),
    })
}

fn find_repository_work<'a>(
    context: &'a Context,
    admitted: &'a Admitted,
    route: RepositoryRoute,
    variables: &'a Variables,
) -> Result<Work<'a>, ErrorBody> {
    let id = variables.repository.as_ref().ok_or_else(not_found)?;
    let build = || variables.build_id.as_ref().ok_or_else(not_found);
    let report = |call, parts| Box::pin(bridge::report_to_repository(context, admitted, id, call, parts));
    Ok(match route {
        RepositoryRoute::Status => Box::pin(images::status(context, admitted, id)),
        RepositoryRoute::Build => Box::pin(images::build(context, admitted, id)),
        RepositoryRoute::BuildLog => Box::pin(images::log(context, admitted, id, build()?)),
        RepositoryRoute::Settings => Box::pin(images::settings(context, admitted, id)),
        RepositoryRoute::Hints => Box::pin(hints::read(context, admitted, id)),
        RepositoryRoute::SaveHints => Box::pin(hints::save(context, admitted, id)),
        RepositoryRoute::Reserve => {
            let reservation = variables.reservation_id.as_ref().ok_or_else(not_found)?;
            Box::pin(images::reserve(context, admitted, id, reservation))
        }
        RepositoryRoute::Credential => Box::pin(credentials::hand_out(context, id)),
        RepositoryRoute::LogReported => {
            report(RepositoryCall::LogReported, ["buildId", build()?.as_str(), "piece"])
        }
        RepositoryRoute::BuildEnded => {
            report(RepositoryCall::BuildEnded, ["buildId", build()?.as_str(), "ended"])
        }
        RepositoryRoute::WarmReported => {
            let sandbox = variables.sandbox_id.as_ref().ok_or_else(not_found)?;
            report(RepositoryCall::WarmReported, ["sandboxId", sandbox.as_str(), "report"])
        }
    })
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
