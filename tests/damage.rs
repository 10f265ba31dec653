//! Every prefix of a log file, and every flipped bit of a small one: the
//! database opens to a prefix of its commits, or refuses with `Corruption`
//! naming file and offset, by the rule of the durable offset.

use esker::sim::{CrashModel, SimFs};
use esker::{Db, Error, Fs, OpenMode, Options, SyncPolicy, WriteBatch};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/db";
const LOG: &str = "000001.log";
const LOG_HEADER: usize = 48;

type Files = BTreeMap<String, Vec<u8>>;
type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn options(sync_policy: SyncPolicy) -> Options {
    Options { sync_policy, memtable_bytes: 64 << 10, ..Options::default() }
}

/// All files of the database's directory.
fn files(fs: &SimFs) -> Files {
    let names = fs.list(Path::new(DIR)).expect("a directory");
    let read = |name: String| {
        let file = fs.open(&Path::new(DIR).join(&name), OpenMode::Read).expect("opens");
        let mut bytes = vec![0; usize::try_from(file.len().expect("len")).expect("small")];
        let mut at = 0;
        while at < bytes.len() {
            at += file.read_at(&mut bytes[at..], at as u64).expect("a read");
        }
        (name, bytes)
    };
    names.into_iter().map(read).collect()
}

/// A file system that holds `files`, durably.
fn disk_of(files: &Files) -> SimFs {
    let fs = SimFs::new();
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
    fs
}

/// A database with a few commits in its log, left without closing: its files,
/// the state after each commit, and where each record ends in the log.
struct Fixture {
    files: Files,
    states: Vec<Model>,
    ends: Vec<usize>,
}

impl Fixture {
    fn new(policy: SyncPolicy) -> Self {
        let fs = SimFs::new();
        let db = Db::open_with_fs(Arc::new(fs.clone()), DIR, options(policy)).expect("opens");
        let mut states = vec![Model::new()];
        let mut ends = vec![LOG_HEADER];
        for n in 0..9_u8 {
            let mut batch = WriteBatch::new();
            let mut state = states.last().expect("the first").clone();
            for i in 0..=n % 3 {
                let (key, value) = (vec![b'k', n % 4, i], vec![n; usize::from(n)]);
                batch.set(&key, &value);
                state.insert(key, value);
            }
            if n == 5 {
                batch.delete([b'k', 0, 0]);
                state.remove(&vec![b'k', 0, 0]);
            }
            db.write(batch).expect("a commit");
            states.push(state);
            let written = db.metrics().log_written_bytes;
            ends.push(LOG_HEADER + usize::try_from(written).expect("small"));
        }
        let mut files = files(&fs.crash_image(&CrashModel::Everything));
        // The zeros written ahead are many; some of them do.
        files.get_mut(LOG).expect("the log").truncate(ends[ends.len() - 1] + 100);
        Fixture { files, states, ends }
    }

    /// Opens the database with this log; which commits are there, or the error.
    fn open(&self, log: Vec<u8>) -> Result<(usize, Option<u64>), Error> {
        let mut files = self.files.clone();
        files.insert(LOG.to_owned(), log);
        let fs = disk_of(&files);
        let db = Db::open_with_fs(Arc::new(fs), DIR, options(SyncPolicy::Never))?;
        let state: Model = db
            .range::<&[u8]>(..)
            .map(|entry| entry.map(|(k, v)| (k.into(), v.into())))
            .collect::<Result<_, _>>()?;
        let commits = self.states.iter().position(|s| *s == state);
        let commits = commits.unwrap_or_else(|| panic!("no prefix of the commits: {state:?}"));
        Ok((commits, db.metrics().recovery.log_cut_at.map(|(_, offset)| offset)))
    }

    fn log(&self) -> Vec<u8> {
        self.files[LOG].clone()
    }

    /// The record in which the byte at `at` stands, counted from 0.
    fn record_at(&self, at: usize) -> Option<usize> {
        let last = *self.ends.last().expect("records");
        (LOG_HEADER..last)
            .contains(&at)
            .then(|| self.ends.iter().position(|&end| at < end).expect("before the last end") - 1)
    }
}

#[test]
fn every_prefix_of_the_log_opens_to_a_prefix_of_the_commits() {
    for policy in [SyncPolicy::Always, SyncPolicy::Never] {
        let fixture = Fixture::new(policy);
        let log = fixture.log();
        for cut in 0..=log.len() {
            let whole = fixture.ends.iter().filter(|&&end| end <= cut).count();
            let (commits, _) = fixture.open(log[..cut].to_vec()).expect("a torn tail opens");
            assert_eq!(commits, whole.saturating_sub(1), "{policy:?}, cut at {cut}");
        }
    }
}

