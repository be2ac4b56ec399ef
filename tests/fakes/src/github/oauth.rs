//! Signing in at the code host: the page that asks, codes with PKCE, user tokens that expire and are refreshed once, and what an account
//! belongs to.
//!
//! As GitHub documents it ("Authorizing OAuth apps", "Refreshing user access tokens"): a refusal is status 200 with an `error`, the old pair
//! ends when it is refreshed. There is no password; one picks an account. Secrets live as long as the stand-in.

use super::api::{Refused, authenticate};
use super::page::{document, escape};
use super::{Account, Github, State, Who, lock};
use crate::token::random_hex;
use axum::Json;
use axum::extract::{Form, Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a code may be exchanged.
const CODE_LIFE: Duration = Duration::from_secs(600);
/// Seconds that a user token and its refresh token are good for, where tokens expire.
const REFRESH_SECONDS: u64 = 15_897_600;

/// Public id of the application that people sign in to.
pub const CLIENT_ID: &str = "Iv1.standin";

/// Everything about signing in.
#[derive(Default)]
pub(super) struct OAuth {
    client_secret: String,
    /// `None`: user tokens do not expire.
    token_life: Option<Duration>,
    codes: BTreeMap<String, Code>,
    tokens: BTreeMap<String, Token>,
    refresh_tokens: BTreeMap<String, (String, String)>,
    memberships: BTreeSet<(String, String)>,
    /// Every token that was ever given.
    given: Vec<String>,
}

struct Code {
    login: String,
    challenge: String,
    redirect_uri: String,
    made: Instant,
}

struct Token {
    login: String,
    ends: Option<Instant>,
}

impl OAuth {
    pub(super) fn new() -> Self {
        Self { client_secret: random_hex(20), ..Self::default() }
    }

    /// Whose user token that is.
    pub(super) fn owner(&self, token: &str) -> Option<&str> {
        let token = self.tokens.get(token)?;
        token.ends.is_none_or(|ends| Instant::now() < ends).then_some(token.login.as_str())
    }

    fn give(&mut self, login: &str) -> Value {
        let access = crate::token::user_token();
        self.given.push(access.clone());
        let ends = self.token_life.map(|life| Instant::now() + life);
        self.tokens.insert(access.clone(), Token { login: login.to_owned(), ends });
        let mut answer = json!({"access_token": access, "scope": "", "token_type": "bearer"});
        if let (Some(life), Some(fields)) = (self.token_life, answer.as_object_mut()) {
            let refresh = format!("ghr_{}", random_hex(32));
            self.given.push(refresh.clone());
            self.refresh_tokens.insert(refresh.clone(), (login.to_owned(), access));
            fields.insert("expires_in".to_owned(), json!(life.as_secs()));
            fields.insert("refresh_token".to_owned(), json!(refresh));
            fields.insert("refresh_token_expires_in".to_owned(), json!(REFRESH_SECONDS));
        }
        answer
    }

    fn exchange(&mut self, form: &TokenForm) -> Value {
        let refused = |code: &str| json!({"error": code, "error_description": "as the stand-in says"});
        if form.client_id != CLIENT_ID || form.client_secret != self.client_secret {
            return refused("incorrect_client_credentials");
        }
        if form.grant_type == "refresh_token" {
            let Some((login, access)) = self.refresh_tokens.remove(&form.refresh_token) else {
                return refused("bad_refresh_token");
            };
            self.tokens.remove(&access);
            return self.give(&login);
        }
        let Some(code) = self.codes.remove(&form.code).filter(|code| code.made.elapsed() < CODE_LIFE) else {
            return refused("bad_verification_code");
        };
        if code.redirect_uri != form.redirect_uri || code.challenge != challenge_of(&form.code_verifier) {
            return refused("bad_verification_code");
        }
        self.give(&code.login)
    }
}

/// SHA-256 of the verifier as base64url (RFC 7636 §4.2).
fn challenge_of(verifier: &str) -> String {
    use base64::Engine as _;
    let digest = protocol::sign::sha256_hex(verifier.as_bytes());
    let bytes: Vec<u8> = digest
        .as_bytes()
        .chunks(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

impl Github {
    /// Client id and secret of the application that people sign in to.
    #[must_use]
    pub fn oauth_app(&self) -> (String, String) {
        (CLIENT_ID.to_owned(), lock(&self.state.oauth).client_secret.clone())
    }

    /// Every secret that it gave away so far: tokens of users and their refresh tokens, of installations, and the application's own secret.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let oauth = lock(&self.state.oauth);
        let mut all = vec![oauth.client_secret.clone()];
        all.extend(oauth.given.iter().cloned());
        all.extend(lock(&self.state.tokens).keys().cloned());
        all
    }

    /// Makes the token of an account worthless, as whoever revokes it does.
    pub fn revoke(&self, login: &str) {
        let mut oauth = lock(&self.state.oauth);
        oauth.tokens.retain(|_, token| token.login != login);
        oauth.refresh_tokens.retain(|_, (owner, _)| owner != login);
    }

    /// From here on user tokens expire after so long, and come with a refresh token.
    pub fn expire_tokens(&self, after: Duration) {
        lock(&self.state.oauth).token_life = Some(after);
    }

    /// Makes an account a member of an organisation, or of a team as `organisation/team`.
    pub fn join(&self, login: &str, of: &str) {
        lock(&self.state.oauth).memberships.insert((login.to_owned(), of.to_owned()));
    }

    /// Ends a membership.
    pub fn leave(&self, login: &str, of: &str) {
        lock(&self.state.oauth).memberships.remove(&(login.to_owned(), of.to_owned()));
    }
}

/// Pages and the token endpoint, beside the repositories.
pub(super) fn pages() -> axum::Router<Arc<State>> {
    axum::Router::new()
        .route("/login/oauth/authorize", get(authorize))
        .route("/login/oauth/authorize/as/{login}", get(allow))
        .route("/login/oauth/access_token", post(access_token))
}

/// What the API says about an account, to be nested under its root.
pub(super) fn api() -> axum::Router<Arc<State>> {
    axum::Router::new()
        .route("/user/emails", get(emails))
        .route("/user/orgs", get(organisations))
        .route("/user/memberships/orgs/{organisation}", get(organisation))
        .route("/orgs/{organisation}/teams/{team}/memberships/{login}", get(team))
}

#[derive(Deserialize, Serialize)]
struct Ask {
    client_id: String,
    redirect_uri: String,
    state: String,
    #[serde(default)]
    code_challenge: String,
    #[serde(default)]
    code_challenge_method: String,
}

impl Ask {
    /// Only what is in order gets a page with accounts on it.
    fn check(&self) -> Result<(), &'static str> {
        let is_url = ["http://", "https://"].iter().any(|scheme| self.redirect_uri.starts_with(scheme));
        match () {
            () if self.client_id != CLIENT_ID => Err("There is no such application."),
            () if !is_url => Err("The redirect_uri is not a URL."),
            () if self.code_challenge_method != "S256" || self.code_challenge.len() != 43 => {
                Err("The code_challenge is missing or not of the method S256.")
            }
            () => Ok(()),
        }
    }

    fn query(&self) -> String {
        let pairs = [
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect_uri),
            ("state", &self.state),
            ("code_challenge", &self.code_challenge),
            ("code_challenge_method", &self.code_challenge_method),
        ];
        let pairs = pairs.map(|(name, value)| format!("{name}={}", encode(value)));
        pairs.join("&")
    }
}

