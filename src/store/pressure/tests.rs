use super::*;

const BASE: u64 = 100;
const DRAINS: Drains = Drains { level_0: 10e6, memtables: 50e6 };

/// The debt in words: tables in level 0, memtables of four, bytes in excess.
fn debt(level_0_tables: usize, sealed: usize, excess_bytes: u64) -> Debt {
    Debt { level_0_tables, sealed, sealed_max: 4, excess_bytes, base_bytes: BASE }
}

#[test]
fn the_rate_falls_from_twice_the_drain_to_the_floor() {
    let cases = [
        // Level 0.
        ((0, 0, 0), "free"),
        ((7, 0, 0), "free"),
        ((8, 0, 0), "20.0 MB/s"),
        ((15, 0, 0), "15.0 MB/s"),
        ((22, 0, 0), "10.0 MB/s"),
        ((35, 0, 0), "0.7 MB/s"),
        ((36, 0, 0), "0.3 MB/s"),
        ((100, 0, 0), "0.3 MB/s"),
        // Memtables: the one that is being written may still be filled.
        ((0, 1, 0), "free"),
        ((0, 2, 0), "100.0 MB/s"),
        ((0, 3, 0), "66.7 MB/s"),
        ((0, 4, 0), "33.3 MB/s"),
        // Levels.
        ((0, 0, 1_599), "free"),
        ((0, 0, 1_600), "20.0 MB/s"),
        ((0, 0, 4_000), "10.0 MB/s"),
        ((0, 0, 9_000), "0.3 MB/s"),
        // The slowest counts.
        ((8, 4, 0), "20.0 MB/s"),
        ((15, 0, 4_000), "10.0 MB/s"),
    ];
    for ((tables, sealed, excess), rate) in cases {
        let allowed = allowed_rate(&debt(tables, sealed, excess), DRAINS);
        let text = allowed.map_or("free".to_string(), |rate| format!("{:.1} MB/s", rate / 1e6));
        assert_eq!(text, rate, "{tables} tables, {sealed} memtables, {excess} bytes");
    }
}

// With two memtables one is being written and one may wait.
#[test]
fn one_waiting_memtable_of_one_is_no_stop() {
    let debt = Debt { sealed: 1, sealed_max: 1, ..Debt::default() };
    assert_eq!(allowed_rate(&debt, DRAINS), Some(100e6));
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn what_is_drained_is_measured_while_there_is_something() {
    let mut drain = Drain::default();
    drain.note(seconds(0), 0, false);
    assert_eq!(drain.rate(), None);
    drain.note(seconds(100), 0, true);
    drain.note(seconds(101), 0, true);
    drain.note(seconds(102), 200, true);
    assert_eq!(drain.rate(), Some(100.0), "since it began, not since the last look");
    drain.note(seconds(104), 800, false);
    assert_eq!(drain.rate(), Some(950.0 / 3.5), "an average that leans to the newest");
    drain.note(seconds(1000), 0, true);
    drain.note(seconds(1001), 100, false);
    let rate = drain.rate().expect("measured");
    assert!(rate > 200.0, "the idle time does not count: {rate}");
}

fn pressure(options: &Options) -> Pressure {
    Pressure::new(options, true)
}

fn with_tables(pressure: &Pressure, tables: usize) -> (bool, bool) {
    pressure.measure(seconds(1), tables, 0, Drained::default());
    (pressure.rate().is_some(), pressure.is_level_0_full())
}

#[test]
fn level_0_counts_only_where_somebody_merges_it() {
    let on = pressure(&Options::default());
    assert_eq!(with_tables(&on, 7), (false, false));
    assert_eq!(with_tables(&on, 35), (true, false));
    assert_eq!(with_tables(&on, 36), (true, true));
    on.set_hindered(true);
    assert_eq!((on.rate(), on.is_level_0_full()), (None, false), "at once");
    assert_eq!(with_tables(&on, 50), (false, false));
    on.set_hindered(false);
    assert!(on.rate().is_some() && on.is_level_0_full());
    let off = pressure(&Options { auto_compaction: false, ..Options::default() });
    assert_eq!(with_tables(&off, 1000), (false, false));
    let threadless = Pressure::new(&Options::default(), false);
    assert_eq!(with_tables(&threadless, 1000), (false, false));
}

/// Sleeps as long as it is told, and `extra`; notes how long.
fn slept(pressure: &Pressure, bytes: u64, extra: Duration) -> Vec<Duration> {
    let mut steps = Vec::new();
    pressure.pay(bytes, |step| {
        steps.push(step);
        Some(step + extra)
    });
    steps
}

#[test]
fn what_is_owed_is_slept_off_in_steps() {
    let ms = Duration::from_millis;
    let free = pressure(&Options::default());
    assert!(slept(&free, 1 << 30, ms(0)).is_empty());
    let slowed = pressure(&Options::default());
    with_tables(&slowed, 36);
    let rate = slowed.rate().expect("slowed");
    assert_eq!(rate, whole(RATE_MIN));
    // A third of a millisecond each: every third or fourth pays for all.
    let few: Vec<usize> = (0..8).map(|_| slept(&slowed, 100, ms(0)).len()).collect();
    assert_eq!(few, [0, 0, 1, 0, 0, 1, 0, 0]);
    let steps = slept(&slowed, rate / 10, ms(0));
    assert!(steps.len() >= 5 && steps.iter().all(|step| *step <= STEP_MAX), "{steps:?}");
    let sum: Duration = steps.into_iter().sum();
    assert!(sum >= ms(99) && sum <= ms(103), "{sum:?}");
    // Who overslept has paid for what comes.
    assert_eq!(slept(&slowed, rate / 100, ms(50)).len(), 1);
    assert!(slept(&slowed, rate / 50, ms(0)).is_empty());
}

#[test]
fn nobody_sleeps_on_when_the_debt_is_gone_or_the_database_closed() {
    let slowed = pressure(&Options::default());
    with_tables(&slowed, 36);
    let mut steps = 0;
    slowed.pay(1 << 30, |step| {
        steps += 1;
        if steps == 2 {
            with_tables(&slowed, 3);
        }
        Some(step)
    });
    assert_eq!(steps, 2);
    with_tables(&slowed, 36);
    slowed.pay(1 << 30, |_| None);
    assert!(slept(&slowed, 10, Duration::ZERO).is_empty(), "nothing is owed any more");
}
