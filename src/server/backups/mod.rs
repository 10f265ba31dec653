//! Backups in one directory, by name.
//!
//! INV-1: what is read, written, renamed or removed is an entry of the directory that was opened, a regular file or a
//! name that is free: the name is checked ([`name`]), and the way to it leads through a handle of the directory (`fs::HeldDir`).
//! INV-2: one backup is made at a time.
//! INV-3: nothing is removed but what the schedule made ([`schedule`]).
//!
//! All of it may block; requests come here through `calls`.

mod name;
pub mod schedule;

use super::app::Phase;
use super::calendar::stamp;
use super::config::ServerConfig;
use super::failure::Failure;
use crate::archive::{BackupInfo, BackupOptions, BackupReport, RestoreOptions, RestoreReport};
use crate::db::{Db, verify_backup};
use crate::engine::Engine;
use crate::error::Error;
use crate::fs::disk::DiskFs;
use crate::fs::{Fs, HeldDir, HeldEntry, Standing};
use axum::http::StatusCode;
use parking_lot::Mutex;
use schedule::{ScheduledName, to_remove};
use serde::Serialize;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How many names are tried before none is free.
const NAMES_MAX: u32 = 1000;

/// The backups of a server.
#[derive(Debug)]
pub struct Backups {
    fs: DiskFs,
    path: PathBuf,
    data_dir: Option<PathBuf>,
    /// Opened when it is first needed, and again when it was removed.
    dir: Mutex<Option<Arc<HeldDir>>>,
    engine: Arc<dyn Engine>,
    db: Option<Db>,
    /// Tells the backups of this database from those of others.
    identity: u64,
    /// Held while a backup is made.
    making: Mutex<()>,
    /// What was verified by this server, as it was then, and whether it was sound.
    verified: Mutex<HashMap<String, (HeldEntry, bool)>>,
    phase: watch::Receiver<Phase>,
}

/// A backup in the directory.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    pub name: String,
    pub size_bytes: u64,
    /// When it was written, as RFC 3339 has it.
    pub created: String,
    /// Whether it was read from end to end and found sound (`false`: damaged) since the server was started, when it was made
    /// or later; `None`: it was not.
    pub verified: Option<bool>,
}

/// A backup that was made.
#[derive(Debug)]
pub struct Made {
    pub name: String,
    pub path: String,
    pub report: BackupReport,
}

impl Backups {
    pub fn new(
        config: &ServerConfig,
        engine: Arc<dyn Engine>,
        db: Option<Db>,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let fs = DiskFs::new();
        let identity = db.as_ref().map_or_else(|| fs.random(), Db::identity);
        Backups {
            identity,
            fs,
            path: config.engine.backup_dir.clone(),
            data_dir: db.as_ref().map(|_| config.engine.data_dir.clone()),
            dir: Mutex::default(),
            engine,
            db,
            making: Mutex::default(),
            verified: Mutex::default(),
            phase,
        }
    }

    /// Makes a backup under the name that `given` means, or else under one of its own.
    ///
    /// # Errors
    /// 400 for what is no name, 409 while another is made, 507 when the disk is full, 500.
    pub fn make(&self, given: Option<&str>) -> Result<Made, Failure> {
        let given = given.map(|given| name::parse(given, &self.path)).transpose()?;
        if given.as_ref().is_some_and(|name| name.starts_with(name::SCHEDULED)) {
            let reserved = "names that begin with `scheduled-` are those of the schedule";
            return Err(Failure::bad(format!("{reserved}; choose another")));
        }
        let Some(_making) = self.making.try_lock() else {
            let message = "another backup is running; try again when it has ended";
            return Err(Failure::new(StatusCode::CONFLICT, message));
        };
        let dir = self.dir(true)?;
        let name = match given {
            Some(name) => name,
            None => self.free_name(&dir)?,
        };
        self.make_as(&dir, &name)
    }

