//! A small database with every kind of file, and all that it has ever been.

use crate::disk::{DIR, Files, files, wait_for_removal};
use esker::sim::{CallKind, CrashModel, Fault, FaultPlan, SimFs};
use esker::{Compression, Db, Fs, Options, SyncPolicy, WriteBatch};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// The time at which every damaged database is opened.
pub const NOW_MS: u64 = 1_704_067_200_000;
/// Size of a log file's header.
pub const LOG_HEADER: usize = 48;
/// How many of the zeros that the log writes ahead are kept.
pub const PADDING: usize = 100;

/// No value here is as large.
const NONE_LARGE: usize = 1024;

/// What a reader sees.
pub type Model = BTreeMap<String, String>;

/// A log file: which commits it holds, and where.
#[derive(Debug, Clone)]
pub struct LogPart {
    pub name: String,
    /// Where its header ends, and then each of its records.
    pub ends: Vec<usize>,
    /// The state before its first record.
    pub first: usize,
    /// Bytes that had been written to the log before its first record.
    written_before: u64,
}

impl LogPart {
    /// The file that the next record goes into.
    fn new(life: &Life) -> Self {
        LogPart {
            name: String::new(),
            ends: vec![LOG_HEADER],
            first: life.states.len() - 1,
            written_before: life.db().metrics().log_written_bytes,
        }
    }

    /// Notes the record that was just written.
    fn add(&mut self, life: &Life) {
        let written = life.db().metrics().log_written_bytes - self.written_before;
        self.ends.push(LOG_HEADER + usize::try_from(written).expect("small"));
    }

    /// The record in which the byte at `at` stands, counted from 0; `None` in
    /// the header and in the padding.
    pub fn record_at(&self, at: usize) -> Option<usize> {
        let after = self.ends.iter().position(|&end| at < end)?;
        after.checked_sub(1)
    }

    pub fn records(&self) -> usize {
        self.ends.len() - 1
    }
}

/// The database, as it was left.
#[derive(Debug)]
pub struct Fixture {
    pub policy: SyncPolicy,
    pub options: Options,
    pub files: Files,
    /// The last sequence number and the entries after each commit.
    pub states: Vec<(u64, Model)>,
    /// Its log files: a sealed one, and the one that was being written.
    pub logs: [LogPart; 2],
    /// Every key that ever was, and two that never were.
    pub keys: BTreeSet<String>,
    /// Its files at earlier moments.
    pub older: Vec<Files>,
}

/// All commits durable, blocks compressed.
pub static SYNCED: LazyLock<Fixture> =
    LazyLock::new(|| Fixture::new(SyncPolicy::Always, Compression::Snappy, NONE_LARGE));

/// The same life in another database.
pub static OTHER: LazyLock<Fixture> =
    LazyLock::new(|| Fixture::new(SyncPolicy::Always, Compression::Snappy, NONE_LARGE));

/// The records of both logs not durable, blocks as they are.
pub static UNSYNCED: LazyLock<Fixture> =
    LazyLock::new(|| Fixture::new(SyncPolicy::Never, Compression::None, NONE_LARGE));

/// As [`SYNCED`], with values that are kept out of the tables: in log files that stayed, in a
/// value file, and in both log files that are replayed.
pub static LARGE: LazyLock<Fixture> =
    LazyLock::new(|| Fixture::new(SyncPolicy::Always, Compression::None, 64));

