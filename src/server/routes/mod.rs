//! What each route does: takes the request apart, calls the engine, writes the answer.
//!
//! INV-1: what is not understood is refused, with what was expected: an unknown parameter or member is
//! more likely misspelt than meant for somebody else.

pub mod backups;
pub mod batch;
mod given;
pub mod health;
pub mod kv;
pub mod services;
pub mod transfer;

use super::failure::Failure;
use axum::extract::Query;
use axum::http::Uri;
use serde::de::DeserializeOwned;

/// The parameters of `uri`.
///
/// # Errors
/// 400 naming what is wrong.
fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Failure> {
    Query::<T>::try_from_uri(uri).map(|query| query.0).map_err(|e| {
        use std::error::Error as _;
        let why = e.source().map_or_else(|| e.to_string(), ToString::to_string);
        Failure::bad(format!("the parameters of the request: {why}"))
    })
}

/// A JSON body.
///
/// # Errors
/// 400 naming line and column.
fn parsed<'a, T: serde::Deserialize<'a>>(body: &'a [u8], expected: &str) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|e| Failure::bad(format!("the body is not as expected: {e}; send {expected}")))
}

/// What stands behind `prefix` in the path of `uri`, with its percent signs resolved: slashes are part of it,
/// however they are written.
///
/// # Errors
/// 400 for a sequence that is none, or that is not UTF-8.
fn behind(uri: &Uri, prefix: &str) -> Result<String, Failure> {
    let encoded = uri.path().strip_prefix(prefix).unwrap_or_default();
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = rest.split_at_checked(2);
        let byte = digits.and_then(|(digits, after)| {
            rest = after;
            let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
            u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok().filter(|_| is_hex)
        });
        let wrong = "a percent sign in the path must be followed by two hexadecimal digits";
        bytes.push(byte.ok_or_else(|| Failure::bad(wrong))?);
    }
    String::from_utf8(bytes).map_err(|_| {
        Failure::bad(
            "the path is not UTF-8 once its percent signs are resolved; keys and names are",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_resolved_once() {
        let of = |path: &str| behind(&path.parse().expect("a path"), "/kv/");
        for (path, key) in [
            ("/kv/a", "a"),
            ("/kv/a/b", "a/b"),
            ("/kv/a%2Fb", "a/b"),
            ("/kv/a%252Fb", "a%2Fb"),
            ("/kv//a/", "/a/"),
            ("/kv/../a", "../a"),
            ("/kv/a+b%20c", "a+b c"),
            ("/kv/%C3%A4", "ä"),
            ("/kv/%00", "\0"),
            ("/kv/a?x=1", "a"),
        ] {
            assert_eq!(of(path).expect(path), key);
        }
        for path in ["/kv/%", "/kv/%4", "/kv/%zz", "/kv/%+1", "/kv/%ff", "/kv/a%"] {
            assert_eq!(of(path).expect_err(path).status.as_u16(), 400);
        }
    }
}