    fn make_as(&self, dir: &HeldDir, name: &str) -> Result<Made, Failure> {
        if dir.standing(name)? == Standing::Special {
            return Err(no_file(name));
        }
        let path = dir.path_of(name).ok_or_else(|| no_file(name))?;
        let made = match &self.db {
            Some(db) => {
                let mut go_on = self.go_on();
                let options =
                    BackupOptions { progress: Some(&mut go_on), ..BackupOptions::default() };
                db.backup_with(&path, options)
            }
            None => self.engine.backup(&path),
        };
        let report = made.map_err(|e| Failure::from(shown(dir, e)))?;
        // It was read back before it got its name.
        self.note_verified(dir, name, true);
        let path = dir.shown().join(name).display().to_string();
        Ok(Made { name: name.to_owned(), path, report })
    }

    /// Ends a backup or a restore when the server gives it up.
    fn go_on(&self) -> impl FnMut(crate::archive::BackupProgress) -> ControlFlow<()> {
        let phase = self.phase.clone();
        move |_| match *phase.borrow() {
            Phase::Aborting => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }

    /// Puts the backup that `given` means in the place of everything.
    ///
    /// # Errors
    /// 400 for what is no name or no file, 404, 422 for one that is damaged.
    pub fn restore(&self, given: &str) -> Result<(String, RestoreReport), Failure> {
        let (dir, name, path) = self.existing(given)?;
        let restored = match &self.db {
            Some(db) => {
                let mut go_on = self.go_on();
                db.restore_with(&path, RestoreOptions { progress: Some(&mut go_on) })
            }
            None => self.engine.restore(&path),
        };
        let report = restored.map_err(|e| Failure::of_backup(shown(&dir, e)))?;
        Ok((dir.shown().join(name).display().to_string(), report))
    }

    /// Reads the backup that `given` means from end to end.
    ///
    /// # Errors
    /// As [`Backups::restore`].
    pub fn verify(&self, given: &str) -> Result<(String, BackupInfo), Failure> {
        let (dir, name, path) = self.existing(given)?;
        match verify_backup(&path) {
            Ok(info) => {
                self.note_verified(&dir, &name, true);
                Ok((name, info))
            }
            Err(e) => {
                let failure = Failure::of_backup(shown(&dir, e));
                if failure.status == StatusCode::UNPROCESSABLE_ENTITY {
                    self.note_verified(&dir, &name, false);
                }
                Err(failure)
            }
        }
    }

    /// The backups, the newest first.
    ///
    /// # Errors
    /// 500.
    pub fn list(&self) -> Result<Vec<Listed>, Failure> {
        let dir = match self.dir(false) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Vec::new());
            }
            dir => dir?,
        };
        let mut files = dir.files(&self.fs, name::is_shown)?;
        files.sort_unstable_by(|a, b| (b.modified_ms, &b.name).cmp(&(a.modified_ms, &a.name)));
        let mut verified = self.verified.lock();
        verified.retain(|name, _| files.iter().any(|file| file.name == *name));
        let listed = files.into_iter().map(|file| Listed {
            verified: verified.get(&file.name).filter(|(then, _)| *then == file).map(|(_, ok)| *ok),
            created: super::calendar::rfc3339(file.modified_ms),
            size_bytes: file.size_bytes,
            name: file.name,
        });
        Ok(listed.collect())
    }

    /// Makes a backup as the schedule does, and removes those that are one too many; tells what it did.
    ///
    /// # Errors
    /// As [`Backups::make`]; nothing is removed then.
    pub fn make_scheduled(&self, config: &ServerConfig) -> Result<String, Failure> {
        let _making = self.making.lock();
        let dir = self.dir(true)?;
        let seq = self.db.as_ref().map_or(0, |db| db.metrics().last_seq);
        let name = ScheduledName::new(self.identity, seq, self.fs.clock().now_ms());
        let made = self.make_as(&dir, &name.name)?;
        let kept: Vec<_> = self.scheduled(&dir)?.into_iter().map(|(name, _)| name).collect();
        let mut removed = 0;
        for old in to_remove(kept, config.backup_keep) {
            if let Some(path) = dir.path_of(&old.name).filter(|_| old != name) {
                self.fs.remove(&path).map_err(|e| {
                    let kept = Error::io("remove", &dir.shown().join(&old.name), e);
                    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, kept.to_string())
                })?;
                removed += 1;
            }
        }
        if removed > 0
            && let Err(e) = self.fs.sync_dir(dir.reached())
        {
            // After a power cut they may be there again, and are removed with the next.
            tracing::warn!(
                "removed backups may come back: {}",
                shown(&dir, Error::io("sync", dir.reached(), e))
            );
        }
        let bytes = made.report.bytes;
        Ok(format!("{} is made, {bytes} bytes; {removed} older ones removed", made.name))
    }

    /// How long ago the newest backup of the schedule was written; `None`: there is none.
    pub fn age_of_scheduled(&self) -> Option<Duration> {
        let dir = self.dir(false).ok()?;
        let newest = self.scheduled(&dir).ok()?.into_iter().map(|(_, ms)| ms).max()?;
        Some(Duration::from_millis(self.fs.clock().now_ms().saturating_sub(newest)))
    }

    fn scheduled(&self, dir: &HeldDir) -> Result<Vec<(ScheduledName, u64)>, Error> {
        let parse = |name: &str| ScheduledName::parse(name, self.identity);
        let files = dir.files(&self.fs, |name| parse(name).is_some())?;
        Ok(files.into_iter().filter_map(|f| Some((parse(&f.name)?, f.modified_ms))).collect())
    }

    /// A name that is free, by the clock.
    fn free_name(&self, dir: &HeldDir) -> Result<String, Failure> {
        let stamp = stamp(self.fs.clock().now_ms());
        for n in 1..=NAMES_MAX {
            let more = if n == 1 { String::new() } else { format!("-{n}") };
            let name = format!("konsul-{stamp}{more}.db");
            if dir.standing(&name)? == Standing::Free {
                return Ok(name);
            }
        }
        Err(Failure::new(StatusCode::CONFLICT, "no name is free for this second; name the backup"))
    }

    /// The file that `given` means: the directory, its name, and the path to it.
    fn existing(&self, given: &str) -> Result<(Arc<HeldDir>, String, PathBuf), Failure> {
        let name = name::parse(given, &self.path)?;
        let missing = || {
            let message =
                format!("there is no backup {name:?}; GET /backups lists those that there are");
            Failure::new(StatusCode::NOT_FOUND, message)
        };
        let dir = match self.dir(false) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(missing());
            }
            dir => dir?,
        };
        match dir.standing(&name)? {
            Standing::Free => return Err(missing()),
            Standing::Special => return Err(no_file(&name)),
            Standing::File { .. } => {}
        }
        let path = dir.path_of(&name).ok_or_else(|| no_file(&name))?;
        Ok((dir, name, path))
    }

    /// The directory; made if there is none, and `create`.
    fn dir(&self, create: bool) -> Result<Arc<HeldDir>, Error> {
        let mut held = self.dir.lock();
        if let Some(dir) = held.as_ref().filter(|dir| !dir.is_removed()) {
            return Ok(Arc::clone(dir));
        }
        let opened = if create {
            HeldDir::open_or_create(&self.fs, &self.path)?
        } else {
            HeldDir::open(&self.fs, &self.path)?
        };
        if self.data_dir.as_deref().is_some_and(|data| is_same(data, &self.path)) {
            return Err(Error::invalid(format!(
                "{} is the directory of the database itself; let backups have one of their own",
                self.path.display()
            )));
        }
        let opened = Arc::new(opened);
        *held = Some(Arc::clone(&opened));
        Ok(opened)
    }

    fn note_verified(&self, dir: &HeldDir, name: &str, is_sound: bool) {
        if let Ok(Standing::File { size_bytes, modified_ms }) = dir.standing(name) {
            let entry = HeldEntry { name: name.to_owned(), size_bytes, modified_ms };
            self.verified.lock().insert(name.to_owned(), (entry, is_sound));
        }
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn no_file(name: &str) -> Failure {
    Failure::bad(format!("{name:?} is a link, a directory or a special file, and no backup"))
}

/// `e` with the paths that people know.
fn shown(dir: &HeldDir, e: Error) -> Error {
    match e {
        Error::Io { op, path, source } => Error::Io { op, path: dir.shown_path(&path), source },
        Error::Corruption { file, offset, detail } => {
            Error::Corruption { file: dir.shown_path(&file), offset, detail }
        }
        Error::UnsupportedFormat { file, found, supported } => {
            Error::UnsupportedFormat { file: dir.shown_path(&file), found, supported }
        }
        e => e,
    }
}
