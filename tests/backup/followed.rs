//! Upon which backups increments can follow, through crashes, failures and restores.

use crate::fixture::{
    BACKUP, DIR, all, followed, full, ids, invalid, names, noise, open, options, quiet_disk,
    read_file, restored, write_file,
};
use crate::hooked_fs::HookedFs;
use esker::sim::{CallKind, CrashModel, SimFs};
use esker::{BackupOptions, Db, Error, Options, verify_backup_from};
use std::io::{self, Write};
use std::sync::Arc;

#[test]
fn what_is_followed_ends_with_newer_ones_and_with_a_restore() {
    let disk = quiet_disk();
    let db = open(&disk);
    db.backup(BACKUP).expect("a backup");
    assert!(ids(&db).is_empty(), "nobody asked for it");
    let since = |id: u64| db.backup_since(id, "/b/increment").map(|report| report.backup_id);
    let refusal = |id: u64| invalid(since(id).expect_err("not followed"));
    let first = full(&db, "/b/0").backup_id;
    let second = since(first).expect("an increment");
    // The first may be followed once more, until something follows upon the second.
    let again = since(first).expect("an increment");
    assert_eq!(ids(&db), [first, second, again]);
    let third = since(second).expect("an increment");
    assert_eq!(ids(&db), [second, again, third]);
    let known = format!("{second:#018x}, {again:#018x}, {third:#018x}");
    let told = refusal(first);
    assert!(told.contains(&format!("{first:016x}")) && told.contains(&known), "{told}");
    let other = full(&db, "/b/1").backup_id;
    assert_eq!(ids(&db), [third, other]);
    let other_again = full(&db, "/b/1").backup_id;
    assert_eq!(ids(&db), [other, other_again]);
    // They outlive reopens and crashes.
    for model in [CrashModel::Everything, CrashModel::SyncedOnly] {
        let image = disk.crash_image(&model);
        assert_eq!(ids(&open(&image)), [other, other_again]);
        assert_eq!(ids(&open(&image)), [other, other_again]);
    }
    db.restore("/b/1").expect("restored");
    assert!(ids(&db).is_empty());
    assert!(refusal(other_again).contains("no backup is followed"));
    assert!(ids(&open(&disk.crash_image(&CrashModel::Everything))).is_empty());
    full(&db, "/b/2");
    assert_eq!(ids(&db).len(), 1);
}

/// After a power cut the numbers of what was lost are given out again, to others.
#[test]
fn what_can_be_followed_is_durable() {
    for wal_enabled in [true, false] {
        let disk = quiet_disk();
        let options = Options { wal_enabled, ..options() };
        let reopen = |disk: &SimFs| {
            Db::open_with_fs(Arc::new(disk.clone()), DIR, options.clone()).expect("opens")
        };
        let db = reopen(&disk);
        db.set("a", "1").expect("a commit");
        let base = full(&db, "/b/0");
        db.set("b", "1").expect("a commit");
        db.delete("a").expect("a commit");
        let next = db.backup_since(base.backup_id, "/b/1").expect("an increment");
        let there = all(&db);
        db.set("c", "lost").expect("a commit");
        let image = disk.crash_image(&CrashModel::SyncedOnly);
        let found = reopen(&image);
        assert_eq!(all(&found), there, "log: {wal_enabled}");
        assert_eq!(ids(&found), [base.backup_id, next.backup_id], "log: {wal_enabled}");
        found.set("d", "1").expect("a commit");
        found.backup_since(next.backup_id, "/b/2").expect("an increment");
        assert_eq!(restored(&image, &["/b/0", "/b/1", "/b/2"]), all(&found));
    }
}

/// The end of the log is damaged, and cut: what comes after has the numbers of what the backup holds.
#[test]
fn what_is_ahead_of_the_log_is_not_followed() {
    let disk = quiet_disk();
    let db = open(&disk);
    db.set("a", "1").expect("a commit");
    db.persist().expect("a sync");
    let first = full(&db, "/b/0");
    let log = |disk: &SimFs| {
        let is_log = |name: &&String| name.ends_with(".log");
        format!("{DIR}/{}", names(disk, DIR).iter().find(is_log).expect("a log"))
    };
    let at = read_file(&disk, &log(&disk)).iter().rposition(|&byte| byte != 0).expect("records");
    db.set("b", "only in the backup").expect("a commit");
    let second = db.backup_since(first.backup_id, "/b/1").expect("an increment");
    drop(db);
    let image = disk.crash_image(&CrashModel::Everything);
    let mut bytes = read_file(&image, &log(&image));
    bytes[at + 1..].fill(0);
    write_file(&image, &log(&image), &bytes);
    for read_only in [true, false] {
        let fs = Arc::new(image.clone());
        let found = if read_only {
            Db::open_read_only_with_fs(fs, DIR, options()).expect("opens")
        } else {
            open(&image)
        };
        assert_eq!(all(&found).len(), 1, "cut off");
        assert_eq!(ids(&found), [first.backup_id]);
        if !read_only {
            invalid(found.backup_since(second.backup_id, "/b/2").expect_err("ahead"));
            found.set("c", "1").expect("a commit");
            found.set("d", "1").expect("a commit");
            found.backup_since(first.backup_id, "/b/2").expect("an increment");
            assert_eq!(restored(&image, &["/b/0", "/b/2"]), all(&found));
        }
    }
    assert_eq!(ids(&open(&image)).len(), 2, "the first, and the one that was made now");
}

