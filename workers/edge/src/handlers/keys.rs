//! Personal keys of the API: made, listed and revoked in a signed-in browser; and the way by which a browser extension gets one.
//!
//! An extension draws a verifier and opens our page with its digest (RFC 7636). Whoever is signed in there allows it, which sends the
//! browser to the extension's own address with a code that counts once, for a minute. Code and verifier together are exchanged for a key.

use super::guard::Admitted;
use crate::accounts::Accounts;
use crate::answer::{Answer, OrInternal as _, json_text};
use crate::body::fields;
use crate::context::{Context, random, random_secret};
use crate::standing::end_access;
use identity::api_key::{DAYS_MAX, NAME_CHARS_MAX, render};
use identity::policy::Scope;
use platform::crypto::{base64url, sha256};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::UserId;
use protocol::sign::sha256_hex;

/// Days that an extension's key is good for.
const EXTENSION_DAYS: u64 = 90;
/// How long a code counts.
const GRANT_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 3_600_000;
/// Keys and codes that one user, or attempts that one address, may make within [`WINDOW_MS`].
const TIMES_MAX: u64 = 30;
const WINDOW_MS: u64 = 10 * 60_000;

fn bad(message: String) -> ErrorBody {
    ErrorBody::new(ErrorCode::BadRequest, message)
}

/// The user's keys, without their secrets.
pub(super) async fn list(context: &Context, admitted: &Admitted) -> Answer {
    let user = &admitted.principal()?.user.id;
    let keys = Accounts::new(&context.env)?.list_keys(user, context.now).await?;
    json_text(200, format!("{{\"keys\":{keys}}}"))
}

/// Makes a key, which is shown this once.
pub(super) async fn create(context: &Context, admitted: &Admitted) -> Answer {
    let user = &admitted.principal()?.user.id;
    let fields = fields(&admitted.body, &["name", "scope", "days"])?;
    let (name, days) = (fields.text("name")?.trim(), fields.number("days")?);
    let scope = match fields.text("scope")? {
        "read" => Scope::Read,
        "write" => Scope::Write,
        _ => return Err(bad("`scope` must be read or write".to_owned())),
    };
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(bad(format!("`name` must have from 1 to {NAME_CHARS_MAX} printable characters")));
    }
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(bad(format!("`days` must be from 1 to {DAYS_MAX}")));
    }
    limit(context, user.as_str()).await?;
    make(context, user, name, scope, days).await
}

/// Ends a key.
pub(super) async fn revoke(context: &Context, admitted: &Admitted, id: &str) -> Answer {
    let user = &admitted.principal()?.user.id;
    if Accounts::new(&context.env)?.revoke_key(user, id, context.now).await? {
        end_access(context, user).await;
        return json_text(200, "{}".to_owned());
    }
    Err(ErrorBody::new(ErrorCode::NotFound, "you have no such key"))
}

/// Allows an extension to have a key; where the browser is to go with the code.
pub(super) async fn grant(context: &Context, admitted: &Admitted) -> Answer {
    let user = &admitted.principal()?.user.id;
    let fields = fields(&admitted.body, &["client", "challenge", "state"])?;
    let (client, challenge, state) =
        (fields.text("client")?, fields.text("challenge")?, fields.text("state")?);
    if !context.settings.extensions.iter().any(|known| known == client) {
        let message = "this deployment does not know the extension; its operator names it in EXTENSION_IDS";
        return Err(ErrorBody::new(ErrorCode::Forbidden, message));
    }
    let is_plain =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if challenge.len() != 43 || !is_plain(challenge) || state.len() > 128 || !is_plain(state) {
        return Err(bad(
            "`challenge` must be the SHA-256 of a verifier as base64url, and `state` letters".to_owned()
        ));
    }
    limit(context, user.as_str()).await?;
    let code = random_secret().or_internal("drawing random bytes")?;
    let kept = (sha256_hex(code.as_bytes()), context.now.plus_ms(GRANT_MS));
    Accounts::new(&context.env)?.insert_grant(user, (&kept.0, client, challenge), kept.1).await?;
    let redirect = format!("https://{client}.chromiumapp.org/?code={code}&state={state}");
    json_text(200, format!("{{\"redirect\":\"{redirect}\"}}"))
}

/// Gives the key for a code and the verifier behind its challenge.
pub(super) async fn exchange(context: &Context, admitted: &Admitted) -> Answer {
    let fields = fields(&admitted.body, &["code", "verifier"])?;
    let (code, verifier) = (fields.text("code")?, fields.text("verifier")?);
    limit(context, &context.address).await?;
    let code_hash = sha256_hex(code.as_bytes());
    let granted = Accounts::new(&context.env)?.take_grant(&code_hash, context.now).await?;
    let challenge = base64url(&sha256(verifier.as_bytes()));
    // The code is spent by a wrong verifier too: whoever shows one has it from somewhere else.
    match granted.filter(|(_, _, expected)| *expected == challenge) {
        Some((user, client, _)) => {
            let name = format!("extension {client}");
            make(context, &user, &name, Scope::Write, EXTENSION_DAYS).await
        }
        None => Err(ErrorBody::new(ErrorCode::TokenInvalid, "this code does not count; connect again")),
    }
}

async fn make(context: &Context, user: &UserId, name: &str, scope: Scope, days: u64) -> Answer {
    let drawn: [u8; 8] = random().or_internal("drawing random bytes")?;
    let id: String = drawn.iter().map(|byte| format!("{byte:02x}")).collect();
    let (text, kept) = render(&id, &random().or_internal("drawing random bytes")?);
    let expires_at = context.now.plus_ms(days * DAY_MS);
    Accounts::new(&context.env)?.insert_key(user, &kept, (name, scope, expires_at), context.now).await?;
    let expires_at = expires_at.0;
    json_text(201, format!("{{\"id\":\"{id}\",\"key\":\"{text}\",\"expiresAt\":{expires_at}}}"))
}

async fn limit(context: &Context, who: &str) -> Result<(), ErrorBody> {
    let bucket = format!("keys {who}");
    if Accounts::new(&context.env)?.count(&bucket, TIMES_MAX, WINDOW_MS, context.now).await? {
        return Ok(());
    }
    Err(ErrorBody::new(ErrorCode::RateLimited, "too many keys in a short time; try again in ten minutes"))
}
