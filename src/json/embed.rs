//! Which bytes stand in an export as they are, because they are JSON themselves.
//!
//! All of it has to come back byte for byte, and others than us have to be able to read the document. So
//! as base64 goes, though it may be JSON:
//! - what has whitespace around it: a document has whitespace there, too;
//! - what is nested more than [`DEPTH_MAX`] deep, on which parsers that recurse give up;
//! - a string with half of a surrogate pair, which stands for no character;
//! - an object whose only member is `$base64`: it would be taken for bytes.

use super::BASE64;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// How many arrays and objects stand within each other at most. (Serde's own limit is 127, two of
/// which the document takes.)
const DEPTH_MAX: usize = 100;

/// `data` as it goes into an export as it stands, if it can.
pub fn embedded(data: &[u8]) -> Option<&RawValue> {
    let text = str::from_utf8(data).ok()?;
    let value: &RawValue = serde_json::from_str(text).ok()?;
    let is_all = value.get().len() == text.len();
    (is_all && is_plain(text) && wrapped(text).is_none()).then_some(value)
}

/// Whether `text`, which is JSON, is neither too deep nor has half of a surrogate pair.
fn is_plain(text: &str) -> bool {
    let mut rest = text.as_bytes();
    let (mut depth, mut in_string) = (0_usize, false);
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => in_string = !in_string,
            b'\\' => match pass_escape(rest) {
                Some(after) => rest = after,
                None => return false,
            },
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return false;
        }
    }
    true
}

/// What follows an escape, of which `bytes` are what stands behind the backslash. `None`: it is half of a pair.
fn pass_escape(bytes: &[u8]) -> Option<&[u8]> {
    let (&kind, rest) = bytes.split_first()?;
    if kind != b'u' {
        return Some(rest);
    }
    let (unit, rest) = code_unit(rest)?;
    match unit {
        0xd800..=0xdbff => {
            let (low, rest) = code_unit(rest.strip_prefix(b"\\u")?)?;
            (0xdc00..=0xdfff).contains(&low).then_some(rest)
        }
        0xdc00..=0xdfff => None,
        _ => Some(rest),
    }
}

fn code_unit(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(4)?;
    let digits = str::from_utf8(digits).ok()?;
    Some((u16::from_str_radix(digits, 16).ok()?, rest))
}

/// The value of `$base64` in an object that has nothing else in it.
pub fn wrapped(text: &str) -> Option<&RawValue> {
    serde_json::from_str::<Wrapped<'_>>(text).ok().map(|wrapped| wrapped.0)
}

struct Wrapped<'a>(&'a RawValue);

impl<'de> Deserialize<'de> for Wrapped<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(WrappedVisitor)
    }
}

struct WrappedVisitor;

impl<'de> Visitor<'de> for WrappedVisitor {
    type Value = Wrapped<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with {BASE64} alone")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let other = || A::Error::custom("another object");
        let IsBase64(true) = map.next_key()?.ok_or_else(other)? else { return Err(other()) };
        let value = map.next_value()?;
        match map.next_key::<IsBase64>()? {
            None => Ok(Wrapped(value)),
            Some(_) => Err(other()),
        }
    }
}

/// Whether a name is `$base64`, however it is escaped.
struct IsBase64(bool);

impl<'de> Deserialize<'de> for IsBase64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = IsBase64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<IsBase64, E> {
                Ok(IsBase64(name == BASE64))
            }
        }
        deserializer.deserialize_str(Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_embedded_and_what_is_not() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for data in [
            "{}",
            "null",
            "-0",
            "1e999",
            "123456789012345678901234567890.10",
            "\"\\ud83d\\uDE00 \\u0041 \\\\ud800 \u{10ffff}\"",
            "{ \"a\" : 1 ,\n\"a\": [] }",
            "{\"$base64\":\"YQ==\",\"b\":1}",
            "{\"a\":{\"$base64\":\"YQ==\"}}",
            "[{\"$base64\":\"YQ==\"}]",
            &deep(DEPTH_MAX),
            // Many, but not within each other; and none of them brackets.
            &format!("[{}[]]", "[],".repeat(300)),
            &format!("\"\\\"{}\"", "[".repeat(300)),
        ] {
            let embedded = embedded(data.as_bytes());
            assert_eq!(embedded.map(RawValue::get), Some(data));
        }
        for data in [
            &b""[..],
            b" {}",
            b"{}\n",
            b"{} {}",
            b"{",
            b"abc",
            b"01",
            b"\"\xff\"",
            b"\"\n\"",
            b"\xef\xbb\xbf{}",
            b"\"\\ud800\"",
            b"\"\\udc00\"",
            b"\"\\ud800\\u0041\"",
            b"{\"\\ud800\":1}",
            b"{\"$base64\":\"YQ==\"}",
            b"{ \"\\u0024base64\" : {} }",
            b"{\"$base64\":5}",
            deep(DEPTH_MAX + 1).as_bytes(),
            deep(1_000_000).as_bytes(),
        ] {
            assert!(embedded(data).is_none(), "{}", data.escape_ascii());
        }
    }
}
