//! `/kv/`: keys, one at a time, and lists of them.

use super::given::Given;
use super::{behind, parsed, query};
use crate::json::Piece;
use crate::server::answer::{Answer, BYTES, Holding, JSON, json, ok, stream, unwritten};
use crate::server::app::App;
use crate::server::failure::Failure;
use axum::extract::{Request, State};
use axum::http::Uri;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    raw: Option<String>,
}

impl Raw {
    /// Whether it is asked for: `?raw`, `?raw=true`, `?raw=1`.
    fn is_asked(&self) -> Result<bool, Failure> {
        match self.raw.as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(_) => Err(Failure::bad("raw is given as ?raw, ?raw=true or ?raw=false")),
        }
    }
}

#[derive(Serialize)]
struct Found<'a> {
    key: &'a str,
    value: Piece<'a>,
}

/// `GET /kv/{key}`.
pub async fn get(State(app): State<Arc<App>>, uri: Uri) -> Answer {
    let key = behind(&uri, "/kv/")?;
    let is_raw = query::<Raw>(&uri)?.is_asked()?;
    // The budget is asked before the call ends: so no more values than there may be calls are in memory beyond it.
    let read = move |app: &App| {
        let value = app.engine.get(&key)?;
        let held = app.budget.take(value.len() as u64)?;
        Ok::<_, Failure>((value, held, key))
    };
    let (value, held, key) = app.call(read).await?;
    if is_raw {
        return Ok(ok(BYTES, Holding::body(value, held)));
    }
    let found = serde_json::to_vec(&Found { key: &key, value: Piece::of_value(&value) });
    let found = found.map_err(|e| unwritten(e.into()))?;
    drop(value);
    let held = app.budget.take(found.len() as u64)?;
    Ok(ok(JSON, Holding::body(found, held)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    value: Given,
}

/// `PUT /kv/{key}`.
pub async fn set(State(app): State<Arc<App>>, request: Request) -> Answer {
    let key = behind(request.uri(), "/kv/")?;
    let is_raw = query::<Raw>(request.uri())?.is_asked()?;
    let body = app.body(request).await?;
    let key = app
        .call(move |app| {
            if is_raw {
                app.engine.set(&key, &body.bytes)?;
            } else {
                let expected = "{\"value\": string}, or the bytes themselves with ?raw";
                let Set { value: Given(value) } = parsed(&body.bytes, expected)?;
                app.engine.set(&key, &value)?;
            }
            Ok::<_, Failure>(key)
        })
        .await?;
    json(&serde_json::json!({ "message": "key set", "key": key }))
}

/// `DELETE /kv/{key}`.
pub async fn delete(State(app): State<Arc<App>>, uri: Uri) -> Answer {
    let key = behind(&uri, "/kv/")?;
    let Nothing {} = query(&uri)?;
    let key = app.call(move |app| app.engine.delete(&key).map(|()| key)).await?;
    json(&serde_json::json!({ "message": "key deleted", "key": key }))
}

/// No parameters at all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Prefix {
    #[serde(default)]
    prefix: String,
}

/// `GET /kv/`.
pub async fn list(State(app): State<Arc<App>>, uri: Uri) -> Answer {
    let Prefix { prefix } = query(&uri)?;
    let ours = Arc::clone(&app);
    stream(&app, JSON, move |to| {
        let keys = ours.engine.list(&prefix)?;
        array(to, &keys)
    })
    .await
}

/// `items` as an array.
pub fn array<T: Serialize>(to: &mut dyn Write, items: &[T]) -> Result<(), Failure> {
    serde_json::to_writer(to, items).map_err(|e| unwritten(e.into()))
}