#[test]
fn every_flipped_bit_of_an_unsynced_log_cuts_it_there() {
    let fixture = Fixture::new(SyncPolicy::Never);
    let log = fixture.log();
    for bit in 0..log.len() * 8 {
        let mut damaged = log.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let opened = fixture.open(damaged);
        if bit / 8 < LOG_HEADER {
            // The header was durable before the first commit.
            assert!(matches!(opened, Err(Error::Corruption { offset: 0, .. })), "bit {bit}");
            continue;
        }
        let (commits, cut_at) = opened.expect("nothing had been durable");
        match fixture.record_at(bit / 8) {
            Some(record) => {
                assert_eq!(commits, record, "bit {bit}");
                assert_eq!(cut_at, Some(fixture.ends[record] as u64), "bit {bit}: reported");
            }
            None => assert_eq!(commits, fixture.states.len() - 1, "bit {bit} of the padding"),
        }
    }
}

#[test]
fn every_flipped_bit_below_the_durable_offset_is_corruption() {
    let fixture = Fixture::new(SyncPolicy::Always);
    let log = fixture.log();
    let last = fixture.states.len() - 2;
    for bit in 0..fixture.ends[last + 1] * 8 {
        let mut damaged = log.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let at = fixture.record_at(bit / 8);
        match fixture.open(damaged) {
            // No record after the last one can say that it had been durable.
            Ok((commits, cut_at)) => {
                assert_eq!(at, Some(last), "bit {bit} opened");
                assert_eq!(commits, last, "bit {bit}");
                assert_eq!(cut_at, Some(fixture.ends[last] as u64), "bit {bit}: reported");
            }
            Err(Error::Corruption { file, offset, .. }) => {
                assert_ne!(at, Some(last), "bit {bit}");
                assert_eq!(file, Path::new(DIR).join(LOG), "bit {bit}");
                let start = at.map_or(0, |record| fixture.ends[record]);
                assert_eq!(offset, start as u64, "bit {bit}");
            }
            Err(e) => panic!("bit {bit}: {e}"),
        }
    }
}

#[test]
fn a_refused_open_changes_nothing() {
    let fixture = Fixture::new(SyncPolicy::Always);
    let mut damaged = fixture.files.clone();
    damaged.get_mut(LOG).expect("the log")[LOG_HEADER + 40] ^= 1;
    let fs = disk_of(&damaged);
    for _ in 0..2 {
        let opened = Db::open_with_fs(Arc::new(fs.clone()), DIR, Options::default());
        assert!(matches!(opened, Err(Error::Corruption { .. })));
        assert_eq!(files(&fs), damaged);
    }
}

#[test]
fn a_database_whose_current_is_gone_is_not_taken_for_a_new_one() {
    let mut fixture = Fixture::new(SyncPolicy::Never);
    fixture.files.remove("CURRENT");
    // Nor where its first record is damaged as well.
    let mut damaged = fixture.log();
    damaged[LOG_HEADER] ^= 1;
    for log in [fixture.log(), damaged] {
        let text = fixture.open(log).expect_err("CURRENT is gone").to_string();
        assert!(text.contains("CURRENT") && text.contains(LOG), "{text}");
    }
}

#[test]
fn a_missing_log_is_not_taken_for_an_empty_one() {
    let mut fixture = Fixture::new(SyncPolicy::Always);
    fixture.files.remove(LOG);
    let opened =
        Db::open_with_fs(Arc::new(disk_of(&fixture.files)), DIR, options(SyncPolicy::Never));
    assert!(matches!(opened, Err(Error::Corruption { .. })), "{opened:?}");
}

// Two runs made a log file of the same number, the first of them undone by a
// power cut. What the second had not written over yet is still the first's, in
// blocks that the file system has given to the new file; it is intact, and at
// the offset for which it was written.
#[test]
fn records_of_an_earlier_run_do_not_replay() {
    let open = |fs: &SimFs| {
        Db::open_with_fs(Arc::new(fs.clone()), DIR, options(SyncPolicy::Never)).expect("opens")
    };
    let disk = SimFs::new();
    let db = open(&disk);
    let undone = disk.crash_image(&CrashModel::SyncedOnly);
    db.set("filler", vec![1; 40 << 10]).expect("a commit");
    // The second log file begins with this one.
    db.set("first", vec![1; 40 << 10]).expect("a commit");
    db.set("second", "stale").expect("a commit");
    let stale = files(&disk).remove("000003.log").expect("a second log file");

    let db = open(&undone);
    db.set("first", vec![2; 40 << 10]).expect("a commit");
    let written = usize::try_from(db.metrics().log_written_bytes).expect("small");
    let mut found = files(&undone);
    let log = found.get_mut("000003.log").expect("the log of this run has the same number");
    let end = LOG_HEADER + written;
    assert!(log[end..].iter().all(|&b| b == 0) && stale[end..].iter().any(|&b| b != 0));
    let stale = &stale[end..log.len()];
    log[end..].copy_from_slice(stale);
    let db = open(&disk_of(&found));
    let first = db.get("first").expect("a read");
    assert_eq!(first.as_deref(), Some(&vec![2; 40 << 10][..]));
    assert_eq!(db.get("second").expect("a read"), None, "of a run that never was");
    let cut_at = db.metrics().recovery.log_cut_at.map(|(_, offset)| offset);
    assert_eq!(cut_at, Some(end as u64), "and it is told that it was cut");
}
