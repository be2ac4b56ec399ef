//! What can be asked of the Worker over HTTP: [`route`], the one table of it, which the Worker routes by.
//!
//! With the feature `openapi` there is also its description for people and programs outside, `description`, from which a test
//! writes `workers/web/public/openapi.json`. The Worker never has that in its module; it is a static asset.

#[cfg(feature = "openapi")]
pub mod description;
pub mod route;
