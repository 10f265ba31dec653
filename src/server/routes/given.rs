//! A value as a request gives it: a string, or `{"$base64": …}` for bytes that are no text.

use crate::json::BASE64;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use std::fmt;

/// A value.
#[derive(Debug, PartialEq, Eq)]
pub struct Given(pub Vec<u8>);

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GivenVisitor)
    }
}

struct GivenVisitor;

impl<'de> Visitor<'de> for GivenVisitor {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a string, or {{\"{BASE64}\": string}}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Given, E> {
        Ok(Given(text.as_bytes().to_vec()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Given, E> {
        Ok(Given(text.into_bytes()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given, A::Error> {
        let wrong = || A::Error::custom(format!("an object for a value has `{BASE64}` alone"));
        if map.next_key::<String>()?.as_deref() != Some(BASE64) {
            return Err(wrong());
        }
        let text: String = map.next_value()?;
        if map.next_key::<String>()?.is_some() {
            return Err(wrong());
        }
        let bytes = STANDARD.decode(text);
        bytes.map(Given).map_err(|e| A::Error::custom(format!("`{BASE64}` is no base64: {e}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes() {
        let of = |json: &str| serde_json::from_str::<Given>(json);
        assert_eq!(of("\"a\\u0000ä\"").expect("text"), Given("a\0ä".into()));
        assert_eq!(of(r#"{"$base64":"/9j/"}"#).expect("bytes"), Given(vec![0xff, 0xd8, 0xff]));
        for bad in [
            "1",
            "null",
            "[]",
            "{}",
            r#"{"a":"b"}"#,
            r#"{"$base64":"?"}"#,
            r#"{"$base64":1}"#,
            r#"{"$base64":"YQ==","b":1}"#,
            r#"{"$base64":"YQ"}"#,
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
