//! Repair: what verifies is saved, nothing that was deleted or overwritten comes back, and the
//! damaged directory stays as it is.

use esker::sim::{CrashModel, Fault, FaultPlan, SimFs};
use esker::{
    Db, Error, Fs, OpenMode, Options, RepairReport, SyncPolicy, WriteBatch, repair, repair_with_fs,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const DIR: &str = "/db";
const NEW: &str = "/new";
const NOW_MS: u64 = 1_704_067_200_000;

type Files = BTreeMap<String, Vec<u8>>;
type Value = Option<Vec<u8>>;
type Model = BTreeMap<String, Vec<u8>>;

fn files(fs: &SimFs, dir: &str) -> Files {
    let names = fs.list(Path::new(dir)).unwrap_or_default();
    let read = |name: String| {
        let file = fs.open(&Path::new(dir).join(&name), OpenMode::Read).expect("opens");
        let mut bytes = vec![0; usize::try_from(file.len().expect("len")).expect("small")];
        let mut at = 0;
        while at < bytes.len() {
            at += file.read_at(&mut bytes[at..], at as u64).expect("a read");
        }
        (name, bytes)
    };
    names.into_iter().map(read).collect()
}

fn disk_of(files: &Files) -> SimFs {
    let fs = SimFs::new();
    fs.set_threads(false);
    fs.sim_clock().set_ms(NOW_MS);
    fs.create_dir_all(Path::new(DIR)).expect("a directory");
    for (name, bytes) in files {
        let file = fs.open(&Path::new(DIR).join(name), OpenMode::CreateNew).expect("a file");
        let mut at = 0;
        while at < bytes.len() {
            at += file.write_at(&bytes[at..], at as u64).expect("a write");
        }
        file.sync_data().expect("a sync");
    }
    fs.sync_dir(Path::new(DIR)).expect("a sync");
    fs.sync_dir(Path::new("/")).expect("a sync");
    fs
}

fn options() -> Options {
    Options {
        sync_policy: SyncPolicy::Always,
        memtable_bytes: 64 << 10,
        block_bytes: 256,
        table_bytes: 8 << 10,
        auto_compaction: false,
        disk_reserve_bytes: 0,
        value_threshold: 200,
        ..Options::default()
    }
}

/// Values of many sizes, incompressible, two in ten of them large.
fn value(n: u64) -> Vec<u8> {
    let size = [10, 30, 300, 20, 70, 250, 4, 90, 8, 50][usize::try_from(n % 10).expect("small")];
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let byte = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    (0..size).map(byte).collect()
}

/// A database, and all that was committed to it.
struct Life {
    files: Files,
    /// Of each commit what it changed.
    commits: Vec<BTreeMap<String, Value>>,
    /// The first commit that is in no table.
    first_in_log: usize,
}

impl Life {
    fn commit(&mut self, db: &Db, changes: &[(String, Value)]) {
        let mut batch = WriteBatch::new();
        for (key, value) in changes {
            match value {
                Some(value) => batch.set(key, value),
                None => batch.delete(key),
            }
        }
        db.write(batch).expect("a commit");
        self.commits.push(changes.iter().cloned().collect());
    }

    fn fill(&mut self, db: &Db, numbers: std::ops::Range<u64>) {
        for n in numbers {
            let key = |n: u64| format!("key{:03}", n % 90);
            let changes = [
                (key(n * 7), Some(value(n))),
                (key(n * 13), Some(value(n + 3))),
                (key(n * 29), None),
            ];
            self.commit(db, &changes);
        }
    }

    /// What there would be without the commits `left_out`.
    fn state(&self, left_out: &std::ops::Range<usize>) -> Model {
        let mut model = Model::new();
        for (n, changes) in self.commits.iter().enumerate() {
            for (key, value) in changes.iter().filter(|_| !left_out.contains(&n)) {
                match value {
                    Some(value) => drop(model.insert(key.clone(), value.clone())),
                    None => drop(model.remove(key)),
                }
            }
        }
        model
    }

    fn all(&self) -> Model {
        self.state(&(0..0))
    }
}

/// Tables on two levels with overwritten and deleted keys across them, a value file, segments, and a log.
fn lived() -> Life {
    let fs = SimFs::new();
    fs.set_threads(false);
    fs.sim_clock().set_ms(NOW_MS);
    let open = || Db::open_with_fs(Arc::new(fs.clone()), DIR, options()).expect("opens");
    let mut life = Life { files: Files::new(), commits: Vec::new(), first_in_log: 0 };
    let db = open();
    life.fill(&db, 0..60);
    db.flush().expect("a flush");
    life.fill(&db, 60..80);
    drop(db); // What is in the log goes into a value file.
    let db = open();
    life.fill(&db, 80..110);
    db.compact().expect("compacts");
    life.fill(&db, 110..130);
    db.flush().expect("a flush");
    life.fill(&db, 130..150);
    db.flush().expect("a flush");
    life.first_in_log = life.commits.len();
    life.fill(&db, 150..165);
    life.files = files(&fs.crash_image(&CrashModel::Everything), DIR);
    for (name, bytes) in &mut life.files {
        // The zeros that are written ahead.
        if name.ends_with(".log") {
            let end = bytes.iter().rposition(|&b| b != 0).map_or(0, |at| at + 1);
            bytes.truncate(end + 64);
        }
    }
    life
}

/// Repairs a directory with these files; `None`: that was refused, for damage of this file.
fn repaired(damaged: &Files) -> Result<(RepairReport, Model), Error> {
    let fs = disk_of(damaged);
    let shared: Arc<dyn Fs> = Arc::new(fs.clone());
    let done = repair_with_fs(&shared, DIR, NEW, &options());
    assert!(files(&fs, DIR) == *damaged, "the damaged directory is only read");
    let report = done?;
    let db = Db::open_with_fs(shared, NEW, options()).expect("what was repaired opens");
    let verified = db.verify().expect("and is sound");
    assert!(verified.findings.is_empty(), "{verified}");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let read = |entry: Result<(esker::Key, esker::Value), Error>| {
        let (key, value) = entry.expect("a read");
        (text(&key), value.to_vec())
    };
    let model: Model = db.iter().map(read).collect();
    assert_eq!(report.entries, model.len() as u64, "{report}");
    assert_eq!(report.losses_in_all, report.losses.len() as u64);
    Ok((report, model))
}

/// Nothing is shown that is not so, and what is missing is told.
fn assert_no_lies(report: &RepairReport, found: &Model, want: &Model) {
    for (key, value) in found {
        assert!(want.get(key) == Some(value), "{key} is shown as it was once: {report}");
    }
    let missing = want.len() - found.len();
    assert!(missing == 0 || report.losses_in_all > 0, "{missing} are missing: {report}");
}

/// As [`assert_no_lies`], where records of the log are damaged: some commits that follow on each other may be
/// missing, and a few keys withheld: those of the damaged record, and what it seems to say.
fn assert_log_damage(life: &Life, report: &RepairReport, found: &Model) {
    let last = life.commits.len();
    let explains = |lost: &std::ops::Range<usize>| {
        let want = life.state(lost);
        let are_so = found.iter().all(|(key, value)| want.get(key) == Some(value));
        are_so && (want.len() - found.len()) as u64 <= report.keys_withheld
    };
    let is_explained =
        (life.first_in_log..=last).any(|from| (from..=last).any(|to| explains(&(from..to))));
    assert!(is_explained, "{report}");
    let told = report.losses_in_all > 0 || report.log_cut_at.is_some();
    assert!(told || *found == life.all(), "{report}");
    assert!(report.keys_withheld < 40, "{report}");
}

fn is_live_log(life: &Life, name: &str) -> bool {
    life.files.keys().rfind(|name| name.ends_with(".log")).is_some_and(|last| last == name)
}

fn judge(life: &Life, name: &str, damaged: &Files) -> Option<(RepairReport, usize)> {
    let want = life.all();
    match repaired(damaged) {
        Err(Error::Corruption { file, detail, .. }) => {
            assert!(name.starts_with("MANIFEST"), "{}: {detail}", file.display());
            assert!(file.ends_with(name) && detail.contains("manifest"), "{detail}");
            None
        }
        Err(e) => panic!("{name}: {e}"),
        Ok((report, found)) => {
            if is_live_log(life, name) {
                assert_log_damage(life, &report, &found);
            } else {
                assert_no_lies(&report, &found, &want);
            }
            let missing = want.len().saturating_sub(found.len());
            if name == "CURRENT" || name == "LOCK" || name.starts_with("MANIFEST") {
                assert!(missing == 0 && report.is_whole(), "{name}: {report}");
            }
            Some((report, missing))
        }
    }
}

#[test]
fn what_is_whole_is_saved_whole() {
    let life = lived();
    for kind in [".tbl", ".val", ".log"] {
        let count = life.files.keys().filter(|name| name.ends_with(kind)).count();
        assert!(count >= if kind == ".val" { 1 } else { 2 }, "{:?}", life.files.keys());
    }
    let (report, found) = repaired(&life.files).expect("nothing is damaged");
    assert!(found == life.all() && report.is_whole(), "{report}");
    assert_eq!((report.batches, report.keys_withheld, report.values_lost), (15, 0, 0));
    assert!(report.values > 5 && report.tables >= 1, "{report}");
    assert_eq!(report.log_cut_at, None);
}

#[test]
fn no_flipped_bit_brings_anything_back() {
    let life = lived();
    let (mut repairs, mut lost, mut withheld) = (0, 0, 0);
    for (name, bytes) in &life.files {
        let end = bytes.iter().rposition(|&b| b != 0).map_or(0, |at| at + 1);
        let step = (end / 200).max(1);
        for at in (0..end).step_by(step) {
            let mut damaged = life.files.clone();
            damaged.get_mut(name).expect("it")[at] ^= 1 << (at % 8);
            if let Some((report, missing)) = judge(&life, name, &damaged) {
                repairs += 1;
                lost += missing;
                withheld += report.keys_withheld;
                // One record, one value or one block of some entries at a time; or a table's head.
                assert!(missing < 60, "byte {at} of {name}: {report}");
            }
        }
    }
    assert!(repairs > 1000 && lost > 300 && withheld > 50, "{repairs} {lost} {withheld}");
}

#[test]
fn nor_do_files_that_are_gone_cut_zeroed_or_exchanged() {
    let life = lived();
    let names: Vec<&String> = life.files.keys().collect();
    for name in &names {
        let bytes = &life.files[*name];
        let mut states: Vec<Option<Vec<u8>>> = vec![None, Some(Vec::new())];
        for part in 1..8 {
            let at = bytes.len() * part / 8;
            states.push(Some(bytes[..at].to_vec()));
            let mut zeroed = bytes.clone();
            zeroed[at - bytes.len() / 8..at].fill(0);
            states.push(Some(zeroed));
        }
        states.push(Some([bytes.as_slice(), b"more of it"].concat()));
        states.extend(
            names
                .iter()
                .filter(|other| other != &name)
                .map(|other| Some(life.files[*other].clone())),
        );
        for state in states {
            let mut damaged = life.files.clone();
            match state {
                Some(bytes) => drop(damaged.insert((*name).clone(), bytes)),
                None => drop(damaged.remove(*name)),
            }
            judge(&life, name, &damaged);
        }
    }
}

// Cut between two edits it looks like that of an older moment.
#[test]
fn a_manifest_is_taken_whole_or_not_at_all() {
    let life = lived();
    let name = life.files.keys().find(|name| name.starts_with("MANIFEST")).expect("one").clone();
    let mut refused = 0;
    for cut in 0..life.files[&name].len() {
        let mut damaged = life.files.clone();
        damaged.get_mut(&name).expect("it").truncate(cut);
        refused += usize::from(judge(&life, &name, &damaged).is_none());
    }
    assert!(refused > 300, "{refused}");
}

/// What there is of the new directory after an interruption: nothing yet, something that is refused, or all.
fn assert_whole_or_refused(fs: &SimFs, want: &Model) -> bool {
    let names = fs.list(Path::new(NEW)).unwrap_or_default();
    if names.is_empty() {
        return false;
    }
    match Db::open_with_fs(Arc::new(fs.clone()), NEW, options()) {
        Ok(db) => {
            assert_eq!(db.iter().count(), want.len(), "{names:?}");
            for (key, value) in want {
                let found = db.get(key).expect("a read").expect("is there");
                assert!(*found == value[..], "{key}");
            }
            true
        }
        Err(Error::Corruption { .. }) => false,
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn a_power_cut_at_any_call_leaves_nothing_or_all_of_it() {
    let life = lived();
    let want = life.all();
    let (mut images, mut whole) = (0, 0);
    for call in 1.. {
        let fs = disk_of(&life.files);
        fs.crash_at(call);
        let shared: Arc<dyn Fs> = Arc::new(fs.clone());
        let done = repair_with_fs(&shared, DIR, NEW, &options());
        let models = [
            CrashModel::SyncedOnly,
            CrashModel::Everything,
            CrashModel::Torn { seed: call },
            CrashModel::Stale { seed: call },
            CrashModel::Scattered { seed: call },
        ];
        for model in models {
            let image = fs.crash_image(&model);
            assert!(files(&image, DIR) == life.files, "call {call}: the damaged one is as it was");
            whole += usize::from(assert_whole_or_refused(&image, &want));
            images += 1;
            // What `Ok` promises.
            if done.is_ok() {
                assert!(assert_whole_or_refused(&image, &want), "call {call}, {model:?}");
            }
        }
        if !fs.is_off() {
            assert!(done.is_ok());
            break;
        }
    }
    assert!(images > 100 && whole >= 10 && whole < images / 2, "{images} {whole}");
}

#[test]
fn a_call_that_fails_leaves_it_refused_or_true() {
    let life = lived();
    let want = life.all();
    let mut failed = 0;
    for call in (1..).step_by(3) {
        for errno in [5, 28] {
            let fs = disk_of(&life.files);
            fs.fail(FaultPlan::once(call, Fault::Errno(errno)));
            let shared: Arc<dyn Fs> = Arc::new(fs.clone());
            let done = repair_with_fs(&shared, DIR, NEW, &options());
            let is_over = fs.faults_left();
            fs.clear_faults();
            assert!(files(&fs, DIR) == life.files);
            match done {
                Err(_) => {
                    assert_whole_or_refused(&fs, &want);
                    failed += 1;
                }
                Ok(report) => {
                    let db = Db::open_with_fs(shared, NEW, options()).expect("opens");
                    let read = |entry: Result<(esker::Key, esker::Value), Error>| {
                        let (key, value) = entry.expect("a read");
                        (String::from_utf8(key.to_vec()).expect("text"), value.to_vec())
                    };
                    assert_no_lies(&report, &db.iter().map(read).collect(), &want);
                }
            }
            if is_over {
                assert!(failed > 30, "{failed}");
                return;
            }
        }
    }
}

// The oldest of traps: the delete is in a damaged block of a newer table, the value in an older one.
#[test]
fn a_delete_that_is_lost_takes_what_it_may_have_deleted_along() {
    let fs = SimFs::new();
    fs.set_threads(false);
    let db = Db::open_with_fs(Arc::new(fs.clone()), DIR, options()).expect("opens");
    for n in 0..100 {
        db.set(format!("{n:03}"), "old").expect("a set");
    }
    db.compact().expect("compacts");
    for n in 0..50 {
        db.delete(format!("{n:03}")).expect("a delete");
    }
    db.set("070", "new").expect("a set");
    db.flush().expect("a flush");
    let good = files(&fs, DIR);
    let newest = good.keys().rfind(|name| name.ends_with(".tbl")).expect("a table").clone();
    let model = |from: usize| {
        let value = |n: usize| if n == 70 { b"new".to_vec() } else { b"old".to_vec() };
        (from..100).map(|n| (format!("{n:03}"), value(n))).collect::<Model>()
    };
    assert!(repaired(&good).expect("sound").1 == model(50));
    // All of the newer table: everything that it covers is withheld, and nothing else.
    let mut damaged = good.clone();
    damaged.remove(&newest);
    let (report, found) = repaired(&damaged).expect("saved");
    assert!(found == model(71), "{:?} {report}", found.keys());
    assert_eq!(report.keys_withheld, 71);
    let [loss] = &report.losses[..] else { panic!("{report}") };
    assert_eq!(loss.keys, Some((b"000".to_vec(), b"070".to_vec())));
    assert_eq!(loss.entries, Some(51));
    assert!(report.to_string().contains("keys 000 to 070"), "{report}");
    // One block of it.
    let mut damaged = good.clone();
    damaged.get_mut(&newest).expect("it")[20] ^= 1;
    let (report, found) = repaired(&damaged).expect("saved");
    assert!(found == model(50), "those that it deletes, and no more: {report}");
    assert!(report.keys_withheld > 5 && report.keys_withheld < 50, "{report}");
}

#[test]
fn a_damaged_value_is_lost_and_no_older_one_takes_its_place() {
    let fs = SimFs::new();
    fs.set_threads(false);
    let db = Db::open_with_fs(Arc::new(fs.clone()), DIR, options()).expect("opens");
    db.set("k", "old and small").expect("a set");
    db.flush().expect("a flush");
    db.set("k", value(2)).expect("a set");
    db.set("l", value(12)).expect("a set");
    db.flush().expect("a flush");
    let mut damaged = files(&fs, DIR);
    let new = value(2);
    let holder = damaged.values_mut().find(|b| b.windows(new.len()).any(|w| w == new));
    let bytes = holder.expect("a segment has it");
    let at = bytes.windows(new.len()).position(|w| w == new).expect("there");
    bytes[at + 7] ^= 1;
    let (report, found) = repaired(&damaged).expect("saved");
    assert_eq!(found, Model::from([("l".to_owned(), value(12))]), "{report}");
    assert_eq!(report.values_lost, 1);
    assert_eq!(report.losses[0].keys, Some((b"k".to_vec(), b"k".to_vec())));
    assert_eq!(report.losses[0].offset, at as u64);
}

#[test]
fn commits_behind_a_damaged_record_are_saved_and_its_own_keys_withheld() {
    let fs = SimFs::new();
    fs.set_threads(false);
    let db = Db::open_with_fs(Arc::new(fs.clone()), DIR, options()).expect("opens");
    for (key, value) in [("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")] {
        db.set(key, value).expect("a set");
    }
    let mut batch = WriteBatch::new();
    batch.delete("a");
    batch.set("b", "in the damaged record");
    db.write(batch).expect("a commit");
    db.set("b", "3").expect("a set");
    db.delete("c").expect("a delete");
    let mut damaged = files(&fs, DIR);
    assert!(Db::open_with_fs(Arc::new(disk_of(&damaged)), DIR, options()).is_ok());
    let log = damaged.keys().find(|n| n.ends_with(".log")).expect("a log").clone();
    let bytes = damaged.get_mut(&log).expect("it");
    let text = b"in the damaged record";
    let at = bytes.windows(text.len()).position(|w| w == text).expect("there");
    bytes[at] ^= 1;
    let refused = Db::open_with_fs(Arc::new(disk_of(&damaged)), DIR, options()).map(drop);
    assert!(matches!(refused, Err(Error::Corruption { .. })), "an open will have none of it");
    let (report, found) = repaired(&damaged).expect("saved");
    let model = [("b", "3"), ("d", "1")].map(|(k, v)| (k.to_owned(), v.as_bytes().to_vec()));
    assert_eq!(found, Model::from(model), "{report}");
    assert_eq!((report.batches, report.keys_withheld), (6, 1), "{report}");
    assert!(report.losses[0].what.contains("operations 5 to 6"), "{report}");
}

#[test]
fn expiries_are_kept_and_what_has_expired_stays_so() {
    let fs = SimFs::new();
    fs.set_threads(false);
    fs.sim_clock().set_ms(NOW_MS);
    let db = Db::open_with_fs(Arc::new(fs.clone()), DIR, options()).expect("opens");
    db.set_with_ttl("small", "s", Duration::from_secs(100)).expect("a set");
    db.set_with_ttl("large", value(2), Duration::from_secs(100)).expect("a set");
    db.set_with_ttl("seen", "s", Duration::from_secs(10)).expect("a set");
    db.set("always", "a").expect("a set");
    fs.sim_clock().set_ms(NOW_MS + 10_000);
    assert!(db.get("seen").expect("a read").is_none());
    db.close().expect("closes");
    let repaired = disk_of(&files(&fs, DIR));
    let shared: Arc<dyn Fs> = Arc::new(repaired.clone());
    let report = repair_with_fs(&shared, DIR, NEW, &options()).expect("saved");
    assert_eq!((report.entries, report.values, report.is_whole()), (4, 1, true), "{report}");
    repaired.sim_clock().set_ms(NOW_MS); // It steps back.
    let db = Db::open_with_fs(shared, NEW, options()).expect("opens");
    let keys = |db: &Db| db.iter().keys().filter(|key| key.is_ok()).count();
    assert!(db.get("seen").expect("a read").is_none(), "once seen expired");
    assert_eq!(db.get("large").expect("a read").as_deref(), Some(&value(2)[..]));
    assert_eq!(keys(&db), 3);
    repaired.sim_clock().set_ms(NOW_MS + 100_000);
    assert_eq!(keys(&db), 1);
    // And it works on.
    db.set("new", "n").expect("a set");
    db.compact().expect("compacts");
    assert_eq!(keys(&db), 2);
}

#[test]
fn it_writes_into_a_new_directory_alone_and_beside_no_writer() {
    let dir = tempfile::tempdir().expect("a directory");
    let (damaged, new) = (dir.path().join("damaged"), dir.path().join("new"));
    let refused = |into: &Path| match repair(&damaged, into, &options()) {
        Err(e) => e,
        Ok(report) => panic!("{report}"),
    };
    assert!(matches!(refused(&new), Error::InvalidArgument { .. }), "there is no database");
    assert!(!new.exists() && !damaged.exists());
    let db = Db::open(&damaged, options()).expect("opens");
    db.set("k", "v").expect("a set");
    assert!(matches!(refused(&new), Error::Locked { .. }));
    assert!(!new.exists());
    db.close().expect("closes");
    for into in [&damaged, &damaged.join("within")] {
        assert!(matches!(refused(into), Error::InvalidArgument { .. }));
    }
    std::fs::create_dir(&new).expect("made");
    std::fs::write(new.join("notes"), "mine").expect("written");
    assert!(matches!(refused(&new), Error::InvalidArgument { .. }));
    std::fs::remove_file(new.join("notes")).expect("removed");
    let reader = Db::open_read_only(&damaged, options()).expect("a reader is in nobody's way");
    let report = repair(&damaged, &new, &options()).expect("saved");
    assert!(report.is_whole() && report.entries == 1, "{report}");
    drop(reader);
    let db = Db::open(&new, options()).expect("opens");
    assert_eq!(db.get("k").expect("a read").as_deref(), Some(&b"v"[..]));
}
