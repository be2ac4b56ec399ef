//! The runtime's own URL. The `url` crate would be a second implementation of it in the module, with 25 kB of it.

use wasm_bindgen::prelude::*;

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
