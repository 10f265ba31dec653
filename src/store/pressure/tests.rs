use super::toll::STEP_MAX;
use super::*;

const BASE: u64 = 100;
const DRAINS: Drains = Drains { level_0: 10e6, memtables: 50e6, space: 40e6 };

/// The debt in words: tables in level 0, memtables of four, bytes in excess.
fn debt(level_0_tables: usize, sealed: usize, excess_bytes: u64) -> Debt {
    let space = Space::default();
    Debt { level_0_tables, sealed, sealed_max: 4, excess_bytes, base_bytes: BASE, space }
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
        assert_eq!(text(allowed), rate, "{tables} tables, {sealed} memtables, {excess} bytes");
    }
}

fn text(rate: Option<f64>) -> String {
    rate.map_or("free".to_string(), |rate| format!("{:.1} MB/s", rate / 1e6))
}

/// 1000 bytes that live, and so many more that do not.
fn space(garbage: u64, amp_max: f64) -> Space {
    Space { taken_bytes: 1000 + garbage, live_bytes: 1000, amp_max }
}

// Collections begin when half of what is allowed beyond what lives is used up.
#[test]
fn large_values_are_slowed_in_the_last_quarter_before_the_bound() {
    let cases = [
        // With 2.5 there may be 1500 bytes of garbage.
        (2.5, 0, "free"),
        (2.5, 750, "free"),
        (2.5, 751, "free, danger"),
        (2.5, 1124, "free, danger"),
        (2.5, 1125, "80.0 MB/s, danger"),
        (2.5, 1200, "64.0 MB/s, danger"),
        (2.5, 1350, "32.0 MB/s, danger"),
        (2.5, 1425, "16.0 MB/s, danger"),
        (2.5, 1500, "0.3 MB/s, danger"),
        (2.5, 1501, "0.3 MB/s, danger, stop"),
        (2.5, 9000, "0.3 MB/s, danger, stop"),
        // With 1.2 there may be 200.
        (1.2, 99, "free"),
        (1.2, 149, "free, danger"),
        (1.2, 175, "40.0 MB/s, danger"),
        (1.2, 201, "0.3 MB/s, danger, stop"),
    ];
    for (amp_max, garbage, expected) in cases {
        let space = space(garbage, amp_max);
        let debt = Debt { space, ..debt(0, 0, 0) };
        let mut told = text(allowed_value_rate(&debt, DRAINS));
        told += if space.is_in_danger() { ", danger" } else { "" };
        told += if space.is_exhausted() { ", stop" } else { "" };
        assert_eq!(told, expected, "{garbage} of garbage, {amp_max}");
        assert_eq!(allowed_rate(&debt, DRAINS), None, "for what is not large there is no limit");
    }
    // The worst of all is told.
    let half = Debt { space: space(1275, 2.5), ..debt(8, 2, 0) };
    assert_eq!(whole(half.severity() * 100.0), 40);
    // Of nothing, nothing is garbage; what lives no more is all garbage.
    assert_eq!(Space::default().severity(), None);
    assert!(Space { live_bytes: 0, ..space(0, 2.5) }.is_exhausted());
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

#[test]
fn space_counts_only_where_somebody_collects() {
    let near = space(1400, 2.5);
    let on = pressure(&Options::default());
    on.measure_space(seconds(1), near, 0);
    assert!(on.value_rate().is_some() && on.is_limited() && on.rate().is_none());
    assert_eq!(on.debt_percent(), 73);
    on.set_collection_hindered(true);
    assert_eq!((on.value_rate(), on.debt_percent(), on.is_limited()), (None, 0, false), "at once");
    on.set_collection_hindered(false);
    on.set_hindered(true);
    assert!(on.value_rate().is_some(), "compaction is another matter");
    on.measure_space(seconds(2), space(700, 2.5), 700);
    assert_eq!((on.value_rate(), on.is_limited()), (None, false));
    let by_hand = Options { auto_compaction: false, ..Options::default() };
    let off = [pressure(&by_hand), Pressure::new(&Options::default(), false)];
    for off in off {
        off.measure_space(seconds(1), near, 0);
        assert_eq!((off.value_rate(), off.debt_percent()), (None, 0));
    }
}

#[test]
fn what_is_given_back_sets_the_pace_of_large_values() {
    let slowed = pressure(&Options::default());
    slowed.measure_space(seconds(1), space(1125, 2.5), 0);
    assert_eq!(slowed.value_rate(), Some(whole(2.0 * SPACE_GUESS)));
    slowed.measure_space(seconds(3), space(1125, 2.5), 20 << 20);
    assert_eq!(slowed.value_rate(), Some(20 << 20), "in two seconds");
    // What goes while there is enough room says nothing of how fast it might.
    slowed.measure_space(seconds(4), space(0, 2.5), 0);
    slowed.measure_space(seconds(100), space(0, 2.5), 1 << 40);
    slowed.measure_space(seconds(101), space(1125, 2.5), 0);
    assert_eq!(slowed.value_rate(), Some(20 << 20));
}

#[test]
fn who_writes_large_values_pays_for_them_and_nobody_else() {
    let ms = Duration::from_millis;
    let slowed = pressure(&Options::default());
    slowed.measure_space(seconds(1), space(1500, 2.5), 0);
    let rate = slowed.value_rate().expect("slowed");
    let slept = |bytes, value_bytes| {
        let mut sum = Duration::ZERO;
        slowed.pay(bytes, value_bytes, |step| {
            sum += step;
            Some(step)
        });
        sum
    };
    assert_eq!(slept(1 << 30, 0), ms(0));
    let sum = slept(rate, rate / 10);
    assert!(sum >= ms(99) && sum <= ms(103), "{sum:?}");
    // Slowed for both reasons, one sleeps for the longer of the two.
    with_tables(&slowed, 36);
    assert_eq!(slowed.rate(), Some(rate));
    let sum = slept(rate / 5, rate / 10);
    assert!(sum >= ms(199) && sum <= ms(203), "{sum:?}");
    let sum = slept(rate / 10, rate / 5);
    assert!(sum >= ms(199) && sum <= ms(205), "{sum:?}");
}

/// Sleeps as long as it is told, and `extra`; notes how long.
fn slept(pressure: &Pressure, bytes: u64, extra: Duration) -> Vec<Duration> {
    let mut steps = Vec::new();
    pressure.pay(bytes, 0, |step| {
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
    slowed.pay(1 << 30, 0, |step| {
        steps += 1;
        if steps == 2 {
            with_tables(&slowed, 3);
        }
        Some(step)
    });
    assert_eq!(steps, 2);
    with_tables(&slowed, 36);
    slowed.pay(1 << 30, 0, |_| None);
    assert!(slept(&slowed, 10, Duration::ZERO).is_empty(), "nothing is owed any more");
}
