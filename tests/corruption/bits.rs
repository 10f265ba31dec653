//! Every bit of every file, flipped.

use crate::fixture::{Fixture, LOG_HEADER, LogPart, SYNCED, UNSYNCED};
use crate::oracle::{Counts, Named, Opened, Outcome, judge};
use esker::SyncPolicy;
use std::collections::{BTreeMap, BTreeSet};

/// The size of the data blocks of a table, as its footer has it.
fn data_size(table: &[u8]) -> usize {
    let footer = table.last_chunk::<48>().expect("a table has a footer");
    let size = u64::from_le_bytes(*footer.first_chunk().expect("8 bytes"));
    usize::try_from(size).expect("a small file")
}

fn assert_names(named: &Named, file: &str, at: usize) {
    assert!(named.file == file && named.offset <= at as u64, "{named:?}");
}

/// A bit of `log` at byte `at`: below what is known to have been durable the
/// open is refused, above it the log ends before the record.
fn check_log(fixture: &Fixture, log: &LogPart, at: usize, outcome: &Outcome) {
    let is_last_file = log.name == fixture.logs[1].name;
    let record = log.record_at(at);
    let end = log.ends[log.records()];
    // A record is known to be durable by the claim of one that came later.
    let is_claimed = match (fixture.policy, record) {
        (SyncPolicy::Always, Some(record)) => !is_last_file || record + 1 < log.records(),
        (SyncPolicy::Always, None) => at < LOG_HEADER,
        // The sealed file was synced when it held nothing yet.
        _ => at < LOG_HEADER && !is_last_file,
    };
    match outcome {
        Outcome::Refused(named) => {
            assert!(is_claimed, "{named:?}");
            let start = record.map_or(0, |record| log.ends[record]);
            assert_eq!((named.file.as_str(), named.offset), (log.name.as_str(), start as u64));
        }
        Outcome::Opened(opened) => {
            assert!(!is_claimed, "opened with {} commits", opened.commits);
            assert!(opened.named.is_empty());
            let (commits, cut_at) = match record {
                Some(record) => (log.first + record, log.ends[record]),
                None if at < LOG_HEADER => (log.first, 0),
                // The sealed file ends where the next one says.
                None if !is_last_file => return assert!(opened.is_untouched(fixture)),
                None => (fixture.last(), end),
            };
            assert_eq!(opened.commits, commits);
            assert_eq!(opened.cut, Some((log.name.clone(), cut_at as u64)), "reported");
        }
    }
}

/// The keys that cannot be read while the block at that offset is damaged.
type Unreadable = BTreeMap<u64, BTreeSet<String>>;

/// A bit of a table: what is in its block is lost alone.
fn check_table(
    fixture: &Fixture,
    name: &str,
    at: usize,
    opened: &Opened,
    unreadable: &mut Unreadable,
) {
    assert_eq!((opened.commits, &opened.cut), (fixture.last(), &None));
    assert!(!opened.named.is_empty(), "verify finds everything");
    opened.named.iter().for_each(|named| assert_names(named, name, at));
    let is_data = at < data_size(&fixture.files[name]);
    if is_data {
        assert_eq!(opened.named.len(), 1, "one block: {:?}", opened.named);
        let block = opened.named.first().expect("one").offset;
        let keys = unreadable.entry(block).or_insert_with(|| opened.unreadable.clone());
        assert_eq!(*keys, opened.unreadable, "the same, whatever in the block is damaged");
    }
}

/// No key is lost to two blocks.
fn check_blocks(name: &str, unreadable: &Unreadable) {
    let all: Vec<&String> = unreadable.values().flatten().collect();
    let distinct: BTreeSet<&String> = all.iter().copied().collect();
    assert_eq!(all.len(), distinct.len(), "{name}: blocks are lost alone");
}

fn check(fixture: &Fixture, name: &str, at: usize, outcome: &Outcome, unreadable: &mut Unreadable) {
    if let Some(log) = fixture.logs.iter().find(|log| log.name == name) {
        return check_log(fixture, log, at, outcome);
    }
    match outcome {
        Outcome::Refused(named) => {
            assert!(name == "CURRENT" || name == fixture.manifest());
            assert_names(named, name, at);
        }
        Outcome::Opened(opened) if name == "LOCK" => assert!(opened.is_untouched(fixture)),
        Outcome::Opened(opened) => {
            assert!(name.ends_with(".tbl"), "damage that was not noticed");
            check_table(fixture, name, at, opened, unreadable);
        }
    }
}

/// Flips every bit of the files that `pick` picks.
fn flip(fixture: &'static Fixture, what: &str, pick: impl Fn(&str) -> bool) {
    let mut counts = Counts::default();
    for name in fixture.files.keys().filter(|name| pick(name)) {
        let mut damaged = fixture.files.clone();
        let mut unreadable = Unreadable::new();
        for bit in 0..damaged[name].len() * 8 {
            let at = bit / 8;
            let flip = |files: &mut crate::disk::Files| {
                files.get_mut(name).expect("the file")[at] ^= 1 << (bit % 8);
            };
            flip(&mut damaged);
            let context = crate::Context::new(format!("{what}: bit {bit} of {name}"));
            let outcome = judge(fixture, &damaged);
            check(fixture, name, at, &outcome, &mut unreadable);
            context.end();
            counts.add(fixture, name, &outcome);
            flip(&mut damaged);
        }
        check_blocks(name, &unreadable);
    }
    counts.print(&format!("every bit, {what}"));
}

#[test]
fn of_the_tables_compressed() {
    flip(&SYNCED, "tables, Snappy", |name| name.ends_with(".tbl"));
}

#[test]
fn of_the_tables_as_they_are() {
    flip(&UNSYNCED, "tables, raw", |name| name.ends_with(".tbl"));
}

#[test]
fn of_a_synced_log_and_what_names_it() {
    flip(&SYNCED, "all but tables, synced", |name| !name.ends_with(".tbl"));
}

#[test]
fn of_an_unsynced_log_and_what_names_it() {
    flip(&UNSYNCED, "all but tables, unsynced", |name| !name.ends_with(".tbl"));
}
