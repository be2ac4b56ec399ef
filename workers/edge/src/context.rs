//! One request and everything around it: settings, time, where it says it comes from, who is signed in. Also the only place that
//! reads the clock and draws random bytes.

use crate::answer::OrInternal as _;
use crate::settings::{Settings, SignIn};
use identity::Principal;
use identity::origin::Provenance;
use identity::signed_in::{Transport, read_cookie};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::time::Timestamp;
use session::object::web::JsUrl;
use std::cell::RefCell;
use std::rc::Rc;
use worker::{Date, Env, Request};

/// A request as the handlers see it.
pub(crate) struct Context {
    /// Bindings.
    pub(crate) env: Env,
    /// What the operator configured.
    pub(crate) settings: Rc<Settings>,
    /// When it came.
    pub(crate) now: Timestamp,
    /// What was asked for, as sent.
    pub(crate) url: JsUrl,
    /// Origins under which this deployment is reached.
    own_origins: Vec<String>,
    /// Header `origin`.
    pub(crate) origin: Option<String>,
    fetch_site: Option<String>,
    cookie: Option<String>,
}

thread_local! {
    /// An isolate lives in one deployment, whose settings do not change.
    static SETTINGS: RefCell<Option<Rc<Settings>>> = const { RefCell::new(None) };
}

/// The settings, read and checked once. Wrong ones are read again with each request, so that each is told what is wrong.
fn settings(env: &Env) -> Result<Rc<Settings>, ErrorBody> {
    if let Some(known) = SETTINGS.with_borrow(Clone::clone) {
        return Ok(known);
    }
    let read = Rc::new(Settings::read(|name| env.var(name).ok().map(|value| value.to_string()))?);
    SETTINGS.set(Some(read.clone()));
    Ok(read)
}

impl Context {
    /// Takes what matters out of a request.
    pub(crate) fn new(request: &Request, env: Env) -> Result<Self, ErrorBody> {
        let settings = settings(&env)?;
        let url =
            JsUrl::new(&request.inner().url()).map_err(worker::Error::from).or_internal("reading the URL")?;
        let own_origins = std::iter::once(url.origin()).chain(settings.public_origin.clone()).collect();
        let header = |name| request.headers().get(name).ok().flatten();
        Ok(Self {
            now: now(),
            own_origins,
            origin: header("origin"),
            fetch_site: header("sec-fetch-site"),
            cookie: header("cookie"),
            env,
            settings,
            url,
        })
    }

    /// Host of the URL, without port.
    pub(crate) fn host(&self) -> String {
        self.url.hostname()
    }

    /// Path and query, as signed.
    pub(crate) fn path_and_query(&self) -> String {
        format!("{}{}", self.url.pathname(), self.url.search())
    }

    /// A parameter of the query.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        self.url.parameter(name)
    }

    /// Where the request says it comes from, and what counts as our own.
    pub(crate) fn provenance(&self) -> (Provenance<'_>, Vec<&str>) {
        let provenance = Provenance {
            origin: self.origin.as_deref(),
            fetch_site: self.fetch_site.as_deref(),
            has_cookie: self.cookie.is_some(),
        };
        (provenance, self.own_origins.iter().map(String::as_str).collect())
    }

    /// Whether cookies may travel without encryption. A proxy in front may have taken the encryption off.
    pub(crate) fn transport(&self) -> Transport {
        if self.own_origins.iter().any(|origin| origin.starts_with("https:")) {
            Transport::Secure
        } else {
            Transport::Plain
        }
    }

    /// Who is signed in.
    pub(crate) fn principal(&self) -> Result<Principal, ErrorBody> {
        let nobody = || ErrorBody::new(ErrorCode::SignInRequired, "nobody is signed in; sign in first");
        let read = |cookie| read_cookie(&self.settings.session_key, self.settings.issuer(), cookie, self.now);
        match &self.settings.sign_in {
            // Somebody taken off the list is signed out by it, and a new name or address counts at once.
            SignIn::Local(_) => {
                let users = self.settings.local_users(&self.host())?;
                let principal = self.cookie.as_deref().and_then(read).ok_or_else(nobody)?;
                users.principal(&principal.user.id).ok_or_else(nobody)
            }
            SignIn::Github => self.cookie.as_deref().and_then(read).ok_or_else(nobody),
        }
    }
}

/// The present moment.
pub(crate) fn now() -> Timestamp {
    Timestamp(Date::now().as_millis())
}

/// Fresh random bytes.
pub(crate) fn random() -> Result<[u8; 16], getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// Fresh random bytes as text.
pub(crate) fn random_hex() -> Result<String, getrandom::Error> {
    Ok(random()?.iter().map(|byte| format!("{byte:02x}")).collect())
}