/// A stream that does something before the first byte gets through.
struct Between<F: FnMut()> {
    act: Option<F>,
    bytes: Vec<u8>,
}

impl<F: FnMut()> Write for Between<F> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if let Some(mut act) = self.act.take() {
            act();
        }
        self.bytes.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_is_deleted_while_it_is_made_is_in_the_next() {
    let disk = quiet_disk();
    let db = open(&disk);
    for n in 0..30 {
        db.set(format!("k{n:02}"), noise(n, 400)).expect("a commit");
    }
    db.compact().expect("compacted");
    // Nothing is followed before the first; then another is, which is older.
    let mut base: Option<u64> = None;
    for round in 0..3 {
        let first = format!("k{round:02}");
        let deleted = || {
            db.delete(&first).expect("a commit");
            db.compact().expect("compacted");
        };
        let mut output = Between { act: Some(deleted), bytes: Vec::new() };
        let made = match base {
            None => db.backup_to(&mut output, followed()),
            Some(base) => db.backup_since_to(base, &mut output, BackupOptions::default()),
        };
        base = Some(made.expect("a backup").backup_id);
        write_file(&disk, &format!("/b/{round}"), &output.bytes);
    }
    let last = db.backup_since(base.expect("made"), "/b/3").expect("an increment");
    assert_eq!(last.entries, 1);
    assert_eq!(restored(&disk, &["/b/0", "/b/1", "/b/2", "/b/3"]), all(&db));
    assert_eq!(db.metrics().snapshots.count, 0, "none is held on");
}

#[test]
fn nothing_follows_upon_one_during_which_everything_was_replaced() {
    let disk = quiet_disk();
    let db = open(&disk);
    db.set("a", "1").expect("a commit");
    let base = full(&db, "/b/0").backup_id;
    db.set("b", "1").expect("a commit");
    for base in [None, Some(base)] {
        let replace = || {
            db.restore("/b/0").expect("restored");
        };
        let mut output = Between { act: Some(replace), bytes: Vec::new() };
        let made = match base {
            None => db.backup_to(&mut output, followed()),
            Some(base) => {
                // Made anew, since the restore before has ended it.
                assert!(ids(&db).is_empty());
                invalid(db.backup_since(base, "/b/1").expect_err("not followed"));
                let base = full(&db, "/b/1").backup_id;
                db.backup_since_to(base, &mut output, BackupOptions::default())
            }
        };
        assert!(invalid(made.expect_err("replaced")).contains("a restore has replaced everything"));
        // What it holds is what it says all the same.
        verify_backup_from(output.bytes.as_slice()).expect("whole");
        assert!(ids(&db).is_empty());
    }
}

#[test]
fn a_handle_that_cannot_keep_the_promise_writes_nothing() {
    let disk = quiet_disk();
    let fs = HookedFs::new(&disk);
    let db = open(&fs);
    db.set("a", "1").expect("a commit");
    let base = full(&db, "/b/0").backup_id;
    fs.set_hook(|call| {
        let fails = call.kind == CallKind::SyncData && !call.is_done;
        if fails { Err(io::Error::other("on purpose")) } else { Ok(()) }
    });
    db.set("b", "1").expect("not synced");
    db.persist().expect_err("a sync failed");
    fs.clear_hook();
    let image = Arc::new(disk.crash_image(&CrashModel::Everything));
    let reader = Db::open_read_only_with_fs(image.clone(), DIR, options()).expect("opens");
    assert_eq!(ids(&reader), [base]);
    for (handle, disk) in [(&db, &disk), (&reader, &*image)] {
        let is_meant = |e: &Error| matches!(e, Error::Poisoned { .. } | Error::ReadOnly);
        let e = handle.backup_with("/b/1", followed()).expect_err("refused");
        assert!(is_meant(&e), "{e}");
        let e = handle.backup_since(base, "/b/1").expect_err("refused");
        assert!(is_meant(&e), "{e}");
        let mut stream = Vec::new();
        let e = handle.backup_to(&mut stream, followed()).expect_err("refused");
        assert!(is_meant(&e), "{e}");
        let e = handle
            .backup_since_to(base, &mut stream, BackupOptions::default())
            .expect_err("refused");
        assert!(is_meant(&e) && stream.is_empty(), "{e}");
        assert!(is_meant(&handle.follow_no_backups().expect_err("refused")));
        assert_eq!(names(disk, "/b"), ["0"], "not one byte was written");
        // One that nobody will follow needs no more than reads.
        handle.backup_to(&mut stream, BackupOptions::default()).expect("a backup");
        assert_eq!(ids(handle), [base]);
    }
    db.close().expect_err("poisoned");
    let e = db.follow_no_backups().expect_err("closed");
    assert!(matches!(e, Error::Closed), "{e}");
}

