//! One call to an object of ours. Which calls there are is said where the object is.

use crate::answer::{Answer, OrInternal as _};
use js_sys::Uint8Array;
use platform::web::{Redirect, new_request};
use serde::Serialize;
use wasm_bindgen::JsValue;
use worker::Env;

/// Header of a body that is JSON.
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// An object by its binding and name.
pub(crate) struct Object<'a> {
    /// Of the deployment.
    pub(crate) env: &'a Env,
    /// In `wrangler.toml`.
    pub(crate) binding: &'a str,
    /// Its own.
    pub(crate) name: String,
    /// For errors: "the session".
    pub(crate) kind: &'static str,
}

impl Object<'_> {
    /// Calls with a value as body.
    pub(crate) async fn post<T: Serialize>(&self, url: &str, value: &T) -> Answer {
        let body = serde_json::to_string(value).or_internal("writing a call")?;
        self.post_bytes(url, body.as_bytes()).await
    }

    /// Calls with a body that is JSON already, or is refused by the object.
    pub(crate) async fn post_bytes(&self, url: &str, body: &[u8]) -> Answer {
        self.send("POST", url, &JSON, Some(&Uint8Array::from(body).into())).await
    }

    /// Calls without a body.
    pub(crate) async fn get(&self, url: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", url, headers, None).await
    }

    async fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&JsValue>,
    ) -> Answer {
        // An object's redirection is a word to the edge, not one that the platform is to follow.
        let request =
            new_request(method, url, headers, Redirect::Answer, body).or_internal("building a call")?;
        let namespace = self.env.durable_object(self.binding);
        let object = namespace.and_then(|namespace| namespace.get_by_name(&self.name));
        object.or_internal("finding an object")?.fetch_with_request(request).await.or_unavailable(self.kind)
    }
}
