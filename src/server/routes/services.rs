//! Services: registered for a while, renewed by heartbeats, listed while they are alive.

use super::kv::Nothing;
use super::{behind, parsed, query};
use crate::error::Error;
use crate::json::Piece;
use crate::server::answer::{Answer, JSON, json, ok, stream, unwritten};
use crate::server::app::App;
use crate::server::duration::parse_duration;
use crate::server::failure::Failure;
use crate::server::registry::TTL_DEFAULT;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ttl {
    ttl: Option<String>,
}

/// What a registration must say; what else it says is kept with it.
#[derive(Deserialize)]
struct Registration {
    name: String,
    #[serde(default, rename = "address")]
    _address: Option<String>,
    #[serde(default, rename = "port")]
    _port: Option<u16>,
}

/// `PUT /register`.
pub async fn register(State(app): State<Arc<App>>, request: Request) -> Answer {
    let Ttl { ttl } = query(request.uri())?;
    let ttl = ttl.map_or(Ok(TTL_DEFAULT), |ttl| parse_duration(&ttl))?;
    let body = app.body(request).await?;
    let service = app
        .call(move |app| {
            let expected = "{\"name\": string, \"address\": string, \"port\": number, ...}";
            let text: &RawValue = parsed(&body.bytes, expected)?;
            let Registration { name, .. } = parsed(&body.bytes, expected)?;
            if name.is_empty() {
                return Err(Failure::bad("the name of a service must not be empty"));
            }
            // Byte for byte, without the space around it: numbers keep their digits, members their order.
            let data = text.get().trim_ascii();
            if !matches!(Piece::of_data(data.as_bytes()), Piece::Json(_)) {
                let why = "nested more than 100 deep, or with half of a surrogate pair";
                return Err(Failure::bad(format!(
                    "the body is JSON that not everybody reads: {why}"
                )));
            }
            app.registry.register(&name, data.as_bytes(), ttl)?;
            Ok(data.to_owned())
        })
        .await?;
    let service: &RawValue = parsed(service.as_bytes(), "JSON")?;
    json(&Registered { message: "service registered", service })
}

#[derive(serde::Serialize)]
struct Registered<'a> {
    message: &'static str,
    service: &'a RawValue,
}

/// `PUT /heartbeat/{name}`.
pub async fn heartbeat(State(app): State<Arc<App>>, uri: Uri) -> Answer {
    let name = behind(&uri, "/heartbeat/")?;
    let Nothing {} = query(&uri)?;
    let name = app
        .call(move |app| match app.registry.heartbeat(&name) {
            // To who sends heartbeats both are the same: there is nothing to renew.
            Err(e @ (Error::ServiceNotFound | Error::ServiceExpired)) => {
                Err(Failure::new(StatusCode::NOT_FOUND, e.to_string()))
            }
            renewed => renewed.map(|()| name).map_err(Failure::from),
        })
        .await?;
    json(&serde_json::json!({ "message": "heartbeat updated", "service": name }))
}

/// `DELETE /deregister/{name}`.
pub async fn deregister(State(app): State<Arc<App>>, uri: Uri) -> Answer {
    let name = behind(&uri, "/deregister/")?;
    let Nothing {} = query(&uri)?;
    let name = app.call(move |app| app.registry.deregister(&name).map(|()| name)).await?;
    json(&serde_json::json!({ "message": "service deregistered", "name": name }))
}

/// `GET /services/{name}`.
pub async fn get(State(app): State<Arc<App>>, uri: Uri) -> Answer {
    let name = behind(&uri, "/services/")?;
    let Nothing {} = query(&uri)?;
    let data = app.call(move |app| app.engine.get_service(&name)).await?;
    let text = serde_json::to_vec(&Piece::of_data(&data)).map_err(|e| unwritten(e.into()))?;
    Ok(ok(JSON, text))
}

/// `GET /services/`.
pub async fn list(State(app): State<Arc<App>>, uri: Uri) -> Answer {
    let Nothing {} = query(&uri)?;
    let ours = Arc::clone(&app);
    stream(&app, JSON, move |to| {
        let mut separator = "[";
        for name in ours.engine.list_services()? {
            let data = match ours.engine.get_service(&name) {
                // It went since it was listed.
                Err(Error::ServiceNotFound | Error::ServiceExpired) => continue,
                data => data?,
            };
            to.write_all(separator.as_bytes()).map_err(unwritten)?;
            let piece = Piece::of_data(&data);
            serde_json::to_writer(&mut *to, &piece).map_err(|e| unwritten(e.into()))?;
            separator = ",";
        }
        let end = if separator == "[" { "[]" } else { "]" };
        to.write_all(end.as_bytes()).map_err(unwritten)
    })
    .await
}
