//! What a server can be told, and by whom: by arguments, else by the environment, else by a file; what none of them says has its
//! default.
//!
//! One structure is all three: its fields are the arguments (`--backup-every`), the variables (`ESKER_BACKUP_EVERY`), and the names in
//! the file (`backup_every`). The six variables of Konsul (`KONSUL_DATA_DIR`, ...) come after those of our own.

use crate::failure::{Failure, Kind, Result};
use crate::size;
use clap::Args;
use esker::server::{LogFormat, ServerConfig, Token, parse_duration};
use esker::{Config, Options};
use serde::{Deserialize, Deserializer};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// A length of time as it is written: `30s`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        parse_duration(text).map(Span).map_err(|e| e.to_string())
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A size as it is written: bytes, or with `KiB`, `MiB`, `GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        size::parse(text).map(Size)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Bytes(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Bytes(bytes) => Ok(Size(bytes)),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Lines {
    /// For a person.
    Text,
    /// For machines, an object a line.
    Json,
}

/// What can be set. Sizes are bytes or as in 64MiB, times as in 30s or 1h30m.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where to listen [default: 127.0.0.1:8500]. An address that others reach needs a token.
    #[arg(long, env = "ESKER_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// The directory of the database: in the file; as an argument it belongs to every command.
    #[arg(skip)]
    pub data_dir: Option<PathBuf>,
    /// The directory of backups [default: ./backups].
    #[arg(long, env = "ESKER_BACKUP_DIR", value_name = "DIR")]
    pub backup_dir: Option<PathBuf>,
    /// Whether 200 to a change means that it survives a power cut [default: true].
    #[arg(long, env = "ESKER_SYNC_WRITES", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub sync_writes: Option<bool>,
    /// Whether there is a write-ahead log [default: true]; without, nothing survives but what an orderly end has written.
    #[arg(long, env = "ESKER_WAL_ENABLED", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub wal_enabled: Option<bool>,
    /// Whether anything is kept beyond the process [default: true].
    #[arg(long, env = "ESKER_ENABLED", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub enabled: Option<bool>,
    /// The engine: lsm or memory [default: lsm].
    #[arg(long = "type", env = "ESKER_TYPE", value_name = "ENGINE")]
    pub r#type: Option<String>,
    /// A file with the token that every request has to bring.
    #[arg(long, env = "ESKER_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A name by which the server may be asked for, beside localhost and addresses; may be given more than once.
    #[arg(long = "host", env = "ESKER_HOSTS", value_name = "NAME", value_delimiter = ',')]
    pub hosts: Option<Vec<String>>,
    /// How often a backup is made by itself [default: never].
    #[arg(long, env = "ESKER_BACKUP_EVERY", value_name = "TIME")]
    pub backup_every: Option<Span>,
    /// How many of those are kept [default: 24].
    #[arg(long, env = "ESKER_BACKUP_KEEP", value_name = "COUNT")]
    pub backup_keep: Option<usize>,
    /// Connections at a time [default: 2048].
    #[arg(long, env = "ESKER_CONNECTIONS_MAX", value_name = "COUNT")]
    pub connections_max: Option<usize>,
    /// The largest body but that of an import [default: 64MiB].
    #[arg(long, env = "ESKER_BODY_BYTES_MAX", value_name = "SIZE")]
    pub body_bytes_max: Option<Size>,
    /// The largest import [default: 64GiB].
    #[arg(long, env = "ESKER_IMPORT_BYTES_MAX", value_name = "SIZE")]
    pub import_bytes_max: Option<Size>,
    /// What all bodies in memory may take together [default: 256MiB].
    #[arg(long, env = "ESKER_BODIES_BYTES_MAX", value_name = "SIZE")]
    pub bodies_bytes_max: Option<Size>,
    /// Memory of the store: memtables, cache, indexes [default: 1GiB].
    #[arg(long, env = "ESKER_MEMORY_BYTES_MAX", value_name = "SIZE")]
    pub memory_bytes_max: Option<Size>,
    /// How often the whole store is verified in the background [default: never].
    #[arg(long, env = "ESKER_SCRUB_INTERVAL", value_name = "TIME")]
    pub scrub_interval: Option<Span>,
    /// How long a head may take, and a connection may be idle [default: 15s].
    #[arg(long, env = "ESKER_HEADER_TIMEOUT", value_name = "TIME")]
    pub header_timeout: Option<Span>,
    /// How long a client may stand still in a body or an answer [default: 30s].
    #[arg(long, env = "ESKER_STALL_TIMEOUT", value_name = "TIME")]
    pub stall_timeout: Option<Span>,
    /// How long a request may take, but for backups, exports and the like [default: 60s].
    #[arg(long, env = "ESKER_REQUEST_TIMEOUT", value_name = "TIME")]
    pub request_timeout: Option<Span>,
    /// How long requests have to end after SIGTERM or Ctrl-C [default: 30s].
    #[arg(long, env = "ESKER_SHUTDOWN_TIMEOUT", value_name = "TIME")]
    pub shutdown_timeout: Option<Span>,
    /// What goes to the log, on standard error [default: info]: a level, or as in esker::http=debug,info.
    #[arg(long, env = "ESKER_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// How the log is written [default: text].
    #[arg(long, env = "ESKER_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<Lines>,
}

/// Of each field the first that says something.
macro_rules! first_of {
    ($one:expr, $other:expr; $($field:ident)*) => {
        Settings { $($field: $one.$field.or($other.$field),)* }
    };
}

impl Settings {
    /// What these say, and what they leave open, `other`.
    #[must_use]
    pub fn or(self, other: Settings) -> Settings {
        first_of!(self, other; listen data_dir backup_dir sync_writes wal_enabled enabled r#type token_file
            hosts backup_every backup_keep connections_max body_bytes_max import_bytes_max bodies_bytes_max memory_bytes_max
            scrub_interval header_timeout stall_timeout request_timeout shutdown_timeout log log_format)
    }

    /// What the variables of Konsul say, which `variable` looks up.
    ///
    /// # Errors
    /// One of them has a value that it cannot have.
    pub fn of_konsul(variable: impl Fn(&str) -> Option<String>) -> Result<Settings> {
        let flag = |name: &str| match variable(name).as_deref() {
            None | Some("") => Ok(None),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Some(true)),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Some(false)),
            Some(other) => Err(Failure::new(Kind::Usage, format!("{name} is {other:?}"))
                .remedy("set it to true or false, or not at all")),
        };
        let text = |name: &str| variable(name).filter(|text| !text.is_empty());
        Ok(Settings {
            enabled: flag("KONSUL_PERSISTENCE_ENABLED")?,
            r#type: text("KONSUL_PERSISTENCE_TYPE"),
            data_dir: text("KONSUL_DATA_DIR").map(PathBuf::from),
            backup_dir: text("KONSUL_BACKUP_DIR").map(PathBuf::from),
            sync_writes: flag("KONSUL_SYNC_WRITES")?,
            wal_enabled: flag("KONSUL_WAL_ENABLED")?,
            ..Settings::default()
        })
    }

    /// What the TOML document `text` says, which is the content of the file at `path`.
    ///
    /// # Errors
    /// It is none, or says what nobody understands.
    pub fn of_file(text: &str, path: &Path) -> Result<Settings> {
        toml::from_str(text).map_err(|e| {
            let what = e.message().to_owned();
            let line =
                e.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let at = line.map_or(String::new(), |line| format!(", line {line}"));
            Failure::new(Kind::Usage, format!("{}{at}: {what}", path.display()))
                .remedy("esker serve --help lists what can be set")
        })
    }

    /// The configuration that comes of it.
    ///
    /// # Errors
    /// The file of the token cannot be read, or has none.
    pub fn config(&self) -> Result<ServerConfig> {
        let default = ServerConfig::default();
        let engine = Config::default();
        let span = |given: Option<Span>, default: Duration| given.map_or(default, |span| span.0);
        let size = |given: Option<Size>, default: u64| given.map_or(default, |size| size.0);
        let memory =
            self.memory_bytes_max.map(|size| usize::try_from(size.0).unwrap_or(usize::MAX));
        let options = Options {
            memory_bytes_max: memory.unwrap_or(default.options.memory_bytes_max),
            scrub_interval: self.scrub_interval.map(|span| span.0),
            ..default.options
        };
        Ok(ServerConfig {
            listen: self.listen.unwrap_or(default.listen),
            engine: Config {
                enabled: self.enabled.unwrap_or(engine.enabled),
                r#type: self.r#type.clone().unwrap_or(engine.r#type),
                data_dir: self.data_dir.clone().unwrap_or(engine.data_dir),
                backup_dir: self.backup_dir.clone().unwrap_or(engine.backup_dir),
                sync_writes: self.sync_writes.unwrap_or(engine.sync_writes),
                wal_enabled: self.wal_enabled.unwrap_or(engine.wal_enabled),
            },
            options,
            token: self.token_file.as_ref().map(Token::read).transpose()?,
            hosts: self.hosts.clone().unwrap_or_default(),
            connections_max: self.connections_max.unwrap_or(default.connections_max),
            body_bytes_max: size(self.body_bytes_max, default.body_bytes_max),
            import_bytes_max: size(self.import_bytes_max, default.import_bytes_max),
            bodies_bytes_max: size(self.bodies_bytes_max, default.bodies_bytes_max),
            header_timeout: span(self.header_timeout, default.header_timeout),
            stall_timeout: span(self.stall_timeout, default.stall_timeout),
            request_timeout: span(self.request_timeout, default.request_timeout),
            shutdown_timeout: span(self.shutdown_timeout, default.shutdown_timeout),
            backup_every: self.backup_every.map(|span| span.0),
            backup_keep: self.backup_keep.unwrap_or(default.backup_keep),
            ..default
        })
    }

    /// How the log is written, and what goes into it.
    #[must_use]
    pub fn log(&self) -> (LogFormat, &str) {
        let format = match self.log_format {
            Some(Lines::Json) => LogFormat::Json,
            _ => LogFormat::Text,
        };
        (format, self.log.as_deref().unwrap_or("info"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn the_first_that_says_something_holds() {
        let of = |listen: Option<&str>, keep, every: Option<&str>| Settings {
            listen: listen.map(|listen| listen.parse().expect("an address")),
            backup_keep: keep,
            backup_every: every.map(|every| every.parse().expect("a time")),
            ..Settings::default()
        };
        let arguments = of(Some("127.0.0.1:1"), None, None);
        let konsul = of(None, Some(2), None);
        let file = of(Some("127.0.0.1:3"), Some(3), Some("3h"));
        let config = arguments.or(konsul).or(file).config().expect("a configuration");
        assert_eq!((config.listen.port(), config.backup_keep), (1, 2));
        assert_eq!(config.backup_every, Some(Duration::from_secs(3 * 3600)));
        assert_eq!(config.connections_max, ServerConfig::default().connections_max);
        assert_eq!(config.engine, Config::default());
    }

    #[test]
    fn a_file_has_every_name_and_no_other() {
        let text = r#"
            listen = "127.0.0.1:9000"
            data_dir = "/var/lib/esker"
            backup_dir = "/var/backups/esker"
            sync_writes = false
            wal_enabled = true
            enabled = true
            type = "badger"
            hosts = ["store.example"]
            backup_every = "1h"
            backup_keep = 3
            connections_max = 100
            body_bytes_max = "1MiB"
            import_bytes_max = 5000
            bodies_bytes_max = "2GiB"
            memory_bytes_max = "64MiB"
            scrub_interval = "1d"
            header_timeout = "1s"
            stall_timeout = "2s"
            request_timeout = "3s"
            shutdown_timeout = "4s"
            log = "debug"
            log_format = "json"
        "#;
        let settings = Settings::of_file(text, Path::new("x.toml")).expect("read");
        let config = settings.config().expect("a configuration");
        assert_eq!(config.engine.data_dir, Path::new("/var/lib/esker"));
        assert!(!config.engine.sync_writes);
        assert_eq!((config.body_bytes_max, config.import_bytes_max), (1 << 20, 5000));
        assert_eq!(config.options.memory_bytes_max, 64 << 20);
        assert_eq!(config.header_timeout, Duration::from_secs(1));
        assert_eq!(settings.log(), (LogFormat::Json, "debug"));
        for (wrong, named) in [
            ("sync_write = true", "sync_write"),
            ("\nlisten = 1", "line 2"),
            ("backup_every = \"1\"", "1"),
            ("body_bytes_max = \"1MB\"", "1MB"),
            ("x", "x.toml"),
        ] {
            let text = Settings::of_file(wrong, Path::new("x.toml")).expect_err(wrong).sentence();
            assert!(text.contains(named), "{text}");
        }
    }

    #[test]
    fn the_variables_of_konsul() {
        let variable = |name: &str| {
            let value = match name {
                "KONSUL_PERSISTENCE_ENABLED" => "true",
                "KONSUL_PERSISTENCE_TYPE" => "badger",
                "KONSUL_DATA_DIR" => "/data",
                "KONSUL_BACKUP_DIR" => "/backups",
                "KONSUL_SYNC_WRITES" => "0",
                "KONSUL_WAL_ENABLED" => "",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let config =
            Settings::of_konsul(variable).expect("read").config().expect("a configuration");
        let expected = Config {
            r#type: "badger".to_owned(),
            data_dir: "/data".into(),
            backup_dir: "/backups".into(),
            sync_writes: false,
            ..Config::default()
        };
        assert_eq!(config.engine, expected);
        assert_eq!(Settings::of_konsul(none).expect("read"), Settings::default());
        let wrong =
            Settings::of_konsul(|name| (name == "KONSUL_SYNC_WRITES").then(|| "yes".into()));
        assert!(wrong.expect_err("no flag").sentence().contains("KONSUL_SYNC_WRITES"));
    }
}
