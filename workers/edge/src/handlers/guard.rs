//! What a request must prove before its handler sees it. Which proof is asked of which route is the table's word, not the handler's.

use super::access;
use crate::accounts::Accounts;
use crate::body;
use crate::context::Context;
use crate::nonce::Nonces;
use crate::rate::Rates;
use crate::session_cookies;
use crate::settings::SignIn;
use crate::slack_settings::SlackSettings;
use api::route::Variables;
use github::webhook::{SIGNATURE_HEADER, parse_signature};
use identity::Principal;
use identity::api_key;
use identity::origin::{evaluate_change, evaluate_socket, is_json};
use identity::policy::{Access, Action, Credential, RepositoryAccess, Scope, evaluate, rule};
use platform::crypto::{hmac_sha256, hmac_sha256_matches};
use platform::host::now;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::RepositoryId;
use protocol::limit::{REQUEST_BYTES_MAX, RUNNER_FRAME_BYTES_MAX, SIGNATURE_SKEW_MS_MAX};
use protocol::sign::{Audience, RequestClaims, SignatureError, verify_request};
use slack::signature::Proof;
use std::cell::RefCell;
use worker::{Method, Request};

/// Secret that the code host signs its webhooks with.
const WEBHOOK_SECRET: &str = "GITHUB_WEBHOOK_SECRET";
/// Secret that scrapers of metrics send as bearer.
const METRICS_KEY: &str = "METRICS_KEY";
/// A shorter one could be guessed.
const METRICS_KEY_BYTES_MIN: usize = 16;
/// A shorter one could be guessed.
const WEBHOOK_SECRET_BYTES_MIN: usize = 16;
/// Longest request of Slack that is read; a message has 40,000 characters, which a form may make thrice as long.
const SLACK_BYTES_MAX: usize = 1024 * 1024;
/// Longest delivery that is read; those of pull requests have some 30 kB.
const WEBHOOK_BYTES_MAX: usize = 2 * 1024 * 1024;

thread_local! {
    static NONCES: RefCell<Nonces> = RefCell::default();
    static RATES: RefCell<Rates> = RefCell::default();
}

/// A request that proved what its route asks for.
#[derive(Default)]
pub(super) struct Admitted {
    caller: Option<Caller>,
    /// What the code host lets the caller do with the session's repository.
    repository: Option<(RepositoryId, RepositoryAccess)>,
    /// Read within the limit of its kind; empty for a `GET`.
    pub(super) body: Vec<u8>,
    /// What a bridge signed, for the signature of the answer.
    pub(super) signed: Option<RequestClaims>,
}

/// Who is signed in, and by what.
pub(super) struct Caller {
    principal: Principal,
    credential: Credential,
    /// The sign-in, or the key, by its id.
    proof: String,
}

impl Admitted {
    /// Who is signed in; an error on a route that does not ask for it.
    pub(super) fn principal(&self) -> Result<&Principal, ErrorBody> {
        self.caller.as_ref().map(|caller| &caller.principal).ok_or_else(nobody)
    }

    /// Whether the caller may watch the session, but change nothing in it.
    pub(super) fn is_read_only(&self) -> bool {
        let by_key =
            self.caller.as_ref().is_some_and(|caller| caller.credential == Credential::Key(Scope::Read));
        by_key || self.repository.as_ref().is_some_and(|(_, access)| *access < RepositoryAccess::Write)
    }

    /// The session's repository, and by which sign-in or key somebody asks.
    pub(super) fn proof(&self) -> Result<(&RepositoryId, &str), ErrorBody> {
        let caller = self.caller.as_ref().ok_or_else(nobody)?;
        let (repository, _) = self.repository.as_ref().ok_or_else(nobody)?;
        Ok((repository, &caller.proof))
    }
}

fn nobody() -> ErrorBody {
    ErrorBody::new(ErrorCode::SignInRequired, "nobody is signed in; sign in first")
}

