//! The backups upon which increments can follow: what has been deleted since must leave a trace.

use super::catalog::Catalog;
use crate::error::{Error, Result};
use crate::format::{BackupRef, DatabaseId, FileKind, ManifestId, SeqNo};
use crate::manifest::{Edit, Manifest};
use parking_lot::Mutex;

/// How many there are at most. Those after the first cost nothing but a few bytes of the manifest.
const FOLLOWED_MAX: usize = 16;

/// The backups upon which increments can follow, as the manifest has them.
///
/// An increment upon one of them holds the newest version of each key that was written since. Merges
/// leave that version where it is, but for one: a tombstone, or what has expired, with nothing below it. So of
/// those that are newer than the oldest backup here they leave a tombstone.
///
/// A backup that is being made holds a snapshot, which has the same effect, until it is here. Whoever
/// copies the list of snapshots and looks here afterwards finds it in one of the two.
#[derive(Debug, Default)]
pub struct Followed {
    recorded: Mutex<Recorded>,
}

#[derive(Debug, Default)]
struct Recorded {
    /// The oldest first.
    backups: Vec<BackupRef>,
    /// Those among them that have no file after all. They count until the manifest is without them: it may be what
    /// the next open goes by.
    failed: Vec<DatabaseId>,
}

impl Recorded {
    fn is_made(&self, backup: &BackupRef) -> bool {
        !self.failed.contains(&backup.id)
    }
}

impl Followed {
    /// All of them, the oldest first.
    pub fn list(&self) -> Vec<BackupRef> {
        let recorded = self.recorded.lock();
        recorded.backups.iter().filter(|backup| recorded.is_made(backup)).copied().collect()
    }

    /// The one of that number.
    pub fn find(&self, id: DatabaseId) -> Option<BackupRef> {
        self.list().into_iter().find(|backup| backup.id == id)
    }

    /// Tombstones of greater numbers stay. [`SeqNo::MAX`]: none has to.
    pub fn deletes_kept_after(&self) -> SeqNo {
        let recorded = self.recorded.lock();
        recorded.backups.iter().map(|backup| backup.seq).min().unwrap_or(SeqNo::MAX)
    }

    /// What the manifest has from now on: after it is durable there.
    pub fn set(&self, backups: Vec<BackupRef>) {
        let recorded = &mut *self.recorded.lock();
        recorded.failed.retain(|id| backups.iter().any(|backup| backup.id == *id));
        recorded.backups = backups;
    }

    /// The backup `id` failed after it was recorded: it does not stand in the way of others.
    pub fn has_failed(&self, id: DatabaseId) {
        let recorded = &mut *self.recorded.lock();
        if recorded.backups.iter().any(|backup| backup.id == id) {
            recorded.failed.push(id);
        }
    }
}

/// Those of `followed` upon which increments can follow when `backup` has been made too; `base`: upon which of
/// them it follows, where it does.
///
/// Who asks for the changes since one has that, so what is older goes. Of those before a full one the newest stays:
/// its copy may get lost yet.
fn with(
    mut followed: Vec<BackupRef>,
    backup: BackupRef,
    base: Option<DatabaseId>,
) -> Vec<BackupRef> {
    let first = match base {
        Some(base) => followed.iter().position(|backup| backup.id == base).unwrap_or(0),
        None => followed.len().saturating_sub(1),
    };
    followed.drain(..first);
    let at = followed.partition_point(|other| other.seq <= backup.seq);
    followed.insert(at, backup);
    if followed.len() > FOLLOWED_MAX {
        // Not the first, upon which this one may follow.
        followed.remove(if at == 1 { 2 } else { 1 });
    }
    followed
}

impl Catalog {
    /// Has increments follow upon `backup`, of a version after so many `restores`: on return that is durable.
    /// Everything that the backup holds must be durable, else what comes after a crash has the same
    /// numbers and is not what came after the backup.
    ///
    /// # Errors
    /// As [`Catalog::apply`]; [`Error::InvalidArgument`] where a restore has come between.
    pub fn follow(&self, backup: BackupRef, base: Option<DatabaseId>, restores: u64) -> Result<()> {
        let mut manifest = self.manifest.lock();
        self.store.health.check_sound()?;
        if self.store.views.load().version.restores() != restores {
            return Err(Error::invalid(
                "a restore has replaced everything while the backup was being made, and nothing \
                 can follow upon it; make a full backup",
            ));
        }
        let followed = with(self.store.followed.list(), backup, base);
        self.record_followed(&mut manifest, followed)
    }

