//! The HTTP server over real sockets: each route in its shape, each error, and what hostile or unlucky clients may do.
//!
//! The server runs in this process ([`serving`]), or, where it is to be killed, in another ([`process`]). The client is our own
//! ([`client`]): it has to send what no library sends, and to see how an answer ends.

mod access;
mod backups;
mod batches;
mod bounds;
#[cfg(unix)]
mod browser;
mod client;
mod escapes;
mod hostile;
mod kv;
mod metrics;
#[cfg(unix)]
mod page;
mod process;
#[cfg(unix)]
mod readme;
mod schedule;
mod serve_command;
mod services;
mod serving;
mod shutdown;
mod transfer;
