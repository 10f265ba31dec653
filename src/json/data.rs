//! An export as values, for programs.

use super::embed::embedded;
use super::read::{Document, Progress};
use super::{BASE64, EXPIRIES, KV, SERVICES, Sink, path};
use crate::error::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed as _, Error as _};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// What an engine holds, as plain data: for programs that look at it, change it or make it.
///
/// Through `serde_json` it is the document that `Engine::export` writes, but for line breaks; and any document that
/// `Engine::import` takes is read. (Other formats have nothing in which JSON could be embedded as it
/// stands; use the fields.) All of it is in memory; where that may be too much, export to a file.
///
/// ```
/// use esker::{Engine, ExportData, MemoryEngine};
/// let engine = MemoryEngine::new();
/// engine.set("config/host", b"10.0.0.1")?;
/// let mut data = engine.export_data()?;
/// data.kv.insert("config/port".to_string(), b"8080".to_vec());
/// engine.import_data(&data)?;
/// assert_eq!(engine.get("config/port")?, b"8080");
///
/// let json = serde_json::to_string(&data).expect("it is JSON");
/// assert_eq!(json, r#"{"kv":{"config/host":"10.0.0.1","config/port":"8080"},"services":{}}"#);
/// let again: ExportData = serde_json::from_str(&json).expect("it is an export");
/// assert_eq!(again, data);
/// # Ok::<(), esker::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportData {
    /// The keys and their values.
    pub kv: BTreeMap<String, Vec<u8>>,
    /// The services and their data.
    pub services: BTreeMap<String, Vec<u8>>,
    /// When services expire, in milliseconds since the Unix epoch. One that is not here never does.
    pub expires_at_ms: BTreeMap<String, u64>,
}

impl ExportData {
    /// Gives all of it to `sink`, as reading a document would.
    ///
    /// # Errors
    /// What `sink` fails with; an [`Error::TooLarge`] gets its path.
    pub(crate) fn give(&self, sink: &mut dyn Sink) -> Result<()> {
        let at = |section: &str, name: &str, e: Error| match e {
            Error::TooLarge { what, size_bytes, limit_bytes, .. } => {
                let path = Some(path(Some(section), Some(name)));
                Error::TooLarge { what, size_bytes, limit_bytes, path }
            }
            e => e,
        };
        for (key, value) in &self.kv {
            sink.kv(key, value).map_err(|e| at(KV, key, e))?;
        }
        for (name, data) in &self.services {
            sink.service(name, data).map_err(|e| at(SERVICES, name, e))?;
        }
        for (name, expires_at_ms) in &self.expires_at_ms {
            sink.expiry(name, *expires_at_ms).map_err(|e| at(EXPIRIES, name, e))?;
        }
        Ok(())
    }
}

impl Sink for ExportData {
    fn kv(&mut self, key: &str, value: &[u8]) -> Result<()> {
        self.kv.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    fn service(&mut self, name: &str, data: &[u8]) -> Result<()> {
        self.services.insert(name.to_owned(), data.to_owned());
        Ok(())
    }

    fn expiry(&mut self, name: &str, expires_at_ms: u64) -> Result<()> {
        self.expires_at_ms.insert(name.to_owned(), expires_at_ms);
        Ok(())
    }
}

impl Serialize for ExportData {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        members.serialize_entry(KV, &Members(&self.kv, |value| Piece::of_value(value)))?;
        members.serialize_entry(SERVICES, &Members(&self.services, |data| Piece::of_data(data)))?;
        if !self.expires_at_ms.is_empty() {
            members.serialize_entry(EXPIRIES, &self.expires_at_ms)?;
        }
        members.end()
    }
}

struct Members<'a>(&'a BTreeMap<String, Vec<u8>>, fn(&[u8]) -> Piece<'_>);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, bytes)| (name, (self.1)(bytes))))
    }
}

/// A value or the data of a service as JSON has it: text, JSON as it stands, or `{"$base64": …}`.
#[derive(Debug)]
pub enum Piece<'a> {
    /// Text, as a string.
    Text(&'a str),
    /// JSON, as it stands.
    Json(&'a serde_json::value::RawValue),
    /// What is neither.
    Bytes(&'a [u8]),
}

impl<'a> Piece<'a> {
    /// Of a value.
    #[must_use]
    pub fn of_value(value: &'a [u8]) -> Self {
        str::from_utf8(value).map_or(Piece::Bytes(value), Piece::Text)
    }

    /// Of the data of a service.
    #[must_use]
    pub fn of_data(data: &'a [u8]) -> Self {
        embedded(data).map_or(Piece::Bytes(data), Piece::Json)
    }
}

impl Serialize for Piece<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Piece::Text(text) => serializer.serialize_str(text),
            Piece::Json(json) => json.serialize(serializer),
            Piece::Bytes(bytes) => serializer.collect_map([(BASE64, STANDARD.encode(bytes))]),
        }
    }
}

impl<'de> Deserialize<'de> for ExportData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let mut data = ExportData::default();
        let mut progress = Progress::new(&mut data);
        let read = Document(&mut progress).deserialize(deserializer);
        let path = progress.path();
        read.map_err(|e| D::Error::custom(format!("{path}: {e}")))?;
        Ok(data)
    }
}
