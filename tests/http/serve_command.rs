//! `esker serve`, as a process: what it is told by whom, what it says, how it ends.

use crate::client::{Reply, request};
use crate::serving::Serving;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// A run that has not begun, in `dir`, with nothing in its environment that it looks at.
pub fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esker"));
    command.current_dir(dir).args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars() {
        if name.starts_with("ESKER_") || name.starts_with("KONSUL_") {
            command.env_remove(name);
        }
    }
    command
}

pub struct Serve {
    child: Child,
    first: String,
    pub address: SocketAddr,
}

impl Serve {
    pub fn start(mut command: Command) -> Serve {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let mut first = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        output.read_line(&mut first).expect("it says where");
        let address = first.split("http://").nth(1).unwrap_or_else(|| {
            let mut errors = String::new();
            drop(child.stderr.take().expect("piped").read_to_string(&mut errors));
            panic!("{first}{errors}")
        });
        let address = address.trim_end_matches(['\n', '}', '"']).parse().expect("an address");
        Serve { child, first, address }
    }

    pub fn request(&self, method: &str, path: &str, body: &str) -> Reply {
        request(self.address, method, path, &[], body.as_bytes())
    }

    /// Ends it by SIGKILL, without a word.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("waited for");
    }

    /// Ends it by a signal; its code, and what it wrote to the log.
    fn end(mut self, signal: &str) -> (Option<i32>, String) {
        crate::process::send(signal, self.child.id());
        let mut log = String::new();
        let errors = self.child.stderr.as_mut().expect("piped");
        errors.read_to_string(&mut log).expect("text");
        (self.child.wait().expect("waited for").code(), log)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn refused(mut command: Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.output().expect("it runs");
    (status.code(), String::from_utf8(stderr).expect("text"))
}

#[cfg(unix)]
#[test]
fn it_serves_and_ends_and_serves_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let arguments = ["serve", "--listen", "127.0.0.1:0"];
    let serve = Serve::start(command(dir.path(), &arguments));
    assert!(serve.first.starts_with("serving on http://127.0.0.1:"), "{}", serve.first);
    serve.request("PUT", "/kv/a?raw", "1").ok();
    let made = serve.request("POST", "/backup", r#"{"path":"./backups/x.db"}"#).ok();
    assert_eq!(made["path"], "./backups/x.db", "as in the reference");
    assert!(dir.path().join("backups/x.db").is_file() && dir.path().join("data/CURRENT").is_file());
    let (code, log) = serve.end("-TERM");
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("listening") && log.contains("shutting down"), "{log}");
    assert!(log.contains("esker::open") && log.contains("closed"), "the engine's own: {log}");

    let serve = Serve::start(command(dir.path(), &[&arguments[..], &["--json"]].concat()));
    let first: serde_json::Value = serde_json::from_str(&serve.first).expect("a document");
    assert!(first["serving"].is_string());
    assert_eq!(serve.request("GET", "/kv/a?raw", "").body, b"1");
    assert_eq!(serve.end("-INT").0, Some(0));
}

/// Arguments before the environment, that before Konsul's variables, these before the file, that before the defaults.
#[cfg(unix)]
#[test]
fn who_says_what() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = "listen = \"127.0.0.1:1\"\ndata_dir = \"of-file\"\nbackup_dir = \"of-file-too\"\nlog_format = \"json\"\n";
    std::fs::write(dir.path().join("esker.toml"), file).expect("written");
    let status = |command: Command| {
        let serve = Serve::start(command);
        let status = serve.request("GET", "/status", "").ok();
        let text = |name: &str| status[name].as_str().expect("text").to_owned();
        let found = (text("data_dir"), text("backup_dir"), status["sync_writes"].clone());
        let (code, log) = serve.end("-TERM");
        assert_eq!(code, Some(0));
        (found, log)
    };
    let with_file = || {
        let arguments = ["serve", "--config", "esker.toml"];
        let mut command = command(dir.path(), &arguments);
        command.env("ESKER_LISTEN", "127.0.0.1:0");
        command
    };
    let ((data, backups, sync), log) = status(with_file());
    assert_eq!((&*data, &*backups, sync), ("of-file", "of-file-too", true.into()));
    for line in log.lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
    }

    let mut konsul = with_file();
    konsul.env("KONSUL_DATA_DIR", "of-konsul").env("KONSUL_SYNC_WRITES", "false");
    let ((data, backups, sync), _) = status(konsul);
    assert_eq!((&*data, &*backups, sync), ("of-konsul", "of-file-too", false.into()));

    let mut ours = with_file();
    ours.env("KONSUL_DATA_DIR", "of-konsul").env("KONSUL_SYNC_WRITES", "false");
    ours.env("ESKER_DATA_DIR", "of-ours").env("ESKER_BACKUP_DIR", "of-ours-too");
    ours.args(["--sync-writes", "--backup-dir", "of-arguments"]);
    let ((data, backups, sync), _) = status(ours);
    assert_eq!((&*data, &*backups, sync), ("of-ours", "of-arguments", true.into()));
}

