//! Entries as the document that an import reads: all of them become one commit, in memory that does not grow with them.

use super::super::records::Bad;
use super::{Entries, Record};
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::text;
use esker::{Db, Engine, LsmEngine};
use std::io::{self, Read};

/// The document, made as it is read.
struct Document<'a, 'b> {
    entries: &'a mut Entries<'b>,
    /// What was made and not read yet.
    made: Vec<u8>,
    read: usize,
    /// An entry was made, so that the next follows a comma.
    is_begun: bool,
    is_done: bool,
    /// Why it ends before its end.
    bad: Option<Bad>,
}

/// Loads `entries` into `db`, all of them at once.
///
/// # Errors
/// One of them is bad; what the database fails with. Nothing is loaded then.
pub fn load(db: &Db, entries: &mut Entries<'_>) -> Result<()> {
    let made = b"{\"kv\":{".to_vec();
    let mut document =
        Document { entries, made, read: 0, is_begun: false, is_done: false, bad: None };
    let imported = LsmEngine::new(db.clone()).import(&mut document);
    match (imported, document.bad) {
        (Ok(_), _) => Ok(()),
        (Err(_), _) if interrupt::is_asked() => Err(interrupt::failure("the load")),
        (Err(_), Some(bad)) => Err(bad.failure("nothing was loaded")),
        (Err(e), None) => Err(Failure::from(e)),
    }
}

impl Document<'_, '_> {
    /// Makes the next piece.
    fn make(&mut self) -> io::Result<()> {
        if self.bad.is_some() {
            return Err(io::Error::other("an entry is bad")); // Who is told so may ask again.
        }
        self.made.clear();
        self.read = 0;
        match self.entries.next() {
            Some(Ok(Record { key, value })) => {
                if std::mem::replace(&mut self.is_begun, true) {
                    self.made.push(b',');
                }
                let key = String::from_utf8(key).map_err(io::Error::other)?;
                serde_json::to_writer(&mut self.made, &key)?;
                self.made.push(b':');
                // Bytes that pass for UTF-8 need no copy.
                match str::from_utf8(&value) {
                    Ok(value) => serde_json::to_writer(&mut self.made, value)?,
                    Err(_) => serde_json::to_writer(&mut self.made, &text::to_json(&value))?,
                }
            }
            Some(Err(bad)) => {
                self.bad = Some(bad);
                return Err(io::Error::other("an entry is bad"));
            }
            None => {
                self.made.extend_from_slice(b"}}");
                self.is_done = true;
            }
        }
        Ok(())
    }
}

impl Read for Document<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.read == self.made.len() && !self.is_done {
            if interrupt::is_asked() {
                return Err(io::Error::other("interrupted"));
            }
            self.make()?;
        }
        let count = self.made.get(self.read..).unwrap_or_default().read(buf)?;
        self.read += count;
        Ok(count)
    }
}
