//! Reads a backup, front to back, and believes nothing of it.

use super::format::{
    Apart, END, ENTRIES_BYTES_MAX, ENTRY_BYTES_MAX, End, HEADER_SIZE, Header, Held, PLAIN, SNAPPY,
    place, read_entry,
};
use super::source::Source;
use crate::error::{Error, Result};
use crate::format::codec::{to_u64, to_usize};
use crate::format::frame::FRAME_HEADER_SIZE;
use crate::format::{
    Decoder, FrameHeader, KEY_BYTES_MAX, VALUE_BYTES_MAX, ValuePointer, crc, snappy,
};
use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

/// A value as it is stored, whose checksum holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// They are in Snappy.
    pub is_compressed: bool,
    /// Their crc.
    pub checksum: u32,
    /// How long the value is, in bytes: of one in Snappy, what that says of itself, at most that
    /// of the largest value.
    pub value_bytes: usize,
}

/// An entry of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its key, greater than that of the one before.
    pub key: &'a [u8],
    /// When it expires, in milliseconds since the Unix epoch, if it does.
    pub expires_at_ms: Option<u64>,
    /// What it has for a value.
    pub held: Held<'a, Stored<'a>>,
    /// Where in the backup it stands: its chunk or, of one that stands apart, its value.
    pub offset: u64,
}

/// What the reader knows of the entry at which it is.
#[derive(Debug)]
struct Found {
    expires_at_ms: Option<u64>,
    held: HeldAt,
    offset: u64,
}

#[derive(Debug)]
enum HeldAt {
    Deleted,
    /// Where in the chunk.
    Inline(Range<usize>),
    /// It is what the source gave last.
    Apart {
        is_compressed: bool,
        checksum: u32,
        value_bytes: usize,
    },
}

/// Reads a backup. Its memory is that of a chunk's entries and of one value, whatever is in the
/// backup.
pub struct ArchiveReader<R> {
    source: Source<R>,
    header: Header,
    digest: Xxh3,
    /// The entries of the chunk at hand, where it stands, and how far it has been read.
    chunk: Vec<u8>,
    chunk_offset: u64,
    at: usize,
    chunks: u64,
    key: Vec<u8>,
    /// Of the entry whose key that is; `None` before the first and behind the last.
    found: Option<Found>,
    /// The first entry of the chunk shares nothing with the one before.
    is_first_of_chunk: bool,
    entries: u64,
    deletes: u64,
    end: Option<End>,
}

impl<R> fmt::Debug for ArchiveReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveReader").field("source", &self.source).finish_non_exhaustive()
    }
}

impl<R: Read> ArchiveReader<R> {
    /// Reads what `read` gives; errors name `path`.
    ///
    /// # Errors
    /// [`Error::Corruption`], [`Error::UnsupportedFormat`] of the header, [`Error::Io`].
    pub fn new(read: R, path: PathBuf) -> Result<Self> {
        let mut source = Source::new(read, path);
        let head = source.take(HEADER_SIZE, "a header")?;
        let head = *head.first_chunk::<HEADER_SIZE>().expect("as many as were asked for");
        let more = source.take(Header::more_bytes(&head), "a header's end")?.to_vec();
        let header = Header::decode(&head, &more, source.path())?;
        let mut digest = Xxh3::new();
        digest.update(&head);
        digest.update(&more);
        Ok(ArchiveReader {
            source,
            header,
            digest,
            chunk: Vec::new(),
            chunk_offset: 0,
            at: 0,
            chunks: 0,
            key: Vec::new(),
            found: None,
            is_first_of_chunk: true,
            entries: 0,
            deletes: 0,
            end: None,
        })
    }

    /// What it says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What errors name.
    pub fn path(&self) -> &Path {
        self.source.path()
    }

    /// How many bytes have been read.
    pub fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// How many entries have been read, and of these how many of deletes.
    pub fn counts(&self) -> (u64, u64) {
        (self.entries, self.deletes)
    }

