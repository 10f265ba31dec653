//! `/batch/kv/`: many keys at a time, as one commit or as of one moment.

use super::given::Given;
use super::kv::Nothing;
use super::{parsed, query};
use crate::error::Error;
use crate::json::Piece;
use crate::server::answer::{Answer, JSON, json, stream, unwritten};
use crate::server::app::App;
use crate::server::failure::Failure;
use axum::extract::{Request, State};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    keys: Vec<String>,
}

const KEYS: &str = "{\"keys\": [string, ...]}";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Items {
    items: BTreeMap<String, Given>,
}

/// `POST /batch/kv/get`: as of one moment. What is found is written while it is read; what is not, behind it.
pub async fn get(State(app): State<Arc<App>>, request: Request) -> Answer {
    let Nothing {} = query(request.uri())?;
    let body = app.body(request).await?;
    let ours = Arc::clone(&app);
    stream(&app, JSON, move |to| {
        let Keys { keys } = parsed(&body.bytes, KEYS)?;
        let mut tx = ours.engine.begin_tx()?;
        let mut missing = Vec::new();
        let mut separator = "{\"found\":{";
        // Each once, as an object has each of its members.
        for key in keys.into_iter().collect::<std::collections::BTreeSet<_>>() {
            match tx.get(&key) {
                Ok(value) => {
                    member(to, separator, &key, &value)?;
                    separator = ",";
                }
                Err(Error::KeyNotFound) => missing.push(key),
                Err(e) => return Err(e.into()),
            }
        }
        if separator != "," {
            to.write_all(separator.as_bytes()).map_err(unwritten)?;
        }
        to.write_all(b"},\"not_found\":").map_err(unwritten)?;
        serde_json::to_writer(&mut *to, &missing).map_err(|e| unwritten(e.into()))?;
        to.write_all(b"}").map_err(unwritten)
    })
    .await
}

fn member(to: &mut dyn Write, separator: &str, key: &str, value: &[u8]) -> Result<(), Failure> {
    to.write_all(separator.as_bytes()).map_err(unwritten)?;
    serde_json::to_writer(&mut *to, key).map_err(|e| unwritten(e.into()))?;
    to.write_all(b":").map_err(unwritten)?;
    serde_json::to_writer(to, &Piece::of_value(value)).map_err(|e| unwritten(e.into()))
}

/// `POST /batch/kv/set`: all of them or none.
pub async fn set(State(app): State<Arc<App>>, request: Request) -> Answer {
    let Nothing {} = query(request.uri())?;
    let body = app.body(request).await?;
    let keys = app
        .call(move |app| {
            let expected = "{\"items\": {key: string, ...}}";
            let Items { items } = parsed(&body.bytes, expected)?;
            let pairs: Vec<_> =
                items.iter().map(|(key, v)| (key.as_str(), v.0.as_slice())).collect();
            app.engine.batch_set(&pairs)?;
            Ok::<Vec<String>, Failure>(items.into_keys().collect())
        })
        .await?;
    changed("set", &keys)
}

/// `POST /batch/kv/delete`: all of them or none.
pub async fn delete(State(app): State<Arc<App>>, request: Request) -> Answer {
    let Nothing {} = query(request.uri())?;
    let body = app.body(request).await?;
    let keys = app
        .call(move |app| {
            let Keys { keys } = parsed(&body.bytes, KEYS)?;
            app.engine.batch_delete(&keys.iter().map(String::as_str).collect::<Vec<_>>())?;
            Ok::<_, Failure>(keys)
        })
        .await?;
    changed("deleted", &keys)
}

fn changed(how: &str, keys: &[String]) -> Answer {
    let count = keys.len();
    let message = format!("Successfully {how} {count} keys");
    json(&serde_json::json!({ "message": message, "keys": keys, "count": count }))
}
