//! `/backup`, `/restore`, `/backups`.

use super::kv::{Nothing, array};
use super::{behind, parsed, query};
use crate::server::answer::{Answer, JSON, json, stream};
use crate::server::app::App;
use crate::server::failure::Failure;
use axum::extract::{Request, State};
use axum::http::Uri;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Instant;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    #[serde(alias = "backup_path")]
    path: Option<String>,
}

const EXPECTED: &str = "{\"path\": \"NAME.db\"}";

/// The name in the body of `request`; `None` where there is no body.
async fn target(app: &App, request: Request) -> Result<Option<String>, Failure> {
    let Nothing {} = query(request.uri())?;
    let body = app.body(request).await?;
    if body.bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    Ok(parsed::<Target>(&body.bytes, EXPECTED)?.path)
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// `POST /backup`.
pub async fn make(State(app): State<Arc<App>>, request: Request) -> Answer {
    let target = target(&app, request).await?;
    let (ours, begun) = (Arc::clone(&app), Instant::now());
    let made = app.calls.long(move || ours.backups.make(target.as_deref())).await??;
    let text = format!("{} is made, {} bytes", made.name, made.report.bytes);
    app.events.add("backup", "info", text);
    json(&serde_json::json!({
        "message": "Backup completed successfully",
        "path": made.path,
        "backup_file": made.path,
        "size_bytes": made.report.bytes,
        "duration_ms": millis(begun),
    }))
}

/// `POST /restore`.
pub async fn restore(State(app): State<Arc<App>>, request: Request) -> Answer {
    let missing = || Failure::bad(format!("which backup? send {EXPECTED}"));
    let target = target(&app, request).await?.ok_or_else(missing)?;
    let (ours, begun) = (Arc::clone(&app), Instant::now());
    let (path, report) = app.calls.long(move || ours.backups.restore(&target)).await??;
    let text = format!("{path} is restored, {} entries", report.entries);
    app.events.add("restore", "warning", text);
    json(&serde_json::json!({
        "message": "Restore completed successfully", "path": path, "duration_ms": millis(begun),
    }))
}

/// `POST /backups/{name}/verify`.
pub async fn verify(State(app): State<Arc<App>>, request: Request) -> Answer {
    let name = behind(request.uri(), "/backups/")?;
    let name = name.strip_suffix("/verify").unwrap_or(&name).to_owned();
    let Nothing {} = query(request.uri())?;
    let (ours, begun) = (Arc::clone(&app), Instant::now());
    let (name, info) = app.calls.long(move || ours.backups.verify(&name)).await??;
    json(&serde_json::json!({
        "message": "Backup is sound",
        "name": name,
        "entries": info.entries,
        "size_bytes": info.bytes,
        "created_ms": info.created_ms,
        "sequence_number": info.sequence_number,
        "duration_ms": millis(begun),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Detail {
    #[serde(default)]
    detail: bool,
}

/// `GET /backups`.
pub async fn list(State(app): State<Arc<App>>, uri: Uri) -> Answer {
    let Detail { detail } = query(&uri)?;
    let ours = Arc::clone(&app);
    stream(&app, JSON, move |to| {
        let listed = ours.backups.list()?;
        if detail {
            array(to, &listed)
        } else {
            array(to, &listed.iter().map(|backup| &backup.name).collect::<Vec<_>>())
        }
    })
    .await
}