/// Everything but unreserved characters as `%XX`.
fn encode(text: &str) -> String {
    let one = |byte: u8| {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if is_plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(one).collect()
}

fn refuse(why: &str) -> Response {
    let mut response = document("Sign in", &format!("<h1>Not possible</h1><p>{}</p>", escape(why)));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

async fn authorize(Shared(state): Shared<Arc<State>>, Query(ask): Query<Ask>) -> Response {
    if let Err(why) = ask.check() {
        return refuse(why);
    }
    let query = ask.query();
    let link = |account: &Account| {
        let login = escape(&account.login);
        format!(
            "<li><a href=\"/login/oauth/authorize/as/{login}?{}\">{} ({login})</a></li>",
            escape(&query),
            escape(&account.name)
        )
    };
    let accounts: String = state.accounts.iter().map(link).collect();
    document("Sign in", &format!("<h1>Sign in to Farhand</h1><p>As whom?</p><ul>{accounts}</ul>"))
}

async fn allow(
    Shared(state): Shared<Arc<State>>,
    Path(login): Path<String>,
    Query(ask): Query<Ask>,
) -> Response {
    if let Err(why) = ask.check() {
        return refuse(why);
    }
    if !state.accounts.iter().any(|account| account.login == login) {
        return refuse("There is no such account.");
    }
    let text = random_hex(20);
    let code = Code {
        login,
        challenge: ask.code_challenge.clone(),
        redirect_uri: ask.redirect_uri.clone(),
        made: Instant::now(),
    };
    lock(&state.oauth).codes.insert(text.clone(), code);
    let separator = if ask.redirect_uri.contains('?') { '&' } else { '?' };
    let to = format!("{}{separator}code={text}&state={}", ask.redirect_uri, encode(&ask.state));
    (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct TokenForm {
    client_id: String,
    client_secret: String,
    grant_type: String,
    refresh_token: String,
    code: String,
    redirect_uri: String,
    code_verifier: String,
}

async fn access_token(Shared(state): Shared<Arc<State>>, Form(form): Form<TokenForm>) -> Json<Value> {
    Json(lock(&state.oauth).exchange(&form))
}

fn account(state: &State, headers: &HeaderMap) -> Result<Account, Refused> {
    match authenticate(state, headers)? {
        Who::Person(account) => Ok(account),
        Who::App | Who::Installation(_) => {
            Err(Refused::new(StatusCode::FORBIDDEN, "Resource not accessible by integration"))
        }
    }
}

async fn emails(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Result<Json<Value>, Refused> {
    let account = account(&state, &headers)?;
    Ok(Json(json!([{"email": account.email, "primary": true, "verified": true, "visibility": "private"}])))
}

async fn organisations(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    let account = account(&state, &headers)?;
    let known = lock(&state.oauth);
    let of = known.memberships.iter().filter(|(login, of)| *login == account.login && !of.contains('/'));
    Ok(Json(of.enumerate().map(|(index, (_, of))| json!({"login": of, "id": index + 1})).collect()))
}

async fn organisation(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path(organisation): Path<String>,
) -> Result<Json<Value>, Refused> {
    let account = account(&state, &headers)?;
    membership(&state, &account.login, &organisation)
}

async fn team(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path((organisation, team, login)): Path<(String, String, String)>,
) -> Result<Json<Value>, Refused> {
    account(&state, &headers)?;
    membership(&state, &login, &format!("{organisation}/{team}"))
}

fn membership(state: &State, login: &str, of: &str) -> Result<Json<Value>, Refused> {
    let is_in = lock(&state.oauth).memberships.contains(&(login.to_owned(), of.to_owned()));
    if is_in { Ok(Json(json!({"state": "active", "role": "member"}))) } else { Err(Refused::not_found()) }
}
