//! `/export` and `/import`: both stream, in memory that does not grow with the store.

use super::kv::Nothing;
use super::query;
use crate::server::answer::{Answer, JSON, json, stream};
use crate::server::app::App;
use crate::server::body::{Incoming, pipe};
use crate::server::calls::ended;
use axum::extract::{Request, State};
use axum::http::Uri;
use std::sync::Arc;

/// `GET /export`.
pub async fn export(State(app): State<Arc<App>>, uri: Uri) -> Answer {
    let Nothing {} = query(&uri)?;
    let ours = Arc::clone(&app);
    stream(&app, JSON, move |to| {
        ours.engine.export(to)?;
        Ok(())
    })
    .await
}

/// `POST /import`. What was cut off anywhere changes nothing: the engine stores what it was given only after it has seen
/// the end, and the pipe has no end but that of a whole body.
pub async fn import(State(app): State<Arc<App>>, request: Request) -> Answer {
    let Nothing {} = query(request.uri())?;
    let (parts, body) = request.into_parts();
    let (limit, stall) = (app.config.import_bytes_max, app.config.stall_timeout);
    let incoming = Incoming::new(body, &parts.headers, limit, stall)?;
    let (feed, mut piped) = pipe();
    let ours = Arc::clone(&app);
    let call = app.calls.begin_long(move || ours.engine.import(&mut piped)).await?;
    // The pump ends first, or stops because the engine has: then the engine says why.
    let (pumped, imported) = tokio::join!(incoming.pump(feed), ended(call));
    pumped?;
    let report = imported??;
    json(&serde_json::json!({
        "message": "Data imported successfully", "kv": report.kv, "services": report.services,
    }))
}
