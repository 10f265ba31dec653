//! A server: bound, run, and ended without losing anything.
//!
//! The end, in this order: no more connections are taken, and those without a request are closed; requests that are under way have
//! `shutdown_timeout` to end; what then still goes on is given up, as if its client had gone; the engine is closed,
//! which makes all that was acknowledged durable.

use super::accept::serve;
use super::app::{App, Phase};
use super::backups::schedule;
use super::config::ServerConfig;
use super::router::router;
use crate::error::{Error, Result};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Files that are left to the store and the rest of the process.
const FILES_RESERVED: u64 = 512;

/// How long the engine may take to close after the requests have ended, at least.
const CLOSE_MIN: Duration = Duration::from_secs(10);

/// A server that listens, and is about to be run.
///
/// ```no_run
/// use esker::server::{Server, ServerConfig};
/// # async fn example() -> Result<(), esker::Error> {
/// let server = Server::bind(ServerConfig::default())?;
/// let address = server.local_addr();
/// server.run(async { /* ends when the server is to end */ }).await
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
    phase: watch::Sender<Phase>,
}

impl Server {
    /// Opens the engine and listens. Nothing is answered before [`Server::run`].
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// use esker::server::{Server, ServerConfig};
    /// use esker::{Config, Error};
    /// let engine = Config { data_dir: dir.path().join("data"), ..Config::default() };
    /// let listen = "127.0.0.1:0".parse().expect("an address"); // A free port.
    /// let config = ServerConfig { listen, engine, ..ServerConfig::default() };
    /// let server = Server::bind(config.clone())?;
    /// assert_ne!(server.local_addr().port(), 0);
    /// assert!(matches!(Server::bind(config), Err(Error::Locked { .. }))); // The store is in use.
    ///
    /// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    /// runtime.expect("a runtime").block_on(server.run(async { /* At once. */ }))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`]: something in `config` is out of its range (an address that others reach, without a
    /// token), or the address cannot be listened on. As `new_engine`: [`Error::Locked`], [`Error::Corruption`],
    /// [`Error::UnsupportedType`], [`Error::Io`].
    pub fn bind(config: ServerConfig) -> Result<Server> {
        config.validate()?;
        let listen = config.listen;
        let cannot = |e: std::io::Error| {
            let free = "stop what listens there, or choose another address";
            Error::invalid(format!("cannot listen on {listen}: {e}; {free}"))
        };
        let listener = TcpListener::bind(listen).map_err(cannot)?;
        listener.set_nonblocking(true).map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let (phase, watched) = watch::channel(Phase::Running);
        let app = Arc::new(App::open(config, watched)?);
        Ok(Server { listener, address, app, phase })
    }

    /// Where it listens: with the port that the system chose, where that was left to it.
    ///
    /// See the example of [`Server::bind`].
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` ends; then ends, in the order that is said above: after `Ok` all that was acknowledged is durable, whatever
    /// the policy of the engine. It takes at most twice the `shutdown_timeout` of the configuration, or that and ten seconds.
    ///
    /// It must be called on a runtime of tokio with time and I/O. When what it returns is dropped the server ends as when the
    /// process is killed.
    ///
    /// See the example of [`Server::bind`].
    ///
    /// # Errors
    /// What closing the engine gives; [`Error::Io`] when that did not end in time.
    ///
    /// # Panics
    /// Outside of such a runtime.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let Server { listener, address, app, phase } = self;
        let listener = tokio::net::TcpListener::from_std(listener)
            .map_err(|e| Error::io("listen", address.to_string().as_ref(), e))?;
        tracing::info!(target: "esker::http", %address, "listening");
        let limit = connections_max(&app.config);
        let schedule = tokio::spawn(schedule::run(Arc::clone(&app)));
        let mut served = tokio::spawn(serve(listener, Arc::clone(&app), router(&app), limit));
        tokio::select! {
            () = shutdown => {}
            ended = &mut served => tracing::error!("connections are taken no more: {ended:?}"),
        }
        let deadline = app.config.shutdown_timeout;
        tracing::info!(target: "esker::http", "shutting down");
        phase.send_replace(Phase::Draining);
        if !served.is_finished() && tokio::time::timeout(deadline, &mut served).await.is_err() {
            tracing::warn!(target: "esker::http", "requests that did not end in {deadline:?} are given up");
            phase.send_replace(Phase::Aborting);
            let _ = served.await; // It has nothing left to wait for.
        }
        // What works without a connection: a backup of the schedule.
        phase.send_replace(Phase::Aborting);
        schedule.abort();
        close(&app).await
    }
}

/// Closes the engine, which may write for a while.
async fn close(app: &Arc<App>) -> Result<()> {
    let limit = app.config.shutdown_timeout.max(CLOSE_MIN);
    let engine = Arc::clone(&app.engine);
    let closing = tokio::task::spawn_blocking(move || engine.close());
    match tokio::time::timeout(limit, closing).await {
        Ok(Ok(closed)) => closed,
        Ok(Err(e)) => Err(Error::Panicked { thread: "close".to_owned(), message: e.to_string() }),
        Err(_) => {
            let slow = std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                "the engine did not close in time; the next open recovers what its log holds",
            );
            Err(Error::io("close", &app.config.engine.data_dir, slow))
        }
    }
}

/// As many connections as are wanted, and the process may have files for.
fn connections_max(config: &ServerConfig) -> usize {
    let wanted = config.connections_max;
    match files_max() {
        Some(files) => {
            let room = files.saturating_sub(FILES_RESERVED).max(64);
            wanted.min(usize::try_from(room).unwrap_or(usize::MAX))
        }
        None => wanted,
    }
}

#[cfg(target_os = "linux")]
fn files_max() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

#[cfg(not(target_os = "linux"))]
fn files_max() -> Option<u64> {
    None
}

/// Ends when the process is asked to end: by SIGTERM or SIGINT (Ctrl-C). From the call on, that is, not only once it is awaited:
/// who says that he is ready only after it, is not killed by a signal that comes early.
///
/// ```
/// use esker::server::signalled;
/// use std::time::Duration;
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
/// let ended = runtime.expect("a runtime").block_on(async {
///     tokio::time::timeout(Duration::from_millis(1), signalled()).await
/// });
/// assert!(ended.is_err()); // Nobody has asked the process to end.
/// ```
///
/// # Panics
/// Outside of a runtime of tokio with I/O, or when the system takes no handler for these.
#[cfg(unix)]
pub fn signalled() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate()).expect("a handler of SIGTERM");
    let mut interrupt = signal(SignalKind::interrupt()).expect("a handler of SIGINT");
    async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

/// Ends when the process is asked to end: by Ctrl-C.
///
/// ```
/// use esker::server::signalled;
/// use std::time::Duration;
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
/// let ended = runtime.expect("a runtime").block_on(async {
///     tokio::time::timeout(Duration::from_millis(1), signalled()).await
/// });
/// assert!(ended.is_err()); // Nobody has asked the process to end.
/// ```
///
/// # Panics
/// When the system takes no handler for it.
#[cfg(not(unix))]
pub fn signalled() -> impl Future<Output = ()> {
    async { tokio::signal::ctrl_c().await.expect("a handler of Ctrl-C") }
}
