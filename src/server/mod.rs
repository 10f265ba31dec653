//! The HTTP server: an engine, its status page and its metrics over HTTP/1.1 (feature `server`).
//!
//! Place on the data's path: above everything else of the library. It takes requests apart, calls the engine and
//! writes its answers; it stores nothing by itself but the lifetimes of services (`registry`), which heartbeats need.
//!
//! ```no_run
//! use esker::server::{Server, ServerConfig, signalled};
//! # async fn run() -> Result<(), esker::Error> {
//! let server = Server::bind(ServerConfig::default())?;
//! println!("listening on http://{}", server.local_addr());
//! server.run(signalled()).await
//! # }
//! ```
//!
//! INV-1: the engine is never called on a thread of the runtime: every call goes through `calls`, which lets a
//! bounded number at a time onto threads that may block.
//! INV-2: memory is bounded: by the connections, the size of a head, and one budget for all bodies that
//! are in memory whole; exports and imports stream.
//! INV-3: so is the time for which anybody can hold a connection, a thread or that memory without getting on: heads have a
//! deadline, bodies in both directions a least rate.
//! INV-4: a request is answered only when what it asks for has been done, as durably as the engine's
//! policy says. One that is cut off before its end changes nothing.
//! INV-5: an answer that cannot be completed ends without its last chunk: nobody takes it for a whole one.
//! INV-6: what is given as the name of a backup leads to an entry of the backup directory and
//! nowhere else (`backups`).
//! INV-7: every answer but 200 is `{"error", "message"}`, but for requests that are not HTTP at all.
//!
//! Concurrency: one task a connection, on whatever runtime [`Server::run`] is called; one more for
//! scheduled backups.
//! Not here: TLS (put a proxy in front), flags and files of configuration (the binary).

mod accept;
mod answer;
mod app;
mod backups;
mod body;
mod calendar;
mod calls;
mod config;
mod duration;
mod events;
mod failure;
mod guard;
mod logging;
mod metrics;
mod openapi;
mod paced;
mod page;
mod prometheus;
mod registry;
mod router;
mod routes;
mod run;
mod status;
mod token;
mod traffic;

pub use config::ServerConfig;
pub use duration::parse_duration;
pub use logging::{LogFormat, log_to_stderr};
pub use run::{Server, signalled};
pub use token::Token;
