//! What is in an increment, and what the store keeps for it.

use crate::fixture::{
    DIR, Done, Entries, all, fill, full, ids, invalid, names, noise, open, options, quiet_disk,
    read_file, restored, write_file,
};
use esker::sim::{CrashModel, SimFs};
use esker::{BackupOptions, BackupReport, Db, Options, RestoreOptions, WriteBatch};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

#[test]
fn a_chain_of_everything_there_is_comes_to_what_was_there() {
    let disk = quiet_disk();
    let db = open(&disk);
    fill(&db);
    let sunday = full(&db, "/b/0");
    let first = all(&db);
    for n in 0..10 {
        db.set(format!("k{n:03}"), noise(n, 700)).expect("a commit");
        db.delete(format!("k{:03}", n + 20)).expect("a commit");
    }
    let monday = db.backup_since(sunday.backup_id, "/b/1").expect("an increment");
    let second = all(&db);
    assert_eq!(monday.entries, 20);
    assert_eq!(monday.sequence_number, db.metrics().last_seq);
    // Nothing has changed.
    let tuesday = db.backup_since(monday.backup_id, "/b/2").expect("an increment");
    assert_eq!(tuesday.entries, 0);
    db.delete(vec![b'l'; 65_535]).expect("a commit");
    let mut stream = Vec::new();
    let wednesday = db
        .backup_since_to(tuesday.backup_id, &mut stream, BackupOptions::default())
        .expect("an increment");
    write_file(&disk, "/b/3", &stream);
    let info = db.verify_backup_chain(["/b/0", "/b/1", "/b/2", "/b/3"]).expect("sound");
    let links: Vec<_> = info.iter().map(|info| (info.base_id, info.since)).collect();
    let link = |report: BackupReport| (Some(report.backup_id), Some(report.sequence_number));
    assert_eq!(links, [(None, None), link(sunday), link(monday), link(tuesday)]);
    assert_eq!(info.iter().map(|info| info.deletes).collect::<Vec<_>>(), [0, 10, 0, 1]);
    assert_eq!(info[3].backup_id, wednesday.backup_id);
    assert_eq!(restored(&disk, &["/b/0"]), first);
    for paths in [&["/b/0", "/b/1"][..], &["/b/0", "/b/1", "/b/2"]] {
        assert_eq!(restored(&disk, paths), second);
    }
    // Into the open database, from files and from streams.
    let last = all(&db);
    db.restore_chain(["/b/0", "/b/1"], RestoreOptions::default()).expect("restored");
    assert_eq!(all(&db), second);
    let files = ["/b/0", "/b/1", "/b/2", "/b/3"].map(|path| read_file(&disk, path));
    let reads = files.iter().map(Vec::as_slice);
    db.restore_chain_from(reads, RestoreOptions::default()).expect("restored");
    assert_eq!(all(&db), last);
    db.verify().expect("sound");
}

#[test]
fn what_merges_drop_is_in_the_next_increment() {
    let disk = quiet_disk();
    let db = open(&disk);
    for n in 0..60 {
        db.set(format!("k{n:02}"), noise(n, 400)).expect("a commit");
    }
    db.compact().expect("compacted");
    let base = full(&db, "/b/0");
    // Deleted; and set anew for a second, which is all that a table of the last level holds then.
    db.delete("k00").expect("a commit");
    for n in 20..40 {
        let ttl = Duration::from_secs(1);
        db.set_with_ttl(format!("k{n:02}"), noise(n, 500), ttl).expect("a commit");
    }
    db.ingest([("k50", "anew"), ("never there before", "")]).expect("ingested");
    db.delete("k50").expect("a commit");
    db.compact().expect("compacted");
    disk.sim_clock().advance(Duration::from_secs(700));
    // Looks for what has expired.
    db.set("more", "").expect("a commit");
    db.flush().expect("flushed");
    db.compact().expect("compacted");
    db.collect_garbage().expect("collected");
    drop(db);
    let db = open(&disk);
    let increment = db.backup_since(base.backup_id, "/b/1").expect("an increment");
    assert_eq!(increment.entries, 24);
    assert_eq!(db.verify_backup("/b/1").expect("sound").deletes, 22);
    let there = all(&db);
    assert_eq!(there.len(), 60 - 22 + 2);
    assert_eq!(restored(&disk, &["/b/0", "/b/1"]), there);
}

