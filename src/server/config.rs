//! How a server is configured: plain data, checked once.

use super::token::Token;
use crate::engine::Config;
use crate::error::{Error, Result};
use crate::options::Options;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// What [`super::Server::bind`] serves, and how.
///
/// ```
/// use esker::server::{ServerConfig, Token};
/// let config = ServerConfig {
///     listen: "0.0.0.0:8500".parse().expect("an address"),
///     token: Some(Token::new("5f3a9c1e7b2d4860a1c3e5f7")?),
///     hosts: vec!["store.example".to_string()],
///     ..ServerConfig::default()
/// };
/// # assert!(config.token.is_some());
/// # Ok::<(), esker::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where to listen. Default: `127.0.0.1:8500`. Port 0 takes a free one. An address that others than this
    /// machine reach needs a token.
    pub listen: SocketAddr,
    /// Which engine, and where its files and its backups are.
    pub engine: Config,
    /// How the store is opened, for the engine on disk. `sync_policy` and `wal_enabled` are those of [`ServerConfig::engine`],
    /// and the listener is called beside the server's own.
    pub options: Options,
    /// What every request has to bring. Default: none, which is for this machine alone.
    pub token: Option<Token>,
    /// The names, beside `localhost` and any address, by which this server may be asked for (the header `Host`), without a port. What
    /// asks for another name is a web page that has bent its own name to this address. Default: none.
    pub hosts: Vec<String>,
    /// Connections at a time, at least 8. When there are as many, the one that has been idle longest is closed for the next. No more
    /// are taken than the process may have files, but for 512 that the store needs. Default: 2,048.
    pub connections_max: usize,
    /// Calls of the engine at a time, at least 1; others wait. Default: 64.
    pub calls_max: usize,
    /// The largest body but that of an import, in bytes: values, batches, registrations. At most 2 GiB. Default: 64 MiB.
    pub body_bytes_max: u64,
    /// The largest import, in bytes. Default: 64 GiB.
    pub import_bytes_max: u64,
    /// What all bodies that are in memory whole may take together, in bytes, in both directions; at least
    /// `body_bytes_max` is used. Who comes when it is taken is asked to come again (503). Default: 256 MiB.
    pub bodies_bytes_max: u64,
    /// How long a head may take, and how long a connection may be idle before the next. Default: 15 s.
    pub header_timeout: Duration,
    /// How long a client may stand still while it sends a body or takes an answer. Over its whole length it has so long, and
    /// a second more for each KiB. Default: 30 s.
    pub stall_timeout: Duration,
    /// How long a request may take, but for backups, restores, exports and imports. Default: 60 s.
    pub request_timeout: Duration,
    /// How long requests have to end after the shutdown has begun. Default: 30 s.
    pub shutdown_timeout: Duration,
    /// How often a backup is made, at least one second. Default: never.
    pub backup_every: Option<Duration>,
    /// How many of those are kept, at least 1. Backups that were not made by the schedule are never removed. Default: 24.
    pub backup_keep: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8500)),
            engine: Config::default(),
            options: Options::default(),
            token: None,
            hosts: Vec::new(),
            connections_max: 2048,
            calls_max: 64,
            body_bytes_max: 64 << 20,
            import_bytes_max: 64 << 30,
            bodies_bytes_max: 256 << 20,
            header_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(60),
            shutdown_timeout: Duration::from_secs(30),
            backup_every: None,
            backup_keep: 24,
        }
    }
}

impl ServerConfig {
    /// Checks every field against its range.
    ///
    /// ```
    /// use esker::server::ServerConfig;
    /// assert!(ServerConfig::default().validate().is_ok());
    /// // What others reach needs a token.
    /// let listen = "0.0.0.0:8500".parse().expect("an address");
    /// assert!(ServerConfig { listen, ..ServerConfig::default() }.validate().is_err());
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the field, its value and its range.
    pub fn validate(&self) -> Result<()> {
        let check = |ok: bool, text: String| if ok { Ok(()) } else { Err(Error::invalid(text)) };
        check(
            self.token.is_some() || self.listen.ip().to_canonical().is_loopback(),
            format!(
                "listen is {}, which others than this machine may reach, and there is no token; set one \
                 (token_file), or listen on 127.0.0.1",
                self.listen
            ),
        )?;
        check(
            self.connections_max >= 8,
            format!("connections_max is {}; it must be at least 8", self.connections_max),
        )?;
        check(
            (1..=400).contains(&self.calls_max),
            format!("calls_max is {}; it must be from 1 to 400", self.calls_max),
        )?;
        check(
            (1..=2 << 30).contains(&self.body_bytes_max),
            format!("body_bytes_max is {}; it must be from 1 B to 2 GiB", self.body_bytes_max),
        )?;
        check(
            self.backup_every.is_none_or(|every| every >= Duration::from_secs(1)),
            format!("backup_every is {:?}; it must be at least 1 s", self.backup_every),
        )?;
        check(
            self.backup_keep >= 1,
            "backup_keep is 0; it must be at least 1, or the schedule keeps nothing".to_owned(),
        )?;
        for (name, time) in [
            ("header_timeout", self.header_timeout),
            ("stall_timeout", self.stall_timeout),
            ("request_timeout", self.request_timeout),
        ] {
            let is_sane = (Duration::from_millis(1)..=Duration::from_secs(86_400)).contains(&time);
            check(is_sane, format!("{name} is {time:?}; it must be from 1 ms to a day"))?;
        }
        check(
            self.shutdown_timeout <= Duration::from_secs(86_400),
            format!("shutdown_timeout is {:?}; it must be at most a day", self.shutdown_timeout),
        )?;
        for host in &self.hosts {
            let is_name = !host.is_empty() && !host.contains([':', '/', ' ', '@']);
            check(
                is_name,
                format!("hosts: {host:?} is no name of a host; leave out scheme and port"),
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_range_is_held_and_named() {
        assert!(ServerConfig::default().validate().is_ok());
        let config = ServerConfig::default;
        let bad = [
            (ServerConfig { connections_max: 1, ..config() }, "connections_max"),
            (ServerConfig { calls_max: 0, ..config() }, "calls_max"),
            (ServerConfig { body_bytes_max: 0, ..config() }, "body_bytes_max"),
            (ServerConfig { backup_every: Some(Duration::ZERO), ..config() }, "backup_every"),
            (ServerConfig { backup_keep: 0, ..config() }, "backup_keep"),
            (ServerConfig { header_timeout: Duration::ZERO, ..config() }, "header_timeout"),
            (ServerConfig { shutdown_timeout: Duration::MAX, ..config() }, "shutdown_timeout"),
            (ServerConfig { hosts: vec!["http://a".into()], ..config() }, "hosts"),
        ];
        for (config, field) in bad {
            let text = config.validate().expect_err(field).to_string();
            assert!(text.contains(field), "{text}");
        }
    }

    #[test]
    fn others_need_a_token() {
        let of = |listen: &str| ServerConfig {
            listen: listen.parse().expect("an address"),
            ..ServerConfig::default()
        };
        for listen in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(of(listen).validate().is_ok(), "{listen}");
        }
        for listen in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1"] {
            let text = of(listen).validate().expect_err(listen).to_string();
            assert!(text.contains("token"), "{text}");
            let token = Some(Token::new("secret").expect("a token"));
            assert!(ServerConfig { token, ..of(listen) }.validate().is_ok());
        }
    }
}
