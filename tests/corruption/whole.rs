//! Damage to whole files: cut, extended, zeroed, gone, doubled, exchanged, of
//! another database, of an older state.
//!
//! What no check can find, and is therefore not asked for here:
//! - the log's last file may have ended earlier. Where it ends is said nowhere
//!   but in itself and, later, in the file after it; so where its end is cut
//!   off between two records (or at its beginning: the file is gone), the log
//!   looks as it did before those commits. Within a record it is reported as a
//!   torn tail. Under every policy a crash may leave the same bytes.
//! - the last edit of the manifest may not have been written, where all it did
//!   was to raise the expiry floor at `close`; there is none here. Any other is
//!   missed, because the log that it replaced is gone.
//! - all files together may be those of an older moment.

use crate::disk::Files;
use crate::fixture::{Fixture, LOG_HEADER, OTHER, SYNCED, UNSYNCED};
use crate::oracle::{Counts, Outcome, judge_twice};
use esker::SyncPolicy;

/// Damage to the file `name` (and to `with`, if any other): nothing may be
/// lost but by the last log's end.
pub fn check(fixture: &Fixture, names: &[&str], damaged: &Files, outcome: &Outcome) {
    let opened = match outcome {
        Outcome::Refused(named) => return check_named(fixture, names, &named.file),
        Outcome::Opened(opened) => opened,
    };
    for named in &opened.named {
        assert!(names.contains(&named.file.as_str()), "{named:?}");
    }
    if opened.commits == fixture.last() {
        return;
    }
    let [sealed, last] = &fixture.logs;
    let touches = |name: &str| names.contains(&name);
    match fixture.policy {
        SyncPolicy::Always => {
            assert!(touches(&last.name), "only the last log's end can be lost");
            assert!(opened.commits >= last.first, "{} commits", opened.commits);
        }
        _ => assert!(touches(&sealed.name) || touches(&last.name), "only logs can be cut"),
    }
    // Unreported is only what looks as if it had never been written.
    if opened.cut.is_none() {
        assert!(touches(&last.name));
        assert!(opened.commits >= last.first);
        let bytes = damaged.get(&last.name).map_or(&[][..], Vec::as_slice);
        let records = opened.commits - last.first;
        let whole = &fixture.files[&last.name];
        // A torn header, which is that of a file that was being begun.
        let is_begun = records > 0 || bytes.starts_with(&whole[..LOG_HEADER]);
        let end = if is_begun { last.ends[records] } else { bytes.len().min(LOG_HEADER) };
        assert!(
            (!is_begun || bytes.starts_with(&whole[..end])) && bytes[end..].iter().all(|&b| b == 0)
        );
    }
}

/// Whether an open that was refused named the right file: the damaged one, or
/// one that no longer agrees with it.
fn check_named(fixture: &Fixture, names: &[&str], file: &str) {
    if names.contains(&file) {
        return;
    }
    let is_log = |name: &str| fixture.logs.iter().any(|log| log.name == name);
    let is_manifest = |name: &str| name.starts_with("MANIFEST");
    let agrees = names.iter().any(|&name| match name {
        // It names the manifest.
        "CURRENT" => is_manifest(file),
        // It names the log, the log before says where the next one begins.
        _ if is_manifest(name) => file.ends_with(".log") || file.ends_with(".tbl"),
        _ => is_log(name) && file.ends_with(".log"),
    });
    assert!(agrees, "{file} is named");
}

/// Damages a copy of the files and judges what comes of it.
pub struct Sweep {
    pub fixture: &'static Fixture,
    what: &'static str,
    counts: Counts,
}

impl Sweep {
    pub fn new(fixture: &'static Fixture, what: &'static str) -> Self {
        Sweep { fixture, what, counts: Counts::default() }
    }

    pub fn damage(&mut self, name: &str, how: &str, damage: impl FnOnce(&mut Files)) -> Outcome {
        self.damage_of(&[name], how, damage)
    }

    pub fn damage_of(
        &mut self,
        names: &[&str],
        how: &str,
        damage: impl FnOnce(&mut Files),
    ) -> Outcome {
        let mut damaged = self.fixture.files.clone();
        damage(&mut damaged);
        let context = crate::Context::new(format!("{}: {how} of {names:?}", self.what));
        let outcome = judge_twice(self.fixture, &damaged);
        check(self.fixture, names, &damaged, &outcome);
        context.end();
        self.counts.add(self.fixture, names[0], &outcome);
        outcome
    }

    pub fn end(self) {
        self.counts.print(self.what);
    }
}

fn is_untouched(sweep: &Sweep, outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Opened(opened) if opened.is_untouched(sweep.fixture))
}

