//! The GitHub App at the code host: where it is installed, who proves to be it, and tokens that open exactly one repository.

use super::api::{Refused, token};
use super::pull::{clock_ms, iso_time};
use super::{State, lock, shape};
use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};
use std::sync::Arc;

/// How long an installation token lives.
const TOKEN_LIFE_MS: u64 = 3_600_000;
/// GitHub takes no JWT that lives longer.
const JWT_LIFE_S_MAX: u64 = 600;

/// The App that the code host knows.
#[derive(Clone)]
pub struct App {
    /// Its id or client id, as `iss` of its JWT.
    pub id: String,
    /// Its RSA public key, PKCS#1 in DER (RFC 8017 A.1.1).
    pub public_key: Vec<u8>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What an installation token opens.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) repository: String,
    pub(super) ends_at: u64,
}

/// Who asks must be the App, by its JWT.
fn check_jwt(state: &State, headers: &HeaderMap) -> Result<App, Refused> {
    let refused = || Refused::new(StatusCode::UNAUTHORIZED, "A JSON web token could not be decoded");
    let app = state.app.clone().ok_or_else(refused)?;
    let jwt = token(headers).ok_or_else(refused)?;
    let (signed, signature) = jwt.rsplit_once('.').ok_or_else(refused)?;
    let (header, claims) = signed.split_once('.').ok_or_else(refused)?;
    let read =
        |part: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok() };
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| refused())?;
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &app.public_key);
    let is_signed = key.verify(signed.as_bytes(), &signature).is_ok();
    let (header, claims) = (read(header).ok_or_else(refused)?, read(claims).ok_or_else(refused)?);
    let number = |name: &str| claims.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (now, begins, ends) = (clock_ms() / 1000, number("iat"), number("exp"));
    let is_ours = header.get("alg") == Some(&json!("RS256")) && claims.get("iss") == Some(&json!(app.id));
    let in_time = begins <= now && ends > now && ends - now <= JWT_LIFE_S_MAX;
    if is_signed && is_ours && in_time { Ok(app) } else { Err(refused()) }
}

pub(super) async fn itself(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    let app = check_jwt(&state, &headers)?;
    let installed = lock(&state.installed).len();
    Ok(Json(shape::app(&state, &app.id, installed)))
}

pub(super) async fn installation(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Json<Value>, Refused> {
    let app = check_jwt(&state, &headers)?;
    if !lock(&state.installed).contains(&format!("{owner}/{name}")) {
        return Err(Refused::not_found());
    }
    Ok(Json(shape::installation(&state, &app.id, &owner)))
}

pub(super) async fn access_token(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path(_): Path<u64>,
    Json(body): Json<Value>,
) -> Result<(StatusCode, Json<Value>), Refused> {
    check_jwt(&state, &headers)?;
    let unprocessable = |why: &str| Refused::new(StatusCode::UNPROCESSABLE_ENTITY, why);
    let names = body.get("repositories").and_then(Value::as_array).cloned().unwrap_or_default();
    // GitHub would give a token for all of them: what the product asks for is one.
    let [Value::String(name)] = names.as_slice() else {
        return Err(unprocessable("this stand-in makes tokens for exactly one repository"));
    };
    let permissions = body.get("permissions").cloned().unwrap_or_default();
    let allowed = json!({"contents": "write", "pull_requests": "write"});
    let is_allowed = permissions.as_object().is_some_and(|asked| {
        !asked.is_empty() && asked.iter().all(|(name, level)| allowed.get(name) == Some(level))
    });
    if !is_allowed {
        return Err(unprocessable("The permissions requested are not granted to this installation."));
    }
    let installed = lock(&state.installed).iter().find(|full| full.ends_with(&format!("/{name}"))).cloned();
    let Some(repository) = installed else {
        return Err(unprocessable(
            "There is at least one repository that does not exist or is not accessible.",
        ));
    };
    let (token, ends_at) = (crate::token::installation_token(), clock_ms() + TOKEN_LIFE_MS);
    lock(&state.tokens).insert(token.clone(), Opened { repository: repository.clone(), ends_at });
    let (owner, name) = repository.split_once('/').unwrap_or_default();
    let shape = shape::repository(&state, owner, name, "main", None);
    let answer = json!({
        "token": token, "expires_at": iso_time(ends_at), "permissions": permissions, "repository_selection": "selected",
        "repositories": [shape],
    });
    Ok((StatusCode::CREATED, Json(answer)))
}
