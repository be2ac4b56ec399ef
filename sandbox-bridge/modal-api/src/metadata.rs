//! Names of the metadata that goes with calls, and the values that never change. Used by the client and by the stand-in.

/// Which kind of client calls; see [`CLIENT_TYPE`].
pub const CLIENT_TYPE_NAME: &str = "x-modal-client-type";
/// `CLIENT`: what the Python client sends.
pub const CLIENT_TYPE: &str = "1";
/// The Python version that the caller behaves like; [`crate::PACKAGE_VERSION`].
pub const CLIENT_VERSION: &str = "x-modal-client-version";
/// Half of the credentials, `ak-…`.
pub const TOKEN_ID: &str = "x-modal-token-id";
/// The other half, `as-…`.
pub const TOKEN_SECRET: &str = "x-modal-token-secret";
/// Host name of the control plane, because `:authority` may be lost on the way.
pub const HOST: &str = "x-modal-host";
/// The token that `AuthTokenGet` answers, on every other call.
pub const AUTH_TOKEN: &str = "x-modal-auth-token";
/// A UUID of a unary call, the same in all its tries.
pub const IDEMPOTENCY_KEY: &str = "x-idempotency-key";
/// Number of the try, from 0, not counting those that were throttled.
pub const RETRY_ATTEMPT: &str = "x-retry-attempt";
/// How often the call was throttled.
pub const THROTTLE_RETRY_ATTEMPT: &str = "x-throttle-retry-attempt";
/// Seconds since the first try; on retries only.
pub const RETRY_DELAY: &str = "x-retry-delay";
/// Seconds since the first throttled try; on retries only.
pub const THROTTLE_RETRY_DELAY: &str = "x-throttle-retry-delay";
/// Percent-encoded warning in an answer's trailers.
pub const WARNING: &str = "x-modal-warning";
/// `Bearer <token>` on calls of the command router, which takes no other credential.
pub const AUTHORIZATION: &str = "authorization";
