//! Writes the tables of one ingest.

use super::{AHEAD, poison_after_sync};
use crate::commit::{check_key, check_value};
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::format::{EntryKind, EntryRef, FileKind, SeqNo, TableId, TableMeta};
use crate::iter::Cursor;
use crate::store::Store;
use crate::table::{Table, TableBuilder, TableOptions};
use std::sync::Arc;

/// Takes entries in order. Dropped before its tables are in force it removes them.
#[derive(Debug)]
pub struct Writer {
    store: Arc<Store>,
    /// That of every entry.
    seq: SeqNo,
    builder: Option<(TableId, TableBuilder)>,
    /// Those that are written, and durable but for their names.
    written: Vec<TableMeta>,
    last_key: Vec<u8>,
    entries: u64,
    user_bytes: u64,
    /// An expiry and the value after it.
    payload: Vec<u8>,
    /// The first failure: nothing comes of the whole after it.
    failed: Option<Error>,
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
            builder: None,
            written: Vec::new(),
            last_key: Vec::new(),
            entries: 0,
            user_bytes: 0,
            payload: Vec::new(),
            failed: None,
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
        let e = poison_after_sync(&self.store, e);
        self.failed.get_or_insert(e).clone()
    }

    fn put_checked(&mut self, key: &[u8], value: &[u8], expires_at_ms: Option<u64>) -> Result<()> {
        check_key(key)?;
        check_value(value)?;
        if self.entries > 0 && key <= self.last_key.as_slice() {
            let (at, how) =
                (self.entries, if key == self.last_key { "that of" } else { "less than" });
            return Err(Error::invalid(format!(
                "the key of entry {at} is {how} the one before, counted from 0; an ingest takes keys in \
                 ascending order, each once"
            )));
        }
        let mut payload = std::mem::take(&mut self.payload);
        let (kind, bytes) = match expires_at_ms {
            None => (EntryKind::Set, value),
            Some(at_ms) => {
                payload.clear();
                payload.extend_from_slice(&at_ms.to_le_bytes());
                payload.extend_from_slice(value);
                (EntryKind::SetExpiring, payload.as_slice())
            }
        };
        let added = self.add(EntryRef { key, seq: self.seq, kind, payload: bytes });
        self.payload = payload;
        added?;
        self.user_bytes += to_u64(key.len() + value.len());
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        Ok(())
    }

    fn add(&mut self, entry: EntryRef<'_>) -> Result<()> {
        let limit = self.store.options.table_bytes;
        if self.builder.as_ref().is_some_and(|(_, builder)| builder.size_bytes() >= limit) {
            self.finish_table()?;
        }
        let (_, builder) = match &mut self.builder {
            Some(open) => open,
            None => {
                let created = self.create_table()?;
                self.builder.insert(created)
            }
        };
        builder.add(entry)?;
        self.entries += 1;
        Ok(())
    }

    fn create_table(&self) -> Result<(TableId, TableBuilder)> {
        let _gate = self.store.gate.enter()?;
        self.store.health.check_open()?;
        self.store.health.check_sound()?;
        let home = &self.store.home;
        let id = TableId(home.draw_file_id().0);
        let options = TableOptions::from(&self.store.options);
        let fs = home.fs.as_ref();
        let mut builder = TableBuilder::create(fs, &home.dir, home.database, id, options)?;
        builder.set_written(home.clock.now_ms());
        Ok((id, builder))
    }

    fn finish_table(&mut self) -> Result<()> {
        let Some((id, builder)) = self.builder.take() else { return Ok(()) };
        let finished = builder.finish();
        if finished.is_err() && self.store.gate.enter().is_ok() {
            self.store.remove(FileKind::Table(id));
        }
        self.written.push(finished?);
        Ok(())
    }

    /// Writes out what is left.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn finish(&mut self) -> Result<()> {
        self.check()?;
        let done = self.finish_table();
        done.map_err(|e| self.fail(e))
    }

    /// The same entries with a number further ahead.
    ///
    /// # Errors
    /// As [`Writer::put`]; those of reading them.
    pub fn again(&self, opened: &[Arc<Table>], attempt: u32) -> Result<Writer> {
        let mut next = Writer::new(&self.store, attempt)?;
        for table in opened {
            let mut cursor = table.cursor();
            cursor.seek_first()?;
            while let Some(entry) = cursor.entry() {
                next.add(EntryRef { seq: next.seq, ..entry })?;
                cursor.next()?;
            }
        }
        next.user_bytes = self.user_bytes;
        next.finish()?;
        assert_eq!(next.entries, self.entries, "every entry goes along");
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
        &self.written
    }

    /// The tables that are written, opened.
    pub fn open_tables(&self) -> Vec<Arc<Table>> {
        self.written.iter().map(|meta| self.store.open_table(meta)).collect()
    }

    /// The key of the entry that was put last; empty before the first.
    pub fn last_key(&self) -> &[u8] {
        &self.last_key
    }

    /// How many entries were put.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Bytes of their keys and values.
    pub fn user_bytes(&self) -> u64 {
        self.user_bytes
    }

    /// Takes the tables away, so that they are not removed: they may be named in the
    /// manifest from now on.
    pub fn take_tables(&mut self) -> Vec<TableMeta> {
        std::mem::take(&mut self.written)
    }

    /// Gives them back: they are not.
    pub fn give_back(&mut self, tables: Vec<TableMeta>) {
        self.written = tables;
    }

    /// Removes what was written, unless the directory may be another handle's: then its
    /// open has done so, or the next one will.
    fn remove(&mut self) {
        let open = self.builder.take().map(|(id, _)| id);
        let written = std::mem::take(&mut self.written);
        if let Ok(_gate) = self.store.gate.enter() {
            for id in open.into_iter().chain(written.iter().map(|meta| meta.id)) {
                self.store.remove(FileKind::Table(id));
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.remove();
    }
}