#[test]
fn what_makes_no_sense_is_told_before_anything_is_touched() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("wrong.toml"), "sync_write = true\n").expect("written");
    std::fs::write(dir.path().join("token"), "\n").expect("written");
    let refused_with = |arguments: &[&str], code: i32, named: &str| {
        let (found, text) = refused(command(dir.path(), &[&["serve"], arguments].concat()));
        assert_eq!(found, Some(code), "{arguments:?}: {text}");
        assert!(text.contains(named), "{arguments:?}: {text}");
    };
    refused_with(&["--listen", "0.0.0.0:0"], 2, "token");
    refused_with(&["--listen", "nowhere"], 2, "--listen");
    refused_with(&["--config", "wrong.toml"], 2, "sync_write");
    refused_with(&["--config", "none.toml"], 6, "none.toml");
    refused_with(&["--token-file", "token"], 2, "token");
    refused_with(&["--token-file", "none"], 6, "none");
    refused_with(&["--type", "postgres"], 2, "postgres");
    refused_with(&["--backup-every", "1"], 2, "30s");
    refused_with(&["--backup-every", "1ms"], 2, "backup_every");
    refused_with(&["--log", "a=b=c"], 2, "filter");
    let mut konsul = command(dir.path(), &["serve"]);
    konsul.env("KONSUL_WAL_ENABLED", "maybe");
    let (code, text) = refused(konsul);
    assert!(code == Some(2) && text.contains("KONSUL_WAL_ENABLED"), "{text}");
    assert!(!dir.path().join("data").exists());
}

#[test]
fn an_address_or_a_directory_in_use_is_told() {
    let server = Serving::new();
    let taken = server.address.to_string();
    let (code, text) = refused(command(&server.dir, &["-d", "other", "serve", "--listen", &taken]));
    assert!(code == Some(2) && text.contains("cannot listen"), "{text}");
    let (code, text) = refused(command(&server.dir, &["serve", "--listen", "127.0.0.1:0"]));
    assert!(code == Some(4) && text.contains("directory lock"), "{text}");
}

#[cfg(unix)]
#[test]
fn the_token_of_a_file_is_asked_for() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("token"), "0123456789abcdef\n").expect("written");
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--token-file", "token", "--log", "debug"];
    let serve = Serve::start(command(dir.path(), &arguments));
    serve.request("GET", "/kv/", "").failure(401);
    let right = [("Authorization", "Bearer 0123456789abcdef")];
    request(serve.address, "GET", "/kv/secret-key", &right, b"").failure(404);
    let (code, log) = serve.end("-TERM");
    assert_eq!(code, Some(0));
    assert!(log.contains("/kv/{*key}"), "{log}");
    assert!(!log.contains("0123456789abcdef") && !log.contains("secret-key"), "{log}");
}

/// A limit on the length of files is a full disk to whoever writes one: the backup comes to nothing, and all else goes on.
#[cfg(unix)]
#[test]
fn a_backup_for_which_there_is_no_room_is_507() {
    let dir = tempfile::tempdir().expect("a directory");
    // Blocks of 512 bytes or of 1,024, as the shell counts; the signal would end the process.
    let script =
        "trap '' XFSZ; ulimit -f 100; exec \"$0\" serve --listen 127.0.0.1:0 --type memory";
    let mut limited = Command::new("sh");
    limited.current_dir(dir.path()).args(["-c", script, env!("CARGO_BIN_EXE_esker")]);
    let serve = Serve::start(limited);
    serve.request("PUT", "/kv/small?raw", "1").ok();
    let small = serve.request("POST", "/backup", r#"{"path":"small.db"}"#).ok();
    let kept = std::fs::read(dir.path().join("backups/small.db")).expect("read");
    assert_eq!(small["size_bytes"], kept.len());

    let mut state = 1_u64;
    let noise: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        format!("{:08x}", state >> 32)
    })
    .take(100_000)
    .collect();
    serve.request("PUT", "/kv/large?raw", &noise).ok();
    for name in ["large.db", "small.db"] {
        let body = format!(r#"{{"path":"{name}"}}"#);
        let message = serve.request("POST", "/backup", &body).failure(507);
        assert!(message.contains("write of "), "{message}");
    }
    let names = serve.request("GET", "/backups", "").ok();
    assert_eq!(names, serde_json::json!(["small.db"]), "nothing is left of it");
    let left = std::fs::read_dir(dir.path().join("backups")).expect("a directory").count();
    assert_eq!(left, 1, "no part of it either");
    assert_eq!(std::fs::read(dir.path().join("backups/small.db")).expect("read"), kept);
    assert_eq!(serve.request("GET", "/kv/large?raw", "").body, noise.as_bytes());
    serve.request("POST", "/restore", r#"{"path":"small.db"}"#).ok();
    serve.request("GET", "/kv/large", "").failure(404);
    serve.request("POST", "/backup", r#"{"path":"again.db"}"#).ok();
}
