//! A server that runs while a test does.

use crate::client::{Reply, raise_the_limit_of_files, request, until};
use esker::Config;
use esker::server::{Server, ServerConfig};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// A running server, with a directory of its own.
pub struct Serving {
    pub address: SocketAddr,
    pub dir: PathBuf,
    _kept: Option<tempfile::TempDir>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<esker::Result<()>>>,
}

/// The configuration of a server in `dir`.
pub fn config(dir: &Path) -> ServerConfig {
    ServerConfig {
        listen: "127.0.0.1:0".parse().expect("an address"),
        engine: Config {
            data_dir: dir.join("data"),
            backup_dir: dir.join("backups"),
            sync_writes: false,
            ..Config::default()
        },
        ..ServerConfig::default()
    }
}

impl Serving {
    /// Of an engine on disk.
    pub fn new() -> Serving {
        Serving::with(|_| {})
    }

    /// With what `change` makes of the configuration.
    pub fn with(change: impl FnOnce(&mut ServerConfig)) -> Serving {
        let dir = tempfile::tempdir().expect("a directory");
        let mut serving = Serving::in_dir(dir.path(), change);
        serving._kept = Some(dir);
        serving
    }

    /// In `dir`.
    pub fn in_dir(dir: &Path, change: impl FnOnce(&mut ServerConfig)) -> Serving {
        // A server takes as many connections as it may have files for.
        raise_the_limit_of_files();
        let mut config = config(dir);
        change(&mut config);
        let server = Server::bind(config).expect("it listens");
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(server.run(async { drop(stopped.await) }))
        });
        let dir = dir.to_path_buf();
        Serving { address, dir, _kept: None, stop: Some(stop), thread: Some(thread) }
    }

    /// Tells it to end, and does not wait.
    pub fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Ends it, and returns what it returned.
    pub fn stop(&mut self) -> esker::Result<()> {
        self.begin_stop();
        let thread = self.thread.take().expect("it runs");
        until("the server ends", || thread.is_finished());
        thread.join().expect("no panic")
    }

    pub fn request(&self, method: &str, path: &str, body: &str) -> Reply {
        request(self.address, method, path, &[], body.as_bytes())
    }

    pub fn get(&self, path: &str) -> Reply {
        self.request("GET", path, "")
    }

    pub fn put(&self, path: &str, body: &str) -> Reply {
        self.request("PUT", path, body)
    }

    pub fn post(&self, path: &str, body: &str) -> Reply {
        self.request("POST", path, body)
    }

    pub fn delete(&self, path: &str) -> Reply {
        self.request("DELETE", path, "")
    }

    /// Sets `key` to `value`.
    pub fn set(&self, key: &str, value: &str) {
        self.put(&format!("/kv/{key}?raw"), value).ok();
    }

    /// The bytes of `key`, if it is there.
    pub fn value(&self, key: &str) -> Option<Vec<u8>> {
        let reply = self.get(&format!("/kv/{key}?raw"));
        assert!(matches!(reply.status, 200 | 404), "{}", reply.text());
        (reply.status == 200).then_some(reply.body)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.begin_stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("no panic").expect("it ends well");
            }
        }
    }
}

/// A server over each engine: the answers are the same.
pub fn of_each_engine() -> [Serving; 2] {
    [Serving::new(), Serving::with(|config| config.engine.r#type = "memory".to_owned())]
}
