//! Reads an export.

use super::embed::wrapped;
use super::{BASE64, EXPIRIES, KV, SERVICES, Sink, path};
use crate::error::{Error, Result, place_in_text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as DeError, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use std::fmt;
use std::io::{BufReader, Read};
use std::path::Path;
use std::result::Result as StdResult;

/// How much is read at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// Reads the document in `from` and gives what stands in it to `sink`, which must make nothing of it
/// before this has returned `Ok`: something may be wrong at the last byte.
///
/// # Errors
/// [`Error::InvalidImport`], [`Error::Io`] from `from`, and what `sink` fails with.
pub fn read(from: &mut dyn Read, sink: &mut dyn Sink) -> Result<()> {
    let from = BufReader::with_capacity(BUFFER_BYTES, from);
    let mut deserializer = serde_json::Deserializer::from_reader(from);
    let mut progress = Progress::new(sink);
    let read = Document(&mut progress).deserialize(&mut deserializer);
    // INV-3: nothing stands behind it.
    read.and_then(|()| deserializer.end()).map_err(|e| progress.explain(e))
}

/// How far a document has been read, and what came of it.
pub struct Progress<'a> {
    sink: &'a mut dyn Sink,
    /// The member of the document that is being read.
    section: Option<&'static str>,
    /// The member of that one, or of the document, whose turn it is.
    name: String,
    is_in_name: bool,
    bytes: Vec<u8>,
    /// What the sink failed with.
    failure: Option<Error>,
}

impl<'a> Progress<'a> {
    /// At the beginning.
    pub fn new(sink: &'a mut dyn Sink) -> Self {
        Progress {
            sink,
            section: None,
            name: String::new(),
            is_in_name: false,
            bytes: Vec::new(),
            failure: None,
        }
    }

    /// Where it is.
    pub fn path(&self) -> String {
        path(self.section, self.is_in_name.then_some(self.name.as_str()))
    }

    /// Has the sink take a piece.
    fn give<E: DeError>(
        &mut self,
        take: impl FnOnce(&mut dyn Sink, &str, &[u8]) -> Result<()>,
    ) -> StdResult<(), E> {
        take(self.sink, &self.name, &self.bytes).map_err(|e| {
            let text = e.to_string();
            self.failure = Some(e);
            E::custom(text)
        })
    }

    /// Reads the next name of `map`; false: there is none.
    fn next_name<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> StdResult<bool, A::Error> {
        self.is_in_name = false;
        let found = map.next_key_seed(Name(&mut self.name))?;
        self.is_in_name = found.is_some();
        Ok(self.is_in_name)
    }

    fn explain(self, e: serde_json::Error) -> Error {
        let (path, line, column) = (self.path(), e.line(), e.column());
        match self.failure {
            Some(Error::TooLarge { what, size_bytes, limit_bytes, .. }) => {
                let path = Some(place_in_text(&path, line, column));
                Error::TooLarge { what, size_bytes, limit_bytes, path }
            }
            Some(e) => e,
            None if e.classify() == Category::Io => {
                Error::io("read", Path::new("the import"), e.into())
            }
            None => {
                let text = e.to_string();
                let place = format!(" at line {line} column {column}");
                let detail = text.strip_suffix(&place).unwrap_or(&text).to_owned();
                Error::InvalidImport { path, line, column, detail }
            }
        }
    }
}

/// Reads a name into memory that is used again and again.
struct Name<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> StdResult<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: DeError>(self, name: &str) -> StdResult<(), E> {
        self.0.clear();
        self.0.push_str(name);
        Ok(())
    }
}

/// The whole document.
pub struct Document<'a, 's>(pub &'a mut Progress<'s>);

impl<'de> DeserializeSeed<'de> for Document<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> StdResult<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an export: an object with {KV}, {SERVICES} and {EXPIRIES}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> StdResult<(), A::Error> {
        let progress = self.0;
        let mut seen = Vec::new();
        while progress.next_name(&mut map)? {
            let known = [KV, SERVICES, EXPIRIES].into_iter().find(|known| *known == progress.name);
            // Ignored, a misspelt name would lose what stands under it.
            let Some(section) = known else {
                let text =
                    format!("no member of an export; there are {KV}, {SERVICES} and {EXPIRIES}");
                return Err(A::Error::custom(text));
            };
            // Parsers do not agree on what this means.
            if seen.contains(&section) {
                return Err(A::Error::custom("the document has this member twice"));
            }
            seen.push(section);
            (progress.section, progress.is_in_name) = (Some(section), false);
            map.next_value_seed(Section(progress, section))?;
            progress.section = None;
        }
        Ok(())
    }
}

