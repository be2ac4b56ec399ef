//! Faults by script: the answer to a certain call is lost, before it is carried out or after.

use super::{State, lock};
use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::Arc;

/// When a call is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It is not carried out.
    Before,
    /// It is, and nobody hears of it.
    After,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Of calls with this method; of all where empty.
    pub method: String,
    /// Of calls whose path has this in it.
    pub path: String,
    /// So many calls of this kind pass first.
    pub skip: usize,
    /// When it strikes.
    pub cut: Cut,
}

pub(super) async fn strike(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    let found = {
        let mut faults = lock(&state.faults);
        let fits = |fault: &&mut Fault| {
            (fault.method.is_empty() || fault.method == request.method().as_str())
                && path.contains(&fault.path)
        };
        let strikes = faults.iter_mut().filter(fits).fold(None, |found, fault| {
            if found.is_none() && fault.skip == 0 {
                return Some(fault.clone());
            }
            fault.skip = fault.skip.saturating_sub(1);
            found
        });
        if let Some(struck) = &strikes
            && let Some(place) = faults.iter().position(|fault| fault == struck)
        {
            faults.remove(place);
        }
        strikes
    };
    match found.map(|fault| fault.cut) {
        None => next.run(request).await,
        Some(Cut::Before) => broken(),
        Some(Cut::After) => {
            next.run(request).await;
            broken()
        }
    }
}

/// An answer that breaks off before anything of it can be used.
fn broken() -> Response {
    let error = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "cut by a script");
    Response::new(Body::from_stream(futures::stream::iter([Err::<bytes::Bytes, _>(error)])))
}
