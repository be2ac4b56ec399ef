//! The runtime's own URLs and requests, bound thinly. The `url` crate and `worker::RequestInit`, which knows every property of
//! Cloudflare's requests, would be 30 kB of the module.

use wasm_bindgen::prelude::*;
use worker::web_sys;
use worker::{Headers, Request};

/// What is done about an answer that points elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// Go there.
    Follow,
    /// It is the answer.
    Answer,
}

/// A request; `method` in capitals. The error is the runtime's: the URL is none, or a header cannot be.
pub fn new_request<V: AsRef<str>>(
    method: &str,
    url: &str,
    headers: &[(&str, V)],
    redirect: Redirect,
    body: Option<&JsValue>,
) -> worker::Result<Request> {
    let list = Headers::new();
    for (name, value) in headers {
        list.set(name, value.as_ref())?;
    }
    let init = web_sys::RequestInit::new();
    init.set_method(method);
    init.set_headers_headers(&list.0);
    init.set_redirect(match redirect {
        Redirect::Follow => web_sys::RequestRedirect::Follow,
        Redirect::Answer => web_sys::RequestRedirect::Manual,
    });
    if let Some(body) = body {
        init.set_body(body);
    }
    Ok(web_sys::Request::new_with_str_and_init(url, &init)?.into())
}

#[wasm_bindgen]
extern "C" {
    /// A URL as the WHATWG standard reads it.
    #[wasm_bindgen(js_name = URL)]
    #[derive(Debug)]
    pub type JsUrl;

    /// Reads an absolute URL; throws for what is none.
    #[wasm_bindgen(constructor, catch, js_class = "URL")]
    pub fn new(url: &str) -> Result<JsUrl, JsValue>;

    /// All of it.
    #[wasm_bindgen(method, getter, js_class = "URL")]
    pub fn href(this: &JsUrl) -> String;

    /// Scheme, host and port.
    #[wasm_bindgen(method, getter, js_class = "URL")]
    pub fn origin(this: &JsUrl) -> String;

    /// Scheme with its colon.
    #[wasm_bindgen(method, getter, js_class = "URL")]
    pub fn protocol(this: &JsUrl) -> String;

    /// Host without port.
    #[wasm_bindgen(method, getter, js_class = "URL")]
    pub fn hostname(this: &JsUrl) -> String;

    /// Path.
    #[wasm_bindgen(method, getter, js_class = "URL")]
    pub fn pathname(this: &JsUrl) -> String;

    /// Query with its question mark, or nothing.
    #[wasm_bindgen(method, getter, js_class = "URL")]
    pub fn search(this: &JsUrl) -> String;

    #[wasm_bindgen(method, getter, js_name = searchParams, js_class = "URL")]
    fn search_params(this: &JsUrl) -> JsParameters;

    type JsParameters;

    #[wasm_bindgen(method)]
    fn get(this: &JsParameters, name: &str) -> Option<String>;
}

impl JsUrl {
    /// A parameter of the query; the first of this name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.search_params().get(name)
    }
}
