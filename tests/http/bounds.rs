//! What a server takes at most while hostile clients do all at once, measured from outside of it: memory and descriptors.

#![cfg(target_os = "linux")]

use crate::client::{Connection, PATIENCE, head};
use crate::serve_command::{Serve, command};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

/// What a process takes, by its own words: bytes of memory, open files.
fn taken(serve: &Serve) -> (u64, u64) {
    let metrics = serve.request("GET", "/metrics", "").text();
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.trim().parse::<u64>().expect("a number")
    };
    (value("process_resident_memory_bytes "), value("process_open_fds "))
}

/// What the client number `n` does: it begins something, and never ends it.
fn begin(serve: &Serve, n: usize) -> Connection {
    let mut connection = Connection::open(serve.address);
    connection.stream.set_write_timeout(Some(Duration::from_millis(200))).expect("set");
    let get = |path: &str| format!("{}\r\n", head("GET", path, &[]));
    let announced =
        format!("{}Content-Length: {}\r\n\r\n", head("PUT", "/kv/never?raw", &[]), 16 * MIB);
    match n {
        // As many answers at once as there may be connections, 2.4 GiB together.
        0..400 => connection.send(get("/kv/large?raw").as_bytes()),
        _ => match n % 5 {
            0 => {
                let endless = "X-A: bbbbbbbbbbbbbbbb\r\n".repeat(3_000);
                connection.send(format!("GET / HTTP/1.1\r\n{endless}").as_bytes());
            }
            1 => {
                connection.send(announced.as_bytes());
                // Every second one sends a quarter of what it announced: 200 MiB together.
                if n.is_multiple_of(2) {
                    connection.send(&vec![b'x'; 4 << 20]);
                }
            }
            2 => connection.send(get("/export").as_bytes()),
            3 => {
                let head = head("POST", "/import", &[]);
                let part = "Transfer-Encoding: chunked\r\n\r\nffff\r\n{";
                connection.send(format!("{head}{part}").as_bytes());
            }
            _ => {}
        },
    }
    connection
}

/// A server in a process of its own, so that what it takes is what it takes; and everything at once that the tests of
/// [`crate::hostile`] do one by one: heads without an end, bodies that do not come, answers that nobody takes, connections without a
/// word. Memory and descriptors stay below a bound, the latter come back, and nothing is lost.
#[test]
fn memory_and_descriptors_stay_below_a_bound() {
    let dir = tempfile::tempdir().expect("a directory");
    let arguments = [
        ["serve", "--quiet"],
        ["--listen", "127.0.0.1:0"],
        ["--sync-writes", "false"],
        ["--connections-max", "400"],
        ["--body-bytes-max", "16MiB"],
        ["--bodies-bytes-max", "32MiB"],
        ["--memory-bytes-max", "64MiB"],
        // Longer than it takes to have all of them there: what goes by itself meanwhile would not count.
        ["--header-timeout", "90s"],
        ["--stall-timeout", "90s"],
        ["--log", "error"],
    ];
    let mut command = command(dir.path(), &arguments.concat());
    // glibc takes what was freed last for what is common, and from then on keeps as much, in up to eight arenas a core:
    // 200 MiB more or less, by how many threads were at it at once. What it keeps is no client's doing either.
    command.env("MALLOC_MMAP_THRESHOLD_", "131072");
    let serve = Serve::start(command);
    // What the engine itself takes when it is used is no client's doing.
    let answer = "x".repeat(6 << 20);
    for _ in 0..4 {
        serve.request("PUT", "/kv/large?raw", &answer).ok();
        assert_eq!(serve.request("GET", "/kv/large?raw", "").body.len(), answer.len());
    }
    let (memory, files) = taken(&serve);
    let (mut memory_max, mut files_max) = (memory, files);
    let mut look = || {
        let (memory, files) = taken(&serve);
        memory_max = memory_max.max(memory);
        files_max = files_max.max(files);
    };
    let mut held = Vec::new();
    for n in 0..900 {
        held.push(begin(&serve, n));
        if n % 20 == 19 {
            look();
        }
    }
    for _ in 0..10 {
        look();
        std::thread::sleep(Duration::from_millis(50));
    }
    println!(
        "{} MiB before, {} at most; {files} files before, {files_max} at most",
        memory / MIB,
        memory_max / MIB
    );
    // The budget of bodies and answers; a value for each call of the engine that may run at a time; a head of 64 KiB for each
    // connection; and what the allocator keeps of small things.
    let bound = memory + 32 * MIB + 64 * 6 * MIB + 400 * MIB / 16 + 16 * MIB;
    assert!(memory_max < bound, "{memory_max} of {bound}, {memory} before");
    // A file for each connection, and what it had.
    assert!(files_max > 300 && files_max <= files + 400 + 40, "{files_max}, {files} before");
    drop(held);
    let begun = Instant::now();
    while taken(&serve).1 > files + 10 {
        assert!(begun.elapsed() < PATIENCE, "{:?}, {files} files before", taken(&serve));
        std::thread::sleep(Duration::from_millis(50));
    }
    serve.request("PUT", "/kv/after?raw", "1").ok();
    let found = serve.request("GET", "/kv/large?raw", "").body;
    assert!(found == answer.as_bytes(), "nothing is lost");
    serve.request("GET", "/kv/never", "").failure(404);
}
