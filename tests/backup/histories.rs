//! Random histories with increments in them: what a chain comes to, and how much is in each increment, is
//! held against a map. A failure prints its seed; `ESKER_BACKUP_SEED=SEED cargo test --test backup histories`
//! runs that one again.

use crate::fixture::{Entries, all, noise, open, options, quiet_disk};
use esker::sim::{CrashModel, SimFs};
use esker::{BackupOptions, Clock, Db, Fs, RestoreOptions, WriteBatch};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const KEYS: u64 = 40;
const STEPS: u64 = 120;
const SEEDS: u64 = 24;

/// By key a value, and when it expires, in milliseconds since the Unix epoch.
type Content = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// A backup.
struct Link {
    id: u64,
    /// From the full one to this.
    paths: Vec<String>,
    content: Content,
    /// The keys that were written since.
    touched: BTreeSet<Vec<u8>>,
}

struct History {
    disk: SimFs,
    db: Db,
    dice: Dice,
    content: Content,
    links: Vec<Link>,
    /// Those that can be followed, by their place among the links, the oldest first.
    followed: Vec<usize>,
    increments: usize,
    deletes: u64,
}

impl History {
    fn new(seed: u64) -> Self {
        let disk = quiet_disk();
        let (db, dice) = (open(&disk), Dice(seed));
        let (content, links, followed) = (Content::new(), Vec::new(), Vec::new());
        History { disk, db, dice, content, links, followed, increments: 0, deletes: 0 }
    }

    fn step(&mut self) {
        match self.dice.below(100) {
            0..40 => self.write(1),
            40..50 => {
                let count = 2 + self.dice.below(12);
                self.write(count);
            }
            50..54 => self.ingest(),
            54..62 => self.db.flush().expect("flushed"),
            62..69 => self.db.compact().expect("compacted"),
            69..71 => drop(self.db.collect_garbage().expect("collected")),
            71..75 => {
                let ms = if self.dice.below(3) == 0 { 700_000 } else { self.dice.below(3000) };
                self.disk.sim_clock().advance(Duration::from_millis(ms));
            }
            75..80 => self.reopen(),
            80..83 => self.full(),
            83..98 if !self.followed.is_empty() => self.increment(),
            83..98 => self.full(),
            98 => self.restore(),
            _ => {
                self.db.follow_no_backups().expect("recorded");
                self.followed.clear();
            }
        }
        let expected: Vec<u64> = self.followed.iter().map(|&at| self.links[at].id).collect();
        let found = self.db.followed_backups();
        assert_eq!(found.iter().map(|backup| backup.backup_id).collect::<Vec<_>>(), expected);
    }

    fn key(&mut self) -> Vec<u8> {
        format!("k{:02}", self.dice.below(KEYS)).into_bytes()
    }

    fn value(&mut self) -> Vec<u8> {
        // Some stand apart, in the log and in value files.
        let size = [5, 40, 200, 300, 2000][usize::try_from(self.dice.below(5)).expect("small")];
        noise(self.dice.below(u64::MAX), size)
    }

    fn write(&mut self, count: u64) {
        let mut batch = WriteBatch::new();
        let now_ms = self.disk.sim_clock().now_ms();
        for _ in 0..count {
            let key = self.key();
            match self.dice.below(10) {
                0..4 => {
                    batch.delete(&key);
                    self.content.remove(&key);
                }
                4..6 => {
                    let (value, ms) = (self.value(), 1 + self.dice.below(4000));
                    batch.set_with_ttl(&key, &value, Duration::from_millis(ms));
                    self.content.insert(key.clone(), (value, Some(now_ms + ms)));
                }
                _ => {
                    let value = self.value();
                    batch.set(&key, &value);
                    self.content.insert(key.clone(), (value, None));
                }
            }
            self.touch(&key);
        }
        self.db.write(batch).expect("a commit");
    }

    fn ingest(&mut self) {
        let count = 1 + self.dice.below(10);
        let entries: Entries = (0..count).map(|_| (self.key(), self.value())).collect();
        let entries: BTreeMap<_, _> = entries.into_iter().collect();
        self.db.ingest(&entries).expect("ingested");
        for (key, value) in entries {
            self.touch(&key);
            self.content.insert(key, (value, None));
        }
    }

    fn touch(&mut self, key: &[u8]) {
        for link in &mut self.links {
            link.touched.insert(key.to_vec());
        }
    }

