//! Export and import: streamed, whole or recognisably not.

use crate::client::{Connection, PATIENCE, head, until};
use crate::serving::{Serving, of_each_engine};
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn what_is_exported_is_imported() {
    for server in of_each_engine() {
        server.set("a", "1");
        server.put("/kv/b", r#"{"value":{"$base64":"/w=="}}"#).ok();
        server.put("/register?ttl=1h", r#"{"name":"web","port":80}"#).ok();
        let export = server.get("/export");
        assert_eq!(export.header("content-type"), Some("application/json"));
        let document = export.ok();
        assert_eq!(document["kv"], json!({"a": "1", "b": {"$base64": "/w=="}}));
        assert_eq!(document["services"], json!({"web": {"name": "web", "port": 80}}));

        for other in of_each_engine() {
            other.set("z", "kept");
            let imported = other.post("/import", &export.text());
            let expected = json!({"message": "Data imported successfully", "kv": 2, "services": 1});
            assert_eq!(imported.ok(), expected);
            other.delete("/kv/z").ok();
            assert_eq!(other.get("/export").text(), export.text(), "to the byte");
        }
    }
}

#[test]
fn a_document_of_konsul_loads() {
    let server = Serving::new();
    let document = r#"{
      "kv": {"config/host": "10.0.0.1"},
      "services": {"web": {"name": "web", "address": "10.0.0.1", "port": 8080}}
    }"#;
    server.post("/import", document).ok();
    assert_eq!(server.value("config/host"), Some(b"10.0.0.1".to_vec()));
    server.put("/heartbeat/web", "").ok();
    let export = server.get("/export").ok();
    assert!(export["expires_at_ms"].is_null(), "a heartbeat does not end what has no end");
}

#[test]
fn what_is_no_export_is_refused_with_its_path() {
    let server = Serving::with(|config| config.import_bytes_max = 10_000);
    for (body, path) in [
        (r#"{"kv":{"a":1}}"#, "$.kv.\"a\""),
        (r#"{"kv":{"a":"1"},"services":[]}"#, "$.services"),
        (r#"{"kv":{"a":"1"},"x":{}}"#, "$"),
        (r#"{"kv":{"a":"1"}"#, "$"),
        ("", "$"),
    ] {
        let message = server.post("/import", body).failure(400);
        assert!(message.contains(path), "{message}");
    }
    let large = format!(r#"{{"kv":{{"a":"{}"}}}}"#, "x".repeat(10_000));
    server.post("/import", &large).failure(413);
    // The same without saying beforehand how long it is.
    let mut connection = Connection::open(server.address);
    connection.send(
        format!("{}Transfer-Encoding: chunked\r\n\r\n", head("POST", "/import", &[])).as_bytes(),
    );
    for part in large.as_bytes().chunks(1000) {
        connection.send(format!("{:x}\r\n", part.len()).as_bytes());
        connection.send(part);
        connection.send(b"\r\n");
    }
    connection.reply().expect("an answer").failure(413);
    assert_eq!(server.get("/export").ok()["kv"], json!({}));
}

/// Cut off at every place: in the head of a chunk, in its middle, behind the whole document but before the last
/// chunk; with a length that is too long.
#[test]
fn an_import_that_is_cut_off_changes_nothing() {
    let server = Serving::new();
    server.set("old", "1");
    let before = server.get("/export").text();
    let document = r#"{"kv":{"a":"1","b":"2"},"services":{"web":{}}}"#;
    let chunked = format!("{}Transfer-Encoding: chunked\r\n\r\n", head("POST", "/import", &[]));
    let whole = format!("{:x}\r\n{document}\r\n0\r\n\r\n", document.len());
    for cut in 0..whole.len() - 5 {
        let mut connection = Connection::open(server.address);
        connection.send(chunked.as_bytes());
        connection.send(&whole.as_bytes()[..cut]);
        drop(connection);
    }
    let longer = document.len() + 1;
    let sized =
        format!("{}Content-Length: {longer}\r\n\r\n{document}", head("POST", "/import", &[]));
    let mut connection = Connection::open(server.address);
    connection.send(sized.as_bytes());
    connection.stream.shutdown(std::net::Shutdown::Write).expect("half closed");
    assert!(connection.reply().is_none_or(|reply| reply.status == 400), "no success");
    for bad in [
        "zz\r\n{}\r\n0\r\n\r\n",
        "-1\r\n{}",
        "ffffffffffffffffff\r\n{}",
        "2\n{}\r\n0\r\n\r\n",
        "2\r\n{}xx0\r\n\r\n",
    ] {
        let mut connection = Connection::open(server.address);
        connection.send(format!("{chunked}{bad}").as_bytes());
        connection.stream.shutdown(std::net::Shutdown::Write).expect("half closed");
        assert!(connection.reply().is_none_or(|reply| reply.status == 400), "{bad:?}");
    }
    until_quiet(&server);
    assert_eq!(server.get("/export").text(), before);
    let mut connection = Connection::open(server.address);
    connection.send(format!("{chunked}{whole}").as_bytes());
    connection.reply().expect("an answer").ok();
    assert_eq!(server.value("b"), Some(b"2".to_vec()), "the whole of it is taken");
}

/// Waits until nobody is at work for those who have gone.
fn until_quiet(server: &Serving) {
    let begun = Instant::now();
    loop {
        let metrics = server.get("/metrics").text();
        // The request for the metrics itself is one.
        if metrics.contains("\nesker_http_requests_in_flight 1\n") {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{metrics}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Fills `server` with more than sockets and channels hold.
fn filled(server: &Serving, bytes: usize) {
    let value = "v".repeat(1 << 20);
    for n in 0..bytes >> 20 {
        server.set(&format!("large/{n:04}"), &value);
    }
}

#[test]
fn an_export_whose_reader_stands_still_is_cut_recognisably() {
    // Filled, and read as a whole in the end, by servers that are patient with us: on a busy machine we stand still, too.
    let dir = tempfile::tempdir().expect("a directory");
    filled(&Serving::in_dir(dir.path(), |_| {}), 48 << 20);
    let mut server = Serving::in_dir(dir.path(), |config| {
        config.stall_timeout = Duration::from_millis(300);
    });
    let mut connection = Connection::open(server.address);
    connection.send(format!("{}\r\n", head("GET", "/export", &[])).as_bytes());
    // The server's side of this connection ends, whatever is still in the sockets.
    until("it is cut off", || {
        server.get("/metrics").text().contains("\nesker_http_connections 1\n")
    });
    let reply = connection.reply().expect("its beginning");
    assert_eq!((reply.status, reply.is_whole), (200, false));
    assert!(serde_json::from_slice::<serde_json::Value>(&reply.body).is_err(), "and it is no JSON");
    server.stop().expect("it ends well");
    let whole = Serving::in_dir(dir.path(), |_| {}).get("/export");
    assert!(whole.ok()["kv"].as_object().is_some_and(|kv| kv.len() == 48));
}

#[test]
fn memory_does_not_grow_with_an_export_or_an_import() {
    let server = Serving::new();
    filled(&server, 64 << 20);
    let export = server.get("/export");
    let other = Serving::new();
    other.post("/import", &export.text()).ok();
    assert_eq!(other.get("/export").body.len(), export.body.len());
    // That it streams is told by the head: no length is known when it begins.
    assert_eq!(export.header("content-length"), None);
}

#[test]
fn who_goes_early_harms_nobody() {
    let server = Serving::new();
    filled(&server, 16 << 20);
    for path in ["/export", "/kv/large%2F0001?raw", "/kv/large%2F0001", "/kv/", "/events"] {
        for _ in 0..20 {
            let mut connection = Connection::open(server.address);
            connection.send(format!("{}\r\n", head("GET", path, &[])).as_bytes());
        }
    }
    until_quiet(&server);
    assert_eq!(server.get("/kv/").ok().as_array().map(Vec::len), Some(16));
}
