//! `/kv/`: one key, raw and as JSON, and lists.

use crate::client::request;
use crate::serving::{Serving, of_each_engine};
use serde_json::json;

#[test]
fn keys_are_set_got_listed_and_deleted() {
    for server in of_each_engine() {
        let set = server.put("/kv/config/host", r#"{"value":"10.0.0.1"}"#);
        assert_eq!(set.ok(), json!({"message": "key set", "key": "config/host"}));
        let got = server.get("/kv/config/host");
        assert_eq!(got.ok(), json!({"key": "config/host", "value": "10.0.0.1"}));
        assert_eq!(got.header("content-type"), Some("application/json"));
        assert_eq!(server.get("/kv/config%2Fhost").ok(), got.ok(), "slashes either way");

        server.put("/kv/config/port", r#"{"value":"8080"}"#).ok();
        server.put("/kv/other", r#"{"value":""}"#).ok();
        let all = json!(["config/host", "config/port", "other"]);
        assert_eq!(server.get("/kv/").ok(), all);
        assert_eq!(server.get("/kv").ok(), all);
        assert_eq!(server.get("/kv/?prefix=config/").ok(), json!(["config/host", "config/port"]));
        assert_eq!(server.get("/kv/?prefix=none").ok(), json!([]));

        let deleted = server.delete("/kv/config/host");
        assert_eq!(deleted.ok(), json!({"message": "key deleted", "key": "config/host"}));
        assert_eq!(server.get("/kv/config/host").failure(404), "key not found");
        server.delete("/kv/config/host").ok();
    }
}

#[test]
fn values_are_bytes() {
    for server in of_each_engine() {
        let bytes: Vec<u8> = (0..=255).collect();
        request(server.address, "PUT", "/kv/b?raw", &[], &bytes).ok();
        let raw = server.get("/kv/b?raw");
        assert_eq!((raw.status, &raw.body), (200, &bytes));
        assert_eq!(raw.header("content-type"), Some("application/octet-stream"));
        let json = server.get("/kv/b").ok();
        assert!(json["value"]["$base64"].as_str().is_some_and(|text| text.starts_with("AAECAwQF")));
        // What was shown can be sent.
        let again = json!({"value": json["value"]}).to_string();
        server.put("/kv/c", &again).ok();
        assert_eq!(server.value("c"), Some(bytes));
        request(server.address, "PUT", "/kv/empty?raw", &[], b"").ok();
        assert_eq!(server.get("/kv/empty").ok(), json!({"key": "empty", "value": ""}));
    }
}

#[test]
fn keys_are_any_text() {
    let server = Serving::new();
    for (path, key) in [
        ("/kv/%C3%A4%20b", "ä b"),
        ("/kv/a+b", "a+b"),
        ("/kv//a//", "/a//"),
        ("/kv/..%2F..%2Fetc%2Fpasswd", "../../etc/passwd"),
        ("/kv/%00", "\0"),
        ("/kv/kv:x", "kv:x"),
        ("/kv/%25", "%"),
        ("/kv/a%3Fb", "a?b"),
        ("/kv/%22%5C%0A", "\"\\\n"),
    ] {
        server.put(path, r#"{"value":"v"}"#).ok();
        assert_eq!(server.get(path).ok(), json!({"key": key, "value": "v"}));
    }
    assert_eq!(server.get("/kv/").ok().as_array().map(Vec::len), Some(9));
    for path in ["/kv/%ff", "/kv/%zz", "/kv/a%"] {
        server.get(path).failure(400);
    }
}

#[test]
fn what_is_not_understood_is_refused_and_changes_nothing() {
    let server = Serving::with(|config| config.body_bytes_max = 1000);
    for body in [
        "",
        "{",
        "[]",
        "\"v\"",
        "{}",
        r#"{"value":1}"#,
        r#"{"value":null}"#,
        r#"{"valu":"x"}"#,
        r#"{"value":"x","more":1}"#,
        r#"{"value":"x"} x"#,
        r#"{"value":{"$base64":"?"}}"#,
        r#"{"value":{"$base64":"YQ==","x":1}}"#,
        r#"{"value":"\ud800"}"#,
        "\u{feff}{}",
    ] {
        let message = server.put("/kv/a", body).failure(400);
        assert!(message.contains("value"), "{message}");
    }
    server.put("/kv/a?raw=maybe", "x").failure(400);
    server.put("/kv/a?rwa", "x").failure(400);
    server.get("/kv/?prefx=a").failure(400);
    let message = server.put("/kv/a?raw", &"x".repeat(1001)).failure(413);
    assert!(message.contains("1000"), "{message}");
    let long = format!("/kv/{}", "k".repeat(60_000));
    server.put(&long, r#"{"value":"v"}"#).ok();
    server.delete(&long).ok();
    assert_eq!(server.get("/kv/").ok(), json!([]));

    let server = Serving::new();
    let message =
        server.post("/batch/kv/set", &json!({"items": {"k".repeat(70_000): "v"}}).to_string());
    assert!(message.failure(413).contains("65535"), "the engine's own limit");
    server.put("/kv/", r#"{"value":"v"}"#).failure(405);
}

#[test]
fn other_methods_and_paths_are_told() {
    let server = Serving::new();
    let reply = server.post("/kv/a", "{}");
    let message = reply.failure(405);
    assert!(message.contains("POST"), "{message}");
    assert!(reply.header("allow").is_some_and(|allow| allow.contains("PUT")), "{reply:?}");
    for path in ["/none", "/kvx", "/backup/x", "/services/a/b", "//", "/kv/../../x/y/.."] {
        let reply = server.get(path);
        assert!(matches!(reply.status, 404 | 405), "{path}: {}", reply.text());
        reply.failure(reply.status);
    }
    let head = server.request("HEAD", "/kv/", "");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn large_values_and_lists_come_whole() {
    let server = Serving::new();
    let large = "0123456789abcdef".repeat(1 << 18); // 4 MiB
    server.set("large", &large);
    let raw = server.get("/kv/large?raw");
    assert_eq!(raw.header("content-length"), Some("4194304"));
    assert!(raw.is_whole && raw.body == large.as_bytes());
    assert_eq!(server.get("/kv/large").ok()["value"], large);

    let items: serde_json::Map<_, _> =
        (0..20_000).map(|n| (format!("key/{n:06}"), json!("v"))).collect();
    server.post("/batch/kv/set", &json!({"items": items}).to_string()).ok();
    let list = server.get("/kv/?prefix=key/");
    assert_eq!(list.header("transfer-encoding"), Some("chunked"), "it streams");
    assert_eq!(list.ok().as_array().map(Vec::len), Some(20_000));
}
