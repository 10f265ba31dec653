//! A value as an argument, from a file, or from standard input.

use crate::failure::Result;
use crate::stream;
use clap::Args;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where a value comes from.
#[derive(Debug, Args)]
pub struct Given {
    /// The value, as it stands; without it, it is read from standard input to its end.
    #[arg(conflicts_with = "file", allow_negative_numbers = true)]
    value: Option<OsString>,
    /// Take the value from a file, byte for byte.
    #[arg(long, short, value_name = "PATH")]
    file: Option<PathBuf>,
}

impl Given {
    /// Its bytes.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn read(&self) -> Result<Vec<u8>> {
        match (&self.value, &self.file) {
            (Some(value), _) => Ok(value.as_encoded_bytes().to_vec()),
            (None, Some(path)) => stream::read_all(path),
            (None, None) => stream::read_all(Path::new("-")),
        }
    }
}
