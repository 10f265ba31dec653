//! A chain is one full backup and its increments, each upon the very one before: anything else is refused.

use crate::fixture::{
    DIR, all, full, ids, invalid, names, noise, open, options, quiet_disk, read_file, restored,
    write_file,
};
use esker::sim::CrashModel;
use esker::{Db, Engine, Error, Fs, MemoryEngine, RestoreOptions, verify_backup_from};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn every_cut_and_every_flipped_bit_is_refused_and_nothing_touched() {
    let disk = quiet_disk();
    let db = open(&disk);
    db.set("a", "1").expect("a commit");
    db.set("b", noise(1, 300)).expect("a commit");
    let base = full(&db, "/b/0");
    db.set("a", "2").expect("a commit");
    db.set("c", noise(2, 260)).expect("a commit");
    db.delete("b").expect("a commit");
    db.set_with_ttl("d", "4", Duration::from_secs(100)).expect("a commit");
    db.backup_since(base.backup_id, "/b/1").expect("an increment");
    let [full, whole] = ["/b/0", "/b/1"].map(|path| read_file(&disk, path));
    let expected = all(&db);
    db.set("a", "another state").expect("a commit");
    db.flush().expect("flushed");
    let before = (all(&db), names(&disk, DIR), db.metrics().last_seq);
    let refuse = |bytes: &[u8], what: String| {
        let reads = [full.as_slice(), bytes];
        let restored = db.restore_chain_from(reads, RestoreOptions::default());
        for e in [restored.map(drop), verify_backup_from(bytes).map(drop)] {
            let e = e.expect_err(&what);
            let is_told = matches!(e, Error::Corruption { .. } | Error::UnsupportedFormat { .. });
            assert!(is_told, "{what}: {e}");
        }
        assert_eq!((all(&db), names(&disk, DIR), db.metrics().last_seq), before, "{what}");
    };
    (0..whole.len()).for_each(|at| refuse(&whole[..at], format!("cut at {at}")));
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        refuse(&bytes, format!("bit {bit}"));
    }
    refuse(&[whole.as_slice(), b"\0"].concat(), "a byte more".to_owned());
    // The full one below a sound increment is no less looked at.
    for at in (0..full.len()).step_by(7) {
        let mut bytes = full.clone();
        bytes[at] ^= 4;
        let reads = [bytes.as_slice(), whole.as_slice()];
        db.restore_chain_from(reads, RestoreOptions::default()).expect_err("damaged");
        assert_eq!((all(&db), names(&disk, DIR), db.metrics().last_seq), before, "byte {at}");
    }
    let reads = [full.as_slice(), whole.as_slice()];
    db.restore_chain_from(reads, RestoreOptions::default()).expect("sound");
    assert_eq!(all(&db), expected);
}

