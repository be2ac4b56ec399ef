//! One request and everything around it: settings, time, where it says it comes from, what it carries, and the cookies of its answer.
//! Also the only place of the edge that draws random bytes.

use crate::answer::OrInternal as _;
use crate::settings::Settings;
use identity::origin::Provenance;
use identity::signed_in::{Cookie, Transport};
use platform::crypto::base64url;
use platform::host::{new_span, now};
use platform::web::JsUrl;
use protocol::error::ErrorBody;
use protocol::time::Timestamp;
use protocol::trace::{TRACE_HEADER, TraceParent};
use std::cell::RefCell;
use std::rc::Rc;
use worker::{Env, Request};

/// A request as the handlers see it.
pub(crate) struct Context {
    /// Bindings.
    pub(crate) env: Env,
    /// What the operator configured.
    pub(crate) settings: Rc<Settings>,
    /// When it came.
    pub(crate) now: Timestamp,
    /// Its span.
    pub(crate) trace: TraceParent,
    /// What was asked for, as sent.
    pub(crate) url: JsUrl,
    /// Origins under which this deployment is reached.
    own_origins: Vec<String>,
    /// Header `origin`.
    pub(crate) origin: Option<String>,
    fetch_site: Option<String>,
    cookie: Option<String>,
    /// Header `authorization`.
    pub(crate) authorization: Option<String>,
    /// Where the connection comes from, as the platform says.
    pub(crate) address: String,
    /// Header `user-agent`.
    pub(crate) browser: String,
    /// Values of `set-cookie` headers for the answer, whichever it is.
    pub(crate) set_cookies: RefCell<Vec<String>>,
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
        let header = |name| request.headers().get(name).ok().flatten();
        Ok(Self {
            origin: header("origin"),
            fetch_site: header("sec-fetch-site"),
            cookie: header("cookie"),
            authorization: header("authorization"),
            // The platform overwrites this one; what a client writes into the headers of proxies is never read.
            address: header("cf-connecting-ip").unwrap_or_default(),
            browser: header("user-agent").unwrap_or_default(),
            trace: new_span(header(TRACE_HEADER).as_deref().and_then(TraceParent::parse)),
            ..Self::without_request(env, &request.inner().url())?
        })
    }

    /// For what nobody's request begins, such as the cron trigger; `url` is the deployment's own as far as it is known.
    pub(crate) fn without_request(env: Env, url: &str) -> Result<Self, ErrorBody> {
        let settings = settings(&env)?;
        let url = JsUrl::new(url).map_err(worker::Error::from).or_internal("reading the URL")?;
        let own_origins = std::iter::once(url.origin()).chain(settings.public_origin.clone()).collect();
        Ok(Self {
            env,
            settings,
            now: now(),
            trace: new_span(None),
            url,
            own_origins,
            origin: None,
            fetch_site: None,
            cookie: None,
            authorization: None,
            address: String::new(),
            browser: String::new(),
            set_cookies: RefCell::default(),
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

    /// Whether any cookie came along.
    pub(crate) fn has_cookie(&self) -> bool {
        self.cookie.is_some()
    }

    /// A cookie of ours.
    pub(crate) fn cookie(&self, cookie: Cookie) -> Option<&str> {
        cookie.read(self.cookie.as_deref()?, self.transport())
    }

    /// Gives the answer a cookie.
    pub(crate) fn set_cookie(&self, header: String) {
        self.set_cookies.borrow_mut().push(header);
    }

    /// Takes the cookies of a signed-in browser away.
    pub(crate) fn clear_cookies(&self) {
        for cookie in [Cookie::Access, Cookie::Refresh] {
            self.set_cookie(cookie.clear(self.transport()));
        }
    }

    /// The address of this deployment as people know it.
    pub(crate) fn home(&self) -> &str {
        self.settings
            .public_origin
            .as_deref()
            .or(self.own_origins.first().map(String::as_str))
            .unwrap_or_default()
    }

    /// Whether the page behind the request is one of an extension that the operator named.
    pub(crate) fn is_from_extension(&self) -> bool {
        let id = self.origin.as_deref().and_then(|origin| origin.strip_prefix("chrome-extension://"));
        id.is_some_and(|id| self.settings.extensions.iter().any(|known| known == id))
    }
}

/// Fresh random bytes: 16 for an id, 32 for what must not be guessed.
pub(crate) fn random<const BYTES: usize>() -> Result<[u8; BYTES], getrandom::Error> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// 16 fresh random bytes as text.
pub(crate) fn random_hex() -> Result<String, getrandom::Error> {
    Ok(random::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// 32 fresh random bytes as text, for what must not be guessed.
pub(crate) fn random_secret() -> Result<String, getrandom::Error> {
    Ok(base64url(&random::<32>()?))
}
