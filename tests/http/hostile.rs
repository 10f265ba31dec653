//! Clients that are slow, huge, broken or many: they cost a bounded time, and nobody else anything.

use crate::client::{Connection, PATIENCE, head, until};
use crate::serving::Serving;
use std::time::{Duration, Instant};

/// So soon a server loses its patience here. Who asks it for something else may be late himself, on a busy machine: he
/// asks again, or another server over the same directory.
const SOON: Duration = Duration::from_millis(400);

/// Whether a server that may have lost its patience with us answers as it should.
fn is_answered(address: std::net::SocketAddr) -> bool {
    let mut connection = Connection::open(address);
    connection.send(format!("{}\r\n", head("GET", "/kv/", &[])).as_bytes());
    connection.reply().is_some_and(|reply| reply.status == 200 && reply.is_whole)
}

/// Sends `bytes` one by one until the server has had enough.
fn trickle(connection: &mut Connection, bytes: &[u8]) {
    use std::io::Write;
    let begun = Instant::now();
    for byte in bytes.iter().cycle() {
        if connection.stream.write_all(&[*byte]).is_err() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "it takes whatever comes");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_head_has_a_deadline() {
    let server = Serving::with(|config| config.header_timeout = SOON);
    let mut silent = Connection::open(server.address);
    assert!(silent.is_closed());
    let mut slow = Connection::open(server.address);
    slow.send(b"GET /kv/ HTTP/1.1\r\nHost: localhost\r\n");
    trickle(&mut slow, b"X-A: b\r\n");
    until("who comes in time is answered", || is_answered(server.address));
}

#[test]
fn a_body_has_a_least_rate() {
    let server = Serving::with(|config| config.stall_timeout = SOON);
    for (method, path) in [("PUT", "/kv/a?raw"), ("POST", "/import"), ("POST", "/batch/kv/set")] {
        // Nothing at all.
        let mut connection = Connection::open(server.address);
        connection
            .send(format!("{}Content-Length: 100000\r\n\r\n", head(method, path, &[])).as_bytes());
        connection.reply().expect("an answer").failure(408);
        // Fifty bytes a second, each of which comes in time.
        let mut connection = Connection::open(server.address);
        connection
            .send(format!("{}Content-Length: 100000\r\n\r\n", head(method, path, &[])).as_bytes());
        trickle(&mut connection, b" ");
    }
    assert_eq!(server.value("a"), None);
}

#[test]
fn who_takes_no_answer_is_cut_off() {
    let dir = tempfile::tempdir().expect("a directory");
    Serving::in_dir(dir.path(), |_| {}).set("large", &"x".repeat(32 << 20));
    let server = Serving::in_dir(dir.path(), |config| config.stall_timeout = SOON);
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut connection = Connection::open(server.address);
        connection.send(format!("{}\r\n", head("GET", "/kv/large?raw", &[])).as_bytes());
        held.push(connection);
    }
    until("they are cut off", || {
        server.get("/metrics").text().contains("\nesker_http_connections 1\n")
    });
    for mut connection in held {
        let reply = connection.reply().expect("its beginning");
        assert!(!reply.is_whole);
    }
}