    /// Closed, or killed, or the power goes with everything durable.
    fn reopen(&mut self) {
        let before = self.disk.clone();
        match self.dice.below(3) {
            0 => self.db.close().expect("closed"),
            1 => self.disk = self.disk.crash_image(&CrashModel::Everything),
            _ => {
                self.db.persist().expect("a sync");
                self.disk = self.disk.crash_image(&CrashModel::SyncedOnly);
            }
        }
        self.disk.set_threads(false);
        // An image counts its calls anew, by which identities are drawn: no two backups are to draw the same.
        while self.disk.calls() < before.calls() {
            self.disk.list(Path::new("/")).expect("a directory");
        }
        // Locks of the disk before are free on the new one; closed, the old handle holds none.
        self.db = open(&self.disk);
    }

    fn full(&mut self) {
        let path = format!("/backups/{}", self.links.len());
        let options = BackupOptions { followed: true, ..BackupOptions::default() };
        let report = self.db.backup_with(&path, options).expect("a backup");
        self.followed.drain(..self.followed.len().saturating_sub(1));
        self.made(report.backup_id, vec![path]);
    }

    fn increment(&mut self) {
        // Most often upon the last.
        let count = self.followed.len();
        let back = if self.dice.below(3) > 0 { 0 } else { self.dice.below(count as u64) };
        let at = count - 1 - usize::try_from(back).expect("small");
        let base = &self.links[self.followed[at]];
        let path = format!("/backups/{}", self.links.len());
        let report = self.db.backup_since(base.id, &path).expect("an increment");
        // Each key that was written since, and no other.
        assert_eq!(report.entries, base.touched.len() as u64, "keys of the increment");
        let info = self.db.verify_backup(&path).expect("sound");
        assert_eq!(info.base_id, Some(base.id));
        self.deletes += info.deletes;
        let paths = base.paths.iter().cloned().chain([path]).collect();
        self.followed.drain(..at);
        self.increments += 1;
        self.made(report.backup_id, paths);
        self.check(self.links.len() - 1);
    }

    fn made(&mut self, id: u64, paths: Vec<String>) {
        self.followed.push(self.links.len());
        let content = self.content.clone();
        self.links.push(Link { id, paths, content, touched: BTreeSet::new() });
    }

    fn restore(&mut self) {
        if self.links.is_empty() {
            return;
        }
        let at = usize::try_from(self.dice.below(self.links.len() as u64)).expect("small");
        let link = &self.links[at];
        self.db.restore_chain(&link.paths, RestoreOptions::default()).expect("restored");
        self.content = link.content.clone();
        self.followed.clear();
        assert_eq!(all(&self.db), self.visible(&self.content));
    }

    fn visible(&self, content: &Content) -> Entries {
        let now_ms = self.disk.sim_clock().now_ms();
        let alive = content.iter().filter(|(_, (_, at_ms))| at_ms.is_none_or(|at| now_ms < at));
        alive.map(|(key, (value, _))| (key.clone(), value.clone())).collect()
    }

    /// What there is after the backup `at` comes out of the files up to it.
    fn check(&self, at: usize) {
        let link = &self.links[at];
        let copy = self.disk.crash_image(&CrashModel::Everything);
        copy.set_threads(false);
        let paths = &link.paths;
        let other = Db::create_from_backups_with_fs(Arc::new(copy), paths, "/restored", options())
            .expect("restored");
        assert_eq!(all(&other), self.visible(&link.content), "the chain {paths:?}");
        other.verify().expect("sound");
    }
}

#[test]
fn every_chain_of_a_random_history_comes_to_what_was_there() {
    let seeds = match std::env::var("ESKER_BACKUP_SEED") {
        Ok(seed) => vec![seed.parse().expect("a number")],
        Err(_) => (1..=SEEDS).collect(),
    };
    let (mut increments, mut deletes) = (0, 0);
    for seed in seeds {
        println!("seed {seed}");
        let mut history = History::new(seed);
        (0..STEPS).for_each(|_| history.step());
        assert_eq!(all(&history.db), history.visible(&history.content));
        history.db.verify().expect("sound");
        // They stay what they were, whatever came after.
        (0..history.links.len()).step_by(3).for_each(|at| history.check(at));
        assert!(names_of(&history).iter().all(|name| !name.contains("partial")));
        (increments, deletes) = (increments + history.increments, deletes + history.deletes);
    }
    println!("{increments} increments, {deletes} deletes in them");
    assert!(increments > 5 && deletes > 5, "{increments} increments, {deletes} deletes");
}

fn names_of(history: &History) -> Vec<String> {
    let is_none = history.links.is_empty();
    if is_none { Vec::new() } else { crate::fixture::names(&history.disk, "/backups") }
}
