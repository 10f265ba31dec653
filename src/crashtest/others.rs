//! What the engine has put on the disk beside its own directory: backups and checkpoints.

use super::store::{Failure, Store};
use crate::db::Db;
use crate::error::Error;
use crate::format::FileKind;
use crate::fs::Fs;
use crate::fs::sim::{CrashModel, SimFs};
use crate::options::Options;
use std::path::Path;
use std::sync::Arc;

/// Where backups are, and the one that is made and restored.
const BACKUPS: &str = "/backups/of/db";
pub(super) const BACKUP: &str = "/backups/of/db/latest";
/// Where checkpoints are.
const CHECKPOINTS: &str = "/checkpoints";

/// What has the name of a backup is one, and what a crash left of one is refused, or
/// whole; a checkpoint that is one opens, and can be read. Looks at a copy of the disk.
pub(super) fn look_at_others(fs: &SimFs, options: &Options) -> Result<(), Failure> {
    if fs.is_off() || fs.faults_left() {
        return Ok(());
    }
    let names = |dir: &str| fs.list(Path::new(dir)).unwrap_or_default();
    let (backups, checkpoints) = (names(BACKUPS), names(CHECKPOINTS));
    if backups.is_empty() && checkpoints.is_empty() {
        return Ok(());
    }
    let copy = fs.crash_image(&CrashModel::Everything);
    copy.set_threads(false);
    for name in backups {
        let path = Path::new(BACKUPS).join(&name);
        match crate::archive::verify_file(&copy, &path, true) {
            Err(Error::Corruption { .. }) if name.contains(".partial-") => {}
            verified => drop(verified?),
        }
    }
    for name in checkpoints {
        let dir = Path::new(CHECKPOINTS).join(name);
        let current = FileKind::Current.name();
        if copy.list(&dir).is_ok_and(|names| names.contains(&current)) {
            let opened = Db::open_with_fs(Arc::new(copy.clone()), &dir, options.clone())?;
            opened.scan()?;
            opened.verify()?;
        }
    }
    Ok(())
}

/// Makes a checkpoint, which must hold what `db` does, and go ways of its own.
pub(super) fn checkpoint(db: &Db) -> Result<(), Failure> {
    let (fs, options) = db.origin();
    let count = fs.list(Path::new(CHECKPOINTS)).map_or(0, |names| names.len());
    let dir = Path::new(CHECKPOINTS).join(format!("{count}"));
    db.checkpoint(&dir)?;
    let seen = db.scan()?;
    let other = Db::open_with_fs(fs, &dir, options)?;
    if other.scan()? != seen {
        return Err(Failure::Wrong("a checkpoint holds something else".to_owned()));
    }
    // No more than it takes: each call here is struck, too.
    if let Some((key, _)) = seen.first() {
        other.set(key, "changed in the copy alone")?;
    }
    other.close()?;
    if db.scan()? != seen {
        return Err(Failure::Wrong("a change of a checkpoint shows in the original".to_owned()));
    }
    Ok(())
}
