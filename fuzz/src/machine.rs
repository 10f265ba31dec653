//! A database beside a map that says what it must answer.
//!
//! Time may step back. What the database has once shown as expired stays so;
//! the model follows that by reading everything before it lets time go, so
//! that both have seen the same.

use esker::crashtest::{Op, difference};
use esker::sim::SimFs;
use esker::{Db, Fs, Options, Range, Snapshot, WriteBatch, WriteOptions};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// A value and when it expires.
type Said = (Vec<u8>, Option<u64>);

/// The map, and what is known to be expired.
#[derive(Debug, Clone, Default)]
pub struct Model {
    entries: BTreeMap<Vec<u8>, Said>,
}

/// Everything that expires at or before it is expired, whatever the clock says.
type Floor = u64;

impl Model {
    fn apply(&mut self, op: &Op, now_ms: u64, floor: Floor) {
        match op {
            Op::Put { key, value, ttl } => {
                let ms = |ttl: &Duration| u64::try_from(ttl.as_millis()).expect("short");
                let expires = ttl.as_ref().map(|ttl| now_ms.max(floor) + ms(ttl));
                self.entries.insert(key.clone(), (value.clone(), expires));
            }
            Op::Delete { key } => drop(self.entries.remove(key)),
        }
    }

    /// What is alive, and the floor once a reader has seen what is not.
    fn seen(&self, now_ms: u64, floor: &mut Floor) -> Vec<Entry> {
        for (_, expires) in self.entries.values() {
            if let Some(at) = *expires
                && at <= now_ms
            {
                *floor = at.max(*floor);
            }
        }
        let is_alive = |expires: Option<u64>| expires.is_none_or(|at| at > *floor);
        let alive = self.entries.iter().filter(|(_, (_, expires))| is_alive(*expires));
        alive.map(|(key, (value, _))| (key.clone(), value.clone())).collect()
    }

    /// All entries, the expired ones too.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|(key, (value, _))| (&key[..], &value[..]))
    }

    /// The keys of what expires, or has.
    pub fn expiring(&self) -> BTreeSet<&[u8]> {
        let expiring = self.entries.iter().filter(|(_, (_, expires))| expires.is_some());
        expiring.map(|(key, _)| &key[..]).collect()
    }
}

/// An iterator that somebody holds, and what it must show.
#[derive(Debug)]
struct Held {
    range: Range,
    left: Vec<Entry>,
    /// Of these keys the entries may expire before it comes there.
    expiring: BTreeSet<Vec<u8>>,
}

impl Held {
    fn finish(self) {
        let Held { range, left, expiring } = self;
        let mut found = range.map(owned).peekable();
        for entry in left {
            if found.peek() == Some(&entry) {
                found.next();
            } else {
                assert!(
                    expiring.contains(&entry.0),
                    "an iterator lacks {} of {} B; next is {:?}",
                    entry.0.escape_ascii(),
                    entry.1.len(),
                    found.peek().map(|(key, value)| (key.escape_ascii().to_string(), value.len()))
                );
            }
        }
        assert_eq!(found.next(), None, "an iterator shows more");
    }
}

/// A database on a simulated disk, without threads, and its model.
#[derive(Debug)]
pub struct Machine {
    fs: SimFs,
    options: Options,
    db: Db,
    model: Model,
    floor: Floor,
    snapshots: VecDeque<(Snapshot, Model)>,
    held: VecDeque<Held>,
}

