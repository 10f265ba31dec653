//! Everything behind the lock, and what each call does to it.
//!
//! Each call asks [`Faults::next`] first, and only then does what it is for.

use super::choices::{self, Choices};
use super::content::Content;
use super::directory::{Directory, Entries, Tree};
use super::fault::{CallKind, Faults, Verdict, power_is_off};
use super::image;
use super::inode::InodeRef;
use super::model::CrashModel;
use super::random::Draw;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::path::Path;

/// How many removed files are kept, so that their bytes can show up again.
const GRAVES_MAX: usize = 8;
/// The largest removed file that is kept.
const GRAVE_BYTES_MAX: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct State {
    pub(super) tree: Tree,
    pub(super) faults: Faults,
    pub(super) trace: Option<Vec<String>>,
    pub(super) seed: u64,
    /// The first seed, whatever came after: what new databases are told apart
    /// by. Two runs that differ in another chance alone leave the same bytes.
    identity: u64,
    pub(super) has_threads: bool,
    /// How many bytes all files may have together.
    pub(super) capacity: Option<u64>,
    seq_last: u64,
    graves: VecDeque<Content>,
}

impl State {
    pub(super) fn new(tree: Tree, seed: u64) -> Self {
        State {
            tree,
            faults: Faults::default(),
            trace: None,
            seed,
            identity: seed,
            has_threads: true,
            capacity: None,
            seq_last: 0,
            graves: VecDeque::new(),
        }
    }

    pub(super) fn crash_image(&self, model: CrashModel) -> State {
        let graves: Vec<Content> = self.graves.iter().cloned().collect();
        let tree = match model {
            CrashModel::Everything => image::after_kill(&self.tree),
            _ => image::after_power_cut(&self.tree, &graves, model),
        };
        self.restarted(tree)
    }

    pub(super) fn choices(&self, unit_bytes: usize) -> Choices {
        choices::choices(&self.tree, unit_bytes, self.faults.calls)
    }

    pub(super) fn image_of(&self, choices: &Choices, picks: &[usize]) -> State {
        self.restarted(choices::image(&self.tree, choices, picks, self.faults.calls))
    }

    /// The state of a machine that starts with this on its disk.
    fn restarted(&self, tree: Tree) -> State {
        let mut image = State::new(tree, self.seed);
        image.identity = self.identity;
        image.seq_last = self.seq_last;
        image.graves = self.graves.clone();
        for content in image::lost_files(&self.tree, &image.tree) {
            image.bury(content);
        }
        image.has_threads = self.has_threads;
        image.capacity = self.capacity;
        image
    }

