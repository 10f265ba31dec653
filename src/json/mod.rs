//! Exports: what an engine holds, as one JSON document.
//!
//! Place on the data's path: beside it. An engine gives what it holds to a [`Writer`], piece by
//! piece, and takes what [`read`] finds in a document through a [`Sink`]. Both stream.
//!
//! ```text
//! {"kv":{
//! "config/host":"10.0.0.1",
//! "logo":{"$base64":"/9j/4AAQ"}
//! },
//! "services":{
//! "web":{"name":"web","port":8080}
//! },
//! "expires_at_ms":{
//! "web":1735689600000
//! }}
//! ```
//! A value is a string where it is UTF-8, and else `{"$base64": …}`: the standard alphabet, with padding.
//! The data of a service is embedded as it stands where it is JSON that every parser takes ([`embed`]),
//! and else `{"$base64": …}`. `expires_at_ms` has the services that expire, in milliseconds since the Unix
//! epoch; it is left out where none does.
//!
//! INV-1: lossless. What [`read`] makes of the pieces that a [`Writer`] was given are those pieces, byte for byte.
//! INV-2: deterministic. The same pieces in the same order give the same bytes: one piece a line, in a string
//! nothing is escaped but `"`, `\` and control characters, and those the short way where there is one.
//! INV-3: a document that was cut anywhere, or has something behind it, is refused; so is a member that
//! has no meaning here. [`read`] has seen the last byte when it returns `Ok`.
//! INV-4: memory is a constant and a few times the longest name or value, whatever the document; no
//! recursion follows the document's nesting.
//!
//! Concurrency: none of its own.
//! Not here: the order of the pieces, sizes, times that have passed, what is made of it (the engines).

mod data;
mod embed;
mod read;
mod write;

pub use data::ExportData;
#[cfg(feature = "server")]
pub use data::Piece;
pub use read::read;
pub use write::Writer;

use crate::error::Result;

/// The one member of an object that stands for bytes.
pub const BASE64: &str = "$base64";

/// The members of an export.
const KV: &str = "kv";
const SERVICES: &str = "services";
const EXPIRIES: &str = "expires_at_ms";

/// Takes what stands in an export, piece by piece, in the order of the document. Of two pieces with
/// one name in one part of it the later holds.
pub trait Sink {
    /// A key and its value.
    ///
    /// # Errors
    /// Any; the document is then read no further, and an `Error::TooLarge` gets its path.
    fn kv(&mut self, key: &str, value: &[u8]) -> Result<()>;

    /// A service.
    ///
    /// # Errors
    /// As [`Sink::kv`].
    fn service(&mut self, name: &str, data: &[u8]) -> Result<()>;

    /// When the service `name`, which may come before it or after it, expires: in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// As [`Sink::kv`].
    fn expiry(&mut self, name: &str, expires_at_ms: u64) -> Result<()>;
}

/// What an export came to.
///
/// ```
/// use esker::{Engine, MemoryEngine};
/// let engine = MemoryEngine::new();
/// engine.set("a", b"1")?;
/// let mut json = Vec::new();
/// let report = engine.export(&mut json)?;
/// assert_eq!((report.kv, report.services, report.bytes), (1, 0, json.len() as u64));
/// # Ok::<(), esker::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportReport {
    /// Keys.
    pub kv: u64,
    /// Services.
    pub services: u64,
    /// The length of the document.
    pub bytes: u64,
}

/// What an import came to.
///
/// See the example of [`crate::Engine::import`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportReport {
    /// Keys that were set.
    pub kv: u64,
    /// Services that were set.
    pub services: u64,
    /// Services that were left out because their time had passed.
    pub expired: u64,
}

/// Where something stands in a document: `$.kv."config/host"`. Very long names are cut.
#[must_use]
pub fn path(section: Option<&str>, name: Option<&str>) -> String {
    const NAME_CHARS_MAX: usize = 200;
    let mut path = String::from("$");
    if let Some(section) = section {
        path.push('.');
        path.push_str(section);
    }
    if let Some(name) = name {
        let end = name.char_indices().nth(NAME_CHARS_MAX).map_or(name.len(), |(at, _)| at);
        let shown = name.get(..end).unwrap_or_default();
        let dots = if end < name.len() { "…" } else { "" };
        path.push_str(&format!(".{}", serde_json::Value::from(format!("{shown}{dots}"))));
    }
    path
}

/// The path of the expiry of a service that the document does not have, and why that is refused.
#[must_use]
pub fn no_such_service(name: &str) -> crate::error::Error {
    crate::error::Error::InvalidImport {
        path: path(Some(EXPIRIES), Some(name)),
        line: 0,
        column: 0,
        detail: "the document has no service of this name".to_owned(),
    }
}

#[cfg(test)]
mod tests;
