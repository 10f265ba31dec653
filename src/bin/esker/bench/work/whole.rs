//! The rows that take in a whole database: open, backup, checkpoint, restore.

use super::{Outcome, Scene, expect};
use crate::bench::store::Store;
use crate::bench::timed;
use crate::failure::Result;
use esker::Db;

/// From the call to the first answer.
pub fn open(scene: &Scene<'_>) -> Result<Outcome> {
    let (timed, store) = timed::single(scene.dir, || {
        let store = scene.open()?;
        first_answer(scene, &store)?;
        Ok(store)
    })?;
    let metrics = store.db().metrics();
    store.close()?;
    Ok(Outcome { timed, metrics, dir: scene.database() })
}

fn first_answer(scene: &Scene<'_>, store: &Store) -> Result<()> {
    expect(store.get(&scene.keys.key(0))?, 0, scene.plan.value_bytes)
}

/// A consistent copy of an open database, read back and synced.
pub fn backup(scene: &Scene<'_>) -> Result<Outcome> {
    let store = scene.open()?;
    let (timed, _) = timed::single(scene.dir, || Ok(store.db().backup(scene.backup())?))?;
    let metrics = store.db().metrics();
    store.close()?;
    Ok(Outcome { timed, metrics, dir: scene.backup() })
}

/// A second database that shares files; that it opens is looked at off the clock.
pub fn checkpoint(scene: &Scene<'_>) -> Result<Outcome> {
    let store = scene.open()?;
    let (timed, ()) = timed::single(scene.dir, || Ok(store.db().checkpoint(scene.copy())?))?;
    let metrics = store.db().metrics();
    store.close()?;
    let copy = scene.open_in(&scene.copy(), scene.plan.sync)?;
    first_answer(scene, &copy)?;
    copy.close()?;
    Ok(Outcome { timed, metrics, dir: scene.copy() })
}

/// From a backup to the first answer of the new database, which is durable.
pub fn restore(scene: &Scene<'_>) -> Result<Outcome> {
    let options = scene.settings.options(scene.plan.sync)?;
    let (timed, store) = timed::single(scene.dir, || {
        Db::create_from_backup(scene.backup(), scene.copy(), options)?.close()?;
        let store = scene.open_in(&scene.copy(), scene.plan.sync)?;
        first_answer(scene, &store)?;
        Ok(store)
    })?;
    let metrics = store.db().metrics();
    store.close()?;
    Ok(Outcome { timed, metrics, dir: scene.copy() })
}