    pub(super) fn content_hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let durable: fn(&Directory) -> &Entries = |directory| &directory.base;
        self.tree.walk(|directory| &directory.live, &mut |path, inode| {
            hash_part(&mut hasher, path.as_bytes());
            if let Some(inode) = inode {
                hasher.write_u64(inode.live().hash());
            }
        });
        self.tree.walk(durable, &mut |path, inode| {
            hash_part(&mut hasher, path.as_bytes());
            if let Some(inode) = inode {
                hasher.write_u64(inode.base().hash());
            }
        });
        hasher.finish()
    }

    /// What is left to chance in this call. By its number, so that what came
    /// before it does not matter, and neighbouring calls differ.
    fn chance(&self) -> Draw {
        Draw::new(Draw::new(self.seed).next() ^ self.faults.calls)
    }

    /// As [`State::chance`], for a new database's identity.
    pub(super) fn identity(&self) -> u64 {
        Draw::new(Draw::new(self.identity).next() ^ self.faults.calls).next()
    }

    fn next_seq(&mut self) -> u64 {
        self.seq_last += 1;
        self.seq_last
    }

    /// Does `act`, unless the call's verdict is against it. In a power cut a
    /// coin decides whether it was still done.
    fn unless_struck<T>(
        &mut self,
        kind: CallKind,
        act: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        match self.faults.next(kind) {
            Verdict::Go | Verdict::Short => act(self),
            Verdict::Fail(e) | Verdict::Refuse(e) => Err(e),
            Verdict::Cut => {
                if self.chance().one_in(2) {
                    act(self)?;
                }
                Err(power_is_off())
            }
        }
    }

    pub(super) fn open(&mut self, path: &Path) -> io::Result<InodeRef> {
        self.unless_struck(CallKind::Open, |state| state.tree.lookup_file(path))
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<InodeRef> {
        self.unless_struck(CallKind::Create, |state| {
            let seq = state.next_seq();
            state.tree.create_file(path, seq)
        })
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        self.unless_struck(CallKind::CreateDir, |state| {
            let seq = &mut state.seq_last;
            state.tree.create_dirs(path, || {
                *seq += 1;
                *seq
            })
        })
    }

    pub(super) fn list(&mut self, path: &Path) -> io::Result<Vec<String>> {
        self.unless_struck(CallKind::List, |state| {
            let dir = state.tree.lookup_dir(path)?;
            Ok(state.tree.dir(dir).live.keys().cloned().collect())
        })
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.unless_struck(CallKind::Rename, |state| {
            let seq = state.next_seq();
            let replaced = state.tree.rename(from, to, seq)?;
            if let Some(inode) = replaced {
                let content = inode.lock().live().clone();
                state.bury(content);
            }
            Ok(())
        })
    }

    pub(super) fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.unless_struck(CallKind::Link, |state| {
            let seq = state.next_seq();
            state.tree.link(from, to, seq)
        })
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.unless_struck(CallKind::Remove, |state| {
            let seq = state.next_seq();
            let inode = state.tree.remove(path, seq)?;
            let content = inode.lock().live().clone();
            state.bury(content);
            Ok(())
        })
    }

    pub(super) fn lock(&mut self, path: &Path) -> io::Result<Option<InodeRef>> {
        self.unless_struck(CallKind::Lock, |state| {
            let inode = match state.tree.lookup_file(path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    let seq = state.next_seq();
                    state.tree.create_file(path, seq)?
                }
                found => found?,
            };
            let was_locked = std::mem::replace(&mut inode.lock().is_locked, true);
            Ok((!was_locked).then_some(inode))
        })
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let dir = self.tree.lookup_dir(path);
        match self.faults.next(CallKind::SyncDir) {
            Verdict::Go | Verdict::Short => self.tree.sync(dir?),
            // Names are in the journal: unlike the pages of a file they are not
            // forgotten, and stay pending.
            Verdict::Fail(e) | Verdict::Refuse(e) => return Err(e),
            Verdict::Cut => {
                // In the midst of it: all there, or still anything possible.
                if self.chance().one_in(2) {
                    self.tree.sync(dir?);
                }
                return Err(power_is_off());
            }
        }
        Ok(())
    }

    pub(super) fn read(
        &mut self,
        inode: &InodeRef,
        buf: &mut [u8],
        offset: u64,
    ) -> io::Result<usize> {
        let wanted = match self.faults.next(CallKind::Read) {
            Verdict::Go => buf.len(),
            Verdict::Short => half(buf.len()),
            Verdict::Fail(e) | Verdict::Refuse(e) => return Err(e),
            Verdict::Cut => return Err(power_is_off()),
        };
        Ok(inode.lock().read(&mut buf[..wanted], offset))
    }

    pub(super) fn write(
        &mut self,
        inode: &InodeRef,
        bytes: &[u8],
        offset: u64,
    ) -> io::Result<usize> {
        let (written, answer) = match self.faults.next(CallKind::Write) {
            Verdict::Go => {
                let fits = self.fitting(inode, bytes.len(), offset);
                if fits == 0 && !bytes.is_empty() {
                    return Err(is_full());
                }
                (fits, Ok(fits))
            }
            Verdict::Short => (half(bytes.len()), Ok(half(bytes.len()))),
            Verdict::Refuse(e) => return Err(e),
            Verdict::Fail(e) => (self.chance().cut(bytes.len()), Err(e)),
            Verdict::Cut => (self.chance().cut(bytes.len()), Err(power_is_off())),
        };
        let seq = self.next_seq();
        inode.lock().write(&bytes[..written], offset, seq)?;
        answer
    }

    pub(super) fn sync_data(&mut self, inode: &InodeRef) -> io::Result<()> {
        match self.faults.next(CallKind::SyncData) {
            Verdict::Go | Verdict::Short => inode.lock().sync(),
            Verdict::Refuse(e) => return Err(e),
            Verdict::Fail(e) => {
                inode.lock().drop_unsynced();
                return Err(e);
            }
            Verdict::Cut => {
                // As in `sync_dir`.
                if self.chance().one_in(2) {
                    inode.lock().sync();
                }
                return Err(power_is_off());
            }
        }
        Ok(())
    }

    pub(super) fn set_len(&mut self, inode: &InodeRef, len: u64) -> io::Result<()> {
        self.unless_struck(CallKind::SetLen, |state| {
            if state.fitting(inode, usize::try_from(len).unwrap_or(usize::MAX), 0) as u64 != len {
                return Err(is_full());
            }
            let seq = state.next_seq();
            inode.lock().set_len(len, seq)
        })
    }

    pub(super) fn len(&mut self, inode: &InodeRef) -> io::Result<u64> {
        self.unless_struck(CallKind::Len, |_| Ok(inode.lock().live().len() as u64))
    }

    /// How much of a write of `len` bytes at `offset` there is room for.
    fn fitting(&self, inode: &InodeRef, len: usize, offset: u64) -> usize {
        let Some(capacity) = self.capacity else { return len };
        let mut used = 0;
        self.tree.walk(|directory| &directory.live, &mut |_, inode| {
            used += inode.map_or(0, |inode| inode.live().len() as u64);
        });
        let before = inode.lock().live().len() as u64;
        let free = capacity.saturating_sub(used);
        let fits = (before + free).saturating_sub(offset);
        len.min(usize::try_from(fits).unwrap_or(usize::MAX))
    }

    /// Writes a call down, if that is wanted.
    pub(super) fn record<T>(
        &mut self,
        kind: CallKind,
        what: impl FnOnce() -> String,
        result: &io::Result<T>,
    ) {
        let Some(trace) = &mut self.trace else { return };
        let outcome = match result {
            Ok(_) => "ok".to_owned(),
            Err(e) => format!("failed: {e}"),
        };
        trace.push(format!("{} {kind:?} {}: {outcome}", self.faults.calls, what()));
    }

    /// Remembers what a removed file held: its blocks are free to be handed out again.
    fn bury(&mut self, content: Content) {
        if content.is_empty() || content.len() > GRAVE_BYTES_MAX {
            return;
        }
        if self.graves.len() == GRAVES_MAX {
            self.graves.pop_front();
        }
        self.graves.push_back(content);
    }
}

fn hash_part(hasher: &mut DefaultHasher, bytes: &[u8]) {
    hasher.write_usize(bytes.len());
    hasher.write(bytes);
}

fn is_full() -> io::Error {
    io::Error::from_raw_os_error(super::errno::ENOSPC)
}

fn half(len: usize) -> usize {
    len.div_ceil(2)
}