fn cut_at_every_length(fixture: &'static Fixture, what: &'static str) {
    let mut sweep = Sweep::new(fixture, what);
    for name in fixture.files.keys() {
        let is_large = fixture.files[name].len() > 1000;
        for length in (0..fixture.files[name].len()).step_by(if is_large { 7 } else { 1 }) {
            let outcome = sweep.damage(name, &format!("cut at {length}"), |files| {
                files.get_mut(name).expect("the file").truncate(length);
            });
            let is_harmless = is_untouched(&sweep, &outcome);
            let is_padding = name.ends_with(".log") && {
                let log = fixture.logs.iter().find(|log| log.name == *name).expect("a log");
                length >= log.ends[log.records()]
            };
            assert_eq!(is_harmless, is_padding || name == "LOCK", "{name} cut at {length}");
            check_prefix(fixture, name, length, &outcome);
        }
    }
    sweep.end();
}

/// A prefix of a log gives a prefix of the commits, by its whole records; what
/// is told of it, if anything, is where the last of those ends.
fn check_prefix(fixture: &Fixture, name: &str, length: usize, outcome: &Outcome) {
    let Some(log) = fixture.logs.iter().find(|log| log.name == name) else { return };
    let ends = log.ends.iter().filter(|&&end| end <= length);
    let end = ends.clone().next_back().map_or(0, |&end| end as u64);
    let records = ends.count().saturating_sub(1);
    let is_sealed = name == fixture.logs[0].name;
    match outcome {
        Outcome::Refused(named) => {
            assert_eq!((named.file.as_str(), named.offset), (name, end), "cut at {length}");
        }
        Outcome::Opened(_) if is_sealed && records == log.records() => {}
        Outcome::Opened(opened) => {
            assert_eq!(opened.commits, log.first + records, "{name} cut at {length}");
            // See the header: the last file may have ended there. So it may where nothing but zeros follow, which a
            // checksum may begin with.
            let after = usize::try_from(end).expect("small")..length;
            let is_torn = fixture.files[name][after].iter().any(|&byte| byte != 0);
            let is_told = is_sealed || (end > 0 && is_torn && records < log.records());
            let told = is_told.then(|| (name.to_owned(), end));
            assert_eq!(opened.cut, told, "{name} cut at {length}");
        }
    }
}

#[test]
fn cut_at_every_length_synced() {
    cut_at_every_length(&SYNCED, "cut, synced");
}

#[test]
fn cut_at_every_length_unsynced() {
    cut_at_every_length(&UNSYNCED, "cut, unsynced");
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    (0..length).map(step).collect()
}

#[test]
fn extended() {
    for fixture in [&*SYNCED, &*UNSYNCED] {
        let mut sweep = Sweep::new(fixture, "extended");
        for (name, bytes) in &fixture.files {
            let mut tails: Vec<Vec<u8>> = [1, 100, 4096].map(|n| vec![0; n]).into();
            tails.extend([1, 100, 4096].map(noise));
            tails.extend([bytes.clone(), bytes[..bytes.len().min(512)].to_vec()]);
            tails.extend(fixture.files.values().cloned());
            for (n, tail) in tails.iter().enumerate() {
                let outcome = sweep.damage(name, &format!("extension {n}"), |files| {
                    files.get_mut(name).expect("the file").extend_from_slice(tail);
                });
                // A table is of the length that the manifest knows, which its first read
                // tells; CURRENT of its own.
                let is_longer = !tail.is_empty();
                match &outcome {
                    Outcome::Refused(_) => assert!(!name.ends_with(".tbl"), "{name}"),
                    Outcome::Opened(opened) if is_longer && name.ends_with(".tbl") => {
                        assert!(opened.named.iter().any(|named| named.file == *name), "{name}");
                    }
                    Outcome::Opened(opened) => {
                        assert_eq!(opened.commits, fixture.last(), "{name} has all of its records");
                        assert!(!is_longer || name != "CURRENT", "another length");
                    }
                }
            }
        }
        sweep.end();
    }
}

#[test]
fn zeroed() {
    for fixture in [&*SYNCED, &*UNSYNCED] {
        let mut sweep = Sweep::new(fixture, "zeroed");
        for (name, bytes) in &fixture.files {
            for size in [512, 4096, bytes.len()] {
                for start in (0..bytes.len()).step_by(size.max(1)) {
                    let end = bytes.len().min(start + size);
                    let outcome = sweep.damage(name, &format!("zeros {start}..{end}"), |files| {
                        files.get_mut(name).expect("the file")[start..end].fill(0);
                    });
                    let is_zero = bytes[start..end].iter().all(|&b| b == 0);
                    assert!(
                        is_zero
                            || name.ends_with(".log")
                            || name == "LOCK"
                            || !is_untouched(&sweep, &outcome),
                        "{name}: {start}..{end} was not noticed"
                    );
                }
            }
        }
        sweep.end();
    }
}

