//! More threads over one database: gets, sets, both, and sets that are synced.

use crate::account::{Account, Between};
use crate::arguments::Scale;
use crate::csv::Csv;
use crate::data::Data;
use crate::latency::{Done, for_time};
use crate::memory::memory_mib;
use crate::spinner::Spinner;
use crate::subject::Subject;
use crate::volume::VALUE_BYTES;
use esker::SyncPolicy;
use std::path::Path;

pub fn measure(dir: &Path, threads: u64, scale: &Scale) -> Csv {
    let mut csv = Csv::default();
    csv.push_count("threads", threads);
    let data = Data::new(scale.unit, VALUE_BYTES);
    csv.push_count("keys", data.count);
    let subject = Subject::open(dir, SyncPolicy::Never, |options| options);
    data.load(&subject.db);
    subject.settle(scale.quiet);
    unsynced(&subject, &data, threads, scale, &mut csv);
    subject.db.close().expect("closes");
    drop(subject);
    synced(dir, &data, threads, scale, &mut csv);
    csv.push_count("peak_mib", memory_mib("VmHWM:"));
    csv
}

/// Half of a phase fills caches and queues, and the other half counts.
fn warmed(threads: u64, scale: &Scale, step: impl Fn(u64, &mut Done) + Sync) -> Done {
    let half = scale.phase / 2;
    for_time(threads, half, |n, done| step(n | 1 << 47, done));
    for_time(threads, half, step)
}

fn unsynced(subject: &Subject, data: &Data, threads: u64, scale: &Scale, csv: &mut Csv) {
    let db = &subject.db;
    let gets = warmed(threads, scale, |n, done| data.get_any(db, n, done));
    csv.push("get_per_s", gets.per_second());
    gets.gets.push_to(csv, "get");
    let sets = warmed(threads, scale, |n, done| data.overwrite(db, n, done));
    csv.push("set_per_s", sets.per_second());
    sets.sets.push_to(csv, "set");
    subject.settle(scale.quiet);
    let mixed = warmed(threads, scale, |n, done| {
        if n % 2 == 0 {
            data.get_any(db, n, done);
        } else {
            data.overwrite(db, n, done);
        }
    });
    csv.push("mixed_per_s", mixed.per_second());
    mixed.gets.push_to(csv, "mixed_get");
    mixed.sets.push_to(csv, "mixed_set");
    subject.settle(scale.quiet);
}

/// Opens the database anew, durable: as one would that wants it so.
fn synced(dir: &Path, data: &Data, threads: u64, scale: &Scale, csv: &mut Csv) {
    let subject = Subject::open(dir, SyncPolicy::Always, |options| options);
    let db = &subject.db;
    // Waking a core that sleeps takes longer than many a sync.
    let awake = Spinner::start();
    let before = Account::take(db);
    let sets = for_time(threads, scale.phase, |n, done| data.overwrite(db, n, done));
    let after = Account::take(db);
    drop(awake);
    csv.push("synced_set_per_s", sets.per_second());
    sets.sets.push_to(csv, "synced_set");
    csv.push("sets_a_sync", Between(&before, &after).commits_a_sync());
    subject.merge_all(data.count, scale.quiet);
    db.close().expect("closes");
}
