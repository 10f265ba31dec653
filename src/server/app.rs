//! What every request sees: the engine, and what the server keeps beside it.

use super::backups::Backups;
use super::body::{Budget, Incoming, Whole};
use super::calls::Calls;
use super::config::ServerConfig;
use super::events::Events;
use super::failure::Failure;
use super::registry::Registry;
use super::traffic::Traffic;
use crate::db::Db;
use crate::engine::{Backend, Engine, MemoryEngine};
use crate::error::Error;
use crate::event::Listener;
use crate::lsm_engine::LsmEngine;
use crate::options::Options;
use axum::extract::Request;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;

/// How far the server is on its way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It takes requests.
    Running,
    /// It takes no more; those that it has go on.
    Draining,
    /// Those that still go on are given up.
    Aborting,
}

/// Ends when `phase` has come to `at`, or nobody is left to say so.
pub async fn reached(mut phase: watch::Receiver<Phase>, at: Phase) {
    // What it returns keeps the sender waiting, and must go at once.
    drop(phase.wait_for(|phase| *phase >= at).await);
}

/// What every request sees.
#[derive(Debug)]
pub struct App {
    pub config: ServerConfig,
    pub engine: Arc<dyn Engine>,
    /// The database under the engine; `None` for one in memory.
    pub db: Option<Db>,
    pub registry: Registry,
    pub backups: Backups,
    pub calls: Calls,
    pub budget: Budget,
    pub events: Arc<Events>,
    pub traffic: Traffic,
    pub phase: watch::Receiver<Phase>,
    pub started: Instant,
}

impl App {
    /// Opens the engine that `config` names.
    ///
    /// # Errors
    /// As `new_engine`.
    pub fn open(config: ServerConfig, phase: watch::Receiver<Phase>) -> Result<Self, Error> {
        let events = Arc::new(Events::default());
        let (engine, db): (Arc<dyn Engine>, _) = match config.engine.backend()? {
            Backend::Memory => (Arc::new(MemoryEngine::new()), None),
            Backend::Lsm => {
                let options = options(&config, &events);
                let engine = LsmEngine::open(&config.engine.data_dir, options)?;
                let db = engine.db().clone();
                (Arc::new(engine), Some(db))
            }
        };
        Ok(App::over(config, phase, events, engine, db))
    }

    /// Over `engine`, which is over `db` unless it is in memory.
    pub fn over(
        config: ServerConfig,
        phase: watch::Receiver<Phase>,
        events: Arc<Events>,
        engine: Arc<dyn Engine>,
        db: Option<Db>,
    ) -> Self {
        App {
            registry: Registry::new(Arc::clone(&engine), db.clone()),
            backups: Backups::new(&config, Arc::clone(&engine), db.clone(), phase.clone()),
            calls: Calls::new(config.calls_max, config.request_timeout),
            budget: Budget::new(config.bodies_bytes_max.max(config.body_bytes_max)),
            traffic: Traffic::default(),
            started: Instant::now(),
            config,
            engine,
            db,
            events,
            phase,
        }
    }

    /// The body of `request`, whole.
    ///
    /// # Errors
    /// As [`Incoming::whole`].
    pub async fn body(&self, request: Request) -> Result<Whole, Failure> {
        let (parts, body) = request.into_parts();
        let (limit, stall) = (self.config.body_bytes_max, self.config.stall_timeout);
        Incoming::new(body, &parts.headers, limit, stall)?.whole(&self.budget).await
    }

    /// As [`Calls::short`], with the engine; its errors as failures.
    ///
    /// # Errors
    /// As there.
    pub async fn call<T, E>(
        self: &Arc<Self>,
        act: impl FnOnce(&App) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        E: Into<Failure> + Send + 'static,
    {
        let app = Arc::clone(self);
        self.calls.short(move || act(&app)).await?.map_err(Into::into)
    }
}

/// The options of the store: the server listens, beside whoever else does.
fn options(config: &ServerConfig, events: &Arc<Events>) -> Options {
    let (engine, events) = (config.engine.options(), Arc::clone(events));
    let other = config.options.listener.clone();
    let listener = Listener::new(move |event| {
        events.note(event);
        if let Some(other) = &other {
            other.tell(event);
        }
    });
    Options {
        sync_policy: engine.sync_policy,
        wal_enabled: engine.wal_enabled,
        listener: Some(listener),
        ..config.options.clone()
    }
}
