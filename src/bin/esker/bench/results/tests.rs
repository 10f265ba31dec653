//! Runs that were made up, for the tests of what is made of them; and whether they are kept as they are.

use super::*;
use crate::bench::measurement::Latency;
use crate::bench::{machine, rows, settings};

/// A row with these figures, one a round, whose operations take 50 us.
pub fn row(name: &str, figures: &[f64]) -> RowResults {
    let row = rows::find(name).expect("a row");
    let plan = row.plan(&settings::tests::default());
    let latency = Latency {
        samples: 1000,
        mean_ns: 60_000,
        p50_ns: 50_000,
        p90_ns: 60_000,
        p99_ns: 90_000,
        p999_ns: 95_000,
        max_ns: 100_000,
        curve: vec![(0.0, 40_000), (0.5, 50_000), (0.99, 90_000)],
    };
    let measurement = |(round, figure): (u32, &f64)| Measurement {
        round,
        figure: *figure,
        operations: 1000,
        elapsed_ns: 1_000_000_000,
        writes: Some(latency.clone()),
        reads: None,
        scans: None,
        memory_peak_bytes: Some(1 << 20),
        disk_bytes: 5 << 20,
        disk_peak_bytes: 6 << 20,
        write_amplification: Some(2.5),
        stalls: 0,
        stall_ns: 0,
        delay_ns: 0,
        log_syncs: 1,
        series: Default::default(),
    };
    RowResults {
        name: name.to_string(),
        group: row.group,
        about: row.about.to_string(),
        unit: plan.work.unit(),
        space_needed_bytes: plan.space_bytes(),
        plan,
        measurements: (0..).zip(figures).map(measurement).collect(),
    }
}

/// A run that came to this.
pub fn results(rows: Vec<RowResults>) -> Results {
    let mut results = Results::begun(Path::new("."), &settings::tests::default(), rows);
    results.end(true);
    results
}

#[test]
fn a_median_is_in_the_middle_and_a_spread_around_it() {
    let spread = |figures: &[f64]| Spread::of(figures);
    assert_eq!(spread(&[]), None);
    let odd = spread(&[3.0, 1.0, 2.0]).expect("some");
    assert_eq!((odd.median, odd.min, odd.max, odd.rounds), (2.0, 1.0, 3.0, 3));
    assert!((odd.off() - 0.5).abs() < 1e-9);
    assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]).expect("some").median, 2.5);
    assert_eq!(spread(&[7.0]).expect("one").off(), 0.0);
}

#[test]
fn a_run_comes_back_from_its_file_and_others_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("run.json");
    let run = results(vec![row("set_sync", &[1.0, 2.0]), row("get", &[3.5])]);
    std::fs::write(&path, run.to_json().to_string()).expect("written");
    assert_eq!(Results::read(&path).expect("ours"), run);
    let mut newer = run.to_json();
    newer["version"] = 2.into();
    for (text, kind, said) in [
        ("{", Kind::Input, "EOF"),
        ("[1]", Kind::Input, "call itself"),
        (r#"{"format": "esker-bench", "version": 1}"#, Kind::Input, "missing field"),
        (&newer.to_string(), Kind::Format, "version 2"),
    ] {
        std::fs::write(&path, text).expect("written");
        let failure = Results::read(&path).expect_err(said);
        assert_eq!(failure.kind, kind);
        assert!(failure.sentence().contains(said), "{}", failure.sentence());
    }
}

#[test]
fn what_makes_figures_worthless_is_said() {
    let mut run = results(Vec::new());
    run.esker.is_optimised = true;
    run.load_average = Some(0.0);
    run.machine.file_system = None;
    assert!(run.caveats().is_empty(), "{:?}", run.caveats());
    run.esker.is_optimised = false;
    run.settings.scale = 0.01;
    run.load_average = Some(3.0);
    run.is_complete = false;
    let kind = "tmpfs".to_string();
    run.machine.file_system = Some(machine::FileSystem { kind, ..Default::default() });
    assert_eq!(run.caveats().len(), 5);
}