    /// The next entry. `None` at the end, when all of it has turned out to be sound: until then
    /// nothing may come of what was read.
    ///
    /// # Errors
    /// [`Error::Corruption`] naming where and what is wrong, [`Error::Io`].
    pub fn next_entry(&mut self) -> Result<Option<Entry<'_>>> {
        Ok(if self.advance()? { self.entry() } else { None })
    }

    /// Goes on to the next entry; false at the end, as [`ArchiveReader::next_entry`] has it.
    ///
    /// # Errors
    /// As there.
    pub fn advance(&mut self) -> Result<bool> {
        self.found = None;
        while self.at == self.chunk.len() {
            if self.end.is_some() || !self.enter_chunk()? {
                return Ok(false);
            }
        }
        self.found = Some(self.read_entry()?);
        Ok(true)
    }

    /// The entry at which it is; `None` before the first and behind the last.
    pub fn entry(&self) -> Option<Entry<'_>> {
        let Found { expires_at_ms, held, offset } = self.found.as_ref()?;
        let held = match held {
            HeldAt::Deleted => Held::Deleted,
            HeldAt::Inline(range) => {
                Held::Inline(self.chunk.get(range.clone()).unwrap_or_default())
            }
            HeldAt::Apart { is_compressed, checksum, value_bytes } => Held::Apart(Stored {
                bytes: self.source.taken(),
                is_compressed: *is_compressed,
                checksum: *checksum,
                value_bytes: *value_bytes,
            }),
        };
        Some(Entry { key: &self.key, expires_at_ms: *expires_at_ms, held, offset: *offset })
    }

    /// What it has in memory, in bytes.
    #[cfg(test)]
    pub fn memory_bytes(&self) -> usize {
        self.source.memory_bytes() + self.chunk.capacity() + self.key.capacity()
    }

    fn wrong(&self, detail: impl Into<String>) -> Error {
        self.source.damage(self.chunk_offset, detail)
    }

    /// Goes on to the next chunk; false where that is the end.
    fn enter_chunk(&mut self) -> Result<bool> {
        self.chunk_offset = self.source.offset();
        self.chunks += 1;
        let number = self.chunks;
        let head = self.source.take(FRAME_HEADER_SIZE, "the head of a chunk")?;
        let head = *head.first_chunk::<FRAME_HEADER_SIZE>().expect("as many as were asked for");
        let header = FrameHeader::decode(&head, place(self.header.backup, self.chunk_offset))
            .filter(|header| (header.sequence, header.durable) == (number, self.chunk_offset))
            .ok_or_else(|| self.wrong(format!("the head of chunk {number} is damaged")))?;
        let size = to_usize(header.body_bytes)
            .filter(|&size| size <= 1 + ENTRIES_BYTES_MAX)
            .ok_or_else(|| self.wrong(format!("a chunk of {} bytes", header.body_bytes)))?;
        let body = self.source.take(size, "a chunk")?;
        if crc(body) != header.body_crc {
            return Err(self.wrong(format!("the checksum of chunk {number} does not match")));
        }
        let entries = match body.split_first() {
            Some((&PLAIN, entries)) => {
                self.chunk.clear();
                self.chunk.extend_from_slice(entries);
                Ok(())
            }
            Some((&SNAPPY, entries)) => snappy::decompress(entries, to_u64(ENTRIES_BYTES_MAX))
                .map(|entries| self.chunk = entries),
            Some((&END, _)) => {
                let end = End::decode(body);
                return self.finish(end).map(|()| false);
            }
            _ => Err("no chunk begins like that".to_owned()),
        };
        self.digest.update(&head);
        self.digest.update(body);
        entries.map_err(|detail| self.wrong(detail))?;
        if self.chunk.is_empty() {
            return Err(self.wrong("a chunk without an entry"));
        }
        (self.at, self.is_first_of_chunk) = (0, true);
        Ok(true)
    }

    /// Checks what the end says.
    fn finish(&mut self, end: Option<End>) -> Result<()> {
        let end = end.ok_or_else(|| self.wrong("the end cannot be decoded"))?;
        let found = End {
            entries: self.entries,
            deletes: self.deletes,
            bytes: self.chunk_offset,
            digest: self.digest.digest128(),
        };
        if end != found {
            return Err(self.wrong(format!("the end states {end:?}, found {found:?}")));
        }
        if !self.source.is_at_end()? {
            let offset = self.source.offset();
            return Err(self.source.damage(offset, "something follows the end of the backup"));
        }
        self.chunk.clear();
        (self.at, self.end) = (0, Some(end));
        Ok(())
    }

    /// Reads the entry at hand, and its value.
    fn read_entry(&mut self) -> Result<Found> {
        let rest = self.chunk.get(self.at..).unwrap_or_default();
        let mut d = Decoder::new(rest);
        let (shared, suffix, expires_at_ms, held) =
            read_entry(&mut d).ok_or_else(|| self.wrong("an entry cannot be decoded"))?;
        let size = rest.len() - d.rest().len();
        let is_delete = held == Held::Deleted;
        if is_delete && self.header.base.is_none() {
            return Err(self.wrong("a delete in a backup that is no increment"));
        }
        let is_fine = size <= ENTRY_BYTES_MAX
            && (shared == 0 || !self.is_first_of_chunk)
            && replace_tail(&mut self.key, shared, suffix, self.entries == 0);
        if !is_fine {
            let at = self.entries;
            let detail = format!("the key of entry {at} is out of order, twice there, or too long");
            return Err(self.wrong(detail));
        }
        self.at += size;
        self.is_first_of_chunk = false;
        self.entries += 1;
        self.deletes += u64::from(is_delete);
        let mut offset = self.chunk_offset;
        let held = match held {
            Held::Deleted => HeldAt::Deleted,
            // It ends where the entry does.
            Held::Inline(value) => HeldAt::Inline(self.at - value.len()..self.at),
            Held::Apart(apart) => {
                offset = self.source.offset();
                let value_bytes = check_value(&mut self.source, &apart)?;
                let Apart { is_compressed, checksum, .. } = apart;
                HeldAt::Apart { is_compressed, checksum, value_bytes }
            }
        };
        Ok(Found { expires_at_ms, held, offset })
    }
}