/// It is recorded before the file has its name. One that never gets it is not to push out those that have theirs.
#[test]
fn one_that_fails_leaves_the_others_as_they_were() {
    let disk = quiet_disk();
    let fs = HookedFs::new(&disk);
    let db = open(&fs);
    db.set("a", "1").expect("a commit");
    let base = full(&db, "/b/0").backup_id;
    db.delete("a").expect("a commit");
    let next = db.backup_since(base, "/b/1").expect("an increment").backup_id;
    db.set("b", "1").expect("a commit");
    for kind in [CallKind::Write, CallKind::SyncData, CallKind::Rename, CallKind::SyncDir] {
        fs.set_hook(move |call| {
            let is_it = call.path.starts_with("/b") && call.kind == kind && !call.is_done;
            if is_it { Err(io::Error::other("on purpose")) } else { Ok(()) }
        });
        for _ in 0..3 {
            db.backup_with("/b/0-again", followed()).expect_err("it failed");
            db.backup_since(next, "/b/2").expect_err("it failed");
            db.backup_since(base, "/b/2").expect_err("it failed, or is no longer followed");
            assert!(ids(&db).contains(&next), "{kind:?}");
        }
        fs.clear_hook();
    }
    db.compact().expect("compacted");
    // Of what the manifest has by now, the next open finds the last of them, if any.
    let found = open(&disk.crash_image(&CrashModel::Everything));
    assert!(ids(&found).contains(&next) && ids(&found).len() <= 3, "{:?}", ids(&found));
    let last = db.backup_since(next, "/b/2").expect("an increment");
    assert_eq!(ids(&db), [next, last.backup_id]);
    assert_eq!(restored(&disk, &["/b/0", "/b/1", "/b/2"]), all(&db));
}

/// The edit is refused, and may stand in the manifest all the same.
#[test]
fn one_that_cannot_be_recorded_is_none() {
    let disk = quiet_disk();
    let fs = HookedFs::new(&disk);
    let db =
        Db::open_with_fs(Arc::new(fs.clone()), DIR, Options { disk_reserve_bytes: 0, ..options() });
    let db = db.expect("opens");
    for n in 0..30 {
        db.set(format!("k{n:02}"), noise(n, 400)).expect("a commit");
    }
    db.compact().expect("compacted");
    fs.set_hook(|call| {
        let is_edit = call.path.to_string_lossy().contains("MANIFEST") && call.offset > 0;
        if is_edit && call.kind == CallKind::Write && call.is_done {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    });
    let mut stream = Vec::new();
    let e = db.backup_to(&mut stream, followed()).expect_err("no room");
    assert!(matches!(e, Error::Io { op: "write", .. }), "{e}");
    fs.clear_hook();
    let id = verify_backup_from(stream.as_slice()).expect("whole").backup_id;
    write_file(&disk, "/b/0", &stream);
    assert!(ids(&db).is_empty());
    // Killed now, what follows upon it is right, should it be followed.
    let image = disk.crash_image(&CrashModel::Everything);
    let found = open(&image);
    found.delete("k00").expect("a commit");
    found.compact().expect("compacted");
    found.backup_since(id, "/b/1").expect("the edit was there");
    assert_eq!(restored(&image, &["/b/0", "/b/1"]), all(&found));
    // Here it is not, and its tombstones go; the manifest that says so is without it.
    db.delete("k00").expect("a commit");
    db.compact().expect("compacted");
    assert_eq!(db.metrics().levels.iter().map(|level| level.tombstones).sum::<u64>(), 0);
    let found = open(&disk.crash_image(&CrashModel::Everything));
    assert!(ids(&found).is_empty());
}
