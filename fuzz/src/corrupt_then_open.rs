//! A database whose files are then damaged: every answer is the right one or
//! an error. Damage is never read as absence, as an older value or as another.

use crate::disk::{Files, disk_of, files};
use crate::input::of_noise;
use crate::mutation::{ByteEdit, PartEdit};
use crate::ops::{NOTHING, Plan, listed, read};
use arbitrary::Arbitrary;
use esker::crashtest::{History, Mode, Seen, Step, run};
use esker::sim::{CrashModel, SimFs};
use esker::{Db, Error, Fs, Options, SyncPolicy};
use std::sync::Arc;

/// What is done to the files.
#[derive(Debug, Arbitrary)]
enum Damage {
    /// To the bytes of one.
    Bytes(u8, ByteEdit),
    /// To which content stands under which name.
    Names(PartEdit),
}

#[derive(Debug, Arbitrary)]
struct Damaged {
    is_cut: bool,
    first: Damage,
    more: Vec<Damage>,
    plan: Plan,
}

/// Asserts that damage is told.
///
/// # Panics
/// When it is not.
pub fn check(data: &[u8]) {
    let Some(Damaged { is_cut, first, more, plan }) = read(data) else { return };
    let fs = SimFs::with_seed(1);
    fs.set_threads(false);
    let options = plan.options();
    let history = run::<Db>(&fs, &options, &plan.steps(), Mode::Flawless);
    let (disk, mut least) = if is_cut {
        (fs.crash_image(&CrashModel::SyncedOnly), history.after_power_cut())
    } else {
        (fs.crash_image(&CrashModel::Everything), history.after_kill())
    };
    let whole = files(&disk).expect("no call fails here");
    let mut damaged = whole.clone();
    for damage in std::iter::once(&first).chain(more.iter().take(2)) {
        damage.apply(&mut damaged);
    }
    if is_removed(&damaged) {
        return;
    }
    // A power cut may bring back the log that the last edit of the manifest
    // replaced. Damaged, that edit then looks like one that was being written.
    if is_cut && is_damaged(&whole, &damaged, |name| name.starts_with("MANIFEST")) {
        least = 0;
    }
    if is_damaged(&whole, &damaged, |name| name.ends_with(".log")) {
        // What no later record says to have been durable may have been cut off:
        // the last commit, or, where the end of the log is gone, more.
        let is_local = more.is_empty() && matches!(first, Damage::Bytes(_, ByteEdit::Flip(..)));
        // A record claims what was durable when it was written: not what a commit before it
        // had left to it to sync.
        let leaves_its_sync = |step: &Step| matches!(step, Step::Commit { sync: Some(false), .. });
        let is_claimed = options.sync_policy == SyncPolicy::Always
            && is_local
            && !plan.steps().iter().any(leaves_its_sync);
        least = if is_claimed { least.min(history.before_last_record()) } else { 0 };
    }
    let disk = disk_of(&damaged, &disk).expect("no call fails here");
    let sizes = |files: &Files| -> Vec<String> {
        files.iter().map(|(name, bytes)| format!("{name}: {} B", bytes.len())).collect()
    };
    let what = format!("{:?}, then {:?}", sizes(&whole), sizes(&damaged));
    assert_told(&disk, &options, &history, least, &what);
}

impl Damage {
    fn apply(&self, files: &mut Files) {
        match self {
            Damage::Bytes(file, edit) => {
                let at = usize::from(*file) % files.len().max(1);
                if let Some(bytes) = files.values_mut().nth(at) {
                    edit.apply(bytes);
                }
            }
            Damage::Names(edit) => {
                let mut contents: Vec<Option<Vec<u8>>> =
                    files.values().cloned().map(Some).collect();
                match edit {
                    // To take one out of the list would shift all others.
                    PartEdit::Drop(at) => {
                        let at = usize::from(*at) % contents.len().max(1);
                        contents.get_mut(at).map(Option::take);
                    }
                    edit => edit.apply(&mut contents),
                }
                let names: Vec<String> = files.keys().cloned().collect();
                let pairs = names.into_iter().zip(contents);
                *files = pairs.filter_map(|(name, c)| c.map(|c| (name, c))).collect();
            }
        }
    }
}

