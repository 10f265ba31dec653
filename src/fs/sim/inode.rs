//! A file: what its readers see, what is on stable storage, and the operation
//! log between the two.
//!
//! INV-1: `base` changes in [`Inode::sync`] alone, so nothing that was synced
//! can be lost.
//! INV-2: the log is in ascending order of its sequence numbers.
//! INV-3: `live` is `base` with the log applied, but for what a failed sync dropped.

use super::content::Content;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;

/// The longest file that the simulation keeps: a stray offset must not take
/// all memory.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 30;

/// A file that names and handles share. It goes when the last of them does.
/// Its lock is only ever taken with the lock of the whole file system held.
pub(super) type InodeRef = Arc<Mutex<Inode>>;

#[derive(Debug, Default, Clone)]
pub(super) struct Inode {
    live: Content,
    base: Content,
    log: Vec<FileOp>,
    pub(super) is_locked: bool,
}

/// One change of a file that no sync has covered yet.
#[derive(Debug, Clone)]
pub(super) struct FileOp {
    /// Its place in the order of all operations of the file system.
    pub(super) seq: u64,
    pub(super) change: Change,
}

#[derive(Debug, Clone)]
pub(super) enum Change {
    Write { start: usize, bytes: Arc<[u8]> },
    SetLen(usize),
}

impl Inode {
    /// A file all of which is on stable storage.
    pub(super) fn durable(content: Content) -> Self {
        Inode { live: content.clone(), base: content, log: Vec::new(), is_locked: false }
    }

    pub(super) fn live(&self) -> &Content {
        &self.live
    }

    pub(super) fn base(&self) -> &Content {
        &self.base
    }

    pub(super) fn log(&self) -> &[FileOp] {
        &self.log
    }

    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let rest = usize::try_from(offset).ok().and_then(|start| self.live.get(start..));
        let Some(rest) = rest else { return 0 };
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        count
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64, seq: u64) -> io::Result<()> {
        let start = position(offset)?;
        position(offset.saturating_add(bytes.len() as u64))?;
        if !bytes.is_empty() {
            self.push(seq, Change::Write { start, bytes: bytes.into() });
        }
        Ok(())
    }

    pub(super) fn set_len(&mut self, len: u64, seq: u64) -> io::Result<()> {
        let len = position(len)?;
        self.push(seq, Change::SetLen(len));
        Ok(())
    }

    fn push(&mut self, seq: u64, change: Change) {
        debug_assert!(self.log.last().is_none_or(|last| last.seq < seq), "INV-2");
        change.apply(self.live.change());
        self.log.push(FileOp { seq, change });
    }

    /// Everything so far is on stable storage now.
    pub(super) fn sync(&mut self) {
        for op in self.log.drain(..) {
            op.change.apply(self.base.change());
        }
    }

    /// A sync failed: the pages count as clean now, so that readers keep the
    /// new bytes, stable storage keeps the old ones, and no later sync will
    /// write the difference (Linux; see Rebello et al., "Can applications
    /// recover from fsync failures?", 2020).
    pub(super) fn drop_unsynced(&mut self) {
        self.log.clear();
    }
}

impl Change {
    pub(super) fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write { start, bytes } => {
                let end = start + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*start..end].copy_from_slice(bytes);
            }
            Change::SetLen(len) => content.resize(*len, 0),
        }
    }
}

fn position(offset: u64) -> io::Result<usize> {
    if offset > FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_sync_drops_for_good() -> io::Result<()> {
        let mut inode = Inode::default();
        inode.write(b"old", 0, 1)?;
        inode.sync();
        inode.write(b"NEW", 0, 2)?;
        inode.drop_unsynced();
        inode.write(b"!", 4, 3)?;
        inode.sync();
        assert_eq!(&**inode.live(), b"NEW\0!");
        assert_eq!(&**inode.base(), b"old\0!");
        Ok(())
    }

    #[test]
    fn reads_end_at_the_end() -> io::Result<()> {
        let mut inode = Inode::default();
        inode.write(b"abc", 1, 1)?;
        let mut buf = [9; 4];
        assert_eq!(inode.read(&mut buf, 2), 2);
        assert_eq!(inode.read(&mut buf, 4), 0);
        assert_eq!(inode.read(&mut buf, u64::MAX), 0);
        inode.set_len(2, 2)?;
        assert_eq!(&**inode.live(), b"\0a");
        let far = inode.write(b"x", FILE_BYTES_MAX, 3).expect_err("too far");
        assert_eq!(far.kind(), io::ErrorKind::FileTooLarge);
        Ok(())
    }
}
