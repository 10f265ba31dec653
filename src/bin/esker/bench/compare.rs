//! Two runs beside each other: what is better, by how much, and whether that is more than the rounds differ among
//! themselves.
//!
//! The rule is the plainest there is: a difference is beyond the noise where every round of one run is better than
//! every round of the other. That n rounds and m rounds come to stand so by luck has a chance of 2 in (n + m choose n), so
//! with fewer than three rounds each nothing is said.

use super::figures::{aligned, bytes, figure, number, off, time};
use super::plan::{Unit, differences};
use super::results::{Results, RowResults, Spread};
use serde::Serialize;
use serde_json::Value;
use std::fmt::{self, Write as _};

/// Rounds of each run from which on a difference is told from noise.
const ROUNDS_MIN: usize = 3;

/// What a difference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The second run is better, beyond the noise.
    Better,
    Worse,
    WithinNoise,
    /// There are too few rounds to tell.
    Unknown,
}

/// One figure of both runs.
#[derive(Debug, Serialize)]
pub struct Pair {
    /// `figure`, `p99`, `disk`, `memory`.
    pub what: &'static str,
    pub a: Spread,
    pub b: Spread,
    /// How many times better the second is; below 1 it is worse.
    pub times_better: f64,
    pub verdict: Verdict,
    /// That rounds that do not differ look as if they did.
    pub chance: f64,
    #[serde(skip)]
    shown: Shown,
}

/// How it is shown, and so whether more of it is better.
#[derive(Debug, Clone, Copy)]
enum Shown {
    Figure(Unit),
    Time,
    Bytes,
}

impl Shown {
    fn text(self, value: f64) -> String {
        match self {
            Shown::Figure(unit) => figure(value, unit),
            Shown::Time => time(value),
            Shown::Bytes => bytes(whole(value)),
        }
    }
}

/// One row of both runs.
#[derive(Debug, Serialize)]
pub struct RowPair {
    pub row: String,
    /// Why it cannot be compared; then there are no pairs.
    pub not_comparable: Vec<String>,
    pub pairs: Vec<Pair>,
}

/// Two runs beside each other.
#[derive(Debug, Serialize)]
pub struct Comparison {
    pub a: About,
    pub b: About,
    /// In what the machines differ: then the ratios are theirs, too.
    pub machine_differences: Vec<String>,
    /// In what versions and settings differ: what is being compared, or should not differ.
    pub setting_differences: Vec<String>,
    pub rows: Vec<RowPair>,
    pub only_in_a: Vec<String>,
    pub only_in_b: Vec<String>,
    /// How many pairs look different by luck alone, on average.
    pub by_luck: f64,
}

/// One of the runs.
#[derive(Debug, Serialize)]
pub struct About {
    pub name: String,
    pub esker: String,
    pub date: String,
    pub rounds: u32,
    pub caveats: Vec<String>,
}

/// Compares the run `b` with the run `a`, under the names that they go by.
pub fn compare(a: (&str, &Results), b: (&str, &Results)) -> Comparison {
    let rows: Vec<RowPair> = a.1.rows.iter().filter_map(|row| pair(row, a.1, b.1)).collect();
    let only = |own: &Results, other: &Results| {
        let rows = own.rows.iter().filter(|row| own.row(&row.name).is_some());
        rows.filter(|row| other.row(&row.name).is_none()).map(|row| row.name.clone()).collect()
    };
    let document =
        |results: &Results, name: &str| results.to_json().get(name).cloned().unwrap_or_default();
    let differ = |name: &str| differences("", &document(a.1, name), &document(b.1, name));
    let esker = differences("esker", &document(a.1, "esker"), &document(b.1, "esker"));
    Comparison {
        a: About::of(a),
        b: About::of(b),
        machine_differences: differ("machine"),
        setting_differences: esker.into_iter().chain(differ("settings")).collect(),
        only_in_a: only(a.1, b.1),
        only_in_b: only(b.1, a.1),
        by_luck: rows.iter().flat_map(|row| &row.pairs).map(|pair| pair.chance).sum(),
        rows,
    }
}

impl About {
    fn of((name, results): (&str, &Results)) -> About {
        About {
            name: name.to_string(),
            esker: results.esker.version.clone(),
            date: results.date.clone(),
            rounds: results.settings.rounds,
            caveats: results.caveats(),
        }
    }
}

fn pair(row: &RowResults, a: &Results, b: &Results) -> Option<RowPair> {
    let (own, other) = (a.row(&row.name)?, b.row(&row.name)?);
    let mut not_comparable = own.plan.differences(&other.plan);
    if a.esker.is_optimised != b.esker.is_optimised {
        not_comparable.push("one was built without optimisation".to_string());
    }
    if own.unit != other.unit {
        not_comparable.push(format!("{} and {}", own.unit.label(), other.unit.label()));
    }
    let pairs = if not_comparable.is_empty() { pairs(own, other) } else { Vec::new() };
    Some(RowPair { row: row.name.clone(), not_comparable, pairs })
}