/// Tables that hold nothing but what has expired go whole, unread, where nothing below them is hidden. The
/// base has other versions of those keys.
#[test]
fn a_table_of_which_all_has_expired_leaves_its_trace() {
    let disk = quiet_disk();
    let db = open(&disk);
    db.set("a", "for ever").expect("a commit");
    let base = full(&db, "/b/0");
    db.set_with_ttl("a", "for a second", Duration::from_secs(1)).expect("a commit");
    db.compact().expect("compacted");
    let levels = db.metrics().levels;
    assert_eq!(levels.iter().map(|level| level.entries).sum::<u64>(), 1, "{levels:?}");
    disk.sim_clock().advance(Duration::from_secs(700));
    db.set("z", "1").expect("a commit");
    db.flush().expect("flushed");
    let levels = db.metrics().levels;
    assert_eq!(levels.iter().map(|level| level.entries).sum::<u64>(), 2, "{levels:?}");
    db.backup_since(base.backup_id, "/b/1").expect("an increment");
    assert_eq!(restored(&disk, &["/b/0", "/b/1"]), all(&db));
    // With nobody to ask for it, it goes.
    db.follow_no_backups().expect("recorded");
    db.set("z", "2").expect("a commit");
    db.flush().expect("flushed");
    db.compact().expect("compacted");
    let levels = db.metrics().levels;
    assert_eq!(levels.iter().map(|level| level.entries).sum::<u64>(), 1, "{levels:?}");
}

#[test]
fn tombstones_stay_for_as_long_as_somebody_may_ask_for_them() {
    let disk = quiet_disk();
    let db = open(&disk);
    let tombstones = || {
        db.compact().expect("compacted");
        db.metrics().levels.iter().map(|level| level.tombstones).sum::<u64>()
    };
    for n in 0..30 {
        db.set(format!("k{n:02}"), noise(n, 400)).expect("a commit");
    }
    db.delete("k00").expect("a commit");
    assert_eq!(tombstones(), 0, "nothing is followed");
    assert_eq!(db.metrics().followed.oldest_seq, None);
    let first = full(&db, "/b/0");
    for n in 1..=5 {
        db.delete(format!("k{n:02}")).expect("a commit");
    }
    assert_eq!(tombstones(), 5);
    let followed = db.metrics().followed;
    assert_eq!((followed.count, followed.oldest_seq), (1, Some(first.sequence_number)));
    assert!(db.metrics().to_string().contains("1 backups"), "{}", db.metrics());
    let second = db.backup_since(first.backup_id, "/b/1").expect("an increment");
    db.delete("k10").expect("a commit");
    assert_eq!(tombstones(), 6, "the increment may get lost");
    let values = db.metrics().values.live_bytes;
    assert!(values < 25 * 400, "the values have gone: {values}");
    // Those up to the second go when something is merged with them.
    db.backup_since(second.backup_id, "/b/2").expect("an increment");
    db.delete("k11").expect("a commit");
    assert_eq!(tombstones(), 2);
    db.follow_no_backups().expect("recorded");
    db.follow_no_backups().expect("nothing to do");
    assert_eq!((tombstones(), ids(&db).len()), (0, 0));
    let e = db.backup_since(second.backup_id, "/b/3").expect_err("not followed");
    assert!(invalid(e).contains("no backup is followed"));
    assert_eq!(names(&disk, "/b").len(), 3);
}

