//! Writing the manifest.

use super::format::{CURRENT_MAGIC, HEADER_SIZE, MANIFEST_MAGIC, encode_edit, encode_header};
use super::read::ManifestFile;
use super::state::{Edit, State};
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::format::{DatabaseId, FileKind, FramePlace, ManifestId, crc, put_frame};
use crate::fs::{File, Fs, IoContext, OpenMode, SyncFn, sync_together, write_all_at};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A manifest is written anew when it is larger than this and than
/// [`GROWTH_MAX`] times its first edit.
const REWRITE_BYTES_MIN: u64 = 256 << 10;
const GROWTH_MAX: u64 = 4;

/// The manifest in force, and the state that it holds.
#[derive(Debug)]
pub struct Manifest {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    database: DatabaseId,
    state: State,
    id: ManifestId,
    file: Arc<dyn File>,
    /// Where the next edit goes.
    end: u64,
    /// Size of the first edit, which is the whole state.
    first_bytes: u64,
    /// Edits in the file.
    edits: u64,
    /// A write failed (INV-2).
    broken: bool,
}

impl Manifest {
    /// Writes `state` into the new manifest `id` and puts it in force, after `beside`, which makes
    /// durable what else has to be there before. On return all of it is durable, `CURRENT` included, and so is every
    /// directory entry made before.
    ///
    /// # Errors
    /// [`Error::Io`]. The manifest in force before may still be, or not; it is,
    /// where [`before_the_switch`] says so, and nothing of the new one is left then.
    pub fn create(
        fs: Arc<dyn Fs>,
        dir: &Path,
        database: DatabaseId,
        id: ManifestId,
        state: State,
        beside: &[SyncFn<'_>],
    ) -> Result<Self> {
        let path = dir.join(FileKind::Manifest(id).name());
        let file = fs.open(&path, OpenMode::CreateNew).during("create", &path)?;
        // It would take the room that the next attempt needs; the first error
        // is the one to tell.
        let clear = |e: &Error| {
            if before_the_switch(e) {
                let _ = fs.remove(&path);
            }
        };
        let mut bytes = encode_header(MANIFEST_MAGIC, database, id).to_vec();
        let first_at = to_u64(bytes.len());
        let place = FramePlace { database, file: id.into(), offset: first_at };
        let body = encode_edit(&state.as_edit());
        put_frame(&mut bytes, place, 1, first_at, &body, crc(&body));
        write_all_at(file.as_ref(), &bytes, 0).during("write", &path).inspect_err(clear)?;
        let next = NextCurrent::write(fs.as_ref(), dir, database, id).inspect_err(clear)?;
        let sync_manifest = || file.sync_data().during("sync", &path);
        // The entry of the file too before the entry that names it: INV-3.
        let sync_entries = || fs.sync_dir(dir).during("sync", dir);
        let own: [SyncFn<'_>; 3] = [&sync_manifest, &|| next.sync(), &sync_entries];
        sync_together(fs.as_ref(), &[beside, &own].concat())?;
        next.put_in_force(fs.as_ref(), dir).inspect_err(clear)?;
        let end = to_u64(bytes.len());
        let dir = dir.to_path_buf();
        let first_bytes = end - to_u64(HEADER_SIZE);
        Ok(Manifest {
            fs,
            dir,
            database,
            state,
            id,
            file,
            end,
            first_bytes,
            edits: 1,
            broken: false,
        })
    }

    /// The manifest in `file`, of `dir`, which is in force and says `state`, and to which nothing is
    /// added: for a database that is only read, or that has not been written to yet.
    #[must_use]
    pub fn sealed(
        fs: Arc<dyn Fs>,
        dir: &Path,
        database: DatabaseId,
        file: ManifestFile,
        state: State,
    ) -> Self {
        let ManifestFile { id, file, len } = file;
        Manifest {
            fs,
            dir: dir.to_path_buf(),
            database,
            state,
            id,
            file,
            end: len,
            first_bytes: len,
            edits: 0,
            broken: true,
        }
    }

    /// The state with all edits applied.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Whether nothing more is written into the file: what stands behind the last edit that was
    /// acknowledged is then of no meaning.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether nothing was ever added to it by this run ([`Manifest::sealed`]).
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.edits == 0
    }

    /// The number of the manifest in force.
    #[must_use]
    pub fn id(&self) -> ManifestId {
        self.id
    }

    /// Applies `edit` and makes it durable. `next` is the number for a new
    /// manifest, should one be needed; returns that of the manifest that it
    /// replaced, to be removed.
    ///
    /// # Errors
    /// [`Error::Io`] with operation `write`, `create` or `rename`: the edit is not in force and may be
    /// tried again. [`Error::Poisoned`]: a sync failed, and whether the edit
    /// is in force is open; nothing more may be written to the database.
    ///
    /// # Panics
    /// Of a sealed one ([`Manifest::sealed`]), which is of another run.
    pub fn apply(&mut self, edit: &Edit, next: ManifestId) -> Result<Option<ManifestId>> {
        assert!(!self.is_sealed(), "an edit of a run that has no manifest of its own");
        let mut state = self.state.clone();
        state.apply(edit).map_err(Error::invalid)?;
        let outgrown =
            self.end > REWRITE_BYTES_MIN && self.end > GROWTH_MAX.saturating_mul(self.first_bytes);
        if self.broken || outgrown {
            return self.rewrite(state, next).map(Some);
        }
        let written = self.append(edit)?;
        let path = self.dir.join(FileKind::Manifest(self.id).name());
        self.file.sync_data().during("sync", &path).map_err(poison)?;
        self.end += written;
        self.edits += 1;
        self.state = state;
        Ok(None)
    }

    /// Notes that this run ends in order: all is in tables, and the log is empty. Not synced: whoever finds the mark finds
    /// with it that all before is durable, and whoever does not looks for himself. Nothing comes after it.
    ///
    /// # Errors
    /// [`Error::Io`]: it is perhaps there, perhaps not.
    pub fn mark_closed(&mut self) -> Result<()> {
        if self.broken {
            return Ok(()); // What stands at its end may be no edit.
        }
        let written = self.append(&Edit { is_closed: true, ..Edit::default() });
        self.broken = true;
        written.map(drop)
    }

    /// Writes `edit` behind the last one; how long it is.
    fn append(&mut self, edit: &Edit) -> Result<u64> {
        let body = encode_edit(edit);
        let place = FramePlace { database: self.database, file: self.id.into(), offset: self.end };
        let mut bytes = Vec::new();
        put_frame(&mut bytes, place, self.edits + 1, self.end, &body, crc(&body));
        write_all_at(self.file.as_ref(), &bytes, self.end).map_err(|e| {
            self.broken = true;
            Error::io("write", &self.dir.join(FileKind::Manifest(self.id).name()), e)
        })?;
        Ok(to_u64(bytes.len()))
    }

    fn rewrite(&mut self, mut state: State, next: ManifestId) -> Result<ManifestId> {
        state.next_file = state.next_file.max(next.0 + 1);
        let fs = Arc::clone(&self.fs);
        let new = Manifest::create(fs, &self.dir, self.database, next, state, &[]).map_err(
            |e| match &e {
                Error::Io { op: "sync", .. } => poison(e),
                _ => e,
            },
        )?;
        let old = self.id;
        *self = new;
        Ok(old)
    }
}

/// Whether `e`, of [`Manifest::create`], came before `CURRENT` may have been
/// switched: by the rename, or, as a sync that failed says, perhaps after it.
#[must_use]
pub fn before_the_switch(e: &Error) -> bool {
    matches!(e, Error::Io { op: "create" | "write" | "extend" | "remove", .. })
}

fn poison(cause: Error) -> Error {
    Error::Poisoned { cause: Arc::new(cause) }
}

/// The file that will be `CURRENT`.
struct NextCurrent {
    file: Arc<dyn File>,
    path: PathBuf,
}

impl NextCurrent {
    /// Names the manifest `id` in it.
    fn write(fs: &dyn Fs, dir: &Path, database: DatabaseId, id: ManifestId) -> Result<Self> {
        let path = dir.join(FileKind::CurrentTemporary.name());
        match fs.remove(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &path, e));
            }
            _ => {}
        }
        let file = fs.open(&path, OpenMode::CreateNew).during("create", &path)?;
        let bytes = encode_header(CURRENT_MAGIC, database, id);
        if let Err(e) = write_all_at(file.as_ref(), &bytes, 0) {
            // As with the manifest: the first error is the one to tell.
            let _ = fs.remove(&path);
            return Err(Error::io("write", &path, e));
        }
        Ok(NextCurrent { file, path })
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_data().during("sync", &self.path)
    }

    /// Makes it `CURRENT`, durably.
    fn put_in_force(&self, fs: &dyn Fs, dir: &Path) -> Result<()> {
        let current = dir.join(FileKind::Current.name());
        fs.rename(&self.path, &current).during("rename", &current)?;
        fs.sync_dir(dir).during("sync", dir)
    }
}