    /// Has increments follow upon none of the backups made so far: on return that is durable.
    ///
    /// # Errors
    /// As [`Catalog::apply`].
    pub fn follow_none(&self) -> Result<()> {
        let mut manifest = self.manifest.lock();
        self.store.health.check_sound()?;
        if manifest.state().followed.is_empty() {
            return Ok(());
        }
        self.record_followed(&mut manifest, Vec::new())
    }

    fn record_followed(&self, manifest: &mut Manifest, followed: Vec<BackupRef>) -> Result<()> {
        let store = &self.store;
        let next = ManifestId(store.home.draw_file_id().0);
        let edit = Edit {
            followed: Some(followed.clone()),
            next_file: Some(store.home.next_file()),
            expiry_floor_ms: Some(store.expiry.get()),
            ..Edit::default()
        };
        let replaced = manifest.apply(&edit, next)?;
        // Not before it is durable: what is dropped for it must not be missed after a crash.
        store.followed.set(followed);
        if let Some(old) = replaced {
            store.remove(FileKind::Manifest(old));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backup(id: u64, seq: u64) -> BackupRef {
        BackupRef { id: DatabaseId(id), seq: SeqNo(seq) }
    }

    fn ids(followed: &[BackupRef]) -> Vec<u64> {
        assert!(followed.is_sorted_by_key(|backup| backup.seq));
        followed.iter().map(|backup| backup.id.0).collect()
    }

    #[test]
    fn what_is_asked_for_makes_what_is_older_superfluous() {
        let upon = |followed: &[BackupRef], made: BackupRef, base: u64| {
            with(followed.to_vec(), made, Some(DatabaseId(base)))
        };
        let full = with(Vec::new(), backup(1, 10), None);
        let one = upon(&full, backup(2, 20), 1);
        assert_eq!(ids(&one), [1, 2], "the new one may get lost");
        let two = upon(&one, backup(3, 30), 2);
        assert_eq!(ids(&two), [2, 3]);
        // Once more upon the same, and upon the one that was slower than others.
        let again = upon(&two, backup(4, 40), 2);
        assert_eq!(ids(&again), [2, 3, 4]);
        assert_eq!(ids(&upon(&again, backup(5, 25), 2)), [2, 5, 3, 4]);
        // The base has gone meanwhile: what is there stays.
        assert_eq!(ids(&upon(&again, backup(5, 50), 1)), [2, 3, 4, 5]);
        assert_eq!(ids(&upon(&again, backup(5, 50), 4)), [4, 5]);
        let full = with(again, backup(6, 60), None);
        assert_eq!(ids(&full), [4, 6]);
        assert_eq!(ids(&with(full, backup(7, 60), None)), [6, 7]);
    }

    #[test]
    fn one_that_failed_gives_way_and_keeps_deletes_until_it_is_gone() {
        let followed = Followed::default();
        assert_eq!(followed.deletes_kept_after(), SeqNo::MAX);
        followed.set(with(Vec::new(), backup(1, 10), None));
        followed.has_failed(DatabaseId(1));
        followed.has_failed(DatabaseId(7));
        assert_eq!((followed.list(), followed.find(DatabaseId(1))), (Vec::new(), None));
        assert_eq!(followed.deletes_kept_after(), SeqNo(10), "the manifest has it");
        // Were it counted, the full backup before it would go.
        followed.set(vec![backup(1, 10), backup(2, 20)]);
        followed.set(with(followed.list(), backup(3, 30), None));
        assert_eq!(ids(&followed.list()), [2, 3]);
        assert_eq!(followed.find(DatabaseId(3)), Some(backup(3, 30)));
        assert_eq!(followed.deletes_kept_after(), SeqNo(20));
    }

    #[test]
    fn there_are_never_many_and_the_base_stays() {
        let mut followed = with(Vec::new(), backup(1, 10), None);
        for id in 2..100 {
            followed = with(followed, backup(id, 10 + id), Some(DatabaseId(1)));
            assert!(followed.len() <= FOLLOWED_MAX);
            assert_eq!(ids(&followed)[0], 1);
            assert!(ids(&followed).contains(&id));
        }
        // One that began before all of the others were there.
        followed = with(followed, backup(100, 10), Some(DatabaseId(1)));
        assert_eq!((followed.len(), ids(&followed)[..2].to_vec()), (FOLLOWED_MAX, vec![1, 100]));
    }
}