/// Nothing is left that tells of a database: what is left of a creation that
/// was interrupted looks the same.
fn is_removed(files: &Files) -> bool {
    let tells = |name: &String| name == "CURRENT" || name.starts_with("MANIFEST");
    !files.keys().any(|name| tells(name) || name.ends_with(".tbl"))
}

/// Whether one of the files whose name `is_meant` was changed.
fn is_damaged(whole: &Files, damaged: &Files, is_meant: impl Fn(&str) -> bool) -> bool {
    let meant = |files: &Files| -> Files {
        let meant = files.iter().filter(|(name, _)| is_meant(name));
        meant.map(|(name, bytes)| (name.clone(), bytes.clone())).collect()
    };
    meant(whole) != meant(damaged)
}

/// There is a state that the contract allows of which every answer is part.
fn assert_told(disk: &SimFs, options: &Options, history: &History, least: usize, what: &str) {
    let Ok(db) = Db::open_with_fs(Arc::new(disk.clone()), "/db", options.clone())
        .map_err(|e| assert_damage(&e))
    else {
        return;
    };
    let allowed = history.allowed(least, disk.clock().now_ms());
    let fits = |state: &Seen| state.iter().all(|(key, value)| is_answered(&db, key, Some(value)));
    let scanned = scan(&db);
    let is_allowed = allowed.iter().any(|state| {
        fits(state)
            && scanned.as_ref().is_none_or(|seen| seen == state)
            // What was there once and is not now.
            && allowed.iter().flatten().all(|(key, _)| {
                let value = state.iter().find(|(k, _)| k == key).map(|(_, value)| value);
                is_answered(&db, key, value)
            })
    });
    assert!(is_allowed, "{} states are allowed; none of them answers so: {what}", allowed.len());
    if let Err(e) = db.verify() {
        assert_damage(&e);
    }
}

fn is_answered(db: &Db, key: &[u8], value: Option<&Vec<u8>>) -> bool {
    match db.get(key) {
        Ok(found) => found.as_deref() == value.map(Vec::as_slice),
        Err(e) => {
            assert_damage(&e);
            true
        }
    }
}

/// What a scan shows; `None`: it met damage.
fn scan(db: &Db) -> Option<Seen> {
    let owned = |entry: esker::Result<(esker::Key, esker::Value)>| match entry {
        Ok((key, value)) => Some((key.to_vec(), value.to_vec())),
        Err(e) => {
            assert_damage(&e);
            None
        }
    };
    let seen: Option<Seen> = db.iter().map(owned).collect();
    let back: Option<Seen> = db.iter().rev().map(owned).collect();
    if let (Some(seen), Some(mut back)) = (&seen, back) {
        back.reverse();
        assert_eq!(*seen, back, "backwards is not forwards turned round");
    }
    seen
}

/// An error that damage excuses, and that says where it is.
fn assert_damage(e: &Error) {
    assert!(matches!(e, Error::Corruption { .. } | Error::UnsupportedFormat { .. }), "{e:?}");
}

/// The run that an input stands for, and what is done to its files.
#[must_use]
pub fn describe(data: &[u8]) -> String {
    let Some(Damaged { is_cut, first, more, plan }) = read(data) else { return NOTHING.into() };
    let damages: Vec<&Damage> = std::iter::once(&first).chain(more.iter().take(2)).collect();
    let end = if is_cut { "the power is cut" } else { "the process is killed" };
    format!(
        "{}then {end}\ndamages, files by number in the order of their names:\n{}",
        plan.describe(),
        listed(&damages)
    )
}

/// Some databases.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    (21..=26).map(|seed| of_noise(seed, 220)).collect()
}
