//! `/metrics`, `/health`, `/status`, `/events`, `/openapi.json`, the page.

use crate::client::{Connection, head};
use crate::serving::{Serving, of_each_engine};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The samples of a page, by name with labels; what breaks the format panics.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let (mut helped, mut typed) = (BTreeSet::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a name and its help");
            assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and its type");
            assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
            assert!(
                helped.contains(name) && typed.insert(name.to_owned(), kind.to_owned()).is_none()
            );
        } else {
            let (sample, value) = line.rsplit_once(' ').expect("a sample and its value");
            let name = sample.split('{').next().expect("a name");
            let family =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let family =
                family.filter(|family| typed.get(*family).is_some_and(|k| k == "histogram"));
            assert!(typed.contains_key(family.unwrap_or(name)), "{line}");
            let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(samples.insert(sample.to_owned(), value).is_none(), "twice: {line}");
        }
    }
    assert!(text.ends_with('\n') && samples.len() > 5);
    samples
}

#[test]
fn metrics_are_in_the_format_and_count() {
    for server in of_each_engine() {
        server.set("a", "1");
        server.value("a");
        server.value("b");
        let page = server.get("/metrics");
        let kind = page.header("content-type");
        assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
        let samples = samples(&page.text());
        let put = r#"esker_http_requests_total{method="PUT",route="/kv/{*key}",status="2xx"}"#;
        let missing = r#"esker_http_requests_total{method="GET",route="/kv/{*key}",status="4xx"}"#;
        assert_eq!((samples[put], samples[missing]), (1.0, 1.0));
        let count = r#"esker_http_request_duration_seconds_count{method="GET",route="/kv/{*key}"}"#;
        assert_eq!(samples[count], 2.0);
    }
}

#[test]
fn histograms_of_the_store_rise_to_their_count() {
    let server = Serving::with(|config| config.engine.sync_writes = true);
    for n in 0..10 {
        server.set(&format!("k{n}"), "v");
    }
    let text = server.get("/metrics").text();
    let samples = samples(&text);
    assert_eq!(samples["esker_commits_total"], 10.0);
    assert_eq!(samples[r#"esker_duration_seconds_count{of="synced_commit"}"#], 10.0);
    assert_eq!(samples[r#"esker_duration_seconds_bucket{of="synced_commit",le="+Inf"}"#], 10.0);
    let mut last = 0.0;
    for line in
        text.lines().filter(|line| line.starts_with("esker_duration_seconds_bucket{of=\"synced_"))
    {
        let value: f64 = line.rsplit_once(' ').expect("a value").1.parse().expect("a number");
        assert!(value >= last, "{line}");
        last = value;
    }
    assert!(samples[r#"esker_duration_seconds_sum{of="synced_commit"}"#] > 0.0);
}

#[test]
fn health_is_ready() {
    for server in of_each_engine() {
        let health = server.get("/health").ok();
        assert_eq!(health["status"], "ready");
        assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    }
}

#[test]
fn the_status_has_what_the_page_shows() {
    let server = Serving::new();
    server.set("a", &"x".repeat(100_000));
    server.post("/backup", r#"{"path":"x.db"}"#).ok();
    let status = server.get("/status").ok();
    assert_eq!((&status["ready"], &status["engine"]), (&Value::Bool(true), &Value::from("lsm")));
    assert_eq!(status["layout"]["levels"].as_array().map(Vec::len), Some(7));
    assert_eq!(status["backups"][0]["name"], "x.db");
    assert_eq!(status["events"][0]["kind"], "backup");
    assert!(status["store"]["memory"]["budget_bytes"].as_u64() > Some(0));
    assert_eq!(status["store"]["latencies"]["unsynced_commit"]["count"], 1);
    let memory = Serving::with(|config| config.engine.enabled = false);
    let status = memory.get("/status").ok();
    assert_eq!((&status["engine"], &status["store"]), (&Value::from("memory"), &Value::Null));
}

#[test]
fn the_status_comes_again_and_again() {
    let server = Serving::new();
    let mut connection = Connection::open(server.address);
    connection.send(format!("{}\r\n", head("GET", "/events", &[])).as_bytes());
    let mut read = Vec::new();
    let mut events = 0;
    while events < 2 {
        let mut buf = [0; 4096];
        let count = std::io::Read::read(&mut connection.stream, &mut buf).expect("it goes on");
        assert!(count > 0, "it ended");
        read.extend_from_slice(&buf[..count]);
        let text = String::from_utf8_lossy(&read);
        events = text.matches("event: status\ndata: {").count();
    }
    let text = String::from_utf8_lossy(&read);
    assert!(text.to_ascii_lowercase().contains("content-type: text/event-stream"), "{text}");
}

/// Every route of the document answers, with a status that the document has.
#[test]
fn the_description_is_true() {
    let server = Serving::new();
    let document = server.get("/openapi.json").ok();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")));
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            if path == "/events" {
                continue; // It does not end; see above.
            }
            let path = path.replace("{key}", "some/key").replace("{name}", "some.db");
            let reply = server.request(&method.to_uppercase(), &path, "");
            let status = reply.status.to_string();
            assert!(operation["responses"][&status].is_object(), "{method} {path}: {status}");
            assert!(
                reply.status != 405 && !reply.text().contains("see /openapi.json"),
                "no such route"
            );
            if reply.status != 200 {
                reply.failure(reply.status);
            }
        }
    }
}
