//! The bearer token: what it may be, and how it is compared.

use crate::error::{Error, Result};
use crate::fs::disk::DiskFs;
use crate::fs::{Fs, IoContext, OpenMode, read_exact_at};
use std::fmt;
use std::path::Path;
use subtle::ConstantTimeEq;

/// The longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 512;

/// A secret that every request has to bring, as `Authorization: Bearer TOKEN`.
///
/// It is compared in a time that depends on neither the token nor on what was brought, and is never
/// written to a log: its `Debug` hides it.
///
/// ```
/// use esker::server::Token;
/// let token = Token::new("5f3a9c1e7b2d4860a1c3e5f7")?;
/// assert!(token.is(b"5f3a9c1e7b2d4860a1c3e5f7") && !token.is(b"5f3a"));
/// assert!(!format!("{token:?}").contains("5f3a"));
/// assert!(Token::new("with a space").is_err());
/// # Ok::<(), esker::Error>(())
/// ```
#[derive(Clone)]
pub struct Token {
    padded: Padded,
}

/// Length and content in one array of one size.
type Padded = [u8; TOKEN_BYTES_MAX + 2];

impl Token {
    /// The token `text`: 1 to 512 printable characters of ASCII without spaces. What is short can be guessed:
    /// 32 random characters are right.
    ///
    /// See the example of [`Token`].
    ///
    /// # Errors
    /// [`Error::InvalidArgument`].
    pub fn new(text: &str) -> Result<Token> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let detail = "a token has printable characters of ASCII alone, and no spaces";
            return Err(Error::invalid(detail));
        }
        match padded(text.as_bytes()) {
            Some(padded) if !text.is_empty() => Ok(Token { padded }),
            _ => Err(Error::invalid(format!(
                "a token of {} bytes; it must have 1 to {TOKEN_BYTES_MAX}",
                text.len()
            ))),
        }
    }

    /// The token in the file at `path`, of which spaces and line breaks around it are no part.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// use esker::server::Token;
    /// let path = dir.path().join("token");
    /// std::fs::write(&path, "5f3a9c1e7b2d4860a1c3e5f7\n").expect("it can be written");
    /// assert!(Token::read(&path)?.is(b"5f3a9c1e7b2d4860a1c3e5f7"));
    /// std::fs::write(&path, "").expect("it can be written");
    /// assert!(Token::read(&path).is_err());
    /// # Ok::<(), esker::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`]; as [`Token::new`], naming the file.
    pub fn read(path: impl AsRef<Path>) -> Result<Token> {
        let path = path.as_ref();
        // Secrets are often mounted as links.
        let file = path.canonicalize().during("open", path)?;
        let file = DiskFs::new().open(&file, OpenMode::Read).during("open", path)?;
        let length = file.len().during("stat", path)?;
        let named = |e: Error| Error::invalid(format!("{}: {e}", path.display()));
        let length = usize::try_from(length).ok().filter(|length| *length <= 4 * TOKEN_BYTES_MAX);
        let length = length.ok_or_else(|| named(Error::invalid("it is too long for a token")))?;
        let mut bytes = vec![0; length];
        read_exact_at(file.as_ref(), &mut bytes, 0).during("read", path)?;
        let text = str::from_utf8(&bytes).map_err(|_| named(Error::invalid("it is not UTF-8")))?;
        Token::new(text.trim()).map_err(named)
    }

    /// Whether `brought` is this token.
    ///
    /// See the example of [`Token`].
    #[must_use]
    pub fn is(&self, brought: &[u8]) -> bool {
        let Some(brought) = padded(brought) else { return false };
        bool::from(self.padded[..].ct_eq(&brought[..]))
    }
}

fn padded(token: &[u8]) -> Option<Padded> {
    let mut padded = [0; TOKEN_BYTES_MAX + 2];
    let (length, content) = padded.split_at_mut(2);
    length.copy_from_slice(&u16::try_from(token.len()).ok()?.to_le_bytes());
    content.get_mut(..token.len())?.copy_from_slice(token);
    Some(padded)
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

#[cfg(test)]
mod tests;
