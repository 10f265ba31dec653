//! Opens a damaged database and judges every answer that it gives.
//!
//! Whatever the damage: the open is refused with an error that names a file,
//! and then no byte has changed; or each answer is that of one and the same
//! moment of the database's life, or `Corruption`.

use crate::disk::{DIR, Files, disk_of, files};
use crate::fixture::{Fixture, Model, NOW_MS};
use esker::sim::SimFs;
use esker::{Db, Error};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// How the open ended.
#[derive(Debug)]
pub enum Outcome {
    Refused(Named),
    Opened(Opened),
}

/// Damage as an error names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    pub file: String,
    pub offset: u64,
}

#[derive(Debug)]
pub struct Opened {
    /// The number of the last commit that is there.
    pub commits: usize,
    /// Where the log was cut, as the metrics report it.
    pub cut: Option<(String, u64)>,
    /// What reads and `verify` named.
    pub named: BTreeSet<Named>,
    /// The keys whose `get` was refused.
    pub unreadable: BTreeSet<String>,
}

impl Opened {
    /// Nothing at all came of the damage.
    pub fn is_untouched(&self, fixture: &Fixture) -> bool {
        self.commits == fixture.last() && self.cut.is_none() && self.named.is_empty()
    }
}

/// The file that `error` names.
pub fn named(error: &Error) -> Named {
    let (path, offset) = match error {
        Error::Corruption { file, offset, .. } => (file, *offset),
        Error::UnsupportedFormat { file, .. } => (file, 0),
        other => panic!("neither the right answer nor `Corruption`: {other}"),
    };
    assert_eq!(path.parent(), Some(Path::new(DIR)), "{error}");
    let file = path.file_name().expect("a file").to_string_lossy().into_owned();
    Named { file, offset }
}

fn open(fs: &SimFs, fixture: &Fixture) -> Result<Db, Error> {
    fs.sim_clock().set_ms(NOW_MS);
    Db::open_with_fs(Arc::new(fs.clone()), DIR, fixture.options.clone())
}

/// Opens a database with these files, and reads all of it in every way.
pub fn judge(fixture: &Fixture, damaged: &Files) -> Outcome {
    let fs = disk_of(damaged);
    match open(&fs, fixture) {
        Err(error) => {
            let mut found = files(&fs);
            if !damaged.contains_key("LOCK") {
                found.remove("LOCK"); // Made to be locked; it is nobody's data.
            }
            assert!(found == *damaged, "a refused open changed files: {error}");
            Outcome::Refused(named(&error))
        }
        Ok(db) => Outcome::Opened(read_all(fixture, &db)),
    }
}

/// As [`judge`]; and what was opened opens again, to the same commits, and
/// keeps what is written then.
pub fn judge_twice(fixture: &Fixture, damaged: &Files) -> Outcome {
    let outcome = judge(fixture, damaged);
    if let Outcome::Opened(first) = &outcome {
        let fs = disk_of(damaged);
        drop(open(&fs, fixture).expect("as before"));
        let db = open(&fs, fixture).expect("what opened once opens again");
        let again = read_all(fixture, &db);
        assert_eq!(again.commits, first.commits, "what an open showed is kept");
        assert_eq!(again.cut, None, "the log is whole once it was cut");
        assert_eq!(again.unreadable, first.unreadable);
        db.set("zz", "new").expect("a commit");
        drop(db);
        let db = open(&fs, fixture).expect("what opened twice opens again");
        let found = db.get("zz").expect("it is in the newest table");
        assert_eq!(found.as_deref(), Some(&b"new"[..]), "what was written after the damage");
    }
    outcome
}

fn read_all(fixture: &Fixture, db: &Db) -> Opened {
    let metrics = db.metrics();
    let is_here = |(seq, _): &(u64, Model)| *seq == metrics.last_seq;
    let commits = fixture.states.iter().position(is_here).unwrap_or_else(|| {
        panic!("sequence number {} was the last of no commit", metrics.last_seq)
    });
    let state = &fixture.states[commits].1;
    let mut opened = Opened {
        commits,
        cut: metrics.recovery.log_cut_at,
        named: BTreeSet::new(),
        unreadable: BTreeSet::new(),
    };
    for key in &fixture.keys {
        match db.get(key) {
            Ok(found) => {
                let found = found.map(|v| String::from_utf8(v.into()).expect("text"));
                assert_eq!(found.as_ref(), state.get(key), "get of {key:?}");
            }
            Err(e) => {
                opened.named.insert(named(&e));
                opened.unreadable.insert(key.clone());
            }
        }
    }
    let all = || state.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    scan(db.iter(), all(), &mut opened.named);
    scan(db.iter().rev(), all().rev(), &mut opened.named);
    let is_found_by_reads = !opened.named.is_empty();
    match db.verify() {
        Ok(_) => assert!(!is_found_by_reads, "verify misses what reads found"),
        Err(e) => drop(opened.named.insert(named(&e))),
    }
    opened
}

/// All entries, in order, or those before the damage and then the error.
fn scan<'a>(
    got: impl Iterator<Item = Result<(esker::Key, esker::Value), Error>>,
    mut want: impl Iterator<Item = (&'a str, &'a str)>,
    damage: &mut BTreeSet<Named>,
) {
    for item in got {
        match item {
            Ok((key, value)) => {
                let (k, v) = want.next().unwrap_or_else(|| panic!("{key:?} is too many"));
                assert!(key == k.as_bytes() && value == v.as_bytes(), "{key:?} instead of {k}");
            }
            Err(e) => {
                damage.insert(named(&e));
                return;
            }
        }
    }
    assert_eq!(want.next(), None, "the scan ends early");
}

/// How often each thing came of the damage of a file.
#[derive(Debug, Default)]
pub struct Counts(BTreeMap<String, [usize; 4]>);

impl Counts {
    /// Counts `outcome` of damage to `file`.
    pub fn add(&mut self, fixture: &Fixture, file: &str, outcome: &Outcome) {
        let column = match outcome {
            Outcome::Refused(_) => 0,
            Outcome::Opened(opened) if opened.is_untouched(fixture) => 3,
            Outcome::Opened(opened) if opened.named.is_empty() => 1,
            Outcome::Opened(_) => 2,
        };
        self.0.entry(file.to_owned()).or_default()[column] += 1;
    }

    /// One line a file, one for all of them.
    pub fn print(&self, what: &str) {
        let mut sum = [0; 4];
        for (file, counts) in &self.0 {
            sum.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
            let [refused, cut, found, harmless] = counts;
            println!(
                "  {file}: {refused} refused, {cut} cut, {found} found on reading, {harmless} harmless"
            );
        }
        let [refused, cut, found, harmless] = sum;
        println!(
            "{what}: {} of {} files; {refused} refused, {cut} cut, {found} found on reading, {harmless} harmless",
            sum.iter().sum::<usize>(),
            self.0.len()
        );
    }
}
