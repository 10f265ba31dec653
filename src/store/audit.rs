//! The manifest against itself, against what is in memory, and against the directory.

use super::catalog::Catalog;
use super::view::View;
use super::{Store, Version};
use crate::error::{Error, Result};
use crate::format::{FileKind, Level, SegmentMeta, TableMeta};
use crate::fs::{Fs, IoContext, OpenMode};
use crate::manifest::{Current, Manifest, State, read_current, read_manifest};
use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

/// The set of files at one moment, and what is wrong with it.
#[derive(Debug)]
pub struct Audit {
    /// What readers had at that moment. It pins the files of tables and segments.
    pub view: Arc<View>,
    /// Bytes of `CURRENT` and the manifest.
    pub bytes: u64,
    /// Damage.
    pub damages: Vec<Error>,
    /// Files that nothing names, by name.
    pub unnamed: Vec<String>,
}

impl Catalog {
    /// Looks at all of it while no change of the set of tables comes between: some milliseconds.
    ///
    /// # Errors
    /// [`Error::Io`]: the directory cannot be listed.
    pub fn audit(&self) -> Result<Audit> {
        let store = &self.store;
        let home = &store.home;
        let manifest = self.manifest.lock();
        let view = store.views.pin();
        let names = home.fs.list(&home.dir).during("list", &home.dir)?;
        // After the listing: what is made meanwhile has a smaller number than this.
        let drawn = home.next_file();
        let mut damages = check_manifest(store, &manifest);
        let state = manifest.state();
        damages.extend(check_version(store, &view.version, state, manifest.id()));
        let there: HashSet<&str> = names.iter().map(String::as_str).collect();
        let named = named_files(state);
        let missing = named.iter().filter(|file| !there.contains(&*file.name()));
        let detail = "the manifest names this file, but it is missing";
        damages.extend(missing.map(|&file| Error::corruption(&home.path(file), 0, detail)));
        let is_needed = |kind: FileKind| match kind {
            FileKind::Current | FileKind::Lock | FileKind::Reserve => true,
            FileKind::CurrentTemporary => false,
            FileKind::Manifest(id) if id == manifest.id() => true,
            FileKind::Log(id) if id >= state.log_min && id.0 < drawn => true,
            _ if named.contains(&kind) => true,
            // Those of this run are being written, or are on their way out; those that were
            // named when it began may still have readers.
            _ => {
                let is_of_this_run =
                    kind.number().is_some_and(|n| (home.first_file()..drawn).contains(&n));
                is_of_this_run || store.files_at_open.contains(&kind)
            }
        };
        let is_unnamed = |name: &String| !FileKind::parse(name).is_some_and(is_needed);
        let unnamed = names.iter().filter(|name| is_unnamed(name)).cloned().collect();
        let sizes = [FileKind::Current, FileKind::Manifest(manifest.id())];
        let size = |file| size_of_file(home.fs.as_ref(), &home.path(file)).unwrap_or(0);
        let bytes = sizes.map(size).into_iter().sum();
        Ok(Audit { view, bytes, damages, unnamed })
    }
}

fn size_of_file(fs: &dyn Fs, path: &Path) -> Option<u64> {
    fs.open(path, OpenMode::Read).and_then(|file| file.len()).ok()
}

/// The files of tables and segments that `state` names.
pub fn named_files(state: &State) -> BTreeSet<FileKind> {
    let tables = state.tables.keys().map(|&id| FileKind::Table(id));
    tables.chain(state.segments.values().map(SegmentMeta::file)).collect()
}

/// That `CURRENT` and the manifest say what they should.
fn check_manifest(store: &Store, manifest: &Manifest) -> Vec<Error> {
    let home = &store.home;
    let expected = Current { database: home.database, manifest: manifest.id() };
    let path = home.path(FileKind::Current);
    let current = read_current(home.fs.as_ref(), &home.dir).and_then(|current| match current {
        Some(current) if current == expected => Ok(()),
        // A switch that failed midway: which of two is in force is open.
        Some(current)
            if current.database == expected.database && store.health.poisoned_by().is_some() =>
        {
            Ok(())
        }
        Some(current) => {
            let detail = format!("expected {expected:?}, found {current:?}");
            Err(Error::corruption(&path, 16, detail))
        }
        None => Err(Error::corruption(&path, 0, "the file is missing")),
    });
    let recorded =
        read_manifest(home.fs.as_ref(), &home.dir, expected).and_then(|(recorded, _)| {
            // After a failure more may stand there than was acknowledged, or part of it; for a
            // reader, what an interrupted writer left. One that ended in order left nothing of the kind.
            let is_of_a_failure = manifest.is_broken() && !manifest.is_sealed();
            let is_open_ended = is_of_a_failure
                || store.health.is_read_only()
                || store.health.poisoned_by().is_some();
            let damage =
                |offset, detail: &str| Err(Error::corruption(&recorded.path, offset, detail));
            match recorded.cut_at {
                Some(offset) if !is_open_ended => damage(offset, "the last edit is damaged"),
                _ if recorded.state != *manifest.state()
                    && (!is_open_ended || store.health.is_read_only()) =>
                {
                    damage(0, "the edits do not add up to the set of files that is in use")
                }
                _ => Ok(()),
            }
        });
    current.err().into_iter().chain(recorded.err()).collect()
}

/// That what is in memory is what the manifest has, and that its levels are in order.
fn check_version(
    store: &Store,
    version: &Version,
    state: &State,
    manifest: crate::format::ManifestId,
) -> Vec<Error> {
    let path = store.home.path(FileKind::Manifest(manifest));
    let damage = |detail: String| Error::corruption(&path, 0, detail);
    let mut damages = Vec::new();
    let tables = version.metas().count();
    let is_known = |(level, meta): (Level, &TableMeta)| {
        state.tables.get(&meta.id).is_some_and(|(l, m)| *l == level && m == meta)
    };
    if tables != state.tables.len() || !version.metas().all(is_known) {
        damages.push(damage("the tables in use are not those of the manifest".to_owned()));
    }
    for (_, meta) in version.metas() {
        let (seq, last_seq) = (meta.properties.largest_seq, state.last_seq);
        if seq > last_seq {
            let detail = format!("table {} goes up to {seq}, all up to {last_seq}", meta.id);
            damages.push(damage(detail));
        }
    }
    for level in Level::all().skip(1) {
        for pair in version.level(level).windows(2) {
            let [a, b] = pair else { continue };
            if a.meta().largest_key() >= b.meta().smallest_key() {
                let (a, b) = (a.meta().id, b.meta().id);
                damages.push(damage(format!("tables {a} and {b} of {level} overlap")));
            }
        }
    }
    for segment in version.segments().iter() {
        if state.segments.get(&segment.meta.id) != Some(&segment.meta) {
            let id = segment.meta.id;
            damages.push(damage(format!("segment {id} is not as the manifest has it")));
        }
    }
    damages
}
