//! Pages of the web client: one document for all of them, out of the static assets.

use crate::answer::{Answer, OrInternal as _, not_found};
use platform::web::{JsUrl, Redirect, new_request};
use worker::{Env, Request};

/// Whether a page is wanted, as browsers say when they go to an address.
pub(super) fn is_browser(request: &Request) -> bool {
    let accept = request.headers().get("accept").ok().flatten().unwrap_or_default();
    accept.split(',').any(|kind| kind.trim().starts_with("text/html"))
}

/// The client's document; which page it shows is up to it.
pub(super) async fn page(request: &Request, env: &Env) -> Answer {
    let assets = env.assets("ASSETS").map_err(|_| not_found())?;
    let url = JsUrl::new(&request.inner().url()).map_err(|_| not_found())?;
    // The document's own address is the root; `/index.html` would be redirected there.
    let document = format!("{}/", url.origin());
    let headers: [(&str, &str); 0] = [];
    let request = new_request("GET", &document, &headers, Redirect::Follow, None)
        .or_internal("asking for the document")?;
    assets.fetch_request(request).await.or_unavailable("the store of static assets")
}
