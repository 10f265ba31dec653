//! Services: registered, renewed, expired, gone.

use crate::client::until;
use crate::serving::{Serving, of_each_engine};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

#[test]
fn a_registration_is_kept_whole() {
    for server in of_each_engine() {
        let body =
            r#" {"port":8080,"name":"web","address":"10.0.0.1","weight":1.50,"tags":["a"]} "#;
        let registered = server.put("/register", body);
        assert_eq!(registered.ok()["message"], "service registered");
        assert!(registered.text().contains(body.trim()), "to the digit: {}", registered.text());
        let got = server.get("/services/web");
        assert_eq!((got.status, got.text().as_str()), (200, body.trim()));
        server.put("/register", r#"{"name":"api"}"#).ok();
        let all = server.get("/services/");
        assert_eq!(all.text(), format!("[{{\"name\":\"api\"}},{}]", body.trim()));
        assert_eq!(server.get("/services").text(), all.text());
        let export = server.get("/export").ok();
        assert_eq!(export["services"]["web"], server.get("/services/web").ok());
        assert_eq!(export["services"].as_object().map(serde_json::Map::len), Some(2));
        assert_eq!(export["kv"], json!({}), "lifetimes are nobody's keys");
        let gone = server.delete("/deregister/web");
        assert_eq!(gone.ok(), json!({"message": "service deregistered", "name": "web"}));
        assert!(server.get("/services/web").failure(404).starts_with("service not found"));
        assert_eq!(server.get("/services/").text(), r#"[{"name":"api"}]"#);
        server.delete("/deregister/web").ok();
        server.delete("/deregister/api").ok();
        assert_eq!(server.get("/services/").text(), "[]");
    }
}

#[test]
fn what_is_no_registration_is_refused() {
    let server = Serving::new();
    for body in [
        "",
        "[]",
        "{}",
        r#"{"name":""}"#,
        r#"{"name":1}"#,
        r#"{"name":"a","name":"b"}"#,
        r#"{"name":"a","port":"80"}"#,
        r#"{"name":"a","port":65536}"#,
        r#"{"name":"a","address":1}"#,
        r#"{"name":"a"} {}"#,
        r#"{"name":"a","x":"\ud800"}"#,
        &format!(r#"{{"name":"a","x":{}{}}}"#, "[".repeat(110), "]".repeat(110)),
    ] {
        server.put("/register", body).failure(400);
    }
    for ttl in ["0s", "", "30", "-1s", "abc", "1x"] {
        server.put(&format!("/register?ttl={ttl}"), r#"{"name":"a"}"#).failure(400);
    }
    assert_eq!(server.get("/services/").text(), "[]");
}

#[test]
fn services_expire_and_heartbeats_renew_by_their_own_time() {
    for server in of_each_engine() {
        server.put("/register?ttl=250ms", r#"{"name":"short"}"#).ok();
        server.put("/register?ttl=2h", r#"{"name":"kept"}"#).ok();
        until("short expires", || server.get("/services/short").status == 410);
        assert!(server.get("/services/short").failure(410).starts_with("service expired"));
        assert!(server.put("/heartbeat/short", "").failure(404).starts_with("service expired"));
        assert!(server.put("/heartbeat/none", "").failure(404).starts_with("service not found"));
        assert_eq!(server.get("/services/").text(), r#"[{"name":"kept"}]"#);
        // When it ends is told by an export: so it does not matter how late anybody comes.
        let first = expiry(&server, "kept");
        let before = now_ms();
        let beat = server.put("/heartbeat/kept", "");
        assert_eq!(beat.ok(), json!({"message": "heartbeat updated", "service": "kept"}));
        let (second, after) = (expiry(&server, "kept"), now_ms());
        let ttl = 2 * 3_600_000;
        assert!((before + ttl..=after + ttl).contains(&second), "{before} {second} {after}");
        assert!(second > first, "{first} {second}");
    }
}

/// One that was renewed lives for its own time once more, and no longer. By the clock, since that is what ends it.
#[test]
fn what_is_renewed_no_more_expires() {
    for server in of_each_engine() {
        until("a heartbeat comes in time", || {
            server.put("/register?ttl=600ms", r#"{"name":"kept"}"#).ok();
            // Late, on a busy machine, it has expired.
            server.put("/heartbeat/kept", "").status == 200
        });
        until("it expires", || server.get("/services/").text() == "[]");
        assert!(server.get("/services/kept").failure(410).starts_with("service expired"));
    }
}

/// When the service ends, in milliseconds.
fn expiry(server: &Serving, name: &str) -> u64 {
    let export = server.get("/export").ok();
    export["expires_at_ms"][name].as_u64().expect("it expires")
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    u64::try_from(now.as_millis()).expect("a time before the end of all")
}

#[test]
fn a_lifetime_survives_a_restart_and_a_backup() {
    let dir = tempfile::tempdir().expect("a directory");
    let expiry = |server: &Serving| expiry(server, "web");
    let mut server = Serving::in_dir(dir.path(), |_| {});
    server.put("/register?ttl=2h", r#"{"name":"web"}"#).ok();
    let first = expiry(&server);
    server.post("/backup", r#"{"path":"b.db"}"#).ok();
    server.stop().expect("it ends well");

    let server = Serving::in_dir(dir.path(), |_| {});
    server.put("/heartbeat/web", "").ok();
    let second = expiry(&server);
    assert!(second > first && second < first + 600_000, "by two hours again: {first}, {second}");
    server.delete("/deregister/web").ok();
    server.post("/restore", r#"{"path":"b.db"}"#).ok();
    server.put("/heartbeat/web", "").ok();
    assert!(expiry(&server) >= second);

    // An engine in memory takes the same backup, without the lifetimes.
    let memory = Serving::in_dir(dir.path(), |config| config.engine.enabled = false);
    memory.post("/restore", r#"{"path":"b.db"}"#).ok();
    assert_eq!(memory.get("/services/").text(), r#"[{"name":"web"}]"#);
}
