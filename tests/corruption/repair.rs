//! What repair makes of each damage: never a value that is not so, never a key that was deleted.
//!
//! Where records of the log are lost, a key that only they changed may show what it was before; but then
//! what is shown is explained by leaving out some commits that follow on each other, whole.

use crate::disk::{DIR, Files, disk_of, files};
use crate::fixture::{Fixture, LARGE, Model, NOW_MS, OTHER, SYNCED};
use esker::{Db, Error, Fs, RepairReport, repair_with_fs};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

const NEW: &str = "/repaired";

/// What `damaged` is repaired to, with the report; or the error.
fn repaired(fixture: &Fixture, damaged: &Files) -> Result<(RepairReport, Model), Error> {
    let fs = disk_of(damaged);
    fs.sim_clock().set_ms(NOW_MS);
    let shared: Arc<dyn Fs> = Arc::new(fs.clone());
    let done = repair_with_fs(&shared, DIR, NEW, &fixture.options);
    assert!(files(&fs) == *damaged, "the damaged directory was changed");
    let report = done?;
    let db = Db::open_with_fs(shared, NEW, fixture.options.clone()).expect("opens");
    db.verify().expect("sound");
    let read = |entry: Result<(esker::Key, esker::Value), Error>| {
        let (key, value) = entry.expect("a read");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (text(key.into()), text(value.into()))
    };
    let model = db.iter().map(read).collect();
    Ok((report, model))
}

/// The state without the commits `left_out`, counted from 1.
fn state_without(fixture: &Fixture, left_out: &Range<usize>) -> Model {
    let mut model = Model::new();
    for n in (1..fixture.states.len()).filter(|n| !left_out.contains(n)) {
        let (before, after) = (&fixture.states[n - 1].1, &fixture.states[n].1);
        model.extend(
            after
                .iter()
                .filter(|(k, v)| before.get(*k) != Some(v))
                .map(|(k, v)| (k.clone(), v.clone())),
        );
        before
            .keys()
            .filter(|key| !after.contains_key(*key))
            .for_each(|key| drop(model.remove(key)));
    }
    model
}

fn is_log(fixture: &Fixture, name: &str) -> bool {
    fixture.logs.iter().any(|log| log.name == name)
}

/// What became of the damages of a sweep.
#[derive(Debug, Default)]
struct Tally(BTreeMap<&'static str, usize>);

impl Tally {
    fn judge(&mut self, fixture: &Fixture, names: &[&str], damaged: &Files) {
        let about_the_manifest = |name: &str| name.starts_with("MANIFEST") || name == "CURRENT";
        let (report, found) = match repaired(fixture, damaged) {
            Ok(repaired) => repaired,
            Err(e @ Error::Corruption { .. }) => {
                assert!(names.iter().any(|name| about_the_manifest(name)), "{e}");
                *self.0.entry("refused").or_default() += 1;
                return;
            }
            Err(e) => panic!("{e}"),
        };
        let last = fixture.last();
        // The first commit whose record may be lost.
        let first = if names.iter().any(|name| is_log(fixture, name)) {
            fixture.logs[0].first + 1
        } else {
            last + 1
        };
        let explains = |left_out: &Range<usize>| {
            let want = state_without(fixture, left_out);
            found.iter().all(|(key, value)| want.get(key) == Some(value))
        };
        let is_explained =
            (first..=last + 1).any(|from| (from..=last + 1).any(|to| explains(&(from..to))));
        assert!(is_explained, "{found:#?}\n{report}");
        let is_all = found == fixture.states[last].1;
        let is_told = !report.is_whole() || report.log_cut_at.is_some();
        // Cut between two records the last log looks as it did before.
        let may_be_untold = names.contains(&fixture.logs[1].name.as_str());
        assert!(is_all || is_told || may_be_untold, "{report}");
        *self.0.entry(if is_all { "all saved" } else { "saved in part" }).or_default() += 1;
    }
}

#[test]
fn of_a_sound_database_everything_is_saved() {
    for fixture in [&*SYNCED, &*LARGE] {
        let (report, found) = repaired(fixture, &fixture.files).expect("nothing is damaged");
        assert!(report.is_whole() && found == fixture.states[fixture.last()].1, "{report}");
    }
}

#[test]
fn of_flipped_bits() {
    for fixture in [&*SYNCED, &*LARGE] {
        let mut tally = Tally::default();
        for (name, bytes) in &fixture.files {
            for bit in (0..bytes.len() * 8).step_by(29) {
                let mut damaged = fixture.files.clone();
                damaged.get_mut(name).expect("it")[bit / 8] ^= 1 << (bit % 8);
                let context = crate::Context::new(format!("bit {bit} of {name}"));
                tally.judge(fixture, &[name], &damaged);
                context.end();
            }
        }
        println!("repair of flipped bits: {tally:?}");
    }
}

#[test]
fn of_whole_files() {
    for fixture in [&*SYNCED, &*LARGE] {
        let mut tally = Tally::default();
        let mut judge = |names: &[&str], how: &str, damaged: &Files| {
            let context = crate::Context::new(format!("{how} of {names:?}"));
            tally.judge(fixture, names, damaged);
            context.end();
        };
        for (name, bytes) in &fixture.files {
            let with = |bytes: Vec<u8>| {
                let mut damaged = fixture.files.clone();
                damaged.insert(name.clone(), bytes);
                damaged
            };
            let mut damaged = fixture.files.clone();
            damaged.remove(name);
            judge(&[name], "absence", &damaged);
            for length in (0..bytes.len()).step_by(bytes.len() / 60 + 1) {
                judge(&[name], &format!("cut at {length}"), &with(bytes[..length].to_vec()));
                let mut zeroed = bytes.clone();
                let end = bytes.len().min(length + 64);
                zeroed[length..end].fill(0);
                judge(&[name], &format!("zeros at {length}"), &with(zeroed));
            }
            judge(&[name], "extension", &with([bytes.as_slice(), &[0xa5; 99]].concat()));
            for other in fixture.files.keys().filter(|other| *other != name) {
                judge(
                    &[name, other],
                    &format!("{other} in place"),
                    &with(fixture.files[other].clone()),
                );
            }
            if let Some(foreign) = OTHER.files.get(name) {
                judge(&[name], "a namesake", &with(foreign.clone()));
            }
        }
        for older in &fixture.older {
            for (name, bytes) in older {
                let mut damaged = fixture.files.clone();
                damaged.insert(name.clone(), bytes.clone());
                judge(&[name], "an older state", &damaged);
                if name.starts_with("MANIFEST") {
                    damaged.insert("CURRENT".to_owned(), older["CURRENT"].clone());
                    judge(&[name, "CURRENT"], "an older state", &damaged);
                }
            }
        }
        println!("repair of whole files: {tally:?}");
    }
}
