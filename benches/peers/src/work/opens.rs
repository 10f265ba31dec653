//! The rows that take in a whole database: open, backup, checkpoint and restore.

use super::{Scene, expect_found};
use crate::Result;
use crate::data::{LARGE_VALUE_SIZE, key};
use crate::engines::Commit;
use crate::timed::Timed;
use crate::workload::Load;
use std::time::Instant;

/// `open_clean` and `open_crash`: from the call to the first answer.
pub fn open(scene: &Scene, load: Load) -> Result<Timed> {
    scene.load(load)?;
    let before = Instant::now();
    let peer = scene.open(Commit::Unsynced)?;
    let seen = peer.get(&key(0))?;
    let elapsed = before.elapsed();
    expect_found(seen, 0, scene.size.value_bytes)?;
    peer.close()?;
    Ok(Timed::single(elapsed))
}

/// `backup`: a consistent copy of an open database, synced.
pub fn backup(scene: &Scene) -> Result<Timed> {
    scene.load(Load::BackupSource)?;
    let peer = scene.open(Commit::Unsynced)?;
    let before = Instant::now();
    peer.backup(&scene.backup())?;
    let elapsed = before.elapsed();
    peer.close()?;
    Ok(Timed::single(elapsed))
}

/// `checkpoint`: a second database that shares files; that it opens is checked off the clock.
pub fn checkpoint(scene: &Scene) -> Result<Timed> {
    scene.load(Load::BackupSource)?;
    let peer = scene.open(Commit::Unsynced)?;
    let before = Instant::now();
    peer.checkpoint(&scene.restored())?;
    let elapsed = before.elapsed();
    let second = scene.engine.open(&scene.restored(), Commit::Unsynced, scene.values)?;
    expect_found(second.get(&key(0))?, 0, LARGE_VALUE_SIZE)?;
    second.close()?;
    peer.close()?;
    Ok(Timed::single(elapsed))
}

/// `restore`: from a backup to the first answer of the new database.
pub fn restore(scene: &Scene) -> Result<Timed> {
    scene.load(Load::BackupMade)?;
    let before = Instant::now();
    scene.engine.restore(&scene.backup(), &scene.restored())?;
    let peer = scene.engine.open(&scene.restored(), Commit::Unsynced, scene.values)?;
    let seen = peer.get(&key(0))?;
    let elapsed = before.elapsed();
    expect_found(seen, 0, LARGE_VALUE_SIZE)?;
    peer.close()?;
    Ok(Timed::single(elapsed))
}
