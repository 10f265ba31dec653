//! A server in a process of its own, that is killed or told to end.

use crate::client::{Connection, PATIENCE, head, request, until};
use crate::serving::config;
use esker::server::{Server, signalled};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Where the server of the child is to be; without, [`child`] does nothing.
const DIR: &str = "ESKER_TEST_HTTP_DIR";

/// Not a test: the child of those below, which start this binary again for it.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let mut config = config(Path::new(&dir));
    // So that it is told from an end that comes at once, on any machine.
    config.shutdown_timeout = Duration::from_secs(600);
    config.header_timeout = Duration::from_secs(600);
    let server = Server::bind(config).expect("it listens");
    // Before the address is told, so that no signal comes too early.
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let address = server.local_addr();
        let told = signalled();
        println!("\nlistening on {address}");
        server.run(told).await.expect("it ends well");
    });
    println!("\nended well");
}

/// Sends `signal` to a process. A shell has `kill`; a program of that name is not everywhere.
#[cfg(unix)]
pub fn send(signal: &str, pid: u32) {
    let kill = Command::new("sh").args(["-c", &format!("kill {signal} {pid}")]).status();
    assert!(kill.expect("a shell").success(), "{signal}");
}

struct Process {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    address: SocketAddr,
}

impl Process {
    fn start(dir: &Path) -> Process {
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "process::child", "--nocapture", "--test-threads=1"])
            .env(DIR, dir)
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let line = line_with(&mut output, "listening on ").expect("it says where it listens");
        let address = line.trim().rsplit(' ').next().expect("an address").parse().expect("one");
        Process { child, output, address }
    }

    /// Waits for its end, and tells whether it was a good one.
    fn ends_well(&mut self) -> bool {
        let is_told = line_with(&mut self.output, "ended well").is_some();
        self.child.wait().expect("waited for").success() && is_told
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn line_with(output: &mut impl BufRead, what: &str) -> Option<String> {
    let mut lines = output.lines().map_while(Result::ok);
    lines.find(|line| line.contains(what))
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..4 {
        let mut process = Process::start(dir.path());
        for key in &acknowledged {
            let reply = request(process.address, "GET", &format!("/kv/{key}?raw"), &[], b"");
            assert_eq!((reply.status, reply.body.as_slice()), (200, key.as_bytes()));
        }
        let address = process.address;
        let counts: Arc<[AtomicUsize; 3]> = Arc::default();
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let counts = Arc::clone(&counts);
                std::thread::spawn(move || {
                    let mut keys = Vec::new();
                    let mut connection = Connection::open(address);
                    for n in 0.. {
                        let key = format!("r{round}/w{writer}/{n}");
                        let (head, length) =
                            (head("PUT", &format!("/kv/{key}?raw"), &[]), key.len());
                        let put = format!("{head}Content-Length: {length}\r\n\r\n{key}");
                        connection.send(put.as_bytes());
                        match connection.reply() {
                            Some(reply) if reply.status == 200 => {
                                keys.push(key);
                                counts[writer].fetch_add(1, Ordering::SeqCst);
                            }
                            _ => break,
                        }
                    }
                    keys
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(300));
        until("somebody is acknowledged", || {
            counts.iter().all(|count| count.load(Ordering::SeqCst) > 0)
        });
        process.child.kill().expect("killed");
        process.child.wait().expect("waited for");
        for writer in writers {
            let keys = writer.join().expect("no panic");
            assert!(!keys.is_empty(), "somebody was acknowledged");
            // The whole first round, and the ends of the others.
            acknowledged.extend(keys.into_iter().rev().take(50));
        }
    }
}

#[cfg(unix)]
#[test]
fn sigterm_and_sigint_end_it_well() {
    for signal in ["-TERM", "-INT"] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut process = Process::start(dir.path());
        request(process.address, "PUT", "/kv/a?raw", &[], b"1").ok();
        let idle = Connection::open(process.address);
        let begun = Instant::now();
        send(signal, process.child.id());
        assert!(process.ends_well(), "{signal}");
        assert!(begun.elapsed() < PATIENCE, "{signal}: {:?}", begun.elapsed());
        drop(idle);
        let process = Process::start(dir.path());
        let reply = request(process.address, "GET", "/kv/a?raw", &[], b"");
        assert_eq!((reply.status, reply.body.as_slice()), (200, &b"1"[..]));
    }
}
