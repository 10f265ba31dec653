//! More keys, or larger values: a load, gets, and gets with sets, by one thread.

use crate::account::{Account, Between};
use crate::arguments::Scale;
use crate::csv::Csv;
use crate::data::Data;
use crate::latency::{for_each, for_time};
use crate::memory::memory_mib;
use crate::mix::mix;
use crate::subject::Subject;
use esker::SyncPolicy;
use std::path::Path;

/// Values of `--keys`.
pub const VALUE_BYTES: usize = 128;

/// The gets of a point read so many times the bytes that are stored, at most.
const READ_TIMES_MAX: u64 = 8;

const MIB: f64 = (1 << 20) as f64;

pub fn of_keys(dir: &Path, count: u64, scale: &Scale) -> Csv {
    let mut csv = Csv::default();
    csv.push_count("keys", count);
    measure(dir, &Data::new(count, VALUE_BYTES), scale, csv)
}

pub fn of_values(dir: &Path, value_bytes: u64, scale: &Scale) -> Csv {
    let mut csv = Csv::default();
    csv.push_count("value_bytes", value_bytes);
    let mut data = Data::new(1, usize::try_from(value_bytes).expect("a size"));
    data.count = (scale.values_bytes / data.entry_bytes()).max(1);
    csv.push_count("keys", data.count);
    measure(dir, &data, scale, csv)
}

fn measure(dir: &Path, data: &Data, scale: &Scale, mut csv: Csv) -> Csv {
    let subject = Subject::open(dir, SyncPolicy::Never, |options| options);
    let raw = data.raw_bytes() as f64;
    csv.push("raw_mib", raw / MIB);
    let before = Account::take(&subject.db);
    load(&subject, &before, data, scale, &mut csv);
    csv.push("disk_mib", subject.disk_bytes() as f64 / MIB);
    csv.push("space_amp", subject.disk_bytes() as f64 / raw);
    gets(&subject, data, scale, &mut csv);
    let sets = mixed(&subject, data, scale, &mut csv);
    let after = Account::take(&subject.db);
    let all = Between(&before, &after);
    all.push_writes_to(&mut csv, "all", data.count + sets, data.entry_bytes());
    let disk = subject.disk_bytes() as f64;
    csv.push("mixed_disk_mib", disk / MIB);
    csv.push("mixed_space_amp", disk / raw);
    // What follows is for comparison, and not what was measured.
    csv.push_count("peak_mib", memory_mib("VmHWM:"));
    subject.merge_all(data.count, scale.quiet);
    let merged = subject.disk_bytes() as f64;
    csv.push("merged_mib", merged / MIB);
    csv.push("mixed_over_merged", disk / merged);
    subject.db.close().expect("closes");
    csv
}

/// Sets all keys, and waits until what follows from it is done.
fn load(subject: &Subject, before: &Account, data: &Data, scale: &Scale, csv: &mut Csv) {
    let loaded = data.load(&subject.db);
    csv.push("load_per_s", loaded.per_second());
    csv.push("load_mib_per_s", data.raw_bytes() as f64 / MIB / loaded.elapsed.as_secs_f64());
    loaded.sets.push_to(csv, "load_set");
    csv.push("settle_s", subject.settle(scale.quiet).as_secs_f64());
    let after = Account::take(&subject.db);
    Between(before, &after).push_writes_to(csv, "load", data.count, data.entry_bytes());
}

/// Gets keys at random: so many to warm the cache, then as many that are there and as many that are not.
fn gets(subject: &Subject, data: &Data, scale: &Scale, csv: &mut Csv) {
    let db = &subject.db;
    let count = scale.gets.min((data.count * READ_TIMES_MAX).max(100));
    let random = |n: u64, run: u64| mix(n | run << 48) % data.count;
    for_each(count, |n, done| data.get_loaded(db, random(n, 1), done));
    let before = Account::take(db);
    let found = for_each(count, |n, done| data.get_loaded(db, random(n, 2), done));
    let between = Account::take(db);
    let absent = for_each(count, |n, done| data.get_absent(db, n, done));
    let after = Account::take(db);
    csv.push_count("gets", count);
    for (name, done, phase) in
        [("get", found, Between(&before, &between)), ("absent", absent, Between(&between, &after))]
    {
        csv.push(&format!("{name}_per_s"), done.per_second());
        done.gets.push_to(csv, name);
        phase.push_reads_to(csv, name, count);
    }
}

/// Gets and sets in turn, of keys that are there, and what follows from it; how many were sets.
///
/// What is merged meanwhile may be what the load has left, or be left to what comes later: the shorter this is beside the
/// load, the less `mixed_write_amp` says.
fn mixed(subject: &Subject, data: &Data, scale: &Scale, csv: &mut Csv) -> u64 {
    let db = &subject.db;
    let before = Account::take(db);
    let done = for_time(1, scale.phase, |n, done| {
        if n % 2 == 0 {
            data.get_any(db, n, done);
        } else {
            data.overwrite(db, n, done);
        }
    });
    csv.push("mixed_per_s", done.per_second());
    done.gets.push_to(csv, "mixed_get");
    done.sets.push_to(csv, "mixed_set");
    csv.push("mixed_settle_s", subject.settle(scale.quiet).as_secs_f64());
    let after = Account::take(db);
    let sets = done.sets.operations();
    Between(&before, &after).push_writes_to(csv, "mixed", sets, data.entry_bytes());
    sets
}