/// Lets a request through, or says why not.
pub(super) async fn admit(
    context: &Context,
    action: Action,
    variables: &Variables,
    request: &mut Request,
) -> Result<Admitted, ErrorBody> {
    let changes = request.method() != Method::Get;
    let access = rule(action).access;
    match access {
        Access::Public | Access::User | Access::Operator => {
            let is_key = has_key(context);
            // No other site can make a browser send a key.
            let is_connecting_extension = context.is_from_extension() && !context.has_cookie();
            if changes && !is_key && !is_connecting_extension {
                let (provenance, own) = context.provenance();
                evaluate_change(provenance, &own)
                    .map_err(|error| refused(ErrorCode::OriginRefused, &error))?;
            }
            limit(&context.address, context)?;
            let caller = if access == Access::Public { None } else { Some(identify(context, is_key).await?) };
            if let Some(Caller { principal, credential, .. }) = &caller {
                limit(principal.user.id.as_str(), context)?;
                let is_operator = context.settings.allow_list.is_operator(&principal.user.login);
                evaluate(action, *credential, is_operator)
                    .map_err(|refusal| refused(ErrorCode::Forbidden, &refusal))?;
            }
            let body = if changes { read_json(request).await? } else { Vec::new() };
            let repository = match (&caller, action, &variables.session_id) {
                (Some(caller), Action::Session(_), Some(id)) => {
                    Some(access::check_session(context, &caller.principal, action, id).await?)
                }
                _ => None,
            };
            Ok(Admitted { caller, repository, body, signed: None })
        }
        Access::Ticket => {
            if !context.is_from_extension() {
                let (provenance, own) = context.provenance();
                evaluate_socket(provenance, &own)
                    .map_err(|error| refused(ErrorCode::OriginRefused, &error))?;
            }
            Ok(Admitted::default())
        }
        Access::CodeHost => {
            let body = check_code_host(context, request).await?;
            Ok(Admitted { body, ..Admitted::default() })
        }
        Access::Slack => {
            let body = check_slack(context, request).await?;
            Ok(Admitted { body, ..Admitted::default() })
        }
        Access::Scraper => {
            limit(&context.address, context)?;
            check_scraper(context)?;
            Ok(Admitted::default())
        }
        Access::Bridge => {
            let (body, claims) = check_bridge(context, request).await?;
            Ok(Admitted { body, signed: Some(claims), ..Admitted::default() })
        }
    }
}

/// Whether the request carries what looks like a key of the API, which then has to be one.
fn has_key(context: &Context) -> bool {
    let authorization = context.authorization.as_deref().unwrap_or_default();
    authorization.strip_prefix("Bearer ").is_some_and(|token| token.starts_with(api_key::PREFIX))
}

/// Who is asking, by key or by cookie.
async fn identify(context: &Context, is_key: bool) -> Result<Caller, ErrorBody> {
    if !is_key {
        let (principal, proof) = session_cookies::principal(context).await?.ok_or_else(nobody)?;
        return Ok(Caller { principal, credential: Credential::Cookie, proof });
    }
    let invalid = || {
        let message = "this API key does not count: it is wrong, revoked or too old; make another one";
        ErrorBody::new(ErrorCode::SignInRequired, message)
    };
    let key = context.authorization.as_deref().and_then(api_key::parse).ok_or_else(invalid)?;
    let found = Accounts::new(&context.env)?.find_key(&key, context.now).await?;
    let (account, scope) = found.ok_or_else(invalid)?;
    let user = crate::standing::check_standing(context, account).await?.ok_or_else(invalid)?;
    Ok(Caller { principal: Principal { user }, credential: Credential::Key(scope), proof: key.id })
}

/// Counts a request of somebody, as far as it is known who; the platform says no address on a developer's machine.
fn limit(caller: &str, context: &Context) -> Result<(), ErrorBody> {
    if caller.is_empty() || RATES.with_borrow_mut(|rates| rates.admit(caller, context.now)) {
        return Ok(());
    }
    Err(ErrorBody::new(ErrorCode::RateLimited, "too many requests; go on in a minute"))
}

/// Reads a client's body, which says that it is JSON. An empty one need not say anything.
async fn read_json(request: &mut Request) -> Result<Vec<u8>, ErrorBody> {
    let content_type = request.headers().get("content-type").ok().flatten();
    let says_json = is_json(content_type.as_deref());
    if says_json || content_type.is_none() {
        let body = body::read(request, REQUEST_BYTES_MAX).await?;
        if says_json || body.is_empty() {
            return Ok(body);
        }
    }
    Err(ErrorBody::new(ErrorCode::MediaTypeUnsupported, "send the header `content-type: application/json`"))
}