fn pairs(a: &RowResults, b: &RowResults) -> Vec<Pair> {
    let make = |what, shown, a: Option<Spread>, b: Option<Spread>| {
        let (a, b) = (a?, b?);
        let is_rate = matches!(shown, Shown::Figure(unit) if unit.is_rate());
        let (good, bad) = if is_rate { (b.median, a.median) } else { (a.median, b.median) };
        // Nothing and nothing are the same.
        let times_better = if good == bad { 1.0 } else { good / bad.max(1e-12) };
        let verdict = verdict(a, b, is_rate);
        let chance = if verdict == Verdict::Unknown { 0.0 } else { chance(a.rounds, b.rounds) };
        Some(Pair { what, a, b, times_better, verdict, chance, shown })
    };
    let p99 = |row: &RowResults| {
        row.spread_of(|measurement| measurement.main_latency().map(|latency| float(latency.p99_ns)))
    };
    let disk = |row: &RowResults| row.spread_of(|measurement| Some(float(measurement.disk_bytes)));
    let memory =
        |row: &RowResults| row.spread_of(|measurement| measurement.memory_peak_bytes.map(float));
    [
        make("figure", Shown::Figure(a.unit), a.spread(), b.spread()),
        make("p99", Shown::Time, p99(a), p99(b)),
        make("disk", Shown::Bytes, disk(a), disk(b)),
        make("memory", Shown::Bytes, memory(a), memory(b)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn verdict(a: Spread, b: Spread, is_rate: bool) -> Verdict {
    if a.rounds.min(b.rounds) < ROUNDS_MIN {
        return Verdict::Unknown;
    }
    let (is_above, is_below) = (b.min > a.max, b.max < a.min);
    match (is_above, is_below) {
        (false, false) => Verdict::WithinNoise,
        (above, _) if above == is_rate => Verdict::Better,
        _ => Verdict::Worse,
    }
}

/// That `n` rounds are all on one side of `m` others by luck.
fn chance(n: usize, m: usize) -> f64 {
    // The last factors of (n + m)! over those of n!.
    let ways: f64 = (1..=m).map(|k| (count(n) + count(k)) / count(k)).product();
    2.0 / ways
}

fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "a figure is read to four digits")]
fn float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes of a disk")]
fn whole(bytes: f64) -> u64 {
    bytes as u64
}

impl Comparison {
    /// As a document.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("plain data")
    }

    /// As text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).expect("a string takes all");
        text
    }

    fn write(&self, to: &mut String) -> fmt::Result {
        for (letter, about) in [("A", &self.a), ("B", &self.b)] {
            let About { name, esker, date, rounds, caveats } = about;
            writeln!(to, "{letter}  {name}: esker {esker}, {date}, rounds: {rounds}")?;
            caveats.iter().try_for_each(|caveat| writeln!(to, "   note: {caveat}"))?;
        }
        to.push('\n');
        let listed = |to: &mut String, head: &str, lines: &[String]| {
            if !lines.is_empty() {
                writeln!(to, "{head}")?;
            }
            lines.iter().try_for_each(|line| writeln!(to, "  {line}"))
        };
        let head = "not the same machine, so the ratios are of the machines, too (A and B):";
        listed(to, head, &self.machine_differences)?;
        listed(to, "not the same version or settings (A and B):", &self.setting_differences)?;
        let lines: Vec<_> = self.rows.iter().flat_map(lines).collect();
        if !lines.is_empty() {
            let heads = ["row", "what", ">A", ">rounds", ">B", ">rounds", ">B is", "that is"];
            write!(to, "\n{}\n", aligned(&heads, &lines))?;
        }
        let refused = self.rows.iter().filter(|row| !row.not_comparable.is_empty());
        let refused: Vec<_> =
            refused.map(|row| format!("{}: {}", row.row, row.not_comparable.join("; "))).collect();
        listed(to, "not comparable (A and B):", &refused)?;
        listed(to, "only in A:", &self.only_in_a)?;
        listed(to, "only in B:", &self.only_in_b)?;
        self.write_sum(to)
    }

    fn write_sum(&self, to: &mut String) -> fmt::Result {
        let all = || self.rows.iter().flat_map(|row| &row.pairs);
        let count = |verdict| all().filter(|pair| pair.verdict == verdict).count();
        let (better, worse) = (count(Verdict::Better), count(Verdict::Worse));
        let unknown = count(Verdict::Unknown);
        if unknown > 0 {
            return writeln!(
                to,
                "{} figures compared; what is noise is not known: that takes {ROUNDS_MIN} rounds of each",
                all().count()
            );
        }
        writeln!(
            to,
            "{} figures compared: {better} better and {worse} worse beyond the noise; {} are so by luck alone",
            all().count(),
            number(self.by_luck)
        )
    }
}