impl Machine {
    /// A new one.
    ///
    /// # Panics
    /// Here and below: when the database does not do what it must.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let fs = SimFs::new();
        fs.set_threads(false);
        let db = open(&fs, &options);
        let model = Model::default();
        let (snapshots, held) = (VecDeque::new(), VecDeque::new());
        Machine { fs, options, db, model, floor: 0, snapshots, held }
    }

    /// The database.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Its disk.
    #[must_use]
    pub fn fs(&self) -> &SimFs {
        &self.fs
    }

    /// How it was opened.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What is in it.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// How many snapshots, and how many iterators, are held.
    #[must_use]
    pub fn readers(&self) -> (usize, usize) {
        (self.snapshots.len(), self.held.len())
    }

    fn now_ms(&self) -> u64 {
        self.fs.clock().now_ms()
    }

    /// Commits `ops`.
    pub fn commit(&mut self, ops: &[Op], sync: Option<bool>) {
        // Whoever reads raises the floor; so the model reads as well.
        self.read_all();
        let mut batch = WriteBatch::new();
        for op in ops {
            match op {
                Op::Put { key, value, ttl: None } => batch.set(key, value),
                Op::Put { key, value, ttl: Some(ttl) } => batch.set_with_ttl(key, value, *ttl),
                Op::Delete { key } => batch.delete(key),
            };
        }
        self.db.write_with(batch, WriteOptions { sync }).expect("write");
        let now_ms = self.now_ms();
        ops.iter().for_each(|op| self.model.apply(op, now_ms, self.floor));
    }

    /// Takes a snapshot.
    pub fn take_snapshot(&mut self) {
        self.snapshots.push_back((self.db.snapshot(), self.model.clone()));
    }

    /// Lets the oldest one go.
    pub fn drop_snapshot(&mut self) {
        self.snapshots.pop_front();
    }

    /// Begins an iterator over everything, and takes its first entry.
    pub fn hold_iterator(&mut self) {
        self.read_all();
        let mut left = self.seen();
        let mut range = self.db.iter();
        let first = (!left.is_empty()).then(|| left.remove(0));
        assert_eq!(range.next().map(owned), first, "the first entry");
        let expiring = self.model.expiring().into_iter().map(<[u8]>::to_vec).collect();
        self.held.push_back(Held { range, left, expiring });
    }

    /// Takes the oldest iterator to its end.
    pub fn finish_iterator(&mut self) {
        if let Some(held) = self.held.pop_front() {
            held.finish();
            self.read_all();
        }
    }

    /// Closes it and opens it again.
    pub fn reopen(&mut self) {
        self.read_all();
        self.leave();
        self.db.close().expect("close");
        self.db = open(&self.fs, &self.options);
    }

    /// Drops the handle, as a dying process does; `number` is unlike that of all others.
    pub fn abandon(&mut self, number: u64) {
        self.read_all();
        self.leave();
        if self.options.wal_enabled {
            // What was seen as expired is durable with the next commit, not before.
            let op = Op::put("~abandoned", number.to_string());
            self.db.set("~abandoned", number.to_string()).expect("set");
            self.model.apply(&op, self.now_ms(), self.floor);
        } else {
            self.db.close().expect("close");
        }
        // The old handle must be gone before the directory opens again.
        let elsewhere = SimFs::new();
        elsewhere.set_threads(false);
        self.db = open(&elsewhere, &self.options);
        self.db = open(&self.fs, &self.options);
    }

    /// The readers of a handle end before it does.
    fn leave(&mut self) {
        self.snapshots.clear();
        while let Some(held) = self.held.pop_front() {
            held.finish();
        }
    }

    /// Lets time pass.
    pub fn advance(&mut self, ms: u64) {
        self.fs.sim_clock().advance(Duration::from_millis(ms));
    }

    /// Sets the clock back.
    pub fn step_back(&mut self, ms: u64) {
        self.read_all();
        self.fs.sim_clock().step_back(Duration::from_millis(ms));
    }

    /// What a reader must see.
    pub fn seen(&mut self) -> Vec<Entry> {
        let now_ms = self.now_ms();
        self.model.seen(now_ms, &mut self.floor)
    }

    /// Scans everything, in every snapshot too.
    pub fn read_all(&mut self) {
        let expected = self.seen();
        let found: Vec<Entry> = self.db.iter().map(owned).collect();
        assert_same(&found, &expected, "everything");
        let now_ms = self.now_ms();
        for (snapshot, model) in &self.snapshots {
            let found: Vec<Entry> = snapshot.iter().map(owned).collect();
            assert_same(&found, &model.seen(now_ms, &mut self.floor), "a snapshot");
        }
        // A snapshot may have shown as expired what a newer entry hides.
        let found: Vec<Entry> = self.db.iter().map(owned).collect();
        assert_same(&found, &self.seen(), "everything, again");
    }

    /// Gets one key.
    pub fn get(&mut self, key: &[u8]) {
        let all = self.seen();
        let found = self.db.get(key).expect("get");
        assert_same_value(found.as_deref(), value_of(&all, key), "get", key);
        // The model saw all, so must the database have.
        self.read_all();
    }

    /// Scans everything, and gets each of `keys`, in every snapshot too.
    pub fn get_all(&mut self, keys: &[Vec<u8>]) {
        self.read_all();
        let now_ms = self.now_ms();
        let all = self.seen();
        for key in keys {
            let found = self.db.get(key).expect("get");
            assert_same_value(found.as_deref(), value_of(&all, key), "get", key);
        }
        for (snapshot, model) in &self.snapshots {
            let all = model.seen(now_ms, &mut self.floor);
            for key in keys {
                let found = snapshot.get(key).expect("get");
                assert_same_value(found.as_deref(), value_of(&all, key), "a snapshot's get", key);
            }
        }
    }
}

fn value_of<'a>(all: &'a [Entry], key: &[u8]) -> Option<&'a [u8]> {
    all.iter().find(|(k, _)| k == key).map(|(_, value)| &value[..])
}

/// Whole values would fill the screen many times.
fn assert_same(found: &Vec<Entry>, expected: &Vec<Entry>, what: &str) {
    if found != expected {
        let (count, lines) = difference(expected, found);
        panic!("{what}: {count} keys differ, or their order\n{lines}");
    }
}

fn assert_same_value(found: Option<&[u8]>, expected: Option<&[u8]>, what: &str, key: &[u8]) {
    let sizes = [expected, found].map(|value| value.map(<[u8]>::len));
    let key = key.escape_ascii();
    assert!(found == expected, "{what} of {key}: bytes expected and found: {sizes:?}");
}

/// An entry, of which a copy may be kept.
///
/// # Panics
/// When it is an error.
pub fn owned(entry: esker::Result<(esker::Key, esker::Value)>) -> Entry {
    let (key, value) = entry.expect("an entry");
    (key.to_vec(), value.to_vec())
}

fn open(fs: &SimFs, options: &Options) -> Db {
    Db::open_with_fs(Arc::new(fs.clone()), "/db", options.clone()).expect("opens")
}