/// The size of an increment is that of what has changed.
#[test]
fn one_of_a_few_changes_is_small_and_reads_few_tables() {
    let disk = quiet_disk();
    let db = open(&disk);
    for n in 0..2000 {
        db.set(format!("k{n:05}"), noise(n, 200)).expect("a commit");
    }
    db.compact().expect("compacted");
    let base = full(&db, "/b/0");
    db.set("k01000", "1").expect("a commit");
    db.delete("k01001").expect("a commit");
    let increment = db.backup_since(base.backup_id, "/b/1").expect("an increment");
    assert_eq!(increment.entries, 2);
    assert!(increment.bytes < 300 && base.bytes > 400_000, "{increment:?} {base:?}");
    assert_eq!(restored(&disk, &["/b/0", "/b/1"]), all(&db));
    // Those that hold nothing newer are not even opened: damage in them is not seen.
    db.close().expect("closed");
    let damaged = disk.crash_image(&CrashModel::Everything);
    for name in names(&damaged, DIR).iter().filter(|name| name.ends_with(".tbl")) {
        let path = format!("{DIR}/{name}");
        let bytes = read_file(&damaged, &path);
        if bytes.len() > 5000 {
            write_file(&damaged, &path, &vec![0; bytes.len()]);
        }
    }
    let db = open(&damaged);
    db.backup("/b/2").expect_err("all of them are read");
    let increment = db.backup_since(base.backup_id, "/b/2").expect("none of them is read");
    assert_eq!(increment.entries, 2);
}

/// What thread `thread` has after its commit `number`: the number, the last five keys, and none of those before.
fn expected(thread: usize, number: u64) -> Entries {
    let mut entries: Entries = (number.saturating_sub(4).max(1)..=number)
        .map(|n| (format!("t{thread}/{:02}", n % 10).into_bytes(), n.to_string().into_bytes()))
        .collect();
    entries.push((format!("t{thread}").into_bytes(), number.to_string().into_bytes()));
    entries.sort();
    entries
}

#[test]
fn made_while_four_threads_write_each_is_one_prefix_of_the_commits() {
    const THREADS: usize = 4;
    let disk = SimFs::new();
    let options = Options { memtable_bytes: 64 << 10, ..options() };
    let db = Db::open_with_fs(Arc::new(disk.clone()), DIR, options).expect("opens");
    let is_done = AtomicBool::new(false);
    let acknowledged: [AtomicU64; THREADS] = Default::default();
    std::thread::scope(|scope| {
        for (thread, acknowledged) in acknowledged.iter().enumerate() {
            let (db, is_done) = (&db, &is_done);
            scope.spawn(move || {
                for number in 1_u64.. {
                    if is_done.load(Ordering::Acquire) {
                        return;
                    }
                    let mut batch = WriteBatch::new();
                    batch.set(format!("t{thread}"), number.to_string());
                    batch.set(format!("t{thread}/{:02}", number % 10), number.to_string());
                    if number > 5 {
                        batch.delete(format!("t{thread}/{:02}", (number - 5) % 10));
                    }
                    db.write(batch).expect("a commit");
                    acknowledged.store(number, Ordering::Release);
                }
            });
        }
        let _done = Done(&is_done);
        let mut base = full(&db, "/b/0").backup_id;
        let mut paths = vec!["/b/0".to_owned()];
        for round in 1..=12 {
            if round % 2 == 0 {
                db.compact().expect("compacted");
            } else {
                db.flush().expect("flushed");
            }
            let at_least: Vec<u64> =
                acknowledged.iter().map(|number| number.load(Ordering::Acquire)).collect();
            let path = format!("/b/{round}");
            base = db.backup_since(base, &path).expect("an increment").backup_id;
            paths.push(path);
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let found = restored(&disk, &paths);
            for (thread, at_least) in at_least.into_iter().enumerate() {
                let name = format!("t{thread}").into_bytes();
                let own: Entries =
                    found.iter().filter(|(key, _)| key.starts_with(&name)).cloned().collect();
                let number = own.iter().find(|(key, _)| *key == name).map_or(0, |(_, value)| {
                    str::from_utf8(value).expect("text").parse().expect("a number")
                });
                assert!(number >= at_least, "{number} of {at_least} in round {round}");
                let expected = if number == 0 { Entries::new() } else { expected(thread, number) };
                assert_eq!(own, expected, "thread {thread} in round {round}");
            }
        }
    });
    db.verify().expect("sound");
}
