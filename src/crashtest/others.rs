//! What the engine has put on the disk beside its own directory: backups and checkpoints.

use super::store::{Failure, Store};
use crate::archive::open_chain;
use crate::db::Db;
use crate::error::Error;
use crate::format::FileKind;
use crate::fs::Fs;
use crate::fs::sim::{CrashModel, SimFs};
use crate::options::Options;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the database is.
pub(super) const DIR: &str = "/db";
/// Where backups are, and the one that is made and restored.
const BACKUPS: &str = "/backups/of/db";
pub(super) const BACKUP: &str = "/backups/of/db/latest";
/// What chains are restored into, on a copy of the disk.
const RESTORED: &str = "/restored";
/// Where checkpoints are.
const CHECKPOINTS: &str = "/checkpoints";

/// The backup `number` of the chain.
pub(super) fn link(number: usize) -> PathBuf {
    Path::new(BACKUPS).join(format!("link{number}"))
}

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
    look_at_chain(&copy, options)
}

/// If the database on `copy` says that the chain there can be followed, then it can, and comes to what there is.
fn look_at_chain(copy: &SimFs, options: &Options) -> Result<(), Failure> {
    let chain = |count: usize| (0..count).map(link).collect::<Vec<_>>();
    let there = (0..).take_while(|&number| {
        copy.list(Path::new(BACKUPS))
            .is_ok_and(|names| names.iter().any(|name| link(number).ends_with(name)))
    });
    // Those behind may be of the chain before.
    let opens = |count: &usize| open_chain(copy, chain(*count)).is_ok();
    let Some(count) = (1..=there.count()).rev().find(opens) else { return Ok(()) };
    let db = Db::open_with_fs(Arc::new(copy.clone()), DIR, options.clone())?;
    let last = db.verify_backup(link(count - 1))?.backup_id;
    if db.followed_backups().iter().all(|backup| backup.backup_id != last) {
        return Ok(());
    }
    db.backup_since(last, link(count))?;
    let fs = Arc::new(copy.clone());
    let other = Db::create_from_backups_with_fs(fs, chain(count + 1), RESTORED, options.clone())?;
    if other.scan()? != db.scan()? {
        let text = format!("an increment upon {count} backups comes to something else");
        return Err(Failure::Wrong(text));
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
