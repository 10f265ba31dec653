//! How an engine is configured: the six fields of the reference, through serde.

use crate::error::{Error, Result};
use crate::options::{Options, SyncPolicy};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What `new_engine` opens.
///
/// The fields are the reference's, in snake case, so that a TOML, JSON or YAML
/// file can be read through serde. A field that is left out has its default; a
/// field that is none of these is an error, for a misspelt `sync_writes` must
/// not pass in silence.
///
/// ```
/// use esker::Config;
/// let config: Config = toml::from_str(r#"
///     type = "lsm"
///     data_dir = "/var/lib/app"
/// "#)?;
/// assert!(config.enabled && config.sync_writes && config.wal_enabled);
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether anything is kept beyond the process. Default: true. When false
    /// the engine is a `MemoryEngine`, whatever the type.
    pub enabled: bool,
    /// The engine: `lsm`, its alias `badger` (so that a configuration of
    /// Konsul works unchanged), or `memory`. Default: `lsm`.
    pub r#type: String,
    /// The directory of the database files, made if need be. Default: `./data`.
    pub data_dir: PathBuf,
    /// The directory of backup files. Opening an engine does not touch it.
    /// Default: `./backups`.
    pub backup_dir: PathBuf,
    /// Whether `Ok` from a write means that it survives a power cut: true is
    /// [`SyncPolicy::Always`], false is [`SyncPolicy::Never`]. Default: true,
    /// because a store should keep what it acknowledged unless told otherwise.
    pub sync_writes: bool,
    /// Whether writes go to the write-ahead log. Default: true. Without it
    /// nothing survives the end of the process, however it comes, but what
    /// closing the engine wrote; `sync_writes` then has no effect.
    pub wal_enabled: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            enabled: true,
            r#type: "lsm".to_string(),
            data_dir: PathBuf::from("./data"),
            backup_dir: PathBuf::from("./backups"),
            sync_writes: true,
            wal_enabled: true,
        }
    }
}

/// The backends that a [`Config`] can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    /// Nothing on disk.
    Memory,
    /// The log-structured store.
    Lsm,
}

impl Config {
    /// The options that a database of this configuration is opened with: the
    /// defaults but for `sync_policy` and `wal_enabled`.
    ///
    /// ```
    /// use esker::{Config, SyncPolicy};
    /// let config = Config { sync_writes: false, ..Config::default() };
    /// assert_eq!(config.options().sync_policy, SyncPolicy::Never);
    /// assert_eq!(Config::default().options().sync_policy, SyncPolicy::Always);
    /// ```
    #[must_use]
    pub fn options(&self) -> Options {
        Options {
            sync_policy: if self.sync_writes { SyncPolicy::Always } else { SyncPolicy::Never },
            wal_enabled: self.wal_enabled,
            ..Options::default()
        }
    }

    /// Which backend this names.
    ///
    /// # Errors
    /// [`Error::UnsupportedType`]; [`Error::InvalidArgument`] when the backend
    /// keeps files and `data_dir` is empty.
    pub(crate) fn backend(&self) -> Result<Backend> {
        if !self.enabled {
            return Ok(Backend::Memory);
        }
        match self.r#type.as_str() {
            "memory" => Ok(Backend::Memory),
            "lsm" | "badger" if self.data_dir.as_os_str().is_empty() => {
                Err(Error::invalid("data_dir is empty; name the directory of the database"))
            }
            "lsm" | "badger" => Ok(Backend::Lsm),
            _ => Err(Error::UnsupportedType { name: self.r#type.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Config {
        Config {
            enabled: false,
            r#type: "badger".to_string(),
            data_dir: PathBuf::from("d"),
            backup_dir: PathBuf::from("b"),
            sync_writes: false,
            wal_enabled: false,
        }
    }

    #[test]
    fn reads_toml_json_and_yaml() {
        let toml_text = "enabled = false\ntype = \"badger\"\ndata_dir = \"d\"\n\
                         backup_dir = \"b\"\nsync_writes = false\nwal_enabled = false\n";
        let json_text = r#"{"enabled": false, "type": "badger", "data_dir": "d",
                            "backup_dir": "b", "sync_writes": false, "wal_enabled": false}"#;
        let yaml_text = "enabled: false\ntype: badger\ndata_dir: d\n\
                         backup_dir: b\nsync_writes: false\nwal_enabled: false\n";
        assert_eq!(toml::from_str::<Config>(toml_text).expect("TOML"), full());
        assert_eq!(serde_json::from_str::<Config>(json_text).expect("JSON"), full());
        assert_eq!(serde_yaml_ng::from_str::<Config>(yaml_text).expect("YAML"), full());
    }

    #[test]
    fn what_is_written_reads_back() {
        let text = toml::to_string(&full()).expect("it serializes");
        assert_eq!(toml::from_str::<Config>(&text).expect("it reads back"), full());
    }

    #[test]
    fn unknown_fields_are_refused_in_each() {
        let toml_error = toml::from_str::<Config>("sync_write = true").expect_err("TOML");
        let json_error = serde_json::from_str::<Config>(r#"{"sync_write":1}"#).expect_err("JSON");
        let yaml_error = serde_yaml_ng::from_str::<Config>("sync_write: true").expect_err("YAML");
        for text in [toml_error.to_string(), json_error.to_string(), yaml_error.to_string()] {
            assert!(text.contains("unknown field `sync_write`"), "{text}");
        }
    }

    #[test]
    fn what_is_left_out_has_its_safe_default() {
        let config: Config = toml::from_str("").expect("an empty file");
        assert_eq!(config, Config::default());
        assert!(config.enabled && config.sync_writes && config.wal_enabled);
        assert_eq!(config.options(), Options::default());
    }

    #[test]
    fn sync_writes_and_wal_enabled_become_options() {
        let options = full().options();
        assert_eq!(options.sync_policy, SyncPolicy::Never);
        assert!(!options.wal_enabled);
        assert!(options.validate().is_ok());
    }

    #[test]
    fn types_name_backends() {
        let of = |name: &str| Config { r#type: name.to_string(), ..Config::default() }.backend();
        assert_eq!(of("memory").expect("known"), Backend::Memory);
        assert_eq!(of("lsm").expect("known"), Backend::Lsm);
        assert_eq!(of("badger").expect("known"), Backend::Lsm);
        assert!(matches!(of("LSM"), Err(Error::UnsupportedType { name }) if name == "LSM"));
        let off = Config { enabled: false, r#type: "nonsense".to_string(), ..Config::default() };
        assert_eq!(off.backend().expect("off is memory, whatever the type"), Backend::Memory);
        let nowhere = Config { data_dir: PathBuf::new(), ..Config::default() };
        assert!(matches!(nowhere.backend(), Err(Error::InvalidArgument { .. })));
    }
}
