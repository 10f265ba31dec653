//! The table of bounds: how many instructions an operation of each path may take; and what a count comes to beside it.
//!
//! One line a path: its name, the instructions, the day they were counted, and what an operation is. Before them,
//! with `=`: the tolerance, which is written by hand, and what the counts were made with.

use std::fmt::Write;

const HEADER: &str = "\
# How many instructions an operation of each hot path takes, as counted on the day beside it.
# `--update` writes this file; the tolerance, in percent, is written by hand. See docs/testing.md.
";

/// What a path may take.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The path.
    pub name: String,
    /// Instructions per operation.
    pub instructions: f64,
    /// The day on which they were counted.
    pub counted_on: String,
    /// What an operation is.
    pub what: String,
}

/// What was counted of a path.
#[derive(Debug, Clone, PartialEq)]
pub struct Count {
    /// The path.
    pub name: String,
    /// Instructions per operation.
    pub instructions: f64,
    /// What an operation is.
    pub what: String,
}

/// The table.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounds {
    /// How far off the bound a count may be, in percent.
    pub tolerance_percent: f64,
    /// The compiler, the counter and the C library that the counts were made with.
    pub counted_with: String,
    /// The bounds, in the order of the paths.
    pub rows: Vec<Bound>,
}

/// What a count comes to beside its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Within the tolerance.
    Holds,
    /// Above it: it has become slower.
    Exceeds,
    /// Below it: the bound no longer guards what was gained.
    Undercuts,
    /// There is no bound.
    HasNone,
}

impl Bounds {
    /// Reads the table.
    ///
    /// # Errors
    /// The line, and what is wrong with it.
    pub fn parse(text: &str) -> Result<Bounds, String> {
        let (mut tolerance_percent, mut counted_with) = (None, None);
        let mut rows: Vec<Bound> = Vec::new();
        let lines = (1..).zip(text.lines().map(str::trim));
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let wrong = |what: &str| format!("line {number}, `{line}`: {what}");
            match line.split_once(" = ") {
                Some(("tolerance_percent", value)) => {
                    let percent =
                        value.parse().ok().filter(|percent| (0.0..100.0).contains(percent));
                    let percent =
                        percent.ok_or_else(|| wrong("a number from 0 to 100 is needed"))?;
                    tolerance_percent = Some(percent);
                }
                Some(("counted_with", value)) => counted_with = Some(value.to_string()),
                Some(_) => return Err(wrong("nothing has that name")),
                None => {
                    let row = Bound::parse(line).map_err(wrong)?;
                    if rows.iter().any(|other| other.name == row.name) {
                        return Err(wrong("that path has a bound already"));
                    }
                    rows.push(row);
                }
            }
        }
        Ok(Bounds {
            tolerance_percent: tolerance_percent.ok_or("no line `tolerance_percent = `")?,
            counted_with: counted_with.ok_or("no line `counted_with = `")?,
            rows,
        })
    }

    /// The table as a file, which [`Bounds::parse`] reads.
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "{HEADER}\ntolerance_percent = {}\ncounted_with = {}\n\n",
            self.tolerance_percent, self.counted_with
        );
        for Bound { name, instructions, counted_on, what } in &self.rows {
            writeln!(text, "{name:<14} {instructions:>10.1}  {counted_on}  {what}")
                .expect("a string takes all");
        }
        text
    }

    /// The table as it stands in the documentation.
    pub fn to_markdown(&self) -> String {
        let mut text = "| path | instructions | an operation is |\n|---|---|---|\n".to_string();
        for Bound { name, instructions, what, .. } in &self.rows {
            writeln!(text, "| `{name}` | {} | {what} |", grouped(*instructions))
                .expect("a string takes all");
        }
        text
    }

    /// The bound of the path `name`.
    pub fn get(&self, name: &str) -> Option<&Bound> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// What a count comes to.
    pub fn judge(&self, count: &Count) -> Verdict {
        let Some(bound) = self.get(&count.name) else { return Verdict::HasNone };
        let off_percent = off_percent(bound.instructions, count.instructions);
        if off_percent > self.tolerance_percent {
            Verdict::Exceeds
        } else if off_percent < -self.tolerance_percent {
            Verdict::Undercuts
        } else {
            Verdict::Holds
        }
    }

    /// The names of the bounds that `is_path` says are of no path.
    pub fn orphans<'a>(
        &'a self,
        is_path: impl Fn(&str) -> bool + 'a,
    ) -> impl Iterator<Item = &'a str> {
        self.rows.iter().map(|row| row.name.as_str()).filter(move |name| !is_path(name))
    }

    /// The table with what was counted on the day `today`: the bounds of `names`, in that order. A path that was not
    /// counted keeps its bound.
    pub fn updated(
        &self,
        names: &[&str],
        counts: &[Count],
        today: &str,
        counted_with: &str,
    ) -> Bounds {
        let row = |name: &&str| match counts.iter().find(|count| count.name == *name) {
            Some(count) => Some(Bound {
                name: count.name.clone(),
                // As the file will have it: a page made of more digits would be rounded otherwise.
                instructions: (count.instructions * 10.0).round() / 10.0,
                counted_on: today.to_string(),
                what: count.what.clone(),
            }),
            None => self.get(name).cloned(),
        };
        Bounds {
            tolerance_percent: self.tolerance_percent,
            counted_with: counted_with.to_string(),
            rows: names.iter().filter_map(row).collect(),
        }
    }
}