/// One member of the document.
struct Section<'a, 's>(&'a mut Progress<'s>, &'static str);

impl<'de> DeserializeSeed<'de> for Section<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> StdResult<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Section<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> StdResult<(), A::Error> {
        let Section(progress, section) = self;
        while progress.next_name(&mut map)? {
            match section {
                KV => map.next_value_seed(Value(progress))?,
                SERVICES => map.next_value_seed(Data(progress))?,
                _ => map.next_value_seed(Expiry(progress))?,
            }
        }
        Ok(())
    }
}

/// The value of a key.
struct Value<'a, 's>(&'a mut Progress<'s>);

impl Value<'_, '_> {
    fn refuse<E: DeError>(&self, found: &str) -> E {
        E::custom(format!("expected {}, found {found}", Expected(self)))
    }
}

struct Expected<'a, V>(&'a V);

impl<'de, V: Visitor<'de>> fmt::Display for Expected<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> StdResult<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a string or {{\"{BASE64}\": ...}}")
    }

    fn visit_str<E: DeError>(self, text: &str) -> StdResult<(), E> {
        // Not by way of `bytes`: it is there already.
        let progress = self.0;
        progress.give(|sink, key, _| sink.kv(key, text.as_bytes()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> StdResult<(), A::Error> {
        let mut name = String::new();
        if map.next_key_seed(Name(&mut name))?.is_none() {
            return Err(self.refuse("an empty object"));
        }
        if name != BASE64 {
            return Err(self.refuse("another object"));
        }
        map.next_value_seed(Base64(&mut self.0.bytes))?;
        if map.next_key_seed(Name(&mut name))?.is_some() {
            return Err(self.refuse("an object with more in it"));
        }
        self.0.give(|sink, key, value| sink.kv(key, value))
    }

    fn visit_bool<E: DeError>(self, _: bool) -> StdResult<(), E> {
        Err(self.refuse("a boolean"))
    }

    fn visit_u64<E: DeError>(self, _: u64) -> StdResult<(), E> {
        Err(self.refuse("a number"))
    }

    fn visit_i64<E: DeError>(self, _: i64) -> StdResult<(), E> {
        Err(self.refuse("a number"))
    }

    fn visit_f64<E: DeError>(self, _: f64) -> StdResult<(), E> {
        Err(self.refuse("a number"))
    }

    fn visit_unit<E: DeError>(self) -> StdResult<(), E> {
        Err(self.refuse("null"))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, _: A) -> StdResult<(), A::Error> {
        Err(self.refuse("an array"))
    }
}

/// Bytes, as what follows `$base64`.
struct Base64<'a>(&'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Base64<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> StdResult<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Base64<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a string of base64 under {BASE64}")
    }

    fn visit_str<E: DeError>(self, text: &str) -> StdResult<(), E> {
        self.0.clear();
        STANDARD.decode_vec(text, self.0).map_err(|e| {
            E::custom(format!("expected base64 under {BASE64}, with its padding: {e}"))
        })
    }
}

/// The data of a service.
struct Data<'a, 's>(&'a mut Progress<'s>);

impl<'de> DeserializeSeed<'de> for Data<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> StdResult<(), D::Error> {
        let progress = self.0;
        let json = Box::<RawValue>::deserialize(deserializer)?;
        match wrapped(json.get()) {
            None => progress.give(|sink, name, _| sink.service(name, json.get().as_bytes())),
            Some(base64) => {
                let mut within = serde_json::Deserializer::from_str(base64.get());
                let decoded = Base64(&mut progress.bytes).deserialize(&mut within);
                // Without the place within that string, which means nothing to anybody.
                decoded.map_err(|e| {
                    let text = e.to_string();
                    let end = text.rfind(" at line ").unwrap_or(text.len());
                    D::Error::custom(text.get(..end).unwrap_or_default())
                })?;
                progress.give(|sink, name, data| sink.service(name, data))
            }
        }
    }
}

/// When a service expires.
struct Expiry<'a, 's>(&'a mut Progress<'s>);

impl<'de> DeserializeSeed<'de> for Expiry<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> StdResult<(), D::Error> {
        deserializer.deserialize_u64(self)
    }
}

impl Visitor<'_> for Expiry<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "milliseconds since the Unix epoch, a whole number from 0 to {}", u64::MAX)
    }

    fn visit_u64<E: DeError>(self, expires_at_ms: u64) -> StdResult<(), E> {
        self.0.give(|sink, name, _| sink.expiry(name, expires_at_ms))
    }
}
