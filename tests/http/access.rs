//! Who may ask: the token, the host asked for, the page that asks.

use crate::client::{Connection, Reply, request};
use crate::serving::{Serving, config};
use esker::server::{Server, Token};

const TOKEN: &str = "correct-horse-battery-staple";

fn with_token() -> Serving {
    Serving::with(|config| config.token = Some(Token::new(TOKEN).expect("a token")))
}

#[test]
fn without_the_token_nothing_is_told_or_done() {
    let server = with_token();
    let bearer = format!("Bearer {TOKEN}");
    let right = [("Authorization", bearer.as_str())];
    request(server.address, "PUT", "/kv/a?raw", &right, b"1").ok();
    let wrong = [
        "",
        "Bearer",
        "Bearer ",
        "bearer x",
        "Bearer correct-horse-battery-stapl",
        "Basic Y29ycmVjdA==",
        "Bearer correct-horse-battery-staplee",
        "Bearer Correct-horse-battery-staple",
        "Token correct-horse-battery-staple",
        "correct-horse-battery-staple",
        "Bearer correct-horse-battery-staple, x",
        "Bearer \"correct-horse-battery-staple\"",
    ];
    let long = format!("Bearer {}", "x".repeat(10_000));
    for (method, path, body) in [
        ("GET", "/kv/a", ""),
        ("PUT", "/kv/a?raw", "2"),
        ("DELETE", "/kv/a", ""),
        ("GET", "/export", ""),
        ("POST", "/import", "{}"),
        ("POST", "/backup", ""),
        ("POST", "/restore", "{\"path\":\"x\"}"),
        ("GET", "/backups", ""),
        ("GET", "/metrics", ""),
        ("GET", "/status", ""),
        ("GET", "/events", ""),
        ("GET", "/none", ""),
        ("PUT", "/register", "{\"name\":\"a\"}"),
        ("GET", "/services/", ""),
        ("POST", "/batch/kv/get", "{\"keys\":[]}"),
    ] {
        let refused = |reply: Reply| {
            let message = reply.failure(401);
            assert!(message.contains("Bearer"), "{message}");
            assert!(
                reply.header("www-authenticate").is_some_and(|scheme| scheme.starts_with("Bearer"))
            );
        };
        refused(request(server.address, method, path, &[], body.as_bytes()));
        for wrong in wrong.iter().copied().chain([long.as_str()]) {
            refused(request(
                server.address,
                method,
                path,
                &[("Authorization", wrong)],
                body.as_bytes(),
            ));
        }
        let twice = [("Authorization", bearer.as_str()), ("Authorization", "Bearer x")];
        refused(request(server.address, method, path, &twice, body.as_bytes()));
    }
    assert_eq!(request(server.address, "GET", "/kv/a?raw", &right, b"").body, b"1");
    let lower = [("authorization", format!("bearer  {TOKEN} "))];
    let lower = [(lower[0].0, lower[0].1.as_str())];
    request(server.address, "GET", "/kv/a", &lower, b"").ok();
}

#[test]
fn what_has_nothing_of_the_store_needs_none() {
    let server = with_token();
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.get("/health").ok()["status"], "ready");
    server.get("/openapi.json").ok();
}

#[test]
fn an_address_that_others_reach_needs_a_token() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut open = config(dir.path());
    open.listen = "0.0.0.0:0".parse().expect("an address");
    let text = Server::bind(open.clone()).expect_err("refused").to_string();
    assert!(text.contains("token"), "{text}");
    assert!(!dir.path().join("data").exists(), "refused before anything is touched");
    open.token = Some(Token::new(TOKEN).expect("a token"));
    Server::bind(open).expect("with a token");
}

#[test]
fn an_address_in_use_and_a_directory_in_use_are_told() {
    let server = Serving::new();
    let dir = tempfile::tempdir().expect("a directory");
    let mut same = config(dir.path());
    same.listen = server.address;
    let text = Server::bind(same).expect_err("taken").to_string();
    assert!(text.contains("cannot listen on 127.0.0.1"), "{text}");
    let held = Server::bind(config(&server.dir)).expect_err("locked");
    assert!(matches!(held, esker::Error::Locked { .. }), "{held}");
}

#[test]
fn other_hosts_and_other_pages_are_refused() {
    let server = Serving::with(|config| config.hosts = vec!["store.example".to_owned()]);
    server.set("a", "1");
    let port = server.address.port();
    let ours = format!("http://localhost:{port}");
    let host = format!("localhost:{port}");
    let put = |headers: &[(&str, &str)]| request(server.address, "PUT", "/kv/a?raw", headers, b"2");
    for evil in [
        "evil.example",
        "evil.example:8500",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "xlocalhost",
    ] {
        assert!(put(&[("Host", evil)]).failure(403).contains("--host"), "{evil}");
    }
    for origin in
        ["http://evil.example", "null", "http://localhost:1", "https://127.0.0.1", "file://"]
    {
        put(&[("Host", &host), ("Origin", origin)]).failure(403);
    }
    put(&[("Host", &host), ("Origin", &ours), ("Origin", "http://evil.example")]).failure(403);
    put(&[("Host", &host), ("Sec-Fetch-Site", "cross-site")]).failure(403);
    let simple = [("Content-Type", "text/plain"), ("Origin", "http://evil.example")];
    request(server.address, "POST", "/import", &simple, br#"{"kv":{"a":"3"}}"#).failure(403);
    put(&[("Host", "localhost"), ("Host", "evil.example")]).failure(400);
    assert_eq!(server.value("a"), Some(b"1".to_vec()), "none of them has changed it");

    for host in ["store.example", "STORE.EXAMPLE:80", "[::1]", "127.0.0.1", "10.9.8.7:1"] {
        put(&[("Host", host)]).ok();
    }
    let reply = put(&[("Host", &host), ("Origin", &ours), ("Sec-Fetch-Site", "same-origin")]);
    reply.ok();
    assert_eq!(reply.header("access-control-allow-origin"), None);
    let preflight = [
        ("Host", &*host),
        ("Origin", "http://evil.example"),
        ("Access-Control-Request-Method", "PUT"),
    ];
    let reply = request(server.address, "OPTIONS", "/kv/a", &preflight, b"");
    reply.failure(403);
    assert_eq!(reply.header("access-control-allow-methods"), None);

    for bare in [
        "GET /kv/a HTTP/1.1\r\n\r\n",
        "GET http://evil.example/kv/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let mut connection = Connection::open(server.address);
        connection.send(bare.as_bytes());
        connection.reply().expect("an answer").failure(400);
    }
    let mut connection = Connection::open(server.address);
    connection.send(b"GET /kv/a HTTP/1.0\r\n\r\n");
    assert_eq!(connection.reply().expect("an answer").status, 200);
}

#[test]
fn answers_say_how_they_may_be_used() {
    let server = Serving::new();
    for path in ["/kv/", "/", "/none", "/metrics"] {
        let reply = server.get(path);
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
    }
    let page = server.get("/");
    let policy = page.header("content-security-policy").expect("a policy").to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let nonce =
        policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).expect("one");
    assert_eq!(page.text().matches(nonce).count(), 2);
    let again = server.get("/");
    assert_ne!(again.header("content-security-policy"), Some(&*policy), "each answer has its own");
}