#[test]
fn a_chain_that_is_none_is_refused_and_nothing_touched() {
    let disk = quiet_disk();
    let db = open(&disk);
    db.set("a", "1").expect("a commit");
    let full_id = full(&db, "/b/0").backup_id;
    db.set("b", "1").expect("a commit");
    let first = db.backup_since(full_id, "/b/1").expect("an increment").backup_id;
    // Two ways to go on from the same, the second of which is followed in its turn.
    db.set("c", "1").expect("a commit");
    let second = db.backup_since(first, "/b/2").expect("an increment").backup_id;
    let other = db.backup_since(first, "/b/2-again").expect("an increment").backup_id;
    assert_ne!(second, other);
    db.delete("c").expect("a commit");
    db.backup_since(other, "/b/3").expect("an increment");
    // Of another database: its numbers are the same.
    let fs = Arc::new(disk.clone());
    let foreign = Db::open_with_fs(fs.clone(), "/foreign", options()).expect("opens");
    foreign.set("a", "1").expect("a commit");
    let foreign_full = full(&foreign, "/b/foreign-0");
    foreign.set("b", "of the other").expect("a commit");
    foreign.backup_since(foreign_full.backup_id, "/b/foreign-1").expect("an increment");
    // Of a copy of the directory that has gone its own way since, and knows the same base.
    let copy = disk.crash_image(&CrashModel::Everything);
    copy.set_seed(2);
    let fork = open(&copy);
    fork.set("only", "in the copy").expect("a commit");
    let forked = fork.backup_since(other, "/b/forked").expect("an increment");
    fork.backup_since(forked.backup_id, "/b/forked-2").expect("an increment");
    for path in ["/b/forked", "/b/forked-2"] {
        write_file(&disk, path, &read_file(&copy, path));
    }
    let before = (all(&db), names(&disk, DIR), db.metrics().last_seq);
    let cases: [(&[&str], &str); 11] = [
        (&[], "no backup is named"),
        (&["1"], "is an increment upon the backup"),
        (&["1", "2"], "is an increment upon the backup"),
        (&["1", "0"], "is an increment upon the backup"),
        (&["0", "2"], "which is missing"),
        (&["0", "0"], "it is a full backup"),
        (&["0", "1", "1"], "it follows upon /b/0"),
        (&["0", "1", "2", "1"], "it follows upon /b/0"),
        (&["0", "1", "2", "3"], "which is missing"),
        (&["0", "foreign-1"], "it is of another database"),
        (&["0", "1", "2-again", "3", "forked-2"], "which is missing"),
    ];
    let options = RestoreOptions::default;
    for (chain, expected) in cases {
        let paths: Vec<String> = chain.iter().map(|name| format!("/b/{name}")).collect();
        let told = invalid(db.restore_chain(&paths, options()).expect_err("no chain"));
        assert!(told.contains(expected), "{chain:?}: {told}");
        let is_named = chain.last().is_none_or(|last| told.contains(last) || chain[0] == "1");
        assert!(is_named, "{chain:?}: {told}");
        let e = db.verify_backup_chain(&paths).expect_err("no chain");
        assert_eq!(invalid(e), told);
        let files: Vec<_> = paths.iter().map(|path| read_file(&disk, path)).collect();
        let reads = files.iter().map(Vec::as_slice);
        invalid(db.restore_chain_from(reads, options()).expect_err("no chain"));
        let made = Db::create_from_backups_with_fs(fs.clone(), &paths, "/new", self::options());
        assert_eq!(invalid(made.expect_err("no chain")), told);
        assert_eq!((all(&db), names(&disk, DIR), db.metrics().last_seq), before, "{chain:?}");
        assert!(disk.list("/new".as_ref()).is_err(), "nothing is made");
    }
    // An increment alone is refused where a full backup is asked for, by the engine in memory too.
    let told = invalid(db.restore("/b/1").expect_err("an increment"));
    assert!(told.contains(&format!("{full_id:016x}")), "{told}");
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("increment");
    std::fs::write(&path, read_file(&disk, "/b/1")).expect("written");
    let memory = MemoryEngine::new();
    assert!(invalid(memory.restore(&path).expect_err("an increment")).contains("increment"));
    // Both ways are ways, and so is that of the copy: it begins where the chain ends.
    assert_eq!(restored(&disk, &["/b/0", "/b/1", "/b/2"]).len(), 3);
    assert_eq!(restored(&disk, &["/b/0", "/b/1", "/b/2-again", "/b/3"]), all(&db));
    let forked = ["/b/0", "/b/1", "/b/2-again", "/b/forked", "/b/forked-2"];
    assert_eq!(restored(&disk, &forked), all(&fork));
}

#[test]
fn a_new_database_begins_with_a_full_one() {
    let disk = quiet_disk();
    let db = open(&disk);
    db.set("a", "1").expect("a commit");
    let base = full(&db, "/b/0").backup_id;
    db.checkpoint("/checkpoint").expect("a checkpoint");
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    let made = [
        Db::open_with_fs(fs.clone(), "/checkpoint", options()).expect("opens"),
        Db::create_from_backup_with_fs(fs.clone(), "/b/0", "/copy", options()).expect("restored"),
    ];
    for other in made {
        other.delete("a").expect("a commit");
        let told = invalid(other.backup_since(base, "/b/1").expect_err("not its own"));
        assert!(told.contains("no backup is followed"), "{told}");
        let own = full(&other, "/b/1").backup_id;
        other.backup_since(own, "/b/2").expect("an increment");
        // Nor are the increments of the copy any of the original's.
        invalid(db.verify_backup_chain(["/b/0", "/b/2"]).expect_err("no chain"));
        invalid(db.backup_since(own, "/b/3").expect_err("not its own"));
    }
    assert_eq!(ids(&db), [base]);
}
