//! `/health` and `/metrics`.

use super::kv::Nothing;
use super::query;
use crate::server::answer::{Answer, json, ok};
use crate::server::app::{App, Phase};
use crate::server::failure::Failure;
use crate::server::guard::is_authorized;
use crate::server::{metrics as all, prometheus};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Uri};
use std::sync::Arc;

/// `GET /health`: 200 when reads and writes are taken, else 503 with the reason; to who brings no token where there is
/// one, without: it may name files.
pub async fn health(State(app): State<Arc<App>>, request: Request) -> Answer {
    let Nothing {} = query(request.uri())?;
    match unready(&app) {
        Some(reason) => {
            let may_know = is_authorized(&app, request.headers());
            Err(Failure::busy(if may_know { reason } else { "not ready".to_owned() }))
        }
        None => json(&serde_json::json!({
            "status": "ready",
            "engine": if app.db.is_some() { "lsm" } else { "memory" },
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": app.started.elapsed().as_secs(),
        })),
    }
}

/// Why requests are not taken.
pub fn unready(app: &App) -> Option<String> {
    if *app.phase.borrow() > Phase::Running {
        return Some("the server is shutting down".to_owned());
    }
    let metrics = app.db.as_ref()?.metrics();
    if let Some(cause) = metrics.poisoned_by {
        return Some(format!(
            "no writes are taken after an earlier failure: {cause}; restart the server"
        ));
    }
    let full = "the disk is full: sets are refused until there is room again";
    metrics.is_reserve_given_up.then(|| full.to_owned())
}

/// `GET /metrics`.
pub async fn metrics(State(app): State<Arc<App>>, uri: Uri) -> Answer {
    let Nothing {} = query(&uri)?;
    let text = app.call(|app| Ok::<_, Failure>(all::page(app))).await?;
    Ok(ok(HeaderValue::from_static(prometheus::KIND), text))
}
