//! `get`: the value of a key.

use crate::failure::Result;
use crate::place::{Global, KeySpace};
use crate::text;
use clap::Args;
use esker::Error;
use serde_json::json;

/// Print the value of a key, byte for byte.
///
/// At a terminal a line break follows where the value ends without one.
#[derive(Debug, Args)]
pub struct Get {
    /// The key.
    key: String,
    #[command(flatten)]
    space: KeySpace,
}

impl Get {
    /// Does it.
    ///
    /// # Errors
    /// There is no such key; what the database fails with.
    pub fn run(&self, global: &Global) -> Result<()> {
        let stored = self.space.stored(&self.key)?;
        let value = global.open_to_read()?.get(&stored)?.ok_or(Error::KeyNotFound)?;
        let output = global.output();
        if !output.is_json() {
            return output.bytes(&value);
        }
        let key = text::to_json(self.space.shown(&stored).unwrap_or_default());
        output.answer("", &json!({ "key": key, "value": text::to_json(&value) }))
    }
}
