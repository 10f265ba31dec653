//! A second database of the same files.

use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::format::{FileKind, LogId, ManifestId, SegmentMeta};
use crate::fs::{DirEntry, Fs, IoContext, OpenMode, SyncFn, Window, create_dir, write_all_at};
use crate::manifest::{Manifest, State};
use crate::store::{Catalog, Store, log_identity, log_not_removed};
use crate::wal::LogWriter;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

/// What is copied with one call where a file cannot be linked, in bytes.
const COPY_BYTES: usize = 1 << 20;

/// By how much the count of opens goes on at most, see [`next_opens`].
const OPENS_STEP_BITS: u32 = 30;

/// Makes a database in `dir`, which is not there or is empty, that holds what the tables of `store` hold.
/// Its tables and segments are links to the files here, which neither of the two writes again; where a link is
/// refused (`dir` is on another file system, say) they are copied. Until all of it is there and durable,
/// the directory does not open as a database.
///
/// # Errors
/// [`Error::InvalidArgument`] where the directory holds anything; [`Error::Locked`]; [`Error::Io`]. What
/// was made is removed again.
pub fn checkpoint(store: &Store, catalog: &Catalog, dir: &Path) -> Result<()> {
    let _gate = store.gate.enter()?;
    let fs = store.home.fs.as_ref();
    let entries = create_dir(fs, dir)?;
    check_empty(fs, dir)?;
    let lock_path = dir.join(FileKind::Lock.name());
    let _lock = fs
        .lock(&lock_path)
        .during("lock", &lock_path)?
        .ok_or_else(|| Error::Locked { dir: dir.to_path_buf() })?;
    check_empty(fs, dir)?;
    // The version keeps the files of the state here while they are linked.
    let (state, _version) = catalog.pin();
    let mut made = Vec::new();
    fill(store, state, dir, &entries, &mut made).inspect_err(|_| {
        if !is_switched(fs, dir) {
            made.iter().for_each(|file| remove(fs, &dir.join(file.name())));
        }
    })
}

/// Whether a database can be made in `dir`.
///
/// # Errors
/// [`Error::InvalidArgument`] where it holds anything, [`Error::Io`].
pub fn check_empty(fs: &dyn Fs, dir: &Path) -> Result<()> {
    let names = match fs.list(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        listed => listed.during("list", dir)?,
    };
    match names.into_iter().find(|name| *name != FileKind::Lock.name()) {
        None => Ok(()),
        Some(name) => Err(Error::invalid(format!(
            "{} is not empty, {name} is there; name a directory that is, or that is not there",
            dir.display()
        ))),
    }
}

fn fill(
    store: &Store,
    state: State,
    dir: &Path,
    entries: &[DirEntry<'_>],
    made: &mut Vec<FileKind>,
) -> Result<()> {
    let home = &store.home;
    let fs = home.fs.as_ref();
    for file in named_files(&state) {
        made.push(file);
        link(fs, &home.path(file), &dir.join(file.name()))?;
    }
    let first_free = home.next_file().max(state.next_file);
    let opens = next_opens(fs, state.opens);
    let log = LogId(first_free);
    made.push(FileKind::Log(log));
    let identity = log_identity(home.database, opens);
    let writer = LogWriter::create(fs, dir, identity, log, 0, 0)?;
    let state = State {
        log_min: log,
        log_base: 0,
        opens,
        next_file: first_free + 2,
        expiry_floor_ms: store.expiry.get(),
        // The two go different ways: what follows upon one is no part of the other.
        followed: Vec::new(),
        ..state
    };
    // Syncs the log beside the manifest, the directory, links included, and the entries that lead to it, and only
    // then makes it a database.
    let manifest = ManifestId(first_free + 1);
    made.extend([FileKind::Manifest(manifest), FileKind::CurrentTemporary]);
    let sync_log = || writer.sync_target().sync();
    let sync_entries: Vec<_> = entries.iter().map(|entry| || entry.sync(fs)).collect();
    let mut beside: Vec<SyncFn<'_>> = vec![&sync_log];
    beside.extend(sync_entries.iter().map(|sync| sync as SyncFn<'_>));
    Manifest::create(Arc::clone(&home.fs), dir, home.database, manifest, state, &beside).map(drop)
}

/// The files of tables and segments.
fn named_files(state: &State) -> BTreeSet<FileKind> {
    let tables = state.tables.keys().map(|&id| FileKind::Table(id));
    tables.chain(state.segments.values().map(SegmentMeta::file)).collect()
}

/// The count of opens of the copy. The checksums of log files are bound to it: those of the copy must not pass
/// for ones of the original, which is opened again, too, and has its next files under the same numbers.
fn next_opens(fs: &dyn Fs, opens: u64) -> u64 {
    opens + 1 + (fs.random() >> (u64::BITS - OPENS_STEP_BITS))
}

fn link(fs: &dyn Fs, from: &Path, to: &Path) -> Result<()> {
    match fs.link(from, to) {
        Err(e)
            if matches!(
                e.kind(),
                ErrorKind::CrossesDevices
                    | ErrorKind::Unsupported
                    | ErrorKind::PermissionDenied
                    | ErrorKind::TooManyLinks
            ) =>
        {
            copy(fs, from, to)
        }
        linked => linked.during("link", to),
    }
}

/// Copies a file, durably but for its name.
fn copy(fs: &dyn Fs, from: &Path, to: &Path) -> Result<()> {
    let source = fs.open(from, OpenMode::Read).during("open", from)?;
    let len = source.len().during("stat", from)?;
    let target = fs.open(to, OpenMode::CreateNew).during("create", to)?;
    let mut window = Window::new(source).during("stat", from)?;
    let mut at = 0;
    while at < len {
        let bytes = window.at(at, COPY_BYTES).during("read", from)?;
        write_all_at(target.as_ref(), bytes, at).during("write", to)?;
        at += to_u64(bytes.len());
    }
    target.sync_data().during("sync", to)
}

/// Whether `CURRENT` is there, and with it a database; what cannot be listed may have it.
fn is_switched(fs: &dyn Fs, dir: &Path) -> bool {
    fs.list(dir).map_or(true, |names| names.contains(&FileKind::Current.name()))
}

/// What cannot be removed stays, and the directory is no database: it is told.
fn remove(fs: &dyn Fs, path: &Path) {
    match fs.remove(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => log_not_removed(path, &e),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::disk::DiskFs;

    #[test]
    fn no_two_copies_go_on_from_the_same_count() {
        let fs = DiskFs::new();
        let counts: BTreeSet<u64> = (0..20).map(|_| next_opens(&fs, 7)).collect();
        assert_eq!(counts.len(), 20);
        assert!(counts.iter().all(|&count| (8..=8 + (1 << OPENS_STEP_BITS)).contains(&count)));
    }
}