/// Makes `key` the next key: `shared` bytes of itself, and `suffix`. False where it would not be greater
/// than it was, though it is not the first, or too long.
fn replace_tail(key: &mut Vec<u8>, shared: usize, suffix: &[u8], is_first: bool) -> bool {
    let Some(tail) = key.get(shared..) else { return false };
    let is_greater = is_first || suffix > tail;
    if !is_greater || shared + suffix.len() > KEY_BYTES_MAX {
        return false;
    }
    key.truncate(shared);
    key.extend_from_slice(suffix);
    true
}

/// Takes the value of which `apart` tells out of `source`, and checks it; how long it is.
fn check_value<R: Read>(source: &mut Source<R>, apart: &Apart) -> Result<usize> {
    let offset = source.offset();
    let Apart { stored_bytes, is_compressed, checksum } = *apart;
    let size = usize::try_from(stored_bytes).ok().filter(|&size| size <= VALUE_BYTES_MAX);
    let size = size.ok_or_else(|| {
        source.damage(offset, format!("a value of {stored_bytes} bytes is larger than any is"))
    })?;
    let bytes = source.take(size, "a value")?;
    let found = ValuePointer::checksum(bytes);
    let value_bytes =
        if is_compressed { snappy::stated_size(bytes, to_u64(VALUE_BYTES_MAX)) } else { Ok(size) };
    if found != checksum {
        let detail = format!(
            "checksum of a value of {size} bytes: expected {checksum:#010x}, found {found:#010x}"
        );
        return Err(source.damage(offset, detail));
    }
    value_bytes.map_err(|detail| source.damage(offset, detail))
}

impl Stored<'_> {
    /// The value itself.
    ///
    /// # Errors
    /// What is wrong with its Snappy.
    pub fn value(&self) -> std::result::Result<std::borrow::Cow<'_, [u8]>, String> {
        if self.is_compressed {
            snappy::decompress(self.bytes, to_u64(VALUE_BYTES_MAX)).map(Into::into)
        } else {
            Ok(self.bytes.into())
        }
    }
}