/// The lines of a row: its figure, and what else differs beyond the noise.
fn lines(row: &RowPair) -> Vec<Vec<String>> {
    let is_told = |pair: &&Pair| {
        pair.what == "figure" || matches!(pair.verdict, Verdict::Better | Verdict::Worse)
    };
    let line = |pair: &Pair| {
        let name = if pair.what == "figure" { row.row.clone() } else { String::new() };
        let is = match pair.times_better {
            1.0 => "the same".to_string(),
            times if times > 1.0 => format!("{}× better", number(times)),
            times => format!("{}× worse", number(1.0 / times.max(1e-12))),
        };
        let that = match pair.verdict {
            Verdict::Better | Verdict::Worse => "beyond the noise",
            Verdict::WithinNoise => "within the noise",
            Verdict::Unknown => "not known to be more than noise",
        };
        let (a, b) = (pair.shown.text(pair.a.median), pair.shown.text(pair.b.median));
        vec![name, pair.what.to_string(), a, off(pair.a), b, off(pair.b), is, that.to_string()]
    };
    row.pairs.iter().filter(is_told).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::{results, row};
    use super::*;

    fn compared(a: Vec<RowResults>, b: Vec<RowResults>) -> Comparison {
        compare(("a.json", &results(a)), ("b.json", &results(b)))
    }

    fn verdict_of(name: &str, a: &[f64], b: &[f64]) -> (Verdict, f64) {
        let comparison = compared(vec![row(name, a)], vec![row(name, b)]);
        let pair = &comparison.rows[0].pairs[0];
        (pair.verdict, pair.times_better)
    }

    #[test]
    fn a_difference_counts_where_all_rounds_differ() {
        let (verdict, times) =
            verdict_of("set_sync", &[100.0, 110.0, 90.0], &[200.0, 210.0, 190.0]);
        assert_eq!((verdict, times), (Verdict::Better, 2.0));
        // Less is better where it is a time.
        let (verdict, times) = verdict_of("backup", &[1.0, 1.1, 0.9], &[2.0, 2.1, 1.9]);
        assert_eq!((verdict, times), (Verdict::Worse, 0.5));
        let (verdict, _) = verdict_of("set_sync", &[100.0, 110.0, 90.0], &[200.0, 105.0, 190.0]);
        assert_eq!(verdict, Verdict::WithinNoise);
        let (verdict, _) = verdict_of("set_sync", &[100.0, 110.0], &[200.0, 205.0, 190.0]);
        assert_eq!(verdict, Verdict::Unknown);
        assert_eq!(verdict_of("set_sync", &[0.0; 3], &[0.0; 3]), (Verdict::WithinNoise, 1.0));
    }

    #[test]
    fn chances_are_those_of_the_orders_of_rounds() {
        assert!((chance(3, 3) - 0.1).abs() < 1e-9);
        assert!((chance(5, 5) - 2.0 / 252.0).abs() < 1e-9);
        assert!((chance(1, 4) - 0.4).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_compared_is_said_with_its_reason() {
        let mut other = row("get", &[5.0; 3]);
        other.plan.keys = 7;
        let mut b = results(vec![other, row("scan", &[1.0])]);
        b.settings.block_cache_bytes = 1;
        b.machine.cores = 99;
        let a = results(vec![row("get", &[5.0; 3]), row("set_sync", &[1.0; 3])]);
        let comparison = compare(("a.json", &a), ("b.json", &b));
        assert!(comparison.rows[0].pairs.is_empty());
        assert_eq!(comparison.rows[0].not_comparable, ["keys 500000 and 7"]);
        assert_eq!(
            (comparison.only_in_a.as_slice(), comparison.only_in_b.as_slice()),
            (&["set_sync".to_string()][..], &["scan".to_string()][..])
        );
        let text = comparison.render();
        for said in [
            "get: keys 500000 and 7",
            "only in A:\n  set_sync",
            "only in B:\n  scan",
            "block_cache_bytes 268435456 and 1",
            "not the same machine",
            "and 99",
        ] {
            assert!(text.contains(said), "{said} is not in\n{text}");
        }
    }

    #[test]
    fn builds_of_two_kinds_are_not_compared() {
        let a = results(vec![row("get", &[5.0; 3])]);
        let mut b = a.clone();
        b.esker.is_optimised = !a.esker.is_optimised;
        let comparison = compare(("a", &a), ("b", &b));
        assert!(comparison.rows[0].pairs.is_empty());
        assert!(comparison.render().contains("built without optimisation"));
    }
}