/// Reads a bridge's request and checks its signature, which covers the body.
async fn check_bridge(
    context: &Context,
    request: &mut Request,
) -> Result<(Vec<u8>, RequestClaims), ErrorBody> {
    let wrong = |error: SignatureError| refused(ErrorCode::SignatureInvalid, &error);
    let authorization = context.authorization.as_deref().ok_or_else(|| wrong(SignatureError::Malformed))?;
    let method = request.method().to_string();
    // One event may be as long as a runner's frame: a large diff comes in one piece.
    let body = body::read(request, RUNNER_FRAME_BYTES_MAX).await?;
    let keys = &context.settings.bridge_keys;
    let path = context.path_and_query();
    let claims = verify_request(keys, Audience::Edge, Some(authorization), &method, &path, &body, now())
        .map_err(wrong)?;
    // A signature from the future counts for twice the tolerated difference of the clocks.
    let forget_at = now().plus_ms(2 * SIGNATURE_SKEW_MS_MAX);
    let is_new = NONCES.with_borrow_mut(|nonces| nonces.is_new(&claims.nonce, now(), forget_at));
    if is_new {
        return Ok((body, claims));
    }
    Err(ErrorBody::new(
        ErrorCode::SignatureInvalid,
        "this very request was received before; sign a repeat anew",
    ))
}

/// Reads a delivery of the code host and checks its signature, which covers the body, before anything in it is read.
async fn check_code_host(context: &Context, request: &mut Request) -> Result<Vec<u8>, ErrorBody> {
    let secret = context.env.var(WEBHOOK_SECRET).map(|secret| secret.to_string()).unwrap_or_default();
    if secret.trim().len() < WEBHOOK_SECRET_BYTES_MIN {
        return Err(ErrorBody::new(
            ErrorCode::Internal,
            format!(
                "this deployment is not configured: {WEBHOOK_SECRET} is not set, or is shorter than {WEBHOOK_SECRET_BYTES_MIN} bytes; \
                 set it as a secret, the same as in the settings of the GitHub App"
            ),
        ));
    }
    let signature = request.headers().get(SIGNATURE_HEADER).ok().flatten();
    let wrong = || {
        ErrorBody::new(
            ErrorCode::SignatureInvalid,
            format!("the delivery is not signed with {WEBHOOK_SECRET} in {SIGNATURE_HEADER}"),
        )
    };
    let signature = signature.as_deref().and_then(parse_signature).ok_or_else(wrong)?;
    let body = body::read(request, WEBHOOK_BYTES_MAX).await?;
    if hmac_sha256_matches(secret.trim().as_bytes(), &body, &signature) { Ok(body) } else { Err(wrong()) }
}

/// Compares the bearer with the key of scrapers, in a time that tells nothing of where they differ.
fn check_scraper(context: &Context) -> Result<(), ErrorBody> {
    let key = context.env.var(METRICS_KEY).map(|key| key.to_string()).unwrap_or_default();
    let key = key.trim().as_bytes();
    if key.len() < METRICS_KEY_BYTES_MIN {
        return Err(ErrorBody::new(
            ErrorCode::Unavailable,
            format!(
                "this deployment exposes no metrics: {METRICS_KEY} is not set, or is shorter than {METRICS_KEY_BYTES_MIN} bytes; \
                 set it as a secret, and send it as `authorization: Bearer …`"
            ),
        ));
    }
    let bearer =
        context.authorization.as_deref().and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if hmac_sha256_matches(key, bearer.as_bytes(), &hmac_sha256(key, key)) {
        return Ok(());
    }
    let message = format!(
        "send {METRICS_KEY} as `authorization: Bearer …`; people find the page of metrics in a browser"
    );
    Err(ErrorBody::new(ErrorCode::TokenInvalid, message))
}

/// Reads a request of Slack and checks its signature, which covers the body, before anything in it is read.
async fn check_slack(context: &Context, request: &mut Request) -> Result<Vec<u8>, ErrorBody> {
    let settings = SlackSettings::of(&context.env)?;
    if let SignIn::Local(_) = context.settings.sign_in {
        context.settings.local_users(&context.host())?;
    }
    let header = |name: &str| request.headers().get(name).ok().flatten().unwrap_or_default();
    let wrong = || {
        let message = "the request is not signed with SLACK_SIGNING_SECRET, or more than five minutes ago";
        ErrorBody::new(ErrorCode::SignatureInvalid, message)
    };
    let proof = Proof::parse(
        &header(slack::signature::SIGNATURE_HEADER),
        &header(slack::signature::TIMESTAMP_HEADER),
        now(),
    );
    let proof = proof.ok_or_else(wrong)?;
    let body = body::read(request, SLACK_BYTES_MAX).await?;
    let secret = settings.signing_secret.as_bytes();
    if hmac_sha256_matches(secret, &proof.signed(&body), &proof.tag) { Ok(body) } else { Err(wrong()) }
}

fn refused(code: ErrorCode, error: &dyn std::fmt::Display) -> ErrorBody {
    ErrorBody::new(code, error.to_string())
}
