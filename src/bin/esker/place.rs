//! The database that a command works on, and which of its keys.

use crate::duration;
use crate::failure::{Failure, Kind, Result};
use crate::holder;
use crate::output::Output;
use crate::text;
use clap::Args;
use esker::{Db, Error, Options};
use std::path::PathBuf;
use std::time::Duration;

/// What the key-value pairs of an engine have before their keys in the database, as `LsmEngine` has it.
pub const KV_PREFIX: &str = "kv:";

/// What every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// The directory of the database.
    #[arg(long, short = 'd', global = true, env = "ESKER_DATA_DIR", default_value = "./data")]
    #[arg(value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Answer in JSON, one document a line, errors on standard error included.
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress and no remarks on standard error.
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

impl Global {
    /// How answers are given.
    pub fn output(&self) -> Output {
        Output::new(self.json)
    }

    /// Something to know that is no failure, on standard error.
    pub fn remark(&self, text: &str) {
        if !self.quiet {
            self.output().remark(text);
        }
    }

    /// Opens the database for reading only.
    ///
    /// # Errors
    /// There is none, or it does not open.
    pub fn open_to_read(&self) -> Result<Db> {
        Db::open_read_only(&self.data_dir, Options::default()).map_err(|e| self.not_opened(e))
    }

    /// Opens the database for writing; where there is none, one is made.
    ///
    /// # Errors
    /// It does not open.
    pub fn open_to_fill(&self) -> Result<Db> {
        Db::open(&self.data_dir, Options::default()).map_err(|e| self.not_opened(e))
    }

    /// Opens the database that is there for writing.
    ///
    /// # Errors
    /// There is none, or it does not open.
    pub fn open_to_change(&self) -> Result<Db> {
        let options = Options { create_if_missing: false, ..Options::default() };
        Db::open(&self.data_dir, options).map_err(|e| self.not_opened(e))
    }

    /// What there is to say of an open that failed: who holds the directory, or that there is nothing to open.
    pub fn not_opened(&self, error: Error) -> Failure {
        let dir = self.data_dir.display();
        match error {
            Error::Locked { .. } => holder::locked(&self.data_dir),
            // All options are the defaults, so this is the one argument that can be wrong.
            Error::InvalidArgument { .. } => {
                Failure::new(Kind::Usage, format!("there is no database in {dir}")).remedy(
                    "name its directory with --data-dir; set, load, batch, import and restore make one",
                )
            }
            Error::Corruption { .. } => Failure::from(error)
                .remedy("see esker verify and inspect; restore a backup, or save what is left with esker repair"),
            error => error.into(),
        }
    }
}

/// Whose keys are meant.
#[derive(Debug, Clone, Copy, Args)]
pub struct KeySpace {
    /// Keys as they stand in the database, services included, in place of those of the key-value pairs.
    ///
    /// Those stand there under kv:KEY, services under svc:NAME. A program that uses the database without the
    /// engine's interface has its keys there as they are.
    #[arg(long)]
    pub raw_keys: bool,
}

impl KeySpace {
    /// What stands before the keys in the database.
    pub fn prefix(self) -> &'static str {
        if self.raw_keys { "" } else { KV_PREFIX }
    }

    /// The key that the argument `text` names, as it stands in the database.
    ///
    /// # Errors
    /// An escape that is none; bytes that no key of an engine can have.
    pub fn stored(self, argument: &str) -> Result<Vec<u8>> {
        let key = text::unescape(argument).map_err(|wrong| wrong.of("key", Kind::Usage))?;
        if !self.accepts(&key) {
            return Err(Failure::new(Kind::Usage, format!("the key {argument} is not UTF-8"))
                .remedy("keys of any bytes need --raw-keys"));
        }
        Ok(self.with_prefix(&key))
    }

    /// Whether there can be such a key: those of an engine are UTF-8.
    pub fn accepts(self, key: &[u8]) -> bool {
        self.raw_keys || str::from_utf8(key).is_ok()
    }

    /// `key` as it stands in the database.
    pub fn with_prefix(self, key: &[u8]) -> Vec<u8> {
        [self.prefix().as_bytes(), key].concat()
    }

    /// The key without what stands before it; `None` for one that is not of this space.
    pub fn shown(self, stored: &[u8]) -> Option<&[u8]> {
        stored.strip_prefix(self.prefix().as_bytes()).filter(|key| self.accepts(key))
    }
}

/// For how long something is to be there.
#[derive(Debug, Clone, Copy, Args)]
pub struct Lifetime {
    /// For how long: 500ms, 30s, 5m, 1h, 2d; without it, for good.
    #[arg(long, value_name = "SPAN", value_parser = duration::parse)]
    pub ttl: Option<Duration>,
}