#[test]
fn heads_are_bounded() {
    let server = Serving::new();
    let long = "x".repeat(200_000);
    for request in [
        format!("GET /kv/{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        format!("GET /kv/ HTTP/1.1\r\nHost: localhost\r\nX-A: {long}\r\n\r\n"),
        format!("GET /kv/ HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X-A: b\r\n".repeat(500)),
        format!("{long} /kv/ HTTP/1.1\r\n\r\n"),
    ] {
        let mut connection = Connection::open(server.address);
        connection.send(request.as_bytes());
        if let Some(reply) = connection.reply() {
            assert!(matches!(reply.status, 400 | 414 | 431), "{reply:?}");
        }
    }
    // Without an end.
    let mut connection = Connection::open(server.address);
    let begun = Instant::now();
    let endless = "X-A: bbbbbbbbbbbbbbbb\r\n".repeat(100);
    connection.send(b"GET /kv/ HTTP/1.1\r\nHost: localhost\r\n");
    while std::io::Write::write_all(&mut connection.stream, endless.as_bytes()).is_ok() {
        assert!(begun.elapsed() < PATIENCE);
    }
    server.get("/kv/").ok();
}

#[test]
fn what_is_no_http_is_turned_away() {
    let server = Serving::new();
    for bytes in [
        &b"\r\n\r\n\r\n\r\n"[..], b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n", b"GET / HTTP/1.1\r\n: x\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\xff\xfe\xfd\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nA: \x01\r\n\r\n",
        b"PUT /kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"PUT /kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1x\r\n\r\n",
        b"PUT /kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"PUT /kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"PUT /kv/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"PUT /kv/a?raw HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, gzip\r\n\r\n1\r\na\r\n0\r\n\r\n",
    ] {
        let mut connection = Connection::open(server.address);
        connection.send(bytes);
        connection.stream.shutdown(std::net::Shutdown::Write).expect("half closed");
        if let Some(reply) = connection.reply() {
            assert!(reply.status >= 400, "{}: {reply:?}", bytes.escape_ascii());
        }
    }
    assert_eq!(server.value("a"), None);
}

/// Two lengths, and a server that believes the other one than a proxy before it does: the second request is smuggled. Here
/// one of the lengths is refused, or both mean the same.
#[test]
fn nothing_is_smuggled_behind_a_body() {
    let server = Serving::new();
    let smuggled = "DELETE /kv/a HTTP/1.1\r\nHost: localhost\r\n\r\n";
    server.set("a", "1");
    for body in [
        format!("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{smuggled}"),
    ] {
        let mut connection = Connection::open(server.address);
        connection.send(format!("{}{body}", head("POST", "/batch/kv/set", &[])).as_bytes());
        connection.stream.shutdown(std::net::Shutdown::Write).expect("half closed");
        while connection.reply().is_some() {}
        assert_eq!(server.value("a"), Some(b"1".to_vec()), "{body}");
    }
}

#[test]
fn requests_in_a_row_on_one_connection() {
    let server = Serving::new();
    let mut connection = Connection::open(server.address);
    let put = |n: usize| {
        format!("{}Content-Length: 1\r\n\r\n{}", head("PUT", &format!("/kv/k{n}?raw"), &[]), n)
    };
    let all: String = (0..8).map(put).collect();
    connection.send(all.as_bytes());
    for n in 0..8 {
        assert_eq!(connection.reply().expect("an answer").ok()["key"], format!("k{n}"));
    }
}

/// A thousand connections that say nothing, and more than the limit: who has something to say is heard.
#[test]
fn idle_connections_starve_nobody() {
    let server = Serving::with(|config| {
        config.connections_max = 300;
        // They do not go by themselves.
        config.header_timeout = Duration::from_secs(600);
    });
    let idle: Vec<Connection> = (0..1000).map(|_| Connection::open(server.address)).collect();
    for n in 0..20 {
        let begun = Instant::now();
        server.set(&format!("k{n}"), "v");
        assert!(begun.elapsed() < PATIENCE);
    }
    let metrics = server.get("/metrics").text();
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.trim().parse::<u64>().expect("a number")
    };
    assert!(value("esker_http_connections ") <= 300);
    assert!(value("esker_http_connections_evicted_total ") >= 700);
    if cfg!(target_os = "linux") {
        // Ours are among them: the test runs in the same process.
        assert!(value("process_open_fds ") < 5000);
    }
    drop(idle);
}

#[test]
fn a_thousand_idle_connections_fit_the_default() {
    let server = Serving::new();
    let mut idle: Vec<Connection> = (0..1000).map(|_| Connection::open(server.address)).collect();
    server.set("a", "1");
    // Each of them still works.
    for connection in idle.iter_mut().step_by(100) {
        connection.send(format!("{}\r\n", head("GET", "/kv/a?raw", &[])).as_bytes());
        assert_eq!(connection.reply().expect("an answer").body, b"1");
    }
}

#[test]
fn large_bodies_share_a_budget() {
    let server = Serving::with(|config| {
        config.body_bytes_max = 4 << 20;
        config.bodies_bytes_max = 8 << 20;
    });
    let part = vec![b'x'; 3 << 20];
    let begin = || {
        let mut connection = Connection::open(server.address);
        let length = part.len() + 1;
        let head = head("PUT", "/kv/a?raw", &[]);
        connection.send(format!("{head}Content-Length: {length}\r\n\r\n").as_bytes());
        connection.send(&part);
        connection
    };
    // All of their bodies but one byte each: there is room for two, in steps that double.
    let mut held: Vec<Connection> = (0..6).map(|_| begin()).collect();
    let mut statuses = Vec::new();
    for connection in &mut held {
        connection.send(b"x");
        statuses.push(connection.reply().map_or(503, |reply| reply.status));
    }
    assert!(statuses.contains(&200) && statuses.contains(&503), "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
    drop(held);
    let begun = Instant::now();
    loop {
        let mut connection = begin();
        connection.send(b"x");
        match connection.reply() {
            Some(reply) if reply.status == 200 => break,
            _ => assert!(begun.elapsed() < PATIENCE, "the budget is not given back"),
        }
    }
}