/// One operation: a key, and its new value with a time to live, or none.
type Op<'a> = (&'a str, Option<(&'a str, u64)>);

fn value(text: &str) -> String {
    format!("{text} {text} {text} {text} {text} {text}")
}

struct Life {
    fs: SimFs,
    options: Options,
    db: Option<Db>,
    states: Vec<(u64, Model)>,
    keys: BTreeSet<String>,
    older: Vec<Files>,
}

impl Life {
    fn db(&self) -> &Db {
        self.db.as_ref().expect("open")
    }

    fn open(&mut self) {
        self.db = None;
        let fs = Arc::new(self.fs.clone());
        self.db = Some(Db::open_with_fs(fs, DIR, self.options.clone()).expect("opens"));
    }

    fn commit(&mut self, ops: &[Op<'_>]) {
        let mut batch = WriteBatch::new();
        let mut state = self.states.last().expect("the first").1.clone();
        for &(key, set) in ops {
            self.keys.insert(key.to_owned());
            match set {
                Some((text, ttl_s)) => {
                    let value = value(text);
                    match ttl_s {
                        0 => batch.set(key, &value),
                        s => batch.set_with_ttl(key, &value, Duration::from_secs(s)),
                    }
                    state.insert(key.to_owned(), value);
                }
                None => {
                    batch.delete(key);
                    state.remove(key);
                }
            }
        }
        self.db().write(batch).expect("a commit");
        self.states.push((self.db().metrics().last_seq, state));
    }

    fn flush(&mut self) {
        self.db().flush().expect("a flush");
        let names = self.fs.list(Path::new(DIR)).expect("a directory");
        let value_files = names.iter().filter(|name| name.ends_with(".val")).count();
        wait_for_removal(&self.fs, self.db().metrics().values.files - value_files);
        self.keep();
    }

    fn keep(&mut self) {
        let mut files = files(&self.fs.crash_image(&CrashModel::Everything));
        files.values_mut().for_each(cut_zeros);
        self.older.push(files);
    }
}

/// Cuts all but a few of the zeros at the end.
fn cut_zeros(bytes: &mut Vec<u8>) {
    let end = bytes.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
    bytes.truncate(bytes.len().min(end + PADDING));
}

impl Fixture {
    fn new(policy: SyncPolicy, compression: Compression, value_threshold: usize) -> Self {
        let options = Options {
            sync_policy: policy,
            compression,
            value_threshold,
            memtable_bytes: 64 << 10,
            block_bytes: 256,
            // What is damaged stays where it is until it is looked at.
            auto_compaction: false,
            disk_reserve_bytes: 0,
            ..Options::default()
        };
        let mut life = Life {
            fs: SimFs::new(),
            options: options.clone(),
            db: None,
            states: vec![(0, Model::new())],
            keys: ["".to_owned(), "never".to_owned()].into(),
            older: Vec::new(),
        };
        let logs = life.live(policy);
        let mut files = files(&life.fs.crash_image(&CrashModel::Everything));
        let mut names = files.keys().filter(|name| name.ends_with(".log")).rev().cloned();
        let (last, first) = (names.next().expect("a log"), names.next().expect("one before"));
        let [mut sealed, mut open] = logs;
        (sealed.name, open.name) = (first, last);
        for log in [&sealed, &open] {
            let end = log.ends[log.records()];
            files.get_mut(&log.name).expect("a log").truncate(end + PADDING);
        }
        files.insert("LOCK".to_owned(), b"123".to_vec());
        let Life { states, keys, older, .. } = life;
        let logs = [sealed, open];
        Fixture { policy, options, files, states, logs, keys, older }
    }

    /// The number of the last commit.
    pub fn last(&self) -> usize {
        self.states.len() - 1
    }

    pub fn manifest(&self) -> &String {
        self.files.keys().find(|name| name.starts_with("MANIFEST")).expect("a manifest")
    }
}

impl Life {
    /// Two runs, five tables with overwritten, deleted and expiring entries
    /// across them, and the log that the last run left.
    fn live(&mut self, policy: SyncPolicy) -> [LogPart; 2] {
        let clock = self.fs.sim_clock();
        clock.set_ms(NOW_MS - 3_600_000);
        self.open();
        self.keep();
        let set = |key, text| (key, Some((text, 0)));
        let a: Vec<_> = ["a0", "a1", "a2", "a3", "a4", "a5"].map(|key| set(key, key)).into();
        self.commit(&a);
        self.commit(&[("past", Some(("gone by now", 1)))]);
        clock.set_ms(NOW_MS);
        self.commit(&[("seen", Some(("seen as expired", 10)))]);
        clock.set_ms(NOW_MS + 10_000);
        assert!(self.db().get("seen").expect("a read").is_none());
        clock.set_ms(NOW_MS);
        for (_, state) in &mut self.states {
            state.remove("seen");
            state.remove("past");
        }
        self.commit(&[set("a1", "second"), ("a2", None), set("a6", "a6"), set("a7", "a7")]);
        self.flush();
        self.commit(&[set("a1", "third"), set("a2", "back again"), ("a3", None)]);
        self.commit(&[("later", Some(("alive", 7_200))), set("b0", "b0"), set("b1", "b1")]);
        self.commit(&[set("b2", "b2"), set("b3", "b3"), set("b4", "b4"), ("a4", None)]);
        self.flush();
        self.commit(&[set("b1", "new"), ("b2", None), set("c0", "c0"), set("a0", "new")]);
        if self.options.value_threshold < NONE_LARGE {
            self.commit(&[set("v0", "moved to a value file"), set("v1", "and so is this one")]);
        }
        self.keep();
        self.open();
        self.keep();
        self.commit(&[set("c1", "c1"), ("b3", None), set("a1", "fourth")]);
        self.commit(&[set("c2", "c2"), ("b0", Some(("renewed", 9_000)))]);
        self.flush();
        self.commit(&[("c2", None), set("d0", "d0")]);
        self.flush();
        self.logs(policy)
    }

    /// The log that stays: from here on no more tables can be made.
    fn logs(&mut self, policy: SyncPolicy) -> [LogPart; 2] {
        let set = |key, text| (key, Some((text, 0)));
        self.fs.fail(FaultPlan::from_on(2, Fault::Errno(28)).only(CallKind::Create));
        let mut sealed = LogPart::new(self);
        let groups: [&[Op<'_>]; 4] = [
            &[set("a5", "logged"), ("a6", None)],
            &[set("d1", "d1")],
            &[("d0", None), set("d1", "twice"), ("d2", Some(("expiring", 8_000)))],
            &[set("a3", "back")],
        ];
        for ops in groups {
            self.commit(ops);
            sealed.add(self);
        }
        self.keep();
        let mut open = LogPart::new(self);
        match policy {
            SyncPolicy::Always => drop(self.db().flush().expect_err("no room for a table")),
            // That would sync the log. A batch that takes a whole memtable
            // begins a new one, and a new log file, without.
            _ => {
                self.commit(&vec![("d", None); 700]);
                open.add(self);
            }
        }
        self.keep();
        let groups: [&[Op<'_>]; 3] =
            [&[set("a5", "logged again"), ("d1", None)], &[set("e", "e")], &[("a7", None)]];
        for ops in groups {
            self.commit(ops);
            open.add(self);
            self.keep();
        }
        [sealed, open]
    }
}
