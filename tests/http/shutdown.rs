//! The end of a server: what was acknowledged stays, what is under way ends or is refused, and it does end.

use crate::client::{Connection, PATIENCE, head, until};
use crate::serving::Serving;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[test]
fn requests_under_way_end_and_nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut server = Serving::in_dir(dir.path(), |_| {});
    let (address, stopping) = (server.address, AtomicBool::new(false));
    let count = AtomicUsize::new(0);
    let acknowledged = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (stopping, count) = (&stopping, &count);
                scope.spawn(move || {
                    let mut acknowledged = Vec::new();
                    for n in 0.. {
                        let key = format!("w{writer}/{n}");
                        let Ok(mut connection) = Connection::try_open(address) else {
                            assert!(stopping.load(Ordering::SeqCst), "it listens until it is told");
                            return acknowledged;
                        };
                        let head = head("PUT", &format!("/kv/{key}?raw"), &[]);
                        connection.send(format!("{head}Content-Length: 1\r\n\r\nv").as_bytes());
                        match connection.reply() {
                            Some(reply) if reply.status == 200 => {
                                acknowledged.push(key);
                                count.fetch_add(1, Ordering::SeqCst);
                            }
                            Some(reply) => drop(reply.failure(503)),
                            None if stopping.load(Ordering::SeqCst) => return acknowledged,
                            None => panic!("no answer while it runs"),
                        }
                    }
                    unreachable!("it goes on until it is refused")
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(500));
        until("some are acknowledged", || count.load(Ordering::SeqCst) > 10);
        stopping.store(true, Ordering::SeqCst);
        server.stop().expect("it ends well");
        let keys = writers.into_iter().flat_map(|writer| writer.join().expect("no panic"));
        keys.collect::<Vec<_>>()
    });
    assert!(acknowledged.len() > 10, "{}", acknowledged.len());
    let server = Serving::in_dir(dir.path(), |_| {});
    let list = server.get("/kv/").ok();
    let there: std::collections::BTreeSet<&str> =
        list.as_array().expect("a list").iter().filter_map(|key| key.as_str()).collect();
    for key in &acknowledged {
        assert!(there.contains(key.as_str()), "{key} was acknowledged");
    }
}

/// A body comes in while the server ends: it is awaited. What keeps alive without a request is not.
#[test]
fn a_request_that_has_begun_is_finished() {
    let dir = tempfile::tempdir().expect("a directory");
    // Long enough that it is told from an end that comes in time, on any machine.
    let mut server = Serving::in_dir(dir.path(), |config| {
        config.shutdown_timeout = Duration::from_secs(600);
        config.header_timeout = Duration::from_secs(600);
        config.stall_timeout = Duration::from_secs(600);
    });
    let mut idle = Connection::open(server.address);
    idle.send(format!("{}\r\n", head("GET", "/kv/", &[])).as_bytes());
    idle.reply().expect("an answer").ok();
    let mut events = Connection::open(server.address);
    events.send(format!("{}\r\n", head("GET", "/events", &[])).as_bytes());
    let mut half = Connection::open(server.address);
    half.send(
        format!("{}Content-Length: 4\r\n\r\nab", head("PUT", "/kv/half?raw", &[])).as_bytes(),
    );
    // Whether it has come is told by the count of requests: this one, that one, and the stream has begun.
    until("it has come", || {
        server.get("/metrics").text().contains("\nesker_http_requests_in_flight 2\n")
    });
    let begun = Instant::now();
    server.begin_stop();
    assert!(idle.is_closed(), "it has no request");
    half.send(b"cd");
    half.reply().expect("an answer").ok();
    server.stop().expect("it ends well");
    assert!(begun.elapsed() < PATIENCE, "nobody is waited for in vain");
    let server = Serving::in_dir(dir.path(), |_| {});
    assert_eq!(server.value("half"), Some(b"abcd".to_vec()));
}

#[test]
fn it_ends_in_time_whoever_hangs_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let short = |config: &mut esker::server::ServerConfig| {
        config.shutdown_timeout = Duration::from_millis(500);
        // They do not end by themselves.
        config.header_timeout = Duration::from_secs(600);
        config.stall_timeout = Duration::from_secs(600);
        config.request_timeout = Duration::from_secs(600);
    };
    let mut server = Serving::in_dir(dir.path(), short);
    server.set("large", &"x".repeat(32 << 20));
    let mut hanging = Vec::new();
    for (method, path) in [
        ("PUT", "/kv/never?raw"),
        ("POST", "/import"),
        ("GET", "/export"),
        ("GET", "/kv/large?raw"),
    ] {
        let mut connection = Connection::open(server.address);
        connection
            .send(format!("{}Content-Length: 10\r\n\r\n", head(method, path, &[])).as_bytes());
        hanging.push(connection);
    }
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    server.stop().expect("it ends well");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    let server = Serving::in_dir(dir.path(), |_| {});
    assert_eq!(server.value("never"), None);
    assert_eq!(server.value("large").map(|value| value.len()), Some(32 << 20));
}
