//! Writes a backup, front to back.

use super::format::{
    APART_BYTES, Apart, END_SIZE, ENTRIES_BYTES, End, Header, Held, PLAIN, SNAPPY, put_entry,
    put_frame,
};
use super::output::Output;
use crate::error::Result;
use crate::format::codec::{to_u64, to_usize};
use crate::format::frame::FRAME_HEADER_SIZE;
use std::fmt;
use xxhash_rust::xxh3::Xxh3;

/// Where the values come from that stand apart, and who is told how far it is.
pub trait Feed {
    /// Leads to a value.
    type Value;

    /// Fills `into` with the value as it is stored, whose checksum has been verified.
    ///
    /// # Errors
    /// Whatever ends the backup.
    fn read(&mut self, value: &Self::Value, into: &mut [u8]) -> Result<()>;

    /// So many bytes of the backup have been written.
    ///
    /// # Errors
    /// Whatever ends the backup.
    fn has_written(&mut self, bytes: u64) -> Result<()>;
}

/// Values that are in memory, as they are stored; nobody is told.
#[derive(Debug)]
pub struct InMemory;

impl Feed for InMemory {
    type Value = Vec<u8>;

    fn read(&mut self, value: &Vec<u8>, into: &mut [u8]) -> Result<()> {
        into.copy_from_slice(value);
        Ok(())
    }

    fn has_written(&mut self, _bytes: u64) -> Result<()> {
        Ok(())
    }
}

/// Writes a backup. Its memory is that of the chunk at hand: a constant, and one value.
pub struct ArchiveWriter<O, F: Feed> {
    output: O,
    feed: F,
    header: Header,
    /// How the entries are stored, and the entries of the chunk at hand.
    body: Vec<u8>,
    last_key: Vec<u8>,
    /// The values of the chunk that stand apart, with their length as stored.
    apart: Vec<(F::Value, u32)>,
    apart_bytes: u64,
    /// Bytes written.
    offset: u64,
    chunks: u64,
    end: End,
    digest: Xxh3,
    encoder: snap::raw::Encoder,
    compressed: Vec<u8>,
    /// Empty, to be filled with a chunk.
    spare: Vec<u8>,
}

impl<O, F: Feed> fmt::Debug for ArchiveWriter<O, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveWriter").field("offset", &self.offset).finish_non_exhaustive()
    }
}

impl<O: Output, F: Feed> ArchiveWriter<O, F> {
    /// Begins a backup.
    ///
    /// # Errors
    /// Those of `output`.
    pub fn new(mut output: O, feed: F, header: Header) -> Result<Self> {
        let bytes = header.encode();
        let mut digest = Xxh3::new();
        digest.update(&bytes);
        let offset = to_u64(bytes.len());
        let mut spare = output.put(bytes)?;
        spare.clear();
        Ok(ArchiveWriter {
            output,
            feed,
            header,
            body: vec![PLAIN],
            last_key: Vec::new(),
            apart: Vec::new(),
            apart_bytes: 0,
            offset,
            chunks: 0,
            end: End { entries: 0, deletes: 0, bytes: 0, digest: 0 },
            digest,
            encoder: snap::raw::Encoder::new(),
            compressed: Vec::new(),
            spare,
        })
    }

    /// Adds the entry of `key`, which is greater than all before. A value of
    /// [`super::format::APART_BYTES_MIN`] bytes or more stands apart.
    ///
    /// # Errors
    /// Those of the output and of the feed.
    ///
    /// # Panics
    /// When the key is not greater.
    pub fn add(
        &mut self,
        key: &[u8],
        expires_at_ms: Option<u64>,
        held: Held<'_, (Apart, F::Value)>,
    ) -> Result<()> {
        let is_first = self.end.entries == 0;
        assert!(is_first || self.last_key.as_slice() < key, "a backup is written in order");
        let is_first_of_chunk = self.body.len() == 1;
        let common = || self.last_key.iter().zip(key).take_while(|(a, b)| a == b).count();
        let shared = if is_first_of_chunk { 0 } else { common() };
        let held = match held {
            Held::Deleted => Held::Deleted,
            Held::Inline(value) => Held::Inline(value),
            Held::Apart((apart, value)) => {
                self.apart.push((value, apart.stored_bytes));
                self.apart_bytes += u64::from(apart.stored_bytes);
                Held::Apart(apart)
            }
        };
        put_entry(&mut self.body, key, shared, expires_at_ms, &held);
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(key.get(shared..).unwrap_or_default());
        self.end.entries += 1;
        self.end.deletes += u64::from(held == Held::Deleted);
        if self.body.len() > ENTRIES_BYTES || self.apart_bytes >= APART_BYTES {
            self.write_chunk()?;
        }
        Ok(())
    }

    /// Has the feed look whether to go on, where nothing has been added for long.
    ///
    /// # Errors
    /// Those of the feed.
    pub fn look(&mut self) -> Result<()> {
        self.feed.has_written(self.offset)
    }

    fn write_chunk(&mut self) -> Result<()> {
        let mut chunk = std::mem::take(&mut self.spare);
        chunk.clear();
        let body = compressed(&mut self.encoder, &mut self.compressed, &self.body);
        self.chunks += 1;
        let size = FRAME_HEADER_SIZE + body.len();
        chunk.reserve(size + to_usize(self.apart_bytes).unwrap_or(0));
        put_frame(&mut chunk, self.header.backup, self.offset, self.chunks, body);
        self.digest.update(&chunk);
        for (value, stored_bytes) in &self.apart {
            let at = chunk.len();
            let stored_bytes = usize::try_from(*stored_bytes).expect("an address has 32 bits");
            chunk.resize(at + stored_bytes, 0);
            self.feed.read(value, chunk.get_mut(at..).unwrap_or_default())?;
        }
        self.body.truncate(1);
        self.apart.clear();
        self.apart_bytes = 0;
        self.put(chunk)
    }

    fn put(&mut self, bytes: Vec<u8>) -> Result<()> {
        self.offset += to_u64(bytes.len());
        self.spare = self.output.put(bytes)?;
        self.feed.has_written(self.offset)
    }

    /// Writes the rest, and the end; returns the output, what the end says, and how many bytes the
    /// backup has.
    ///
    /// # Errors
    /// As [`ArchiveWriter::add`].
    pub fn finish(mut self) -> Result<(O, End, u64)> {
        if self.body.len() > 1 {
            self.write_chunk()?;
        }
        self.end.bytes = self.offset;
        self.end.digest = self.digest.digest128();
        let mut chunk = std::mem::take(&mut self.spare);
        chunk.clear();
        let body = self.end.encode();
        debug_assert_eq!(body.len(), END_SIZE);
        put_frame(&mut chunk, self.header.backup, self.offset, self.chunks + 1, &body);
        self.put(chunk)?;
        Ok((self.output, self.end, self.offset))
    }
}

/// `body`, or the same in Snappy where that pays, in `out`.
fn compressed<'a>(
    encoder: &mut snap::raw::Encoder,
    out: &'a mut Vec<u8>,
    body: &'a [u8],
) -> &'a [u8] {
    let Some((_, entries)) = body.split_first() else { return body };
    let size_max = snap::raw::max_compress_len(entries.len());
    out.resize(out.len().max(1 + size_max), 0);
    let Some((mark, compressed)) = out.split_first_mut() else { return body };
    *mark = SNAPPY;
    match encoder.compress(entries, compressed) {
        Ok(size) if size <= entries.len() - entries.len() / 8 => out.get(..=size).unwrap_or(body),
        _ => body,
    }
}