impl Bound {
    fn parse(line: &str) -> Result<Bound, &'static str> {
        let mut words = line.split_whitespace();
        let mut word =
            || words.next().ok_or("a name, a number, a day and a description are needed");
        let (name, instructions, counted_on) = (word()?, word()?, word()?);
        let instructions = instructions.parse().ok().filter(|n: &f64| n.is_finite() && *n > 0.0);
        let what: Vec<&str> = words.collect();
        Ok(Bound {
            name: name.to_string(),
            instructions: instructions.ok_or("the second word is no number above 0")?,
            counted_on: counted_on.to_string(),
            what: what.join(" "),
        })
    }
}

/// By how much `count` is above `bound`, in percent of it; below 0 where it is below.
pub fn off_percent(bound: f64, count: f64) -> f64 {
    (count / bound - 1.0) * 100.0
}

/// A number from 1,000 on without decimals and with commas, one below it with one decimal.
fn grouped(number: f64) -> String {
    if number < 1000.0 {
        return format!("{number:.1}");
    }
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds() -> Bounds {
        let row = |name: &str, instructions, what: &str| Bound {
            name: name.to_string(),
            instructions,
            counted_on: "2026-11-26".to_string(),
            what: what.to_string(),
        };
        Bounds {
            tolerance_percent: 3.0,
            counted_with: "rustc 1.95.0, valgrind-3.19.0".to_string(),
            rows: vec![row("get", 1000.0, "a get of a key"), row("scan", 61.5, "an entry")],
        }
    }

    fn count(name: &str, instructions: f64) -> Count {
        Count { name: name.to_string(), instructions, what: "new".to_string() }
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let bounds = bounds();
        assert_eq!(Bounds::parse(&bounds.to_text()), Ok(bounds));
    }

    #[test]
    fn a_count_is_judged_by_the_tolerance_on_both_sides() {
        let bounds = bounds();
        let cases = [
            (1000.0, Verdict::Holds),
            (1029.9, Verdict::Holds),
            (1030.1, Verdict::Exceeds),
            (970.1, Verdict::Holds),
            (969.9, Verdict::Undercuts),
        ];
        for (instructions, expected) in cases {
            assert_eq!(bounds.judge(&count("get", instructions)), expected, "{instructions}");
        }
        assert_eq!(bounds.judge(&count("set", 1.0)), Verdict::HasNone);
        assert!(bounds.orphans(|name| name == "get").eq(["scan"]));
    }

    #[test]
    fn an_update_takes_what_was_counted_and_keeps_the_rest() {
        let counts = [count("set", 7.0), count("scan", 60.0)];
        let updated = bounds().updated(&["set", "get", "scan"], &counts, "2027-01-01", "rustc 2");
        assert_eq!((updated.tolerance_percent, updated.counted_with.as_str()), (3.0, "rustc 2"));
        let rows = updated.rows.iter().map(|row| {
            (row.name.as_str(), row.instructions, row.counted_on.as_str(), row.what.as_str())
        });
        assert!(rows.eq([
            ("set", 7.0, "2027-01-01", "new"),
            ("get", 1000.0, "2026-11-26", "a get of a key"),
            ("scan", 60.0, "2027-01-01", "new"),
        ]));
        // A path that is no more loses its bound.
        assert!(bounds().updated(&["scan"], &[], "", "").get("get").is_none());
        // What a page shows of it is what it shows of the file.
        let updated = bounds().updated(&["set"], &[count("set", 5530.54)], "2027-01-01", "rustc");
        let read = Bounds::parse(&updated.to_text()).expect("a table");
        assert_eq!(updated.to_markdown(), read.to_markdown());
    }

    #[test]
    fn a_table_that_is_none_is_refused_by_its_line() {
        let text = bounds().to_text();
        let wrong = [
            (text.replace("tolerance_percent = 3\n", ""), "no line `tolerance_percent"),
            (text.replace("counted_with", "# counted_with"), "no line `counted_with"),
            (text.replace("= 3\n", "= -3\n"), "line 4, `tolerance_percent = -3`: a number"),
            (text.replace("= 3\n", "= NaN\n"), "from 0 to 100"),
            (text.replace("tolerance_percent = 3", "tolerance = 3"), "nothing has that name"),
            (text.replace("61.5", "6l.5"), "no number above 0"),
            (text.replace("61.5", "-61.5"), "no number above 0"),
            (text.replace("61.5", "inf"), "no number above 0"),
            (text.replace("1000.0", ""), "no number above 0"),
            (format!("{text}set 5\n"), "a name, a number, a day"),
            (text.replace("scan", "get"), "has a bound already"),
        ];
        for (text, expected) in wrong {
            let told = Bounds::parse(&text).expect_err(expected);
            assert!(told.contains(expected), "{expected}: {told}");
        }
    }

    #[test]
    fn the_page_shows_the_table_between_its_marks() {
        let mut bounds = bounds();
        bounds.rows[0].instructions = 1_234_567.8;
        let table = bounds.to_markdown();
        assert!(
            table.ends_with(
                "| `get` | 1,234,568 | a get of a key |\n| `scan` | 61.5 | an entry |\n"
            )
        );
        assert_eq!(grouped(999.96), "1000.0");
        assert_eq!(grouped(1000.0), "1,000");
    }
}
