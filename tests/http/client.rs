//! A client that sends bytes as they are and sees how an answer ends.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `is_so`, which must come, however busy the machine is.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether it ended as it should: with as many bytes as announced, or with the last chunk.
    pub is_whole: bool,
}

impl Reply {
    /// The header `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", self.body.escape_ascii()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Checks status and shape of a failure, and returns its message.
    #[track_caller]
    pub fn failure(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        let json = self.json();
        let members: Vec<_> = json.as_object().expect("an object").keys().collect();
        assert_eq!(members, ["error", "message"]);
        assert!(json["error"].as_str().is_some_and(|text| !text.is_empty()));
        assert_eq!(self.header("content-type"), Some("application/json"));
        json["message"].as_str().expect("a message").to_owned()
    }

    /// Checks that it is 200, and returns the body as JSON.
    #[track_caller]
    pub fn ok(&self) -> serde_json::Value {
        assert_eq!(self.status, 200, "{}", self.text());
        assert!(self.is_whole);
        self.json()
    }
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    pub stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Connection {
        Connection::try_open(address).expect("connected")
    }

    /// Opens one to a server that may be gone meanwhile.
    pub fn try_open(address: SocketAddr) -> std::io::Result<Connection> {
        raise_the_limit_of_files();
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, read: Vec::new() })
    }

    /// Sends bytes; a server that has hung up meanwhile is no error.
    pub fn send(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes));
    }

    /// Reads one answer. `None`: the connection was closed without one.
    pub fn reply(&mut self) -> Option<Reply> {
        let head_end = loop {
            if let Some(at) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill() {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&self.read[..head_end]).into_owned();
        self.read.drain(..head_end);
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
        let status = status.parse().expect("a number");
        let headers = lines
            .map(|line| line.split_once(':').expect("a header"))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut reply = Reply { status, headers, body: Vec::new(), is_whole: true };
        if reply.header("transfer-encoding") == Some("chunked") {
            self.chunks(&mut reply);
        } else {
            let length = reply.header("content-length").map_or(0, |n| n.parse().expect("a length"));
            while self.read.len() < length && self.fill() {}
            reply.is_whole = self.read.len() >= length;
            reply.body = self.read.drain(..length.min(self.read.len())).collect();
        }
        Some(reply)
    }

    fn chunks(&mut self, reply: &mut Reply) {
        loop {
            let end = loop {
                if let Some(at) = self.read.windows(2).position(|window| window == b"\r\n") {
                    break at;
                }
                if !self.fill() {
                    reply.is_whole = false;
                    return;
                }
            };
            let length = str::from_utf8(&self.read[..end]).expect("a length");
            let length = usize::from_str_radix(length, 16).expect("hexadecimal");
            while self.read.len() < end + 2 + length + 2 {
                if !self.fill() {
                    reply.is_whole = false;
                    return;
                }
            }
            reply.body.extend_from_slice(&self.read[end + 2..end + 2 + length]);
            self.read.drain(..end + 2 + length + 2);
            if length == 0 {
                return;
            }
        }
    }

    /// Reads on; false at the end.
    fn fill(&mut self) -> bool {
        let mut buf = [0; 64 << 10];
        match self.stream.read(&mut buf) {
            Ok(count) => {
                self.read.extend_from_slice(&buf[..count]);
                count > 0
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => true,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("nothing came for {PATIENCE:?}")
            }
            Err(_) => false,
        }
    }

    /// Whether the server closes it, within the test's patience, without a further byte.
    pub fn is_closed(&mut self) -> bool {
        !self.fill()
    }
}

/// The files that a test process may have open: often 1,024, where some tests have 2,000 connections, with both their
/// ends in it. What the system lets us have without asking anybody, 4,096 at least as a rule, is enough.
#[cfg(target_os = "linux")]
pub fn raise_the_limit_of_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        // Where it is refused, who opens too many files is told.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    });
}

#[cfg(not(target_os = "linux"))]
pub fn raise_the_limit_of_files() {}

/// A head with `headers`; those of every request are added.
pub fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str("Host: localhost\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head
}

/// Sends one request on a connection of its own.
#[track_caller]
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let mut connection = Connection::open(address);
    let head = head(method, path, headers);
    let length = body.len();
    connection
        .send(format!("{head}Connection: close\r\nContent-Length: {length}\r\n\r\n").as_bytes());
    connection.send(body);
    connection.reply().expect("an answer")
}
