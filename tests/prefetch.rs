//! A scan over large values asks for those to come, where reads are slow, and only there.

use esker::sim::{SimClock, SimFs};
use esker::{Clock, Db, DirLock, File, Fs, OpenMode, Options};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const VALUES: u64 = 400;

/// A disk on which a read of a file with values takes a millisecond, unless it was asked for before.
#[derive(Debug, Clone)]
struct SlowDisk {
    below: SimFs,
    clock: Arc<SimClock>,
    reads: Arc<Mutex<Reads>>,
}

#[derive(Debug, Default)]
struct Reads {
    /// None: all is in the page cache.
    asked_for: Option<BTreeSet<(u64, u64)>>,
    /// Reads, counted from 0, that are slow though all is in the page cache.
    held_up: Vec<usize>,
    hints: usize,
    slow: usize,
    quick: usize,
}

impl SlowDisk {
    fn new() -> Self {
        let below = SimFs::new();
        SlowDisk { clock: below.sim_clock(), below, reads: Arc::default() }
    }

    fn set_cold(&self, is_cold: bool) {
        let asked_for = is_cold.then(BTreeSet::new);
        *self.reads.lock().expect("no panic") = Reads { asked_for, ..Reads::default() };
    }

    /// All is in the page cache, and yet these reads are slow.
    fn hold_up(&self, reads: &[usize]) {
        self.set_cold(false);
        self.reads.lock().expect("no panic").held_up = reads.to_vec();
    }

    fn counts(&self) -> (usize, usize, usize) {
        let reads = self.reads.lock().expect("no panic");
        (reads.hints, reads.slow, reads.quick)
    }
}

impl Fs for SlowDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let below = self.below.open(path, mode)?;
        let holds_values = path.extension().is_some_and(|e| e == "log" || e == "val");
        Ok(Arc::new(SlowFile { disk: self.clone(), below, holds_values }))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.below.create_dir_all(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.below.list(path)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.below.link(from, to)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.below.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.below.remove(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.below.sync_dir(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        self.below.lock(path)
    }
    fn clock(&self) -> Arc<dyn Clock> {
        self.below.clock()
    }
    fn allows_threads(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct SlowFile {
    disk: SlowDisk,
    below: Arc<dyn File>,
    holds_values: bool,
}

impl File for SlowFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.holds_values {
            let mut reads = self.disk.reads.lock().expect("no panic");
            let range = (offset, buf.len() as u64);
            let is_slow = match &reads.asked_for {
                Some(asked_for) => !asked_for.contains(&range),
                None => reads.held_up.contains(&(reads.slow + reads.quick)),
            };
            if is_slow {
                reads.slow += 1;
                self.disk.clock.advance(Duration::from_millis(1));
            } else {
                reads.quick += 1;
            }
        }
        self.below.read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.below.write_at(buf, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.below.sync_data()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.below.set_len(len)
    }
    fn len(&self) -> io::Result<u64> {
        self.below.len()
    }
    fn will_need(&self, offset: u64, bytes: u64) {
        assert!(self.holds_values, "only values are asked for");
        let mut reads = self.disk.reads.lock().expect("no panic");
        reads.hints += 1;
        if let Some(asked_for) = &mut reads.asked_for {
            asked_for.insert((offset, bytes));
        }
    }
}

/// Large values, with small ones, overwritten ones and deleted ones between them.
fn filled(disk: &SlowDisk) -> Db {
    // In another order than that of the keys.
    filled_by(disk, |n| n * 77 % VALUES)
}

fn filled_by(disk: &SlowDisk, order: impl Fn(u64) -> u64) -> Db {
    let db = Db::open_with_fs(Arc::new(disk.clone()), "/db", Options::default()).expect("opens");
    for round in 0..2_u8 {
        for n in 0..VALUES {
            let n = order(n);
            let key = format!("key{n:05}");
            db.set(&key, vec![round + 1; 5000]).expect("a set");
            db.set(format!("{key} small"), "x").expect("a set");
            db.set(format!("{key} gone"), vec![9; 4000]).expect("a set");
            db.delete(format!("{key} gone")).expect("a delete");
        }
        db.flush().expect("a flush");
    }
    db
}

fn walk(db: &Db, backwards: bool) -> usize {
    let see = |entry: esker::Result<(esker::Key, esker::Value)>| {
        let (key, value) = entry.expect("a read");
        assert!(*value == [2; 5000] || (key.ends_with(b"small") && *value == b"x"[..]));
    };
    if backwards { db.iter().rev().map(see).count() } else { db.iter().map(see).count() }
}

#[test]
fn a_scan_asks_for_the_values_to_come_where_reads_are_slow() {
    let disk = SlowDisk::new();
    let db = filled(&disk);
    let values = usize::try_from(VALUES).expect("small");
    for backwards in [false, true] {
        disk.set_cold(true);
        assert_eq!(walk(&db, backwards), 2 * values);
        // The first one is slow, and tells.
        assert_eq!(disk.counts(), (values - 1, 1, values - 1), "backwards: {backwards}");
        disk.set_cold(false);
        assert_eq!(walk(&db, backwards), 2 * values);
        assert_eq!(disk.counts(), (0, 0, values), "nothing is asked for that is in the page cache");
    }
}

#[test]
fn keys_and_short_scans_ask_for_no_more_than_they_come_to() {
    let disk = SlowDisk::new();
    let db = filled(&disk);
    disk.set_cold(true);
    assert_eq!(db.iter().keys().count() as u64, 2 * VALUES);
    assert_eq!(disk.counts(), (0, 0, 0));
    // Five values, and the bounds hold for what is asked for, too.
    assert_eq!(db.range("key00010".."key00015").count(), 10);
    assert_eq!(disk.counts(), (4, 1, 4));
    // Both ends of one range.
    disk.set_cold(true);
    let mut range = db.range("key00100".."key00120");
    let mut count = 0;
    while let (Some(front), back) = (range.next(), range.next_back()) {
        front.expect("a read");
        count += 1 + usize::from(back.is_some_and(|back| back.is_ok()));
    }
    assert_eq!(count, 40);
    // What one end asked for the other finds.
    assert_eq!(disk.counts(), (19, 1, 19));
}

/// A thread that waits for a processor in the midst of a read has a slow one now and then. Each sent out a scout for a thousand values,
/// which was a tenth of a scan over values of 1 KiB in the page cache.
#[test]
fn one_slow_read_among_quick_ones_is_by_chance() {
    let disk = SlowDisk::new();
    let db = filled(&disk);
    let values = usize::try_from(VALUES).expect("small");
    for backwards in [false, true] {
        disk.hold_up(&[20, 40, 60, 200]);
        walk(&db, backwards);
        assert_eq!(disk.counts(), (0, 4, values - 4), "backwards: {backwards}");
        // Two that are near to each other are not.
        disk.hold_up(&[20, 50, 60]);
        walk(&db, backwards);
        assert_eq!(disk.counts(), (values - 61, 3, values - 3), "backwards: {backwards}");
    }
}

/// Values that were read together with one before took no read of their own, and say nothing of the disk.
#[test]
fn values_at_hand_are_no_quick_reads() {
    let disk = SlowDisk::new();
    let db = filled_by(&disk, |n| n);
    disk.set_cold(false);
    walk(&db, false);
    let (hints, _, reads) = disk.counts();
    assert!(hints == 0 && (5..100).contains(&reads), "{reads} reads");
    disk.hold_up(&[3, 4]);
    walk(&db, false);
    assert!(disk.counts().0 > 100, "two of two reads were slow");
}
