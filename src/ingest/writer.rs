//! Writes the files of one ingest.

use super::AHEAD;
use super::written::Written;
use crate::commit::{check_key, check_value};
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::format::{SegmentMeta, SeqNo, TableMeta};
use crate::iter::Cursor;
use crate::store::{NewEntry, NewFiles, Store};
use std::sync::Arc;

/// Takes entries in order. Dropped before its files are in force it removes them.
#[derive(Debug)]
pub struct Writer {
    store: Arc<Store>,
    /// That of every entry.
    seq: SeqNo,
    files: NewFiles,
    last_key: Vec<u8>,
    user_bytes: u64,
    /// The first failure: nothing comes of the whole after it.
    failed: Option<Error>,
    /// The files may be named in the manifest.
    is_kept: bool,
}

impl Writer {
    /// Writes for `store`, with a number `AHEAD << attempt` above what is visible now.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Poisoned`]; [`Error::InvalidArgument`] where numbers have run out.
    pub fn new(store: &Arc<Store>, attempt: u32) -> Result<Self> {
        store.health.check_open()?;
        store.health.check_sound()?;
        let seq = SeqNo(store.visible.load().0 + (AHEAD << attempt.min(8)));
        if seq > SeqNo::COUNTED_FROM_MAX {
            return Err(Error::invalid("no sequence numbers are left for an ingest"));
        }
        Ok(Writer {
            store: Arc::clone(store),
            seq,
            files: NewFiles::default(),
            last_key: Vec::new(),
            user_bytes: 0,
            failed: None,
            is_kept: false,
        })
    }

    /// One more, whose entries have the number `seq`.
    ///
    /// # Errors
    /// As [`Writer::new`].
    pub fn numbered(&self, seq: SeqNo) -> Result<Self> {
        let mut writer = Writer::new(&self.store, 0)?;
        writer.seq = seq;
        Ok(writer)
    }

    /// Adds an entry; its key comes after that of the one before. `expires_at_ms`: when it
    /// expires, if it does, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a key out of order, [`Error::TooLarge`], [`Error::Io`],
    /// [`Error::Closed`], [`Error::Poisoned`]. Every call after it fails with the same, and what was
    /// written is removed.
    pub fn put(&mut self, key: &[u8], value: &[u8], expires_at_ms: Option<u64>) -> Result<()> {
        self.check()?;
        let done = self.put_checked(key, value, expires_at_ms);
        done.map_err(|e| self.fail(e))
    }

    /// Gives up because of `e`, unless it has before; returns the error that it gave up with.
    pub fn fail(&mut self, e: Error) -> Error {
        self.remove();
        let e = self.store.poison_after_sync(e);
        self.failed.get_or_insert(e).clone()
    }

    fn put_checked(&mut self, key: &[u8], value: &[u8], expires_at_ms: Option<u64>) -> Result<()> {
        check_key(key)?;
        check_value(value)?;
        if self.entries() > 0 && key <= self.last_key.as_slice() {
            let (at, how) =
                (self.entries(), if key == self.last_key { "that of" } else { "less than" });
            return Err(Error::invalid(format!(
                "the key of entry {at} is {how} the one before, counted from 0; an ingest takes keys in \
                 ascending order, each once"
            )));
        }
        self.add(key, value, expires_at_ms)?;
        self.user_bytes += to_u64(key.len() + value.len());
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        Ok(())
    }

    fn add(&mut self, key: &[u8], value: &[u8], expires_at_ms: Option<u64>) -> Result<()> {
        // Files are made, and where one fails removed, while the directory is this handle's.
        let _gate = self.store.gate.enter()?;
        self.store.health.check_sound()?;
        let entry = NewEntry { key, seq: self.seq, expires_at_ms };
        self.files.put(&self.store, entry, value)
    }

    /// Writes out what is left.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn finish(&mut self) -> Result<()> {
        self.check()?;
        let gate = self.store.gate.enter();
        let done = gate.and_then(|_gate| self.files.finish(&self.store));
        done.map_err(|e| self.fail(e))
    }

    /// The same entries with a number further ahead.
    ///
    /// # Errors
    /// As [`Writer::put`]; those of reading them.
    pub fn again(&self, written: &Written, attempt: u32) -> Result<Writer> {
        let mut next = Writer::new(&self.store, attempt)?;
        let mut stream = written.stream();
        stream.seek_first()?;
        while let Some(entry) = stream.entry() {
            // A value file says of each value of which entry it is: it goes along.
            let value = written.value(entry)?;
            next.add(entry.key, &value, entry.expiry_ms())?;
            stream.next()?;
        }
        next.user_bytes = self.user_bytes;
        next.finish()?;
        assert_eq!(next.entries(), self.entries(), "every entry goes along");
        Ok(next)
    }

    fn check(&self) -> Result<()> {
        match &self.failed {
            Some(e) => Err(e.clone()),
            None => self.store.health.check_open(),
        }
    }

    /// That of every entry.
    pub fn seq(&self) -> SeqNo {
        self.seq
    }

    /// The tables that are written.
    pub fn tables(&self) -> &[TableMeta] {
        self.files.tables()
    }

    /// The segments to which they point.
    pub fn segments(&self) -> impl Iterator<Item = SegmentMeta> + '_ {
        self.files.segments()
    }

    /// What is written, to be read.
    pub fn open(&self) -> Written {
        Written::open(&self.store, self.tables(), self.segments())
    }

    /// The key of the entry that was put last; empty before the first.
    pub fn last_key(&self) -> &[u8] {
        &self.last_key
    }

    /// How many entries were put.
    pub fn entries(&self) -> u64 {
        self.files.entries()
    }

    /// Bytes of their keys and values.
    pub fn user_bytes(&self) -> u64 {
        self.user_bytes
    }

    /// Whether the files may be named in the manifest, and are not to be removed when this is dropped.
    pub fn set_kept(&mut self, is_kept: bool) {
        self.is_kept = is_kept;
    }

    /// Removes what was written, unless the directory may be another handle's: then its
    /// open has done so, or the next one will.
    fn remove(&mut self) {
        let files = std::mem::take(&mut self.files);
        if !self.is_kept
            && let Ok(_gate) = self.store.gate.enter()
        {
            files.remove(&self.store);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.remove();
    }
}
