//! The description of all routes, for machines: OpenAPI 3.1.
//!
//! INV-1: it has every route and method of the router, and no other. A test holds both sides together.

use super::answer::{Answer, JSON, ok};
use super::failure::Failure;
use super::routes::kv::Nothing;
use axum::extract::Query;
use axum::http::Uri;

const DOCUMENT: &str = include_str!("openapi.json");

/// `GET /openapi.json`.
pub async fn show(uri: Uri) -> Answer {
    let Nothing {} = Query::try_from_uri(&uri)
        .map(|query| query.0)
        .map_err(|_| Failure::bad("the description takes no parameters"))?;
    Ok(ok(JSON, document()))
}

/// The document, with the version of this build.
fn document() -> String {
    DOCUMENT.replacen("\"VERSION\"", &format!("\"{}\"", env!("CARGO_PKG_VERSION")), 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    #[test]
    fn it_has_every_route_and_no_other() {
        let document: Value = serde_json::from_str(&document()).expect("it is JSON");
        let mut described = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for method in methods.as_object().expect("methods").keys() {
                described.insert((method.to_uppercase(), path.clone()));
            }
        }
        let listed = super::super::router::listed();
        let routed: BTreeSet<(String, String)> = listed
            .iter()
            .map(|(method, path)| (method.to_string(), path.replace("{*", "{")))
            .collect();
        assert_eq!(described, routed);
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn whatever_it_refers_to_is_in_it() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(members) => {
                    found.extend(members.get("$ref").and_then(Value::as_str));
                    members.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document: Value = serde_json::from_str(DOCUMENT).expect("it is JSON");
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 50);
        for reference in found {
            let at = reference.strip_prefix('#').expect("it is in this document");
            assert!(document.pointer(at).is_some(), "{reference}");
        }
    }
}
