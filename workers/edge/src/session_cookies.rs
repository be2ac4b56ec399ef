//! The cookies of a signed-in browser: made when somebody signs in, exchanged when the short one has ended, taken away at the end.
//!
//! A request that comes with a refresh token alone is answered as if it were signed in, and its answer brings the next pair: no client has
//! to know. What a refresh token is worth is decided by `identity::refresh`; whether its owner may still be here by [`crate::standing`].

use crate::accounts::Accounts;
use crate::answer::{OrInternal as _, log};
use crate::context::{Context, random_hex, random_secret};
use crate::settings::SignIn;
use crate::standing::{check_standing, end_access};
use identity::Principal;
use identity::refresh::{REFRESH_MS_MAX, Refresh, evaluate_refresh};
use identity::signed_in::{ACCESS_MS_MAX, Cookie, SignedIn, read_access, sign_access};
use protocol::error::ErrorBody;
use protocol::id::UserId;
use protocol::sign::sha256_hex;
use protocol::time::Timestamp;
use protocol::timeline::User;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Signs a user in: a new family of tokens, and its first cookies.
pub(crate) async fn begin(context: &Context, user: User) -> Result<(), ErrorBody> {
    let family = random_hex().or_internal("drawing random bytes")?;
    let token = refresh_token()?;
    let hash = sha256_hex(token.as_bytes());
    let accounts = Accounts::new(&context.env)?;
    let by = (context.settings.issuer(), context.browser.as_str());
    accounts.begin_sign_in(&user.id, by, &family, &hash, context.now).await?;
    give(context, user, family, &token);
    Ok(())
}

/// How long a sign-in is believed to go on without a look at the database: as long as it may take until one that was ended elsewhere counts
/// for nothing here.
const CURRENT_MS: u64 = 4_000;
/// Sign-ins that one isolate remembers.
const CURRENT_MAX: usize = 10_000;

thread_local! {
    /// Families of sign-ins that were just seen to go on, and when.
    static CURRENT: RefCell<BTreeMap<String, Timestamp>> = const { RefCell::new(BTreeMap::new()) };
}

/// Some sign-in was ended: believe none without a look.
pub(crate) fn forget() {
    CURRENT.with_borrow_mut(BTreeMap::clear);
}

/// Whether a sign-in goes on. While the database is away its signed cookie is believed, for the minutes that it counts.
async fn is_current(context: &Context, signed_in: &SignedIn) -> bool {
    let Some(family) = &signed_in.family else { return true };
    let seen = CURRENT.with_borrow(|known| known.get(family).copied());
    if seen.is_some_and(|at| context.now < at.plus_ms(CURRENT_MS)) {
        return true;
    }
    let looked = async { Accounts::new(&context.env)?.is_current(family).await };
    match looked.await {
        Ok(true) => {
            CURRENT.with_borrow_mut(|known| {
                if known.len() >= CURRENT_MAX {
                    known.clear();
                }
                known.insert(family.clone(), context.now);
            });
            true
        }
        Ok(false) => false,
        Err(error) => {
            log("looking whether a sign-in goes on", &error);
            true
        }
    }
}

/// Who is signed in by cookies, and by which sign-in.
pub(crate) async fn principal(context: &Context) -> Result<Option<(Principal, String)>, ErrorBody> {
    let host = context.host();
    if let SignIn::Local(_) = context.settings.sign_in {
        context.settings.local_users(&host)?;
    }
    let Some(signed_in) = access(context) else { return refresh(context).await };
    if !is_current(context, &signed_in).await {
        return refresh(context).await;
    }
    let principal = match &context.settings.sign_in {
        // Somebody taken off the list is signed out by it, and a new name or address counts at once.
        SignIn::Local(users) => users.principal(&signed_in.principal.user.id),
        SignIn::Github => Some(signed_in.principal),
    };
    Ok(principal.map(|principal| (principal, signed_in.family.unwrap_or_default())))
}

/// Which sign-in this browser's is, as far as its short cookie still says so.
pub(crate) fn family(context: &Context) -> Option<String> {
    access(context).and_then(|signed_in| signed_in.family)
}

/// Ends the sign-in of this browser, as far as the request proves which one it is, and takes the cookies away.
pub(crate) async fn end(context: &Context) -> Result<(), ErrorBody> {
    context.clear_cookies();
    let accounts = Accounts::new(&context.env)?;
    let ended = match (context.cookie(Cookie::Refresh), access(context)) {
        (Some(token), _) => accounts
            .find_refresh(&sha256_hex(token.as_bytes()))
            .await?
            .map(|known| (known.account.user.id, known.family)),
        (None, Some(SignedIn { family: Some(family), principal, .. })) => Some((principal.user.id, family)),
        (None, _) => None,
    };
    match ended {
        Some((user, family)) => end_sign_in(context, &user, &family, "sign_out").await,
        None => Ok(()),
    }
}

fn access(context: &Context) -> Option<SignedIn> {
    let token = context.cookie(Cookie::Access)?;
    read_access(&context.settings.session_key, context.settings.issuer(), token, context.now)
}

async fn end_sign_in(context: &Context, user: &UserId, family: &str, why: &str) -> Result<(), ErrorBody> {
    Accounts::new(&context.env)?.end_sign_in(user, family, why, context.now).await?;
    end_access(context, user).await;
    Ok(())
}

async fn refresh(context: &Context) -> Result<Option<(Principal, String)>, ErrorBody> {
    let Some(token) = context.cookie(Cookie::Refresh) else { return Ok(None) };
    let hash = sha256_hex(token.as_bytes());
    let accounts = Accounts::new(&context.env)?;
    let Some(known) = accounts.find_refresh(&hash).await? else { return Ok(None) };
    match evaluate_refresh(&known.facts, context.settings.issuer(), context.now) {
        Refresh::Rotate => {}
        Refresh::Refuse => {
            context.clear_cookies();
            return Ok(None);
        }
        Refresh::Revoke => {
            let (user, family) = (&known.account.user.id, &known.family);
            end_sign_in(context, user, family, "sign_in.reused").await?;
            context.clear_cookies();
            return Ok(None);
        }
    }
    let Some(user) = check_standing(context, known.account).await? else {
        context.clear_cookies();
        return Ok(None);
    };
    let next = refresh_token()?;
    accounts.exchange(&hash, &known.family, &sha256_hex(next.as_bytes()), context.now).await?;
    give(context, user.clone(), known.family.clone(), &next);
    Ok(Some((Principal { user }, known.family)))
}

fn give(context: &Context, user: User, family: String, refresh: &str) {
    let settings = &context.settings;
    let signed_in =
        SignedIn { issuer: settings.issuer(), family: Some(family), principal: Principal { user } };
    let access = sign_access(&settings.session_key, &signed_in, context.now);
    let transport = context.transport();
    context.set_cookie(Cookie::Access.set(&access, ACCESS_MS_MAX, transport));
    context.set_cookie(Cookie::Refresh.set(refresh, REFRESH_MS_MAX, transport));
}

fn refresh_token() -> Result<String, ErrorBody> {
    random_secret().or_internal("drawing random bytes")
}
