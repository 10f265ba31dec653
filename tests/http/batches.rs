//! `/batch/kv/`.

use crate::serving::{Serving, of_each_engine};
use serde_json::json;

#[test]
fn many_keys_at_a_time() {
    for server in of_each_engine() {
        let set =
            server.post("/batch/kv/set", r#"{"items":{"b":"2","a":"1","c":{"$base64":"/w=="}}}"#);
        let keys = json!(["a", "b", "c"]);
        assert_eq!(
            set.ok(),
            json!({"message": "Successfully set 3 keys", "keys": keys, "count": 3})
        );
        let got = server.post("/batch/kv/get", r#"{"keys":["a","c","x","a"]}"#);
        let found = json!({"a": "1", "c": {"$base64": "/w=="}});
        assert_eq!(got.ok(), json!({"found": found, "not_found": ["x"]}));
        let deleted = server.post("/batch/kv/delete", r#"{"keys":["a","x"]}"#);
        let keys = json!(["a", "x"]);
        let expected = json!({"message": "Successfully deleted 2 keys", "keys": keys, "count": 2});
        assert_eq!(deleted.ok(), expected);
        assert_eq!(server.get("/kv/").ok(), json!(["b", "c"]));
    }
}

#[test]
fn empty_ones_are_fine_and_the_last_of_two_holds() {
    for server in of_each_engine() {
        assert_eq!(server.post("/batch/kv/set", r#"{"items":{}}"#).ok()["count"], 0);
        assert_eq!(server.post("/batch/kv/delete", r#"{"keys":[]}"#).ok()["count"], 0);
        let none = server.post("/batch/kv/get", r#"{"keys":[]}"#);
        assert_eq!(none.ok(), json!({"found": {}, "not_found": []}));
        server.post("/batch/kv/set", r#"{"items":{"a":"1","a":"2"}}"#).ok();
        assert_eq!(server.value("a"), Some(b"2".to_vec()));
    }
}

#[test]
fn all_or_nothing() {
    let server = Serving::new();
    for body in
        [r#"{"items":{"a":"1","b":2}}"#, r#"{"items":[]}"#, r#"{"items":{"a":"1"}"#, "{}", ""]
    {
        server.post("/batch/kv/set", body).failure(400);
    }
    let long = "k".repeat(70_000);
    server
        .post("/batch/kv/set", &json!({"items": {"a": "1", &*long: "2"}}).to_string())
        .failure(413);
    assert_eq!(server.get("/kv/").ok(), json!([]));
    for body in [r#"{"keys":"a"}"#, r#"{"keys":[1]}"#, r#"{"keys":["a"],"x":1}"#, "[]"] {
        server.post("/batch/kv/get", body).failure(400);
        server.post("/batch/kv/delete", body).failure(400);
    }
}
