//! Keys as text and back, and bytes in JSON.
//!
//! The escape goes both ways: what is printed, given as an argument, is the same key again. Printable
//! characters stand for themselves, the backslash is `\\`, line feed, carriage return, tab and
//! NUL are `\n \r \t \0`, other control and invisible characters `\u{N}`, and a byte that is not part of UTF-8 is `\xNN`.

use crate::failure::{Failure, Kind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// `bytes` as one line of text.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            escape_character(character, &mut text);
        }
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02x}").expect("a string takes all");
        }
    }
    text
}

fn escape_character(character: char, text: &mut String) {
    match character {
        '\\' => text.push_str("\\\\"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        '\0' => text.push_str("\\0"),
        _ if is_invisible(character) => {
            write!(text, "\\u{{{:x}}}", u32::from(character)).expect("a string takes all");
        }
        _ => text.push(character),
    }
}

/// Control characters, and those that turn or break the lines of a terminal.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A text with an escape that is none.
#[derive(Debug)]
pub struct WrongEscape {
    text: String,
    at: usize,
}

impl WrongEscape {
    /// The failure, of what is called `what`.
    pub fn of(&self, what: &str, kind: Kind) -> Failure {
        let WrongEscape { text, at } = self;
        Failure::new(kind, format!("the {what} {text} has an escape at byte {at} that is none"))
            .remedy("write \\\\ for a backslash; the escapes are \\n \\r \\t \\0 \\xNN \\u{N}")
    }
}

/// The bytes that `text` stands for.
///
/// # Errors
/// An escape that is none, with its place.
pub fn unescape(text: &str) -> Result<Vec<u8>, WrongEscape> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let at = text.len() - after.len() - 1;
        rest = one_escape(after, &mut bytes)
            .ok_or_else(|| WrongEscape { text: text.to_string(), at })?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

/// Takes one escape from `text`, of which the backslash is gone; what is left.
fn one_escape<'a>(text: &'a str, bytes: &mut Vec<u8>) -> Option<&'a str> {
    let mut characters = text.chars();
    let byte = match characters.next()? {
        '\\' => b'\\',
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        '0' => 0,
        'x' => {
            let digits =
                text.get(1..3).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            return text.get(3..);
        }
        'u' => {
            let (digits, rest) = characters.as_str().strip_prefix('{')?.split_once('}')?;
            if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            let character = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(rest);
        }
        _ => return None,
    };
    bytes.push(byte);
    Some(characters.as_str())
}

/// `bytes` in JSON: a string where they are UTF-8, else `{"$base64": "…"}`, as in exports.
pub fn to_json(bytes: &[u8]) -> Value {
    match str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({ "$base64": STANDARD.encode(bytes) }),
    }
}

/// What [`to_json`] made of bytes, as bytes again; `None` for what it makes of none.
pub fn from_json(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Object(members) if members.len() == 1 => {
            let text = members.get("$base64")?.as_str()?;
            STANDARD.decode(text).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_go_both_ways() {
        let mut keys: Vec<Vec<u8>> = (0..=255_u8).map(|byte| vec![b'a', byte, b'z']).collect();
        keys.extend(
            ["", "\\", "\\n", "ü/\u{202e}\u{feff}𝄞", "a b", "\u{85}"]
                .map(|key| key.as_bytes().to_vec()),
        );
        keys.push(b"\xe2\x82\xf0\x9d\x84".to_vec());
        for key in keys {
            let text = escape(&key);
            assert!(!text.chars().any(is_invisible), "{text:?}");
            assert_eq!(unescape(&text).expect("our own"), key, "{text}");
            assert_eq!(from_json(&to_json(&key)), Some(key));
        }
    }

    #[test]
    fn escapes_that_are_none_are_refused_with_their_place() {
        for text in [
            "ab\\",
            "ab\\q",
            "ab\\x",
            "ab\\x4",
            "ab\\x+4",
            "ab\\u41",
            "ab\\u{}",
            "ab\\u{d800}",
            "ab\\u{+41}",
            "ab\\xé",
        ] {
            let failure = unescape(text).expect_err(text).of("key", Kind::Usage);
            assert_eq!(failure.kind, Kind::Usage);
            assert!(failure.sentence().contains("at byte 2"), "{}", failure.sentence());
        }
    }
}
