//! Where managed browsers find the Chrome extension: the update manifest that `ExtensionSettings` or `ExtensionInstallForcelist` point at.
//! The package itself is wherever its operator put it; nothing of a browser is asked for or kept.

use crate::answer::{Answer, OrInternal as _, json_text};
use crate::context::Context;
use protocol::error::{ErrorBody, ErrorCode};

/// Where the operator put the packed extension.
const PACKAGE_URL: &str = "EXTENSION_PACKAGE_URL";
/// Which version that is, as in its manifest.
const VERSION: &str = "EXTENSION_VERSION";

/// The update manifest (<https://developer.chrome.com/docs/extensions/how-to/distribute/host-on-linux>).
pub(super) fn updates(context: &Context) -> Answer {
    let read = |name| context.env.var(name).map(|value| value.to_string().trim().to_owned());
    let (url, version) = (read(PACKAGE_URL).unwrap_or_default(), read(VERSION).unwrap_or_default());
    let Some(id) = context.settings.extensions.first().filter(|_| is_package(&url) && is_version(&version))
    else {
        let message = "this deployment hands out no extension; its operator sets EXTENSION_IDS, \
            EXTENSION_PACKAGE_URL (https, or http on loopback) and EXTENSION_VERSION";
        return Err(ErrorBody::new(ErrorCode::NotFound, message));
    };
    let url = escape(&url);
    let manifest = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <gupdate xmlns=\"http://www.google.com/update2/response\" protocol=\"2.0\">\n  \
        <app appid=\"{id}\">\n    <updatecheck codebase=\"{url}\" version=\"{version}\"/>\n  </app>\n</gupdate>\n"
    );
    let mut answer = json_text(200, manifest)?;
    answer.headers_mut().set("content-type", "application/xml").or_internal("setting headers")?;
    Ok(answer)
}

fn is_package(url: &str) -> bool {
    let is_safe = url.starts_with("https://") || url.starts_with("http://127.0.0.1:");
    is_safe && url.bytes().all(|byte| byte.is_ascii_graphic())
}

/// One to four numbers between dots (<https://developer.chrome.com/docs/extensions/reference/manifest/version>).
fn is_version(text: &str) -> bool {
    text.split('.').count() <= 4 && text.split('.').all(|part| part.parse::<u16>().is_ok())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