#[test]
fn missing() {
    for fixture in [&*SYNCED, &*UNSYNCED] {
        let mut sweep = Sweep::new(fixture, "missing");
        for name in fixture.files.keys() {
            let outcome = sweep.damage(name, "absence", |files| drop(files.remove(name)));
            match &outcome {
                Outcome::Refused(_) => assert!(name != "LOCK"),
                Outcome::Opened(opened) => {
                    // See the header: the last log.
                    assert!(name == "LOCK" || *name == fixture.logs[1].name, "{name}");
                    assert!(name != "LOCK" || opened.is_untouched(fixture));
                }
            }
        }
        sweep.end();
    }
}

/// Every name that a file of the database could have, up to numbers to which
/// none counts.
fn other_names(fixture: &Fixture) -> Vec<String> {
    let mut names = vec!["CURRENT.tmp".to_owned()];
    for number in (0..24_u64).chain([999_999, 1_000_000, (1 << 56) - 1, 1 << 56]) {
        names.push(format!("{number:06}.log"));
        names.push(format!("{number:06}.tbl"));
        names.push(format!("MANIFEST-{number:06}"));
    }
    names.retain(|name| !fixture.files.contains_key(name));
    names
}

#[test]
fn a_copy_under_another_name() {
    for fixture in [&*SYNCED, &*UNSYNCED] {
        let mut sweep = Sweep::new(fixture, "copied");
        for name in fixture.files.keys() {
            for copy in &other_names(fixture) {
                let outcome = sweep.damage_of(&[name, copy], &format!("copy as {copy}"), |files| {
                    files.insert(copy.clone(), files[name].clone());
                });
                let Outcome::Opened(opened) = outcome else { panic!("{copy} refused the open") };
                assert_eq!(opened.commits, fixture.last());
                assert!(opened.named.is_empty(), "{copy}");
            }
        }
        sweep.end();
    }
}

#[test]
fn exchanged() {
    for fixture in [&*SYNCED, &*UNSYNCED] {
        let mut sweep = Sweep::new(fixture, "exchanged");
        let names: Vec<&String> = fixture.files.keys().collect();
        for (i, a) in names.iter().enumerate() {
            for b in &names[..i] {
                let outcome = sweep.damage_of(&[a, b], "exchange", |files| {
                    let (x, y) = (files[*a].clone(), files[*b].clone());
                    files.extend([((*a).clone(), y), ((*b).clone(), x)]);
                });
                assert!(!is_untouched(&sweep, &outcome), "{a} for {b} was not noticed");
            }
        }
        for a in &names {
            for b in names.iter().filter(|b| b != &a) {
                let outcome = sweep.damage(a, &format!("{b} in place"), |files| {
                    files.insert((*a).clone(), files[*b].clone());
                });
                assert!(**a == "LOCK" || !is_untouched(&sweep, &outcome), "{b} as {a}");
            }
        }
        sweep.end();
    }
}

#[test]
fn of_another_database() {
    assert_ne!(SYNCED.files["CURRENT"], OTHER.files["CURRENT"]);
    let mut sweep = Sweep::new(&SYNCED, "of another database");
    for (name, bytes) in SYNCED.files.iter().filter(|(name, _)| *name != "LOCK") {
        let outcome = sweep.damage(name, "namesake", |files| {
            files.insert(name.clone(), OTHER.files[name].clone());
        });
        assert!(!is_untouched(&sweep, &outcome), "{name} was not noticed");
        // And the other way round.
        let names: Vec<&str> = SYNCED.files.keys().map(String::as_str).collect();
        sweep.damage_of(&names, "namesakes", |files| {
            *files = OTHER.files.clone();
            files.insert(name.clone(), bytes.clone());
        });
    }
    sweep.end();
}

#[test]
fn of_an_older_state() {
    for fixture in [&*SYNCED, &*UNSYNCED] {
        let mut sweep = Sweep::new(fixture, "older");
        for (moment, older) in fixture.older.iter().enumerate() {
            for (name, bytes) in older {
                sweep.damage(name, &format!("state {moment}"), |files| {
                    files.insert(name.clone(), bytes.clone());
                });
            }
            // What is not there at all, and was not yet.
            for name in fixture.files.keys().filter(|name| !older.contains_key(*name)) {
                sweep.damage(name, &format!("state {moment}"), |files| drop(files.remove(name)));
            }
            let manifests = older.iter().filter(|(name, _)| name.starts_with("MANIFEST"));
            for (name, bytes) in manifests {
                sweep.damage_of(&[name, "CURRENT"], &format!("state {moment}"), |files| {
                    files.insert(name.clone(), bytes.clone());
                    files.insert("CURRENT".to_owned(), older["CURRENT"].clone());
                });
            }
        }
        sweep.end();
    }
}
